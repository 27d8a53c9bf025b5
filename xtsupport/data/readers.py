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

import pyarrow as pa
import pyarrow.compute as pc

from xtsupport.errors import UserError
from xtsupport.tables import Task

PAIR_COLUMNS = (
    ("text", "text_pair"),
    ("premise", "hypothesis"),
    ("sentence1", "sentence2"),
    ("question1", "question2"),
)
TAG_COLUMNS = ("tags", "pos_tags", "ner_tags")


def read(raw: pa.Table, task: Task, identifier: str = "{row}") -> pa.Table:
    """The examples in the raw rows of one split.

    identifier: pattern of the id of rows that bring none of their own, over `row`.
    Raises UserError naming task and column if the columns or labels are not those of the kind.
    """
    try:
        columns = READERS[task.kind](raw, task)
    except KeyError as missing:
        raise UserError(
            f"{task.name}: not the columns of a {task.kind} dataset ({missing.args[0]}); "
            f"found {', '.join(raw.column_names)}"
        ) from None
    examples = pa.table({"example_id": _example_ids(raw, identifier), **columns})
    for name in ("label", "tags"):
        if name in examples.column_names:
            examples = examples.filter(pc.is_valid(examples[name]))
    clusters = examples["example_id"]
    if task.cluster:
        texts = examples[task.cluster].to_pylist()
        clusters = cluster_ids(clusters.to_pylist(), texts, consecutive=task.parallel)
    return examples.add_column(1, "cluster_id", pa.chunked_array([clusters], pa.string())
                               if isinstance(clusters, list) else clusters)  # fmt: skip


def cluster_ids(ids: list[str], texts: list, consecutive: bool) -> list[str]:
    """For each example, the id of the first example of its cluster, the examples with equal text.

    consecutive: only neighbours form a cluster. In parallel benchmarks this gives the same
    clusters in every language even where two different English texts have one translation.
    """
    first, previous, clusters = {}, None, []
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
    ids = raw[own].cast(pa.string())
    if pc.count_distinct(ids).as_py() == len(ids):
        return ids
    seen, unique = {}, []
    for value in ids.to_pylist():
        seen[value] = seen.get(value, 0) + 1
        unique.append(value if seen[value] == 1 else f"{value}#{seen[value]}")
    return pa.array(unique, pa.string())


def _span(raw, task):
    return {name: raw[name] for name in ("question", "context", "answers")}


def _classification(raw, task):
    first, second = next(
        (pair for pair in PAIR_COLUMNS if pair[0] in raw.column_names), PAIR_COLUMNS[0]
    )
    other = raw[second] if second in raw.column_names else pa.array([""] * raw.num_rows)
    return {"text": raw[first], "text_pair": other, "label": _label_names(raw, "label", task)}


def _choice(raw, task):
    columns = set(raw.column_names)
    rows = raw.to_pylist()
    if "endings" in columns:  # HellaSwag: the second question part opens every ending
        built = [(r["ctx_a"], r["ctx_b"], r["endings"], _index(r["label"], "0")) for r in rows]
    elif "answerKey" in columns:  # CommonsenseQA
        built = [("", r["question"], r["choices"]["text"], _index(r["answerKey"], "A"))
                 for r in rows]  # fmt: skip
    elif "answerA" in columns:  # Social IQa
        built = [(r["context"], r["question"], [r["answerA"], r["answerB"], r["answerC"]],
                  _index(r["label"], "1")) for r in rows]  # fmt: skip
    elif "answer0" in columns:  # CosmosQA
        built = [(r["context"], r["question"], [r[f"answer{k}"] for k in range(4)], r["label"])
                 for r in rows]  # fmt: skip
    elif "choice1" in columns:  # COPA
        built = [(r["premise"], r["question"], [r["choice1"], r["choice2"]], r["label"])
                 for r in rows]  # fmt: skip
    else:
        wanted = ("context", "question", "choices", "label")
        built = [tuple(r[name] for name in wanted) for r in rows]
    context, question, choices, label = zip(*built, strict=True) if built else ((), (), (), ())
    label = [None if number is None or number < 0 else number for number in label]
    return {
        "context": pa.array(context, pa.string()),
        "question": pa.array(question, pa.string()),
        "choices": pa.array(choices, pa.list_(pa.string())),
        "label": pa.array(label, pa.int64()),
    }


def _index(label, first):
    """Position of a one-character label counted from `first`; None where it is hidden."""
    return ord(label) - ord(first) if label else None


def _tagging(raw, task):
    column = next((name for name in TAG_COLUMNS if name in raw.column_names), TAG_COLUMNS[0])
    return {"tokens": raw["tokens"], "tags": _label_names(raw, column, task)}


def _retrieval(raw, task):
    if "source_sentence" in raw.column_names:
        return {"text": raw["source_sentence"], "text_2": raw["target_sentence"]}
    return {"text": raw["text"], "text_2": raw["text_2"]}


def _masked(raw, task):
    return {"text": raw["text"]}


READERS = {
    "span": _span,
    "classification": _classification,
    "choice": _choice,
    "tagging": _tagging,
    "retrieval": _retrieval,
    "masked": _masked,
}


def _label_names(raw, column, task):
    """Class numbers as names (from the file's own metadata, else the task's labels); -1 as null."""
    labels = raw[column].combine_chunks()
    names = pa.array(_metadata_names(raw, column) or task.labels, pa.string())
    if task.labels and not set(names.to_pylist()) <= set(task.labels):
        raise UserError(f"{task.name}: column {column!r} has the labels {names.to_pylist()}, "
                        f"tasks.csv has {list(task.labels)}")  # fmt: skip
    values = labels.flatten() if pa.types.is_list(labels.type) else labels
    if pa.types.is_integer(values.type):
        numbers = pc.if_else(pc.less(values, 0), None, values)
        highest = pc.max(numbers).as_py()
        if highest is not None and highest >= len(names):
            raise UserError(f"{task.name}: column {column!r} has the label number {highest}, "
                            f"but there are {len(names)} labels")  # fmt: skip
        values = names.take(numbers)
    elif task.labels:
        unknown = set(pc.unique(values).to_pylist()) - set(task.labels) - {None}
        if unknown:
            raise UserError(f"{task.name}: column {column!r} has the labels {sorted(unknown)}, "
                            f"tasks.csv has {list(task.labels)}")  # fmt: skip
    if not pa.types.is_list(labels.type):
        return values
    return pa.ListArray.from_arrays(pc.subtract(labels.offsets, labels.offsets[0]), values)


def _metadata_names(raw, column):
    """Names of a class-label column, from the metadata that `datasets` writes into parquet."""
    metadata = (raw.schema.metadata or {}).get(b"huggingface")
    feature = json.loads(metadata)["info"]["features"].get(column) if metadata else None
    if isinstance(feature, list):
        feature = feature[0]
    if isinstance(feature, dict):
        return feature.get("names") or (feature.get("feature") or {}).get("names")
    return None
