"""Power as table, picture, sentences and files, and as a command."""

import re

import numpy as np
import pandas as pd
import pytest
from simulated_cubes import simulate

from xtsupport.report.power_report import (
    calibration_sentences,
    power_curves,
    power_sentences,
    printable,
    write_power,
)
from xtsupport.statistics.evidence import evidence_of
from xtsupport.statistics.power import power_table
from xtsupport.study.cli import main
from xtsupport.tables import language_table


@pytest.fixture(scope="module")
def cube():
    return simulate(tasks=("xquad",), languages=("en", "de", "hi", "th"), size=0.4)


@pytest.fixture(scope="module")
def evidence(cube):
    return evidence_of(cube)


@pytest.fixture(scope="module")
def table(evidence):
    return power_table(evidence, gain=2.0, seeds=(3, 10), questions=(1, 8))


def test_the_picture_draws_the_table(table):
    figure = power_curves(table, language_table())
    panels = figure.axes
    assert [panel.get_title() for panel in panels] == [
        "the pilot's questions",
        "8 times the questions",
    ]
    for panel, factor in zip(panels, (1, 8), strict=True):
        rows = table[table["questions"] == factor]
        drawn = {
            line.get_label(): line for line in panel.lines if line.get_label() in set(rows.level)
        }
        assert set(drawn) == {"Germanic", "Indo-Aryan", "Tai-Kadai", "all"}
        for level, line in drawn.items():
            wanted = rows[rows["level"] == level]
            assert list(line.get_xdata()) == [3, 10]
            assert list(line.get_ydata()) == pytest.approx(list(100 * wanted["power"]))


def test_sentences_tell_what_is_needed_or_that_nothing_suffices():
    row = {
        "level": "Greek", "n_languages": 1, "n_seeds": 3, "questions": 1, "n_examples": 1190,
        "gain": 1.0, "power": 0.314, "mde": 2.0, "seeds_needed": 12.0, "questions_needed": 4760.0,
        "languages_needed": np.nan, "run_sd": 0.84, "run_sd_upper": 1.26, "power_estimate": 0.44,
        "pilot_seeds": 5,
        "note": "",
    }  # fmt: skip
    nothing = {name: np.nan for name in row if name.endswith("_needed")}
    never = row | nothing | {"level": "all", "note": "no number of seeds suffices: no gain"}
    agree = row | {"run_sd": 0.0}
    one, other, third = power_sentences(pd.DataFrame([row, never, agree | {"level": "Turkic"}]))
    assert one == (
        "With 3 seeds, 1190 questions and 1 language, a gain of 1 point in Greek is found with 31% "
        "power if two runs differ by SD 1.3, the 80% upper bound (44% at its estimate, "
        "0.8); 80% power needs 12 seeds, or 4760 questions (unit: clusters x seeds)."
    )
    assert "over all languages is found" in other and "; no number of seeds suffices" in other
    assert "(its estimate is 0 or less, which so few runs give by luck)" in third


@pytest.mark.parametrize(("judged", "end"), [(1.0, "; most such gains are missed."), (90.0, ".")])
def test_a_planted_gain_is_told_beside_none(judged, end):
    row = {"runs": "estimate", "run_sd": 5.1, "by": "all", "true_gain": 0.0, "rows": 7,
           "studies": 20, "found": 4.0, "any_found": 0.0, "any_equivalent": 0.0, "judged": 0.0,
           "allowed": 5.0, "mc_error": 4.9}  # fmt: skip
    planted = row | {"true_gain": 2.0, "found": 3.0, "judged": judged, "allowed": np.nan}
    none, some = calibration_sentences(pd.DataFrame([row, planted]))
    assert none.startswith("With no gain, ") and some.startswith("With a gain of 2 points, ")
    assert "3% of rows have p at most alpha before adjustment (without a gain 4%), " in some
    assert some.endswith(f'{judged:.0f}% an "improves" or "harms"{end}')


def test_the_table_fits_a_page(table):
    shown = printable(table)
    assert len(shown) == 8 and shown.shape[1] == 11
    first = table.iloc[0]
    assert shown.loc[0, "power, 3 seeds"] == f"{100 * first['power']:.0f}%"
    assert shown.loc[0, "MDE, 3 seeds"] == f"{first['mde']:.1f}"


def test_files_are_written(table, tmp_path):
    files = write_power(table, tmp_path, language_table())
    assert [path.name for path in files] == ["power.csv", "power.tex", "power.txt", "power.svg"]
    tex = (tmp_path / "power.tex").read_text()
    assert tex.count(r" \\") == 9 and r"80\% power" in tex and "clusters x seeds" in tex
    assert len((tmp_path / "power.txt").read_text().splitlines()) == 4
    assert (tmp_path / "power.svg").read_text().startswith("<?xml")


def test_needs_are_the_smallest_that_suffice(evidence):
    """Each need, put back into the design, is enough, and the next smaller one is not."""
    table = power_table(evidence, gain=3.0, seeds=(10,), questions=(1,))
    row = table[table["level"] == "all"].iloc[0]
    again = power_table(evidence, gain=3.0, seeds=(int(row["seeds_needed"]),), questions=(1,))
    assert again[again["level"] == "all"].iloc[0]["power"] >= 0.8
    k = int(row["languages_needed"])
    few, enough = (
        power_table(evidence, gain=3.0, seeds=(10,), questions=(1,), languages=(n,))
        for n in (k - 1, k)
    )
    powers = [part[part["level"] == "all"].iloc[0]["power"] for part in (few, enough)]
    assert powers[0] < 0.8 <= powers[1]


def test_the_command_prints_table_and_sentences_and_leaves_the_plot(cube, tmp_path, capsys):
    cube.to_parquet(tmp_path / "cube.parquet")
    command = ["power", str(tmp_path / "cube.parquet"), "--gain", "2", "--seeds", "3", "5"]
    assert main([*command, "--out", str(tmp_path / "out")]) == 0
    out = capsys.readouterr().out
    assert re.search(r"^ *Tai-Kadai +1 +\d+ +\d+%", out, re.MULTILINE) and "Germanic" in out
    assert "a gain of 2 points in Tai-Kadai is found with" in out
    assert out.splitlines()[-1] == str(tmp_path / "out" / "power.svg")
