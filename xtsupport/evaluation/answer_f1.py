"""How answers are compared: the normalisations and token F1 of SQuAD, MLQA and f1_segmented.

SQuAD v1.1 and v2 (Rajpurkar et al. 2016, 2018): lower case, without ASCII punctuation, without
English articles, split at white space, whatever the language. XTREME scores XQuAD and TyDiQA so.

MLQA (Lewis et al. 2020): lower case, without Unicode punctuation, without the articles of the
answer's language, split at white space; Chinese characters are tokens of their own.

f1_segmented: MLQA's normalisation, for every language. MLQA has no articles for the others, so
nothing is removed there. Scripts written without blanks (Han and kana, Thai, Lao, Khmer, Burmese)
are split into characters; a combining vowel or tone mark stays with the character before it.
"""

import re
import string
import unicodedata
from functools import lru_cache

SQUAD_ARTICLES = re.compile(r"\b(a|an|the)\b")
# The Arabic pattern takes every alif-lam out, also inside a word: so does MLQA's script.
MLQA_ARTICLES = {
    "en": re.compile(r"\b(a|an|the)\b"),
    "es": re.compile(r"\b(un|una|unos|unas|el|la|los|las)\b"),
    "de": re.compile(r"\b(ein|eine|einen|einem|eines|einer|der|die|das|den|dem|des)\b"),
    "vi": re.compile(r"\b(của|là|cái|chiếc|những)\b"),
    "ar": re.compile("ال"),
    "hi": None,
    "zh": None,
}
HAN = "\u4e00-\u9fa5"  # the range of MLQA's script
UNSEGMENTED = HAN + "\u3040-\u30ff\u31f0-\u31ff\u0e00-\u0e7f\u0e80-\u0eff\u1780-\u17ff\u1000-\u109f"
CHARACTERS = map(chr, range(0x0E00, 0x30A0))
MARKS = "".join(each for each in CHARACTERS if unicodedata.category(each).startswith("M"))
SEGMENTS = {
    "zh": re.compile(f"[{HAN}]|[^{HAN}\\s]+"),
    "": re.compile(f"[{UNSEGMENTED}][{MARKS}]*|[^{UNSEGMENTED}\\s]+"),
}
_NO_ASCII_PUNCTUATION = str.maketrans("", "", string.punctuation)


class _Unpunctuated(dict):
    """A table for str.translate that drops Unicode punctuation, filled as characters occur."""

    def __missing__(self, code):
        mark = unicodedata.category(chr(code)).startswith("P") or chr(code) in string.punctuation
        self[code] = None if mark else code
        return self[code]


_NO_PUNCTUATION = _Unpunctuated()


@lru_cache(maxsize=1 << 16)
def squad_tokens(text: str) -> tuple[str, ...]:
    """Tokens of an answer as SQuAD v1.1 and v2 compare them."""
    text = text.lower().translate(_NO_ASCII_PUNCTUATION)
    return tuple(SQUAD_ARTICLES.sub(" ", text).split())


@lru_cache(maxsize=1 << 16)
def segmented_tokens(text: str, language: str) -> tuple[str, ...]:
    """Tokens of an answer as MLQA compares them in its seven languages, and alike in others."""
    text = text.lower().translate(_NO_PUNCTUATION)
    if language not in MLQA_ARTICLES:
        return tuple(SEGMENTS[""].findall(text))
    articles = MLQA_ARTICLES[language]
    text = articles.sub(" ", text) if articles else text
    return tuple(SEGMENTS["zh"].findall(text) if language == "zh" else text.split())


def token_f1(prediction: tuple[str, ...], gold: tuple[str, ...]) -> float:
    """F1 of two bags of tokens, 0 without a common one, as in SQuAD v1.1 and MLQA."""
    if prediction == gold:
        return float(bool(gold))
    common = sum(min(prediction.count(t), gold.count(t)) for t in set(prediction) & set(gold))
    if not common:
        return 0.0
    precision, recall = common / len(prediction), common / len(gold)
    return 2 * precision * recall / (precision + recall)
