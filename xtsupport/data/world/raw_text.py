"""The generated world's raw text: every fact said twice, in other words, as a question, or in
English; what the encoder learns words, synonyms and translations from."""

import re
from dataclasses import dataclass, replace
from pathlib import Path

from xtsupport.data.world import languages as invented
from xtsupport.data.world.languages import Fact, Language
from xtsupport.data.world.mirror import WIKIPEDIA_FEATURES, write
from xtsupport.data.world.world import Size, World, reworded

DROPPED = ("number", "adjective", "place", "day", "agent", "object")


def write_raw_text(folder: Path, world: World, size: Size) -> None:
    """Raw text for masked language modelling, one document a row, laid out like Wikipedia; three
    times as many in English as in any other language."""
    for code, language in world.languages.items():
        count = size.documents * (3 if code == "en" else 1)
        about = {"url": "", "title": "world"}
        rows = [{"id": str(i), **about, "text": document(world, language)} for i in range(count)]
        write(folder, "wikimedia/wikipedia", f"20231101.{code}", "train", rows, WIKIPEDIA_FEATURES)


@dataclass(frozen=True)
class Utterance:
    """A fact as it is said: stated, or asked about and perhaps answered."""

    fact: Fact
    asked: str | None = None
    answered: bool = False

    def text(self, language: Language) -> str:
        """What is said: a sentence, or a question with its answer if it is answered."""
        if self.asked is None:
            return language.sentence(self.fact)
        question = language.question(self.fact, self.asked)
        reply = f" {language.answer(self.fact, self.asked)[0]}." if self.answered else ""
        return question + reply


def document(world: World, language: Language) -> str:
    """Two or three facts said twice: in the same language in other words, or in English (35%).

    Half of the passages are of the kind that questions are asked about: one agent or object.
    """
    shared = world.rng.choice(("agent", "object")) if world.chance(0.5) else ""
    passage = world.passage(world.rng.choice([2, 3]), shared)
    if language is not world.english and world.chance(0.35):
        first = [utterance(world, fact) for fact in passage]
        again = [replace(each, fact=mostly_reworded(world, each.fact)) for each in first]
        other, shuffle = world.english, world.chance(0.5)
    else:
        first = [Utterance(fact) for fact in passage]
        again = [restated(world, fact) for fact in passage]
        other, shuffle = language, True
    again = world.rng.sample(again, len(again)) if shuffle else again
    halves = [[u.text(language) for u in first], [u.text(other) for u in again]]
    if other is language and language is not world.english and world.chance(0.3):
        halves = [[mixed(world, language, text) for text in half] for half in halves]
    halves = halves if world.chance(0.5) else halves[::-1]
    return " ".join(text for half in halves for text in half)


def mostly_reworded(world: World, fact: Fact) -> Fact:
    """The fact, 70% of the time with the synonym of its verb."""
    return reworded(fact) if world.chance(0.7) else fact


def restated(world: World, fact: Fact) -> Utterance:
    """The fact again: other words, 30% of its adjuncts left out, 40% of the time as a question of
    which 40% of the other parts are left out."""
    left_out = [slot for slot in ("place", "day") if world.chance(0.3)]
    said = utterance(world, mostly_reworded(world, fact).having(**dict.fromkeys(left_out)))
    slots = [] if said.asked is None else [s for s in DROPPED if s != said.asked]
    dropped = [slot for slot in slots if world.chance(0.4)]
    return replace(said, fact=said.fact.having(**dict.fromkeys(dropped)))


def utterance(world: World, fact: Fact) -> Utterance:
    """A statement, or (40%) a question, most of them with their answer."""
    if not world.chance(0.4):
        return Utterance(fact)
    slot = world.rng.choice([s for s in invented.QUESTION_WORD if getattr(fact, s)])
    return Utterance(fact, slot, world.chance(0.7))


def mixed(world: World, language: Language, text: str) -> str:
    """Code-switching: 40% of the content words in English."""
    english = {language.words[lemma]: lemma for lemma in invented.CONTENT_WORDS}
    return re.sub(r"\w+", lambda m: english.get(m[0], m[0]) if world.chance(0.4) else m[0], text)
