"""The primary comparison looked at closely: do its levels differ, and does the scale matter?

``heterogeneity`` asks whether levels differ, with their joint covariance: languages share questions
and runs, so Cochran's Q with independent levels would be wrong. Only tasks that every compared
language has enter the rest, or a difference between families would be one between task mixes.
``on_scales`` puts the answer on the scales of points, share of errors and log odds.
"""

from collections.abc import Sequence

import numpy as np
import pandas as pd
from scipy import stats

from xtsupport.statistics.contrasts import Case
from xtsupport.statistics.evidence import Evidence, exactly, select
from xtsupport.statistics.inference import inference, joint_estimate
from xtsupport.statistics.scales import FACTOR
from xtsupport.statistics.variance import UNITS


def on_scales(evidence: Evidence) -> pd.DataFrame:
    """The primary contrast on target, rest and difference, by every metric and scale, per level.

    Columns: task, level, metric, scale, gain, ci_low, ci_high, p_value (unadjusted), unit; the gain
    is in points, percent of the baseline's errors, or log odds.
    """
    rules, primary = evidence.rules, evidence.primary
    tasks = (primary.target, "rest", f"{primary.target} - rest")
    chosen = [
        case
        for case in evidence.primary_cases()
        if case.row.task in tasks and case.row.by == primary.by
    ]
    labels = pd.DataFrame([case.labels for case in chosen])[["task", "level", "metric"]]
    columns = ["gain", "ci_low", "ci_high", "p_value"]
    tables = [
        labels.assign(scale=scale).join(inference(chosen, rules.unit, rules.alpha, scale)[columns])
        for scale in FACTOR
    ]
    return pd.concat(tables, ignore_index=True).assign(unit=rules.unit)


def heterogeneity(evidence: Evidence, by: str | None = None) -> pd.DataFrame:
    """Do levels differ in the gain on the target, on the rest, in the difference? One row each.

    by: the level, None for the declared one. Columns: task, metric, n_levels, statistic (Q / df1),
    df1, df2, p_value, spread (the largest minus the smallest gain, points), depends_on (metric by
    which the answer at alpha changes), unit, note. Descriptive where levels are single languages:
    these languages, not families.
    """
    primary, by = evidence.primary, by or evidence.primary.by
    found = evidence.primary_cases(by)
    names = {case.row.task for case in found}
    rest = "rest (common)" if "rest (common)" in names else "rest"
    lines = []
    for task in (primary.target, rest, f"{primary.target} - {rest}"):
        chosen = select(found, task, primary.metric, by)
        if len(chosen) > 1:
            line = levels_differ(chosen)
            others = sorted({case.row.metric for case in found if case.row.task == task})
            answers = [levels_differ(exactly(found, task, metric, by)) for metric in others]
            p = [one["p_value"] for one in answers] + [line["p_value"]]
            depends = len({value <= evidence.rules.alpha for value in p}) > 1
            lines.append(
                {
                    "task": task,
                    "metric": chosen[0].row.metric,
                    **line,
                    "depends_on": "metric-dependent" if depends else "",
                    "unit": UNITS[0],
                    "note": chosen[0].row.note,
                }
            )
    return pd.DataFrame(lines)


def levels_differ(found: Sequence[Case]) -> dict:
    """Wald test that all cases (levels of one row) have the same gain, with their joint covariance.

    The cluster part of the covariance is estimated in full. The seed part has only S - 1 degrees
    of freedom for E levels, so it is modelled: a run moves all languages alike, which cancels in
    contrasts, plus an independent run x language effect of one variance, estimated by moments from
    (S - 1)(E - 1) degrees of freedom. Q / r is referred to F(r, df2), 1 / df2 = sum of the parts'
    shares / df.
    """
    one = joint_estimate(found)
    e, s = len(found), one.n_seeds
    scale = np.diag([1 / len(case.row.languages) for case in found])
    centre = np.eye(e) - 1 / e
    noise = max(np.trace(centre @ (one.seeds - one.cells)) / np.trace(centre @ scale), 0.0)
    basis = np.linalg.svd(centre)[0][:, : e - 1]
    parts = [basis.T @ part @ basis for part in (one.clusters, noise * scale)]
    gains = basis.T @ one.gain
    inverse = np.linalg.pinv(parts[0] + parts[1], hermitian=True)
    q = float(gains @ inverse @ gains)
    shares = [np.trace(inverse @ part) / (e - 1) for part in parts]
    df_seeds = max((s - 1) * (e - 1), 1)
    df2 = 1 / (shares[0] / one.df_clusters.min() + shares[1] / df_seeds)
    return {
        "n_levels": e,
        "statistic": q / (e - 1),
        "df1": e - 1,
        "df2": df2,
        "p_value": float(stats.f.sf(q / (e - 1), e - 1, df2)),
        "spread": 100 * float(np.ptp(one.gain)),
    }
