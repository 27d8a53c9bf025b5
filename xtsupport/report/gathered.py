"""The figure of a class: what every machine would have claimed, and what all say together."""

import pandas as pd
from matplotlib.figure import Figure

from xtsupport.report.style import COLOURED, INK, new_figure, verdict_look


def claims_figure(alone: pd.DataFrame, together) -> Figure:
    """One line per machine, its gain with the interval of its own questions, the pooled below.

    `alone`: machine, seeds, gain, ci_low, ci_high, verdict, in points; together: one such row (of
    ``compare``) over questions and runs, drawn thick.
    """
    alone = alone.sort_values("gain", ignore_index=True)
    figure, (panel,) = new_figure(
        f"The same study on {len(alone)} machines, and all of them together",
        "A thin bar is a machine's own 95% interval, by its questions alone, as a paper with one "
        f"run has it. The thick one counts other runs as well. {COLOURED}",
        height=2.6 + 0.22 * len(alone),
    )
    for y, row in enumerate(alone.itertuples()):
        look = verdict_look(row.verdict)
        panel.plot([row.ci_low, row.ci_high], [y, y], color=look["color"], linewidth=1)
        panel.plot(row.gain, y, "o", markersize=5, **look)
    y, look = len(alone) + 0.5, verdict_look(together["verdict"])
    panel.plot([together["ci_low"], together["ci_high"]], [y, y], color=look["color"], linewidth=4)
    panel.plot(together["gain"], y, "D", markersize=8, **look)
    panel.axvline(0, color=INK, linewidth=0.8)
    panel.set_yticks(
        [*range(len(alone)), y], [*("seed " + alone["seeds"].astype(str)), "together"], fontsize=8
    )
    panel.set(xlabel="gain in points", ylim=(y + 0.8, -0.8))
    return figure
