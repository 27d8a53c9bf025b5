"""Predictions and references as people give them, in one form, or refused in one line.

What could only score 0 is refused: text where a list belongs, labels of another vocabulary. Names
and numbers of labels, None, and the forms of SQuAD's files are taken.
"""

from collections import Counter
from collections.abc import Collection, Hashable, Iterable, Mapping, Set

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
    if not isinstance(predictions, Mapping):
        predictions = _by_id(predictions, ("prediction_text", "prediction"), where, "predictions")
    gold = _by_id(references, ("answers",), where, "references", unique=False)
    guesses = _once([(str(identifier), text) for identifier, text in predictions.items()], where)
    ids = [identifier for identifier, _ in gold]
    _same_ids(guesses, ids, where)
    return [text_of(guesses[i], f"{where}: prediction {brief(i)}") for i in ids], [
        texts(value, f"{where}: answers of {brief(i)}") for i, value in gold
    ]


def _by_id(rows, names, where, what, unique=True):
    """{id: value}, or [(id, value)] where an id may occur again, of a list of dicts."""
    found = []
    for row in rows if isinstance(rows, Iterable) and not isinstance(rows, str | Mapping) else [0]:
        known = row if isinstance(row, Mapping) else {}
        identifier = next((known[n] for n in ("id", "example_id") if n in known), None)
        name = next((n for n in names if n in known), None)
        if identifier is None or name is None:
            raise UserError(f"{where}: {what} must be a list of {{'id': ..., {names[0]!r}: ...}}, "
                            f"not {brief(rows)}")  # fmt: skip
        found.append((str(identifier), known[name]))
    return _once(found, where) if unique else found


def _once(items, where):
    """{id: prediction} of pairs; UserError for an id that occurs again."""
    counts = Counter(identifier for identifier, _ in items)
    twice = [identifier for identifier, times in counts.items() if times > 1]
    if twice:
        raise UserError(f"{where}: {len(twice)} ids have several predictions "
                        f"({brief(twice[0])}); give one each")  # fmt: skip
    return dict(items)


def _same_ids(predictions, ids, where):
    missing = sorted(set(ids) - set(predictions))
    extra = sorted(set(predictions) - set(ids))
    for problem, found in (("missing", missing), ("not among the references", extra)):
        if found:
            raise UserError(
                f"{where}: {len(predictions)} predictions for {len(ids)} references; "
                f"{len(found)} ids {problem}: {', '.join(map(brief, found[:3]))}"
                + (", ..." if len(found) > 3 else "")
            )


def text_of(value, what: str) -> str:
    """One predicted answer: text, "" for None, NaN and NA, a number as text."""
    if absent(value):
        return ""
    if isinstance(value, SINGLE):
        return str(value)
    raise UserError(f"{what} must be text, not {brief(value)}")


def texts(value, what: str) -> list[str]:
    """Gold answers: a text, several, or SQuAD's {"text", "answer_start"}, alone or in a list."""
    if isinstance(value, Mapping):
        return texts(value.get("text"), what)
    if absent(value) or isinstance(value, SINGLE):
        return [] if absent(value) else [str(value)]
    return [text for each in listed(value, what) for text in texts(each, what)]


def labels(gold, predictions, task, where: str) -> tuple[list[str], list[str]]:
    """Labels of examples as text, numbers by the names of the task's table, "" for no prediction.

    UserError for gold that is no label of the task, and where no prediction is one.
    """
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
        raise UserError(f"{where}: reference {wrong} is {brief(gold[wrong])!r}, no label of the "
                        f"task; allowed: {brief(allowed)}")  # fmt: skip
    given = [label for label in predictions if label]
    if given and not (all if numbered else any)(map(known, given)):
        wrong = next(label for label in given if not known(label))
        others = "" if numbered else ", nor is any other prediction"
        raise UserError(f"{where}: {brief(wrong)!r} is no label of the task{others}; "
                        f"allowed: {brief(allowed)}")  # fmt: skip
    return gold, predictions


def _one(value, what, form) -> str:
    """One label, tag or id as text; UserError for a list, an array and whatever else."""
    if absent(value) or isinstance(value, SINGLE):
        return plain_label(value)
    raise UserError(f"{what} must be one {form}, not {brief(value)!r}")


def _name(label, names) -> str:
    if label not in names and label.isdecimal() and int(label) < len(names):
        return names[int(label)]
    return label


def tags(sentences, names, where: str) -> list[list[str]]:
    """Lists of tags, numbers by the names of the task's table; UserError for text and no tag."""
    known, found = {}, []
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
    """Pairs of ids as text; UserError where they are no pairs."""
    sides = []
    for what, found in (("predictions", predictions), ("references", gold)):
        found = found if isinstance(found, Set) else listed(found, f"{where}: {what}")
        for pair in found:
            if isinstance(pair, NO_LISTS) or not isinstance(pair, Collection) or len(pair) != 2:
                raise UserError(f"{where}: {what} must be pairs (source id, target id), not "
                                f"{brief(pair)!r}")  # fmt: skip
        sides.append([tuple(_one(each, f"{where}: {what}", "id each") for each in pair)
                      for pair in found])  # fmt: skip
    return sides[0], sides[1]
