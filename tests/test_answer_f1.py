"""Normalisation and token F1 of answers, worked out by hand from the official scripts' rules."""

import string

import pytest
from hypothesis import given
from hypothesis import strategies as st

from xtsupport.evaluation.answer_f1 import (
    MLQA_ARTICLES,
    segmented_tokens,
    squad_tokens,
    token_f1,
)

TEXTS = st.text(max_size=30) | st.text(alphabet="aAtheן 一二กิ้ น้ำال.,。¿'", max_size=20)
LANGUAGES = st.sampled_from([*MLQA_ARTICLES, "th", "ja", "ru", "my", "xx"])


@pytest.mark.parametrize(
    ("text", "tokens"),
    [
        ("The  Eiffel-Tower, a tower.", ("eiffeltower", "tower")),
        ("a an the", ()),
        ("theatre", ("theatre",)),  # only whole words are articles
        ("Der Turm", ("der", "turm")),  # SQuAD knows English articles only
        ("«Тур»", ("«тур»",)),  # and ASCII punctuation only
        ("北京 大学", ("北京", "大学")),
    ],
)
def test_squad(text, tokens):
    assert squad_tokens(text) == tokens


@pytest.mark.parametrize(
    ("language", "text", "tokens"),
    [
        ("en", "The «Eiffel» Tower", ("eiffel", "tower")),
        ("de", "Die Türme des Doms", ("türme", "doms")),
        ("es", "Los niños, las niñas; ¿un día?", ("niños", "niñas", "día")),
        ("vi", "của những người", ("người",)),
        ("ar", "الكتاب، والبيت", ("كتاب", "و", "بيت")),
        ("hi", "क्या? हाँ।", ("क्या", "हाँ")),
        ("zh", "北京大学（PKU）1898年", ("北", "京", "大", "学", "pku1898", "年")),
        ("zh", "在 Intel 工作", ("在", "intel", "工", "作")),
    ],
)
def test_mlqa(language, text, tokens):
    assert segmented_tokens(text, language) == tokens


@pytest.mark.parametrize(
    ("language", "text", "tokens"),
    [
        ("th", "น้ำดี 12 ปี", ("น้", "ำ", "ดี", "12", "ปี")),  # the tone mark stays on its consonant
        ("th", "ที่ IBM", ("ที่", "ibm")),
        ("ja", "東京タワー", ("東", "京", "タ", "ワ", "ー")),
        ("my", "မြန်မာ", ("မြ", "န်", "မာ")),
        ("ru", "Это «дом», а не сад", ("это", "дом", "а", "не", "сад")),
        ("tr", "Bir ev", ("bir", "ev")),  # no articles where MLQA has none
    ],
)
def test_segmented(language, text, tokens):
    assert segmented_tokens(text, language) == tokens


def test_token_f1():
    # common 2 of 3 and 4: precision 2/3, recall 2/4, F1 = 2 * (1/3) / (7/6) = 4/7
    assert token_f1(("a", "b", "x"), ("a", "b", "c", "d")) == pytest.approx(4 / 7, abs=1e-12)
    # a token counts as often as it occurs on both sides: common 1 of 3 and 1
    assert token_f1(("a", "a", "a"), ("a",)) == pytest.approx(1 / 2, abs=1e-12)


def test_empty_answers():
    assert token_f1((), ()) == 0


@given(TEXTS, TEXTS, LANGUAGES)
def test_f1_is_symmetric_and_bounded(first, second, language):
    for tokens in (squad_tokens, lambda text: segmented_tokens(text, language)):
        a, b = tokens(first), tokens(second)
        assert token_f1(a, b) == pytest.approx(token_f1(b, a), abs=1e-12)
        assert 0 <= token_f1(a, b) <= 1
        assert (token_f1(a, b) > 1 - 1e-12) == (sorted(a) == sorted(b) and bool(a))


@given(TEXTS, LANGUAGES)
def test_normalisation_ignores_case_and_outer_punctuation(text, language):
    tokens = segmented_tokens(text, language)
    assert segmented_tokens(f"  {text}.  ", language) == tokens
    assert squad_tokens(f"  {text}.  ") == squad_tokens(text)
    assert not any(mark in token for token in tokens for mark in string.punctuation)


@given(TEXTS)
def test_segmenting_loses_nothing_but_punctuation_and_space(text):
    joined = "".join(segmented_tokens(text, "th"))
    assert segmented_tokens(joined, "th") == segmented_tokens(joined, "th")
    assert sorted(joined) == sorted("".join(segmented_tokens(text, "ru")))
