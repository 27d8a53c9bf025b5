"""Outputs from before there was a store: whole runs in a study's own folder are moved into it."""

import os
import shutil
from contextlib import suppress
from pathlib import Path

from xtsupport import files, folders
from xtsupport.study import runs
from xtsupport.study.plan import Study, study_of
from xtsupport.study.runs import LOCK, PHASES, RECORD, SHORT, Run
from xtsupport.study.store import carried, entries


def take_over(study: Study) -> list[str]:
    """Move the whole runs in a study's own folder into the store; says what came of it.

    A run is moved when what it started from has been moved, or it started from nothing but the
    encoder: only then is it known what it started from. Its numbers stay as they are; record and
    cube part get the new keys. The study that carries its records without models keeps them.
    """
    study = study_of(study.whole, study.params) if study.whole else study
    moved = moved_before(study)  # old key -> new record
    before, kept = len(moved), []
    for folder in carried(study.folder):
        record = runs.read_record(folder) or {}
        if record.get("recipe") or runs.flaws(folder):
            continue
        above = {name: moved[key] for name, key in record["upstream"].items() if key in moved}
        there = len(above) == len(record["upstream"])
        if there and not any(later(record, each) for each in above.values()):
            moved[record["run_key"]] = move(folder, record, above, study)
        else:
            kept.append(folder)
    for phase in PHASES:
        drop_empty(study.folder / phase)
    count = len(moved) - before
    wanted = {run.recipe for run in study.plan.runs}
    asked = sum(each["recipe"] in wanted for each in moved.values())
    lines = [f"{count} finished runs of an earlier layout are now in outputs/runs"] if count else []
    if count and asked < len(moved):
        lines.append(
            f"{len(moved) - asked} of them have other settings than {study.params} gives now (or "
            "this version's defaults), and count as runs beside the study's, which are run again; "
            "`xtsupport runs` shows them, `xtsupport clean` lists what no study uses"
        )
    if kept:
        lines.append(
            f"{len(kept)} runs below {study.folder} stay where they are, unused: what they started "
            f"from no longer exists ({kept[0].relative_to(study.folder)}, ...); delete them "
            "when you no longer need them"
        )
    return lines


def waits(study: Study) -> bool:
    """Whether runs of the earlier layout lie in the study's folder, with all their files."""
    return any(
        not (runs.read_record(folder) or {"recipe": ""}).get("recipe") and not runs.flaws(folder)
        for folder in carried(study.folder)[:1]
    )


def moved_before(study: Study) -> dict[str, dict]:
    """What an earlier takeover of this study, killed on its way, has moved already."""
    records = [runs.read_record(folder) or {} for folder in entries(folders.runs())]
    return {
        each["taken_over"]: each
        for each in records
        if each.get("taken_over") and each["study"] == study.settings.study
    }


def later(record: dict, above: dict) -> bool:
    """Whether what a run started from was made again after it."""
    return above.get("started", "") > record.get("started", "~")


def move(folder: Path, record: dict, above: dict[str, dict], study: Study) -> dict:
    """One run folder of the earlier layout into the store; returns its new record."""
    parts = [[each["run_key"], runs.content(each)] for each in above.values()]
    resolved = precise(record, above, {run.name: run.recipe for run in study.plan.runs})
    recipe = recipe_of(resolved, above)
    key = runs.digest([recipe, parts]) if parts else recipe
    target = folders.runs() / key[:SHORT]
    if runs.flaws(target, key):
        with files.new_folder(target) as made:
            for name in record["files"]:
                (made / name).parent.mkdir(parents=True, exist_ok=True)
                copy_or_link(folder / name, made / name)
            rename_keys(made / "examples.parquet", key, record, above)
            told = renewed(resolved, key, made, above, study)
            files.write_json(made / RECORD, told | {"recipe": recipe})
    shutil.rmtree(folder)
    return runs.read_record(target) or {}


def recipe_of(record: dict, above: dict[str, dict]) -> str:
    """The recipe of a run from its record."""
    names = ("study", "phase", "condition", "seed", "settings", "data", "variant", "training_task")
    upstream = tuple(
        Run("", each["phase"], "", 0, name, listed=each["recipe"]) for name, each in above.items()
    )
    return Run(**{name: record[name] for name in names}, name="", upstream=upstream).recipe


def precise(record: dict, above: dict[str, dict], wanted: dict[str, str]) -> dict:
    """The record with its precision resolved, if that makes it a run of the study.

    Records once said ``auto``; on a processor, and for retrieval anywhere, that was float32.
    """
    settings = record["settings"]
    plain = record["phase"] == "retrieval" or record.get("device") == "cpu"
    if settings.get("precision") != "auto" or not plain:
        return record
    resolved = record | {"settings": settings | {"precision": "float32"}}
    return resolved if recipe_of(resolved, above) in wanted.values() else record


def renewed(record: dict, key: str, made: Path, above: dict[str, dict], study: Study) -> dict:
    """A record of the earlier layout with new keys, contents and checksums."""
    planned = runs.planned_mark(study.folder)
    return record | {
        "run_key": key,
        "upstream": {name: each["run_key"] for name, each in above.items()},
        "upstream_content": {name: runs.content(each) for name, each in above.items()},
        **({"planned": planned} if planned else {}),
        "taken_over": record["run_key"],
        "files": {name: files.described(made / name) for name in record["files"]},
    }


def rename_keys(path: Path, key: str, record: dict, above: dict[str, dict]) -> None:
    """The new keys in a run's part of the cube, where rows say which runs they share."""
    if not path.is_file():
        return
    import pyarrow as pa
    import pyarrow.compute as pc
    import pyarrow.parquet as pq

    old = [record["run_key"], *record["upstream"].values()]
    new = [key, *(each["run_key"] for each in above.values())]
    table = pq.ParquetFile(path).read()
    for name in {"phase2_run", "phase3_run"} & set(table.column_names):
        if pa.types.is_null(table.schema.field(name).type):
            continue
        column = table[name].combine_chunks().cast(pa.string())
        known = pc.index_in(column, pa.array(old))
        position = table.schema.get_field_index(name)
        renamed = pa.array(new).take(known).cast(table.schema.field(name).type)
        table = table.set_column(position, table.schema.field(name), renamed)
    path.unlink()  # it may be a link
    pq.write_table(table, path, compression="zstd")


def copy_or_link(source: Path, target: Path) -> None:
    """A hard link where the disk has them: models are large."""
    with suppress(OSError):
        os.link(source, target)
        return
    shutil.copy2(source, target)


def drop_empty(folder: Path) -> None:
    """Remove a folder and those in it as far as they hold nothing but locks."""
    for path in sorted(folder.rglob("*"), reverse=True):
        if path.is_dir() and {each.name for each in path.iterdir()} <= {LOCK}:
            shutil.rmtree(path)
    with suppress(OSError):
        folder.rmdir()
