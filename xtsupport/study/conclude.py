"""From finished runs to the study's answer: the cube, the comparison as planned, the report."""

from dataclasses import replace
from pathlib import Path

import pandas as pd
import yaml

from xtsupport import folders
from xtsupport.errors import UserError
from xtsupport.files import plain_disk_errors, write_parquet
from xtsupport.report import style
from xtsupport.sides import short_name
from xtsupport.study import finished, my_runs, runs, what_counts
from xtsupport.study.execution import state
from xtsupport.study.narrowing import with_analysis
from xtsupport.study.plan import Study, open_study
from xtsupport.tables import languages

TOO_FEW = "no finished runs of two conditions with one target and seed here"
told = plain_disk_errors(Path("outputs"))  # a full disk is one line in a notebook as well


def present(study: Study, into: str = "scratch", demo: bool = False) -> Study:
    """Choose the results to draw conclusions from; prints what they are, and how many runs.

    These are the runs that ``counting`` names; without any, the study's own cube; without that, or
    with `demo`, the demo study that comes with the package, which every figure and table then
    names. With `into="study"`: the study itself. With other settings than the file's, nothing is
    declared. UserError without any results, or any with the settings that were chosen; and where
    part of a study, or other settings, would replace the study's own results.
    """
    style.ORIGIN = ""
    if into == "study":
        if (study.settings.chosen or study.whole) and (kept := state.replaced(study)):
            raise UserError(
                f"into = 'study': {folders.shown(study.folder)} holds {kept}, which these would "
                "replace; leave into = 'scratch'"
            )
        return study
    if demo:
        return shipped_study(study, asked=True)
    made = my_runs.survey(study)
    print(*(f"{line}\n" for line in my_runs.left_out(made)), sep="", end="")
    if study.settings.chosen:
        return with_settings(study)
    others, apart = what_counts.with_other_settings(study, made)
    print(*(f"{line}\n" for line in apart), sep="", end="")
    whole = what_counts.beside(study, others)
    if there := what_counts.counting(whole):
        print(*what_counts.counts(whole, there), sep="\n")
        if not what_counts.comparable(whole, there):
            why = "; `only` leaves the other sides out" * bool(study.whole)
            print(f"07 has nothing to compare here{why}")
        elif len({run.seed for run in there}) < 3:
            print("no verdicts from fewer than three seeds; `demo = True` shows the demo study")
        return what_counts.part_of(whole, there)
    if (study.folder / "cube").is_dir():
        print(f"the scores of study {study.settings.study}; its runs are not all here")
        return what_counts.held(study)
    return shipped_study(study)


def with_settings(study: Study) -> Study:
    """The runs with the settings chosen in the notebook, alone; none of it was declared."""
    whole = study.whole and with_analysis(study.whole, [], None)
    study = replace(study, settings=with_analysis(study.settings, [], None), whole=whole)
    chosen = ", ".join(study.settings.chosen)
    there = what_counts.counting(study)
    if not there:
        raise UserError(
            f"settings {chosen}: no two conditions were run here with these, on one target and "
            "seed; run notebooks 03 and 04 with the same `settings`, or leave `settings` empty "
            "here to see whatever was run"
        )
    style.ORIGIN = f"runs with {chosen}"
    style.name_tables()
    print(*what_counts.counts(study, there), sep="\n")
    return what_counts.part_of(study, there)


def declared(study: Study) -> str:
    """What the study declared in advance, as YAML; without a primary comparison, why there is
    none."""
    analysis, filed = study.settings.analysis, (study.whole or study.settings).analysis
    text = yaml.safe_dump(analysis.model_dump(), sort_keys=False, default_flow_style=None)
    if analysis.primary:
        return text
    why = f"{study.params} has none"
    if study.settings.chosen:
        why = f"{study.params} declares it of its own settings, and other ones were chosen here"
    elif one := filed.primary:
        both = f"{one.treatment} and {one.baseline}"
        why = f"these are not runs of {both} on {one.target} with the same seed, as declared"
    usual = "" if analysis.contrasts else "; every condition is compared with its usual baselines"
    return f"{text}\nno primary comparison: {why}{usual}. All is exploratory"


def shipped_study(study: Study, asked: bool = False) -> Study:
    """The demo study of the package: asked for, or in place of one of which too little was run."""
    part = "the chosen part of " * bool(study.whole)
    folder, here = folders.shipped() / "study", f"{part}study {study.settings.study} has {TOO_FEW}"
    here += f" ({apart})" if (apart := folders.outside(study.params)) else ""
    way = f"notebook 04_target_transfer or, in a terminal, `xtsupport run {study.params}`"
    if not (folder / "cube").is_dir():
        raise UserError(f"{here}: run {way}")
    only = next((node.parameters.get("only", ()) for node in study.plan.nodes), ())
    file, less = folder / "settings.yaml", "".join(f", only {each}" for each in only)
    try:
        found = open_study(file, only=only)
    except UserError:  # in place of a study with other names
        found, less = open_study(file), ", all of it: it lacks what `only` names" * bool(only)
    found = replace(found, folder=folder)
    less += "; `settings` choose only among runs that were done here" * bool(study.settings.chosen)
    name = f"the {found.settings.study} study that comes with the package"
    style.ORIGIN = f"{name}, not run here"
    style.name_tables()
    told = f"What follows is {name}{less}."
    print(told if asked else f"{here[0].upper()}{here[1:]}. {told} For your own results, run {way}")
    return found


@told
def find_cube(study: Study, into: str = "scratch") -> Path:
    """The cube to draw conclusions from: of the runs that are here, else the study's own.

    Of a study that ``present`` gave, runs with other settings stand in it as well, as conditions of
    their own. A cube that is not the study's goes to scratch. With `into="study"` the study's own
    is gathered, from all its runs.
    """
    from xtsupport.cube.store import build_cube

    cube = study.folder / "cube"
    if into == "study":
        every = [runs.require(run) for run in what_counts.with_scores(study)]
        return build_cube(every, cube, languages(study.data))
    there = what_counts.counting(study)
    gathered = next(node.runs[0] for node in study.plan.nodes if node.name == "results")
    usual = not any(run.listed for run in there)
    if cube.is_dir() and (not there or (usual and runs.find(gathered))):
        return chosen_part(study, cube) if study.whole else cube
    if not there:
        raise UserError(f"study {study.settings.study} has {TOO_FEW}")
    out, parts = study.place("scratch"), []
    for run, folder in there.items():
        if run.listed:  # a copy under its name in braces
            frame = pd.read_parquet(folder / "examples.parquet").assign(condition=run.condition)
            path = out / "parts" / folder.name / "examples.parquet"
            folder = write_parquet(path, frame).parent
        parts.append(folder)
    return build_cube(parts, out / "cube", languages(study.data))


def chosen_part(study: Study, cube: Path) -> Path:
    """What `only` chose of a finished cube, in scratch; the cube itself if that is all of it."""
    from xtsupport.cube.store import build_cube, cube_tasks, open_cube, read_cube

    every = what_counts.tested(what_counts.with_scores(study))
    parts, tasks = {}, cube_tasks(open_cube(cube))
    whole = {*tasks} <= {*every}
    for task in {*tasks} & {*every}:
        rows = read_cube(cube, tasks=[task])
        own = {(one, seed) for one, seeds in every[task].items() for seed in seeds}
        of = zip(zip(rows["condition"], rows["variant"], strict=True), rows["seed"], strict=True)
        keep = [(one, seed) in own or (one, None) in own for one, seed in of]
        parts[task], whole = rows[keep], whole and all(keep)
    if whole:
        return cube
    out = study.place("scratch")
    written = [write_parquet(out / "parts" / task / "examples.parquet", rows).parent
               for task, rows in parts.items()]  # fmt: skip
    return build_cube(written, out / "cube", languages(study.data))


@told
def publish(study: Study, comparison: pd.DataFrame, evidence, into: str) -> Path:
    """Write the comparison (columns of ``compare``) and ``report.html`` into the study's folder or,
    interactively, into scratch; returns the path of the report.
    """
    from xtsupport.cube.browse import changed_examples
    from xtsupport.report.contents import contents
    from xtsupport.report.paper_tables import write_significance
    from xtsupport.report.report import write_report

    made = study.plan.runs if into == "study" else map(runs.interactive, study.plan.runs)
    found = [] if study.shipped else map(runs.standing, made)  # its records are not in the package
    records = [each[1] for each in found if each]
    whole = contents(comparison, evidence, study.settings, records)
    out = write_significance(whole, study.place(into)).with_name("report.html")
    pairs = evidence.contrasts
    changed = changed_examples(
        lambda task: with_predictions(study, task, pairs), pairs, evidence.official, evidence.data
    )
    return write_report(out, whole, changed, page_links(out, study.folder))


def with_predictions(study: Study, task: str, contrasts) -> pd.DataFrame:
    """The rows of a task's scores, with predictions unless a run is missing here."""
    from xtsupport.cube.store import read_cube

    scored = what_counts.with_scores(study)
    tested = {run.side for run in scored if task in run.settings["targets"]}
    never = {run.side for run in scored} - tested  # as none~X in retrieval: nothing is missing
    sides = dict.fromkeys(short_name(each) for pair in contrasts for each in pair)
    try:
        parts = [finished.predictions(study, one, task) for one in sides if one not in never]
    except UserError:  # a label in braces, a run that is not here: the scores alone are
        return read_cube(find_cube(study), tasks=[task])
    return pd.concat(parts, ignore_index=True).drop(columns="variant", errors="ignore")


def page_links(out: Path, study: Path) -> dict[str, str]:
    """What a page leads to: files beside it, and those of the project if it lies in there.

    study: the folder that holds the study's settings.
    """
    beside = {"every row (CSV)": "significance.csv", "figures (SVG)": "figures/",
              "tables (CSV, LaTeX)": "tables/"}  # fmt: skip
    root, here = folders.root(), Path(out).resolve().parent
    near = {
        "settings of the study": Path(study).resolve() / "settings.yaml",
        "notebook 07": root / "notebooks" / "07_significance_by_family.ipynb",
        "glossary": root / "notebooks" / "glossary.md",
    }
    for text, path in near.items() if here.is_relative_to(root) else ():
        if path.is_file() and path.resolve().is_relative_to(root):
            beside[text] = runs.relative(path, here)
    return beside | {"the method: Phang et al. 2020": "https://arxiv.org/abs/2005.13013"}
