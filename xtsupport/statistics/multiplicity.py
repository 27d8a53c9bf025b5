"""On at least how many of many hypotheses an effect holds."""

from collections.abc import Sequence

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike


def partial_conjunction(p: ArrayLike) -> np.ndarray:
    """p-values (n,) of "at least u of the n hypotheses hold", u = 1..n (Benjamini & Heller 2008).

    Bonferroni's combination, valid under any dependence (languages share questions and runs), made
    monotone. The number of values at or below alpha is Holm's number of rejections.
    """
    ordered = np.sort(np.asarray(p, float))
    weights = np.arange(len(ordered), 0, -1)
    return np.minimum(np.maximum.accumulate(weights * ordered), 1)


def holds_on(p: Sequence[float], alpha: float = 0.05) -> int:
    """On at least how many of the n hypotheses the effect holds, with confidence 1 - alpha."""
    return int((partial_conjunction(p) <= alpha).sum())


def better_on(table: pd.DataFrame, alpha: float = 0.05) -> pd.DataFrame:
    """On at least how many languages the treatment is better, or worse: per contrast and task.

    table: rows of ``compare(by="language")``. One-sided p-values at alpha / 2 for either direction.
    """
    rows = table[table["by"] == "language"]
    keys = ["treatment", "baseline", "variant", "task", "metric"]
    lines = []
    for key, part in rows.groupby(keys, sort=False):
        up = np.where(part["gain"] > 0, part["p_value"], 2 - part["p_value"]) / 2
        counts = {"better_on": holds_on(up, alpha / 2), "worse_on": holds_on(1 - up, alpha / 2)}
        about = {"n_languages": len(part), **counts, "unit": part["unit"].iloc[0]}
        lines.append({**dict(zip(keys, key, strict=True)), **about})
    return pd.DataFrame(lines)
