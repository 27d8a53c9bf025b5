"""What a notebook says before it starts, what finished runs left, where an answer comes from."""

from pathlib import Path

import pandas as pd
import pytest
from study_toys import toy_root

from xtsupport.data.world.languages import FAMILIES
from xtsupport.errors import UserError
from xtsupport.study import checks, conclude, finished
from xtsupport.study.plan import open_study
from xtsupport.study.runs import into_scratch, open_run

PARAMS = Path(__file__).parents[1] / "params"


@pytest.fixture
def study(tmp_path, monkeypatch):
    monkeypatch.setenv("XTSUPPORT_ROOT", str(tmp_path))
    return open_study(toy_root(tmp_path))


def do(run, **frames):
    with open_run(run) as folder:
        for name, frame in frames.items():
            folder.write_csv(f"{name}.csv", frame)


def test_a_missing_earlier_run_is_named_with_the_way_to_get_it(study, capsys):
    todo = study.runs("target", "squad", seeds=[0], into="scratch")
    with pytest.raises(UserError) as error:
        checks.check_setup(study, todo)
    (problem,) = error.value.problems
    assert "intermediate/squad/seed0" in problem and "03_intermediate_training" in problem
    assert "xtsupport run params/toy.yaml" in problem
    assert "intermediate/squad/seed0: MISSING" in capsys.readouterr().out


def test_versions_device_place_and_work_are_told(study, capsys):
    checks.check_setup(study, study.runs("pretraining", into="scratch"))
    told = capsys.readouterr().out
    assert "torch" in told and "outputs/scratch" in told and "1 of 1 run(s)" in told
    checks.check_setup(study, into="study")
    assert "outputs/toy" in capsys.readouterr().out


def test_a_study_without_such_a_run_says_why(study):
    with pytest.raises(UserError, match="no run for this notebook"):
        checks.check_setup(study, [])


def test_unfinished_looks_in_place_or_elsewhere(study):
    (run,) = study.runs("pretraining")
    copy = into_scratch(run)
    assert checks.unfinished([run, copy], elsewhere=True) == [run, copy]
    do(run)
    assert checks.unfinished([run, copy]) == [copy]
    assert checks.unfinished([run, copy], elsewhere=True) == []


def test_minutes_grow_with_steps_and_are_unknown_for_other_encoders(study):
    (run,) = study.runs("pretraining")
    assert checks.minutes(study, []) == "nothing to wait for"
    assert checks.minutes(study, [run]) == "about 1 minute(s) on one core"


def test_tables_of_finished_runs_carry_condition_and_seed(study):
    todo = study.runs("retrieval", "squad")
    for run in todo:
        do(run, layers=pd.DataFrame({"layer": [0, 1], "accuracy": [1.0, 2.0]}))
    table = finished.table(todo, "layers.csv")
    assert table[["condition", "seed"]].values.tolist() == [["squad", 0]] * 2 + [["squad", 1]] * 2
    assert len(finished.finished(study, "retrieval")) == 2
    done = finished.progress_table(study).set_index("phase")
    assert done.loc["retrieval", ["runs", "done"]].tolist() == [3, 2]
    with pytest.raises(UserError, match="no finished run"):
        finished.table([], "layers.csv")


def test_predictions_of_a_condition_that_was_not_run(study, capsys):
    with pytest.raises(UserError, match="04_target_transfer with condition = 'squad'"):
        finished.predictions(study, "squad", "xquad")
    assert not finished.has_predictions(study, ["squad"], "xquad")
    assert "no run of it is finished" in capsys.readouterr().out


def test_without_a_study_the_scores_are_simulated_and_say_so(study, capsys):
    path = conclude.collect(study, "scratch")
    assert "SIMULATED" in capsys.readouterr().out
    cube = pd.read_parquet(path)
    assert set(cube["study"]) == {"simulated"} and set(cube["condition"]) == {
        "none",
        "squad",
        "none~squad",
    }
    assert set(cube["group"]) <= set(FAMILIES)


def test_simulated_scores_have_the_variants_of_the_study(tmp_path, monkeypatch):
    monkeypatch.setenv("XTSUPPORT_ROOT", str(tmp_path))
    study = open_study(PARAMS / "variants.yaml")
    cube = pd.read_parquet(conclude.evidence(study))
    sides = set(cube["condition"] + "/" + cube["variant"])
    assert sides >= {"squad@translated/plain", "none/adversarial", "squad/source=qta"}
    table = conclude.conclude(study, cube)
    robust = table[table["variant"].eq("smoothing")]
    assert set(robust["treatment"] + "-" + robust["baseline"]) == {"none-none/plain"}


def test_a_cube_of_the_study_comes_before_the_reference(study, capsys):
    for folder in ("outputs/reference/toy/cube", "outputs/toy/cube"):
        (study.folder.parents[1] / folder).mkdir(parents=True)
        assert conclude.evidence(study) == study.folder.parents[1] / folder
    assert "SIMULATED" not in capsys.readouterr().out


def test_a_study_is_only_built_from_all_its_runs(study):
    with pytest.raises(UserError, match="missing or of other settings"):
        conclude.collect(study, "study")
