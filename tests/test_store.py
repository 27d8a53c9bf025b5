"""The store of runs: lists of studies, what no study uses, outputs of the earlier layout."""

import json
import shutil

import pandas as pd
import pytest
from study_toys import SMALL, toy_root

from xtsupport.study import runs, store, takeover
from xtsupport.study.plan import open_study
from xtsupport.study.runs import is_whole, open_run, read_record


@pytest.fixture
def study(tmp_path, monkeypatch):
    """A study with all its runs done: 1 + 1 + 2."""
    monkeypatch.setenv("XTSUPPORT_ROOT", str(tmp_path))
    opened = open_study(toy_root(tmp_path, **SMALL))
    for run in opened.plan.runs:
        do(run)
    opened.folder.mkdir()
    store.write_list(opened)
    return opened


def do(run):
    with open_run(run) as folder:
        folder.write_text("scores.csv", f"{run.name}\n")
        if run.phase in ("pretraining", "intermediate"):
            with folder.new_folder("model") as model:
                (model / "weights").write_text(run.name)
        else:
            keys = {"phase2_run": ("squad" in run.condition and run.upstream[0].key) or None}
            rows = [keys | {"phase3_run": run.key, "score": 0.5}] * 3
            folder.write_parquet("examples.parquet", pd.DataFrame(rows))


def test_a_list_leads_to_every_run(study):
    rows = store.read_list(study.folder)
    assert [row["name"] for row in rows] == [run.name for run in study.plan.runs]
    assert [row["run_key"] for row in rows] == [run.key for run in study.plan.runs]
    assert store.of_study(study.folder) == [run.folder for run in study.plan.runs]
    last = rows[-1]
    assert (last["phase"], last["condition"], last["seed"]) == ("target", "squad", "0")


def test_two_studies_share_what_is_the_same(study, tmp_path):
    """Another name and another comparison: every run is there; another target: phases 1 and 2."""
    other = open_study(tmp_path / "params" / "toy.yaml", {"study": "other", "analysis.margin": 3.0})
    assert all(is_whole(run) for run in other.plan.runs)
    more = open_study(tmp_path / "params" / "toy.yaml", {"study": "other", "targets": ["xnli"]})
    assert {run.phase for run in more.plan.runs if is_whole(run)} == {"pretraining", "intermediate"}


def test_only_what_no_study_lists_is_left_over(study, tmp_path):
    assert store.leftovers() == []
    changed = open_study(tmp_path / "params" / "toy.yaml", {"intermediate.epochs": 2})
    new = [run for run in changed.plan.runs if not is_whole(run)]
    for run in new:
        do(run)
    (unfinished := tmp_path / "outputs" / "runs" / "0123456789ab").mkdir()
    (unfinished / "half").write_bytes(b"0" * 50_000)
    found = store.leftovers()
    assert found[0].folder == unfinished and found[0].size == 50_000
    assert found[0].what == "unfinished run"
    assert {each.folder for each in found[1:]} == {run.folder for run in new}
    with open_run(runs.replace(new[0], seed=9)) as folder:  # somebody is at work there
        assert folder.path not in {each.folder for each in store.leftovers()}
    store.remove(store.leftovers())
    assert store.leftovers() == [] and all(is_whole(run) for run in study.plan.runs)


def earlier_layout(study):
    """Put the study's runs where they lay before there was a store, with the records of then."""
    recipes = {run.key: run.recipe for run in study.plan.runs}
    for run in study.plan.runs:
        old, record = study.folder / run.name, dict(read_record(run.folder))
        shutil.copytree(run.folder, old)
        del record["recipe"], record["upstream_content"]
        record |= {"run_key": run.recipe,
                   "upstream": {above.name: above.recipe for above in run.upstream}}  # fmt: skip
        cube = old / "examples.parquet"
        if cube.is_file():
            frame = pd.read_parquet(cube)
            for name in ("phase2_run", "phase3_run"):
                frame[name] = frame[name].map(recipes)
            frame.to_parquet(cube)
            record["files"] = record["files"] | {"examples.parquet": runs.described(cube)}
        (old / "run.json").write_text(json.dumps(record))
    shutil.rmtree(study.folder.parent / "runs")
    (study.folder / store.LIST).unlink()


def test_an_earlier_layout_is_taken_over_without_training(study):
    """Also when the takeover is killed on its way."""
    before = {run.name: (run.key, run.folder) for run in study.plan.runs}
    (study.folder / "planned.json").write_text("{}")
    earlier_layout(study)
    assert not any(is_whole(run) for run in study.plan.runs) and takeover.waits(study)
    real, left = shutil.rmtree, [1]

    def killed(path, *rest, **more):
        left[0] -= 1
        if left[0] < 0:
            raise KeyboardInterrupt
        real(path, *rest, **more)

    with pytest.MonkeyPatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(takeover.shutil, "rmtree", killed)
        takeover.take_over(study)
    (line,) = takeover.take_over(study)
    assert "finished runs of an earlier layout are now in outputs/runs" in line
    assert {run.name: (run.key, run.folder) for run in study.plan.runs} == before
    assert all(is_whole(run) for run in study.plan.runs)
    assert {path.name for path in study.folder.iterdir()} == {"planned.json"}
    assert takeover.take_over(study) == [] and not takeover.waits(study)
    run = study.plan.runs[-1]
    frame = pd.read_parquet(run.folder / "examples.parquet")
    assert set(frame["phase3_run"]) == {run.key}
    assert set(frame["phase2_run"]) == {run.upstream[0].key}
    assert read_record(run.folder)["planned"] == runs.planned_mark(study.folder) is not None


def test_what_the_study_no_longer_asks_for_is_taken_over_and_said(study):
    earlier_layout(study)
    changed = open_study(study.params, {"intermediate.epochs": 2})
    first, second = takeover.take_over(changed)
    assert first.startswith("4 finished runs") and second.startswith(
        "2 of them have other settings"
    )
    assert all(is_whole(run) for run in study.plan.runs)


def test_what_cannot_be_traced_stays_and_is_said(study):
    """Phase 2 was made again after phase 3: the scores are of another one."""
    earlier_layout(study)
    path = study.folder / "intermediate/squad/seed0/run.json"
    record = json.loads(path.read_text()) | {"started": "2999-01-01T00:00:00Z"}
    path.write_text(json.dumps(record))
    lines = takeover.take_over(study)
    assert lines[0].startswith("3 finished runs") and "1 runs below" in lines[1]
    assert [run.name for run in study.plan.runs if not is_whole(run)] == [study.plan.runs[-1].name]
    assert (study.folder / study.plan.runs[-1].name / "run.json").is_file()


def test_the_same_plan_again_is_the_same_plan(study):
    """The study's folder was deleted and the study run again: nothing is wrong with that."""
    planned = study.folder / "planned.json"
    planned.write_text('{"since": "then", "analysis": {"margin": 1.0}}')
    run = runs.replace(study.plan.runs[-1], seed=5)
    do(run)
    other = runs.replace(study.plan.runs[-1], seed=6)
    (study.folder / store.LIST).write_text(
        f"name,recipe,run_key\n{run.name},{run.recipe},{run.key}\n"
    )
    assert store.plan_flaw(study.folder) == ""
    planned.write_text('{"since": "now", "analysis": {"margin": 1.0}}')
    do(other)
    assert store.plan_flaw(study.folder) == ""
    planned.write_text('{"since": "now", "analysis": {"margin": 2.0}}')
    assert "no longer says what it said" in store.plan_flaw(study.folder)
    planned.write_text("no JSON")
    assert "no longer says what it said" in store.plan_flaw(study.folder)
    planned.unlink()
    assert "is missing" in store.plan_flaw(study.folder)


def test_a_study_that_carries_its_records_keeps_them(study):
    earlier_layout(study)
    for path in study.folder.rglob("*"):
        if path.name in ("weights", "examples.parquet"):
            path.unlink()
    assert takeover.take_over(study) == [] and not takeover.waits(study)
    assert len(store.of_study(study.folder)) == 4
