"""Wrong rows are mended, counted or refused, and good ones pass in whatever form they come."""

import os

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from xtsupport import files, tables
from xtsupport.data import hub, load, readers, soundness
from xtsupport.errors import UserError

CONTEXT = "Ada cooked soup. Ben sold 3 chairs. Ada left."


def question(text, start, number=0, context=CONTEXT):
    return {"id": f"q{number}", "context": context, "question": "Who?",
            "answers": {"text": [text], "answer_start": [start]}}  # fmt: skip


def put(folder, place, split, *shards):
    """Write arrow tables, or lists of rows, as the files of a split."""
    path = folder / place
    path.mkdir(parents=True, exist_ok=True)
    for k, rows in enumerate(shards):
        table = rows if isinstance(rows, pa.Table) else pa.Table.from_pylist(rows)
        pq.write_table(table, path / f"{split}-{k:05}-of-{len(shards):05}.parquet")


def squad(folder, rows, task="squad"):
    """What load() makes of SQuAD training rows."""
    put(folder, f"rajpurkar/{task}/{tables.task(task).config}", "train", rows)
    return load(task, "en", "train", str(folder))


# ------------------------------------------------------------------------------ answers


@pytest.mark.parametrize(
    ("text", "start", "expected"),
    [
        ("cooked soup", 4, 4),
        ("cooked soup", 8, 4),  # off by 4
        ("cooked soup", 500, 4),  # the only place
        ("cooked soup", -1, 4),
        ("Ada", 38, 36),  # two places, one of them near
        (" Ben ", 16, 16),
        ("\u200bBen", 17, 17),  # an invisible character that the context lacks
    ],
)
def test_answers_point_at_their_text(tmp_path, text, start, expected):
    rows = [question(text, start), *(question("Ben", 17, n) for n in range(1, 9))]
    found = squad(tmp_path, rows)["answers"][0]
    assert found == {"text": [text], "answer_start": [expected]}


def test_answers_without_a_place_are_counted_and_refused_above_a_share(tmp_path):
    good = [question("Ben", 17, n) for n in range(40)]
    with pytest.warns(UserWarning, match="1 answer not found in the context"):
        found = squad(tmp_path, [*good, question("Cyd", 3, 40)])
    assert len(found) == 41 and found["answers"][40] == {"text": ["Cyd"], "answer_start": [-1]}
    many = [question("Cyd", 3, n) for n in range(40, 43)]
    with pytest.raises(UserError, match=r"squad/plain_text/train: 3 of 43 answers .*at most 5%"):
        squad(tmp_path, good + many)


def test_an_ambiguous_answer_is_not_guessed():
    assert soundness.mended("Ada and Ada and Ada", "Ada", 3) is None
    assert soundness.mended("Ada" + " and" * 20 + " Ada", "Ada", 2) == 0


@given(st.text("ab \u200b\xa0\u3000", max_size=12), st.integers(0, 12), st.integers(0, 12))
def test_a_place_holds_the_answer_and_nothing_unseen_at_its_ends(context, first, last):
    text = context[first:last]
    found = soundness.place(context, text, first)
    inner = text.strip(" \u200b\xa0\u3000")
    assert found is None if not inner else context[slice(*found)] == inner


@pytest.mark.parametrize("task", ["squad", "squad_v2"])
@pytest.mark.parametrize(
    "blank",
    [
        {"text": [""], "answer_start": [0]},
        {"text": "", "answer_start": 0},
        [{"text": "", "answer_start": 0}],
        {"text": [], "answer_start": []},
    ],
)
def test_gold_blanked_for_a_leaderboard_is_refused(tmp_path, task, blank):
    rows = [question("Ben", 17, n) | {"answers": blank} for n in range(3)]
    with pytest.raises(
        UserError, match="none of its 3 rows has a gold answer or label: they are h"
    ):
        squad(tmp_path, rows, task)


def test_some_blank_gold_is_left_out_or_no_answer(tmp_path):
    rows = [question("Ben", 17), question("", 0, 1)]
    assert list(squad(tmp_path, rows)["example_id"]) == ["q0"]
    second = squad(tmp_path, rows, "squad_v2")
    assert second["answers"][1] == {"text": [], "answer_start": []}


@pytest.mark.parametrize(
    "answers",
    [
        [{"text": "Ben", "answer_start": 17}, {"text": "Ben sold", "answer_start": 17}],
        {"text": ["Ben", "Ben sold"], "answer_start": [17, 17], "answer_end": [20, 25]},
        {"text": ["Ben", "Ben sold"], "answer_start": [17.0, 17.0]},
    ],
)
def test_answers_in_other_forms(tmp_path, answers):
    (row,) = squad(tmp_path, [question("", 0) | {"answers": answers}])
    assert row["answers"] == {"text": ["Ben", "Ben sold"], "answer_start": [17, 17]}


def test_unequal_numbers_of_answers_and_places_are_refused(tmp_path):
    bad = question("Ben", 17) | {"answers": {"text": ["Ben", "Ada"], "answer_start": [17]}}
    with pytest.raises(UserError, match="row q0 has 2 answers and 1 answer positions"):
        squad(tmp_path, [bad])


@pytest.mark.parametrize("null", [None, {"text": None, "answer_start": None}])
def test_null_answers_are_rows_without_gold(tmp_path, null):
    rows = [question("Ben", 17, n) for n in range(19)]
    bad = question("Ben", 17, 19) | {"answers": null}
    for task in ("squad", "squad_v2")[: 1 + (null is None)]:
        assert len(squad(tmp_path, [*rows, bad], task)) == 19
    raw = pa.Table.from_pylist([*rows, bad])
    raw = raw.set_column(3, "answers", raw["answers"].cast(readers.ANSWERS))
    examples = readers.read(raw, tables.task("squad"))
    assert soundness.sound(examples, 20, tables.task("squad"), "x")[1] == {"rows without gold": 1}


@pytest.mark.parametrize(
    "answers",
    ["Ben", "", '{"text": ["Ben"]}', ["Ben"], {"text": ["Ben"], "answer_start": [float("inf")]},
     {"text": [3], "answer_start": [17]}, {"text": ["Ben"], "answer_start": ["x"]},
     {"text": ["Ben"], "answer_start": 17}, 3],
)  # fmt: skip
def test_answers_of_another_form_are_refused_in_one_line(tmp_path, answers):
    with pytest.raises(UserError, match=r"squad: row 0: its answers are .*; they must be {'text'"):
        squad(tmp_path, [question("Ben", 17) | {"answers": answers}])


# ------------------------------------------------------------------------------ arrow types


def retyped(table):
    """The same rows in the types that pandas, polars and others write."""
    answers = pa.struct([("text", pa.large_list(pa.large_string())),
                         ("answer_start", pa.large_list(pa.int32()))])  # fmt: skip
    types = {"id": pa.large_string(), "context": pa.dictionary(pa.int32(), pa.large_string()),
             "question": pa.string_view(), "answers": answers}  # fmt: skip
    return table.cast(pa.schema([(name, types[name]) for name in table.column_names]))


def test_every_way_of_writing_the_same_rows_reads_alike(tmp_path):
    rows = [question("Ben", 17, n) for n in range(4)]
    plain = squad(tmp_path / "a", rows).data.table
    other = squad(tmp_path / "b", retyped(pa.Table.from_pylist(rows))).data.table
    assert plain.equals(other) and plain.schema.equals(other.schema)


def test_shards_of_different_types_join(tmp_path):
    """int32 beside int64, a column that is null in one shard, an empty list beside a full one."""
    rows = [question("Ben", 17), question("Ada", 0, 1)]
    first = retyped(pa.Table.from_pylist(rows[:1])).append_column("title", pa.nulls(1))
    second = pa.Table.from_pylist([rows[1] | {"title": "t"}])
    empty = pa.Table.from_pylist(
        [question("", 0, 2) | {"answers": {"text": [], "answer_start": []}, "title": None}]
    )
    put(tmp_path, "rajpurkar/squad_v2/squad_v2", "train", first, second, empty)
    found = load("squad_v2", "en", "train", str(tmp_path))
    assert [row["text"] for row in found["answers"]] == [["Ben"], ["Ada"], []]
    pairs = {"premise": "a", "hypothesis": "b"}
    one = pa.Table.from_pylist([pairs | {"label": 1}]).cast(
        pa.schema(
            [("premise", pa.string()), ("hypothesis", pa.large_string()), ("label", pa.int8())]
        )
    )
    put(
        tmp_path,
        "nyu-mll/glue/mnli",
        "train",
        one,
        [pairs | {"label": 2}],
        [pairs | {"label": None}],
    )
    assert list(load("mnli", "en", "train", str(tmp_path))["label"]) == ["neutral", "contradiction"]


def test_shards_that_do_not_fit_together_are_refused(tmp_path):
    put(tmp_path, "nyu-mll/glue/mnli", "train", [{"label": 1}], [{"label": {"a": 1}}])
    with pytest.raises(UserError, match="the files of a split do not fit together"):
        load("mnli", "en", "train", str(tmp_path))


@pytest.mark.parametrize(
    ("names", "message"),
    [
        (["00000-of-00002", "00001-of-00002", "00002-of-00003"], "in 2 and in 3 parts"),
        (["00000-of-00002", "00001-of-00002", "00002-of-00002"], "00002-of-00002.* too many"),
        (["00000-of-00001", "00000-of-00001-0a1b2c"], "too many beside"),
        (["00001-of-00002"], "00000-of-00002.parquet is missing"),
    ],
)
def test_stray_and_doubled_shards_are_refused(tmp_path, names, message):
    place = tmp_path / "nyu-mll/glue/mnli"
    place.mkdir(parents=True)
    rows = pa.table({"premise": ["a"], "hypothesis": ["b"], "label": [1]})
    for name in names:
        pq.write_table(rows, place / f"train-{name}.parquet")
    for read in (load, hub.rows, hub.fingerprint):
        with pytest.raises(UserError, match=message):
            read("mnli", "en", "train", str(tmp_path))


def test_a_file_of_the_whole_split_beside_its_parts_is_refused(tmp_path):
    squad(tmp_path, [question("Ben", 17)])
    folder = tmp_path / "rajpurkar/squad/plain_text"
    (folder / "train.parquet").write_bytes((folder / "train-00000-of-00001.parquet").read_bytes())
    with pytest.raises(UserError, match=r"train.parquet: one file too many beside train-00000-of"):
        load("squad", "en", "train", str(tmp_path))


def test_a_pipe_is_not_waited_for(tmp_path):
    folder = tmp_path / "rajpurkar/squad/plain_text"
    folder.mkdir(parents=True)
    os.mkfifo(folder / "train-00000-of-00001.parquet")
    with pytest.raises(UserError, match=r"train-00000-of-00001.parquet: is not a regular file"):
        load("squad", "en", "train", str(tmp_path))


def test_a_split_without_rows_is_refused(tmp_path):
    rows = pa.Table.from_pylist([question("Ben", 17)])
    with pytest.raises(UserError, match=r"plain_text/train: has no rows; copy it again"):
        squad(tmp_path, rows.slice(0, 0))


# ------------------------------------------------------------------------------ labels


@pytest.mark.parametrize(
    ("labels", "expected"),
    [
        ([0, 1, 2, -1], ["entailment", "neutral", "contradiction"]),
        (["0", "1", "2", "-"], ["entailment", "neutral", "contradiction"]),
        ([0.0, 1.0, 2.0, float("nan")], ["entailment", "neutral", "contradiction"]),
        (["entailment", "neutral", "", None], ["entailment", "neutral"]),
        ([None, True, False, None], ["neutral", "entailment"]),
    ],
)  # fmt: skip
def test_labels_of_every_type(labels, expected):
    raw = pa.table({"premise": ["p"] * 4, "hypothesis": ["h"] * 4, "label": labels})
    assert readers.read(raw, tables.task("mnli"))["label"].to_pylist() == expected


@pytest.mark.parametrize("label", [3, "3", 1.5, "maybe", "1.0", float("inf")])
def test_other_labels_are_refused(label):
    raw = pa.table({"premise": ["p"], "hypothesis": ["h"], "label": [label]})
    with pytest.raises(UserError, match="mnli: column 'label' has the label"):
        readers.read(raw, tables.task("mnli"))


@pytest.mark.parametrize("label", [[0], ["entailment"], {"label": 0}])
def test_a_list_is_no_label(label):
    raw = pa.table({"premise": ["p"], "hypothesis": ["h"], "label": [label]})
    with pytest.raises(UserError, match="mnli: column 'label' must be one label for each row, not"):
        readers.read(raw, tables.task("mnli"))
    raw = pa.table({"tokens": [["a"]], "ner_tags": [0]})
    with pytest.raises(UserError, match="panx: column 'ner_tags' must be a list of tags"):
        readers.read(raw, tables.task("panx"))


def test_hidden_labels_of_a_whole_split_are_refused(tmp_path):
    rows = [{"sentence1": "a", "sentence2": "b", "label": -1}] * 5
    put(tmp_path, "google/xtreme/PAWS-X.de", "test", rows)
    with pytest.raises(UserError, match=r"PAWS-X.de/test: none of its 5 rows has a gold"):
        load("pawsx", "de", data=str(tmp_path))
    put(tmp_path, "google/xtreme/PAN-X.de", "test", [{"tokens": ["a", "b"], "ner_tags": [-1, -1]}])
    with pytest.raises(UserError, match=r"PAN-X.de/test: none of its 1 rows has a gold"):
        load("panx", "de", data=str(tmp_path))


def choices(task, **row):
    return readers.read(pa.Table.from_pylist([row]), tables.task(task))["label"].to_pylist()


@pytest.mark.parametrize(
    ("key", "expected"), [("1", [0]), ("4", [3]), (" 3", [2]), ("", []), (None, [])]
)
def test_answer_keys_are_looked_up_among_the_names_of_the_options(key, expected):
    """ARC has 1..4 in some rows: counted from "A" they became hidden labels and vanished."""
    options = {"label": list("1234"), "text": list("wxyz")}
    assert choices("commonsense_qa", question="q", choices=options, answerKey=key) == expected
    letters = {"label": list("ABCD"), "text": list("wxyz")}
    if expected:
        with pytest.raises(UserError, match=r"row 0: the right option is '.'; allowed: A, B, C, D"):
            choices("commonsense_qa", question="q", choices=letters, answerKey=key)


@pytest.mark.parametrize(
    ("labels", "texts"),
    [("ABC", ["x", "y"]), ("AABB", list("wxyz")), ("A", ["x"]), ("AB", ["", ""]), ("AB", [1, 2])],
)
def test_options_and_their_names_are_compared(labels, texts):
    options = {"label": list(labels), "text": texts}
    with pytest.raises(UserError, match=r"commonsense_qa: row 0: its .*options are"):
        choices("commonsense_qa", question="q", choices=options, answerKey=labels[-1])


def test_options_as_a_list_of_named_texts():
    options = [{"label": 1, "text": "x"}, {"label": 2, "text": "y"}]
    assert choices("commonsense_qa", question="q", choices=options, answerKey="2") == [1]


@pytest.mark.parametrize(
    ("label", "expected"), [(2, [2]), ("2", [2]), (2.0, [2]), ("", []), (-1, [])]
)
def test_labels_of_hellaswag_and_others_as_numbers_and_text(label, expected):
    ends = ["w", "x", "y", "z"]
    assert choices("hellaswag", ctx_a="a", ctx_b="b", endings=ends, label=label) == expected
    answers = {f"answer{k}": str(k) for k in range(4)}
    assert choices("cosmos_qa", context="c", question="q", label=label, **answers) == expected
    copa = {"premise": "p", "question": "q", "choice1": "a", "choice2": "b"}
    if expected:
        with pytest.raises(UserError, match="xcopa: row 0: the right option is '2'; allowed: 0, 1"):
            choices("xcopa", **copa, label=label)
        social = {f"answer{letter}": letter for letter in "ABC"}
        assert choices("social_i_qa", context="c", question="q", label=label, **social) == [1]


def test_rows_without_text_are_counted(tmp_path):
    rows = [{"premise": p, "hypothesis": "h", "label": 0} for p in ("a", None, "b")]
    put(tmp_path, "nyu-mll/glue/mnli", "train", rows)
    with pytest.warns(UserWarning, match="1 row without text"):
        assert list(load("mnli", "en", "train", str(tmp_path))["text"]) == ["a", "b"]


def test_ids_that_occur_again_are_counted(tmp_path):
    ids = [1, 2, 1, 3, 1, 2]
    with pytest.warns(UserWarning, match="3 rows with the id of an earlier row"):
        found = squad(tmp_path, [question("Ada", 0, number) for number in ids])
    assert found["example_id"][:] == ["q1", "q2", "q1#2", "q3", "q1#3", "q2#2"]


@pytest.mark.parametrize("blank", ["", "  ", "\u200b\xa0", "\n\u3000"])
@pytest.mark.parametrize(
    ("task", "column", "other"),
    [
        ("xnli", "premise", {"hypothesis": "b", "label": 0}),
        ("xnli", "hypothesis", {"premise": "b", "label": 0}),
        ("tatoeba", "source_sentence", {"target_sentence": "b"}),
        ("xquad", "question", question("Ben", 17)),
    ],
)
def test_blank_texts_are_counted_and_refused_above_a_share(task, column, other, blank):
    row = tables.task(task)
    rows = [other | {column: "text", "id": str(n)} for n in range(20)]
    rows[7][column] = blank
    for many, of in ((1, 20), (2, 20)):
        rows[8][column] = blank if many == 2 else "text"
        examples = readers.read(pa.Table.from_pylist(rows), row)
        if many == 1:
            kept, found = soundness.sound(examples, of, row, "x")
            assert kept.num_rows == of and found == {"rows with a blank text": 1}
        else:
            with pytest.raises(UserError, match=r"x: 2 of 20 rows have nothing .*first row 7"):
                soundness.sound(examples, of, row, "x")


def test_single_texts_and_choices_without_a_context_are_no_blanks():
    single = tables.Task("own", "target", "classification", "own", labels=("a",))
    rows = pa.table({"text": ["x"] * 3, "label": ["a"] * 3})
    assert soundness.sound(readers.read(rows, single), 3, single, "x")[1] == {}
    copa = tables.task("commonsense_qa")
    choices = {"text": ["a", "b"], "label": ["A", "B"]}
    row = {"question": "q", "choices": choices, "answerKey": "A"}
    rows = pa.Table.from_pylist([row] * 3)
    assert soundness.sound(readers.read(rows, copa), 3, copa, "x")[1] == {}
    blank = row | {"choices": {"text": ["a", "\u3000"], "label": ["A", "B"]}}
    found = soundness.sound(readers.read(pa.Table.from_pylist([row, blank]), copa), 2, copa, "x")
    assert found[1] == {"rows with a blank option": 1}


def test_a_split_without_texts_is_not_called_one_without_gold():
    rows = pa.table({"premise": pa.nulls(2), "hypothesis": ["b", "c"], "label": [0, 1]})
    task = tables.task("mnli")
    with pytest.raises(UserError, match="none of its 2 rows has a text in text"):
        soundness.sound(readers.read(rows, task), 2, task, "x")


def test_sentences_without_words_are_left_out_and_blank_words_counted():
    task = tables.task("udpos")
    words = [["a", "\u200e", " "], [], ["b"]]
    rows = pa.table({"tokens": words, "pos_tags": [["X"] * len(each) for each in words]})
    examples, found = soundness.sound(readers.read(rows, task), 3, task, "x")
    assert examples["tokens"].to_pylist() == [words[0], words[2]]
    assert found == {"rows without text": 1, "rows with a blank word": 1}


def test_every_token_has_a_tag(tmp_path):
    put(tmp_path, "google/xtreme/PAN-X.de", "test", [{"tokens": ["a", "b"], "ner_tags": [0]}])
    with pytest.raises(UserError, match="row de-0 has 2 tokens and 1 tags"):
        load("panx", "de", data=str(tmp_path))


@pytest.mark.parametrize("tag", ["", "NOUN phrase"])
def test_a_tag_is_a_word(tag):
    """Predicted tags are kept with blanks between them."""
    examples = pa.table({"example_id": ["a"], "tokens": [["x"]], "tags": [[tag]]})
    with pytest.raises(UserError, match=r"part: a tag is '.*'; tags must be words without spaces"):
        soundness.sound(examples, 1, tables.task("ccg"), "part")


def test_words_that_look_like_numbers_or_nothing_survive_a_file(tmp_path):
    """`nan` is the code of Min Nan, `na` of Nauruan; pandas reads both as nothing."""
    codes = ["nan", "na", "NA", "null", "no", "007", "1e5"]
    table = pd.DataFrame({"task": "None", "language": codes, "language_2": [*codes[1:], None],
                          "metric": "f1", "score": [0.5, None, *range(5)]})  # fmt: skip
    files.write_text(tmp_path / "scores.csv", table.to_csv(index=False))
    back = files.read_csv(tmp_path / "scores.csv")
    assert back["language"].tolist() == codes and set(back["task"]) == {"None"}
    assert back["language_2"].tolist()[:6] == codes[1:] and back["language_2"].isna()[6]
    assert back["score"].isna().tolist() == [False, True, *[False] * 5]


@given(st.lists(st.sampled_from(["a", "a#2", "a#3", "b", "", "a#2#2"]), max_size=10))
def test_ids_stay_unique(ids):
    made = readers.unique(pa.chunked_array([pa.array(ids, pa.string())])).to_pylist()
    assert len(set(made)) == len(ids)
    firsts = [n for n, each in enumerate(ids) if each not in ids[:n]]
    assert [made[n] for n in firsts] == [ids[n] for n in firsts]
