"""Scores per language in tables: from a cube, by official metrics, in the order of a study."""

from collections.abc import Sequence

import numpy as np
import pandas as pd

from xtsupport import tables
from xtsupport.cube.columns import COUNTS, NAMES, complete, encode
from xtsupport.sides import SOURCE


def score_table(cube: pd.DataFrame) -> pd.DataFrame:
    """Percentages per condition, variant, task, language, seed and metric.

    Columns: condition, variant, task, language, language_2, family, group (where the cube has
    them), seed, metric, score (0..100), n_examples. Micro F1 (rows with counts and no score) is
    2tp / (2tp + fp + fn), 0 where there is nothing to count.
    """
    cube = complete(cube)
    keys = [name for name in (*NAMES, "seed", "metric") if name in cube]
    code, table = encode(cube, keys)
    scored, n = cube["score"].notna().to_numpy(), np.bincount(code)

    def total(name, rows):
        values = cube[name].to_numpy(dtype=float, na_value=0)
        return np.bincount(code[rows], values[rows], len(table))

    tp, fp, fn = (total(name, ~scored) for name in COUNTS)
    micro = np.bincount(code[~scored], minlength=len(table)) > 0
    f1 = 2 * tp / np.maximum(2 * tp + fp + fn, 1)
    table["score"] = 100 * np.where(micro, f1, total("score", scored) / n)
    table["n_examples"] = n
    return table


def official(scores: pd.DataFrame, data: str) -> pd.DataFrame:
    """The rows of each task's official metric, the first in its row of tasks.csv.

    `scores` has the columns task and metric. A task that the table lacks keeps its first metric. A
    variant of phase 3 is named with its condition: ``squad/source=de``.
    """
    known = official_metrics(data)
    first = scores.groupby("task", sort=False, observed=True)["metric"].first()
    wanted = {task: known.get(task, metric) for task, metric in first.items()}
    rows = scores[scores["metric"] == scores["task"].map(wanted)]
    if "variant" not in rows:
        return rows
    variant = rows["variant"].astype(str)
    named = rows["condition"].astype(str) + "/" + variant.where(variant != "plain", "")
    return rows.assign(condition=named.str.removesuffix("/"))


def official_metrics(data: str, targets: Sequence[str] = ()) -> dict[str, str]:
    """Task -> its official metric, for the targets given, in their order (default: all tasks)."""
    known = {name: row.metrics[0] for name, row in tables.tasks(data).items() if row.metrics}
    return {name: known[name] for name in targets or known if name in known}


def in_order(
    scores: pd.DataFrame, conditions: Sequence[str], targets: Sequence[str] = ()
) -> pd.DataFrame:
    """Rows in the study's own order of targets and conditions; others follow as they come."""
    for column, names in (("condition", conditions), ("task", targets)):
        rank = {name: i for i, name in enumerate(names)}
        place = [rank.get(name, len(rank)) for name in scores[column].astype(str)]
        scores = scores.iloc[np.argsort(place, kind="stable")]
    return scores.reset_index(drop=True)


def with_guesses(scores: pd.DataFrame, data: str) -> pd.DataFrame:
    """Scores with the rows of ``tables.guesses`` below: what chance and lazy rules score in the
    tasks and languages that there are, where known.

    scores: condition, task, language, score, one metric per task (``official``).
    """
    there = scores[["task", "language"]].astype(str).drop_duplicates()
    known = tables.guesses(data).merge(there)
    return pd.concat([scores, known], ignore_index=True) if len(known) else scores


def zero_shot_means(scores: pd.DataFrame) -> pd.DataFrame:
    """Mean over languages and seeds per condition (rows) and task (columns), English left out.

    `scores`: condition, task, language, score, one metric per task. English stands in columns of
    its own, named `task (en)`.
    """
    away = scores[scores["language"] != SOURCE]
    home = scores[scores["language"] == SOURCE]
    home = home.assign(task=home["task"].astype(str) + f" ({SOURCE})")
    both = pd.concat([away.assign(task=away["task"].astype(str)), home])
    cells = both.groupby(["condition", "task", "language"], sort=False, observed=True)["score"]
    means = cells.mean().groupby(["condition", "task"], sort=False).mean()
    return means.unstack("task").round(1)
