"""One papermill execution of one notebook: what it refuses, how it fails, what it leaves."""

import json
import sys
from pathlib import Path

import pytest
import yaml
from study_toys import notebook

from xtsupport import files
from xtsupport.errors import UserError
from xtsupport.study.execution import nodes
from xtsupport.study.run_folder import record_of
from xtsupport.study.run_store import sketch
from xtsupport.study.runs import Run


@pytest.fixture
def node(tmp_path, monkeypatch):
    """A function that makes a node whose notebook has the given cells; returns its folder."""
    monkeypatch.setenv("XTSUPPORT_ROOT", str(tmp_path))

    def made(*cells, runs=(), outputs=(), **parameters):
        notebook(tmp_path / "notebooks" / "09_toy.ipynb", *cells)
        folder = tmp_path / "outputs" / "toy" / "nodes" / "toy"
        folder.mkdir(parents=True, exist_ok=True)
        look = Run("toy", "analysis", "", 0, "nodes/toy")
        spec = {"name": "toy", "notebook": "09_toy", "runner": "me", "threads": 1, "per_gpu": 1,
                "runs": [run.name for run in runs or [look]], "outputs": list(outputs),
                "extras": [], "upstream": [],
                "record": None if runs else record_of(look)}  # fmt: skip
        (folder / "node.json").write_text(json.dumps(spec))
        (tmp_path / "outputs" / "toy" / "graph.json").write_text(
            json.dumps({"runs": sketch([look, *runs])})
        )
        (folder / "params.yaml").write_text(yaml.safe_dump(parameters))
        return folder

    return made


def state(folder: Path) -> dict:
    return json.loads((folder / "state.json").read_text())


def fails(folder: Path) -> str:
    """The first line of the error of a node that must fail, also kept in its state."""
    with pytest.raises(UserError) as caught:
        nodes.execute(folder)
    assert state(folder)["state"] == "failed"
    assert state(folder)["error"] == caught.value.problems[0].splitlines()[0]
    assert not (folder / "done").exists()
    assert not (folder / "run.json").exists()
    return caught.value.problems[0]


def test_a_node_leaves_its_notebook_record_log_and_stamp(node, tmp_path):
    folder = node(
        "from pathlib import Path; import os, sys",
        "Path('outputs/toy/out.txt').write_text(condition)",  # the project root is where it works
        "print(sys.executable, os.environ['OMP_NUM_THREADS'], os.environ['IPYTHONDIR'])",
        outputs=["out.txt"],
        condition="sq'uad",
    )
    nodes.execute(folder)
    assert (tmp_path / "outputs" / "toy" / "out.txt").read_text() == "sq'uad"
    assert state(folder)["state"] == "done"
    files = json.loads((folder / "run.json").read_text())["files"]
    assert list(files) == ["../../out.txt"]
    executable, threads, private = (folder / "node.log").read_text().split("\n")[-4].split()[-3:]
    assert (executable, threads) == (sys.executable, "1")  # this interpreter, whatever is installed
    assert not Path(private).exists()
    assert {path.name for path in folder.iterdir()} == {
        ".lock", "node.json", "params.yaml", "09_toy.ipynb", "node.log", "state.json",
        "run.json", "done",
    }  # fmt: skip


@pytest.mark.parametrize(
    ("cell", "expected"),
    [
        ("1 / 0", "ZeroDivisionError: division by zero"),
        ("import sys; sys.exit(0)", "SystemExit: 0"),
        ("import os, signal; os.kill(os.getpid(), signal.SIGKILL)", "memory ran out"),
        ("pass", "the notebook ended without writing out.txt"),
        ("raise OSError(28, 'No space left on device')", "toy: the disk is full"),
        ("raise Exception('No space left on device (os error 28)')", "toy: the disk is full"),
    ],
)
def test_whatever_goes_wrong_is_a_failure_with_its_reason(node, cell, expected):
    assert expected in fails(node(cell, outputs=["out.txt"]))


def test_runs_that_the_notebook_left_undone_are_a_failure(node):
    folder = node("pass", runs=[Run("toy", "target", "none", 0, "target/squad/none/plain/seed0")])
    assert "these runs are not complete: target/squad/none/plain/seed0" in fails(folder)


def test_the_failed_notebook_is_kept_for_reading(node):
    folder = node("print('so far so good')", "1 / 0")
    fails(folder)
    text = (folder / "09_toy.ipynb").read_text()
    assert "so far so good" in text
    assert "ZeroDivisionError" in text


def test_tracebacks_are_for_those_who_debug(node, monkeypatch, capsys):
    monkeypatch.setattr(nodes, "die_with_parent", lambda: None)
    monkeypatch.setattr(sys, "argv", ["nodes", str(node("1 / 0"))])
    monkeypatch.delenv("XTSUPPORT_DEBUG", raising=False)
    assert nodes.main() == 1
    assert capsys.readouterr().err == "xtsupport: error: ZeroDivisionError: division by zero\n"
    monkeypatch.setenv("XTSUPPORT_DEBUG", "1")
    assert nodes.main() == 1
    assert "Traceback" in capsys.readouterr().err


def test_a_full_disk_has_place_for_the_reason(node, monkeypatch):
    """A new file finds none; the block of the file that is there does."""
    folder, real, told = node("1 / 0"), files.write_json, []

    def full(path, value):
        told.append(path)
        if len(told) > 1:
            raise OSError(28, "No space left on device")
        return real(path, value)

    monkeypatch.setattr(files, "write_json", full)
    assert fails(folder) == "ZeroDivisionError: division by zero"
    assert len(told) == 2


def test_a_missing_notebook_is_named(node, tmp_path):
    folder = node("pass")
    (tmp_path / "notebooks" / "09_toy.ipynb").unlink()
    assert "09_toy.ipynb" in fails(folder)
