"""Does the gain fall with a language's distance from English?

The slope of the gain over languages, by least squares, with and without covariates such as the
size of a language's pretraining text (confounded with family) and the tokenizer's fertility. Its
variance has two parts: the joint covariance of the gains (clusters x seeds; languages share both)
and what languages scatter around the line beyond that (by moments). Languages are no random sample
of anything: the slope describes these languages.
"""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pandas as pd

from xtsupport.errors import UserError
from xtsupport.statistics.contrasts import arms_of
from xtsupport.statistics.declared import UNITS, Declared
from xtsupport.statistics.evidence import Evidence
from xtsupport.statistics.inference import mean_squares, spread_of
from xtsupport.statistics.spread import Spread, moderate
from xtsupport.statistics.variance import estimate
from xtsupport.statistics.verdicts import describe

COVARIATES = ("pretraining_gb", "fertility")
LOGARITHMIC = ("pretraining_gb",)  # spans four orders of magnitude


def distance_slope(evidence: Evidence, languages: pd.DataFrame | None = None) -> pd.DataFrame:
    """Slope of the primary contrast's gain on syntactic distance, for the target, the rest, the
    difference; adjusted for ``COVARIATES``; unit ``clusters x seeds x languages``.

    languages: a frame with ``code``, ``syntactic`` and the covariates (None: the languages table; a
    covariate that no language has is left out); languages without all of them are left out and
    named. Per task one row without covariates, with each, and with all: slope, se, ci_low, ci_high
    and the range of slopes when one language is left out (points per 0.1 of distance), spearman,
    n_languages, p_value, unit, note.
    """
    languages = evidence.languages if languages is None else languages
    primary, found = evidence.primary, evidence.primary_cases("language")
    there = [name for name in COVARIATES if name in languages]
    known = tuple(name for name in there if languages[name].notna().any())
    lines = []
    for task in (primary.target, "rest", f"{primary.target} - rest"):
        rows = [c for c in found if c.task == task and c.by == "language"]
        rows = [c for c in rows if c.metric in (primary.metric, "official")]
        for covariates in dict.fromkeys([(), *((name,) for name in known), known]):
            table = languages.set_index("code")[["syntactic", *covariates]].dropna()
            kept = [c for c in rows if c.level in table.index]
            if len(kept) < len(covariates) + 4:
                continue
            left = sorted({c.level for c in rows} - {c.level for c in kept})
            x = design(table, [c.level for c in kept])
            numbers = slope(kept, x, evidence.rules.alpha)
            note = "describes these languages" + (f"; without {', '.join(left)}" if left else "")
            adjusted = " + ".join(covariates)
            lines.append({"task": task, "adjusted_for": adjusted, **numbers, "note": note})
    if not lines:
        raise UserError("slope on syntactic: fewer than four zero-shot languages have it")
    return pd.DataFrame(lines)


def design(table: pd.DataFrame, codes: Sequence[str]) -> np.ndarray:
    """Columns (languages, k): 1, distance in tenths, then centred covariates (sizes as log10)."""
    rows = table.loc[list(codes)].astype(float)
    for name in set(LOGARITHMIC) & set(rows):
        rows[name] = np.log10(rows[name])
    rows.iloc[:, 0] *= 10
    rows.iloc[:, 1:] -= rows.iloc[:, 1:].mean()
    return np.column_stack([np.ones(len(rows)), rows])


def slope(found, x: np.ndarray, alpha: float = Declared.alpha) -> dict:
    """Slope (points per column-1 unit) of the cases' gains on ``x`` (n, p), with its inference."""
    (arms, weights), unit = arms_of(found), UNITS[3]
    one = estimate(arms, weights, joint=True)
    solve, df_extra = np.linalg.pinv(x), len(x) - x.shape[1]
    remove = np.eye(len(x)) - x @ solve
    scatter = one.gain @ remove @ one.gain - np.trace(remove @ one.covariance())
    extra = max(scatter / df_extra, 0.0) * float(solve[1] @ solve[1])
    line = estimate(arms, [np.tensordot(solve[1], each, 1)[None] for each in weights])
    parts = pd.DataFrame(mean_squares(line, 100.0, np.array([extra]), df_extra))
    numbers = describe(100 * line.gain, _by_shares(parts, spread_of(parts, unit)), alpha)
    parts = [(np.delete(x, i, 0), np.delete(one.gain, i)) for i in range(len(x))]
    left = [100 * np.linalg.pinv(kept)[1] @ gain for kept, gain in parts]
    ranks = pd.DataFrame({"distance": x[:, 1], "gain": one.gain}).rank()
    return {
        "n_languages": len(x),
        "slope": float(numbers["gain"][0]),
        **{name: float(numbers[name][0]) for name in ("se", "df", "ci_low", "ci_high", "p_value")},
        "leave_one_out_low": min(left),
        "leave_one_out_high": max(left),
        "spearman": ranks.corr().loc["distance", "gain"],  # nan where either is the same for all
        "unit": unit,
    }


def _by_shares(parts: pd.DataFrame, spread: Spread) -> Spread:
    """A slope's spread with the degrees of freedom that its parts' shares of the variance give.

    1 / df = sum(share / df), fewer than Satterthwaite's: languages share clusters and runs, so the
    mean squares of a joint covariance are not independent.
    """
    if spread.is_fiducial.any():
        return spread
    row = parts.iloc[0]
    runs, df_runs = moderate(row["v_s"], row["df_s"], row["prior"])
    runs = max(float(runs) - row["v_c"], 0.0) if row["n_seeds"] > 1 else 0.0
    shares = ((row["v_p"], row["df_p"]), (runs, df_runs), (row["extra"], row["df_extra"]))
    total, spent = sum(v for v, _ in shares), sum(v / df for v, df in shares)
    return replace(spread, df=np.array([total / spent if spent > 0 else np.inf]))
