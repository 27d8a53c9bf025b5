"""How every figure looks: colours, marks, order of languages, frame of a figure.

Languages stand in order of their distance from English, with their family named; a family has the
same colour in every figure of a study, and verdicts and benchmarks theirs. Colours are those of
Okabe and Ito (2008), "Color Universal Design", which stay apart in every common colour blindness.
"""

from __future__ import annotations

import html
import logging
import sys
import textwrap
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.collections import Collection
from matplotlib.figure import Figure
from matplotlib.font_manager import FontProperties, fontManager
from matplotlib.text import Annotation
from matplotlib.ticker import FixedLocator

from xtsupport.report.numbers import MINUS

COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#4D4D4D")
MARKERS = ("o", "s", "^", "D", "v", "P", "X", "<", ">", "*", "p", "h", "d", "$+$", "$=$")
VERDICTS = {  # verdict -> (colour, sign); the sign carries it where colour does not print
    "improves": ("#0072B2", "+"),
    "equivalent": ("#4D4D4D", "="),
    "undetermined": ("#E8E8E8", "?"),
    "harms": ("#D55E00", "\N{MINUS SIGN}"),
    "too few": ("#FFFFFF", "\N{MIDDLE DOT}"),
}
FOUND = ("improves", "harms", "equivalent")
OPEN = "#7F7F7F"  # marks of gains without a finding
INK = "#222222"
ORIGIN = ""  # where the numbers come from, if not from runs that were done here; figures name it
SIMULATED = "simulated"  # in the cube's column `study`: scores are invented, every figure says so
MARKS = {  # what a mark of a gain means, for captions
    "improves": "Blue: better than the baseline.",
    "harms": "Orange: worse than the baseline.",
    "equivalent": "Dark grey: equal within the margin.",
}
NO_FINDING = "Hollow: no finding."
FONTS = ("rtl", "south_asia", "sea", "cjk")  # packages of the extra `fonts`: Noto Sans by script


def font_families() -> list[str]:
    """DejaVu Sans (Latin, Greek, Cyrillic, ...), then a font for every other script, if installed.

    A glyph is taken from the first that has it. Without the extra `fonts` (``pip install
    "xtsupport[fonts]"``) text in, say, Chinese stays empty boxes, and matplotlib warns of it.
    """
    names = ["DejaVu Sans"]
    logging.getLogger("matplotlib.font_manager").setLevel(logging.ERROR)  # weights that they lack
    for part in FONTS:
        found = find_spec(f"justmytype_intl_{part}")
        for place in (found.submodule_search_locations or ()) if found else ():
            for path in sorted(Path(place).rglob("*.ttf")):
                fontManager.addfont(path)
                names.append(FontProperties(fname=path).get_name())
    return names


FAMILIES = font_families()
plt.rcParams["font.family"] = FAMILIES
SOFT = "#262626"
GRID: Any = {  # rcParams: grey lines behind everything, no tick marks
    "axes.edgecolor": "#999999",
    "axes.grid": True,
    "axes.axisbelow": True,
    "axes.labelcolor": SOFT,
    "axes.titley": 1.0,  # else every drawing measures all ticks to see whether one is in the way
    "grid.color": "#E6E6E6",
    "lines.solid_capstyle": "round",
    "patch.edgecolor": "white",
    "patch.force_edgecolor": True,
    "text.color": SOFT,
    "xtick.bottom": False,
    "xtick.color": SOFT,
    "ytick.color": SOFT,
    "ytick.left": False,
}


def family_colours(languages: pd.DataFrame) -> dict[str, str]:
    """Colour of every family, group and language code (all have their family's).

    `languages` has the columns of languages.csv. Of more families than colours the largest have
    one each; the others share the last, a grey, and marks and names tell them apart.
    """
    sizes, last = Counter(languages["family"]).most_common(), len(COLOURS) - 1
    colours = {family: COLOURS[min(i, last)] for i, (family, _) in enumerate(sizes)}
    for column in ("group", "code"):
        for name, family in zip(languages[column], languages["family"], strict=True):
            colours.setdefault(name, colours[family])
    return colours


def verdict_look(verdict: str) -> dict[str, str]:
    """Colour of a gain's interval and mark: by its verdict, hollow where nothing was found."""
    colour = VERDICTS[verdict][0] if verdict in FOUND else OPEN
    return {"color": colour, "markerfacecolor": colour if verdict in FOUND else "white"}


def marks_used(verdicts: pd.Series) -> str:
    """What the marks of these (rows,) verdicts mean, for a caption: only those that are drawn."""
    used = [text for verdict, text in MARKS.items() if verdicts.eq(verdict).any()]
    return " ".join(used + [NO_FINDING] * (not verdicts.isin(list(MARKS)).all()))


def gain_window(table: pd.DataFrame, runs: pd.DataFrame | None = None) -> tuple[float, float]:
    """The stretch of gains to draw, in points: all gains, also of single runs, 0, and what of the
    intervals is near.

    `table`: gain, ci_low, ci_high; runs: as for ``gain_forest``, those of the table's rows count.
    Intervals after correction for many languages can be twenty times as long as the gains; whole,
    they would leave nothing else to see.
    """
    low, high = min(table["gain"].min(), 0), max(table["gain"].max(), 0)
    reach = max(1.2 * (high - low), (table["ci_high"] - table["ci_low"]).median() / 2, 0.5)
    ends = max(low - reach, table["ci_low"].min()), min(high + reach, table["ci_high"].max())
    dots = () if runs is None else table.drop(columns="gain").merge(runs)["gain"]
    left, right = min(ends[0], low, *dots), max(ends[1], high, *dots)
    room = 0.04 * (right - left)
    return left - room, right + room


def group_markers(languages: pd.DataFrame) -> dict[str, str]:
    """Mark of every group in column `group`: those of a family share the colour, not the mark."""
    groups = dict.fromkeys(languages["group"])
    return {group: MARKERS[i % len(MARKERS)] for i, group in enumerate(groups)}


class Described(Figure):
    """A figure whose text form says what is in it: the alt text on the site and on slides."""

    words = ""

    def __repr__(self) -> str:
        return " ".join([self.words, *map(_in_words, self.axes)]).strip() or super().__repr__()


def _in_words(panel: Axes) -> str:
    """Where a panel's named lines begin and end, and the numbers of its named rows."""
    named = {str(line.get_label()): np.asarray(line.get_ydata(), float) for line in panel.lines
             if line.get_linestyle() != "None"}  # fmt: skip
    said = [
        f"{name}: from {values[0]:.3g} to {values[-1]:.3g}"
        for name, values in named.items()
        if not name.startswith("_")
    ]
    if isinstance(panel.yaxis.get_major_locator(), FixedLocator):
        places = list(panel.get_yticks())
        names = panel.yaxis.get_major_formatter().format_ticks(places)  # hidden ones as well
        for name, y in zip(names, places, strict=True):
            row = [t.get_text() for t in panel.texts if abs(t.get_position()[1] - y) < 0.3]
            if len(row) > 8:
                row = [each.split()[0] for each in row]
                low, *_, high = sorted(row, key=lambda text: float(text.replace(MINUS, "-")))
                row = [f"{low} to {high}"]
            said += [f"{name}: {', '.join(row)}"] if row else []
    title = f"{panel.get_title()}:" if said and panel.get_title() else ""
    return " ".join(" ".join([title, *(f"{each};" for each in said)]).split())


def in_rows(count: int, most: int = 4) -> tuple[int, int]:
    """(columns, rows) of so many panels: at most `most` beside each other."""
    rows = -(-count // most)
    return -(-count // rows), rows


def new_figure(
    title: str,
    look_for: str,
    count: int = 1,
    columns: int = 1,
    width: float = 7.0,
    height: float = 3.8,
    **shared: Any,
) -> tuple[Described, list[Axes]]:
    """A figure (inches) with `count` panels, `columns` a row, its title and what to look for.

    It is closed for pyplot, so a notebook shows it once, and only where it is a cell's value.
    """
    with plt.rc_context(GRID | {"font.family": FAMILIES}):
        figure, axes = plt.subplots(
            -(-count // columns), columns, figsize=(width, height), layout="constrained",
            squeeze=False, FigureClass=Described, **shared,
        )  # fmt: skip
    plt.close(figure)
    if ORIGIN:  # one pair of brackets
        title = f"{title[:-1]}; {ORIGIN})" if title.endswith(")") else f"{title} ({ORIGIN})"
    figure.words = f"{title}{'' if title.endswith('?') else '.'} {look_for}"
    lines = textwrap.wrap(look_for, int(width * 13))
    # blank lines keep the room below the title in which the smaller text then stands
    heading = figure.suptitle(
        textwrap.fill(title, int(width * 11)) + "\n " * len(lines),
        x=0.01, ha="left", fontsize=10.5, weight="bold", color=INK,
    )  # fmt: skip
    below = Annotation(
        "\n".join(lines), xy=(0, 0), xycoords=heading, ha="left", va="bottom", fontsize=9, color=INK
    )
    figure.add_artist(below)
    if ORIGIN == SIMULATED:
        mark = figure.text(0.5, 0.5, "SIMULATED", color=INK, alpha=0.25, fontsize=9 * width)
        mark.set(ha="center", va="center", rotation=25, weight="bold", zorder=9)
    for panel in axes.flat[count:]:
        panel.remove()
    return figure, list(axes.flat[:count])


@contextmanager
def origin(name: str) -> Iterator[None]:
    """Figures and tables of the block name where their numbers come from."""
    global ORIGIN
    before, ORIGIN = ORIGIN, name
    try:
        yield
    finally:
        ORIGIN = before


def marked(study: str | None):
    """Context manager: figures of the block are watermarked if the study's scores are simulated."""
    return origin(SIMULATED if study == SIMULATED else ORIGIN)


def name_tables() -> None:
    """In a notebook: every table and text names ``ORIGIN`` above it from now on, as figures do."""
    if "IPython" not in sys.modules:
        return
    from IPython import get_ipython
    from IPython.display import Markdown
    from pandas.io.formats.style import Styler

    if (shell := get_ipython()) is not None:
        as_html = shell.display_formatter.formatters["text/html"]
        as_html.for_type(pd.DataFrame, lambda table: _origin_above(table._repr_html_()))
        as_html.for_type(Styler, lambda table: _origin_above(table._repr_html_()))
        as_text = shell.display_formatter.formatters["text/markdown"]
        as_text.for_type(Markdown, lambda text: f"*From {ORIGIN}*\n\n" * bool(ORIGIN) + text.data)


def _origin_above(table: str) -> str:
    return f"<p><em>From {html.escape(ORIGIN)}</em></p>{table}" if ORIGIN else table


def reference_line(panel: Axes, value: float, label: str = "", horizontal: bool = True) -> None:
    """A dashed line at a value that means something (no gain, chance)."""
    line = panel.axhline if horizontal else panel.axvline
    line(value, color=INK, linewidth=1, linestyle=(0, (4, 3)), zorder=1)
    if label:
        panel.annotate(
            label, (1, value), xycoords=("axes fraction", "data"), ha="right", va="bottom",
            fontsize="small", color=INK,
        )  # fmt: skip


def shade(panel: Axes, grid: pd.DataFrame | np.ndarray, form: str = "", **look: Any) -> Collection:
    """Colour the cells of a grid (rows, columns), the first row on top, NaN left white; the middle
    of cell (i, j) stands at x = j + 0.5, y = i + 0.5.

    form: how a cell's number is written into it, such as ``.1f``; look: of ``pcolormesh``. To
    import seaborn for its ``heatmap`` would take half a second of every report.
    """
    values = np.ma.masked_invalid(np.asarray(grid, float))
    mesh = panel.pcolormesh(values, **{"edgecolor": "white", **look})
    panel.spines[:].set_visible(False)
    panel.set(xlim=(0, values.shape[1]), ylim=(values.shape[0], 0), xticks=[], yticks=[])
    panel.grid(visible=False)
    if form:
        mesh.update_scalarmappable()
        colours = np.asarray(mesh.get_facecolor())
        cells = zip(np.ndindex(values.shape), values.flat, colours, strict=True)
        for (y, x), value, colour in cells:
            if value is not np.ma.masked:
                cell_text(panel, x, y, format(value, form), fontsize=8, color=_readable_on(colour))
    return mesh


def _readable_on(colour: np.ndarray) -> str:
    """Dark or white ink on a colour, by its relative luminance (WCAG 2.1)."""
    rgb = np.where(colour <= 0.03928, colour / 12.92, ((colour + 0.055) / 1.055) ** 2.4)[:3]
    return ".15" if rgb @ [0.2126, 0.7152, 0.0722] > 0.22 else "w"  # equal contrast, 3.9


def cell_text(panel: Axes, x: int, y: int, text: str, **look: Any) -> None:
    """Write into the cell of column `x` and row `y` of a shaded grid."""
    panel.text(x + 0.5, y + 0.5, text, ha="center", va="center", in_layout=False, **look)
