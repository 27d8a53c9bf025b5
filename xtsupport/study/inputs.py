"""What the runs of a study read: how many rows, and fingerprints that change when the data do."""

from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from functools import cache

from xtsupport import folders, tables
from xtsupport.data import bucc, commits, hub, lengths
from xtsupport.errors import UserError
from xtsupport.files import checksum
from xtsupport.study.params.settings import Settings
from xtsupport.training import checkpoint


class Inputs:
    """Sizes and fingerprints, {what: hash}, of what runs read. Problems are collected."""

    def __init__(self, settings: Settings):
        self.settings, self.data = settings, settings.data_source
        self.tables = tables.tasks(self.data)
        self.problems: list[UserError] = []
        commits.freeze(folders.outputs() / settings.study)
        for question in ("fingerprint", "rows", "commits_of", "encoder"):
            setattr(self, question, cache(getattr(self, question)))  # asked again by every run

    @contextmanager
    def noted(self) -> Iterator[None]:
        """Problems in the block are kept, and told with those of all other runs."""
        try:
            yield
        except UserError as error:
            self.problems.append(error)

    def rows(self, task: str, most: int | None, split: str | None = None, code="en") -> int:
        """How many training rows of a language are used."""
        found = 1
        with self.noted():
            found = hub.rows(task, code, split or self.tables[task].train_split, self.data)
        return min(found, most or found)

    def fingerprint(
        self, task: str, language: str, split: str, language_2: str | None = None
    ) -> str:
        """The fingerprint of a data set; one that is missing becomes a problem."""
        with self.noted():
            if self.tables[task].evaluator == "pairs":
                return bucc.fingerprint(language, split, self.data)
            if hub.available(task, language, split, self.data, language_2):
                return hub.fingerprint(task, language, split, self.data, language_2)
            both = f"{language} with {language_2}" if language_2 else language
            less = "the pair" if language_2 else f"{task} or {language}"
            raise UserError(
                f"data = {self.settings.data!r}: has no {split} split of {task} in {both}; "
                f"add it, or leave {less} out of the study"
            )
        return ""

    def of(self, own: dict, training_task: str = "") -> dict:
        """Of all that a run with these settings reads; training_task: that of phase 3."""
        found = self.training(own, [training_task] if training_task else own.get("tasks", ()))
        found |= self.development(own)
        steps = own.get("matched", {})  # of a control with as many: its rows are counted
        counted = self.training(steps, steps.get("tasks", ()))
        found |= {f"matched/{name}": fingerprint for name, fingerprint in counted.items()}
        found |= self.raw(own if "task" in own else own.get("raw", {}))
        found |= self.evaluation(own)
        return found | (self.encoder() if "encoder" in own else {}) | self.synonyms(own)

    def training(self, own: dict, names: Iterable[str]) -> dict:
        """Of the training sets of tasks, in the splits and languages that a run's settings name."""
        splits = own.get("train_splits", {})
        found = {name: splits.get(name) or self.tables[name].train_split for name in names}
        return {
            f"{name}/{code}/train": self.fingerprint(name, code, split)
            for name, split in found.items()
            for code in own.get("translations") or [own.get("source", "en")]
        }

    def development(self, own: dict) -> dict:
        """Of development sets, and of the evaluation sets they are kept apart from."""
        read = [*own.get("dev_splits", {}).items(), *own.get("dev_apart", {}).items()]
        return {
            f"{name}/en/dev": self.fingerprint(name, "en", split) for name, split in read if split
        }

    def raw_task(self, purpose: str) -> tables.Task:
        """The task of raw text. UserError, with the purpose, where the data have none."""
        for task in self.tables.values():
            if task.kind == "masked":
                return task
        raise UserError(f"data = {self.settings.data!r}: has no raw text {purpose}")

    def raw(self, raw: dict) -> dict:
        """Of raw text."""
        if not raw:
            return {}
        name, split = raw["task"], self.tables[raw["task"]].train_split
        return {f"{name}/{code}": self.fingerprint(name, code, split) for code in raw["languages"]}

    def evaluation(self, own: dict) -> dict:
        """Of evaluation sets, and of the gold pairs that thresholds are tuned on."""
        found: dict[str, str] = {}
        for name, codes in own.get("targets", {}).items():
            row = self.tables[name]
            split, dev = own.get("eval_splits", {}).get(name) or row.eval_split, row.dev_split
            for code in codes:
                found[f"{name}/{code}"] = self.fingerprint(name, code, split)
                if row.evaluator == "pairs" and bucc.present(code, dev, self.data):
                    found[f"{name}/{code}/{dev}"] = self.fingerprint(name, code, dev)
            for code, code_2 in own.get("pairs", {}).get(name, ()):
                found[f"{name}/{code}+{code_2}"] = self.fingerprint(name, code, split, code_2)
        return found

    def encoder(self) -> dict:
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

    def synonyms(self, own: dict) -> dict:
        """Of a list of synonyms."""
        name = own.get("synonyms", "embeddings")
        return {} if name == "embeddings" else {"synonyms": checksum(folders.typed(name))}

    def commits(self, data: dict) -> dict[str, str]:
        """{data set: commit} of what a run reads from the hub, as the fingerprints hold it."""
        names = dict.fromkeys(key.partition("/")[0] for key in data)
        found = {key: each for name in names for key, each in self.commits_of(name).items()}
        return {name: commit for name, commit in found.items() if commit}

    def commits_of(self, name: str) -> dict[str, str]:
        """{data set: commit} of what a task is read from; an empty commit where that is unknown."""
        found, row = {}, self.tables.get(name)
        splits = "+".join(filter(None, (row.train_split, row.eval_split))) if row else ""
        for part in hub.parts_of(name, row.languages[0], splits, "hub") if row else ():
            with suppress(UserError):  # said where the data are looked up
                found[part.task.hub] = part.repo.commit if part.files is None else ""
        return found


class Published(Inputs):
    """Inputs of a study whose data are not here: the published sizes of the training sets."""

    def rows(self, task: str, most: int | None, split: str | None = None, code="en") -> int:
        """How many training rows are used."""
        found = lengths.published(task, "train").rows
        return min(found, most or found)

    def fingerprint(self, task, language, split, language_2=None) -> str:
        """No data, no fingerprint."""
        return ""

    def encoder(self) -> dict:
        """No checksums."""
        return {}

    def commits(self, data) -> dict:
        """No commits: nothing is asked."""
        return {}
