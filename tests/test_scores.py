"""Official scores: worked out by hand, and against seqeval itself."""

import warnings
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
import seqeval.metrics
from hypothesis import given, settings
from hypothesis import strategies as st

from xtsupport import tables
from xtsupport.data import load
from xtsupport.errors import UserError
from xtsupport.evaluation import corpus_score, score, score_examples, scores


def near(**percentages):
    return pytest.approx(percentages, abs=1e-9)


# ---------------------------------------------------------------------------------------- span


REFERENCES = [
    {"id": "1", "answers": ["The Eiffel Tower"]},
    {"id": "2", "answers": ["in 1889", "1889"]},
    {"id": "3", "answers": ["Gustave Eiffel"]},
    {"id": "4", "answers": ["iron"]},
]


def test_squad_v1():
    predictions = {"1": "Eiffel tower.", "2": "1889", "3": "Gustave", "4": "stone"}
    # 1: articles, case and punctuation do not count: 1, 1. 2: the better of two answers: 1, 1.
    # 3: precision 1, recall 1/2: F1 2/3, not exact. 4: 0, 0.
    assert score("xquad", predictions, REFERENCES, "en") == near(
        f1=100 * (1 + 1 + 2 / 3) / 4, exact_match=50, f1_segmented=100 * (1 + 1 + 2 / 3) / 4
    )


def test_an_empty_prediction_scores_nothing_in_squad_v1():
    references = [{"id": "1", "answers": ["the"]}]  # normalises to nothing: exact, but no F1
    expected = near(f1=0, exact_match=100, f1_segmented=0)
    assert score("xquad", {"1": ""}, references, "en") == expected


def test_squad_v2_with_unanswerable_questions():
    references = [
        {"id": "1", "answers": []},
        {"id": "2", "answers": []},
        {"id": "3", "answers": ["old man"]},
        {"id": "4", "answers": ["old man"]},
    ]
    predictions = {"1": "", "2": "man", "3": "", "4": "an old man here"}
    # 1: rightly no answer. 2 and 3: wrong. 4: precision 2/3, recall 1, F1 4/5.
    expected = near(f1=100 * 1.8 / 4, exact_match=25, f1_segmented=100 * 1.8 / 4)
    assert score("squad_v2", predictions, references) == expected


def test_squad_v2_ignores_answers_that_normalise_to_nothing():
    references = [{"id": "1", "answers": ["the", "dog"]}]
    assert score("squad_v2", {"1": ""}, references)["exact_match"] == 0
    references = [{"id": "1", "answers": ["the"]}]  # nothing is left: unanswerable
    assert score("squad_v2", {"1": ""}, references)["exact_match"] == 100


def test_mlqa_is_language_aware():
    references = [{"id": "1", "answers": ["北京大学"]}]
    # by character: common 2 of 2 and 4: F1 2/3
    assert score("mlqa", {"1": "北京"}, references, "zh") == near(
        f1=100 * 2 / 3, exact_match=0, f1_segmented=100 * 2 / 3
    )
    references = [{"id": "1", "answers": ["der Turm"]}]
    assert score("mlqa", {"1": "Turm"}, references, "de")["exact_match"] == 100
    assert score("xquad", {"1": "Turm"}, references, "de") == near(
        f1=100 * 2 / 3, exact_match=0, f1_segmented=100
    )


def test_chinese_f1_of_xquad_is_by_white_space_and_segmented_f1_is_not():
    references = [{"id": "1", "answers": ["北京大学"]}]
    assert score("xquad", {"1": "北京"}, references, "zh") == near(
        f1=0, exact_match=0, f1_segmented=100 * 2 / 3
    )


def test_mlqa_refuses_a_language_that_its_evaluator_does_not_know():
    with pytest.raises(UserError, match=r"mlqa: MLQA's evaluator knows en, es, .* not 'fi'"):
        score("mlqa", {"1": "x"}, [{"id": "1", "answers": ["x"]}], "fi")


def test_mlqa_in_an_invented_language_removes_no_articles():
    """Codes reserved for private use (qaa-qtz) have no MLQA rules: case and punctuation only."""
    references = [{"id": "1", "answers": ["the soup"]}]
    assert score("mlqa", {"1": "The soup!"}, references, "qka")["exact_match"] == 100
    assert score("mlqa", {"1": "soup"}, references, "qka")["f1"] == pytest.approx(200 / 3)


def test_missing_and_left_over_ids_are_refused():
    with pytest.raises(UserError, match=r"xquad \(de\): 3 predictions for 4 references; 1 ids mi"):
        score("xquad", {"1": "", "2": "", "3": ""}, REFERENCES, "de")
    predictions = dict.fromkeys("12345", "")
    with pytest.raises(UserError, match=r"xquad \(de\): 5 predictions for 4 .* references: 5$"):
        score("xquad", predictions, REFERENCES, "de")


TEXT = st.text(alphabet="aAthe 一二กิ้é.,'", max_size=12)
GOLD = TEXT.filter(str.strip)  # blank gold is refused


@given(st.lists(st.tuples(TEXT, st.lists(GOLD, min_size=1, max_size=3)), min_size=1, max_size=5))
def test_span_scores_are_bounded_and_grow_with_gold_answers(cases):
    predictions = {str(k): guess for k, (guess, _) in enumerate(cases)}
    for task in ("xquad", "squad_v2"):
        first = [{"id": str(k), "answers": gold[:1]} for k, (_, gold) in enumerate(cases)]
        every = [{"id": str(k), "answers": gold} for k, (_, gold) in enumerate(cases)]
        few, more = (score(task, predictions, references, "th") for references in (first, every))
        for metric in few:
            assert 0 <= few[metric] <= 100 + 1e-9
            if task == "xquad":
                assert few[metric] <= more[metric] + 1e-9


@given(st.lists(GOLD, min_size=1, max_size=5))
def test_the_gold_answer_is_an_exact_match(answers):
    predictions = {str(k): text for k, text in enumerate(answers)}
    references = [{"id": str(k), "answers": [text]} for k, text in enumerate(answers)]
    assert score("xquad", predictions, references, "en")["exact_match"] == 100
    assert score("squad_v2", predictions, references)["f1"] == pytest.approx(100)


# What is left of each answer, by reading MLQA's rules: articles go where a language has them, and
# in Arabic every alif-lam; punctuation of any script goes; only Chinese is split into characters.
NORMALISED = {
    "en": ("The U.S. — «a» dog", "us dog"),
    "es": ("¿Los niños, o las niñas?", "niños o niñas"),
    "de": ("Dem König einer Stadt …", "könig stadt"),
    "vi": ("Những con của cái nhà", "con nhà"),
    "ar": ("الكتاب، والقلم؟", "كتاب و قلم"),
    "hi": ("एक किताब।", "एक किताब"),
    "zh": ("北京，2008 年（奥运）", "北 京 2008 年 奥 运"),
}


@pytest.mark.parametrize("language", NORMALISED)
def test_mlqa_by_hand_in_every_language(language):
    answer, normal = NORMALISED[language]
    references = [{"id": "1", "answers": [answer]}]
    expected = near(f1=100, exact_match=100, f1_segmented=100)
    assert score("mlqa", {"1": normal}, references, language) == expected
    tokens = normal.split()
    half = score("mlqa", {"1": tokens[0]}, references, language)  # precision 1, recall 1 / n
    assert half["f1"] == pytest.approx(200 / (1 + len(tokens)), abs=1e-9)
    assert half["exact_match"] == 0


def test_thai_is_segmented_by_character_with_its_marks():
    """กิน is kept as กิ น (the vowel sign stays with its consonant); ข้าว as ข้ า ว."""
    references = [{"id": "1", "answers": ["กินข้าว"]}]
    found = score("xquad", {"1": "กิน"}, references, "th")
    assert found == near(f1=0, exact_match=0, f1_segmented=100 * 2 * 2 / (2 + 5))


ANY = st.one_of(TEXT, st.text(max_size=12))
FULL = ANY.filter(str.strip)
SPANS = [("xquad", "th"), ("squad_v2", "en"), *(("mlqa", code) for code in sorted(NORMALISED))]


@given(FULL, FULL, st.sampled_from(SPANS))
def test_prediction_and_answer_can_change_places(first, second, what):
    task, language = what
    one, other = (
        score(task, {"1": guess}, [{"id": "1", "answers": [gold]}], language)
        for guess, gold in ((first, second), (second, first))
    )
    assert one == near(**other)
    assert all(0 <= value <= 100 + 1e-9 for value in one.values())


@given(st.lists(FULL, min_size=1, max_size=4), st.lists(ANY, min_size=1, max_size=4))
def test_the_best_of_several_answers_counts_and_order_does_not(answers, guesses):
    predictions = {str(k): guess for k, guess in enumerate(guesses)}
    for task, language in (("xquad", "zh"), ("mlqa", "zh")):
        single = [
            [score(task, {"1": guess}, [{"id": "1", "answers": [gold]}], language)
             for gold in answers] for guess in guesses
        ]  # fmt: skip
        together = score(
            task, predictions, [{"id": k, "answers": answers[::-1]} for k in predictions], language
        )
        for metric, value in together.items():
            best = [max(scores[metric] for scores in row) for row in single]
            assert value == pytest.approx(sum(best) / len(best), abs=1e-9)


@given(st.sets(st.text(max_size=3), min_size=2, max_size=5), st.data())
def test_any_missing_or_further_id_is_refused(ids, data):
    dropped = data.draw(st.sampled_from(sorted(ids)))
    references = [{"id": identifier, "answers": ["x"]} for identifier in ids]
    predictions = dict.fromkeys(ids - {dropped}, "x")
    with pytest.raises(UserError, match=f"{len(ids) - 1} predictions for {len(ids)} references"):
        score("tydiqa", predictions, references, "fi")
    with pytest.raises(UserError, match=f"{len(ids)} predictions for {len(ids) - 1} references"):
        score("tydiqa", dict.fromkeys(ids, "x"), references[1:], "fi")


# ------------------------------------------------------------------------------------- tagging


UPOS = tables.task("udpos").labels
TAGS = st.sampled_from([*UPOS, "O", "B-PER", "I-PER", "I-LOC", "E-LOC", "S-ORG", "B", "I", "."])


def test_entities_by_hand():
    gold = [["B-PER", "I-PER", "O", "B-LOC"], ["O", "B-ORG"]]
    guess = [["B-PER", "I-PER", "O", "B-ORG"], ["O", "O"]]
    # found: PER right, ORG wrong; missed: LOC, ORG. Precision 1/2, recall 1/3, F1 2/5.
    expected = near(f1=40, precision=50, recall=100 / 3)
    assert score("panx", guess, gold, "de") == expected


def test_part_of_speech_by_hand():
    gold = [["DET", "NOUN", "NOUN", "VERB"]]  # entities: DET, NOUN NOUN, VERB
    guess = [["DET", "NOUN", "PROPN", "VERB"]]  # entities: DET, NOUN, PROPN, VERB
    assert score("udpos", guess, gold, "en") == near(f1=100 * 4 / 7, precision=50, recall=200 / 3)


def test_seqeval_takes_both_conjunctions_for_the_same():
    assert score("udpos", [["SCONJ", "NOUN"]], [["CCONJ", "NOUN"]], "en")["f1"] == 100


def tagged(tags):
    pair = st.integers(1, 6).flatmap(
        lambda n: st.tuples(*[st.lists(tags, min_size=n, max_size=n)] * 2)
    )
    return st.lists(pair, min_size=1, max_size=5)


def any_tags(gold, guess):
    """What the evaluator of a task makes of tags of whatever schemes."""
    free = replace(tables.task("udpos"), labels=())
    return scores._percentages(scores._evaluate(free, gold, guess, "en"))


def by_seqeval(gold, guess):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return {
            name: 100 * getattr(seqeval.metrics, f"{name}_score")(gold, guess)
            for name in ("f1", "precision", "recall")
        }


@settings(max_examples=400)
@given(tagged(TAGS))
def test_tagging_equals_seqeval_in_both_directions(sentences):
    gold, guess = ([list(side) for side in sides] for sides in zip(*sentences, strict=True))
    assert any_tags(gold, guess) == near(**by_seqeval(gold, guess))
    assert any_tags(guess, gold) == near(**by_seqeval(guess, gold))


@settings(max_examples=200)
@given(tagged(st.sampled_from(UPOS)))
def test_counts_per_sentence_add_up(sentences):
    gold, guess = ([list(side) for side in sides] for sides in zip(*sentences, strict=True))
    examples = [{"example_id": str(k), "cluster_id": str(k), "tags": tags}
                for k, tags in enumerate(gold)]  # fmt: skip
    frame = score_examples("udpos", examples, guess, "en")
    assert frame["score"].isna().all() and len(frame) == len(gold)
    assert corpus_score("udpos", frame) == score("udpos", guess, gold, "en")


def test_sentences_of_unequal_length_are_refused():
    with pytest.raises(UserError, match=r"panx \(de\): sentence 1: 1 predictions for 2 references"):
        score("panx", [["O"], ["O"]], [["O"], ["O", "O"]], "de")


def test_token_accuracy():
    assert score("ccg", [["N", "NP"], ["N"]], [["N", "N"], ["N"]]) == near(accuracy=200 / 3)


# ------------------------------------------------------------- labels, choices, sentence pairs


def test_accuracy():
    assert score("xnli", ["neutral"] * 3, ["neutral", "neutral", "entailment"], "sw") == near(
        accuracy=200 / 3
    )
    assert score("hellaswag", [0, 1, 2, 3], [0, 1, 2, 0]) == near(accuracy=75)
    assert score("tatoeba", [0, 1, 1], [0, 1, 2], "de") == near(accuracy=200 / 3)


@pytest.mark.parametrize("names", [("not_duplicate", "duplicate"), (0, 1)])
def test_qqp_has_the_f1_of_duplicate(names):
    gold = [names[k] for k in (1, 1, 1, 0, 0)]
    guess = [names[k] for k in (1, 0, 0, 1, 0)]
    # tp 1, fp 1, fn 2
    assert score("qqp", guess, gold) == near(
        accuracy=40, f1=100 * 2 / 5, precision=50, recall=100 / 3
    )


def test_unequal_lengths_are_refused():
    with pytest.raises(UserError, match=r"xnli \(sw\): 1 predictions for 2 references"):
        score("xnli", ["neutral"], ["neutral", "neutral"], "sw")
    with pytest.raises(UserError, match="nothing to score"):
        score("xnli", [], [], "sw")


@given(st.integers(0, 4), st.integers(0, 4), st.sampled_from(["xnli", "tatoeba", "panx", "ccg"]))
def test_any_unequal_length_is_refused(first, second, task):
    label = {"xnli": "neutral", "tatoeba": 0}.get(task, ["O"])
    if first == second and first:
        assert max(score(task, [label] * first, [label] * second).values()) <= 100
    else:
        with pytest.raises(UserError, match=f"{first} predictions for {second}|nothing to score"):
            score(task, [label] * first, [label] * second)


@given(st.lists(st.tuples(*[st.sampled_from(["neutral", "entailment"])] * 2), min_size=1))
def test_accuracy_is_symmetric_and_a_share_of_the_rows(pairs):
    guess, gold = (list(side) for side in zip(*pairs, strict=True))
    found = score("xnli", guess, gold, "ur")
    assert found == score("xnli", gold, guess, "ur")
    assert found == near(accuracy=100 * sum(a == b for a, b in pairs) / len(pairs))


def test_bucc():
    gold = [("a", "1"), ("b", "2"), ("c", "3")]
    guess = [("a", "1"), ("a", "1"), ("b", "3")]
    assert score("bucc", guess, gold, "de") == near(f1=40, precision=50, recall=100 / 3)
    assert score("bucc", [], gold, "de") == near(f1=0, precision=0, recall=0)
    frame = score_examples("bucc", gold, guess, "de").set_index("example_id")
    assert frame[["tp", "fp", "fn"]].to_numpy().tolist() == [[1, 0, 0], [0, 1, 1], [0, 0, 1]]
    assert corpus_score("bucc", frame) == score("bucc", guess, gold, "de")


@given(
    st.sets(st.tuples(st.sampled_from("abcd"), st.sampled_from("1234")), min_size=1),
    st.sets(st.tuples(st.sampled_from("abcd"), st.sampled_from("1234")), min_size=1),
)
def test_bucc_is_symmetric(first, second):
    one, other = score("bucc", first, second, "de"), score("bucc", second, first, "de")
    assert one["f1"] == pytest.approx(other["f1"], abs=1e-9)
    assert one["precision"] == pytest.approx(other["recall"], abs=1e-9)


# --------------------------------------------------------------------- what load() returns


@pytest.mark.parametrize(
    ("task", "language", "split", "column"),
    [
        ("xnli", "th", None, "label"),
        ("udpos", "ar", None, "tags"),
        ("panx", "zh", "validation", "tags"),
        ("commonsense_qa", "en", None, "label"),
        ("qqp", "en", None, "label"),
    ],
)
def test_gold_scores_100_on_real_rows(mirror, task, language, split, column):
    examples = load(task, language, split, mirror).select(range(100))
    gold = examples[column][:]
    frame = score_examples(task, examples, gold, language)
    assert set(corpus_score(task, frame).values()) == {100.0}
    assert corpus_score(task, frame) == score(task, gold, gold, language)


@pytest.mark.parametrize("language", ["ar", "hi", "th", "zh"])
def test_real_answers_of_xquad_in_every_kind_of_script(mirror, language):
    examples = load("xquad", language, None, mirror)
    gold = [answers["text"][0] for answers in examples["answers"]]
    frame = score_examples("xquad", examples, gold, language)
    assert set(corpus_score("xquad", frame).values()) == {100.0}
    assert list(frame.columns) == [
        "example_id", "cluster_id", "metric", "score", "tp", "fp", "fn"
    ]  # fmt: skip
    assert len(frame) == 3 * 1190 and frame["cluster_id"].nunique() == 240
    halves = [text[: (len(text) + 1) // 2] for text in gold]
    scores = corpus_score("xquad", score_examples("xquad", examples, halves, language))
    assert 0 < scores["f1"] < 100 and 0 < scores["f1_segmented"] < 100
    if language in ("th", "zh"):  # half an unsegmented answer shares no white-space token
        assert scores["f1"] < scores["f1_segmented"] - 20


def test_tatoeba_gold_is_the_row_number(mirror):
    examples = load("tatoeba", "he", None, mirror).select(range(4))
    frame = score_examples("tatoeba", examples, [0, 1, 3, 3], "he")
    assert frame["score"].tolist() == [1, 1, 0, 1]


# ------------------------------------------------------------------- as people give them


GUESS = {"1": "Ada", "2": "soup"}
RIGHT = near(f1=100, exact_match=100, f1_segmented=100)


@pytest.mark.parametrize(
    "answer",
    [
        lambda text: text,
        lambda text: [text],
        lambda text: {"text": [text], "answer_start": [3]},
        lambda text: {"text": text, "answer_start": 3},
        lambda text: [{"text": text, "answer_start": 3}],
        lambda text: np.array([text, text]),
    ],
)
def test_gold_answers_of_every_form(answer):
    references = [{"id": key, "answers": answer(text)} for key, text in GUESS.items()]
    assert score("xquad", GUESS, references, "de") == RIGHT
    listed = [{"id": key, "prediction_text": text} for key, text in GUESS.items()]
    assert score("xquad", listed, references, "de") == RIGHT
    numbers = [row | {"id": int(row["id"])} for row in references]
    assert score("xquad", GUESS, numbers, "de") == RIGHT


@pytest.mark.parametrize("nothing", [None, float("nan"), "", pd.NA])
def test_a_null_prediction_is_no_answer(nothing):
    references = [{"id": "1", "answers": []}, {"id": "2", "answers": None},
                  {"id": "3", "answers": ["soup"]}]  # fmt: skip
    found = score("squad_v2", {"1": nothing, "2": nothing, "3": nothing}, references)
    assert found == near(f1=200 / 3, exact_match=200 / 3, f1_segmented=200 / 3)
    references = [{"id": key, "answers": [text]} for key, text in GUESS.items()]
    assert score("xquad", GUESS | {"2": nothing}, references)["f1"] == 50


@pytest.mark.parametrize("task", ["pawsx", "hellaswag", "tatoeba"])
@pytest.mark.parametrize("kind", [str, int, float, np.int64, np.str_, bool])
def test_labels_of_another_type_are_the_same_labels(task, kind):
    gold, guess = [0, 1, 1, 0], [kind(value) for value in (0, 1, 0, 0)]
    if kind is bool:
        assert score(task, [True, True], [1, 0]) == near(accuracy=50)
    else:
        assert score(task, guess, gold) == score(task, gold, guess) == near(accuracy=75)


def test_labels_by_name_and_by_number():
    gold = ["entailment", "neutral", "contradiction", "neutral"]
    assert score("xnli", [0, 1, 2, 2], gold, "sw") == near(accuracy=75)
    assert score("xnli", ["0", "1", "2", None], gold, "sw") == near(accuracy=75)
    assert tables.task("panx").labels[:2] == ("O", "B-PER")
    assert score("panx", [[1, 0]], [["B-PER", "O"]], "de")["f1"] == 100


@pytest.mark.parametrize(
    ("task", "predictions", "references", "message"),
    [
        ("xnli", ["ENTAILMENT"] * 2, ["entailment"] * 2, "'ENTAILMENT' is not a label of the task"),
        ("xnli", ["LABEL_0"] * 2, [0, 0], "allowed: entailment, neutral, contradiction"),
        ("hellaswag", ["A", "B"], [0, 1], "'A' is not a label .* numbers, counted from 0"),
        ("panx", ["O B-PER"], [["O", "B-PER"]], "sentence 0: its tags must be a list, not 'O"),
        ("panx", [["O", None]], [["O", "O"]], "sentence 0: a word without a tag"),
        ("panx", [["O"]], [["B-MISC"]], "reference 0 has 'B-MISC', not a tag of .*; allowed: O"),
        ("panx", [["O"], ["O"]], [["O"], [7]], "reference 1 has '7', not a tag of the task"),
        ("panx", [["PER", "X"]], [["O", "O"]], "'PER' is not a tag of the task, nor is any other"),
        ("udpos", [["NN"]], [["NOUN"]], "'NN' is not a tag of the task, .* allowed: ADJ, ADP"),
        ([1], [0], [0], r"unknown task \[1\]"),
        (None, [0], [0], "unknown task None"),
        ("xquad", {"1": "a"}, np.array(3), "references must be a list of {'id'"),
        ("bucc", ["ab"], [("a", "b")], "predictions must be pairs .* not 'ab'"),
        ("bucc", [np.ma.masked], [("a", "b")], "predictions must be pairs"),
        ("bucc", [("en-1", "de-1")], [("de-1", "en-1")], "source and target are swapped"),
        ("bucc", [("a", "b")], [], "nothing to score: 0 pairs"),
        ("tatoeba", ["a", "b"], [0, 1], "'a' is not a label .* numbers, counted from 0"),
        ("tatoeba", [[0], [1]], [0, 1], r"prediction 0 must be one label, not '\[0\]'"),
        ("xnli", [0, 1], [-1, -1], "reference 0 is '-1', not a label of the task; allowed: ent"),
        ("xnli", [0, 1], [0, None], "reference 1 is '', not a label of the task"),
        ("xnli", [0, 1], [3, 4], "reference 0 is '3', not a label"),
        ("xnli", [float("inf")], [0], "'inf' is not a label of the task"),
        ("xnli", np.zeros((2, 3)), [0, 1], "prediction 0 must be one label"),
        ("xnli", None, [0], "predictions must be a list, not 'None'"),
        ("xnli", [0], 0, "references must be a list, not '0'"),
        ("panx", [{"O", "B-PER"}], [["O", "B-PER"]], "sentence 0: its tags must be a list"),
        ("panx", [[["O"]]], [["O"]], "its tags must be one list of tags"),
        ("bucc", None, [("a", "b")], "predictions must be a list, not 'None'"),
        ("bucc", [iter("ab")], [("a", "b")], "predictions must be pairs"),
        ("bucc", [(["a"], "b")], [("a", "b")], "predictions must be one id each"),
        ("xquad", {"1": ""}, [{"id": "1", "answers": {"text": [""]}}], "question without an answ"),
        ("xquad", {"1": "Ada"}, [{"id": "1", "answers": b"Ada"}], "answers of 1 must be a list"),
        ("xquad", {"1": "Ada"}, [{"id": "1", "answers": object()}], "answers of 1 must be a list"),
        ("xquad", {"1": "Ada", 1: "Ben"}, [{"id": "1", "answers": "Ada"}], "1 ids have several"),
        ("xquad", [{"id": "1", "prediction_text": "Ada"}] * 2, [{"id": "1", "answers": "Ada"}],
         r"2 predictions for 1 references; 1 ids have several: 1"),
        ("xquad", {"1": ["Ada"]}, [{"id": "1", "answers": ["Ada"]}], "prediction 1 must be text"),
        ("xquad", {"1": "Ada"}, {"1": ["Ada"]}, "references must be a list of {'id'"),
        ("xquad", ["Ada"], [{"id": "1", "answers": ["Ada"]}], "predictions must be a list of {'id"),
        ("xquad", {"1": "Ada"}, [{"answers": ["Ada"]}], "references must be a list of {'id'"),
    ],
)  # fmt: skip
def test_what_could_only_score_0_is_refused(task, predictions, references, message):
    with pytest.raises(UserError, match=message):
        score(task, predictions, references, "de")


def test_a_tag_of_another_vocabulary_is_a_wrong_one():
    assert score("panx", [["O", "B-MISC"]], [["O", "B-PER"]], "de")["f1"] == 0
    assert score("hellaswag", [10**400, 0], [0, 0]) == near(accuracy=50)


@pytest.mark.parametrize("examples", [None, 3, "x", [1], {}, [{"example_id": "1"}]])
def test_examples_that_are_none_are_one_line(examples):
    with pytest.raises(UserError, match="examples must be what load"):
        score_examples("xnli", examples, ["neutral"])


def test_iterators_are_lists():
    assert score("xnli", iter([0, 1]), (n for n in [0, 1])) == near(accuracy=100)
    assert score("xnli", [0, pd.NA], [0, 1]) == near(accuracy=50)
    assert score("xcopa", np.array([True, False]), [1, 0]) == near(accuracy=100)
    assert score("bucc", iter([("a", "b")]), iter([("a", "b")]), "de")["f1"] == 100
    assert score("panx", iter([iter(["O", "B-PER"])]), [("O", "B-PER")], "de")["f1"] == 100


@pytest.mark.parametrize("language", [None, 3, "x" * 5000])
def test_a_language_is_a_short_text(language):
    references = [{"id": "1", "answers": ["Ada"]}]
    with pytest.raises(UserError) as error:
        score("mlqa", {"1": "Ada"}, references, language)
    assert len(str(error.value)) < 250


def test_errors_stay_short():
    huge = "Ada " * 50_000
    for task, predictions, references in (
        ("xquad", {huge: "x"}, [{"id": "1", "answers": ["x"]}]),
        ("xquad", {"1": "x"}, [{"id": huge, "answers": ["x"]}]),
        ("xquad", [huge], [huge]),
        ("xnli", [huge], ["neutral"]),
        ("panx", [huge], [["O"]]),
        ("bucc", [huge], [("a", "b")]),
        (huge, [], []),
    ):
        for language in ("de", huge):
            with pytest.raises(UserError) as error:
                score(task, predictions, references, language)
            assert all(len(problem) < 500 for problem in error.value.problems)
