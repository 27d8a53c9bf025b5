"""Examples side by side, and those that a condition changed most."""

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from xtsupport.cube.browse import (
    Texts,
    changed_examples,
    in_english,
    most_changed,
    plain,
    side_by_side,
)
from xtsupport.data import load
from xtsupport.data.world.generate import world_folder
from xtsupport.data.world.languages import gloss, with_gloss
from xtsupport.errors import UserError


@pytest.fixture(scope="module")
def data():
    return str(world_folder(size="tiny"))


def test_one_question_in_every_language(data):
    shown = side_by_side("xquad", 2, data)
    assert shown["language"][0] == "English" and shown["language"].is_unique
    assert set(shown) == {"language", "family", "question", "context", "answers", "in English"}
    assert all(shown["in English"][1:].str.startswith("word by word: "))
    english = load("xquad", "en", None, data)[2]
    assert shown["question"][0] == english["question"]
    assert shown["answers"][0] == english["answers"]["text"][0]


def test_languages_whose_data_are_not_there_are_left_out_and_said(tmp_path, capsys):
    place = tmp_path / "google/xtreme/XQuAD.de"
    place.mkdir(parents=True)
    answers = {"text": ["Ada"], "answer_start": [0]}
    row = {"id": "1", "context": "Ada kam.", "question": "Wer kam?", "answers": answers}
    pq.write_table(pa.Table.from_pylist([row]), place / "validation-00000-of-00001.parquet")
    shown = side_by_side("xquad", data=str(tmp_path), codes=["de", "ar"])
    assert list(shown["language"]) == ["German"]
    assert (
        "xquad: 1 languages are not shown: xquad: no 'validation' split" in capsys.readouterr().out
    )
    assert side_by_side("xquad", data=str(tmp_path), codes=["ar"]).empty
    with pytest.raises(UserError, match=r"xquad \(de\): has 1 examples"):
        side_by_side("xquad", 1, str(tmp_path), ["de"])


def test_nested_values_become_text():
    row = {"tokens": ["a", "b"], "choices": ["x", "y"], "answers": {"text": []}, "label": 1}
    assert plain(row) == {
        "tokens": "a b",
        "choices": "x | y",
        "answers": "(no answer)",
        "label": 1,
    }


def predictions(data, **scores) -> pd.DataFrame:
    """Two seeds; language_number -> its score under both."""
    rows = []
    for name, score in scores.items():
        code, number = name.split("_")
        example = load("xquad", code, None, data)[int(number)]["example_id"]
        for seed in (0, 1):
            said = f"{score} by {seed}"
            rows.append((example, "f1", score, code, code[:2], seed, said))
    columns = ["example_id", "metric", "score", "language", "family", "seed", "prediction"]
    return pd.DataFrame(rows, columns=columns)


def test_the_most_changed_examples_of_each_family_with_both_answers(data):
    before = predictions(data, qka_0=1.0, qka_1=0.0, qka_2=0.5, qfa_0=0.0, qma_0=0.5)
    after = predictions(data, qka_0=0.0, qka_1=0.75, qka_2=0.5, qfa_0=0.25, qma_0=0.5)
    found = most_changed(after, before, "xquad", data, count=1)
    assert found[["family", "change"]].values.tolist() == [
        ["qf", 25.0],
        ["qk", -100.0],
        ["qk", 75.0],
    ]  # nothing in qm: its example did not change
    gained = found.iloc[2]
    assert gained["question"] == load("xquad", "qka", None, data)[1]["question"]
    assert (gained["baseline said"], gained["treatment said"]) == ("0.0 by 0", "0.75 by 0")
    assert gained["right"] == load("xquad", "qka", None, data)[1]["answers"]["text"][0]


def test_what_both_said_is_of_a_seed_that_changed_as_the_row_says(data):
    """Seed 0 agrees, seed 1 turns; English is left out."""
    before = predictions(data, qka_0=1.0, en_0=1.0)
    after = predictions(data, qka_0=1.0, en_0=0.0)
    after.loc[1, ["score", "prediction"]] = 0.0, "turned"
    found = most_changed(after, before, "xquad", data)
    assert found[["language", "change"]].values.tolist() == [["Arlish", -50.0]]
    assert (found["baseline said"][0], found["treatment said"][0]) == ("1.0 by 1", "turned")
    alone = most_changed(after[after["seed"] == 1], before[before["seed"] == 0], "xquad", data)
    assert (alone["baseline said"][0], alone["treatment said"][0]) == ("1.0 by 0", "turned")


def test_where_no_answer_changed_there_is_nothing_to_show(data):
    both = predictions(data, qka_0=1.0, qfa_0=0.0)
    assert most_changed(both, both, "xquad", data).empty


def test_of_equal_changes_each_family_shows_another_question(data):
    before = predictions(data, qka_0=0.0, qka_1=0.0, qfa_0=0.0, qfa_1=0.0)
    after = predictions(data, qka_0=1.0, qka_1=1.0, qfa_0=1.0, qfa_1=0.5)
    found = most_changed(after, before, "xquad", data, count=1)
    asked = [load("xquad", code, None, data)[n]["question"] for code, n in (("qfa", 0), ("qka", 1))]
    assert found["question"].tolist() == asked


def test_a_foreign_example_is_told_in_english(data):
    """Word by word in an invented language, as the dictionary and the endings say; else the row of
    the same id, where the task is parallel."""
    english = load("xquad", "en", None, data)[0]
    mine = in_english("xquad", "qka", load("xquad", "qka", None, data)[0], Texts(data))
    assert mine.split(" · ")[1] == english["context"]  # Kindric has the English order
    turned = gloss("Eva lepo cooked gol market.", "qta")
    assert turned == "Eva soup cooked in market."
    assert gloss("Eva cooked dagurtu marketna.", "qma") == ("Eva cooked soup-object market-place.")
    assert gloss("Eva kocht Suppe.", "de") == "Eva kocht Suppe."
    assert with_gloss("marketna", "qma") == with_gloss("marketna") == "marketna (market-place)"
    assert with_gloss("market") == with_gloss("market", "qta") == "market"  # a word they share
    assert with_gloss("marketna", "qta") == "marketna (market-place)"  # said in another language
    assert with_gloss("Suppe") == "Suppe"
    assert in_english("xquad", "en", english, Texts(data)) == ""


def test_the_examples_that_a_contrast_changed_most_in_both_directions(data):
    """Of each language at most two each way; what the models said brings the question along."""
    before = predictions(data, qka_0=1.0, qka_1=0.0, qka_2=0.5, qfa_0=0.0).assign(condition="none")
    after = predictions(data, qka_0=0.0, qka_1=0.75, qka_2=0.5, qfa_0=0.25)
    cube = pd.concat([before, after.assign(condition="squad")])
    pair = [(("squad", "plain"), ("none", "plain"))]
    found = changed_examples(lambda task: cube, pair, {"xquad": "f1"}, data)
    assert found[["language", "change"]].values.tolist() == [
        ["qka", 75.0], ["qfa", 25.0], ["qka", -100.0],
    ]  # fmt: skip
    first = found.iloc[0]
    assert first["question"] == load("xquad", "qka", None, data)[1]["question"]
    assert (first["baseline_said"], first["treatment_said"]) == ("0.0 by 0", "0.75 by 0")
    assert first["english"].startswith("word by word: ")
    bare = cube.drop(columns="prediction")
    ids = changed_examples(lambda task: bare, pair, {"xquad": "f1"}, data, count=2)
    assert ids["change"].tolist() == [75.0, -100.0] and "question" not in ids


def test_an_example_of_a_micro_average_counts_with_its_own_f1():
    """2 right and 1 missed: F1 0.8; all wrong: 0; nothing to find and nothing found: 1."""
    counts = pd.DataFrame({"tp": [2, 0, 0], "fp": [0, 1, 0], "fn": [1, 2, 0], "score": [None] * 3})
    counts = counts.astype({"score": float}).assign(metric="f1", family="x", language="de", seed=0)
    after = counts.assign(example_id=["a", "b", "c"])
    before = after.assign(tp=[3, 0, 0], fn=[0, 2, 0])
    cube = pd.concat([before.assign(condition="none"), after.assign(condition="squad")])
    pair = [(("squad", "plain"), ("none", "plain"))]
    found = changed_examples(lambda task: cube, pair, {"udpos": "f1"}, "hub")
    assert found[["example_id", "change"]].values.tolist() == [["a", pytest.approx(-20.0)]]
