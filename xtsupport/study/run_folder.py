"""Do a run: its folder under a lock, its files, and at last the record that says it is whole.

Every file is written under a temporary name, flushed to disk and renamed. A whole run is never
replaced: what is done otherwise has another key.
"""

import os
import platform
import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from xtsupport import files, folders
from xtsupport.errors import Stopped, UserError
from xtsupport.study import provenance, runs
from xtsupport.study.planned import planned_mark
from xtsupport.study.runs import Run

WAIT = 6 * 3600  # seconds to wait for another process that does the same run


class RunFolder:
    """An open run folder: what is written there, and what is noted of it."""

    def __init__(self, run: Run):
        self.run, self.path = run, run.folder
        self.notes: dict[str, object] = {}
        self.identity = identity(run)

    def note(self, **facts) -> None:
        """Facts for ``run.json``, such as ``tokens=..., device=..., collapsed=False``."""
        self.notes |= facts

    @property
    def checkpoint(self) -> Path:
        """A folder for what is needed to continue, and a record of whose it is; removed once the
        run is whole."""
        folder = self.path / runs.CHECKPOINT
        folder.mkdir(exist_ok=True)
        record = record_of(self.run) | self.identity | {"seconds": 0, "files": {}}
        files.write_json(folder / runs.RECORD, record)
        return folder

    def write_csv(self, name: str, frame) -> Path:
        """Write a pandas DataFrame as CSV without its index."""
        return files.write_text(self.path / name, frame.to_csv(index=False, lineterminator="\n"))


@contextmanager
def open_run(run: Run) -> Iterator[RunFolder]:
    """Do a run: locks the folder, clears what is left over, writes ``run.json`` when all went well.

    Waits while another process does the same run. Raises UserError when what the run starts from is
    missing, the run is finished already (a finished run is never replaced), or the disk is full.
    """
    for each in run.upstream:
        runs.require(each)
    folder = RunFolder(run)
    with files.plain_disk_errors(folder.path):
        folder.path.mkdir(parents=True, exist_ok=True)
        if files.is_locked(folder.path / runs.LOCK):
            text = "another process is working on this run; waiting for it"
            print(f"{run.name}: {text}", flush=True)
        busy = f"{run.name} is being written by another process; wait for it or stop it"
        with files.locked(folder.path / runs.LOCK, busy, wait=WAIT):
            if not runs.flaws(folder.path, folder.identity["run_key"]):
                raise UserError(
                    f"{run.name} is finished, and a finished run is never replaced: "
                    f"{folder.path}; run the cell or command again to continue from it"
                )
            clear(folder.path, folder.identity["run_key"])
            begun, cpu = time.monotonic(), time.process_time()
            try:
                yield folder
            except KeyboardInterrupt:  # outside of training, which ends in good order by itself
                raise Stopped(f"{run.name}: stopped; run the cell again to continue") from None
            folder.note(cpu_seconds=round(time.process_time() - cpu, 3))
            record = record_of(run) | folder.identity | folder.notes
            seal(folder.path, record, runs.inside(folder.path), begun)
            shutil.rmtree(folder.path / runs.CHECKPOINT, ignore_errors=True)


def clear(folder: Path, key: str) -> None:
    """Remove what a killed run left, except a checkpoint of this very run."""
    (folder / runs.RECORD).unlink(missing_ok=True)
    kept = {runs.LOCK}
    if (runs.read_record(folder / runs.CHECKPOINT) or {}).get("run_key") == key:
        kept.add(runs.CHECKPOINT)
    for path in (each for each in folder.iterdir() if each.name not in kept):
        shutil.rmtree(path) if path.is_dir() and not path.is_symlink() else path.unlink()


def identity(run: Run) -> dict:
    """What ``run.json`` says of the run's key and of what it starts from, which must be there."""
    above = runs.upstream_records(run)
    return {
        "run_key": run.key,
        "recipe": run.recipe,
        "upstream": {name: record["run_key"] for name, record in above.items()},
        "upstream_content": {name: runs.content(record) for name, record in above.items()},
    }


def record_of(run: Run) -> dict:
    """What ``run.json`` says of a run before it is done; nothing of where this machine has things.

    ``options["data"]`` is as the settings give it, relative to the project root. ``planned`` stands
    for what the study's planned.json says, where there is one.
    """
    options = {key: value for key, value in run.options.items() if key not in ("given", "texts")}
    if "given" in run.options:
        options["data"] = run.options["given"]
    planned = planned_mark(folders.outputs() / run.study)
    told = {"study": run.study, "options": options, "origins": run.origins}
    return runs.facts(run) | told | ({"planned": planned} if planned else {})


def seal(folder: Path, record: dict, left: list[Path], begun: float) -> None:
    """Write ``run.json``, and with it declare the run whole; begun: by ``time.monotonic``."""
    seconds = time.monotonic() - begun  # by a clock that nobody sets
    made = {
        "versions": provenance.versions(),
        "commit": provenance.commit(),
        "machine": f"{platform.system()} {platform.machine()}, {os.cpu_count()} cores",
        "started": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(time.time() - seconds)),
        "seconds": round(seconds, 3),
        "peak_memory_bytes": provenance.peak_memory(),
        "files": {runs.relative(path, folder): files.described(path) for path in left},
    }
    files.write_json(folder / runs.RECORD, runs.sealed(record | made))
