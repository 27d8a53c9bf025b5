"""Where the noise comes from: variance components of a gain, in closed form.

Model of a paired difference of cluster g, seed s, language l (all random, crossed):

    d_gsl = mean + seed + seed:language + cluster + cluster:language + cluster:seed + residual

``components`` takes them from the moments of a contrast, so it needs no second look at the cube,
covers micro F1 through its influences, and languages that share no clusters (whose ``cluster``
part is then 0). For complete parallel designs it equals the expected-mean-squares estimates of the
balanced analysis of variance. Estimates may be negative; they are reported raw, and truncated only
where they are used.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from xtsupport.errors import UserError
from xtsupport.statistics.aggregates import Case
from xtsupport.statistics.contrasts import arms_of
from xtsupport.statistics.evidence import Evidence
from xtsupport.statistics.spread import chi2_quantile
from xtsupport.statistics.variance import estimate

PARTS = ("seed", "seed:language", "cluster", "cluster:language", "cluster:seed", "residual")


def components(case: Case) -> dict[str, float]:
    """Variance components of one case of one task (squared points), and the design they are from.

    Keys: ``PARTS``, then n_seeds, n_languages, n_clusters and n_examples (means per language).
    With one language the parts with a language are 0 and contained in the others; with one seed
    the parts with a seed are nan. UserError for aggregates and unpaired contrasts.
    """
    if len(case.arms) != 1 or not case.arms[0].paired:
        raise UserError(f"{case.task}: variance components need one task and paired seeds")
    arm = case.arms[0]
    langs = np.flatnonzero(case.weights[0])
    d, gram = paired_differences(arm, langs)
    n_clusters = np.array([len(arm.moments.clusters[lang]) for lang in langs], float)
    covariance = gram * np.sqrt(np.outer(n_clusters, n_clusters))
    same, apart = (_over_pairs(covariance, equal_seeds) for equal_seeds in (True, False))
    runs = _over_pairs(gram, True) - _over_pairs(gram, False)  # cluster:seed and residual, over G
    between = np.cov(d.T, ddof=1).reshape(len(langs), -1) if len(d) > 1 else np.full((1, 1), np.nan)
    seeds = _diagonal_and_rest(between) - runs
    found = [seeds[1], seeds[0] - seeds[1], apart[1], apart[0] - apart[1], same[1] - apart[1],
             same[0] - same[1] - (apart[0] - apart[1])]  # fmt: skip
    if len(langs) == 1:
        found = [seeds[0], 0.0, apart[0], 0.0, same[0] - apart[0], 0.0]
    design = {"n_seeds": len(d), "n_languages": len(langs), "n_clusters": float(n_clusters.mean())}
    design["n_examples"] = float(arm.moments.examples[langs].mean())
    return {name: 1e4 * float(part) for name, part in zip(PARTS, found, strict=True)} | design


@dataclass(frozen=True)
class RunNoise:
    """How much the difference of two runs varies, in squared points, pooled over conditions.

    run: on all languages alike; language: on each besides; as an estimate raw, so perhaps negative.
    df: residual degrees of freedom of run; sides: the number of sides that vary, 2, or 1 where one
    run serves every seed.
    """

    run: float
    language: float
    df: float
    sides: int

    def variance(self, n_languages: float) -> float:
        """Of the difference of two runs in their mean over so many languages; at least 0."""
        return max(self.run + max(self.language, 0.0) / n_languages, 0.0)


def run_noise(levels: Sequence[Case]) -> tuple[RunNoise, RunNoise]:
    """The estimate for one contrast and task, from its one-language levels (E of them), and its
    one-sided 80% upper bound, at least 0.

    The mean square of runs pooled over all conditions (``run_variance``), less the luck of the
    questions that each run answers (V_cells): that of the mean over languages is run + language /
    E, that of single languages run + language. The bound puts MS df / (lower fifth of chi2(df)) for
    MS.
    """
    one, k = estimate(*arms_of(levels), joint=True), len(levels)
    seen, luck = (1e4 * one.n_seeds * part for part in (one.pooled, one.cells))
    df = max(float(one.df_pooled.min()), 1.0)
    (mean, apart), (mean_luck, apart_luck) = _mean_and_apart(seen), _mean_and_apart(luck)
    language = apart - apart_luck
    run = mean - mean_luck - language / k
    bounds = [n / chi2_quantile(0.2, n) for n in (df, df * max(k - 1, 1))]
    most = max(bounds[0] * mean - mean_luck - max(language, 0.0) / k, 0.0, run)
    most_apart = max(bounds[1] * apart - apart_luck, 0.0)
    sides = sum(labels is not None for labels in levels[0].arms[0].labels)
    return RunNoise(run, language, df, sides), RunNoise(most, most_apart, df, sides)


def uncertainty_shares(evidence: Evidence) -> pd.DataFrame:
    """Where the uncertainty of the primary gain over all languages comes from.

    Columns: part (``PARTS``), variance (squared points, raw), sd (points) and share (percent of the
    squared standard error of the mean over seeds, clusters and languages; nan with one seed).
    UserError where seeds are not paired.
    """
    parts = components(evidence.answer_cases("all")[0])
    s, g, k = (parts[name] for name in ("n_seeds", "n_clusters", "n_languages"))
    lines = pd.DataFrame({"part": PARTS, "variance": [parts[name] for name in PARTS]})
    lines["sd"] = np.sqrt(lines["variance"].clip(lower=0))
    of_mean = lines["sd"] ** 2 / np.array((s, s * k, g, g * k, g * s, g * s * k))
    lines["share"] = 100 * of_mean / (of_mean.sum() if s > 1 else np.nan)
    return lines


def _mean_and_apart(matrix: np.ndarray) -> tuple[float, float]:
    """Variance (E, E) of E levels: of their mean, and of each around it."""
    k = len(matrix)
    mean = float(matrix.mean())
    return mean, (float(np.trace(matrix)) / k - mean) * k / (k - 1) if k > 1 else 0.0


def paired_differences(arm, langs) -> tuple[np.ndarray, np.ndarray]:
    """Gains (S, L) of some languages and the Gram matrix (S, S, L, L) of their influences."""
    n = max(len(mix) for mix in arm.mix)
    values, blocks = [], []
    for side in (0, 1):
        rows = np.arange(n) if len(arm.mix[side]) == n else np.zeros(n, int)
        values.append(arm.values[side][rows][:, langs])
        blocks.append(rows)
    both = [(a, b) for a in (0, 1) for b in (0, 1)]
    cut = {(a, b): arm.gram[a][b][np.ix_(blocks[a], blocks[b], langs, langs)] for a, b in both}
    gram = cut[0, 0] - cut[0, 1] - cut[1, 0] + cut[1, 1]
    return values[0] - values[1], gram


def _over_pairs(gram: np.ndarray, equal_seeds: bool) -> np.ndarray:
    """Mean over pairs of equal (or different) seeds, of equal and different languages: (2,)."""
    n = len(gram)
    total, diagonal = gram.sum((0, 1)), np.trace(gram)
    if n == 1 and not equal_seeds:
        return np.full(2, np.nan)
    return _diagonal_and_rest(diagonal / n if equal_seeds else (total - diagonal) / (n * (n - 1)))


def _diagonal_and_rest(matrix: np.ndarray) -> np.ndarray:
    k = len(matrix)
    rest = (matrix.sum() - np.trace(matrix)) / max(k * (k - 1), 1)
    return np.array([np.trace(matrix) / k, rest])
