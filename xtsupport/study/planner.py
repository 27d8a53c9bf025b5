"""From settings to runs: what each depends on, and everything that can change its numbers.

A run's ``settings`` hold everything that can change its numbers, ``data`` the fingerprints of what
it reads; ``options`` hold what cannot. All are plain JSON.

settings by phase (all of them also ``precision``, which is float32 or bfloat16)
  pretraining   task, languages, and all of ``pretraining:``
  intermediate  encoder, tasks {name: rows}, and ``intermediate:`` after per-task overrides
  target        encoder, rows, ``target:`` after per-task overrides, targets {name: [languages]},
                max_clusters, max_answer_length
  retrieval     encoder, targets {name: [languages]}, embedding {name: layer, pooling, max_length}
  where asked   train_splits {task: split} (intermediate, target); eval_splits {target: split} and
                pairs {target: [[language, language_2], ...]} (target); translations [language]
                (X@translated); masked_share, mask, raw {task, languages, documents} (X+mlm);
                matched (none~X: what decides the steps of X's phase 2, which it takes as well);
                dev_splits {task: split}, dev_apart {target: split} (dev_every);
                source (source=de); noise, radius, ascent_steps (adversarial, smoothing); copies,
                synonyms (synonyms); trim_vocabulary (all)
options: data (what ``load(data=)`` takes; run.json has it as the settings give it), commits (of
the hub's data sets, whose fingerprints hold them too), threads, checkpoint_minutes, batch_tokens,
precision (as asked for, perhaps auto), tracking (where asked), texts [[task, language, split,
language_2], ...] (of the whole study, for trim_vocabulary)
"""

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from functools import cache, cached_property

from xtsupport import folders
from xtsupport.data import commits, lengths
from xtsupport.errors import UserError, together
from xtsupport.files import checksum
from xtsupport.sides import side, source_of
from xtsupport.study import conditions
from xtsupport.study.params.rules import data_source
from xtsupport.study.params.settings import Settings
from xtsupport.study.runs import Run, digest
from xtsupport.training import checkpoint


class Planner:
    """Builds the runs of one study, or those of a part of it with the keys they have in the whole.

    part: the settings of ``narrowing.part_of``; nothing is read that only other runs need.
    texts: what the whole study reads, which decides a trimmed vocabulary (``reads.texts``).
    """

    def __init__(self, settings: Settings, part: Settings | None = None, texts=()):
        from xtsupport import tables

        self.settings, self.part = settings, part or settings
        self.source, self.origins = data_source(settings.data), settings.origins
        self.tables = tables.tasks(self.source)
        self.languages = tables.languages(self.source)
        self.problems: list[UserError] = []
        self.texts = [list(each) for each in texts]
        commits.freeze(folders.outputs() / settings.study)
        for question in ("mark", "rows", "commits_of", "encoder_data", "has_pools"):
            setattr(self, question, cache(getattr(self, question)))  # asked again by every run

    def all_runs(self) -> list[Run]:
        """Every run of the part, upstream first."""
        part = self.part
        start = [self.pretraining()] if self.settings.encoder == "pretrain" else []
        parsed = [conditions.parse(name) for name in part.conditions]
        phase2 = {
            (each.name, seed): self.intermediate(each, seed, start)
            for each in parsed
            if each.has_phase2
            for seed in part.seeds_of(each.name)
        }
        phase3 = [
            self.target(task, each, seed, self.above(each, seed, phase2, start), variant)
            for each, variant in self.sides(parsed)
            for task, targets in self.training_tasks().items()
            for seed in part.seeds_of(each.name, *targets)
        ]
        sought = [name for name in self.of_kind("retrieval") if name in part.targets]
        retrieval = [
            self.retrieval(each, seed, self.above(each, seed, phase2, start))
            for each in parsed
            if sought and not each.matched
            for seed in (
                part.seeds_of(each.name, *sought)
                if each.has_phase2
                else self.settings.seeds_of(each.name, *self.of_kind("retrieval"))[:1]
            )
        ]
        if self.problems:
            raise together(self.problems)
        return [*start, *phase2.values(), *phase3, *retrieval]

    @contextmanager
    def noted(self) -> Iterator[None]:
        """Problems in the block are kept, and told with those of all other runs."""
        try:
            yield
        except UserError as error:
            self.problems.append(error)

    def above(self, condition, seed, phase2, start) -> list[Run]:
        """What phase 3 starts from: the phase-2 run of this seed, else the pretrained encoder."""
        return [phase2[condition.name, seed]] if condition.has_phase2 else start

    def sides(self, parsed) -> list[tuple]:
        """(condition, variant) of phase 3: every condition plain, then the variants asked for."""
        named = {each.name: each for each in parsed}
        asked_for = (side(name) for name in self.part.variants)
        return [(each, "plain") for each in parsed] + [(named[c], v) for c, v in asked_for]

    def training_tasks(self) -> dict[str, list[str]]:
        """The tasks that phase 3 trains on, in the order of the targets, with those they serve."""
        found: dict[str, list[str]] = {}
        for row in (self.tables[name] for name in self.part.targets):
            if row.kind != "retrieval":
                found.setdefault(row.training_task, []).append(row.name)
        return found

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
        raw = {"task": task.name, "languages": list(task.languages)}
        name = f"pretraining/seed{own.seed}"
        settings, data = raw | own.model_dump(), self.raw_data(raw)
        return self.run("pretraining", "", own.seed, name, settings, data, [])

    def intermediate(self, condition, seed: int, start: list[Run]) -> Run:
        """Phase 2: training on one task, or on all single tasks of the study; in English, unless
        the condition says ``@translated``."""
        names = self.phase2_tasks(condition)
        own, mixed = self.phase2_settings(condition), "+mlm" in condition.marks
        splits = self.phase2_splits(condition)
        translations = self.translations(condition, names, splits)
        raw, mlm = self.raw_text() if mixed else {}, self.settings.mlm
        return self.run(
            "intermediate",
            condition.name,
            seed,
            f"intermediate/{condition.name}/seed{seed}",
            {
                "encoder": self.settings.encoder,
                "tasks": self.phase2_rows(condition),
                **own,
                **asked(train_splits=splits, translations=translations, raw=raw),
                **asked(masked_share=mixed and mlm.share, mask=mixed and mlm.mask),
                **(dev := self.development(names, own)),
            },
            self.training_data(names, splits, translations or ["en"])
            | self.development_data(dev)
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
        mixing = () if condition.base == "all" else ("sampler", "mixing_cap", "temperature")
        return {key: own[key] for key in own if key not in mixing}

    def phase2_splits(self, condition) -> dict[str, str]:
        """The training splits that were named for a condition's tasks, or for the condition."""
        names, per_task = self.phase2_tasks(condition), self.settings.intermediate_tasks
        special = own_splits(per_task, [condition.name])
        return own_splits(per_task, names) | {n: s for s in special.values() for n in names}

    def matched(self, name: str) -> dict:
        """What decides the steps of a condition's phase 2, for the control that takes as many."""
        condition = conditions.parse(name)
        own, names = self.phase2_settings(condition), self.phase2_tasks(condition)
        splits = self.phase2_splits(condition)
        decide = ("epochs", "batch_size", "max_length", "stride", "step", "sampler", "mixing_cap")
        return {
            "tasks": self.phase2_rows(condition),
            **{key: own[key] for key in decide if key in own},
            **asked(train_splits=splits, translations=self.translations(condition, names, splits)),
            **asked(masked_share="+mlm" in condition.marks and self.settings.mlm.share),
        }

    def matched_data(self, matched: dict) -> dict:
        """Fingerprints of the rows that are counted for it."""
        splits, spoken = matched.get("train_splits", {}), matched.get("translations", ["en"])
        found = self.training_data([*matched.get("tasks", ())], splits, spoken)
        return {f"matched/{name}": mark for name, mark in found.items()}

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
            self.problems.append(UserError(
                f"conditions: {condition.name!r}: data = {self.settings.data!r} has no "
                f"translations of {', '.join(names)} into any language of the targets; put them "
                "beside the English set (for squad: rajpurkar/squad/plain_text.de/), or name a "
                f"split that has them: intermediate_tasks.{condition.name}.train_split"
            ))  # fmt: skip
        return there

    def raw_text(self) -> dict:
        """What ``+mlm`` reads: raw text of the study's languages, English included."""
        task = next((each for each in self.tables.values() if each.kind == "masked"), None)
        if task is None:
            text = "has no raw text for +mlm (no task of kind masked)"
            self.problems.append(UserError(f"data = {self.settings.data!r}: {text}"))
            return {}
        spoken = {code for target in self.settings.targets for code in self.spoken(target)} | {"en"}
        documents = self.settings.mlm.documents
        return {"task": task.name, "languages": task.spoken(spoken), "documents": documents}

    def raw_data(self, raw: dict) -> dict:
        """Fingerprints of raw text."""
        if not raw:
            return {}
        name, split = raw["task"], self.tables[raw["task"]].train_split
        return {f"{name}/{code}": self.mark(name, code, split) for code in raw["languages"]}

    def target(self, task: str, condition, seed: int, above: list[Run], variant: str) -> Run:
        """Phase 3: training on a task, then every target it serves, in all languages."""
        own = self.settings.target.model_dump() | overridden(self.settings.tasks.get(task))
        splits = own_splits(self.settings.tasks, [task])
        rows = self.phase3_rows(task, own["max_rows"], splits.get(task))
        source = source_of(variant)
        matched = self.matched(condition.matched) if condition.matched else {}
        served = {
            name: self.spoken(name)
            for name in self.settings.targets
            if self.tables[name].training_task == task
            and self.tables[name].kind != "retrieval"
            and seed in self.settings.seeds_of(condition.name, name)
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
                **own,
                **asked(matched=matched),
                "targets": served,
                "max_clusters": only(evaluation.max_clusters, served),
                "max_answer_length": evaluation.max_answer_length,
                **asked(train_splits=splits, eval_splits=evaluated, pairs=pairs),
                **asked(source=source if source != "en" else ""),
                **self.robust_settings(variant),
                **(dev := self.development([task], own)),
            },
            self.training_data([task], splits, [source])
            | self.development_data(dev)
            | self.matched_data(matched)
            | self.evaluation_data(served, pairs)
            | self.encoder_data()
            | self.synonym_data(variant),
            above,
            training_task=task,
            variant=variant,
        )

    def development(self, names: list[str], own: dict) -> dict:
        """The development splits of training tasks, and the evaluation sets to keep apart from."""
        if not own["dev_every"]:
            return {}
        splits = {}
        for name in names:
            row = self.tables[name]
            free = row.role != "target" or own["dev_overlap"]  # its test is not a target's
            splits[name] = row.dev_split or (row.eval_split if free else "")
            if not splits[name]:
                self.problems.append(UserError(
                    f"dev_every: {name} has no development rows except those it is evaluated on; "
                    f"set tasks.{name}.dev_every: null, or tasks.{name}.dev_overlap: true"
                ))  # fmt: skip
        kinds = {self.tables[name].kind for name in names}
        apart = {
            name: self.settings.evaluation.splits.get(name) or self.tables[name].eval_split
            for name in self.settings.targets
            if self.tables[name].kind in kinds and "en" in self.tables[name].languages
        }
        return {"dev_splits": splits, "dev_apart": {} if own["dev_overlap"] else apart}

    def development_data(self, dev: dict) -> dict:
        """Fingerprints of development sets, and of the evaluation sets they are kept apart from."""
        read = [*dev.get("dev_splits", {}).items(), *dev.get("dev_apart", {}).items()]
        return {f"{name}/en/dev": self.mark(name, "en", split) for name, split in read if split}

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
        return {"synonyms": checksum(folders.typed(name))}

    def retrieval(self, condition, seed: int, above: list[Run]) -> Run:
        """Sentence retrieval with the encoder as it is."""
        served = {
            name: self.spoken(name)
            for name in self.of_kind("retrieval")
            if seed in self.settings.seeds_of(condition.name, name) or not condition.has_phase2
        }
        return self.run(
            "retrieval",
            condition.name,
            seed,
            f"retrieval/{condition.name}/seed{seed}",
            {
                "encoder": self.settings.encoder,
                "targets": served,
                "embedding": {name: self.settings.embedding(name) for name in served},
                "precision": self.settings.retrieval.precision,
            },
            self.evaluation_data(served) | self.encoder_data(),
            above,
        )

    def run(self, phase, condition, seed, name, own, data, upstream, **more) -> Run:
        """A run with what all phases share; more: its training task and variant."""
        settings = self.settings
        options = {
            "data": self.source,
            "given": folders.portable(settings.data),
            "threads": settings.threads,
            "checkpoint_minutes": settings.checkpoint_minutes,
            "batch_tokens": settings.evaluation.batch_tokens,
            "precision": own.get("precision", settings.precision),
        }
        if self.source == "hub":
            options["commits"] = self.commits(data)
        if settings.tracking:
            options["tracking"] = settings.tracking
        if settings.evaluation.checkpointing:
            options["checkpointing"] = True
        if self.texts:
            options["texts"], own = self.texts, own | {"trim_vocabulary": True}
            data = data | {"vocabulary": self.texts_mark}
        own = {"precision": settings.resolved_precision} | own
        what = (settings.study, phase, condition, seed, name, own, data, options, self.origins)
        return Run(*what, tuple(upstream), **more)

    @cached_property
    def texts_mark(self) -> str:
        """A hash of what decides a trimmed vocabulary, beside the tokenizer."""
        return digest([[*each, self.mark(*each)] for each in self.texts])

    def commits(self, data: dict) -> dict[str, str]:
        """{data set: commit} of what a run reads from the hub, as the fingerprints hold it."""
        names = dict.fromkeys(key.partition("/")[0] for key in data)
        found = {key: each for name in names for key, each in self.commits_of(name).items()}
        return {name: commit for name, commit in found.items() if commit}

    def commits_of(self, name: str) -> dict[str, str]:
        """{data set: commit} of what a task is read from; an empty commit where that is unknown."""
        from xtsupport.data import hub

        found, row = {}, self.tables.get(name)
        splits = "+".join(filter(None, (row.train_split, row.eval_split))) if row else ""
        for part in hub.parts_of(name, row.languages[0], splits, "hub") if row else ():
            with suppress(UserError):  # said where the data are looked up
                found[part.task.hub] = part.repo.commit if part.files is None else ""
        return found

    def spoken(self, target: str) -> list[str]:
        """The languages a target is evaluated in."""
        return self.settings.spoken(self.tables[target])

    def training_data(self, names: list[str], splits: dict[str, str], languages=("en",)) -> dict:
        """Fingerprints of training sets, of other splits than usual where asked."""
        found = {name: splits.get(name) or self.tables[name].train_split for name in names}
        return {
            f"{name}/{code}/train": self.mark(name, code, split)
            for name, split in found.items()
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
        marks = {}
        for name, codes in served.items():
            row = self.tables[name]
            split = self.settings.evaluation.splits.get(name) or row.eval_split
            for code in codes:
                marks[f"{name}/{code}"] = self.mark(name, code, split)
                if row.evaluator == "pairs" and self.has_pools(code, row.dev_split):
                    marks[f"{name}/{code}/{row.dev_split}"] = self.mark(name, code, row.dev_split)
            for code, code_2 in (pairs or {}).get(name, ()):
                marks[f"{name}/{code}+{code_2}"] = self.mark(name, code, split, code_2)
        return marks

    def has_pools(self, language: str, split: str) -> bool:
        """Whether there are pools of sentences to mine gold pairs from."""
        from xtsupport.data import bucc

        return bucc.present(language, split, self.source)

    def encoder_data(self) -> dict:
        """Checksums of an encoder that is a folder, the commit of one on the hub."""
        name = self.settings.encoder
        if name in ("pretrain", checkpoint.OFFLINE):  # a run; verified by its checksum
            return {}
        with self.noted():
            folder = checkpoint.own_folder(name)
            if folder is None:
                identifier, _, revision = name.partition("@")
                return {"encoder/commit": commits.resolve("models", identifier, revision).commit}
            files = (path for path in sorted(folder.iterdir()) if path.is_file())
            return {f"encoder/{path.name}": checksum(path) for path in files}
        return {}

    def mark(self, task: str, language: str, split: str, language_2: str | None = None) -> str:
        """The fingerprint of a data set; one that is missing becomes a problem."""
        from xtsupport.data import bucc, hub

        with self.noted():
            if self.tables[task].evaluator == "pairs":
                return bucc.fingerprint(language, split, self.source)
            if hub.available(task, language, split, self.source, language_2):
                return hub.fingerprint(task, language, split, self.source, language_2)
            both = f"{language} with {language_2}" if language_2 else language
            less = "the pair" if language_2 else f"{task} or {language}"
            raise UserError(
                f"data = {self.settings.data!r}: has no {split} split of {task} in {both}; "
                f"add it, or leave {less} out of the study"
            )
        return ""

    def rows(self, task: str, most: int | None, split: str | None = None, code="en") -> int:
        """How many training rows of a language are used."""
        from xtsupport.data import hub

        found = 1
        with self.noted():
            found = hub.rows(task, code, split or self.tables[task].train_split, self.source)
        return min(found, most or found)


class WithoutData(Planner):
    """Plans a study whose data are not here, by the published sizes of the training sets."""

    def rows(self, task: str, most: int | None, split: str | None = None, code="en") -> int:
        """How many training rows are used."""
        found = lengths.published(task, "train").rows
        return min(found, most or found)

    def mark(self, task, language, split, language_2=None) -> str:
        """No data, no fingerprint."""
        return ""

    def encoder_data(self) -> dict:
        """No checksums."""
        return {}

    def commits(self, data) -> dict:
        """No commits: nothing is asked."""
        return {}


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
