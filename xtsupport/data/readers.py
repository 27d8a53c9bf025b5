"""Raw columns of a dataset -> the columns of an example, one reader per kind.

Every example has `example_id` and `cluster_id` (both str) and, by kind:

    span            question, context, answers {"text": [str], "answer_start": [int]}
    classification  text, text_pair ("" for a single text), label (the label's name)
    choice          context, question, choices [str], label (the right choice's index)
    tagging         tokens [str], tags [str]
    retrieval       text (source language), text_2 (English)
    masked          text

A dataset that already has these columns is read as it is. Rows without a gold label (hidden test
labels, SNLI pairs without a majority) are dropped.
"""

import json
from collections.abc import Iterable

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from xtsupport.errors import UserError, shorten
from xtsupport.tables import Task

PAIR_COLUMNS = (("text", "text_pair"), ("premise", "hypothesis"), ("sentence1", "sentence2"),
                ("question1", "question2"))  # fmt: skip
TAG_COLUMNS = ("tags", "pos_tags", "ner_tags")
HIDDEN = ("", "-", "-1", "hidden", "None", "null")  # what stands for a label that is not given
ANSWERS = pa.struct([("text", pa.list_(pa.string())), ("answer_start", pa.list_(pa.int64()))])


def read(raw: pa.Table, task: Task, identifier: str = "{row}") -> pa.Table:
    """The examples in the raw rows of one split.

    identifier: pattern of the id of rows that bring none of their own, over `row`.
    Raises UserError naming task and column if the columns or labels are not those of the kind.
    """
    try:
        columns = READERS[task.kind](raw, task)
    except KeyError as missing:
        wrong = f"{task.name}: not the columns of a {task.kind} dataset ({missing.args[0]})"
        raise UserError(f"{wrong}; found {', '.join(raw.column_names)}") from None
    except UserError as error:
        raise UserError(*(f"{task.name}: {each}" for each in error.problems)) from None
    examples = pa.table({"example_id": _example_ids(raw, identifier), **columns})
    for name in ("label", "tags", "answers"):
        if name in examples.column_names:
            examples = examples.filter(pc.is_valid(examples[name]))
    clusters = examples["example_id"]
    if task.cluster:
        texts = examples[task.cluster].to_pylist()
        found = cluster_ids(clusters.to_pylist(), texts, consecutive=task.parallel)
        clusters = pa.array(found, pa.string())
    return examples.add_column(1, "cluster_id", clusters)


def cluster_ids(ids: list[str], texts: list, consecutive: bool) -> list[str]:
    """For each example, the id of the first example of its cluster, the examples with equal text.

    consecutive: only neighbours form a cluster. In parallel benchmarks this gives the same
    clusters in every language even where two different English texts have one translation.
    """
    first: dict = {}
    previous, clusters = None, []
    for identifier, text in zip(ids, texts, strict=True):
        if consecutive and text != previous:
            first.clear()
        clusters.append(first.setdefault(text, identifier))
        previous = text
    return clusters


def _example_ids(raw, identifier):
    """The dataset's own ids, made unique, or the row number."""
    own = next((name for name in ("example_id", "id", "uid") if name in raw.column_names), None)
    if own is None:
        return pa.array([identifier.format(row=row) for row in range(raw.num_rows)], pa.string())
    return unique(_texts(raw, own))


def unique(ids: pa.ChunkedArray) -> pa.ChunkedArray | pa.Array:
    """Ids of which none occurs twice: the second `a` becomes `a#2`, or the next that is free."""
    if pc.count_distinct(ids, mode="all").as_py() == len(ids) and not ids.null_count:
        return ids
    taken, seen, made = set(ids.to_pylist()), set(), []
    for value in ids.to_pylist():
        name, number = value, 1
        while name is None or name in seen or (number > 1 and name in taken):
            number += 1
            name = f"{value}#{number}"
        seen.add(name)
        made.append(name)
    return pa.array(made, pa.string())


def _texts(raw, name):
    """A column as text; UserError naming it if it holds something else. KeyError: not there."""
    column = raw[name]
    try:
        return column.cast(pa.string())
    except pa.ArrowException:
        raise UserError(f"column {name!r} must be text, not {column.type}") from None


def _span(raw, task):
    texts = {name: _texts(raw, name) for name in ("question", "context")}
    answers = []
    for number, value in enumerate(raw["answers"].to_pylist()):
        try:
            answers.append(None if value is None else _answer(value))
        except (KeyError, TypeError, ValueError, OverflowError):
            raise UserError(f"row {number}: its answers are {shorten(value)}; they must be "
                            "{'text': [text], 'answer_start': [number]}") from None  # fmt: skip
    return texts | {"answers": pa.array(answers, ANSWERS)}


def _answer(value):
    """{"text": [str], "answer_start": [int]} of one row's answers, also of a list of {text,
    answer_start} and of one such answer. An unknown place is -1."""
    if isinstance(value, dict) and not isinstance(value["text"], list):
        value = [value]
    if isinstance(value, list):
        value = {name: [each[name] for each in value] for name in ("text", "answer_start")}
    starts = [-1 if place is None or place != place else int(place)  # NaN is not itself
              for place in value["answer_start"] or ()]  # fmt: skip
    texts = [text or "" for text in value["text"] or ()]
    if not all(isinstance(text, str) for text in texts):
        raise TypeError
    return {"text": texts, "answer_start": starts}


def _classification(raw, task):
    there = (pair for pair in PAIR_COLUMNS if pair[0] in raw.column_names)
    first, second = next(there, PAIR_COLUMNS[0])
    other = pa.array([""] * raw.num_rows)
    if second in raw.column_names:
        other = pc.fill_null(_texts(raw, second), "")
    return {"text": _texts(raw, first), "text_pair": other,
            "label": _label_names(raw, "label", task)}  # fmt: skip


LAYOUTS = {  # by a column that no other has: context, question, options, the right one, their names
    "endings": ("ctx_a", "ctx_b", "endings", "label", None),  # HellaSwag: ctx_b opens each ending
    "answerA": ("context", "question", ("answerA", "answerB", "answerC"), "label", "123"),
    "answer0": ("context", "question", [f"answer{k}" for k in range(4)], "label", None),
    "choice1": ("premise", "question", ("choice1", "choice2"), "label", None),  # COPA
    "answerKey": (None, "question", "choices", "answerKey", None),  # CommonsenseQA, ARC
}


def _choice(raw, task):
    layouts = (layout for column, layout in LAYOUTS.items() if column in raw.column_names)
    usual = ("context", "question", "choices", "label", None)
    context, question, options, answer, names = next(layouts, usual)
    asked = pc.fill_null(_texts(raw, question), "")
    given = pc.fill_null(_texts(raw, context), "") if context else pa.array([""] * raw.num_rows)
    choices, labels = [], []
    for number, row in enumerate(raw.to_pylist()):
        found = row[options] if isinstance(options, str) else [row[name] for name in options]
        try:
            texts, named = _lettered(found) if answer == "answerKey" else (found, names)
        except TypeError:
            raise UserError(f"row {number}: its options are {shorten(found)}") from None
        choices.append(texts)
        labels.append(_index(row[answer], _names(texts, named, number), number))
    choices = pa.array(choices, pa.list_(pa.string()))
    label = pa.array(labels, pa.int64())
    return {"context": given, "question": asked, "choices": choices, "label": label}


def _lettered(choices):
    """(texts, names) of options that bring their own names, such as A..E or 1..5."""
    if isinstance(choices, list):
        choices = {name: [each[name] for each in choices] for name in ("text", "label")}
    return choices["text"], choices["label"]


def _names(choices, names, number):
    """One name for each of a row's options, counted from 0 if they bring none. UserError."""
    texts = isinstance(choices, list) and all(isinstance(each, str) for each in choices)
    if not texts or len(choices) < 2 or not any(each.strip() for each in choices):
        raise UserError(f"row {number}: its options are {shorten(choices)}; they must be two or "
                        "more texts")  # fmt: skip
    names = list(range(len(choices))) if names is None else names
    names = [plain_label(name) for name in names]
    if len(names) != len(choices) or len({*names}) != len(names):
        raise UserError(f"row {number}: its {len(choices)} options are named {shorten(names)}; "
                        "each needs its own name")  # fmt: skip
    return names


def _index(label, names, number):
    """Position of the right option, from its name; None: hidden."""
    label = plain_label(label)
    if label in names:
        return names.index(label)
    if label in HIDDEN:
        return None
    raise UserError(f"row {number}: the right option is {label!r}; allowed: {', '.join(names)}")


def plain_label(label) -> str:
    """A label as text, alike for 1, 1.0, True and "1"; "" for none, NaN and pandas's NA."""
    if absent(label):
        return ""
    numbers = isinstance(label, float | np.number | np.bool_) and float(label).is_integer()
    if numbers or isinstance(label, int):
        label = int(label)
    return str(label).strip()


def absent(value) -> bool:
    """Whether it is None, NaN (which is not itself) or pandas's NA (which refuses to compare)."""
    try:  # str first: nearly all are, and to ask for Iterable takes ten times as long
        return value is None or not (isinstance(value, (str, Iterable)) or value == value)
    except TypeError:
        return True


def _tagging(raw, task):
    column = next((name for name in TAG_COLUMNS if name in raw.column_names), "tags")
    return {"tokens": _words(raw["tokens"]), "tags": _label_names(raw, column, task)}


def _words(tokens):
    """Lists of text, none of it null."""
    try:
        lists = tokens.cast(pa.list_(pa.string())).combine_chunks()
    except pa.ArrowException:
        raise UserError(f"column 'tokens' must be lists of text, not {tokens.type}") from None
    if lists.flatten().null_count or lists.null_count:
        raise UserError("column 'tokens' has a word or a sentence that is null")
    return lists


def _retrieval(raw, task):
    hub = "source_sentence" in raw.column_names
    both = ("source_sentence", "target_sentence") if hub else ("text", "text_2")
    return {"text": _texts(raw, both[0]), "text_2": _texts(raw, both[1])}


READERS = {"span": _span, "classification": _classification, "choice": _choice,
           "tagging": _tagging, "retrieval": _retrieval,
           "masked": lambda raw, task: {"text": _texts(raw, "text")}}  # fmt: skip


def _label_names(raw, column, task):
    """Labels as names: from numbers (by the file's own metadata, else the task's labels), texts of
    numbers, or names. Hidden ones are null."""
    labels, names = raw[column].combine_chunks(), _metadata_names(raw, column) or list(task.labels)
    if task.labels and not set(names) <= set(task.labels):
        raise UserError(f"column {column!r} has the labels {shorten(names)}, tasks.csv has "
                        f"{shorten(list(task.labels))}")  # fmt: skip
    nested = pa.types.is_list(labels.type)
    values = labels.flatten() if nested else labels
    fits = nested == (column != "label") or pa.types.is_null(labels.type)
    if not fits or pa.types.is_nested(values.type):
        what = "one label" if column == "label" else "a list of tags"
        raise UserError(f"column {column!r} must be {what} for each row, not {labels.type}")
    numbers = not (pa.types.is_string(values.type) or pa.types.is_null(values.type))
    values = values.dictionary_encode()
    known = [_name(value, names, numbers, column) for value in values.dictionary.to_pylist()]
    values = pa.array(known, pa.string()).take(values.indices)
    if not nested:
        return values
    if values.null_count and values.null_count == len(values):
        return pa.nulls(len(labels), pa.list_(pa.string()))
    if values.null_count:
        raise UserError(f"column {column!r} has tags that are hidden or null beside others")
    return pa.ListArray.from_arrays(pc.subtract(labels.offsets, labels.offsets[0]), values)


def _name(value, names, number, column):
    """The name of one label, None if it is hidden."""
    label = plain_label(value)
    if not number and label in names:
        return label
    if (label in HIDDEN and (names or not label)) or (number and label.startswith("-")):
        return None
    place = int(label) if label.isdecimal() and (number or names) else None
    if place is not None and place < len(names):
        return names[place]
    if names or number:
        what = f"label {shorten(label)}" if place is None else f"label number {place}"
        raise UserError(f"column {column!r} has the {what}, but the labels are "
                        f"{shorten(names)}")  # fmt: skip
    return label


def _metadata_names(raw, column):
    """Names of a class-label column, from the metadata that `datasets` writes into parquet."""
    metadata = (raw.schema.metadata or {}).get(b"huggingface")
    feature = json.loads(metadata)["info"]["features"].get(column) if metadata else None
    if isinstance(feature, list):
        feature = feature[0]
    if isinstance(feature, dict):
        return feature.get("names") or (feature.get("feature") or {}).get("names")
    return None
