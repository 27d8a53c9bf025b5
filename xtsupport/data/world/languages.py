"""Invented languages: lexicons and grammar of the generated world.

Seven families of three languages; English is one more of the first. Kindric has English grammar
and script, and half of its content words. Five families differ from Kindric in one thing each,
Farric in all of them, so that a difference in transfer can be attributed. families.csv has the
factors, and what was meant to transfer; languages.csv (beside this file) their languages.

Every verb has a synonym, in every language. Language codes come from the range that ISO 639-3
reserves for private use (qaa-qtz), and every name is made up, so that nothing computed here can be
taken for evidence about a real language.
"""

import hashlib
import random
import re
from dataclasses import astuple, dataclass, replace
from functools import cache
from itertools import pairwise
from typing import Any

from xtsupport.tables import families, languages

# Verbs (pairs of synonyms, in the order in which one would do them), objects and places that belong
# together.
TOPICS = {
    "kitchen": ([("washed", "cleaned"), ("cooked", "boiled"), ("tasted", "tried")],
                ["soup", "bread", "fish", "rice"], ["kitchen", "cellar"]),
    "garden": ([("planted", "sowed"), ("watered", "sprayed"), ("picked", "plucked")],
               ["rose", "bean", "melon", "tulip"], ["garden", "field"]),
    "workshop": ([("built", "made"), ("painted", "coloured"), ("repaired", "fixed")],
                 ["chair", "table", "lamp", "boat"], ["workshop", "yard"]),
    "market": ([("carried", "brought"), ("weighed", "measured"), ("sold", "traded")],
               ["coat", "basket", "ring", "clock"], ["market", "station"]),
}  # fmt: skip
NAMES = ["Ada", "Ben", "Cora", "Dan", "Eva", "Finn", "Gil", "Hana", "Ivo", "Jun"]
DAYS = ["Monday", "Tuesday", "Wednesday", "Thursday", "Friday"]
ADJECTIVES = ["red", "old", "small", "heavy"]
NUMBERS = ["2", "3", "4", "5", "6"]
FUNCTION_WORDS = ["in", "on", "not", "who", "what", "where", "when", "how_many"]
QUESTION_WORD = {"agent": "who", "object": "what", "place": "where", "day": "when",
                 "number": "how_many"}  # fmt: skip

_PAIRS = [pair for pairs, _, _ in TOPICS.values() for pair in pairs]
SYNONYM = {a: b for pair in _PAIRS for a, b in (pair, pair[::-1])}
_STEPS = [step for pairs, _, _ in TOPICS.values() for step in pairwise(pairs)]
NEXT_VERB = {a: b for now, later in _STEPS for a, b in zip(now, later, strict=True)}
VERBS = list(SYNONYM)
OBJECTS = [noun for _, nouns, _ in TOPICS.values() for noun in nouns]
PLACES = [place for _, _, places in TOPICS.values() for place in places]
WORD_CLASSES = [VERBS, OBJECTS, PLACES, DAYS, ADJECTIVES]
CONTENT_WORDS = [word for words in WORD_CLASSES for word in words]

_LATIN = "abcdefghijklmnopqrstuvwxyz"
_GEORGIAN = dict(zip(_LATIN, "აბცდეფგჰიჯკლმნოპყრსტუვჳხჲზ", strict=True))
_ARMENIAN = dict(zip(_LATIN, "աբցդեֆգհիջկլմնոպքրստւվղխյզ", strict=True))
_LETTERS = {"Geor": _GEORGIAN, "Armn": _ARMENIAN}


FAMILIES = families()
LANGUAGES = {row.code: (row.name, row.family) for row in languages("world").values()}


def dictionary():
    """Every content word in every language, as a DataFrame: language (code), meaning (the English
    word), text."""
    import pandas as pd

    rows = [(code, lemma, language.words[lemma]) for code, language in make_languages().items()
            for lemma in CONTENT_WORDS]  # fmt: skip
    return pd.DataFrame(rows, columns=["language", "meaning", "text"])


def gloss(text: str, code: str) -> str:
    """An invented language's text word by word in English, in its own order; endings after a hyphen
    (`soup-object`). Words that the language does not have stay, and texts of other languages."""
    back = _english_words(code) if code in LANGUAGES and code != "en" else {}
    tell = lambda match: back.get(match[0].lower(), match[0])  # noqa: E731
    told = re.sub(r"\w+", tell, text).replace("how_many", "how many")
    return told[:1].upper() + told[1:] if text[:1].istitle() else told


def with_gloss(text: str, code: str = "") -> str:
    """A text and, in brackets, what it says in English: `zipi (garden)`. In the language of the
    code, else in the first invented one that has its words. Others stay as they are."""
    if text in CONTENT_WORDS:
        return text
    glosses = (gloss(text, each) for each in dict.fromkeys((code, *LANGUAGES)))
    told = next((each for each in glosses if each != text), "")
    return f"{text} ({told})" if told else text


@cache
def _english_words(code: str) -> dict[str, str]:
    """What each word form of a language is in English."""
    language = make_languages()[code]
    back = {word.lower(): lemma for lemma, word in language.words.items()}
    for slot, ending in language.suffixes.items() if language.family.case else ():
        for lemma in CONTENT_WORDS:
            back.setdefault(f"{language.words[lemma]}{ending}".lower(), f"{lemma}-{slot}")
    return {**back, "how many": "how_many"}


@dataclass(frozen=True)
class Fact:
    """One event. Slots that are None are not mentioned."""

    agent: str | None
    verb: str
    object: str | None
    number: str | None = None
    adjective: str | None = None
    place: str | None = None
    day: str | None = None
    negated: bool = False

    def having(self, **slots: Any) -> "Fact":
        """The fact with other values in some slots."""
        return replace(self, **slots)


@dataclass(frozen=True)
class Piece:
    """One constituent of a rendered sentence: its slot, its words and their part-of-speech tags."""

    slot: str
    words: tuple[str, ...]
    tags: tuple[str, ...]


class Language:
    """Renders facts and questions as sentences."""

    def __init__(self, code: str, words: dict[str, str], suffixes: dict[str, str]):
        self.code = code
        self.name, family = LANGUAGES[code]
        self.family = FAMILIES[family]
        self.words = words
        self.suffixes = suffixes

    def pieces(self, fact: Fact, asking: bool = False) -> list[Piece]:
        """The constituents of a sentence in this language's order, without the full stop."""
        word = self.words.__getitem__
        agent = [Piece("agent", (word(fact.agent),), ("PROPN",))] if fact.agent else []
        verb = Piece("verb", (word(fact.verb),), ("VERB",))
        if fact.negated:
            verb = Piece("verb", (word("not"), *verb.words), ("PART", "VERB"))
        late = self.family.order == "SOV" or (
            self.family.order == "SVO/SOV" and not asking and _coin(fact)
        )
        core = [*self._object(fact), verb] if late else [verb, *self._object(fact)]
        adjuncts = self._adjunct("place", fact.place, "in"), self._adjunct("day", fact.day, "on")
        return [*agent, *core, *(piece for piece in adjuncts if piece)]

    def _object(self, fact: Fact) -> list[Piece]:
        number = [Piece("number", (fact.number,), ("NUM",))] if fact.number else []
        if not fact.object:
            return number
        noun = self.words[fact.object] + (self.suffixes["object"] if self.family.case else "")
        if fact.adjective:
            described = (self.words[fact.adjective], noun)
            return [*number, Piece("object", described, ("ADJ", "NOUN"))]
        return [*number, Piece("object", (noun,), ("NOUN",))]

    def _adjunct(self, slot: str, lemma: str | None, preposition: str) -> Piece | None:
        if lemma is None:
            return None
        if self.family.case:
            return Piece(slot, (self.words[lemma] + self.suffixes[slot],), ("NOUN",))
        return Piece(slot, (self.words[preposition], self.words[lemma]), ("ADP", "NOUN"))

    def sentence(self, fact: Fact) -> str:
        """The fact as a sentence, with capital and full stop."""
        return _capital(" ".join(word for piece in self.pieces(fact) for word in piece.words)) + "."

    def question(self, fact: Fact, slot: str) -> str:
        """Ask for one slot of a fact: question word first in every language, the rest in order."""
        rest = [piece.words for piece in self.pieces(fact, asking=True) if piece.slot != slot]
        words = (self.words[QUESTION_WORD[slot]], *(word for words in rest for word in words))
        return _capital(" ".join(words)) + "?"

    def answer(self, fact: Fact, slot: str) -> tuple[str, int]:
        """The words of one slot without a preposition, and where they start in the sentence."""
        start = 0
        for piece in self.pieces(fact):
            for word, tag in zip(piece.words, piece.tags, strict=True):
                if piece.slot == slot and tag != "ADP":
                    words = [w for w, t in zip(piece.words, piece.tags, strict=True) if t != "ADP"]
                    return " ".join(words), start
                start += len(word) + 1
        raise ValueError(f"this fact says nothing about its {slot}: {fact}")


def _coin(fact: Fact) -> bool:
    """Heads or tails, the same for the same fact: which of two orders a statement takes."""
    return bool(hashlib.sha256(repr(astuple(fact)).encode()).digest()[0] & 1)


def _capital(text: str) -> str:
    return text[0].title() + text[1:]  # Georgian has no capitals in running text


@cache
def make_languages(seed: int = 0) -> dict[str, Language]:
    """The languages of the world. The same seed gives the same words on every machine.

    No two families have a word in common but the English ones, and those are the same ones in every
    family that has them.
    """
    rng = random.Random(f"lexicon {seed}")
    english = {word: word for word in CONTENT_WORDS + NAMES + FUNCTION_WORDS}
    languages = {"en": Language("en", english | {"how_many": "how many"}, {})}
    new, kept = _word_maker(rng, set(CONTENT_WORDS)), _in_order_of_taking_over(rng)
    for family in FAMILIES.values():
        taken = set(kept[: round((family.cognates or 0) * len(kept))])
        parent = {lemma: lemma if lemma in taken else new(2) for lemma in CONTENT_WORDS}
        parent |= {lemma: new(1) for lemma in FUNCTION_WORDS}
        for code, (_, name) in LANGUAGES.items():
            if name == family.family and code != "en":
                words = {lemma: word if lemma in taken or rng.random() < 0.8 else new(2)
                         for lemma, word in parent.items()}  # fmt: skip
                languages[code] = Language(code, *_written(words, family.script, rng))
    return {code: languages[code] for code in LANGUAGES}


def _in_order_of_taking_over(rng: random.Random) -> list[str]:
    """The content words, those first that are taken over first: of every class the same share."""
    placed = [((rank + rng.random()) / len(words), lemma) for words in WORD_CLASSES
              for rank, lemma in enumerate(rng.sample(words, len(words)))]  # fmt: skip
    return [lemma for _, lemma in sorted(placed)]


def _written(words: dict, script: str, rng: random.Random) -> tuple[dict, dict]:
    """A language's words, names and case suffixes in its script."""
    endings = rng.sample([c + v for c in "bdgkmnrst" for v in "aeiou"], 3)
    suffixes = dict(zip(("object", "place", "day"), endings, strict=True))
    letters = _LETTERS.get(script, {})
    write = lambda word: "".join(letters.get(letter, letter) for letter in word.lower())  # noqa: E731
    if not letters:
        return words | {name: name for name in NAMES}, suffixes
    words = {lemma: write(word) for lemma, word in words.items()}
    suffixes = {slot: write(ending) for slot, ending in suffixes.items()}
    return words | {name: write(name).title() for name in NAMES}, suffixes


def _word_maker(rng: random.Random, seen: set[str]):
    """Pronounceable words that are all different from each other and from those in `seen`."""

    def new(syllables: int) -> str:
        while True:
            parts = [rng.choice("bdgklmnprstvz") + rng.choice("aeiou") for _ in range(syllables)]
            word = "".join(parts) + rng.choice(["", "n", "r", "s", "l"])
            if word not in seen:
                seen.add(word)
                return word

    return new
