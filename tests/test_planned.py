"""What a study declared before its first run, and when that counts."""

import shutil
from unittest.mock import Mock

import pytest
from study_toys import SMALL, toy_root, toy_settings, whole_run, write_params

from xtsupport.errors import UserError
from xtsupport.files import read_json, write_json
from xtsupport.report.report import standing
from xtsupport.statistics.declared import declared
from xtsupport.study import plan, run_store, runs
from xtsupport.study.checks import check_setup
from xtsupport.study.execution.runner import keep_settings
from xtsupport.study.params.loading import load_settings
from xtsupport.study.plan import open_study
from xtsupport.study.planned import plan_flaw

PHASE = toy_settings()["target"]
PRIMARY = {"treatment": "squad", "baseline": "none", "target": "xquad"}
IN_TIME = "declared before the first run"
LATE = "exploratory: it differs from what was declared before the first run ({}; see planned.json)"


@pytest.fixture
def path(tmp_path, monkeypatch):
    """The params file of a study that was never begun."""
    monkeypatch.setenv("XTSUPPORT_ROOT", str(tmp_path))
    return toy_root(tmp_path, **SMALL, analysis={"primary": PRIMARY})


def finish(study):
    for run in study.plan.runs:
        if not runs.is_whole(run):
            whole_run(run)
    study.folder.mkdir(exist_ok=True)
    run_store.write_list(study)


def finished(path):
    """The study of a params file, declared and done."""
    keep_settings(study := open_study(path))
    finish(study)
    return study


def test_what_is_declared_after_the_results_of_another_study_is_exploratory(path):
    """The study shares finished runs: its own planned.json comes first, but not before these."""
    study = finished(path)
    assert standing_of(study.folder) == IN_TIME
    same = open_study(path, {"study": "same", "analysis.contrasts": [["squad", "none"]]})
    keep_settings(same)
    assert standing_of(same.folder) == IN_TIME
    told = "exploratory: planned.json is newer than results of toy, so nothing shows that"
    for name, change in (("a", {"analysis.margin": 3.0}), ("b", {"analysis.primary.by": "all"})):
        changed = open_study(path, {"study": name} | change)
        keep_settings(changed)
        assert standing_of(changed.folder).startswith(told)
    unlike = open_study(path, {"study": "c", "target.epochs": 3, "analysis.margin": 3.0})
    keep_settings(unlike)  # shares phases 1 and 2 only
    assert standing_of(unlike.folder) == IN_TIME
    (study.folder / "planned.json").unlink()
    renamed = open_study(path, {"study": "d"})
    keep_settings(renamed)  # every run has the mark of this very declaration
    assert standing_of(renamed.folder) == IN_TIME


def test_a_notebook_keeps_what_was_declared_before_its_first_run(path, tmp_path):
    """Runs by hand, then another comparison: 07 and a later `xtsupport run` know the first one."""
    opened = open_study(path)
    check_setup(opened)  # one that only looks
    assert not opened.folder.exists()
    check_setup(opened, opened.runs("pretraining"))
    finish(opened)
    assert standing(declared(load_settings(path))) == IN_TIME
    write_params(tmp_path, **SMALL, analysis={"primary": PRIMARY | {"by": "all"}})
    assert standing(declared(load_settings(path))) == LATE.format("primary")
    keep_settings(open_study(path))
    assert standing_of(opened.folder) == LATE.format("primary")


def test_what_a_notebook_leaves_out_for_once_is_declared_all_the_same(path):
    """`settings` that drop the treatment, and with it the comparison."""
    part = open_study(path, {"conditions": ["none"]})
    assert part.settings.analysis.primary is None
    check_setup(part, part.runs("pretraining"))
    finish(open_study(path))
    assert standing(declared(load_settings(path))) == IN_TIME


def test_settings_that_leave_out_what_is_not_here_need_nothing_of_it(path, tmp_path):
    write_params(tmp_path, **SMALL, analysis={"primary": PRIMARY}, encoder="./nowhere")
    part = open_study(path, {"encoder": "pretrain"})
    check_setup(part, part.runs("pretraining"))
    assert read_json(part.folder / "planned.json")["analysis"]["primary"]["target"] == "xquad"


def test_a_part_whose_whole_cannot_be_planned_declares_all_the_same(path, tmp_path, monkeypatch):
    """As where the data of the rest are not here; the whole goes on from it when they are."""
    part = open_study(path, only=["conditions=squad"])
    with monkeypatch.context() as without:
        without.setattr(plan, "study_of", Mock(side_effect=UserError("no data")))
        keep_settings(part)
    for run in part.plan.runs:
        whole_run(run)
    study = finished(path)
    assert standing_of(study.folder) == IN_TIME
    write_params(tmp_path, **SMALL, analysis={"primary": PRIMARY, "margin": 2.0})
    keep_settings(open_study(path))
    assert standing_of(study.folder) == LATE.format("margin")


@pytest.mark.parametrize(
    ("change", "name"),
    [({"languages": ["en", "qka", "qta"]}, "languages"), ({"seeds": [0]}, "seeds"),
     ({"seeds": [0, 1, 2, 3]}, "seeds")],
)  # fmt: skip
def test_other_languages_or_seeds_after_the_results_are_exploratory(tmp_path, path, change, name):
    """A run that went badly, or a family, cannot be dropped unseen, nor runs be added until it
    works."""
    small = SMALL | {"seeds": [0, 1]}
    write_params(tmp_path, **small, analysis={"primary": PRIMARY})
    study = finished(path)
    write_params(tmp_path, **small | change, analysis={"primary": PRIMARY})
    keep_settings(open_study(path))
    assert standing_of(study.folder) == LATE.format(name)
    keep_settings(named := open_study(path, {"study": "named_anew"}))
    told = "exploratory: planned.json is newer than results of toy"
    assert standing_of(named.folder).startswith(told)  # its models are those of toy


@pytest.mark.parametrize("change", [{"targets": ["xquad", "mlqa"]}, {"languages": ["en", "qka"]},
                                    {"evaluation": {"max_answer_length": 29}}])  # fmt: skip
def test_the_same_models_evaluated_on_something_else_are_seen(tmp_path, path, change):
    study = finished(path)
    changed = SMALL | change | {"study": "other"}
    write_params(tmp_path, **changed, analysis={"primary": PRIMARY, "margin": 3.0})
    keep_settings(other := open_study(path))
    shared = {run.key for run in study.runs("target")} & {run.key for run in other.runs("target")}
    assert not shared
    assert standing_of(other.folder).startswith("exploratory: planned.json is newer than")


@pytest.mark.parametrize(
    ("change", "told"),
    [({"target": PHASE | {"epochs": 2}}, "recipe"), ({"data": "world"}, "recipe"),
     ({"intermediate_tasks": {"squad": {"epochs": 2}}}, "recipe"),
     ({"evaluation": {"max_answer_length": 5}}, "recipe"),
     ({"targets": ["xquad", "xnli"], "target": PHASE | {"epochs": 2}}, "targets, recipe"),
     ({"targets": ["xquad", "xnli"]}, None), ({"threads": 2}, None),
     ({"conditions": ["squad", "none"]}, None),
     ({"mlm": {"share": 0.3}}, None), ({"evaluation": {"batch_tokens": 512}}, None)],
)  # fmt: skip
def test_another_recipe_after_the_results_is_exploratory(tmp_path, path, change, told):
    """What makes other runs of the comparison, and nothing else; also where the study's folder was
    deleted, unless its runs are the same."""
    study = finished(path)
    write_params(tmp_path, **SMALL | change, analysis={"primary": PRIMARY})
    keep_settings(open_study(path))
    assert standing_of(study.folder) == (LATE.format(told) if told else IN_TIME)
    shutil.rmtree(study.folder)
    keep_settings(open_study(path))
    seen = "exploratory: planned.json is newer than results of toy"
    assert standing_of(study.folder).startswith(seen if told else IN_TIME)


def test_the_same_recipe_again_is_declared_again(tmp_path, path):
    study = finished(path)
    for change in ({"target": PHASE | {"epochs": 2}}, {}):
        write_params(tmp_path, **SMALL | change, analysis={"primary": PRIMARY})
        keep_settings(open_study(path))
    assert standing_of(study.folder) == IN_TIME


def test_a_table_whose_runs_were_deleted_shows_the_comparison(tmp_path, path):
    study = finished(path)
    (study.folder / "significance.csv").write_text("gain")
    shutil.rmtree(tmp_path / "outputs" / "runs")
    write_params(tmp_path, **SMALL, analysis={"primary": PRIMARY, "margin": 3.0})
    keep_settings(open_study(path))
    assert standing_of(study.folder) == LATE.format("margin")


def test_a_part_run_first_sees_what_the_whole_sees(path):
    study = finished(path)
    other = {"study": "other", "analysis.margin": 3.0}
    keep_settings(open_study(path, other, only=["conditions=none"]))
    keep_settings(second := open_study(path, other))
    assert study.plan.runs[-1].key == second.plan.runs[-1].key
    assert standing_of(second.folder).startswith("exploratory: planned.json is newer than")


def test_the_plan_of_an_earlier_version_goes_on(path):
    """One of no scope and no recipe, and records with the mark of the whole file."""
    study = open_study(path)
    older = {"since": "then", "precision": "float32"}
    older |= {"analysis": study.settings.analysis.model_dump(mode="json")}
    write_json(study.folder / "planned.json", older)
    whole_run(study.plan.runs[0])
    place = runs.find(study.plan.runs[0])
    record = runs.read_record(place) | {"planned": runs.digest({**older, "since": ""})}
    write_json(place / "run.json", runs.sealed(record))
    keep_settings(open_study(path))
    finish(study)
    assert standing_of(study.folder) == IN_TIME


@pytest.mark.parametrize("odd", ['{"analysis": null}', '{"analysis": {"primary": 3}}', "[]", "{}"])
def test_a_plan_that_is_none_is_written_anew_before_the_first_run(path, odd):
    study = open_study(path)
    study.folder.mkdir(parents=True)
    (study.folder / "planned.json").write_text(odd)
    keep_settings(open_study(path))
    assert standing_of(study.folder) == IN_TIME


def test_a_declaration_may_change_as_long_as_nothing_shows_the_comparison(path, tmp_path):
    """Stopped early, or a quick look at something else; the runs since then have another mark."""
    keep_settings(quick := open_study(path, {"targets": ["xnli"]}))
    assert quick.settings.analysis.primary is None
    finish(quick)
    write_params(tmp_path, **SMALL, analysis={"primary": PRIMARY | {"by": "all"}})
    keep_settings(open_study(path))
    write_params(tmp_path, **SMALL, analysis={"primary": PRIMARY})
    study = finished(path)
    assert standing_of(study.folder) == IN_TIME
    write_params(tmp_path, **SMALL, analysis={"primary": PRIMARY, "margin": 2.0})
    keep_settings(open_study(path))
    assert standing_of(study.folder) == LATE.format("margin")


def test_the_baseline_alone_shows_no_comparison(path):
    """Of two studies with the same baseline, the second is declared as well as the first."""
    study = finished(path)
    other = {"conditions": ["none", "mnli"], "analysis.primary.treatment": "mnli"}
    keep_settings(second := open_study(path, other | {"study": "second"}))
    assert second.runs("target", "none")[0].key == study.runs("target", "none")[0].key
    assert standing_of(second.folder) == IN_TIME


def test_runs_of_a_variant_show_its_comparison(tmp_path, path):
    small = SMALL | {"variants": ["none/smoothing", "squad/smoothing"]}
    primary = PRIMARY | {"treatment": "squad/smoothing", "baseline": "none/smoothing"}
    write_params(tmp_path, **small, analysis={"primary": primary})
    study = finished(path)
    assert standing_of(study.folder) == IN_TIME
    keep_settings(other := open_study(path, {"study": "other", "analysis.margin": 5.0}))
    assert standing_of(other.folder).startswith("exploratory: planned.json is newer than results")


def test_a_contrast_more_and_a_deleted_folder_change_nothing(path):
    study = finished(path)
    shutil.rmtree(study.folder)
    keep_settings(again := open_study(path, {"analysis.contrasts": [["squad", "none"]]}))
    assert plan_flaw(again.folder) == ""
    assert standing_of(again.folder) == IN_TIME


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
