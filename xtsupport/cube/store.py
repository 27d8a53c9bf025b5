"""From run folders to the cube, and from the cube to a table of scores.

The cube is one row per (condition, variant, task, language, language_2, seed, example_id, metric),
stored as a parquet dataset ``cube/task=.../`` so that nothing ever has to hold more than a task.
Scores are fractions 0..1 in the cube and percentages in every table made from it.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path

import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.dataset as ds
import pyarrow.parquet as pq

from xtsupport.cube.columns import REQUIRED, SCHEMA, WORD, WORDS
from xtsupport.errors import UserError
from xtsupport.files import HIDDEN, new_folder

ORDER = ("condition", "variant", "language", "language_2", "metric", "seed", "example_id")


def read_cube(
    path, tasks: Sequence[str] | None = None, columns: Sequence[str] | None = None
) -> pd.DataFrame:
    """The rows of a cube (a folder ``task=.../`` or one parquet file), strings as categories.

    ``tasks`` reads only those tasks, ``columns`` only those columns. UserError for a path that is
    not there, a file that is not whole, a task or column that the cube does not have.
    """
    dataset = open_cube(path)
    columns = list(dataset.schema.names if columns is None else columns)
    _known(path, "column", columns, dataset.schema.names)
    chosen = None
    if tasks is not None:
        _known(path, "task", tasks, cube_tasks(dataset))
        chosen = pc.field("task").isin(list(tasks))
    try:
        table = dataset.to_table(columns=columns, filter=chosen)
    except (pa.ArrowException, OSError) as error:
        raise UserError(
            f"{path}: a parquet file of the cube cannot be read ({error}); build the cube again"
        ) from error
    return to_frame(table)


def _known(path, noun: str, wanted: Iterable[str], have: Sequence[str]) -> None:
    if lacking := [name for name in wanted if name not in have]:
        told = f"; it has {', '.join(have)}"
        raise UserError(*(f"{path}: the cube has no {noun} {name!r}{told}" for name in lacking))


def open_cube(path) -> ds.Dataset:
    """The cube as a lazy dataset with dictionary-encoded strings. UserError as ``read_cube``."""
    path = Path(path)
    if not path.exists():
        raise UserError(f"{path}: there is no cube here; finish the study, or name its `cube` "
                        "folder")  # fmt: skip
    odd = (each for each in path.rglob("*") if each.is_file() and each.suffix != ".parquet")
    for each in odd if path.is_dir() else ():
        if not any(part.startswith(HIDDEN) for part in each.relative_to(path).parts):
            raise UserError(f"{path}: is not a cube, as it holds {each.name}; name the folder of "
                            "a finished study, or its `cube`")  # fmt: skip
    form = ds.ParquetFileFormat(read_options=ds.ParquetReadOptions(dictionary_columns=WORDS))
    folders = ds.HivePartitioning.discover(infer_dictionary=True)
    try:
        place = {"partitioning": folders, "ignore_prefixes": [*HIDDEN]}
        dataset = ds.dataset(path, format=form, **place)
        schema = _common_schema(dataset)
        dataset = ds.dataset(path, schema=schema, format=form, **place)
    except (pa.ArrowException, OSError) as error:
        if path.is_file() and path.suffix != ".parquet":
            raise UserError(f"{path}: is not a table of scores; name a study's folder, its cube, "
                            "or a CSV, TSV or parquet file") from error  # fmt: skip
        reason = f"{path}: not a complete parquet cube ({error}); build the cube again"
        raise UserError(reason) from error
    if not dataset.schema.names:
        raise UserError(f"{path}: the folder holds no parquet file; finish the study first")
    return dataset


def _common_schema(dataset: ds.Dataset) -> pa.Schema:
    """The columns that any file has, in a type that holds the values of all: by itself a dataset
    takes its first file's, and what that lacks is lost in silence."""
    every = [dataset.schema, *(part.physical_schema for part in dataset.get_fragments())]
    coded = [pa.schema([(each.name, WORD if each.name in WORDS else each.type) for each in one])
             for one in every]  # fmt: skip
    return pa.unify_schemas(coded, promote_options="permissive")


def cube_tasks(dataset: ds.Dataset) -> list[str]:
    """Names of the tasks in an open cube, sorted, without reading more than one column."""
    batches = dataset.to_batches(columns=["task"])
    return sorted({name for batch in batches for name in pc.unique(batch["task"]).to_pylist()})


def to_frame(table: pa.Table) -> pd.DataFrame:
    """A pandas frame of cube rows: categories for words, nullable int16 for counts."""
    nullable = {pa.int16(): pd.Int16Dtype()}
    return table.unify_dictionaries().to_pandas(
        types_mapper=nullable.get, self_destruct=True, split_blocks=True
    )


def stored_tasks(path, columns: Sequence[str]) -> Iterator[pd.DataFrame]:
    """The rows of a cube on disk, a frame per task, those of the columns that it has.

    Decoded one column after the other: at paper size a task fits into memory once its words are
    small codes, but not while all its columns are decoded at once. UserError as ``read_cube``, or
    without the column task.
    """
    dataset = open_cube(path)
    if "task" not in dataset.schema.names:
        raise UserError(f"{path}: the cube lacks the column task")
    for task in cube_tasks(dataset):
        mine = pc.field("task") == task
        names = pd.Categorical.from_codes([0], [task]).repeat(dataset.count_rows(filter=mine))
        found = {"task": names}
        for name in [name for name in columns if name in dataset.schema.names]:
            found[name] = to_frame(dataset.to_table(columns=[name], filter=mine))[name].array
        yield pd.DataFrame(found, copy=False)


def build_cube(run_folders: Iterable, out, languages: Mapping | None = None) -> Path:
    """Gather the runs' ``examples.parquet`` into the cube folder ``out`` and return it.

    Task by task and run by run (never more than one run in memory), rows sorted, without
    ``prediction``. ``languages`` maps a code to an object with ``family`` and ``group``, which
    then replace the runs' own. The new cube takes the old one's place in one rename. UserError
    for a folder without examples or a file that is not whole.
    """
    out = Path(out)
    files = [Path(folder) / "examples.parquet" for folder in run_folders]
    absent = [file for file in files if not file.exists()]
    if not files:
        raise UserError("no finished runs: there is nothing to put into the cube")
    if absent:
        raise UserError(*(f"{file}: missing; run the study again" for file in absent))
    with new_folder(out) as fresh, ExitStack() as open_files:
        writers: dict[str, pq.ParquetWriter] = {}
        for file in sorted(files):
            for task, table in _run_tables(file, languages):
                if task not in writers:
                    part = fresh / f"task={task}" / "part-0.parquet"
                    part.parent.mkdir()
                    writer = pq.ParquetWriter(part, table.schema, compression="zstd")
                    writers[task] = open_files.enter_context(writer)
                writers[task].write_table(table)
    return out


def _run_tables(file: Path, languages) -> list[tuple[str, pa.Table]]:
    try:
        table = pq.read_table(file)
    except (pa.ArrowException, OSError) as error:
        raise UserError(
            f"{file}: not a complete parquet file ({error}); delete its folder, rerun the study"
        ) from error
    missing = [name for name in REQUIRED if name not in table.column_names]
    if missing:
        raise UserError(f"{file}: lacks the column(s) {', '.join(missing)}")
    columns = {name: table[name] for name in table.column_names}
    if languages is not None:
        known = [languages.get(code) for code in table["language"].cast(pa.string()).to_pylist()]
        for name in ("family", "group"):
            words = [getattr(each, name) if each else None for each in known]
            columns[name] = pa.array(words, pa.string())
    arrays = [columns[f.name].cast(f.type) if f.name in columns else pa.nulls(len(table), f.type)
              for f in SCHEMA]  # fmt: skip
    table = pa.table(arrays, schema=SCHEMA)
    plain = {name: table[name].cast(pa.string()) if name in WORDS else table[name]
             for name in ORDER}  # fmt: skip
    order = pc.sort_indices(pa.table(plain), [(name, "ascending") for name in ORDER])
    table = table.take(order)
    return [(task, table.filter(pc.equal(table["task"], task)).drop_columns(["task"]))
            for task in sorted(pc.unique(table["task"]).to_pylist())]  # fmt: skip
