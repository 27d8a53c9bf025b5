"""Everything that was run here, by what differs: ``xtsupport runs``, notebooks 03, 04 and 06."""

from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path

import pandas as pd

from xtsupport import files, folders
from xtsupport.errors import UserError
from xtsupport.report.names import task_name
from xtsupport.report.numbers import counted
from xtsupport.study import run_store, runs
from xtsupport.study.finished import stacked
from xtsupport.study.labels import Done, departure
from xtsupport.study.parameters import as_list
from xtsupport.study.plan import PHASES, Study, open_study
from xtsupport.study.runs import SCORED, Run

NAMED = 5  # damaged or unfinished runs in one line
MANY = 12  # rows of a table that a notebook folds


def survey(study: Study | None = None) -> list[Done]:
    """The runs in ``outputs/runs``, in the order of phases, of a study or all, in whatever state.

    Of a study are the runs that were made for it, in a notebook or by `xtsupport run`, with
    whatever settings, and those of other studies that it shares. Its phase 2 from the package is
    among them. They depart from what its file says, whatever `settings` a notebook has.
    """
    filed = study
    if study and (study.settings.chosen or study.whole):
        with suppress(UserError):  # such as without its data
            filed = open_study(study.params)
    usual = {run.recipe: run for run in filed.plan.runs if not run.listed} if filed else {}
    planned = usual | {run.recipe: run for run in study.plan.runs} if study else {}
    records = {folder: begun(folder) for folder in run_store.entries(folders.runs())}
    records |= filter(None, (runs.standing(run, True) for run in planned.values()))
    made = []
    for folder, record in records.items():
        mine = not study or record.get("study") == study.settings.study
        if record and (mine or record.get("recipe") in planned):
            made.append(Done(folder, record, departure(Done(folder, record), usual)))
    made = apart(made, planned) if study else made
    sides = [*PHASES, *filed.settings.conditions, *filed.settings.variants] if filed else PHASES
    return sorted(made, key=lambda each: each.place(sides))


def apart(made: Iterable[Done], planned: Mapping[str, Run]) -> list[Done]:
    """The same runs, where several have one name told apart by what they started from: all but the
    one that stands for the study's run, or else the latest."""
    alike: dict[tuple, list[Done]] = {}
    for each in made:
        name = each.record["phase"], each.record["training_task"], each.label, each.record["seed"]
        alike.setdefault(name, []).append(each)
    for every in alike.values():
        every.sort(key=lambda each: each.record.get("started", ""))
        mine = [each.record.get("recipe", "") for each in every[1:] and every]
        run = next((planned[recipe] for recipe in mine if recipe in planned), None)
        standing = runs.standing(runs.interactive(run)) if run else None
        usual = standing[0] if standing else every[-1].folder
        every[:] = [each if each.folder == usual else each.marked for each in every]
    return [each for every in alike.values() for each in every]


def begun(folder: Path) -> dict:
    """The record of the run that a folder of the store is called after, or of its checkpoint; empty
    where there is none, or while somebody works on it."""
    over = (folder / runs.RECORD).exists()
    record = runs.read_record(folder if over else folder / runs.CHECKPOINT)
    if not record or record["run_key"][: runs.SHORT] != folder.name:
        return {}
    return record if over or not files.is_locked(folder / runs.LOCK) else {}


def finished(made: Iterable[Done], *phases: str) -> list[Done]:
    """The finished runs of a survey, of some phases or all."""
    kept = [each for each in made if not phases or each.record["phase"] in phases]
    return [each for each in kept if each.state == "done"]


def found(study: Study | None = None, phase: str | None = None) -> list[Done]:
    """The finished runs of ``survey``, of a phase or all."""
    return finished(survey(study), *([phase] if phase else []))


def left_out(made: Iterable[Done]) -> list[str]:
    """A line that counts and names the damaged ones of a survey, and what has the name of no run;
    one for the unfinished. Both say what to do."""
    repeat = "Repeat with the same settings, which replaces what is damaged, or delete the folder"
    ways = {"damaged": repeat,
            "unfinished": "Running the same again continues from the last checkpoint"}  # fmt: skip
    names: dict[str, list[str]] = {state: [] for state in ways}
    for each in made:
        words = run_store.described(each.record | {"condition": each.condition})
        names.get(each.state, []).append(f"{words}, {folders.portable(each.folder)}")
    names["damaged"] += [
        folders.portable(folder)
        for folder in run_store.entries(folders.runs())
        if run_store.headless(folder) or ((folder / runs.RECORD).is_file() and not begun(folder))
    ]
    lines = []
    for state, every in names.items():
        few = every[:NAMED] + [f"and {len(every) - NAMED} more"] * (len(every) > NAMED)
        line = f"{counted(len(every), f'{state} run')} left out: {'; '.join(few)}. {ways[state]}"
        lines += [line] * bool(every)
    return lines


def runs_table(made: Sequence[Done]) -> pd.DataFrame:
    """One row per run: what it is, the settings in which they differ, loss and scores in points.

    Columns: phase, condition, trained on, seed, settings that differ, final_loss, for every target
    its score in English and its mean over the other languages, minutes, run (the folder's name).
    Settings that differ are those in which runs of one condition differ, or from the study's.
    """
    if not made:
        raise UserError("no finished run here yet; run a training cell, or `xtsupport run`")
    varied = dict.fromkeys([*differing(made), *(key for each in made for key in each.departs)])
    values = [{key: e.settings.get(key, e.departs.get(key)) for key in varied} for e in made]
    own = pd.DataFrame(values, dtype=object)  # so that a whole number beside a gap stays one
    rows = []
    for each in made:
        record = each.record
        trained = record["training_task"] or "+".join(record["settings"].get("tasks", ()))
        row = {"phase": record["phase"], "condition": each.side, "trained on": trained,
               "seed": record["seed"], **dict.fromkeys(varied)}  # fmt: skip
        row |= {"final_loss": record.get("final_loss")} | means(each)
        rows.append(row | {"minutes": record["seconds"] / 60, "run": each.folder.name})
    table = pd.DataFrame(rows).assign(**own).dropna(axis="columns", how="all")
    return table[[*table.columns.drop(last := ["minutes", "run"]), *last]]  # scores came in between


def readable(table: pd.DataFrame) -> pd.DataFrame:
    """The table for printing: scores with two digits, settings in full, dashes for gaps."""
    rounded = table.select_dtypes("number").round(2)
    if "final_loss" in rounded:  # may be tiny
        rounded["final_loss"] = [float(f"{loss:.3g}") for loss in table["final_loss"]]
    shown = table.assign(**rounded).astype(object)
    return shown.where(table.notna(), "\N{EN DASH}")


def folded(table: pd.DataFrame):
    """The table as a notebook shows it; one of many rows opens when clicked."""
    from IPython.display import HTML

    shown = table.style.hide(axis="index").format(str)
    if len(table) <= MANY:
        return shown
    label = f"<summary>The table of {len(table)} runs</summary>"
    return HTML(f"<details>{label}{shown.to_html()}</details>")


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
    row: dict[str, float] = {}
    for task, part in scores.groupby("task", sort=False):
        part = part[part["metric"] == part["metric"].iloc[0]]
        away = part["language"].ne("en").map({False: "en", True: "others"})
        row |= part.groupby(away)["score"].mean().add_prefix(f"{task} (").add_suffix(")").to_dict()
    return row


def losses(made: Sequence[Done]) -> pd.DataFrame:
    """The losses of several runs (step, task, loss) with their name in column run."""
    parts = [(each.folder, {"run": f"{each.label}, seed {each.record['seed']}"})
             for each in made]  # fmt: skip
    return stacked(parts, "history.csv")


def scores_of(made: Sequence[Done]) -> pd.DataFrame:
    """Scores by language, with the runs' labels as conditions, as ``score_table`` has them."""
    parts = [(each.folder, {"condition": each.label, "seed": each.record["seed"]})
             for each in made if each.record["phase"] in SCORED]  # fmt: skip
    return stacked(parts, "scores.csv")


def alike(scores: pd.DataFrame, other: pd.DataFrame, task: str) -> bool:
    """Whether two tables of scores have the same means of a task, to a tenth of a point."""
    parts = [each[each["task"].eq(task)].astype({"condition": str, "language": str})
             for each in (scores, other)]  # fmt: skip
    one, two = (part.groupby(["condition", "language"])["score"].mean() for part in parts)
    return one.index.equals(two.index) and bool(((one - two).abs() < 0.05).all())


def show_runs(
    study: Study,
    phase: str | None = None,
    targets: Sequence[str] = (),
    above: pd.DataFrame | None = None,
) -> None:
    """In a notebook: show the table and the figures of all runs of a study.

    phase: intermediate (losses), target or retrieval (losses, scores by language and family);
    None: all that have scores. targets: only the runs on these, and their scores; empty: all.
    above: scores whose pictures the notebook has shown; the same ones are not drawn again.
    """
    from IPython.display import display

    from xtsupport.cube.scores import official, with_guesses
    from xtsupport.report import plots
    from xtsupport.report.style import origin
    from xtsupport.tables import language_table

    every, wanted = survey(study), {*as_list(targets)}
    for line in left_out(every) if phase else ():  # 06 has said it above
        print(line)
    made = [
        each
        for each in finished(every, *([phase] if phase else SCORED))
        if not wanted or wanted & {*each.record["settings"].get("targets", wanted)}
    ]
    if not made:
        print("No run of this study is finished here yet.")
        return
    usual = {each.side for each in made if not each.departs}
    if lone := [side for side in dict.fromkeys(each.side for each in made) if side not in usual]:
        print(f"not run here with the settings of the study: {', '.join(lone)}")
    lost, scores = losses(made), scores_of(made)
    if len(scores):
        scores = with_guesses(official(scores, study.data), study.data)
    with origin(""):  # all that was run, whatever the rest of the notebook is about
        display(folded(readable(runs_table(made))))
        for task in lost["task"].unique() if phase and len(lost) else ():
            display(plots.losses_of_runs(lost[lost["task"] == task], task))
        for task in scores["task"].unique() if len(scores) else ():
            if above is not None and alike(scores, above, task):
                print(f"{task_name(task)}: the picture is the one above.")
            elif not wanted or task in wanted:
                display(plots.score_heatmap(scores, language_table(study.data), task))
