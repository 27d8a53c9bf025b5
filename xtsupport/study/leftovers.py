"""What lies in the store of runs and is used by no study: ``xtsupport clean``."""

import re
import shutil
from collections.abc import Collection, Iterable
from dataclasses import dataclass
from pathlib import Path

from xtsupport import files, folders
from xtsupport.errors import UserError
from xtsupport.study import runs
from xtsupport.study.labels import Done, departure
from xtsupport.study.plan import open_study
from xtsupport.study.run_store import LIST, NEVER, described, entries, headless, read_list
from xtsupport.study.runs import CHECKPOINT, LOCK, PHASES, RECORD, SHORT, Run

NAME = re.compile(f"[0-9a-f]{{{SHORT}}}")  # of a run's folder: others are not ours to remove


@dataclass(frozen=True)
class Leftover:
    """A folder of runs that no study lists: what it is, and how large."""

    folder: Path
    what: str
    size: int  # bytes


def leftovers() -> list[Leftover]:
    """What lies in the store and is used by no study, largest first; nothing that is being written.

    A study uses what its ``runs.csv`` names (by key, or by recipe where a run has no key yet), what
    its params file plans now, and whatever these start from.
    """
    rows = [row for path in folders.outputs().glob(f"*/{LIST}") for row in read_list(path.parent)]
    records = {each: runs.read_record(each) or runs.read_record(each / CHECKPOINT) or {}
               for each in entries(folders.runs()) if NAME.fullmatch(each.name)}  # fmt: skip
    planned, unplanned = planned_now(records.values())
    used = {row["run_key"] or row["recipe"] for row in rows} | unplanned
    made = [run for each in planned.values() for run in each]
    used |= {each for run in made for each in (run.recipe, run.key) if each}
    names = {folder: {folder.name, *map(record.get, ("run_key", "recipe"))}
             for folder, record in records.items()}  # fmt: skip
    used |= {each[:SHORT] for each in used}
    for _ in PHASES:  # each may start from one of an earlier phase
        above = [each for folder, each in records.items() if each and used & names[folder]]
        used |= {key for each in above for key in each["upstream"].values()}
    found = []
    for folder, record in records.items():
        if not used & names[folder] and not files.is_locked(folder / LOCK):
            size = sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())
            found.append(Leftover(folder, words(folder, record, planned), size))
    return sorted(found, key=lambda each: -each.size)


def planned_now(records: Collection[dict]) -> tuple[dict[Path, tuple[Run, ...]], set[str]]:
    """What the studies in ``outputs/`` and the params files that records name plan now; and, where
    a file cannot be planned, such as without its data, the keys of all that it was run for.
    """
    made_for: dict[Path, set[str]] = {
        path: {path.parent.name} for path in folders.outputs().glob("*/settings.yaml")
    }
    for record in filter(None, records):
        for name in {*record.get("origins", {}).values()} - {"--set"}:
            for path in map(folders.params_file, (name, f"params/{name}")):
                made_for.setdefault(path, set()).add(record["study"])
    planned: dict[Path, tuple[Run, ...]] = {}
    unknown: set[str] = set()
    for path in filter(Path.is_file, made_for):
        try:
            planned[path] = open_study(path).plan.runs
        except UserError:
            unknown |= made_for[path]
    return planned, {each["run_key"] for each in records if each and each["study"] in unknown}


def words(folder: Path, record: dict, planned: dict[Path, tuple[Run, ...]]) -> str:
    """What a folder of the store holds, with the settings that its study or params file has not."""
    if record:
        files_of = {*record.get("origins", {}).values()}
        usual = {
            run.recipe: run
            for path, made in planned.items()
            if path.name in files_of or path.parent.name == record["study"]
            for run in made
        }
        done = Done(folder, record, departure(Done(folder, record), usual))
        half = "" if (folder / RECORD).exists() else ", unfinished"
        return described(record | {"condition": done.condition}) + half
    if (folder / RECORD).exists():
        return f"run whose {RECORD} cannot be read, or has changed"
    return f"run without {RECORD}, {NEVER}" if headless(folder) else "unfinished run"


def remove(found: Iterable[Leftover]) -> None:
    """Delete leftovers; the record goes first, so that half a folder never looks like a run. Of a
    link what it leads to stays."""
    for folder in (each.folder for each in found):
        if folder.is_symlink():
            folder.unlink()
            continue
        (folder / RECORD).unlink(missing_ok=True)
        shutil.rmtree(folder)
    for path in folders.frozen().glob("*.safetensors"):
        if path.stat().st_nlink == 1:  # no run has it any more
            path.unlink()
