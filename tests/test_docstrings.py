"""Every public name says what it does; where arrays go in or out, their shape or unit is told."""

import ast
import re
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parents[1] / "xtsupport"
MODULES = sorted(path.relative_to(PACKAGE) for path in PACKAGE.rglob("*.py"))
SIZE = r"(?:\.{3}|[A-Za-z_]\w*)(?:\[\w\])?(?: \+ \d)?"
SHAPE = re.compile(rf"\({SIZE}(?:, ?[\w\[\]*]+)*,?\)|scalar")  # (batch, length), (n,)
UNIT = re.compile(
    r"columns?|rows?|frame|table|one per|per \w+|points|percent|history|`\w+`: \w+, \w+", re.I
)


def public(body, owner=""):
    """(name, definition) of every function, method and class that a reader may use."""
    for each in body:
        named = isinstance(each, ast.FunctionDef | ast.ClassDef) and not each.name.startswith("_")
        if named:
            yield f"{owner}{each.name}", each
        if named and isinstance(each, ast.ClassDef):
            yield from public(each.body, f"{each.name}.")


def hints(function) -> str:
    every = function.args.posonlyargs + function.args.args + function.args.kwonlyargs
    given = [each.annotation for each in every] + [function.returns]
    return " ".join(ast.unparse(each) for each in given if each)


@pytest.mark.parametrize("module", MODULES, ids=str)
def test_everything_public_is_explained(module):
    tree = ast.parse((PACKAGE / module).read_text(encoding="utf-8"))
    names = [name for name, each in public(tree.body) if not ast.get_docstring(each)]
    assert not names and (ast.get_docstring(tree) or not tree.body)


@pytest.mark.parametrize("module", MODULES, ids=str)
def test_arrays_have_shapes_and_tables_their_columns_or_units(module):
    tree = ast.parse((PACKAGE / module).read_text(encoding="utf-8"))
    untold = []
    for name, each in public(tree.body):
        text = ast.get_docstring(each) or ""
        given = hints(each) if isinstance(each, ast.FunctionDef) else ""
        array, frame = (re.search(kind, given) for kind in ("ndarray|Tensor", "DataFrame|Series"))
        told = SHAPE.search(text) or (not array and UNIT.search(text))
        if (array or frame) and not told:
            untold.append(name)
    assert not untold
