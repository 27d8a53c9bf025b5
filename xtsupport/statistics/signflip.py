"""Paired approximate randomisation (Noreen 1989): treatment and baseline swapped per cluster.

The same signs serve all languages, seeds and metrics of a cluster, so tests are joint. The null is
that the labels of the two sides are exchangeable within a cluster, for the given checkpoints: it
speaks about these trained models, whatever the number of seeds.
"""

from collections.abc import Sequence

import numpy as np

from xtsupport.statistics.clusters import ClusterSums, ratio
from xtsupport.statistics.contrasts import Case
from xtsupport.statistics.resampling import cluster_ids, combine, part_of

EXACT = 12  # clusters up to which all 2^n swaps are enumerated


def sign_flip(
    blocks: np.ndarray, n_resamples: int = 10_000, rng: np.random.Generator | None = None
) -> np.ndarray:
    """Two-sided p-values of the column sums of ``blocks`` (G, columns) under random signs per row.

    Exact by enumeration for up to 12 rows that are not all zero, else (1 + hits) / (1 + R).
    """
    live = blocks[np.any(blocks != 0, axis=1)]
    observed = np.abs(live.sum(0))
    tolerance = 1e-9 * np.abs(live).sum(0)
    hits, n = np.zeros(blocks.shape[1]), 0
    for signs in sign_batches(len(live), n_resamples, rng):
        hits += (np.abs(signs @ live) >= observed - tolerance).sum(0)
        n += len(signs)
    return hits / n if len(live) <= EXACT else (1 + hits) / (1 + n)


def sign_batches(n: int, n_resamples: int, rng: np.random.Generator | None, batch: int = 1000):
    """Random signs ±1 as (batch, n), or every combination once where n is small."""
    if n <= EXACT:
        yield 1.0 - 2 * ((np.arange(2**n)[:, None] >> np.arange(n)) & 1)
        return
    rng = np.random.default_rng(0) if rng is None else rng
    for start in range(0, n_resamples, batch):
        rows = min(batch, n_resamples - start)
        drawn = np.frombuffer(rng.bytes(rows * -(-n // 8)), np.uint8).reshape(rows, -1)
        yield np.unpackbits(drawn, axis=1, count=n) * 2.0 - 1


def sign_flip_cases(
    sums: Sequence[ClusterSums], found: Sequence[Case], n_resamples: int = 10_000, seed: int = 0
) -> np.ndarray:
    """Two-sided p-values (C,) of cases by swapping sides per cluster; micro F1 through its counts.

    Tasks are swapped independently of each other, languages and seeds of a task together.
    """
    rng = np.random.default_rng(seed)
    arms = list({id(arm): arm for case in found for arm in case.arms}.values())
    observed, drawn = np.zeros(len(found)), np.zeros((n_resamples, len(found)))
    for task in sorted({arm.moments.task for arm in arms}):
        parts = [one for one in sums if one.task == task]
        mine = [arm for arm in arms if arm.moments.task == task]
        n = len(cluster_ids(parts))
        start = 0
        for signs in sign_batches(max(n, EXACT + 1), n_resamples, rng, 200):
            scores = {id(arm): _swapped(parts, arm, signs[:, :n]) for arm in mine}
            drawn[start : start + len(signs)] += combine(found, scores)
            start += len(signs)
        kept = {id(arm): _swapped(parts, arm, np.ones((1, n))) for arm in mine}
        observed += combine(found, kept)[0]
    tolerance = 1e-9 * (1 + np.abs(observed))
    return (1 + (np.abs(drawn) >= np.abs(observed) - tolerance).sum(0)) / (1 + n_resamples)


def _swapped(parts, arm, signs) -> np.ndarray:
    """Gains (batch, L) of an arm with the sides of every cluster kept (+1) or swapped (-1)."""
    ids, part = cluster_ids(parts), part_of(parts, arm)
    paired = len(arm.mix[0]) == len(arm.mix[1])
    mixes = arm.mix if paired else [mix.mean(0, keepdims=True) for mix in arm.mix]
    gains = np.zeros((len(signs), len(part.clusters)))
    for lang in np.flatnonzero(arm.present):
        x = np.nan_to_num(part.sums[lang])
        one, other = (np.einsum("sr,rgk->gsk", mix, x) for mix in mixes)
        moved = signs[:, np.searchsorted(ids, part.clusters[lang])] @ _flat(one - other)
        moved = moved.reshape(len(signs), *one.shape[1:])
        both, n = (one + other).sum(0), part.sizes[lang].sum()
        gains[:, lang] = (ratio((both + moved) / 2, n) - ratio((both - moved) / 2, n)).mean(1)
    return gains


def _flat(x: np.ndarray) -> np.ndarray:
    return x.reshape(len(x), -1)
