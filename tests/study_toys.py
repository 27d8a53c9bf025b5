"""A toy study: real settings, plan, papermill and Snakemake over notebooks that only write a line.

Each toy notebook does what its phase's notebook does, for the runs it is given, in milliseconds.
"""

import os
import subprocess
import sys
import textwrap
import time
from pathlib import Path

import nbformat
import pandas as pd
import yaml

from xtsupport.files import new_folder
from xtsupport.study.run_folder import open_run

PARAMETERS = """
params: str = "params/toy.yaml"  # the study
condition: str = "none"  # phase 2
seeds: list = []  # all
targets: list = []  # all
only: list = []  # a part
into: str = "scratch"  # or study
"""

WORK = """
import os, time
from pathlib import Path
from xtsupport.study.plan import open_study
from xtsupport.study.run_folder import open_run
from xtsupport.study.runs import is_whole, require
root = Path(os.environ["XTSUPPORT_ROOT"])
study = open_study(params, only=only)
for run in study.runs(PHASE, CONDITION, seeds, targets, into):
    if is_whole(run):
        continue
    above = "".join((require(each) / "scores.csv").read_text() for each in run.upstream)
    with open_run(run) as folder:
        exec((root / "mischief.py").read_text())
        line = f"{run.name} {run.settings.get('steps')} {run.data}\\n"
        (folder.path / "scores.csv").write_text(line + above)
    with (root / "done.log").open("a") as log:  # once it is whole
        log.write(run.name + "\\n")
"""

RESULTS = """
from xtsupport.files import write_text
from xtsupport.study.plan import open_study
from xtsupport.study.runs import require
study = open_study(params, only=only)
scored = [run for run in study.plan.runs if run.phase in ("target", "retrieval")]
text = "".join((require(run) / "scores.csv").read_text() for run in scored)
"""

NOTEBOOKS = {
    "01_tasks_and_languages": "print(params)",
    "02_pretrained_model": WORK.replace("PHASE, CONDITION", "'pretraining', None"),
    "03_intermediate_training": WORK.replace("PHASE, CONDITION", "'intermediate', condition"),
    "04_target_transfer": WORK.replace("PHASE, CONDITION", "'target', condition"),
    "05_sentence_retrieval": WORK.replace("PHASE, CONDITION", "'retrieval', condition"),
    "06_results": RESULTS
    + "from xtsupport.files import new_folder\n"
    + "with new_folder(study.folder / 'cube') as cube:\n"
    + "    (cube / 'all.txt').write_text(text)",
    "07_significance_by_family": RESULTS
    + "write_text(study.folder / 'significance.csv', text)\n"
    + "write_text(study.folder / 'report.html', text)\n"
    + "write_text(study.folder / 'answer.txt', 'SQuAD first: +1.3.')",
}


def notebook(path: Path, *cells: str, parameters: str = PARAMETERS) -> Path:
    """Write a notebook with a parameters cell and code cells."""
    first = nbformat.v4.new_code_cell(parameters.strip(), metadata={"tags": ["parameters"]})
    rest = [nbformat.v4.new_code_cell(textwrap.dedent(cell).strip()) for cell in cells]
    book = nbformat.v4.new_notebook(cells=[first, *rest])
    path.parent.mkdir(parents=True, exist_ok=True)
    nbformat.write(book, path)
    return path


def toy_settings(**changes) -> dict:
    """Settings of a study with 1 + 2 + 8 + 3 runs in 10 nodes."""
    phase = {"epochs": 1, "batch_size": 8, "max_rows": 16, "max_length": 96, "stride": 16}
    settings = {
        "study": "toy",
        "data": "world-tiny",
        "encoder": "pretrain",
        "conditions": ["none", "squad", "none~squad"],
        "targets": ["xquad", "tatoeba"],
        "seeds": [0, 1],
        "pretraining": {"steps": 4, "batch_size": 8, "max_length": 96},
        "intermediate": phase,
        "target": dict(phase),
        "precision": "float32",  # keys and numbers are the same on every machine
    }
    return settings | changes


def toy_root(root: Path, **changes) -> Path:
    """A project root with toy notebooks; returns its params file."""
    for name, code in NOTEBOOKS.items():
        notebook(root / "notebooks" / f"{name}.ipynb", code)
    (root / "mischief.py").write_text("")
    return write_params(root, **changes)


def compared_root(root: Path) -> Path:
    """``toy_root`` of a study that declares comparisons, of none, squad, mnli and all."""
    primary = {"treatment": "squad", "baseline": "none", "target": "xquad", "metric": "f1"}
    contrasts = [["squad", "none"], ["mnli", "none"]]
    return toy_root(
        root,
        conditions=["none", "squad", "mnli", "all"],
        targets=["xquad", "tatoeba"],
        analysis={"contrasts": contrasts, "primary": primary | {"by": "group"}},
    )


def write_params(root: Path, **changes) -> Path:
    """(Re)write the toy's params file."""
    path = root / "params" / "toy.yaml"
    path.parent.mkdir(exist_ok=True)
    path.write_text(yaml.safe_dump(toy_settings(**changes)))
    return path


def whole_run(run):
    """Finish a run with what each phase leaves, without a notebook."""
    with open_run(run) as folder:
        (folder.path / "scores.csv").write_text(f"{run.name}\n")
        if run.phase in ("pretraining", "intermediate"):
            with new_folder(folder.path / "model") as model:
                (model / "weights").write_text(run.name)
        else:
            pd.DataFrame({"score": [0.5] * 3}).to_parquet(folder.path / "examples.parquet")


SMALL = {"conditions": ["none", "squad"], "targets": ["xquad"], "seeds": [0]}  # 4 runs, 7 nodes


def command(root: Path, *arguments: str, **more) -> subprocess.Popen:
    """Start ``xtsupport`` with a project root; kernels are cold, as toys import nothing slow."""
    return subprocess.Popen(
        [sys.executable, "-m", "xtsupport.study.cli", *arguments],
        cwd=root,
        env=os.environ | {"XTSUPPORT_ROOT": str(root), "XTSUPPORT_WARM": ""},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        **more,
    )


def xtsupport(root: Path, *arguments: str) -> tuple[int, str]:
    """Exit code and everything printed."""
    process = command(root, *arguments)
    out, error = process.communicate(timeout=900)
    return process.returncode, out + error


def done(root: Path) -> list[str]:
    """The runs that were finished, each time they were."""
    path = root / "done.log"
    return path.read_text().split() if path.exists() else []


def survivors(root: Path) -> list[int]:
    """Processes that belong to this root."""
    found = []
    for path in Path("/proc").glob("[0-9]*"):
        try:
            mine = f"XTSUPPORT_ROOT={root}".encode() in (path / "environ").read_bytes().split(b"\0")
            dead = ") Z " in (path / "stat").read_text()
        except OSError:
            continue
        found += [int(path.name)] if mine and not dead else []
    return found


def module(pid: int) -> str:
    """What ``python -m`` a process runs; empty for any other."""
    try:
        words = Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")
    except OSError:
        return ""
    return words[2].decode() if words[1:2] == [b"-m"] else ""


def wait_for(condition, seconds: float = 300) -> None:
    """Return as soon as the condition holds."""
    end = time.time() + seconds
    while not condition():
        assert time.time() < end, "waited too long"
        time.sleep(0.05)


def do(run, **frames) -> None:
    """Finish a run that leaves nothing but the given frames, as CSV files of these names."""
    with open_run(run) as folder:
        for name, frame in frames.items():
            folder.write_csv(f"{name}.csv", frame)
