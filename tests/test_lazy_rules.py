"""Lazy rules: what they score where the answer is known by hand, and on the world's questions."""

import random

import pytest

from xtsupport import tables
from xtsupport.data import lazy_rules
from xtsupport.data.lazy_rules import lazy_scores
from xtsupport.data.world import generate
from xtsupport.data.world import languages as invented
from xtsupport.data.world.demo_tasks import (
    SPAN_SLOTS,
    in_question,
    rotated,
    span_question,
    squad_row,
)
from xtsupport.data.world.world import World, reworded


def row(context, question, answer):
    return {"context": context, "question": question, "answers": {"text": [answer]}}


def test_scores_worked_by_hand():
    """Two questions, the first of which is solved by the words it shares with its sentence."""
    scores = lazy_scores([
        row("Ada cooked old soup. Ben sold rice.", "Who sold rice?", "Ben"),
        row("Ada cooked old soup. Ben sold rice.", "What cooked Ada?", "old soup"),
    ])  # fmt: skip
    assert scores["shares most: first new word"] == pytest.approx(50 * (1 + 2 / 3))  # Ben, old
    assert scores["shares most: last new word"] == pytest.approx(50 * (1 + 2 / 3))  # Ben, soup
    assert scores["shares least: first new word"] == 0  # Ada, Ben
    assert scores["first: last word"] == pytest.approx(50 * 2 / 3)  # soup, soup
    assert scores["chance"] == pytest.approx(50 * (1 / 7 + 2 / 7 * 2 / 3))
    # For `who` the first new word of the sentence, for `what` the first or the second.
    assert scores["shares most: position of a new word"] == pytest.approx(50 * (1 + 2 / 3))


def test_the_kind_of_an_answer_is_learned_from_other_questions_only():
    one = row("Rain fell. Ben sold rice.", "Who sold rice?", "Ben")
    assert lazy_scores([one])["last: first of the kind"] == 100  # none known: the first word
    other = row("Ada sold rice. Rain fell.", "Who sold rice?", "Ada")
    both = lazy_scores([one, other])
    assert both["first: first of the kind"] == 50  # Rain is no answer to another who


def test_questions_without_answer_are_left_out():
    empty = row("Ada cooked soup.", "Who sold rice?", "") | {"answers": {"text": []}}
    full = row("Ada cooked soup.", "Who cooked soup?", "Ada")
    assert lazy_scores([full, empty]).equals(lazy_scores([full]))


@pytest.mark.parametrize("code", ["en", *(f"q{family}a" for family in "kngmstf")])
def test_no_lazy_rule_answers_the_questions_of_the_world(code):
    """Without synonyms the right sentence is one of three, or of two where one is a denial: 35.8 in
    expectation; the best of some hundred rules, some of them fitted to these rows, is below 40."""
    language = invented.make_languages(0)[code]
    drawn = World(invented.make_languages(0), random.Random("lazy"))
    questions = [
        rotated(span_question(drawn, SPAN_SLOTS["squad"], True), i % 3) for i in range(600)
    ]
    scores = lazy_scores([squad_row(language, "", *each) for each in questions])
    assert len(scores) > 90 and scores.max() < 40
    assert scores["chance"] < 10


def test_the_rules_would_answer_questions_in_the_passages_own_words():
    """The same passages asked with the verb of the passage: the rule of two lines finds the answer.
    So the rules are able, and it is the synonyms that stop them."""
    drawn = World(invented.make_languages(0), random.Random("lazy"))
    rows = []
    for _ in range(200):
        passage, fact, slot = span_question(drawn, SPAN_SLOTS["squad"], True)
        asked = reworded(in_question(passage, fact, slot))
        made = squad_row(drawn.english, "", passage, fact, slot)
        rows.append(made | {"question": drawn.english.question(asked, slot)})
    assert lazy_scores(rows).max() > 75


def test_a_table_by_language(tiny):
    table = lazy_rules.lazy_table("xquad", tiny, rows=8)
    assert table.columns.tolist() == ["language", "chance", "lazy", "rule"]
    assert table.language.tolist() == list(invented.LANGUAGES)
    assert (table.lazy >= table.chance).all()


def test_what_ships_is_what_the_rules_score():
    """XQuAD comes first of all that the world draws: its questions need nothing else."""
    known = tables.guesses("world").set_index(["condition", "task", "language"])["score"]
    drawn = World(invented.make_languages(0), random.Random("world 0"))
    questions = [
        rotated(span_question(drawn, SPAN_SLOTS["squad"], True), i % 3)
        for i in range(generate.SIZES["full"].evaluation)
    ]
    for code in ("en", "qma", "qfa"):
        rows = [squad_row(drawn.languages[code], "", *each) for each in questions]
        scores = lazy_scores(rows)
        assert known["chance", "xquad", code] == pytest.approx(scores.pop("chance"), abs=0.01)
        assert known["lazy rules", "xquad", code] == pytest.approx(scores.max(), abs=0.01)
    spoken = {(row.name, code) for row in tables.tasks("world").values() for code in row.languages
              if (row.kind, row.role) == ("span", "target")}  # fmt: skip
    assert set(known["lazy rules"].index) == spoken
    assert known["chance", "xnli", "qfa"] == 33.33
