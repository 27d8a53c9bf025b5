"""The study's question: is the gain the same on XQuAD as on the rest, and does it differ by family?

``headline`` puts the primary contrast's gain on the primary target beside its gain on the rest, per
level, with their difference (matched languages; seeds shared by the two sides covary). A conclusion
that changes with the scale (points, share of errors, log odds) is labelled *scale-dependent*, one
that changes with the primary's metric (official F1, exact match, segmented F1) *metric-dependent*.

``heterogeneity`` asks whether levels differ, with their joint covariance: languages share questions
and runs, so Cochran's Q with independent levels would be wrong. Only tasks that every compared
language has enter the rest, or a difference between families would be one between task mixes.
"""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pandas as pd
from scipy import stats

from xtsupport.errors import UserError
from xtsupport.sides import side
from xtsupport.statistics.aggregates import task_facts
from xtsupport.statistics.clusters import study_moments
from xtsupport.statistics.contrasts import Case, cases, default_contrasts
from xtsupport.statistics.declared import Declared, Primary, declared
from xtsupport.statistics.dependence import dependence
from xtsupport.statistics.inference import inference, joint_estimate, tabulate
from xtsupport.statistics.scales import FACTOR
from xtsupport.statistics.spread import PRIOR, moderate
from xtsupport.statistics.variance import UNITS
from xtsupport.statistics.verdicts import judge


def headline(cube, rules=None, data="hub", source: str = "en") -> pd.DataFrame:
    """The primary contrast per level: on the target, on the rest, and the difference, in points.

    cube: a frame or ``study_moments`` of one; rules: a declaration (``declared``) or settings.
    Columns: level, languages, n_seeds, unit, and for each side (target, rest, difference) its gain,
    ci_low, ci_high, p_adjusted (over the levels) and verdict; depends_on. UserError where the
    cube lacks the primary comparison.
    """
    rules, measured = declared(rules), study_moments(cube)
    primary = chosen_primary(rules, measured)
    found = primary_cases(measured, primary, rules.paired, data, source)
    rest = f"{primary.target} - rest"
    parts = {"target": primary.target, "rest": "rest", "difference": rest}
    tables = {
        part: _side_table(_select(found, task, primary.metric, primary.by), rules)
        for part, task in parts.items()
    }
    sides = [table.add_prefix(f"{part}_") for part, table in tables.items() if len(table)]
    joined = tables["target"][["languages", "n_seeds", "unit"]].join(sides)
    drop = [name for name in joined if name.endswith(("_languages", "_n_seeds", "_unit"))]
    asked = [case for case in found if case.row.by == primary.by]
    labels = dict(zip(_keys(asked), dependence(asked, rules.unit, rules.alpha), strict=True))
    task = rest if len(tables["difference"]) else primary.target
    depends = [labels[task, primary.metric, level] for level in joined.index]
    return joined.drop(columns=drop).assign(depends_on=depends).rename_axis("level").reset_index()


def _keys(found: Sequence[Case]) -> list[tuple]:
    return [(case.row.task, case.row.metric, case.row.level) for case in found]


def chosen_primary(rules: Declared, measured) -> Primary:
    """The declared primary comparison, or the first contrast of the cube on XQuAD F1 by group."""
    if rules.primary is not None:
        return rules.primary
    pairs = default_contrasts(measured)
    if not pairs:
        raise UserError("the cube has no two conditions to compare")
    names = [treatment[0] for treatment, _ in pairs]
    treatment, baseline = pairs[names.index("squad") if "squad" in names else 0]
    return Primary("/".join(treatment), "/".join(baseline))


def primary_cases(
    measured, primary: Primary, paired: bool, data="hub", source: str = "en"
) -> list[Case]:
    """All rows of the primary contrast at its level; UserError if it has none on the target."""
    pair = (side(primary.treatment), side(primary.baseline))
    facts = task_facts(measured, data)
    found = cases(measured, facts, [pair], primary.by, paired, primary.target, source)
    if not _select(found, primary.target, primary.metric, primary.by):
        raise UserError(
            f"primary comparison: the cube has no {primary.target} {primary.metric} "
            f"for {primary.treatment} and {primary.baseline} in a language not trained on"
        )
    return found


def _select(found: Sequence[Case], task: str, metric: str, by: str) -> list[Case]:
    return _exactly(found, task, metric, by) or _exactly(found, task, "official", by)


def _exactly(found: Sequence[Case], task: str, metric: str, by: str) -> list[Case]:
    return [
        case
        for case in found
        if (case.row.task, case.row.metric, case.row.by) == (task, metric, by)
    ]


def _side_table(found: Sequence[Case], rules: Declared) -> pd.DataFrame:
    if not found:
        return pd.DataFrame()
    table = tabulate(found, rules.unit, rules.alpha)
    table = judge(table, rules.adjustment, rules.margin, rules.alpha)
    table["languages"] = [", ".join(case.row.languages) for case in found]
    kept = ["gain", "ci_low", "ci_high", "p_adjusted", "verdict", "languages", "n_seeds", "unit"]
    return table.set_index("level")[kept]


def on_scales(cube, rules=None, data="hub", source: str = "en") -> pd.DataFrame:
    """The headline's target, rest and difference under every metric and scale, per level.

    Columns: task, level, metric, scale, gain, ci_low, ci_high, p_value (unadjusted), unit; the gain
    is in points, percent of the baseline's errors, or log odds.
    """
    rules, measured = declared(rules), study_moments(cube)
    primary = chosen_primary(rules, measured)
    found = primary_cases(measured, primary, rules.paired, data, source)
    tasks = (primary.target, "rest", f"{primary.target} - rest")
    chosen = [case for case in found if case.row.task in tasks and case.row.by == primary.by]
    labels = pd.DataFrame([case.labels for case in chosen])[["task", "level", "metric"]]
    columns = ["gain", "ci_low", "ci_high", "p_value"]
    tables = [
        labels.assign(scale=scale).join(inference(chosen, rules.unit, rules.alpha, scale)[columns])
        for scale in FACTOR
    ]
    return pd.concat(tables, ignore_index=True).assign(unit=rules.unit)


def headline_cases(
    measured, rules: Declared, data="hub", source: str = "en", by: str | None = None
) -> list[Case]:
    """The cases behind the headline: target, rest and difference at every level of ``by``.

    by: None is the declared one.
    """
    primary = chosen_primary(rules, measured)
    primary = replace(primary, by=by or primary.by)
    found = primary_cases(measured, primary, rules.paired, data, source)
    tasks = (primary.target, "rest", f"{primary.target} - rest")
    return [case for task in tasks for case in _select(found, task, primary.metric, primary.by)]


def heterogeneity(cube, rules=None, data="hub", source: str = "en") -> pd.DataFrame:
    """Do levels differ in the gain on the target, on the rest, in the difference? One row each.

    Columns: task, metric, n_levels, statistic (F), df1, df2, p_value, spread (the largest
    minus the smallest gain, points), depends_on (scale or metric by which the answer at alpha
    changes), unit, note. Descriptive where levels are single languages: these languages, not
    families.
    """
    rules, measured = declared(rules), study_moments(cube)
    primary = chosen_primary(rules, measured)
    found = primary_cases(measured, primary, rules.paired, data, source)
    names = {case.row.task for case in found}
    rest = "rest (common)" if "rest (common)" in names else "rest"
    lines = []
    for task in (primary.target, rest, f"{primary.target} - {rest}"):
        chosen = _select(found, task, primary.metric, primary.by)
        if len(chosen) > 1:
            line = levels_differ(chosen)
            others = sorted({case.row.metric for case in found if case.row.task == task})
            answers = [levels_differ(_exactly(found, task, m, primary.by)) for m in others]
            p = [one["p_value"] for one in answers] + [line["p_value"]]
            depends = len({value <= rules.alpha for value in p}) > 1
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
    """F test that all cases (levels of one row) have the same gain, with their joint covariance.

    The cluster part of the covariance is estimated in full. The run part has too few degrees of
    freedom for that, so it is modelled: a run moves all levels alike, which cancels in contrasts,
    and each a little by itself (run x level), with one variance. That is moderated as the primary
    is, by r = E - 1 contrasts at once: (S - 1) r degrees of freedom of the contrast's own runs and
    2 r of those pooled over conditions.

    A covariance that is itself estimated makes Q too large (Hotelling): on nu degrees of freedom
    F = Q / r (nu - r + 1) / nu follows F(r, nu - r + 1). A run part of known shape needs no such
    factor. With a the share of the clusters, the factor is 1 - a (r - 1) / nu, and 1 / df2 = a /
    (nu - r + 1) + (1 - a) / df_runs. (True null, 5%, 3 seeds, 5 or 10 levels, run x level SD 0 to
    6: rejected in 4.3 to 5.3% of 300 studies; with the whole factor for both parts .3 to 3.3%.)
    p is 1 where fewer clusters than levels leave no degree of freedom.
    """
    one = joint_estimate(found)
    r, s = len(found) - 1, one.n_seeds
    basis = np.linalg.svd(np.eye(r + 1) - 1 / (r + 1))[0][:, :r]
    clusters, own, cells, pooled = (
        basis.T @ part @ basis for part in (one.clusters, one.seeds, one.cells, one.pooled)
    )
    runs, df_runs = moderate(np.trace(own), max((s - 1) * r, 1), np.trace(pooled), PRIOR * r)
    parts = clusters, max(float(runs - np.trace(cells)) / r, 0.0) * np.eye(r)
    gains = basis.T @ one.gain
    inverse = np.linalg.pinv(sum(parts), hermitian=True)
    f = float(gains @ inverse @ gains) / r
    share = [np.trace(inverse @ part) / r for part in parts]
    nu, left = one.df_clusters.min(), max(one.df_clusters.min() - r + 1, 0.0)
    f *= max(1 - share[0] * (r - 1) / nu, 0.0)
    df2 = 0.0 if not left else 1 / (share[0] / left + share[1] / df_runs) if any(share) else np.inf
    return {
        "n_levels": r + 1,
        "statistic": f,
        "df1": r,
        "df2": df2,
        "p_value": float(stats.f.sf(f, r, df2)) if df2 > 0 else 1.0,
        "spread": 100 * float(np.ptp(one.gain)),
    }
