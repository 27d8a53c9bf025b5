"""Files that are whole or absent: written under a temporary name, flushed to disk, renamed."""

import errno
import hashlib
import json
import os
import re
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from functools import lru_cache
from pathlib import Path

from xtsupport.errors import UserError
from xtsupport.folders import user_cache

HIDDEN = (".", "_", "Thumbs.db", "desktop.ini")  # what file managers leave and nobody reads
OPEN_FILES = 256  # at once, of one process: a kernel needs some 70
LARGE = 2**24  # bytes: a fiftieth of a second to read; weights have more


@contextmanager
def draft(path: Path) -> Iterator[Path]:
    """A temporary path beside ``path``, flushed and renamed when the block ends well."""
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        yield temporary
        flush(temporary)
        temporary.replace(path)
        flush(path.parent)
    except BaseException:
        shutil.rmtree(temporary) if temporary.is_dir() else temporary.unlink(missing_ok=True)
        raise


@contextmanager
def new_folder(path: Path) -> Iterator[Path]:
    """``draft`` for a folder that replaces ``path``."""
    with draft(path) as temporary:
        temporary.mkdir()
        yield temporary
        for each in temporary.rglob("*"):
            flush(each)
        if path.exists():
            shutil.rmtree(path)


def flush(path: Path) -> None:
    """Make sure a file or folder is on disk and not only in memory."""
    if os.name == "nt" and path.is_dir():
        return  # Windows cannot open folders
    handle = os.open(path, os.O_RDWR if os.name == "nt" else os.O_RDONLY)  # it flushes no other
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def read_json(path: Path) -> dict | None:
    """The object that a JSON file holds; None where there is none that can be read."""
    with suppress(OSError, ValueError):
        found = json.loads(path.read_text(encoding="utf-8"))
        return found if isinstance(found, dict) else None
    return None


def read_text(path: Path) -> str:
    """The text of a user's file, in UTF-8 or marked as UTF-16; UserError if it is no such."""
    with path.open("rb") as file:
        marked = file.read(2) in (b"\xff\xfe", b"\xfe\xff")
    try:
        return path.read_text(encoding="utf-16" if marked else "utf-8-sig")
    except UnicodeError as error:
        coding, place = "UTF-16" if marked else "UTF-8", getattr(error, "start", 0)
        raise UserError(f"{path}: is not {coding} text (byte {place}); save it as UTF-8") from None


def write_text(path: Path, text: str) -> Path:
    """Write text as UTF-8, all or nothing."""
    with draft(path) as temporary:
        temporary.write_text(text, encoding="utf-8", newline="\n")
    return path


def write_json(path: Path, value: object) -> Path:
    """Write a value as readable JSON, all or nothing. Raises ValueError for NaN and infinities."""
    return write_text(path, json.dumps(value, indent=1, ensure_ascii=False, allow_nan=False) + "\n")


def write_parquet(path: Path, table) -> Path:
    """Write a pandas DataFrame or a pyarrow Table as zstd parquet, all or nothing."""
    import pyarrow
    import pyarrow.parquet

    if not isinstance(table, pyarrow.Table):
        table = pyarrow.Table.from_pandas(table, preserve_index=False)
    with draft(path) as temporary:
        pyarrow.parquet.write_table(table, temporary, compression="zstd")
    return path


def read_csv(path):
    """A table that ``to_csv`` wrote, as it was: `nan`, `NA` and `007` stay words, empty is null.

    Raises UserError for a file that is none.
    """
    import pandas

    words = dict.fromkeys(("task", "language", "language_2", "metric", "code"), str)
    try:
        return pandas.read_csv(path, keep_default_na=False, na_values=[""], dtype=words)
    except ValueError as error:  # empty, no text, lines of unequal length
        raise UserError(f"{path}: is no table ({str(error).strip()})") from None


def is_locked(path: Path) -> bool:
    """Whether another process holds a lock now. Only looks, also where nobody may write."""
    if not path.is_file():
        return False
    try:
        with locked(path, "", wait=0):
            return False
    except UserError:
        return True
    except OSError:  # no right to write, and a lock that is only asked for needs none
        if os.name == "nt":
            raise
        import fcntl

        with path.open("rb") as file, suppress(BlockingIOError):
            fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
            return False
        return True


@contextmanager
def locked(path: Path, message: str, wait: float = 5) -> Iterator[None]:
    """Hold a lock that dies with the process. UserError(message) when another process has it."""
    from filelock import FileLock, Timeout

    try:
        with FileLock(path, timeout=wait):
            yield
    except Timeout:
        raise UserError(message) from None


def allow_open_files() -> None:
    """Let this process and its children open enough files at once, where the system allows it."""
    if os.name == "nt":
        return
    import resource

    now, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    if 0 <= most < OPEN_FILES:  # negative: no limit
        raise UserError(
            f"ulimit -n = {most}: a process may open too few files at once; a study needs "
            f"{OPEN_FILES}. Raise the limit (`ulimit -Hn`, or limits.conf of the system)"
        )
    if 0 <= now < OPEN_FILES:
        resource.setrlimit(resource.RLIMIT_NOFILE, (OPEN_FILES, most))


@contextmanager
def plain_disk_errors(folder: Path) -> Iterator[None]:
    """A full or read-only disk as one line that names the folder."""
    try:
        yield
    except Exception as error:
        in_rust = re.search(r"\(os error (\d+)\)", str(error))  # safetensors, tokenizers
        number = int(in_rust[1]) if in_rust else getattr(error, "errno", None)
        if number not in DISK:
            raise
        raise UserError(
            f"{getattr(error, 'filename', None) or folder}: {DISK[number]}; nothing finished is "
            "lost, run the same command again afterwards"
        ) from error


DISK = {
    errno.ENOTDIR: "is not a folder; move it away",
    errno.EEXIST: "is not a folder; move it away",
    errno.ENOSPC: "the disk is full; free some space",
    errno.EDQUOT: "the disk quota is used up; free some space",
    errno.EROFS: "the disk is read-only; make outputs/ writable",
    errno.EACCES: "writing is not allowed here; make outputs/ writable",
    errno.EPERM: "writing is not allowed here; make outputs/ writable",
}


def described(path: Path) -> dict:
    """Size and checksum of a file."""
    return {"bytes": path.stat().st_size, "sha256": checksum(path)}


def checksum(path: Path) -> str:
    """SHA-256 of a file; read again only when its size or time changed.

    Of a `LARGE` file no process reads it again, whichever of its names it has: the user's cache
    keeps the checksum.
    """
    stat = path.stat()
    return _checksum(path, (stat.st_dev, stat.st_ino, stat.st_size, stat.st_mtime_ns))


@lru_cache(maxsize=100_000)
def _checksum(path: Path, state: tuple[int, ...]) -> str:
    kept = user_cache() / "checksums" / "-".join(map(str, state)) if state[2] >= LARGE else None
    if kept and kept.is_file():
        return kept.read_text(encoding="ascii")
    with path.open("rb") as stream:
        found = hashlib.file_digest(stream, "sha256").hexdigest()
    if kept:
        with suppress(OSError):  # a cache that is read-only
            write_text(kept, found)
    return found
