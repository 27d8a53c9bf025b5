"""Invented languages: lexicons and grammar of the generated world.

Five families of two or three languages vary what real families vary, one thing at a time, so that a
difference in transfer can be attributed:

========  =========================================================================
Kindric   like English, with many cognates (English itself belongs here)
Turnic    other word order: verb last, postpositions
Markic    other morphology: case suffixes instead of prepositions
Glyphic   other script, no cognates
Farric    all of it at once: verb last, case suffixes, other script, no cognates
========  =========================================================================

Language codes come from the range that ISO 639-3 reserves for private use (qaa-qtz), and every
name is made up, so that nothing computed here can be taken for evidence about a real language.
"""

import random
from dataclasses import dataclass, field

# Objects, verbs (in the order in which one would do them) and places that belong together.
TOPICS = {
    "kitchen": (
        ["washed", "cooked", "tasted"],
        ["soup", "bread", "fish", "rice"],
        ["kitchen", "cellar"],
    ),
    "garden": (
        ["planted", "watered", "picked"],
        ["rose", "bean", "melon", "tulip"],
        ["garden", "field"],
    ),
    "workshop": (
        ["built", "painted", "repaired"],
        ["chair", "table", "lamp", "boat"],
        ["workshop", "yard"],
    ),
    "market": (
        ["carried", "weighed", "sold"],
        ["coat", "basket", "ring", "clock"],
        ["market", "station"],
    ),
}
NAMES = ["Ada", "Ben", "Cora", "Dan", "Eva", "Finn", "Gil", "Hana", "Ivo", "Jun"]
DAYS = ["Monday", "Tuesday", "Wednesday", "Thursday", "Friday"]
ADJECTIVES = ["red", "old", "small", "heavy"]
NUMBERS = ["2", "3", "4", "5", "6"]
FUNCTION_WORDS = ["in", "on", "not", "who", "what", "where", "when", "how_many"]
QUESTION_WORD = {
    "agent": "who",
    "object": "what",
    "place": "where",
    "day": "when",
    "number": "how_many",
}

_VERBS = [verb for verbs, _, _ in TOPICS.values() for verb in verbs]
_OBJECTS = [noun for _, nouns, _ in TOPICS.values() for noun in nouns]
_PLACES = [place for _, _, places in TOPICS.values() for place in places]
CONTENT_WORDS = _VERBS + _OBJECTS + _PLACES + DAYS + ADJECTIVES

_GEORGIAN = dict(zip("abdegiklmnoprstuvz", "აბდეგიკლმნოპრსტუვზ", strict=True))
_ARMENIAN = dict(zip("abdegiklmnoprstuvz", "աբդեգիկլմնոպրստուվզ".replace("ու", "ւ"), strict=True))


@dataclass(frozen=True)
class Family:
    """What the languages of one family have in common."""

    name: str
    cognates: float  # share of content words taken over from English
    verb_last: bool
    case: bool
    script: str  # ISO 15924
    letters: dict = field(default_factory=dict, hash=False)


FAMILIES = {
    family.name: family
    for family in (
        Family("Kindric", 0.6, verb_last=False, case=False, script="Latn"),
        Family("Turnic", 0.4, verb_last=True, case=False, script="Latn"),
        Family("Markic", 0.4, verb_last=False, case=True, script="Latn"),
        Family("Glyphic", 0.0, verb_last=False, case=False, script="Geor", letters=_GEORGIAN),
        Family("Farric", 0.0, verb_last=True, case=True, script="Armn", letters=_ARMENIAN),
    )
}
LANGUAGES = {  # code: (name, family)
    "en": ("English", "Kindric"),
    "qka": ("Arlish", "Kindric"),
    "qkb": ("Borlish", "Kindric"),
    "qkc": ("Corlish", "Kindric"),
    "qta": ("Turnaki", "Turnic"),
    "qtb": ("Turneso", "Turnic"),
    "qtc": ("Turnivu", "Turnic"),
    "qma": ("Markun", "Markic"),
    "qmb": ("Markesh", "Markic"),
    "qmc": ("Markola", "Markic"),
    "qga": ("Glyphari", "Glyphic"),
    "qgb": ("Glyphoru", "Glyphic"),
    "qgc": ("Glyphenu", "Glyphic"),
    "qfa": ("Farossi", "Farric"),
    "qfb": ("Farundel", "Farric"),
}


@dataclass(frozen=True)
class Fact:
    """One event. Slots that are None are not mentioned."""

    agent: str
    verb: str
    object: str
    number: str | None = None
    adjective: str | None = None
    place: str | None = None
    day: str | None = None
    negated: bool = False


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

    def pieces(self, fact: Fact) -> list[Piece]:
        """The constituents of a sentence in this language's order, without the full stop."""
        word = self.words.__getitem__
        agent = Piece("agent", (word(fact.agent),), ("PROPN",))
        verb = Piece("verb", (word(fact.verb),), ("VERB",))
        if fact.negated:
            verb = Piece("verb", (word("not"), *verb.words), ("PART", "VERB"))
        place, day = self._adjunct("place", fact.place, "in"), self._adjunct("day", fact.day, "on")
        if self.family.verb_last:
            order = [agent, day, place, *self._object(fact), verb]
        else:
            order = [agent, verb, *self._object(fact), place, day]
        return [piece for piece in order if piece]

    def _object(self, fact: Fact) -> list[Piece]:
        noun = self.words[fact.object] + (self.suffixes["object"] if self.family.case else "")
        words, tags = (noun,), ("NOUN",)
        if fact.adjective:
            words, tags = (self.words[fact.adjective], noun), ("ADJ", "NOUN")
        number = [Piece("number", (fact.number,), ("NUM",))] if fact.number else []
        return [*number, Piece("object", words, tags)]

    def _adjunct(self, slot: str, lemma: str | None, preposition: str) -> Piece | None:
        if lemma is None:
            return None
        if self.family.case:
            return Piece(slot, (self.words[lemma] + self.suffixes[slot],), ("NOUN",))
        words, tags = (self.words[preposition], self.words[lemma]), ("ADP", "NOUN")
        return (
            Piece(slot, words[::-1], tags[::-1])
            if self.family.verb_last
            else Piece(slot, words, tags)
        )

    def sentence(self, fact: Fact) -> str:
        """The fact as a sentence, with capital and full stop."""
        return _capital(" ".join(word for piece in self.pieces(fact) for word in piece.words)) + "."

    def question(self, fact: Fact, slot: str) -> str:
        """Ask for one slot of a fact: question word first in every language, the rest in order."""
        rest = [piece.words for piece in self.pieces(fact) if piece.slot != slot]
        words = (self.words[QUESTION_WORD[slot]], *(word for words in rest for word in words))
        return _capital(" ".join(words)) + "?"

    def answer(self, fact: Fact, slot: str) -> tuple[str, int]:
        """The words of one slot without an adposition, and where they start in the sentence."""
        start = 0
        for piece in self.pieces(fact):
            for word, tag in zip(piece.words, piece.tags, strict=True):
                if piece.slot == slot and tag != "ADP":
                    words = [w for w, t in zip(piece.words, piece.tags, strict=True) if t != "ADP"]
                    return " ".join(words), start
                start += len(word) + 1
        raise ValueError(f"this fact says nothing about its {slot}: {fact}")


def _capital(text: str) -> str:
    return text[0].title() + text[1:]  # Georgian has no capitals in running text


def make_languages(seed: int = 0) -> dict[str, Language]:
    """The languages of the world. The same seed gives the same words on every machine."""
    rng = random.Random(f"lexicon {seed}")
    english = {word: word for word in CONTENT_WORDS + NAMES + FUNCTION_WORDS} | {
        "how_many": "how many"
    }
    languages = {"en": Language("en", english, {})}
    for family in FAMILIES.values():
        parent = _family_words(family, english, rng)
        for code in (
            code for code, (_, name) in LANGUAGES.items() if name == family.name and code != "en"
        ):
            languages[code] = Language(code, *_language_words(family, parent, rng))
    return {code: languages[code] for code in LANGUAGES}


def _family_words(family: Family, english: dict, rng: random.Random) -> dict[str, str]:
    """The family's parent vocabulary: cognates with English, otherwise new words."""
    new = _word_maker(rng)
    words = {
        lemma: english[lemma] if rng.random() < family.cognates else new(2)
        for lemma in CONTENT_WORDS
    }
    return words | {lemma: new(1) for lemma in FUNCTION_WORDS}


def _language_words(family: Family, parent: dict, rng: random.Random) -> tuple[dict, dict]:
    """One language: most words as in the parent language, the others its own, then its script."""
    new = _word_maker(rng)
    words = {lemma: word if rng.random() < 0.8 else new(2) for lemma, word in parent.items()}
    words = {lemma: _transliterate(word, family.letters) for lemma, word in words.items()}
    foreign = {name: family.letters and rng.random() < 0.5 for name in NAMES}
    names = {
        name: _transliterate(new(2), family.letters).title() if foreign[name] else name
        for name in NAMES
    }
    endings = rng.sample([c + v for c in "bdgkmnrst" for v in "aeiou"], 3)
    suffixes = dict(zip(("object", "place", "day"), endings, strict=True))
    return words | names, {
        slot: _transliterate(end, family.letters) for slot, end in suffixes.items()
    }


def _word_maker(rng: random.Random):
    """Pronounceable words that are all different from each other."""
    seen = set()

    def new(syllables: int) -> str:
        while True:
            parts = [rng.choice("bdgklmnprstvz") + rng.choice("aeiou") for _ in range(syllables)]
            word = "".join(parts) + rng.choice(["", "n", "r", "s", "l"])
            if word not in seen:
                seen.add(word)
                return word

    return new


def _transliterate(word: str, letters: dict) -> str:
    return "".join(letters[letter] for letter in word) if letters else word
