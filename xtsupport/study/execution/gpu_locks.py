"""One GPU per node: a lock per device, so that nodes do not share one by accident."""

import getpass
import os
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from filelock import FileLock, Timeout


def devices() -> list[str]:
    """The GPUs this process may use, as CUDA_VISIBLE_DEVICES names them; empty without any."""
    chosen = os.environ.get("CUDA_VISIBLE_DEVICES")
    if chosen is not None:
        return [each.strip() for each in chosen.split(",") if each.strip() not in ("", "-1")]
    command = ["nvidia-smi", "--query-gpu=index", "--format=csv,noheader"]
    try:
        listed = subprocess.run(command, capture_output=True, text=True, timeout=20, check=True)
    except (OSError, subprocess.SubprocessError):
        return []
    return listed.stdout.split()


@contextmanager
def one_device(per_device: int = 1) -> Iterator[str | None]:
    """Hold one GPU while the block runs, waiting until one is free; None where there is none.

    per_device: how many nodes may share a GPU.
    """
    found = devices()
    with ExitStack() as held:
        yield take(found, per_device, held) if found else None


def take(found: list[str], per_device: int, held: ExitStack) -> str:
    """The first device with a free place; the lock is left to ``held``."""
    while True:
        for place in range(per_device):
            for device in found:
                try:
                    held.enter_context(FileLock(lock_file(device, place), timeout=0))
                    return device
                except Timeout:
                    continue
        time.sleep(0.5)


def lock_file(device: str, place: int) -> Path:
    """Where a place on a device is locked; one file per user, shared by all studies."""
    name = "".join(letter if letter.isalnum() else "-" for letter in device)
    return Path(tempfile.gettempdir()) / f"xtsupport-{getpass.getuser()}-gpu{name}-{place}.lock"
