"""What a study declared before its first run, and when that counts."""

import pytest
from study_toys import SMALL, toy_root, whole_run, write_params

from xtsupport.report.report import standing
from xtsupport.statistics.declared import declared
from xtsupport.study import run_store, runs
from xtsupport.study.checks import check_setup
from xtsupport.study.execution.runner import keep_settings
from xtsupport.study.params.loading import load_settings
from xtsupport.study.plan import open_study
from xtsupport.study.planned import plan_flaw

PRIMARY = {"treatment": "squad", "baseline": "none", "target": "xquad"}


@pytest.fixture
def path(tmp_path, monkeypatch):
    """The params file of a study that was never begun."""
    monkeypatch.setenv("XTSUPPORT_ROOT", str(tmp_path))
    return toy_root(tmp_path, **SMALL, analysis={"primary": PRIMARY})


def finish(study):
    for run in study.plan.runs:
        whole_run(run)
    study.folder.mkdir(exist_ok=True)
    run_store.write_list(study)


def test_what_is_declared_after_the_results_of_another_study_is_exploratory(path):
    """The study shares finished runs: its own planned.json comes first, but not before these."""
    keep_settings(study := open_study(path))
    finish(study)
    assert standing_of(study.folder) == "declared before the first run"
    same = open_study(path, {"study": "same", "analysis.contrasts": [["squad", "none"]]})
    keep_settings(same)
    assert standing_of(same.folder) == "declared before the first run"
    told = "exploratory: planned.json is newer than results of toy, so nothing shows that"
    for name, change in (("a", {"analysis.margin": 3.0}), ("b", {"analysis.primary.by": "all"})):
        changed = open_study(path, {"study": name} | change)
        keep_settings(changed)
        assert standing_of(changed.folder).startswith(told)
    unlike = open_study(path, {"study": "c", "target.epochs": 3, "analysis.margin": 3.0})
    keep_settings(unlike)  # shares phases 1 and 2 only
    assert standing_of(unlike.folder) == "declared before the first run"
    (study.folder / "planned.json").unlink()
    late = open_study(path, {"study": "d"})
    keep_settings(late)  # what toy declared, nobody knows
    assert standing_of(late.folder).startswith(told)


def test_a_notebook_keeps_what_was_declared_before_its_first_run(path, tmp_path):
    """Runs by hand, then another comparison: 07 and a later `xtsupport run` know the first one."""
    opened = open_study(path)
    check_setup(opened)  # one that only looks
    assert not opened.folder.exists()
    check_setup(opened, opened.runs("pretraining"))
    finish(opened)
    assert standing(declared(load_settings(path))) == "declared before the first run"
    write_params(tmp_path, **SMALL, analysis={"primary": PRIMARY | {"by": "all"}})
    changed = "exploratory: its declaration was changed after the first run (primary; planned.json"
    assert standing(declared(load_settings(path))).startswith(changed)
    keep_settings(open_study(path))
    assert standing_of(opened.folder).startswith(changed)


def test_runs_without_any_plan_show_nothing_about_what_was_declared(path):
    finish(study := open_study(path))
    lost = "exploratory: planned.json is missing or was changed, so nothing shows that it was"
    assert standing(declared(load_settings(path))).startswith(lost)
    keep_settings(open_study(path))
    told = "exploratory: planned.json is newer than results of toy, so nothing shows that"
    assert standing_of(study.folder).startswith(told)


def test_the_same_plan_again_is_the_same_plan(path):
    """The study's folder was deleted and the study run again: nothing is wrong with that."""
    finish(study := open_study(path))
    planned = study.folder / "planned.json"
    planned.write_text('{"since": "then", "analysis": {"margin": 1.0}}')
    run = runs.replace(study.plan.runs[-1], seed=5)
    whole_run(run)
    other = runs.replace(study.plan.runs[-1], seed=6)
    (study.folder / run_store.LIST).write_text(
        f"name,recipe,run_key\n{run.name},{run.recipe},{run.key}\n"
    )
    assert plan_flaw(study.folder) == ""
    planned.write_text('{"since": "now", "analysis": {"margin": 1.0}}')
    whole_run(other)
    assert plan_flaw(study.folder) == ""
    planned.write_text('{"since": "now", "analysis": {"margin": 2.0}}')
    assert "has changed since runs were finished" in plan_flaw(study.folder)
    planned.write_text("no JSON")
    assert "has changed since runs were finished" in plan_flaw(study.folder)
    planned.unlink()
    assert "is missing" in plan_flaw(study.folder)


def standing_of(folder):
    return standing(declared(load_settings(folder / "settings.yaml")))
