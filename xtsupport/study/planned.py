"""``planned.json``: what a study declared before its first results, and whether it is so.

It is written before the first run, be it by a command or a notebook, and again for a changed
declaration as long as no run shows the comparison. Every run's record has its mark.
"""

import json
import time
from pathlib import Path

from xtsupport import files, folders
from xtsupport.sides import side
from xtsupport.study import runs
from xtsupport.study.run_store import entries, of_study


def declare(study, settings) -> None:
    """Write what the settings of a whole `plan.Study` declare, and its precision, unless what it
    declared before has results.

    ``seen`` names studies whose results were there before this declaration; ``replaced`` has the
    marks of earlier ones that had none.
    """
    path = study.folder / runs.PLANNED
    then = files.read_json(path) or {}
    now: dict = {"since": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())}
    now |= {"precision": settings.resolved_precision}
    said = {"analysis": settings.analysis.model_dump(mode="json"), "scope": settings.scope}
    now |= said
    if then.get("seen") or said.items() <= then.items() or plan_flaw(study.folder):
        return
    seen = {one["study"] for one in shown_by(study, now) if one.get("planned") != mark(now)}
    if then:
        if seen or shown_by(study, then):
            return
        now["replaced"] = [*then.get("replaced", ()), mark(then)]
    files.write_json(path, now | ({"seen": sorted(seen)} if seen else {}))


def shown_by(study, planned: dict) -> list[dict]:
    """The records of finished runs that show what a `plan.Study` compares: of the treatment, on the
    target, planned by it now or made by it before."""
    if not (primary := planned.get("analysis", {}).get("primary")):
        return []
    wanted, found = side(primary["treatment"]), []
    recipes = {run.recipe for run in study.plan.runs}
    for folder in entries(folders.runs()):
        if (one := runs.read_record(folder)) and (one["condition"], one["variant"]) == wanted:
            mine = one["study"] == study.settings.study or one.get("recipe") in recipes
            asked = primary["target"] in one["settings"].get("targets", ())
            found += [one] if mine and asked else []
    return found


def mark(planned: dict) -> str:
    """A hash of what a plan says of the primary comparison: contrasts and targets beside it are
    another matter, and runs that studies share have the same recipe."""
    rules = {key: value for key, value in planned.get("analysis", {}).items() if key != "contrasts"}
    scope = {key: planned.get("scope", {}).get(key) for key in ("languages", "seeds")}
    return runs.digest({"rules": rules, "scope": scope, "seen": planned.get("seen", [])})


def planned_mark(study: Path) -> str | None:
    """The mark of a study's planned.json; None without the file."""
    try:
        return mark(json.loads((study / runs.PLANNED).read_text(encoding="utf-8")))
    except FileNotFoundError:
        return None
    except (OSError, ValueError, TypeError, AttributeError):
        return "unreadable"


def plan_flaw(folder: Path) -> str:
    """What is wrong with a study's ``planned.json`` by the records of its runs; empty: nothing."""
    path = folder / runs.PLANNED
    looks = sorted(each.parent for each in (folder / "nodes").glob(f"*/{runs.RECORD}"))
    records = [runs.read_record(each) or {} for each in (*of_study(folder), *looks)]
    told = {each["planned"] for each in records if each.get("study") == folder.name and
            each.get("planned")}  # fmt: skip
    planned = files.read_json(path) or {}
    # Records of before there were marks without contrasts and dates have one of the whole file.
    known = {planned_mark(folder), runs.digest({**planned, "since": ""})}
    if told <= known | {*planned.get("replaced", ())}:
        return ""
    state = "has changed since runs were finished" if path.is_file() else "is missing"
    return (
        f"{path}: {state}; nothing now shows that the comparison was declared before the runs, so "
        "all results count as exploratory. Restore the file from a backup or version control"
    )
