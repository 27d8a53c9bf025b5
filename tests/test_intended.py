"""Intended versus found: planted gains by family, the world's table as it is."""

import pandas as pd
import pytest
from simulated_cubes import simulate

from xtsupport.report.answer import one_sentence
from xtsupport.report.appendix import deciding
from xtsupport.report.contents import contents
from xtsupport.report.intended import intended_table, intended_versus_found
from xtsupport.statistics.comparisons import significance
from xtsupport.statistics.declared import Declared, Primary
from xtsupport.statistics.evidence import evidence_of

CODES = {  # of the simulation: (of the world, family, planted gain)
    "en": ("en", "Kindric", 20.0),
    "de": ("qka", "Kindric", 20.0),
    "es": ("qkb", "Kindric", 18.0),
    "ru": ("qga", "Glyphic", 0.0),
    "hi": ("qgb", "Glyphic", 1.0),
    "tr": ("qta", "Turnic", 0.0),
    "vi": ("qtb", "Turnic", 1.0),
    "th": ("qsa", "Swayric", 5.0),
    "zh": ("qsb", "Swayric", 6.0),
    "el": ("qma", "Markic", 10.0),
    "ar": ("qmb", "Markic", 10.0),
}


@pytest.fixture(scope="module")
def cube():
    gains = {("squad", "xquad", code): gain for code, (_, _, gain) in CODES.items()}
    made = simulate(gains, conditions=("none", "squad", "mnli"), seeds=6, size=0.4)
    for name, place in (("family", 1), ("group", 1), ("language", 0)):
        made[name] = made["language"].map({code: row[place] for code, row in CODES.items()})
    return made


def found_of(cube, treatment="squad"):
    rules = Declared(primary=Primary(treatment))
    evidence = evidence_of(cube, rules, "world")
    return contents(significance(evidence), evidence)


def test_what_was_intended_is_judged_by_its_own_interval(cube):
    """English gains 20: alike means 10 and more, little less than 5."""
    rows = intended_versus_found(found_of(cube)).set_index("family")
    assert rows.loc["Kindric", ["intended", "in_line"]].tolist() == ["alike", "yes"]
    assert rows.loc["Glyphic", ["intended", "in_line"]].tolist() == ["alike", "no"]
    assert rows.loc["Markic", ["intended", "in_line"]].tolist() == ["alike", "open"]  # at the edge
    assert rows.loc["Turnic", ["intended", "in_line"]].tolist() == ["little", "yes"]
    assert rows.loc["Swayric", ["intended", "in_line"]].tolist() == ["less", "yes"]
    assert rows.index[0] == "English" and rows.loc["English", "in_line"] == ""
    assert "Farric" not in rows.index


def test_numbers_are_those_of_the_cube(cube):
    rows = intended_versus_found(found_of(cube)).set_index("family")
    score = 100 * cube.query("metric == 'f1'").pivot_table("score", "language", "condition")
    gain = score["squad"] - score["none"]
    family = pd.Series({code: name for code, name, _ in CODES.values()})[gain.index]
    away = gain.index != "en"
    means = gain[away].groupby(family[away]).mean()
    assert rows.loc["English", "gain"] == pytest.approx(gain["en"])
    for name in ("Kindric", "Glyphic", "Turnic"):
        assert rows.loc[name, "gain"] == pytest.approx(means[name])
    assert rows.loc["Turnic", "beside"] == pytest.approx(means["Turnic"] - means["Kindric"])
    assert rows.loc["Turnic", "beside_high"] < 0


def test_the_table_says_so_and_is_empty_elsewhere(cube):
    shown = intended_table(found_of(cube)).set_index("family")
    assert shown.loc["Turnic", "beside Kindric"].endswith("lower")
    assert shown.loc["Kindric", "beside Kindric"] == ""
    assert shown.loc["Kindric", "gain"].endswith("too few")  # two languages
    assert intended_table(found_of(cube.query("language != 'en'"))).empty
    other = cube.replace({"condition": {"squad": "mnli", "mnli": "squad"}})
    assert intended_table(found_of(other, treatment="mnli")).empty


@pytest.mark.parametrize("codes", [["qka"], ["qta"], ["qka", "qta"]])
def test_families_that_a_study_leaves_out_are_not_compared(cube, codes):
    """A study of few languages, with or without the family that others differ from."""
    few = cube[cube["language"].isin(["en", *codes])]
    table = intended_table(found_of(few)).set_index("family")
    families = [{"qka": "Kindric", "qta": "Turnic"}[code] for code in codes]
    assert list(table.index) == ["English", *families]
    beside = ["English", "Kindric", "Turnic"][: len(codes) + 1][-1:] if len(codes) == 2 else []
    assert list(table.index[table["beside Kindric"] != ""]) == beside


def test_one_seed_judges_nothing(cube):
    one = intended_table(found_of(cube[cube["seed"] == cube["seed"].min()])).set_index("family")
    assert {*one["in line"]} == {"", "too few"} and one.loc["Kindric", "in line"] == "too few"
    assert {*one["beside Kindric"]} == {""}


def by_hand(cube):
    """The cube as if run with another learning rate, its controls with it."""
    names = {"squad": "squad{target.learning_rate=0.5}", "none": "none{target.learning_rate=0.5}",
             "mnli": "none~squad{target.learning_rate=0.5}"}  # fmt: skip
    return cube.replace({"condition": names}), names


def test_runs_by_hand_are_known_by_their_bare_condition(cube):
    """Own training data, the control and what was intended: as without settings in braces."""
    made, names = by_hand(cube)
    rules = Declared(primary=Primary(names["squad"], names["none"]))
    evidence = evidence_of(made, rules, "world")
    found = contents(significance(evidence), evidence)
    mine = found.comparison.query("task == 'xquad'").groupby("treatment")["note"]
    assert mine.apply(lambda notes: notes.str.contains("own training data").all()).to_dict() == {
        names["squad"]: True, names["mnli"]: False}  # fmt: skip
    usual = intended_table(found_of(cube))
    assert intended_table(found)["in line"].tolist() == usual["in line"].tolist()
    assert found.control.baseline == names["mnli"]
    alone = evidence_of(made[made["condition"] != names["mnli"]], rules, "world")
    found = contents(significance(alone), alone)
    assert "there is no control" in one_sentence(found) and "(none~squad)" in one_sentence(found)
    assert any("share training data" in line for line in deciding(found))
