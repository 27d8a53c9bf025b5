"""Cuts through scores and comparisons that people want to see; what notebooks and report share."""

from collections.abc import Mapping

import pandas as pd

from xtsupport.report.names import level_order, side_name, task_name
from xtsupport.statistics.comparisons import compares
from xtsupport.statistics.declared import Primary, apart


def reading(frame: pd.DataFrame, digits: int = 1):
    """A frame as one reads it: left-aligned, texts whole, passages in wide columns, no row numbers,
    tasks and conditions by their names (a pandas Styler)."""
    for column, name in (("task", task_name), ("condition", side_name)):
        if column in frame:
            frame = frame.assign(**{column: frame[column].astype(str).map(name)})
    if "level" in frame:
        frame = frame.assign(level=frame["level"].replace("all", "all languages"))
    left = [{"selector": "th, td", "props": "text-align: left; vertical-align: top"}]
    styled = frame.style.hide(axis="index").set_table_styles(left)
    passages = [name for name in frame if frame[name].astype(str).str.len().max() > 60]
    styled = styled.set_properties(subset=passages, **{"min-width": "11em"})
    return styled.format(precision=digits, na_rep="\N{EN DASH}")


def answer_rows(
    comparison: pd.DataFrame, primary: Primary, languages: pd.DataFrame, *by: str
) -> pd.DataFrame:
    """The rows that answer the question: gain on the target, on the rest, and their difference;
    the rest by official metrics and, where that is something else, only the targets scored by F1.

    `comparison`: the columns of ``compare``, of one study. Levels stand in table order. by: none is
    the declared one.
    """
    rests = ("rest", "rest (f1)")
    metrics = {primary.target: primary.metric} | dict.fromkeys(rests, "official")
    metrics |= {f"{primary.target} - {rest}": primary.metric for rest in rests}
    rows = comparison[comparison["by"].isin(by or (primary.by,))]
    rows = rows[rows["metric"].eq(rows["task"].map(metrics))]
    rows = rows[compares(rows, primary.treatment, primary.baseline)]
    levels = level_order(rows["level"], languages)
    return rows.sort_values(
        ["task", "level"], key=lambda column: column.map([*metrics, *levels].index)
    ).reset_index(drop=True)


def nearest_first(rows: pd.DataFrame, languages: pd.DataFrame, *within: str) -> pd.DataFrame:
    """Rows with their levels nearest to English first; those of a `within` (task, by) stay
    together, in the order in which they come."""
    order = {name: list(dict.fromkeys(rows[name])) for name in within}
    order["level"] = level_order(rows["level"], languages)
    places = {"key": lambda column: column.map(order[column.name].index), "kind": "stable"}
    return rows.sort_values(list(order), ignore_index=True, **places)


def forest_rows(
    comparison: pd.DataFrame, primary: Primary, languages: pd.DataFrame
) -> pd.DataFrame:
    """The rows to draw: over all languages, and by the declared level (of one average: families).

    What was not declared is exploratory. `comparison`: as for ``answer_rows``.
    """
    return answer_rows(comparison, primary, languages, "all", apart(primary.by))


def overview(comparison: pd.DataFrame, by: str, metrics: Mapping[str, str]) -> pd.DataFrame:
    """One metric per task and the rests, for the map of verdicts: no differences between tasks.

    metrics: task -> metric, such as each task's official one, in the order wanted.
    """
    wanted = {**metrics, "rest": "official", "rest (f1)": "official"}
    kept = (comparison["by"] == by) & (comparison["metric"] == comparison["task"].map(wanted))
    order, known = list(wanted), {"kind": "stable", "ignore_index": True}
    return comparison[kept].sort_values("task", key=lambda name: name.map(order.index), **known)


def by_language(comparison: pd.DataFrame, answer: pd.DataFrame) -> pd.DataFrame:
    """The per-language rows of the contrast, tasks and metrics that `answer` has."""
    keys = ["treatment", "baseline", "variant", "task", "metric"]
    wanted = answer[keys].drop_duplicates()
    return comparison[comparison["by"] == "language"].merge(wanted, on=keys)
