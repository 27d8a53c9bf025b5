"""What Python hands to the pages' templates: pieces of text, tables and pictures, never markup.

Templates, style sheet and script stand in ``templates/``; Jinja2 escapes whatever comes from data.
A page is one file: it opens from disk, prints, and reads on a phone and without the script, which
only sorts and filters tables. The page's own policy lets nothing else run, and nothing be fetched.
"""

import base64
import hashlib
import io
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

import jinja2
import pandas as pd
from matplotlib import rc_context
from matplotlib.figure import Figure
from matplotlib.text import Annotation

from xtsupport.files import draft

LONG = 20  # rows: a longer folded table stays off paper
SVG: Any = {"svg.hashsalt": "xtsupport", "svg.fonttype": "path"}  # equal figures, equal bytes
VERDICTS = ("improves", "harms", "equivalent", "undetermined", "larger", "smaller")


@dataclass(frozen=True)
class Cell:
    """A cell: text, a smaller line below it, classes, an address on the page that it leads to."""

    text: str
    below: str = ""
    kind: str = ""
    link: str = ""


@dataclass(frozen=True)
class Block:
    """A piece of a page; ``kind`` names the macro in templates/blocks.html that shows it."""

    kind: str
    text: str = ""
    mark: str = ""
    items: Sequence = ()
    heads: Sequence[Cell] = ()
    filters: Sequence[int] = ()
    picture: Mapping = field(default_factory=dict)


def paragraph(text: str, mark: str = "") -> Block:
    """One paragraph; `mark` is its class."""
    return Block("paragraph", text, mark)


def bullets(items: Iterable[str]) -> Block:
    """A list of short statements."""
    return Block("bullets", items=list(items))


def folded(summary: str, *blocks: Block, name: str = "") -> Block:
    """What only some readers want; it opens with a click and, unless long, by itself on paper.

    name: its address on the page.
    """
    return Block("folded", summary, name, items=blocks)


def is_long(block: Block) -> bool:
    """Whether a folded block has too many rows for paper."""
    return sum(len(each.items) for each in block.items if each.kind == "table") > LONG


def board(
    heads: Sequence[Cell | str], rows: Sequence[Sequence[Cell]], filters: Sequence[int] = ()
) -> Block:
    """A table of cells; filters: the columns by which a reader can narrow it."""
    cells = [each if isinstance(each, Cell) else Cell(each) for each in heads]
    return Block("table", heads=cells, items=rows, filters=filters)


def table(frame: pd.DataFrame, digits: int = 1) -> Block:
    """A frame as a table: numbers to the right with so many digits, missing values a dash."""
    numeric = [pd.api.types.is_numeric_dtype(kind) for kind in frame.dtypes]
    rows = [
        [_cell(shown(value, digits), number) for value, number in zip(row, numeric, strict=True)]
        for row in frame.itertuples(index=False)
    ]
    heads = [Cell(name, kind="n" * number) for name, number in zip(frame, numeric, strict=True)]
    return board(heads, rows)


def _cell(text: str, number: bool) -> Cell:
    kind = "n" if number else text if text in VERDICTS else "i" if len(text) <= 24 else ""
    return Cell(text, kind=kind)


def shown(value, digits: int = 1) -> str:
    """A value as a reader wants it."""
    if value is None or value is pd.NA or (isinstance(value, float) and value != value):
        return "\N{EN DASH}"
    if isinstance(value, float):
        return f"{value:.{digits}f}".replace("-", "\N{MINUS SIGN}")
    return str(value)


def picture(drawn: Figure) -> Block:
    """A figure inside the page: its title and hint become the caption, which wraps on a phone."""
    title = drawn.get_suptitle().strip()
    hint = next((a.get_text() for a in drawn.artists if isinstance(a, Annotation)), "")
    for part in (*drawn.texts, *drawn.artists):
        part.set_visible(False)
        part.set_in_layout(False)
    drawn.set_figheight(drawn.get_figheight() - 0.22 * (2 + hint.count("\n")))
    source = base64.b64encode(as_bytes(drawn, "svg")).decode()
    about = {
        "title": " ".join(title.split()),
        "hint": " ".join(hint.split()),
        "source": f"data:image/svg+xml;base64,{source}",
        "width": round(drawn.get_figwidth() * 96),
    }
    return Block("picture", picture=about)


def as_bytes(drawn: Figure, form: str) -> bytes:
    """A figure as svg, png (150 dots an inch) or pdf; the same figure gives the same bytes."""
    file = io.StringIO() if form == "svg" else io.BytesIO()  # into bytes, every tag goes alone
    stamp = {"svg": {"Date": None}, "pdf": {"CreationDate": None}}.get(form, {})
    for axis in (axis for panel in drawn.axes for axis in (panel.xaxis, panel.yaxis)):
        if not axis.get_label_text():  # else all ticks are measured to place what is not there
            axis.set_label_coords(0.5, 0.5)
    layout = drawn.get_layout_engine()
    if layout:  # done here, savefig need not draw everything once more to do it
        layout.execute(drawn)
        drawn.set_layout_engine(None)
    with rc_context(SVG):
        drawn.savefig(file, format=form, dpi=150, metadata=stamp)
    made = file.getvalue()
    return made.encode() if isinstance(made, str) else made


def save(drawn: Figure, path: Path) -> Path:
    """Write a figure, in the format that the file's name ends with; returns the path."""
    with draft(path) as file:
        file.write_bytes(as_bytes(drawn, path.suffix[1:]))
    return path


@cache
def templates() -> jinja2.Environment:
    """The templates; a name that a page lacks is an error and no blank."""
    made = jinja2.Environment(
        loader=jinja2.PackageLoader("xtsupport.report"),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    made.tests["long"] = is_long
    return made


def template_file(name: str) -> str:
    """A file of ``templates/`` as it stands, such as the style sheet."""
    loader = templates().loader
    return loader.get_source(templates(), name)[0]  # type: ignore[union-attr]


def render(template: str, **values) -> str:
    """A whole page."""
    script, style = template_file("page.js"), template_file("page.css")
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    return templates().get_template(template).render(
        script=script, style=style, digest=digest, **values
    )  # fmt: skip
