"""Exercises with code: each is graded, blank ones get no point, and the solutions' code gets one.

The cells are executed here, in one process: a kernel for each notebook would take minutes. Wrong
answers of the kinds that people give are told apart from right ones.
"""

import re
import sys
from pathlib import Path

import nbformat
import numpy as np
import pytest

NOTEBOOKS = Path(__file__).parents[1] / "notebooks"
NAMES = sorted(path.stem for path in NOTEBOOKS.glob("*.ipynb"))


def cells(folder: str, name: str) -> list:
    return nbformat.read(NOTEBOOKS / folder / f"{name}.ipynb", as_version=4).cells


def graded(name: str, folder: str = "exercises") -> list:
    return [cell for cell in cells(folder, name) if "nbgrader" in cell.metadata]


@pytest.fixture(scope="module")
def kit():
    """The module that grades, as a notebook gets it."""
    sys.path.insert(0, str(NOTEBOOKS / "kit"))
    import grade

    yield grade
    sys.path.remove(str(NOTEBOOKS / "kit"))


def test_every_notebook_has_at_least_two_and_every_check_is_used(kit):
    asked = [cell.metadata.nbgrader.grade_id for name in NAMES for cell in graded(name)]
    assert sorted(path.stem for path in (NOTEBOOKS / "exercises").glob("*.ipynb")) == NAMES
    for name in NAMES:
        assert sum(each.startswith(f"{name.split('_')[0]}-") for each in asked) >= 4
    assert {each for each in asked if not each.endswith("-check")} == set(kit.CHECKS)


@pytest.mark.parametrize("name", NAMES)
def test_nbgrader_can_read_them(name):
    """The schema (version 3) of nbgrader's cell metadata; a point comes from the cell's value."""
    found = graded(name)
    for answer, check in zip(found[::2], found[1::2], strict=True):
        assert answer.metadata.nbgrader.solution and not answer.metadata.nbgrader.grade
        assert check.metadata.nbgrader.grade and check.metadata.nbgrader.locked
        assert check.metadata.nbgrader.points == 1
        assert check.source.startswith(f'grade("{answer.metadata.nbgrader.grade_id}", ')
        assert answer.metadata.nbgrader.schema_version == 3


@pytest.mark.parametrize("name", NAMES)
def test_they_are_stripped_and_lead_back(name):
    book = nbformat.read(NOTEBOOKS / "exercises" / f"{name}.ipynb", as_version=4)
    nbformat.validate(book)
    assert not any(cell.get("outputs") or cell.get("execution_count") for cell in book.cells)
    assert f"](../{name}.ipynb)" in book.cells[0].source
    last = cells("", name)[-1].source
    assert f"](exercises/{name}.ipynb)" in last


def run(source: str, names: dict):
    """Execute a cell's source; the value of its last expression, if it is one, else None."""
    *body, last = re.sub(r"(?m)^%run .*$", "pass", source).strip().splitlines()
    try:
        value = compile(last, "cell", "eval")
    except SyntaxError:
        exec("\n".join([*body, last]), names)
        return None
    exec("\n".join(body), names)
    return eval(value, names)


@pytest.mark.solutions
@pytest.mark.parametrize("name", NAMES)
def test_solutions_get_every_point_and_blanks_none(name, kit, monkeypatch, tmp_path):
    monkeypatch.setenv("XTSUPPORT_ROOT", str(NOTEBOOKS.parent))
    solved = {cell.metadata.nbgrader.grade_id: cell.source for cell in graded(name, "solutions")}
    names = {"grade": kit.grade}
    code = [cell for cell in cells("exercises", name) if cell.cell_type == "code"]
    run(code[0].source, names)
    for answer, check in zip(code[1::2], code[2::2], strict=True):
        run(answer.source, names)
        assert run(check.source, names) == 0
        run(solved[answer.metadata.nbgrader.grade_id], names)
        assert run(check.source, names) == 1


def told(kit, capsys, name: str, answer, *given) -> str:
    assert kit.grade(name, answer, *given) == 0
    return capsys.readouterr().out


def test_a_wrong_answer_is_told_what_is_wrong(kit, capsys):
    assert "not solved yet" in told(kit, capsys, "07-a", None)
    assert "ZeroDivisionError" in told(kit, capsys, "07-a", lambda p: 1 / 0)
    assert "3 p-values in" in told(kit, capsys, "07-a", lambda p: p[:1])
    bonferroni = told(kit, capsys, "07-a", lambda p: np.minimum(len(p) * np.array(p), 1))
    assert "multiply by how many are left" in bonferroni
    assert "ends before it begins" in told(kit, capsys, "02b-a", lambda first, last, n: (1, 0))
    assert "must not matter" in told(
        kit, capsys, "05-a", lambda f, e: 100 * np.mean((f @ e.T).argmax(1) == np.arange(len(f)))
    )
    assert "expected one number" in told(kit, capsys, "02-b", [1.0, 2.0], None, None, [])
    normal = told(kit, capsys, "07-b", lambda g: (np.mean(g) - 2 * np.std(g), np.mean(g)))
    assert "n - 1" in normal
    runs_only = told(kit, capsys, "07b-a", lambda b: tuple(np.quantile(b.mean(0), [0.4, 0.6])))
    assert "Too narrow" in runs_only
