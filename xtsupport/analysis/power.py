"""How many seeds, questions and languages a gain of so many points needs.

The variance that the primary test would estimate is composed from a pilot's own components (or
assumed ones) for any design of S seeds, G clusters and k languages:

    V_clusters = (cluster + cluster:language / k + (cluster:seed + residual / k) / S) / G
    V_seeds    = (seed + seed:language / k) / S

Power is that of the two-sided t test with the primary test's degrees of freedom. Seeds remove
V_seeds and part of V_clusters; what the persistent differences of G clusters leave, no number of
seeds removes: then only more questions or languages help, and the table says so.
"""

from collections.abc import Sequence

import numpy as np
import pandas as pd
from scipy import stats

from xtsupport.analysis.clusters import study_moments
from xtsupport.analysis.components import PARTS, components
from xtsupport.analysis.declared import declared
from xtsupport.analysis.headline import chosen_primary, primary_cases
from xtsupport.analysis.verdicts import POWER
from xtsupport.errors import UserError


def design_variance(parts, n_seeds: float, n_clusters: float, n_languages: float):
    """(V_clusters, V_seeds) of a design in squared points; parts as ``components`` returns them."""
    p = {name: max(parts[name], 0.0) for name in PARTS}
    persistent = p["cluster"] + p["cluster:language"] / n_languages
    changing = p["cluster:seed"] + p["residual"] / n_languages
    clusters = (persistent + changing / n_seeds) / n_clusters
    return clusters, (p["seed"] + p["seed:language"] / n_languages) / n_seeds


def design_power(
    parts, gain: float, n_seeds: float, n_clusters: float, n_languages: float, alpha: float = 0.05
) -> dict:
    """se, df, mde (80% power) and power of a design to find ``gain`` points."""
    clusters, seeds = design_variance(parts, n_seeds, n_clusters, n_languages)
    total = clusters + seeds
    spread = clusters / max(n_clusters - 1, 1) + seeds / max(n_seeds - 1, 1)
    se, df = np.sqrt(total), total / spread if spread > 0 else np.inf
    reach = stats.t.ppf(1 - alpha / 2, df)
    return {"se": se, "df": df, "mde": (reach + stats.t.ppf(POWER, df)) * se} | {
        "power": t_power(gain, se, df, alpha)
    }


def t_power(gain: float, se: float, df: float, alpha: float = 0.05) -> float:
    """Power of the two-sided t test at alpha for a true gain."""
    if se == 0:
        return float(gain != 0)
    reach = stats.t.ppf(1 - alpha / 2, df)
    shift = gain / se
    if not np.isfinite(df) or df > 1e5:
        return float(stats.norm.sf(reach - shift) + stats.norm.cdf(-reach - shift))
    return float(stats.nct.sf(reach, df, shift) + stats.nct.cdf(-reach, df, shift))


def power_table(
    cube,
    rules=None,
    gain: float = 1.0,
    seeds: Sequence[int] = (3, 5, 10, 20),
    questions: Sequence[float] = (1, 4),
    languages: Sequence[int] | None = None,
    alpha: float | None = None,
    data="hub",
    source: str = "en",
) -> pd.DataFrame:
    """Power to see a gain of ``gain`` points in each level, from the pilot's own noise.

    cube: a frame or moments of a pilot with two seeds or more; rules: settings or a declaration,
    whose primary contrast, target, metric and level are planned for, and over all languages.
    seeds: numbers of seeds; questions: factors on the pilot's examples per language; languages:
    numbers of languages (None: as many as the level has). One row per level and design: level,
    n_languages, n_seeds, n_examples, se, df, mde (the gain found with 80% power), gain, power,
    seeds_needed (for 80% power; nan where no number suffices) and note. How much runs vary is
    pooled over all languages, since a few seeds tell little of it in one.
    """
    if not gain > 0:
        raise UserError(f"gain={gain}: must be a positive number of points")
    rules, measured = declared(rules), study_moments(cube)
    alpha = rules.alpha if alpha is None else alpha
    lines = []
    found = pilot_cases(measured, rules, data, source)
    pooled = components(found[-1])
    if np.isnan(pooled["seed"]):
        raise UserError(
            f"{found[-1].row.task}: the pilot has one seed, so how much runs vary is unknown; "
            "run at least two seeds"
        )
    for case in found:
        parts = components(case) | {name: pooled[name] for name in ("seed", "seed:language")}
        for k in languages or [len(case.row.languages)]:
            for factor in questions:
                lines += _designs(case.row.level, parts, gain, seeds, factor, k, alpha)
    return pd.DataFrame(lines)


def pilot_cases(measured, rules, data="hub", source: str = "en") -> list:
    """The primary contrast on its target: every level it declares, then all languages together."""
    primary = chosen_primary(rules, measured)
    found = []
    for by in dict.fromkeys((primary.by, "all")):
        wanted = (primary.target, primary.metric, by)
        one = type(primary)(**{**vars(primary), "by": by})
        every = primary_cases(measured, one, rules.paired, data, source)
        found += [c for c in every if (c.row.task, c.row.metric, c.row.by) == wanted]
    return found


def _designs(level, parts, gain, seeds, factor, k, alpha) -> list[dict]:
    n_clusters = factor * parts["n_clusters"]
    needed = seeds_needed(parts, gain, n_clusters, k, alpha)
    floor = design_power(parts, gain, 1e6, n_clusters, k, alpha)["mde"]
    note = (
        ""
        if np.isfinite(needed)
        else (
            f"no number of seeds suffices: with these questions no gain under {floor:.1f} is found"
        )
    )
    return [
        {
            "level": level,
            "n_languages": k,
            "n_seeds": s,
            "n_examples": round(factor * parts["n_examples"]),
            **design_power(parts, gain, s, n_clusters, k, alpha),
            "gain": gain,
            "seeds_needed": needed,
            "note": note,
        }
        for s in seeds
    ]


def seeds_needed(
    parts, gain: float, n_clusters: float, n_languages: float, alpha: float = 0.05
) -> float:
    """The smallest number of seeds (2 to 1000) with 80% power for ``gain``; nan if none."""
    low, high = 2, 1000
    if design_power(parts, gain, high, n_clusters, n_languages, alpha)["power"] < POWER:
        return np.nan
    while low < high:
        middle = (low + high) // 2
        enough = design_power(parts, gain, middle, n_clusters, n_languages, alpha)["power"] >= POWER
        low, high = (low, middle) if enough else (middle + 1, high)
    return float(low)
