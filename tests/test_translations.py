"""Translated training sets: row by row the English ones, sound, and noisy as much as is said."""

import random

import pytest

from xtsupport.data import hub, load
from xtsupport.data.world import languages as invented
from xtsupport.data.world import translations

CODES = [code for code in invented.LANGUAGES if code != "en"]


@pytest.mark.parametrize("code", ["qka", "qtb", "qfa"])
def test_rows_are_those_of_the_english_set(tiny, code):
    for task in ("squad", "mnli"):
        english, other = (load(task, each, "train", tiny) for each in ("en", code))
        assert len(english) == len(other) and hub.rows(task, code, "train", tiny) == len(other)
    assert english["label"] == other["label"]
    assert sum(a == b for a, b in zip(english["text"], other["text"], strict=True)) < 5


def test_answers_stand_where_they_are_said_to(tiny):
    for code in CODES:
        for row in load("squad", code, "train", tiny):
            (text,), (start,) = row["answers"]["text"], row["answers"]["answer_start"]
            assert text and row["context"][start : start + len(text)] == text


def test_numbers_are_never_translated(tiny):
    """Digits are the same in every language: a row by row check that facts are the same."""

    def digits(text):
        return sorted(letter for letter in text if letter.isdigit())

    for code in CODES:
        rows = zip(
            load("mnli", "en", "train", tiny), load("mnli", code, "train", tiny), strict=True
        )
        assert all(digits(a["text"]) == digits(b["text"]) for a, b in rows)


def test_tagged_sentences_have_no_noise(tiny):
    """Every word of the annotated sets is a word of the language (or a digit, or a full stop)."""
    for code, language in invented.make_languages(0).items():
        if code == "en":
            continue
        known = {word.lower() for word in language.words.values()}
        endings = tuple(language.suffixes.values())
        for row in load("udpos", code, "train", tiny):
            for token, tag in zip(row["tokens"], row["tags"], strict=True):
                bare = {token.lower(), *(token.lower().removesuffix(end) for end in endings)}
                assert tag in ("NUM", "PUNCT") or bare & known


def test_the_dictionary_is_wrong_as_often_as_is_said():
    """Over 21 languages of 57 content words, but for cognates: three standard errors."""
    languages, rng = invented.make_languages(0), random.Random(1)
    left = wrong = total = 0
    for code in CODES:
        sound, machine = languages[code], translations.translator(languages[code], rng)
        for lemma in invented.CONTENT_WORDS:
            if sound.words[lemma] == lemma:
                continue  # a cognate
            total += 1
            left += machine.words[lemma] == lemma
            wrong += machine.words[lemma] not in (lemma, sound.words[lemma])
        assert machine.suffixes == sound.suffixes and machine.words["who"] == sound.words["who"]
    for found, share in ((left, 0.10), (wrong, 0.05)):
        assert abs(found / total - share) < 3 * (share * (1 - share) / total) ** 0.5
