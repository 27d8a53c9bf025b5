"""One look: families keep colour and order, colours stay apart, no glyph is missing."""

import io
import warnings

import numpy as np
import pandas as pd
import pytest

from xtsupport.report import style
from xtsupport.report.names import level_order
from xtsupport.tables import language_table

# Machado, Oliveira and Fernandes 2009, severity 1.0: linear RGB as seen with the deficiency
DEFICIENCIES = {
    "protan": [[0.152286, 1.052583, -0.204868], [0.114503, 0.786281, 0.099216],
               [-0.003882, -0.048116, 1.051998]],
    "deutan": [[0.367322, 0.860646, -0.227968], [0.280085, 0.672501, 0.047413],
               [-0.011820, 0.042940, 0.968881]],
    "tritan": [[1.255528, -0.076749, -0.178779], [-0.078411, 0.930809, 0.147602],
               [0.004733, 0.691367, 0.303900]],
}  # fmt: skip


def linear(colour: str) -> np.ndarray:
    values = np.array([int(colour[i : i + 2], 16) for i in (1, 3, 5)]) / 255
    return np.where(values <= 0.04045, values / 12.92, ((values + 0.055) / 1.055) ** 2.4)


def lab(rgb: np.ndarray) -> np.ndarray:
    """CIE L*a*b* (D65) of linear RGB."""
    matrix = [[0.4124, 0.3576, 0.1805], [0.2126, 0.7152, 0.0722], [0.0193, 0.1192, 0.9505]]
    xyz = np.array(matrix) @ np.clip(rgb, 0, 1) / [0.9505, 1.0, 1.089]
    f = np.where(xyz > 0.008856, np.cbrt(xyz), 7.787 * xyz + 16 / 116)
    return np.array([116 * f[1] - 16, 500 * (f[0] - f[1]), 200 * (f[1] - f[2])])


def closest(colours, matrix) -> float:
    seen = [lab(np.array(matrix) @ linear(colour)) for colour in colours]
    pairs = [(a, b) for i, a in enumerate(seen) for b in seen[i + 1 :]]
    return min(np.linalg.norm(a - b) for a, b in pairs)


@pytest.mark.parametrize("kind", DEFICIENCIES)
def test_colours_stay_apart_in_every_colour_blindness(kind):
    assert closest(style.COLOURS, DEFICIENCIES[kind]) > 10
    verdicts = [colour for colour, _ in style.VERDICTS.values()]
    assert closest(verdicts, DEFICIENCIES[kind]) > 5  # the sign in the cell tells them, too


def test_red_and_green_would_not_have_passed():
    assert closest(["#D62728", "#7F7F00"], DEFICIENCIES["deutan"]) < 10


def test_families_keep_their_colour_and_place_whatever_part_is_shown():
    table = language_table("hub")
    colours, order = style.family_colours(table), level_order(table["code"], table)
    assert colours["de"] == colours["ru"] == colours["Indo-European"] == colours["Slavic"]
    some = level_order(["Turkic", "Slavic", "Germanic"], table)
    assert some == sorted(some, key=[table.set_index("code").loc[c, "group"] for c in order].index)


def test_large_families_have_a_colour_of_their_own_and_small_ones_share_grey():
    table = language_table("hub")
    sizes, colours = table["family"].value_counts(), style.family_colours(table)
    own = [family for family in sizes.index if colours[family] != style.COLOURS[-1]]
    assert len({colours[family] for family in own}) == len(own) == len(style.COLOURS) - 1
    assert sizes[own].min() >= sizes.drop(own).max() and "Indo-European" in own
    few = style.family_colours(table[table["family"].isin(own[:3])])
    assert len({few[family] for family in own[:3]}) == 3


def drawn(*names: str) -> list[str]:
    """Warnings while names are drawn as title, hint and labels."""
    with warnings.catch_warnings(record=True) as told:
        warnings.simplefilter("always")
        figure, (panel,) = style.new_figure(names[0], names[-1])
        panel.barh(range(len(names)), range(len(names)))
        panel.set_yticks(range(len(names)), names)
        figure.savefig(io.BytesIO(), format="svg")
    return [str(each.message) for each in told if "missing from" in str(each.message)]


def test_every_name_of_the_tables_has_its_glyphs():
    table = language_table("hub")
    assert not drawn(*table["name"], *table["group"].unique())


def test_other_scripts_have_theirs_with_the_extra_fonts():
    if len(style.FAMILIES) == 1:
        pytest.skip('the extra "fonts" is not installed (pip install -e ".[fonts]")')
    names = pd.Series(
        ["العربية", "עברית", "हिन्दी", "ไทย", "中文", "日本語", "한국어", "తెలుగు", "தமிழ்", "မြန်မာ"]
    )
    assert not drawn(*names)


def test_a_missing_glyph_would_be_noticed():
    assert drawn("\U0001f9ff")


@pytest.mark.parametrize(("study", "expected"), [("simulated", True), ("demo", False)])
def test_figures_of_simulated_scores_bear_a_watermark(study, expected):
    with style.marked(study):
        figure, _ = style.new_figure("Gains", "what to look for")
    texts = [text.get_text().strip() for text in figure.texts]
    assert ("SIMULATED" in texts) == ("Gains (simulated)" in texts) == expected
    assert ("Gains" in texts) != expected
