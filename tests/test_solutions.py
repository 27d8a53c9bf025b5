"""Every exercise has a solution that runs: notebooks/solutions/, one for each notebook."""

import re
import shutil
from pathlib import Path

import nbformat
import pytest

FOLDER = Path(__file__).parents[1] / "notebooks"
NAMES = sorted(path.stem for path in FOLDER.glob("*.ipynb"))


def read(path: Path):
    return nbformat.read(path, as_version=4)


def prose(book) -> str:
    return "\n".join(cell.source for cell in book.cells if cell.cell_type == "markdown")


def exercises(name: str) -> list[str]:
    """The titles of a notebook's exercises, numbered."""
    last = read(FOLDER / f"{name}.ipynb").cells[-1].source
    return re.findall(r"(?m)^### (\d\. .+)$", last.split("## Try it\n")[1])


def test_there_is_one_for_every_notebook():
    assert sorted(path.stem for path in (FOLDER / "solutions").glob("*.ipynb")) == NAMES


@pytest.mark.parametrize("name", NAMES)
def test_every_exercise_has_its_solution(name):
    told = prose(read(FOLDER / "solutions" / f"{name}.ipynb"))
    asked = exercises(name)
    assert 3 <= len(asked) <= 5
    assert re.findall(r"(?m)^## (\d\. .+)$", told) == asked
    assert [each[0] for each in asked] == [str(n) for n in range(1, len(asked) + 1)]


@pytest.mark.parametrize("name", NAMES)
def test_a_solution_is_stripped_and_its_links_lead_somewhere(name):
    path = FOLDER / "solutions" / f"{name}.ipynb"
    book = read(path)
    nbformat.validate(book)
    for cell in book.cells:
        assert not cell.get("outputs") and cell.get("execution_count") is None
    targets = re.findall(r"\]\(([^)#]+)\)", prose(book))
    assert {f"../{name}.ipynb", *(f"{each}.ipynb" for each in NAMES if each != name)} <= {*targets}
    assert all((path.parent / target).exists() for target in targets)


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    """A project root in which phases 1 and 2 of the smallest study are done, in scratch."""
    from xtsupport.study.phases import train
    from xtsupport.study.plan import open_study

    root = tmp_path_factory.mktemp("project")
    shutil.copytree(FOLDER, root / "notebooks")
    shutil.copytree(FOLDER.parent / "params", root / "params")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XTSUPPORT_ROOT", str(root))
        patch.setenv("OMP_NUM_THREADS", "1")
        study = open_study("params/tiny.yaml")
        for run in study.runs("pretraining", into="scratch"):
            train.pretrain(run)
        for run in study.runs("intermediate", into="scratch"):
            train.train_intermediate(run)
        yield root


@pytest.mark.solutions
@pytest.mark.timeout(600)
@pytest.mark.parametrize("name", NAMES)
def test_it_runs(root, name, tmp_path):
    import papermill

    quick = {"params": "params/tiny.yaml"} | ({"steps": 4} if name.startswith("02_") else {})
    executed = papermill.execute_notebook(
        root / "notebooks" / "solutions" / f"{name}.ipynb",
        tmp_path / f"{name}.ipynb",
        quick,
        cwd=root / "notebooks" / "solutions",
        kernel_name="python3",
        progress_bar=False,
    )
    outputs = [each for cell in executed.cells for each in cell.get("outputs", ())]
    assert outputs and not [each for each in outputs if each.output_type == "error"]
