"""Slides for 45 or 90 minutes from the notebooks' own figures and tables, as HTML and PDF.

    .venv/bin/python notebooks/kit/slides.py 45

executes the notebooks that they need, as somebody would in JupyterLab (some minutes; executed ones
are kept for the next time), and writes outputs/scratch/slides/slides-45.html, which opens without
a network, and a PDF of it where Chromium is installed. What is on which slide: slides.toml. Below
each slide are the lecturer's notes; a click opens them, and the PDF lacks them.
"""

import html
import os
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path
from tempfile import TemporaryDirectory

import nbformat

from xtsupport import folders
from xtsupport.errors import UserError

PLAN = Path(__file__).with_name("slides.toml")
STYLE = """
@page { size: 33.87cm 19.05cm; margin: 0 }
body { margin: 0; font: 20px/1.45 system-ui, sans-serif; color: #222; background: #ddd }
section { box-sizing: border-box; width: 1280px; height: 720px; padding: 40px 64px 52px;
  margin: 16px auto; background: #fff; overflow: hidden; position: relative;
  page-break-after: always; display: flex; flex-direction: column; align-items: flex-start }
h1 { font-size: 40px; margin: 0 0 16px } p { margin: 0 0 10px; font-size: 25px; line-height: 1.3 }
section:not(:has(table, img, pre)) p { font-size: 36px; margin: 0 0 24px }
img { flex: 1; min-height: 0; width: 100%; object-fit: contain; object-position: left }
table { border-collapse: collapse; border: 0; font-size: 22px; line-height: 1.35; margin: 8px 0 }
table:has(tr:nth-child(8)) { font-size: 17px; line-height: 1.25 }
td, th { padding: 3px 16px 3px 0; text-align: left !important; border: 0;
  border-bottom: 1px solid #ccc }
footer { position: absolute; bottom: 16px; left: 64px; font-size: 14px; color: #666 }
details { width: 1152px; margin: 0 auto 24px; font-size: 18px }
@media print { body { background: none } section { margin: 0 } details { display: none } }
"""


def executed(name: str, folder: Path) -> Path:
    """The notebook as executed, kept in `folder`; done again when its source is newer.

    It finds no runs: those of the machine, or of other slides, would replace the demo study's.
    """
    source, out = folders.notebooks() / f"{name}.ipynb", folder / f"{name}.ipynb"
    if not out.is_file() or out.stat().st_mtime < source.stat().st_mtime:
        print(f"executing {name}", file=sys.stderr)
        call = [sys.executable, "-m", "papermill", str(source), str(out), "--kernel", "python3"]
        call += ["--cwd", str(source.parent), "--no-progress-bar", "--log-level", "ERROR"]
        with TemporaryDirectory() as root:
            subprocess.run(call, env=os.environ | {"XTSUPPORT_ROOT": root}, check=True)
    return out


def output(book, cell_id: str) -> str:
    """What a cell showed, as HTML: its first figure, else its first table, else its text."""
    cell = next((cell for cell in book.cells if cell.id == cell_id), None)
    if cell is None:
        raise UserError(f"{PLAN.name}: no cell {cell_id!r}; the notebook has been changed")
    found = [
        each for each in cell.outputs if each.output_type in ("display_data", "execute_result")
    ]
    for kind in ("image/png", "text/html", "text/plain"):
        for each in found:
            if kind in each.data:
                text = each.data[kind]
                if kind == "image/png":
                    alt = html.escape(each.data.get("text/plain", "figure"))
                    return f'<img alt="{alt}" src="data:image/png;base64,{text.strip()}">'
                return text if kind == "text/html" else f"<pre>{html.escape(text)}</pre>"
    raise UserError(f"{PLAN.name}: cell {cell_id!r} shows nothing")


def page(minutes: int, folder: Path) -> str:
    """All slides of a lesson as one HTML page."""
    slides = [each for each in tomllib.loads(PLAN.read_text("utf-8"))["slide"]
              if minutes in each["lessons"]]  # fmt: skip
    parts = []
    for number, each in enumerate(slides, 1):
        body = "".join(f"<p>{html.escape(line)}</p>" for line in each.get("text", []))
        if "cell" in each:
            book = nbformat.read(executed(each["notebook"], folder), as_version=4)
            body += output(book, each["cell"])
        if "rows" in each:
            kept = ", ".join(f":nth-child({row})" for row in each["rows"])
            hidden = f"#s{number} tbody tr:not({kept}), "
            hidden += f"#s{number} :is(td, th):nth-child(n + {each['columns'] + 1})"
            body += f"<style>{hidden} {{ display: none }}</style>"
        foot = f"{number} / {len(slides)}"
        foot += f" · {each['minutes']} min" if each["minutes"] else ""
        foot += f" · notebook {each['notebook']}" if "notebook" in each else ""
        title = html.escape(each["title"])
        parts.append(
            f"<section id=s{number}><h1>{title}</h1>{body}<footer>{foot}</footer></section>"
            f"<details><summary>notes</summary>{html.escape(each['notes'])}</details>"
        )
    head = f'<meta charset="utf-8"><title>xtsupport, {minutes} minutes</title>'
    head += '<meta name="viewport" content="width=1312">'  # a phone shows a slide whole
    return f"<!doctype html><html lang=en><head>{head}<style>{STYLE}</style></head><body>" + (
        "\n".join(parts) + "</body></html>\n"
    )


def as_pdf(file: Path) -> Path | None:
    """The page as PDF beside it, or None where no Chromium is installed."""
    names = ("chromium", "chromium-browser", "google-chrome", "chrome")
    browser = next(filter(None, map(shutil.which, names)), None)
    if browser is None:
        return None
    out = file.with_suffix(".pdf")
    options = ["--headless", "--no-sandbox", "--disable-gpu", "--no-pdf-header-footer"]
    subprocess.run([browser, *options, f"--print-to-pdf={out}", file.as_uri()], check=True,
                   stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, timeout=300)  # fmt: skip
    return out


def main(words: list[str]) -> None:
    """Write the slides."""
    if words not in (["45"], ["90"]):
        raise UserError("name the minutes: python notebooks/kit/slides.py 45, or 90")
    folder = folders.scratch() / "slides"
    folder.mkdir(parents=True, exist_ok=True)
    file = folder / f"slides-{words[0]}.html"
    file.write_text(page(int(words[0]), folder), encoding="utf-8")
    print(file)
    print(as_pdf(file) or "no PDF: no Chromium here; print the page from a browser")


if __name__ == "__main__":
    try:
        main(sys.argv[1:])
    except UserError as error:
        sys.exit(f"slides: error: {error}")
