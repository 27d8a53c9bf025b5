"""Many hypotheses at once: step-down from the joint bootstrap, and on how many languages."""

from collections.abc import Sequence

import numpy as np
import pandas as pd

from xtsupport.statistics.resampling import Resamples
from xtsupport.statistics.verdicts import FAMILY


def romano_wolf(observed: np.ndarray, resampled: np.ndarray) -> np.ndarray:
    """Step-down max-T adjusted p-values (Romano & Wolf 2005) of H statistics.

    observed: (H,) absolute standardised gains; resampled: (R, H) the same under the null (centred).
    """
    order = np.argsort(-observed, kind="stable")
    largest = np.maximum.accumulate(resampled[:, order[::-1]], axis=1)[:, ::-1]
    hits = (largest >= observed[order] - 1e-12).sum(0)
    stepped = np.maximum.accumulate((1 + hits) / (1 + len(resampled)))
    return stepped[np.argsort(order, kind="stable")]


def step_down(resamples: Resamples, p_values: np.ndarray) -> np.ndarray:
    """Studentised Romano-Wolf p-values (C,) of cases within their families.

    Every resample is divided by its own standard error: with few seeds an unstudentised bootstrap
    has tails too thin for the small p-values that many hypotheses ask for (family-wise error
    benchmarks/calibration.md). p_values: the cases' own, below which none is adjusted.
    """
    observed = _ratio(np.abs(resamples.gain), resamples.se)
    drawn = _ratio(np.abs(resamples.gains - resamples.gain), resamples.ses)
    labels = pd.DataFrame([case.labels for case in resamples.cases])
    adjusted = np.ones(len(labels))
    for rows in labels.groupby(list(FAMILY), sort=False).indices.values():
        adjusted[rows] = romano_wolf(observed[rows], drawn[:, rows])
    return np.maximum(adjusted, p_values)


def _ratio(size: np.ndarray, se: np.ndarray) -> np.ndarray:
    """size / se; 0 where nothing varies and nothing differs."""
    certain = np.where(size < 1e-9, 0.0, np.inf)
    return np.divide(size, se, out=certain, where=se > 1e-9)


def partial_conjunction(p: Sequence[float]) -> np.ndarray:
    """p-values (n,) of "at least u of the n hypotheses hold", u = 1..n (Benjamini & Heller 2008).

    Bonferroni's combination, valid under any dependence (languages share questions and runs), made
    monotone. The number of values at or below alpha is Holm's number of rejections.
    """
    p = np.sort(np.asarray(p, float))
    n = len(p)
    return np.minimum(np.maximum.accumulate((n - np.arange(n)) * p), 1)


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
