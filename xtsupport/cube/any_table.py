"""A table of scores that another program wrote, as a cube: columns filled in, all problems at once.

Needed are condition, task, language, example_id and score (or tp, fp, fn); what else a cube has is
taken from the tables of tasks and languages or assumed, and ``read_table`` says what was.
"""

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from xtsupport import tables
from xtsupport.cube.columns import COUNTS, REQUIRED, WORDS, validate_cube
from xtsupport.errors import UserError

NEEDED = {
    "condition": "which system made the prediction",
    "task": "such as xquad",
    "language": "its code, such as de",
    "example_id": "the same for all systems, and for all languages where the data are parallel",
    "score": "0 to 1, or the columns tp, fp, fn",
}
SUFFIXES = {".csv": ",", ".tsv": "\t"}


def is_cube(path: Path) -> bool:
    """Whether a path is a cube as studies leave it: a folder, or parquet with all its columns."""
    if path.suffix.lower() in SUFFIXES:
        return False
    try:
        return path.is_dir() or {*REQUIRED, "family", "group"} <= set(pq.read_schema(path).names)
    except (pa.ArrowException, OSError):
        return True  # the reader of cubes says what is wrong with it


def read_table(path: Path, data: str = "hub") -> tuple[pd.DataFrame, list[str]]:
    """The rows of a CSV, TSV or parquet file as a valid cube, and a line per assumption made.

    UserError with every problem: columns that are missing, numbers that are none, cells that are
    empty, and whatever ``validate_cube`` refuses.
    """
    table = _read(path)
    have = set(table)
    lacking = [
        name for name in NEEDED if name not in have and not (name == "score" and have >= {*COUNTS})
    ]
    problems = [f"{path}: lacks the column {name} ({NEEDED[name]})" for name in lacking]
    if lacking:
        problems[-1] += f"; it has {', '.join(table)}"
    problems += _numbers(table, path) + _blanks(table, path)
    if table.empty:
        problems.append(f"{path}: has no rows")
    if problems:
        raise UserError(*problems)
    table, assumed = _filled(table, path, data)
    try:
        validate_cube(table)
    except UserError as error:
        raise UserError(*(f"{path}: {problem}" for problem in error.problems)) from error
    return table, assumed


def _read(path: Path) -> pd.DataFrame:
    separator = SUFFIXES.get(path.suffix.lower())
    try:
        if separator is None:
            return pd.read_parquet(path)
        return pd.read_csv(path, sep=separator, dtype=str, keep_default_na=False)
    except (OSError, ValueError, pa.ArrowException) as error:
        raise UserError(f"{path}: cannot be read ({error})") from error


def _numbers(table: pd.DataFrame, path: Path) -> list[str]:
    """Turn seed, score and counts into numbers, in place; a problem per column that has others."""
    problems = []
    for name in [name for name in ("seed", "score", *COUNTS) if name in table]:
        given = table[name]
        made = pd.to_numeric(given.replace("", np.nan), errors="coerce").astype(float)
        odd = made.isna() & given.notna() & (given != "")
        odd |= (made % 1 != 0) & made.notna() if name != "score" else False
        if odd.any():
            row = int(np.flatnonzero(odd)[0])
            kind = "a number" if name == "score" else "a whole number"
            problems.append(
                f"{path}: {name}={given.iloc[row]!r} in row {row + 1} is not {kind} "
                f"({int(odd.sum())} such rows)"
            )
        whole = name == "seed" and not made.isna().any() and not odd.any()
        table[name] = made.astype(int) if whole else made
    return problems


def _blanks(table: pd.DataFrame, path: Path) -> list[str]:
    problems = []
    for name in [name for name in ("condition", "task", "language", "example_id") if name in table]:
        empty = table[name].isna() | (table[name] == "")
        if empty.any():
            row = int(np.flatnonzero(empty)[0]) + 1
            problems.append(f"{path}: {name} is empty in {int(empty.sum())} rows, first row {row}")
    return problems


def _filled(table: pd.DataFrame, path: Path, data: str) -> tuple[pd.DataFrame, list[str]]:
    """The table with every column of a cube, and what was assumed for that."""
    assumed = []
    for name in set(table) & set(WORDS):
        table[name] = table[name].astype(object).where(table[name].notna(), "").astype(str)
    if table["condition"].str.contains("/").any():
        table["condition"] = table["condition"].str.replace("/", "_")
        assumed.append("condition: a slash, which sets a variant apart, is written as _")
    for name, value, what in (
        ("study", path.stem, f"study: {path.stem}, the file's name"),
        ("variant", "plain", ""),
        ("seed", 0, "seed: none given, so each condition counts as one run"),
        ("cluster_id", None, "cluster_id: none given, so every example is its own cluster; "
         "questions about one text then count as independent, and intervals are too short"),
        ("metric", None, ""),
    ):  # fmt: skip
        if name not in table:
            table[name] = table["example_id"] if name == "cluster_id" else value
            assumed += [what] if what else []
    if table["metric"].isna().all():
        known = {task: row.metrics[0] for task, row in tables.tasks(data).items() if row.metrics}
        table["metric"] = table["task"].map(known).fillna("score")
        pairs = table[["metric", "task"]].drop_duplicates().to_numpy()
        named = ", ".join(f"{metric} on {task}" for metric, task in pairs)
        assumed.append(f"metric: none given, taken as {named}")
    if "language_2" in table:
        table["language_2"] = table["language_2"].where(table["language_2"] != "", None)
    for name in ("family", "group"):
        assumed += _placed(table, name, tables.languages(data))
    return table, assumed


def _placed(table: pd.DataFrame, name: str, known: Mapping) -> list[str]:
    """Fill a language's family or group in from the languages table, or with its own code."""
    given = table[name] if name in table else pd.Series("", table.index)
    codes = {code: getattr(known.get(code), name, code) for code in table["language"].unique()}
    empty = given == ""
    table[name] = given.mask(empty, table["language"].map(codes))
    strange = sorted(set(table.loc[empty, "language"]) - set(known))
    if not empty.any():
        return []
    own = f"; {', '.join(strange)} not in there, each a {name} of its own" if strange else ""
    return [f"{name}: from languages.csv{own}"]
