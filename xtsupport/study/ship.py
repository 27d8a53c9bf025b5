"""Copy a finished study's encoder and phase-2 checkpoints into the package, in half precision.

    python -m xtsupport.study.ship params/demo.yaml

First the encoder: from then on the study starts from it as it was rounded. Run the study again and
ship once more: then the first seed of phase 2 is copied, from which notebooks that run alone start.
"""

import shutil
import sys
from pathlib import Path

from safetensors.numpy import load_file, save_file

from xtsupport import folders
from xtsupport.errors import UserError
from xtsupport.files import described, write_json
from xtsupport.study import runs
from xtsupport.study.plan import open_study
from xtsupport.study.runs import RECORD, content, digest, inside, is_whole, read_record, standing

DROPPED = ("options", "origins", "machine", "commit", "started")  # what is of one machine only


def ship(params: str) -> list[Path]:
    """Copy phase 1, or the first seed of phase 2; returns the folders. UserError if not whole."""
    study = open_study(params)
    own = [run for run in study.runs("pretraining") if run.folder == (standing(run) or [None])[0]]
    wanted = own or study.runs("intermediate", seeds=study.settings.seeds[:1])
    missing = [run.name for run in wanted if not is_whole(run)]
    if missing:
        raise UserError(f"not finished: {', '.join(missing)}; run `xtsupport run {params}` first")
    shutil.rmtree(folders.shipped() / ("" if own else "intermediate"), ignore_errors=True)
    made = [copy(run.folder, folders.shipped() / run.name) for run in wanted]
    for run in own:  # else the study would go on from the encoder before it was rounded
        shutil.rmtree(run.folder)
    runs.shipped_runs.cache_clear()
    return made


def copy(source: Path, folder: Path) -> Path:
    """One run folder, its weights rounded to 16 bits: another result, with a key of its own."""
    shutil.copytree(source, folder, ignore=shutil.ignore_patterns(".lock"))
    weights = folder / "model" / "model.safetensors"
    halves = {name: value.astype("float16") for name, value in load_file(weights).items()}
    save_file(halves, weights, {"format": "pt"})
    record = {key: value for key, value in read_record(source).items() if key not in DROPPED}
    record["files"] = {str(path.relative_to(folder)): described(path) for path in inside(folder)}
    record["run_key"] = digest([record["recipe"], "shipped", content(record)])
    write_json(folder / RECORD, record)
    return folder


if __name__ == "__main__":
    for made in ship(sys.argv[1]):
        size = sum(path.stat().st_size for path in made.rglob("*") if path.is_file())
        print(f"{made.relative_to(folders.PACKAGE)}  {size / 1e6:.2f} MB")
    if made.parent.name == "pretraining":
        print("the study now starts from this encoder: run it again, then ship again")
