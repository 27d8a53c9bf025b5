"""One hand-edited list of dependencies; everything compiled from it is in step with it."""

import importlib.util
import re
import subprocess
import sys
import tomllib
from importlib.metadata import distributions
from pathlib import Path

import pytest
import yaml
from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet
from packaging.utils import canonicalize_name
from packaging.version import Version

ROOT = Path(__file__).parents[1]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]


@pytest.fixture(scope="module")
def pins():
    lines = (ROOT / "constraints.txt").read_text().splitlines()
    found = [Requirement(line) for line in lines if line and not line.startswith("#")]
    assert all(len(each.specifier) == 1 and "==" in str(each.specifier) for each in found)
    return {canonicalize_name(each.name): next(iter(each.specifier)).version for each in found}


def wanted() -> list[Requirement]:
    lists = [PROJECT["dependencies"], *PROJECT["optional-dependencies"].values()]
    return [Requirement(each) for group in lists for each in group]


def test_every_dependency_is_pinned_within_its_range(pins):
    for each in wanted():
        assert each.specifier.contains(pins[canonicalize_name(each.name)]), each


def test_no_local_versions_and_no_cuda_packages(pins):
    assert not [name for name, version in pins.items() if Version(version).local]
    assert not [name for name in pins if name.startswith(("nvidia-", "cuda-"))]


def test_what_is_installed_is_what_the_constraints_say(pins):
    if not (Path(sys.prefix) / ".ready").exists():
        pytest.skip("this environment was not made by the Makefile")
    installed = {canonicalize_name(each.name): Version(each.version) for each in distributions()}
    wrong = {name: (str(installed[name]), pin) for name, pin in pins.items()
             if name in installed and installed[name].public != pin}  # fmt: skip
    assert not wrong


def test_supported_versions():
    assert SpecifierSet(PROJECT["requires-python"]) == SpecifierSet(">=3.11,<3.14")
    torch = next(each for each in wanted() if each.name == "torch")
    assert torch.specifier.contains("2.11.0")
    assert torch.specifier.contains("2.13.0")
    assert PROJECT["license"] == "MIT"
    assert "The xtsupport authors" in (ROOT / "LICENSE").read_text()


def test_conda_installs_this_project_under_the_constraints():
    environment = yaml.safe_load((ROOT / "environment.yml").read_text())
    python, pip, [*arguments] = (
        environment["dependencies"][0],
        environment["dependencies"][1],
        environment["dependencies"][2]["pip"],
    )
    assert SpecifierSet(python.removeprefix("python")) == SpecifierSet(PROJECT["requires-python"])
    assert (pip, arguments[0]) == ("pip", "--constraint constraints.txt")
    extras = re.fullmatch(r"--editable \.\[(.*)\]", arguments[1])[1].split(",")
    assert set(extras) <= set(PROJECT["optional-dependencies"])
    made = re.search(r"-e '\.\[([^]]*)\]'", (ROOT / ".ci" / "setup").read_text())[1].split(",")
    assert set(made) - set(extras) == {"offline-encoder"}  # which has no wheel for Windows
    assert len(arguments) == 2


def test_the_version_stands_once():
    import xtsupport

    assert xtsupport.__version__ == PROJECT["version"]
    assert yaml.safe_load((ROOT / "CITATION.cff").read_text())["version"] == PROJECT["version"]


def test_make_knows_its_targets_and_does_set_up_once():
    if subprocess.run(["which", "make"], capture_output=True).returncode:
        pytest.skip("make is not installed")
    for target in ("study", "lab", "test", "lint", "setup", "constraints", "schema", "site"):
        shown = subprocess.run(["make", "--dry-run", "--always-make", target], cwd=ROOT,
                               capture_output=True, text=True, check=True).stdout  # fmt: skip
        assert shown.count("setting up .venv") == 1


def test_the_setup_says_which_python_it_needs(tmp_path):
    if subprocess.run(["which", "make"], capture_output=True).returncode:
        pytest.skip("make is not installed")
    for name in ("Makefile", "pyproject.toml", "constraints.txt"):
        (tmp_path / name).write_text((ROOT / name).read_text())
    done = subprocess.run(
        ["make", "setup", "PYTHON="], cwd=tmp_path, capture_output=True, text=True
    )
    assert done.returncode != 0
    assert "Python 3.11 to 3.13 is needed" in done.stderr
    assert not (tmp_path / ".venv").exists()


def test_ci_runs_the_tests_ruff_and_the_study():
    text = (ROOT / ".ci" / "run").read_text()
    commands = [line.split("#")[0].strip() for line in text.splitlines()]
    assert "set -euo pipefail" in commands
    assert [each for each in commands if each.startswith("make ")] == [
        "make setup", "make lint", "make study", "make test",
    ]  # fmt: skip


def test_importing_the_package_is_quick():
    code = (
        "import sys, xtsupport, xtsupport.data, xtsupport.analysis, xtsupport.evaluation; "
        "heavy = ('torch', 'transformers', 'datasets', 'matplotlib', 'seaborn', 'statsmodels'); "
        "print([name for name in heavy if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_the_classroom_installer_counts_what_has_come(tmp_path, capfd):
    spec = importlib.util.spec_from_file_location("install", ROOT / "docs/classroom_install.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    (tmp_path / "lib" / "site-packages" / "pip-25.dist-info").mkdir(parents=True)
    (tmp_path / "lib" / "site-packages" / "pip-25.dist-info" / "RECORD").touch()
    code = (
        "from pathlib import Path; new = Path('lib/site-packages/xtsupport-1.dist-info'); "
        "new.mkdir(); (new / 'RECORD').touch(); raise SystemExit(7)"
    )
    command = [sys.executable, "-c", f"import os; os.chdir({str(tmp_path)!r}); {code}"]
    assert module.shown(command, tmp_path, 3) == 7
    assert capfd.readouterr().out.splitlines()[-1].startswith("   1 of 3 packages, ")
