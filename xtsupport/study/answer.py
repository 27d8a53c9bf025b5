"""From finished runs to the study's answer: the cube, the comparison as planned, the report."""

from pathlib import Path

import numpy as np
import pandas as pd

from xtsupport.study import folders, runs
from xtsupport.study.atomic import write_text
from xtsupport.study.plan import Study

LEVELS = ("group", "language", "all")


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
    from xtsupport.analysis.results import build_cube
    from xtsupport.data.tables import languages

    scored = [run for run in study.plan.runs if run.phase in ("target", "retrieval")]
    found = [runs.require(run) for run in scored]
    return build_cube(found, study.folder / "cube", languages(study.data))


def simulated(study: Study) -> Path:
    """A cube of invented scores in scratch: squad helps on XQuAD, mnli does nothing.

    It has the study's languages (eleven of them, spread over the table), so that nobody takes it
    for a result about others.
    """
    from xtsupport.analysis.simulate import LANGUAGES, simulate
    from xtsupport.data.tables import languages

    known = list(languages(study.data).values())
    chosen = [known[round(i)] for i in np.linspace(0, len(known) - 1, len(LANGUAGES))]
    names = dict(zip(LANGUAGES, chosen, strict=True))
    effects = {("squad", "xquad"): 4.0, ("squad", "xnli"): 0.5}
    cube = simulate(effects, ("none", "squad", "mnli"), ("xquad", "xnli", "udpos", "tatoeba"))
    row = cube["language"].map(names)
    cube["language"] = row.map(lambda each: each.code)
    cube["family"] = row.map(lambda each: each.family)
    cube["group"] = row.map(lambda each: each.group)
    path = folders.scratch() / study.settings.study / "simulated.parquet"
    path.parent.mkdir(parents=True, exist_ok=True)
    cube.to_parquet(path)
    return path


def conclude(study: Study, cube: pd.DataFrame, into: str = "scratch") -> pd.DataFrame:
    """Compare as the study planned, per group, per language and over all; keeps the table.

    Returns the columns of ``compare``; they are also left in ``significance.csv`` in the study's
    folder or, interactively, in scratch.
    """
    table = planned_comparison(cube, study)
    write_text(place(study, into) / "significance.csv", table.to_csv(index=False))
    return table


def planned_comparison(cube: pd.DataFrame, study: Study) -> pd.DataFrame:
    """``compare`` by the study's own contrasts, margin, error rate, adjustment and unit."""
    from xtsupport.analysis.declared import declared
    from xtsupport.analysis.significance import compare

    plan = declared(study.settings)
    have = set(cube["condition"])
    contrasts = [pair for pair in plan.contrasts if set(pair) <= have] or None
    levels = LEVELS if (cube["family"] == cube["group"]).all() else ("family", *LEVELS)
    tables = [
        compare(
            cube,
            by=by,
            unit=plan.unit,
            contrasts=contrasts,
            margin=plan.margin,
            alpha=plan.alpha,
            adjustment=plan.adjustment,
            data=study.data,
        )
        for by in levels
    ]
    return pd.concat(tables, ignore_index=True)


def publish(study: Study, comparison: pd.DataFrame, cube: pd.DataFrame, into: str) -> Path:
    """Write ``report.html`` beside the comparison; returns its path."""
    from xtsupport.analysis.report import write_report

    return write_report(place(study, into) / "report.html", comparison, cube, study)


def place(study: Study, into: str) -> Path:
    """Where a notebook leaves its results: the study's folder, or one of its own in scratch."""
    return study.folder if into == "study" else folders.scratch() / study.settings.study
