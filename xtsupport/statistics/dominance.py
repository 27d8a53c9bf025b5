"""Almost stochastic order of two sets of seed-level scores.

del Barrio et al. (2018), Dror et al. (2019). Compares whole distributions of runs without pairing,
so it is an addition to the gain, not a test of it. Only for seeds: of per-question scores, three
quarters tie, and their order is noise.
"""

import numpy as np
from scipy import stats

from xtsupport.errors import UserError

FEWEST = 5


def violation(a: np.ndarray, b: np.ndarray) -> float:
    """epsilon_W2: the share of the squared distance of quantiles on which b lies above a, 0..1.

    a, b: samples (n,) and (m,). 0: a is stochastically larger; 1: b is; 0.5 if they coincide.
    """
    a, b = np.sort(np.asarray(a, float)), np.sort(np.asarray(b, float))
    steps = np.union1d(np.arange(len(a) + 1) / len(a), np.arange(len(b) + 1) / len(b))
    middle, width = (steps[1:] + steps[:-1]) / 2, np.diff(steps)
    gaps = a[(middle * len(a)).astype(int)] - b[(middle * len(b)).astype(int)]
    squares = width * gaps**2
    return float(squares[gaps < 0].sum() / squares.sum()) if squares.sum() > 0 else 0.5


def almost_stochastic_order(
    a, b, alpha: float = 0.05, n_resamples: int = 1000, seed: int = 0
) -> float:
    """The upper confidence bound epsilon_min (0..1) of ``violation(a, b)``.

    Below 0.5, a is almost stochastically larger at confidence 1 - alpha (Dror et al. advise 0.2).
    UserError with fewer than five scores on a side.
    """
    a, b = np.asarray(a, float), np.asarray(b, float)
    if min(len(a), len(b)) < FEWEST:
        raise UserError(
            f"almost stochastic order: {len(a)} and {len(b)} scores; it needs {FEWEST} seeds a side"
        )
    rng = np.random.default_rng(seed)
    observed = violation(a, b)
    drawn = [violation(rng.choice(a, len(a)), rng.choice(b, len(b))) for _ in range(n_resamples)]
    spread = np.std(np.array(drawn) - observed)
    return float(np.clip(observed + stats.norm.ppf(1 - alpha) * spread, 0, 1))
