"""What a study's scores are, once: every statistic takes this object and nothing else.

``evidence_of`` contracts a cube to sums per cluster. What follows from them is computed when it is
first asked for and kept: moments, facts of the tasks, the languages, the contrasts, the one primary
comparison, its cases. The rules that the study declared travel along.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property

import numpy as np
import pandas as pd

from xtsupport import tables
from xtsupport.errors import UserError
from xtsupport.sides import Side, bare, short_name, side
from xtsupport.statistics.aggregates import LEVELS, Case, Facts, task_facts, trained_on
from xtsupport.statistics.clusters import PAIRS, ClusterSums, Moments, contracted, study_moments
from xtsupport.statistics.contrasts import cases, default_contrasts, sides, sides_of
from xtsupport.statistics.declared import By, Declared, Primary, declared
from xtsupport.statistics.variance import Arm, arm


@dataclass(frozen=True, eq=False)
class Evidence:
    """A contracted cube with the rules to judge it by; make it with ``evidence_of``.

    - parts: cluster sums of every task and metric; moments are enough for all but resampling
    - rules: what the study declared; data: whose tables of tasks and languages apply
    - exposed: the tasks that the encoder had been trained on
    """

    parts: tuple[ClusterSums | Moments, ...]
    rules: Declared
    data: str
    exposed: tuple[str, ...]
    _primary_cases: dict = field(default_factory=dict, init=False, repr=False)

    @property
    def sums(self) -> tuple[ClusterSums, ...]:
        """The cluster sums; UserError if the evidence was made from moments."""
        sums = tuple(one for one in self.parts if isinstance(one, ClusterSums))
        if len(sums) < len(self.parts):
            raise UserError("resampling needs a cube or its cluster sums, not moments alone")
        return sums

    @property
    def study(self) -> str:
        """Name of the study; empty if the cube gives none."""
        return getattr(self.parts[0], "study", "")

    @cached_property
    def moments(self) -> list[Moments]:
        """The moments of every task and metric."""
        return study_moments(self.parts)

    @cached_property
    def facts(self) -> dict[str, Facts]:
        """Kind, official metric and shared data of every task."""
        return task_facts(self.moments, self.data)

    @property
    def official(self) -> dict[str, str]:
        """Task -> its official metric, pairs of languages left out."""
        facts = self.facts.items()
        return {name: one.metric for name, one in facts if not name.endswith(PAIRS)}

    @cached_property
    def languages(self) -> pd.DataFrame:
        """The languages table, with rows from the cube itself for languages that it lacks."""
        known, present = tables.language_table(self.data), _languages(self.parts)
        strangers = present[~present["language"].isin(known["code"])]
        if strangers.empty:
            return known
        strangers = strangers.set_axis(["code", "family", "group"], axis=1)
        return pd.concat([known, strangers.assign(name=strangers["code"], script="")])

    @cached_property
    def levels(self) -> list[By]:
        """The levels, from ``LEVELS``, by which this cube can be compared."""
        return [by for by in LEVELS if by == "all" or all(by in m.languages for m in self.moments)]

    @cached_property
    def scores(self) -> pd.DataFrame:
        """``score_table`` of the cube: percentages per run, language and metric (condition,
        variant, seed, language, n_examples, score, task, metric).
        """
        return pd.concat([_scores(one) for one in self.sums], ignore_index=True)

    @cached_property
    def contrasts(self) -> list[tuple[Side, Side]]:
        """The declared contrasts, or those that fit the cube."""
        wanted = self.rules.contrasts or default_contrasts(sides(self.moments)) or None
        return sides_of(self.moments, "none", wanted)

    @cached_property
    def primary(self) -> Primary:
        """The declared primary comparison, or the one that answers the study's question best.

        Best is xquad, else another span target, else one that is no retrieval, else what there is;
        on it squad, else a condition that is neither a variant nor a control; by the coarsest of
        group, family and language that the cube has, under the target's official metric. UserError
        if no target has scores of both sides of a contrast in a language not trained on.
        """
        if self.rules.primary is not None:
            return self.rules.primary
        found = [
            (self._rank(pair, one), pair, one)
            for pair in self.contrasts
            for one in self.moments
            if one.metric == self.facts[one.task].metric and self._judges(pair, one)
        ]
        if not found:
            raise UserError("nothing to compare: no task has scores of both sides of a contrast in "
                            "a language that was not trained on")  # fmt: skip
        _, (treatment, baseline), one = min(found, key=lambda each: each[0])
        names = (short_name(treatment), short_name(baseline))
        return Primary(*names, one.task, one.metric, self.levels[0])

    def _rank(self, pair, one: Moments) -> tuple[bool, ...]:
        (condition, variant), _ = pair
        kind = self.facts[one.task].kind
        task = (one.task != "xquad", kind != "span", kind in ("retrieval", "unknown"))
        plain = (variant != "plain", "~" in condition, "{" in condition)
        return *task, bare(condition) != "squad", *plain

    def _judges(self, pair, one: Moments) -> bool:
        """Whether a task has scores of both sides in a language that neither trained on."""
        runs = one.runs[["condition", "variant"]].apply(tuple, axis=1)
        scored = [np.isfinite(one.values[(runs == each).to_numpy()]).any(0) for each in pair]
        away = ~one.languages["language"].isin(trained_on(pair)).to_numpy()
        both = not one.task.endswith(PAIRS) and bool((scored[0] & scored[1] & away).any())
        return both and self._arm(pair, one) is not None

    def _arm(self, pair: tuple[Side, Side], one: Moments) -> Arm | None:
        return arm(one, *pair, self.rules.paired, self.facts[one.task].kind == "retrieval")

    @cached_property
    def unpaired(self) -> list[tuple[str, tuple[Side, Side]]]:
        """(task, contrast) of what both sides have scores of, but not with a common seed."""
        return [
            (one.task, pair)
            for one in self.moments
            if one.metric == self.facts[one.task].metric and not one.task.endswith(PAIRS)
            for pair in self.contrasts
            if {*pair} <= {*sides([one])} and self._arm(pair, one) is None
        ]

    def cases(self, by: str, pairs: Sequence[tuple[Side, Side]] = ()) -> list[Case]:
        """Every row of some contrasts (none: of all) at a level. Not kept: they may be large."""
        paired, target = self.rules.paired, self.primary.target
        return cases(self.moments, self.facts, pairs or self.contrasts, by, paired, target)

    def primary_cases(self, by: str | None = None) -> list[Case]:
        """All rows of the primary contrast at a level (None: the declared one), kept.

        UserError if the cube has none on the target.
        """
        primary, by = self.primary, by or self.primary.by
        if by not in self._primary_cases:
            pair = (side(primary.treatment), side(primary.baseline))
            found = self.cases(by, [pair])
            if not select(found, primary.target, primary.metric, by):
                raise UserError(
                    f"primary comparison: the cube has no {primary.target} {primary.metric} for "
                    f"{primary.treatment} and {primary.baseline} in a language not trained on"
                )
            self._primary_cases[by] = found
        return self._primary_cases[by]

    def answer_cases(self, by: str | None = None) -> list[Case]:
        """The primary contrast's rows on the target, on both rests (by official metrics; only the
        targets scored by F1) and their differences, per level.
        """
        found, primary = self.primary_cases(by), self.primary
        rests = ("rest", "rest (f1)")
        tasks = (primary.target, *rests, *(f"{primary.target} - {rest}" for rest in rests))
        by = by or primary.by
        return [case for task in tasks for case in select(found, task, primary.metric, by)]

    def target_cases(self, by: str) -> list[Case]:
        """The primary contrast's rows on its target under its metric, at a level."""
        primary = self.primary
        return exactly(self.primary_cases(by), primary.target, primary.metric, by)


def evidence_of(cube, rules=None, data=None) -> Evidence:
    """The evidence of a cube: a frame, a path (read task by task), cluster sums or moments.

    rules: a study's settings or a declaration; data: whose tables apply (None: those that have all
    of the cube's languages, or `hub`). UserError for a cube that cannot be read or compared.
    """
    parts = tuple(contracted(cube))
    if not parts:
        raise UserError("the cube is empty; finish at least one run of every condition first")
    if data is None:
        codes = set(_languages(parts)["language"])
        fit = (each for each in ("hub", "world") if codes <= set(tables.languages(each)))
        data = next(fit, "hub")
    have = {one.task.removesuffix(PAIRS) for one in parts}
    known = tables.known_encoder(getattr(rules, "encoder", ""), data)
    exposed = tuple(task for task in known.exposed if task in have) if known else ()
    return Evidence(parts, declared(rules), data, exposed)


def against(evidence: Evidence, baseline: str | None) -> Evidence:
    """The evidence with one condition as the baseline of every other (None: as it is).

    A primary comparison declared with another baseline does not stand then. UserError for a name
    that the table does not have, or where none is given and nothing can be compared.
    """
    names = [short_name(one) for one in sides(evidence.moments)]
    if baseline is None:
        if evidence.rules.contrasts or default_contrasts(sides(evidence.moments)):
            return evidence
        wanted = ", ".join(names)
        raise UserError(f"no condition is called none; give --baseline, one of {wanted}")
    if baseline not in names:
        allowed = ", ".join(names)
        raise UserError(f"--baseline {baseline}: there is no such condition, only {allowed}")
    pairs = tuple(sides_of(evidence.moments, baseline, None))
    primary = evidence.rules.primary
    primary = primary if primary and primary.baseline == baseline else None
    return replace(evidence, rules=replace(evidence.rules, contrasts=pairs, primary=primary))


def select(found: Sequence[Case], task: str, metric: str, by: str) -> list[Case]:
    """The cases of a task at a level under a metric, or else under the official one."""
    return exactly(found, task, metric, by) or exactly(found, task, "official", by)


def exactly(found: Sequence[Case], task: str, metric: str, by: str) -> list[Case]:
    """The cases of a task at a level under a metric."""
    wanted = (task, metric, by)
    return [case for case in found if (case.task, case.metric, case.by) == wanted]


def _languages(parts: Sequence[ClusterSums | Moments]) -> pd.DataFrame:
    """Language, family and group (``unknown`` where a cube has none) of a cube, pairs left out."""
    columns = ["language", "family", "group"]
    single = [one.languages for one in parts if not one.task.endswith(PAIRS)]
    present = pd.concat(single or [one.languages for one in parts])
    return present.reindex(columns=columns, fill_value="unknown").drop_duplicates().astype(str)


def _scores(one: ClusterSums) -> pd.DataFrame:
    values = 100 * one.values()
    run, language = (index.ravel() for index in np.indices(values.shape))
    rows = one.runs[["condition", "variant", "seed"]].iloc[run].reset_index(drop=True)
    rows["language"] = one.languages["language"].to_numpy()[language]
    rows["n_examples"] = np.array([int(m.sum()) for m in one.sizes])[language]
    rows["score"] = values.ravel()
    return rows.dropna(subset="score").assign(task=one.task, metric=one.metric)
