"""What a study needs of the data, and what is there."""

import re

from xtsupport import tables
from xtsupport.data import bucc, hub
from xtsupport.errors import Unreachable, UserError
from xtsupport.sides import side, source_of


def check(settings, data=None):
    """A frame of every split a study reads: task, language, split, rows, status, fingerprint.

    settings needs data, conditions, targets, languages and encoder as a study's settings have
    them (tasks and intermediate_tasks where they name other training splits); `data` replaces
    settings.data (a path is taken as it is). status: present; missing; missing part, where other
    parts of a joined split are there; hub, where the hub has the files; unreachable, where it does
    not answer (attrs["away"] of the frame has the errors).
    note: what was looked for. One row per part of a joined split.
    Raises UserError for an unknown task, and for a damaged file.
    """
    import pandas as pd

    data = settings.data if data is None else data
    records, away = [], []
    for task, language, split in needed(settings, data):
        if tables.task(task, data).evaluator == "pairs":
            records.append((task, language, *_pools(language, split, data)))
            continue
        try:
            parts = hub.sources(task, language, split, data)
        except UserError as error:
            records.append((task, language, split, pd.NA, "missing", "", str(error)))
            continue
        absent = "missing part" if any(part.files for part in parts) else "missing"
        records += [(task, language, *_state(part, task, data, absent, away)) for part in parts]
    columns = ["task", "language", "split", "rows", "status", "fingerprint", "note"]
    frame = pd.DataFrame(records, columns=columns).astype({"rows": "Int64"})
    frame.attrs["away"] = away
    return frame


def needed(settings, data) -> list[tuple[str, str, str]]:
    """(task, language, split) of everything a study reads, each once, training splits first."""
    return list(dict.fromkeys([*training(settings, data), *evaluation(settings, data)]))


def training(settings, data) -> list[tuple[str, str, str]]:
    """(task, language, split) of everything a study trains on, raw text last."""
    known = tables.tasks(data)
    targets = [tables.task(name, data) for name in settings.targets]
    phase2 = intermediate_tasks(settings.conditions, data)
    phase3 = [tables.task(t.training_task, data) for t in targets if t.training_task]
    found = []
    own2, own3 = getattr(settings, "intermediate_tasks", {}), getattr(settings, "tasks", {})
    found += [(t.name, "en", _split(own2.get(t.name)) or t.train_split) for t in phase2]
    found += translated(settings, data)
    found += [
        (t.name, code, _split(own3.get(t.name)) or t.train_split)
        for code in sources(settings)
        for t in phase3
    ]
    if getattr(settings, "encoder", "") == "pretrain":
        raw = (task for task in known.values() if task.kind == "masked")
        found += [(task.name, code, task.train_split) for task in raw for code in task.languages]
    return list(dict.fromkeys(found))


def sources(settings) -> list[str]:
    """The languages that phase 3 trains on: English, and those of variants `source=xx`."""
    named = [side(name) for name in getattr(settings, "variants", ())]
    return list(dict.fromkeys(["en", *(source_of(variant) for _, variant in named)]))


def translated(settings, data) -> list[tuple[str, str, str]]:
    """(task, language, split) of the translations there are for conditions `X@translated`."""
    own, found = getattr(settings, "intermediate_tasks", {}), []
    spoken = {code for _, code, _ in evaluation(settings, data, select=False)} - {"en"}
    for name in (name for name in settings.conditions if "@translated" in name):
        for task in intermediate_tasks([name], data):
            split = _split(own.get(name)) or _split(own.get(task.name)) or task.train_split
            found += [(task.name, code, split) for code in sorted(spoken)
                      if hub.available(task.name, code, split, data)]  # fmt: skip
    return found


def evaluation(settings, data, select=True) -> list[tuple[str, str, str]]:
    """(task, language, split) of what a study evaluates, and selects on (English) before."""
    chosen, found = settings.languages, []
    named = getattr(getattr(settings, "evaluation", None), "splits", {})
    for task in (tables.task(name, data) for name in settings.targets):
        codes = task.spoken(chosen)
        if select and task.dev_split and task.evaluator != "pairs":  # BUCC's sample is optional
            found.append((task.name, "en", task.dev_split))
        found += [(task.name, code, named.get(task.name) or task.eval_split) for code in codes]
    return found


def _split(overrides):
    return overrides and overrides.train_split


def intermediate_tasks(conditions, data="hub") -> list[tables.Task]:
    """The tasks that a study's conditions name: mnli, mnli+mlm and none~mnli all name mnli."""
    names = [re.split(r"[+@]", name.partition("~")[2] or name)[0] for name in conditions]
    names = [name for name in dict.fromkeys(names) if name not in ("none", "all")]
    return [tables.task(name, data) for name in names]


def _pools(language, split, data):
    """(split, rows, status, fingerprint, note) of BUCC's pools; rows are gold pairs."""
    try:
        mark = bucc.fingerprint(language, split, data)
    except UserError as error:
        return split, None, "missing", "", str(error)
    return split, len(bucc.pools(language, split, data).gold), "present", mark[:12], ""


def _state(part, task, data, absent, away):
    split = part.split if part.task.name == task else f"{part.task.name}/{part.split}"
    if part.files is None:
        try:
            return split, None, "hub", hub.checksum(part)[:12], ", ".join(part.paths)
        except Unreachable as error:
            away.append(error)
            return split, None, "unreachable", "", error.reason
        except UserError as error:
            return split, None, absent, "", str(error)
    if not part.files:
        return split, None, absent, "", hub.missing(part, data)
    return split, hub.count(part), "present", hub.checksum(part)[:12], ""
