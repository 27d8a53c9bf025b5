"""Copy a finished study's encoder and phase-2 checkpoints into the package, in half precision.

    python benchmarks/ship.py params/demo.yaml

First the encoder: from then on the study starts from it as it was rounded. Run the study again and
ship once more: then the first seed of phase 2 is copied, from which notebooks that run alone start,
and ``study/``: settings, plan and cube with predictions, which 06 and 07 show to those who have
run nothing yet.
"""

import shutil
import sys
from pathlib import Path

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
from safetensors.numpy import load_file, save_file

from xtsupport import folders
from xtsupport.cube.columns import SCHEMA, WORD
from xtsupport.errors import UserError
from xtsupport.files import described, new_folder, write_json, write_text
from xtsupport.study import runs
from xtsupport.study.plan import Study, open_study
from xtsupport.study.runs import (
    RECORD,
    content,
    digest,
    inside,
    is_whole,
    read_record,
    sealed,
    standing,
)

DROPPED = ("options", "origins", "machine", "commit", "started")  # what is of one machine only


def ship(params: str) -> list[Path]:
    """Copy phase 1, or the first seed of phase 2; returns the folders. UserError if not whole."""
    study = open_study(params)
    own = [run for run in study.runs("pretraining") if run.folder == (standing(run) or [None])[0]]
    wanted = own or [
        run
        for run in study.runs("intermediate")
        if run.seed == study.settings.seeds_of(run.condition)[0]
    ]
    missing = [run.name for run in wanted if not is_whole(run)]
    if missing:
        raise UserError(f"not finished: {', '.join(missing)}; run `xtsupport run {params}` first")
    shutil.rmtree(folders.shipped() / ("" if own else "intermediate"), ignore_errors=True)
    made = [copy(run.folder, folders.shipped() / run.name) for run in wanted]
    if not own:
        made.append(ship_study(study))
    for run in own:  # else the study would go on from the encoder before it was rounded
        shutil.rmtree(run.folder)
    runs.shipped_runs.cache_clear()
    return made


def ship_study(study: Study) -> Path:
    """Settings, plan, and the cube with predictions. UserError when a run is not finished."""
    scored = [run for run in study.plan.runs if run.phase in ("target", "retrieval")]
    parts = pd.concat(
        [pd.read_parquet(runs.require(run) / "examples.parquet") for run in scored],
        ignore_index=True,
    )
    with new_folder(folders.shipped() / "study") as folder:
        for name in ("settings.yaml", "origins.json", runs.PLANNED):
            shutil.copy(study.folder / name, folder / name)
        for task, rows in parts.groupby("task"):
            place = folder / "cube" / f"task={task}"
            place.mkdir(parents=True)
            fields = [each for each in SCHEMA if each.name != "task"]
            schema = pa.schema([*fields, pa.field("prediction", WORD)])
            write_part(place / "part-0.parquet", rows.drop(columns="task"), schema)
    return folders.shipped() / "study"


def write_part(path: Path, rows: pd.DataFrame, schema: pa.Schema) -> None:
    """A task's part of a cube by examples, so that what runs share is stored once: a fifth of the
    size."""
    rows = rows.sort_values(["language", "metric", "example_id", "condition", "variant", "seed"])
    table = pa.Table.from_pandas(rows, schema, preserve_index=False)
    pq.write_table(table, path, compression="zstd", compression_level=12)


def copy(source: Path, folder: Path) -> Path:
    """One run folder, its weights rounded to 16 bits: another result, with a key of its own."""
    shutil.copytree(source, folder, ignore=shutil.ignore_patterns(".lock"))
    thin(folder / "history.csv")
    weights = folder / "model" / "model.safetensors"
    halves = {name: value.astype("float16") for name, value in load_file(weights).items()}
    save_file(halves, weights, {"format": "pt"})
    whole = read_record(source) or {}
    record = {key: value for key, value in whole.items() if key not in DROPPED}
    record["files"] = {str(path.relative_to(folder)): described(path) for path in inside(folder)}
    record["run_key"] = digest([record["recipe"], "shipped", content(record)])
    write_json(folder / RECORD, sealed(record))
    return folder


def thin(history: Path, most: int = 5000) -> None:
    """Keep every n-th step of a long training: `most` of them are enough for its curve."""
    header, *steps = history.read_text(encoding="utf-8").splitlines(keepends=True)
    every = max(1, -(-len(steps) // most))
    write_text(history, header + "".join(steps[every - 1 :: every]))


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    for made in ship(sys.argv[1]):
        size = sum(path.stat().st_size for path in made.rglob("*") if path.is_file())
        print(f"{made.relative_to(folders.PACKAGE)}  {size / 1e6:.2f} MB")
    if made.parent.name == "pretraining":
        print("the study now starts from this encoder: run it again, then ship again")
