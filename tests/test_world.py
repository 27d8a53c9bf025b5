"""The generated world: deterministic, parallel, answerable, apart from its training data."""

import hashlib
import random

import pytest

from xtsupport.data import load
from xtsupport.data.world import languages as invented
from xtsupport.data.world import world
from xtsupport.tables import languages, tasks


@pytest.fixture(scope="module")
def tiny(tmp_path_factory):
    folder = tmp_path_factory.mktemp("world")
    world.write_world(folder, seed=0, size="tiny")
    return folder


def digests(folder):
    return {
        str(p.relative_to(folder)): hashlib.sha256(p.read_bytes()).hexdigest()
        for p in sorted(folder.rglob("*"))
        if p.is_file()
    }


def test_same_seed_same_bytes_and_another_seed_other_words(tiny, tmp_path):
    world.write_world(tmp_path / "again", seed=0, size="tiny")
    assert digests(tmp_path / "again") == digests(tiny)
    first, second = invented.make_languages(0)["qta"], invented.make_languages(1)["qta"]
    assert first.words["who"] != second.words["who"] or first.words["soup"] != second.words["soup"]


def test_a_sentence_in_every_kind_of_language():
    """Worked by hand from the grammar: order, adpositions and suffixes."""
    fact = invented.Fact(
        "Ada", "cooked", "soup", number="3", adjective="old", place="kitchen", day="Friday"
    )
    all_words = {w: w for w in [*invented.CONTENT_WORDS, *invented.NAMES, *invented.FUNCTION_WORDS]}
    suffixes = {"object": "ka", "place": "li", "day": "no"}

    def sentence(code):
        return invented.Language(code, all_words, suffixes).sentence(fact)

    assert sentence("qka") == "Ada cooked 3 old soup in kitchen on Friday."
    assert sentence("qta") == "Ada Friday on kitchen in 3 old soup cooked."
    assert sentence("qma") == "Ada cooked 3 old soupka kitchenli Fridayno."
    assert sentence("qfa") == "Ada Fridayno kitchenli 3 old soupka cooked."
    question = invented.Language("qta", all_words, suffixes).question(fact, "object")
    assert question == "What Ada Friday on kitchen in 3 cooked?"


@pytest.mark.parametrize("code", list(invented.LANGUAGES))
def test_answers_stand_where_they_are_said_to(tiny, code):
    for example in load("xquad", code, None, tiny):
        (text,), (start,) = example["answers"]["text"], example["answers"]["answer_start"]
        assert text and example["context"][start : start + len(text)] == text


def test_each_question_has_one_answer_of_two_candidates():
    rng = random.Random(5)
    drawn = world.World(invented.make_languages(0), rng)
    for _ in range(200):
        passage, fact, slot = world.span_question(drawn, ("agent", "object", "day"), False)
        english = drawn.english
        asked = [english.question(other, slot) for other in passage]
        answers = {english.answer(other, slot)[0] for other in passage}
        assert asked.count(english.question(fact, slot)) == 1
        assert len(answers) == 2


def test_squad_v2_asks_other_questions_than_squad_and_some_have_no_answer(tiny):
    def first_words(task):
        return {question.split()[0] for question in load(task, "en", "train", tiny)["question"]}

    assert first_words("squad") == {"Who", "What", "When"}
    assert first_words("squad_v2") == {"Where", "How"}
    empty = [not answers["text"] for answers in load("squad_v2", "en", "train", tiny)["answers"]]
    assert sum(empty) == len(empty) / 3


def test_evaluation_passages_are_not_in_training_sets(tiny):
    seen = set(load("squad", "en", "train", tiny)["context"]) | set(
        load("squad_v2", "en", "train", tiny)["context"]
    )
    assert not seen & set(load("xquad", "en", None, tiny)["context"])
    premises = set(load("mnli", "en", "train", tiny)["text"])
    assert not premises & set(load("xnli", "en", None, tiny)["text"])


def test_parallel_targets_are_parallel_and_labels_balanced(tiny):
    english, other = (load("xnli", code, None, tiny) for code in ("en", "qfb"))
    assert english["example_id"] == other["example_id"] and english["label"] == other["label"]
    assert {english["label"].count(name) for name in set(english["label"])} == {len(english) // 3}


def test_choices_differ_and_the_right_one_is_next(tiny):
    for example in load("hellaswag", "en", "train", tiny):
        assert len(set(example["choices"])) == 4
        agent, verb, *_ = example["context"].rstrip(".").split()
        right = example["choices"][example["label"]].rstrip(".").split()
        order = next(verbs for verbs, _, _ in invented.TOPICS.values() if verb in verbs)
        assert right[0] == agent and order.index(right[1]) == order.index(verb) + 1


def test_tags_align_with_tokens(tiny):
    for example in load("udpos", "qfa", None, tiny):
        assert len(example["tokens"]) == len(example["tags"]) and example["tags"][-1] == "PUNCT"


def test_the_world_brings_its_own_tables(tiny):
    table = languages(tiny)
    assert set(table) == set(invented.LANGUAGES)
    assert all(len(code) == 2 or "qaa" <= code <= "qtz" for code in table)
    assert {row.group for row in table.values()} == set(invented.FAMILIES)
    assert set(tasks(tiny)["xquad"].languages) == set(table)
    assert "en" not in tasks(tiny)["tatoeba"].languages


def test_scripts_are_really_different():
    words = invented.make_languages(0)
    assert all("ა" <= letter <= "ჿ" for letter in words["qga"].words["cooked"])
    assert all("ա" <= letter <= "և" for letter in words["qfa"].words["cooked"])
