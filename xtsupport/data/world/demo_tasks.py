"""The data sets of the demo's tasks: what is drawn from the world, as rows of the real ones."""

from dataclasses import replace
from pathlib import Path

from xtsupport.data.world import languages as invented
from xtsupport.data.world.languages import Fact, Language
from xtsupport.data.world.mirror import (
    HELLASWAG_FEATURES,
    NLI_FEATURES,
    SQUAD_FEATURES,
    TATOEBA_FEATURES,
    UDPOS_FEATURES,
    UPOS,
    write,
)
from xtsupport.data.world.world import Size, World, continuation, reworded

SPAN_SLOTS = {"squad": ("agent", "object"), "squad_v2": ("place", "number")}
FACTS = 3  # of a passage that is asked about
DENIED = 0.15  # of these passages hold a wrong sentence with every word of the question, and "not"


def write_span_targets(folder: Path, world: World, size: Size) -> None:
    """XQuAD in every language (parallel), SQuAD v1.1 and v2 in English."""
    drawn = (span_question(world, SPAN_SLOTS["squad"], True) for _ in range(size.evaluation))
    questions = [rotated(each, i % FACTS) for i, each in enumerate(drawn)]
    for code, language in world.languages.items():
        rows = [squad_row(language, f"xq{i}", *q) for i, q in enumerate(questions)]
        write(folder, "google/xtreme", f"XQuAD.{code}", "validation", rows, SQUAD_FEATURES)
    for task, config in (("squad", "plain_text"), ("squad_v2", "squad_v2")):
        for split, count in size.splits("validation"):
            rows, world.drawn[task] = [], []
            for i in range(count):
                question = span_question(world, SPAN_SLOTS[task], split == "validation")
                if task == "squad_v2" and i % 3 == 0:
                    question = unanswerable(world, question)
                world.drawn[task].append(question)
                rows.append(squad_row(world.english, f"{task}-{split}-{i}", *question))
            write(folder, f"rajpurkar/{task}", config, split, rows, SQUAD_FEATURES)


def span_question(world: World, slots: tuple[str, ...], evaluation: bool):
    """(passage, the fact that is asked about, the slot).

    All facts share their object or their agent, and no two verbs mean the same; so the question,
    which has the shared word and the *synonym* of the right fact's verb, shares no more words with
    the right sentence than with the others. In `DENIED` of the passages it shares more with a wrong
    one, which says that somebody did not do what is asked about.
    """
    slot = world.rng.choice(slots)
    both = ("agent", "object")
    shared = both[slot == "agent"] if slot in both else world.rng.choice(both)
    filled = {slot: 1.0} if slot in ("place", "number") else {}

    denied = world.chance(DENIED)
    right, wrong = world.rng.sample(range(FACTS), 2)

    def draw():
        passage = list(world.passage(FACTS, shared, slot, **filled))
        if denied:
            verb = invented.SYNONYM[passage[right].verb]
            passage[wrong] = replace(passage[wrong], verb=verb, negated=True)
        return tuple(passage)

    passage = world.unseen(draw, evaluation)
    return passage, passage[right], slot


def rotated(question: tuple[tuple[Fact, ...], Fact, str], place: int):
    """The same question with the right fact at a place: an evaluation set has each equally often,
    so that always taking the first sentence is no good luck."""
    passage, fact, slot = question
    turn = passage.index(fact) - place
    return passage[turn:] + passage[:turn], fact, slot


def in_question(passage: tuple[Fact, ...], fact: Fact, slot: str) -> Fact:
    """What a question for a slot of a fact says: the verb's synonym and what all facts share."""
    kept = [each for each in ("agent", "object") if len({getattr(f, each) for f in passage}) == 1]
    said = {each: getattr(fact, each) for each in (*kept, slot)}
    return replace(Fact(None, invented.SYNONYM[fact.verb], None), **said)


def unanswerable(world: World, question):
    """Ask about something that nobody does in the passage."""
    passage, fact, slot = question
    done = {verb for each in passage for verb in (each.verb, invented.SYNONYM[each.verb])}
    absent = [verb for verb in invented.VERBS if verb not in done]
    return passage, replace(fact, verb=world.rng.choice(absent)), slot


def squad_row(language: Language, identifier: str, passage, fact: Fact, slot: str) -> dict:
    """A passage with a question for one slot of a fact, as SQuAD's columns; may have no answer."""
    context = ""
    answers: dict[str, list] = {"text": [], "answer_start": []}
    for stated in passage:
        sentence = language.sentence(stated)
        if stated == fact:
            text, start = language.answer(stated, slot)
            answers = {"text": [text], "answer_start": [len(context) + start]}
        context += sentence + " "
    return {
        "id": identifier,
        "title": "world",
        "context": context.strip(),
        "question": language.question(in_question(passage, fact, slot), slot),
        "answers": answers,
    }


def write_nli(folder: Path, world: World, size: Size) -> None:
    """XNLI in every language (parallel) and MNLI in English: one fact against another."""
    for split in ("test", "validation"):
        pairs = [nli_pair(world, i, True) for i in range(size.evaluation)]
        for code, language in world.languages.items():
            rows = [nli_row(language, *pair) for pair in pairs]
            write(folder, "facebook/xnli", code, split, rows, NLI_FEATURES)
    for split, count in size.splits("validation_matched"):
        pairs = world.drawn["mnli"] = [nli_pair(world, i, split != "train") for i in range(count)]
        rows = [nli_row(world.english, *pair) | {"idx": i} for i, pair in enumerate(pairs)]
        write(folder, "nyu-mll/glue", "mnli", split, rows, NLI_FEATURES | {"idx": "int32"})


def nli_pair(world: World, index: int, evaluation: bool) -> tuple[Fact, Fact, int]:
    """Entailment leaves an adjunct out, neutral adds one, contradiction changes a slot."""
    label = index % 3
    place, day = (0.8, 0.8) if label != 1 else (0.5, 0.0)
    (fact,) = world.unseen(lambda: world.passage(1, place=place, day=day, negated=0.0), evaluation)
    if label == 0:
        there = [s for s in ("place", "day", "number", "adjective") if getattr(fact, s)]
        slot = world.rng.choice(there or ["day"])
        return fact, fact.having(**{slot: None}), label
    if label == 1:
        return fact, replace(fact, day=world.rng.choice(invented.DAYS)), label
    return fact, changed(world, fact), label


def changed(world: World, fact: Fact) -> Fact:
    """The fact with another value in one of its slots."""
    slot = world.rng.choice([s for s in ("agent", "object", "day") if getattr(fact, s)])
    values = {"agent": invented.NAMES, "day": invented.DAYS, "object": invented.OBJECTS}[slot]
    return fact.having(**{slot: world.rng.choice([v for v in values if v != getattr(fact, slot)])})


def nli_row(language: Language, premise: Fact, hypothesis: Fact, label: int) -> dict:
    """Two facts as a premise, a hypothesis and a label 0..2, in MNLI's columns."""
    texts = map(language.sentence, (premise, hypothesis))
    return dict(zip(NLI_FEATURES, (*texts, label), strict=True))


def write_choice(folder: Path, world: World, size: Size) -> None:
    """HellaSwag in English: which of four sentences goes on from the first?"""
    for split, count in size.splits("validation"):
        rows = [hellaswag_row(world, i, split) for i in range(count)]
        write(folder, "Rowan/hellaswag", "default", split, rows, HELLASWAG_FEATURES)


def hellaswag_row(world: World, index: int, split: str) -> dict:
    """The right ending has the same agent and object and the next verb; the others do not."""

    def draw():
        passage = world.passage(1, negated=0.0)
        return passage if continuation(passage[0]) else draw()

    (fact,) = world.unseen(draw, split == "validation")
    right = continuation(fact)
    assert right is not None  # draw() asked
    said = {verb for each in (right, fact) for verb in (each.verb, reworded(each).verb)}
    wrong_verb = world.rng.choice([verb for verb in invented.VERBS if verb not in said])
    wrong = replace(right, verb=wrong_verb)
    endings = [right, changed(world, right), changed(world, wrong), wrong]
    order = world.rng.sample(range(4), 4)
    say = world.english.sentence
    context, texts = say(fact), [say(endings[k]) for k in order]
    values = (index, "world", context, "", context, texts, f"world~{index}", split, "indomain",
              str(order.index(0)))  # fmt: skip
    return dict(zip(HELLASWAG_FEATURES, values, strict=True))


def write_tagging(folder: Path, world: World, size: Size) -> None:
    """UDPOS in every language (test) and in English (train, validation)."""
    facts = [world.unseen(lambda: world.passage(1), True)[0] for _ in range(size.evaluation)]
    for code, language in world.languages.items():
        rows = [udpos_row(language, fact) for fact in facts]
        name = f"udpos.{invented.LANGUAGES[code][0]}"
        write(folder, "google/xtreme", name, "test", rows, UDPOS_FEATURES)
    for split, count in size.splits("validation"):
        drawn = [world.unseen(lambda: world.passage(1), split != "train")[0] for _ in range(count)]
        world.drawn["udpos"] = drawn
        rows = [udpos_row(world.english, fact) for fact in drawn]
        write(folder, "google/xtreme", "udpos.English", split, rows, UDPOS_FEATURES)


def udpos_row(language: Language, fact: Fact) -> dict:
    """A fact as tokens with their part-of-speech tags, the full stop included."""
    pieces = language.pieces(fact)
    return {
        "tokens": [word for piece in pieces for word in piece.words] + ["."],
        "pos_tags": [UPOS.index(t) for t in (*(tag for p in pieces for tag in p.tags), "PUNCT")],
    }


def write_parallel_sentences(folder: Path, world: World, size: Size) -> None:
    """Tatoeba: different facts in a language and in English, row by row."""
    drawn = dict.fromkeys(world.passage(1, day=0.8)[0] for _ in range(2 * size.evaluation))
    facts = list(drawn)[: size.evaluation]
    for code, language in world.languages.items():
        texts = [(language.sentence(fact), world.english.sentence(fact)) for fact in facts]
        rows = [dict(zip(TATOEBA_FEATURES, (*pair, code, "en"), strict=True)) for pair in texts]
        if code != "en":
            write(folder, "google/xtreme", f"tatoeba.{code}", "validation", rows, TATOEBA_FEATURES)
