"""From an estimate and its standard error to an interval, a p-value, an adjusted one, a verdict."""

from collections.abc import Sequence
from functools import partial

import numpy as np
import pandas as pd
from scipy import stats

VERDICTS = ("improves", "harms", "equivalent", "undetermined", "too few")
FAMILY = ("task", "by", "metric")  # a family of hypotheses: contrasts x levels of a task and metric
POWER = 0.8


def t_inference(gain, se, df, alpha: float = 0.05) -> dict:
    """Two-sided t interval (1 - alpha), p-value, and the gain found with 80% power; arrays too."""
    gain, se, df = np.broadcast_arrays(gain, se, df)
    half, reach = stats.t.ppf(1 - alpha / 2, df), stats.t.ppf(POWER, df)
    size = np.abs(gain)
    certain = np.where(size < 1e-9, 0.0, np.inf)  # nothing varies: no gain at all, or a sure one
    t = np.divide(size, se, out=certain, where=se > 0)
    return {
        "gain": gain,
        "se": se,
        "df": df,
        "ci_low": gain - half * se,
        "ci_high": gain + half * se,
        "p_value": 2 * stats.t.sf(t, df),
        "mde": (half + reach) * se,
    }


def equivalence_p(gain: float, se: float, df: float, margin: float) -> float:
    """TOST (Schuirmann 1987): the larger of the one-sided p-values against -margin and +margin."""
    if se == 0:
        return float(abs(gain) >= margin)
    return float(max(stats.t.sf((gain + margin) / se, df), stats.t.cdf((gain - margin) / se, df)))


def verdict(row: dict, margin: float = 1.0, alpha: float = 0.05) -> str:
    """One of ``VERDICTS``: by the adjusted p-value, else by equivalence within ±margin points.

    ``too few``: under three seeds for a claim about the recipe (a unit with seeds), or two
    languages for a claim about a family; a single language is judged as that language.
    """
    family = row["by"] in ("group", "family") or "languages" in row["unit"]
    if ("seeds" in row["unit"] and row["n_seeds"] < 3) or (family and row["n_languages"] == 2):
        return "too few"
    if row["p_adjusted"] <= alpha:
        return "improves" if row["gain"] > 0 else "harms"
    equivalent = equivalence_p(row["gain"], row["se"], row["df"], margin) <= alpha
    return "equivalent" if equivalent else "undetermined"


def adjust(table: pd.DataFrame, method: str, family: Sequence[str] = FAMILY) -> pd.Series:
    """Column p_value adjusted within each family of hypotheses; ``none`` leaves it as it is."""
    if method == "none":
        return table["p_value"]
    return table.groupby(list(family), sort=False)["p_value"].transform(ADJUSTMENTS[method])


def holm(p: Sequence[float]) -> np.ndarray:
    """Holm (1979) step-down p-values (n,), valid under any dependence."""
    p = np.asarray(p)
    order = np.argsort(p, kind="stable")
    stepped = np.maximum.accumulate(p[order] * np.arange(len(p), 0, -1))
    return np.minimum(stepped, 1)[np.argsort(order, kind="stable")]


def bonferroni(p: Sequence[float]) -> np.ndarray:
    """p-values (n,) times their number, at most 1."""
    return np.minimum(np.asarray(p) * len(p), 1)


ADJUSTMENTS = {
    "holm": holm,
    "bonferroni": bonferroni,
    "fdr_bh": partial(stats.false_discovery_control, method="bh"),
    "fdr_by": partial(stats.false_discovery_control, method="by"),
    "none": None,
}
