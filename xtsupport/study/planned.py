"""``planned.json``: what a study declared before its first results, and whether it is so.

It is written before the first run, be it by a command or a notebook, and again for a changed
declaration as long as no run shows the comparison. Every run's record has its mark.
"""

import time
from collections.abc import Iterable
from pathlib import Path

from xtsupport import files, folders, tables
from xtsupport.sides import side
from xtsupport.study import runs
from xtsupport.study.run_store import entries, of_study

EVALUATED = ("targets", "pairs", "eval_splits", "max_clusters", "max_answer_length", "embedding")


def declare(study) -> None:
    """Write what a `plan.Study` declares as a whole, and its precision, unless what it declared
    before has results; then only whether the recipe has ``changed``. A part does not know that.

    ``seen`` names studies whose results were there before this declaration; ``replaced`` has the
    marks of earlier ones that had none.
    """
    settings, path = study.whole or study.settings, study.folder / runs.PLANNED
    now = {"analysis": settings.analysis.model_dump(mode="json"), "scope": settings.scope}
    now |= {} if study.whole else {"recipe": recipe(study)}
    then = read_plan(path)
    same = now.items() <= then.items() and not then.get("changed")
    if same or then.get("seen") or plan_flaw(study.folder):
        return
    seen = {one["study"] for one in shown_by(study, now) if one.get("planned") != mark(now)}
    if then and (seen or has_results(study, then)):
        other = {"recipe"} <= then.keys() & now.keys() and then["recipe"] != now["recipe"]
        changed = ["recipe"] if other and asked(then) == asked(now) else []
        if changed != then.get("changed", []):
            files.write_json(path, then | {"changed": changed})
        return
    since = {"since": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())}
    now = since | {"precision": settings.resolved_precision} | now
    replaced = {"replaced": [*then.get("replaced", ()), *marks(then)]} if then else {}
    files.write_json(path, now | replaced | ({"seen": sorted(seen)} if seen else {}))


def recipe(study) -> str:
    """A hash of how the runs of a study's primary comparison are made, data included; what else
    they are evaluated on does not matter. Empty without one."""
    if not (primary := study.settings.analysis.primary):
        return ""
    sides, target = {side(primary.treatment), side(primary.baseline)}, primary.target
    made = []
    for run in study.plan.runs:
        if (run.condition, run.variant) in sides and target in run.settings.get("targets", ()):
            own = {k: v.get(target) if isinstance(v, dict) else v for k, v in run.settings.items()}
            read = (target, run.training_task)
            data = {k: v for k, v in run.data.items() if k.partition("/")[0] in read}
            made.append([run.name, own, data, [each.recipe for each in run.upstream]])
    return runs.digest(sorted(made, key=lambda run: run[0]))


def asked(planned: dict) -> tuple:
    """What is compared, in which languages and seeds: if that changes, the recipe does, too."""
    scope = planned.get("scope", {})
    return planned["analysis"].get("primary"), scope.get("languages"), scope.get("seeds")


def has_results(study, planned: dict) -> bool:
    """Whether what was planned has been shown: by a run, or by a table whose runs have gone."""
    told = planned["analysis"].get("primary") and (study.folder / "significance.csv").is_file()
    return bool(told or shown_by(study, planned))


def shown_by(study, planned: dict) -> list[dict]:
    """The records of finished runs that show what a whole `plan.Study` compares: of the treatment,
    on the target, planned by it now or made by it before."""
    if not (primary := planned["analysis"].get("primary")):
        return []
    wanted, found = side(primary["treatment"]), []
    own = [run for run in study.plan.runs if (run.condition, run.variant) == wanted]
    recipes = {run.recipe for run in own}
    above = {run: runs.upstream_records(run) for run in own}
    models = {
        trained(vars(run), [each["run_key"] for each in there.values()])
        for run, there in above.items()
        if len(there) == len(run.upstream)
    }
    for folder in entries(folders.runs()):
        if (one := runs.read_record(folder)) and (one["condition"], one["variant"]) == wanted:
            same = one.get("recipe") in recipes or trained(one, one["upstream"].values()) in models
            mine = same or one["study"] == study.settings.study
            there = primary["target"] in one["settings"].get("targets", ())
            found += [one] if mine and there else []
    return found


def trained(facts: dict, above: Iterable[str]) -> str:
    """A hash of the model that a run or a record evaluates, whatever it is evaluated on; above: the
    keys of what it starts from."""
    names = ("phase", "condition", "variant", "training_task", "seed")
    how = {key: each for key, each in facts["settings"].items() if key not in EVALUATED}
    return runs.digest([[facts[name] for name in names], how, sorted(above)])


def note_lacking(settings, rows) -> None:
    """Note in the settings of a study where its cube, that of a part, lacks seeds of the primary
    comparison; rows: of the cube, with task, condition and seed. Retrieval may have one run for
    all seeds."""
    if (primary := settings.analysis.primary) is None or "seeds" in settings.late:
        return
    about, mine = tables.task(primary.target, settings.data_source), rows["task"] == primary.target
    seeds = rows[mine].groupby("condition", observed=True)["seed"].unique()
    planned = settings.scope["seeds"].items()
    lacking = ({*wanted} - {*seeds.get(name, ())} for name, wanted in planned)
    if about.kind != "retrieval" and any(lacking):
        settings._planned["changed"] = [*settings._planned.get("changed", ()), "seeds"]


def read_plan(path: Path) -> dict:
    """What planned.json says; empty where it is none that was written here."""
    found = files.read_json(path) or {}
    analysis = found.get("analysis")
    sound = isinstance(analysis, dict) and isinstance(analysis.get("primary") or {}, dict)
    sound &= isinstance(found.get("scope", {}), dict)
    sound &= isinstance(found.get("replaced", []), list)
    return found if sound else {}


def mark(planned: dict) -> str:
    """A hash of what a plan says of the primary comparison: contrasts and targets beside it are
    another matter."""
    rules = {key: value for key, value in planned["analysis"].items() if key != "contrasts"}
    scope = {key: planned.get("scope", {}).get(key) for key in ("languages", "seeds")}
    told = {key: planned.get(key) for key in ("recipe", "seen")}
    return runs.digest({"rules": rules, "scope": scope} | told)


def marks(planned: dict) -> list[str]:
    """``mark``, and the hash of the whole file that records of earlier versions have."""
    return [mark(planned), runs.digest({**planned, "since": ""})] if planned else []


def planned_mark(study: Path) -> str | None:
    """The mark of a study's planned.json; None without a sound one."""
    planned = read_plan(study / runs.PLANNED)
    return mark(planned) if planned else None


def plan_flaw(folder: Path) -> str:
    """What is wrong with a study's ``planned.json`` by the records of its runs; empty: nothing."""
    path = folder / runs.PLANNED
    looks = sorted(each.parent for each in (folder / "nodes").glob(f"*/{runs.RECORD}"))
    records = [runs.read_record(each) or {} for each in (*of_study(folder), *looks)]
    told = {each["planned"] for each in records if each.get("study") == folder.name and
            each.get("planned")}  # fmt: skip
    planned = read_plan(path)
    if planned.get("seen") or told <= {*marks(planned), *planned.get("replaced", ())}:
        return ""
    state = "has changed since runs were finished" if path.is_file() else "is missing"
    return (
        f"{path}: {state}; nothing now shows that the comparison was declared before the runs, so "
        "all results count as exploratory. Restore the file from a backup or version control"
    )
