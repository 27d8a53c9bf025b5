"""Figures of gains and verdicts: a tidy frame in, a matplotlib figure out.

Gains and intervals are in points. `languages` is always a frame with the columns of languages.csv.
The look is in `style`.
"""

import textwrap
from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.colors import ListedColormap
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch

from xtsupport.report import style
from xtsupport.report.names import contrast_name, level_names, level_order, task_name
from xtsupport.report.numbers import levels as interval_levels
from xtsupport.report.numbers import signed_gain

CONTINUES = "An arrowhead: the bar continues."
NOT_COMPARED: Any = {"facecolor": "white", "edgecolor": "#CCCCCC", "hatch": "////"}


def gain_forest(
    table: pd.DataFrame,
    languages: pd.DataFrame,
    alpha: float,
    runs: pd.DataFrame | None = None,
    window: tuple[float, float] | None = None,
) -> Figure:
    """Forest plot: gain per level with its verdict's interval, one panel per contrast and task.

    `table`: the columns of `compare`, one metric per task; `runs`: task, level, baseline, gain of
    single runs, drawn as dots (``run_gains``). window: the stretch of gains (None: what fits).
    """
    panes = list(table.groupby(["baseline", "variant", "task"], sort=False))
    levels = level_order(table["level"], languages)
    window = window or style.gain_window(table, runs)
    contrast = _common([contrast_name(rows.iloc[0]) for _, rows in panes])
    task = _common([task_name(rows["task"].iloc[0]) for _, rows in panes])
    columns, down = style.in_rows(len(panes), 2)
    figure, panels = style.new_figure(
        ": ".join(filter(None, ["Gain in points", task, contrast])),
        how_to_read(table, alpha, window, runs),
        len(panes),
        columns,
        width=5.6 if len(panes) == 1 else 9.2,
        height=1.3 + down * (0.8 + 0.27 * len(levels)),
        sharex=True,
        gridspec_kw={"wspace": 0.1},  # numbers on the right, the next panel's names on the left
    )
    for panel, (_, rows) in zip(panels, panes, strict=True):
        first = rows.iloc[0]
        parts = ["" if contrast else contrast_name(first), "" if task else task_name(first["task"])]
        _forest_panel(panel, rows, levels, level_names(levels, languages), window, runs)
        lines = [textwrap.fill(part, 32) for part in parts if part]
        panel.set_title("\n".join(lines), fontsize="medium")
    return figure


def how_to_read(
    table: pd.DataFrame, alpha: float, window: tuple[float, float], runs: pd.DataFrame | None
) -> str:
    """The caption of a forest plot with the rows of `table`: only the marks that are in it."""
    sure = interval_levels(table.to_dict("records"), alpha)
    parts = [
        f"Bar: the verdict's {sure}, over {sampled(table)}.",
        style.marks_used(table["verdict"]),
        "" if runs is None else "Dots: single runs.",
        CONTINUES if beyond(table, window).any() else "",
        "In brackets: how many languages.",
    ]
    return " ".join(filter(None, parts))


def beyond(table: pd.DataFrame, window: tuple[float, float]) -> pd.Series:
    """Whether the interval of a row is longer than the stretch that is drawn."""
    return (table["ci_low"] < window[0]) | (table["ci_high"] > window[1])


def sampled(table: pd.DataFrame) -> str:
    """What the intervals of the rows are taken over: `clusters of examples and runs`."""
    parts = table["unit"].iloc[0].split(" x ")
    if table["n_seeds"].max() < 2:  # there is one run: nothing is said about others
        parts = [part for part in parts if part != "seeds"]
    names = {"clusters": "clusters of examples", "seeds": "runs"}
    return " and ".join(names.get(part, part) for part in parts)


def _common(names: Sequence[str]) -> str:
    return names[0] if len(set(names)) == 1 else ""


def _forest_panel(panel: Axes, rows: pd.DataFrame, levels, names, window, runs) -> None:
    """One contrast and task: a row per level, its gain on the right in the verdict's colour."""
    count = rows.set_index("level")["n_languages"].to_dict()
    labels = [f"{names[level]} ({count[level]})" if level in count else names[level]
              for level in levels]  # fmt: skip
    panel.set_yticks(range(len(levels)), labels)
    panel.set_ylim(len(levels) - 0.4, -0.6)
    if levels[0] == "all":
        panel.get_yticklabels()[0].set_fontweight("bold")
        panel.axhline(0.6, color="#CCCCCC", linewidth=0.8)
    style.reference_line(panel, 0, horizontal=False)
    for row in rows.itertuples():
        at = levels.index(row.level)
        draw_gain(panel, row, at, window)
        panel.annotate(
            signed_gain(row.gain), (1.02, at), xycoords=("axes fraction", "data"), va="center",
            fontsize="small", color=style.verdict_look(row.verdict)["color"],
            weight="bold" if row.verdict in style.FOUND else "normal",
        )  # fmt: skip
    if runs is not None:
        _run_dots(panel, runs, rows.iloc[0], levels)
    panel.set(xlabel="gain in points", xlim=window)
    panel.tick_params(labelbottom=True)
    panel.grid(visible=False, axis="y")


def draw_gain(panel: Axes, row, at: float, window: tuple[float, float], upright=False, mark="o"):
    """One gain and the interval of its verdict, cut at the window with an arrowhead.

    `row`: gain, ci_low, ci_high, verdict as attributes. upright: gains run upwards, at x = `at`.
    """
    look, ends = style.verdict_look(row.verdict), np.clip([row.ci_low, row.ci_high], *window)
    cut = [end for end, whole in zip(ends, (row.ci_low, row.ci_high), strict=True) if end != whole]
    low, high = "v^" if upright else "<>"
    for values, marks in (
        (ends, {"linewidth": 2, "solid_capstyle": "butt", "gid": "interval"}),
        *(([end], {"marker": low if end < row.gain else high, "markersize": 6}) for end in cut),
        ([row.gain], {"marker": mark, "markersize": 7, "gid": row.verdict} | look),
    ):
        place = ([at] * len(values), values)
        panel.plot(*(place if upright else place[::-1]), **{"color": look["color"], **marks})


def _run_dots(panel: Axes, runs: pd.DataFrame, row, levels: Sequence[str]) -> None:
    mine = runs[(runs["task"] == row["task"]) & runs["level"].isin(levels)]
    if "baseline" in mine:
        mine = mine[mine["baseline"] == row["baseline"]]
    at = [levels.index(level) + 0.28 for level in mine["level"]]
    panel.plot(mine["gain"], at, linestyle="", marker=".", markersize=5, color=style.INK, alpha=0.6)


def verdict_heatmap(table: pd.DataFrame, languages: pd.DataFrame) -> Figure:
    """Map of verdicts: a panel per benchmark, contrasts down, levels across, cells with the gain.

    `table`: the columns of `compare`, one metric per task.
    """
    table = table.assign(contrast=list(map(contrast_name, table.to_dict("records"))))
    tasks, rows = list(dict.fromkeys(table["task"])), list(dict.fromkeys(table["contrast"]))
    widest = table.groupby("task")["level"].nunique().max()
    columns, down = style.in_rows(len(tasks), 2 if widest <= 10 else 1)
    units = ", ".join(dict.fromkeys(table["unit"]))
    figure, panels = style.new_figure(
        "Verdicts, with the gain in points, of every contrast on every benchmark",
        "Blue and orange cells are findings. Light grey ones are open questions, however large the "
        "gain in them. A blue cell in one benchmark and a grey one in another do not show that the "
        f"two differ: that has a test of its own. Unit: {units}.",
        len(tasks),
        columns,
        width=max(7.5, 2.6 + 0.42 * widest * columns),
        height=1.7 + down * (1.1 + 0.36 * len(rows)),
    )
    for i, (panel, task) in enumerate(zip(panels, tasks, strict=True)):
        _verdict_panel(panel, table[table["task"] == task], rows, languages)
        names = [textwrap.fill(row, 34) for row in rows]
        panel.set_yticks(np.arange(len(rows)) + 0.5, names, fontsize=8)
        panel.tick_params(labelleft=i % columns == 0)
        panel.set_title(task_name(task), fontsize="medium")
    handles = [
        Patch(facecolor=colour, edgecolor="#999999", label=f"{sign} {verdict}")
        for verdict, (colour, sign) in style.VERDICTS.items()
    ]
    if any(np.ma.is_masked(panel.collections[0].get_array()) for panel in panels):
        handles.append(Patch(**NOT_COMPARED, label="not compared"))
    figure.legend(
        handles=handles, loc="outside lower left", ncols=6, frameon=False, columnspacing=1,
        handletextpad=0.5,
    )  # fmt: skip
    return figure


def _verdict_panel(panel: Axes, table: pd.DataFrame, rows: Sequence[str], languages) -> None:
    levels = level_order(sorted(table["level"]), languages)
    grid = np.full((len(rows), len(levels)), np.nan)
    for row in table.to_dict("records"):
        y, x = rows.index(row["contrast"]), levels.index(row["level"])
        grid[y, x] = list(style.VERDICTS).index(row["verdict"])
        ink = "white" if row["verdict"] in style.FOUND else style.INK
        text = f"{signed_gain(row['gain'])}\n{style.VERDICTS[row['verdict']][1]}"
        style.cell_text(panel, x, y, text, fontsize=7.5, color=ink, linespacing=0.95)
    colours = ListedColormap([colour for colour, _ in style.VERDICTS.values()])
    last = len(style.VERDICTS) - 1
    look: Any = {"edgecolor": "#BBBBBB", "linewidths": 0.6, "clip_on": False}
    style.shade(panel, grid, cmap=colours, vmin=0, vmax=last, **look)
    panel.patch.set(**NOT_COMPARED)
    named = level_names(levels, languages).values()
    panel.set_xticks(np.arange(len(levels)) + 0.5, named, rotation=90, fontsize=8)


def distance_slope(gains: pd.DataFrame, languages: pd.DataFrame) -> Figure:
    """Gain per language against its syntactic distance from English, one panel per benchmark.

    `gains`: task, level (a language code), gain, ci_low, ci_high, verdict. The line is least
    squares over the languages shown, a description of these languages and not a test.
    """
    place = languages.set_index("code")["syntactic"].astype(float)
    gains = gains.assign(distance=gains["level"].map(place)).dropna(subset=["distance"])
    tasks, order = list(dict.fromkeys(gains["task"])), level_order(gains["level"], languages)
    gains = gains.sort_values("level", key=lambda codes: codes.map(order.index))
    window, distances = style.gain_window(gains), gains["distance"].unique()
    tied = gains.duplicated(["task", "distance"]).any()
    marks = [
        style.marks_used(gains["verdict"]),
        "Shape: language group.",
        "Bars: the intervals of the verdicts, corrected for the number of languages.",
        CONTINUES if beyond(gains, window).any() else "",
        "Languages at one distance stand side by side around it." if tied else "",
    ]
    columns, down = style.in_rows(len(tasks), 2)
    figure, panels = style.new_figure(
        "Does the gain shrink with distance from English?",
        "A line falling to the right says yes. With few languages a single one can turn it: cover "
        f"each point with a finger and look again. {' '.join(filter(None, marks))}",
        len(tasks),
        columns,
        width=6.8 if len(tasks) == 1 else 9.6,
        height=1.4 + 2.9 * down,
        sharex=True,
        sharey=True,
    )
    languages = languages[languages["code"].isin(gains["level"])]  # their groups share no mark
    markers, group_of = style.group_markers(languages), languages.set_index("code")["group"]
    gains = gains.assign(mark=gains["level"].map(group_of).map(markers))
    for panel, task in zip(panels, tasks, strict=True):
        _gain_points(panel, gains[gains["task"] == task], window)
        style.reference_line(panel, 0)
        panel.set(title=task_name(task), xlabel="syntactic distance from English", ylim=window)
        panel.tick_params(labelbottom=True)
        if len(distances) < 7:  # a line where the languages beside it belong
            panel.set_xticks(sorted(distances))
    for panel in panels[::2]:
        panel.set_ylabel("gain in points")
    handles = [
        Line2D([], [], color=style.INK, marker=markers[group], linestyle="", label=group)
        for group in level_order(gains["level"].map(group_of), languages)
    ]
    panels[columns - 1].legend(
        handles=handles, loc="upper left", bbox_to_anchor=(1.02, 1), frameon=False,
        fontsize="small",
    )  # fmt: skip
    return figure


def _gain_points(panel: Axes, gains: pd.DataFrame, window) -> None:
    same, span = gains.groupby("distance")["gain"], np.ptp(gains["distance"]) or 1
    beside = (same.cumcount() - (same.transform("size") - 1) / 2) * span / 60  # equal distances
    for row in gains.assign(x=gains["distance"] + beside).itertuples():
        draw_gain(panel, row, row.x, window, upright=True, mark=row.mark)
    if gains["distance"].nunique() > 2:
        line = np.polynomial.Polynomial.fit(gains["distance"], gains["gain"], 1)
        ends = np.array([gains["distance"].min(), gains["distance"].max()])
        panel.plot(ends, line(ends), color=style.INK, linewidth=1)


def claims_figure(alone: pd.DataFrame, together: pd.DataFrame) -> Figure:
    """A line per machine, its gain with the interval of its own questions, the pooled one below.

    `alone`: machine, seeds, gain, ci_low, ci_high, verdict, in points; together: the
    first row is that of ``compare`` over questions and runs.
    """
    alone = alone.sort_values("gain", ignore_index=True)
    rows = pd.concat([alone, together.head(1)], ignore_index=True)
    window = style.gain_window(rows)
    figure, (panel,) = style.new_figure(
        f"The same study on {len(alone)} machines, and all of them together",
        "A dot is one machine's gain, its bar the 95% interval from that machine's questions "
        "alone, as a paper with a single run would report it. The diamond's bar includes the luck "
        f"of the runs. {style.marks_used(rows['verdict'])}",
        height=2.6 + 0.22 * len(alone),
    )
    for y, row in enumerate(rows.itertuples()):
        draw_gain(panel, row, y, window, mark="D" if y == len(alone) else "o")
    panel.axhline(len(alone) - 0.5, color="#CCCCCC", linewidth=0.8)
    style.reference_line(panel, 0, horizontal=False)
    names = [*("seed " + alone["seeds"].astype(str)), "together"]
    panel.set_yticks(range(len(rows)), names, fontsize=8)
    row = together.iloc[0]
    where = f"gain on {task_name(row['task'])} in points: {contrast_name(row)}"
    panel.set(xlabel=where, ylim=(len(alone) + 0.6, -0.6))
    return figure
