"""From estimates and their spread to p-values, adjusted ones, verdicts and their intervals.

Every row's interval belongs to its verdict. An adjustment rejects a hypothesis whose p-value is at
most its *own rate*; the interval at that rate excludes 0 exactly then:

- holm: ranks i = 1.. of m hypotheses by p-value; alpha / (m - i + 1) up to the first that is not
  rejected, whose rate all later ones share;
- bonferroni: alpha / m; none: alpha;
- fdr_bh, fdr_by: R alpha / m for the R rejected (Benjamini & Yekutieli 2005), (R + 1) alpha / m for
  the others, the first rate that rejects none of them; fdr_by with alpha / sum(1 / i).

Equivalence (two one-sided tests) is adjusted in the same way, in its own order: a row is equivalent
where its interval at 1 - 2 times its rate lies within ±margin, and that is then its interval.
"""

from collections.abc import Callable

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike
from scipy.special import stdtrit

from xtsupport.statistics.declared import FEWEST_SEEDS
from xtsupport.statistics.spread import Spread

FAMILY = ("task", "by", "metric")  # a family of hypotheses: contrasts x levels of a task and metric
POWER = 0.8


def describe(gain: np.ndarray, spread: Spread, alpha: float) -> dict:
    """Two-sided interval (1 - alpha), p-value, and the gain found with 80% power (NaN: fiducial).

    gain: (n,); all in its unit and at alpha, unadjusted: a gain of ``mde`` may need more to pass a
    correction for several rows.
    """
    half = spread.reach(alpha / 2)
    reach = (stdtrit(spread.df, 1 - alpha / 2) + stdtrit(spread.df, POWER)) * spread.se
    return {
        "gain": gain,
        "se": spread.se,
        "df": spread.df,
        "ci_low": gain - half,
        "ci_high": gain + half,
        "p_value": np.minimum(2 * spread.tail(np.abs(gain)), 1),
        "mde": np.where(spread.is_fiducial, np.nan, reach),
    }


def equivalence_p(gain: np.ndarray, spread: Spread, margin: float) -> np.ndarray:
    """TOST (Schuirmann 1987), (n,): the larger one-sided p-value against -margin and +margin.

    gain: (n,) and margin in the unit of the spread.
    """
    return np.maximum(spread.tail(gain + margin), spread.tail(margin - gain))


def judge(
    table: pd.DataFrame, adjustment: str, margin: float, alpha: float, family=FAMILY
) -> pd.DataFrame:
    """Add p_adjusted, adjustment, verdict and the interval that belongs to it; its level is noted.

    table: rows of ``inference``. ``too few``: under three seeds for a claim about
    the recipe (a unit with seeds), or two languages for a claim about a family; a single language
    is judged as that language.
    """
    spread, gain = Spread.of(table), table["gain"].to_numpy(float)
    p, equal = table["p_value"].to_numpy(float), equivalence_p(gain, spread, margin)
    own, own_equal, adjusted = np.ones((3, len(table)))
    for rows in table.groupby(list(family), sort=False).indices.values():
        own[rows], own_equal[rows] = (rates(q[rows], adjustment, alpha) for q in (p, equal))
        adjusted[rows] = ADJUSTMENTS[adjustment](p[rows])
    found = np.where(p <= own, np.where(gain > 0, "improves", "harms"), "undetermined")
    found[(p > own) & (equal <= own_equal)] = "equivalent"
    tail = np.where(found == "equivalent", own_equal, own / 2)
    few = table["unit"].str.contains("seeds") & (table["n_seeds"] < FEWEST_SEEDS)
    of_family = table["by"].isin(("group", "family")) | table["unit"].str.contains("languages")
    few |= of_family & (table["n_languages"] == 2)
    found = np.where(few, "too few", found)
    half = spread.reach(tail)
    known = table["note"] if "note" in table else [""] * len(table)
    named = [f"{100 - 200 * rate:.4g}% interval" for rate in tail]
    levels = np.where(np.isclose(2 * tail, alpha, rtol=1e-6), "", named)
    notes = ["; ".join(filter(None, pair)) for pair in zip(known, levels, strict=True)]
    return table.assign(
        p_adjusted=adjusted,
        adjustment=adjustment,
        verdict=found,
        ci_low=gain - half,
        ci_high=gain + half,
        note=notes,
    )


def rates(p: ArrayLike, adjustment: str, alpha: float) -> np.ndarray:
    """The error rate (n,) at which each hypothesis is tested, so that p <= rate rejects it.

    p: (n,) raw p-values of one family; adjustment: a name of ``ADJUSTMENTS``.
    """
    p = np.asarray(p, float)
    m = len(p)
    order, rank = np.argsort(p, kind="stable"), np.arange(1, m + 1)
    if adjustment == "none":
        return np.full(m, alpha)
    if adjustment == "bonferroni":
        return np.full(m, alpha / m)
    if adjustment == "holm":
        bars = alpha / (m - rank + 1)
        first = np.flatnonzero(np.append(p[order] > bars, True))[0]
        bars[first:] = bars[min(first, m - 1)]
    else:
        per = alpha / m / (np.sum(1 / rank) if adjustment == "fdr_by" else 1)
        under = np.flatnonzero(p[order] <= rank * per)
        rejected = under[-1] + 1 if len(under) else 0
        bars = np.where(rank <= rejected, rejected, rejected + 1) * per
    return bars[np.argsort(order, kind="stable")]


def holm(p: ArrayLike) -> np.ndarray:
    """Holm (1979) step-down p-values (n,), valid under any dependence."""
    p = np.asarray(p)
    order = np.argsort(p, kind="stable")
    stepped = np.maximum.accumulate(p[order] * np.arange(len(p), 0, -1))
    return np.minimum(stepped, 1)[np.argsort(order, kind="stable")]


def better_on(table: pd.DataFrame, alpha: float) -> pd.DataFrame:
    """On at least how many languages the treatment is better, or worse: per contrast and task.

    table: rows of ``compare(by="language")``. One-sided p-values at alpha / 2 for either direction.
    The number of Holm's rejections is such a lower bound, with confidence 1 - alpha: the partial
    conjunction of Benjamini & Heller (2008) in Bonferroni's form, valid under any dependence.
    """
    rows = table[table["by"] == "language"]
    keys = ["treatment", "baseline", "variant", "task", "metric"]
    lines = []
    for key, part in rows.groupby(keys, sort=False):
        up = np.where(part["gain"] > 0, part["p_value"], 2 - part["p_value"]) / 2
        better, worse = (int((holm(p) <= alpha / 2).sum()) for p in (up, 1 - up))
        about = {"better_on": better, "worse_on": worse, "n_languages": len(part)}
        lines.append(dict(zip(keys, key, strict=True)) | about | {"unit": part["unit"].iloc[0]})
    return pd.DataFrame(lines)


def _discoveries(p: np.ndarray, method: str) -> np.ndarray:
    from scipy.stats import false_discovery_control  # here, as its import takes half a second

    return false_discovery_control(p, method=method)


ADJUSTMENTS: dict[str, Callable[[np.ndarray], np.ndarray]] = {
    "holm": holm,
    "bonferroni": lambda p: np.minimum(p * len(p), 1),
    "fdr_bh": lambda p: _discoveries(p, "bh"),
    "fdr_by": lambda p: _discoveries(p, "by"),
    "none": lambda p: p,
}
