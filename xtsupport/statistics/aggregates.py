"""Which scores make a row: languages into groups, tasks into aggregates, XQuAD against the rest.

Families are macro means of their languages, never pools of examples. Named aggregates:

- ``rest``: the mean over the other fine-tuned tasks, language by language, over the languages of
  the primary target, so that a difference between benchmarks is never one between languages;
- ``rest (common)``: only tasks that all of those languages have, for comparisons between families;
- ``rest (f1)``: only tasks whose official metric is an F1; ``rest (other data)``: without tasks
  that share data with either side's intermediate task; ``same-format``: only the primary's kind;
- ``xquad - rest`` and so on: difference in differences, the primary's gain minus the aggregate's;
- ``f1-native``, ``retrieval``, ``all``: the mean over tasks of each task's mean over its languages.

Retrieval has no target training, so it is in no other aggregate than its own and ``all``; pairs of
languages are in none. Languages that either side trained on are in no zero-shot mean; they get rows
of their own (by ``source``).
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import get_args

import numpy as np

from xtsupport.errors import UserError, unknown
from xtsupport.sides import SOURCE, Side, as_columns, bare, source_language
from xtsupport.statistics.clusters import PAIRS, Moments
from xtsupport.statistics.declared import By
from xtsupport.statistics.variance import Arm
from xtsupport.tables import Task, tasks

LEVELS: tuple[By, ...] = get_args(By)


@dataclass(frozen=True)
class Facts:
    """What the statistics know of a task: its kind, its official metric, the conditions
    whose intermediate task uses its data.
    """

    kind: str
    metric: str
    same_data: tuple[str, ...] = ()


@dataclass(frozen=True)
class Case:
    """One row of a comparison: what is averaged over, and per arm the (L,) weights of the score
    differences; same_data: whether the treatment uses training data of a task in it.
    """

    task: str
    by: str
    level: str
    metric: str
    languages: tuple[str, ...]
    arms: tuple[Arm, ...]
    weights: tuple[np.ndarray, ...]
    note: str = ""
    same_data: bool = False

    @property
    def labels(self) -> dict:
        """The columns that identify the row in a table."""
        about = {name: getattr(self, name) for name in ("task", "by", "level", "metric")}
        return as_columns(*self.arms[0].sides) | about


def task_facts(measured: Sequence[Moments], data="hub") -> dict[str, Facts]:
    """Facts of every task, from the tasks table; a task it lacks is taken by its metrics."""
    table, stranger = tasks(data), Task("", "", "unknown", "", metrics=("f1", "accuracy"))
    metrics: dict[str, list[str]] = {}
    conditions: set[str] = set()
    for one in measured:
        metrics.setdefault(one.task, []).append(one.metric)
        conditions |= {*one.runs["condition"]}
    facts = {}
    for name, have in metrics.items():
        known = table.get(name.removesuffix(PAIRS), stranger)
        wanted = [metric for metric in known.metrics if metric in have]
        shared = tuple(sorted(each for each in conditions if bare(each) in known.same_data))
        facts[name] = Facts(known.kind, (wanted or have)[0], shared)
    return facts


def rows(arms: Sequence[Arm], facts: dict[str, Facts], by: str, primary: str) -> list[Case]:
    """All rows of one contrast: every task and metric, then the aggregates, per level of ``by``."""
    if by not in LEVELS:
        raise UserError(unknown("level", by, LEVELS))
    zero_shot = [_languages(one, trained=False) for one in arms]
    make, found = partial(_case, arms, facts), []
    for j, one in enumerate(arms):
        task, metric = one.moments.task, one.moments.metric
        for level, members in _levels(one, zero_shot[j], by).items():
            found.append(make({j: _macro(one, members)}, task, by, level, metric, members))
        for code in _languages(one, trained=True):
            weights, note = {j: _macro(one, [code])}, "a language trained on: in no zero-shot mean"
            found.append(make(weights, task, "source", code, metric, [code], note))
    return found + _aggregates(arms, facts, by, zero_shot, primary, make)


def trained_on(pair: tuple[Side, Side]) -> set[str]:
    """Languages of phase 3 on either side: English, and that of a variant ``source=xx``."""
    return {SOURCE} | {source_language(variant) for _, variant in pair}


def _case(arms, facts, weights: dict[int, np.ndarray], task, by, level, metric, languages, note=""):
    """The case of some weights; weights: number of an arm -> (L,)."""
    used = sorted(weights)
    mine, counts = tuple(arms[j] for j in used), tuple(weights[j] for j in used)
    (treatment, _), _ = arms[0].sides
    shared = any(treatment in facts[one.moments.task].same_data for one in mine)
    return Case(task, by, level, metric, tuple(languages), mine, counts, note, shared)


def _languages(one: Arm, trained: bool) -> list[str]:
    """Languages of an arm that are trained on, or are not; a pair is if both its languages are."""
    names, known = one.moments.codes[one.present], trained_on(one.sides)
    return [name for name in names if (set(name.split("+")) <= known) == trained]


def _levels(one: Arm, members: Sequence[str], by: str) -> dict[str, list[str]]:
    """Level -> languages of one task, sorted by level."""
    if by == "all":
        return {"all": list(members)} if members else {}
    table = one.moments.languages
    if by not in table:
        raise UserError(f"the cube has no column {by!r}; add it, or compare by language or all")
    level_of = dict(zip(table["language"], table[by], strict=True))
    levels: dict[str, list[str]] = {}
    for name in members:
        levels.setdefault(str(level_of[name]), []).append(name)
    return dict(sorted(levels.items()))


def _macro(one: Arm, members: Sequence[str], share: float = 1.0) -> np.ndarray:
    place = one.moments.place
    weights = np.zeros(len(place))
    weights[[place[code] for code in members]] = share / len(members)
    return weights


def _aggregates(arms, facts, by, zero_shot, primary, make) -> list[Case]:
    official = {}
    for j, one in enumerate(arms):
        task = one.moments.task
        if one.moments.metric == facts[task].metric and zero_shot[j] and not task.endswith(PAIRS):
            official[task] = j
    trained = [task for task in official if facts[task].kind != "retrieval"]
    named = {
        "f1-native": [task for task in trained if facts[task].metric == "f1"],
        "retrieval": [task for task in official if facts[task].kind == "retrieval"],
        "all": list(official),
    }
    found = []
    for name, members in named.items():
        if members:
            chosen = [official[task] for task in members]
            found += _task_means(arms, name, chosen, by, zero_shot, make)
    others = [task for task in trained if task != primary]
    if primary not in official or not others:
        return found
    named = _rests(arms, facts, others, zero_shot, official, primary)
    for j, one in enumerate(arms):
        if one.moments.task == primary and zero_shot[j]:
            found += _against_rest(arms, facts, j, named, by, zero_shot, official, make)
    return found


def _rests(arms, facts, others, zero_shot, official, primary) -> dict[str, list[str]]:
    """Aggregate -> tasks, for all that are matched to the primary; narrower ones if they differ."""
    languages = set(zero_shot[official[primary]])
    conditions = {condition for condition, _ in arms[0].sides}
    narrower = {
        "rest (common)": [t for t in others if languages <= set(zero_shot[official[t]])],
        "rest (f1)": [t for t in others if facts[t].metric == "f1"],
        "rest (other data)": [t for t in others if not conditions & set(facts[t].same_data)],
    }
    named = {"rest": others} | {n: t for n, t in narrower.items() if t and len(t) < len(others)}
    same = [t for t in others if facts[t].kind == facts[primary].kind]
    return named | ({"same-format": same} if same else {})


def _task_means(arms, name, chosen, by, zero_shot, make) -> list[Case]:
    levels = [_levels(arms[j], zero_shot[j], by) for j in chosen]
    found = []
    for level in sorted(set().union(*levels)):
        have = [(j, here[level]) for j, here in zip(chosen, levels, strict=True) if level in here]
        languages = sorted(set().union(*(members for _, members in have)))
        weights = {j: _macro(arms[j], members, 1 / len(have)) for j, members in have}
        note = _mean_of(arms[j].moments.task for j, _ in have)
        found.append(make(weights, name, by, level, "official", languages, note))
    return found


def _against_rest(arms, facts, first, named, by, zero_shot, official, make) -> list[Case]:
    """The matched aggregates of the primary under one of its metrics, and its difference to them.

    Tasks of the primary's kind are taken under the same metric where they have it.
    """
    one = arms[first]
    task, metric = one.moments.task, one.moments.metric
    by_metric = {(arm.moments.task, arm.moments.metric): j for j, arm in enumerate(arms)}
    side = dict(official)
    for other in official:
        if facts[other].kind == facts[task].kind:
            side[other] = by_metric.get((other, metric), official[other])
    found = []
    for name, members in named.items():
        chosen = [side[other] for other in members]
        covered = set().union(*(zero_shot[j] for j in chosen))
        for level, languages in _levels(one, zero_shot[first], by).items():
            matched = [code for code in languages if code in covered]
            if not matched:
                continue
            weights = _language_first(arms, chosen, matched, zero_shot)
            note = _mean_of(arms[j].moments.task for j in weights)
            left = sorted(set(languages) - set(matched))
            note += f"; without {', '.join(left)}, which it lacks" if left else ""
            if metric == facts[task].metric:
                found.append(make(weights, name, by, level, "official", matched, note))
            contrast = {first: _macro(one, matched)} | {j: -w for j, w in weights.items()}
            found.append(make(contrast, f"{task} - {name}", by, level, metric, matched, note))
    return found


def _language_first(arms, chosen, languages, zero_shot) -> dict[int, np.ndarray]:
    """Every language counts once, as the mean over the tasks that have it."""
    weights = {j: np.zeros(len(arms[j].moments.languages)) for j in chosen}
    for code in languages:
        have = [j for j in chosen if code in zero_shot[j]]
        for j in have:
            weights[j][arms[j].moments.place[code]] = 1 / (len(have) * len(languages))
    return {j: weight for j, weight in weights.items() if weight.any()}


def _mean_of(tasks: Iterable[str]) -> str:
    return f"mean of {', '.join(tasks)}"
