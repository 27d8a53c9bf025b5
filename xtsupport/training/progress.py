"""How training goes, in one line: steps, loss, speed, time left.

In a notebook the line is one output that is replaced, and stays with its last text in the executed
notebook, wherever that is shown. In a terminal it is written over; into a file nothing is written.
A node of a study leaves it, with the curve of the loss, in a file for `xtsupport status --watch`.
"""

import os
import sys
import time
from pathlib import Path

import numpy as np

from xtsupport.files import write_json

EVERY = 2.0  # seconds between two texts
LIVE = "XTSUPPORT_LIVE"  # names the file; its folder is the node's
POINTS = 30  # of the curve
SMOOTH = 50  # steps whose loss is averaged


class ProgressLine:
    """The line of one training; `first` steps of `total` are done already."""

    def __init__(self, total: int, first: int = 0, shown: bool = True):
        self.total, self.first, self.shown = total, first, shown
        self.begun = self.last = time.monotonic()
        self.tokens = 0
        self.handle = None
        shell = sys.modules["IPython"].get_ipython() if "IPython" in sys.modules else None
        if shown and getattr(shell, "kernel", None) is not None:  # of a notebook
            from IPython.display import display

            start = {"text/plain": "training starts"}
            self.handle = display(start, raw=True, display_id=True)

    def step(self, done: int, losses: np.ndarray, tokens: int, note: str = "") -> None:
        """`done` steps are made; `losses` (steps,) as far as they are known, `tokens` of the last
        one; `note` is shown behind the rest."""
        self.tokens += tokens
        now = time.monotonic()
        if self.shown and len(losses) and (now - self.last > EVERY or done == self.total):
            self.last = now
            told = self.text(done, losses[:done], now - self.begun)
            told = f"{told} · {note}" if note else told
            self._write(told, done == self.total)
            if live := os.environ.get(LIVE):
                parts = np.array_split(losses[:done], min(POINTS, done))
                write_json(Path(live), {"text": told, "losses": [float(p.mean()) for p in parts]})

    def text(self, done: int, losses: np.ndarray, seconds: float) -> str:
        """``120 of 400 steps · loss 1.234 · 950 tokens/s · 3 min left``; losses (steps,)."""
        left = seconds * (self.total - done) / max(1, done - self.first)
        ending = f"{duration(left)} left" if done < self.total else f"took {duration(seconds)}"
        loss, speed = np.mean(losses[-SMOOTH:]), self.tokens / max(seconds, 1e-9)
        return f"{done} of {self.total} steps · loss {loss:.3f} · {speed:,.0f} tokens/s · {ending}"

    def _write(self, text: str, ends: bool) -> None:
        if self.handle is not None:
            self.handle.update({"text/plain": text}, raw=True)
        elif sys.stderr.isatty():
            print(f"\r{text:<79}", end="\n" if ends else "", file=sys.stderr, flush=True)


def duration(seconds: float) -> str:
    """``9 s``, ``4 min``, ``2 h 05 min``."""
    if seconds < 100:
        return f"{seconds:.0f} s"
    minutes = round(seconds / 60)
    return f"{minutes} min" if minutes < 100 else f"{minutes // 60} h {minutes % 60:02d} min"
