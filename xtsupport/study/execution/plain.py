"""Nodes one after the other, each in a process of its own: for systems without Snakemake and fork.

Nothing here needs more than processes and files. It is what Windows gets; XTSUPPORT_PLAIN=1 chooses
it elsewhere, and XTSUPPORT_PLAIN=0 Snakemake.
"""

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path

TRIES = 2  # as often as profiles/local says


def chosen() -> bool:
    """Whether nodes are done in this way."""
    told = os.environ.get("XTSUPPORT_PLAIN")
    return told == "1" if told else os.name == "nt" or find_spec("snakemake") is None


def run_nodes(study: Path, environment: dict, tick: Callable, stop: Callable) -> int:
    """Do the nodes of a study's graph in its order, upstream first; 0 if all came out whole.

    study: its folder, which the graph's paths start from; tick: called a few times a second;
    stop: called when this process is interrupted, before the node at work is killed. A node that
    failed is tried once more; what waits for it is withheld.
    """
    failed = 0
    for node in json.loads((study / "graph.json").read_text(encoding="utf-8"))["nodes"]:
        if all((study / above / "done").exists() for above in node["after"]):
            failed += all(one_node(study, node, environment, tick, stop) for _ in range(TRIES))
        else:
            failed += 1
    return min(failed, 1)


def one_node(study: Path, node: dict, environment: dict, tick: Callable, stop: Callable) -> int:
    """Do one node in a process, which Ctrl-C does not reach; its exit code."""
    command = [sys.executable, "-m", "xtsupport.study.execution.nodes", node["folder"]]
    apart = getattr(subprocess, "CREATE_NEW_PROCESS_GROUP", 0)  # of Windows
    with (study / node["folder"] / "output.log").open("w", encoding="utf-8") as log:
        process = subprocess.Popen(
            command, cwd=study, env=os.environ | {"PYTHONUTF8": "1"} | environment, stdout=log,
            stderr=subprocess.STDOUT, stdin=subprocess.DEVNULL, creationflags=apart,
            start_new_session=os.name != "nt",
        )  # fmt: skip
        try:
            return wait(process, tick)
        except BaseException:
            stop()
            process.kill()
            process.wait()
            raise


def wait(process: subprocess.Popen, tick: Callable) -> int:
    """Wait for a process, with a tick now and then and one at its end; its exit code."""
    while process.poll() is None:
        tick()
        time.sleep(0.3)
    tick()
    return process.returncode
