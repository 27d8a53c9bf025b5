"""Badges and the cell that installs follow from pyproject.toml; the cell does what it says."""

import importlib.util
import subprocess
import sys
from pathlib import Path

import nbformat
import pytest

from xtsupport.study import hosted

ROOT = Path(__file__).parents[1]


@pytest.fixture(scope="module")
def links():
    spec = importlib.util.spec_from_file_location("links", ROOT / "docs" / "links.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_every_notebook_is_in_step_with_pyproject(links):
    assert len(links.books()) >= 16
    for path in links.books():
        book = nbformat.read(path, 4)
        name = path.relative_to(ROOT / "notebooks").as_posix()
        assert links.linked(nbformat.read(path, 4), name, links.repository()) == book, path


def test_an_address_brings_badges_and_none_takes_them_away(links):
    before = nbformat.read(links.books()[0], 4)
    book = links.linked(nbformat.read(links.books()[0], 4), "a.ipynb", "https://github.com/me/it")
    colab = "https://colab.research.google.com/github/me/it/blob/main/notebooks/a.ipynb"
    kaggle = "src=https://github.com/me/it/blob/main/notebooks/a.ipynb"
    assert f"]({colab})" in book.cells[0].source and kaggle in book.cells[0].source
    assert 'source = "xtsupport @ git+https://github.com/me/it"' in book.cells[1].source
    assert links.linked(book, "a.ipynb", links.repository()) == before


def test_an_address_that_no_button_could_open_is_refused(links):
    for url in ("https://github.com/me/it/", "https://github.com/me/it.git"):
        assert links.on_github(url) == "https://github.com/me/it"
    assert links.on_github("") == ""
    for url in ("https://gitlab.com/me/it", "git@github.com:me/it", "https://github.com/me"):
        with pytest.raises(SystemExit, match=r"open https://github\.com/OWNER"):
            links.on_github(url)


def test_the_cell_does_nothing_where_xtsupport_is_and_else_says_what_is_missing(
    links, tmp_path, monkeypatch
):
    code = links.CELL.format(source="")
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True
    )
    assert (done.returncode, done.stdout) == (0, "")
    bare = [sys.executable, "-I", "-S", "-c", code]  # no packages at all
    done = subprocess.run(bare, cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode and "upload the wheel xtsupport-*.whl beside" in done.stderr
    (tmp_path / "xtsupport-0.whl").touch()  # which pip refuses
    done = subprocess.run(bare, cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode and done.stdout.startswith("installing xtsupport and what")
    assert done.stdout.endswith("a minute or two ...\n")


def test_a_host_keeps_its_own_fronts_and_what_will_do(monkeypatch, capsys):
    asked = []
    monkeypatch.setattr(hosted.subprocess, "run", lambda command, **_: asked.append(command) or
                        subprocess.CompletedProcess(command, 0, "here\n"))  # fmt: skip
    found = iter([{"torch": "2.12", "numpy": "1.9"},
                  {"torch": "2.12", "numpy": "2.4", "pandas": "3.1"}])  # fmt: skip
    monkeypatch.setattr(hosted, "versions_of", lambda names: next(found))
    hosted.main()
    names = {each.split(">")[0] for each in asked[0][5:]}
    assert {"torch", "numpy", "transformers", "snakemake"} <= names
    assert not names & {"jupyterlab", "ipykernel", "pytest"}
    first, second = capsys.readouterr().out.splitlines()
    assert "kept: torch 2.12; installed: pandas 3.1; replaced (now restart" in first
    assert first.endswith("numpy 1.9 by 2.4") and second.endswith("is in here")
