"""Where the processor's seconds go that a study does not spend on training and evaluation.

    python benchmarks/overhead.py [params/tiny.yaml] [--jobs 2] [--set KEY=VALUE]...

Runs the study in an empty folder with the project's own notebooks, warm kernels and cold ones, and
splits what the processors did: the command itself with its plan and progress, the process that
kernels are forked from, Snakemake, the nodes (papermill, which also writes the notebooks), and the
kernels less what run.json says of training and evaluation (the notebooks of results and
significance count as overhead altogether). Then imports, each in an interpreter of
its own, and a run with nothing to do. Seconds of a processor depend on what else the machine does:
compare only what was measured together. Linux only.
"""

import argparse
import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

PROJECT = Path(__file__).parents[1]
QUICK = "import sys; sys.modules['rfc3987_syntax'] = None; import "  # as nodes do
IMPORTS = (
    "xtsupport.study.plan",
    "snakemake.cli",
    "papermill.execute",
    "ipykernel.kernelapp",
    "pandas",
    "torch",
    "transformers",
    "xtsupport.study.phases.train",
    "xtsupport.report.plots",
    "xtsupport.report.report",
)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("params", nargs="?", default="params/tiny.yaml")
    parser.add_argument("--set", action="append", default=[], metavar="KEY=VALUE")
    parser.add_argument("--jobs", default="2")
    parser.add_argument("--kernels", choices=("warm", "cold"), nargs="+", default=["warm", "cold"])
    arguments = parser.parse_args()
    change = [each for text in arguments.set for each in ("--set", text)]
    command = ["run", arguments.params, "--jobs", arguments.jobs, *change]
    for kernels in arguments.kernels:
        with tempfile.TemporaryDirectory(prefix="overhead-") as folder:
            study(Path(folder), command, kernels)
    print("\nimporting, in an interpreter of its own")
    bare = spent(["-c", "pass"])
    for module in IMPORTS:
        print(f"{spent(['-c', QUICK + module]) - bare:8.2f} s  {module}")


def study(root: Path, command: list[str], kernels: str) -> None:
    """Run a study in an empty folder and print where the seconds went."""
    for name in ("notebooks", "params"):
        (root / name).symlink_to(PROJECT / name)
    environment = {"XTSUPPORT_ROOT": str(root)} | (
        {"XTSUPPORT_WARM": ""} if kernels == "cold" else {}
    )
    run = ["-m", "xtsupport.study.cli", *command]
    clock, parts = watched(run, root, environment)
    records = [json.loads(path.read_text()) for path in root.glob("outputs/runs/*/run.json")]
    work = sum(each["cpu_seconds"] for each in records)
    nodes = len([*root.glob("outputs/*/nodes/*/state.json")])
    print(f"\n{nodes} nodes, {len(records)} runs, {kernels} kernels: {clock:.0f} s by the clock")
    print(f"{sum(parts.values()):8.1f} s of a processor, of which {work:.1f} s train and evaluate")
    parts[KERNELS] -= work
    for name, value in parts.items():
        print(f"{value:8.1f} s  {name}")
    print(f"{sum(parts.values()) / nodes:8.2f} s a node besides training and evaluation")
    clock, parts = watched(run, root, environment)
    print(f"{sum(parts.values()):8.1f} s, a run with nothing to do ({clock:.1f} s by the clock)")


def watched(command: list[str], cwd: Path, environment: dict) -> tuple[float, dict[str, float]]:
    """(seconds by the clock, {part: seconds of a processor}) of a command and all below it.

    They are read off /proc all the time; what a process does after the last look at it is lost.
    The system's own sum would lack all kernels: nobody waits for forks that have ended.
    """
    started = time.time()
    seen: dict[int, tuple[str, float]] = {}
    process = subprocess.Popen(
        [sys.executable, *command],
        cwd=cwd,
        env=os.environ | environment,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    while process.poll() is None:
        seen |= looked(str(environment["XTSUPPORT_ROOT"]))
        time.sleep(0.1)
    if process.returncode:
        sys.exit(f"the study failed; run it by hand to see why: {' '.join(command)}")
    parts = dict.fromkeys(PARTS.values(), 0.0)
    for part, seconds in seen.values():
        parts[part] += seconds
    return time.time() - started, parts


def looked(root: str) -> dict[int, tuple[str, float]]:
    """Process -> (part of the study, seconds of a processor so far)."""
    found, tick = {}, os.sysconf("SC_CLK_TCK")
    for path in Path("/proc").glob("[0-9]*"):
        try:
            mine = f"XTSUPPORT_ROOT={root}".encode() in (path / "environ").read_bytes().split(b"\0")
            words = (path / "cmdline").read_bytes().split(b"\0")
            stat = (path / "stat").read_text().rpartition(")")[2].split()
        except OSError:
            continue
        if mine:
            part = PARTS.get(words[2].decode() if words[1:2] == [b"-m"] else "", KERNELS)
            if part == FORKING and fork(int(stat[1])):
                part = KERNELS
            found[int(path.name)] = part, (int(stat[11]) + int(stat[12])) / tick
    return found


def fork(parent: int) -> bool:
    """Whether a parent is itself the process that kernels are forked from."""
    try:
        return b"xtsupport.study.execution.kernel_server" in Path(
            f"/proc/{parent}/cmdline"
        ).read_bytes().split(b"\0")
    except OSError:
        return False


def spent(command: list[str]) -> float:
    """Seconds of a processor that Python takes for a command."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    subprocess.run([sys.executable, *command], cwd=PROJECT, check=True)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


KERNELS = "kernels, without training and evaluation"
FORKING = "the process from which kernels are forked"
PARTS = {
    "xtsupport.study.cli": "the command: plan and progress",
    "snakemake": "Snakemake",
    "xtsupport.study.execution.nodes": "nodes: papermill, writing notebooks",
    "xtsupport.study.execution.kernel_server": FORKING,
    "xtsupport.study.execution.kernel": KERNELS,
}

if __name__ == "__main__":
    main()
