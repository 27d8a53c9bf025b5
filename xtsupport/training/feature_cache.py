"""Features kept on disk, so that many runs encode the same rows once.

They lie in `features/` of the user's cache folder, one file each, with a checksum. Its name is a
hash of everything the features depend on: the examples, the whole tokenizer, the settings, the code
and the versions of the libraries that encode. So none is ever stale, and one that is damaged is
made again. The folder keeps to `LIMIT` bytes, the files used longest ago going first.
"""

import contextlib
import hashlib
import json
import os
from collections.abc import Mapping
from functools import cache
from importlib.metadata import version
from itertools import pairwise
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from xtsupport.files import draft
from xtsupport.folders import user_cache
from xtsupport.training import features
from xtsupport.training.encoder import forget_cuts
from xtsupport.training.features import Features, featurise

LIMIT = 4 << 30  # bytes
FACTS = ("kind", "examples", "labels", "unanswerable", "truncated", "unplaced")


def encoded(examples, kind: str, tokenizer, settings: Mapping, labels=()) -> Features:
    """featurise() of a `datasets.Dataset` of examples, read from the cache if it is there;
    settings: of a run, such as max_length and, where there are any, stride and step."""
    cut = settings["max_length"], settings.get("stride", 0), tuple(labels), settings.get("step")
    path = user_cache() / "features" / key(examples, tokenizer, (kind, *cut))
    found = read(path)
    if found is None:
        found = featurise(examples[:], kind, tokenizer, *cut)
        with contextlib.suppress(OSError):  # a full or read-only disk costs time, not the run
            write(path, found)
            trim(path.parent, LIMIT)
    return found


def key(examples, tokenizer, settings: tuple) -> str:
    """A hash of all that the features depend on."""
    return _hash(content(examples), tokenizer_mark(tokenizer), settings, code_mark())


def tokenizer_mark(tokenizer) -> str:
    """A hash of the tokenizer, with what transformers adds to it."""
    forget_cuts(tokenizer)
    sides = tokenizer.padding_side, tokenizer.truncation_side
    return _hash(tokenizer.backend_tokenizer.to_str(), tokenizer.special_tokens_map, *sides)


def _hash(*parts) -> str:
    digest = hashlib.sha256()
    for part in parts:
        digest.update(hashlib.sha256(json.dumps(part).encode()).digest())
    return digest.hexdigest()


def content(examples) -> str:
    """The sha256 of the examples: every value of every column, in order."""
    table = examples.with_format("arrow")[:].replace_schema_metadata(None).combine_chunks()
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, table.schema) as stream:
        stream.write_table(table)
    return hashlib.sha256(sink.getvalue()).hexdigest()


@cache
def code_mark() -> list[str]:
    """A mark of the code that makes features and of the libraries that it calls."""
    ours = (Path(features.__file__), Path(__file__))
    marks = [hashlib.sha256(path.read_bytes()).hexdigest() for path in ours]
    return [*marks, *map(version, ("tokenizers", "transformers"))]


def write(path: Path, made: Features) -> None:
    """Store features as a checksum and a parquet file behind it, all or nothing."""
    names = list(made.rows[0]) if made.rows else []
    values = {name: [row[name] for row in made.rows] for name in names}
    if "offsets" in values:  # (n, 2), one after the other
        values["offsets"] = [each.ravel() for each in values["offsets"]]
    facts = {name: getattr(made, name) for name in FACTS}
    table = pa.table(values).replace_schema_metadata({"features": json.dumps(facts)})
    sink = pa.BufferOutputStream()
    pq.write_table(table, sink, compression="zstd")
    stored = sink.getvalue()
    with draft(path) as temporary:
        temporary.write_bytes(hashlib.sha256(stored).digest() + stored)


def read(path: Path) -> Features | None:
    """Stored features, None where there are none or the file is damaged."""
    try:
        stored = memoryview(path.read_bytes())
        os.utime(path)  # used just now
    except OSError:
        return None
    if hashlib.sha256(stored[32:]).digest() != stored[:32]:
        return None
    table = pq.read_table(pa.BufferReader(stored[32:]))
    facts = json.loads(table.schema.metadata[b"features"])
    columns = {name: _values(name, table[name].combine_chunks()) for name in table.column_names}
    rows = [dict(zip(columns, row, strict=True)) for row in zip(*columns.values(), strict=True)]
    return Features(rows=rows, **facts | {"labels": tuple(facts["labels"])})


def trim(place: Path, limit: int) -> None:
    """Delete the files used longest ago until the rest fits into `limit` bytes."""
    states = {path: path.stat() for path in place.glob("[!.]*")}
    total = sum(state.st_size for state in states.values())
    for path in sorted(states, key=lambda path: states[path].st_mtime):
        if total <= limit:
            return
        total -= states[path].st_size
        path.unlink(missing_ok=True)


def _values(name, column):
    """The rows' values of a column as featurise() makes them."""
    if not pa.types.is_list(column.type):
        return column.to_numpy().tolist()
    bounds = column.offsets.to_numpy().tolist()
    if name == "offsets":
        flat = column.values.to_numpy()
        return [flat[a:b].reshape(-1, 2) for a, b in pairwise(bounds)]
    flat = _values("", column.values)
    return [flat[a:b] for a, b in pairwise(bounds)]
