"""Settings of the site (Sphinx with MyST-NB); `make site` builds it from outputs/site/source."""

import json
import re
from pathlib import Path
from textwrap import shorten

project = "xtsupport"
author = "The xtsupport authors"
extensions = ["myst_nb", "sphinx.ext.autodoc", "sphinx.ext.viewcode"]
html_theme = "furo"
html_title = "xtsupport"
html_show_copyright = False
html_static_path = ["static"]
html_css_files = ["site.css"]
html_search_scorer = str(Path(__file__).parent / "static" / "scorer.js")  # pages before functions
html_extra_path = ["reports", "files"]  # copied as they are: whole pages, notebooks to download
exclude_patterns = ["reports", "files"]

# The project's address on GitHub (`https://github.com/OWNER/NAME`): every notebook's page then has
# a button that runs it on Binder. Empty: none. `make links` sets it by pyproject.toml, and puts the
# badges of Colab and Kaggle into the notebooks themselves.
repository = ""

nb_execution_mode = "off"  # make executes them, each when it or the package has changed
nb_output_stderr = "remove"  # progress bars
nb_ipywidgets_js: dict = {}  # nor their scripts from elsewhere: the site opens from disk
myst_heading_anchors = 3
myst_enable_extensions = ["colon_fence"]
suppress_warnings = ["myst.header", "mystnb.unknown_mime_type", "misc.highlighting_failure"]

autodoc_default_options = {"members": True, "member-order": "bysource", "show-inheritance": False}
autodoc_typehints = "signature"
autodoc_class_signature = "separated"
default_role = "code"  # our docstrings write `name`, as Markdown does


def plain_text(app, what, name, obj, options, lines):
    """Docstrings are plain text: stars, bars and trailing underscores in them mean themselves."""
    as_they_stand = any(line.startswith(" ") for line in lines)  # lists by indentation
    for i, line in enumerate(lines):
        parts = re.split(r"(``.*?``|`[^`]*`)", line)
        parts[::2] = [re.sub(r"([*|\\]|_(?=\W|$))", r"\\\1", part) for part in parts[::2]]
        lines[i] = ("| " if as_they_stand and line else "") + "".join(parts)


def dressed(app, docname, source):
    """A notebook's page gets a button to download it; figures' own words become their alt texts."""
    if not str(app.env.doc2path(docname)).endswith(".ipynb"):
        return
    book = json.loads(source[0])
    book["cells"] = [part for cell in book["cells"] for part in one_figure_each(cell)]
    top = book["cells"][0]
    top["source"] = without_badges("".join(top["source"])) + buttons(docname, repository)
    source[0] = json.dumps(book)


def one_figure_each(cell):
    """The cell, and one for every further figure: in MyST-NB a cell has one alt text."""
    outputs = cell.get("outputs", [])
    ends = [i for i, each in enumerate(outputs, 1) if "image/png" in each.get("data", {})]
    if not ends:
        return [cell]
    parts = [cell]
    for end in ends[1:]:
        rest: dict = {"cell_type": "code", "source": "# not shown; empty cells are dropped"}
        rest |= {"id": f"{cell['id']}-{end}", "metadata": {"tags": ["remove-input"]}}
        parts.append({**rest, "execution_count": None})
    for part, start, end in zip(parts, [0, *ends[:-1]], ends, strict=True):
        words = "".join(outputs[end - 1]["data"].get("text/plain", ""))
        part["metadata"]["mystnb"] = {"image": {"alt": shorten(words, 2000, placeholder=" ...")}}
        part["outputs"] = outputs[start:end]
    parts[-1]["outputs"] += outputs[ends[-1] :]
    return parts


def without_badges(source):
    """Badges as buttons: their pictures come from elsewhere, and the site opens from disk."""
    return re.sub(r"\[!\[(.+?)\]\(.+?\)\]\((.+?)\)", r'<a class="button" href="\2">\1</a>', source)


def buttons(docname, url):
    """Download a notebook, and run it elsewhere where the project has an address."""
    file = f"{docname.rpartition('/')[2]}.ipynb"
    shown = f'\n\n<a class="button" href="{file}" download>Download this notebook</a>'
    if url:
        place = url.replace("https://github.com", "https://mybinder.org/v2/gh")
        place += f"/HEAD?labpath={docname}.ipynb"
        shown += f' <a class="button" href="{place}">Run it on Binder</a>'
    return shown


def foreign(app, what, name, obj, skip, options):
    """What matplotlib and namedtuple put into our classes is described elsewhere."""
    module = getattr(obj, "__module__", None) or ""
    return True if module.startswith(("matplotlib", "namedtuple_")) else None


def setup(app):
    app.connect("autodoc-skip-member", foreign)
    app.connect("autodoc-process-docstring", plain_text)
    app.connect("source-read", dressed)
