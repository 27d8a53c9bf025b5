"""The plain mode, forced: nodes one after the other, without Snakemake, forks and socket files."""

import json
import os
import signal
import sys

import pytest
from study_toys import SMALL, command, done, survivors, toy_root, wait_for, xtsupport

from xtsupport.study.execution import plain

pytestmark = pytest.mark.timeout(600)


@pytest.fixture
def root(tmp_path, monkeypatch):
    """A toy project, to be run plainly."""
    monkeypatch.setenv("XTSUPPORT_PLAIN", "1")
    toy_root(tmp_path, **SMALL)
    return tmp_path


def test_it_is_chosen_by_hand_or_where_nothing_else_runs(monkeypatch):
    monkeypatch.delenv("XTSUPPORT_PLAIN", raising=False)
    assert plain.chosen() is (os.name == "nt")
    monkeypatch.setattr(plain, "find_spec", lambda name: None)
    assert plain.chosen()
    monkeypatch.setenv("XTSUPPORT_PLAIN", "0")
    assert not plain.chosen()


@pytest.mark.slow  # eleven nodes, one after the other
def test_a_study_with_one_failure_that_passes_and_one_that_stays(root):
    """One node fails once, another always; what waits for it is withheld, the rest is done."""
    (root / "mischief.py").write_text(
        "first = not (root / 'tried').exists()\n"
        "if run.phase == 'pretraining' and first: (root / 'tried').touch(); 1 / 0\n"
        "if run.phase == 'intermediate' and not (root / 'mended').exists(): 1 / 0\n"
    )
    code, text = xtsupport(root, "run", "params/toy.yaml")
    assert code == 1
    assert text.count("ZeroDivisionError") == 4  # once, twice, and in the table
    assert "target-squad  withheld  waits for intermediate-squad" in text
    assert len(done(root)) == 2  # pretraining and the target without phase 2
    study = root / "outputs" / "toy"
    assert not (study / ".snakemake").exists() and not (study / "snakemake.log").exists()
    (root / "mended").touch()
    code, text = xtsupport(root, "run", "params/toy.yaml")
    assert code == 0 and "report: " in text, text
    assert sorted(set(done(root))) == sorted(done(root)) and len(done(root)) == 4
    assert "7 done, 0 to do" in xtsupport(root, "run", "params/toy.yaml")[1]


def states(root) -> list[str]:
    return [path.read_text() for path in (root / "outputs/toy/nodes").glob("*/state.json")]


@pytest.mark.skipif(sys.platform != "linux", reason="looks at /proc")
def test_ctrl_c_lets_the_node_stop_and_leaves_nobody_behind(root):
    (root / "mischief.py").write_text(
        "from xtsupport.errors import Stopped\n"
        "from xtsupport.training.interrupt import asked_to_stop\n"
        "with asked_to_stop() as asked:\n"
        "    (root / 'busy').touch()\n"
        "    while not asked(): time.sleep(0.01)\n"
        "raise Stopped('stopped at step 5 of 12; run the cell again to continue')\n"
    )
    process = command(root, "run", "params/toy.yaml")
    wait_for((root / "busy").exists)
    assert any(json.loads(each)["state"] == "running" for each in states(root))
    process.send_signal(signal.SIGINT)
    _, error = process.communicate(timeout=120)
    (stopped,) = [each for each in map(json.loads, states(root)) if each["state"] == "stopped"]
    assert "step 5 of 12" in stopped["error"]
    assert process.returncode == 130 and "the same command continues" in error
    wait_for(lambda: not survivors(root), 30)
