"""From finished runs to the study's answer: the cube, the comparison as planned, the report."""

import os
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path

import pandas as pd
import yaml

from xtsupport import folders
from xtsupport.errors import UserError
from xtsupport.files import plain_disk_errors, write_parquet
from xtsupport.report import style
from xtsupport.report.numbers import counted
from xtsupport.sides import Side, bare, short_name, side
from xtsupport.study import finished, my_runs, runs
from xtsupport.study.my_runs import SCORED
from xtsupport.study.narrowing import named, with_analysis
from xtsupport.study.plan import Study, alone, open_study, study_of
from xtsupport.study.runs import Run
from xtsupport.tables import languages

TOO_FEW = "no finished runs of two conditions with one target and seed here"
told = plain_disk_errors(Path("outputs"))  # a full disk is one line in a notebook as well


@told
def collect(study: Study, into: str = "scratch") -> Path:
    """The study's cube: gathered from all its runs when `into` is study, else ``find_cube``'s."""
    if into != "study":
        return find_cube(study)
    from xtsupport.cube.store import build_cube

    found = [runs.require(run) for run in with_scores(study)]
    return build_cube(found, study.folder / "cube", languages(study.data))


def present(study: Study, into: str = "scratch", demo: bool = False) -> Study:
    """Choose the results to draw conclusions from; prints what they are, and how many runs.

    These are the runs that ``counting`` names; without any, the study's own cube; without that, or
    with `demo`, the demo study that comes with the package, which every figure and table then
    names. With `into="study"`: the study itself. With other settings than the file's, nothing is
    declared.
    Raises UserError where there are no results at all, or none with the settings that were chosen.
    """
    style.ORIGIN = ""
    if into == "study":
        return study
    if demo:
        return shipped_study(study, asked=True)
    print(*(f"{line}\n" for line in my_runs.damage(study)), sep="", end="")
    if study.settings.chosen:
        return with_settings(study)
    whole = study
    others, apart = with_other_settings(study)
    print(*(f"{line}\n" for line in apart), sep="", end="")
    if others:
        whole = replace(study, plan=replace(study.plan, runs=(*study.plan.runs, *others)))
    if there := counting(whole):
        print(*counts(whole, there), sep="\n")
        return whole if len(there) == len(with_scores(whole)) else part_of(whole, there)
    if (study.folder / "cube").is_dir():
        print(f"the scores of study {study.settings.study}; its runs are not all here")
        return held(study)
    return shipped_study(study)


def with_settings(study: Study) -> Study:
    """The runs with the settings chosen in the notebook, alone; none of it was declared."""
    whole = study.whole and with_analysis(study.whole, [], None)
    study = replace(study, settings=with_analysis(study.settings, [], None), whole=whole)
    chosen = ", ".join(study.settings.chosen)
    there = counting(study)
    if not there:
        raise UserError(
            f"settings {chosen}: no two conditions were run here with these, on one target and "
            "seed; run notebooks 03 and 04 with the same `settings`, or leave `settings` empty "
            "here to see whatever was run"
        )
    style.ORIGIN = f"runs with {chosen}"
    style.name_tables()
    first, *rest = counts(study, there)
    print(first.replace(":", f", with {chosen}:", 1), *rest, sep="\n")
    return study if len(there) == len(with_scores(study)) else part_of(study, there)


def declared(study: Study) -> str:
    """What the study declared in advance, as YAML; without a primary comparison, why there is
    none."""
    analysis, filed = study.settings.analysis, (study.whole or study.settings).analysis
    text = yaml.safe_dump(analysis.model_dump(), sort_keys=False, default_flow_style=None)
    if analysis.primary:
        return text
    if study.settings.chosen:
        why = f"{study.params} declares it of its own settings, and other ones were chosen here"
    elif filed.primary:
        one = filed.primary
        both = f"{one.treatment} and {one.baseline}"
        why = f"{both} were not both run on {one.target} as declared, with the same seed"
    else:
        why = f"{study.params} has none"
    usual = "" if analysis.contrasts else "; every condition is compared with its usual baselines"
    return f"{text}\nno primary comparison: {why}{usual}. All is exploratory"


def counting(study: Study) -> dict[Run, Path]:
    """The runs done here and their folders, where they count.

    They count when they are all that the study has, or two conditions can be compared; one seed
    will do. Else a cube counts, as for the demo study in the package.
    """
    scored = [runs.interactive(run) for run in with_scores(study)]
    there = {run: folder for run in scored if (folder := runs.find(run))}
    enough = len(there) == len(scored) or comparable(study, there)
    return there if enough and not study.shipped else {}


def comparable(study: Study, there: Iterable[Run]) -> bool:
    """Whether a contrast, declared or usual, has both sides on the same target and seed."""
    from xtsupport.statistics.contrasts import default_contrasts

    every = tested(there)
    have = set().union(*every.values())
    declared = [set(map(side, pair)) for pair in study.settings.analysis.contrasts]
    pairs = [pair for pair in declared if pair <= have] + [*map(set, default_contrasts(have))]
    return any(paired(pair, seeds) for pair in pairs for seeds in every.values())


def paired(pair: Iterable[Side], seeds: dict[Side, set]) -> bool:
    """Whether all sides of a pair have a seed in common; one without phase 2 serves every seed."""
    own = [seeds.get(one, set()) for one in pair]
    named = [each for each in own if None not in each]
    return all(own) and (not named or bool(set.intersection(*named)))


def tested(there: Iterable[Run]) -> dict[str, dict[Side, set]]:
    """Target -> the sides that have runs on it, each with its seeds (None: any)."""
    every = [(name, run) for run in there for name in run.settings["targets"]]
    return by_target(
        (name, (run.condition, run.variant), None if alone(run) else run.seed)
        for name, run in every
    )


def by_target(scored: Iterable[tuple[str, Side, int | None]]) -> dict[str, dict[Side, set]]:
    """Target -> its sides -> their seeds, from triples of these."""
    found: dict[str, dict[Side, set]] = {}
    for name, one, seed in scored:
        found.setdefault(name, {}).setdefault(one, set()).add(seed)
    return found


def with_scores(study: Study) -> list[Run]:
    """The runs of a study that have scores, done or not."""
    return [run for run in study.plan.runs if run.phase in SCORED]


def counts(study: Study, there: Iterable[Run]) -> list[str]:
    """How much of a study was run here, and what that is worth."""
    planned = [run for run in with_scores(study) if not run.listed]
    others = [run.condition for run in there if run.listed]
    usual = len([*there]) - len(others)
    seeds: dict[str, set[int]] = {}
    for run in there:
        own = set() if alone(run) else {run.seed}  # retrieval without phase 2 has no seeds
        seeds[run.side] = seeds.get(run.side, set()) | own
    lines = [f"study {study.settings.study}: {usual} of {counted(len(planned), 'run')} with scores"]
    if others or usual < len(planned):
        lines[0] += f" and {len(others)} with other settings" * bool(others)
        every = (f"{name} (seed {', '.join(map(str, sorted(own))) or 'any'})"
                 for name, own in seeds.items())  # fmt: skip
        lines[0] += f" were done here: {'; '.join(every)}"
    if others:
        lines.append("a name in braces has other settings than the study")
        lines[-1] += "".join(
            f"; to look at one alone, set {each} in the parameters"
            for each in finished.as_chosen(others)[:1]
        )
    few = {1: "one seed: a first impression, not evidence", 2: "two seeds: too few for a claim"}
    for number, words in few.items():
        if names := [name for name, own in seeds.items() if len(own) == number]:
            some = len(names) < sum(map(bool, seeds.values()))
            lines.append(words + f" ({'; '.join(names)})" * some)
    return lines


def part_of(study: Study, there: Iterable[Run]) -> Study:
    """The part of a study whose runs are there, with the comparisons that they allow.

    A condition that was only run with other settings is compared as usual, under its name in
    braces; such a comparison was never declared.
    """
    have = {run.condition for run in there}
    new = {name for name in have if bare(name) not in have}
    part = narrowed(study, tested(there), {run.seed for run in there}, new)
    others = [run for run in there if run.listed]
    return replace(part, plan=replace(part.plan, runs=(*part.plan.runs, *others)))


def held(study: Study) -> Study:
    """The part of a study that its own cube holds, which may be that of `--only` a part."""
    from xtsupport.cube.store import read_cube

    names = ["task", "condition", "variant", "seed"]
    rows = read_cube(study.folder / "cube", columns=names).drop_duplicates()
    every = by_target(
        (row.task, (row.condition, row.variant), row.seed) for row in rows.itertuples()
    )
    have = set().union(*every.values())
    declared = study.settings.analysis.contrasts
    if all({*map(side, pair)} <= have for pair in declared):
        return study
    return narrowed(study, every, {*rows["seed"]})


def narrowed(
    study: Study, every: dict[str, dict[Side, set]], seeds: set[int], new: Iterable[str] = ()
) -> Study:
    """The part of a study with these sides (by target) and seeds, and the comparisons that they
    allow; new: conditions in braces to compare beside those that were declared."""
    from xtsupport.statistics.contrasts import default_contrasts

    have = set().union(*every.values())
    has: dict[str, set] = {"targets": {*every}, "seeds": seeds}
    has["conditions"] = {bare(name) for name, _ in have}
    listed = {key: [str(n) for n in named(study.settings)[key] if n in has[key]] for key in has}
    words = [f"{key}={','.join(values)}" for key, values in listed.items()]
    part = study_of(study.whole or study.settings, study.params, words)
    declared = part.settings.analysis
    contrasts = [
        pair
        for pair in declared.contrasts
        if any(paired(map(side, pair), own) for own in every.values())
    ]
    if contrasts:  # else all that fit the cube
        every_pair = default_contrasts(sorted(have))
        lone = [pair for pair in every_pair if {*new} & {name for name, _ in pair}]
        contrasts += [[*map(short_name, pair)] for pair in lone]
    primary = declared.primary
    if primary and not paired(
        map(side, (primary.treatment, primary.baseline)), every.get(primary.target, {})
    ):
        primary = None
    return replace(part, settings=with_analysis(part.settings, contrasts, primary))


def shipped_study(study: Study, asked: bool = False) -> Study:
    """The demo study of the package: asked for, or in place of one of which too little was run."""
    part = "the chosen part of " * bool(study.whole)
    folder, here = folders.shipped() / "study", f"{part}study {study.settings.study} has {TOO_FEW}"
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
    style.ORIGIN = f"the {found.settings.study} study that comes with the package, not run here"
    style.name_tables()
    print(
        "" if asked else f"{here[0].upper()}{here[1:]}. ",
        f"What follows is the {found.settings.study} study that comes with the package{less}.",
        "" if asked else f" For your own results, run {way}",
        sep="",
    )
    return found


@told
def find_cube(study: Study) -> Path:
    """The cube to draw conclusions from: of the runs that are here, else the study's own.

    Of a study that ``present`` gave, runs with other settings stand in it as well, as conditions of
    their own. A cube that is not the study's goes to scratch.
    """
    there, cube = counting(study), study.folder / "cube"
    gathered = next(node.runs[0] for node in study.plan.nodes if node.name == "results")
    usual = not any(run.listed for run in there)
    if cube.is_dir() and (not there or (usual and runs.find(gathered))):
        return chosen_part(study, cube) if study.whole else cube
    if not there:
        raise UserError(f"study {study.settings.study} has {TOO_FEW}")
    from xtsupport.cube.store import build_cube

    out = study.place("scratch")
    parts = [folder for run, folder in there.items() if not run.listed]
    for run, folder in there.items():
        if run.listed:  # a copy under its name in braces
            frame = pd.read_parquet(folder / "examples.parquet").assign(condition=run.condition)
            path = out / "parts" / folder.name / "examples.parquet"
            parts.append(write_parquet(path, frame).parent)
    return build_cube(parts, out / "cube", languages(study.data))


def chosen_part(study: Study, cube: Path) -> Path:
    """What `only` chose of a finished cube, in scratch; the cube itself if that is all of it."""
    from xtsupport.cube.store import build_cube, cube_tasks, open_cube, read_cube

    parts, every, tasks = {}, tested(with_scores(study)), cube_tasks(open_cube(cube))
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


def with_other_settings(study: Study) -> tuple[list[Run], list[str]]:
    """Scored runs with other settings than the study's, as conditions such as
    ``squad{target.epochs=4.0}``; and a line on those that cannot stand beside it, if any: of other
    conditions, languages, examples or seeds."""

    def examined(settings: dict) -> list:
        return [settings.get(key) for key in ("targets", "max_clusters", "eval_splits")]

    planned, own = {run.recipe for run in study.plan.runs}, study.settings
    usual = {each.training_task: examined(each.settings) for each in with_scores(study)}
    fit, apart = [], []
    for each in (one for phase in SCORED for one in my_runs.found(study, phase)):
        record = each.record
        same = examined(record["settings"]) == usual.get(record["training_task"])
        same &= record["condition"] in own.conditions and record["seed"] in own.every_seed
        if same and each.departs:
            fit.append(each.run)
        elif not study.whole and record.get("recipe") not in planned:
            apart.append(f"{each.label} (seed {record['seed']})")
    names = [*dict.fromkeys(apart)]
    told = "left out, with other languages, examples, conditions or seeds than the study: "
    told += ", ".join(names)
    told += "".join(f"; to see some, set {each}" for each in finished.as_chosen(names)[:1])
    return fit, [told] if names else []


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

    scored = with_scores(study)
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
    beside = {
        "every row (CSV)": "significance.csv",
        "figures (SVG)": "figures/",
        "tables (CSV, LaTeX)": "tables/",
    }
    root, here = folders.root(), Path(out).resolve().parent
    near = {
        "settings of the study": Path(study).resolve() / "settings.yaml",
        "notebook 07": root / "notebooks" / "07_significance_by_family.ipynb",
        "glossary": root / "notebooks" / "glossary.md",
    }
    for text, path in near.items() if here.is_relative_to(root) else ():
        if path.is_file() and path.resolve().is_relative_to(root):
            beside[text] = Path(os.path.relpath(path, here)).as_posix()
    return beside | {"the method: Phang et al. 2020": "https://arxiv.org/abs/2005.13013"}
