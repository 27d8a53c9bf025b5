"""One self-contained HTML page: pieces of markup that escape whatever comes from data.

No external file: it opens from disk, prints, and reads on a phone. The only script lets a reader
sort tables; without it they are as they stand, and no other script may run.
"""

import base64
import hashlib
import io
from collections.abc import Iterable, Mapping, Sequence
from html import escape
from itertools import groupby

import pandas as pd
from matplotlib import rc_context
from matplotlib.figure import Figure
from matplotlib.text import Annotation

LONG = 100  # rows: a longer table stays off paper
MARKS = {"improves": "improves", "harms": "harms"}  # a verdict -> its class in the style sheet


class Html(str):
    """Text that is markup already; any other text is escaped where it is put in."""


def html(template: str, **values) -> Html:
    """`template` with its {names} filled in; values are escaped unless Html, lists are joined."""
    return Html(template.format_map({name: _safe(value) for name, value in values.items()}))


def _safe(value) -> Html:
    if isinstance(value, Html):
        return value
    if isinstance(value, list | tuple):
        return Html("".join(_safe(each) for each in value))
    return Html(escape(str(value), quote=True))


def page(title: str, sections: Sequence[tuple[str, str, Html]], banner: str = "") -> Html:
    """The whole document: title, contents, and sections given as (id, heading, body)."""
    links = [html('<li><a href="#{i}">{h}</a></li>', i=i, h=h) for i, h, _ in sections]
    bodies = [
        html('<section id="{i}"><h2>{h}</h2>{body}</section>', i=i, h=h, body=body)
        for i, h, body in sections
    ]
    digest = base64.b64encode(hashlib.sha256(SCRIPT.encode()).digest()).decode()
    return html(
        PAGE, title=title, style=Html(STYLE), banner=banner, links=links, bodies=bodies,
        script=Html(SCRIPT), digest=digest,
    )  # fmt: skip


def paragraph(text: str, kind: str = "") -> Html:
    """One paragraph; `kind` is its class."""
    return html('<p class="{kind}">{text}</p>', kind=kind, text=text)


def bullets(items: Iterable[str]) -> Html:
    """A list of short statements."""
    return html("<ul>{items}</ul>", items=[html("<li>{i}</li>", i=i) for i in items])


def folded(summary: str, *body: Html) -> Html:
    """What only some readers want; it opens with a click and, unless long, by itself on paper."""
    kind = "long" if sum(part.count("<tr>") for part in body) > LONG else ""
    return html(
        '<details class="{k}"><summary>{s}</summary>{b}</details>', k=kind, s=summary, b=list(body)
    )


def table(
    frame: pd.DataFrame, digits: Mapping[str, int] | int = 1, marks: Mapping[str, str] | None = None
) -> Html:
    """A frame as a table: numbers rounded and to the right, missing values a dash.

    Columns of two levels get two rows of headings. digits: for all float columns, or per column
    (default 1). marks: a cell's text -> CSS class.
    """
    each = digits if isinstance(digits, Mapping) else dict.fromkeys(frame, digits)
    numeric = [pd.api.types.is_numeric_dtype(kind) for kind in frame.dtypes]
    rows = []
    for row in frame.itertuples(index=False):
        texts = [shown(v, each.get(n, 1)) for n, v in zip(frame, row, strict=True)]
        kinds = ["n" if n else _kind(t, marks or {}) for n, t in zip(numeric, texts, strict=True)]
        cells = zip(kinds, texts, strict=True)
        rows.append(
            html("<tr>{c}</tr>", c=[html('<td class="{k}">{t}</td>', k=k, t=t) for k, t in cells])
        )
    return html(
        '<div class="scroll"><table><thead>{h}</thead><tbody>{r}</tbody></table></div>',
        h=_heads(frame.columns, numeric),
        r=rows,
    )


def _kind(text: str, marks: Mapping[str, str]) -> str:
    return marks.get(text, "i" if len(text) <= 24 else "")


def _heads(columns: pd.Index, numeric: Sequence[bool]) -> list[Html]:
    """One row of headings, or two, the upper ones spanning equal neighbours."""
    two = columns.nlevels == 2
    names = [name[-1] if two else name for name in columns]
    lower = [
        html('<th class="{c}">{n}</th>', c="n" * number, n=name)
        for name, number in zip(names, numeric, strict=True)
    ]
    upper = (
        [
            html('<th class="over" colspan="{k}">{n}</th>', k=len(list(same)), n=name)
            for name, same in groupby(name[0] for name in columns)
        ]
        if two
        else []
    )
    return [html("<tr>{c}</tr>", c=cells) for cells in (upper, lower) if cells]


def shown(value, digits: int = 1) -> str:
    """A value as a reader wants it."""
    if value is None or value is pd.NA or (isinstance(value, float) and value != value):
        return "\N{EN DASH}"
    if isinstance(value, float):
        return f"{value:.{digits}f}".replace("-", "\N{MINUS SIGN}")
    return str(value)


def figure(drawn: Figure) -> Html:
    """A figure as an image inside the page; its title and hint are its text for screen readers."""
    file = io.BytesIO()
    with rc_context({"svg.hashsalt": "xtsupport", "svg.fonttype": "path"}):
        drawn.savefig(file, format="svg", metadata={"Date": None})
    hint = " ".join(a.get_text() for a in drawn.artists if isinstance(a, Annotation))
    return html(
        '<figure><img src="data:image/svg+xml;base64,{data}" alt="{alt}" '
        'style="max-width:{w}px;min-width:{least}px">'
        "</figure>",
        data=base64.b64encode(file.getvalue()).decode(),
        alt=" ".join(f"{drawn.get_suptitle()} {hint}".split()),
        w=round(drawn.get_figwidth() * 96),
        least=round(drawn.get_figwidth() * 78),
    )


PAGE = """<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; img-src data:;
 style-src 'unsafe-inline'; script-src 'sha256-{digest}'">
<title>{title}</title>
<style>{style}</style>
</head>
<body>
<main>
<h1>{title}</h1>
{banner}
<nav aria-label="Contents"><ol>{links}</ol></nav>
{bodies}
</main>
<script>{script}</script>
</body>
</html>
"""

SCRIPT = """
"use strict";
const value = (row, column) => row.cells[column].textContent.trim();
const number = (text) => parseFloat(text.replace("\u2212", "-").replace(/^[<+\\s]+/, ""));

function sort(table, head, column) {
  const up = head.getAttribute("aria-sort") !== "ascending";
  const rows = [...table.tBodies[0].rows];
  const known = rows.map((row) => value(row, column)).filter((text) => text !== "\u2013");
  const numeric = known.every((text) => !Number.isNaN(number(text)));
  const compare = (a, b) => numeric
    ? number(a) - number(b) : a.localeCompare(b, undefined, { numeric: true });
  rows.sort((one, other) => {
    const [a, b] = [value(one, column), value(other, column)];
    const last = (a === "\u2013") - (b === "\u2013"); // missing values stay below
    return last || (up ? compare(a, b) : compare(b, a));
  });
  for (const each of head.parentNode.cells) each.removeAttribute("aria-sort");
  head.setAttribute("aria-sort", up ? "ascending" : "descending");
  table.tBodies[0].append(...rows);
}

for (const table of document.querySelectorAll("table")) {
  const heads = [...table.tHead.rows].pop().cells;
  [...heads].forEach((head, column) => {
    const button = document.createElement("button");
    button.title = "sort by this column";
    button.append(...head.childNodes);
    button.addEventListener("click", () => sort(table, head, column));
    head.append(button);
  });
}
addEventListener("beforeprint", () => {
  for (const each of document.querySelectorAll("details:not(.long)")) each.open = true;
});
"""

STYLE = """
:root { color-scheme: light; --ink: #222; --line: #d5d5d5; --blue: #0072b2; --red: #a84300; }
* { box-sizing: border-box; }
body { margin: 0; color: var(--ink); background: #fff; font: 16px/1.5 system-ui, "Segoe UI",
  Roboto, "Noto Sans", "DejaVu Sans", Arial, sans-serif; }
main { max-width: 68rem; margin: 0 auto; padding: 1rem 1.2rem 4rem; overflow-wrap: anywhere; }
h1 { font-size: 1.7rem; line-height: 1.2; margin: 1rem 0 .6rem; }
h2 { font-size: 1.3rem; margin: 2.4rem 0 .6rem; padding-top: .6rem;
  border-top: 2px solid var(--ink); }
h3 { font-size: 1.05rem; margin: 1.6rem 0 .4rem; }
p, li { max-width: 46rem; }
nav { font-size: .95rem; }
nav ol { columns: 2; padding-left: 1.4rem; }
a { color: var(--blue); }
.answer { font-size: 1.12rem; }
.note { color: #555; font-size: .92rem; }
.banner { border: 2px solid var(--red); padding: .5rem .8rem; font-weight: 600; }
.scroll, figure { overflow-x: auto; margin: .8rem 0 1.2rem; }
figure img { display: block; width: 100%; height: auto; }
table { border-collapse: collapse; font-size: .8rem; font-variant-numeric: tabular-nums;
  overflow-wrap: normal; }
th, td { padding: .25rem .45rem; border-bottom: 1px solid var(--line); text-align: left;
  vertical-align: top; }
th { border-bottom: 2px solid var(--ink); vertical-align: bottom; }
th button { all: unset; cursor: pointer; }
th button:hover, th button:focus-visible { text-decoration: underline; }
th[aria-sort] button::after { content: " \\2191"; }
th[aria-sort="descending"] button::after { content: " \\2193"; }
.over { border-bottom: 1px solid var(--line); }
.over:not(:empty) { border-left: 1px solid var(--line); }
.n { text-align: right; white-space: nowrap; }
.i { white-space: nowrap; }
.improves { color: var(--blue); font-weight: 600; }
.harms { color: var(--red); font-weight: 600; }
details { margin: .6rem 0; }
summary { cursor: pointer; color: var(--blue); }
pre { overflow-x: auto; background: #f6f6f6; padding: .7rem; font-size: .82rem; line-height: 1.35; }
@media (max-width: 40rem) { nav ol { columns: 1; } h1 { font-size: 1.4rem; }
  th, td { padding: .2rem .4rem; } }
@page { margin: 14mm; }
@media print {
  body { font-size: 10.5pt; }
  main { max-width: none; padding: 0; }
  h2, h3 { break-after: avoid; }
  figure, tr { break-inside: avoid; }
  .scroll, figure, pre { overflow: visible; }
  pre { white-space: pre-wrap; }
  table { font-size: 8pt; }
  figure img { min-width: 0 !important; }
  .long > :not(summary) { display: none; }
  .long > summary::after { content: " (on screen only)"; }
  details:not(.long)::details-content { content-visibility: visible; block-size: auto; }
}
"""
