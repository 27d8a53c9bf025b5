"""What a notebook says before it starts."""

import pytest
from study_toys import do, toy_root

from xtsupport.errors import UserError
from xtsupport.study import checks, cost
from xtsupport.study.plan import open_study


@pytest.fixture
def study(tmp_path, monkeypatch):
    monkeypatch.setenv("XTSUPPORT_ROOT", str(tmp_path))
    return open_study(toy_root(tmp_path))


def test_a_missing_earlier_run_is_named_with_the_way_to_get_it(study, capsys):
    todo = study.runs("target", "squad", seeds=[0], into="scratch")
    with pytest.raises(UserError) as error:
        checks.check_setup(study, todo)
    (problem,) = error.value.problems
    assert "intermediate/squad/seed0" in problem and "03_intermediate_training" in problem
    assert f"xtsupport run {study.params}" in problem
    assert "intermediate/squad/seed0: MISSING" in capsys.readouterr().out


def test_the_way_to_a_missing_run_has_the_chosen_settings(study):
    chosen = open_study(study.params, ["intermediate.learning_rate=0.5"])
    with pytest.raises(UserError) as error:
        checks.check_setup(chosen, chosen.runs("target", "squad", seeds=[0], into="scratch"))
    (problem,) = error.value.problems
    assert "condition = 'squad' and settings = ['intermediate.learning_rate=0.5']" in problem
    assert problem.endswith(f"run {study.params} --set intermediate.learning_rate=0.5")


def test_versions_device_place_and_work_are_told(study, capsys):
    checks.check_setup(study, study.runs("pretraining", into="scratch"))
    told = capsys.readouterr().out
    assert "torch" in told and "outputs/runs" in told and "1 of 1 run(s)" in told
    checks.check_setup(study, into="study")
    assert "outputs/toy" in capsys.readouterr().out


def test_too_few_open_files_are_said_before_any_work(study, monkeypatch):
    resource = pytest.importorskip("resource")
    monkeypatch.setattr(resource, "getrlimit", lambda what: (64, 64))
    with pytest.raises(UserError, match="ulimit -n = 64"):
        checks.check_setup(study, study.runs("pretraining"))


def test_a_study_without_such_a_run_says_why(study):
    with pytest.raises(UserError, match="no run for this notebook"):
        checks.check_setup(study, [])


def test_what_a_notebook_did_the_study_need_not_do(study):
    (run,), (mine,) = study.runs("pretraining"), study.runs("pretraining", into="scratch")
    (again,) = study.runs("pretraining", into="scratch", again=True)
    assert checks.unfinished([run, mine, again]) == [run, mine, again]
    do(mine)
    assert checks.unfinished([run, mine, again]) == [again]


def test_minutes_are_those_of_the_estimate(study, monkeypatch):
    """On a device that needs ten minutes for the run's operations, and a little for its steps."""
    (run,) = study.runs("pretraining")
    assert checks.minutes(study, []) == "nothing to wait for"
    (work,) = cost.Estimate(study.settings, [run]).works
    slow = cost.Device("slow", (work.training + work.evaluation) / 600)
    monkeypatch.setattr(cost, "here", lambda precision: slow)
    assert checks.minutes(study, [run]) == "about 10 min"
    monkeypatch.setattr(cost, "Estimate", unknown_size)
    assert checks.minutes(study, [run]).startswith("time unknown")


def unknown_size(settings, made):
    raise UserError("its size and cost are not known here")
