"""`xtsupport status --watch`: curves of what trains now, and its end."""

import json

import numpy as np
import pytest
from study_toys import SMALL, toy_root

from xtsupport.study import cli
from xtsupport.study.execution import nodes, progress, watch
from xtsupport.study.plan import open_study
from xtsupport.training.progress import LIVE, ProgressLine


def test_curves_are_scaled_from_the_smallest_to_the_largest():
    assert progress.curve([3.0, 2.0, 1.0, 0.0]) == "█▆▃▁"  # 7, 14/3, 7/3, 0
    assert progress.curve([2.5, 2.5]) == "▁▁"


def test_a_training_of_a_study_leaves_its_line_and_a_curve_of_thirty_points(tmp_path, monkeypatch):
    monkeypatch.setenv(LIVE, str(tmp_path / "live.json"))
    losses = np.repeat(np.arange(30, 0, -1), 4).astype(np.float32)
    ProgressLine(120).step(120, losses, 100, "dev 50.0")
    told = json.loads((tmp_path / "live.json").read_text())
    assert told["losses"] == [float(each) for each in range(30, 0, -1)]
    assert told["text"].startswith("120 of 120 steps · loss ") and told["text"].endswith("dev 50.0")


@pytest.fixture
def study(tmp_path, monkeypatch):
    monkeypatch.setenv("XTSUPPORT_ROOT", str(tmp_path))
    return open_study(toy_root(tmp_path, **SMALL))


def test_the_node_that_trains_now_is_shown_with_its_curve(study, tmp_path, capsys, monkeypatch):
    folder = study.folder / "nodes" / "pretraining"
    folder.mkdir(parents=True)
    (folder / nodes.STATE).write_text(
        json.dumps({"state": "running", "runner": "me", "started": 0, "pid": 1})
    )
    (folder / nodes.LIVE_FILE).write_text(json.dumps({"text": "5 of 9 steps", "losses": [2, 1]}))
    holders = iter(["me", None])
    monkeypatch.setattr(watch.state, "runner_of", lambda folder: next(holders))
    monkeypatch.setattr(watch, "RARELY", 0)
    assert cli.main(["status", str(tmp_path / "params/toy.yaml"), "--watch"]) == 0
    shown = capsys.readouterr().out.splitlines()
    first = shown.index("  █▁  5 of 9 steps")
    assert shown[first - 1].split()[:2] == ["pretraining", "running"]
    assert shown.count("  █▁  5 of 9 steps") == 1  # nobody runs it any more: stopped
    assert any(line.split()[:2] == ["pretraining", "stopped"] for line in shown)


def test_ctrl_c_ends_the_watching_and_says_nothing_of_the_study(study, monkeypatch, capsys):
    def interrupted(_):
        raise KeyboardInterrupt

    monkeypatch.setattr(watch, "watch", interrupted)
    assert cli.main(["status", study.params, "--watch"]) == 0
    assert "stopped" not in capsys.readouterr().err


def test_a_low_terminal_shows_what_matters():
    lines = [f"{'n' + str(k):<34}{state:<10}1/1 runs" for k, state in
             enumerate(["done", "running", "to do", "failed"])]  # fmt: skip
    assert watch.fitting([*lines, "total"], 4) == [lines[1], lines[3], "total"]
    assert watch.fitting([*lines, "total"], 5) == [*lines, "total"]
