"""How runs are named: by side, what departs, and seed, as ``squad{target.epochs=4.0}, seed 0``."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path

from xtsupport import folders
from xtsupport.sides import short_name
from xtsupport.study import run_store, runs
from xtsupport.study.runs import Run

DERIVED = ("rows", "tasks", "targets", "languages", "task", "translations", "raw", "encoder",
           "pairs")  # fmt: skip
NAMES = {"precision": "precision"} | {  # in params files, of what is not its phase's
    key: f"evaluation.{key.removeprefix('eval_')}"
    for key in ("max_clusters", "max_answer_length", "eval_splits")
}
OWN = ("study", "phase", "variant", "seed", "training_task", "settings", "data")


@dataclass(frozen=True)
class Done:
    """A run that was begun: its folder, its record, and the settings that are not its study's."""

    folder: Path
    record: dict
    departs: dict[str, object] = field(default_factory=dict)

    @property
    def state(self) -> str:
        """done, damaged (files have changed or gone since) or unfinished."""
        if not (self.folder / runs.RECORD).exists():
            return "unfinished"
        return "damaged" if runs.flaws(self.folder) else "done"

    @property
    def marked(self) -> "Done":
        """The same, with a mark of its own: ``squad{start=package}``, or of its folder."""
        mark = {"start": "package"} if self.from_package else {"again": self.folder.name[:6]}
        return replace(self, departs=self.departs | mark)

    @property
    def from_package(self) -> bool:
        """Whether it starts from a phase 2 of the package."""
        above = self.record["upstream"].items()
        places = [run_store.place(key) for name, key in above if name.startswith("intermediate")]
        return any(each and each.is_relative_to(folders.shipped()) for each in places)

    @property
    def side(self) -> str:
        """Condition, and variant if not plain."""
        return short_name((self.record["condition"], self.record["variant"]))

    @property
    def label(self) -> str:
        """Its side and, in braces, where its settings are not those of its study's run."""
        return short_name((self.condition, self.record["variant"]))

    @property
    def condition(self) -> str:
        """The condition with ``{target.epochs=4.0}``, if anything departs. How another encoder was
        pretrained is not spelt out: it is as many settings as its study has none of."""
        made = {key: each for key, each in self.departs.items() if key.startswith("pretraining.")}
        told = {key: each for key, each in self.departs.items() if key not in made}
        if made and "encoder" in told:
            told["encoder"] = f"{told['encoder']} ({runs.digest(made)[:6]})"
        else:
            told |= made
        text = ",".join(f"{key}={value}" for key, value in told.items())
        return self.record["condition"] + f"{{{text}}}" * bool(text)

    def place(self, sides: Sequence[str]) -> tuple:
        """Where it stands in a table: by phase, training task, side, seed, settings and time."""
        order, record = {name: place for place, name in enumerate(sides)}, self.record
        side = order.get(self.side, len(order)), self.side, record["seed"], bool(self.departs)
        return order[record["phase"]], record["training_task"], *side, record.get("started", "")

    @cached_property
    def run(self) -> Run:
        """The run as it was done, and those above it; of one that is gone only its key."""
        record, above = self.record, []
        for name, key in record["upstream"].items():
            place = run_store.place(key)
            gone = Run(record["study"], name.partition("/")[0], "", 0, name, made=key)
            above.append(Done(place, runs.read_record(place) or {}).run if place else gone)
        return Run(
            **{name: record[name] for name in OWN},
            condition=self.condition,
            name=self.folder.name,
            upstream=tuple(above),
            listed=record.get("recipe", ""),
            made=record["run_key"],
        )

    @cached_property
    def settings(self) -> dict[str, object]:
        """What it and those above it were done with: "intermediate.learning_rate" -> value."""
        return settings_of(self.run)


def settings_of(run: Run) -> dict[str, object]:
    """The settings of a run and of those above it, as params files name them; of a run that is
    gone, "intermediate" -> its key."""
    if run.made and not run.settings:
        return {run.phase: f"{run.made[:6]} (gone)"}
    flat = own_settings(run.phase, run.settings, run.data)
    for each in run.upstream:
        flat |= settings_of(each)
    return flat


def own_settings(phase: str, settings: dict, data: dict) -> dict[str, object]:
    """A phase's own settings, those that follow from others left out; what is the same in all
    phases counts once."""
    kept = {key: value for key, value in settings.items() if key not in DERIVED}
    flat = {NAMES.get(key, f"{phase}.{key}"): value for key, value in kept.items()}
    if steps := flat.pop("target.matched", None):  # of a control: what decides its steps
        flat |= own_settings("matched", steps, {})
    if "encoder" in settings:
        content = [sha for name, sha in sorted(data.items()) if name.startswith("encoder/")]
        version = f" ({runs.digest(content)[:6]})" if content else ""
        flat["encoder"] = f"{settings['encoder']}{version}"
    if phase == "retrieval" and "precision" in flat:  # all training has another one
        flat["retrieval.precision"] = flat.pop("precision")
    return flat


def content(run: Run) -> list:
    """What decides a run's result, whatever its seed: data and languages, then all the rest."""
    data = run.data, [run.settings.get(key) for key in DERIVED]
    return [runs.digest(data), runs.digest([run.settings, *map(content, run.upstream)])]


def departure(done: Done, usual: Mapping[str, Run]) -> dict[str, object]:
    """Its settings that are not those of its study's run of this side and task; other languages or
    data are a mark. usual: the runs of the study by recipe."""
    if done.record.get("recipe") in usual:
        return {}
    alike = [run for run in usual.values() if run.phase == done.record["phase"]]
    wanted = done.side, done.record["training_task"]
    exact = [run for run in alike if (run.side, run.training_task) == wanted]
    same = next(map(settings_of, exact or alike), {})  # of another condition: only what both have
    other = {
        key: value
        for key, value in done.settings.items()
        if value != same.get(key, None if exact else value)
    }
    if other or not exact:
        return other
    both = zip(content(done.run), content(exact[0]), strict=True)
    return next(({"data": mine[:6]} for mine, usual in both if mine != usual), {})
