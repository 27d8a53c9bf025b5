"""Cuts through scores and comparisons that people want to see; what notebooks and report share."""

from collections.abc import Mapping
from dataclasses import asdict

import pandas as pd

from xtsupport.analysis.declared import Primary
from xtsupport.data import tables

SOURCE = "en"


def language_table(data: str = "hub") -> pd.DataFrame:
    """The languages of a data source, one row each, with the columns of languages.csv."""
    return pd.DataFrame([asdict(row) for row in tables.languages(data).values()])


def official(scores: pd.DataFrame, data: str = "hub") -> pd.DataFrame:
    """The rows of each task's headline metric, the first in its row of tasks.csv.

    `scores` has the columns task and metric. A task that the table lacks keeps its first metric.
    """
    known = {name: row.metrics[0] for name, row in tables.tasks(data).items() if row.metrics}
    first = scores.groupby("task", sort=False, observed=True)["metric"].first()
    wanted = {task: known.get(task, metric) for task, metric in first.items()}
    return scores[scores["metric"] == scores["task"].map(wanted)]


def in_order(scores: pd.DataFrame, conditions: list[str]) -> pd.DataFrame:
    """Rows sorted by the study's own order of conditions; others follow as they come."""
    rank = {name: i for i, name in enumerate(conditions)}
    place = scores["condition"].astype(str).map(lambda name: rank.get(name, len(rank)))
    return scores.iloc[place.argsort(kind="stable")].reset_index(drop=True)


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


def answer_rows(comparison: pd.DataFrame, headline: pd.DataFrame, primary: Primary) -> pd.DataFrame:
    """The rows of a comparison that answer the question: target, rest, and their difference.

    `comparison`: columns of ``compare``; `headline`: what ``headline`` made of the same cube. The
    adjusted p-values and verdicts are the headline's: the primary contrast is a family of its own.
    """
    rest = f"{primary.target} - rest"
    parts = {primary.target: "target", "rest": "rest", rest: "difference"}
    metrics = {primary.target: primary.metric, "rest": "official", rest: primary.metric}
    chosen = (
        (comparison["treatment"] == primary.treatment)
        & (comparison["baseline"] == primary.baseline)
        & (comparison["by"] == primary.by)
        & (comparison["metric"] == comparison["task"].map(metrics))
    )
    rows = comparison[chosen].assign(adjustment="holm")
    judged = headline.set_index("level")
    for column in ("p_adjusted", "verdict"):
        rows[column] = [
            judged.loc[level, f"{parts[task]}_{column}"]
            for task, level in zip(rows["task"], rows["level"], strict=True)
        ]
    order = rows["task"].map({task: i for i, task in enumerate(parts)})
    return rows.iloc[order.argsort(kind="stable")].reset_index(drop=True)


def overview(comparison: pd.DataFrame, by: str, metrics: Mapping[str, str]) -> pd.DataFrame:
    """One metric per task and benchmark, for the map of verdicts: no differences, no aggregates.

    metrics: task -> metric, such as each task's official one; `rest` is kept beside the tasks.
    """
    wanted = {**metrics, "rest": "official"}
    kept = (comparison["by"] == by) & (comparison["metric"] == comparison["task"].map(wanted))
    return comparison[kept].reset_index(drop=True)


def by_language(comparison: pd.DataFrame, answer: pd.DataFrame) -> pd.DataFrame:
    """The per-language rows of the contrast, tasks and metrics that `answer` has."""
    keys = ["treatment", "baseline", "task", "metric"]
    wanted = answer[keys].drop_duplicates()
    return comparison[comparison["by"] == "language"].merge(wanted, on=keys)


def official_metrics(data: str = "hub") -> dict[str, str]:
    """Task -> its headline metric."""
    return {name: row.metrics[0] for name, row in tables.tasks(data).items() if row.metrics}
