"""Bootstraps of clusters and of clusters x seeds, joint over languages, tasks and contrasts.

Clusters are drawn once per replicate and used for every language, seed and condition, so that all
covariances survive; a draw is a count per cluster, and a resampled score one matrix product.
Micro F1 is formed from resampled counts. Unit ``clusters``: these trained models on new examples
(Field & Welsh 2007). Unit ``clusters x seeds``: the recipe on new examples, by independent draws of
clusters and of seeds whose weights multiply (the pigeonhole bootstrap, Owen 2007). Drawing S seeds
shrinks their variance to (S - 1) / S, which is undone (the rescaling of Rao & Wu 1988). The
interaction is counted about three times, so it is conservative where examples make most of the
noise; where runs do and there are three of them, it is not. A check beside the two-way variance,
not a replacement. Languages that share no clusters are drawn apart,
tasks always.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np

from xtsupport.errors import UserError
from xtsupport.statistics.aggregates import Case
from xtsupport.statistics.clusters import ClusterSums, ratio, sharing
from xtsupport.statistics.contrasts import arms_of
from xtsupport.statistics.declared import UNITS, Declared
from xtsupport.statistics.variance import Arm, common_replicates


def cluster_counts(
    n: int, n_resamples: int, rng: np.random.Generator, batch: int = 100
) -> Iterator[np.ndarray]:
    """How often each of n clusters is drawn, (batch, n) per step, ``n_resamples`` rows in all.

    Draws the same indices as ``scipy.stats.bootstrap(batch=batch)`` from an equal generator.
    """
    for start in range(0, n_resamples, batch):
        rows = min(batch, n_resamples - start)
        drawn = rng.integers(0, n, (rows, n)) + np.arange(rows)[:, None] * n
        yield np.bincount(drawn.ravel(), minlength=rows * n).reshape(rows, n).astype(float)


@dataclass(frozen=True)
class Resamples:
    """R resampled gains of C cases, in points.

    gain: (C,) observed; gains: (R, C); se: (C,) and ses: (R, C), standard errors of the observed
    and the resampled gains (linearised clusters plus seeds).
    """

    gain: np.ndarray
    gains: np.ndarray
    se: np.ndarray
    ses: np.ndarray

    def interval(self, alpha: float = Declared.alpha) -> np.ndarray:
        """Two-sided studentised intervals (C, 2), the bootstrap t (Efron & Tibshirani 1993)."""
        with np.errstate(invalid="ignore", divide="ignore"):
            t = np.nan_to_num((self.gains - self.gain) / self.ses)
        high, low = np.quantile(t, [alpha / 2, 1 - alpha / 2], axis=0)
        with np.errstate(over="ignore"):  # resamples without spread: endless intervals
            return np.stack([self.gain - low * self.se, self.gain - high * self.se], axis=1)


def bootstrap(
    sums: Sequence[ClusterSums],
    found: Sequence[Case],
    unit: str = UNITS[0],
    n_resamples: int = 10_000,
    seed: int = 0,
    batch: int = 100,
) -> Resamples:
    """Resample all cases jointly. sums: the contracted cube that the cases were made from.

    Languages with more than 2,000 clusters of their own are resampled in 500 random blocks of whole
    clusters, which is as valid and bounds time and memory.
    """
    if unit not in UNITS[:2]:
        raise UserError(f"unit={unit!r}: the bootstrap resamples {' or '.join(UNITS[:2])}")
    rng = np.random.default_rng(seed)
    arms, weights = arms_of(found)
    seeds = _SeedDraws(rng, arms, n_resamples, vary=unit == UNITS[0])
    effects = [seed_effects(case) for case in found]
    gains, squares = np.zeros((2, n_resamples, len(found)))
    second = np.zeros(len(found))
    for task in sorted({arm.moments.task for arm in arms}):
        parts = _in_blocks([one for one in sums if one.task == task])
        of_metric = {one.metric: one for one in parts}
        mine = [
            (arm, of_metric[arm.moments.metric], weight[:, 0].T)
            for arm, weight in zip(arms, weights, strict=True)
            if arm.moments.task == task
        ]
        ids = cluster_ids(parts)
        z = np.sum([_influences(ids, *one) for one in mine], axis=0)
        second += (z**2).sum(0)
        for rows, counts in _joint_counts(parts, ids, n_resamples, rng, batch):
            for one in mine:
                gains[rows] += _resampled(ids, *one, counts=counts, seeds=seeds, rows=rows)
            squares[rows] += counts @ z**2 - (counts @ z) ** 2 / len(z)
    if unit == UNITS[0]:
        squares += seeds.variance(effects)
        second += [sum(part.var() / (len(part) - 1 or 1) for part in e) for e in effects]
    return Resamples(
        gain=100
        * sum(w[:, 0] @ (a.means[0] - a.means[1]) for a, w in zip(arms, weights, strict=True)),
        gains=100 * gains,
        se=100 * np.sqrt(second),
        ses=100 * np.sqrt(np.maximum(squares, 0)),
    )


def seed_effects(case: Case) -> list[np.ndarray]:
    """The case's gain per replicate (R,): one array if paired, else one per side that varies."""
    paired = all(arm.paired for arm in case.arms)
    picks = common_replicates(case.arms, paired)
    sides = []
    for side, sign in ((0, 1), (1, -1)):
        parts = zip(case.arms, picks[side], case.weights, strict=True)
        sides.append(sign * sum(np.nan_to_num(arm.values[side])[p] @ w for arm, p, w in parts))
    return [sides[0] + sides[1]] if paired else sides


def _influences(ids, arm: Arm, part: ClusterSums, weights) -> np.ndarray:
    """Influence of each cluster of a task, by one arm, on each case, over replicates, (G, C)."""
    z = np.zeros((len(ids), weights.shape[1]))
    difference = arm.mix[0].mean(0) - arm.mix[1].mean(0)
    for lang in np.flatnonzero(weights.any(1)).tolist():
        effect = difference @ np.nan_to_num(part.influence(lang))
        z[np.searchsorted(ids, part.clusters[lang])] += np.outer(effect, weights[lang])
    return z


def cluster_ids(parts: Sequence[ClusterSums]) -> np.ndarray:
    """The clusters of a task, over all its metrics and languages, sorted. (G,)"""
    return np.unique(np.concatenate([ids for part in parts for ids in part.clusters]))


class _SeedDraws:
    """Replicates drawn once for all contrasts; sides of an unpaired contrast are drawn apart."""

    def __init__(self, rng, arms, n_resamples, vary):
        most = max((len(labels) for arm in arms for labels in arm.labels if labels), default=1)
        self.uniform = rng.random((2, n_resamples, most)) if vary else None

    def draw(self, n: int, side: int, rows: slice) -> np.ndarray:
        """Shares of n replicates in a draw, (batch, n), rows summing to 1."""
        if self.uniform is None or n == 1:
            return np.full((1, n), 1 / n)
        drawn = (self.uniform[side, rows, :n] * n).astype(int)
        return (drawn[:, :, None] == np.arange(n)).mean(1)

    def of_side(self, arm: Arm, side: int, rows: slice) -> np.ndarray:
        """Weights of an arm's replicates, (batch, n): shares, their spread rescaled (Rao & Wu)."""
        n = len(arm.mix[side])
        shares = self.draw(n, side if not arm.paired else 0, rows)
        return 1 / n + (shares - 1 / n) * np.sqrt(n / max(n - 1, 1))

    def variance(self, effects) -> np.ndarray:
        """Var of each case's resampled gain over seeds, (R, C)."""
        columns = []
        for parts in effects:
            total = 0.0
            for side, values in enumerate(parts):
                v = self.draw(len(values), side, slice(None))
                n, lost = len(values), max(len(values) - 1, 1)
                total = total + (v @ values**2 - (v @ values) ** 2) * n / lost**2
            columns.append(total)
        return np.stack(np.broadcast_arrays(*columns), axis=1)


def _joint_counts(parts, ids, n_resamples, rng, batch):
    """Counts per batch (rows, (batch, G)), drawn apart for languages that share no cluster."""
    every = [clusters for part in parts for clusters in part.clusters]
    strata = [
        np.searchsorted(ids, np.unique(np.concatenate([every[i] for i in together])))
        for together in sharing(every)
    ]
    draws = [cluster_counts(len(at), n_resamples, rng, batch) for at in strata]
    for start, drawn in zip(range(0, n_resamples, batch), zip(*draws, strict=True), strict=True):
        counts = np.zeros((len(drawn[0]), len(ids)))
        for at, here in zip(strata, drawn, strict=True):
            counts[:, at] = here
        yield slice(start, start + len(counts)), counts


def _resampled(ids, arm: Arm, part: ClusterSums, weights, *, counts, seeds, rows) -> np.ndarray:
    """What an arm adds to the gain of every case under drawn counts of clusters, (batch, C)."""
    used = np.flatnonzero(np.any([mix.any(0) for mix in arm.mix], axis=0))
    gains = np.zeros((len(counts), len(part.clusters)))
    shares = [seeds.of_side(arm, side, rows) for side in (0, 1)]
    for lang in np.flatnonzero(arm.present):
        drawn = counts[:, np.searchsorted(ids, part.clusters[lang])]
        x = part.sums[lang][used]
        totals = drawn @ x.transpose(1, 0, 2).reshape(x.shape[1], -1)
        examples = np.maximum(drawn @ part.sizes[lang], 1)[:, None]
        scores = ratio(totals.reshape(len(counts), len(used), -1), examples)
        for side, sign in ((0, 1), (1, -1)):
            each = scores @ arm.mix[side][:, used].T
            gains[:, lang] += sign * (each * shares[side]).sum(1)
    return gains @ weights


def _in_blocks(parts: list[ClusterSums]) -> list[ClusterSums]:
    """The parts of a task, over-large sets of shared clusters merged into random blocks."""
    every = [clusters for part in parts for clusters in part.clusters]
    rng = np.random.default_rng(0)
    block_of = np.arange(max(ids.max() for ids in every) + 1)
    free = len(block_of)
    for together in sharing(every):
        ids = np.unique(np.concatenate([every[i] for i in together]))
        if len(ids) > 2000:
            block_of[ids] = free + rng.permutation(len(ids)) % 500
            free += 500
    return [_merge(part, block_of) for part in parts] if free > len(block_of) else parts


def _merge(part: ClusterSums, block_of: np.ndarray) -> ClusterSums:
    clusters, sizes, sums = [], [], []
    for ids, size, total in zip(part.clusters, part.sizes, part.sums, strict=True):
        names, at = np.unique(block_of[ids], return_inverse=True)
        merged = np.zeros((len(total), len(names), total.shape[2]))
        for run, own in zip(merged, total, strict=True):
            np.add.at(run, at, own)
        clusters.append(names)
        sizes.append(np.bincount(at, size))
        sums.append(merged)
    return replace(part, clusters=clusters, sizes=sizes, sums=sums)
