"""Snakemake over the nodes of a study: the call, its end, and what it leaves on a cluster."""

import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from importlib.util import find_spec
from pathlib import Path

from xtsupport.errors import UserError
from xtsupport.study.execution import plain
from xtsupport.study.execution.orphans import die_with_parent

HERE = Path(__file__).parent


def run_nodes(
    jobs: int, profile: str, study: Path, environment: dict, tick: Callable, stop: Callable
) -> int:
    """Call Snakemake on the graph in a study's folder and wait for it; its exit code.

    It and all below it die with this process. tick and stop: as ``plain.run_nodes`` calls them.
    Raises UserError where Snakemake is not installed.
    """
    if find_spec("snakemake") is None:
        raise UserError(f"--profile {profile}: needs Snakemake, which is not installed here")
    command = [sys.executable, "-m", "snakemake", "--snakefile", str(HERE / "Snakefile")]
    command += ["--directory", str(study), "--nolock"]
    command += ["--profile", str(profile_folder(profile)), "--workflow-profile", "none"]
    command += ["--cores" if profile == "local" else "--jobs", str(jobs)]
    with (study / "snakemake.log").open("a", encoding="utf-8") as log:
        process = subprocess.Popen(
            command,
            stdout=log,
            stderr=subprocess.STDOUT,
            stdin=subprocess.DEVNULL,
            env=os.environ | environment,
            start_new_session=True,
            preexec_fn=partial(die_with_parent, os.getpid()) if sys.platform == "linux" else None,
        )
        try:
            return plain.wait(process, tick)
        except BaseException:
            stop()
            if profile != "local":
                cancel(process)
            end(process)
            if profile != "local":
                take_back(study)
            raise


def cancel(process: subprocess.Popen) -> None:
    """Have Snakemake take back what it gave to a cluster; it does so only when interrupted."""
    process.send_signal(signal.SIGINT)
    with suppress(subprocess.TimeoutExpired):
        process.wait(timeout=60)


def take_back(folder: Path) -> None:
    """Cancel Slurm jobs that work in a study's folder: one that was handed over at the moment of
    the interruption is not known to Snakemake, which takes back only what it knows."""
    if not shutil.which("squeue"):
        return
    listed = subprocess.run(["squeue", "-h", "-o", "%i %Z"], capture_output=True, text=True)
    places = [line.partition(" ") for line in listed.stdout.splitlines()]
    left = [number for number, _, place in places if folder.resolve() == Path(place).resolve()]
    if left:
        subprocess.run(["scancel", *left], capture_output=True)


def end(process: subprocess.Popen) -> None:
    """End Snakemake and its jobs: politely, then not."""
    for sent in (signal.SIGTERM, signal.SIGKILL):
        with suppress(ProcessLookupError):
            os.killpg(process.pid, sent)
        with suppress(subprocess.TimeoutExpired):
            process.wait(timeout=5)


def profile_folder(name: str) -> Path:
    """A packaged profile by name, or a folder with a ``config.yaml``."""
    for folder in (HERE / "profiles" / name, Path(name)):
        if (folder / "config.yaml").is_file():
            return folder.resolve()
    raise UserError(
        f"--profile {name}: no such profile; allowed: local, slurm or a folder with config.yaml"
    )


def rule_name(node: str) -> str:
    """A node's name as Snakemake takes it for a rule."""
    return "".join(each if each.isalnum() else "_" for each in node)
