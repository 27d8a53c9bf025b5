"""The store of runs: lists of studies, what no study uses."""

import json
import shutil

import pytest
from study_toys import SMALL, toy_root, whole_run

from xtsupport.errors import UserError
from xtsupport.study import leftovers, run_store, runs
from xtsupport.study.execution import state
from xtsupport.study.plan import open_study
from xtsupport.study.run_folder import open_run
from xtsupport.study.runs import is_whole, read_record


@pytest.fixture
def study(tmp_path, monkeypatch):
    """A study with all its runs done: 1 + 1 + 2."""
    monkeypatch.setenv("XTSUPPORT_ROOT", str(tmp_path))
    opened = open_study(toy_root(tmp_path, **SMALL))
    for run in opened.plan.runs:
        whole_run(run)
    opened.folder.mkdir()
    run_store.write_list(opened)
    return opened


def test_a_list_leads_to_every_run(study):
    rows = run_store.read_list(study.folder)
    assert [row["name"] for row in rows] == [run.name for run in study.plan.runs]
    assert [row["run_key"] for row in rows] == [run.key for run in study.plan.runs]
    assert run_store.of_study(study.folder) == [run.folder for run in study.plan.runs]
    last = rows[-1]
    assert (last["phase"], last["condition"], last["seed"]) == ("target", "squad", "0")


def test_two_studies_share_what_is_the_same(study, tmp_path):
    """Another name and another comparison: every run is there; another target: phases 1 and 2."""
    other = open_study(tmp_path / "params" / "toy.yaml", {"study": "other", "analysis.margin": 3.0})
    assert all(is_whole(run) for run in other.plan.runs)
    more = open_study(tmp_path / "params" / "toy.yaml", {"study": "other", "targets": ["xnli"]})
    assert {run.phase for run in more.plan.runs if is_whole(run)} == {"pretraining", "intermediate"}


def test_only_what_no_study_lists_is_left_over(study, tmp_path):
    assert leftovers.leftovers() == []
    changed = open_study(tmp_path / "params" / "toy.yaml", {"intermediate.epochs": 2})
    new = [run for run in changed.plan.runs if not is_whole(run)]
    for run in new:
        whole_run(run)
    (unfinished := tmp_path / "outputs" / "runs" / "0123456789ab").mkdir()
    (unfinished / "half").write_bytes(b"0" * 50_000)
    found = leftovers.leftovers()
    assert found[0].folder == unfinished and found[0].size == 50_000
    assert found[0].what == "run without run.json, which was deleted or never written"
    (unfinished / "checkpoint").mkdir()
    assert leftovers.leftovers()[0].what == "unfinished run"
    (unfinished / "run.json").write_text("{")
    assert leftovers.leftovers()[0].what == "run whose run.json cannot be read, or has changed"
    assert {each.folder for each in found[1:]} == {run.folder for run in new}
    assert {each.what for each in found[1:]} == {
        "intermediate under squad{intermediate.epochs=2.0}, seed 0 (study toy)",
        "target xquad under squad{intermediate.epochs=2.0}, trained on squad, seed 0 (study toy)",
    }
    path = tmp_path / "params" / "toy.yaml"  # of a study with another name, whose folder is gone
    other = open_study(path, {"study": "other", "target.epochs": 2}).runs("target", "none")
    whole_run(other[0])
    (lone,) = (each for each in leftovers.leftovers() if "(study other)" in each.what)
    assert lone.what.startswith("target xquad under none{target.epochs=2.0}, trained on squad")
    with open_run(runs.replace(new[0], seed=9)) as folder:  # somebody is at work there
        assert folder.path not in {each.folder for each in leftovers.leftovers()}
    leftovers.remove(leftovers.leftovers())
    assert leftovers.leftovers() == [] and all(is_whole(run) for run in study.plan.runs)


def test_what_the_params_file_plans_and_what_that_starts_from_is_used(study, tmp_path):
    """Results were replaced by those of other settings; or notebooks alone did the runs."""
    path, list_ = tmp_path / "params" / "toy.yaml", study.folder / run_store.LIST
    changed = open_study(path, {"target.epochs": 2})
    new = [run for run in changed.plan.runs if not is_whole(run)]
    for run in new:
        whole_run(run)
    other = {run.folder for run in new}
    list_.unlink()
    run_store.write_list(changed)
    assert leftovers.leftovers() == []
    list_.unlink()
    assert {each.folder for each in leftovers.leftovers()} == other
    (study.plan.runs[0].folder / "run.json").write_text("{")  # damaged: to be repeated, not deleted
    assert {each.folder for each in leftovers.leftovers()} == other
    text = path.read_text()
    path.write_text("no: params file")  # who can tell what it would plan?
    assert len(leftovers.leftovers()) == 1  # but for that of no record
    path.unlink()
    assert len(leftovers.leftovers()) == 4 + len(new)
    path.write_text(text)
    assert len(leftovers.leftovers()) == len(new)


def test_what_is_called_otherwise_than_a_run_or_lies_behind_a_link_is_not_removed(study, tmp_path):
    """Notes, a backup of runs, a run that was moved to another disk."""
    store, (moved, *_) = study.folder.parent / "runs", [run.folder for run in study.plan.runs]
    away = moved.rename(tmp_path / moved.name)
    moved.symlink_to(away)
    before = sorted(path.name for path in away.iterdir())
    shutil.copytree(study.plan.runs[1].folder, store / "backup" / study.plan.runs[1].folder.name)
    shutil.rmtree(study.folder)
    (tmp_path / "params" / "toy.yaml").unlink()
    found = leftovers.leftovers()
    assert {each.folder for each in found} == {run.folder for run in study.plan.runs}
    leftovers.remove(found)
    assert [path.name for path in store.iterdir()] == ["backup"]
    assert len([*(store / "backup").rglob("run.json")]) == 1
    assert sorted(path.name for path in away.iterdir()) == before


def test_a_run_without_its_record_is_said(study):
    last = study.plan.runs[-1]
    assert not any(str(last.folder) in each for each in state.harmed(study.plan.nodes))
    (last.folder / "run.json").unlink()
    (line,) = (each for each in state.harmed(study.plan.nodes) if str(last.folder) in each)
    assert line == f"{last.folder}: has no run.json, which was deleted or never written"
    with open_run(last):  # somebody is at work there
        (last.folder / "half").touch()
        assert not any(str(last.folder) in each for each in state.harmed(study.plan.nodes))


def test_folders_that_changed_places_are_said_to_hold_each_other(study, tmp_path):
    one, two = (run for run in study.plan.runs if run.phase == "target")
    one.folder.rename(tmp_path / "kept")
    two.folder.rename(one.folder)
    (tmp_path / "kept").rename(two.folder)
    first, second = state.harmed(study.plan.nodes)[-2:]
    words = "holds another run, target xquad under {}, trained on squad, seed 0 (study toy)"
    assert first == f"{one.folder}: {words.format('squad')}"
    assert second == f"{two.folder}: {words.format('none')}"


def test_what_a_listed_run_starts_from_is_used(study, tmp_path):
    """A list of one run of phase 3, as another study may have it, and no params file any more."""
    (tmp_path / "params" / "toy.yaml").unlink()
    last, list_ = study.plan.runs[-1], study.folder / run_store.LIST
    list_.write_text(f"name,recipe,run_key\n{last.name},{last.recipe},{last.key}\n")
    assert {each.folder for each in leftovers.leftovers()} == {
        run.folder for run in study.plan.runs if run.condition == "none"
    }


@pytest.mark.parametrize("left", [b"", b"\xff\x00", b"a,b\n1,2\n", None])
def test_a_damaged_list_is_a_line_and_makes_no_run_superfluous(study, left):
    path = study.folder / run_store.LIST
    path.write_bytes(path.read_bytes()[:-60] if left is None else left)
    for reads in (lambda: run_store.read_list(study.folder), leftovers.leftovers):
        with pytest.raises(UserError, match=r"runs\.csv: is damaged; delete it"):
            reads()
    path.unlink()
    run_store.write_list(study)
    assert leftovers.leftovers() == [] and len(run_store.of_study(study.folder)) == 4


@pytest.mark.parametrize("gone", ["phase", "settings", "upstream", "files", "seconds"])
def test_a_record_that_lacks_something_is_none(study, gone):
    path = study.plan.runs[-1].folder / "run.json"
    record = json.loads(path.read_text())
    path.write_text(json.dumps({key: value for key, value in record.items() if key != gone}))
    assert read_record(path.parent) is None and not is_whole(study.plan.runs[-1])
    for other in ("[1]", "7", '{"files": {}}', ""):
        path.write_text(other)
        assert read_record(path.parent) is None


def earlier_layout(study):
    """Put the study's runs where they lay before there was a store, with the records of then."""
    for run in study.plan.runs:
        record = dict(read_record(run.folder))
        del record["recipe"]
        shutil.copytree(run.folder, study.folder / run.name)
        (study.folder / run.name / "run.json").write_text(json.dumps(runs.sealed(record)))


def test_runs_of_an_earlier_layout_are_named_and_not_counted(study):
    assert run_store.unused(study.folder) == []
    earlier_layout(study)
    shutil.rmtree(study.folder.parent / "runs")
    (line,) = run_store.unused(study.folder)
    assert line.startswith(f"4 runs in folders such as {study.folder / 'pretraining' / 'seed0'}")
    assert not any(is_whole(run) for run in study.plan.runs)


def test_a_study_that_carries_its_records_keeps_them(study):
    earlier_layout(study)
    (study.folder / run_store.LIST).unlink()
    for path in study.folder.rglob("*"):
        if path.name in ("weights", "examples.parquet"):
            path.unlink()
    assert run_store.unused(study.folder) == []
    assert len(run_store.of_study(study.folder)) == 4
