"""Settings of the site (Sphinx with MyST-NB); `make site` builds it from outputs/site/source."""

import re
from pathlib import Path

project = "xtsupport"
author = "The xtsupport authors"
extensions = ["myst_nb", "sphinx.ext.autodoc", "sphinx.ext.viewcode"]
html_theme = "furo"
html_title = "xtsupport"
html_show_copyright = False
html_static_path = ["static"]
html_css_files = ["site.css"]
html_search_scorer = str(Path(__file__).parent / "static" / "scorer.js")  # pages before functions
html_extra_path = ["reports"]  # whole pages, copied as they are
exclude_patterns = ["reports"]

nb_execution_mode = "off"  # make executes them, each when it or the package has changed
nb_output_stderr = "remove"  # progress bars
nb_ipywidgets_js = {}  # nor their scripts from elsewhere: the site opens from disk
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


def setup(app):
    app.connect("autodoc-process-docstring", plain_text)
