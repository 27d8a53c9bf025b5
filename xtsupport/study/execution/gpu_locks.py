"""One GPU per node: a lock per device, so that nodes do not share one by accident."""

import getpass
import os
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from itertools import cycle, product
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
    if not found:
        yield None
        return
    with ExitStack() as held:
        for place, device in cycle(product(range(per_device), found)):
            with suppress(Timeout):
                held.enter_context(FileLock(lock_file(device, place), timeout=0.1))
                break
        yield device


def lock_file(device: str, place: int) -> Path:
    """Where a place on a device is locked; one file per user, shared by all studies."""
    name = "".join(letter if letter.isalnum() else "-" for letter in device)
    return Path(tempfile.gettempdir()) / f"xtsupport-{getpass.getuser()}-gpu{name}-{place}.lock"
