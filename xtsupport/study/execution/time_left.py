"""How long a study will still take: the plan's seconds, scaled by what its nodes took so far.

Silence before one that trains is done. As many nodes go on at once as now, or as there have been
so far.
"""

import time
from collections.abc import Sequence

from xtsupport.study.cost import LOOKS, START
from xtsupport.study.plan import Node

LAST = ("results", "significance")  # one after the other, when all else is done


def urgency(nodes: Sequence[Node], planned: dict[str, float]) -> dict[str, int]:
    """Node -> seconds of the longest way from it to the end, which decides what is begun first."""
    found: dict[str, int] = {}
    for node in reversed(nodes):
        below = [found[each.name] for each in nodes if node.name in each.upstream]
        found[node.name] = round(planned[node.name]) + max(below, default=0)
    return found


def seconds_left(
    planned: dict[str, float], states: dict[str, dict], since: float, now: float | None = None
) -> float | None:
    """Seconds until the nodes in ``planned`` are done; None while that is anybody's guess.

    planned: node -> its seconds by the plan (``cost.node_seconds``), for all nodes the runner was
    started for; states: their ``state.json``; since: when the runner started (seconds since the
    epoch).
    """
    now = time.time() if now is None else now
    told = {name: states.get(name, {}).get("state", "waiting") for name in planned}
    done = [name for name in planned if told[name] == "done"]
    rest = [name for name in planned if told[name] != "done"]
    work = {name: 0.0 if name in LOOKS else planned[name] - START for name in planned}
    seen = sum(work[name] for name in done)
    if not rest or not seen:
        return None
    pace = sum(max(0.0, states[name]["seconds"] - START) for name in done if work[name]) / seen
    costs = {name: LOOKS.get(name, START + pace * work[name]) for name in rest}
    begun = {name: now - states[name]["started"] for name in rest if told[name] == "running"}
    needed = {name: max(0.0, cost - begun.get(name, 0.0)) for name, cost in costs.items()}
    last = sum(needed.pop(name, 0.0) for name in LAST)
    spent = sum(states[name]["seconds"] for name in done) + sum(begun.values())
    lanes = max(spent / max(now - since, 1.0), len(begun), 0.1)
    return max(sum(needed.values()) / lanes, *needed.values(), 0.0) + last
