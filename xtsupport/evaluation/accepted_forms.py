"""Predictions and references as people give them, in one form, or refused in one line.

What could only score 0 is refused: text where a list belongs, labels of another vocabulary. Names
and numbers of labels, None, and the forms of SQuAD's files are taken.
"""

from collections import Counter
from collections.abc import Collection, Hashable, Mapping, Set

import numpy as np

from xtsupport.data.readers import absent, plain_label
from xtsupport.errors import UserError

NO_LISTS = (str, bytes, Mapping, Set)
SINGLE = (str, int, float, np.number, np.bool_)


def brief(value) -> str:
    """A value as text, cut to some 60 characters: errors stay one short line."""
    text = " ".join(str(value)[:200].split())
    return text if len(text) <= 60 else f"{text[:57]}..."


def listed(values, what: str) -> list:
    """A list, array, column or iterator as a list; UserError for text, a dict, a set and None."""
    try:
        if not isinstance(values, NO_LISTS):
            return list(values)
    except TypeError:  # cannot be iterated over
        pass
    raise UserError(f"{what} must be a list, not {brief(values)!r}")


def answers(predictions, references, where: str) -> tuple[list[str], list[list[str]]]:
    """Predicted texts and gold texts in the order of the references; UserError for other ids.

    predictions: {id: text}, or [{"id", "prediction_text"}] as SQuAD's scripts have them.
    """
    if isinstance(predictions, Mapping):
        items = [(str(identifier), text) for identifier, text in predictions.items()]
    else:
        items = _by_id(predictions, ("prediction_text", "prediction"), where, "predictions")
    gold = _by_id(references, ("answers",), where, "references")
    _same_ids([i for i, _ in items], [i for i, _ in gold], where)
    guesses = dict(items)
    return [text_of(guesses[i], f"{where}: prediction {brief(i)}") for i, _ in gold], [
        texts(value, f"{where}: answers of {brief(i)}") for i, value in gold
    ]


def _by_id(rows, names, where, what):
    """[(id, value)] of a list of dicts."""
    found = []
    try:
        rows = listed(rows, what)
    except UserError:
        rows = [rows]
    for row in rows:
        known = row if isinstance(row, Mapping) else {}
        identifier = next((known[n] for n in ("id", "example_id") if n in known), None)
        name = next((n for n in names if n in known), None)
        if identifier is None or name is None:
            raise UserError(f"{where}: {what} must be a list of {{'id': ..., {names[0]!r}: ...}}, "
                            f"not {brief(rows)}")  # fmt: skip
        found.append((str(identifier), known[name]))
    return found


def _same_ids(predictions, references, where):
    """UserError unless every reference has one prediction, and nothing else has."""
    twice = sorted(i for i, times in Counter(predictions).items() if times > 1)
    missing = sorted(set(references) - set(predictions))
    extra = sorted(set(predictions) - set(references))
    problems = {"have several": twice, "missing": missing, "not among the references": extra}
    for problem, found in problems.items():
        if found:
            some = ", ".join(map(brief, found[:3])) + (", ..." if len(found) > 3 else "")
            raise UserError(f"{where}: {len(predictions)} predictions for {len(references)} "
                            f"references; {len(found)} ids {problem}: {some}")  # fmt: skip


def text_of(value, what: str) -> str:
    """One predicted answer: text, "" for None, NaN and NA, a number as text."""
    if absent(value):
        return ""
    if isinstance(value, SINGLE):
        return str(value)
    raise UserError(f"{what} must be text, not {brief(value)}")


def texts(value, what: str) -> list[str]:
    """Gold answers: a text, several, or SQuAD's {"text", "answer_start"}, alone or in a list."""
    if isinstance(value, str):  # most first: to ask for Mapping takes ten times as long
        return [value]
    if isinstance(value, list):
        return [text for each in value for text in texts(each, what)]
    if isinstance(value, Mapping):
        return texts(value.get("text"), what)
    if absent(value) or isinstance(value, SINGLE):
        return [] if absent(value) else [str(value)]
    return texts(listed(value, what), what)


def labels(gold, predictions, task, where: str) -> tuple[list[str], list[str]]:
    """Labels as text, numbers by the task's names, "" for no prediction; UserError for gold that is
    no label of the task, and where no prediction is one."""
    gold, predictions = (
        [_name(_one(label, f"{where}: {what} {n}", "label"), task.labels)
         for n, label in enumerate(side)]
        for side, what in ((gold, "reference"), (predictions, "prediction"))
    )  # fmt: skip
    numbered = task.kind in ("choice", "retrieval")
    allowed = "numbers, counted from 0" if numbered else ", ".join(task.labels)

    def known(label):
        return label.isdecimal() if numbered else label in task.labels or not task.labels

    wrong = next((n for n, label in enumerate(gold) if not label or not known(label)), None)
    if wrong is not None:
        raise UserError(f"{where}: reference {wrong} is {brief(gold[wrong])!r}, not a label of the "
                        f"task; allowed: {brief(allowed)}")  # fmt: skip
    _some_known(predictions, known, all if numbered else any, "label", allowed, where)
    return gold, predictions


def _some_known(predictions, known, enough, noun, allowed, where) -> None:
    """UserError where predictions are of another vocabulary: not `enough` of them are known."""
    given = [label for label in predictions if label]
    if given and not enough(map(known, given)):
        wrong = next(label for label in given if not known(label))
        others = "" if enough is all else ", nor is any other prediction"
        raise UserError(f"{where}: {brief(wrong)!r} is not a {noun} of the task{others}; "
                        f"allowed: {brief(allowed)}")  # fmt: skip


def _one(value, what, form) -> str:
    """One label, tag or id as text; UserError for a list, an array and whatever else."""
    if absent(value) or isinstance(value, SINGLE):
        return plain_label(value)
    raise UserError(f"{what} must be one {form}, not {brief(value)!r}")


def _name(label, names) -> str:
    if label not in names and label.isdecimal() and int(label) < len(names):
        return names[int(label)]
    return label


def tags(gold, predictions, task, where: str) -> tuple[list[list[str]], list[list[str]]]:
    """Lists of tags, numbers by the task's names; UserError for text, for no tag, for gold that is
    no tag of the task, and where no prediction is one."""
    gold, predictions = (_tags(side, task.labels, where) for side in (gold, predictions))
    allowed = set(task.labels) or {tag for tags in gold for tag in tags}
    for number, tags in enumerate(gold):
        if wrong := next((tag for tag in tags if tag not in allowed), None):
            raise UserError(f"{where}: reference {number} has {brief(wrong)!r}, not a tag of the "
                            f"task; allowed: {brief(', '.join(task.labels))}")  # fmt: skip
    if task.labels:
        every = dict.fromkeys(tag for tags in predictions for tag in tags)
        _some_known(every, allowed.__contains__, any, "tag", ", ".join(task.labels), where)
    return gold, predictions


def _tags(sentences, names, where: str) -> list[list[str]]:
    known: dict[Hashable, str] = {}
    found = []
    for number, sentence in enumerate(sentences):
        what = f"{where}: sentence {number}: its tags"
        found.append(listed(sentence, what))
        for tag in found[-1]:
            if not isinstance(tag, Hashable) or tag not in known:
                known[tag] = _name(_one(tag, what, "list of tags"), names)
            if not known[tag]:
                raise UserError(f"{where}: sentence {number}: a word without a tag")
    return [[known[tag] for tag in sentence] for sentence in found]


def pairs(predictions, gold, where: str) -> tuple[list[tuple], list[tuple]]:
    """Pairs of ids as text; UserError where they are no pairs, or the wrong way round, and for no
    gold."""
    sides = []
    for what, found in (("predictions", predictions), ("references", gold)):
        found = found if isinstance(found, Set) else listed(found, f"{where}: {what}")
        sides.append([_pair(pair, f"{where}: {what}") for pair in found])
    guesses, true = sides
    if not true:
        raise UserError(f"{where}: nothing to score: 0 pairs in the references")
    sources, targets = map(set, zip(*true, strict=True))
    if sources.isdisjoint(targets) and set(true).intersection(pair[::-1] for pair in guesses):
        raise UserError(f"{where}: source and target are swapped between predictions and "
                        "references; give both as (source id, target id)")  # fmt: skip
    return guesses, true


def _pair(pair, what: str) -> tuple:
    try:
        ids = listed(pair, what) if isinstance(pair, Collection) else []
    except UserError:
        ids = []
    if len(ids) != 2:
        raise UserError(f"{what} must be pairs (source id, target id), not {brief(pair)!r}")
    return tuple(_one(each, what, "id each") for each in ids)
