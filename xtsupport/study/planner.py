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

from functools import cache, cached_property

from xtsupport import folders
from xtsupport.errors import UserError, together
from xtsupport.sides import side, source_language
from xtsupport.study import conditions
from xtsupport.study.inputs import Inputs
from xtsupport.study.params.groups import Overrides
from xtsupport.study.params.settings import Settings
from xtsupport.study.phase2 import Phase2, asked, own_splits
from xtsupport.study.runs import Run, digest


class Planner:
    """Builds the runs of one study, or those of a part of it with the keys they have in the whole.

    part: the settings of ``narrowing.part_of``; nothing is read that only other runs need.
    texts: what the whole study reads, which decides a trimmed vocabulary (``reads.texts``).
    inputs: how data are looked up; ``inputs.Published`` plans without them.
    """

    def __init__(self, settings: Settings, part: Settings | None = None, texts=(), inputs=Inputs):
        self.settings, self.part, self.origins = settings, part or settings, settings.origins
        self.inputs: Inputs = inputs(settings)
        self.tables, self.texts = self.inputs.tables, [list(each) for each in texts]
        self.phase2 = cache(lambda name: Phase2(name, self.inputs))

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
        named = {each.name: each for each in parsed}
        trained = [(each, "plain") for each in parsed]
        trained += [(named[name], variant) for name, variant in map(side, part.variants)]
        phase3 = [
            self.target(task, each, seed, self.above(each, seed, phase2, start), variant)
            for each, variant in trained
            for task, targets in self.training_tasks().items()
            for seed in part.seeds_of(each.name, *targets)
        ]
        sought = [name for name in self.sought if name in part.targets]
        retrieval = [
            self.retrieval(each, seed, self.above(each, seed, phase2, start))
            for each in parsed
            if sought and not each.matched
            for seed in (
                part.seeds_of(each.name, *sought)
                if each.has_phase2
                else self.settings.seeds_of(each.name, *self.sought)[:1]
            )
        ]
        if self.inputs.problems:
            raise together(self.inputs.problems)
        return [*start, *phase2.values(), *phase3, *retrieval]

    def above(self, condition, seed, phase2, start) -> list[Run]:
        """What phase 3 starts from: the phase-2 run of this seed, else the pretrained encoder."""
        return [phase2[condition.name, seed]] if condition.has_phase2 else start

    def training_tasks(self) -> dict[str, list[str]]:
        """The tasks that phase 3 trains on, in the order of the targets, with those they serve."""
        found: dict[str, list[str]] = {}
        for row in (self.tables[name] for name in self.part.targets):
            if row.kind != "retrieval":
                found.setdefault(row.training_task, []).append(row.name)
        return found

    @property
    def sought(self) -> list[str]:
        """The targets of the study whose sentences are retrieved."""
        return [name for name in self.settings.targets if self.tables[name].kind == "retrieval"]

    def pretraining(self) -> Run:
        """Phase 1: one masked language model over the raw text of every language."""
        task = self.inputs.raw_task(
            "to pretrain on (no task of kind masked); name a ready encoder instead of "
            "`encoder: pretrain`"
        )
        own = self.settings.pretraining
        settings = {"task": task.name, "languages": list(task.languages)} | own.model_dump()
        return self.run("pretraining", "", own.seed, settings, [])

    def intermediate(self, condition, seed: int, start: list[Run]) -> Run:
        """Phase 2: training on one task, or on all single tasks of the study; in English, unless
        the condition says ``@translated``."""
        own, mixed, mlm = self.phase2(condition.name), "+mlm" in condition.marks, self.settings.mlm
        settings = {
            "encoder": self.settings.encoder,
            "tasks": own.rows,
            **own.settings,
            **asked(train_splits=own.splits, translations=own.translations, raw=own.raw),
            **asked(masked_share=mixed and mlm.share, mask=mixed and mlm.mask),
            **self.development(own.tasks, own.settings),
        }
        return self.run("intermediate", condition.name, seed, settings, start)

    def target(self, task: str, condition, seed: int, above: list[Run], variant: str) -> Run:
        """Phase 3: training on a task, then every target it serves, in all languages."""
        own = self.settings.tasks.get(task, Overrides()).over(self.settings.target.model_dump())
        splits = own_splits(self.settings.tasks, [task])
        source = source_language(variant)
        variants = [side(name)[1] for name in self.settings.variants]
        sources = dict.fromkeys(["en", *map(source_language, variants)])
        most_rows, split = own["max_rows"], splits.get(task)
        # as many in every source language of the study (Turc et al. 2021)
        rows = min(self.inputs.rows(task, most_rows, split, code) for code in sources)
        matched = self.phase2(condition.matched).steps if condition.matched else {}
        served = {
            name: self.settings.spoken(self.tables[name])
            for name in self.settings.targets
            if self.tables[name].training_task == task
            and self.tables[name].kind != "retrieval"
            and seed in self.settings.seeds_of(condition.name, name)
        }
        evaluation = self.settings.evaluation
        most = evaluation.max_clusters
        if isinstance(most, dict):  # only of what this run serves
            most = {name: most[name] for name in served if name in most}
        evaluated = {name: evaluation.splits[name] for name in served if name in evaluation.splits}
        settings = {
            "encoder": self.settings.encoder,
            "rows": rows,
            **own,
            "targets": served,
            "max_clusters": most,
            "max_answer_length": evaluation.max_answer_length,
            **asked(matched=matched, train_splits=splits, eval_splits=evaluated),
            **asked(pairs=self.pairs(served), source=source if source != "en" else ""),
            **self.robust_settings(variant),
            **self.development([task], own),
        }
        return self.run("target", condition.name, seed, settings, above, task, variant)

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
                self.inputs.problems.append(UserError(
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

    def robust_settings(self, variant: str) -> dict:
        """What a robust variant adds to a run's settings."""
        robust = self.settings.robust
        noise = {"noise": variant, "radius": robust.radius}
        steps = {"radius": robust.adversarial_radius, "ascent_steps": robust.ascent_steps}
        return {
            "adversarial": noise | steps,
            "smoothing": noise,
            "synonyms": {"copies": robust.copies, "synonyms": robust.synonyms},
        }.get(variant, {})

    def retrieval(self, condition, seed: int, above: list[Run]) -> Run:
        """Sentence retrieval with the encoder as it is."""
        served = {
            name: self.settings.spoken(self.tables[name])
            for name in self.sought
            if seed in self.settings.seeds_of(condition.name, name) or not condition.has_phase2
        }
        settings = {
            "encoder": self.settings.encoder,
            "targets": served,
            "embedding": {name: self.settings.embedding(name) for name in served},
            "precision": self.settings.retrieval.precision,
        }
        return self.run("retrieval", condition.name, seed, settings, above)

    def run(self, phase, condition, seed, own, upstream, task="", variant="") -> Run:
        """A run with what all phases share; task, variant: of phase 3."""
        settings, data = self.settings, self.inputs.of(own, task)
        name = "/".join(filter(None, (phase, task, condition, variant, f"seed{seed}")))
        options = {
            "data": self.inputs.data,
            "given": folders.portable(settings.data),
            "threads": settings.threads,
            "checkpoint_minutes": settings.checkpoint_minutes,
            "batch_tokens": settings.evaluation.batch_tokens,
            "precision": own.get("precision", settings.precision),
        }
        if self.inputs.data == "hub":
            options["commits"] = self.inputs.commits(data)
        options |= asked(
            tracking=settings.tracking,
            checkpointing=settings.evaluation.checkpointing,
            cuda_graphs=settings.cuda_graphs,
        )
        if self.texts:
            options["texts"], own = self.texts, own | {"trim_vocabulary": True}
            data = data | {"vocabulary": self.texts_fingerprint}
        own = {"precision": settings.resolved_precision} | own
        what = (settings.study, phase, condition, seed, name, own, data, options, self.origins)
        return Run(*what, tuple(upstream), variant or "plain", task)

    @cached_property
    def texts_fingerprint(self) -> str:
        """A hash of what decides a trimmed vocabulary, beside the tokenizer."""
        return digest([[*each, self.inputs.fingerprint(*each)] for each in self.texts])

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
        return asked(**found)
