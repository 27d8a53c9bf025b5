"""Every figure of the study: a tidy frame in, a matplotlib figure out; the look is in `style`.

Scores, gains and intervals are in points (0..100). `languages` is always a frame with the columns
of languages.csv. Several rows per cell (seeds) are averaged where the docstring says so.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd
import seaborn as sns
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch
from matplotlib.ticker import MaxNLocator

from xtsupport.report.sentences import levels as interval_levels
from xtsupport.report.style import (
    COLOURED,
    COLOURS,
    INK,
    MARKERS,
    VERDICTS,
    family_colours,
    gain_window,
    group_markers,
    language_order,
    level_order,
    new_figure,
    reference_line,
    smooth,
    verdict_look,
)
from xtsupport.sides import both_sides
from xtsupport.statistics.declared import reach


def training_curve(log: pd.DataFrame) -> Figure:
    """Loss against step, one line per seed (raw thin, smoothed over it), one panel per condition.

    `log`: step, loss, seed and, where there are several, condition.
    """
    log = log if "condition" in log else log.assign(condition="")
    conditions = list(dict.fromkeys(log["condition"]))
    figure, panels = new_figure(
        "Training loss, one line per seed",
        "A run that learns falls and then flattens, and the seeds fall together. A line that "
        "never falls has collapsed.",
        columns=len(conditions),
        width=max(6.4, 3.2 * len(conditions)),
        sharey=True,
    )
    for panel, condition in zip(panels, conditions, strict=True):
        _loss_lines(panel, log[log["condition"] == condition])
        panel.set(xlabel="step", title=condition)
    panels[0].set(ylabel="loss", ylim=(0, None))
    panels[-1].legend(frameon=False, fontsize="small")
    return figure


def losses_of_runs(log: pd.DataFrame, task: str) -> Figure:
    """Smoothed loss against step of several runs on one task, overlaid.

    `log`: step, loss, run (its name, in the order of the legend).
    """
    names = list(dict.fromkeys(log["run"]))
    figure, (panel,) = new_figure(
        f"{task}: training loss of {len(names)} runs",
        "Compare runs of one seed: a lower line learned faster. Compare seeds of one setting: how "
        "far apart they lie is chance.",
        height=3.4 + 0.16 * len(names),
    )
    for i, name in enumerate(names):
        run = log[log["run"] == name].sort_values("step")
        panel.plot(run["step"], smooth(run["loss"]), color=COLOURS[i % len(COLOURS)], label=name,
                   linestyle=("-", "--", ":")[i // len(COLOURS) % 3])  # fmt: skip
    panel.set(xlabel="step", ylabel="loss", ylim=(0, None))
    figure.legend(loc="outside lower left", frameon=False, fontsize="small")
    return figure


def pretraining_loss(log: pd.DataFrame, chance: float | None = None) -> Figure:
    """Masked-word loss (nats) against step of phase 1; `chance` is the loss of blind guessing.

    `log`: step, loss and, where there are several, seed.
    """
    figure, (panel,) = new_figure(
        "Pretraining: how hard the encoder finds it to guess a masked word",
        "Two falls: the first, at once, is learning which words are frequent; the second, later, "
        "is learning to look the word up elsewhere in the text, also in another language.",
    )
    _loss_lines(panel, log if "seed" in log else log.assign(seed=0))
    if chance is not None:
        reference_line(panel, chance, "blind guessing")
    panel.set(xlabel="step", ylabel="loss in nats", ylim=(0, panel.get_ylim()[1] * 1.06))
    if "seed" in log:
        panel.legend(frameon=False, fontsize="small")
    return figure


def _loss_lines(panel: Axes, log: pd.DataFrame) -> None:
    for i, (seed, run) in enumerate(log.sort_values("step").groupby("seed")):
        colour, mean = COLOURS[i % len(COLOURS)], smooth(run["loss"])
        panel.plot(run["step"], run["loss"], color=colour, alpha=0.25, linewidth=0.8)
        panel.plot(run["step"], mean, color=colour, label=f"seed {seed}, ends at {mean[-1]:.2f}")


def score_heatmap(scores: pd.DataFrame, languages: pd.DataFrame, task: str) -> Figure:
    """Heat map condition x language of one task (mean over seeds), white lines between families.

    `scores`: condition, task, language, score; one metric only (``with_guesses`` for chance).
    """
    part = scores[scores["task"] == task]
    order = [code for code in language_order(languages) if code in set(part["language"])]
    order += sorted(set(part["language"].astype(str)) - set(order))  # pairs of languages
    grid = part.pivot_table(index="condition", columns="language", values="score", aggfunc="mean")
    grid = grid.reindex(index=list(dict.fromkeys(part["condition"])), columns=order)
    figure, (panel,) = new_figure(
        f"{task}: score of every condition in every language (points, mean over seeds)",
        "Down a column: brighter is a higher score; which differences are findings, the verdicts "
        "say. Along a row: how much is lost with distance from English.",
        width=max(6.4, 2.4 + 0.5 * len(order)),
        height=2.5 + 0.36 * len(grid),
    )
    sns.heatmap(
        grid, ax=panel, cmap="cividis", annot=True, fmt=".0f", annot_kws={"fontsize": 8},
        cbar_kws={"label": "points", "pad": 0.02},
    )  # fmt: skip
    table = languages.set_index("code")
    known = [code for code in order if code in table.index]
    names = [f"{table.loc[code, 'name']} ({code})" for code in known] + order[len(known) :]
    panel.set_xticks(np.arange(len(order)) + 0.5, names, rotation=90)
    families = [table.loc[code, "family"] for code in known]
    _family_breaks(panel, families + ["pairs"] * (len(order) - len(known)))
    panel.set(xlabel="", ylabel="")
    panel.tick_params(axis="y", rotation=0)
    return figure


def gain_forest(
    table: pd.DataFrame,
    languages: pd.DataFrame,
    runs: pd.DataFrame | None = None,
    alpha: float = 0.05,
) -> Figure:
    """Forest plot: gain per level with its verdict's interval, the benchmarks side by side.

    `table`: the columns of `compare`, one contrast, one metric per task; `runs`: task, level, gain
    of single runs, drawn as dots (``run_gains``). Differences stand below what is subtracted.
    """
    levels, first = level_order(table["level"], languages), table.iloc[0]
    grid = _grid(list(dict.fromkeys(table["task"])))
    shown = " and ".join(reach(by) for by in dict.fromkeys(table["by"]))
    sure = interval_levels(table.to_dict("records"), alpha)
    figure, panels = new_figure(
        f"Gain of {' over '.join(both_sides(first))} {shown}",
        f"Bar: {sure}, the one that belongs to the verdict; resampled: {first['unit']}. {COLOURED}"
        f"{'' if runs is None else ' Dots: single runs.'} An arrow head: the bar goes on. In "
        "brackets: how many languages.",
        columns=len(grid[0]),
        rows=len(grid),
        width=max(6.4, 1.8 + 2.8 * len(grid[0])),
        height=1.4 + len(grid) * (0.7 + 0.3 * len(levels)),
        sharey=True,
        sharex=True,
    )
    window = gain_window(table)
    count = table.groupby("level")["n_languages"].max()
    named = [f"{level} ({count[level]})" for level in levels]
    panels[0].set_yticks(range(len(levels)), named)
    panels[0].set_ylim(len(levels) - 0.4, -0.6)
    for panel, task in zip(panels, [task for row in grid for task in row], strict=True):
        if not task:
            _only_names(panel, named)
            continue
        reference_line(panel, 0, horizontal=False)
        for row in table[table["task"] == task].itertuples():
            draw_gain(panel, row, levels.index(row.level), window)
        _run_dots(panel, runs, task, levels)
        panel.set(title=task, xlabel="gain in points", xlim=window)
        panel.tick_params(labelbottom=True)
        panel.grid(visible=False, axis="y")
    return figure


def _only_names(panel: Axes, names: Sequence[str]) -> None:
    """An empty place that names the levels of the panels to its right."""
    panel.set_axis_off()
    for y, name in enumerate(names):
        panel.text(0.97, y, name, ha="right", va="center", transform=panel.get_yaxis_transform())


def _grid(tasks: Sequence[str]) -> list[list[str]]:
    """Rows of panels: up to three tasks side by side; of more, differences below their part."""
    if len(tasks) <= 3:
        return [list(tasks)]
    top = [task for task in tasks if " - " not in task]
    below = {task.partition(" - ")[2]: task for task in tasks if " - " in task}
    fits = below and set(below) <= set(top)
    return [top, [below.get(task, "") for task in top]] if fits else [list(tasks)]


def draw_gain(panel: Axes, row, at: float, window: tuple[float, float], upright=False, mark="o"):
    """One gain and the interval of its verdict, cut at the window with an arrow head.

    `row`: gain, ci_low, ci_high, verdict as attributes. upright: gains run upwards, at x = `at`.
    """
    look, ends = verdict_look(row.verdict), np.clip([row.ci_low, row.ci_high], *window)
    cut = [end for end, whole in zip(ends, (row.ci_low, row.ci_high), strict=True) if end != whole]
    for values, style in (
        (ends, {"linewidth": 2, "solid_capstyle": "butt", "gid": "interval"}),
        *(([end], {"marker": _arrow(end < row.gain, upright), "markersize": 6}) for end in cut),
        ([row.gain], {"marker": mark, "markersize": 7, "gid": row.verdict} | look),
    ):
        place = ([at] * len(values), values)
        panel.plot(*(place if upright else place[::-1]), **{"color": look["color"], **style})


def _arrow(down: bool, upright: bool) -> str:
    return ("v" if down else "^") if upright else ("<" if down else ">")


def _run_dots(panel: Axes, runs: pd.DataFrame | None, task: str, levels: Sequence[str]) -> None:
    if runs is None or not task:
        return
    mine = runs[(runs["task"] == task) & runs["level"].isin(levels)]
    at = [levels.index(level) + 0.28 for level in mine["level"]]
    panel.plot(mine["gain"], at, linestyle="", marker=".", markersize=5, color=INK, alpha=0.6)


def verdict_heatmap(table: pd.DataFrame, languages: pd.DataFrame) -> Figure:
    """Map of verdicts: contrasts down, benchmarks and their levels across, each cell with its gain.

    `table`: the columns of `compare`, one metric per task.
    """
    table = table.assign(contrast=[" over ".join(both_sides(row)) for _, row in table.iterrows()])
    tasks, rows = list(dict.fromkeys(table["task"])), list(dict.fromkeys(table["contrast"]))
    table = table.set_index(["contrast", "task", "level"]).sort_index()
    columns = [
        (task, level)
        for task in tasks
        for level in level_order(table.xs(task, level="task").index.unique("level"), languages)
    ]
    units = ", ".join(dict.fromkeys(table["unit"]))
    figure, (panel,) = new_figure(
        "Verdicts, with the gain in points, of every contrast on every benchmark",
        "Blue and orange cells are findings, light ones are open, whatever their number. That one "
        "benchmark is blue and another is not does not show that they differ: that is tested "
        f"apart. Unit: {units}.",
        width=max(7.5, 2.4 + 0.48 * len(columns)),
        height=3.4 + 0.36 * len(rows),
    )
    for y, contrast in enumerate(rows):
        for x, (task, level) in enumerate(columns):
            if (contrast, task, level) in table.index:
                _verdict_cell(panel, x, y, table.loc[(contrast, task, level)])
    panel.grid(visible=False)
    panel.set(xlim=(-0.5, len(columns) - 0.5), ylim=(len(rows) - 0.5, -0.5))
    panel.set_xticks(range(len(columns)), [level for _, level in columns], rotation=90)
    panel.set_yticks(range(len(rows)), rows)
    _task_headings(panel, [task for task, _ in columns])
    handles = [
        Patch(facecolor=colour, edgecolor="#999999", label=f"{sign} {verdict}")
        for verdict, (colour, sign) in VERDICTS.items()
    ]
    figure.legend(handles=handles, loc="outside lower left", ncols=5, frameon=False)
    return figure


def _verdict_cell(panel: Axes, x: int, y: int, row: pd.Series) -> None:
    colour, sign = VERDICTS[row["verdict"]]
    ink = "white" if row["verdict"] in ("improves", "harms", "equivalent") else INK
    panel.bar(x, 0.94, 0.94, y - 0.47, color=colour, edgecolor="#BBBBBB", linewidth=0.6)
    panel.text(
        x, y, f"{row['gain']:+.1f}\n{sign}".replace("-", "\N{MINUS SIGN}"),
        ha="center", va="center", fontsize=7.5, color=ink, linespacing=0.95,
    )  # fmt: skip


def _task_headings(panel: Axes, tasks: Sequence[str]) -> None:
    """The benchmark's name over its columns and a gap line between benchmarks."""
    for task in dict.fromkeys(tasks):
        where = [i for i, name in enumerate(tasks) if name == task]
        panel.text(float(np.mean(where)), -0.6, task, ha="center", va="bottom", fontsize=9)
        if where[0]:
            panel.axvline(where[0] - 0.5, color=INK, linewidth=1.5)


def _family_breaks(panel: Axes, families: Sequence[str]) -> None:
    for i in range(1, len(families)):
        if families[i] != families[i - 1]:
            panel.axvline(i, color="white", linewidth=4)


def family_picture(languages: pd.DataFrame, distance: str = "syntactic") -> Figure:
    """The languages table as a picture: family (colour), script (mark), distance from English.

    `distance` names one of the distance columns (0..1); a language without one stands hollow at 0.
    """
    table = languages.set_index("code").loc[language_order(languages)]
    scripts, colours = list(dict.fromkeys(table["script"])), family_colours(languages)
    figure, (panel,) = new_figure(
        f"The languages: family (colour), script (mark) and {distance} distance from English",
        "Further right: the grammar differs more from that of English. Another mark: another "
        "script. Transfer from English should be hardest where both change.",
        width=7.6,
        height=2.2 + 0.25 * len(table),
    )
    for y, row in enumerate(table.itertuples()):
        value, colour = getattr(row, distance), colours[row.family]
        panel.plot(
            0 if pd.isna(value) else value, y, color=colour, markersize=8,
            marker=MARKERS[scripts.index(row.script) % len(MARKERS)],
            markerfacecolor="white" if pd.isna(value) else colour,
        )  # fmt: skip
    names = table["group"] + ": " + table["name"] + " (" + table.index + ")"
    panel.set_yticks(range(len(table)), names)
    for label, family in zip(panel.get_yticklabels(), table["family"], strict=True):
        label.set_color(colours[family])
    panel.set(xlabel=f"{distance} distance from English (0 to 1)", ylim=(len(table) - 0.4, -0.6))
    handles = [
        Line2D([], [], color=INK, marker=MARKERS[i % len(MARKERS)], linestyle="", label=script)
        for i, script in enumerate(scripts)
    ]
    figure.legend(
        handles=handles, title="script", loc="outside lower left", ncols=6, frameon=False,
        fontsize="small", alignment="left",
    )  # fmt: skip
    return figure


def retrieval_by_layer(
    scores: pd.DataFrame, languages: pd.DataFrame, chance: float | None = None
) -> Figure:
    """Sentence-retrieval accuracy against layer, a line per group, a panel per condition.

    `scores`: layer (0 is the embedding layer), language, score and, where there are several,
    condition. A line is the mean over the group's languages.
    """
    scores = scores if "condition" in scores else scores.assign(condition="")
    conditions = list(dict.fromkeys(scores["condition"]))
    figure, panels = new_figure(
        "Finding a sentence's translation: accuracy by layer",
        "Look where the lines peak: the first layers hold words, the last ones the task the "
        "encoder was trained on. A line is the mean of a group's languages.",
        columns=len(conditions),
        width=max(6.8, 1.8 + 2.8 * len(conditions)),
        height=max(3.8, 1.4 + 0.2 * len(set(languages["group"]))),
        sharey=True,
    )
    for panel, condition in zip(panels, conditions, strict=True):
        _layer_lines(panel, scores[scores["condition"] == condition], languages)
        if chance is not None:
            reference_line(panel, chance, "guessing")
        panel.set(xlabel="layer", title=condition, xlim=(-0.2, scores["layer"].max() + 0.2))
        panel.xaxis.set_major_locator(MaxNLocator("auto", integer=True))
    panels[0].set(ylabel="accuracy in points", ylim=(0, None))
    panels[-1].legend(loc="upper left", bbox_to_anchor=(1.02, 1), frameon=False, fontsize="small")
    return figure


def _layer_lines(panel: Axes, scores: pd.DataFrame, languages: pd.DataFrame) -> None:
    colours, markers = family_colours(languages), group_markers(languages)
    groups = scores["language"].map(languages.set_index("code")["group"])
    for group in level_order(groups, languages):
        line = scores[groups == group].groupby("layer")["score"].mean()
        panel.plot(
            line.index, line, color=colours[group], marker=markers[group], markersize=5, label=group
        )


def distance_slope(
    gains: pd.DataFrame, languages: pd.DataFrame, distance: str = "syntactic"
) -> Figure:
    """Gain per language against its distance from English, one panel per benchmark.

    `gains`: task, level (a language code), gain, ci_low, ci_high, verdict. The line is least
    squares over the languages shown, a description of these languages and not a test.
    """
    place = languages.set_index("code")[distance].astype(float)
    gains = gains.assign(distance=gains["level"].map(place)).dropna(subset=["distance"])
    grid = _grid(list(dict.fromkeys(gains["task"])))
    figure, panels = new_figure(
        "Does the gain shrink with distance from English?",
        "A line falling to the right says yes. With few languages a single one can turn it: cover "
        f"each point with a finger and look again. {COLOURED} Shape: language group. Bars: the "
        "intervals of the verdicts, corrected for the number of languages; an arrow head: the bar "
        "goes on.",
        columns=len(grid[0]),
        rows=len(grid),
        width=max(6.4, 2.4 + 2.6 * len(grid[0])),
        height=1.2 + 2.9 * len(grid),
        sharex=True,
        sharey=True,
    )
    window = gain_window(gains)
    languages = languages[languages["code"].isin(gains["level"])]  # their groups share no mark
    for panel, task in zip(panels, [task for row in grid for task in row], strict=True):
        panel.set_visible(bool(task))
        _gain_points(panel, gains[gains["task"] == task], languages, window)
        reference_line(panel, 0)
        panel.set(title=task, xlabel=f"{distance} distance from English", ylim=window)
        panel.tick_params(labelbottom=True)
    panels[0].set_ylabel("gain in points")
    for row, start in enumerate(range(0, len(panels), len(grid[0]))):
        panels[start + grid[row].index(next(filter(None, grid[row])))].tick_params(labelleft=True)
    groups = gains["level"].map(languages.set_index("code")["group"])
    _group_legend(panels[len(grid[0]) - 1], groups, languages)
    return figure


def _gain_points(panel: Axes, gains: pd.DataFrame, languages: pd.DataFrame, window) -> None:
    markers = group_markers(languages)
    group = languages.set_index("code")["group"]
    beside = gains.groupby("distance").cumcount() * 0.015  # equal distances stand side by side
    for row in gains.assign(x=gains["distance"] + beside).itertuples():
        draw_gain(panel, row, row.x, window, upright=True, mark=markers[group[row.level]])
    if gains["distance"].nunique() > 2:
        line = np.polynomial.Polynomial.fit(gains["distance"], gains["gain"], 1)
        ends = np.array([gains["distance"].min(), gains["distance"].max()])
        panel.plot(ends, line(ends), color=INK, linewidth=1)


def _group_legend(panel: Axes, groups: Sequence[str], languages: pd.DataFrame) -> None:
    """The groups' marks, right of the last panel."""
    markers = group_markers(languages)
    handles = [
        Line2D([], [], color=INK, marker=markers[group], linestyle="", label=group)
        for group in level_order(groups, languages)
    ]
    panel.legend(
        handles=handles, loc="upper left", bbox_to_anchor=(1.02, 1), frameon=False, fontsize="small"
    )


def mde_picture(
    table: pd.DataFrame,
    rows: str = "n_languages",
    columns: str = "n_seeds",
    wanted: float | None = None,
    languages: pd.DataFrame | None = None,
) -> Figure:
    """The smallest gain a design finds with 80% power, as a shaded table.

    `table`: mde (points) and the columns named by `rows` and `columns`; cells at or below `wanted`
    are framed. `languages` puts rows that are groups, families or codes into table order.
    """
    order = list(dict.fromkeys(table[rows]))
    order = order if languages is None else level_order(order, languages)
    grid = table.pivot_table(index=rows, columns=columns, values="mde").loc[order]
    framed = "" if wanted is None else f" Framed: finds a gain of {wanted:g}."
    framed += f" Unit: {table['unit'].iloc[0]}." if "unit" in table else ""
    figure, (panel,) = new_figure(
        "The smallest gain that this design finds (points, 80% power)",
        "Along a row: more seeds. Where the numbers stop falling, more of the same does not help, "
        f"only more questions or languages do.{framed}",
        width=max(6.4, 2.2 + 0.8 * grid.shape[1]),
        height=2.1 + 0.4 * grid.shape[0],
    )
    sns.heatmap(grid, ax=panel, cmap="cividis_r", annot=True, fmt=".1f", linewidths=1, cbar=False)
    if wanted is not None:
        for y, x in np.argwhere(grid.to_numpy() <= wanted):
            panel.plot(
                [x, x + 1, x + 1, x, x], [y, y, y + 1, y + 1, y], color=COLOURS[1], linewidth=2
            )
    names = {name: name.replace("n_", "number of ") for name in (rows, columns)} | {"level": ""}
    panel.set(xlabel=names[columns], ylabel=names[rows])
    panel.tick_params(axis="y", rotation=0)
    return figure
