"""`xtsupport status --watch`: a study while it runs, its losses as curves of blocks."""

import shutil
import sys
import time

from xtsupport.study.execution import progress, state
from xtsupport.study.plan import Study

EVERY = 2.0  # seconds between two looks on a terminal
RARELY = 60.0  # ... into a file


def watch(study: Study) -> None:
    """Show a study's state again and again, until nobody runs it."""
    live = sys.stdout.isatty()
    while True:
        holder = state.runner_of(study.folder)
        states = state.states(study, study.plan.nodes)
        lines = progress.status_lines(study, holder, states, curves=True)
        if live:
            size = shutil.get_terminal_size()
            lines = [line[: size.columns - 1] for line in fitting(lines, size.lines - 1)]
        print("\x1b[H\x1b[J" * live + "\n".join(lines), flush=True)
        if holder is None:
            return
        time.sleep(EVERY if live else RARELY)


def fitting(lines: list[str], most: int) -> list[str]:
    """All lines, or where the terminal is too low those of nodes that run, failed or stopped."""
    if len(lines) <= most:
        return lines
    *rest, total = lines
    shown = [line for line in rest if line[34:44].strip() not in ("done", "to do", "withheld")]
    return [*shown[: most - 1], total]
