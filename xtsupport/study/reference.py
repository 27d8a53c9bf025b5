"""The committed reference study (``outputs/reference``), read without running anything.

Where it is not, as beside an installed package, every function says so in a line and returns an
empty table, so that a notebook goes on.
"""

from pathlib import Path

import pandas as pd
import yaml

from xtsupport import folders
from xtsupport.study import run_store, runs
from xtsupport.study.finished import stacked

ABSENT = "The reference study's results come with the repository, not with the package: none here."


def reference_folder() -> Path | None:
    """``outputs/reference``; None where it holds no study."""
    folder = folders.outputs() / "reference"
    return folder if (folder / "settings.yaml").is_file() else None


def _place(part: str) -> Path | None:
    """The folder of the reference study, if it has this part; else a line says so."""
    folder = reference_folder()
    if folder and (folder / part).exists():
        return folder
    print(ABSENT)
    return None


def reference_settings() -> dict:
    """The reference study's settings as given; unchecked, since its data may not be here."""
    folder = _place("settings.yaml")
    return yaml.safe_load((folder / "settings.yaml").read_text("utf-8")) if folder else {}


def reference_table(name: str, phase: str) -> pd.DataFrame:
    """The CSV file `name` of all runs of a phase, condition and seed in front.

    name: history.csv (step, task, loss), scores.csv (task, language, metric, score in points) or
    layers.csv (task, language, layer, accuracy, accuracy_centred); runs without it are left out.
    """
    places = run_store.of_study(reference_folder() or Path("-"))
    made = [(folder, runs.read_record(folder) or {}) for folder in places]
    parts = [(folder, {"condition": run["condition"], "seed": run["seed"]})
             for folder, run in made if run.get("phase") == phase]  # fmt: skip
    found = stacked(parts, name)
    if found.empty:
        print(ABSENT)
    return found


def reference_scores() -> pd.DataFrame:
    """Official scores in points per condition, task, language and seed, from the study's cube."""
    if (folder := _place("cube")) is None:
        return pd.DataFrame()
    from xtsupport.cube.scores import in_order, official, score_table
    from xtsupport.cube.store import read_cube

    settings, scores = reference_settings(), score_table(read_cube(folder / "cube"))
    return in_order(official(scores, "hub"), settings["conditions"], settings["targets"])


def reference_answer() -> pd.DataFrame:
    """Rows of ``significance.csv`` that answer the study's question, and its families' rows."""
    if (folder := _place("significance.csv")) is None:
        return pd.DataFrame()
    from xtsupport.report.comparison_rows import forest_rows
    from xtsupport.report.paper_tables import read_comparison
    from xtsupport.statistics.declared import Primary
    from xtsupport.tables import language_table

    primary = Primary(**reference_settings()["analysis"]["primary"])
    comparison = read_comparison(folder / "significance.csv")
    return forest_rows(comparison, primary, language_table())
