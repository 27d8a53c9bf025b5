"""What a person sees while a study runs, and afterwards."""

import re
import sys
import textwrap
import time
from collections import Counter
from pathlib import Path

from xtsupport import folders
from xtsupport.files import read_json, read_text
from xtsupport.study import run_store, runs
from xtsupport.study.execution.nodes import LIVE_FILE
from xtsupport.study.execution.snakemake import rule_name
from xtsupport.study.execution.state import harmed, node_folder
from xtsupport.study.execution.time_left import seconds_left
from xtsupport.study.plan import Node, Study
from xtsupport.study.planned import plan_flaw
from xtsupport.tables import seen_before
from xtsupport.training.progress import duration

BLOCKS = "▁▂▃▄▅▆▇█"


class Progress:
    """Lines as nodes start and end; on a terminal also one line that is kept up to date."""

    def __init__(self, todo: dict[str, float], total: int, stream=None, log: Path | None = None):
        """todo: node -> the seconds that it should take; total: how many nodes the study has."""
        self.todo, self.total = todo, total
        self.stream, self.log = stream or sys.stderr, log
        self.live = self.stream.isatty()
        self.seen: dict[str, str] = {}
        self.started = time.time()

    def __call__(self, states: dict[str, dict]) -> None:
        """Show what changed."""
        for name, each in states.items():
            if each["state"] != self.seen.get(name, "waiting"):
                self.say(self.line(name, each, states))
                self.seen[name] = each["state"]
        if self.live:
            running = ", ".join(name for name, each in states.items() if each["state"] == "running")
            print(f"\r\x1b[K{self.count(states)}  {running}", end="", file=self.stream, flush=True)

    def line(self, name: str, each: dict, states: dict[str, dict]) -> str:
        """One event: ``[ 3/22] target-squad done in 12 s, about 4 min left``."""
        text = f"{self.count(states)} {name} {VERBS.get(each['state'], each['state'])}"
        if each["state"] == "done":
            text += f" in {duration(each['seconds'])}"
        elif each["state"] in ("failed", "stopped"):
            text += f" after {duration(each['seconds'])}: {each['error']}"
        return text

    def count(self, states: dict[str, dict]) -> str:
        """Nodes done of all, and the time left once there is a fair guess."""
        over = {name for name, each in states.items() if each["state"] == "done"}
        done = self.total - len((set(self.todo) | set(states)) - over)
        left = seconds_left(self.todo, states, self.started)
        return f"[{done}/{self.total}{f', {duration(left)} left' if left else ''}]"

    def say(self, text: str) -> None:
        """A lasting line, also in the study's log."""
        if self.log:
            with self.log.open("a", encoding="utf-8") as log:
                log.write(f"{time.strftime('%Y-%m-%d %H:%M:%S')} {text}\n")
        print(f"\r\x1b[K{text}" if self.live else text, file=self.stream, flush=True)

    def close(self) -> None:
        """Take the live line away."""
        if self.live:
            print("\r\x1b[K", end="", file=self.stream, flush=True)


VERBS = {"running": "started", "waiting": "will be retried"}  # others: as the state is called


def failures(study: Study, states: dict[str, dict]) -> list[str]:
    """The table of what failed and what was withheld for it; empty when all went well."""
    lines = []
    for node in study.plan.nodes:
        each = states.get(node.name, {"state": "done"})
        if each["state"] in ("failed", "running"):
            folder = node_folder(study, node.name)
            error = each.get("error") or killed_by_slurm(study, node)
            error = error or last_line(folder / "output.log") or "was killed"
            executed = folder / f"{node.notebook}.ipynb"
            lines += [f"  {node.name}  failed    {error}", f"    {executed}"]
        elif each["state"] == "waiting":
            lines.append(f"  {node.name}  withheld  waits for {', '.join(node.upstream)}")
    return lines


def killed_by_slurm(study: Study, node: Node) -> str:
    """Why Slurm ended the last job of a node, if it says so in the job's log."""
    folder = study.folder / ".snakemake" / "slurm_logs" / f"rule_{rule_name(node.name)}"
    logs = sorted(folder.glob("*.log"), key=lambda path: path.stat().st_mtime)
    text = logs[-1].read_text(encoding="utf-8", errors="replace") if logs else ""
    found = re.search(r"CANCELLED AT \S+ DUE TO (.+?) \*\*\*|(oom.kill)", text, re.IGNORECASE)
    if not found:
        return ""
    reason = "OUT OF MEMORY" if found[2] else found[1]
    return f"{reason}: Slurm ended job {logs[-1].stem}; raise the limit in the profile"


def last_line(path: Path) -> str:
    """The last line of a text file that is not empty."""
    try:
        return (
            path.read_text(encoding="utf-8", errors="replace").strip().rpartition("\n")[2].strip()
        )
    except OSError:
        return ""


def status_lines(
    study: Study, runner: str | None, states: dict[str, dict], curves: bool = False
) -> list[str]:
    """One line per node: its state and how many of its runs are whole; then totals, time left.

    curves: below each node that trains now, how its loss went and what its notebook says.
    """
    lines: list[str] = []
    found: dict = {}
    before = {row["name"] for row in run_store.read_list(study.folder) if row["run_key"]}
    for node in study.plan.nodes:
        whole = sum(runs.is_whole(run) for run in node.runs)
        state = node_state(node, whole, runner, states[node.name], found, before)
        found[node.name] = state
        error = f"  {states[node.name].get('error', '')}" if state == "failed" else ""
        if state == "withheld":
            blamed = [name for name in node.upstream if found[name] in ("failed", "withheld")]
            error = f"  waits for {', '.join(blamed)}"
        lines.append(f"{node.name:<34}{state:<10}{whole}/{len(node.runs)} runs{error}")
        told = read_json(node_folder(study, node.name) / LIVE_FILE) if curves else None
        if state == "running" and told and told.get("losses"):  # it has begun to train
            lines.append(f"  {curve(told['losses'])}  {told['text']}")
    undone = [node for node in study.plan.nodes if found[node.name] != "done"]
    lines += [f"note: {line}" for line in harmed(undone)]
    if flaw := plan_flaw(study.folder):
        lines.append(f"warning: {flaw}")
    counted = ", ".join(f"{count} {state}" for state, count in Counter(found.values()).items())
    left = time_left(study, runner, states, found)
    return [*lines, counted + (f"; about {duration(left)} left" if left else "")]


def curve(values: list[float]) -> str:
    """Numbers as blocks, the smallest lowest and the largest highest."""
    low, high = min(values), max(values)
    top = len(BLOCKS) - 1
    return "".join(
        BLOCKS[round(top * (v - low) / (high - low)) if high > low else 0] for v in values
    )


def node_state(
    node: Node, whole: int, runner: str | None, told: dict, above: dict, before: set[str]
) -> str:
    """The state of a node in one word.

    above: the states of the nodes before it; before: the runs that the study had when it last ran.
    """
    if whole == len(node.runs):
        return "done"
    if told["state"] == "running":
        return "running" if runner is not None and told.get("runner") == runner else "stopped"
    if told["state"] in ("failed", "stopped"):
        return told["state"]
    if any(above[name] in ("failed", "withheld") for name in node.upstream):
        return "withheld"
    done_once = any(
        runs.read_record(run.folder) if run.phase == "analysis" else run.name in before
        for run in node.runs
    )
    return "stale" if done_once else "to do"


def time_left(
    study: Study, runner: str | None, states: dict[str, dict], found: dict[str, str]
) -> float | None:
    """Seconds that the process which runs the study now still needs, if that can be told."""
    mine = {name for name, each in states.items() if runner and each.get("runner") == runner}
    if not mine:
        return None
    planned = {
        name: seconds
        for name, seconds in study.seconds.items()
        if name in mine or found[name] not in ("done", "withheld")
    }
    return seconds_left(planned, states, min(states[name]["started"] for name in mine))


def outcome(study: Study) -> list[str]:
    """The answer as ``answer.txt`` has it, what the encoder had seen, and where the report lies;
    of a part of a study that compares nothing, where its scores lie."""
    if not any("report.html" in node.outputs for node in study.plan.nodes):
        return [f"scores: {study.folder / 'cube'}"]
    path, primary = study.folder / "answer.txt", study.settings.analysis.primary
    lines = []
    if primary and path.is_file():
        lines = answer_lines(read_text(path))
        lines += ["", seen_before(study.settings.encoder, [primary.target], study.data)]
    report = study.folder / "report.html"
    return [*lines, f"report: {folders.shown(report)}"] if report.is_file() else lines


def answer_lines(text: str) -> list[str]:
    """``answer.txt`` for a terminal: sentences wrapped, rows of its table as they are."""
    lines: list[str] = []
    for line in text.splitlines():
        wide = "  " in line or not line  # a row of the table
        lines += [line] if wide else textwrap.wrap(line, 100, subsequent_indent="  ")
    return lines
