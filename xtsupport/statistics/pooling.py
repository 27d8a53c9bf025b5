"""What to expect in a language: gains of single languages, drawn towards their common mean.

A gain measured in one language is noisy, and the largest of ten is too large. If languages are
draws from one population, the others say something about each (partial pooling, empirical Bayes):

    measured = gain + noise,    noise ~ N(0, V),    gain of language l ~ N(mean, between^2)

V is the joint covariance of the primary: clusters of examples (languages of a parallel task share
them) and runs, which move all languages alike (A) and each by itself (B):

    V = V_clusters + A 11' + B I

What is unknown is integrated over, not plugged in: the mean (flat prior), the SD between languages
(half-Cauchy prior with half of a language's typical standard error as scale; REML likelihood), and
A, by the fiducial distribution of the run variance V* of the primary (U: its degrees of freedom are
few). So intervals widen where ten languages or three seeds cannot tell. A, which shifts every
language alike, leaves the SD between languages alone.

Nominal 95% intervals hold the gain of a language, and of one that was not tested, in 92 to 98% of
simulated studies with ten languages, three seeds and an SD between languages of 0.5 to 2 points
(benchmarks/calibration.md). That of the SD holds it in 90 to 98% (tests/test_pooling.py) and moves
with the prior. Where languages do not differ at all they are too wide, as no ten languages can show
that. "One population" is an assumption: a new language is one like these.
"""

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd
from scipy.special import ndtr, ndtri

from xtsupport.statistics.aggregates import Case
from xtsupport.statistics.contrasts import arms_of
from xtsupport.statistics.declared import Declared
from xtsupport.statistics.evidence import Evidence
from xtsupport.statistics.spread import chi2_quantile, moderate
from xtsupport.statistics.variance import estimate

GRID = 120  # values of the SD between languages, equally likely before the data
RUNS = 16  # values of A
FEWEST = 3  # languages
COLUMNS = ["by", "level", "n_languages", "measured", "gain", "sd", "ci_low", "ci_high", "between",
           "between_low", "between_high"]  # fmt: skip


def measured(levels: Sequence[Case]) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Gains (L,) of one-language levels of a contrast and task, in points, and their error: V
    without A (L, L), and the values that A may have (n,).

    Languages keep their own cluster variance and share one correlation, which keeps the variance of
    their mean: a full covariance from a hundred clusters, inverted, would weigh them by chance.
    """
    one, n = estimate(*arms_of(levels), joint=True), len(levels)
    parts = (one.clusters, one.seeds, one.cells, one.pooled)
    clusters, seeds, cells, pooled = (1e4 * part for part in parts)
    sds = np.sqrt(np.maximum(np.diag(clusters), 0.0))  # rounding can leave -1e-20
    own = np.outer(sds, sds)
    rest = own.sum() - np.trace(own)
    correlation = (clusters.sum() - np.trace(clusters)) / rest if rest > 0 else 0.0
    own = own * (correlation + (1 - correlation) * np.eye(n))
    if one.n_seeds < 2:
        return 100 * one.gain, own, np.zeros(1)
    run = pooled - cells
    language = max((np.trace(run) - run.sum() / n) / (n - 1), 0.0)
    v_star, df = moderate(seeds.mean(), one.df_seeds.min(), pooled.mean())
    luck = chi2_quantile((np.arange(RUNS) + 0.5) / RUNS, df)
    shared = np.maximum(df * v_star / luck - cells.mean() - language / n, 0.0)
    return 100 * one.gain, own + language * np.eye(n), shared


def outlook(evidence: Evidence) -> pd.DataFrame:
    """``expectations`` of the primary contrast on its target; no rows for fewer than 3 languages,
    or one seed, which says nothing about the runs to come."""
    levels = evidence.target_cases("language")
    if len(levels) < FEWEST or estimate(*arms_of(levels)).n_seeds < 2:
        return pd.DataFrame(columns=COLUMNS)
    groups = evidence.languages.set_index("code")["group"]
    return expectations(levels, groups, evidence.rules.alpha)


def expectations(
    levels: Sequence[Case], groups: Mapping | None = None, alpha: float = Declared.alpha
) -> pd.DataFrame:
    """What to expect per language, per group, on average, and in a language that was not tested.

    levels: the one-language cases of a contrast, task and metric, three or more.
    groups: language -> family or group (a mapping or series); a group is the mean of its measured
    languages. Columns: by (language, group, mean, new language), level, n_languages, measured (the
    raw gain, points), gain, sd, ci_low, ci_high (the posterior), between, between_low, between_high
    (posterior median and interval of the SD between languages).
    """
    codes = [case.level for case in levels]
    members = {("language", code): [code] for code in codes}
    if groups is not None:
        for code in codes:
            members.setdefault(("group", groups[code]), []).append(code)
    members[("mean", "all")] = codes
    rows = np.array([[(code in part) / len(part) for code in codes] for part in members.values()])
    gains, own, shared = measured(levels)
    found = pool(gains, own, shared, rows, alpha)
    names = [*members, ("new language", "not tested")]
    table = pd.DataFrame(names, columns=COLUMNS[:2])
    table["n_languages"] = [*map(len, members.values()), 0]
    table["measured"] = [*(rows @ gains), np.nan]
    return table.join(found)


def pool(
    gains: np.ndarray,
    own: np.ndarray,
    shared: np.ndarray,
    rows: np.ndarray,
    alpha: float = Declared.alpha,
) -> pd.DataFrame:
    """The posterior of means over languages, and, last, of the gain of a language not measured.

    gains, own, shared: of ``measured``, L >= 3; rows: (K, L) weights that sum to one, the identity
    for single languages. Returns K + 1 rows: gain, sd, ci_low, ci_high (central 1 - alpha);
    between, between_low, between_high (the posterior median SD and its interval).
    """
    values, vectors = np.linalg.eigh(own)
    values = np.maximum(values, 0.0)
    scale = 0.5 * np.sqrt(max(values.mean() + shared.mean(), 1e-12))
    between = scale * np.tan(np.pi / 2 * (np.arange(GRID) + 0.5) / GRID)
    spread = values[:, None] + between**2  # (L, T) in the eigenvectors' coordinates
    ones, y = vectors.sum(0)[:, None], (vectors.T @ gains)[:, None]
    precision = (ones**2 / spread).sum(0)
    mean = (ones * y / spread).sum(0) / precision
    rest = y - ones * mean
    loglik = -0.5 * (np.log(spread).sum(0) + np.log(precision) + (rest**2 / spread).sum(0))
    weight = np.exp(loglik - loglik.max())
    weight /= weight.sum()
    turned = rows @ vectors  # (K, L)
    means = mean + between**2 * (turned @ (rest / spread))
    kept = between**2 * values[:, None] / spread  # posterior variance around a known mean
    to_mean = 1 - between**2 * (turned @ (ones / spread))
    variances = turned**2 @ kept + to_mean**2 / precision
    means = np.vstack([means, mean])
    variances = np.vstack([variances, 1 / precision + between**2])
    return _summary(means, variances, weight, shared, between, alpha)


def _summary(means, variances, weight, shared, between, alpha) -> pd.DataFrame:
    """Mixtures over the SD between languages (T, weighted) and over A (equally likely)."""
    centre = means @ weight
    total = variances @ weight + shared.mean() + ((means - centre[:, None]) ** 2) @ weight
    sds = np.sqrt(np.maximum(variances[..., None] + shared, 1e-18))  # (K, T, A); 0: all gains equal
    low, high = (_quantile(level, means, sds, weight) for level in (alpha / 2, 1 - alpha / 2))
    found = {"gain": centre, "sd": np.sqrt(total), "ci_low": low, "ci_high": high}
    at = np.searchsorted(weight.cumsum(), [0.5, alpha / 2, 1 - alpha / 2])
    names = ("between", "between_low", "between_high")
    return pd.DataFrame(found).assign(**dict(zip(names, between[at], strict=True)))


def _quantile(level, means, sds, weight) -> np.ndarray:
    """Quantile (K,) of normal mixtures, by bisection to 1e-4 of their width."""
    use = weight > 1e-5
    means, sds, weight = means[:, use, None], sds[:, use], weight[use] / weight[use].sum()
    z = ndtri(min(level, 1 - level))
    low = (means + z * sds).min((1, 2))
    high = (means - z * sds).max((1, 2))
    for _ in range(16):
        middle = (low + high) / 2
        below = ndtr((middle[:, None, None] - means) / sds).mean(-1) @ weight < level
        low, high = np.where(below, middle, low), np.where(below, high, middle)
    return (low + high) / 2
