"""Figures of languages, losses and scores: a tidy frame in, a matplotlib figure out.

Scores are in points (0..100). `languages` is always a frame with the columns of languages.csv.
Several rows per cell (seeds) are averaged where the docstring says so. The look is in `style`.
"""

from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import MaxNLocator

from xtsupport.report import style
from xtsupport.report.names import SCRIPTS, level_names, level_order, side_name, task_name


def training_curve(log: pd.DataFrame) -> Figure:
    """Loss against step, one line per seed (raw thin, smoothed over it), one panel per condition.

    `log`: step, loss, seed and, where there are several, condition (or ``condition → task``).
    """
    log = log if "condition" in log else log.assign(condition="")
    conditions = list(dict.fromkeys(log["condition"]))
    columns, rows = style.in_rows(len(conditions))
    figure, panels = style.new_figure(
        "Training loss, one line per seed",
        "A run that learns falls and then flattens. A line that never falls has learned nothing "
        "(the run collapsed).",
        len(conditions),
        columns,
        width=max(6.4, 3.2 * columns),
        height=3.8 if rows == 1 else 2.8 * rows + 0.6,
    )
    for panel, condition in zip(panels, conditions, strict=True):
        _loss_lines(panel, log[log["condition"] == condition])
    tops = pd.Series([panel.get_ylim()[1] for panel in panels])  # one for the panels of a task
    tops = tops.groupby([condition.split(" → ")[-1] for condition in conditions]).transform("max")
    for panel, condition, top in zip(panels, conditions, tops, strict=True):
        title = " → ".join(map(side_name, condition.split(" → "))) if condition else ""
        panel.set(xlabel="step", title=title, ylim=(0, 1.3 * top))
        if log.loc[log["condition"] == condition, "seed"].nunique() <= 4:
            panel.legend(frameon=False, fontsize="small", loc="upper right")
    for panel in panels[::columns]:
        panel.set(ylabel="loss")
    return figure


def losses_of_runs(log: pd.DataFrame, task: str) -> Figure:
    """Smoothed loss against step of several runs on one task, a colour per setting.

    `log`: step, loss, run (its name, in the order of the legend, such as ``squad, seed 0``).
    """
    seeds: dict[str, list[str]] = {}
    for name in dict.fromkeys(log["run"]):
        setting, _, seed = name.partition(", seed ")
        seeds.setdefault(setting, []).append(seed)
    count = log["run"].nunique()
    figure, (panel,) = style.new_figure(
        f"{task_name(task)}: training loss of {count} run{'s' * (count > 1)}",
        "A colour is one setting. A lower line learned faster; how far lines of one colour lie "
        "apart is chance.",
        height=3.4 + 0.16 * len(seeds),
    )
    settings = list(seeds)
    for name, run in log.groupby("run", sort=False):
        setting, run = name.partition(", seed ")[0], run.sort_values("step")
        i, own = settings.index(setting), [seed for seed in seeds[setting] if seed]
        label = side_name(setting) or task_name(task)  # phase 1 has no condition
        label += f", seed {own[0]}" if len(own) == 1 else ""
        label += f", {len(own)} seeds" * (len(own) > 1)
        turn, colour = divmod(i, len(style.COLOURS))
        panel.plot(run["step"], smooth(run["loss"]), color=style.COLOURS[colour],
                   linestyle=("-", "--", ":")[turn % 3],
                   label=label if name.endswith(seeds[setting][0]) else "_")  # fmt: skip
    panel.set(xlabel="step", ylabel="loss", ylim=(0, None))
    ends = log.groupby("run")["step"].max()
    if ends.max() > 3 * ends.min():  # else the short runs are a stroke at the left
        panel.set_xscale("log")
    figure.legend(loc="outside lower left", frameon=False, fontsize="small")
    return figure


def pretraining_loss(log: pd.DataFrame, chance: float) -> Figure:
    """Masked-word loss (nats) against step of phase 1; `log`: step, loss; `chance`: the loss of
    blind guessing."""
    figure, (panel,) = style.new_figure(
        "Pretraining: how hard the encoder finds it to guess a masked word",
        "The first fall is learning which words are frequent; the long one after the "
        "shoulder is learning to look the word up elsewhere, also in another language.",
    )
    _loss_lines(panel, log.assign(seed=0), log_axis=True)
    style.reference_line(panel, chance, "blind guessing")
    panel.set(xlabel="step", ylabel="loss in nats", ylim=(0, panel.get_ylim()[1] * 1.06))
    panel.set_xscale("log")
    return figure


def _loss_lines(panel: Axes, log: pd.DataFrame, log_axis: bool = False) -> None:
    for i, (seed, run) in enumerate(log.sort_values("step").groupby("seed")):
        colour, loss = style.COLOURS[i % len(style.COLOURS)], run["loss"]
        mean = smooth_log(run["step"], loss) if log_axis else smooth(loss)
        panel.plot(run["step"], run["loss"], color=colour, alpha=0.25, linewidth=0.8)
        panel.plot(run["step"], mean, color=colour, label=f"seed {seed}, ends at {mean[-1]:.2g}")


def smooth_log(steps: pd.Series, values: pd.Series, factor: float = 1.2) -> np.ndarray:
    """Moving average for a log axis, over steps up to `factor` away, steps rising: (n,) -> (n,)."""
    low = np.searchsorted(steps, steps / factor)
    high = np.searchsorted(steps, steps * factor, side="right")
    total = np.concatenate([[0.0], np.cumsum(values)])
    return (total[high] - total[low]) / (high - low)


def smooth(values: pd.Series) -> np.ndarray:
    """Centred moving average over 5% of the series (at least one value): (n,) -> (n,)."""
    window = max(1, round(0.05 * len(values)))
    return values.rolling(window, center=True, min_periods=1).mean().to_numpy()


def score_heatmap(scores: pd.DataFrame, languages: pd.DataFrame, task: str) -> Figure:
    """Heat map condition x language of one task (mean over seeds), nearest to English first.

    `scores`: condition, task, language, score; one metric only (``with_guesses`` for chance).
    """
    part = scores[scores["task"] == task]
    have = set(part["language"].astype(str))
    order = [code for code in level_order(languages["code"], languages) if code in have]
    order += sorted(have - set(order))  # pairs of languages
    grid = part.pivot_table(index="condition", columns="language", values="score", aggfunc="mean")
    grid = grid.reindex(index=list(dict.fromkeys(part["condition"])), columns=order)
    several = part.groupby(["condition", "language"], observed=True)["score"].size().max() > 1
    mean = ", mean over seeds" * bool(several)
    figure, (panel,) = style.new_figure(
        f"{task_name(task)}: score of every condition in every language (points{mean})",
        "Down a column: brighter is a higher score; whether a difference is more than luck cannot "
        "be seen here. Along a row, from the language whose grammar is nearest to that of English "
        "to the farthest: where is most lost?",
        width=max(6.4, 2.4 + 0.36 * len(order)),
        height=2.9 + 0.36 * len(grid),
    )
    mesh = style.shade(panel, grid, ".0f", cmap="cividis", linewidths=0.5)
    figure.colorbar(mesh, ax=panel, label="points", pad=0.02).outline.set_visible(False)
    named = list(level_names(order, languages).values())
    panel.set_xticks(np.arange(len(order)) + 0.5, named, rotation=90)
    panel.set_yticks(np.arange(len(grid)) + 0.5, list(map(side_name, grid.index)))
    return figure


def family_picture(languages: pd.DataFrame) -> Figure:
    """The languages table as a picture: family (colour), script (mark), syntactic distance from
    English (0..1); a language without one stands hollow at 0.
    """
    table = languages.set_index("code").loc[level_order(languages["code"], languages)]
    colours, scripts = style.family_colours(languages), dict.fromkeys(table["script"])
    marks = {script: style.MARKERS[i % len(style.MARKERS)] for i, script in enumerate(scripts)}
    figure, (panel,) = style.new_figure(
        "The languages: family (colour), script (mark) and syntactic distance from English",
        "Further right: the grammar differs more from that of English. Another mark: another "
        "script.",
        width=7.6,
        height=2.2 + 0.25 * len(table),
    )
    for y, row in enumerate(table.itertuples()):
        value, colour = row.syntactic, colours[row.family]
        panel.plot(
            0 if pd.isna(value) else value, y, color=colour, markersize=8,
            marker=marks[row.script],
            markerfacecolor="white" if pd.isna(value) else colour,
        )  # fmt: skip
    panel.set_yticks(range(len(table)), table["group"] + ": " + table["name"])
    for label, family in zip(panel.get_yticklabels(), table["family"], strict=True):
        label.set_color(colours[family])
    panel.set(xlabel="syntactic distance from English (0 to 1)", ylim=(len(table) - 0.4, -0.6))
    handles = [
        Line2D(
            [], [], color=style.INK, marker=mark, linestyle="", label=SCRIPTS.get(script, script)
        )
        for script, mark in marks.items()
    ]
    figure.legend(
        handles=handles, title="script", loc="outside lower left", ncols=6, frameon=False,
        fontsize="small", alignment="left",
    )  # fmt: skip
    return figure


def retrieval_by_layer(scores: pd.DataFrame, languages: pd.DataFrame) -> Figure:
    """Sentence-retrieval accuracy against layer, a line per group, a panel per condition.

    `scores`: layer (0 is the embedding layer), language, score and, where there are several,
    condition. A line is the mean over the group's languages; of more groups than colours all are
    grey, and their mean stands out.
    """
    scores = scores if "condition" in scores else scores.assign(condition="")
    conditions = list(dict.fromkeys(scores["condition"]))
    columns, rows = style.in_rows(len(conditions))
    figure, panels = style.new_figure(
        "Finding a sentence's translation: accuracy by layer",
        "Look where the lines peak: the first layers hold words, the last ones the task the "
        "encoder was trained on. A line is the mean of a group's languages.",
        len(conditions),
        columns,
        width=max(6.8, 1.8 + 2.8 * columns),
        height=max(3.8 if rows == 1 else 3 * rows, 1.4 + 0.2 * len(set(languages["group"]))),
        sharey=True,
    )
    for panel, condition in zip(panels, conditions, strict=True):
        _layer_lines(panel, scores[scores["condition"] == condition], languages)
        panel.set(xlabel="layer", xlim=(-0.2, scores["layer"].max() + 0.2))
        panel.set_title(side_name(condition) if condition else "")
        panel.xaxis.set_major_locator(MaxNLocator("auto", integer=True))
    for panel in panels[::columns]:
        panel.set(ylabel="accuracy in points", ylim=(0, None))
    lines = panels[0].get_legend_handles_labels()
    figure.legend(*lines, loc="outside right upper", frameon=False, fontsize="small")
    return figure


def _layer_lines(panel: Axes, scores: pd.DataFrame, languages: pd.DataFrame) -> None:
    colours, markers = style.family_colours(languages), style.group_markers(languages)
    groups = scores["language"].map(languages.set_index("code")["group"])
    lines = scores.groupby([groups, "layer"])["score"].mean().unstack("layer")
    many = len(lines) > len(style.COLOURS)
    for i, group in enumerate(level_order(lines.index, languages)):
        look: dict[str, Any] = {
            "color": colours[group], "marker": markers[group], "markersize": 5, "label": group,
        }  # fmt: skip
        grey: dict[str, Any] = {
            "color": style.OPEN,
            "alpha": 0.5,
            "linewidth": 0.9,
            "label": "_" if i else "a group",
        }
        panel.plot(lines.columns, lines.loc[group], **(grey if many else look))
    if many:
        mean = lines.mean()
        panel.plot(mean.index, mean, color=style.COLOURS[0], marker="o", label="mean of groups")
