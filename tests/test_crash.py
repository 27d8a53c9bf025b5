"""Every kill and fault that benchmarks/crash.py knows, once each: `python -m pytest -m crash`."""

import os
import random
import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parents[1] / "benchmarks"))
import crash

pytestmark = [
    pytest.mark.crash,
    pytest.mark.timeout(1800),
    pytest.mark.skipif(sys.platform != "linux", reason="looks at /proc"),
]


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """What studies leave that nobody disturbs."""
    folder = tmp_path_factory.mktemp("whole")
    return {real: crash.undisturbed(folder / real) for real in ("real", "toy")}


@pytest.mark.parametrize("kind", crash.KINDS)
def test_nobody_can_tell_afterwards(kind, whole, tmp_path):
    found = crash.disturbed(tmp_path, *crash.KINDS[kind], whole, random.Random(kind))
    assert (found["completed"], found["equal"]) == (1, 1)
    assert (found["redone"], found["orphans"]) == (0, 0)
    assert found["continued"] == found["checkpoints"]


@pytest.mark.parametrize("name", crash.FAULTS)
def test_a_fault_is_said_and_the_study_completed(name, whole, tmp_path):
    if "disk" in name and os.geteuid():
        pytest.skip("only root may mount a small disk")
    assert crash.suffered(tmp_path, name, whole) == {
        "said": 1,
        "completed": 1,
        "equal": 1,
    }
