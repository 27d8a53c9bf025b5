"""The parquet files of a mirror: found, read whole or refused, fingerprinted."""

import hashlib
import re
from functools import lru_cache
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from xtsupport.errors import UserError


def shards(folder: Path, split: str) -> tuple[Path, ...]:
    """The split's files in order, () if there are none; UserError if one of several is absent."""
    if folder.name == "default" and not folder.is_dir():
        folder = folder.with_name("data")  # where the hub keeps a dataset's only configuration
    name = re.compile(rf"{re.escape(split)}-(\d+)-of-(\d+)(-\w+)?\.parquet")
    paths = sorted(folder.glob(f"{split}-*.parquet"))
    found = {int(hit[1]): (path, int(hit[2])) for path in paths if (hit := name.match(path.name))}
    total = max((total for _, total in found.values()), default=0)
    absent = sorted(set(range(total)) - set(found))
    if absent:
        raise UserError(f"{folder}: {split}-{absent[0]:05}-of-{total:05}.parquet is missing "
                        f"({len(found)} of {total} files there)")  # fmt: skip
    return tuple(found[number][0] for number in sorted(found))


def read(path: Path, columns=None) -> pa.Table:
    """All rows of a file; UserError if it is truncated or damaged."""
    try:
        return pq.read_table(path, columns=columns)
    except (pa.ArrowException, OSError) as error:
        raise _damaged(path, error) from error


def first(source, wanted: int) -> pa.Table:
    """The first rows of a path or stream, of which no more row groups are read than needed."""
    try:
        file = pq.ParquetFile(source)
        groups, there = 0, 0
        while groups < file.num_row_groups and there < wanted:
            there += file.metadata.row_group(groups).num_rows
            groups += 1
        return file.read_row_groups(list(range(groups))).slice(0, wanted)
    except (pa.ArrowException, OSError) as error:
        raise _damaged(source, error) from error


def rows(path: Path) -> int:
    """The number of rows, from the file's metadata; UserError if it is truncated."""
    try:
        return pq.read_metadata(path).num_rows
    except (pa.ArrowException, OSError) as error:
        raise _damaged(path, error) from error


def _damaged(path, error):
    reason = str(error).split("\n")[0]
    return UserError(f"{path} is not a whole parquet file ({reason}); copy it again")


def sha256(path: Path) -> str:
    """The file's sha256, remembered for as long as its size and time of change stay the same."""
    state = path.stat()
    return _sha256(path, state.st_size, state.st_mtime_ns)


@lru_cache(maxsize=4096)
def _sha256(path, _size, _changed):
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
