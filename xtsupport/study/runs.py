"""Run folders: written so that nothing half-done is ever read as whole.

Every file is written under a temporary name, flushed to disk and renamed. ``run.json`` comes last,
with the checksums of the others; a folder is whole when its ``run.json`` carries the wanted run key
and every checksum holds.
"""

import hashlib
import json
import os
import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from functools import cache, cached_property
from pathlib import Path

from xtsupport import folders
from xtsupport.errors import UserError
from xtsupport.files import (
    checksum,
    described,
    locked,
    new_folder,
    plain_disk_errors,
    write_json,
    write_parquet,
    write_text,
)
from xtsupport.study import provenance

FORMAT = 1  # part of every run key: raise it when the meaning of a run's files changes
LOCK, CHECKPOINT, RECORD = ".lock", "checkpoint", "run.json"


@dataclass(frozen=True, eq=False)
class Run:
    """One piece of work with a folder of its own."""

    study: str
    phase: str
    condition: str
    seed: int
    name: str  # folder below outputs/STUDY
    folder: Path
    settings: dict
    data: dict = field(default_factory=dict)
    options: dict = field(default_factory=dict)
    origins: dict = field(default_factory=dict)
    upstream: tuple["Run", ...] = ()
    variant: str = "plain"
    training_task: str = ""

    @property
    def side(self) -> str:
        """The condition, with the variant of phase 3 unless that is plain: ``squad/source=de``."""
        return self.condition if self.variant == "plain" else f"{self.condition}/{self.variant}"

    @cached_property
    def key(self) -> str:
        """Names the result: equal keys, equal numbers."""
        identity = {
            "format": FORMAT,
            "phase": self.phase,
            "condition": self.condition,
            "variant": self.variant,
            "training_task": self.training_task,
            "seed": self.seed,
            "settings": self.settings,
            "data": self.data,
            "upstream": [each.key for each in self.upstream],
        }
        text = json.dumps(
            identity, sort_keys=True, separators=(",", ":"), ensure_ascii=True, allow_nan=False
        )
        return hashlib.sha256(text.encode()).hexdigest()


def is_whole(run: Run) -> bool:
    """Whether the folder holds what this run would leave: same key, all files intact."""
    return not flaws(run.folder, run.key)


def flaws(folder: Path, key: str | None = None) -> list[str]:
    """What keeps a folder from being whole, one line each. ``key`` None: any run will do."""
    record = read_record(folder)
    if record is None:
        return [f"{folder}: no readable {RECORD}"]
    if key is not None and record.get("run_key") != key:
        return [f"{folder}: is of other settings, data or upstream runs"]
    found = []
    for name, stored in record["files"].items():
        path = folder / name
        if not path.is_file():
            found.append(f"{path}: is missing")
        elif checksum(path) != stored["sha256"]:
            found.append(
                f"{path}: has changed since it was written (now {path.stat().st_size} bytes, "
                f"then {stored['bytes']})"
            )
    return found


def read_record(folder: Path) -> dict | None:
    """The contents of ``run.json``; None when it is absent, truncated or not a record."""
    try:
        record = json.loads((folder / RECORD).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    return record if isinstance(record, dict) and isinstance(record.get("files"), dict) else None


def find(run: Run) -> Path | None:
    """The whole folder of this run: in its place, its study, scratch, or the package."""
    for folder in places(run):
        if not flaws(folder, run.key):
            return folder
    return None


def require(run: Run) -> Path:
    """``find``, or a UserError that says how to get the missing run."""
    folder = find(run)
    if folder is None:
        raise UserError(
            f"{run.name}: this earlier run is missing or of other settings; run the notebook of "
            f"phase {run.phase} with condition {run.condition!r}, or `xtsupport run` the study"
        )
    return folder


def places(run: Run) -> Iterator[Path]:
    """Every folder that may hold a run, nearest first."""
    yield run.folder
    yield folders.outputs() / run.study / run.name
    yield folders.scratch() / run.key
    yield from shipped_runs().get(run.key, ())


@cache
def shipped_runs() -> dict[str, list[Path]]:
    """Run key -> folders that come with the package."""
    found: dict[str, list[Path]] = {}
    for path in sorted(folders.shipped().rglob(RECORD)):
        record = read_record(path.parent) or {}
        found.setdefault(record.get("run_key", ""), []).append(path.parent)
    return found


def into_scratch(run: Run) -> Run:
    """The same run, to be done in ``outputs/scratch/<run key>`` instead of its study."""
    return replace(run, folder=folders.scratch() / run.key)


class Stopwatch:
    """When something started, and how long ago by a clock that nobody sets."""

    def __init__(self):
        self.started = time.time()
        self._begun, self._cpu = time.monotonic(), time.process_time()

    @property
    def seconds(self) -> float:
        """Seconds since the start."""
        return round(time.monotonic() - self._begun, 3)

    @property
    def cpu_seconds(self) -> float:
        """Seconds of a processor that this process took since the start."""
        return round(time.process_time() - self._cpu, 3)


class RunFolder:
    """An open run folder with atomic writers."""

    def __init__(self, run: Run):
        self.run, self.path, self.notes = run, run.folder, {}

    def note(self, **facts) -> None:
        """Facts for ``run.json``, such as ``tokens=..., device=..., collapsed=False``."""
        self.notes |= facts

    @property
    def checkpoint(self) -> Path:
        """A folder for what is needed to continue; removed once the run is whole."""
        folder = self.path / CHECKPOINT
        folder.mkdir(exist_ok=True)
        write_text(folder / "run_key", self.run.key)
        return folder

    def write_json(self, name: str, value: object) -> Path:
        """Write a value as JSON."""
        return write_json(self.path / name, value)

    def write_text(self, name: str, text: str) -> Path:
        """Write text as UTF-8."""
        return write_text(self.path / name, text)

    def write_csv(self, name: str, frame) -> Path:
        """Write a pandas DataFrame as CSV without its index."""
        return write_text(self.path / name, frame.to_csv(index=False, lineterminator="\n"))

    def write_parquet(self, name: str, table) -> Path:
        """Write a pandas DataFrame or a pyarrow Table as parquet."""
        return write_parquet(self.path / name, table)

    def new_folder(self, name: str):
        """Context manager: a folder that gets its name when the block ends well (a model)."""
        return new_folder(self.path / name)


@contextmanager
def open_run(run: Run) -> Iterator[RunFolder]:
    """Do a run: locks the folder, clears what is stale, writes ``run.json`` when all went well.

    Raises UserError when another process writes the same folder, or the disk is full.
    """
    with plain_disk_errors(run.folder):
        run.folder.mkdir(parents=True, exist_ok=True)
        with locked(
            run.folder / LOCK,
            f"{run.name} is being written by another process; wait for it or stop it",
        ):
            clear(run)
            folder, watch = RunFolder(run), Stopwatch()
            yield folder
            folder.note(cpu_seconds=watch.cpu_seconds)
            seal(run.folder, record_of(run) | folder.notes, inside(run.folder), watch)
            shutil.rmtree(run.folder / CHECKPOINT, ignore_errors=True)


def clear(run: Run) -> None:
    """Remove what an earlier or a killed run left, except a checkpoint of this very run."""
    (run.folder / RECORD).unlink(missing_ok=True)
    for path in run.folder.iterdir():
        if path.name == LOCK or (path.name == CHECKPOINT and checkpoint_key(path) == run.key):
            continue
        shutil.rmtree(path) if path.is_dir() and not path.is_symlink() else path.unlink()


def checkpoint_key(folder: Path) -> str | None:
    """The run key a checkpoint belongs to."""
    try:
        return (folder / "run_key").read_text(encoding="utf-8")
    except OSError:
        return None


def inside(folder: Path) -> list[Path]:
    """The files of a run folder that ``run.json`` vouches for."""
    return [
        path
        for path in sorted(folder.rglob("*"))
        if path.is_file()
        and path.name not in (LOCK, RECORD)
        and CHECKPOINT not in path.relative_to(folder).parts[:1]
    ]


def record_of(run: Run) -> dict:
    """What ``run.json`` says of a run before it is done; nothing of where this machine has things.

    ``options["data"]`` is as the settings give it, relative to the project root.
    """
    options = {key: value for key, value in run.options.items() if key != "given"}
    if "given" in run.options:
        options["data"] = run.options["given"]
    return {
        "format": FORMAT,
        "run_key": run.key,
        "study": run.study,
        "phase": run.phase,
        "condition": run.condition,
        "variant": run.variant,
        "training_task": run.training_task,
        "seed": run.seed,
        "settings": run.settings,
        "options": options,
        "origins": run.origins,
        "data": run.data,
        "upstream": {each.name: each.key for each in run.upstream},
    }


def seal(folder: Path, record: dict, files: list[Path], watch: Stopwatch) -> None:
    """Write ``run.json``, and with it declare the run whole."""
    made = {
        "versions": provenance.versions(),
        "commit": provenance.commit(),
        "machine": provenance.machine(),
        "started": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(watch.started)),
        "seconds": watch.seconds,
        "peak_memory_bytes": provenance.peak_memory(),
        "files": {relative(path, folder): described(path) for path in files},
    }
    write_json(folder / RECORD, record | made)


def relative(path: Path, folder: Path) -> str:
    """A path as ``run.json`` names it, with forward slashes."""
    return Path(os.path.relpath(path, folder)).as_posix()
