"""Planning and calibration for people: the power table as pictures, in words, as files."""

from pathlib import Path

import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from matplotlib.ticker import FixedLocator

from xtsupport.files import write_text
from xtsupport.report import style
from xtsupport.report.names import level_names, level_order
from xtsupport.report.numbers import counted, points
from xtsupport.report.page import save, shown
from xtsupport.report.paper_tables import latex
from xtsupport.statistics.verdicts import POWER

NAMES = {"n_languages": "languages", "n_examples": "questions"}


def power_curves(table: pd.DataFrame, languages: pd.DataFrame) -> Figure:
    """Power against the number of seeds, a line per level, a panel per number of questions.

    table: rows of ``power_table`` for one gain. Where languages were varied, their most counts.
    """
    table = table[table["n_languages"] == table.groupby("level")["n_languages"].transform("max")]
    factors = sorted(table["questions"].unique())
    figure, panels = style.new_figure(
        f"How likely is a gain of {points(table['gain'].iloc[0])} to be found?",
        "A line that reaches the dashed one has 80% power. Where it flattens below, no number of "
        "seeds suffices: only more questions or languages help (compare the panels).",
        len(factors),
        len(factors),
        width=max(6.8, 2.6 + 3.0 * len(factors)),
        height=max(3.8, 1.6 + 0.2 * table["level"].nunique()),
        sharey=True,
    )
    levels = level_order(table["level"], languages)
    for panel, factor in zip(panels, factors, strict=True):
        style.reference_line(panel, 100 * POWER)
        part = table[table["questions"] == factor]
        for number, level in enumerate(levels):
            _power_line(panel, part[part["level"] == level], level, number, languages)
        title = "the pilot's questions" if factor == 1 else f"{factor:g} times the questions"
        panel.set(title=title, xlabel="seeds", xscale="log", ylim=(0, 103))
        panel.xaxis.set_major_locator(FixedLocator(sorted(part["n_seeds"].unique())))
        panel.xaxis.set_major_formatter("{x:.0f}")
        panel.minorticks_off()
    panels[0].set_ylabel("power in %")
    panels[-1].legend(loc="upper left", bbox_to_anchor=(1.02, 1), frameon=False, fontsize="small")
    return figure


def _power_line(panel, rows, level, number, languages) -> None:
    colours, markers = style.family_colours(languages), style.group_markers(languages)
    marker = markers.get(level, "osD^v"[number % 5])
    colour, width = (style.INK, 2.5) if level == "all" else (colours.get(level, style.INK), 1.2)
    rows = rows.sort_values("n_seeds")
    panel.plot(
        rows["n_seeds"], 100 * rows["power"], color=colour, marker=marker, markersize=5,
        linewidth=width, label=level,
    )  # fmt: skip


def mde_picture(table: pd.DataFrame, wanted: float, languages: pd.DataFrame) -> Figure:
    """The smallest gain found with 80% power, levels down, numbers of seeds across, as a map.

    `table`: level, n_seeds, mde (points), unit; cells at or below `wanted` are framed.
    """
    order = level_order(table["level"], languages)
    grid = table.pivot_table(index="level", columns="n_seeds", values="mde").loc[order]
    found = np.argwhere(grid.to_numpy() <= wanted)
    gain = f"a gain of {points(wanted)}"
    framed = f"Framed: finds {gain}." if len(found) else f"No number of seeds here finds {gain}."
    figure, (panel,) = style.new_figure(
        "The smallest gain that this design finds (points, 80% power)",
        "Along a row: more seeds. Where the numbers stop falling, more of the same does not help, "
        f"only more questions or languages do. {framed} Unit: {table['unit'].iloc[0]}.",
        width=max(6.4, 2.2 + 0.8 * grid.shape[1]),
        height=2.1 + 0.4 * grid.shape[0],
    )
    style.shade(panel, grid, ".1f", cmap="cividis_r", linewidths=1)
    panel.set_xticks(np.arange(grid.shape[1]) + 0.5, map(str, grid.columns))
    panel.set_yticks(np.arange(len(order)) + 0.5, level_names(order, languages).values())
    for y, x in found:
        corners = [x, x + 1, x + 1, x, x], [y, y, y + 1, y + 1, y]
        panel.plot(*corners, color=style.COLOURS[1], linewidth=2)
    panel.set(xlabel="number of seeds", ylabel="")
    return figure


def power_sentences(table: pd.DataFrame) -> list[str]:
    """One sentence per level: what the pilot's own design finds, and what the gain needs.

    table: of ``power_table``; without the pilot's own number of seeds, its smallest counts.
    """
    sentences = []
    for level, rows in table[table["questions"] == 1].groupby("level", sort=False):
        own = rows[rows["n_seeds"] == rows["pilot_seeds"]]
        row = (own if len(own) else rows).iloc[0]
        place = "over all languages" if level == "all" else f"in {level}"
        gain = f"a gain of {points(row['gain'])} {place}"
        size = f"{row['n_examples']} questions and {counted(row['n_languages'], 'language')}"
        found = f"With {row['n_seeds']} seeds, {size}, {gain} is found"
        found += f" with {100 * row['power']:.0f}% power{_runs(row)}"
        needs = [
            f"{row[f'{what}_needed']:.0f} {what}"
            for what in ("seeds", "questions", "languages")
            if np.isfinite(row[f"{what}_needed"])
        ]
        wanted = f"{100 * POWER:.0f}% power needs {', or '.join(needs)}" if needs else row["note"]
        also = f"; {row['note']}" if needs and row["note"] else ""
        sentences.append(f"{found}; {wanted}{also} (unit: clusters x seeds).")
    return sentences


def _runs(row) -> str:
    """How much runs vary in the plan, and what the estimate would promise."""
    bound = f" if two runs differ by SD {row['run_sd_upper']:.1f}, the 80% upper bound"
    if row["run_sd"] == 0:
        return f"{bound} (its estimate is 0 or less, which so few runs give by luck)"
    return f"{bound} ({100 * row['power_estimate']:.0f}% at its estimate, {row['run_sd']:.1f})"


def calibration_sentences(table: pd.DataFrame) -> list[str]:
    """One sentence per row of ``calibrate``; a planted gain stands beside no gain."""
    kinds = ["runs", "by"]
    without = table[table["true_gain"].eq(0)].set_index(kinds)["found"].rename("without")
    return [_calibrated(row) for row in table.join(without, on=kinds).to_dict("records")]


def _calibrated(row: dict) -> str:
    known = "as estimated" if row["runs"] == "estimate" else "by the 80% upper bound"
    where = "over all languages" if row["by"] == "all" else f"by {row['by']}"
    gain = f"a gain of {points(row['true_gain'])}" if row["true_gain"] else "no gain"
    start = f"With {gain}, runs that vary {known} (SD {row['run_sd']:.1f}), {where}"
    if np.isnan(row["allowed"]):
        found = f"{row['found']:.0f}% of rows have p at most alpha before adjustment"
        found += f" (without a gain {row['without']:.0f}%)"
        missed = "; most such gains are missed" if row["judged"] < 50 else ""
        return f'{start}: {found}, {row["judged"]:.0f}% an "improves" or "harms"{missed}.'
    wrong, share = 'an "improves" or "harms"', row["any_found"]
    if row["true_gain"]:
        wrong, share = 'a wrong "equivalent"', row["any_equivalent"]
    return (
        f"{start}: {wrong} in {share:.1f}% of {row['studies']} studies of {row['rows']} rows "
        f"({row['allowed']:g}% allowed, Monte Carlo error {row['mc_error']:.1f})."
    )


def printable(table: pd.DataFrame) -> pd.DataFrame:
    """One row per level and size, for reading: power and MDE per number of seeds, what is needed.

    The questions and languages needed are those of the smallest number of seeds of the table.
    """
    keys = ["level", "n_languages", "n_examples"]
    cells = table.assign(
        power=(100 * table["power"]).map("{:.0f}%".format), MDE=table["mde"].map("{:.1f}".format)
    )
    wide = cells.pivot(index=keys, columns="n_seeds", values=["power", "MDE"])
    wide.columns = [f"{name}, {seeds} seeds" for name, seeds in wide.columns]
    first = table.drop_duplicates(keys).set_index(keys)
    bounds = zip(first["run_sd"], first["run_sd_upper"], strict=True)
    wide["SD of runs (bound)"] = [f"{sd:.1f} ({upper:.1f})" for sd, upper in bounds]
    for what in ("seeds", "questions", "languages"):
        wide[f"{what} needed"] = first[f"{what}_needed"].map(lambda n: shown(n, 0))
    return wide.loc[first.index].reset_index().rename(columns=NAMES)


def write_power(table: pd.DataFrame, out, languages: pd.DataFrame) -> list[Path]:
    """Write ``power.csv``, ``power.tex``, ``power.txt`` (sentences) and ``power.svg`` into ``out``.

    Returns their paths, the picture last.
    """
    out = Path(out)
    caption = (
        f"Power to find a gain of {points(table['gain'].iloc[0])}, from the pilot's own noise. SD "
        "of runs: of the difference of two, in points, pooled over conditions, and its one-sided "
        "80% upper bound, which the plan takes. "
        f"MDE: the gain in points that is found with {100 * POWER:.0f}% power, before the "
        "correction for several rows. Needed for that power: the smallest number of seeds; with "
        f"{table['n_seeds'].min()} seeds, of questions per language or of languages, the rest "
        "unchanged. Unit: clusters x seeds."
    )
    files = [
        write_text(out / "power.csv", table.to_csv(index=False)),
        write_text(out / "power.tex", latex(printable(table), caption)),
        write_text(out / "power.txt", "\n".join(power_sentences(table)) + "\n"),
    ]
    return [*files, save(power_curves(table, languages), out / "power.svg")]
