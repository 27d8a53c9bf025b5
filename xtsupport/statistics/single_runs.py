"""The runs themselves: gains and scores of single runs, how far they scatter, which lie far out.

Three runs are few enough to look at each. Nothing here is a test: it shows what a mean rests on.
"""

import numpy as np
import pandas as pd

from xtsupport.cube.scores import official
from xtsupport.sides import SOURCE
from xtsupport.statistics.bootstrap import seed_effects
from xtsupport.statistics.evidence import Evidence

FAR = 4.0  # times the usual SD of runs: about 3.3 sigma from the mean of two others
FEWEST = 3  # runs of a condition, for one of them to lie far out


def run_gains(evidence: Evidence, by: str | None = None) -> pd.DataFrame:
    """The primary contrast's gain of each run, in points: task, level, run (0..), gain.

    by: None is the declared level. Paired seeds are differences of one seed; else the treatment's
    runs less the mean of the baseline.
    """
    lines = []
    for case in evidence.answer_cases(by):
        first, *other = seed_effects(case)
        gains = 100 * (first + sum(part.mean() for part in other))
        lines += [(case.task, case.level, run, gain) for run, gain in enumerate(gains)]
    return pd.DataFrame(lines, columns=["task", "level", "run", "gain"])


def leave_one_out(evidence: Evidence) -> pd.DataFrame:
    """The primary gain without each run in turn: task, level, gain, lowest, highest (points)."""
    rows = run_gains(evidence).groupby(["task", "level"], sort=False)["gain"]
    lines = []
    for (task, level), gains in rows:
        n, mean = len(gains), gains.mean()
        left = (n * mean - gains) / (n - 1) if n > 1 else gains * np.nan
        lines.append((task, level, mean, left.min(), left.max()))
    return pd.DataFrame(lines, columns=["task", "level", "gain", "lowest", "highest"])


def run_scores(evidence: Evidence) -> pd.DataFrame:
    """Every run's score: condition, task, seed, score (official metric, points, zero-shot mean).

    A language of phase 3 is left out: English, and that of a variant ``source=xx``.
    """
    scores = official(evidence.scores, evidence.data)
    trained = scores["condition"].str.extract("source=(.+)$")[0].fillna(SOURCE)
    away = (scores["language"] != SOURCE) & (scores["language"] != trained)
    away &= ~scores["language"].str.contains("+", regex=False)
    keys = ["condition", "task", "seed"]
    return scores[away].groupby(keys, sort=False, observed=True)["score"].mean().reset_index()


def scatter(evidence: Evidence) -> pd.DataFrame:
    """SD of runs in points: a row per condition, a column per task (NaN: fewer than two runs)."""
    runs = run_scores(evidence).groupby(["condition", "task"], sort=False)["score"]
    return runs.std().unstack("task").reset_index()


def outlying(evidence: Evidence) -> pd.DataFrame:
    """Runs that lie far from the other runs of their condition, one each: condition, task, seed,
    score, others (their mean), usual (the median SD of runs over the task's conditions); points.

    Far is more than ``FAR`` times the usual SD; a median, since an SD of all would grow with them.
    """
    runs = run_scores(evidence)
    cells = runs.groupby(["condition", "task"], sort=False)["score"]
    n, total = cells.transform("size"), cells.transform("sum")
    runs["others"] = (total - runs["score"]) / (n - 1).where(n >= FEWEST)
    runs["usual"] = runs["task"].map(cells.std().groupby("task").median())
    away = (runs["score"] - runs["others"]).abs()
    farthest = away == away.groupby([runs["condition"], runs["task"]]).transform("max")
    far = farthest & (away > FAR * runs["usual"]) & (runs["usual"] > 0)
    return runs[far].reset_index(drop=True)
