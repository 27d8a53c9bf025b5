"""Is a condition better than its baseline: gains with intervals, p-values and verdicts.

``compare`` is the whole path from a cube to the table: contract the cube once to moments, cut out
each contrast, average over languages and tasks, attach the two-way variance, adjust and judge. The
column ``unit`` says what was resampled and so which population a row speaks about (``variance``).
"""

from collections.abc import Iterable, Sequence

import numpy as np
import pandas as pd

from xtsupport.analysis.aggregates import task_facts
from xtsupport.analysis.clusters import ClusterSums, Moments, contract, moments
from xtsupport.analysis.contrasts import Case, cases, sides_of
from xtsupport.analysis.results import validate_cube
from xtsupport.analysis.scales import FACTOR, on_scale
from xtsupport.analysis.variance import UNITS, estimate, standard_error
from xtsupport.analysis.verdicts import ADJUSTMENTS, adjust, t_inference, verdict
from xtsupport.errors import UserError

COLUMNS = [
    "treatment",
    "baseline",
    "variant",
    "task",
    "by",
    "level",
    "metric",
    "n_languages",
    "n_seeds",
    "n_clusters",
    "n_examples",
    "baseline_score",
    "gain",
    "se",
    "df",
    "ci_low",
    "ci_high",
    "p_value",
    "p_adjusted",
    "adjustment",
    "mde",
    "verdict",
    "unit",
    "note",
]


def compare(
    cube,
    baseline: str = "none",
    by: str = "group",
    unit: str = UNITS[0],
    paired: bool = True,
    n_resamples: int = 10_000,
    seed: int = 0,
    *,
    contrasts: Sequence | None = None,
    metrics: Sequence[str] | None = None,
    primary: str = "xquad",
    margin: float = 1.0,
    alpha: float = 0.05,
    adjustment: str = "holm",
    source: str = "en",
    data="hub",
) -> pd.DataFrame:
    """Gains of every condition over its baseline, in points, with the columns of ``COLUMNS``.

    - cube: a frame with the columns of a cube, or what ``study_moments`` made of one
    - by: group, family, language or all; unit: what is resampled, one of ``UNITS``
    - paired: the seeds of treatment and baseline belong together
    - contrasts: pairs (treatment, baseline) of ``condition`` or ``condition/variant``; without
      them every condition and variant is compared with ``baseline``
    - metrics: only these; primary: the target that aggregates are matched to
    - margin: of equivalence, in points; alpha: of tests and intervals
    - adjustment: holm, bonferroni, fdr_bh, fdr_by, none, or romano-wolf (which resamples clusters
      x seeds ``n_resamples`` times from ``seed`` and needs the frame), per task, metric and ``by``
    - source: the language of phase 3; data: whose tasks table to use

    UserError for a bad argument or a cube that cannot be compared.
    """
    _check(unit, adjustment, margin, alpha)
    sums = None
    if isinstance(cube, pd.DataFrame):
        validate_cube(cube)
        cube = sums = contract(cube)
    measured = [one for one in study_moments(cube) if metrics is None or one.metric in metrics]
    if not measured:
        raise UserError(f"metrics={list(metrics)}: the cube has none of them")
    pairs = sides_of(measured, baseline, contrasts)
    found = cases(measured, task_facts(measured, data), pairs, by, paired, primary, source)
    table = tabulate(found, unit, alpha)
    if adjustment == "romano-wolf":
        from xtsupport.analysis.resampling import step_down

        if sums is None:
            raise UserError("adjustment='romano-wolf' resamples clusters: give the cube itself")
        table["p_adjusted"] = step_down(sums, found, n_resamples, seed)
    else:
        table["p_adjusted"] = adjust(table, adjustment)
    return judge(table, adjustment, margin, alpha)


def _check(unit, adjustment, margin, alpha) -> None:
    allowed = [*ADJUSTMENTS, "romano-wolf"]
    problems = []
    if unit not in UNITS:
        problems.append(f"unit={unit!r}: allowed are {'; '.join(UNITS)}")
    if adjustment not in allowed:
        problems.append(f"adjustment={adjustment!r}: allowed are {', '.join(allowed)}")
    if not margin > 0:
        problems.append(f"margin={margin}: must be a positive number of points")
    if not 0 < alpha < 0.5:
        problems.append(f"alpha={alpha}: must lie between 0 and 0.5")
    if problems:
        raise UserError(*problems)


def study_moments(cube: pd.DataFrame | Iterable[ClusterSums | Moments]) -> list[Moments]:
    """What all analytic inference needs of a cube (validated and contracted), some megabytes.

    Takes a frame, or cluster sums one by one (``contract_stored`` yields them task by task).
    """
    if isinstance(cube, pd.DataFrame):
        validate_cube(cube)
        cube = contract(cube)
    return [one if isinstance(one, Moments) else moments(one) for one in cube]


def tabulate(found: Sequence[Case], unit: str, alpha: float = 0.05) -> pd.DataFrame:
    """The unadjusted rows of some cases."""
    numbers = inference(found, unit, alpha)
    lines = []
    for case, row in zip(found, numbers.to_dict("records"), strict=True):
        note = "; ".join(_notes(case, row["n_seeds"], unit))
        lines.append({**case.labels, **row, "unit": unit, "note": note})
    return pd.DataFrame(lines)


def judge(table: pd.DataFrame, adjustment: str, margin: float, alpha: float) -> pd.DataFrame:
    """Add the verdicts to rows with adjusted p-values, and put the columns in their order."""
    table = table.assign(adjustment=adjustment)
    table["verdict"] = [verdict(row, margin, alpha) for row in table.to_dict("records")]
    return table[COLUMNS]


def inference(
    found: Sequence[Case], unit: str = UNITS[0], alpha: float = 0.05, scale: str = "points"
) -> pd.DataFrame:
    """Counts, gain, interval, p-value and smallest detectable gain of each case.

    n_clusters counts what is resampled (languages share parallel clusters), n_examples the scores
    of one run. baseline_score is in points, the rest in the units of the scale.
    """
    together: dict[tuple, list[int]] = {}
    for i, case in enumerate(found):
        together.setdefault(tuple(map(id, case.arms)), []).append(i)
    parts = [_infer([found[i] for i in rows], unit, alpha, scale) for rows in together.values()]
    table = pd.concat(parts, ignore_index=True)
    table.index = [i for rows in together.values() for i in rows]
    return table.sort_index()


def _infer(group: Sequence[Case], unit, alpha, scale) -> pd.DataFrame:
    """Cases that average over the same arms, at once."""
    arms = group[0].arms
    scaled = [_scaled(case, scale) for case in group]
    weights = [np.stack([own[j] for _, own in scaled]) for j in range(len(arms))]
    one = estimate(arms, weights)
    gain = one.gain if scale == "points" else np.array([value for value, _ in scaled])
    sampled = "languages" in unit
    extra = [_language_variance(case) if sampled else (0.0, np.inf) for case in group]
    se, df = standard_error(one, unit, *np.array(extra).T)
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
