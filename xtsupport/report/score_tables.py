"""Cuts through scores and comparisons that people want to see; what notebooks and report share."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from importlib.resources import files

import numpy as np
import pandas as pd

from xtsupport import tables
from xtsupport.report.style import level_order
from xtsupport.sides import as_columns, side
from xtsupport.statistics.clusters import ClusterSums
from xtsupport.statistics.declared import Primary, apart

SOURCE = "en"


def language_table(data: str = "hub") -> pd.DataFrame:
    """The languages of a data source, one row each: the columns of languages.csv, and fertility.

    fertility: sub-tokens per word (fertility.csv, measured by ``xtsupport data fertility`` with the
    tokenizer of multilingual-e5, which is XLM-R's); nan for languages of a mirror's own table.
    """
    known = tables.languages(data)
    table = pd.DataFrame([asdict(row) for row in known.values()])
    if known != tables.languages("hub"):
        return table.assign(fertility=float("nan"))
    with files("xtsupport").joinpath("fertility.csv").open(encoding="utf-8") as stream:
        measured = pd.read_csv(stream).set_index("code")["fertility"]
    return table.assign(fertility=table["code"].map(measured))


def task_table(data: str = "hub") -> pd.DataFrame:
    """The tasks of a data source by name, with the columns of tasks.csv; lists as text."""
    table = pd.DataFrame([asdict(row) for row in tables.tasks(data).values()]).set_index("name")
    return table.map(lambda cell: " ".join(cell) if isinstance(cell, tuple) else cell)


def encoder_table(data: str = "hub") -> pd.DataFrame:
    """The encoders whose training data are known, with the columns of encoders.csv."""
    table = pd.DataFrame([asdict(row) for row in tables.encoders(data).values()])
    return table.assign(exposed=table["exposed"].map(" ".join))


def reading(frame: pd.DataFrame, digits: int = 1):
    """A frame as one reads it: left-aligned, texts whole, no row numbers (a pandas Styler)."""
    left = [{"selector": "th, td", "props": "text-align: left; vertical-align: top"}]
    styled = frame.style.hide(axis="index").set_table_styles(left)
    return styled.format(precision=digits, na_rep="\N{EN DASH}")


def score_rows(sums: Sequence[ClusterSums]) -> pd.DataFrame:
    """``score_table`` from cluster sums, for cubes too large to hold: percentages per run, language
    and metric (condition, variant, task, language, seed, metric, score, n_examples).
    """
    tables = []
    for one in sums:
        values = 100 * one.values()
        run, language = (index.ravel() for index in np.indices(values.shape))
        rows = one.runs[["condition", "variant", "seed"]].iloc[run].reset_index(drop=True)
        rows["language"] = one.languages["language"].to_numpy()[language]
        rows["n_examples"] = np.array([int(m.sum()) for m in one.sizes])[language]
        rows["score"] = values.ravel()
        tables.append(rows.dropna(subset="score").assign(task=one.task, metric=one.metric))
    return pd.concat(tables, ignore_index=True)


def official(scores: pd.DataFrame, data: str = "hub") -> pd.DataFrame:
    """The rows of each task's headline metric, the first in its row of tasks.csv.

    `scores` has the columns task and metric. A task that the table lacks keeps its first metric. A
    variant of phase 3 is named with its condition.
    """
    known = official_metrics(data)
    first = scores.groupby("task", sort=False, observed=True)["metric"].first()
    wanted = {task: known.get(task, metric) for task, metric in first.items()}
    rows = scores[scores["metric"] == scores["task"].map(wanted)]
    return with_variants(rows) if "variant" in rows else rows


def with_variants(scores: pd.DataFrame) -> pd.DataFrame:
    """Scores with every variant as a value of column condition: ``squad/source=de``."""
    variant = scores["variant"].astype(str)
    named = scores["condition"].astype(str) + "/" + variant.where(variant != "plain", "")
    return scores.assign(condition=named.str.removesuffix("/"))


def in_order(
    scores: pd.DataFrame, conditions: Sequence[str], targets: Sequence[str] = ()
) -> pd.DataFrame:
    """Rows in the study's own order of targets and conditions; others follow as they come."""
    for column, names in (("condition", conditions), ("task", targets)):
        rank = {name: i for i, name in enumerate(names)}
        place = [rank.get(name, len(rank)) for name in scores[column].astype(str)]
        scores = scores.iloc[np.argsort(place, kind="stable")]
    return scores.reset_index(drop=True)


def zero_shot_means(scores: pd.DataFrame) -> pd.DataFrame:
    """Mean over languages and seeds per condition (rows) and task (columns), English left out.

    `scores`: condition, task, language, score, one metric per task. English stands in columns of
    its own, named `task (en)`.
    """
    away = scores[scores["language"] != SOURCE]
    home = scores[scores["language"] == SOURCE]
    home = home.assign(task=home["task"].astype(str) + f" ({SOURCE})")
    both = pd.concat([away.assign(task=away["task"].astype(str)), home])
    means = both.groupby(["condition", "task", "language"], sort=False, observed=True)[
        "score"
    ].mean()
    means = means.groupby(["condition", "task"], sort=False).mean()
    return means.unstack("task").round(1)


def read_comparison(path) -> pd.DataFrame:
    """The table of a ``significance.csv``; words stay words (`none`, `na`), no number is nan."""
    table = pd.read_csv(path, keep_default_na=False, na_values={"baseline_score": [""]})
    return table.assign(df=table["df"].astype(float))


def compares(table: pd.DataFrame, treatment: str, baseline: str) -> pd.Series:
    """Which rows of a comparison (treatment, baseline, variant, ...) hold one side against another,
    both named as in params files."""
    named = as_columns(side(treatment), side(baseline))
    return (table[list(named)] == pd.Series(named)).all(axis=1)


def answer_rows(
    comparison: pd.DataFrame, primary: Primary, languages: pd.DataFrame, by: str | None = None
) -> pd.DataFrame:
    """The rows that answer the question: gain on the target, on the rest, and their difference.

    `comparison`: the columns of ``compare``, of one study. Levels stand in table order. by: None is
    the declared one.
    """
    metrics = {
        primary.target: primary.metric,
        "rest": "official",
        f"{primary.target} - rest": primary.metric,
    }
    chosen = (
        compares(comparison, primary.treatment, primary.baseline)
        & comparison["by"].eq(by or primary.by)
        & comparison["metric"].eq(comparison["task"].map(metrics))
    )
    rows = comparison[chosen]
    levels = level_order(rows["level"], languages)
    return rows.sort_values(
        ["task", "level"], key=lambda column: column.map([*metrics, *levels].index)
    ).reset_index(drop=True)


def forest_rows(
    comparison: pd.DataFrame, primary: Primary, languages: pd.DataFrame
) -> pd.DataFrame:
    """The rows to draw: those of the answer and, where that is one average, the families' as well.

    The families' rows are exploratory then. `comparison`: as for ``answer_rows``.
    """
    rows = answer_rows(comparison, primary, languages)
    if apart(primary.by) == primary.by:
        return rows
    families = answer_rows(comparison, primary, languages, by=apart(primary.by))
    return pd.concat([families, rows], ignore_index=True)


def overview(comparison: pd.DataFrame, by: str, metrics: Mapping[str, str]) -> pd.DataFrame:
    """One metric per task and the rest, for the map of verdicts: no differences between tasks.

    metrics: task -> metric, such as each task's official one, in the order wanted.
    """
    wanted = {**metrics, "rest": "official"}
    kept = (comparison["by"] == by) & (comparison["metric"] == comparison["task"].map(wanted))
    order = {task: i for i, task in enumerate(wanted)}
    rows = comparison[kept].sort_values("task", key=lambda name: name.map(order), kind="stable")
    return rows.reset_index(drop=True)


def by_language(comparison: pd.DataFrame, answer: pd.DataFrame) -> pd.DataFrame:
    """The per-language rows of the contrast, tasks and metrics that `answer` has."""
    keys = ["treatment", "baseline", "variant", "task", "metric"]
    wanted = answer[keys].drop_duplicates()
    return comparison[comparison["by"] == "language"].merge(wanted, on=keys)


def official_metrics(data: str = "hub", targets: Sequence[str] = ()) -> dict[str, str]:
    """Task -> its headline metric, for the targets given, in their order (default: all tasks)."""
    known = {name: row.metrics[0] for name, row in tables.tasks(data).items() if row.metrics}
    return {name: known[name] for name in targets or known if name in known}
