"""From cases to numbers: the rows of a comparison with interval, p-value and notes."""

from collections.abc import Sequence

import numpy as np
import pandas as pd

from xtsupport.statistics.contrasts import Case
from xtsupport.statistics.scales import FACTOR, on_scale
from xtsupport.statistics.variance import UNITS, Estimate, estimate, satterthwaite, standard_error
from xtsupport.statistics.verdicts import t_inference


def tabulate(found: Sequence[Case], unit: str, alpha: float = 0.05) -> pd.DataFrame:
    """The unadjusted rows of some cases."""
    numbers = inference(found, unit, alpha)
    lines = []
    for case, row in zip(found, numbers.to_dict("records"), strict=True):
        note = "; ".join(_notes(case, row["n_seeds"], unit))
        lines.append({**case.labels, **row, "unit": unit, "note": note})
    return pd.DataFrame(lines)


def inference(
    found: Sequence[Case],
    unit: str = UNITS[0],
    alpha: float = 0.05,
    scale: str = "points",
    degrees=satterthwaite,
) -> pd.DataFrame:
    """Counts, gain, interval, p-value and smallest detectable gain of each case.

    n_clusters counts what is resampled (languages share parallel clusters), n_examples the scores
    of one run. baseline_score is in points, the rest in the units of the scale. degrees: as for
    ``standard_error``.
    """
    together: dict[tuple, list[int]] = {}
    for i, case in enumerate(found):
        together.setdefault(tuple(map(id, case.arms)), []).append(i)
    parts = [
        _infer([found[i] for i in rows], unit, alpha, scale, degrees) for rows in together.values()
    ]
    table = pd.concat(parts, ignore_index=True)
    table.index = [i for rows in together.values() for i in rows]
    return table.sort_index()


def _infer(group: Sequence[Case], unit, alpha, scale, degrees) -> pd.DataFrame:
    """Cases that average over the same arms, at once."""
    arms = group[0].arms
    scaled = [_scaled(case, scale) for case in group]
    weights = [np.stack([own[j] for _, own in scaled]) for j in range(len(arms))]
    one = estimate(arms, weights)
    gain = one.gain if scale == "points" else np.array([value for value, _ in scaled])
    sampled = "languages" in unit
    extra = [_language_variance(case) if sampled else (0.0, np.inf) for case in group]
    se, df = standard_error(one, unit, *np.array(extra).T, degrees)
    reached = [[np.flatnonzero(weight) for weight in case.weights] for case in group]
    factor = FACTOR[scale]
    counts = {
        "n_languages": [len(case.row.languages) for case in group],
        "n_seeds": one.n_seeds,
        "n_clusters": [
            sum(one.moments.count_clusters(where) for one, where in zip(arms, used, strict=True))
            for used in reached
        ],
        "n_examples": [
            int(sum(a.moments.examples[where].sum() for a, where in zip(arms, used, strict=True)))
            for used in reached
        ],
        "baseline_score": [np.nan if case.is_difference else _baseline(case) for case in group],
    }
    return pd.DataFrame({**counts, **t_inference(factor * gain, factor * se, df, alpha)})


def _scaled(case: Case, scale: str) -> tuple[float, list[np.ndarray]]:
    """The case's gain on a scale and, per arm, the (2, L) weights that its variance needs."""
    value, weights = 0.0, []
    for one, weight in zip(case.arms, case.weights, strict=True):
        k, b = (np.nan_to_num(scores.mean(0)) for scores in one.values)
        gains, by_k, by_b = on_scale(scale, k, b, one.moments.examples)
        value += float(weight @ gains)
        weights.append(np.stack([weight * by_k, weight * by_b]))
    return value, weights


def _baseline(case: Case) -> float:
    means = [np.nan_to_num(one.values[1].mean(0)) for one in case.arms]
    return 100 * float(sum(w @ mean for w, mean in zip(case.weights, means, strict=True)))


def _language_variance(case: Case) -> tuple[float, float]:
    """Variance of the mean with languages as a sample, beyond clusters and seeds (by moments)."""
    k = len(case.row.languages)
    if k < 2:
        return 0.0, np.inf
    weights = []
    for one, weight in zip(case.arms, case.weights, strict=True):
        names = one.moments.languages["language"].to_numpy()
        each = np.stack([k * weight * (names == code) for code in case.row.languages])
        weights.append(np.stack([each, -each], axis=1))
    joint = estimate(case.arms, weights, joint=True)
    noise = joint.covariance()
    chance = (np.trace(noise) - noise.sum() / k) / (k * (k - 1))
    return max(float(np.var(joint.gain, ddof=1)) / k - float(chance), 0.0), k - 1


def _notes(case: Case, n_seeds: int, unit: str) -> list[str]:
    row = case.row
    found = [row.note, *(one.note for one in case.arms)]
    if row.by in ("group", "family") and len(row.languages) == 1:
        found.append(f"one language: {row.languages[0]}, not the {row.by}")
    if row.by in ("group", "family") and len(row.languages) == 2:
        named = ", ".join(row.languages)
        found.append(f"two languages ({named}): too few for the {row.by}; compare by language")
    if n_seeds < 2 and "seeds" in unit:
        found.append("one seed: the interval covers other questions, not other runs")
    if case.same_data:
        found.append("the treatment uses this target's own training data")
    return list(dict.fromkeys(filter(None, found)))


def joint_estimate(found: Sequence[Case]) -> Estimate:
    """The joint estimate of cases of one contrast that may average over different tasks."""
    arms = list({id(arm): arm for case in found for arm in case.arms}.values())
    place = {id(arm): j for j, arm in enumerate(arms)}
    weights = [np.zeros((len(found), 2, len(arm.moments.languages))) for arm in arms]
    for row, case in enumerate(found):
        for arm, weight in zip(case.arms, case.weights, strict=True):
            weights[place[id(arm)]][row] = weight, -weight
    return estimate(arms, weights, joint=True)
