"""Every name that notebooks, docs, benchmarks and tests import from xtsupport is there.

Read from the code, and nothing is imported: a name that was changed in the package alone is seen
here at once, and not when the notebook runs that asks for it.
"""

import ast
import json
from functools import cache
from pathlib import Path

ROOT = Path(__file__).parents[1]
FOLDERS = ("notebooks", "docs", "benchmarks", "tests")


def source(path: Path) -> str:
    """The code of a Python file or notebook."""
    text = path.read_text(encoding="utf-8")
    if path.suffix == ".py":
        return text
    cells = [each["source"] for each in json.loads(text)["cells"] if each["cell_type"] == "code"]
    lines = (line for each in cells for line in "".join(each).splitlines())
    return "\n".join(line for line in lines if not line.startswith(("%", "!")))


def module_file(name: str) -> Path | None:
    """The file of a module of the package; None where there is no such module."""
    place = ROOT.joinpath(*name.split("."))
    found = (place.with_suffix(".py"), place / "__init__.py")
    return next((each for each in found if each.is_file()), None)


@cache
def defined(module: Path) -> set[str]:
    """The names that a module binds outside functions, or may give by `__getattr__`; its parts."""
    names = {each.stem for each in module.parent.iterdir()} if module.stem == "__init__" else set()
    todo = [*ast.parse(module.read_text(encoding="utf-8")).body]
    while todo:
        node = todo.pop()
        if isinstance(node, ast.FunctionDef | ast.ClassDef):
            names.add(node.name)
            if node.name == "__getattr__":
                text = module.read_text(encoding="utf-8")
                words = (n.value for n in ast.walk(ast.parse(text)) if isinstance(n, ast.Constant))
                names |= {each for each in words if isinstance(each, str)}
        elif isinstance(node, ast.Import | ast.ImportFrom):
            names |= {(each.asname or each.name).partition(".")[0] for each in node.names}
        elif isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
            names.add(node.id)
        else:
            todo += ast.iter_child_nodes(node)
    return names


def absent(code: str) -> list[str]:
    """What code imports from xtsupport that is not there."""
    found = []
    for node in ast.walk(ast.parse(code)):
        if isinstance(node, ast.Import):
            names = [each.name for each in node.names if each.name.startswith("xtsupport.")]
            found += [each for each in names if not module_file(each)]
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("xtsupport"):
            file = module_file(node.module)
            have = defined(file) if file else set()
            found += [f"{node.module}.{n.name}" for n in node.names if n.name not in have]
    return found


def test_what_is_imported_from_the_package_is_there():
    found = {path: source(path) for name in FOLDERS for end in ("py", "ipynb")
             for path in (ROOT / name).rglob(f"*.{end}")}  # fmt: skip
    assert len(found) > 150
    wrong = {path.name: absent(code) for path, code in found.items() if "xtsupport" in code}
    assert {name: lacking for name, lacking in wrong.items() if lacking} == {}


def test_a_name_that_went_away_is_seen():
    code = "from xtsupport.cube.store import read_cube, gone\nimport xtsupport.nowhere\n"
    assert absent(code) == ["xtsupport.cube.store.gone", "xtsupport.nowhere"]
    assert absent("from xtsupport.away import x") == ["xtsupport.away.x"]
    assert absent("from xtsupport.data import load, laod") == ["xtsupport.data.laod"]
