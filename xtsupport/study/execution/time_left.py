"""How long a study will still take, judged from what it has done; silence before that is enough.

A node takes ``START`` seconds and then so many per unit of work, which depends on the encoder and
the device and is learned from the nodes that are done. As many nodes go on at once as
now, or as there have been so far. Work is counted in training rows, until a process of its own has
read how long the texts are and left the costs of all nodes in the study's folder.
"""

import json
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from xtsupport import files
from xtsupport.study.execution.orphans import die_with_parent
from xtsupport.study.plan import Node, open_study
from xtsupport.training.recipe import rows_drawn

START = 7.0  # seconds of a node without training: kernel, imports, reading
SET = 150  # evaluating one target in one language, in training rows
LOOK = {"data": 13.0, "results": 14.0, "significance": 19.0}  # seconds of nodes without training
LAST = ("results", "significance")  # one after the other, when all else is done
COSTS = "costs.json"
LITTLE = 20_000  # training rows: below that a study is over before its costs are known
RATE = 25e9  # operations a second, of a core; only what nodes cost beside each other matters


def work(node: Node) -> float:
    """The work of a node in training rows of the study."""
    total = 0.0
    for run in node.runs:
        total += rows_drawn(run.settings)
        total += SET * sum(len(codes) for codes in run.settings.get("targets", {}).values())
    return total


def works(nodes: Sequence[Node], folder: Path | None) -> dict[str, float]:
    """Node -> its work: as counted in the study's folder, else in training rows."""
    try:
        costs = json.loads((folder / COSTS).read_text(encoding="utf-8")) if folder else {}
    except (OSError, ValueError):
        costs = {}
    known = all(node.name in costs for node in nodes)
    return {node.name: costs[node.name] if known else work(node) for node in nodes}


def urgency(nodes: Sequence[Node]) -> dict[str, int]:
    """Node -> the work on the longest way from it to the end, which decides what is begun first."""
    found: dict[str, int] = {}
    for node in reversed(nodes):
        below = [found[each.name] for each in nodes if node.name in each.upstream]
        found[node.name] = int(work(node)) + max(below, default=0)
    return found


@contextmanager
def counting(nodes: Sequence[Node], folder: Path) -> Iterator[None]:
    """Have the costs of a study's nodes counted meanwhile, where it is long enough to matter."""
    (folder / COSTS).unlink(missing_ok=True)
    if sum(map(work, nodes)) < LITTLE:
        yield
        return
    command = [sys.executable, "-m", "xtsupport.study.execution.time_left", str(folder)]
    none = subprocess.DEVNULL
    process = subprocess.Popen(command, stdin=none, stdout=none, stderr=none)
    try:
        yield
    finally:
        process.kill()
        process.wait()


def count(folder: Path) -> None:
    """Leave the costs of a study's nodes in its folder: by the lengths of texts in English."""
    from xtsupport.study.cost import Estimate

    class English(Estimate):
        def lengths(self, task, role, code, split=None):
            return super().lengths(task, role, "en", split)

    study = open_study(folder / "settings.yaml")
    made = English(study.settings, list(study.plan.runs), study.data)
    costs = {
        run.name: each.seconds(RATE) for run, each in zip(study.plan.runs, made.works, strict=True)
    }
    files.write_json(
        folder / COSTS,
        {n.name: sum(costs.get(run.name, 0.0) for run in n.runs) for n in study.plan.nodes},
    )


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


if __name__ == "__main__":
    die_with_parent()
    count(Path(sys.argv[1]))
