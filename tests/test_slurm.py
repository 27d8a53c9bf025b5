"""A toy study on a real Slurm: GPUs, a killed controller, a failing job, a job out of time.

tests/slurm/cluster.sh start; python -m pytest -m slurm; tests/slurm/cluster.sh stop
"""

import importlib.util
import os
import signal
import subprocess
from pathlib import Path

import pytest
import yaml
from study_toys import SMALL, command, done, module, survivors, toy_root, wait_for, xtsupport

from xtsupport.study.execution import snakemake

pytestmark = [pytest.mark.slurm, pytest.mark.timeout(1200)]
START = ("run", "params/toy.yaml", "--jobs", "4", "--profile")
MEET = """
if run.name in ("intermediate/squad/seed0", "target/squad/none/plain/seed0"):
    (root / ("gpu-" + run.phase)).write_text(os.environ["CUDA_VISIBLE_DEVICES"])
    while len(list(root.glob("gpu-*"))) < 2 or not (root / "go").exists():
        time.sleep(0.1)
"""


@pytest.fixture(scope="module", autouse=True)
def cluster():
    """Skips where no Slurm with two free GPUs answers."""
    if importlib.util.find_spec("snakemake_executor_plugin_slurm") is None:
        pytest.skip('the Slurm executor is not installed: pip install "xtsupport[slurm]"')
    try:
        told = subprocess.run(["sinfo", "-h", "-o", "%G"], capture_output=True, text=True)
    except OSError:
        pytest.skip("no Slurm here: tests/slurm/cluster.sh start")
    if "gpu:2" not in told.stdout:
        pytest.skip(f"no Slurm with two GPUs answers: {told.stdout or told.stderr}")


@pytest.fixture
def root(tmp_path):
    toy_root(tmp_path, **SMALL)
    yield tmp_path
    (tmp_path / "go").touch()
    for number in jobs(tmp_path):
        subprocess.run(["scancel", number], check=True)


def jobs(root: Path) -> list[str]:
    """Slurm's numbers of the jobs of this root that wait or run."""
    told = subprocess.run(["squeue", "-h", "-o", "%i %Z"], capture_output=True, text=True)
    lines = [line.split(" ", 1) for line in told.stdout.splitlines()]
    return [number for number, folder in lines if folder.startswith(str(root))]


def test_parallel_jobs_have_a_gpu_each_and_outlive_the_controller(root, tmp_path_factory):
    (root / "mischief.py").write_text(MEET)
    process = command(root, *START, "slurm")
    wait_for(lambda: len(list(root.glob("gpu-*"))) == 2)
    seen = {path.read_text() for path in root.glob("gpu-*")}
    assert seen == {"0", "1"}

    os.kill(process.pid, signal.SIGKILL)
    process.communicate()
    wait_for(lambda: not any(module(pid).endswith("study.cli") for pid in survivors(root)), 30)
    assert len(jobs(root)) == 2  # the cluster goes on with what it was given
    assert not done(root)[1:]

    again = command(root, *START, "slurm")
    wait_for(lambda: len(jobs(root)) == 4)  # new jobs for the same nodes, until the old ones end
    (root / "go").touch()
    _, error = again.communicate(timeout=900)
    assert again.returncode == 0, error
    assert len(done(root)) == 4
    assert sorted(set(done(root))) == sorted(done(root))  # nothing was done twice

    local = tmp_path_factory.mktemp("local")
    toy_root(local, **SMALL)
    assert xtsupport(local, "run", "params/toy.yaml")[0] == 0
    for name in ("cube/all.txt", "significance.csv"):
        paths = [each / "outputs" / "toy" / name for each in (local, root)]
        assert paths[0].read_bytes() == paths[1].read_bytes()


def test_a_failing_job_is_tried_twice_and_withholds_its_descendants(root):
    (root / "mischief.py").write_text(
        "(root / 'tries').open('a').write(run.phase[0])\n"
        "assert run.phase != 'intermediate', 'planted failure'\n"
    )
    code, text = xtsupport(root, *START, "slurm")
    assert code == 1
    assert "intermediate-squad  failed    AssertionError: planted failure" in text
    assert "target-squad  withheld  waits for intermediate-squad" in text
    assert done(root) == ["pretraining/seed0", "target/squad/none/plain/seed0"]
    assert (root / "tries").read_text().count("i") == 2


def test_a_job_over_its_time_limit_is_named_as_such(root):
    profile = yaml.safe_load((snakemake.profile_folder("slurm") / "config.yaml").read_text())
    profile["default-resources"]["runtime"] = 1
    (root / "short").mkdir()
    (root / "short" / "config.yaml").write_text(yaml.safe_dump(profile | {"retries": 0}))
    (root / "mischief.py").write_text("time.sleep(600)\n")
    code, text = xtsupport(root, *START, "short")
    assert code == 1
    assert "pretraining  failed    TIME LIMIT" in text
    assert "target-none  withheld  waits for pretraining" in text
    wait_for(lambda: not survivors(root), 60)  # nothing of the job is left to write


def test_stopping_the_study_cancels_its_jobs(root):
    (root / "mischief.py").write_text("(root / 'busy').touch(); time.sleep(600)\n")
    process = command(root, *START, "slurm")
    wait_for((root / "busy").exists)
    process.send_signal(signal.SIGINT)
    _, error = process.communicate(timeout=120)
    assert process.returncode == 130
    assert "stopped; finished work is kept" in error
    wait_for(lambda: not jobs(root) and not survivors(root), 60)
