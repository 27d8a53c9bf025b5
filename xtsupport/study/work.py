"""From settings to runs: what each depends on, and everything that can change its numbers.

A run's ``settings`` hold everything that can change its numbers, ``data`` the fingerprints of what
it reads; ``options`` hold what cannot. All are plain JSON.

settings by phase (all of them also ``precision``)
  pretraining   task, languages, and all of ``pretraining:``
  intermediate  encoder, tasks {name: rows}, steps, and ``intermediate:`` after per-task overrides
  target        encoder, rows, steps (all of them), extra_steps (those of them that match phase 2 of
                a ``none~X``), ``target:`` after per-task overrides, targets {name: [languages]},
                max_clusters, max_answer_length
  retrieval     encoder, targets {name: [languages]}, layer, pooling, max_length
  where asked   train_splits {task: split} (intermediate, target); eval_splits {target: split} and
                pairs {target: [[language, language_2], ...]} (target)
options: data (what ``load(data=)`` takes), threads, checkpoint_minutes, batch_tokens
"""

import math
from pathlib import Path

from xtsupport.errors import UserError
from xtsupport.study import conditions, folders
from xtsupport.study.atomic import checksum
from xtsupport.study.rules import data_source
from xtsupport.study.runs import Run
from xtsupport.study.settings import Settings


class Planner:
    """Builds the runs of one study."""

    def __init__(self, settings: Settings):
        from xtsupport.data import tables

        self.settings = settings
        self.source = data_source(settings.data)
        self.tables = tables.tasks(self.source)
        self.languages = tables.languages(self.source)
        self.problems: list[str] = []

    def all_runs(self) -> list[Run]:
        """Every run, upstream first."""
        settings = self.settings
        start = [self.pretraining()] if settings.encoder == "pretrain" else []
        parsed = [conditions.parse(name) for name in settings.conditions]
        phase2 = {
            (each.name, seed): self.intermediate(each, seed, start)
            for each in parsed
            if each.has_phase2
            for seed in settings.seeds
        }
        phase3 = [
            self.target(task, each, seed, self.above(each, seed, phase2, start))
            for each in parsed
            for task in self.training_tasks()
            for seed in settings.seeds
        ]
        retrieval = [
            self.retrieval(each, seed, self.above(each, seed, phase2, start))
            for each in parsed
            if self.of_kind("retrieval") and not each.matched
            for seed in (settings.seeds if each.has_phase2 else settings.seeds[:1])
        ]
        if self.problems:
            raise UserError(*dict.fromkeys(self.problems))
        return [*start, *phase2.values(), *phase3, *retrieval]

    def above(self, condition, seed, phase2, start) -> list[Run]:
        """What phase 3 starts from: the phase-2 run of this seed, else the pretrained encoder."""
        return [phase2[condition.name, seed]] if condition.has_phase2 else start

    def training_tasks(self) -> list[str]:
        """The tasks that phase 3 trains on, in the order of the targets."""
        return list(
            dict.fromkeys(
                self.tables[name].training_task
                for name in self.settings.targets
                if self.tables[name].kind != "retrieval"
            )
        )

    def of_kind(self, kind: str) -> list[str]:
        """The targets of a kind."""
        return [name for name in self.settings.targets if self.tables[name].kind == kind]

    def pretraining(self) -> Run:
        """Phase 1: one masked language model over the raw text of every language."""
        task = next((each for each in self.tables.values() if each.kind == "masked"), None)
        if task is None:
            raise UserError(
                f"data = {self.settings.data!r}: has no raw text to pretrain on (no task of kind "
                "masked); name a ready encoder instead of `encoder: pretrain`"
            )
        own = self.settings.pretraining
        return self.run(
            "pretraining",
            "",
            own.seed,
            f"pretraining/seed{own.seed}",
            {"task": task.name, "languages": list(task.languages), **own.model_dump()},
            {
                f"{task.name}/{code}": self.mark(task.name, code, task.train_split)
                for code in task.languages
            },
            [],
        )

    def intermediate(self, condition, seed: int, start: list[Run]) -> Run:
        """Phase 2: English training on one task, or on all single tasks of the study."""
        names = (
            conditions.single_tasks(self.settings.conditions)
            if condition.base == "all"
            else [condition.base]
        )
        own = self.phase2_settings(condition.base)
        steps, rows = self.phase2_steps(condition.base), self.phase2_rows(names)
        splits = own_splits(self.settings.intermediate_tasks, names)
        return self.run(
            "intermediate",
            condition.name,
            seed,
            f"intermediate/{condition.name}/seed{seed}",
            {
                "encoder": self.settings.encoder,
                "tasks": rows,
                "steps": steps,
                **own,
                **asked(train_splits=splits),
            },
            self.training_data(names, splits) | self.encoder_data(),
            start,
        )

    def phase2_settings(self, base: str) -> dict:
        """The settings of phase 2 on a task or ``all``, after its overrides."""
        own = merged(self.settings.intermediate, self.settings.intermediate_tasks.get(base))
        return own if base == "all" else {key: own[key] for key in own if key != "mixing_cap"}

    def phase2_steps(self, base: str) -> int:
        """Optimizer steps of phase 2 on a task or ``all``."""
        own = self.phase2_settings(base)
        names = conditions.single_tasks(self.settings.conditions) if base == "all" else [base]
        rows = self.phase2_rows(names).values()
        return steps(sum(min(each, own.get("mixing_cap", each)) for each in rows), own)

    def phase2_rows(self, names: list[str]) -> dict[str, int]:
        """How many rows of each task phase 2 trains on."""
        splits = own_splits(self.settings.intermediate_tasks, names)
        return {
            name: self.rows(name, self.phase2_settings(name)["max_rows"], splits.get(name))
            for name in names
        }

    def target(self, task: str, condition, seed: int, above: list[Run]) -> Run:
        """Phase 3: English training on a task, then every target it serves, in all languages."""
        own = merged(self.settings.target, self.settings.tasks.get(task))
        splits = own_splits(self.settings.tasks, [task])
        rows = self.rows(task, own["max_rows"], splits.get(task))
        extra = self.phase2_steps(condition.matched) if condition.matched else 0
        served = {
            name: self.spoken(name)
            for name in self.settings.targets
            if self.tables[name].training_task == task and self.tables[name].kind != "retrieval"
        }
        evaluation = self.settings.evaluation
        evaluated = {name: evaluation.splits[name] for name in served if name in evaluation.splits}
        pairs = self.pairs(served)
        return self.run(
            "target",
            condition.name,
            seed,
            f"target/{task}/{condition.name}/plain/seed{seed}",
            {
                "encoder": self.settings.encoder,
                "rows": rows,
                "steps": steps(rows, own) + extra,
                "extra_steps": extra,
                **own,
                "targets": served,
                "max_clusters": only(evaluation.max_clusters, served),
                "max_answer_length": evaluation.max_answer_length,
                **asked(train_splits=splits, eval_splits=evaluated, pairs=pairs),
            },
            self.training_data([task], splits)
            | self.evaluation_data(served, pairs)
            | self.encoder_data(),
            above,
            task,
        )

    def retrieval(self, condition, seed: int, above: list[Run]) -> Run:
        """Sentence retrieval with the encoder as it is."""
        served = {name: self.spoken(name) for name in self.of_kind("retrieval")}
        return self.run(
            "retrieval",
            condition.name,
            seed,
            f"retrieval/{condition.name}/seed{seed}",
            {
                "encoder": self.settings.encoder,
                "targets": served,
                **self.settings.retrieval.model_dump(),
                "max_length": self.settings.target.max_length,
            },
            self.evaluation_data(served) | self.encoder_data(),
            above,
        )

    def run(self, phase, condition, seed, name, own, data, upstream, training_task="") -> Run:
        """A run with what all phases share."""
        settings = self.settings
        options = {
            "data": self.source,
            "threads": settings.threads,
            "checkpoint_minutes": settings.checkpoint_minutes,
            "batch_tokens": settings.evaluation.batch_tokens,
        }
        folder = folders.outputs() / settings.study / name
        return Run(
            settings.study,
            phase,
            condition,
            seed,
            name,
            folder,
            own | {"precision": settings.precision},
            data,
            options,
            settings.origins,
            tuple(upstream),
            training_task=training_task,
        )

    def spoken(self, target: str) -> list[str]:
        """The languages a target is evaluated in."""
        chosen = self.settings.languages
        return [code for code in self.tables[target].languages if chosen == "all" or code in chosen]

    def training_data(self, names: list[str], splits: dict[str, str]) -> dict:
        """Fingerprints of English training sets, of other splits than usual where asked."""
        return {
            f"{name}/en/train": self.mark(
                name, "en", splits.get(name) or self.tables[name].train_split
            )
            for name in names
        }

    def pairs(self, served) -> dict[str, list[list[str]]]:
        """The pairs of two languages that each target is evaluated in as well, where there are."""
        rows = [self.tables[name] for name in served]
        found = {
            row.name: [
                pair for pair in self.settings.evaluation.pairs if set(pair) <= set(row.languages)
            ]
            for row in rows
            if row.pairable
        }
        return {name: pairs for name, pairs in found.items() if pairs}

    def evaluation_data(self, served: dict[str, list[str]], pairs: dict | None = None) -> dict:
        """Fingerprints of evaluation sets, and of the gold pairs that thresholds are tuned on."""
        from xtsupport.data import bucc

        marks = {}
        for name, codes in served.items():
            row = self.tables[name]
            split = self.settings.evaluation.splits.get(name) or row.eval_split
            for code in codes:
                marks[f"{name}/{code}"] = self.mark(name, code, split)
                if row.evaluator == "pairs" and bucc.present(code, row.dev_split, self.source):
                    marks[f"{name}/{code}/{row.dev_split}"] = self.mark(name, code, row.dev_split)
            for code, code_2 in (pairs or {}).get(name, ()):
                marks[f"{name}/{code}+{code_2}"] = self.mark(name, code, split, code_2)
        return marks

    def encoder_data(self) -> dict:
        """Checksums of an encoder that is a folder; a name carries its own version."""
        folder = (folders.root() / Path(self.settings.encoder).expanduser()).resolve()
        if self.settings.encoder == "pretrain" or not (folder / "config.json").is_file():
            return {}
        return {
            f"encoder/{path.name}": checksum(path)
            for path in sorted(folder.iterdir())
            if path.is_file()
        }

    def mark(self, task: str, language: str, split: str, language_2: str | None = None) -> str:
        """The fingerprint of a data set; one that is missing becomes a problem."""
        from xtsupport.data import bucc, hub

        try:
            if self.tables[task].evaluator == "pairs":
                return bucc.fingerprint(language, split, self.source)
            if hub.available(task, language, split, self.source, language_2):
                return hub.fingerprint(task, language, split, self.source, language_2)
            both = f"{language} with {language_2}" if language_2 else language
            less = "the pair" if language_2 else f"{task} or {language}"
            self.problems.append(
                f"data = {self.settings.data!r}: has no {split} split of {task} in {both}; "
                f"add it, or leave {less} out of the study"
            )
        except UserError as error:
            self.problems += error.problems
        return ""

    def rows(self, task: str, most: int | None, split: str | None = None) -> int:
        """How many English training rows are used."""
        from xtsupport.data import hub

        try:
            found = hub.rows(task, "en", split or self.tables[task].train_split, self.source)
        except UserError as error:
            self.problems += error.problems
            found = 1
        return min(found, most or found)


def merged(phase, own) -> dict:
    """A phase's settings with a task's own ones laid over them."""
    other = own.model_dump(exclude_unset=True, exclude={"train_split"}) if own else {}
    return phase.model_dump() | other


def own_splits(overrides: dict, names: list[str]) -> dict[str, str]:
    """The training splits that were named for some of the tasks: {task: split}."""
    return {
        name: overrides[name].train_split
        for name in names
        if name in overrides and overrides[name].train_split
    }


def only(most: int | dict[str, int] | None, served) -> int | dict[str, int] | None:
    """A limit of every target, or of each by name: then only of those that a run serves."""
    return {name: most[name] for name in served if name in most} if isinstance(most, dict) else most


def asked(**settings: dict) -> dict:
    """Settings of a run that are absent unless somebody asked for them: run keys stay the same."""
    return {key: value for key, value in settings.items() if value}


def steps(rows: int, own: dict) -> int:
    """Optimizer steps of ``epochs`` passes over ``rows`` training rows, at least one."""
    return max(1, math.ceil(own["epochs"] * rows / own["batch_size"]))
