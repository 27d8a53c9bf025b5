"""Is a condition better than its baseline: gains with intervals, p-values and verdicts, one row
each.

``compare`` is the whole path from a cube to the table: contract the cube once to moments, cut out
each contrast, average over languages and tasks, attach the two-way variance, adjust and judge.
The column ``unit`` says what was resampled and so which population a row speaks about (see
``variance``).
"""

from collections.abc import Iterable, Sequence
from functools import partial

import numpy as np
import pandas as pd
from scipy import stats

from xtsupport.analysis.aggregates import Facts, Row, rows, task_facts
from xtsupport.analysis.clusters import ClusterSums, Moments, contract, moments
from xtsupport.analysis.results import validate_cube
from xtsupport.analysis.variance import UNITS, Arm, Side, arm, estimate, standard_error
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
VERDICTS = ("improves", "harms", "equivalent", "undetermined", "too few")
FAMILY = [
    "task",
    "by",
    "metric",
]  # one family of hypotheses: the treatments x levels of one task and metric
POWER = 0.8


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

    cube: a frame with the columns of a cube, or what ``study_moments`` made of one. by: group,
    family, language or all. unit: what is resampled, one of ``UNITS``. paired: seeds of treatment
    and baseline belong together. contrasts: pairs (treatment, baseline) of ``condition`` or
    ``condition/variant``; without them every condition and variant is compared with ``baseline``
    (a variant of the baseline with its plain form). metrics: only these. primary: the target that
    aggregates are matched to. margin: of equivalence, in points. adjustment: holm, bh, by, none
    or romano-wolf within one task, metric and ``by``; the last resamples clusters x seeds
    ``n_resamples`` times from ``seed`` and needs the cube itself. source: the language of phase
    3. data: whose tasks table to use. UserError for a bad argument or cube.
    """
    _check(unit, adjustment, margin, alpha)
    measured = study_moments(cube) if isinstance(cube, pd.DataFrame) else list(cube)
    measured = [one for one in measured if metrics is None or one.metric in metrics]
    if not measured:
        raise UserError(f"metrics={list(metrics)}: the cube has none of them")
    facts = task_facts(measured, data)
    pairs = sides_of(measured, baseline, contrasts)
    tables = [
        contrast_table(measured, facts, treatment, base, by, unit, paired, primary, source, alpha)
        for treatment, base in pairs
    ]
    table = pd.concat(
        [one for one in tables if len(one)] or [pd.DataFrame(columns=COLUMNS)], ignore_index=True
    )
    if table.empty:
        raise UserError("nothing to compare: no task has runs of both sides of any contrast")
    if adjustment == "romano-wolf":
        from xtsupport.analysis.resampling import step_down

        table["p_adjusted"] = step_down(
            cube,
            table,
            n_resamples=n_resamples,
            seed=seed,
            paired=paired,
            primary=primary,
            source=source,
            data=data,
        )
        table["adjustment"] = adjustment
    else:
        table["p_adjusted"] = adjust(table, adjustment)
        table["adjustment"] = adjustment
    table["verdict"] = [verdict(row, margin, alpha) for row in table.to_dict("records")]
    return table[COLUMNS]


def _check(unit, adjustment, margin, alpha) -> None:
    allowed = [*ADJUSTMENTS, "romano-wolf"]
    problems = []
    if unit not in UNITS:
        problems.append(f"unit={unit!r}: allowed are {'; '.join(UNITS)}")
    if adjustment not in allowed:
        problems.append(f"adjustment={adjustment!r}: allowed are {', '.join(allowed)}")
    if not margin > 0:
        problems.append(
            f"margin={margin}: the margin of equivalence is a positive number of points"
        )
    if not 0 < alpha < 0.5:
        problems.append(f"alpha={alpha}: must lie between 0 and 0.5")
    if problems:
        raise UserError(*problems)


def study_moments(cube: pd.DataFrame | Iterable[ClusterSums]) -> list[Moments]:
    """Validate and contract a cube: what all analytic inference needs, a few megabytes however
    large the cube.
    """
    if isinstance(cube, pd.DataFrame):
        validate_cube(cube)
        cube = contract(cube)
    return [moments(sums) for sums in cube]


def sides_of(
    measured: Sequence[Moments], baseline: str, contrasts: Sequence | None
) -> list[tuple[Side, Side]]:
    """The contrasts as pairs of (condition, variant); UserError for a name that the cube does not
    have.
    """
    runs = pd.concat([one.runs[["condition", "variant"]] for one in measured]).drop_duplicates()
    have = sorted({(c, v) for c, v in runs.itertuples(index=False)})
    if contrasts is not None:
        pairs = [(_side(a), _side(b)) for a, b in contrasts]
    else:
        base = _side(baseline)
        pairs = [
            (
                side,
                (base[0], side[1])
                if (base[0], side[1]) in have and side[0] != base[0]
                else (base[0], base[1]),
            )
            for side in have
            if side != base
        ]
    unknown = sorted({side for pair in pairs for side in pair} - set(have))
    shown = ", ".join(_name(side) for side in have)
    if unknown:
        raise UserError(
            *(f"contrast with {_name(side)!r}: the cube only has {shown}" for side in unknown)
        )
    if not pairs:
        raise UserError(f"nothing to compare with {baseline!r}: the cube only has {shown}")
    return pairs


def _side(name) -> Side:
    if not isinstance(name, str):
        return tuple(name)
    condition, _, variant = name.partition("/")
    return condition, variant or "plain"


def _name(side: Side) -> str:
    return side[0] if side[1] == "plain" else "/".join(side)


def trained_on(pair: tuple[Side, Side], source: str = "en") -> set[str]:
    """Languages of phase 3 on either side: the source, or that of a variant ``source=xx``."""
    named = {
        variant.removeprefix("source=") for _, variant in pair if variant.startswith("source=")
    }
    return {source} | named


def cut(
    measured: Sequence[Moments], facts: dict[str, Facts], pair: tuple[Side, Side], paired: bool
) -> list[Arm]:
    """The arms of a contrast: every task and metric that has runs of both sides."""
    arms = [arm(one, *pair, paired, facts[one.task].kind == "retrieval") for one in measured]
    return [one for one in arms if one is not None]


def contrast_table(
    measured, facts, treatment: Side, baseline: Side, by, unit, paired, primary, source, alpha
) -> pd.DataFrame:
    """The unadjusted rows of one contrast."""
    pair = (treatment, baseline)
    arms = cut(measured, facts, pair, paired)
    found = []
    for row in rows(arms, facts, by, trained_on(pair, source), primary):
        numbers = row_numbers(arms, row, unit, alpha)
        same = treatment[0] in {
            name for j in row.weights for name in facts[arms[j].moments.task].same_data
        }
        notes = [
            row.note,
            *_notes(arms, row, numbers, unit),
            "treatment trains on this target's own data" if same else "",
        ]
        found.append(
            {
                "treatment": treatment[0],
                "baseline": baseline[0] if baseline[1] == treatment[1] else "/".join(baseline),
                "variant": treatment[1],
                "task": row.task,
                "by": row.by,
                "level": row.level,
                "metric": row.metric,
                **numbers,
                "note": "; ".join(dict.fromkeys(filter(None, notes))),
            }
        )
    return pd.DataFrame(found)


def row_numbers(arms: Sequence[Arm], row: Row, unit: str, alpha: float = 0.05) -> dict:
    """Gain, interval, p-value and smallest detectable effect of one row, in points."""
    used = sorted(row.weights)
    chosen = [arms[j] for j in used]
    one = estimate(chosen, [_two_sided(row.weights[j])[None] for j in used])
    extra, df_extra = (
        _language_variance(chosen, row, used)
        if unit == UNITS[3] and len(row.languages) > 1
        else (0.0, np.inf)
    )
    se, df = (float(x[0]) for x in standard_error(one, unit, extra, df_extra))
    gain, difference = float(one.gain[0]), abs(sum(w.sum() for w in row.weights.values())) < 1e-9
    reached = [np.flatnonzero(row.weights[j]) for j in used]
    return {
        "n_languages": len(row.languages),
        "n_seeds": one.n_seeds,
        "n_clusters": sum(
            part.moments.count_clusters(where) for part, where in zip(chosen, reached, strict=True)
        ),
        "n_examples": int(
            sum(
                part.moments.examples[where].sum()
                for part, where in zip(chosen, reached, strict=True)
            )
        ),
        "baseline_score": np.nan if difference else 100 * float(one.baseline[0]),
        **t_inference(100 * gain, 100 * se, df, alpha),
        "unit": unit,
    }


def _two_sided(weights: np.ndarray) -> np.ndarray:
    return np.stack([weights, -weights])


def _language_variance(arms, row: Row, used) -> tuple[float, float]:
    """Variance of the mean from languages as a sample, beyond what clusters and seeds explain
    (method of moments).
    """
    k = len(row.languages)
    weights = []
    for one, j in zip(arms, used, strict=True):
        names = one.moments.languages["language"].to_numpy()
        weights.append(
            np.stack([_two_sided(k * row.weights[j] * (names == code)) for code in row.languages])
        )
    each = estimate(arms, weights)
    noise = each.variance()
    chance = (np.trace(noise) - noise.sum() / k) / (k * (k - 1))
    return max(float(np.var(each.gain, ddof=1)) / k - float(chance), 0.0), k - 1


def t_inference(gain: float, se: float, df: float, alpha: float = 0.05) -> dict:
    """Two-sided t interval (1 - alpha), p-value, and the gain detected with 80% power at that
    alpha.
    """
    half, reach = stats.t.ppf(1 - alpha / 2, df), stats.t.ppf(POWER, df)
    p = 2 * stats.t.sf(abs(gain) / se, df) if se > 0 else float(abs(gain) < 1e-9)
    return {
        "gain": gain,
        "se": se,
        "df": df,
        "ci_low": gain - half * se,
        "ci_high": gain + half * se,
        "p_value": float(p),
        "mde": (half + reach) * se,
    }


def _notes(arms, row: Row, numbers: dict, unit: str) -> list[str]:
    found = [arms[j].note for j in row.weights]
    if row.by in ("group", "family") and len(row.languages) == 1:
        found.append(f"one language: {row.languages[0]}, not the {row.by}")
    if row.by in ("group", "family") and len(row.languages) == 2:
        named = ", ".join(row.languages)
        found.append(f"two languages ({named}): too few for the {row.by}; compare by language")
    if numbers["n_seeds"] < 2 and "seeds" in unit:
        found.append("one seed: the interval covers other questions, not other runs")
    return found


def adjust(table: pd.DataFrame, method: str, family: Sequence[str] = FAMILY) -> pd.Series:
    """p-values adjusted within each family of hypotheses; ``none`` returns them as they are."""
    if method == "none":
        return table["p_value"]
    return table.groupby(list(family), sort=False)["p_value"].transform(ADJUSTMENTS[method])


def holm(p: np.ndarray) -> np.ndarray:
    """Holm (1979) step-down p-values, valid under any dependence."""
    p = np.asarray(p)
    order = np.argsort(p, kind="stable")
    stepped = np.maximum.accumulate(p[order] * np.arange(len(p), 0, -1))
    return np.minimum(stepped, 1)[np.argsort(order, kind="stable")]


ADJUSTMENTS = {
    "holm": holm,
    "bh": partial(stats.false_discovery_control, method="bh"),
    "by": partial(stats.false_discovery_control, method="by"),
    "none": None,
}


def equivalence_p(gain: float, se: float, df: float, margin: float) -> float:
    """TOST (Schuirmann 1987): the larger of the one-sided p-values against -margin and +margin."""
    if se == 0:
        return float(abs(gain) >= margin)
    return float(max(stats.t.sf((gain + margin) / se, df), stats.t.cdf((gain - margin) / se, df)))


def verdict(row: dict, margin: float = 1.0, alpha: float = 0.05) -> str:
    """One of ``VERDICTS`` for a row: from its adjusted p-value, else from equivalence within
    ±margin points.

    ``too few``: under three seeds for a claim about the recipe (a unit with seeds), or two
    languages for a claim about a family; a single language is judged as that language.
    """
    if "seeds" in row["unit"] and row["n_seeds"] < 3:
        return "too few"
    if (row["by"] in ("group", "family") and row["n_languages"] == 2) or (
        "languages" in row["unit"] and row["n_languages"] == 2
    ):
        return "too few"
    if row["p_adjusted"] <= alpha:
        return "improves" if row["gain"] > 0 else "harms"
    return (
        "equivalent"
        if equivalence_p(row["gain"], row["se"], row["df"], margin) <= alpha
        else "undetermined"
    )
