"""Tables for papers: comparison rows that fit a page, CSV and LaTeX files of the page's tables."""

from pathlib import Path

import pandas as pd

from xtsupport.cube.scores import zero_shot_means
from xtsupport.files import write_text
from xtsupport.report.answer import verdict_words
from xtsupport.report.contents import Contents
from xtsupport.report.names import contrast_name, metric_name, side_name, task_name
from xtsupport.report.numbers import gain_head, p_text, with_interval
from xtsupport.report.paper_sentences import metric_points
from xtsupport.sides import both_sides

UNICODE = {"\N{MINUS SIGN}": "$-$", "\N{EN DASH}": "--", "±": r"$\pm$", "<": "$<$"}


def page_table(table: pd.DataFrame, alpha: float) -> pd.DataFrame:
    """Six columns for reading: level, gain with its interval, verdict, languages, p, MDE.

    table: rows of ``compare``, best of one contrast, task and metric; several are told apart by
    extra columns. Gains, intervals and mde in points; p is the adjusted one.
    """
    shown = table[["level"]].copy()
    for name in ("treatment", "baseline", "task", "metric"):
        if table[name].nunique() > 1:
            shown.insert(0, name, table[name].map(NAMES[name]))
    shown[gain_head(table, alpha)] = with_interval(table)
    shown["verdict"] = [verdict_words(row) for row in table.to_dict("records")]
    shown["languages"] = table["n_languages"]
    shown["p"] = table["p_adjusted"].map(p_text)
    shown["MDE"] = [f"{mde:.1f}" if mde == mde else "" for mde in table["mde"]]
    return shown.reset_index(drop=True)


NAMES = {"treatment": side_name, "baseline": side_name, "task": task_name, "metric": metric_name}


def latex_table(table: pd.DataFrame, alpha: float) -> str:
    """``page_table`` as a LaTeX table (booktabs) with a caption that names the unit."""
    return latex(page_table(table, alpha), caption(table))


def latex(shown: pd.DataFrame, below: str) -> str:
    """A small frame as a LaTeX table (booktabs), by pandas' Styler; all it holds is escaped."""
    styled = shown.style.hide(axis="index").format(escape="latex", na_rep="", precision=1)
    styled = styled.format_index(escape="latex", axis=1)
    text = styled.to_latex(hrules=True, position_float="centering")
    escaped = pd.DataFrame([[below]]).style.format(escape="latex").to_latex()
    told = escaped[escaped.index("0 & ") + 4 : escaped.rindex(r" \\")]
    for character, safe in UNICODE.items():
        text, told = text.replace(character, safe), told.replace(character, safe)
    return text.replace(r"\end{table}", rf"\caption{{{told}}}" + "\n" + r"\end{table}")


def caption(table: pd.DataFrame) -> str:
    """What the rows of a table are: contrast, task, metric, unit and adjustment."""
    first, method = table.iloc[0], table.iloc[0]["adjustment"]
    adjusted = "not adjusted" if method == "none" else f"{method}-adjusted"
    planned = "Exploratory: " if first["note"].startswith("exploratory") else ""
    where = f"{task_name(first['task'])}, in {metric_points(first['metric'], first['task'])}"
    return (
        f"{planned}{contrast_name(first)} on {where}. "
        f"Unit: {first['unit']}, {first['n_seeds']} seeds; p-values {adjusted}; "
        "MDE: gain found with 80% power before any adjustment."
    )


def write_tables(found: Contents, folder) -> None:
    """The page's tables as ``NAME.csv`` (numbers) and ``NAME.tex`` (for reading) in a folder.

    scores: mean zero-shot scores; gains: every contrast over all languages; answer: the primary
    contrast and its control, over all languages and by level.
    """
    folder, data, alpha = Path(folder), found.evidence.data, found.rules.alpha
    scores, answer = zero_shot_means(found.scores), found.answer_drawn
    gains = found.comparison[found.comparison["by"] == "all"]
    made = {
        "scores": (scores.reset_index(), scores_shown(scores, data),
                   "Mean scores over seeds and the languages other than English, in points."),
        "gains": (gains, gains_shown(gains, alpha, data),
                  "Gains over all languages other than English, in points, each with the interval "
                  "that belongs to its verdict."),
        "answer": (answer, gains_shown(answer, alpha, data), "The study's answer, in points."),
    }  # fmt: skip
    for name, (numbers, shown, below) in made.items():
        write_text(folder / f"{name}.csv", numbers.to_csv(index=False))
        write_text(folder / f"{name}.tex", latex(shown, below))


def scores_shown(scores: pd.DataFrame, data: str) -> pd.DataFrame:
    """The table of ``zero_shot_means`` with names as people write them."""
    names = {name: task_name(name.removesuffix(" (en)"), data) for name in scores}
    shown = scores.rename(index=lambda name: side_name(name, data)).rename_axis("trained on first")
    heads = [text + " in English" * name.endswith(" (en)") for name, text in names.items()]
    return shown.set_axis(heads, axis=1).reset_index()


def gains_shown(rows: pd.DataFrame, alpha: float, data: str) -> pd.DataFrame:
    """Rows of a comparison for reading: both sides, target, metric, level, gain, verdict."""
    sides = [both_sides(row) for row in rows.to_dict("records")]
    return pd.DataFrame(
        {
            "trained on first": [side_name(one, data) for one, _ in sides],
            "against": [side_name(base, data) for _, base in sides],
            "target": [task_name(task, data) for task in rows["task"]],
            "metric": rows["metric"].map(metric_name).to_list(),
            "level": rows["level"].replace("all", "all languages").to_list(),
            gain_head(rows, alpha): with_interval(rows).to_list(),
            "verdict": [verdict_words(row) for row in rows.to_dict("records")],
        }
    )
