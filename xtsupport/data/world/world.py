"""What happens in the generated world: facts and passages, drawn so that none is seen twice."""

import random
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from xtsupport.data.world import languages as invented
from xtsupport.data.world.languages import Fact, Language

OFTEN = {"number": 0.15, "adjective": 0.08, "place": 0.4, "day": 0.4, "negated": 0.05}


@dataclass(frozen=True)
class Size:
    """How many rows of each kind: per language for raw text and evaluation sets."""

    documents: int
    training: int
    evaluation: int

    def splits(self, *evaluation: str) -> list[tuple[str, int]]:
        """(split, rows), evaluation splits first so that training rows keep clear of them."""
        return [*((name, self.evaluation) for name in evaluation), ("train", self.training)]


class World:
    """Draws facts and passages; remembers those of evaluation and training sets.

    No training set gets what is in `evaluation`, and no evaluation set what is in `taken`. `drawn`
    keeps what the rows of a training set say, for its translations.
    """

    def __init__(self, languages: dict[str, Language], rng: random.Random):
        self.languages = languages
        self.english = languages["en"]
        self.rng = rng
        self.evaluation: set[tuple[Fact, ...]] = set()
        self.training: set[tuple[Fact, ...]] = set()
        self.taken: set[tuple[Fact, ...]] = set()
        self.drawn: dict[str, list] = {}

    def chance(self, probability: float) -> bool:
        """True with a probability between 0 and 1."""
        return self.rng.random() < probability

    def fact(self, topic: str, **slots: float) -> Fact:
        """One fact; 85% of its words come from the topic. `slots`: how often each is filled.

        A place or a day, not both: the small encoder reads what stands close to the verb.
        """
        often = OFTEN | slots

        def draw(part: int) -> Any:
            own = topic if self.chance(0.85) else self._topic()
            return self.rng.choice(invented.TOPICS[own][part])

        def pick(slot: str, values: Sequence[str]) -> str | None:
            return self.rng.choice(values) if self.chance(often[slot]) else None

        pairs, object_, place = draw(0), draw(1), draw(2)
        fact = Fact(
            self.rng.choice(invented.NAMES),
            self.rng.choice(pairs),
            object_,
            number=pick("number", invented.NUMBERS),
            adjective=pick("adjective", invented.ADJECTIVES),
            place=pick("place", [place]),
            day=pick("day", invented.DAYS),
            negated=self.chance(often["negated"]),
        )
        if fact.place and fact.day:
            place_stays = often["place"] == 1 or (often["day"] < 1 and self.chance(0.5))
            return fact.having(**{"day" if place_stays else "place": None})
        return fact

    def passage(self, facts: int, shared: str = "", asked: str = "", **slots: float):
        """Facts of one topic, as a tuple: verbs of different meaning, agents all different.

        shared: the slot (agent, object) that all facts have in common; without it, 20% of the facts
        are what one does next with the object of the fact before. asked: where all differ.
        """
        topic = self._topic()
        passage = [self.fact(topic, **slots)]
        while len(passage) < facts:
            following = not shared and self.chance(0.2) and continuation(passage[-1])
            fact = following or self.fact(topic, **slots)
            if shared:
                fact = fact.having(**{shared: getattr(passage[0], shared)})
            apart = {asked, "" if following or shared == "agent" else "agent"} - {""}
            if all(differ(fact, each, apart) for each in passage):
                passage.append(fact)
        if shared == "object":  # and what stands by it
            passage = [replace(fact, adjective=None) for fact in passage]
        return tuple(passage)

    def unseen(self, draw, evaluation: bool) -> tuple[Fact, ...]:
        """Draw until the facts are not those of an evaluation set, or `taken` by a training set."""
        while True:
            facts = draw()
            if facts not in self.evaluation and not (evaluation and facts in self.taken):
                (self.evaluation if evaluation else self.training).add(facts)
                return facts

    def _topic(self) -> str:
        return self.rng.choice(list(invented.TOPICS))


def differ(fact: Fact, other: Fact, slots) -> bool:
    """Whether two facts have verbs of different meaning, and different values in all of `slots`."""
    return fact.verb not in (other.verb, invented.SYNONYM[other.verb]) and all(
        getattr(fact, slot) != getattr(other, slot) for slot in slots
    )


def continuation(fact: Fact) -> Fact | None:
    """What one does next with the same object, or None after a topic's last verb."""
    verb = invented.NEXT_VERB.get(fact.verb)
    return Fact(fact.agent, verb, fact.object) if verb else None


def reworded(fact: Fact) -> Fact:
    """The same event, its verb replaced by the synonym."""
    return replace(fact, verb=invented.SYNONYM[fact.verb])
