"""What there is to do in a study: its runs, the nodes that do them, and how notebooks find both."""

import hashlib
import json
from collections.abc import Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

from xtsupport import folders, tables
from xtsupport.errors import UserError, did_you_mean
from xtsupport.study import conditions, cost, narrowing, runs
from xtsupport.study.inputs import Inputs, Published
from xtsupport.study.parameters import as_list, as_settings
from xtsupport.study.params.loading import load_settings
from xtsupport.study.params.settings import Settings
from xtsupport.study.planner import Planner
from xtsupport.study.reads import texts
from xtsupport.study.runs import NOTEBOOKS, PHASES, Run


@dataclass(frozen=True, eq=False)
class Node:
    """One notebook execution: the runs it does, its parameters, and the nodes it waits for."""

    name: str
    notebook: str
    runs: tuple[Run, ...]
    parameters: dict
    upstream: tuple[str, ...] = ()
    outputs: tuple[str, ...] = ()  # files or folders of the study that it writes beside its runs
    extras: tuple[str, ...] = ()  # such that not every study has


@dataclass(frozen=True)
class Plan:
    """All runs (upstream first) and all nodes of a study."""

    runs: tuple[Run, ...]
    nodes: tuple[Node, ...]


@dataclass(frozen=True)
class Study:
    """A study as notebooks see it."""

    settings: Settings
    plan: Plan
    folder: Path
    params: str = ""  # the file, as it was named
    whole: Settings | None = None  # of a narrowed study: the settings of all of it

    @property
    def data(self) -> str:
        """What ``load(data=)`` and the tables take for this study's data."""
        return self.settings.data_source

    @property
    def shipped(self) -> bool:
        """Whether this is the study that comes with the package."""
        return self.folder.is_relative_to(folders.shipped())

    def place(self, into: str) -> Path:
        """Where a notebook leaves its results: the study's folder, or one in scratch; those of the
        package's study are never among one's own, nor those with other settings."""
        name, chosen = self.settings.study + "-of-the-package" * self.shipped, self.settings.chosen
        name += f"-{runs.digest(chosen)[:6]}" * bool(chosen)
        return self.folder if into == "study" else folders.scratch() / name

    @cached_property
    def seconds(self) -> dict[str, float]:
        """Node -> the seconds that it should take on the device at hand."""
        return cost.node_seconds(self.settings, self.plan.nodes)

    def spoken(self, target: str) -> list[str]:
        """The languages that a target is evaluated in."""
        return self.settings.spoken(tables.task(target, self.data))

    def runs(
        self,
        phase: str,
        condition: str | None = None,
        seeds: Iterable[int] = (),
        targets: Iterable[str] = (),
        into: str = "study",
        again: bool = False,
    ) -> list[Run]:
        """The runs of a phase; empty ``seeds`` or ``targets`` mean all of them.

        seeds, targets: a list, one value, or a text that contains either (``"[0, 1]"``).

        into: ``study``, or ``scratch`` (the runs of a notebook, which may start from the package's
        checkpoints of phase 2). again: make separate runs, even if the study or the package already
        has the same ones.
        Raises UserError for a phase, condition, seed or target that the study does not have.
        """
        seeds, targets = as_list(seeds), as_list(targets)
        self._check(phase, condition, seeds, targets, into)
        wanted = [
            run
            for run in self.plan.runs
            if run.phase == phase
            and condition in (None, run.condition)
            and (not seeds or run.seed in seeds or phase == "pretraining" or alone(run))
            and (not targets or set(targets) & set(run.settings.get("targets", targets)))
        ]
        if into == "scratch":
            wanted = [runs.interactive(run) for run in wanted]
        return [replace(run, again=True) for run in wanted] if again else wanted

    def _check(self, phase, condition, seeds, targets, into) -> None:
        settings = self.settings
        known = [each for each in targets if each in settings.targets]
        have = settings.seeds_of(condition, *known) if condition else settings.every_seed
        asked: list[tuple[str, Any, Sequence, str]] = [
            ("phase", phase, PHASES, ""),
            ("into", into, ("study", "scratch"), ""),
        ]
        named = {*tables.tasks(self.data), *conditions.BUILT_IN}  # no typo is to be added
        if condition is not None:
            key = "conditions" if conditions.stem(str(condition)) in named else ""
            asked.append(("condition", condition, settings.conditions, key))
        mine = [condition, *known[: len(known) == 1]] if isinstance(settings.seeds, dict) else []
        key = ".".join(filter(None, ["seeds", *mine]))
        asked += [("seed", each, have, key) for each in seeds]
        asked += [("target", t, settings.targets, "targets" if t in named else "") for t in targets]
        wrong = []
        for what, value, allowed, key in asked:
            if value not in allowed:
                listed, near = ", ".join(map(str, allowed)), did_you_mean(value, allowed)
                new = [v for _, v, have, k in asked if k == key and v not in have]
                given = [each for each in settings.chosen if not each.startswith(f"{key}=")]
                given.append(f"{key}=[{', '.join(map(str, [*allowed, *new]))}]")
                texts = json.dumps(given, ensure_ascii=False)
                add = (
                    f"; to add {'it' if len(new) == 1 else 'them'}, set settings = {texts}"
                    * bool(key)
                )
                wrong.append(f"{what} = {value!r}: not in this study{near}; allowed: {listed}{add}")
        if wrong:
            raise UserError(*wrong)
        if phase == "intermediate" and condition and not conditions.parse(condition).has_phase2:
            raise UserError(
                f"condition = {condition!r}: has no phase 2, its encoder goes to phase 3 as it is; "
                "open notebook 04_target_transfer with this condition, or choose another: "
                f"{', '.join(sorted({run.condition for run in self.runs('intermediate')}))}"
            )


def open_study(params: str | Path, overrides=(), only=()) -> Study:
    """Load a params file and plan it.

    overrides: as ``--set`` takes them, a list of ``key=value`` or one of them; or a mapping.
    only: as ``--only`` takes it (``narrowing``), such as ``conditions=none,squad``.
    """
    return study_of(load_settings(params, as_settings(overrides)), str(params), as_settings(only))


def study_of(settings: Settings, params: str, only=(), inputs=Inputs) -> Study:
    """The study of settings, or the part of it that ``only`` names, planned.

    Reads only the sizes and fingerprints of the data (`inputs`). Raises UserError when training or
    evaluation data are missing, one line for each.
    """
    part = narrowing.part_of(settings, only) if only else settings
    read = texts(settings) if inputs is Inputs else ()
    made = Planner(settings, part, read, inputs).all_runs()
    added = {"only": list(only)} if only else {}
    work = tuple(replace(n, parameters=n.parameters | added) for n in nodes(part, made))
    folder, whole = folders.outputs() / settings.study, settings if only else None
    return Study(part, Plan(tuple(made), work), folder, params, whole)


def all_of(study: Study) -> Study:
    """The whole study of one that was narrowed by ``only``; the part itself where the whole cannot
    be planned, as its data are not here."""
    if study.whole:
        with suppress(UserError):
            return study_of(study.whole, study.params)
    return study


def left_out(study: Study) -> list[str]:
    """What a narrowed study lacks of the whole one, and of its file, for people."""
    gone = study.settings._left_out
    lines = [f"left out, because of --set: {', '.join(gone)}"] if gone else []
    lines += narrowing.unspoken(study.whole or study.settings)
    lines += narrowing.overruled(study.settings)
    if not any("report.html" in node.outputs for node in study.plan.nodes):
        lines.append(
            "no report: it needs two conditions to compare (such as none and another), in a "
            "language that is not trained on"
        )
    if study.whole is None:
        return lines
    before, now = study.whole.analysis, study.settings.analysis
    lines += [
        f"left out: contrast {pair[0]} against {pair[1]}"
        for pair in before.contrasts
        if pair not in now.contrasts
    ]
    if before.primary and not now.primary:
        lines.append("left out: the primary comparison, so every result is exploratory")
    every = len(Planner(study.whole, inputs=Published).all_runs())
    return [*lines, f"{every - len(study.plan.runs)} of the study's {every} runs are left out"]


def alone(run: Run) -> bool:
    """Retrieval without phase 2 is done once, whatever the seeds."""
    return run.phase == "retrieval" and not conditions.parse(run.condition).has_phase2


def nodes(settings: Settings, made: list[Run]) -> list[Node]:
    """Notebook executions in an order that respects what they wait for."""
    work = [node for phase in PHASES for node in phase_nodes(settings, phase, made)]
    owners = {run.name: node.name for node in work for run in node.runs}
    above = {n.name: [owners[u.name] for run in n.runs for u in run.upstream] for n in work}
    work = [replace(node, upstream=tuple(dict.fromkeys(above[node.name]))) for node in work]
    data = {key: mark for run in made for key, mark in run.data.items()}
    first = Node("data", NOTEBOOKS["data"], (look(settings, "data", (), {}, data),), {})
    return [first, *work, *analysis_nodes(settings, made, work)]


def phase_nodes(settings: Settings, phase: str, made: list[Run]) -> list[Node]:
    """The nodes of a phase: one per condition, or one per run when the study splits them.

    Their parameters select their runs in the phase's notebook.
    """
    groups: dict[str, list[Run]] = {}
    for run in (each for each in made if each.phase == phase):
        split = settings.nodes.split == "run" and phase != "pretraining"
        parts = (phase, run.condition, *((run.training_task, f"seed{run.seed}") if split else ()))
        groups.setdefault("-".join(filter(None, parts)), []).append(run)
    found = []
    for name, group in groups.items():
        select: dict[str, Any] = {}
        if phase != "pretraining":
            seeds = sorted({run.seed for run in group})
            select = {"condition": group[0].condition, "seeds": seeds}
        if targets := dict.fromkeys(
            each for run in group for each in run.settings.get("targets", ())
        ):
            select["targets"] = list(targets)
        found.append(Node(name, NOTEBOOKS[phase], tuple(group), select))
    return found


def analysis_nodes(settings: Settings, made: list[Run], work: list[Node]) -> list[Node]:
    """Results of all runs that have scores, then significance if anything can be compared."""
    scored = tuple(run for run in made if run.phase in ("target", "retrieval"))
    spoken = sorted(tables.languages(settings.data_source).items())  # the cube has families
    mark = hashlib.sha256(repr(spoken).encode()).hexdigest()
    cube = look(settings, "results", scored, {}, {"languages": mark})
    owners = tuple(node.name for node in work if set(node.runs) & set(scored))
    results = Node("results", NOTEBOOKS["results"], (cube,), {}, owners, ("cube",))
    if not comparable(settings):
        return [results]
    name, left = "significance", ("significance.csv", "report.html")
    extras = ("figures", "tables", "claims.csv", "sentences.txt", "answer.txt")
    own = (look(settings, name, (cube,), settings.analysis.model_dump(), {}),)
    return [results, Node(name, NOTEBOOKS[name], own, {}, ("results",), left, extras)]


def comparable(settings: Settings) -> bool:
    """Whether a study has a contrast, and a language to draw it in that is not trained on."""
    have, spoken = settings.conditions, settings.every_language(tables.tasks(settings.data_source))
    stems = (conditions.stem(name) for name in have if {"@", "+"} & {*name})
    declared = settings.analysis.contrasts or settings.variants
    usual = ("none" in have and len(have) > 1) or {*stems} & {*have}
    return bool((declared or usual) and spoken - {"en"})


def look(settings: Settings, name: str, upstream: tuple[Run, ...], own: dict, data: dict) -> Run:
    """A run without training: its folder is its node's."""
    what = (settings.study, "analysis", "", 0, f"nodes/{name}", own, data)
    return Run(*what, upstream=upstream, training_task=name)
