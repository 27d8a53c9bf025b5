"""Does a conclusion hang on a choice that could have been made otherwise?

F1 points differ in headroom, and XQuAD's whitespace F1 is nearly exact match in Chinese and Thai.
So each row is also judged on the other scales (*scale-dependent* if that changes the conclusion)
and under its target's other metrics (*metric-dependent*). A conclusion is the sign of a gain whose
interval excludes 0, or that there is none.
"""

from collections.abc import Sequence

import numpy as np

from xtsupport.statistics.contrasts import Case
from xtsupport.statistics.inference import inference
from xtsupport.statistics.scales import FACTOR
from xtsupport.statistics.variance import UNITS


def dependence(found: Sequence[Case], unit: str = UNITS[0], alpha: float = 0.05) -> list[str]:
    """Per case ``scale-dependent``, ``metric-dependent``, both, or an empty string.

    The metrics of a row are those that ``found`` has for the same contrast, task and level.
    """
    by_scale = np.stack([conclusions(found, unit, alpha, scale) for scale in FACTOR])
    points = by_scale[0]
    by_row: dict[tuple, set] = {}
    rows = [(*case.labels.values(),)[:-1] for case in found]  # every label but the metric
    for row, sign in zip(rows, points, strict=True):
        by_row.setdefault(row, set()).add(sign)
    labels = []
    for row, signs in zip(rows, by_scale.T, strict=True):
        flips = {"scale-dependent": set(signs), "metric-dependent": by_row[row]}
        labels.append(", ".join(name for name, values in flips.items() if len(values) > 1))
    return labels


def conclusions(found: Sequence[Case], unit: str, alpha: float, scale: str) -> np.ndarray:
    """1, -1 or 0 per case (cases,): which side of 0 its interval lies on, or neither."""
    table = inference(found, unit, alpha, scale)
    return np.where(table["ci_low"] > 0, 1, np.where(table["ci_high"] < 0, -1, 0))
