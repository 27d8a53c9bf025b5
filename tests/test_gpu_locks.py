"""One GPU per node: whoever comes first has it, and a dead process gives it back."""

import os
import subprocess
import sys
import time

import pytest

from xtsupport.study.execution import gpu_locks


@pytest.fixture(autouse=True)
def two_devices(tmp_path, monkeypatch):
    monkeypatch.setattr(gpu_locks.tempfile, "gettempdir", lambda: str(tmp_path))
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "0, MIG-7/x")


def test_devices_are_those_the_process_may_use(monkeypatch):
    assert gpu_locks.devices() == ["0", "MIG-7/x"]
    for none in ("", "-1"):
        monkeypatch.setenv("CUDA_VISIBLE_DEVICES", none)
        assert gpu_locks.devices() == []
        with gpu_locks.one_device() as device:
            assert device is None


def test_two_nodes_get_two_devices_and_a_third_waits(monkeypatch):
    class WouldWait(Exception):
        pass

    def no_sleep(seconds):
        raise WouldWait

    monkeypatch.setattr(gpu_locks.time, "sleep", no_sleep)
    with gpu_locks.one_device() as first, gpu_locks.one_device() as second:
        assert [first, second] == ["0", "MIG-7/x"]
        with pytest.raises(WouldWait), gpu_locks.one_device():
            pass
    with gpu_locks.one_device() as first:
        assert first == "0"


def test_nodes_share_a_device_only_when_told_to_and_spread_first():
    with (
        gpu_locks.one_device(2) as first,
        gpu_locks.one_device(2) as second,
        gpu_locks.one_device(2) as third,
    ):
        assert [first, second, third] == ["0", "MIG-7/x", "0"]


def test_a_killed_node_gives_its_device_back(tmp_path):
    code = (
        "import sys, time; from xtsupport.study.execution import gpu_locks; "
        "gpu_locks.tempfile.gettempdir = lambda: sys.argv[1]\n"
        "with gpu_locks.one_device() as device: print(device, flush=True); time.sleep(60)"
    )
    command = [sys.executable, "-c", code, str(tmp_path)]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=dict(os.environ))
    assert process.stdout.readline().strip() == "0"
    with gpu_locks.one_device() as device:
        assert device == "MIG-7/x"
    process.kill()
    process.wait()
    time.sleep(0.05)
    with gpu_locks.one_device() as device:
        assert device == "0"
