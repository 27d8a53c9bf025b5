"""A gain on three scales, because points mean different things at 40 and at 90.

    points     k - b
    relative   (k - b) / (1 - b)            share of the baseline's errors that is gone (percent)
    logit      log k/(1-k) - log b/(1-b)    log odds

k and b are the mean scores (0..1) of treatment and baseline in one language of one task; a row is
the weighted sum of these, and its variance follows by the delta method.
"""

import numpy as np

FACTOR = {"points": 100.0, "relative": 100.0, "logit": 1.0}


def on_scale(scale: str, k: np.ndarray, b: np.ndarray, n: np.ndarray) -> tuple[np.ndarray, ...]:
    """Gain per language and its derivatives by k and by b, each (L,); n are the examples.

    Off the scale of points, scores are kept half an example away from 0 and 1.
    """
    if scale == "points":
        return k - b, np.ones_like(k), -np.ones_like(b)
    k, b = (np.clip(score, 0.5 / n, 1 - 0.5 / n) for score in (k, b))
    if scale == "relative":
        return (k - b) / (1 - b), 1 / (1 - b), (k - 1) / (1 - b) ** 2
    if scale == "logit":
        return np.log(k / (1 - k) * (1 - b) / b), 1 / (k * (1 - k)), -1 / (b * (1 - b))
    raise ValueError(f"scale {scale!r}: points, relative or logit")
