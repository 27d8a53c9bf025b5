"""Copy a finished study's encoder and phase-2 checkpoints into the package, in half precision.

    python -m xtsupport.study.ship params/demo.yaml

They let every notebook run alone in a minute or two: an interactive run that finds no earlier
phase in ``outputs/`` starts from the shipped one of the same run key. Only the first seed ships.
"""

import shutil
import sys
from pathlib import Path

from safetensors.numpy import load_file, save_file

from xtsupport import folders
from xtsupport.errors import UserError
from xtsupport.files import write_json, write_text
from xtsupport.study.plan import open_study
from xtsupport.study.runs import described, inside, is_whole, read_record

DROPPED = ("options", "origins", "machine", "commit", "started")  # what is of one machine only


def ship(params: str) -> list[Path]:
    """Copy phase 1 and the first seed of phase 2; returns the folders. UserError if not whole."""
    study = open_study(params)
    first = study.settings.seeds[:1]
    wanted = [*study.runs("pretraining"), *study.runs("intermediate", seeds=first)]
    missing = [run.name for run in wanted if not is_whole(run)]
    if missing:
        raise UserError(f"not finished: {', '.join(missing)}; run `xtsupport run {params}` first")
    shutil.rmtree(folders.shipped(), ignore_errors=True)
    return [copy(run.folder, folders.shipped() / run.name) for run in wanted]


def copy(source: Path, folder: Path) -> Path:
    """One run folder, its weights rounded to 16 bits, its record describing the rounded files."""
    shutil.copytree(source, folder, ignore=shutil.ignore_patterns(".lock"))
    thin(folder / "history.csv")
    weights = folder / "model" / "model.safetensors"
    halves = {name: value.astype("float16") for name, value in load_file(weights).items()}
    save_file(halves, weights, {"format": "pt"})
    record = {key: value for key, value in read_record(source).items() if key not in DROPPED}
    files = {str(path.relative_to(folder)): described(path) for path in inside(folder)}
    write_json(folder / "run.json", record | {"files": files})
    return folder


def thin(history: Path, most: int = 5000) -> None:
    """Keep every n-th step of a long training: `most` of them are enough for its curve."""
    header, *steps = history.read_text(encoding="utf-8").splitlines(keepends=True)
    every = max(1, -(-len(steps) // most))
    write_text(history, header + "".join(steps[every - 1 :: every]))


if __name__ == "__main__":
    for made in ship(sys.argv[1]):
        size = sum(path.stat().st_size for path in made.rglob("*") if path.is_file())
        print(f"{made.relative_to(folders.PACKAGE)}  {size / 1e6:.2f} MB")
