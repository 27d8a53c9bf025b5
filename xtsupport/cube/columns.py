"""The columns of a cube, and the refusal of cubes that cannot be compared."""

from collections.abc import Iterable, Iterator, Sequence

import numpy as np
import pandas as pd
import pyarrow as pa

from xtsupport.errors import UserError

COUNTS = ["tp", "fp", "fn"]
NAMES = ["condition", "variant", "task", "language", "language_2", "family", "group"]
WORD = pa.dictionary(pa.int32(), pa.string())
SCHEMA = pa.schema(
    [(name, WORD) for name in ("study", *NAMES)]
    + [("seed", pa.int32())]
    + [(name, WORD) for name in ("example_id", "cluster_id", "metric")]
    + [("score", pa.float32())]
    + [(name, pa.int16()) for name in COUNTS]
    + [(name, WORD) for name in ("phase2_run", "phase3_run")]
)
WORDS = [field.name for field in SCHEMA if field.type == WORD]
REQUIRED = ["condition", "task", "language", "seed", "example_id", "cluster_id", "metric"]
KEY = ["condition", "variant", "task", "language", "language_2", "seed", "example_id", "metric"]
_RUN, _PLACE = ["condition", "variant", "seed"], ["language", "language_2"]


def complete(cube: pd.DataFrame) -> pd.DataFrame:
    """A copy with the columns that a cube may lack, and words as categories.

    UserError when a required column is missing or a cube is empty.
    """
    missing = [name for name in REQUIRED if name not in cube]
    if "score" not in cube and not set(COUNTS) <= set(cube):
        missing.append("score")
    if missing:
        raise UserError(f"the cube lacks the column(s) {', '.join(missing)}; "
                        f"it needs {', '.join(REQUIRED)} and score or tp, fp, fn")  # fmt: skip
    if cube.empty:
        raise UserError("the cube is empty; finish at least one run of every condition first")
    cube = cube.copy(deep=False)
    for name in ("variant", "language_2", "phase2_run", "phase3_run"):
        if name not in cube:
            cube[name] = pd.Categorical.from_codes(np.full(len(cube), -1, np.int8), ["plain"])
    for name in ("score", *COUNTS):
        if name not in cube:
            cube[name] = np.float32(np.nan)
    for name in [name for name in WORDS if name in cube]:
        if not isinstance(cube[name].dtype, pd.CategoricalDtype):
            cube[name] = cube[name].astype("category")
    variant = cube["variant"].cat
    if "plain" not in variant.categories:
        cube["variant"] = variant.add_categories("plain")
    cube["variant"] = cube["variant"].fillna("plain")
    return cube


def encode(frame: pd.DataFrame, columns: Sequence[str]) -> tuple[np.ndarray, pd.DataFrame]:
    """Number the distinct combinations of ``columns``: a code per row (rows,), the sorted table."""
    key = np.zeros(len(frame), np.int64)
    for name in columns:
        words = isinstance(frame[name].dtype, pd.CategoricalDtype)
        part = frame[name].cat.codes.to_numpy() if words else pd.factorize(frame[name])[0]
        key = key * (int(part.max(initial=-1)) + 2) + part + 1
    codes, firsts = pd.factorize(key)
    rows = np.zeros(len(firsts), np.int64)
    rows[codes[::-1]] = np.arange(len(frame))[::-1]
    table = pd.DataFrame({name: frame[name].array[rows] for name in columns})
    coded = table.select_dtypes("category").columns
    table[coded] = table[coded].astype(object)
    order = table.sort_values(list(columns), kind="stable").index.to_numpy()
    rank = np.empty(len(order), np.int64)
    rank[order] = np.arange(len(order))
    return rank[codes], table.iloc[order].reset_index(drop=True)


def validate_cube(cube: pd.DataFrame) -> None:
    """Refuse a cube that cannot be compared: UserError with the first offenders of every kind.

    Checked per task: scores outside 0..1 or absent without counts, negative counts, duplicated
    rows, examples in two clusters, missing cells (a language or metric that some run of the task
    has and another lacks), and example ids that differ between runs of one language.
    Micro-averaged tasks may leave out examples with nothing to count, so their ids are not
    compared.
    """
    cube = complete(cube)
    problems: list[str] = []
    for task, rows in by_task(cube):
        problems += [f"{task}: {problem}" for problem in _problems(rows)]
    if problems:
        raise UserError(*problems)


def by_task(cube: pd.DataFrame) -> Iterable[tuple[str, pd.DataFrame]]:
    """Name and rows of every task of a complete cube; not a copy if there is but one."""
    codes = cube["task"].cat.codes.to_numpy()
    if (codes == codes[0]).all():
        return [(str(cube["task"].iloc[0]), cube)]
    return cube.groupby("task", observed=True, sort=True)


def by_language(rows: pd.DataFrame, most: int = 1_500_000) -> Iterator[pd.DataFrame]:
    """The rows of one task in pieces of about ``most``, never cutting a language in two."""
    if len(rows) <= most:
        yield rows
        return
    language = rows["language"].cat
    rank = np.argsort(np.argsort(language.categories)).astype(np.int16)
    place = rank[language.codes.to_numpy()]
    piece = np.cumsum(np.bincount(place)) // most
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


def _first(rows, bad, what, columns) -> list[str]:
    if not bad.any():
        return []
    shown = rows.loc[bad, columns].iloc[:3]
    named = "; ".join(
        ", ".join(f"{name}={value}" for name, value in row.items() if not pd.isna(value))
        for row in shown.to_dict("records")
    )
    return [f"{what}: {int(bad.sum())}, first {named}"]


def _bad_values(rows) -> list[str]:
    where = ["condition", "variant", "language", "seed", "example_id", "metric"]
    score = rows["score"].to_numpy(dtype=float, na_value=np.nan)
    counts = np.stack([rows[name].to_numpy(dtype=float, na_value=np.nan) for name in COUNTS])
    outside, none = (score < 0) | (score > 1), np.isnan(score) & np.isnan(counts).any(0)
    what = "scores outside 0..1 (fractions, not percentages)"
    found = _first(rows, outside, what, [*where, "score"])
    found += _first(rows, none, "rows with neither a score nor tp, fp and fn", where)
    found += _first(rows, (counts < 0).any(0), "negative counts", [*where, *COUNTS])
    blank = rows[["example_id", "cluster_id", "seed"]].isna().any(axis=1).to_numpy()
    return found + _first(rows, blank, "rows without example_id, cluster_id or seed", where)


def _two_clusters(rows) -> list[str]:
    _, pairs = encode(rows, [*_PLACE, "example_id", "cluster_id"])
    twice = pairs.duplicated([*_PLACE, "example_id"], keep=False).to_numpy()
    columns = ["language", "example_id", "cluster_id"]
    return _first(pairs, twice, "examples in two clusters", columns)


def _missing_cells(cells, runs, places) -> list[str]:
    """Every run of a task needs every language and metric that any has; so do pairs, apart."""
    expected = np.ones_like(cells, bool)
    pairs = places["language_2"].notna().to_numpy()
    for stratum in (pairs, ~pairs):
        expected[np.ix_(cells[:, stratum].sum(1) == 0, stratum)] = False
    holes = np.argwhere(expected & (cells == 0))
    if not len(holes):
        return []
    cells = zip((runs, places), holes.T, strict=True)
    table = pd.concat([side.iloc[at].reset_index(drop=True) for side, at in cells], axis=1)
    what = "missing cells (other runs of this task have them)"
    return _first(table, np.ones(len(table), bool), what, list(table))


def _misaligned(rows, run, place, example, cells, runs, places, examples) -> list[str]:
    """Compare the ids of runs by random sums per cell, and look closer only where they differ."""
    scored = rows["score"].notna().to_numpy()
    tags = np.random.default_rng(0).integers(0, 2**32, len(examples)).astype(float)
    cell = run * len(places) + place
    sums = np.bincount(cell[scored], tags[example[scored]], cells.size).reshape(cells.shape)
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
