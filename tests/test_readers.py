"""Raw rows in the layouts of the hub -> examples, worked out by hand."""

from itertools import pairwise

import datasets
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from xtsupport import tables
from xtsupport.data import readers
from xtsupport.errors import UserError


def read(task, rows, features=None):
    """The examples in rows, as a list of dicts; features: as `datasets` stores label names."""
    raw = pa.Table.from_pylist(rows)
    if features:
        raw = raw.replace_schema_metadata(datasets.Features(features).arrow_schema.metadata)
    return readers.read(raw, tables.task(task), "en-{row}").to_pylist()


def test_span():
    rows = [
        {"id": "q1", "title": "t", "context": "A b.", "question": "Who?",
         "answers": {"text": ["A"], "answer_start": [0]}},
        {"id": "q2", "title": "t", "context": "A b.", "question": "What?",
         "answers": {"text": [], "answer_start": []}},
    ]  # fmt: skip
    first, second = read("squad_v2", rows)
    assert first == {
        "example_id": "q1", "cluster_id": "q1", "question": "Who?", "context": "A b.",
        "answers": {"text": ["A"], "answer_start": [0]},
    }  # fmt: skip
    assert second["cluster_id"] == "q1"
    assert second["answers"] == {"text": [], "answer_start": []}


def test_repeated_ids_become_unique():
    row = {"context": "c", "question": "q", "answers": {"text": ["c"], "answer_start": [0]}}
    rows = [row | {"id": identifier} for identifier in ("a", "b", "a", "a")]
    assert [r["example_id"] for r in read("squad", rows)] == ["a", "b", "a#2", "a#3"]


@pytest.mark.parametrize(
    ("task", "columns"), [("mnli", ("premise", "hypothesis")), ("qqp", ("question1", "question2"))]
)
def test_sentence_pairs(task, columns):
    rows = [{columns[0]: "a", columns[1]: "b", "label": 1, "idx": 7}]
    names = tables.task(task).labels
    assert read(task, rows) == [
        {"example_id": "en-0", "cluster_id": "en-0", "text": "a", "text_pair": "b",
         "label": names[1]}
    ]  # fmt: skip


def test_pairs_with_string_labels():
    rows = [{"sentence1": "a", "sentence2": "b", "label": "1"}]
    assert read("pawsx", rows)[0]["label"] == "1"


def test_label_names_come_from_the_file():
    names = ["contradiction", "neutral", "entailment"]
    features = {
        "premise": datasets.Value("string"),
        "hypothesis": datasets.Value("string"),
        "label": datasets.ClassLabel(names=names),
    }
    rows = [{"premise": "a", "hypothesis": "b", "label": 0}]
    assert read("mnli", rows, features)[0]["label"] == "contradiction"


def test_rows_without_a_label_are_dropped():
    rows = [{"premise": p, "hypothesis": "b", "label": n} for p, n in (("a", -1), ("c", 2))]
    (row,) = read("snli", rows)
    assert (row["example_id"], row["label"]) == ("en-1", "contradiction")


def test_labels_that_the_table_does_not_know():
    row = {"premise": "a", "hypothesis": "b"}
    with pytest.raises(UserError, match=r"mnli: column 'label' has the label number 3"):
        read("mnli", [row | {"label": 3}])
    with pytest.raises(UserError, match=r"mnli: column 'label' has the label 'maybe'"):
        read("mnli", [row | {"label": "maybe"}])


def test_xnli_clusters_are_neighbours_with_the_same_premise():
    premises = ["p", "p", "p", "q", "q", "q", "p", "p", "p"]
    rows = [{"premise": p, "hypothesis": str(k), "label": k % 3} for k, p in enumerate(premises)]
    clusters = [row["cluster_id"] for row in read("xnli", rows)]
    assert clusters == ["en-0"] * 3 + ["en-3"] * 3 + ["en-6"] * 3


CHOICES = {
    "hellaswag": (
        {"ind": 4, "ctx_a": "He sits.", "ctx_b": "He", "ctx": "He sits. He",
         "endings": ["a", "b", "c", "d"], "label": "2"},
        ("He sits.", "He", ["a", "b", "c", "d"], 2),
    ),
    "cosmos_qa": (
        {"id": "x", "context": "c", "question": "q", "answer0": "a", "answer1": "b",
         "answer2": "c", "answer3": "d", "label": 3},
        ("c", "q", ["a", "b", "c", "d"], 3),
    ),
    "commonsense_qa": (
        {"id": "x", "question": "q", "question_concept": "k", "answerKey": "B",
         "choices": {"label": list("ABCDE"), "text": ["1", "2", "3", "4", "5"]}},
        ("", "q", ["1", "2", "3", "4", "5"], 1),
    ),
    "social_i_qa": (
        {"context": "c", "question": "q", "answerA": "a", "answerB": "b", "answerC": "z",
         "label": "3"},
        ("c", "q", ["a", "b", "z"], 2),
    ),
    "xcopa": (
        {"premise": "p", "choice1": "a", "choice2": "b", "question": "cause", "label": 1, "idx": 0},
        ("p", "cause", ["a", "b"], 1),
    ),
}  # fmt: skip


@pytest.mark.parametrize("task", CHOICES)
def test_multiple_choice(task):
    raw, (context, question, choices, label) = CHOICES[task]
    (row,) = read(task, [raw])
    assert (row["context"], row["question"]) == (context, question)
    assert (row["choices"], row["label"]) == (choices, label)


def test_hidden_choice_labels_are_dropped():
    raw, _ = CHOICES["commonsense_qa"]
    assert read("commonsense_qa", [raw | {"answerKey": ""}]) == []


def test_tagging():
    features = {
        "tokens": datasets.List(datasets.Value("string")),
        "pos_tags": datasets.List(datasets.ClassLabel(names=list(tables.task("udpos").labels))),
    }
    rows = [
        {"tokens": ["A", "dog"], "pos_tags": [5, 7]},
        {"tokens": ["Go"], "pos_tags": [15]},
        {"tokens": [], "pos_tags": []},
    ]
    assert [row["tags"] for row in read("udpos", rows, features)] == [["DET", "NOUN"], ["VERB"], []]


def test_tagging_of_a_slice():
    raw = pa.Table.from_pylist([{"tokens": [str(k)], "ner_tags": [k]} for k in range(5)])
    examples = readers.read(raw.slice(2, 2), tables.task("panx"))
    assert examples["tags"].to_pylist() == [["I-PER"], ["B-ORG"]]


def test_retrieval_and_raw_text():
    rows = [{"source_sentence": "a", "target_sentence": "b", "source_lang": "deu"}]
    assert read("tatoeba", rows)[0]["text_2"] == "b"
    assert read("wikipedia", [{"id": "9", "text": "long"}]) == [
        {"example_id": "9", "cluster_id": "9", "text": "long"}
    ]


def test_a_missing_column_is_named():
    with pytest.raises(UserError, match=r"squad: not the columns of a span.*context.*found id"):
        read("squad", [{"id": "a", "question": "q"}])


@given(st.lists(st.sampled_from("abc"), max_size=12), st.booleans())
def test_clusters_partition_the_examples(texts, consecutive):
    ids = [str(k) for k in range(len(texts))]
    clusters = readers.cluster_ids(ids, texts, consecutive)
    for k, cluster in enumerate(clusters):
        assert texts[int(cluster)] == texts[k]
        assert int(cluster) <= k
    if not consecutive:
        assert len(set(clusters)) == len(set(texts))
    else:
        runs = sum(a != b for a, b in pairwise(texts)) + bool(texts)
        assert len(set(clusters)) == runs
