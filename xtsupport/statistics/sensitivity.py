"""Would another method have answered otherwise? The primary comparison beside its alternatives.

``other_methods`` puts the bootstraps, the sign-flip test and the other adjustments beside the
two-way variance, each with the unit that it resamples: methods of another unit answer another
question, and only those of the primary's own unit can contradict it. ``noise`` says where the
uncertainty comes from, ``mixed_check`` asks a mixed model for the same gain, and
``stochastic_order`` compares whole distributions of runs where there are five or more.
"""

from collections.abc import Sequence

import numpy as np
import pandas as pd

from xtsupport.errors import UserError
from xtsupport.statistics.clusters import contracted, study_moments
from xtsupport.statistics.components import PARTS, components, mixed_model
from xtsupport.statistics.contrasts import Case
from xtsupport.statistics.declared import declared
from xtsupport.statistics.dominance import FEWEST, almost_stochastic_order
from xtsupport.statistics.inference import inference
from xtsupport.statistics.primary import chosen_primary, headline_cases
from xtsupport.statistics.resampling import METHODS, bootstrap
from xtsupport.statistics.signflip import sign_flip_cases
from xtsupport.statistics.spread import Spread
from xtsupport.statistics.variance import UNITS
from xtsupport.statistics.verdicts import ADJUSTMENTS, equivalence_p


def other_methods(
    cube, rules=None, n_resamples: int = 2000, seed: int = 0, data="hub", source: str = "en"
) -> pd.DataFrame:
    """The primary contrast's rows (target, rest, difference; per level) by every method.

    cube: a frame, a path or cluster sums. One row per task, level and method: task, level, method,
    unit (what it resamples), gain, ci_low, ci_high (points; nan for a test without an interval),
    p_value, and the p-values adjusted over the levels by holm and fdr_bh; intervals are unadjusted;
    equivalent is the primary's TOST p-value at the declared margin. n_resamples: of the bootstraps
    and the sign-flips.
    """
    rules, sums = declared(rules), list(contracted(cube))
    measured = study_moments(sums)
    found = headline_cases(measured, rules, data, source)
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


def noise(cube, rules=None, data="hub", source: str = "en") -> pd.DataFrame:
    """Where the uncertainty of the primary gain over all languages comes from.

    Columns: part (``PARTS``), variance (squared points, raw), sd (points) and share (percent of the
    squared standard error of the mean over seeds, clusters and languages; nan with one seed).
    UserError where seeds are not paired.
    """
    rules, sums = declared(rules), list(contracted(cube))
    parts = components(_all_languages(sums, rules, data, source))
    s, g, k = (parts[name] for name in ("n_seeds", "n_clusters", "n_languages"))
    lines = pd.DataFrame({"part": PARTS, "variance": [parts[name] for name in PARTS]})
    lines["sd"] = np.sqrt(lines["variance"].clip(lower=0))
    of_mean = lines["sd"] ** 2 / np.array((s, s * k, g, g * k, g * s, g * s * k))
    lines["share"] = 100 * of_mean / (of_mean.sum() if s > 1 else np.nan)
    return lines


def mixed_check(cube, rules=None, data="hub", source: str = "en") -> dict | None:
    """The primary gain over all languages by ``mixed_model``, beside the two-way variance.

    Returns what ``mixed_model`` does, with primary_gain and primary_se; None with one seed.
    """
    rules, sums = declared(rules), list(contracted(cube))
    case = _all_languages(sums, rules, data, source)
    own = inference([case], UNITS[0], rules.alpha).iloc[0]
    if own["n_seeds"] < 2:
        return None
    return mixed_model(case, sums) | {"primary_gain": own["gain"], "primary_se": own["se"]}


def stochastic_order(cube, rules=None, data="hub", source: str = "en") -> dict | None:
    """Almost stochastic order of the treatment's runs over the baseline's, on the primary target.

    Scores are seed-level means over all zero-shot languages. Returns n_seeds and epsilon_min
    (``dominance``); None with fewer than five runs on a side.
    """
    rules, sums = declared(rules), list(contracted(cube))
    case = _all_languages(sums, rules, data, source)
    sides = [values @ case.weights[0] for values in case.arms[0].values]
    if min(map(len, sides)) < FEWEST:
        return None
    epsilon = almost_stochastic_order(*sides, alpha=rules.alpha)
    return {"n_seeds": min(map(len, sides)), "epsilon_min": epsilon}


def _all_languages(sums, rules, data, source) -> Case:
    """The primary contrast on its target over all zero-shot languages."""
    measured = study_moments(sums)
    primary = chosen_primary(rules, measured)
    found = headline_cases(measured, rules, data, source, by="all")
    mine = [case for case in found if case.row.task == primary.target]
    if not mine:
        raise UserError(f"{primary.target}: no zero-shot language has scores of both sides")
    return mine[0]
