"""Disturb a small study in every way that studies are disturbed, and compare its results.

    python benchmarks/crash.py [--kills 42] [--keep FILE] [--out benchmarks/crash.md]

Kills (-9, repeatedly) and other faults: full disks, limits, signals, processes, changed files.

Studies of seven nodes on the tiny world, killed up to three times each and then finished. `real`
ones train with the study's own phases, keep a checkpoint per step and end with a report; `toy` ones
only write lines, so that more of their time is the scheduler's. After a kill no process may be left
that writes. At the end no finished run may have been repeated, training must have continued from
its checkpoint, and every result must equal that of an undisturbed study, byte for byte. A fault
must be reported in one line or have no effect, and the same command must then complete the study.
Linux only; the full disks need root to mount them.
"""

import argparse
import hashlib
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from contextlib import contextmanager, suppress
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))
from study_toys import (
    SMALL,
    command,
    module,
    notebook,
    survivors,
    toy_root,
    wait_for,
    write_params,
)

from xtsupport.files import write_text
from xtsupport.study import runs

KINDS = {  # name: (real or toy, when, what dies)
    "the process alone": ("toy", "random", "runner"),
    "its process group and Snakemake's": ("toy", "random", "groups"),
    "everything at once": ("toy", "random", "everything"),
    "Snakemake alone": ("toy", "random", "snakemake"),
    "Snakemake, as a node ends": ("toy", "stamp", "snakemake"),
    "everything, as a node ends": ("toy", "stamp", "everything"),
    "the notebook's kernel": ("real", "random", "kernel"),
    "the process from which kernels are forked": (
        "real",
        "random",
        "xtsupport.study.execution.kernel_server",
    ),
    "the node (papermill)": ("real", "random", "xtsupport.study.execution.nodes"),
    "everything, in training": ("real", "random", "everything"),
    "a checkpoint is being written": ("real", "state.safetensors", "kernel or runner"),
    "a parquet is being written": ("real", ".parquet", "kernel or runner"),
    "run.json is being written": ("real", "run.json", "kernel or runner"),
    "the cube is being written": ("real", "toy/cube", "kernel or runner"),
    "the report is being written": ("real", "report.html", "kernel or runner"),
}
FULL = {
    "checkpoint_minutes": 1e-4,  # after every step
    "pretraining": {"steps": 100, "batch_size": 8, "max_length": 96},
    "target": {"epochs": 40, "batch_size": 8, "max_rows": 16, "max_length": 96, "stride": 16},
    "intermediate": {"epochs": 40, "batch_size": 8, "max_rows": 16, "max_length": 96, "stride": 16},
}
START = """
import os
from pathlib import Path
root, phase = Path(os.environ["XTSUPPORT_ROOT"]), {phase!r}  # of the notebook
exec((root / "mischief.py").read_text())
"""
PHASE = """
from xtsupport.study.phases import train
from xtsupport.study.checks import unfinished
from xtsupport.study.plan import open_study
for run in unfinished(open_study(params).runs(phase, {condition}, seeds, targets, into)):
    train.{does}(run, progress=False)
"""
CUBE = """
from xtsupport.study.conclude import find_cube
from xtsupport.study.plan import open_study
find_cube(open_study(params), into)
"""
REPORT = """
from xtsupport.statistics.comparisons import significance
from xtsupport.statistics.evidence import evidence_of
from xtsupport.study.conclude import find_cube, publish
from xtsupport.study.plan import open_study
study = open_study(params)
evidence = evidence_of(find_cube(study), study.settings, study.data)
publish(study, significance(evidence), evidence, into)
"""
STRIKE = """
import json, os, random, signal, threading
from contextlib import contextmanager
from pathlib import Path
from safetensors import torch as tensors
from xtsupport import files
from xtsupport.training import loop
from xtsupport.training import resume as state
plan = json.loads((root / "strike.json").read_text())
def strike(path):
    plan["after"] -= plan["file"] in str(path)
    if plan["file"] in str(path) and plan["after"] < 0 and not (root / "struck").exists():
        (root / "struck").write_text(str(path))
        victim = os.getpid()
        if plan["runner"]:
            victim = json.loads((root / "outputs/toy/running.json").read_text())["pid"]
        threading.Timer(plan["delay"], os.kill, (victim, signal.SIGKILL)).start()
def draft(path, real=files.draft):
    strike(path)
    return real(path)
def save(values, path, *rest, real=state.save_file):
    strike(path)
    return real(values, path, *rest)
def resume(path, *rest, real=loop.resume):
    step = real(path, *rest)
    with (root / "resumed.log").open("a") as log:
        log.write(f"{path.parent.parent.name} {step}\\n")
    return step
files.draft, state.save_file, loop.resume = draft, save, resume
"""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--kills", type=int, default=42, help="0: only the faults")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--keep", type=Path, help="finished studies, not to be repeated")
    parser.add_argument("--out", type=Path)
    arguments = parser.parse_args()
    signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell's background ignores Ctrl-C
    keep = arguments.keep
    rows: dict[str, list[dict]] = {name: [] for name in KINDS}
    if keep and keep.exists():
        rows |= json.loads(keep.read_text())
    draw = random.Random(arguments.seed + sum(map(len, rows.values())))
    with tempfile.TemporaryDirectory(prefix="crash-") as folder:
        whole = {real: undisturbed(Path(folder) / real) for real in ("real", "toy")}
        while sum(each["kills"] for row in rows.values() for each in row) < arguments.kills:
            name = min(KINDS, key=lambda each: sum(row["kills"] for row in rows[each]))
            number = sum(map(len, rows.values()))
            found = disturbed(Path(folder) / f"study{number}", *KINDS[name], whole, draw)
            rows[name].append(found)
            print(name, found, flush=True)
            if keep:
                write_text(keep, json.dumps(rows))
        faults = {}
        for number, name in enumerate(FAULTS):
            faults[name] = suffered(Path(folder) / f"fault{number}", name, whole)
            print(name, faults[name], flush=True)
    text = (table(rows, arguments.seed) if arguments.kills else "") + table_of_faults(faults)
    print(text)
    if arguments.out:
        write_text(arguments.out, text)


def project(root: Path, real: str) -> Path:
    """A project root whose study is the toy's, or trains for real."""
    toy_root(root, **SMALL)
    (root / "mischief.py").write_text("time.sleep(0.5)\n")
    if real == "real":
        for name, phase, cell in CELLS:
            notebook(root / "notebooks" / f"{name}.ipynb", START.format(phase=phase), cell)
        write_params(root, **SMALL, **FULL)
        (root / "mischief.py").write_text(STRIKE)
        (root / "strike.json").write_text('{"file": "nothing", "after": 0}')
    return root


def undisturbed(root: Path) -> tuple[dict[str, str], float]:
    """Checksums of what a study leaves when nobody disturbs it, and the seconds it takes."""
    started = time.time()
    assert start(project(root, root.name)).wait() == 0
    return results(root), time.time() - started


def disturbed(root: Path, real: str, when: str, what: str, whole: dict, draw) -> dict:
    """Kill a study up to three times, let it finish, and compare."""
    project(root, real)
    expected, seconds = whole[real]
    found = {"kills": 0, "orphans": 0}
    finished: dict[str, str] = {}
    saved: list[tuple[str, int, int]] = []
    process = start(root)
    for _ in range(3):
        if not kill(root, process, when, what, seconds, draw):
            break
        found["kills"] += 1
        finished |= records(root)
        saved += [(name, step, len(resumed(root, name))) for name, step in checkpoints(root)]
        if what not in CHILDREN and dies(process):
            found["orphans"] += left_over(root)
            process = start(root)
    code = process.wait() and start(root).wait()  # a node killed twice has failed: once more
    now = records(root)
    starts = [(step, resumed(root, name)[n:]) for name, step, n in saved]
    again = [(step, each[0]) for step, each in starts if each]  # the others went on unharmed
    return found | {
        "finished": len(finished),
        "redone": sum(now.get(name) != text for name, text in finished.items()),
        "checkpoints": len(again),
        "continued": sum(first >= step for step, first in again),
        "completed": int(code == 0),
        "equal": int(results(root) == expected),
    }


def start(root: Path) -> subprocess.Popen:
    """`xtsupport run` in a session of its own; toys import nothing slow: their kernels are cold."""
    cold = {} if "phases" in (root / "notebooks/02_pretrained_model.ipynb").read_text() else COLD
    return subprocess.Popen(
        [sys.executable, "-m", "xtsupport.study.cli", "run", "params/toy.yaml", "--jobs", "2"],
        cwd=root,
        env=os.environ | {"XTSUPPORT_ROOT": str(root)} | cold,
        stdout=subprocess.DEVNULL,
        stderr=(root / "errors.log").open("a"),
        start_new_session=True,
    )


def kill(root: Path, process, when: str, what: str, seconds: float, draw) -> bool:
    """Wait for the moment and kill; False when the study ended before."""
    stamps, moment = set(root.glob("outputs/toy/nodes/*/done")), time.time()
    if when == "random":
        moment += draw.uniform(0.5, seconds / 2)
        come = lambda: time.time() > moment and victims(root, process, what)  # noqa: E731
    elif when == "stamp":
        come = lambda: set(root.glob("outputs/toy/nodes/*/done")) - stamps  # noqa: E731
    else:
        (root / "struck").unlink(missing_ok=True)
        blow = {"file": when, "after": draw.randrange(80) if when == "state.safetensors" else 0}
        blow |= {"delay": draw.uniform(0, 0.003), "runner": draw.random() < 0.5}
        write_text(root / "strike.json", json.dumps(blow))
        come = (root / "struck").exists
    while not come():
        if process.poll() is not None:
            return False
        time.sleep(0.005)
    if when == "stamp":
        time.sleep(draw.uniform(0, 0.3))
    for pid in victims(root, process, what) if when in ("random", "stamp") else ():
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
    return True


def victims(root: Path, process, what: str) -> list[int]:
    """The processes to kill."""
    mine = survivors(root)
    if what == "kernel":  # forks of the warm process
        return [
            pid for pid in mine if module(parent(pid)) == "xtsupport.study.execution.kernel_server"
        ]
    if what == "runner":
        return [process.pid]
    if what == "groups":
        group = [pid for pid in mine if module(pid) == "snakemake"]
        leaders = [process.pid, *(os.getpgid(pid) for pid in group[:1])]
        return [pid for pid in mine if os.getpgid(pid) in leaders]
    return mine if what == "everything" else [pid for pid in mine if module(pid) == what]


def parent(pid: int) -> int:
    """The process that started a process."""
    try:
        return int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1])
    except OSError:
        return 0


def dies(process) -> bool:
    """Whether the runner ends for the kill (a killed kernel is tried again without it)."""
    try:
        return process.wait(timeout=8) is not None
    except subprocess.TimeoutExpired:
        return False


def left_over(root: Path) -> int:
    """Processes that outlived the study by ten seconds, and files written by such in the next."""
    end = time.time() + 10
    while survivors(root) and time.time() < end:
        time.sleep(0.05)
    before = written(root)
    time.sleep(1)
    return len(survivors(root)) + len(written(root) ^ before)


def written(root: Path) -> set[tuple]:
    """Every file below outputs/ with its size and time."""
    found = set()
    for folder, _, names in os.walk(root / "outputs"):
        for path in (Path(folder) / name for name in names):
            stat = path.stat()
            found.add((str(path), stat.st_size, stat.st_mtime_ns))
    return found


def records(root: Path) -> dict[str, str]:
    """run.json of every run that is whole."""
    found = (path.parent for path in root.glob("outputs/runs/*/run.json"))
    return {
        str(folder): (folder / "run.json").read_text() for folder in found if not runs.flaws(folder)
    }


def checkpoints(root: Path) -> list[tuple[str, int]]:
    """(folder of the run, steps it holds) of every checkpoint."""
    from safetensors import safe_open

    found = []
    for path in root.glob("outputs/runs/*/checkpoint/state.safetensors"):
        # a run that nobody killed may just have ended, and its checkpoint with it
        with suppress(OSError, RuntimeError), safe_open(path, "pt") as file:
            found.append((path.parent.parent.name, json.loads(file.metadata()["step"])))
    return found


def resumed(root: Path, name: str) -> list[int]:
    """The steps from which the trainings of a run began, one after the other."""
    path = root / "resumed.log"
    lines = path.read_text().splitlines() if path.exists() else []
    return [int(line.split()[1]) for line in lines if line.split()[0] == name]


def results(root: Path) -> dict[str, str]:
    """Checksums of everything a study is run for; not of the records of how long it took."""
    folder = root / "outputs"
    paths = [path for path in folder.rglob("*") if path.is_file() and "nodes" not in path.parts]
    wanted = [path for path in paths if path.suffix in (".parquet", ".csv", ".safetensors", ".txt")]
    return {
        str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in wanted
    }


def table(rows: dict[str, list[dict]], seed: int) -> str:
    """The Markdown table."""
    total: dict[str, int] = {}
    lines = [f"| killed with -9 | {' | '.join(HEADER.values())} |", "|---" * 10 + "|"]
    for name, found in rows.items():
        sums = {key: sum(each[key] for each in found) for key in HEADER if key != "studies"}
        sums["studies"] = len(found)
        total = {key: total.get(key, 0) + sums[key] for key in HEADER}
        lines.append(f"| {name} | {' | '.join(str(sums[key]) for key in HEADER)} |")
    lines.append(f"| **all** | {' | '.join(str(total[key]) for key in HEADER)} |")
    typed = f"`python benchmarks/crash.py --seed {seed}`"
    title = f"# Kills\n\n{typed}; the script's first lines say what it does.\n\n"
    return title + "\n".join(lines) + "\n"


# --------------------------------------------------------------------------------- other faults


def suffered(root: Path, name: str, whole: dict) -> dict:
    """Let a study suffer a fault; what it said of it, and how the study ended."""
    fault, telling = FAULTS[name]
    real = "real" if "in notebook" in name else "toy"
    root = root / (ODD if name.startswith("a path") else "root")
    root.mkdir(parents=True)
    project(root, real)
    with fault(root) as (code, said):
        told = telling in said and "Traceback" not in said
        (root / "mischief.py").write_text("")
        if code:
            code, _ = finish(launch(root))
        equal = results(root) == whole[real][0]
    return {"said": int(told), "completed": int(code == 0), "equal": int(equal)}


def launch(root: Path, **more) -> subprocess.Popen:
    """`xtsupport run` whose words are kept."""
    return command(root, "run", "params/toy.yaml", "--jobs", "2", **more)


def finish(process) -> tuple[int, str]:
    """Exit code and words of a process."""
    said = process.communicate(timeout=600)
    return process.returncode, "".join(said)


@contextmanager
def undergone(root: Path):
    """The study in peace (in an odd place, that is)."""
    yield finish(launch(root))


def full_disk(do: str, when: str = "run.phase == 'intermediate'"):
    """A fault: outputs/ is a disk of eight megabytes, and one of the notebooks fills it so."""

    @contextmanager
    def fault(root: Path):
        (root / "outputs").mkdir()
        disk = ["mount", "-t", "tmpfs", "-o", "size=8m", "tmpfs", str(root / "outputs")]
        subprocess.run(disk, check=True)
        filler = root / "outputs" / "filler"
        (root / "mischief.py").write_text(f"if {when}:\n    {do}\n")
        try:
            ended = finish(launch(root))
            filler.unlink(missing_ok=True)
            yield ended
        finally:
            subprocess.run(["umount", root / "outputs"], check=True)

    return fault


def few_files(most: int):
    """A fault: a process may open 64 files at once, and may raise that to `most`."""

    @contextmanager
    def fault(root: Path):
        import resource

        limit = lambda: resource.setrlimit(resource.RLIMIT_NOFILE, (64, most))  # noqa: E731
        yield finish(launch(root, preexec_fn=limit))

    return fault


def signalled(number: int, phase: str):
    """A fault: a signal while a run of a phase is at work outside of training."""

    @contextmanager
    def fault(root: Path):
        with busy(root, phase) as process:
            process.send_signal(number)
            yield finish(process)

    return fault


@contextmanager
def busy(root: Path, phase: str):
    """A study that stays where it is, in a run of a phase, the first time."""
    (root / "mischief.py").write_text(
        f"if run.phase == {phase!r} and not (root / 'busy').exists():\n"
        "    (root / 'busy').touch(); time.sleep(600)\n"
    )
    process = launch(root)
    wait_for((root / "busy").exists)
    yield process


@contextmanager
def paused(root: Path):
    """Everything is stopped for ten seconds, and goes on."""
    process = launch(root)
    wait_for(lambda: len(survivors(root)) >= 4)
    for number in (signal.SIGSTOP, signal.SIGCONT):
        for pid in survivors(root):
            os.kill(pid, number)
        time.sleep(10 if number == signal.SIGSTOP else 0)
    yield finish(process)


@contextmanager
def two_runs(root: Path):
    """The same command twice at once; what the second says."""
    (root / "mischief.py").write_text("time.sleep(2)\n")
    first = launch(root)
    wait_for((root / "outputs" / "toy" / "running.json").exists)
    code, said = finish(launch(root))
    yield finish(first)[0] or int(code == 0), said


@contextmanager
def notebook_beside(root: Path):
    """Somebody executes notebook 02 while the study does the same run: one waits for the other."""
    (root / "mischief.py").write_text("time.sleep(5)\n")
    process = launch(root)
    book = [root / "notebooks" / "02_pretrained_model.ipynb", root / "mine.ipynb"]
    mine = subprocess.run(
        [sys.executable, "-m", "papermill", *book, "-k", "python3"], cwd=root, capture_output=True,
        text=True, env=os.environ | {"XTSUPPORT_ROOT": str(root)} | COLD,
    )  # fmt: skip
    code, said = finish(process)
    once = (root / "done.log").read_text().count("pretraining") == 1
    yield code or mine.returncode or int(not once), said


def hands(do):
    """A fault: somebody does something to the files of a finished study."""

    @contextmanager
    def fault(root: Path):
        assert finish(launch(root))[0] == 0
        do(root / "outputs" / "toy")
        yield finish(launch(root))

    return fault


def table_of_faults(found: dict[str, dict]) -> str:
    """The second Markdown table."""
    lines = ["| fault | reported or harmless | completed afterwards | equal, byte for byte |"]
    lines += ["|---|---|---|---|"]
    lines += [f"| {name} | {' | '.join(map(str, each.values()))} |" for name, each in found.items()]
    return (
        "\n# Other faults\n\n`python benchmarks/crash.py --kills 0`\n\n" + "\n".join(lines) + "\n"
    )


ODD = "a {x} #b 'c' \"$d\" ü"
FULL_DISK, STOPPED = "the disk is full; free some space", "stopped; finished work is kept"
FILL = (
    "f = (root / 'outputs/filler').open('wb', buffering=0)\n    {}while True: f.write(b'x' * 4096)"
)
FILLED = """with (root / 'outputs/filler').open('wb', buffering=0) as f:
        try:
            while True: f.write(b'x' * 4096)
        except OSError:
            f.truncate(f.tell() - {})"""
FAULTS = {
    "the disk is full: a result": (
        full_disk("from xtsupport.files import write_text; "
                  "write_text(folder.path / 'big', 'x' * 9_000_000)"), FULL_DISK),
    "the disk is full: results, log, state, stamps": (full_disk(FILL.format("")), FULL_DISK),
    "the disk is full until the process ends": (
        full_disk(FILL.format("(root / 'outputs/filler').unlink()\n    ")), FULL_DISK),
    "the disk is full in notebook 06": (
        full_disk(FILLED.format(0), "phase == 'results'"), FULL_DISK),
    "the disk is full in notebook 07, after some figures": (
        full_disk(FILLED.format(300_000), "phase == 'significance'"), FULL_DISK),
    "ulimit -n 64, raisable": (few_files(4096), "report: "),
    "ulimit -n 64, fixed": (few_files(64), "ulimit -n = 64"),
    "a path with braces, spaces, quotes, symbols": (undergone, "report: "),
    "Ctrl-C in phase 2": (signalled(signal.SIGINT, "intermediate"), STOPPED),
    "Ctrl-C in an evaluation": (signalled(signal.SIGINT, "target"), STOPPED),
    "SIGTERM": (signalled(signal.SIGTERM, "intermediate"), STOPPED),
    "SIGHUP": (signalled(signal.SIGHUP, "intermediate"), STOPPED),
    "SIGSTOP, ten seconds, SIGCONT": (paused, "report: "),
    "two runs at once": (two_runs, "is being run by process"),
    "a notebook beside a run": (notebook_beside, "report: "),
    "the report was deleted": (
        hands(lambda study: (study / "report.html").unlink()), "report.html: is missing"),
    "the cube was deleted": (hands(lambda study: shutil.rmtree(study / "cube")), "is missing"),
    "a part of the cube replaced by another file": (
        hands(lambda study: shutil.copy(study / "graph.json", study / "cube/all.txt")),
        "all.txt: has changed"),
    "a part of the cube duplicated": (
        hands(lambda study: shutil.copy(study / "cube/all.txt", study / "cube/again.txt")),
        "again.txt: is not one of the files"),
}  # fmt: skip
COLD = {"XTSUPPORT_WARM": ""}
CHILDREN = ("kernel", "xtsupport.study.execution.kernel_server", "xtsupport.study.execution.nodes")
CELLS = [
    ("02_pretrained_model", "pretraining", PHASE.format(condition=None, does="pretrain")),
    ("03_intermediate_training", "intermediate",
     PHASE.format(condition="condition", does="train_intermediate")),
    ("04_target_transfer", "target", PHASE.format(condition="condition", does="train_target")),
    ("06_results", "results", CUBE),
    ("07_significance_by_family", "significance", REPORT),
]  # fmt: skip
HEADER = {
    "kills": "kills",
    "studies": "studies",
    "completed": "completed",
    "equal": "equal, byte for byte",
    "finished": "runs finished before a kill",
    "redone": "of these, repeated",
    "checkpoints": "checkpoints at a kill",
    "continued": "of these, used",
    "orphans": "orphaned processes or writes",
}

if __name__ == "__main__":
    main()
