"""Figures show the numbers they are given, in the same order and colour, and nothing is cut off."""

import warnings
from itertools import combinations

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest
from figure_toys import comparison, losses, scores, toy_languages
from matplotlib.colors import to_rgb

from xtsupport.report import gain_plots, plots, style
from xtsupport.report.encoder_plots import attention_map, vector_map
from xtsupport.report.names import level_names, level_order
from xtsupport.report.power_report import mde_picture
from xtsupport.tables import language_table

LANGUAGES = toy_languages()


def every_figure() -> dict:
    layers = pd.DataFrame(
        [
            {"layer": k, "language": code, "score": 10.0 * k}
            for k in range(3)
            for code in LANGUAGES["code"]
        ]
    )
    by_language = pd.DataFrame(
        {"task": "xquad", "level": ["z1", "z2", "a1", "a2", "m1"], "gain": [4, 3, 1, 0.5, 2]}
    ).assign(ci_low=-1.0, ci_high=5.0, verdict="undetermined")
    design = pd.DataFrame(
        [{"n_seeds": s, "level": level, "mde": 6 / s + 1 / k} for s in (3, 5, 10)
         for level, k in (("z1", 1), ("all", 3))]
    ).assign(unit="clusters x seeds")  # fmt: skip
    return {
        "training": plots.training_curve(losses()),
        "pretraining": plots.pretraining_loss(losses(["none"], 1)[["step", "loss"]], chance=3.4),
        "scores": plots.score_heatmap(scores(), LANGUAGES, "xquad"),
        "gains": gain_plots.gain_forest(comparison(), LANGUAGES, 0.05),
        "control": gain_plots.gain_forest(
            pd.concat(
                [comparison(tasks=("xquad",)), comparison(tasks=("xquad",), baseline="none~squad")]
            ),
            LANGUAGES,
            0.05,
        ),
        "verdicts": gain_plots.verdict_heatmap(
            pd.concat([comparison(), comparison("mnli")]), LANGUAGES
        ),
        "families": plots.family_picture(LANGUAGES),
        "layers": plots.retrieval_by_layer(layers, LANGUAGES),
        "slope": gain_plots.distance_slope(by_language, LANGUAGES),
        "mde": mde_picture(design, 2.0, LANGUAGES),
    }


@pytest.fixture(scope="module")
def figures():
    with warnings.catch_warnings():
        warnings.simplefilter("error")  # a missing glyph or a layout that does not fit is a warning
        warnings.simplefilter("ignore", DeprecationWarning)  # matplotlib's, of its own dependencies
        made = every_figure()
        for figure in made.values():
            figure.draw_without_rendering()
    return made


@pytest.mark.parametrize("name", list(every_figure()))
def test_no_text_is_cut_off(figures, name):
    figure = figures[name]
    page = figure.bbox.padded(1)
    for text in figure.findobj(plt.Text):
        if text.get_visible() and text.get_text().strip() and text.get_window_extent().width:
            box = text.get_window_extent()
            inside = (
                page.x0 <= box.x0 and box.x1 <= page.x1 and page.y0 <= box.y0 and box.y1 <= page.y1
            )
            assert inside or not _shown(text, figure), f"{text.get_text()!r} leaves the page: {box}"


def _shown(text, figure) -> bool:
    """Tick labels outside the limits exist but are not drawn."""
    return not any(
        text in (tick.label1, tick.label2)
        for panel in figure.axes
        for axis in (panel.xaxis, panel.yaxis)
        for tick in axis.get_major_ticks()
    )


@pytest.mark.parametrize("name", list(every_figure()))
def test_the_title_says_what_to_look_for_and_stands_clear_of_the_panels(figures, name):
    figure = figures[name]
    look_for = [a for a in figure.artists if isinstance(a, plt.Annotation)]
    assert len(look_for) == 1 and len(look_for[0].get_text()) > 40
    lowest = look_for[0].get_window_extent().y0
    assert all(panel.get_tightbbox().y1 <= lowest + 1 for panel in figure.axes)


def test_figures_are_closed_for_pyplot_so_that_a_notebook_shows_them_once(figures):
    assert not plt.get_fignums()


def test_languages_stand_in_order_of_their_distance_from_english_those_without_one_last():
    assert level_order(LANGUAGES["code"], LANGUAGES) == ["en", "z3", "z1", "z2", "a1", "a2", "m1"]


def test_all_comes_first_then_levels_by_mean_distance_unknown_ones_last():
    """West Zedic is 0.15 away on average, East Zedic 0.3, Ayan 0.85, Mimic nobody knows how far."""
    levels = ["Mimic", "?", "Ayan", "East Zedic", "all", "West Zedic"]
    wanted = ["all", "West Zedic", "East Zedic", "Ayan", "Mimic", "?"]
    assert level_order(levels, LANGUAGES) == wanted
    assert level_order(["m1", "z3", "en", "z3"], LANGUAGES) == ["en", "z3", "m1"]


def test_equally_near_families_and_languages_stand_in_the_order_of_the_table():
    near = LANGUAGES.assign(syntactic=0.0)
    assert level_order(["Ayan", "Mimic", "Zedic"], near) == ["Zedic", "Ayan", "Mimic"]
    assert level_order(["a2", "z3", "a1", "z1", "en"], near) == ["en", "z1", "a1", "z3", "a2"]


def test_a_language_is_shown_with_its_family():
    assert level_names(["z2", "Ayan", "all"], LANGUAGES) == {
        "z2": "Zud, East Zedic", "Ayan": "Ayan", "all": "all languages",
    }  # fmt: skip


def test_a_family_its_groups_and_its_languages_have_one_colour():
    colours = style.family_colours(LANGUAGES)
    assert colours["Zedic"] == colours["West Zedic"] == colours["East Zedic"] == colours["z2"]
    assert len({colours[name] for name in ("Home", "Zedic", "Ayan", "Mimic")}) == 4
    assert (
        style.group_markers(LANGUAGES)["West Zedic"] != style.group_markers(LANGUAGES)["East Zedic"]
    )


# What each kind of eye sees, in linear RGB: Machado, Oliveira and Fernandes (2009), severity 1.
EYES = {
    "protanopia": [
        [0.152286, 1.052583, -0.204868],
        [0.114503, 0.786281, 0.099216],
        [-0.003882, -0.048116, 1.051998],
    ],
    "deuteranopia": [
        [0.367322, 0.860646, -0.227968],
        [0.280085, 0.672501, 0.047413],
        [-0.011820, 0.042940, 0.968881],
    ],
    "tritanopia": [
        [1.255528, -0.076749, -0.178779],
        [-0.078411, 0.930809, 0.147602],
        [0.004733, 0.691367, 0.303900],
    ],
    "normal": np.eye(3),
}


def lab(rgb: np.ndarray) -> np.ndarray:
    """CIE L*a*b* (D65) of linear RGB."""
    to_xyz = np.array(
        [[0.4124, 0.3576, 0.1805], [0.2126, 0.7152, 0.0722], [0.0193, 0.1192, 0.9505]]
    )
    x, y, z = np.cbrt(np.clip(to_xyz @ rgb / [0.9505, 1.0, 1.089], 1e-6, None))
    return np.array([116 * y - 16, 500 * (x - y), 200 * (y - z)])


def seen(colour: str, eye: str) -> np.ndarray:
    rgb = np.array(to_rgb(colour))
    linear = np.where(rgb <= 0.04045, rgb / 12.92, ((rgb + 0.055) / 1.055) ** 2.4)
    return lab(np.clip(np.array(EYES[eye]) @ linear, 0, 1))


@pytest.mark.parametrize("eye", EYES)
def test_colours_stay_apart_for_every_kind_of_eye(eye):
    """A difference of 2.3 is just noticeable; we ask for several times that."""
    for palette in (style.COLOURS, [colour for colour, _ in style.VERDICTS.values()]):
        for one, other in combinations(palette, 2):
            assert np.linalg.norm(seen(one, eye) - seen(other, eye)) > 7, (one, other)


def test_score_heatmap_shows_means_over_seeds_nearest_to_english_first(figures):
    panel = figures["scores"].axes[0]
    names = [label.get_text() for label in panel.get_xticklabels()]
    assert names[:3] == ["English, Home", "Zod, West Zedic", "Zed, West Zedic"]
    conditions = [label.get_text() for label in panel.get_yticklabels()]
    assert conditions == ["no intermediate task", "SQuAD"]
    first_row = [text.get_text() for text in panel.texts[:7]]
    assert first_row == [
        "2",
        "42",
        "12",
        "32",
        "22",
        "52",
        "62",
    ]  # 10 * position + 2.5, halves to even


def test_gain_forest_puts_every_gain_and_interval_where_it_belongs(figures):
    left, right = figures["gains"].axes
    assert [left.get_title(), right.get_title()] == ["XQuAD", "other targets"]
    assert [t.get_text() for t in left.get_yticklabels()] == [
        "all languages (6)",
        "West Zedic (2)",
        "East Zedic (1)",
        "Ayan (2)",
        "Mimic (1)",
    ]
    marks = {line.get_ydata()[0]: line for line in left.lines if line.get_gid() in style.VERDICTS}
    assert {y: line.get_xdata()[0] for y, line in marks.items()} == {
        0: 2,
        1: 4,
        2: -3,
        3: 0.1,
        4: 1.5,
    }
    verdicts = ["too few", "improves", "harms", "equivalent", "undetermined"]
    assert [marks[y].get_gid() for y in range(5)] == verdicts
    filled = [marks[y].get_markerfacecolor() != "white" for y in range(5)]
    assert filled == [False, True, True, True, False]
    assert len({marks[y].get_color() for y in range(1, 5)}) == 4
    beside = {text.xy[1]: text for text in left.texts}
    assert [beside[y].get_text() for y in range(5)] == ["+2.0", "+4.0", "−3.0", "+0.1", "+1.5"]
    assert all(beside[y].get_color() == marks[y].get_color() for y in range(5))
    bars = [tuple(line.get_xdata()) for line in left.lines if line.get_gid() == "interval"]
    assert (1.5, 6.5) in bars and (-5.5, -0.5) in bars


def test_an_interval_beyond_the_picture_ends_in_an_arrow_head():
    """Corrected for many languages, an interval can be twenty times as long as every gain."""
    table = comparison(tasks=("xquad",))
    table.loc[3, ["ci_low", "ci_high"]] = -50.0, 60.0
    (panel,) = gain_plots.gain_forest(table, LANGUAGES, 0.05).axes
    low, high = panel.get_xlim()
    assert -20 < low < -5.5 and 6.5 < high < 20
    heads = {line.get_marker(): line.get_ydata()[0] for line in panel.lines
             if line.get_marker() in ("<", ">")}  # fmt: skip
    assert heads == {"<": 4, ">": 4}


def test_runs_are_dots_in_the_panel_of_their_baseline():
    """Gains over the baseline and over the control stand side by side, each with its own runs."""
    control = comparison(tasks=("xquad",), baseline="none~squad")
    table = pd.concat([comparison(tasks=("xquad",)), control])
    gains = [("none", 0.5), ("none", -0.2), ("none~squad", 0.3)]
    runs = pd.DataFrame(gains, columns=["baseline", "gain"]).assign(task="xquad", level="Ayan")
    left, right = gain_plots.gain_forest(table, LANGUAGES, 0.05, runs).axes
    for panel, wanted in ((left, [0.5, -0.2]), (right, [0.3])):
        (dots,) = (line for line in panel.lines if line.get_marker() == ".")
        assert list(dots.get_xdata()) == wanted and set(dots.get_ydata().round()) == {3}
    assert left.get_title() == "SQuAD against no intermediate\ntask"
    assert right.get_title() == "SQuAD against no intermediate\ntask, steps matched to SQuAD"
    assert left.figure.get_suptitle().startswith("Gain in points: XQuAD")


def test_a_run_beyond_all_intervals_stands_inside_the_frame():
    runs = pd.DataFrame({"task": "xquad", "level": "Ayan", "gain": [31.0, -29.0]})
    (panel,) = gain_plots.gain_forest(comparison(tasks=("xquad",)), LANGUAGES, 0.05, runs).axes
    assert panel.get_xlim()[0] < -31 and panel.get_xlim()[1] > 33
    other = gain_plots.gain_forest(comparison(tasks=("rest",)), LANGUAGES, 0.05, runs).axes[0]
    assert other.get_xlim()[1] < 20  # it has none of these


def test_three_panels_leave_no_empty_frame():
    axes = gain_plots.gain_forest(comparison(tasks=("xquad", "rest", "mlqa")), LANGUAGES, 0.05).axes
    assert [panel.get_title() for panel in axes] == ["XQuAD", "other targets", "MLQA"]


def test_a_verdict_has_a_colour_a_sign_and_its_gain(figures):
    panel = figures["verdicts"].axes[0]
    texts = [text.get_text() for text in panel.texts]
    assert {"+4.0\n+", "−3.0\n−", "+0.1\n=", "+1.5\n?", "+2.0\n·"} <= set(texts)
    assert [t.get_text() for t in panel.get_yticklabels()] == [
        "SQuAD against no intermediate task", "MNLI against no intermediate task",
    ]  # fmt: skip


def test_a_level_that_a_benchmark_lacks_has_no_column():
    table = comparison()
    table = table[~((table["task"] == "rest") & (table["level"] == "Mimic"))]
    panels = gain_plots.verdict_heatmap(table, LANGUAGES).axes
    named = {panel.get_title(): [t.get_text() for t in panel.get_xticklabels()] for panel in panels}
    assert [title for title, levels in named.items() if "Mimic" in levels] == ["XQuAD"]


def test_what_was_not_compared_is_hatched_and_the_legend_says_so():
    table = pd.concat([comparison(), comparison("mnli", tasks=("xquad",))])
    for cells, wanted in ((table, True), (comparison(), False)):
        figure = gain_plots.verdict_heatmap(cells, LANGUAGES)
        assert ("not compared" in [t.get_text() for t in figure.legends[0].get_texts()]) == wanted
        assert all(panel.patch.get_hatch() for panel in figure.axes)
        assert not any(panel.collections[0].get_clip_on() for panel in figure.axes)


def test_languages_at_one_distance_stand_around_it_and_only_drawn_marks_are_explained(figures):
    codes = ["z1", "z2", "z3", "a1", "a2"]
    at = LANGUAGES.assign(syntactic=LANGUAGES["code"].map({"z1": 0, "z2": 0, "z3": 0}).fillna(0.6))
    gains = pd.DataFrame({"task": "xquad", "level": codes, "gain": 2.0}).assign(
        ci_low=1.0, ci_high=3.0, verdict="improves"
    )
    figure = gain_plots.distance_slope(gains, at)
    marks = [line for line in figure.axes[0].lines if line.get_gid() == "improves"]
    places = sorted(line.get_xdata()[0] for line in marks)
    assert np.allclose(places, [-0.01, 0, 0.01, 0.595, 0.605])
    assert list(figure.axes[0].get_xticks()) == [0, 0.6]
    assert "Blue" in figure.words and "side by side" in figure.words
    assert not any(word in figure.words for word in ("Orange", "grey", "Hollow", "arrowhead"))
    assert "side by side" not in figures["slope"].words and "Hollow" in figures["slope"].words


def test_the_distance_line_is_the_least_squares_line(figures):
    panel = figures["slope"].axes[0]
    x, y = [0.2, 0.3, 0.8, 0.9], [4, 3, 1, 0.5]  # m1 has no distance
    slope, offset = np.polyfit(x, y, 1)
    drawn = next(line for line in panel.lines if list(line.get_xdata()) == [0.2, 0.9])
    assert np.allclose(drawn.get_ydata(), [offset + 0.2 * slope, offset + 0.9 * slope])


def test_smoothing_keeps_a_constant_and_the_length():
    assert np.allclose(plots.smooth(pd.Series(np.full(50, 2.0))), 2.0)
    assert len(plots.smooth(pd.Series([1.0]))) == 1


def test_a_mean_on_a_log_axis_begins_where_the_curve_begins():
    steps = pd.Series([1.0, 2.0, 2.2, 100.0, 110.0])
    found = plots.smooth_log(steps, pd.Series([8.0, 4.0, 6.0, 1.0, 2.0]), factor=1.2)
    assert found.tolist() == [8.0, 5.0, 5.0, 1.5, 1.5]


def test_a_figure_says_in_words_what_is_in_it():
    assert (
        repr(style.new_figure("Scores", "Brighter is better.")[0]) == "Scores. Brighter is better."
    )
    assert repr(style.new_figure("Which?", "Look.")[0]) == "Which? Look."
    log = pd.DataFrame(
        {"step": [1, 2], "loss": [3.0, 0.25], "seed": 0, "condition": "none → squad"}
    )
    said = repr(plots.training_curve(log))
    assert said.endswith("no intermediate task → SQuAD: seed 0, ends at 0.25: from 3 to 0.25;")


def test_losses_of_one_task_share_their_axis_those_of_another_do_not():
    ends = {"none → xquad": 4.0, "squad → xquad": 2.0, "none → xnli": 1.0}
    parts = [pd.DataFrame({"step": [1, 2], "loss": [high, 0.0], "seed": 0, "condition": name})
             for name, high in ends.items()]  # fmt: skip
    tops = [panel.get_ylim()[1] for panel in plots.training_curve(pd.concat(parts)).axes]
    assert tops[0] == tops[1] > 4 and 1 < tops[2] < 2


def test_a_title_has_one_pair_of_brackets_and_speaks_of_seeds_only_where_there_are_several():
    with style.origin("the demo"):
        figure = plots.score_heatmap(scores(), LANGUAGES, "xquad")
    assert "(points, mean over seeds; the demo)." in figure.words
    one = plots.score_heatmap(scores().query("seed == 0"), LANGUAGES, "xquad")
    assert "(points)." in one.words and "seeds" not in one.words


def test_a_row_of_numbers_is_in_the_words(figures):
    scores = pd.DataFrame({"task": "xquad", "language": [f"m{i}" for i in range(9)]})
    scores = scores.assign(condition="squad", score=[50.0, 71, *range(60, 67)])
    named = pd.DataFrame({"code": scores["language"], "name": scores["language"], "family": "F",
                          "group": "F", "syntactic": 0.1})  # fmt: skip
    assert repr(plots.score_heatmap(scores, named, "xquad")).endswith("SQuAD: 50 to 71;")
    few = scores.iloc[:2]
    assert repr(plots.score_heatmap(few, named, "xquad")).endswith("SQuAD: 50, 71;")


def test_the_mde_table_frames_what_finds_the_wanted_gain(figures):
    panel = figures["mde"].axes[0]
    framed = {(min(line.get_xdata()), min(line.get_ydata())) for line in panel.lines}
    # mde: seeds 3, 5, 10 -> all 2.3, 1.5, 0.9; one language 3.0, 2.2, 1.6
    assert framed == {(1, 0), (2, 0), (2, 1)}


def test_maps_of_an_encoder_say_in_words_what_they_show():
    shares = np.array([[0.1, 0.9], [0.6, 0.4]])
    figure = attention_map(shares, ["layer 1, head 1", "layer 1, head 2"], ["_soup", "<mask>"])
    assert repr(figure).endswith(
        "layer 1, head 1: 0.90 from <mask>; layer 1, head 2: 0.60 from _soup;"
    )
    places = pd.DataFrame({"x": [0, 1, 10, 11], "y": 0, "language": ["en", "qka"] * 2})
    places["meaning"] = ["fish", "fish", "red", "red"]  # 4 x 0.5 of 5.5 + 4.5 + 4.5 + 5.5
    said = repr(vector_map(places, language_table("world")))
    assert "words: fish, red; 10% as far from the middle of their translations" in said


def test_the_curve_of_a_run_without_a_condition_has_the_name_of_its_task():
    log = pd.DataFrame({"step": [1, 2], "loss": [3.0, 2.0], "run": ""})
    with warnings.catch_warnings():
        warnings.simplefilter("error", UserWarning)
        (legend,) = plots.losses_of_runs(log, "squad").legends
    assert [text.get_text() for text in legend.get_texts()] == ["SQuAD"]


def test_of_more_groups_than_colours_the_mean_stands_out():
    many = language_table("hub").drop_duplicates("group")
    assert len(many) > len(style.COLOURS)
    layers = pd.DataFrame({"layer": [0, 1] * len(many), "language": many["code"].repeat(2)})
    figure = plots.retrieval_by_layer(layers.assign(score=range(len(layers))), many)
    lines = {line.get_label(): line for line in figure.axes[0].lines}
    middle = [len(many) - 1, len(many)]  # of 0, 2, 4, ... and of 1, 3, 5, ...
    assert list(lines["mean of groups"].get_ydata()) == middle
    assert [each.get_text() for each in figure.legends[0].texts] == ["a group", "mean of groups"]


def test_short_runs_beside_long_ones_have_a_log_axis():
    def log(steps):
        return pd.DataFrame({"step": range(1, steps + 1), "loss": 1.0, "run": f"{steps}, seed 0"})

    scales = [plots.losses_of_runs(pd.concat([log(10), log(n)]), "squad").axes[0].get_xscale()
              for n in (20, 40)]  # fmt: skip
    assert scales == ["linear", "log"]
