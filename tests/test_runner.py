"""A whole toy study under Snakemake: killed, resumed, left alone, changed, harmed, failing."""

import os
import re
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest
from study_toys import (
    SMALL,
    command,
    done,
    module,
    survivors,
    toy_root,
    wait_for,
    write_params,
    xtsupport,
)

from xtsupport.statistics.declared import declared
from xtsupport.study.execution import runner
from xtsupport.study.params.settings import load_settings
from xtsupport.study.plan import open_study

CHANGE = ("--set", "intermediate.epochs=2", "--set", "evaluation.max_answer_length=7")
pytestmark = [
    pytest.mark.skipif(os.name == "nt", reason="kills processes the Unix way"),
    pytest.mark.timeout(900),  # some 20 s each on an idle machine
]


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    """A project root with toy notebooks, shared by the tests of this module, in their order."""
    folder = tmp_path_factory.mktemp("root")
    toy_root(folder, **SMALL)
    return folder


def status(root: Path, *changes: str) -> dict[str, str]:
    """Node -> its state in one word (`to do` is two), as `xtsupport status` prints it."""
    text = xtsupport(root, "status", "params/toy.yaml", *changes)[1]
    return {line[:34].strip(): line[34:44].strip() for line in text.splitlines()[:-1]}


@pytest.mark.skipif(not Path("/proc/self/environ").exists(), reason="looks at /proc")
def test_kill_9_of_the_runner_alone_takes_everything_along_and_it_resumes(root):
    (root / "mischief.py").write_text(
        "if run.phase == 'intermediate' and not (root / 'second').exists():\n"
        "    (root / 'busy').touch(); time.sleep(600)\n"
    )
    process = command(root, "run", "params/toy.yaml", "--jobs", "2")
    wait_for((root / "busy").exists)
    assert len(survivors(root)) >= 4  # the runner, Snakemake, a node, its kernel
    code, text = xtsupport(root, "run", "params/toy.yaml")
    assert code == 1
    assert f"study toy is being run by process {process.pid}" in text
    assert status(root)["intermediate-squad"] == "running"
    os.kill(process.pid, signal.SIGKILL)
    process.communicate()
    wait_for(lambda: not survivors(root), 30)
    left = status(root)
    assert (left["pretraining"], left["intermediate-squad"]) == ("done", "stopped")
    assert left["target-squad"] == "to do"
    (root / "second").touch()
    code, text = xtsupport(root, "run", "params/toy.yaml", "--jobs", "2")
    assert code == 0, text
    assert "report: " in text
    assert sorted(set(done(root))) == sorted(done(root))  # what was finished was not done again
    assert len(done(root)) == 4


def test_a_second_run_does_nothing(root):
    before, started = done(root), time.time()
    stamp = (root / "outputs" / "toy" / "nodes" / "target-squad" / "params.yaml").stat().st_mtime_ns
    code, text = xtsupport(root, "run", "params/toy.yaml")
    assert (code, done(root)) == (0, before)
    assert "7 done, 0 to do" in text
    assert time.time() - started < 60  # some 2 s on an idle machine
    code, text = xtsupport(root, "status", "params/toy.yaml")
    assert text.splitlines()[-1] == "7 done"
    params = root / "outputs" / "toy" / "nodes" / "target-squad" / "params.yaml"
    assert params.stat().st_mtime_ns == stamp


def test_what_is_kept_says_nothing_of_the_machine(root):
    """Records and settings may be published: no folders of this machine, not its name."""
    folder = root / "outputs" / "toy"
    host = re.compile(rf"\b{re.escape(socket.gethostname())}\b")
    kept = [path for path in folder.rglob("*") if path.suffix in (".json", ".yaml")]
    kept = [path for path in kept if ".snakemake" not in path.parts]
    assert len([path for path in kept if path.name == "run.json"]) == 7
    for path in kept:
        assert str(root) not in path.read_text(), path
        assert sys.prefix not in path.read_text(), path
        assert not host.search(path.read_text()), path


def test_harmed_files_are_noticed_and_exactly_those_runs_redone(root):
    before = done(root)
    harmed = (
        root / "outputs" / "toy" / "target" / "squad" / "none" / "plain" / "seed0" / "scores.csv"
    )
    harmed.write_bytes(harmed.read_bytes()[:5])
    (root / "outputs" / "toy" / "report.html").unlink()
    for number, path in enumerate((root / "outputs" / "toy").rglob("*")):
        times = time.time() + (-1) ** number * 1e7 * number  # clocks were set, files copied
        os.utime(path, (times, times))
    code, text = xtsupport(root, "run", "params/toy.yaml")
    assert code == 0, text
    assert "5 done, 2 to do" in text
    assert f"note: {harmed}: has changed since it was written (now 5 bytes" in text
    assert "significance started" in text  # whose report.html is missing
    assert done(root) == [*before, "target/squad/none/plain/seed0"]


def test_a_failure_withholds_only_its_descendants_and_says_where_to_look(root):
    before = done(root)
    stale = {name for name, state in status(root, *CHANGE).items() if state == "stale"}
    assert stale == {"intermediate-squad", "target-none", "target-squad", "results", "significance"}
    (root / "mischief.py").write_text(
        "(root / 'tries').open('a').write(run.phase[0]); \n"
        "assert run.phase != 'intermediate', 'planted <failure>'\n"
    )
    code, text = xtsupport(root, "run", "params/toy.yaml", *CHANGE)
    assert code == 1
    assert "intermediate-squad  failed    AssertionError: planted <failure>" in text
    assert str(root / "outputs/toy/nodes/intermediate-squad/03_intermediate_training.ipynb") in text
    assert "target-squad  withheld  waits for intermediate-squad" in text
    assert "significance  withheld" in text
    assert "Traceback" not in text
    assert done(root) == [*before, "target/squad/none/plain/seed0"]  # the other branch was done
    assert (root / "tries").read_text().count("i") == 2  # retried once
    assert status(root, *CHANGE) == {
        "data": "done",
        "pretraining": "done",
        "intermediate-squad": "failed",
        "target-none": "done",
        "target-squad": "withheld",
        "results": "withheld",
        "significance": "withheld",
    }
    (root / "mischief.py").write_text("")
    code, text = xtsupport(root, "run", "params/toy.yaml", *CHANGE)
    assert code == 0, text
    assert done(root)[len(before) + 1 :] == [
        "intermediate/squad/seed0",
        "target/squad/squad/plain/seed0",
    ]


def test_a_dead_process_holds_no_study(root, monkeypatch):
    monkeypatch.setenv("XTSUPPORT_ROOT", str(root))
    folder = root / "outputs" / "toy"
    (folder / "running.json").write_text('{"token": "t", "pid": 1, "host": "h", "since": "then"}')
    assert runner.runner_of(folder) is None
    with runner.study_lock(folder) as token:
        assert runner.runner_of(folder) == token


def test_a_comparison_that_was_changed_after_the_first_run_is_noticed(root, monkeypatch):
    monkeypatch.setenv("XTSUPPORT_ROOT", str(root))
    params = root / "params" / "toy.yaml"
    assert open_study(params).settings.late == []
    changed = open_study(params, {"analysis.margin": 9.0}).settings
    assert changed.late == ["margin"] and not declared(changed).in_advance
    kept = root / "outputs" / "toy" / "settings.yaml"
    assert load_settings(kept, {"analysis.contrasts": [["squad", "none"]]}).late == ["contrasts"]


def test_snakemake_keeps_no_lock_and_declares_no_result(root):
    assert not list((root / "outputs" / "toy" / ".snakemake" / "locks").glob("*"))
    text = (root / "outputs" / "toy" / "graph.json").read_text()
    assert (
        '"stamp": "nodes/target-none/done"' in text or '"stamp": "nodes/target-squad/done"' in text
    )
    assert "run.json" not in text


@pytest.mark.skipif(not Path("/proc/self/environ").exists(), reason="looks at /proc")
def test_kills_of_the_kernel_snakemake_or_all_leave_the_same_cube(root, tmp_path):
    """A dead kernel is retried; whatever else dies, the same command completes the study."""
    toy_root(tmp_path, **SMALL)
    (tmp_path / "mischief.py").write_text(
        "if run.condition != 'none' and not (root / run.phase).exists():\n"  # may come first
        "    (root / run.phase).touch(); time.sleep(600)\n"
        "for stamp in (root / 'outputs/toy/nodes').glob('*/done'):\n"
        "    os.utime(stamp, (2e9, 2e9))\n"  # the clock was ahead when the nodes before ended
    )
    start = ("run", "params/toy.yaml", "--jobs", "1", *CHANGE)

    process = command(tmp_path, *start)
    wait_for((tmp_path / "pretraining").exists)
    kill(tmp_path, "xtsupport.study.execution.kernel")
    wait_for((tmp_path / "intermediate").exists)  # the retry got past phase 1
    kill(tmp_path, "snakemake")
    out, error = process.communicate(timeout=600)
    assert process.returncode == 1
    assert "was killed" in error, out
    wait_for(lambda: not survivors(tmp_path), 30)

    process = command(tmp_path, *start)
    wait_for((tmp_path / "target").exists)
    for pid in survivors(tmp_path):
        os.kill(pid, signal.SIGKILL)
    process.communicate()
    code, text = xtsupport(tmp_path, *start)
    assert code == 0, text
    assert sorted(set(done(tmp_path))) == sorted(done(tmp_path))
    for name in ("cube/all.txt", "significance.csv"):
        paths = [folder / "outputs" / "toy" / name for folder in (root, tmp_path)]
        assert paths[0].read_bytes() == paths[1].read_bytes()


def kill(root: Path, what: str) -> None:
    """SIGKILL for the processes of this root that run a module."""
    for pid in survivors(root):
        if module(pid) == what:
            os.kill(pid, signal.SIGKILL)


def test_a_read_only_output_folder_is_one_line(tmp_path):
    toy_root(tmp_path, **SMALL)
    outputs = tmp_path / "outputs"
    outputs.mkdir(mode=0o500)
    mount = ["mount", "-t", "tmpfs", "-o", "ro", "tmpfs", outputs]  # root may write anywhere else
    if os.geteuid() == 0 and subprocess.run(mount, capture_output=True).returncode:
        pytest.skip("root may write anywhere, and cannot mount a read-only folder here")
    try:
        code, text = xtsupport(tmp_path, "run", "params/toy.yaml")
    finally:
        if os.geteuid() == 0:
            subprocess.run(["umount", outputs], check=True)
    assert code == 1
    assert "the disk is read-only" in text or "writing is not allowed here" in text
    assert text.count("xtsupport: error: ") == 1 and "Traceback" not in text


def test_a_file_where_the_output_folder_should_be_is_one_line(tmp_path):
    toy_root(tmp_path, **SMALL)
    (tmp_path / "outputs").write_text("")
    code, text = xtsupport(tmp_path, "run", "params/toy.yaml")
    assert code == 1
    assert text.count("xtsupport: error: ") == 1
    assert "Traceback" not in text


def test_node_names_of_odd_conditions_reach_snakemake_unharmed(tmp_path, monkeypatch):
    monkeypatch.setenv("XTSUPPORT_ROOT", str(tmp_path))
    study = open_study(write_params(tmp_path, conditions=["none", "squad", "none~squad"]))
    rules = [runner.rule(study, node, set()) for node in study.plan.nodes]
    assert all(each["rule"].isidentifier() for each in rules)
    assert len({each["rule"] for each in rules}) == len(rules)
