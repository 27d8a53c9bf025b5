"""Contamination: planted copies are found, the real ones are those that brute force finds."""

import time

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from xtsupport.data import contamination, load
from xtsupport.study import data_check
from xtsupport.study.params.settings import Settings

WORDS = [f"w{k}" for k in range(40)]


def put(folder, dataset, config, split, contexts, questions):
    place = folder / dataset / config
    place.mkdir(parents=True)
    rows = [
        {"id": f"{split}{k}", "context": context, "question": question,
         "answers": {"text": [context[:2]], "answer_start": [0]}}
        for k, (context, question) in enumerate(zip(contexts, questions, strict=True))
    ]  # fmt: skip
    pq.write_table(pa.Table.from_pylist(rows), place / f"{split}-00000-of-00001.parquet")


@pytest.fixture
def planted(tmp_path):
    """Three test contexts: one equal but for case and punctuation, one sharing 13 words, one 12."""
    train = [" ".join(WORDS[:20]), " ".join(WORDS[20:])]
    put(tmp_path, "rajpurkar/squad", "plain_text", "train", train, ["Who is it?", "What?"])
    test = [
        "W0, w1; " + " ".join(WORDS[2:20]) + ".",
        "x y " + " ".join(WORDS[20:33]) + " z",
        "x y " + " ".join(WORDS[20:32]) + " z",
    ]
    put(tmp_path, "google/xtreme", "XQuAD.de", "validation", test, ["who is it", "Where?", "When?"])
    return tmp_path


def test_planted_copies_are_found(planted):
    frame = contamination.shared_texts(
        [("squad", "en", "train")], [("xquad", "de", "validation")], planted
    ).set_index("field")
    assert frame.loc["context", ["texts", "exact", "ngram"]].tolist() == [3, 1, 2]
    assert frame.loc["context", "share"] == pytest.approx(100 * 2 / 3)
    assert frame.loc["question", ["texts", "exact", "ngram"]].tolist() == [3, 1, 0]
    assert frame.loc["question", "example"] == "who is it"


def test_pairs_in_a_table(planted):
    put(planted, "google/xtreme", "XQuAD.es", "validation", ["a b c"], ["Who is it?"])
    splits = [("xquad", code, "validation") for code in ("de", "es")]
    found = contamination.shared_texts([("squad", "en", "train")], splits, planted)
    table = contamination.by_pair(found)
    assert table[["field", "language", "languages"]].values.tolist() == [
        ["question", "es", 2], ["context", "de", 1]
    ]  # fmt: skip
    assert table["share"].tolist() == pytest.approx([100, 200 / 3])
    assert contamination.by_pair(found[found["share"] == 0]).empty


def test_scripts_without_blanks_are_compared_by_character():
    assert contamination.WORD.findall("東京タワー 12, abc_d") == [*"東京タワー", "12", "abc", "d"]
    assert contamination.WORD.findall("กินข้าว") == [*"กินข้าว"]
    assert contamination.WORD.findall("हिन्दी, cafe\u0301।") == ["हिन्दी", "cafe\u0301"]
    assert contamination.WORD.findall("ال، کتاب") == ["ال", "کتاب"]


def test_udpos_training_sentences_that_are_test_sentences(mirror):
    train, test = (
        {tuple(tokens) for tokens in load("udpos", "en", split, mirror)["tokens"][:]}
        for split in ("train", "test")
    )
    frame = contamination.shared_texts(
        [("udpos", "en", "train")], [("udpos", "en", "test")], mirror
    )
    assert len(train & test) > 20
    assert frame["exact"].item() >= len(train & test)  # also those that differ in case or marks


def test_squad_part_and_xquad_are_disjoint(mirror):
    splits = [("squad", "en", "train"), ("squad_v2", "en", "train")]
    frame = contamination.shared_texts(splits, [("xquad", "en", "validation")], mirror)
    assert len(frame) == 4
    assert (frame[["exact", "ngram", "share"]] == 0).all().all()


@pytest.mark.slow
def test_a_whole_study_in_well_under_a_minute(mirror):
    study = Settings(
        study="whole", data=str(mirror), encoder="offline-e5", precision="float32",
        conditions=["none", "squad", "squad_v2", "mnli", "qqp", "commonsense_qa"],
        targets=["xnli", "pawsx", "udpos", "panx", "xquad", "mlqa", "tydiqa", "tatoeba"],
    )  # fmt: skip
    start = time.process_time()
    frame = data_check.contamination(study)
    assert time.process_time() - start < 45
    assert set(frame["target"]) >= {"xnli", "udpos", "xquad", "tatoeba"}
    assert {"squad", "squad_v2", "mnli", "qqp", "commonsense_qa", "udpos", "panx"} <= set(
        frame["training"]
    )
