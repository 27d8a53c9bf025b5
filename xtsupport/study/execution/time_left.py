"""How long a study will still take, judged from what it has done; silence before that is enough.

A node takes ``START`` seconds and then so many per unit of work, which depends on the encoder and
the device and is learned from the nodes that are done. As many nodes go on at once as
now, or as there have been so far.
"""

import time
from collections.abc import Sequence

from xtsupport.study.plan import Node
from xtsupport.training.recipe import rows_drawn

START = 5.0  # seconds of a node without training: kernel, imports, reading
SET = 50  # evaluating one target in one language, in training rows
LOOK = {"data": 10.0, "results": 9.0, "significance": 35.0}  # seconds of nodes without training
LAST = ("results", "significance")  # one after the other, when all else is done


def work(node: Node) -> float:
    """The work of a node in training rows of the study."""
    total = 0.0
    for run in node.runs:
        total += rows_drawn(run.settings)
        total += SET * sum(len(codes) for codes in run.settings.get("targets", {}).values())
    return total


def urgency(nodes: Sequence[Node]) -> dict[str, int]:
    """Node -> the work on the longest way from it to the end, which decides what is begun first."""
    found: dict[str, int] = {}
    for node in reversed(nodes):
        below = [found[each.name] for each in nodes if node.name in each.upstream]
        found[node.name] = int(work(node)) + max(below, default=0)
    return found


def seconds_left(
    works: dict[str, float], states: dict[str, dict], since: float, now: float | None = None
) -> float | None:
    """Seconds until the nodes in ``works`` are done; None while that is anybody's guess.

    works: node -> its work, for all nodes the runner was started for; states: their ``state.json``;
    since: when the runner started (seconds since the epoch).
    """
    now = time.time() if now is None else now
    told = {name: states.get(name, {}).get("state", "waiting") for name in works}
    done = [name for name in works if told[name] == "done"]
    rest = [name for name in works if told[name] != "done"]
    seen = sum(works[name] for name in done)
    if not rest or not seen:
        return None
    trained = sum(max(0.0, states[name]["seconds"] - START) for name in done if works[name])
    costs = {name: LOOK.get(name, START + trained / seen * works[name]) for name in rest}
    begun = {name: now - states[name]["started"] for name in rest if told[name] == "running"}
    needed = {name: max(0.0, cost - begun.get(name, 0.0)) for name, cost in costs.items()}
    last = sum(needed.pop(name, 0.0) for name in LAST)
    spent = sum(states[name]["seconds"] for name in done) + sum(begun.values())
    lanes = max(spent / max(now - since, 1.0), len(begun), 0.1)
    return max(sum(needed.values()) / lanes, *needed.values(), 0.0) + last
