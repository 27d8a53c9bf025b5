"""How numbers are written wherever people read them: gains, intervals, p-values, counts.

Page, terminal, sentences and LaTeX share these; LaTeX turns the true minus into its own.
"""

import re
from collections.abc import Iterable, Mapping

import pandas as pd

MINUS = "\N{MINUS SIGN}"


def signed(number: float, digits: int = 1) -> str:
    """A number in one digit or as many, up to three, as show its sign; a true minus, never −0.0."""
    while digits < 3 and number and not round(number, digits):
        digits += 1
    return f"{round(number, digits) + 0.0:.{digits}f}".replace("-", MINUS)


def signed_gain(gain: float, digits: int = 1) -> str:
    """`+1.4`, `−0.3`: a gain with its sign."""
    return "+" * (not gain < 0) + signed(gain, digits)


def ends(low: float, high: float) -> str:
    """`−0.3 to 3.0`: both ends of an interval; more digits for an end that would read 0.0, since
    on which side of 0 it lies is the verdict.
    """
    return f"{signed(low)} to {signed(high)}"


def interval(rows: pd.DataFrame) -> pd.Series:
    """`1.2 to 3.4` for every row."""
    pairs = zip(rows["ci_low"], rows["ci_high"], strict=True)
    return pd.Series([ends(*pair) for pair in pairs], rows.index)


def with_interval(rows: pd.DataFrame) -> pd.Series:
    """`+2.3 [1.2, 3.4]`: the gain and its interval, for every row."""
    cells = zip(rows["gain"], rows["ci_low"], rows["ci_high"], strict=True)
    texts = [f"{signed_gain(gain)} [{signed(low)}, {signed(high)}]" for gain, low, high in cells]
    return pd.Series(texts, rows.index, dtype=object)


def level(row: Mapping, alpha: float) -> str:
    """The level of the interval that belongs to the verdict, in percent: as noted, or 1 - alpha."""
    noted = re.search(r"([\d.]+)% interval", str(row.get("note", "")))
    return noted[1] if noted else f"{100 * (1 - alpha):g}"


def levels(rows: Iterable[Mapping], alpha: float) -> str:
    """`95% interval` or, where the rows' verdicts have intervals of several levels, their range."""
    found = sorted({level(row, alpha) for row in rows}, key=float)
    return "\N{EN DASH}".join(dict.fromkeys((found[0], found[-1]))) + "% interval"


def p_text(p: float) -> str:
    """A p-value in three digits: `0.012`, `< 0.001`."""
    return "< 0.001" if p < 0.001 else f"{p:.3f}"


def p_equation(p: float) -> str:
    """`p = 0.012`, `p < 0.001`."""
    return f"p {p_text(p)}" if p < 0.001 else f"p = {p_text(p)}"


def points(number: float) -> str:
    """`1 point`, `2.5 points`."""
    return f"{number:g} point" + ("" if number == 1 else "s")


def counted(number: int, noun: str) -> str:
    """`1 seed`, `3 seeds`."""
    return f"{int(number)} {noun}" + ("s" if number != 1 else "")


def span(numbers: Iterable[int]) -> str:
    """`3`, or of several `3 to 5`."""
    ordered = sorted(numbers)
    return " to ".join(str(n) for n in dict.fromkeys((ordered[0], ordered[-1])))
