"""``planned.json``: what a study declared before its first run, and whether that can be believed.

It is written before the first run, be it by a command or a notebook. The records of runs say which
one they found.
"""

import json
import time
from pathlib import Path

from xtsupport import files, folders
from xtsupport.study import runs
from xtsupport.study.run_store import of_study


def declare(study) -> None:
    """Write what a `plan.Study` declares, and its precision, unless that was done before.

    ``seen`` names studies whose finished results were there before (`results_before`).
    """
    settings, path = study.whole or study.settings, study.folder / runs.PLANNED
    if path.exists() or plan_flaw(study.folder):
        return
    first: dict = {"since": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())}
    first |= {"precision": settings.resolved_precision, "analysis": settings.analysis.model_dump()}
    first |= {"seen": seen} if (seen := results_before(study)) else {}
    files.write_json(path, first)


def results_before(study) -> list[str]:
    """Studies with finished runs of this study's primary comparison, by name, that had not declared
    the same one; itself for runs that found no ``planned.json``.

    What this study declares now is no longer in advance of them.
    """
    settings = (study.whole or study.settings).analysis.model_dump()
    if not (primary := settings["primary"]):
        return []
    sides = primary["treatment"], primary["baseline"]
    asked = [run for run in study.plan.runs if primary["target"] in run.settings.get("targets", ())
             and run.condition in sides]  # fmt: skip
    records = [there[1] for run in asked if (there := runs.standing(run))]
    trusted: dict = {study.settings.study: rules(settings)}
    found = set()
    for record in records:
        name = record["study"]
        if name not in trusted:
            trusted[name] = declared_by(name)
        if not record.get("planned") or trusted[name] != rules(settings):
            found.add(name)
    return sorted(found)


def declared_by(study: str) -> dict | None:
    """The rules that a study declared before its own first run; None where nothing shows that."""
    folder = folders.outputs() / study
    planned = files.read_json(folder / runs.PLANNED) or {}
    doubtful = "seen" in planned or "analysis" not in planned or plan_flaw(folder)
    return None if doubtful else rules(planned["analysis"])


def rules(analysis: dict) -> dict:
    """What decides the primary comparison; contrasts are exploratory beside it."""
    return {name: value for name, value in analysis.items() if name != "contrasts"}


def planned_mark(study: Path) -> str | None:
    """A hash of what a study's planned.json says, its date apart; None without the file."""
    try:
        planned = json.loads((study / runs.PLANNED).read_text(encoding="utf-8"))
    except FileNotFoundError:
        return None
    except (OSError, ValueError):
        return "unreadable"
    return runs.digest({**planned, "since": ""} if isinstance(planned, dict) else planned)


def plan_flaw(folder: Path) -> str:
    """What is wrong with a study's ``planned.json`` by the records of its runs; empty: nothing."""
    path = folder / runs.PLANNED
    looks = sorted(each.parent for each in (folder / "nodes").glob(f"*/{runs.RECORD}"))
    records = [runs.read_record(each) or {} for each in (*of_study(folder), *looks)]
    told = {each["planned"] for each in records if each.get("study") == folder.name and
            each.get("planned")}  # fmt: skip
    if not told or told == {planned_mark(folder)}:
        return ""
    state = "has changed since runs were finished" if path.is_file() else "is missing"
    return (
        f"{path}: {state}; nothing now shows that the comparison was declared before the runs, so "
        "all results count as exploratory. Restore the file from a backup or version control"
    )
