"""Everything that was run here, side by side, by what differs: ``xtsupport runs``, 03, 04 and 06.

A run is named by its side, by the settings in which it departs from its study's, and by its seed:
``squad{intermediate.learning_rate=0.0005}, seed 0``.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path

import pandas as pd

from xtsupport import folders
from xtsupport.errors import UserError
from xtsupport.sides import short_name
from xtsupport.study import run_store, runs
from xtsupport.study.finished import stacked
from xtsupport.study.plan import PHASES, Study
from xtsupport.study.runs import Run

DERIVED = ("rows", "tasks", "targets", "languages", "task", "max_clusters", "translations", "raw",
           "encoder", "pairs", "eval_splits")  # fmt: skip
SCORED = ("target", "retrieval")


@dataclass(frozen=True)
class Done:
    """A finished run: its folder, its record, and how its settings depart from its study's."""

    folder: Path
    record: dict
    departs: str = ""  # in braces

    @property
    def side(self) -> str:
        """Condition, and variant if not plain."""
        return short_name((self.record["condition"], self.record["variant"]))

    @property
    def label(self) -> str:
        """Its side and, in braces, where its settings are not those of its study's run."""
        return self.side + self.departs

    @cached_property
    def run(self) -> Run:
        """The run as it was done, and those above it that are still there."""
        names = ("study", "phase", "variant", "seed", "training_task", "settings", "data")
        places = filter(None, map(run_store.place, self.record["upstream"].values()))
        return Run(
            **{name: self.record[name] for name in names},
            condition=self.record["condition"] + self.departs,
            name=self.folder.name,
            upstream=tuple(Done(each, runs.read_record(each) or {}).run for each in places),
            listed=self.record.get("recipe", ""),
        )

    @cached_property
    def settings(self) -> dict[str, object]:
        """What it and those above it were done with: "intermediate.learning_rate" -> value."""
        return settings_of(self.run)


def found(study: Study | None = None, phase: str | None = None) -> list[Done]:
    """The finished runs in ``outputs/runs``, in the order of phases, of a study and phase or all.

    Of a study are the runs that were made for it, by hand or by `xtsupport run`, with whatever
    settings, and those of other studies that it shares. Its phase 2 from the package is among them.
    """
    planned = {run.recipe: run for run in study.plan.runs if not run.listed} if study else {}
    places = run_store.entries(folders.runs())
    places += [each[0] for run in planned.values() if (each := runs.standing(run, True))]
    made = []
    for folder in dict.fromkeys(places):
        record = runs.read_record(folder)
        if not record or phase not in (None, record["phase"]) or runs.flaws(folder):
            continue
        mine = not study or record["study"] == study.settings.study
        if mine or record.get("recipe") in planned:
            made.append(Done(folder, record))
    sides = [*study.settings.conditions, *study.settings.variants] if study else []
    order = {name: place for place, name in enumerate([*PHASES, *sides])}
    made.sort(
        key=lambda each: (
            order[each.record["phase"]],
            each.record["training_task"],
            order.get(each.side, len(order)),
            each.side,
            each.record["seed"],
            each.record.get("recipe") not in planned,
            each.record.get("started", ""),
        )
    )
    usual: dict[str | tuple, dict] = {}
    for run in planned.values():
        usual.setdefault(run.phase, settings_of(run))  # of another condition, for want of its own
        usual.setdefault((run.phase, run.side, run.training_task), settings_of(run))
    return [replace(each, departs=departure(each, usual)) for each in made]


def settings_of(run: Run) -> dict[str, object]:
    """The settings of a run and of those above it, each with its phase in front."""
    flat = own_settings(run.phase, run.settings, run.data)
    for each in run.upstream:
        flat |= settings_of(each)
    return flat


def own_settings(phase: str, settings: dict, data: dict) -> dict[str, object]:
    """A phase's own settings, those that follow from others left out; the encoder counts once."""
    flat = {f"{phase}.{key}": value for key, value in settings.items() if key not in DERIVED}
    if steps := flat.pop("target.matched", None):  # of a control: what decides its steps
        flat |= own_settings("matched", steps, {})
    if "encoder" in settings:
        content = [sha for name, sha in sorted(data.items()) if name.startswith("encoder/")]
        version = f" ({runs.digest(content)[:6]})" if content else ""
        flat["encoder"] = f"{settings['encoder']}{version}"
    return flat


def departure(done: Done, usual: dict) -> str:
    """Where its settings are not those of its study's run, in braces."""
    phase = done.record["phase"]
    exact = usual.get((phase, done.side, done.record["training_task"]))
    same = exact or usual.get(phase, {})  # of another condition: only what both have
    other = [
        f"{key}={value}"
        for key, value in done.settings.items()
        if value != same.get(key, None if exact else value)
    ]
    return f"{{{','.join(other)}}}" if other else ""


def runs_table(made: Sequence[Done]) -> pd.DataFrame:
    """One row per run: what it is, the settings in which they differ, loss and scores in points.

    Columns: phase, condition, task, seed, settings that differ, final_loss, for every target its
    score in English and its mean over the other languages, minutes, run (the folder's name).
    """
    if not made:
        raise UserError("no finished run here yet; run a training cell, or `xtsupport run`")
    varied = differing(made)
    rows = []
    for each in made:
        record = each.record
        trained = record["training_task"] or "+".join(record["settings"].get("tasks", ()))
        row = {"phase": record["phase"], "condition": each.side, "task": trained,
               "seed": record["seed"]}  # fmt: skip
        row |= {key: each.settings.get(key) for key in varied}
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
    from xtsupport.tables import language_table

    made = [each for each in found(study, phase) if phase or each.record["phase"] in SCORED]
    if targets:
        made = [each for each in made if {*targets} & {*each.run.settings.get("targets", targets)}]
    if not made:
        print("No run of this study is finished here yet.")
        return
    display(readable(runs_table(made)).style.hide(axis="index").format(str))
    lost = losses(made)
    for task in lost["task"].unique() if phase and len(lost) else ():
        display(plots.losses_of_runs(lost[lost["task"] == task], task))
    scored = scores_of(made)
    scores = with_guesses(official(scored, study.data), study.data) if len(scored) else scored
    for task in scores["task"].unique() if len(scores) else ():
        if not targets or task in targets:
            display(plots.score_heatmap(scores, language_table(study.data), task))
