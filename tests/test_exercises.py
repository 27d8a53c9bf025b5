"""Exercises with code: each is graded, blank ones get no point, and the solutions' code gets one.

The cells are executed here, in one process: a kernel for each notebook would take minutes. Wrong
answers of the kinds that people give are told apart from right ones.
"""

import math
import re
import sys
from pathlib import Path

import nbformat
import numpy as np
import pandas as pd
import pytest
from scipy import stats

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
    half = told(kit, capsys, "07-b", lambda g: np.array(3.79))
    assert "return a pair (low, high); you returned array(3.79)" in half
    printed = told(kit, capsys, "02b-a", lambda first, last, n: print("(1, 3)"))
    assert "return a pair (first, last)" in printed and "end it with `return`" in printed
    runs_only = told(kit, capsys, "07b-a", lambda b: tuple(np.quantile(b.mean(0), [0.4, 0.6])))
    assert "Too narrow" in runs_only


def test_07_a_without_the_cap_at_1_is_wrong(kit, capsys):
    def uncapped(p):
        order = np.argsort(p)
        rising = np.maximum.accumulate(np.sort(p) * np.arange(len(p), 0, -1))
        return rising[np.argsort(order)]

    assert "[1.2, 0.12, 1.2]" in told(kit, capsys, "07-a", uncapped)


def test_02b_a_that_multiplies_by_a_mask_is_wrong_where_sums_are_negative(kit, capsys):
    def multiplied(first, last, longest):
        sums = first[:, None] + last[None]
        allowed = sums.new_ones(sums.shape).triu().tril(longest - 1)
        return divmod((sums * allowed).argmax().item(), len(first))

    said = told(kit, capsys, "02b-a", multiplied)
    # by hand: (2, 2) has -1 - 2 = -3; the mask makes a forbidden (0, 2) a 0
    assert (
        "first [-3.0, -5.0, -1.0], last [-4.0, -3.0, -2.0], longest 2: (2, 2), not (0, 2)" in said
    )


def test_02b_c_rises_and_falls_in_a_line_of_the_steps_asked_for(kit, capsys):
    def cosine(step, steps, peak, warmup):
        down = (1 + math.cos(math.pi * (step - warmup) / (steps - warmup))) / 2
        return peak * (step / warmup if step < warmup else down)

    # 25 of 100 up is a quarter; 50 of 200 down is 3 quarters, of a cosine (1 + cos 45°) / 2 = 0.854
    assert "step 150 of 300, peak 0.008, warm-up 100: 0.006, not 0.0068" in told(
        kit, capsys, "02b-c", lambda *given: round(cosine(*given), 6)
    )
    fixed = told(kit, capsys, "02b-c", lambda step, *_: 1e-3 * min(step / 10, (100 - step) / 90))
    assert "step 25 of 300" in fixed


def test_04_counts_f1_only_and_leaves_english_out(kit, capsys):
    f1 = {"en": (0.62, 1.0, 0.64), "qka": (0.2, 0.6, 0.25)}
    names, rows = ("none", "squad", "none~squad"), []
    for code, scores in f1.items():
        for name, score in zip(names, scores, strict=True):
            rows += [(code, name, "f1", score), (code, name, "exact_match", score / 2)]
    cube = pd.DataFrame(rows, columns=["language", "condition", "metric", "score"])
    lost = pd.Series([42.0, 40.0, 39.0], names)  # by hand, in points
    assert kit.grade("04-a", lost, cube) == 1
    assert "Only `f1` rows" in told(kit, capsys, "04-a", lost * 3 / 4, cube)  # of both metrics
    assert kit.grade("04-b", 12.5, cube) == 1  # by hand: 5 of 40
    assert "without English" in told(kit, capsys, "04-b", 100 * (2 + 5) / (38 + 40), cube)
    assert kit.grade("04-b", 12.4, cube) == 0


@pytest.mark.parametrize("way", ["function", "module"])
def test_02b_b_with_torchs_own_loss_is_wrong(kit, capsys, way):
    from torch import nn

    def borrowed(logits, labels, share):
        if way == "module":
            return nn.CrossEntropyLoss(label_smoothing=share)(logits, labels)
        return nn.functional.cross_entropy(logits, labels, label_smoothing=share)

    assert "without torch's cross_entropy" in told(kit, capsys, "02b-b", borrowed)


def test_02b_b_shows_the_input_the_right_loss_and_mine(kit, capsys):
    logs = lambda logits, labels: logits.log_softmax(-1)[range(len(labels)), labels]  # noqa: E731
    said = told(kit, capsys, "02b-b", lambda x, y, share: -(1 - share) * logs(x, y).mean())
    # by hand, share 0.1: the rows' mean -log p of the right pieces is (0.1698 + 2.1698) / 2
    assert "logits [[2.0, 0.0, -1.0], [0.0, 1.0, 3.0]], labels [0, 1], share 0.1" in said
    assert f"Your answer: {0.9 * 1.1698:.4f}"[:-1] in said


@pytest.mark.parametrize(
    "half, hint",
    [
        (lambda g: stats.t.ppf(0.975, len(g) - 1) * np.std(g) / len(g) ** 0.5, "ddof=1"),
        (lambda g: stats.t.ppf(0.975, len(g) - 1) * np.std(g, ddof=1), "root of n"),
        (lambda g: stats.norm.ppf(0.975) * stats.sem(g), "1.96"),
        (lambda g: stats.t.ppf(0.95, len(g) - 1) * stats.sem(g), "each* side"),
    ],
)
def test_07_b_has_a_hint_for_each_slip_and_shows_both_intervals(kit, capsys, half, hint):
    said = told(kit, capsys, "07-b", lambda g: (np.mean(g) - half(g), np.mean(g) + half(g)))
    assert hint in said
    # by hand: mean 7/3, deviation 1.5275, t(2) 4.3027
    assert "for [1.0, 2.0, 4.0] it is -1.46 to 6.13, not " in said


def test_07_b_says_that_the_ends_are_swapped(kit, capsys):
    right = lambda g: stats.t.interval(0.95, len(g) - 1, np.mean(g), stats.sem(g))  # noqa: E731
    said = told(kit, capsys, "07-b", lambda g: right(g)[::-1])
    assert "lower end comes first" in said and "root of n" not in said
