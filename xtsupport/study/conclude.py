"""From finished runs to the study's answer: the cube, the comparison as planned, the report."""

import operator
from pathlib import Path

import pandas as pd

from xtsupport import folders
from xtsupport.sides import side
from xtsupport.study import runs
from xtsupport.study.plan import Study


def collect(study: Study, into: str = "scratch") -> Path:
    """The study's cube: built from its runs when `into` is study, else what ``evidence`` finds."""
    return build(study) if into == "study" else evidence(study)


def evidence(study: Study) -> Path:
    """The cube to draw conclusions from, and a line that says which it is.

    The study's own if there is one, else the committed reference results, else a simulated study
    (the study's languages, invented scores).
    """
    name = study.settings.study
    for folder in (study.folder, folders.outputs() / "reference" / name):
        if (folder / "cube").is_dir():
            print(f"the scores of study {name}")
            return folder / "cube"
    print(
        f"Study {name} has not been run yet: type `make study`, or `xtsupport run` with its params "
        "file. Until then everything below is SIMULATED: the scores are invented."
    )
    return simulated(study)


def build(study: Study) -> Path:
    """Gather the runs with scores into ``outputs/STUDY/cube``."""
    from xtsupport.cube.store import build_cube
    from xtsupport.tables import languages

    scored = [run for run in study.plan.runs if run.phase in ("target", "retrieval")]
    found = [runs.require(run) for run in scored]
    return build_cube(found, study.folder / "cube", languages(study.data))


def simulated(study: Study) -> Path:
    """A cube of invented scores in scratch: the primary treatment gains four points, nothing else.

    It has the study's conditions and variants and eleven of its languages, so that nobody takes it
    for a result about others.
    """
    from xtsupport.statistics.declared import Primary, declared
    from xtsupport.statistics.simulate import LANGUAGES, TASKS, simulate
    from xtsupport.tables import languages

    primary = declared(study.settings).primary or Primary("squad")
    named = list(dict.fromkeys(["none", *study.settings.conditions, *study.settings.variants]))
    targets = [name for name in TASKS if name in study.settings.targets]
    names = dict(zip(LANGUAGES, languages(study.data).values(), strict=False))
    gains = {(primary.treatment, primary.target): 4.0}
    cube = simulate(gains, named, targets, tuple(names), size=0.5)
    sides = cube["condition"].map({one: side(one) for one in named})
    cube["condition"], cube["variant"] = sides.str[0], sides.str[1]
    retrieved = cube["task"].map({name: kind == "retrieval" for name, (kind, *_) in TASKS.items()})
    cube = cube[cube["variant"].eq("plain") | ~retrieved]  # a variant is one of phase 3
    row = cube["language"].map(names)
    for column, field in (("language", "code"), ("family", "family"), ("group", "group")):
        cube[column] = row.map(operator.attrgetter(field))
    path = folders.scratch() / study.settings.study / "simulated.parquet"
    path.parent.mkdir(parents=True, exist_ok=True)
    cube.to_parquet(path)
    return path


def conclude(study: Study, cube, into: str = "scratch") -> pd.DataFrame:
    """Compare as the study declared, at every level; keeps the table and its rows in words.

    cube: a frame, a path, or cluster sums (``contracted``), which a cube of any size fits into.
    Returns the columns of ``compare``. ``significance.csv`` and ``sentences.txt`` go to the study's
    folder or, interactively, to scratch.
    """
    from xtsupport.report.score_tables import read_comparison
    from xtsupport.statistics.comparisons import write_significance

    path = write_significance(cube, place(study, into), study.settings, study.data)
    return read_comparison(path)


def publish(study: Study, comparison: pd.DataFrame, cube, into: str) -> Path:
    """Write ``report.html`` beside the comparison's table; returns its path. cube: as above."""
    from xtsupport.report.report import write_report

    records = [found[1] for run in study.plan.runs if (found := runs.standing(run))]
    out = place(study, into) / "report.html"
    return write_report(out, comparison, cube, study.settings, study.data, records)


def place(study: Study, into: str) -> Path:
    """Where a notebook leaves its results: the study's folder, or one in scratch."""
    return study.folder if into == "study" else folders.scratch() / study.settings.study
