"""How many seeds, questions and languages a gain of so many points needs.

The variance of a gain under any design of S seeds, G clusters and k languages is composed from a
pilot's own components (or assumed ones):

    V_cells    = (cluster:seed + residual / k) / (G S)
    V_clusters = (cluster + cluster:language / k) / G + V_cells
    V_seeds    = (seed + seed:language / k) / S

Three runs say next to nothing about how much runs vary: pilots of one truth, taken at their word,
promised 46 to 99% power. The run parts are therefore pooled over all conditions of the pilot, and
the plan takes their one-sided 80% upper bound; the estimate, and the power at it, stand beside.

The test estimates V_seeds from few degrees of freedom, so its critical value is a matter of luck,
and power is averaged over that luck. With C conditions, X ~ chi2(S - 1) for the contrast's own runs
and Y ~ chi2((C - 2)(S - 1)) for the others', in units of V_seeds + V_cells, the test sees
V_s = X / (S - 1) and q = (X + Y) / ((C - 1)(S - 1)), and rejects beyond what ``spread`` makes of
them; the gain varies with V_clusters + V_seeds around the truth.

Seeds remove V_seeds and part of V_clusters; what the persistent differences of G clusters leave, no
number of seeds removes: then only more questions or languages help, and the table says so. More
questions can cost a test of three seeds a point of power, as its degrees of freedom fall with
V_clusters. A study can leave questions out, so a design counts for at least what a part of its
questions would find, and power never falls with more of anything.
"""

from bisect import bisect_left
from collections.abc import Sequence
from functools import cache

import numpy as np
import pandas as pd
from scipy import special

from xtsupport.errors import UserError
from xtsupport.statistics.components import PARTS, components, run_noise
from xtsupport.statistics.declared import UNITS, Declared
from xtsupport.statistics.evidence import Evidence
from xtsupport.statistics.spread import PRIOR, PRIOR_OF_LEVELS, Mixture, chi2_quantile, two_way
from xtsupport.statistics.verdicts import POWER

LUCK = (np.arange(20) + 0.5) / 20  # quantiles of the mean square of a contrast's own runs
RUNS = (np.arange(100) + 0.5) / 100  # of what the runs' variance may be, with two conditions
OTHERS = (np.arange(12) + 0.5) / 12  # and of that of the other conditions' runs
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
    parts,
    gain: float,
    n_seeds: float,
    n_clusters: float,
    n_languages: float,
    alpha: float = Declared.alpha,
) -> dict:
    """se, df, mde (80% power) and power of a design to find ``gain`` points.

    parts: variances by the names of ``PARTS``, and ``conditions``, the number of them whose runs
    are pooled (default 2: the contrast's own), and what that counts for (``weight``, default 2).
    """
    clusters, seeds, cells = design_variance(parts, n_seeds, n_clusters, n_languages)
    df_p, df_s = max(n_clusters - 1, 1), max(n_seeds - 1, 1)
    _, df = two_way(clusters, df_p, seeds + cells, df_s, cells, seeds + cells)
    reached = _reaches(parts, n_seeds, n_clusters, n_languages, alpha)
    return {
        "se": float(np.sqrt(clusters + seeds)),
        "df": float(df),
        "mde": min(_mde(reach, se) for reach, se in reached),
        "power": max(_found(gain, reach, se) for reach, se in reached),
    }


def _reaches(parts, n_seeds, n_clusters, n_languages, alpha) -> list[tuple[np.ndarray, float]]:
    """``_reach`` with all questions, and where few seeds are pooled, with parts of them."""
    fewer = 2.0 ** np.arange(4, 12)
    fewer = fewer[fewer < n_clusters] if parts.get("conditions", 2) > 2 and n_seeds < 6 else []
    return [_reach(parts, n_seeds, n, n_languages, alpha) for n in (*fewer, n_clusters)]


def _reach(parts, n_seeds, n_clusters, n_languages, alpha) -> tuple[np.ndarray, float]:
    """What a gain must exceed, for every luck of the runs' mean squares, and the true se."""
    clusters, seeds, cells = design_variance(parts, n_seeds, n_clusters, n_languages)
    df_p, df_s = max(n_clusters - 1, 1), max(n_seeds - 1, 1)
    own, rest = _luck(df_s, parts.get("conditions", 2))
    v_s = (seeds + cells) * own[:, None] / df_s
    if rest is None:  # the fiducial of ``spread``, on fewer points
        may_be = np.maximum(df_s * v_s / chi2_quantile(RUNS, df_s) - cells, 0)
        fiducial = Mixture(np.sqrt(clusters + may_be), np.full(v_s.shape, float(df_p)))
        reach = fiducial.reach(np.full(len(v_s), alpha / 2))
    else:
        weight = parts.get("weight", PRIOR)
        pooled = (own[:, None] + rest) / (df_s * (parts["conditions"] - 1))
        pooled = (seeds + cells) * (pooled if weight == PRIOR else 1.0)  # levels: hardly luck
        se, df = two_way(clusters, df_p, v_s, df_s, cells, pooled, weight)
        reach = special.stdtrit(df, 1 - alpha / 2) * se
    return reach, float(np.sqrt(clusters + seeds))


@cache
def _luck(df: float, conditions: float) -> tuple[np.ndarray, np.ndarray | None]:
    """Quantiles of the sums of squares of a contrast's own runs and of the other conditions'."""
    own = chi2_quantile(LUCK, df)
    return own, chi2_quantile(OTHERS, df * (conditions - 2)) if conditions > 2 else None


def _found(gain: float, reach: np.ndarray, se: float) -> float:
    """Share of studies whose estimate, normal around ``gain``, lies beyond the critical value."""
    if se == 0:
        return float(gain != 0)
    beyond = special.ndtr((gain - reach) / se) + special.ndtr((-reach - gain) / se)
    return float(beyond.mean())


def _mde(reach: np.ndarray, se: float) -> float:
    """The gain that is found with 80% power, by bisection."""
    if se == 0:
        return 0.0
    low, high = 0.0, float(reach.max()) + 10 * se
    for _ in range(50):
        middle = (low + high) / 2
        low, high = (low, middle) if _found(middle, reach, se) >= POWER else (middle, high)
    return high


def power_table(
    evidence: Evidence,
    gain: float = 1.0,
    seeds: Sequence[int] | None = None,
    questions: Sequence[float] = (1, 4),
    languages: Sequence[int] | None = None,
) -> pd.DataFrame:
    """Power to see a gain of ``gain`` points in each level, from the pilot's own noise.

    evidence: of a pilot with two seeds or more; its primary contrast, target, metric and level are
    planned for, and the same over all languages. seeds: numbers of seeds (None: 3, 5, 10, 20 and
    the pilot's own); questions: factors on the pilot's examples per language; languages: numbers of
    languages (None: as many as the level has).

    One row per level and design: level, n_languages, n_seeds, questions (the factor), n_examples,
    se, df, mde (the gain found with 80% power), gain, power; pilot_seeds; seeds_needed,
    questions_needed (examples per language) and languages_needed, each alone and for 80% power, nan
    where no number suffices; run_sd and run_sd_upper (SD in points of the difference of two runs,
    pooled over conditions: estimate, 0 where it is negative, and one-sided 80% upper bound),
    power_estimate (at run_sd; all else is at the bound); unit; note. What a language shares with
    others, where a level has but one, is taken from all languages together. UserError for a pilot
    of one seed.
    """
    if not gain > 0:
        raise UserError(f"gain={gain}: must be a positive number of points")
    lines, alpha = [], evidence.rules.alpha
    levels = dict.fromkeys((evidence.primary.by, "all"))
    found = [case for by in levels for case in evidence.target_cases(by)]
    pooled = components(found[-1])
    if np.isnan(pooled["seed"]):
        raise UserError(f"{found[-1].task}: the pilot has one seed, so how much runs vary is "
                        "unknown; run at least two seeds")  # fmt: skip
    seeds = seeds or sorted({3, 5, 10, 20, int(pooled["n_seeds"])})
    noises = run_noise(evidence.target_cases("language"))
    pooled["conditions"] = 1 + noises[0].df / (pooled["n_seeds"] - 1)
    single = sum(len(case.languages) == 1 for case in found)
    pooled["weight"] = PRIOR_OF_LEVELS if single >= 3 else PRIOR
    for case in found:
        parts = _shared(components(case), pooled)
        for k in languages or [len(case.languages)]:
            for factor in questions:
                lines += _designs(case.level, parts, noises, gain, seeds, factor, k, alpha)
    return pd.DataFrame(lines)


def _shared(parts: dict, pooled: dict) -> dict:
    """A level's components, completed by those of all languages where it cannot know them."""
    parts = parts | {"conditions": pooled["conditions"]}
    if parts["n_languages"] == 1:
        parts["weight"] = pooled["weight"]
        for common, own in (("cluster", "cluster:language"), ("cluster:seed", "residual")):
            both = [max(pooled[name], 0.0) for name in (common, own)]
            share = both[0] / sum(both) if sum(both) > 0 else 1.0
            total = parts[common]
            parts |= {common: share * total, own: (1 - share) * total}
    return parts


def _designs(level, parts, noises, gain, seeds, factor, k, alpha) -> list[dict]:
    n_clusters = factor * parts["n_clusters"]
    estimate, parts = (parts | {"seed": n.run, "seed:language": n.language} for n in noises)
    needed = seeds_needed(parts, gain, n_clusters, k, alpha)
    note = "" if np.isfinite(needed) else _beyond(parts, noises[0], gain, n_clusters, k, alpha)
    lines = []
    for s in seeds:
        own = {"level": level, "n_languages": k, "n_seeds": s, "questions": factor}
        own["n_examples"] = round(factor * parts["n_examples"])
        own |= design_power(parts, gain, s, n_clusters, k, alpha)
        own["power_estimate"] = _power(estimate, gain, s, n_clusters, k, alpha)
        factors = _first(
            FACTORS, lambda f, s=s: _power(parts, gain, s, f * parts["n_clusters"], k, alpha)
        )
        own["questions_needed"] = parts["n_examples"] * factors
        own["languages_needed"] = _first(
            LANGUAGES, lambda more, s=s: _power(parts, gain, s, n_clusters, more, alpha)
        )
        lines.append(own)
    sds = [np.sqrt(noise.variance(k)) for noise in noises]
    about = {"gain": gain, "run_sd": sds[0], "run_sd_upper": sds[1], "seeds_needed": needed,
             "pilot_seeds": parts["n_seeds"]}  # fmt: skip
    return [{**own, **about, "unit": UNITS[0], "note": note} for own in lines]


def _beyond(parts, noise, gain, n_clusters, k, alpha) -> str:
    """Why no number of seeds up to a thousand has 80% power, as far as the pilot can tell."""
    if noise.variance(k) <= 0:
        return "the pilot's runs agree too well to tell how many seeds suffice"
    floor = design_power(parts, gain, 1e6, n_clusters, k, alpha)["mde"]
    return (
        "no number of seeds suffices: with these questions and languages "
        f"no gain under {floor:.1f} is found"
    )


def _first(values, power) -> float:
    """The first value with 80% power, which never falls with larger ones; nan if none."""
    if power(values[-1]) < POWER:
        return np.nan
    return float(values[bisect_left(values, POWER, key=power)])


def _power(parts, gain, n_seeds, n_clusters, n_languages, alpha) -> float:
    """``design_power``'s power alone."""
    reached = _reaches(parts, n_seeds, n_clusters, n_languages, alpha)
    return max(_found(gain, reach, se) for reach, se in reached)


def seeds_needed(
    parts, gain: float, n_clusters: float, n_languages: float, alpha: float = Declared.alpha
) -> float:
    """The smallest number of seeds (2 to 1000) with 80% power for ``gain``; nan if none."""
    return _first(range(2, 1001), lambda s: _power(parts, gain, s, n_clusters, n_languages, alpha))
