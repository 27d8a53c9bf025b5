"""From cases to numbers: the rows of a comparison with interval, p-value and notes."""

from collections.abc import Iterable, Sequence

import numpy as np
import pandas as pd

from xtsupport.sides import short_name
from xtsupport.statistics.aggregates import Case
from xtsupport.statistics.declared import Declared
from xtsupport.statistics.scales import FACTOR, on_scale
from xtsupport.statistics.spread import (
    PRIOR,
    PRIOR_OF_LEVELS,
    Spread,
    fiducial,
    satterthwaite,
    two_way,
)
from xtsupport.statistics.variance import Estimate, estimate
from xtsupport.statistics.verdicts import describe

COUNTED = ["n_languages", "n_seeds", "n_clusters", "n_examples", "baseline_score"]
LEVELS_THAT_LEND = 3  # one-language levels of a table, from which on they pool run variance
LENDING = ["treatment", "baseline", "variant", "task", "by", "metric", "scale", "n_seeds"]
MOST_NAMED = 6  # conditions in the note on pooled runs; more are counted


def inference(
    found: Sequence[Case],
    unit: str = Declared.unit,
    alpha: float = Declared.alpha,
    scales: Sequence[str] = ("points",),
) -> pd.DataFrame:
    """The unadjusted rows of some cases, scale after scale: what they are of, counts, gain,
    interval, p-value, smallest detectable gain, unit and note; what the scales share is computed
    once.

    n_clusters counts what is resampled (languages share parallel clusters), n_examples the scores
    of one run. baseline_score is in points, gain and interval in units of the scale. Levels of one
    language lend to each other (``spread``), so give all levels of a table together. The fields of
    ``Spread`` are columns, too.
    """
    together: dict[tuple, list[int]] = {}
    for i, case in enumerate(found):
        together.setdefault(tuple(map(id, case.arms)), []).append(i)
    groups = [np.array(rows) for rows in together.values()]
    parts = [_measure([found[i] for i in rows], unit, scales) for rows in groups]
    place = [rows + n * len(found) for rows in groups for n in range(len(scales))]
    columns = {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}
    table = pd.DataFrame(columns).take(np.argsort(np.concatenate(place))).reset_index(drop=True)
    labels = [case.labels | {"scale": scale} for scale in scales for case in found]
    table = _lend(pd.DataFrame(labels).join(table))
    spread = spread_of(table, unit)
    notes = _notes([*found] * len(scales), table, spread, unit)
    numbers = {**vars(spread), **describe(table["gain"].to_numpy(), spread, alpha)}
    return table[[*labels[0], *COUNTED]].assign(**numbers, unit=unit, note=notes)


def _measure(group: Sequence[Case], unit: str, scales: Sequence[str]) -> dict[str, np.ndarray]:
    """Gain, mean squares and counts of cases that average over the same arms, at once.

    Every column has the cases on the first scale, then on the next.
    """
    arms = group[0].arms
    weights = [np.stack(own) for own in zip(*(case.weights for case in group), strict=True)]
    scaled = [_scaled(arms, weights, scale) for scale in scales]
    one = estimate(arms, [np.concatenate([own[j] for _, own in scaled]) for j in range(len(arms))])
    points = np.repeat([scale == "points" for scale in scales], len(group))
    gain = np.where(points, one.gain, np.concatenate([value for value, _ in scaled]))
    sampled = "languages" in unit
    extra = np.array([_language_variance(case) if sampled else (0.0, np.inf) for case in group])
    factor = np.repeat([FACTOR[scale] for scale in scales], len(group))
    squares = mean_squares(one, factor, *np.tile(extra.T, len(scales)))
    counts = {name: np.tile(column, len(scales)) for name, column in _counts(group).items()}
    return {**squares, **counts, "gain": factor * gain}


def mean_squares(one: Estimate, factor, extra, df_extra) -> dict[str, np.ndarray]:
    """What the spread of gains is made of, (E,) each, in the units that ``factor`` (a number, or
    one for each) leads to."""
    parts = {"v_p": one.clusters, "v_s": one.seeds, "v_c": one.cells, "prior": one.pooled}
    squares = {name: factor**2 * np.maximum(part, 0) for name, part in parts.items()}
    conditions = np.empty(len(one.gain), object)
    conditions[:] = one.conditions
    return {
        **squares,  # not below 0: rounding can leave -1e-20
        "df_p": one.df_clusters,
        "df_s": one.df_seeds,
        "n_seeds": np.full(len(one.gain), one.n_seeds),
        "weight": np.full(len(one.gain), PRIOR),
        "lent": np.zeros(len(one.gain), int),
        "informed": one.informed,
        "conditions": conditions,
        "extra": factor**2 * extra,
        "df_extra": np.broadcast_to(df_extra, one.gain.shape),
    }


def _counts(group: Sequence[Case]) -> dict[str, list]:
    arms = group[0].arms
    reached = [[weight != 0 for weight in case.weights] for case in group]
    pairs = [list(zip([arm.moments for arm in arms], used, strict=True)) for used in reached]
    return {
        "n_languages": [len(case.languages) for case in group],
        "n_clusters": [sum(m.count_clusters(where) for m, where in pair) for pair in pairs],
        "n_examples": [int(sum(m.examples[where].sum() for m, where in pair)) for pair in pairs],
        "baseline_score": [_baseline(case) for case in group],
    }


def _lend(table: pd.DataFrame) -> pd.DataFrame:
    """Levels of one language of the same contrast, task and metric share their run variance."""
    own, prior = table["v_s"].to_numpy(), table["prior"].to_numpy(copy=True)
    lent = np.zeros(len(table), int)
    single = table["n_languages"].eq(1) & table["by"].isin(["group", "family", "language"])
    for rows in table[single].groupby(LENDING, sort=False).groups.values():
        if len(rows) >= LEVELS_THAT_LEND:
            prior[rows] = max(own[rows].mean(), prior[rows].mean())
            lent[rows] = len(rows)
    weight = np.where(lent > 0, PRIOR_OF_LEVELS, PRIOR)
    return table.assign(prior=prior, weight=weight, lent=lent)


def spread_of(table: pd.DataFrame, unit: str) -> Spread:
    """The distribution of each gain around the truth, by the primary of its unit.

    table: the mean squares, with ``prior``: q, or what levels lend.
    """
    names = ["v_p", "df_p", "v_s", "df_s", "v_c", "extra", "df_extra"]
    v_p, df_p, v_s, df_s, v_c, extra, df_extra = table[names].to_numpy(float).T
    one_seed = table["n_seeds"].to_numpy() < 2
    df_p = np.where(extra > 0, satterthwaite([(v_p, df_p), (extra, df_extra)]), df_p)
    v_p = v_p + extra
    se, df = np.sqrt(v_p), df_p.copy()
    parts = np.full((4, len(table)), np.nan)
    if unit == "seeds":
        se, df = np.where(one_seed, se, np.sqrt(v_s)), np.where(one_seed, df, df_s)
    elif unit != "clusters":
        prior, weight = table["prior"].to_numpy(float), table["weight"].to_numpy(float)
        with_runs = two_way(v_p, df_p, v_s, df_s, v_c, prior, weight)
        se, df = (np.where(one_seed, a, b) for a, b in zip((se, df), with_runs, strict=True))
        alone = ~one_seed & ~table["informed"].to_numpy(bool) & (table["lent"].to_numpy() == 0)
        if alone.any():
            mixed = fiducial(*(part[alone] for part in (v_p, df_p, v_s, df_s, v_c)))
            se[alone], df[alone] = mixed.se, mixed.df
            parts[:, alone] = mixed.clusters, mixed.runs, mixed.cells, mixed.df_runs
    return Spread(se, df, *parts)


def _described(table: pd.DataFrame, spread: Spread, unit: str) -> list[str]:
    """Where the run variance of each row comes from."""
    if unit in ("clusters", "seeds"):
        return [""] * len(table)
    texts = []
    rows = table[["n_seeds", "conditions", "lent", "informed"]].itertuples(index=False, name=None)
    for (n_seeds, conditions, lent, informed), alone in zip(rows, spread.is_fiducial, strict=True):
        many = f"{len(conditions)} conditions" if len(conditions) > MOST_NAMED else ""
        names = (many or ", ".join(map(short_name, conditions))) if informed else ""
        over = [names] * bool(names) + [f"{lent} levels"] * bool(lent)
        text = f"run variance pooled over {' and '.join(over)}" if over else ""
        texts.append("" if n_seeds < 2 else "fiducial" if alone else text)
    return texts


def _scaled(arms, weights: Sequence[np.ndarray], scale: str) -> tuple[np.ndarray, list[np.ndarray]]:
    """Gains (E,) on a scale and, per arm, the (E, 2, L) weights that their variance needs."""
    value, scaled = np.zeros(len(weights[0])), []
    for one, weight in zip(arms, weights, strict=True):
        k, b = one.means
        gains, by_k, by_b = on_scale(scale, k, b, one.moments.examples)
        value += weight @ gains
        scaled.append(np.stack([weight * by_k, weight * by_b], axis=1))
    return value, scaled


def _baseline(case: Case) -> float:
    """The baseline's score in points; nan for a difference in differences, whose weights cancel."""
    if abs(sum(weight.sum() for weight in case.weights)) < 1e-9:
        return np.nan
    pairs = zip(case.weights, case.arms, strict=True)
    return 100 * float(sum(weight @ one.means[1] for weight, one in pairs))


def _language_variance(case: Case) -> tuple[float, float]:
    """Variance of the mean with languages as a sample, beyond clusters and seeds (by moments)."""
    k = len(case.languages)
    if k < 2:
        return 0.0, np.inf
    weights = []
    for one, weight in zip(case.arms, case.weights, strict=True):
        names = one.moments.codes
        each = np.stack([k * weight * (names == code) for code in case.languages])
        weights.append(np.stack([each, -each], axis=1))
    joint = estimate(case.arms, weights, joint=True)
    noise = joint.covariance()
    chance = (np.trace(noise) - noise.sum() / k) / (k * (k - 1))
    return max(float(np.var(joint.gain, ddof=1)) / k - float(chance), 0.0), k - 1


def _notes(found: Sequence[Case], table: pd.DataFrame, spread: Spread, unit: str) -> list[str]:
    rows = zip(found, table["n_seeds"], _described(table, spread, unit), strict=True)
    return ["; ".join(_notes_on(case, n, unit, pooled)) for case, n, pooled in rows]


def _notes_on(case: Case, n_seeds: int, unit: str, runs_pooled: str) -> Iterable[str]:
    found = [case.note, *(one.note for one in case.arms), _seeds_left_out(case)]
    if case.by in ("group", "family") and len(case.languages) == 1:
        found.append(f"one language: {case.languages[0]}, not the {case.by}")
    if case.by in ("group", "family") and len(case.languages) == 2:
        named = ", ".join(case.languages)
        found.append(f"two languages ({named}): too few for the {case.by}; compare by language")
    if n_seeds < 2 and "seeds" in unit:
        found.append("one seed: the interval covers other questions, not other runs")
    if case.same_data:
        found.append("the treatment uses this target's own training data")
    return dict.fromkeys(filter(None, [*found, runs_pooled]))


def _seeds_left_out(case: Case) -> str:
    """Which seeds a mean over targets does without, as ``common_replicates`` has it."""
    known = [set(labels) for one in case.arms for labels in one.labels if labels is not None]
    gone = sorted(set().union(*known) - set.intersection(*known)) if known else []
    return f"without seeds {', '.join(map(str, gone))}, which not every target has" if gone else ""
