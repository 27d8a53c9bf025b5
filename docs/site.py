"""What `make site` does around Sphinx: gather the pages before, check the links after.

python docs/site.py gather SOURCE      put every page of the project below SOURCE
python docs/site.py slides SOURCE      make the slides from the executed notebooks below SOURCE
python docs/site.py links HTML         every link and image of the built site leads somewhere
"""

import pkgutil
import re
import shutil
import sys
from html.parser import HTMLParser
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from types import ModuleType
from urllib.parse import unquote, urlsplit

ROOT = Path(__file__).resolve().parents[1]
PAGES = (
    "README.md",
    "CONTRIBUTING.md",
    "docs/classroom.md",
    "docs/where.md",
    "docs/scale.md",
    "CHANGELOG.md",
    "LICENSE",
    "CITATION.cff",
    "benchmarks/packed_study.py",
    "outputs/README.md",
)
LINKED = ("params", "outputs/reference", "outputs/reference/figures")  # what pages link to or show
KINDS = (".svg", ".yaml", ".md", ".html", ".csv")
AREAS = {  # the parts of the package, by what they are for
    "data": "Load data",
    "training": "Train",
    "evaluation": "Predict and score",
    "cube": "Collect and browse scores",
    "statistics": "Compare and judge",
    "report": "Make figures and reports",
    "study": "Plan and run a study",
}


def gather(source: Path) -> None:
    """Lay out the project's pages below `source` as they lie in the project, with an API page."""
    found = [ROOT / name for name in PAGES if (ROOT / name).is_file()]
    found += (ROOT / "notebooks").glob("*.md")
    found += (ROOT / "notebooks" / "kit").iterdir()
    found += (ROOT / "xtsupport").rglob("README.md")
    for folder in LINKED:
        found += [p for p in (ROOT / folder).iterdir() if p.suffix in KINDS]
    for path in found:
        copy(path, source / path.relative_to(ROOT))
    for path in (ROOT / "notebooks").rglob("*.ipynb"):  # without outputs: to download
        copy(path, source / "files" / path.relative_to(ROOT))
    for name in ("conf.py", "index.md", "exercises.md", "comparison.md"):
        copy(ROOT / "docs" / name, source / name)
    for name in ("site.css", "scorer.js"):
        copy(ROOT / "docs" / name, source / "static" / name)
    (source / "api_.rst").write_text(api_page("Lists, files and folders", modules()))
    for area, title in AREAS.items():
        (source / f"api_{area}.rst").write_text(api_page(title, modules(area)))
    pages = "\n".join(f"   api_{area}" for area in (*AREAS, ""))
    title = "Functions, by task"
    (source / "api.rst").write_text(
        f"{title}\n{'=' * len(title)}\n\n.. toctree::\n   :maxdepth: 1\n\n{pages}\n"
    )
    (source / "reports.md").write_text(reports(source / "reports"), encoding="utf-8")
    (source / "quiz.md").write_text(kit("quiz").web_page(), encoding="utf-8")


def kit(name: str) -> ModuleType:
    """A script of the teaching kit."""
    place = ROOT / "notebooks" / "kit" / f"{name}.py"
    spec = spec_from_file_location(f"kit_{name}", place)
    assert spec and spec.loader
    script = module_from_spec(spec)
    spec.loader.exec_module(script)
    return script


def slides(source: Path) -> None:
    """Slides for both lessons, beside the notebooks to download."""
    for minutes in (45, 90):
        page = kit("slides").page(minutes, source / "notebooks")
        (source / "files" / f"slides-{minutes}.html").write_text(page, encoding="utf-8")


def copy(path: Path, to: Path) -> None:
    """Copy one file, making folders as needed."""
    to.parent.mkdir(parents=True, exist_ok=True)
    if path.suffix == ".html":  # a report: what it leads to lies elsewhere here
        text = re.sub("<footer>.*?</footer>", "", path.read_text(encoding="utf-8"), flags=re.S)
        to.write_text(text, encoding="utf-8")
    else:
        shutil.copyfile(path, to)


def modules(area: str = "") -> list[str]:
    """The package, or a part of it, and the modules in it, by name; parts of it left out."""
    import xtsupport

    place, name = Path(xtsupport.__file__).parent / area, f"xtsupport.{area}".rstrip(".")
    look = pkgutil.walk_packages if area else pkgutil.iter_modules
    found = look([str(place)], f"{name}.")
    names = sorted(each.name for each in found if area or not each.ispkg)
    return [name, *(each for each in names if not each.endswith("__main__"))]  # importing runs it


def api_page(title: str, names: list[str]) -> str:
    """A page with every docstring of some modules."""
    lines = [title, "=" * len(title), ""]
    for name in names:
        heading = "The package" if name == names[0] else name
        lines += [heading, "-" * len(heading), "", f".. automodule:: {name}", ""]
    return "\n".join(lines)


def reports(folder: Path) -> str:
    """Copy the reports of all studies here into `folder`; the page that lists them."""
    lines = [
        "# Reports",
        "",
        "The reports of all studies that were finished here.",
        "",
    ]
    for path in sorted((ROOT / "outputs").glob("*/report.html")):
        name = path.parent.name
        if name not in ("scratch", "site"):
            copy(path, folder / f"report-{name}.html")
            lines.append(f'* <a href="report-{name}.html">{name}</a>')
    folder.mkdir(parents=True, exist_ok=True)
    return "\n".join([*lines, ""] if len(lines) > 4 else [*lines, "None yet: `make study`.", ""])


class Links(HTMLParser):
    """Collects where a page leads and which places it has."""

    def __init__(self, text: str):
        super().__init__()
        self.targets: list[str] = []
        self.places: set[str] = set()
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        """Every href and src; every id."""
        given = dict(attrs)
        self.targets += [given[key] for key in ("href", "src") if given.get(key)]
        self.places |= {given[key] for key in ("id", "name") if given.get(key)}


def links(site: Path) -> list[str]:
    """Links within the built site that lead nowhere, as `page: link`; others are not asked for."""
    pages = {
        path.resolve(): Links(path.read_text(encoding="utf-8")) for path in site.rglob("*.html")
    }
    broken = []
    for page, found in pages.items():
        for target in found.targets:
            parts = urlsplit(target)
            if parts.scheme or parts.netloc:
                continue
            path = (page.parent / unquote(parts.path)).resolve() if parts.path else page
            there = path.exists() and (
                not parts.fragment
                or path not in pages
                or unquote(parts.fragment) in pages[path].places
            )
            if not there:
                broken.append(f"{page.relative_to(site.resolve())}: {target}")
    return sorted(set(broken))


if __name__ == "__main__":
    if len(sys.argv) != 3 or sys.argv[1] not in ("gather", "slides", "links"):
        sys.exit(__doc__)
    if sys.argv[1] == "gather":
        gather(Path(sys.argv[2]))
    elif sys.argv[1] == "slides":
        slides(Path(sys.argv[2]))
    else:
        wrong = links(Path(sys.argv[2]))
        print("\n".join(wrong) or "all links within the site lead somewhere")
        sys.exit(bool(wrong))
