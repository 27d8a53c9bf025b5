"""The generated world's other tasks: every one of the paper that the demo does without, in small.

They are drawn after the demo's datasets and from random numbers of their own, so that nothing here
changes a byte of those. What is in an evaluation set is in no training set of any task.

Each is a caricature of its original. ANLI+ and SNLI: a sentence against one to four facts. QQP and
PAWS-X: the same event, once with a detail less, or another event in almost the same words.
CosmosQA: a question on a passage, four answers. CommonsenseQA: where people do such things. CCG:
the supertags of the English grammar. PAN-X: people and places. MLQA: XQuAD again, the question in
any of its languages. TyDiQA: questions of each language's own. BUCC: sentences of which one in
three has a translation.
"""

import random
from dataclasses import replace
from itertools import product
from pathlib import Path

from xtsupport.data.world import languages as invented
from xtsupport.data.world.demo_tasks import SPAN_SLOTS, in_question, span_question, squad_row
from xtsupport.data.world.languages import Fact, Language
from xtsupport.data.world.mirror import NLI_FEATURES, SQUAD_FEATURES, TATOEBA_FEATURES, write
from xtsupport.data.world.world import Size, World, reworded
from xtsupport.tables import tasks

SPEAK = {name: row.languages for name, row in tasks("world").items()}
PANX = ["O", "B-PER", "I-PER", "B-ORG", "I-ORG", "B-LOC", "I-LOC"]
BUCC = {"test": "training", "validation": "sample"}  # its names of the splits
SUPERTAGS = {
    "agent": "NP", "verb": r"(S\NP)/NP", "not": r"((S\NP)/NP)/((S\NP)/NP)", "number": "N/N",
    "ADJ": "N/N", "NOUN": "N", "ADP": r"((S\NP)\(S\NP))/N",
}  # fmt: skip
_TEXT = "string"
PAIR = {"sentence1": _TEXT, "sentence2": _TEXT, "label": _TEXT}
QQP = {"question1": _TEXT, "question2": _TEXT, "label": {"names": ["not_duplicate", "duplicate"]},
       "idx": "int32"}  # fmt: skip
ANLI = {"uid": _TEXT} | NLI_FEATURES | {"reason": _TEXT}
COSMOS = dict.fromkeys(("id", "context", "question"), _TEXT) | {
    **{f"answer{k}": _TEXT for k in range(4)},
    "label": "int32",
}
COMMONSENSE = dict.fromkeys(("id", "question", "question_concept"), _TEXT) | {
    "choices": {"label": [_TEXT], "text": [_TEXT]},
    "answerKey": _TEXT,
}
PANX_FEATURES = {"tokens": [_TEXT], "ner_tags": [{"names": PANX}], "langs": [_TEXT]}


def write_others(folder: Path, base: World, size: Size, seed: int) -> None:
    """Write the datasets below `folder`, at most 200 evaluation and 1,000 training rows each."""
    size = replace(size, training=min(size.training, 1000), evaluation=min(size.evaluation, 200))
    own = World(base.languages, random.Random(f"other tasks {seed}"))
    own.evaluation, own.training, own.taken = base.evaluation, base.training, base.training
    write_spans(folder, own, size)
    write_pairs(folder, own, size)
    write_inference(folder, own, size)
    write_choices(folder, own, size)
    write_tags(folder, own, size)
    for code, (split, part) in product(SPEAK["bucc"], BUCC.items()):
        write_pool(folder, own, code, split, part, size.evaluation)


def write_spans(folder: Path, own: World, size: Size) -> None:
    """MLQA for every pair of its languages, TyDiQA in one file for all."""
    slots = SPAN_SLOTS["squad"]
    for split in ("test", "validation"):
        drawn = [span_question(own, slots, True) for _ in range(size.evaluation)]
        for first, second in product(SPEAK["mlqa"], repeat=2):
            rows = [mlqa_row(own, f"{split}{i}", first, second, *q) for i, q in enumerate(drawn)]
            config = f"MLQA.{first}.{second}"
            write(folder, "google/xtreme", config, split, rows, SQUAD_FEATURES)
    rows = [row for code in SPEAK["tydiqa"] for row in tydiqa_rows(own, code, size, True)]
    write(folder, "google/xtreme", "tydiqa", "validation", rows, SQUAD_FEATURES)
    rows = tydiqa_rows(own, "en", size, False)
    write(folder, "google/xtreme", "tydiqa", "train", rows, SQUAD_FEATURES)


def mlqa_row(own: World, identifier: str, first: str, second: str, passage, fact, slot) -> dict:
    """MLQA: the passage in language `first`, the question in language `second`."""
    row = squad_row(own.languages[first], identifier, passage, fact, slot)
    said = in_question(passage, fact, slot)
    return row | {"question": own.languages[second].question(said, slot)}


def tydiqa_rows(own: World, code: str, size: Size, evaluation: bool) -> list[dict]:
    """TyDiQA: own passages of each language, not parallel to any other's."""
    language, count = own.languages[code], size.evaluation if evaluation else size.training
    name = f"{language.name.lower()}-{'validation' if evaluation else 'train'}"
    slots = ("agent", "object", "place")
    drawn = [span_question(own, slots, evaluation) for _ in range(count)]
    return [squad_row(language, f"{name}-{i}", *each) for i, each in enumerate(drawn)]


def detailed(own: World, facts: int, evaluation: bool, **slots: float) -> tuple[Fact, ...]:
    """A passage in which every fact has something that can be left out."""
    often: dict = {"place": 0.8, "day": 0.8, "negated": 0.0} | slots

    def draw():
        while True:
            passage = own.passage(facts, **often)
            if all(details(fact) for fact in passage):
                return passage

    return own.unseen(draw, evaluation)


def details(fact: Fact, asked: str = "") -> list[str]:
    """The slots that a sentence can do without, but for the one asked about."""
    slots = ("place", "day", "number", "adjective")
    return [slot for slot in slots if getattr(fact, slot) and slot != asked]


def shortened(own: World, fact: Fact, asked: str = "") -> Fact:
    """The same event with a detail less, if it has one."""
    there = details(fact, asked)
    return fact.having(**{own.rng.choice(there): None}) if there else fact


def altered(own: World, fact: Fact, asked: str = "") -> Fact:
    """Another event: somebody else, something else done, or done to something else."""
    values = {"agent": invented.NAMES, "verb": invented.VERBS, "object": invented.OBJECTS}
    slot = own.rng.choice([slot for slot in values if slot != asked])
    same = {getattr(fact, slot), getattr(reworded(fact), slot)}
    return fact.having(**{slot: own.rng.choice([v for v in values[slot] if v not in same])})


def write_pairs(folder: Path, own: World, size: Size) -> None:
    """PAWS-X in some languages, QQP in English."""
    for split, count in size.splits("test", "validation"):
        drawn = [paraphrase(own, i % 2, split != "train") for i in range(count)]
        for code in SPEAK["pawsx"] if split != "train" else ("en",):
            say = own.languages[code].sentence
            rows = [dict(zip(PAIR, (say(a), say(b), str(i % 2)), strict=True))
                    for i, (a, b) in enumerate(drawn)]  # fmt: skip
            write(folder, "google/xtreme", f"PAWS-X.{code}", split, rows, PAIR)
    for split, count in size.splits("validation"):
        rows = [qqp_row(own, i, split != "train") for i in range(count)]
        write(folder, "nyu-mll/glue", "qqp", split, rows, QQP)


def paraphrase(own: World, same: int, evaluation: bool, asked: str = "") -> tuple[Fact, Fact]:
    """A fact, and the same event or another with a detail less; half of them with another verb."""
    filled = {asked: 1.0} if asked in ("place", "day") else {}
    (fact,) = detailed(own, 1, evaluation, **filled)
    other = shortened(own, fact, asked)
    other = reworded(other) if own.chance(0.5) else other
    return fact, other if same else altered(own, other, asked)


def qqp_row(own: World, index: int, evaluation: bool) -> dict:
    """Two English questions; every second row asks the same thing twice (label 1)."""
    slot = own.rng.choice(["agent", "object", "place", "day"])
    texts = [own.english.question(fact, slot)
             for fact in paraphrase(own, index % 2, evaluation, slot)]  # fmt: skip
    return dict(zip(QQP, (*texts, index % 2, index), strict=True))


def write_inference(folder: Path, own: World, size: Size) -> None:
    """SNLI, and ANLI's three rounds with ever longer premises, in English."""
    for split, count in size.splits("test", "validation"):
        pairs = [inference(own, i % 3, 1, split != "train") for i in range(count)]
        write(folder, "stanfordnlp/snli", "plain_text", split, pairs, NLI_FEATURES)
    for number in (1, 2, 3):
        for split, count in size.splits("test", "dev"):
            name = f"{split}_r{number}"
            rows = [inference(own, i % 3, number + 1, split != "train") for i in range(count)]
            rows = [{"uid": f"{name}-{i}", "reason": ""} | row for i, row in enumerate(rows)]
            write(folder, "facebook/anli", "plain_text", name, rows, ANLI)


def inference(own: World, label: int, facts: int, evaluation: bool) -> dict:
    """Premise of some facts; the hypothesis leaves out a detail of one, adds a day, or differs."""
    passage = detailed(own, facts, evaluation, place=1.0, day=0.0 if label == 1 else 0.8)
    fact = own.rng.choice(passage)
    if label == 1:
        other = replace(fact, day=own.rng.choice(invented.DAYS))
    else:
        other = shortened(own, fact) if label == 0 else altered(own, fact)
    say = own.english.sentence
    return {"premise": " ".join(map(say, passage)), "hypothesis": say(other), "label": label}


def write_choices(folder: Path, own: World, size: Size) -> None:
    """CosmosQA and CommonsenseQA in English."""
    for split, count in size.splits("validation"):
        rows = [cosmos_row(own, f"{split}-{i}", split != "train") for i in range(count)]
        write(folder, "allenai/cosmos_qa", "default", split, rows, COSMOS)
        rows = [commonsense_row(own, f"{split}-{i}", split != "train") for i in range(count)]
        write(folder, "tau/commonsense_qa", "default", split, rows, COMMONSENSE)


def cosmos_row(own: World, identifier: str, evaluation: bool) -> dict:
    """Three facts; what the other two say is among the wrong answers."""
    passage, fact, slot = span_question(own, ("agent", "object"), evaluation)
    say = own.english
    values = own.rng.sample(invented.NAMES if slot == "agent" else invented.OBJECTS, 4)
    others = [each for each in passage if each != fact]
    others += [fact.having(**{slot: value}) for value in values]
    answers = list(dict.fromkeys(say.answer(each, slot)[0] for each in (fact, *others)))[:4]
    order = own.rng.sample(range(4), 4)
    texts = [answers[k] for k in order]
    context = " ".join(map(say.sentence, passage))
    question = say.question(in_question(passage, fact, slot), slot)
    row = (identifier, context, question, *texts, order.index(0))
    return dict(zip(COSMOS, row, strict=True))


def commonsense_row(own: World, identifier: str, evaluation: bool) -> dict:
    """Where would somebody do this? One place of the topic, four of other topics."""
    topics = list(invented.TOPICS.values())

    def draw():
        pairs, nouns, places = own.rng.choice(topics)
        verbs = [verb for pair in pairs for verb in pair]
        adjective = own.rng.choice([None, *invented.ADJECTIVES])
        place = own.rng.choice(places)
        agent, verb, thing = (own.rng.choice(each) for each in (invented.NAMES, verbs, nouns))
        return (Fact(agent, verb, thing, adjective=adjective, place=place),)

    (fact,) = own.unseen(draw, evaluation)
    wrong = [place for _, _, places in topics if fact.place not in places for place in places]
    texts = own.rng.sample([fact.place, *own.rng.sample(wrong, 4)], 5)
    choices = {"label": list("ABCDE"), "text": texts}
    key = "ABCDE"[texts.index(fact.place)]
    values = (identifier, own.english.question(fact, "place"), fact.object, choices, key)
    return dict(zip(COMMONSENSE, values, strict=True))


def write_tags(folder: Path, own: World, size: Size) -> None:
    """PAN-X in every language, CCG in English as text files."""
    for split, count in size.splits("test", "validation"):
        facts = [detailed(own, 1, split != "train")[0] for _ in range(count)]
        for code in own.languages if split != "train" else ("en",):
            rows = [panx_row(own.languages[code], fact) for fact in facts]
            write(folder, "google/xtreme", f"PAN-X.{code}", split, rows, PANX_FEATURES)
    (folder / "ccgbank").mkdir(parents=True, exist_ok=True)
    for split, count in size.splits("test", "dev"):
        facts = [own.unseen(lambda: own.passage(1), split != "train")[0] for _ in range(count)]
        text = "".join(ccg_line(own.english, fact) + "\n" for fact in facts)
        (folder / "ccgbank" / f"{split}.txt").write_text(text, encoding="utf-8", newline="\n")


def panx_row(language: Language, fact: Fact) -> dict:
    """A fact as tokens with the tags of its names (persons, places)."""
    named = {"agent": "B-PER", "place": "B-LOC"}
    tokens: list[str] = []
    tags: list[str] = []
    for piece in language.pieces(fact):
        tokens += piece.words
        tags += ["O" if tag == "ADP" else named.get(piece.slot, "O") for tag in piece.tags]
    numbers = [PANX.index(tag) for tag in (*tags, "O")]
    return {"tokens": [*tokens, "."], "ner_tags": numbers, "langs": [language.code] * len(numbers)}


def ccg_line(language: Language, fact: Fact) -> str:
    """word|POS|supertag of every word."""
    items = []
    for piece in language.pieces(fact):
        for word, tag in zip(piece.words, piece.tags, strict=True):
            slot = {"PART": "not", "VERB": "verb", "PROPN": "agent", "NUM": "number"}.get(tag, tag)
            items.append(f"{word}|{tag}|{SUPERTAGS[slot]}")
    return " ".join([*items, ".|PUNCT|."])


def write_pool(folder: Path, own: World, code: str, split: str, part: str, count: int) -> None:
    """BUCC: sentences in two languages, `count` of each side translations, and the gold pairs, in
    the shared task's files; the pairs also in the hub's."""
    facts = list(dict.fromkeys(own.passage(1, day=0.8)[0] for _ in range(6 * count)))[: 5 * count]
    gold, rest = facts[:count], facts[count:]
    lines, ids = {}, {}
    for side, more in ((code, rest[::2]), ("en", rest[1::2])):
        pool = own.rng.sample([*gold, *more], count + len(more))
        ids[side] = {fact: f"{side}-{number:06}" for number, fact in enumerate(pool, start=1)}
        say = own.languages[side].sentence
        lines[side] = [f"{identifier}\t{say(fact)}" for fact, identifier in ids[side].items()]
    lines["gold"] = sorted(f"{ids[code][fact]}\t{ids['en'][fact]}" for fact in gold)
    place = folder / "bucc2018" / f"{code}-en"
    place.mkdir(parents=True, exist_ok=True)
    for ending, each in lines.items():
        text = "".join(f"{line}\n" for line in each)
        (place / f"{code}-en.{part}.{ending}").write_text(text, encoding="utf-8", newline="\n")
    texts = [(own.languages[code].sentence(fact), own.english.sentence(fact)) for fact in gold]
    rows = [dict(zip(TATOEBA_FEATURES, (*pair, code, "en"), strict=True)) for pair in texts]
    write(folder, "google/xtreme", f"bucc18.{code}", split, rows, TATOEBA_FEATURES)
