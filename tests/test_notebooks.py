"""Notebooks are thin, stripped, and begin alike; each runs alone and under the study runner.

The rules are those of the design: what this answers, parameters, checks; prose before every code
cell; cells of about six lines and never much above fifteen; nothing defined in a notebook. Those
that show what is inside (02b, 07b) or use real data (08) may, and no study runs them.
"""

import ast
import re
import shutil
from itertools import pairwise
from pathlib import Path
from statistics import median

import nbformat
import pytest

from xtsupport.files import checksum
from xtsupport.study import run_store
from xtsupport.study.cli import main
from xtsupport.study.parameters import names
from xtsupport.study.plan import NOTEBOOKS as OF_NODES
from xtsupport.study.plan import open_study

FOLDER = Path(__file__).parents[1] / "notebooks"
PARAMS = FOLDER.parent / "params"
NAMES = sorted(path.stem for path in FOLDER.glob("*.ipynb"))
INSIDE = ["02b_inside_the_machine", "07b_inside_the_verdict", "08_real_languages"]
PHASES = [name for name in NAMES if name not in INSIDE]
MODULES = {"xtsupport", "pandas", "yaml", "math", "IPython"}


def read(name: str):
    return nbformat.read(FOLDER / f"{name}.ipynb", as_version=4)


def code_cells(name: str) -> list:
    """All but the first, which installs (tests/test_links.py)."""
    code = [cell for cell in read(name).cells if cell.cell_type == "code"]
    return [cell for cell in code if "install" not in cell.metadata.get("tags", ())]


def lines(cell) -> list[str]:
    return [line for line in cell.source.splitlines() if line.strip()]


def test_there_is_one_notebook_for_every_node_and_one_to_start_with():
    assert ["00_start_here", *sorted(OF_NODES.values())] == PHASES
    assert set(INSIDE) < set(NAMES)


@pytest.mark.parametrize("name", NAMES)
def test_a_source_is_stripped_and_valid(name):
    book = read(name)
    nbformat.validate(book)
    assert set(book.metadata) == {"kernelspec", "language_info"}
    for cell in book.cells:
        install = "install" in cell.metadata.get("tags", ())
        assert set(cell.metadata) <= {"tags", *(["cellView", "jupyter"] * install)}
        assert not cell.get("outputs") and cell.get("execution_count") is None
    assert len({cell.id for cell in book.cells}) == len(book.cells)


@pytest.mark.parametrize("name", NAMES)
def test_it_begins_with_a_question_a_prediction_parameters_and_checks(name):
    cells = read(name).cells
    assert cells[0].cell_type == "markdown" and cells[0].source.startswith("# ")
    opening = cells[0].source
    assert re.search(r"What this answers|The question of the whole study", opening)
    assert "Your prediction" in opening and "?" in opening.split("Your prediction")[1]
    first, second = code_cells(name)[:2]
    assert first.metadata.tags == ["parameters"]
    assert "check_setup(" in second.source and "open_study(params" in second.source


@pytest.mark.parametrize("name", NAMES)
def test_parameters_are_literals_with_a_type_and_a_help(name):
    cell = code_cells(name)[0]
    for line, node in zip(lines(cell), ast.parse(cell.source).body, strict=True):
        assert isinstance(node, ast.AnnAssign) and "  # " in line, line
        ast.literal_eval(node.value)


@pytest.mark.parametrize("name", NAMES)
def test_code_cells_are_short(name):
    lengths = [len(lines(cell)) for cell in code_cells(name)[1:]]
    assert median(lengths) <= (6 if name in PHASES else 10) and max(lengths) <= 15


@pytest.mark.parametrize("name", PHASES)
def test_nothing_is_defined_and_only_the_package_is_called(name):
    for cell in code_cells(name):
        for node in ast.walk(ast.parse(cell.source)):
            assert not isinstance(
                node, ast.FunctionDef | ast.ClassDef | ast.Lambda | ast.While | ast.Try
            ), cell.source
            if isinstance(node, ast.ImportFrom | ast.Import):
                module = getattr(node, "module", None) or node.names[0].name
                assert module.split(".")[0] in MODULES, cell.source


@pytest.mark.parametrize("name", NAMES)
def test_prose_stands_before_every_code_cell(name):
    cells = read(name).cells
    for before, cell in pairwise(cells):
        if cell.cell_type == "code":
            assert before.cell_type == "markdown" and len(before.source) > 40, cell.source


@pytest.mark.parametrize("name", NAMES)
def test_links_lead_somewhere(name):
    text = "\n".join(cell.source for cell in read(name).cells if cell.cell_type == "markdown")
    for target in re.findall(r"\]\(([^)#]+)\)", text):
        assert target.startswith("https://") or (FOLDER / target).exists(), target


@pytest.mark.parametrize("name", NAMES)
def test_there_are_exercises(name):
    last = read(name).cells[-1].source
    assert "## Try it\n" in last and len(re.findall(r"(?m)^### \d\. ", last)) >= 3


def test_a_study_passes_only_parameters_that_the_notebooks_have():
    for node in open_study(PARAMS / "tiny.yaml", only="seeds=0").plan.nodes:
        known = names(code_cells(node.notebook)[0].source, ast.AnnAssign)
        assert {"params", "into", *node.parameters} <= set(known), node.name


def test_the_index_names_every_notebook():
    index = (FOLDER / "README.md").read_text(encoding="utf-8")
    assert all(f"]({name}.ipynb)" in index for name in NAMES)


# ------------------------------------------------------------------------------------- execution

SMALLER = [
    "conditions=[none, squad, none~squad]",
    "targets=[xquad, xnli, tatoeba]",
    "seeds=[0]",
]


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    """A project root with a finished study, done by the real notebooks."""
    root = tmp_path_factory.mktemp("project")
    shutil.copytree(FOLDER, root / "notebooks")
    shutil.copytree(PARAMS, root / "params")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XTSUPPORT_ROOT", str(root))
        patch.setenv("OMP_NUM_THREADS", "1")
        settings = [word for each in SMALLER for word in ("--set", each)]
        code = main(["run", str(root / "params" / "tiny.yaml"), "--jobs", "2", *settings])
        assert code == 0
        yield root


@pytest.mark.notebooks
@pytest.mark.timeout(900)
def test_the_runner_does_a_study_with_these_notebooks(root):
    study = root / "outputs" / "tiny"
    assert (study / "cube").is_dir() and (study / "significance.csv").is_file()
    page = (study / "report.html").read_text(encoding="utf-8")
    assert '<section id="scores">' in page and "SIMULATED" not in page
    assert not (root / "outputs" / "scratch").exists()


@pytest.mark.notebooks
@pytest.mark.timeout(600)
@pytest.mark.parametrize("name", NAMES)
def test_it_runs_alone_and_leaves_the_study_as_it_is(root, name, tmp_path):
    """As in JupyterLab: its own folder, defaults but for the smaller study."""
    study = root / "outputs" / "tiny"
    rows = run_store.read_list(study)
    kept = [study, *(root / row["folder"] for row in rows)]
    before = {path: checksum(path) for folder in kept for path in files(folder)}
    executed = run_alone(root, name, tmp_path, params=str(study / "settings.yaml"))
    assert {path: checksum(path) for folder in kept for path in files(folder)} == before
    assert not errors(executed)
    outputs = [each for cell in executed.cells for each in cell.get("outputs", ())]
    red = "".join(each.text for each in outputs if each.get("name") == "stderr")
    assert not re.search(r"Tqdm|Loading|Writing|%\|", red), red


@pytest.mark.notebooks
def test_a_mistake_is_one_line_and_no_traceback(root, tmp_path):
    from papermill.exceptions import PapermillExecutionError

    with pytest.raises(PapermillExecutionError):
        run_alone(root, "03_intermediate_training", tmp_path, condition="squadd")
    (error,) = errors(nbformat.read(tmp_path / "03_intermediate_training.ipynb", as_version=4))
    assert len(error.traceback) == 1 and error.traceback[0].startswith("xtsupport: error: ")
    assert "squad" in error.traceback[0]


def files(folder: Path) -> list[Path]:
    return [path for path in sorted(folder.rglob("*")) if path.is_file()]


def errors(book) -> list:
    outputs = [each for cell in book.cells for each in cell.get("outputs", ())]
    return [each for each in outputs if each.output_type == "error"]


def run_alone(root: Path, name: str, out: Path, **parameters):
    """Execute a notebook from its own folder, as JupyterLab does."""
    import papermill

    return papermill.execute_notebook(
        root / "notebooks" / f"{name}.ipynb",
        out / f"{name}.ipynb",
        {"params": "params/tiny.yaml"} | parameters,
        cwd=root / "notebooks",
        kernel_name="python3",
        progress_bar=False,
    )
