"""Badges, the cell that installs on Colab and Kaggle, and the site's buttons: `make links`.

Both follow from `Repository` in pyproject.toml's [project.urls]; while it is not set there are no
badges, and the cell asks for a wheel beside the notebook.
"""

import re
import sys
import tomllib
from pathlib import Path

import nbformat

ROOT = Path(__file__).parents[1]
CELL = """\
# @title Colab, Kaggle: install xtsupport (elsewhere this does nothing)
import importlib.util
import subprocess
import sys
from pathlib import Path

source = "{source}"  # for pip; a wheel that lies beside the notebook comes first
if not importlib.util.find_spec("xtsupport"):
    places = [*map(str, Path().glob("xtsupport-*.whl")), *([source] if source else [])]
    assert places, "upload the wheel xtsupport-*.whl beside this notebook, and run this cell again"
    print("installing xtsupport and what this machine lacks of its packages: a minute or two ...")
    pip = [sys.executable, "-m", "pip", "install", "-q", "--no-deps", places[0]]
    subprocess.run(pip, check=True)
    rest = [sys.executable, "-m", "xtsupport.study.hosted"]
    print(subprocess.run(rest, check=True, capture_output=True, text=True).stdout, end="")
    importlib.invalidate_caches()
    for name in [each for each in sys.modules if each.split(".")[0] == "packaging"]:
        del sys.modules[name]  # the kernel may hold another version than is installed now"""
COLAB = "[![Open in Colab](https://colab.research.google.com/assets/colab-badge.svg)]({})"
KAGGLE = "[![Open in Kaggle](https://kaggle.com/static/images/open-in-kaggle.svg)]({})"
BADGE = re.compile(r"\n\n\[!\[Open in .*", re.S)


def repository() -> str:
    """The project's address on GitHub, or nothing."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    return on_github(project.get("urls", {}).get("Repository", ""))


def on_github(url: str) -> str:
    """The address as links need it; one of another host ends the program with a line."""
    short = url.rstrip("/").removesuffix(".git")
    if url and not re.fullmatch(r"https://github\.com/[\w.-]+/[\w.-]+", short):
        sys.exit(f"links: error: pyproject.toml: Repository is {url!r}, but Colab, Kaggle and "
                 "Binder open https://github.com/OWNER/NAME")  # fmt: skip
    return short


def linked(book, name: str, url: str):
    """A notebook with the badges and the cell that belong to an address (empty: none)."""
    page = f"blob/main/notebooks/{name}"
    owner = url.removeprefix("https://github.com/")
    badges = [
        COLAB.format(f"https://colab.research.google.com/github/{owner}/{page}"),
        KAGGLE.format(f"https://kaggle.com/kernels/welcome?src={url}/{page}"),
    ]
    title = book.cells[0]
    title.source = BADGE.sub("", title.source) + ("\n\n" + " ".join(badges) if url else "")
    if "install" not in book.cells[1].metadata.get("tags", ()):
        cell = nbformat.v4.new_code_cell(id=f"{title.id.partition('-')[0]}-install")
        book.cells.insert(1, cell)
    book.cells[1].source = CELL.format(source=f"xtsupport @ git+{url}" if url else "")
    book.cells[1].metadata = nbformat.from_dict(
        {"cellView": "form", "jupyter": {"source_hidden": True}, "tags": ["install", "remove-cell"]}
    )
    return book


def main() -> None:
    """Bring all notebooks in step with pyproject.toml."""
    for path in books():
        name = path.relative_to(ROOT / "notebooks").as_posix()
        book = linked(nbformat.read(path, 4), name, repository())
        path.write_text(nbformat.writes(book) + "\n", encoding="utf-8", newline="\n")
    conf = ROOT / "docs" / "conf.py"
    text = re.sub('^repository = ".*"$', f'repository = "{repository()}"', conf.read_text("utf-8"),
                  flags=re.M)  # fmt: skip
    conf.write_text(text, encoding="utf-8", newline="\n")


def books() -> list[Path]:
    """The notebooks that run with nothing beside them; exercises need the kit that grades them."""
    found = (ROOT / "notebooks" / folder for folder in (".", "solutions"))
    return [path for folder in found for path in sorted(folder.glob("*.ipynb"))]


if __name__ == "__main__":
    main()
