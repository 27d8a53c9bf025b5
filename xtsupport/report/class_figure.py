"""The figure of a class: what every machine would have claimed, and what all say together."""

import pandas as pd
from matplotlib.figure import Figure

from xtsupport.report.names import contrast_name, task_name
from xtsupport.report.style import COLOURED, INK, new_figure, verdict_look


def claims_figure(alone: pd.DataFrame, together) -> Figure:
    """One line per machine, its gain with the interval of its own questions, the pooled below.

    `alone`: machine, seeds, gain, ci_low, ci_high, verdict, in points; together: one row of
    ``compare`` over questions and runs, drawn thick.
    """
    alone = alone.sort_values("gain", ignore_index=True)
    figure, (panel,) = new_figure(
        f"The same study on {len(alone)} machines, and all of them together",
        "A thin bar is one machine's 95% interval, from its questions alone, as a paper with a "
        f"single run would report it. The thick one includes the luck of the runs. {COLOURED}",
        height=2.6 + 0.22 * len(alone),
    )
    last = len(alone) + 0.5
    rows = [*zip(map(float, range(len(alone))), alone.to_dict("records"), strict=True)]
    for y, row in [*rows, (last, dict(together))]:
        pooled, look = y == last, verdict_look(row["verdict"])
        panel.plot([row["ci_low"], row["ci_high"]], [y, y], color=look["color"],
                   linewidth=4 if pooled else 1)  # fmt: skip
        panel.plot(row["gain"], y, marker="D" if pooled else "o", markersize=8 if pooled else 5,
                   color=look["color"], markerfacecolor=look["markerfacecolor"])  # fmt: skip
    panel.axvline(0, color=INK, linewidth=0.8)
    panel.set_yticks(
        [*range(len(alone)), last],
        [*("seed " + alone["seeds"].astype(str)), "together"],
        fontsize=8,
    )
    where = f"gain on {task_name(together['task'])} in points"
    panel.set(xlabel=f"{where}: {contrast_name(together)}", ylim=(last + 0.8, -0.8))
    return figure
