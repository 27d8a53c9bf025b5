"""What a study needs of the data, and what is there."""

from xtsupport import tables
from xtsupport.data import bucc, hub, soundness
from xtsupport.data.contamination import shared_texts
from xtsupport.errors import Unreachable, UserError
from xtsupport.study.reads import needed, reads


def check(settings, part=None):
    """A frame of every split that a study, or a part of it, reads.

    Columns: task, language, split, rows, status, fingerprint, note. The splits are those that the
    study's planner takes fingerprints of, one row per part of a joined one. status: present; wrong,
    where rows or files cannot be used; missing; missing part, where other parts of a joined split
    are there; hub, where only the hub has the files, and no row is looked at; unreachable, where it
    does not answer (attrs["away"] of the frame has the errors). note: what was looked for, or is
    wrong, or was mended. Raises UserError for an unknown task.
    """
    import pandas as pd

    data = settings.data_source
    records = []
    away: list[UserError] = []
    for task, language, split, other, _ in needed(settings, part):
        if tables.task(task, data).evaluator == "pairs":
            records.append((task, language, *_pools(language, split, data)))
            continue
        try:
            parts = hub.parts_of(task, language, split, data, other)
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


def contamination(settings, whole=None):
    """``shared_texts`` of every training split of a study against its evaluation sets.

    whole: all settings of a study of which those are a part. What a mirror lacks is left out, and
    so are pairs of two languages, whose texts are the same.
    """
    data = settings.data_source
    training, evaluation, *_ = (
        [read[:3] for read in part if not read.language_2 and hub.present(*read[:3], data)]
        for part in reads(whole or settings, settings)
    )
    return shared_texts(training, evaluation, data)


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
    """(split, rows, status, fingerprint, note) of a part; rows that are here are looked at."""
    split = part.split if part.task.name == task else f"{part.task.name}/{part.split}"
    if part.files == ():
        return split, None, absent, "", hub.missing(part, data)
    status, mark = absent, ""
    try:
        mark = hub.checksum(part, data)[:12]
        if part.files is None and not all(part.repo.cached(path).is_file() for path in part.paths):
            return split, None, "hub", mark, ", ".join(part.paths)
        status = "wrong"
        _, found = hub.examples_of(part)
    except Unreachable as error:
        away.append(error)
        return split, None, "unreachable", "", error.reason
    except UserError as error:
        return split, None, status, mark, str(error)
    return split, hub.count(part), "present", mark, soundness.in_words(found)
