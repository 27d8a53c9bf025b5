"""Everything that was run here, side by side, by what differs: ``xtsupport runs``, 03, 04 and 06.

A run is named by its side, by the settings in which it departs from its study's, and by its seed:
``squad{intermediate.learning_rate=0.0005}, seed 0``.
"""

from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

import pandas as pd

from xtsupport import folders
from xtsupport.errors import UserError
from xtsupport.report.numbers import counted
from xtsupport.sides import short_name
from xtsupport.study import run_store, runs
from xtsupport.study.finished import stacked
from xtsupport.study.parameters import as_list
from xtsupport.study.plan import PHASES, Study, open_study
from xtsupport.study.runs import Run

DERIVED = ("rows", "tasks", "targets", "languages", "task", "translations", "raw", "encoder",
           "pairs")  # fmt: skip
NAMES = {"precision": "precision"} | {  # in params files, of what is not its phase's
    key: f"evaluation.{key.removeprefix('eval_')}"
    for key in ("max_clusters", "max_answer_length", "eval_splits")
}
SCORED = ("target", "retrieval")
OWN = ("study", "phase", "variant", "seed", "training_task", "settings", "data")
NAMED = 5  # damaged runs in one line


@dataclass(frozen=True)
class Done:
    """A finished run: its folder, its record, and the settings that are not its study's."""

    folder: Path
    record: dict
    departs: dict[str, object] = field(default_factory=dict)

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

    @property
    def words(self) -> str:
        """``target mnli under squad{target.epochs=4.0}, seed 0 (study demo)``."""
        return run_store.described(self.record | {"condition": self.condition})

    def place(self, sides: Sequence[str]) -> tuple:
        """Where it stands in a table: by phase, training task, side, seed, settings and time."""
        order, record = {name: place for place, name in enumerate(sides)}, self.record
        side = order.get(self.side, len(order)), self.side, record["seed"], bool(self.departs)
        return order[record["phase"]], record["training_task"], *side, record.get("started", "")

    @cached_property
    def run(self) -> Run:
        """The run as it was done, and those above it; of one that is gone only its key."""
        own = {name: self.record[name] for name in OWN} | {"made": self.record["run_key"]}
        above = []
        for name, key in self.record["upstream"].items():
            place = run_store.place(key)
            gone = Run(own["study"], name.partition("/")[0], "", 0, name, made=key)
            above.append(Done(place, runs.read_record(place) or {}).run if place else gone)
        return Run(
            **own,
            condition=self.condition,
            name=self.folder.name,
            upstream=tuple(above),
            listed=self.record.get("recipe", ""),
        )

    @cached_property
    def settings(self) -> dict[str, object]:
        """What it and those above it were done with: "intermediate.learning_rate" -> value."""
        return settings_of(self.run)


def found(
    study: Study | None = None, phase: str | None = None, damaged: bool = False
) -> list[Done]:
    """The finished runs in ``outputs/runs``, in the order of phases, of a study and phase or all;
    damaged: those with files that have changed or gone since.

    Of a study are the runs that were made for it, in a notebook or by `xtsupport run`, with
    whatever settings, and those of other studies that it shares. Its phase 2 from the package is
    among them. They depart from what its file says, whatever `settings` a notebook has.
    """
    filed = as_filed(study) if study else None
    usual = {run.recipe: run for run in filed.plan.runs if not run.listed} if filed else {}
    planned = usual | {run.recipe: run for run in study.plan.runs} if study else {}
    places = [each for each in run_store.entries(folders.runs()) if named(each)]
    places += [each[0] for run in planned.values() if (each := runs.standing(run, True))]
    made = []
    for folder in dict.fromkeys(places):
        record = runs.read_record(folder)
        if not record or phase not in (None, record["phase"]):
            continue
        mine = not study or record["study"] == study.settings.study
        if (mine or record.get("recipe") in planned) and bool(runs.flaws(folder)) == damaged:
            made.append(Done(folder, record, departure(Done(folder, record), usual)))
    sides = [*PHASES, *filed.settings.conditions, *filed.settings.variants] if filed else PHASES
    return sorted(made, key=lambda each: each.place(sides))


def named(folder: Path) -> bool:
    """Whether a folder of the store is called after the run that its record is of."""
    key = (runs.read_record(folder) or {}).get("run_key", "")
    return key[: runs.SHORT] == folder.name


def as_filed(study: Study) -> Study:
    """The whole study as its file has it, without a notebook's `settings`; as it is where that
    cannot be opened, such as without its data."""
    with suppress(UserError):
        return open_study(study.params) if study.settings.chosen or study.whole else study
    return study


def damage(study: Study | None = None) -> list[str]:
    """A line that counts and names the damaged runs, of a study or all, and what has the name of
    none of them, and says what to do; none where there are none."""
    names = [f"{each.words}, {folders.portable(each.folder)}" for each in found(study, None, True)]
    names += [
        folders.portable(folder)
        for folder in run_store.entries(folders.runs())
        if (folder / runs.RECORD).is_file() and not named(folder)
    ]
    if not names:
        return []
    more = [f"and {len(names) - NAMED} more"] * (len(names) > NAMED)
    return [
        f"{counted(len(names), 'damaged run')} left out: {'; '.join(names[:NAMED] + more)}. Repeat "
        "with the same settings, which replaces what is damaged, or delete the folder"
    ]


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


def runs_table(made: Sequence[Done]) -> pd.DataFrame:
    """One row per run: what it is, the settings in which they differ, loss and scores in points.

    Columns: phase, condition, task, seed, settings that differ, final_loss, for every target its
    score in English and its mean over the other languages, minutes, run (the folder's name).
    Settings that differ are those in which runs of one condition differ, or from the study's.
    """
    if not made:
        raise UserError("no finished run here yet; run a training cell, or `xtsupport run`")
    varied = dict.fromkeys([*differing(made), *(key for each in made for key in each.departs)])
    rows = []
    for each in made:
        record = each.record
        trained = record["training_task"] or "+".join(record["settings"].get("tasks", ()))
        row = {"phase": record["phase"], "condition": each.side, "task": trained,
               "seed": record["seed"]}  # fmt: skip
        row |= {key: each.settings.get(key, each.departs.get(key)) for key in varied}
        row |= {"final_loss": record.get("final_loss")} | means(each)
        rows.append(row | {"minutes": record["seconds"] / 60, "run": each.folder.name})
    return pd.DataFrame(rows).dropna(axis="columns", how="all")


def readable(table: pd.DataFrame) -> pd.DataFrame:
    """The table for printing: scores with two digits, settings in full, dashes for gaps."""
    numbers = [name for name in table.select_dtypes("number") if "." not in name]
    shown = table.assign(**{name: table[name].round(2) for name in numbers}).astype(object)
    return shown.where(table.notna(), "\N{EN DASH}")


def differing(made: Iterable[Done]) -> list[str]:
    """The settings in which runs of one side and training task differ."""
    values: dict[tuple, set[str]] = {}
    for each in made:
        for key, value in each.settings.items():
            group = key, each.record["phase"], each.side, each.record["training_task"]
            values.setdefault(group, set()).add(repr(value))
    return list(dict.fromkeys(group[0] for group, seen in values.items() if len(seen) > 1))


def means(done: Done) -> dict[str, float]:
    """Per target: the official score in English, and its mean over the other languages."""
    scores = stacked([(done.folder, {})], "scores.csv")
    if scores.empty:
        return {}
    if "language_2" in scores:
        scores = scores[scores["language_2"].isna()]
    row = {}
    for task, part in scores.groupby("task", sort=False):
        part = part[part["metric"] == part["metric"].iloc[0]]
        home = part["language"] == "en"
        if home.any():
            row[f"{task} (en)"] = part.loc[home, "score"].mean()
        if not home.all():
            row[f"{task} (others)"] = part.loc[~home, "score"].mean()
    return row


def losses(made: Sequence[Done]) -> pd.DataFrame:
    """The losses of several runs (step, task, loss) with their name in column run."""
    parts = [(each.folder, {"run": f"{each.label}, seed {each.record['seed']}"})
             for each in made]  # fmt: skip
    return stacked(parts, "history.csv")


def scores_of(made: Sequence[Done]) -> pd.DataFrame:
    """Scores by language, with the runs' labels as conditions, as ``score_table`` has them."""
    scored = [each for each in made if each.record["phase"] in SCORED]
    parts = [(each.folder, {"condition": each.label, "seed": each.record["seed"]})
             for each in scored]  # fmt: skip
    return stacked(parts, "scores.csv")


def show_runs(study: Study, phase: str | None = None, targets: Sequence[str] = ()) -> None:
    """In a notebook: show the table and the figures of all runs of a study.

    phase: intermediate (losses), target or retrieval (losses, scores by language and family);
    None: all that have scores. targets: only the runs on these, and their scores; empty: all.
    """
    from IPython.display import display

    from xtsupport.cube.scores import official, with_guesses
    from xtsupport.report import plots
    from xtsupport.report.style import origin
    from xtsupport.tables import language_table

    for line in damage(study) if phase else ():  # 06 has said it above
        print(line)
    wanted = {*as_list(targets)}
    made = [
        each
        for each in found(study, phase)
        if (phase or each.record["phase"] in SCORED)
        and (not wanted or wanted & {*each.record["settings"].get("targets", wanted)})
    ]
    if not made:
        print("No run of this study is finished here yet.")
        return
    lost, scored = losses(made), scores_of(made)
    scores = with_guesses(official(scored, study.data), study.data) if len(scored) else scored
    tasks = scores["task"].unique() if len(scores) else ()
    with origin(""):  # all that was run, whatever the rest of the notebook is about
        display(readable(runs_table(made)).style.hide(axis="index").format(str))
        for task in lost["task"].unique() if phase and len(lost) else ():
            display(plots.losses_of_runs(lost[lost["task"] == task], task))
        for task in tasks:
            if not wanted or task in wanted:
                display(plots.score_heatmap(scores, language_table(study.data), task))
