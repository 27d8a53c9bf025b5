"""What finished runs left, as tables: the notebooks read their figures from here."""

import json
import re
from collections.abc import Iterable, Iterator
from contextlib import suppress
from pathlib import Path

import pandas as pd

from xtsupport import folders
from xtsupport.errors import UserError, did_you_mean
from xtsupport.files import read_csv
from xtsupport.sides import bare, in_braces
from xtsupport.study import run_store, runs
from xtsupport.study.plan import Study, open_study
from xtsupport.study.runs import NOTEBOOKS, PHASES, SCORED, Run

USUAL = {
    "history.csv": {"step", "task", "loss"},
    "scores.csv": {"task", "language", "metric", "score"},
}


def finished(study: Study, phase: str) -> list[Run]:
    """The runs of a phase that are whole: in the store or in the package."""
    return [run for run in study.runs(phase, into="scratch") if runs.find(run)]


def progress_table(study: Study) -> pd.DataFrame:
    """Per phase: its notebook, how many runs the study has, and how many of them are whole."""
    rows = []
    for phase in PHASES:
        made = study.runs(phase)
        rows.append((phase, NOTEBOOKS[phase], len(made), sum(map(runs.is_whole, made))))
    return pd.DataFrame(rows, columns=["phase", "notebook", "runs", "done"])


def table(done: Iterable[Run], name: str) -> pd.DataFrame:
    """The CSV file `name` of several runs, with their condition and seed in front.

    A variant of phase 3 is named with its condition: ``squad/source=de``.

    name: history.csv (step, task, loss), scores.csv (task, language, metric, score in points,
    n_examples) or layers.csv (task, language, layer, accuracy, accuracy_centred). Raises UserError
    when a run is missing, or there is none at all.
    """
    parts = [(runs.require(run), {"condition": run.side, "seed": run.seed}) for run in done]
    if not parts:
        raise UserError(
            "no finished run to show; run the cells above, or `xtsupport run` the study"
        )
    return stacked(parts, name)


def predictions(study: Study, condition: str, target: str) -> pd.DataFrame:
    """Per-example scores and predictions of a condition on one target, all finished seeds.

    A condition that was only run with other settings, all the same, stands for its name in braces.
    Columns: those of the cube, and `prediction`. Raises UserError when no seed is finished.
    """
    shipped = study.folder / "cube"
    if shipped.is_relative_to(folders.shipped()):
        from xtsupport.cube.store import read_cube

        cube = read_cube(shipped, tasks=[target])
        own = (cube["condition"] == condition) & cube["seed"].isin(study.settings.every_seed)
        return cube[own].reset_index(drop=True)
    asked = [run for phase in SCORED for run in study.runs(phase, into="scratch")]
    there = scored_here(run for run in asked if target in run.settings["targets"])
    alike = {run.side: run for run in there if bare(run.side) == condition != run.side}
    others = sorted(alike)
    if len(others) == 1 and not any(run.side == condition for run in there):
        (condition,) = others
    done = [run for run in there if run.side == condition]
    if not done and others:
        ways = as_chosen(study, map(alike.__getitem__, others))
        raise UserError(
            f"{target} under {condition!r}: run with several settings. Give one of these names, "
            f"{', '.join(others)}; or set {' or '.join(ways) or 'settings'}"
        )
    if not done:
        names = {run.condition for run in asked}
        meant = "" if bare(condition) in names else did_you_mean(condition, names)
        raise UserError(
            f"{target} under {condition!r}{meant}: no run of it is finished; run notebook "
            f"04_target_transfer with condition = {condition!r} and targets = [{target!r}]"
        )
    parts = [
        pd.read_parquet(there[run] / "examples.parquet").assign(condition=run.side) for run in done
    ]
    read = pd.concat(parts, ignore_index=True)
    return read[read["task"] == target].reset_index(drop=True)


def scored_here(asked: Iterable[Run]) -> dict[Run, Path]:
    """The interactive runs with scores that are whole, and their folders; where none starts from
    the phase 2 that is here now, the latest that started from another, such as the package's."""
    found = {run: runs.find(run) for run in asked}
    wanted = {run.recipe for run, folder in found.items() if not folder}
    entries = run_store.entries(folders.runs()) if wanted else []
    records = [(each, runs.read_record(each) or {}) for each in entries]
    others = [each for each in records if each[1].get("recipe") in wanted]
    others.sort(key=lambda each: each[1].get("started", ""))
    latest = {record["recipe"]: folder for folder, record in others if not runs.flaws(folder)}
    either = ((run, folder or latest.get(run.recipe)) for run, folder in found.items())
    return {run: folder for run, folder in either if folder}


def as_chosen(study: Study, made: Iterable[Run]) -> Iterator[str]:
    """The `settings` that choose some runs, as the names have them in braces:
    ``settings = ["a.b=1"]``. None for what cannot be chosen: a run of other data or of an encoder
    that has changed since, or one that started from a run that is gone.
    """
    recipes: dict[str, set[str]] = {}
    for run in made:
        recipes.setdefault(run.condition, set()).add(run.recipe)
    for name, own in recipes.items():
        texts = [re.sub(r" \(\w{6}\)$", "", each) for each in in_braces(name)]
        with suppress(UserError):
            chosen = open_study(study.params, texts).plan.runs if texts else ()
            if own & {run.recipe for run in chosen}:
                yield f"settings = {json.dumps(texts, ensure_ascii=False)}"


def has_predictions(study: Study, conditions: Iterable[str], target: str) -> bool:
    """Whether every one of the conditions has a finished run on the target; says so if not."""
    try:
        for condition in conditions:
            predictions(study, condition, target)
    except UserError as error:
        print(error)
        return False
    return True


def stacked(parts: Iterable[tuple[Path, dict]], name: str) -> pd.DataFrame:
    """The CSV file `name` of several run folders as one, with columns of each folder in front.

    Folders without that file, or with one of other columns (of a notebook that scores or trains in
    its own way), are left out. Raises UserError for a file that is no table.
    """
    frames = []
    for folder, first in parts:
        if (folder / name).is_file():
            frame = read_csv(folder / name).assign(**first)
            if not USUAL.get(name, set()) <= {*frame}:
                continue
            frames.append(frame[[*first, *(column for column in frame if column not in first)]])
    return pd.concat(frames, ignore_index=True) if frames else pd.DataFrame()
