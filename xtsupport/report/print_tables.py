"""Comparison rows as a table that fits a page, plain or as LaTeX."""

import pandas as pd
from pandas.api.types import is_numeric_dtype

from xtsupport.report.sentences import METRICS, levels, signed
from xtsupport.sides import both_sides

SPECIAL = {character: rf"\{character}" for character in "&%_#${}"}
SPECIAL |= {"~": r"\textasciitilde{}", "^": r"\textasciicircum{}", "\\": r"\textbackslash{}"}
SPECIAL |= {"<": r"$<$", ">": r"$>$", "±": r"$\pm$", "\N{EN DASH}": "--"}


def page_table(table: pd.DataFrame, alpha: float = 0.05) -> pd.DataFrame:
    """Six columns for reading: level, languages, gain with its interval, p, MDE, verdict.

    table: rows of ``compare``, best of one contrast, task and metric; several are told apart by
    extra columns. Gains, intervals and mde in points; p is the adjusted one.
    """
    keys = [
        name for name in ("treatment", "baseline", "task", "metric") if table[name].nunique() > 1
    ]
    low, high = table["ci_low"].map(signed), table["ci_high"].map(signed)
    head = levels(table.to_dict("records"), alpha)
    shown = table[keys].copy()
    shown["level"] = table["level"]
    shown["languages"] = table["n_languages"]
    shown[f"gain [{head}]"] = table["gain"].map("{:+.1f}".format) + " [" + low + ", " + high + "]"
    shown["p"] = table["p_adjusted"].map(lambda p: "<.001" if p < 0.001 else f"{p:.3f}"[1:])
    shown.loc[table["p_adjusted"] >= 0.9995, "p"] = "1"
    shown["MDE"] = [f"{mde:.1f}" if mde == mde else "" for mde in table["mde"]]
    shown["verdict"] = table["verdict"]
    return shown.reset_index(drop=True)


def latex_table(table: pd.DataFrame, alpha: float = 0.05) -> str:
    """``page_table`` as a LaTeX table (booktabs) with a caption that names the unit."""
    return latex(page_table(table, alpha), caption(table))


def latex(shown: pd.DataFrame, below: str) -> str:
    """A small frame as a LaTeX table (booktabs); words to the left, numbers to the right."""
    head, *rows = [
        " & ".join(escape(str(cell)) for cell in row) + r" \\"
        for row in (shown.columns, *shown.astype(object).to_numpy())
    ]
    columns = "".join("r" if is_numeric_dtype(shown[name]) else "l" for name in shown)
    return "\n".join(
        [
            r"\begin{table}",
            r"\centering",
            rf"\begin{{tabular}}{{{columns}}}",
            r"\toprule",
            head,
            r"\midrule",
            *rows,
            r"\bottomrule",
            r"\end{tabular}",
            rf"\caption{{{escape(below)}}}",
            r"\end{table}",
            "",
        ]
    )


def caption(table: pd.DataFrame) -> str:
    """What the rows of a table are: contrast, task, metric, unit of resampling and adjustment."""
    first = table.iloc[0]
    points = METRICS.get(first["metric"], first["metric"])
    adjusted = (
        "not adjusted" if first["adjustment"] == "none" else f"{first['adjustment']}-adjusted"
    )
    planned = "Exploratory: " if first["note"].startswith("exploratory") else ""
    return (
        f"{planned}{' over '.join(both_sides(first))} on {first['task']}, in {points}. "
        f"Unit of resampling: {first['unit']}, {first['n_seeds']} seeds; p-values {adjusted}; "
        "MDE: gain found with 80% power."
    )


def escape(text: str) -> str:
    """Text with LaTeX's special characters made harmless."""
    return "".join(SPECIAL.get(character, character) for character in text)
