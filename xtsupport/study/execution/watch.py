"""`xtsupport status --watch`: a study while it runs, its losses as curves of blocks."""

import shutil
import sys
import time

from xtsupport import files
from xtsupport.study.execution import nodes, progress, state
from xtsupport.study.plan import Study

EVERY = 2.0  # seconds between two looks on a terminal
RARELY = 60.0  # ... into a file
BLOCKS = "▁▂▃▄▅▆▇█"


def watch(study: Study) -> None:
    """Show a study's state again and again, until nobody runs it."""
    live = sys.stdout.isatty()
    while True:
        holder = state.runner_of(study.folder)
        states = state.states(study, study.plan.nodes)
        lines = with_curves(study, progress.status_lines(study, holder, states))
        if live:
            size = shutil.get_terminal_size()
            lines = [line[: size.columns - 1] for line in fitting(lines, size.lines - 1)]
        print("\x1b[H\x1b[J" * live + "\n".join(lines), flush=True)
        if holder is None:
            return
        time.sleep(EVERY if live else RARELY)


def with_curves(study: Study, lines: list[str]) -> list[str]:
    """Below each node that trains now, how its loss went and what its notebook says."""
    found = []
    for line in lines:
        found.append(line)
        name, _, rest = line.partition(" ")
        if not rest.strip().startswith("running"):
            continue
        told = files.read_json(state.node_folder(study, name) / nodes.LIVE_FILE)
        if told and told.get("losses"):  # it has begun to train
            found.append(f"  {curve(told['losses'])}  {told['text']}")
    return found


def curve(values: list[float]) -> str:
    """Numbers as blocks, the smallest lowest and the largest highest."""
    low, high = min(values), max(values)
    top = len(BLOCKS) - 1
    return "".join(
        BLOCKS[round(top * (v - low) / (high - low)) if high > low else 0] for v in values
    )


def fitting(lines: list[str], most: int) -> list[str]:
    """All lines, or where the terminal is too low those of nodes that run, failed or stopped."""
    if len(lines) <= most:
        return lines
    *rest, total = lines
    shown = [line for line in rest if line[34:44].strip() not in ("done", "to do", "withheld")]
    return [*shown[: most - 1], total]
