"""A process that must not outlive the one that started it."""

import ctypes
import os
import signal
import sys
import threading
import time

PR_SET_PDEATHSIG = 1  # <linux/prctl.h>


def die_with_parent(expected: int | None = None) -> None:
    """End this process, with SIGKILL, as soon as its parent is gone.

    Linux does it at once; elsewhere a thread looks every half second. ``expected`` is the parent's
    process id, for when it may already have died.
    """
    parent = os.getppid() if expected is None else expected
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
    elif os.name == "nt":
        return  # process ids are not handed on to an adopter there; Jupyter watches its own kernels
    if os.getppid() != parent:
        os.kill(os.getpid(), signal.SIGKILL)
    threading.Thread(target=_watch, args=(parent,), daemon=True).start()


def _watch(parent: int) -> None:
    while os.getppid() == parent:
        time.sleep(0.5)
    os.kill(os.getpid(), signal.SIGKILL)
