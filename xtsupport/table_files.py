"""Read a table of this package or of a mirror: a CSV file in, checked rows of a dataclass out."""

import csv
import io
from collections.abc import Callable, Iterable
from dataclasses import fields
from functools import lru_cache
from math import isfinite
from pathlib import Path
from typing import Any

from xtsupport.errors import UserError, shorten
from xtsupport.files import read_text

LATER = ("title", "size", "more_languages", "more_source")  # columns that a user's table may lack


def read_rows(path: Path, row_type: type, check: Callable[[Any], Iterable[str]]) -> dict[str, Any]:
    """The rows of a file by their first column; UserError with every problem of the file.

    row_type: a dataclass whose fields are the columns; check: what is wrong with one of them.
    """
    return dict(_read(path, path.stat().st_mtime_ns, row_type, check))


@lru_cache(maxsize=16)
def _read(path, _changed, row_type, check):
    names, lines = _cells(path)
    known = [field.name for field in fields(row_type)]
    problems = [f"unknown column {shorten(c)}" for c in names if c not in known]
    problems += [f"no column {c!r}" for c in known if c not in (*names, *LATER)]
    problems += [f"the column {c!r} occurs twice" for c in _twice(names)]
    rows = {}
    for number, cells in [] if problems else lines:
        if len(cells) != len(names):
            problems.append(f"line {number}: {len(cells)} cells, but {len(names)} columns; "
                            "quote a cell that contains a comma")  # fmt: skip
            continue
        row, wrong = _row(dict(zip(names, cells, strict=True)), row_type)
        wrong += check(row)
        key = getattr(row, known[0])
        wrong += [f"{key!r} occurs twice"] if key in rows else []
        problems += [f"line {number}: {problem}" for problem in wrong]
        rows[key] = row
    if problems:
        raise UserError(*(f"{path}: {problem}" for problem in problems))
    return rows


def _cells(path):
    """(column names, [(line number, cells)]) of a CSV file as spreadsheets save it: UTF-8 with or
    without a mark or UTF-16, commas, semicolons or tabs, empty rows at the end."""
    text = read_text(path)
    mark = max(",;\t", key=text.partition("\n")[0].count)
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=mark, strict=True)
    try:
        lines = [(reader.line_num, [cell.strip() for cell in cells]) for cells in reader]
    except csv.Error as error:
        raise UserError(f"{path}: line {reader.line_num}: {error}") from None
    lines = [(number, cells) for number, cells in lines if any(cells)]
    return lines[0][1] if lines else [], lines[1:]


def _twice(names):
    return [name for name in dict.fromkeys(names) if names.count(name) > 1]


def _row(line, row_type):
    values, problems = {}, []
    for field in fields(row_type):
        text = (line.get(field.name) or "").strip()
        try:
            values[field.name] = _convert(text, field.type)
        except ValueError:
            problems.append(f"{field.name}: {shorten(text)} is not {_EXPECTED[field.type]}")
            values[field.name] = None
        if isinstance(values[field.name], tuple):
            twice = _twice(values[field.name])
            problems += [f"{field.name}: {shorten(each)} occurs twice" for each in twice]
    return row_type(**values), problems


_EXPECTED: dict[Any, str] = {float | None: "a number such as 0.42", bool: "yes or no"}


def _convert(text, kind):
    if kind is bool:
        if text not in ("yes", "no"):
            raise ValueError
        return text == "yes"
    if kind == float | None:
        number = float(text) if text else None
        if number is not None and not isfinite(number):
            raise ValueError
        return number
    return tuple(text.split()) if kind == tuple[str, ...] else text
