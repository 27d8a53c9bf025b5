"""Wheel and sdist, installed into an environment of its own and used far from the repository.

Not part of the ordinary test run, because it downloads everything: `pytest -m wheel` (.ci/nightly).
"""

import os
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
BIN = "Scripts" if os.name == "nt" else "bin"

pytestmark = [pytest.mark.wheel, pytest.mark.timeout(3600)]


def done(*command, **more) -> str:
    """The output of a command that must succeed."""
    ended = subprocess.run([*map(str, command)], capture_output=True, text=True, **more)
    assert ended.returncode == 0, f"{command}\n{ended.stdout[-3000:]}\n{ended.stderr[-3000:]}"
    return ended.stdout + ended.stderr


@pytest.fixture(scope="module")
def installed(tmp_path_factory):
    """The folder of the commands of an environment that has the wheel, made from the sdist."""
    place = tmp_path_factory.mktemp("wheel")
    tracked = done("git", "ls-files", "-z", cwd=ROOT).split("\0")
    for name in filter(None, tracked):
        if (ROOT / name).is_file():
            (place / "source" / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(ROOT / name, place / "source" / name)
    done(sys.executable, "-m", "venv", place / "v")
    python = place / "v" / BIN / "python"
    done(python, "-m", "pip", "install", "-q", "hatchling")
    done(python, "-m", "hatchling", "build", "-d", place / "dist", cwd=place / "source")
    (sdist,) = (place / "dist").glob("*.tar.gz")
    done(python, "-m", "pip", "wheel", "-q", "--no-deps", "-w", place / "again", sdist)
    wheels = [*(place / "dist").glob("*.whl"), *(place / "again").glob("*.whl")]
    names = [sorted(zipfile.ZipFile(each).namelist()) for each in wheels]
    assert len(names) == 2 and names[0] == names[1]
    shutil.rmtree(place / "source")
    limits = ROOT / "constraints.txt"
    done(python, "-m", "pip", "install", "-q", "-c", limits, "torch")
    done(python, "-m", "pip", "install", "-q", "-c", limits, wheels[1])
    return python.parent


@pytest.fixture(scope="module")
def environment(tmp_path_factory):
    """The environment without anything of this checkout, caches and home folder of its own."""
    kept = {key: value for key, value in os.environ.items() if not key.startswith("XTSUPPORT")}
    kept.pop("PYTHONPATH", None)
    return kept | {
        "XTSUPPORT_CACHE": str(tmp_path_factory.mktemp("cache")),
        "HOME": str(tmp_path_factory.mktemp("home")),
    }


def test_a_new_study_from_the_command_to_the_report(installed, environment, tmp_path):
    """`new`, then `run` with the notebooks that came along, and a lone notebook."""
    command = installed / "xtsupport"
    flags = ["--encoder", "pretrain", "--intermediate", "squad", "--targets", "xquad", "tatoeba"]
    shown = done(command, "new", "mine", *flags, cwd=tmp_path, env=environment)
    assert "runs in" in shown and "xtsupport run params/mine.yaml" in shown
    folder = tmp_path / "mine"
    sizes = [line for key in SMALLER for line in ("--set", key)]
    done(command, "run", "params/mine.yaml", *sizes, cwd=folder / "notebooks", env=environment)
    page = (folder / "outputs" / "mine" / "report.html").read_text(encoding="utf-8")
    assert "<h2>Scores" in page and (folder / "outputs" / "mine" / "significance.csv").is_file()
    assert (folder / "notebooks" / "solutions" / "00_start_here.ipynb").is_file()


def test_a_study_in_an_empty_folder(installed, environment, tmp_path):
    """Params file and notebooks as they come in the wheel; what they leave lies here."""
    command = installed / "xtsupport"
    done(command, "run", "params/tiny.yaml", cwd=tmp_path, env=environment)
    assert (tmp_path / "outputs" / "tiny" / "report.html").is_file()
    assert [path.name for path in tmp_path.iterdir()] == ["outputs"]
    assert "0 to do" in done(command, "plan", "params/tiny.yaml", cwd=tmp_path, env=environment)


def test_a_notebook_alone(installed, environment, tmp_path):
    """Copied somewhere, with nothing beside it."""
    found = done(installed / "python", "-c", "import xtsupport; print(xtsupport.__file__)",
                 cwd=tmp_path, env=environment)  # fmt: skip
    source = Path(found.strip()).parent / "project" / "notebooks" / "03_intermediate_training.ipynb"
    shutil.copy(source, tmp_path)
    out = tmp_path / "out.ipynb"
    done(installed / "papermill", source.name, out, "-k", "python3", cwd=tmp_path, env=environment)
    assert '"output_type": "error"' not in out.read_text(encoding="utf-8")


SMALLER = [
    "pretraining.steps=20",
    "pretraining.hidden_size=16",
    "intermediate.max_rows=24",
    "intermediate.epochs=1",
    "target.epochs=1",
    "evaluation.max_clusters=4",
    "seeds=[0, 1]",
    "languages=[en, qka, qfa]",
]
