"""From run folders to the cube, and from the cube to a table of scores.

The cube is one row per (condition, variant, task, language, language_2, seed, example_id, metric),
stored as a parquet dataset ``cube/task=.../`` so that nothing ever has to hold more than a task.
Scores are fractions 0..1 in the cube and percentages in every table made from it.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.dataset as ds
import pyarrow.parquet as pq

from xtsupport.errors import UserError
from xtsupport.study.atomic import new_folder

_WORD = pa.dictionary(pa.int32(), pa.string())
SCHEMA = pa.schema(
    [
        (name, _WORD)
        for name in (
            "study",
            "condition",
            "variant",
            "task",
            "language",
            "language_2",
            "family",
            "group",
        )
    ]
    + [
        ("seed", pa.int32()),
        ("example_id", _WORD),
        ("cluster_id", _WORD),
        ("metric", _WORD),
        ("score", pa.float32()),
    ]
    + [(name, pa.int16()) for name in ("tp", "fp", "fn")]
    + [("phase2_run", _WORD), ("phase3_run", _WORD)]
)
COUNTS = ["tp", "fp", "fn"]
REQUIRED = ["condition", "task", "language", "seed", "example_id", "cluster_id", "metric"]
KEY = ["condition", "variant", "task", "language", "language_2", "seed", "example_id", "metric"]
_RUN, _PLACE = ["condition", "variant", "seed"], ["language", "language_2"]


def read_cube(
    path, tasks: Sequence[str] | None = None, columns: Sequence[str] | None = None
) -> pd.DataFrame:
    """The rows of a cube (a folder ``task=.../`` or one parquet file), strings as categories.

    ``tasks`` reads only those tasks, ``columns`` only those columns. UserError for a path that is
    not there, a file that is not whole, a task or column that the cube does not have.
    """
    dataset = open_cube(path)
    columns = list(dataset.schema.names if columns is None else columns)
    unknown = [name for name in columns if name not in dataset.schema.names]
    if unknown:
        raise UserError(
            *(
                f"{path}: the cube has no column {name!r}; it has {', '.join(dataset.schema.names)}"
                for name in unknown
            )
        )
    chosen = None
    if tasks is not None:
        have = cube_tasks(dataset)
        missing = [task for task in tasks if task not in have]
        if missing:
            raise UserError(
                *(
                    f"{path}: the cube has no task {task!r}; it has {', '.join(have)}"
                    for task in missing
                )
            )
        chosen = pc.field("task").isin(list(tasks))
    try:
        table = dataset.to_table(columns=columns, filter=chosen)
    except (pa.ArrowException, OSError) as error:
        raise UserError(
            f"{path}: a parquet file of the cube cannot be read ({error}); build the cube again"
        ) from error
    return to_frame(table)


def open_cube(path) -> ds.Dataset:
    """The cube as a lazy dataset with dictionary-encoded strings. UserError as ``read_cube``."""
    path = Path(path)
    if not path.exists():
        raise UserError(
            f"{path}: there is no cube here; finish the study, or give the folder `cube` of one"
        )
    words = [field.name for field in SCHEMA if field.type == _WORD]
    form = ds.ParquetFileFormat(read_options=ds.ParquetReadOptions(dictionary_columns=words))
    try:
        dataset = ds.dataset(
            path, format=form, partitioning=ds.HivePartitioning.discover(infer_dictionary=True)
        )
    except (pa.ArrowException, OSError) as error:
        raise UserError(
            f"{path}: not a whole parquet cube ({error}); build the cube again"
        ) from error
    if not dataset.schema.names:
        raise UserError(f"{path}: the folder holds no parquet file; finish the study first")
    return dataset


def cube_tasks(dataset: ds.Dataset) -> list[str]:
    """Names of the tasks in an open cube, sorted, without reading more than one column."""
    return sorted(
        {
            word
            for batch in dataset.to_batches(columns=["task"])
            for word in pc.unique(batch["task"]).to_pylist()
        }
    )


def to_frame(table: pa.Table) -> pd.DataFrame:
    """A pandas frame of cube rows: categories for words, nullable int16 for counts."""
    nullable = {pa.int16(): pd.Int16Dtype()}
    return table.unify_dictionaries().to_pandas(
        types_mapper=nullable.get, self_destruct=True, split_blocks=True
    )


def complete(cube: pd.DataFrame) -> pd.DataFrame:
    """A copy with the columns that a cube may lack (variant, language_2, counts, run keys), words
    as categories.

    UserError when a required column is missing or a cube is empty.
    """
    missing = [name for name in REQUIRED if name not in cube]
    if missing or not ({"score"} & set(cube) or set(COUNTS) <= set(cube)):
        missing += [] if "score" in cube or set(COUNTS) <= set(cube) else ["score"]
        raise UserError(
            f"the cube lacks the column(s) {', '.join(missing)}; "
            f"it needs {', '.join(REQUIRED)} and score or tp, fp, fn"
        )
    if cube.empty:
        raise UserError("the cube is empty; finish at least one run of every condition first")
    cube = cube.copy(deep=False)
    for name, default in (
        ("variant", "plain"),
        ("language_2", None),
        ("phase2_run", None),
        ("phase3_run", None),
    ):
        if name not in cube:
            cube[name] = pd.Categorical.from_codes(
                np.full(len(cube), -1 if default is None else 0, np.int8), [default or ""]
            )
    for name in ("score", *COUNTS):
        if name not in cube:
            cube[name] = np.float32(np.nan)
    for field in SCHEMA:
        if (
            field.type == _WORD
            and field.name in cube
            and not isinstance(cube[field.name].dtype, pd.CategoricalDtype)
        ):
            cube[field.name] = cube[field.name].astype("category")
    cube["variant"] = (
        cube["variant"]
        .cat.add_categories([] if "plain" in cube["variant"].cat.categories else ["plain"])
        .fillna("plain")
    )
    return cube


def encode(frame: pd.DataFrame, columns: Sequence[str]) -> tuple[np.ndarray, pd.DataFrame]:
    """Number the distinct combinations of ``columns``: a code per row, and one row per
    combination (sorted).
    """
    key = np.zeros(len(frame), np.int64)
    for name in columns:
        column = frame[name]
        part = (
            column.cat.codes.to_numpy()
            if isinstance(column.dtype, pd.CategoricalDtype)
            else pd.factorize(column, sort=True)[0]
        )
        key = key * (int(part.max(initial=-1)) + 2) + part + 1
    codes, firsts = pd.factorize(key)
    rows = np.zeros(len(firsts), np.int64)
    rows[codes[::-1]] = np.arange(len(frame))[::-1]
    table = frame[list(columns)].iloc[rows].reset_index(drop=True)
    table = table.astype(
        {name: object for name in columns if isinstance(table[name].dtype, pd.CategoricalDtype)}
    )
    order = table.sort_values(list(columns), kind="stable").index.to_numpy()
    rank = np.empty(len(order), np.int64)
    rank[order] = np.arange(len(order))
    return rank[codes], table.iloc[order].reset_index(drop=True)


def validate_cube(cube: pd.DataFrame) -> None:
    """Refuse a cube that cannot be compared: UserError with the first offenders of every kind of
    problem.

    Checked per task: scores outside 0..1 or absent without counts, negative counts, duplicated
    rows, examples in two clusters, missing cells (a language or metric that some run of the task
    has and another lacks), and example ids that differ between runs of one language.
    Micro-averaged tasks may leave out examples with nothing to count, so their ids are not
    compared.
    """
    cube = complete(cube)
    problems: list[str] = []
    for task, rows in cube.groupby("task", observed=True, sort=True):
        problems += [f"{task}: {problem}" for problem in _problems(rows)]
    if problems:
        raise UserError(*problems)


def by_language(rows: pd.DataFrame, most: int = 3_000_000) -> Iterator[pd.DataFrame]:
    """The rows of one task in pieces of about ``most``, never cutting a language in two."""
    if len(rows) <= most:
        yield rows
        return
    place, places = encode(rows, ["language"])
    piece = np.cumsum(np.bincount(place, minlength=len(places))) // most
    for number in np.unique(piece):
        yield rows[(piece == number)[place]]


def _problems(rows: pd.DataFrame) -> list[str]:
    found, cells = [], []
    for part in by_language(rows):
        found += [*_bad_values(part), *_two_clusters(part)]
        run, runs = encode(part, _RUN)
        place, places = encode(part, [*_PLACE, "metric"])
        example, examples = encode(part, ["example_id"])
        repeated = pd.Series((run * len(places) + place) * len(examples) + example).duplicated()
        found += _first(part, repeated.to_numpy(), "duplicated rows", KEY)
        count = np.bincount(run * len(places) + place, minlength=len(runs) * len(places))
        count = count.reshape(len(runs), -1)
        names = pd.MultiIndex.from_frame(places)
        cells.append(pd.DataFrame(count, pd.MultiIndex.from_frame(runs), names))
        if not repeated.any():
            found += _misaligned(part, run, place, example, count, runs, places, examples)
    counted = pd.concat(cells, axis=1).fillna(0)
    runs, places = counted.index.to_frame(index=False), counted.columns.to_frame(index=False)
    return found + _missing_cells(counted.to_numpy(), runs, places)


def _first(rows, bad, what, columns, limit=3) -> list[str]:
    if not bad.any():
        return []
    shown = rows.loc[bad, columns].iloc[:limit]
    named = "; ".join(
        ", ".join(f"{name}={value}" for name, value in row.items() if not pd.isna(value))
        for row in shown.to_dict("records")
    )
    return [f"{what}: {int(bad.sum())}, first {named}"]


def _bad_values(rows) -> list[str]:
    where = ["condition", "variant", "language", "seed", "example_id", "metric"]
    score = rows["score"].to_numpy(dtype=float, na_value=np.nan)
    counts = np.stack([rows[name].to_numpy(dtype=float, na_value=np.nan) for name in COUNTS])
    found = _first(
        rows,
        (score < 0) | (score > 1),
        "scores outside 0..1 (fractions, not percentages)",
        [*where, "score"],
    )
    found += _first(
        rows,
        np.isnan(score) & np.isnan(counts).any(0),
        "rows with neither a score nor tp, fp and fn",
        where,
    )
    found += _first(rows, (counts < 0).any(0), "negative counts", [*where, *COUNTS])
    blank = rows[["example_id", "cluster_id", "seed"]].isna().any(axis=1).to_numpy()
    return found + _first(rows, blank, "rows without example_id, cluster_id or seed", where)


def _two_clusters(rows) -> list[str]:
    _, pairs = encode(rows, [*_PLACE, "example_id", "cluster_id"])
    twice = pairs.duplicated([*_PLACE, "example_id"], keep=False).to_numpy()
    return _first(
        pairs, twice, "examples in two clusters", ["language", "example_id", "cluster_id"]
    )


def _missing_cells(cells, runs, places) -> list[str]:
    """Every run of a task needs every language and metric that any run has; pairs of languages
    are a stratum of their own.
    """
    expected = np.ones_like(cells, bool)
    pairs = places["language_2"].notna().to_numpy()
    for stratum in (pairs, ~pairs):
        expected[np.ix_(cells[:, stratum].sum(1) == 0, stratum)] = False
    holes = np.argwhere(expected & (cells == 0))
    if not len(holes):
        return []
    table = pd.concat(
        [
            runs.iloc[holes[:, 0]].reset_index(drop=True),
            places.iloc[holes[:, 1]].reset_index(drop=True),
        ],
        axis=1,
    )
    return _first(
        table,
        np.ones(len(table), bool),
        "missing cells (other runs of this task have them)",
        list(table),
    )


def _misaligned(rows, run, place, example, cells, runs, places, examples) -> list[str]:
    """Compare the set of example ids of each run by a random 32-bit sum per cell; name one
    differing id only where it differs.
    """
    scored = rows["score"].notna().to_numpy()
    tags = np.random.default_rng(0).integers(0, 2**32, len(examples)).astype(float)
    cell = run * len(places) + place
    sums = np.bincount(cell[scored], tags[example[scored]], minlength=cells.size).reshape(
        cells.shape
    )
    for p in np.flatnonzero((sums > 0).any(0)):
        filled = np.flatnonzero(sums[:, p])
        odd = filled[sums[filled, p] != sums[filled[0], p]]
        if len(odd):
            return [_difference(filled[0], odd[0], p, run, place, example, runs, places, examples)]
    return []


def _difference(one, other, p, run, place, example, runs, places, examples) -> str:
    ids = [set(example[(run == r) & (place == p)]) for r in (one, other)]
    names = ["/".join(map(str, runs.iloc[r])) for r in (one, other)]
    extra = sorted(examples["example_id"].iloc[list(ids[0] ^ ids[1])])
    return (
        f"misaligned example ids in {places['language'].iloc[p]} ({places['metric'].iloc[p]}): "
        f"{names[0]} has {len(ids[0])}, {names[1]} has {len(ids[1])}, "
        f"{len(extra)} in only one of them, first {', '.join(map(str, extra[:3]))}"
    )


def score_table(cube: pd.DataFrame) -> pd.DataFrame:
    """Percentages per condition, variant, task, language, seed and metric, with the number of
    examples.

    Columns: condition, variant, task, language, language_2, family, group (where the cube has
    them), seed, metric, score (0..100), n_examples. Micro F1 (rows with counts and no score) is
    2tp / (2tp + fp + fn), 0 where there is nothing to count.
    """
    cube = complete(cube)
    keys = [
        name
        for name in ("condition", "variant", "task", *_PLACE, "family", "group", "seed", "metric")
        if name in cube
    ]
    code, table = encode(cube, keys)
    score = cube["score"].to_numpy(dtype=float, na_value=np.nan)
    scored = ~np.isnan(score)
    total, n = (
        np.bincount(code[scored], score[scored], len(table)),
        np.bincount(code, minlength=len(table)),
    )
    tp, fp, fn = (
        np.bincount(
            code[~scored], cube[name].to_numpy(dtype=float, na_value=0)[~scored], len(table)
        )
        for name in COUNTS
    )
    micro = np.bincount(code[~scored], minlength=len(table)) > 0
    f1 = 2 * tp / np.maximum(2 * tp + fp + fn, 1)
    table["score"] = 100 * np.where(micro, f1, total / n)
    table["n_examples"] = n
    return table


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
            f"{file}: not a whole parquet file ({error}); delete its folder and run the study again"
        ) from error
    missing = [name for name in REQUIRED if name not in table.column_names]
    if missing:
        raise UserError(f"{file}: lacks the column(s) {', '.join(missing)}")
    if languages is not None:
        codes = table["language"].cast(pa.string()).to_pylist()
        for name in ("family", "group"):
            words = {
                code: getattr(languages[code], name) for code in set(codes) if code in languages
            }
            table = table.drop_columns([name] if name in table.column_names else [])
            table = table.append_column(
                name, pa.array([words.get(code) for code in codes], pa.string())
            )
    arrays = [
        table[f.name].cast(f.type) if f.name in table.column_names else pa.nulls(len(table), f.type)
        for f in SCHEMA
    ]
    table = pa.table(arrays, schema=SCHEMA)
    keys = [
        (name, "ascending")
        for name in (
            "condition",
            "variant",
            "language",
            "language_2",
            "metric",
            "seed",
            "example_id",
        )
    ]
    plain = pa.table(
        {
            name: table[name].cast(pa.string())
            if table.schema.field(name).type == _WORD
            else table[name]
            for name, _ in keys
        }
    )
    table = table.take(pc.sort_indices(plain, keys))
    tasks = pc.unique(table["task"]).to_pylist()
    return [
        (task, table.filter(pc.equal(table["task"], task)).drop_columns(["task"]))
        for task in sorted(tasks)
    ]
