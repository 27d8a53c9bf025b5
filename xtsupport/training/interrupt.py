"""Stopping in good order: Ctrl-C, a notebook's stop button and SIGTERM end training after a step.

`xtsupport run` cannot send signals to kernels on other machines, so it asks by a file, whose name
stands in the environment variable ``XTSUPPORT_STOP``.
"""

import os
import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

STOP = "XTSUPPORT_STOP"


@contextmanager
def asked_to_stop() -> Iterator[Callable[[], bool]]:
    """While the block runs, a first signal only asks, as the function says that this yields; a
    second one acts at once."""
    asked: list[int] = []
    before: dict[int, Any] = {}

    def restore() -> None:
        for number in list(before):
            signal.signal(number, before.pop(number))

    def note(number: int, frame) -> None:
        asked.append(number)
        restore()

    if threading.current_thread() is threading.main_thread():
        for number in (signal.SIGINT, signal.SIGTERM):
            before[number] = signal.signal(number, note)
    asks = os.environ.get(STOP)
    try:
        yield lambda: bool(asked) or bool(asks and Path(asks).exists())
    finally:
        restore()
