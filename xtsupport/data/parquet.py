"""The parquet files of a mirror: found, read whole or refused, fingerprinted."""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from xtsupport.errors import UserError


def shards(folder: Path, split: str) -> tuple[Path, ...]:
    """The split's files in order, () if there are none.

    UserError unless they are one whole set of regular files (a pipe would wait for ever): none
    absent, none twice, none of another set.
    """
    if folder.name == "default" and not folder.is_dir():
        folder = folder.with_name("data")  # where the hub keeps a dataset's only configuration
    name = re.compile(rf"{re.escape(split)}-(\d+)-of-(\d+)(-\w+)?\.parquet")
    paths = sorted(folder.glob(f"{split}-*.parquet"))
    hits = [(int(hit[1]), int(hit[2]), path) for path in paths if (hit := name.match(path.name))]
    totals = sorted({total for _, total, _ in hits})
    if len(totals) > 1:
        raise UserError(f"{folder}: files of {split!r} in {' and in '.join(map(str, totals))} "
                        "parts; keep one set of them")  # fmt: skip
    found: dict[int, Path] = {}
    for number, total, path in hits:
        if number in found or number >= total:
            beside = f" beside {found[number].name}" if number in found else ""
            raise UserError(f"{path}: one file too many{beside}; keep one set of {total}")
        found[number] = path
    absent = sorted(set(range(sum(totals))) - set(found))
    if absent:
        raise UserError(f"{folder}: {split}-{absent[0]:05}-of-{totals[0]:05}.parquet is missing "
                        f"({len(found)} of {totals[0]} files there)")  # fmt: skip
    whole = folder / f"{split}.parquet"
    if found and whole.exists():
        raise UserError(f"{whole}: one file too many beside {found[0].name}; keep one set")
    for path in found.values():
        if not path.is_file():
            raise UserError(f"{path}: is not a regular file; copy it again")
    return tuple(found[number] for number in sorted(found))


def read(path: Path, columns=None) -> pa.Table:
    """All rows of a file, each kind of values in one type; UserError if it is not whole."""
    with _whole(path):
        table = pq.read_table(path, columns=columns, partitioning=None)
        plain = [(field.name, _plain(field.type)) for field in table.schema]
        return table.cast(pa.schema(plain, table.schema.metadata))


def together(paths: tuple[Path, ...]) -> pa.Table:
    """The rows of a split's files; UserError if a column is of another kind in one of them."""
    tables = [read(path) for path in paths]
    try:
        return pa.concat_tables(tables, promote_options="permissive")
    except pa.ArrowException as error:
        raise UserError(f"{paths[0].parent}: the files of a split do not fit together "
                        f"({str(error).splitlines()[0]})") from error  # fmt: skip


def first(source, wanted: int) -> pa.Table:
    """The first rows of a path or stream, of which no more row groups are read than needed."""
    with _whole(source):
        file = pq.ParquetFile(source)
        groups, there = 0, 0
        while groups < file.num_row_groups and there < wanted:
            there += file.metadata.row_group(groups).num_rows
            groups += 1
        return file.read_row_groups(list(range(groups))).slice(0, wanted)


def _plain(kind: pa.DataType) -> pa.DataType:
    """large_string -> string, dictionary -> its values, int32 -> int64, large_list -> list, ..."""
    is_ = pa.types
    if is_.is_dictionary(kind):
        return _plain(kind.value_type)
    if is_.is_large_string(kind) or is_.is_string_view(kind):
        return pa.string()
    if is_.is_integer(kind):
        return pa.int64()
    if is_.is_floating(kind):
        return pa.float64()
    if is_.is_struct(kind):
        return pa.struct([(field.name, _plain(field.type)) for field in kind])
    lists = is_.is_nested(kind) and hasattr(kind, "value_type")  # of all five kinds of lists
    return pa.list_(_plain(kind.value_type)) if lists else kind


def rows(path: Path) -> int:
    """The number of rows, from the file's metadata; UserError if it is truncated."""
    with _whole(path):
        return pq.read_metadata(path).num_rows


@contextmanager
def _whole(path) -> Iterator[None]:
    """A truncated or damaged file as a UserError."""
    try:
        yield
    except (pa.ArrowException, OSError) as error:
        reason = str(error).split("\n")[0]
        wrong = f"{path} is not a complete parquet file ({reason}); copy it again"
        raise UserError(wrong) from error
