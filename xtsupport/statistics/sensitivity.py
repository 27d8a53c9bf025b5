"""Would another method have answered otherwise? The primary comparison beside its alternatives.

``other_methods`` puts the bootstraps, the sign-flip test and the other adjustments beside the
two-way variance, each with the unit that it resamples: methods of another unit answer another
question, and only those of the primary's own unit can contradict it. ``noise`` says where the
uncertainty comes from, ``mixed_check`` asks a mixed model for the same gain, and
``stochastic_order`` compares whole distributions of runs where there are five or more (del Barrio
et al. 2018, Dror et al. 2019): without pairing, so it is an addition to the gain, not a test of it,
and only for runs, since three quarters of per-question scores tie and their order is noise.
"""

from collections.abc import Sequence

import numpy as np
import pandas as pd
from scipy import stats

from xtsupport.errors import UserError
from xtsupport.statistics.components import PARTS, components, mixed_model
from xtsupport.statistics.contrasts import Case
from xtsupport.statistics.declared import UNITS
from xtsupport.statistics.evidence import Evidence
from xtsupport.statistics.inference import inference
from xtsupport.statistics.resampling import METHODS, bootstrap
from xtsupport.statistics.signflip import sign_flip_cases
from xtsupport.statistics.spread import Spread
from xtsupport.statistics.verdicts import ADJUSTMENTS, equivalence_p

FEWEST = 5  # runs a side for a stochastic order


def other_methods(evidence: Evidence, n_resamples: int = 2000, seed: int = 0) -> pd.DataFrame:
    """The primary contrast's rows (target, rest, difference; per level) by every method.

    One row per task, level and method: task, level, method, unit (what it resamples), gain, ci_low,
    ci_high (points; nan for a test without an interval), p_value, and the p-values adjusted over
    the levels by holm and fdr_bh; intervals are unadjusted; equivalent is the primary's TOST
    p-value at the declared margin. n_resamples: of the bootstraps and the sign-flips.
    """
    rules, sums, found = evidence.rules, evidence.sums, evidence.answer_cases()
    both, clusters = (bootstrap(sums, found, unit, n_resamples, seed) for unit in UNITS[:2])
    primary = inference(found, rules.unit, rules.alpha)
    equal = equivalence_p(primary["gain"].to_numpy(), Spread.of(primary), rules.margin)
    tables = [_rows(found, "two-way variance", rules.unit, primary).assign(equivalent=equal)]
    for resamples in (both, clusters):
        for method in METHODS:
            low, high = resamples.interval(method, rules.alpha).T
            numbers = {"gain": resamples.gain, "ci_low": low, "ci_high": high}
            p = resamples.p_values() if method == "percentile" else np.nan
            name = f"bootstrap, {method}"
            tables.append(_rows(found, name, resamples.unit, {**numbers, "p_value": p}))
    flips = {"gain": both.gain, "ci_low": np.nan, "ci_high": np.nan}
    flips["p_value"] = sign_flip_cases(sums, found, n_resamples, seed)
    tables.append(_rows(found, "sign-flip", "labels within clusters", flips))
    table = pd.concat(tables, ignore_index=True)
    table["row"] = np.tile(np.arange(len(found)), len(tables))
    for method in ("holm", "fdr_bh"):
        adjusted = table.dropna(subset="p_value").groupby(["task", "method", "unit"])["p_value"]
        table[method] = adjusted.transform(ADJUSTMENTS[method])
    return table.sort_values("row", kind="stable", ignore_index=True).drop(columns="row")


def _rows(found: Sequence[Case], method: str, unit: str, numbers) -> pd.DataFrame:
    names = ("gain", "ci_low", "ci_high", "p_value")
    labels = pd.DataFrame([{"task": c.row.task, "level": c.row.level} for c in found])
    values = {name: np.asarray(numbers[name]) for name in names}
    return labels.assign(method=method, unit=unit, **values)


def contradictions(table: pd.DataFrame, alpha: float = 0.05) -> pd.DataFrame:
    """Rows of ``other_methods`` whose interval or test says otherwise than the primary method.

    Only methods of the primary's own unit: the others make claims about something else.
    """
    first = table[table["method"] == "two-way variance"]
    same = table[table["unit"].isin(first["unit"]) & (table["method"] != "two-way variance")]
    same = same.merge(first[["task", "level", "ci_low", "ci_high"]], on=["task", "level"])
    mine = (same["ci_low_x"] > 0) | (same["ci_high_x"] < 0)
    theirs = (same["ci_low_y"] > 0) | (same["ci_high_y"] < 0)
    return same.loc[mine != theirs, ["task", "level", "method"]].reset_index(drop=True)


def noise(evidence: Evidence) -> pd.DataFrame:
    """Where the uncertainty of the primary gain over all languages comes from.

    Columns: part (``PARTS``), variance (squared points, raw), sd (points) and share (percent of the
    squared standard error of the mean over seeds, clusters and languages; nan with one seed).
    UserError where seeds are not paired.
    """
    parts = components(_all_languages(evidence))
    s, g, k = (parts[name] for name in ("n_seeds", "n_clusters", "n_languages"))
    lines = pd.DataFrame({"part": PARTS, "variance": [parts[name] for name in PARTS]})
    lines["sd"] = np.sqrt(lines["variance"].clip(lower=0))
    of_mean = lines["sd"] ** 2 / np.array((s, s * k, g, g * k, g * s, g * s * k))
    lines["share"] = 100 * of_mean / (of_mean.sum() if s > 1 else np.nan)
    return lines


def mixed_check(evidence: Evidence) -> dict | None:
    """The primary gain over all languages by ``mixed_model``, beside the two-way variance.

    Returns what ``mixed_model`` does, with primary_gain and primary_se; None with one seed.
    """
    case = _all_languages(evidence)
    own = inference([case], UNITS[0], evidence.rules.alpha).iloc[0]
    if own["n_seeds"] < 2:
        return None
    return mixed_model(case, evidence.sums) | {"primary_gain": own["gain"], "primary_se": own["se"]}


def stochastic_order(evidence: Evidence) -> dict | None:
    """Almost stochastic order of the treatment's runs over the baseline's, on the primary target.

    Scores are seed-level means over all zero-shot languages. Returns n_seeds and epsilon_min
    (``almost_stochastic_order``); None with fewer than five runs on a side.
    """
    case = _all_languages(evidence)
    sides = [values @ case.weights[0] for values in case.arms[0].values]
    if min(map(len, sides)) < FEWEST:
        return None
    epsilon = almost_stochastic_order(*sides, alpha=evidence.rules.alpha)
    return {"n_seeds": min(map(len, sides)), "epsilon_min": epsilon}


def _all_languages(evidence: Evidence) -> Case:
    """The primary contrast on its target over all zero-shot languages."""
    return evidence.answer_cases("all")[0]


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
