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
                pairs {target: [[language, language_2], ...]} (target); translations [language]
                (X@translated); masked_steps, mask, raw {task, languages, documents} (X+mlm);
                source (source=de); noise, radius, ascent_steps (adversarial, smoothing); copies,
                synonyms (synonyms)
options: data (what ``load(data=)`` takes; run.json has it as the settings give it), threads,
checkpoint_minutes, batch_tokens, tracking (where asked)
"""

import math
from pathlib import Path

from xtsupport import folders
from xtsupport.errors import UserError
from xtsupport.files import checksum
from xtsupport.sides import side, source_of
from xtsupport.study import conditions
from xtsupport.study.params.rules import data_source
from xtsupport.study.params.settings import Settings
from xtsupport.study.runs import Run
from xtsupport.training.commit import hub_commit


class Planner:
    """Builds the runs of one study."""

    def __init__(self, settings: Settings):
        from xtsupport import tables

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
            self.target(task, each, seed, self.above(each, seed, phase2, start), variant)
            for each, variant in self.sides(parsed)
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

    def sides(self, parsed) -> list[tuple]:
        """(condition, variant) of phase 3: every condition plain, then the variants asked for."""
        named = {each.name: each for each in parsed}
        asked_for = (side(name) for name in self.settings.variants)
        return [(each, "plain") for each in parsed] + [(named[c], v) for c, v in asked_for]

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
        """Phase 2: training on one task, or on all single tasks of the study; in English, unless
        the condition says ``@translated``."""
        names = self.phase2_tasks(condition)
        own, masked = self.phase2_settings(condition), self.masked_steps(condition)
        splits = self.phase2_splits(condition)
        translations = self.translations(condition, names, splits)
        raw = self.raw_text() if masked else {}
        return self.run(
            "intermediate",
            condition.name,
            seed,
            f"intermediate/{condition.name}/seed{seed}",
            {
                "encoder": self.settings.encoder,
                "tasks": self.phase2_rows(condition),
                "steps": self.phase2_steps(condition),
                **own,
                **asked(train_splits=splits, translations=translations, raw=raw),
                **asked(masked_steps=masked, mask=masked and self.settings.mlm.mask),
            },
            self.training_data(names, splits, translations or ["en"])
            | self.raw_data(raw)
            | self.encoder_data(),
            start,
        )

    def phase2_tasks(self, condition) -> list[str]:
        """The tasks that phase 2 of a condition trains on."""
        every = conditions.single_tasks(self.settings.conditions)
        return every if condition.base == "all" else [condition.base]

    def phase2_settings(self, condition) -> dict:
        """The settings of phase 2, after the overrides of its task or ``all``, then its own."""
        per_task, own = self.settings.intermediate_tasks, self.settings.intermediate.model_dump()
        for name in (condition.base, condition.name):
            own |= overridden(per_task.get(name))
        return own if condition.base == "all" else {k: own[k] for k in own if k != "mixing_cap"}

    def phase2_splits(self, condition) -> dict[str, str]:
        """The training splits that were named for a condition's tasks, or for the condition."""
        names, per_task = self.phase2_tasks(condition), self.settings.intermediate_tasks
        special = own_splits(per_task, [condition.name])
        return own_splits(per_task, names) | {n: s for s in special.values() for n in names}

    def phase2_steps(self, condition) -> int:
        """Optimizer steps of phase 2, masked-LM ones included."""
        return self.task_steps(condition) + self.masked_steps(condition)

    def task_steps(self, condition) -> int:
        """Optimizer steps of phase 2 on its tasks."""
        own, rows = self.phase2_settings(condition), self.phase2_rows(condition).values()
        return steps(sum(min(each, own.get("mixing_cap", each)) for each in rows), own)

    def masked_steps(self, condition) -> int:
        """Masked-LM steps of ``X+mlm``: X keeps all of its own, so that these are `share`."""
        share = self.settings.mlm.share
        more = round(self.task_steps(condition) * share / (1 - share))
        return max(1, more) if "+mlm" in condition.marks else 0

    def phase2_rows(self, condition) -> dict[str, int]:
        """How many rows of each task phase 2 trains on."""
        found = self.own_rows(condition)
        if "@matched" not in condition.marks:
            return found
        every = conditions.single_tasks([*self.settings.conditions, condition.base])
        least = min(
            rows for name in every for rows in self.own_rows(conditions.parse(name)).values()
        )
        return dict.fromkeys(found, least)

    def own_rows(self, condition) -> dict[str, int]:
        """The rows of each task after its own `max_rows`."""
        splits, found = self.phase2_splits(condition), {}
        for name in self.phase2_tasks(condition):
            settings = condition if condition.base == name else conditions.parse(name)
            most = self.phase2_settings(settings)["max_rows"]
            found[name] = self.rows(name, most, splits.get(name))
        return found

    def translations(self, condition, names: list[str], splits: dict[str, str]) -> list[str]:
        """The study's languages that every task of ``X@translated`` is translated into."""
        from xtsupport.data import hub

        if "@translated" not in condition.marks:
            return []
        spoken = {code for target in self.settings.targets for code in self.spoken(target)}
        there = [
            code
            for code in self.languages
            if code in spoken - {"en"}
            and all(
                hub.available(n, code, splits.get(n) or self.tables[n].train_split, self.source)
                for n in names
            )
        ]
        if not there:
            self.problems.append(
                f"conditions: {condition.name!r}: data = {self.settings.data!r} has no "
                f"translations of {', '.join(names)} into any language of the targets; put them "
                "beside the English set (for squad: rajpurkar/squad/plain_text.de/), or name a "
                f"split that has them: intermediate_tasks.{condition.name}.train_split"
            )
        return there

    def raw_text(self) -> dict:
        """What ``+mlm`` reads: raw text of the study's languages, English included."""
        task = next((each for each in self.tables.values() if each.kind == "masked"), None)
        if task is None:
            self.problems.append(
                f"data = {self.settings.data!r}: has no raw text for +mlm (no task of kind masked)"
            )
            return {}
        spoken = {code for target in self.settings.targets for code in self.spoken(target)} | {"en"}
        codes = [code for code in task.languages if code in spoken]
        return {
            "task": task.name,
            "languages": codes,
            "documents": self.settings.mlm.documents,
        }

    def raw_data(self, raw: dict) -> dict:
        """Fingerprints of raw text."""
        return {
            f"{raw['task']}/{code}": self.mark(
                raw["task"], code, self.tables[raw["task"]].train_split
            )
            for code in raw.get("languages", ())
        }

    def target(
        self, task: str, condition, seed: int, above: list[Run], variant: str = "plain"
    ) -> Run:
        """Phase 3: training on a task, then every target it serves, in all languages."""
        own = merged(self.settings.target, self.settings.tasks.get(task))
        splits = own_splits(self.settings.tasks, [task])
        rows = self.phase3_rows(task, own["max_rows"], splits.get(task))
        source, matched = source_of(variant), condition.matched
        extra = self.phase2_steps(conditions.parse(matched)) if matched else 0
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
            f"target/{task}/{condition.name}/{variant}/seed{seed}",
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
                **asked(source=source if source != "en" else ""),
                **self.robust_settings(variant),
            },
            self.training_data([task], splits, [source])
            | self.evaluation_data(served, pairs)
            | self.encoder_data()
            | self.synonym_data(variant),
            above,
            task,
            variant,
        )

    def phase3_rows(self, task: str, most: int | None, split: str | None) -> int:
        """Rows of phase 3: as many in every source language of the study (Turc et al. 2021)."""
        variants = [side(name)[1] for name in self.settings.variants]
        sources = dict.fromkeys(["en", *map(source_of, variants)])
        return min(self.rows(task, most, split, code) for code in sources)

    def robust_settings(self, variant: str) -> dict:
        """What a robust variant adds to a run's settings."""
        robust = self.settings.robust
        if variant == "adversarial":
            radius, steps = robust.adversarial_radius, robust.ascent_steps
            return {"noise": variant, "radius": radius, "ascent_steps": steps}
        if variant == "smoothing":
            return {"noise": variant, "radius": robust.radius}
        if variant == "synonyms":
            return {"copies": robust.copies, "synonyms": robust.synonyms}
        return {}

    def synonym_data(self, variant: str) -> dict:
        """The checksum of a list of synonyms."""
        name = self.settings.robust.synonyms
        if variant != "synonyms" or name == "embeddings":
            return {}
        return {"synonyms": checksum(folders.root() / Path(name).expanduser())}

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

    def run(
        self,
        phase,
        condition,
        seed,
        name,
        own,
        data,
        upstream,
        training_task="",
        variant="plain",
    ) -> Run:
        """A run with what all phases share."""
        settings = self.settings
        options = {
            "data": self.source,
            "given": folders.portable(settings.data),
            "threads": settings.threads,
            "checkpoint_minutes": settings.checkpoint_minutes,
            "batch_tokens": settings.evaluation.batch_tokens,
        }
        if settings.tracking:
            options["tracking"] = settings.tracking
        return Run(
            settings.study,
            phase,
            condition,
            seed,
            name,
            own | {"precision": settings.precision},
            data,
            options,
            settings.origins,
            tuple(upstream),
            variant=variant,
            training_task=training_task,
        )

    def spoken(self, target: str) -> list[str]:
        """The languages a target is evaluated in."""
        chosen = self.settings.languages
        return [code for code in self.tables[target].languages if chosen == "all" or code in chosen]

    def training_data(self, names: list[str], splits: dict[str, str], languages=("en",)) -> dict:
        """Fingerprints of training sets, of other splits than usual where asked."""
        return {
            f"{name}/{code}/train": self.mark(
                name, code, splits.get(name) or self.tables[name].train_split
            )
            for name in names
            for code in languages
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
        """Checksums of an encoder that is a folder, the commit of one from the hub."""
        folder = (folders.root() / Path(self.settings.encoder).expanduser()).resolve()
        if self.settings.encoder in ("pretrain", "offline-e5"):  # a run; verified by its checksum
            return {}
        if not (folder / "config.json").is_file():
            commit = hub_commit(self.settings.encoder)
            return {"encoder/commit": commit} if commit else {}
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

    def rows(self, task: str, most: int | None, split: str | None = None, code="en") -> int:
        """How many training rows of a language are used."""
        from xtsupport.data import hub

        try:
            found = hub.rows(task, code, split or self.tables[task].train_split, self.source)
        except UserError as error:
            self.problems += error.problems
            found = 1
        return min(found, most or found)


def merged(phase, own) -> dict:
    """A phase's settings with a task's own ones laid over them."""
    return phase.model_dump() | overridden(own)


def overridden(own) -> dict:
    """The settings that were given for one task; nothing where there are none."""
    return own.model_dump(exclude_unset=True, exclude={"train_split"}) if own else {}


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


def asked(**settings) -> dict:
    """Settings of a run that are absent unless somebody asked for them: run keys stay the same."""
    return {key: value for key, value in settings.items() if value}


def steps(rows: int, own: dict) -> int:
    """Optimizer steps of ``epochs`` passes over ``rows`` training rows, at least one."""
    return max(1, math.ceil(own["epochs"] * rows / own["batch_size"]))
