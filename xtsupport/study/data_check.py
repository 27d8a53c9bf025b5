"""What a study needs of the data, and what is there."""

from typing import Any

from xtsupport import tables
from xtsupport.data import bucc, hub, hygiene, soundness
from xtsupport.errors import Unreachable, UserError
from xtsupport.study.params.rules import data_source
from xtsupport.study.planner import Planner

Read = tuple[str, str, str, str | None]  # task, language, split, second language


def check(settings):
    """A frame of every split a study reads: task, language, split, rows, status, fingerprint.

    The splits are those that the study's planner takes fingerprints of. status: present; wrong,
    where rows or files cannot be used; missing; missing part, where other parts of a joined split
    are there; hub, where the hub has the files; unreachable, where it does not answer
    (attrs["away"] of the frame has the errors). note: what was looked for, or is wrong, or was
    mended. One row per part of a joined split. Raises UserError for an unknown task.
    """
    import pandas as pd

    data = data_source(settings.data)
    records, away = [], []
    for task, language, split, other in needed(settings):
        if tables.task(task, data).evaluator == "pairs":
            records.append((task, language, *_pools(language, split, data)))
            continue
        try:
            parts = hub.sources(task, language, split, data, other)
        except UserError as error:
            records.append((task, language, split, pd.NA, "missing", "", str(error)))
            continue
        language += f"+{other}" if other else ""
        absent = "missing part" if any(part.files for part in parts) else "missing"
        records += [(task, language, *_state(part, task, data, absent, away)) for part in parts]
    columns = ["task", "language", "split", "rows", "status", "fingerprint", "note"]
    frame = pd.DataFrame(records, columns=columns).astype({"rows": "Int64"})
    frame.attrs["away"] = away
    return frame


class Listing(Planner):
    """A study's plan without a look at its rows: every fingerprint is what would be read."""

    def rows(self, task, most, split=None, code="en") -> int:
        """No row is counted."""
        return 1

    def mark(self, task, language, split, language_2=None) -> Any:
        """What load() takes."""
        return task, language, split, language_2

    def encoder_data(self) -> dict:
        """An encoder is no data."""
        return {}


def reads(settings) -> tuple[list[Read], list[Read], list[Read]]:
    """What the runs of a study train on, evaluate, and select on, each once, in their order."""
    training: dict[Read, bool] = {}
    evaluation: dict[Read, bool] = {}
    development: dict[Read, bool] = {}
    for run in Listing(settings).all_runs():
        trained = run.phase in ("pretraining", "intermediate")
        for key, read in run.data.items():
            if key.endswith("/dev"):
                development[read] = True
            elif isinstance(read, tuple):  # not the checksum of a list of synonyms
                (training if trained or key.endswith("/train") else evaluation)[read] = True
    return list(training), list(evaluation), list(development)


def needed(settings) -> list[Read]:
    """(task, language, split, language_2) of everything a study reads, training splits first."""
    return list(dict.fromkeys(read for part in reads(settings) for read in part))


def contamination(settings):
    """hygiene.contamination() of every training split of a study against its evaluation sets.

    What a mirror lacks is left out, and so are pairs of two languages, whose texts are the same.
    """
    data = data_source(settings.data)
    training, evaluation, _ = (
        [read[:3] for read in part if read[3] is None and hub.present(*read[:3], data)]
        for part in reads(settings)
    )
    return hygiene.contamination(training, evaluation, data)


def _pools(language, split, data):
    """(split, rows, status, fingerprint, note) of BUCC's pools; rows are gold pairs."""
    try:
        mark = bucc.fingerprint(language, split, data)
    except UserError as error:
        return split, None, "missing", "", str(error)
    try:
        gold = bucc.pools(language, split, data).gold
    except UserError as error:
        return split, None, "wrong", mark[:12], str(error)
    return split, len(gold), "present", mark[:12], ""


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
    mark = hub.checksum(part)[:12]
    try:
        _, found = hub.examples_of(part)
    except UserError as error:
        return split, None, "wrong", mark, str(error)
    return split, hub.count(part), "present", mark, soundness.in_words(found)
