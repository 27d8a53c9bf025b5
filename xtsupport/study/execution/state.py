"""What of a study is done, stale or harmed, how its nodes go, and who runs it."""

from collections.abc import Sequence
from pathlib import Path

from xtsupport import files
from xtsupport.errors import UserError
from xtsupport.study import run_store, runs
from xtsupport.study.execution import nodes
from xtsupport.study.params.loading import load_settings
from xtsupport.study.plan import Node, Study, study_of


def stale(study: Study) -> list[Node]:
    """The nodes that have a run to do, in order."""
    return [node for node in study.plan.nodes if not all(runs.is_whole(run) for run in node.runs)]


def ready(study: Study, todo: list[Node]) -> list[Node]:
    """Of the nodes that are stale, those of which it is certain that they follow in one pass.

    A run that was harmed and is done again may come out otherwise (on another processor, say), and
    then what starts from it is stale as well. So what lies behind a node that is fresh now, but
    waits for a stale one, is left to the next pass.
    """
    names = {node.name for node in todo}
    unsure: set[str] = set()
    for node in study.plan.nodes:  # in an order that respects what they wait for
        above = set(node.upstream)
        if above & unsure or (above & names and node.name not in names):
            unsure.add(node.name)
    return [node for node in todo if node.name not in unsure]


def harmed(left: Sequence[Node]) -> list[str]:
    """What is wrong with what was whole once: files that changed, went or came, a line each.

    left: the nodes that are not done.
    """
    found = []
    for run in (run for node in left for run in node.runs):
        if there := runs.standing(run):
            found += runs.flaws(there[0])
        elif run.phase != "analysis" and run.key and (run.folder / runs.RECORD).exists():
            other = runs.read_record(run.folder)
            line = other and f"{run.folder}: holds another run, {run_store.described(other)}"
            found += [line] if line else runs.flaws(run.folder)
        elif run.phase != "analysis" and run.key and run_store.headless(run.folder):
            found.append(f"{run.folder}: has no {runs.RECORD}, {run_store.NEVER}")
    return found


def replaced(study: Study) -> str:
    """Results in the study's folder that its own would replace, in words: those of other settings
    or, where it is a part, of the whole study; empty where there are none."""
    kept = study.folder / "settings.yaml"
    if not kept.is_file() or not any((study.folder / n).exists() for n in ("cube", "report.html")):
        return ""
    try:
        there = study_of(load_settings(kept), study.params)
    except UserError:  # what was run then cannot be planned any more
        return "results of other settings"
    named = (files.read_json(kept.with_name("origins.json")) or {}).get("study") == "--set"
    if named or recipes(there) == recipes(study):  # a study that `--set` began is changed by it
        return ""
    if not study.whole or recipes(there) != recipes(study_of(study.whole, study.params)):
        return "results of other settings"
    results = [node.runs[0] for node in there.plan.nodes if node.outputs]
    return "results of the whole study" if all(map(runs.is_whole, results)) else ""


def recipes(study: Study) -> dict[str, str]:
    """Name -> recipe of the nodes that draw conclusions."""
    return {node.name: node.runs[0].recipe for node in study.plan.nodes if node.outputs}


def busy(folder: Path) -> str:
    """Who holds a study."""
    holder = files.read_json(folder / "running.json")
    who = "process {pid} on {host} since {since}".format(**holder) if holder else "another process"
    return f"study {folder.name} is being run by {who}; wait for it or stop it"


def runner_of(folder: Path) -> str | None:
    """The token of the process that runs the study now; None when nobody does."""
    if not files.is_locked(folder / runs.LOCK):
        return None
    return (files.read_json(folder / "running.json") or {}).get("token", "unknown")


def states(study: Study, todo: Sequence[Node]) -> dict[str, dict]:
    """Node name -> its ``state.json``; ``waiting`` when it has not begun."""
    places = {node.name: node_folder(study, node.name) / nodes.STATE for node in todo}
    return {
        name: {"state": "waiting"} | (files.read_json(path) or {}) for name, path in places.items()
    }


def node_folder(study: Study, name: str) -> Path:
    """Where a node keeps its notebook, log and state."""
    return study.folder / "nodes" / name
