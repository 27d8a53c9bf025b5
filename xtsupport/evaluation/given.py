"""Predictions and references as people give them, in one form, or refused in one line.

What could only score 0 is refused: text where a list belongs, labels of another vocabulary. Names
and numbers of labels, None, and the forms of SQuAD's files are taken.
"""

from collections.abc import Iterable, Mapping

from xtsupport.data.readers import plain_label
from xtsupport.errors import UserError


def brief(value) -> str:
    """A value as text, cut to some 60 characters: errors stay one short line."""
    text = " ".join(str(value)[:200].split())
    return text if len(text) <= 60 else f"{text[:57]}..."


def answers(predictions, references, where: str) -> tuple[list[str], list[list[str]]]:
    """Predicted texts and gold texts in the order of the references; UserError for other ids.

    predictions: {id: text}, or [{"id", "prediction_text"}] as SQuAD's scripts have them.
    """
    if not isinstance(predictions, Mapping):
        predictions = _by_id(predictions, ("prediction_text", "prediction"), where, "predictions")
    gold = _by_id(references, ("answers",), where, "references", unique=False)
    guesses = {str(identifier): text for identifier, text in predictions.items()}
    ids = [identifier for identifier, _ in gold]
    _same_ids(guesses, ids, where)
    return [text_of(guesses[i], f"{where}: prediction {brief(i)}") for i in ids], [
        texts(value) for _, value in gold
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
    return dict(found) if unique else found


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
    """One predicted answer: text, "" for None and NaN, a number as text."""
    if value is None or value != value:  # NaN is not itself
        return ""
    if isinstance(value, str | int | float):
        return str(value)
    raise UserError(f"{what} must be text, not {brief(value)}")


def texts(value) -> list[str]:
    """Gold answers: a text, several, or SQuAD's {"text", "answer_start"}, alone or in a list."""
    if isinstance(value, Mapping):
        return texts(value.get("text"))
    if value is None or isinstance(value, str | int | float):
        return [] if value is None else [str(value)]
    return [text for each in value for text in texts(each)]


def labels(gold, predictions, task, where: str) -> tuple[list[str], list[str]]:
    """Labels of examples as text, numbers by the names of the task's table, "" for none."""
    sides = [[_name(label, task.labels) for label in side] for side in (gold, predictions)]
    known = {*task.labels, *sides[0]} if task.labels else None
    given = [label for label in sides[1] if label]
    if task.kind == "choice":
        given = [label for side in sides for label in side if label and not label.isdecimal()][:1]
        known = set()
    if known is not None and given and known.isdisjoint(given):
        allowed = "numbers, counted from 0" if task.kind == "choice" else ", ".join(task.labels)
        raise UserError(f"{where}: {brief(given[0])!r} is no label of the task, nor is any other "
                        f"prediction; allowed: {brief(allowed)}")  # fmt: skip
    return sides[0], sides[1]


def _name(value, names) -> str:
    label = plain_label(value)
    if label not in names and label.isdecimal() and int(label) < len(names):
        return names[int(label)]
    return label


def tags(sentences, names, where: str) -> list[list[str]]:
    """Lists of tags, numbers by the names of the task's table; UserError for text and no tag."""
    known: dict = {}
    for number, sentence in enumerate(sentences):
        if isinstance(sentence, str | Mapping) or not isinstance(sentence, Iterable):
            raise UserError(f"{where}: sentence {number}: its tags must be a list, not "
                            f"{brief(sentence)!r}")  # fmt: skip
        for tag in sentence:
            if tag not in known:
                known[tag] = _name(tag, names)
            if not known[tag]:
                raise UserError(f"{where}: sentence {number}: a word without a tag")
    return [[known[tag] for tag in sentence] for sentence in sentences]


def pairs(predictions, gold, where: str) -> tuple[list[tuple], list[tuple]]:
    """Pairs of ids as text; UserError where they are no pairs."""
    sides = []
    for what, found in (("predictions", predictions), ("references", gold)):
        for pair in found:
            if isinstance(pair, str | Mapping) or not isinstance(pair, Iterable) or len(pair) != 2:
                raise UserError(f"{where}: {what} must be pairs (source id, target id), not "
                                f"{brief(pair)!r}")  # fmt: skip
        sides.append([(plain_label(a), plain_label(b)) for a, b in found])
    return sides[0], sides[1]
