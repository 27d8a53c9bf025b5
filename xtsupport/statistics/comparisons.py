"""Is a condition better than its baseline: gains with intervals, p-values and verdicts.

``compare`` is the whole path from a cube to the table: contract the cube once to moments, cut out
each contrast, average over languages and tasks, attach the two-way variance, adjust and judge. The
column ``unit`` says what was resampled and so which population a row speaks about (``variance``).
"""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pandas as pd

from xtsupport.cube.columns import validate_cube
from xtsupport.errors import UserError
from xtsupport.files import write_text
from xtsupport.report.contents import likely_primary
from xtsupport.report.print_tables import latex_table
from xtsupport.report.score_tables import compares
from xtsupport.report.sentences import sentence
from xtsupport.statistics.aggregates import LEVELS, task_facts
from xtsupport.statistics.clusters import contract, study_moments
from xtsupport.statistics.contrasts import cases, default_contrasts, sides_of
from xtsupport.statistics.declared import Declared, Primary, declared
from xtsupport.statistics.dependence import dependence
from xtsupport.statistics.inference import tabulate
from xtsupport.statistics.variance import UNITS
from xtsupport.statistics.verdicts import ADJUSTMENTS, FAMILY, judge
from xtsupport.tables import exposed

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

    - cube: a frame with the columns of a cube, or what ``study_moments`` made of one
    - by: group, family, language or all; unit: what is resampled, one of ``UNITS``
    - paired: the seeds of treatment and baseline belong together
    - contrasts: pairs (treatment, baseline) of ``condition`` or ``condition/variant``; without
      them every condition and variant is compared with ``baseline``
    - metrics: only these; primary: the target that aggregates are matched to
    - margin: of equivalence, in points; alpha: of tests and intervals
    - adjustment: holm, bonferroni, fdr_bh, fdr_by or none, per task, metric and ``by``; the
      interval of a row is the one that belongs to its verdict (``verdicts``)
    - n_resamples, seed: unused by the analytic primary
    - source: the language of phase 3; data: whose tasks table to use

    UserError for a bad argument or a cube that cannot be compared.
    """
    _check(unit, adjustment, margin, alpha)
    if isinstance(cube, pd.DataFrame):
        validate_cube(cube)
        cube = contract(cube)
    measured = [one for one in study_moments(cube) if metrics is None or one.metric in metrics]
    if not measured:
        raise UserError(f"metrics={list(metrics)}: the cube has none of them")
    pairs = sides_of(measured, baseline, contrasts)
    found = cases(measured, task_facts(measured, data), pairs, by, paired, primary, source)
    return judge(tabulate(found, unit, alpha), adjustment, margin, alpha)[COLUMNS]


def _check(unit, adjustment, margin, alpha) -> None:
    problems = []
    if unit not in UNITS:
        problems.append(f"unit={unit!r}: allowed are {'; '.join(UNITS)}")
    if adjustment not in ADJUSTMENTS:
        shown = ", ".join(ADJUSTMENTS)
        problems.append(f"adjustment={adjustment!r}: allowed are {shown}")
    if not margin > 0:
        problems.append(f"margin={margin}: must be a positive number of points")
    if not 0 < alpha < 0.5:
        problems.append(f"alpha={alpha}: must lie between 0 and 0.5")
    if problems:
        raise UserError(*problems)


def significance(cube, rules=None, data="hub", source: str = "en") -> pd.DataFrame:
    """Every comparison of a study at every level, judged by the rules that it declared.

    cube: a frame, a path, cluster sums or moments; rules: settings or a declaration. The levels of
    the primary comparison are a family of hypotheses of their own; every other family is the
    contrasts x levels of one task, metric and ``by``, and its notes say ``exploratory``. Rows of
    the primary target, and of its difference to others, note on what they depend; rows of tasks
    that the settings' encoder was trained on are noted as ``exposed``.
    """
    met = exposed(getattr(rules, "encoder", ""), data)
    rules, measured = declared(rules), study_moments(cube)
    _check(rules.unit, rules.adjustment, rules.margin, rules.alpha)
    pairs = sides_of(measured, "none", rules.contrasts or default_contrasts(measured) or None)
    facts = task_facts(measured, data)
    target = rules.primary.target if rules.primary else "xquad"
    tables = []
    for by in [by for by in LEVELS if by == "all" or _has_level(measured, by)]:
        found = cases(measured, facts, pairs, by, rules.paired, target, source)
        found = [case for case in found if case.row.by == by or by == LEVELS[0]]
        tables.append(tabulate(found, rules.unit, rules.alpha))
        tables[-1]["note"] += _dependence_notes(found, target, rules)
    table = pd.concat(tables, ignore_index=True)
    table["planned"] = is_primary(table, rules)
    primary = "primary comparison" if rules.in_advance else "exploratory; primary, declared late"
    standing = table["planned"].map({True: primary, False: "exploratory"})
    marks = ["; exposed" * (task.partition(" ")[0] in met) for task in table["task"]]
    table["note"] = (standing + "; " + table["note"] + marks).str.strip("; ")
    family = [*FAMILY, "planned"]
    return judge(table, rules.adjustment, rules.margin, rules.alpha, family)[COLUMNS]


def _dependence_notes(found, target, rules) -> list[str]:
    """``; scale-dependent`` and the like per case of the target, empty for the others."""
    mine = [i for i, case in enumerate(found) if case.row.task.startswith(target)]
    notes = [""] * len(found)
    if mine:
        labels = dependence([found[i] for i in mine], rules.unit, rules.alpha)
        for i, label in zip(mine, labels, strict=True):
            notes[i] = f"; {label}" if label else ""
    return notes


def _has_level(measured, by) -> bool:
    return all(by in one.languages for one in measured)


def is_primary(table: pd.DataFrame, rules: Declared) -> pd.Series:
    """Which rows of a table are the comparison that was declared before the first run."""
    if rules.primary is None:
        return pd.Series(False, index=table.index)
    wanted = rules.primary
    same = compares(table, wanted.treatment, wanted.baseline)
    same &= table["metric"].eq(wanted.metric) & table["by"].eq(wanted.by)
    return same & table["task"].isin([wanted.target, f"{wanted.target} - rest"])


def _shown(table, rules, data) -> Primary | None:
    """The declared primary comparison, or the one that the report shows; None if there is none."""
    try:
        return rules.primary or likely_primary(table, data)
    except UserError:
        return None


def write_significance(cube, out, rules=None, data="hub", source: str = "en") -> Path:
    """Write ``significance.csv``, ``sentences.txt`` (one per row) and ``primary.tex`` into ``out``.

    Returns the path of the table. cube, rules, data, source: as for ``significance``; without a
    declared primary comparison ``primary.tex`` holds the one that the report shows, as exploratory.
    """
    table = significance(cube, rules, data, source)
    rules, out = declared(rules), Path(out)
    rows = table.to_dict("records")
    words = [sentence(row, rules.margin, rules.alpha) for row in rows]
    write_text(out / "sentences.txt", "\n".join(words) + "\n")
    primary = table[is_primary(table, replace(rules, primary=_shown(table, rules, data)))]
    if len(primary):
        parts = [latex_table(part, rules.alpha) for _, part in primary.groupby("task", sort=False)]
        write_text(out / "primary.tex", "\n".join(parts))
    return write_text(out / "significance.csv", table.to_csv(index=False))
