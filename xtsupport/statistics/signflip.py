"""Paired approximate randomisation (Noreen 1989): treatment and baseline swapped per cluster.

The same signs serve all languages, seeds and metrics of a cluster, so tests are joint. The null is
that the labels of the two sides are exchangeable within a cluster, for the given checkpoints: it
speaks about these trained models, whatever the number of seeds.
"""

import numpy as np

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
