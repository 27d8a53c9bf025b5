"""Intended versus found: did the families of the generated world turn out as they were built?

families.csv says what each family was meant to gain from `squad` on `xquad`, compared with English.
Each of these statements is a contrast of gains with an interval of its own (at alpha, unadjusted):
``alike``: the family's gain less half of the English one; ``little``: a quarter of the English gain
less the family's; ``less``: the gain itself, and the mean gain of the families that should be alike
less the family's. A statement is borne out where its interval lies above 0, refuted where it lies
below; else it is open.
"""

from collections.abc import Mapping
from dataclasses import replace
from functools import partial

import numpy as np
import pandas as pd

from xtsupport import tables
from xtsupport.report.comparison_rows import nearest_first
from xtsupport.report.contents import Contents
from xtsupport.report.numbers import with_interval
from xtsupport.sides import SOURCE, bare
from xtsupport.statistics.aggregates import Case
from xtsupport.statistics.comparisons import compares
from xtsupport.statistics.declared import few_seeds
from xtsupport.statistics.evidence import Evidence, exactly
from xtsupport.statistics.inference import inference

HOME = "English"  # whose gain is the measure
LIKE = "Kindric"  # from which every other family differs in what its row says
BUILT_FOR = ("squad", "none", "xquad")
GAIN = ["gain", "ci_low", "ci_high"]
BESIDE = ["beside", "beside_low", "beside_high"]


def intended_table(found: Contents) -> pd.DataFrame:
    """``intended_versus_found`` for reading; no rows where the study is not about these families.

    Columns: family, differs in, intended, baseline (points), gain with its interval and verdict in
    the comparison, in line, and the gain beside Kindric's: what the factor does to it.
    """
    rows = intended_versus_found(found)
    if rows.empty:
        return rows
    apart = with_interval(rows[BESIDE].set_axis(GAIN, axis=1))
    effect = rows["beside_low"].gt(0).map({True: "higher", False: ""})
    effect = effect.mask(rows["beside_high"] < 0, "lower").replace("", "no effect shown")
    names = {"differs": "differs in", "baseline_score": "baseline", "in_line": "in line"}
    shown = rows.rename(columns=names).assign(gain=with_interval(rows) + ", " + rows["verdict"])
    shown[f"beside {LIKE}"] = (apart + ", " + effect).where(rows["beside"].notna(), "")
    return shown[["family", "differs in", "intended", "baseline", "gain", "in line",
                  f"beside {LIKE}"]]  # fmt: skip


def intended_versus_found(found: Contents) -> pd.DataFrame:
    """English, then one row per family, in points: what families.csv has of it; baseline_score,
    gain, ci_low, ci_high and verdict of the comparison; in_line (yes, no, open or too few); beside,
    beside_low, beside_high (the gain less that of Kindric, interval at alpha).

    No rows unless the primary comparison is the one that the families were built for.
    """
    primary, built = found.primary, tables.family_table(found.evidence.data)
    cases = family_cases(found.evidence)
    built = built[built["family"].isin(cases)].rename(columns={"family": "level"})
    built = nearest_first(built, found.languages).rename(columns={"level": "family"})
    declared = (bare(primary.treatment), bare(primary.baseline), primary.target)
    if declared != BUILT_FOR or HOME not in cases or built.empty:
        return built.iloc[:0]
    intended = dict(zip(built["family"], built["intended"], strict=True))
    home = {"family": HOME, "differs": "the language of training", "intended": "the measure"}
    every = pd.concat([pd.DataFrame([home]), built], ignore_index=True)
    told = [statements(name, cases, intended) for name in every["family"]]
    beside = [
        {name: 1.0, LIKE: -1.0} if name not in (HOME, LIKE) and LIKE in cases else {}
        for name in every["family"]
    ]
    every["in_line"] = [judge(measured(cases, row, found)) if row else "" for row in told]
    every[BESIDE] = measured(cases, beside, found).to_numpy()
    every = every.merge(seen(found), on="family")
    scarce = every.pop("n_seeds").map(partial(few_seeds, found.rules.unit))  # no verdict: no claim
    every.loc[scarce & every["in_line"].ne(""), "in_line"] = "too few"
    every.loc[scarce, BESIDE] = np.nan
    return every


def family_cases(evidence: Evidence) -> dict[str, Case]:
    """Family -> the case of its gain on the target; English among them."""
    primary = evidence.primary
    every = evidence.primary_cases("group")
    levels = exactly(every, primary.target, primary.metric, "group")
    source = exactly(every, primary.target, primary.metric, "source")
    home = [case for case in source if case.level == SOURCE]
    return ({HOME: home[0]} if home else {}) | {case.level: case for case in levels}


def statements(name: str, cases: Mapping[str, Case], intended: Mapping) -> list[dict]:
    """What was intended of a family, as sums of gains that should be above 0: {family: factor}."""
    alike = [each for each, what in intended.items() if what == "alike" and each in cases]
    return {
        "alike": [{name: 1.0, HOME: -0.5}],
        "little": [{HOME: 0.25, name: -1.0}],
        "less": [{name: 1.0}, {name: -1.0} | dict.fromkeys(alike, 1 / max(1, len(alike)))],
    }.get(intended.get(name, ""), [])


def measured(cases: Mapping[str, Case], sums: list[dict], found: Contents) -> pd.DataFrame:
    """Gain, ci_low and ci_high (points) of sums of families' gains, a row each; NaN of nothing."""
    made = {}
    for number, each in enumerate(sums):
        if each:
            one = cases[next(iter(each))]
            weights = sum(factor * cases[name].weights[0] for name, factor in each.items())
            # by "sum": of no table, so that it lends to no other
            made[number] = replace(one, by="sum", level=str(each), weights=(weights,))
    if not made:
        return pd.DataFrame(np.nan, range(len(sums)), GAIN)
    numbers = inference(list(made.values()), found.rules.unit, found.rules.alpha)[GAIN]
    return numbers.set_axis(list(made)).reindex(range(len(sums)))


def judge(numbers: pd.DataFrame) -> str:
    """Whether all statements hold (yes), one is refuted (no), or neither (open)."""
    if (numbers["ci_high"] < 0).any():
        return "no"
    return "yes" if (numbers["ci_low"] > 0).all() else "open"


def seen(found: Contents) -> pd.DataFrame:
    """The comparison's rows of the primary contrast on the target by family, and of English."""
    table, primary = found.comparison, found.primary
    mine = compares(table, primary.treatment, primary.baseline) & table["task"].eq(primary.target)
    mine &= table["metric"].eq(primary.metric) & table["by"].isin(["group", "source"])
    rows = table[mine].assign(family=table["level"].replace(SOURCE, HOME))
    return rows.drop_duplicates("family")[["family", "baseline_score", *GAIN, "verdict", "n_seeds"]]
