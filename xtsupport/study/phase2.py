"""What phase 2 of a condition trains on: tasks, rows, splits and languages, and its settings."""

from functools import cached_property

from xtsupport import tables
from xtsupport.data import hub
from xtsupport.errors import UserError
from xtsupport.study import conditions
from xtsupport.study.inputs import Inputs
from xtsupport.study.params.groups import Overrides

# What decides how many steps phase 2 takes, beside its rows.
OF_STEPS = ("epochs", "batch_size", "max_length", "stride", "step", "sampler", "mixing_cap")


class Phase2:
    """Phase 2 of one condition of a study."""

    def __init__(self, name: str, inputs: Inputs):
        self.condition, self.inputs, self.all = conditions.parse(name), inputs, inputs.settings

    @cached_property
    def tasks(self) -> list[str]:
        """The tasks that it trains on."""
        base = self.condition.base
        return conditions.single_tasks(self.all.conditions) if base == "all" else [base]

    @cached_property
    def settings(self) -> dict:
        """``intermediate``, after the overrides of its task or ``all``, then its own."""
        own, base = self.all.intermediate.model_dump(), self.condition.base
        for name in (base, self.condition.name):
            own = self.all.intermediate_tasks.get(name, Overrides()).over(own)
        mixing = () if base == "all" else ("sampler", "mixing_cap", "temperature")
        return {key: own[key] for key in own if key not in mixing}

    @cached_property
    def splits(self) -> dict[str, str]:
        """The training splits that were named for its tasks, or for the condition."""
        per_task = self.all.intermediate_tasks
        special = own_splits(per_task, [self.condition.name])
        named = {name: split for split in special.values() for name in self.tasks}
        return own_splits(per_task, self.tasks) | named

    @cached_property
    def own_rows(self) -> dict[str, int]:
        """The rows of each task after its own `max_rows`."""
        found = {}
        for name in self.tasks:
            own = self if self.condition.base == name else Phase2(name, self.inputs)
            found[name] = self.inputs.rows(name, own.settings["max_rows"], self.splits.get(name))
        return found

    @cached_property
    def rows(self) -> dict[str, int]:
        """How many rows of each task it trains on."""
        if "@matched" not in self.condition.marks:
            return self.own_rows
        every = conditions.single_tasks([*self.all.conditions, self.condition.base])
        least = min(rows for n in every for rows in Phase2(n, self.inputs).own_rows.values())
        return dict.fromkeys(self.tasks, least)

    @cached_property
    def translations(self) -> list[str]:
        """The study's languages that every task of ``X@translated`` is translated into."""
        if "@translated" not in self.condition.marks:
            return []
        usual, data = self.inputs.tables, self.inputs.data
        splits = {name: self.splits.get(name) or usual[name].train_split for name in self.tasks}
        spoken = self.all.every_language(usual) - {"en"}
        there = [
            code
            for code in tables.languages(data)
            if code in spoken and all(hub.available(n, code, s, data) for n, s in splits.items())
        ]
        if not there:
            self.inputs.problems.append(UserError(
                f"conditions: {self.condition.name!r}: data = {self.all.data!r} has no "
                f"translations of {', '.join(self.tasks)} into any language of the targets; put "
                "them beside the English set (for squad: rajpurkar/squad/plain_text.de/), or name "
                f"a split that has them: intermediate_tasks.{self.condition.name}.train_split"
            ))  # fmt: skip
        return there

    @cached_property
    def raw(self) -> dict:
        """What ``+mlm`` reads: raw text of the study's languages, English included."""
        if "+mlm" in self.condition.marks:
            with self.inputs.noted():
                task = self.inputs.raw_task("for +mlm (no task of kind masked)")
                spoken = task.spoken(self.all.every_language(self.inputs.tables) | {"en"})
                documents = self.all.mlm.documents
                return {"task": task.name, "languages": spoken, "documents": documents}
        return {}

    @cached_property
    def steps(self) -> dict:
        """What decides its number of steps, for the control that takes as many."""
        mixed = "+mlm" in self.condition.marks
        return {
            "tasks": self.rows,
            **{key: self.settings[key] for key in OF_STEPS if key in self.settings},
            **asked(
                train_splits=self.splits,
                translations=self.translations,
                masked_share=mixed and self.all.mlm.share,
            ),
        }


def own_splits(overrides: dict, names: list[str]) -> dict[str, str]:
    """The training splits that were named for some of the tasks: {task: split}."""
    return asked(**{name: overrides[name].train_split for name in names if name in overrides})


def asked(**settings) -> dict:
    """Settings of a run that are absent unless somebody asked for them: run keys stay the same."""
    return {key: value for key, value in settings.items() if value}
