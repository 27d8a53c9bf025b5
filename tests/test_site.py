"""The site's own parts: every module has its place on the API pages, and dead links are found."""

import importlib.util
import re
import runpy
import shutil
import subprocess
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
spec = importlib.util.spec_from_file_location("site_pages", ROOT / "docs" / "site.py")
site = importlib.util.module_from_spec(spec)
spec.loader.exec_module(site)


@pytest.fixture(scope="module")
def source(tmp_path_factory):
    folder = tmp_path_factory.mktemp("site")
    site.gather(folder)
    return folder


def test_every_module_stands_on_an_api_page(source):
    text = "\n".join(path.read_text(encoding="utf-8") for path in source.glob("api_*.rst"))
    package = ROOT / "xtsupport"
    modules = [path.relative_to(ROOT) for path in package.rglob("*.py") if path.stem[0] != "_"]
    missing = [
        name
        for name in (".".join(path.with_suffix("").parts) for path in modules)
        if f".. automodule:: {name}\n" not in text
    ]
    assert not missing
    assert text.count("\nThe package\n") == len(site.AREAS) + 1
    assert "\nxtsupport.data.bucc\n---" in text  # a module's heading is its name
    assert "__main__" not in text  # importing it runs the command


def test_every_page_of_the_project_is_gathered(source):
    for name in ("README.md", "notebooks/glossary.md", "notebooks/lessons.md", "CONTRIBUTING.md"):
        assert (source / name).read_bytes() == (ROOT / name).read_bytes()
    listed = (ROOT / "docs" / "index.md").read_text(encoding="utf-8")
    assert "notebooks/0*" in listed and "\nexercises\n" in listed and "\napi\n" in listed
    assert "notebooks/solutions/0*" in (source / "exercises.md").read_text(encoding="utf-8")


def test_what_pages_link_to_is_on_the_site(source):
    """As files; notebooks are added when they have been executed."""
    links = [
        (page.relative_to(source), target)
        for page in source.rglob("*.md")
        for target in re.findall(r"\]\(([^)#:]+)[)#]", page.read_text(encoding="utf-8"))
    ]
    away = [
        f"{page}: {target}"
        for page, target in links
        if not (source / page.parent / target).exists()
        and not (ROOT / page.parent / target).with_suffix(".ipynb").exists()
    ]
    assert len(links) > 50 and not away


def test_a_launch_button_appears_with_the_address_and_only_then():
    conf = runpy.run_path(str(ROOT / "docs" / "conf.py"))
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    assert conf["repository"] == project.get("urls", {}).get("Repository", "")
    without = conf["buttons"]("notebooks/exercises/00_start_here", "")
    assert 'href="00_start_here.ipynb" download' in without and "http" not in without
    shown = conf["buttons"]("notebooks/exercises/00_start_here", "https://github.com/me/it")
    binder = "https://mybinder.org/v2/gh/me/it/HEAD?labpath=notebooks/exercises/00_start_here.ipynb"
    assert shown.startswith(without) and f'href="{binder}"' in shown
    badges = "# 00\n\n[![Open in Colab](https://c.org/a.svg)](https://c.org/b) [0](a.ipynb)"
    button = '<a class="button" href="https://c.org/b">Open in Colab</a>'
    assert conf["without_badges"](badges) == f"# 00\n\n{button} [0](a.ipynb)"


def test_links_that_lead_nowhere_are_named(tmp_path):
    (tmp_path / "sub").mkdir()
    (tmp_path / "a.html").write_text(
        '<h1 id="top">A</h1><a href="sub/b.html#there">good</a><a href="#top">good</a>'
        '<a href="https://example.org/x">elsewhere</a><a href="sub/b.html#gone">bad</a>'
        '<img src="none.png">',
        encoding="utf-8",
    )
    (tmp_path / "sub" / "b.html").write_text(
        '<p id="there"><a href="../a.html">good</a><a href="c.html">bad</a></p>', encoding="utf-8"
    )
    assert site.links(tmp_path) == [
        "a.html: none.png",
        "a.html: sub/b.html#gone",
        "sub/b.html: c.html",
    ]


def test_search_finds_pages_before_functions():
    node = shutil.which("node")
    if node is None:
        pytest.skip("no node here")
    code = (
        (ROOT / "docs" / "scorer.js").read_text(encoding="utf-8")
        + """
    const page = (name, kind) => Scorer.score([name, "", "", null, Scorer[kind], "", ""]);
    console.log(page("notebooks/02b", "term") > page("api_training", "title"),
                page("notebooks/02b", "partialTerm") > page("api_training", "objNameMatch"));
    """
    )
    told = subprocess.run([node, "-e", code], capture_output=True, text=True, check=True)
    assert told.stdout.split() == ["true", "true"]


def test_every_figure_of_a_cell_has_its_own_alt_text():
    def figure(words):
        return {"output_type": "display_data", "data": {"image/png": "x", "text/plain": words}}

    table, note = ({"output_type": "stream", "text": text} for text in ("table", "note"))
    outputs = [table, figure("SQuAD:\n  loss"), figure(["MNLI: ", "loss"]), note]
    cell = {"cell_type": "code", "id": "a", "source": "show()", "metadata": {}, "outputs": outputs}
    split = runpy.run_path(str(ROOT / "docs" / "conf.py"))["one_figure_each"]
    first, second = split(cell)
    assert first["outputs"] == outputs[:2] and second["outputs"] == outputs[2:]
    alts = [part["metadata"]["mystnb"]["image"]["alt"] for part in (first, second)]
    assert alts == ["SQuAD: loss", "MNLI: loss"]
    assert first["source"] == "show()" and second["metadata"]["tags"] == ["remove-input"]
    assert second["source"]  # MyST-NB drops a cell without source, and its outputs with it
    text = {"cell_type": "markdown", "source": "# A", "metadata": {}}
    assert split(text) == [text] and "outputs" not in text
