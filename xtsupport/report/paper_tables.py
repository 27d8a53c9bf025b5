"""Tables for papers and files: comparison rows that fit a page, the comparison with its answer and
its rows in words, the page's tables as CSV and LaTeX."""

from pathlib import Path

import pandas as pd

from xtsupport.cube.scores import zero_shot_means
from xtsupport.files import write_text
from xtsupport.report.answer import closing, verdict_words
from xtsupport.report.contents import Contents
from xtsupport.report.names import contrast_name, metric_name, side_name, task_name
from xtsupport.report.numbers import levels, p_text, span, with_interval
from xtsupport.report.paper_sentences import metric_points, sentence
from xtsupport.sides import both_sides

UNICODE = {"\N{MINUS SIGN}": "$-$", "\N{EN DASH}": "--", "±": r"$\pm$", "<": "$<$"}
MDE = "MDE: gain found with 80% power before any adjustment"


def page_table(table: pd.DataFrame, alpha: float, data: str = "hub") -> pd.DataFrame:
    """Six columns for reading: level, gain with its interval, verdict, languages, p, MDE; before
    them those of treatment, baseline, target and metric that differ between the rows.

    table: rows of ``compare``. Gains, intervals and mde in points; p is the adjusted one.
    """
    rows = table.to_dict("records")
    sides = [both_sides(row) for row in rows]
    named = {
        "metric": [metric_name(row["metric"]) for row in rows],
        "target": [task_name(row["task"], data) for row in rows],
        "against": [side_name(base, data) for _, base in sides],
        "trained on first": [side_name(one, data) for one, _ in sides],
    }
    shown = pd.DataFrame({"level": table["level"].replace("all", "all languages").to_list()})
    for name, column in named.items():
        if len(set(column)) > 1:
            shown.insert(0, name, column)
    shown[f"gain [{levels(rows, alpha)}]"] = with_interval(table).to_list()
    shown["verdict"] = [verdict_words(row) for row in rows]
    shown["languages"] = table["n_languages"].to_list()
    shown["p"] = [p_text(row["p_adjusted"]) for row in rows]
    shown["MDE"] = [f"{mde:.1f}" if mde == mde else "" for mde in table["mde"]]
    return shown


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


def caption(table: pd.DataFrame, data: str) -> str:
    """What the rows of one treatment and target are: metric, unit, adjustment; the baseline, if it
    is the same in all."""
    first, method, bases = table.iloc[0], table.iloc[0]["adjustment"], table["baseline"].unique()
    who = contrast_name(first) if len(bases) == 1 else side_name(both_sides(first)[0], data)
    adjusted = "not adjusted" if method == "none" else f"{method}-adjusted"
    planned = "Exploratory: " if table["note"].str.startswith("exploratory").all() else ""
    where = f"{task_name(first['task'], data)}, in {metric_points(first['metric'], first['task'])}"
    return (
        f"{planned}{who} on {where}. Unit: {first['unit']}, {span(table['n_seeds'])} seeds; "
        f"p-values {adjusted}; {MDE}."
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
        "gains": (gains, page_table(gains, alpha, data),
                  "Gains over all languages other than English, in points, each with the interval "
                  f"that belongs to its verdict; p-values adjusted; {MDE}."),
        "answer": (answer, page_table(answer, alpha, data), caption(answer, data)),
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


def write_significance(found: Contents, out) -> Path:
    """Write ``significance.csv``, ``answer.txt`` (what a terminal says of it) and ``sentences.txt``
    (one per row) into ``out``; returns the path of the table.
    """
    table, out = found.comparison, Path(out)
    rows = table.to_dict("records")
    words = [sentence(row, found.rules, found.evidence.data) for row in rows]
    write_text(out / "answer.txt", "\n".join(closing(found)) + "\n")
    write_text(out / "sentences.txt", "\n".join(words) + "\n")
    return write_text(out / "significance.csv", table.to_csv(index=False))


def read_comparison(path) -> pd.DataFrame:
    """The table of a ``significance.csv``; words stay words (`none`, `na`), empty numbers nan."""
    numbers = ("baseline_score", "gain", "se", "df", "ci_low", "ci_high", "mde")
    table = pd.read_csv(path, keep_default_na=False, na_values={name: [""] for name in numbers})
    return table.astype(dict.fromkeys(numbers, float))
