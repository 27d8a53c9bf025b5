"""How many seeds, questions and languages a gain of so many points needs.

The variance that the primary test would estimate is composed from a pilot's own components (or
assumed ones) for any design of S seeds, G clusters and k languages:

    V_cells    = (cluster:seed + residual / k) / (G S)
    V_clusters = (cluster + cluster:language / k) / G + V_cells
    V_seeds    = (seed + seed:language / k) / S

The test estimates V_seeds from S - 1 degrees of freedom, so its critical value is a matter of luck,
and power is averaged over that luck. With X ~ chi2(S - 1) / (S - 1), the test sees
B = max((V_seeds + V_cells) X - V_cells, 0), rejects beyond t(df) sqrt(V_clusters + B), and the gain
varies with V_clusters + V_seeds around the truth. (A noncentral t with the expected degrees of
freedom promises up to 6 points too much at three seeds.)

Seeds remove V_seeds and part of V_clusters; what the persistent differences of G clusters leave, no
number of seeds removes: then only more questions or languages help, and the table says so. With
three seeds more questions can even cost power: the narrower V_clusters, the more the test leans on
two degrees of freedom.
"""

from collections.abc import Sequence

import numpy as np
import pandas as pd
from scipy import optimize, stats

from xtsupport.errors import UserError
from xtsupport.statistics.components import PARTS, components
from xtsupport.statistics.declared import UNITS
from xtsupport.statistics.evidence import Evidence, exactly
from xtsupport.statistics.variance import satterthwaite
from xtsupport.statistics.verdicts import POWER

LUCK = (np.arange(300) + 0.5) / 300  # quantiles of the seeds' estimated variance
FACTORS = (1, 1.25, 1.5, 2, 2.5, 3, 4, 5, 6, 8, 10, 12, 16, 24, 32, 64, 128)  # on the questions
LANGUAGES = (*range(1, 21), 25, 30, 40, 60, 100)


def design_variance(parts, n_seeds: float, n_clusters: float, n_languages: float):
    """V_clusters, V_seeds and V_cells of a design (squared points); parts as of ``components``."""
    p = {name: max(parts[name], 0.0) for name in PARTS}
    persistent = p["cluster"] + p["cluster:language"] / n_languages
    changing = p["cluster:seed"] + p["residual"] / n_languages
    cells = changing / n_seeds / n_clusters
    seeds = (p["seed"] + p["seed:language"] / n_languages) / n_seeds
    return persistent / n_clusters + cells, seeds, cells


def design_power(
    parts, gain: float, n_seeds: float, n_clusters: float, n_languages: float, alpha: float = 0.05
) -> dict:
    """se, df, mde (80% power) and power of a design to find ``gain`` points."""
    reach, se, df = _reach(parts, n_seeds, n_clusters, n_languages, alpha)
    return {"se": se, "df": df, "mde": _mde(reach, se), "power": _found(gain, reach, se)}


def _reach(parts, n_seeds, n_clusters, n_languages, alpha) -> tuple[np.ndarray, float, float]:
    """What a gain must exceed, for every luck of the seeds' variance; true se; expected df."""
    clusters, seeds, cells = design_variance(parts, n_seeds, n_clusters, n_languages)
    df_clusters, df_seeds = max(n_clusters - 1, 1), max(n_seeds - 1, 1)
    luck = stats.chi2.ppf(LUCK, df_seeds) / df_seeds
    seen = np.maximum((seeds + cells) * luck - cells, 0)
    df = satterthwaite([(clusters, df_clusters), (seen, df_seeds)])
    reach = stats.t.ppf(1 - alpha / 2, df) * np.sqrt(clusters + seen)
    expected = satterthwaite([(clusters, df_clusters), (seeds, df_seeds)])
    return reach, float(np.sqrt(clusters + seeds)), float(expected)


def _found(gain: float, reach: np.ndarray, se: float) -> float:
    """Share of studies whose estimate, normal around ``gain``, lies beyond the critical value."""
    if se == 0:
        return float(gain != 0)
    beyond = stats.norm.sf((reach - gain) / se) + stats.norm.cdf((-reach - gain) / se)
    return float(beyond.mean())


def _mde(reach: np.ndarray, se: float) -> float:
    """The gain that is found with 80% power."""
    if se == 0:
        return 0.0
    far = float(reach.max()) + 10 * se
    return float(optimize.brentq(lambda gain: _found(gain, reach, se) - POWER, 0, far))


def t_power(gain: float, se: float, df: float, alpha: float = 0.05) -> float:
    """Power of the two-sided t test at alpha for a true gain, with known se and df."""
    if se == 0:
        return float(gain != 0)
    reach, shift = stats.t.ppf(1 - alpha / 2, df), abs(gain) / se
    if not np.isfinite(df) or df > 1e5:
        return float(stats.norm.sf(reach - shift) + stats.norm.cdf(-reach - shift))
    beyond = stats.nct.sf(reach, df, shift), stats.nct.cdf(-reach, df, shift)
    return float(np.nansum(beyond))  # scipy gives nan for the far tail, which is 0


def power_table(
    evidence: Evidence,
    gain: float = 1.0,
    seeds: Sequence[int] = (3, 5, 10, 20),
    questions: Sequence[float] = (1, 4),
    languages: Sequence[int] | None = None,
) -> pd.DataFrame:
    """Power to see a gain of ``gain`` points in each level, from the pilot's own noise.

    evidence: of a pilot with two seeds or more; its primary contrast, target, metric and level are
    planned for, and the same over all languages. seeds: numbers of seeds; questions: factors on the
    pilot's examples per language; languages: numbers of languages (None: as many as the level has).

    One row per level and design: level, n_languages, n_seeds, questions (the factor), n_examples,
    se, df, mde (the gain found with 80% power), gain, power; seeds_needed, questions_needed
    (examples per language) and languages_needed, each alone and for 80% power, nan where no number
    suffices; unit; note, which says so. How much runs vary, and what a language shares with others
    where a level has but one, is taken from all languages together. UserError for a pilot of one
    seed.
    """
    if not gain > 0:
        raise UserError(f"gain={gain}: must be a positive number of points")
    lines, alpha = [], evidence.rules.alpha
    found = pilot_cases(evidence)
    pooled = components(found[-1])
    if np.isnan(pooled["seed"]):
        raise UserError(
            f"{found[-1].row.task}: the pilot has one seed, so how much runs vary is unknown; "
            "run at least two seeds"
        )
    for case in found:
        parts = _shared(components(case), pooled)
        for k in languages or [len(case.row.languages)]:
            for factor in questions:
                lines += _designs(case.row.level, parts, gain, seeds, factor, k, alpha)
    return pd.DataFrame(lines)


def _shared(parts: dict, pooled: dict) -> dict:
    """A level's components, completed by those of all languages where it cannot know them."""
    parts = parts | {name: pooled[name] for name in ("seed", "seed:language")}
    if parts["n_languages"] == 1:
        for common, own in (("cluster", "cluster:language"), ("cluster:seed", "residual")):
            both = [max(pooled[name], 0.0) for name in (common, own)]
            share = both[0] / sum(both) if sum(both) > 0 else 1.0
            total = parts[common]
            parts |= {common: share * total, own: (1 - share) * total}
    return parts


def pilot_cases(evidence: Evidence) -> list:
    """The primary contrast on its target: every level it declares, then all languages together."""
    primary = evidence.primary
    return [
        case
        for by in dict.fromkeys((primary.by, "all"))
        for case in exactly(evidence.primary_cases(by), primary.target, primary.metric, by)
    ]


def _designs(level, parts, gain, seeds, factor, k, alpha) -> list[dict]:
    n_clusters = factor * parts["n_clusters"]
    needed = seeds_needed(parts, gain, n_clusters, k, alpha)
    floor = design_power(parts, gain, 1e6, n_clusters, k, alpha)["mde"]
    note = "no number of seeds suffices: with these questions and languages no gain under "
    return [
        {
            "level": level,
            "n_languages": k,
            "n_seeds": s,
            "questions": factor,
            "n_examples": round(factor * parts["n_examples"]),
            **design_power(parts, gain, s, n_clusters, k, alpha),
            "gain": gain,
            "seeds_needed": needed,
            "questions_needed": parts["n_examples"] * _factor_needed(parts, gain, s, k, alpha),
            "languages_needed": _languages_needed(parts, gain, s, n_clusters, alpha),
            "unit": UNITS[0],
            "note": "" if np.isfinite(needed) else f"{note}{floor:.1f} is found",
        }
        for s in seeds
    ]


def _factor_needed(parts, gain, s, k, alpha) -> float:
    return _first(FACTORS, lambda f: _enough(parts, gain, s, f * parts["n_clusters"], k, alpha))


def _languages_needed(parts, gain, s, n_clusters, alpha) -> float:
    return _first(LANGUAGES, lambda k: _enough(parts, gain, s, n_clusters, k, alpha))


def _first(values, enough) -> float:
    return next((float(value) for value in values if enough(value)), np.nan)


def _enough(parts, gain, n_seeds, n_clusters, n_languages, alpha) -> bool:
    """Whether a design has 80% power."""
    reach, se, _ = _reach(parts, n_seeds, n_clusters, n_languages, alpha)
    return _found(gain, reach, se) >= POWER


def seeds_needed(
    parts, gain: float, n_clusters: float, n_languages: float, alpha: float = 0.05
) -> float:
    """The smallest number of seeds (2 to 1000) with 80% power for ``gain``; nan if none."""
    low, high = 2, 1000
    if not _enough(parts, gain, high, n_clusters, n_languages, alpha):
        return np.nan
    while low < high:
        middle = (low + high) // 2
        enough = _enough(parts, gain, middle, n_clusters, n_languages, alpha)
        low, high = (low, middle) if enough else (middle + 1, high)
    return float(low)
