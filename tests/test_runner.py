"""A whole toy study under Snakemake: killed, resumed, left alone, changed, harmed, failing."""

import io
import json
import os
import re
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path
from types import SimpleNamespace

import pytest
from study_toys import (
    SMALL,
    command,
    done,
    module,
    survivors,
    toy_root,
    toy_settings,
    wait_for,
    write_params,
    xtsupport,
)

from xtsupport import files
from xtsupport.errors import UserError
from xtsupport.statistics.declared import declared
from xtsupport.study import run_store
from xtsupport.study.conclude import present
from xtsupport.study.execution import runner, snakemake, state
from xtsupport.study.params.loading import load_settings
from xtsupport.study.plan import Node, open_study

CHANGE = ("--set", "intermediate.epochs=2", "--set", "evaluation.max_answer_length=7")
pytestmark = [
    pytest.mark.skipif(os.name == "nt", reason="kills processes the Unix way"),
    pytest.mark.timeout(900),  # some 20 s each on an idle machine
]


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    """A project root with toy notebooks, shared by the tests of this module, in their order.

    Its name holds what papermill, YAML, Snakemake and shells read in their own ways.
    """
    folder = tmp_path_factory.mktemp("root") / "a {x} #b 'c' \"$d\" ü"
    folder.mkdir()
    toy_root(folder, **SMALL)
    return folder


class Gone(io.StringIO):
    """Where nobody reads any more."""

    def write(self, text):
        raise BrokenPipeError


def test_nodes_are_stopped_although_nobody_reads(tmp_path, monkeypatch):
    """As in `xtsupport run FILE 2>&1 | tee log`, where Ctrl-C ends tee as well."""
    monkeypatch.setattr(sys, "stderr", Gone())
    runner.let_training_stop(SimpleNamespace(folder=tmp_path, plan=SimpleNamespace(nodes=[])))
    assert list(tmp_path.iterdir()) == []


def folder_of(root: Path, name: str) -> Path:
    """The folder of a run of the toy study, by the study's list."""
    (row,) = (row for row in run_store.read_list(root / "outputs" / "toy") if row["name"] == name)
    assert row["run_key"][:12] == Path(row["folder"]).name
    return root / row["folder"]


def status(root: Path, *changes: str) -> dict[str, str]:
    """Node -> its state in one word (`to do` is two), as `xtsupport status` prints it."""
    text = xtsupport(root, "status", "params/toy.yaml", *changes)[1]
    lines = [line for line in text.splitlines()[:-1] if not line.startswith(("warning", "note"))]
    return {line[:34].strip(): line[34:44].strip() for line in lines}


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
    folder = root / "outputs"
    host = re.compile(rf"\b{re.escape(socket.gethostname())}\b")
    kept = [path for path in folder.rglob("*") if path.suffix in (".json", ".yaml")]
    kept = [path for path in kept if ".snakemake" not in path.parts]
    assert len([path for path in kept if path.name == "run.json"]) == 7  # 4 runs, 3 looks
    for path in kept:
        assert str(root) not in path.read_text(), path
        assert sys.prefix not in path.read_text(), path
        assert not host.search(path.read_text()), path


def test_harmed_files_are_noticed_and_exactly_those_runs_redone(root):
    before = done(root)
    harmed = folder_of(root, "target/squad/none/plain/seed0") / "scores.csv"
    harmed.write_bytes(harmed.read_bytes()[:5])
    report, cube = root / "outputs/toy/report.html", root / "outputs/toy/cube"
    report.unlink()
    (answer := root / "outputs/toy/answer.txt").write_text("SQuAD first: +9.3.")
    (cube / "again.txt").write_bytes((cube / "all.txt").read_bytes())
    noted = (f"{report}: is missing", f"{cube / 'again.txt'}: is not one of the files",
             f"{answer}: has changed")  # fmt: skip
    said = xtsupport(root, "status", "params/toy.yaml")[1]
    assert all(f"note: {each}" in said for each in (*noted, f"{harmed}: has changed"))
    for number, path in enumerate((root / "outputs").rglob("*")):
        times = time.time() + (-1) ** number * 1e7 * number  # clocks were set, files copied
        os.utime(path, (times, times))
    code, text = xtsupport(root, "run", "params/toy.yaml")
    assert code == 0, text
    assert "4 done, 3 to do" in text and all(f"note: {each}" in text for each in noted)
    assert [path.name for path in cube.iterdir()] == ["all.txt"]
    assert f"note: {harmed}: has changed since it was written (now 5 bytes" in text
    assert done(root) == [*before, "target/squad/none/plain/seed0"]


def changed(root: Path) -> str:
    """The params file, edited so that it says what CHANGE says."""
    phase = toy_settings()["intermediate"] | {"epochs": 2}
    write_params(root, **SMALL, intermediate=phase, evaluation={"max_answer_length": 7})
    return "params/toy.yaml"


def test_neither_a_part_nor_other_settings_replace_the_results_of_the_whole(root, monkeypatch):
    assert xtsupport(root, "run", "params/toy.yaml")[0] == 0
    before = sorted(results(root))
    code, text = xtsupport(root, "run", "params/toy.yaml", "--only", "conditions=none")
    assert code == 1 and text.count("error") == 1, text
    assert "--only conditions=none: outputs/toy holds results of the whole study, which" in text
    code, text = xtsupport(root, "run", "params/toy.yaml", "--only", "conditions=none,squad")
    assert code == 0, text  # that is all of it
    monkeypatch.setenv("XTSUPPORT_ROOT", str(root))
    for settings, only, kept in (
        (["target.epochs=3"], [], "other settings"),
        ([], ["conditions=none"], "the whole study"),
    ):
        with pytest.raises(UserError, match=f"outputs/toy holds results of {kept}"):
            present(open_study(root / "params" / "toy.yaml", settings, only), into="study")
    assert sorted(results(root)) == before


def results(root):
    """Path and contents of what conclusions left in the study's folder."""
    left = (root / "outputs/toy").rglob("*")
    return [(path, path.read_bytes()) for path in left if path.suffix in (".txt", ".csv", ".html")]


def test_a_failure_withholds_only_its_descendants_and_says_where_to_look(root):
    before = done(root)
    code, text = xtsupport(root, "run", "params/toy.yaml", *CHANGE)
    assert code == 1 and "outputs/toy holds results of other settings" in text
    assert "add --set study=NAME" in text and text.count("\n") == 1
    stale = {name for name, state in status(root, *CHANGE).items() if state == "stale"}
    assert stale == {"intermediate-squad", "target-none", "target-squad", "results", "significance"}
    (root / "mischief.py").write_text(
        "(root / 'tries').open('a').write(run.phase[0]); \n"
        "assert run.phase != 'intermediate', 'planted <failure>'\n"
    )
    code, text = xtsupport(root, "run", changed(root))
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
    code, text = xtsupport(root, "run", "params/toy.yaml")
    assert code == 0, text
    assert done(root)[len(before) + 1 :] == [
        "intermediate/squad/seed0",
        "target/squad/squad/plain/seed0",
    ]


def test_a_dead_process_holds_no_study(root, monkeypatch):
    monkeypatch.setenv("XTSUPPORT_ROOT", str(root))
    folder = root / "outputs" / "toy"
    (folder / "running.json").write_text('{"token": "t", "pid": 1, "host": "h", "since": "then"}')
    assert state.runner_of(folder) is None
    with runner.study_lock(folder) as token:
        assert state.runner_of(folder) == token


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
    graph = json.loads((root / "outputs" / "toy" / "graph.json").read_text())
    folders = {node["folder"] for node in graph["nodes"]}
    assert folders & {"nodes/target-none", "nodes/target-squad"}
    text = (snakemake.HERE / "Snakefile").read_text()
    assert re.findall(r"output:\s+(.+),", text) == ["f\"{node['folder']}/done\""]
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


def test_the_settings_of_before_cost_no_training(root):
    """Their runs lie beside the new ones; only results and significance are made again."""
    before, kept = done(root), {path.name for path in (root / "outputs" / "runs").iterdir()}
    write_params(root, **SMALL)
    assert len(kept) == 4 + 3
    code, text = xtsupport(root, "run", "params/toy.yaml")
    assert code == 0 and "5 done, 2 to do" in text, text
    assert done(root) == before
    code, text = xtsupport(root, "clean")
    assert code == 0 and text.count("(study toy)") == 3 and "--remove" in text
    assert {path.name for path in (root / "outputs" / "runs").iterdir()} == kept
    code, text = xtsupport(root, "clean", "--remove")
    assert code == 0 and "removed 3" in text
    assert len(list((root / "outputs" / "runs").iterdir())) == 4
    assert xtsupport(root, "clean")[1].startswith("nothing to remove")
    assert set(status(root).values()) == {"done"}


def test_a_run_that_comes_out_otherwise_is_followed_by_what_starts_from_it(root):
    """Phase 1 was harmed and is done again, with another result: the rest goes beside the old."""
    before, old = done(root), folder_of(root, "intermediate/squad/seed0")
    harmed = folder_of(root, "pretraining/seed0") / "scores.csv"
    text = harmed.read_text()
    harmed.write_text("harmed")
    (root / "outputs" / "toy" / "report.html").unlink()  # it needs runs that are to come
    (root / "mischief.py").write_text(
        "if run.phase == 'pretraining':\n"
        "    (folder.path / 'other.csv').write_text('another processor')\n"
    )
    code, said = xtsupport(root, "run", "params/toy.yaml")
    (root / "mischief.py").write_text("")
    assert code == 0, said
    assert "5 done, 2 to do" in said  # as far as could be known
    assert done(root)[len(before)] == "pretraining/seed0" and harmed.read_text() == text
    assert sorted(done(root)[len(before) + 1 :]) == [
        "intermediate/squad/seed0",
        "target/squad/none/plain/seed0",
        "target/squad/squad/plain/seed0",
    ]
    assert folder_of(root, "intermediate/squad/seed0") != old and (old / "run.json").is_file()
    assert set(status(root).values()) == {"done"}


def test_a_study_that_was_begun_with_set_can_gain_seeds(tmp_path):
    toy_root(tmp_path, **SMALL)
    more = ("--set", "study=fast", "--set", "seeds=[0,1]")
    for given in (more[:2], more):
        code, text = xtsupport(tmp_path, "run", "params/toy.yaml", *given)
        assert code == 0, text
    assert len(done(tmp_path)) == len({*done(tmp_path)}) == 7


@pytest.mark.parametrize("harm", ["removed", "changed"])
def test_a_plan_that_was_removed_or_changed_is_said_loudly_and_not_repaired(root, harm):
    planned = root / "outputs" / "toy" / "planned.json"
    kept = planned.read_text()
    if harm == "removed":
        planned.unlink()
    else:
        planned.write_text(kept.replace("1.0", "2.0"))
        assert planned.read_text() != kept
    for command_ in ("status", "run"):
        text = xtsupport(root, command_, "params/toy.yaml")[1]
        told = "is missing" if harm == "removed" else "has changed since runs were finished"
        assert f"warning: {planned}: {told}" in text and "all results count as exploratory" in text
    assert planned.exists() == (harm == "changed")
    settings = load_settings(root / "outputs" / "toy" / "settings.yaml")
    assert settings.late == ["planned.json is missing or was changed"]
    assert not declared(settings).in_advance
    planned.write_text(kept)
    assert "warning" not in xtsupport(root, "status", "params/toy.yaml")[1]


@pytest.mark.parametrize("way", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_an_interrupted_run_lets_training_stop_and_leaves_nobody_behind(tmp_path, way):
    """The toy trains until it is asked to stop, as training does after a step."""
    toy_root(tmp_path, **SMALL)
    (tmp_path / "mischief.py").write_text(
        "if run.phase == 'intermediate' and not (root / 'busy').exists():\n"
        "    from xtsupport.errors import Stopped\n"
        "    from xtsupport.training.interrupt import asked_to_stop\n"
        "    with asked_to_stop() as asked:\n"
        "        (root / 'busy').touch()  # only now is a signal a wish to training\n"
        "        while not asked():\n"
        "            time.sleep(0.01)\n"
        "    (folder.checkpoint / 'state').touch()\n"
        "    raise Stopped('stopped at step 5 of 12; run the cell again to continue')\n"
    )
    process = command(tmp_path, "run", "params/toy.yaml", "--jobs", "1")
    wait_for((tmp_path / "busy").exists)
    process.send_signal(way)
    out, error = process.communicate(timeout=60)
    assert process.returncode == 130 and "Traceback" not in out + error
    assert "stopped; finished work is kept, and the same command continues" in error
    wait_for(lambda: not survivors(tmp_path), 30)
    assert list(tmp_path.glob("outputs/runs/*/checkpoint/state"))
    assert not (tmp_path / "outputs" / "toy" / "stop").exists()
    if way == signal.SIGINT:
        code, text = xtsupport(tmp_path, "status", "params/toy.yaml")
        assert "intermediate-squad                stopped" in text, text
        code, text = xtsupport(tmp_path, "run", "params/toy.yaml")
        assert code == 0, text


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


def test_a_process_that_may_open_too_few_files_raises_its_limit_or_says_so(monkeypatch):
    import resource

    now, given = [(64, 4096)], []
    monkeypatch.setattr(resource, "getrlimit", lambda what: now[0])
    monkeypatch.setattr(resource, "setrlimit", lambda what, limits: given.append(limits))
    files.allow_open_files()
    assert given == [(256, 4096)]
    now[0] = (1024, -1)
    files.allow_open_files()
    assert len(given) == 1
    now[0] = (64, 64)
    with pytest.raises(UserError, match="ulimit -n = 64"):
        files.allow_open_files()


def test_node_names_of_odd_conditions_reach_snakemake_unharmed(tmp_path, monkeypatch):
    monkeypatch.setenv("XTSUPPORT_ROOT", str(tmp_path))
    study = open_study(write_params(tmp_path, conditions=["none", "squad", "none~squad"]))
    rules = [snakemake.rule_name(node.name) for node in study.plan.nodes]
    assert all(each.isidentifier() for each in rules) and len({*rules}) == len(rules)


def test_what_lies_behind_a_fresh_node_waits_until_it_is_known_whether_that_stays_fresh():
    """a -> b -> c -> d, and e by itself: where a is stale and b fresh, nobody knows about d yet."""
    above = {"a": (), "b": ("a",), "c": ("b",), "d": ("c", "b"), "e": ()}
    made = [Node(name, "", (), {}, upstream) for name, upstream in above.items()]
    study = SimpleNamespace(plan=SimpleNamespace(nodes=made))

    def ready(stale):
        return "".join(
            node.name for node in state.ready(study, [n for n in made if n.name in stale])
        )

    assert [ready(each) for each in ("ad", "ade", "abcd", "abd", "cd", "d", "ac")] == [
        "a", "ae", "abcd", "ab", "cd", "d", "a"
    ]  # fmt: skip
