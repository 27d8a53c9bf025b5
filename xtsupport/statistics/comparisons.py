"""Is a condition better than its baseline: gains with intervals, p-values and verdicts.

``compare`` is the whole path from a cube to the table: contract the cube once to moments, cut out
each contrast, average over languages and tasks, attach the two-way variance, adjust and judge. The
column ``unit`` says what was resampled and so which population a row speaks about (``variance``).
"""

from collections.abc import Sequence

import numpy as np
import pandas as pd

from xtsupport.errors import UserError, unknown
from xtsupport.sides import as_columns, side
from xtsupport.statistics.aggregates import Case, task_facts
from xtsupport.statistics.clusters import study_moments
from xtsupport.statistics.contrasts import cases, sides_of
from xtsupport.statistics.declared import UNITS, Declared, Primary
from xtsupport.statistics.evidence import Evidence
from xtsupport.statistics.inference import inference
from xtsupport.statistics.scales import FACTOR
from xtsupport.statistics.verdicts import ADJUSTMENTS, FAMILY, judge

COLUMNS = [
    "treatment", "baseline", "variant", "task", "by", "level", "metric",
    "n_languages", "n_seeds", "n_clusters", "n_examples", "baseline_score", "gain", "se", "df",
    "ci_low", "ci_high", "p_value", "p_adjusted", "adjustment", "mde", "verdict", "unit", "note",
]  # fmt: skip


def compare(
    cube,
    baseline: str = "none",
    by: str | Sequence[str] = "group",
    unit: str = Declared.unit,
    paired: bool = True,
    n_resamples: int = 10_000,
    seed: int = 0,
    *,
    contrasts: Sequence | None = None,
    metrics: Sequence[str] | None = None,
    primary: str = Primary.target,
    margin: float = Declared.margin,
    alpha: float = Declared.alpha,
    adjustment: str = Declared.adjustment,
    data="hub",
) -> pd.DataFrame:
    """Gains of every condition over its baseline, in points, with the columns of ``COLUMNS``.

    - cube: a frame with the columns of a cube, the path of one, or ``Evidence``
    - by: group, family, language or all, or several; unit: what is resampled, one of ``UNITS``
    - paired: the seeds of treatment and baseline belong together
    - contrasts: pairs (treatment, baseline) of ``condition`` or ``condition/variant``; without
      them every condition and variant is compared with ``baseline``
    - metrics: only these; primary: the target that aggregates are matched to
    - margin: of equivalence, in points; alpha: of tests and intervals
    - adjustment: holm, bonferroni, fdr_bh, fdr_by or none, per task, metric and ``by``; the
      interval of a row is the one that belongs to its verdict (``verdicts``)
    - n_resamples, seed: unused by the analytic primary
    - data: whose tasks table to use

    UserError for a bad argument or a cube that cannot be compared.
    """
    _check(unit, adjustment, margin, alpha)
    every = cube.moments if isinstance(cube, Evidence) else study_moments(cube)
    measured = [one for one in every if metrics is None or one.metric in metrics]
    if not measured:
        raise UserError(f"metrics={list(metrics or ())}: the cube has none of them")
    pairs = sides_of(measured, baseline, contrasts)
    facts, levels = task_facts(measured, data), [by] if isinstance(by, str) else by
    parts = [cases(measured, facts, pairs, each, paired, primary) for each in levels]
    found = [case for part in parts for case in part]
    return judge(inference(found, unit, alpha), adjustment, margin, alpha)[COLUMNS]


def _check(unit, adjustment, margin, alpha) -> None:
    problems = []
    if unit not in UNITS:
        problems.append(unknown("unit", unit, UNITS))
    if adjustment not in ADJUSTMENTS:
        problems.append(unknown("adjustment", adjustment, ADJUSTMENTS))
    if not margin > 0:
        problems.append(f"margin={margin}: must be a positive number of points")
    if not 0 < alpha < 0.5:
        problems.append(f"alpha={alpha}: must lie between 0 and 0.5")
    if problems:
        raise UserError(*problems)


def significance(evidence: Evidence) -> pd.DataFrame:
    """Every comparison of a study at every level, judged by the rules that it declared.

    The levels of the primary comparison are two families of hypotheses, one of the gain on the
    target and one of its difference to the rest, each at alpha; every other family is the contrasts
    x levels of one task, metric and ``by``, and its notes say ``exploratory``.
    Rows of the primary target, and of its difference to others, note on what they depend; rows of
    tasks that the encoder was trained on are noted as ``exposed``.
    """
    rules = evidence.rules
    _check(rules.unit, rules.adjustment, rules.margin, rules.alpha)
    found = [  # of all levels at once: what they share is computed once
        case
        for by in evidence.levels
        for case in evidence.cases(by)
        if case.by == by or by == evidence.levels[0]
    ]
    table = inference(found, rules.unit, rules.alpha)
    target = evidence.primary.target
    mine = [i for i, case in enumerate(found) if case.task.startswith(target)]
    if mine:
        labels = dependence([found[i] for i in mine], rules.unit, rules.alpha, table.iloc[mine])
        table.loc[mine, "note"] += [f"; {label}" if label else "" for label in labels]
    table["planned"] = is_primary(table, rules.primary)
    in_time = rules.in_advance & (table["task"].eq(target) | ("targets" not in rules.late))
    standing = np.select(
        [~table["planned"], in_time],
        ["exploratory", "primary comparison"],
        "exploratory; primary, declared late",
    )
    met = evidence.exposed
    marks = ["; exposed" * (task.partition(" ")[0] in met) for task in table["task"]]
    table["note"] = (standing + "; " + table["note"] + marks).str.strip("; ")
    family = [*FAMILY, "planned"]
    return judge(table, rules.adjustment, rules.margin, rules.alpha, family)[COLUMNS]


def dependence(found: Sequence[Case], unit: str, alpha: float, table: pd.DataFrame) -> list[str]:
    """Per case ``scale-dependent``, ``metric-dependent``, both, or an empty string.

    F1 points differ in headroom, and XQuAD's whitespace F1 is nearly exact match in Chinese and
    Thai, so each row is also judged on the other scales and under its target's other metrics: those
    that ``found`` has for the same contrast, task and level. table: their rows in points.
    """
    others = inference(found, unit, alpha, [scale for scale in FACTOR if scale != "points"])
    points = conclusions(table)
    by_scale = [points, *conclusions(others).reshape(-1, len(found))]
    by_row: dict[tuple, set] = {}
    rows = [(*case.labels.values(),)[:-1] for case in found]  # every label but the metric
    for row, sign in zip(rows, points, strict=True):
        by_row.setdefault(row, set()).add(sign)
    labels = []
    for row, signs in zip(rows, zip(*by_scale, strict=True), strict=True):
        flips = {"scale-dependent": set(signs), "metric-dependent": by_row[row]}
        labels.append(", ".join(name for name, values in flips.items() if len(values) > 1))
    return labels


def conclusions(table: pd.DataFrame) -> np.ndarray:
    """1, -1 or 0 per row (rows,): on which side of 0 its interval lies, or that 0 is inside."""
    return np.where(table["ci_low"] > 0, 1, np.where(table["ci_high"] < 0, -1, 0))


def is_primary(table: pd.DataFrame, primary: Primary | None) -> pd.Series:
    """Which rows of a table are those of the primary comparison; none if there is no such."""
    if primary is None:
        return pd.Series(False, index=table.index)
    same = compares(table, primary.treatment, primary.baseline)
    same &= table["metric"].eq(primary.metric) & table["by"].eq(primary.by)
    return same & table["task"].isin([primary.target, f"{primary.target} - rest"])


def compares(table: pd.DataFrame, treatment: str, baseline: str) -> pd.Series:
    """Which rows of a comparison (treatment, baseline, variant, ...) hold one side against another,
    both named as in params files."""
    named = as_columns(side(treatment), side(baseline))
    return (table[list(named)] == pd.Series(named)).all(axis=1)
