"""What solutions and lessons say about the demo study, against the cube that comes with it."""

import importlib.util
from pathlib import Path

import pandas as pd
import pytest

from xtsupport import folders
from xtsupport.cube.scores import official, score_table
from xtsupport.cube.store import read_cube
from xtsupport.tables import language_table

KIT = Path(__file__).parents[1] / "notebooks" / "kit"


@pytest.fixture(scope="module")
def cube():
    return read_cube(folders.shipped() / "study" / "cube")


@pytest.fixture(scope="module")
def means(cube) -> pd.DataFrame:
    """Condition x target: mean over seeds and the languages other than English."""
    scores = official(score_table(cube), "world")
    away = scores[scores["language"] != "en"]
    return away.groupby(["condition", "task"])["score"].mean().unstack()


def test_solution_04_training_longer_reaches_next_to_nothing_of_the_gain(cube):
    spec = importlib.util.spec_from_file_location("predictions", KIT / "predictions.py")
    sheet = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(sheet)
    assert abs(sheet.truth(cube, language_table("world"))["longer"]) < 20


def test_solution_05_squad_lowers_retrieval_most_and_hellaswag_least(means):
    retrieval = means["tatoeba"].dropna().drop("all")
    assert retrieval.idxmax() == "none" and retrieval.idxmin() == "squad"
    assert retrieval.drop("none").idxmax() == "hellaswag"


def test_solution_07_squad_helps_every_family_and_other_kinds_do_not_help(cube, means):
    assert means["xquad"][["mnli", "hellaswag"]].max() < means["xquad"]["none"]
    scores = official(score_table(cube), "world").query("task == 'xquad' and language != 'en'")
    family = scores["language"].map(language_table("world").set_index("code")["family"])
    table = scores.groupby([family, "condition"])["score"].mean().unstack()
    assert (table["squad"] > table[["none", "none~squad"]].max(axis=1)).all()
