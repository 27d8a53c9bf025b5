"""The committed reference study is read as it lies there; without one every reader says so."""

import json

import pytest
import yaml
from simulated_cubes import simulate

from xtsupport.report.contents import contents
from xtsupport.report.paper_tables import write_significance
from xtsupport.statistics.comparisons import significance
from xtsupport.statistics.declared import Declared, Primary
from xtsupport.statistics.evidence import evidence_of
from xtsupport.study import reference

SETTINGS = {
    "study": "reference",
    "data": "a/folder/that/is/not/here",
    "encoder": "offline-e5",
    "conditions": ["none", "squad"],
    "targets": ["xquad"],
    "analysis": {
        "primary": {"treatment": "squad", "target": "xquad", "metric": "f1", "by": "group"}
    },
}


@pytest.fixture
def empty(tmp_path, monkeypatch):
    monkeypatch.setenv("XTSUPPORT_ROOT", str(tmp_path))
    return tmp_path


@pytest.fixture
def committed(empty):
    folder = empty / "outputs" / "reference"
    for seed, loss in ((0, 3.0), (1, 2.0)):
        run = folder / "intermediate" / "squad" / f"seed{seed}"
        run.mkdir(parents=True)
        record = dict.fromkeys(("study", "variant", "training_task", "run_key"), "")
        record |= {"phase": "intermediate", "condition": "squad", "seed": seed, "seconds": 1.0}
        record |= {name: {} for name in ("settings", "data", "upstream", "files")}
        (run / "run.json").write_text(json.dumps(record), encoding="utf-8")
        (run / "history.csv").write_text(f"step,task,loss\n1,squad,{loss}\n", encoding="utf-8")
    (folder / "settings.yaml").write_text(yaml.safe_dump(SETTINGS), encoding="utf-8")
    cube = simulate({("squad", "xquad"): 6.0}, ("none", "squad"), ("xquad",), size=0.1)
    (folder / "cube").mkdir()
    cube.to_parquet(folder / "cube" / "part.parquet")
    evidence = evidence_of(cube, Declared(primary=Primary("squad")))
    write_significance(contents(significance(evidence), evidence), folder)
    return cube


def test_without_one_everything_is_empty_and_says_so(empty, capsys):
    assert reference.reference_settings() == {}
    assert reference.reference_table("history.csv", "intermediate").empty
    assert reference.reference_scores().empty and reference.reference_answer().empty
    assert capsys.readouterr().out.splitlines() == [reference.ABSENT] * 4


def test_settings_are_read_although_the_data_are_not_here(committed):
    assert reference.reference_settings()["encoder"] == "offline-e5"


def test_runs_are_gathered_by_phase(committed, capsys):
    table = reference.reference_table("history.csv", "intermediate")
    assert table.to_dict("list") == {
        "condition": ["squad", "squad"], "seed": [0, 1], "step": [1, 1],
        "task": ["squad", "squad"], "loss": [3.0, 2.0],
    }  # fmt: skip
    assert reference.reference_table("layers.csv", "retrieval").empty
    assert capsys.readouterr().out.strip() == reference.ABSENT


def test_scores_and_answer_are_those_of_the_cube(committed):
    scores = reference.reference_scores()
    mine = committed.query(
        "condition == 'squad' and language == 'de' and metric == 'f1' and seed == 0"
    )
    row = scores.query("condition == 'squad' and language == 'de' and seed == 0")
    assert row["score"].item() == pytest.approx(100 * mine["score"].mean(), abs=1e-4)
    answer = reference.reference_answer()
    assert set(answer["treatment"]) == {"squad"} and set(answer["by"]) == {"all", "group"}
