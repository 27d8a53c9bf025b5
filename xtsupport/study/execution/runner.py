"""Run a study: find what has to be done, do it in one Snakemake call, and report the result.

Before Snakemake starts, run keys decide what has to be done. Snakemake orders the nodes, keeps the
cores busy, retries a failed node once and withholds the nodes that depend on it.
"""

import json
import os
import shutil
import signal
import socket
import sys
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from functools import partial
from pathlib import Path

import yaml

from xtsupport import files, folders
from xtsupport.errors import UserError
from xtsupport.study import run_folder, run_store, runs
from xtsupport.study.execution import kernel_server, nodes, plain, snakemake
from xtsupport.study.execution.state import busy, node_folder, ready, stale, states
from xtsupport.study.execution.time_left import urgency
from xtsupport.study.params.params_file import leaves
from xtsupport.study.plan import Node, Study, all_of
from xtsupport.study.planned import declare
from xtsupport.training.interrupt import STOP

STOP_FILE = "stop"  # in a study's folder: its nodes are to end at the next step
GRACE = 20  # seconds for that
Tick = Callable[..., None]
PASSES = 6  # one per level of the graph: more than that nothing can become stale in turn


def run_study(study: Study, jobs: int, profile: str, show: Tick) -> dict[str, dict]:
    """Do whatever is not whole; returns the state of every node that had work to do.

    show: called a few times a second with those states while Snakemake works.
    Raises UserError when another process runs the study, Snakemake itself cannot start, or a
    process may open too few files.
    """
    files.allow_open_files()
    with (
        files.plain_disk_errors(study.folder),
        study_lock(study.folder) as holder,
        signals_interrupt(),
    ):
        (study.folder / STOP_FILE).unlink(missing_ok=True)
        keep_settings(study)
        tidy(study)
        done: dict[str, dict] = {}
        try:
            for _ in range(PASSES):
                left = stale(study)
                if not left or any(each["state"] != "done" for each in done.values()):
                    break
                done |= one_pass(study, ready(study, left), holder, jobs, profile,
                                 lambda now, done=done: show(done | now))  # fmt: skip
        finally:
            run_store.write_list(study)
    return {node.name: {"state": "waiting"} for node in left} | done


def one_pass(study, todo: list[Node], holder: str, jobs: int, profile: str, show) -> dict:
    """One call of Snakemake, where there is one, over nodes; returns their states."""
    prepare(study, todo, holder)
    one_by_one = profile == "local" and plain.chosen()
    carry_out = plain.run_nodes if one_by_one else partial(snakemake.run_nodes, jobs, profile)
    pays = profile == "local" and len(todo) > 1 and not one_by_one
    kernels = nodes.environment(study.settings.threads)
    own = {"XTSUPPORT_ROOT": str(folders.root()), STOP: str(study.folder / STOP_FILE)}
    with kernel_server.server(kernels, pays) as warm:
        tick, stop = lambda: show(states(study, todo)), partial(let_training_stop, study)
        code = carry_out(study.folder, own | warm, tick, stop)
    tidy(study)
    found = states(study, todo)
    if code and not any(each["state"] in ("failed", "running") for each in found.values()):
        log = study.folder / "snakemake.log"
        raise UserError(f"Snakemake failed with exit code {code}; see {log}")
    return found


def tidy(study: Study) -> None:
    """Remove checkpoints of runs that are whole: what a kill between the two leaves."""
    for found in filter(None, map(runs.find, study.plan.runs)):
        shutil.rmtree(found / runs.CHECKPOINT, ignore_errors=True)


@contextmanager
def study_lock(folder: Path) -> Iterator[str]:
    """Hold the study; yields a token of this very run. A dead process holds nothing."""
    folder.mkdir(parents=True, exist_ok=True)
    info, token = folder / "running.json", uuid.uuid4().hex
    with files.locked(folder / runs.LOCK, busy(folder), wait=1):
        since = time.strftime("%Y-%m-%d %H:%M:%S")
        holder = {"token": token, "pid": os.getpid(), "host": socket.gethostname(), "since": since}
        files.write_json(info, holder)
        try:
            yield token
        finally:
            info.unlink(missing_ok=True)


def keep_settings(study: Study) -> None:
    """Leave the settings as given, their origins, and what the first run fixes: the comparison that
    was planned, and the precision."""
    whole = study.whole or study.settings
    given = whole.model_dump(exclude_unset=True)
    write_if_new(study.folder / "settings.yaml", yaml.safe_dump(given, sort_keys=False))
    named = leaves(given)
    origins = {key: each for key, each in whole.origins.items() if key in named}
    write_if_new(study.folder / "origins.json", json.dumps(origins, indent=1) + "\n")
    declare(all_of(study))
    run_store.write_list(study)


def prepare(study: Study, todo: list[Node], holder: str) -> None:
    """Write what each node has to do, and the graph for Snakemake."""
    names, rules = {node.name for node in todo}, []
    urgent = urgency(study.plan.nodes, study.seconds)
    for node in todo:
        write_node(study, node, holder)
        rules.append({
            "rule": snakemake.rule_name(node.name),
            "folder": f"nodes/{node.name}",  # from the study's
            "after": [f"nodes/{name}" for name in node.upstream if name in names],
            "threads": study.settings.threads,
            "priority": urgent[node.name],
        })  # fmt: skip
    looks = [run for node in study.plan.nodes for run in node.runs if run.phase == "analysis"]
    graph = {"nodes": rules, "runs": run_store.sketch([*study.plan.runs, *looks])}
    files.write_json(study.folder / "graph.json", graph)


def write_node(study: Study, node: Node, holder: str) -> None:
    """A node's folder: its parameters (rewritten only when they change) and what must come out."""
    folder = node_folder(study, node.name)
    folder.mkdir(parents=True, exist_ok=True)
    for name in (nodes.STAMP, nodes.STATE, nodes.LIVE_FILE):
        (folder / name).unlink(missing_ok=True)
    settings = folders.portable(study.folder / "settings.yaml")
    given = {"params": settings, **node.parameters, "into": "study"}
    write_if_new(folder / nodes.PARAMS, yaml.safe_dump(given, sort_keys=False))
    analysis = node.runs[0].phase == "analysis"
    spec = {
        "name": node.name,
        "notebook": node.notebook,
        "runner": holder,
        "threads": study.settings.threads,
        "per_gpu": study.settings.nodes.per_gpu,
        "runs": [run.name for run in node.runs],
        "upstream": list(node.upstream),
        "outputs": list(node.outputs),
        "extras": list(node.extras),
        "record": run_folder.record_of(node.runs[0]) if analysis else None,
    }
    files.write_json(folder / nodes.SPEC, spec)


@contextmanager
def signals_interrupt() -> Iterator[None]:
    """SIGTERM and SIGHUP end the block as Ctrl-C does."""
    if os.name == "nt":
        yield
        return
    with ExitStack() as afterwards:
        for number in (signal.SIGTERM, signal.SIGHUP):
            before = signal.signal(number, signal.default_int_handler)
            afterwards.callback(signal.signal, number, before)
        yield


def let_training_stop(study: Study) -> None:
    """Ask the nodes that train to leave a checkpoint and end; wait for them, not too long."""
    asked, until = study.folder / STOP_FILE, time.monotonic() + GRACE
    asked.touch()
    try:
        with suppress(BrokenPipeError):  # as of `| tee`, which Ctrl-C ends too
            print("stopping: runs in training save a checkpoint", file=sys.stderr, flush=True)
        while time.monotonic() < until and any(
            each["state"] == "running" for each in states(study, study.plan.nodes).values()
        ):
            time.sleep(0.2)
    except KeyboardInterrupt:  # asked twice: at once
        pass
    finally:
        asked.unlink(missing_ok=True)


def write_if_new(path: Path, text: str) -> None:
    """Write a text file only when its content changes, so that its time means something."""
    if not path.is_file() or path.read_bytes() != text.encode():
        files.write_text(path, text)
