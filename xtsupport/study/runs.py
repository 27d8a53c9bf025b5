"""Runs: one key, one result, in a store that studies and notebooks share (``outputs/runs/KEY``).

``run_folder`` writes them; ``run.json`` comes last, with the checksums of the other files. A folder
is whole when its ``run.json`` carries the wanted run key and every checksum holds: those of the
files, and that of ``run.json`` itself (``sealed``; older ones have none).
"""

import hashlib
import json
import os
import shlex
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from functools import cache, cached_property, lru_cache
from pathlib import Path
from typing import Any

from xtsupport import files, folders
from xtsupport.errors import UserError
from xtsupport.sides import short_name

FORMAT = 1  # part of every run key: raise it when the meaning of a run's files changes
LOCK, CHECKPOINT, RECORD, PLANNED = ".lock", "checkpoint", "run.json", "planned.json"
SEAL = "sha256"  # in a record: the checksum of all else that it says
PHASES = ("pretraining", "intermediate", "target", "retrieval")
SCORED = ("target", "retrieval")  # those that leave scores
NOTEBOOKS = {
    "data": "01_tasks_and_languages",
    "pretraining": "02_pretrained_model",
    "intermediate": "03_intermediate_training",
    "target": "04_target_transfer",
    "retrieval": "05_sentence_retrieval",
    "results": "06_results",
    "significance": "07_significance_by_family",
}
SHORT = 12  # digits of the key that name a folder of the store


@dataclass(frozen=True, eq=False)
class Run:
    """One piece of work; what it leaves lies in the store, ``outputs/runs/KEY``."""

    study: str
    phase: str
    condition: str
    seed: int
    name: str  # what it is within its study
    settings: dict = field(default_factory=dict)
    data: dict = field(default_factory=dict)
    options: dict = field(default_factory=dict)
    origins: dict = field(default_factory=dict)
    upstream: tuple["Run", ...] = ()
    variant: str = "plain"
    training_task: str = ""
    interactive: bool = False  # of a notebook: it may start from a shipped checkpoint of phase 2
    again: bool = False  # done although the package has one: a result of its own
    listed: str = ""  # the recipe, of a run that is read from a list
    made: str = ""  # the key, of a run that is read from its record

    @property
    def side(self) -> str:
        """The condition, with the variant of phase 3 unless that is plain: ``squad/source=de``."""
        return short_name((self.condition, self.variant))

    @cached_property
    def recipe(self) -> str:
        """Names what is to be done; known before anything is. Equal recipes, equal instructions."""
        identity = facts(self) | {"upstream": [each.recipe for each in self.upstream]}
        return self.listed or digest(identity | ({"again": True} if self.again else {}))

    @property
    def key(self) -> str | None:
        """Names the result: the recipe, and the contents of what it starts from.

        Equal keys, equal numbers. None while a run that it starts from is missing.
        """
        if self.made:
            return self.made
        parts = []
        for each in self.upstream:
            found = standing(each)
            if found is None:
                return None
            parts.append([found[1]["run_key"], content(found[1])])
        return digest([self.recipe, parts]) if parts else self.recipe

    @property
    def folder(self) -> Path:
        """Where its results lie or will lie. UserError while what it starts from is missing."""
        if self.phase == "analysis":
            return folders.outputs() / self.study / self.name
        key = self.key
        if key is None:
            raise UserError(*(absent(each) for each in self.upstream if standing(each) is None))
        return folders.runs() / key[:SHORT]


def facts(run: Run) -> dict:
    """What decides the result of a run, beside what it starts from."""
    names = ("phase", "condition", "variant", "training_task", "seed", "settings", "data")
    return {"format": FORMAT} | {name: getattr(run, name) for name in names}


def digest(value: object) -> str:
    """SHA-256 of a value of plain JSON types."""
    text = json.dumps(value, sort_keys=True, separators=(",", ":"), allow_nan=False)
    return hashlib.sha256(text.encode()).hexdigest()


def content(record: dict) -> str:
    """A checksum of what other runs take from a run: its model, or else all that it left."""
    left = {name: each["sha256"] for name, each in record["files"].items()}
    model = {name: sha for name, sha in left.items() if name.startswith("model/")}
    return digest(model or left)


def standing(run: Run, shipped: bool | None = None) -> tuple[Path, dict] | None:
    """(folder, record) that stand for a run: its own, else one of the package with its recipe.

    shipped: whether the package's phase 2 will do (default: for interactive runs); its phase 1
    always does. The files themselves are not looked at: a harmed run is done again in its place.
    """
    key = run.key
    if key is not None:
        folder = run.folder if run.phase == "analysis" else folders.runs() / key[:SHORT]
        record = read_record(folder)
        if record and record.get("run_key") == key:
            return folder, record
    if run.phase == "pretraining" or (run.interactive if shipped is None else shipped):
        return shipped_runs().get(run.recipe)
    return None


def find(run: Run, shipped: bool | None = None) -> Path | None:
    """The whole folder that stands for this run, in the store or in the package (``standing``)."""
    found = standing(run, shipped)
    return found[0] if found and not flaws(found[0]) else None


def is_whole(run: Run) -> bool:
    """Whether this run need not be done: intact in the store (phase 1: or in the package)."""
    return find(run, shipped=False) is not None


def flaws(folder: Path, key: str | None = None) -> list[str]:
    """What keeps a folder from being whole, one line each. ``key`` None: any run will do."""
    record, wrong = _read(folder)
    if record is None:
        return [f"{folder / RECORD}: {wrong}"]
    if key is not None and record.get("run_key") != key:
        return [f"{folder}: was made with other settings, data or upstream runs"]
    found = []
    for name, stored in record["files"].items():
        path = Path(os.path.normpath(folder / name))  # analysis names files outside of its folder
        if not path.is_file():
            found.append(f"{path}: is missing")
        elif files.checksum(path) != stored["sha256"]:
            now, then = path.stat().st_size, stored["bytes"]
            size = f"now {now} bytes, then {then}" if now != then else "its size is the same"
            found.append(f"{path}: has changed since it was written ({size})")
    for place in (folder / name for name in record.get("folders", ())):
        found += [
            f"{os.path.normpath(path)}: is not one of the files that were written there"
            for path in inside(place)
            if relative(path, folder) not in record["files"]
            and not any(p.startswith(files.HIDDEN) for p in path.relative_to(place).parts)
        ]
    return found


SAID: dict[str, Any] = {  # by every record, whatever the phase
    **dict.fromkeys(("study", "phase", "condition", "variant", "training_task", "run_key"), str),
    **dict.fromkeys(("settings", "data", "upstream", "files"), dict),
    **{"seed": int, "seconds": (int, float)},
}


def read_record(folder: Path) -> dict | None:
    """The contents of ``run.json``; None when it is absent, truncated, changed or not a record."""
    return _read(folder)[0]


def _read(folder: Path) -> tuple[dict | None, str]:
    """The same, and what is wrong with it if None."""
    path = folder / RECORD
    with suppress(OSError, ValueError):
        if path.is_file():  # no pipe, which one would wait for
            return _record(path, (stat := path.stat()).st_size, stat.st_mtime_ns)
    return None, "cannot be read"


@lru_cache(maxsize=10_000)
def _record(path: Path, size: int, changed: int) -> tuple[dict | None, str]:
    record = json.loads(path.read_text(encoding="utf-8"))
    whole = isinstance(record, dict) and all(
        isinstance(record.get(name), kind) for name, kind in SAID.items()
    )
    if not whole or not all("sha256" in each for each in record["files"].values()):
        return None, "is no record of a run"
    said = {name: each for name, each in record.items() if name != SEAL}
    same = SEAL not in record or record[SEAL] == digest(said)
    return (record, "") if same else (None, "has changed since it was written")


def sealed(record: dict) -> dict:
    """A record, as JSON will give it back, with a checksum of what it says."""
    said = {name: each for name, each in record.items() if name != SEAL}
    said = json.loads(json.dumps(said, allow_nan=False))
    return said | {SEAL: digest(said)}


def require(run: Run) -> Path:
    """``find``, or a UserError that says how to get the missing run."""
    folder = find(run)
    if folder is None:
        raise UserError(absent(run))
    return folder


def absent(run: Run, params: str = "FILE", chosen: Sequence[str] = ()) -> str:
    """What to do about a missing or damaged run; params: the study's file; chosen: its --set."""
    given = [f"condition = {run.condition!r}"] * bool(run.condition)
    given += [f"settings = {[*chosen]}"] * bool(chosen)
    also = "".join(f" --set {shlex.quote(each)}" for each in chosen)
    wrong = flaws(found[0]) if (found := standing(run)) else []
    what = "; ".join(wrong) or "this earlier run is missing or was made with other settings"
    return (
        f"{run.name}: {what}. Run notebook {NOTEBOOKS[run.phase]}{' with ' * bool(given)}"
        f"{' and '.join(given)}, or the whole study in a terminal: xtsupport run {params}{also}"
    )


@cache
def shipped_runs() -> dict[str, tuple[Path, dict]]:
    """Recipe -> (folder, record) of the runs that come with the package."""
    found: dict[str, tuple[Path, dict]] = {}
    for path in sorted(folders.shipped().rglob(RECORD)):
        record = read_record(path.parent) or {}
        found.setdefault(record.get("recipe", ""), (path.parent, record))
    return found


def interactive(run: Run) -> Run:
    """The same run as a notebook does it: shipped phase 2 stands in for a missing one."""
    return replace(run, interactive=True, upstream=tuple(map(interactive, run.upstream)))


def upstream_records(run: Run) -> dict[str, dict]:
    """Name -> ``run.json`` of the runs that a run starts from and that are there."""
    found = {each.name: standing(each) for each in run.upstream}
    return {name: each[1] for name, each in found.items() if each}


def inside(folder: Path) -> list[Path]:
    """The files of a run folder that ``run.json`` vouches for."""
    return [
        path
        for path in sorted(folder.rglob("*"))
        if path.is_file()
        and path.name not in (LOCK, RECORD)
        and CHECKPOINT not in path.relative_to(folder).parts[:1]
    ]


def relative(path: Path, folder: Path) -> str:
    """A path as ``run.json`` names it, with forward slashes."""
    return Path(os.path.relpath(path, folder)).as_posix()
