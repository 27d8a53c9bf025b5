"""The generated world: deterministic, parallel, answerable, apart from its training data."""

import csv
import hashlib
import random
import time
from collections import Counter

import pyarrow.parquet as pq
import pytest

from xtsupport.data import fingerprint, load
from xtsupport.data.world import generate, mirror
from xtsupport.data.world import languages as invented
from xtsupport.data.world.demo_tasks import DENIED, span_question, squad_row, unanswerable
from xtsupport.data.world.world import World
from xtsupport.tables import PACKAGE, WORLD, families, family_table, languages, tasks


def digests(folder):
    return {
        str(p.relative_to(folder)): hashlib.sha256(p.read_bytes()).hexdigest()
        for p in sorted(folder.rglob("*"))
        if p.is_file()
    }


def test_same_seed_same_bytes_and_another_seed_other_words(tiny, tmp_path):
    generate.write_world(tmp_path / "again", seed=0, size="tiny")
    assert digests(tmp_path / "again") == digests(tiny)
    first, second = invented.make_languages(0)["qta"], invented.make_languages(1)["qta"]
    assert first.words["who"] != second.words["who"] or first.words["soup"] != second.words["soup"]


def test_a_fingerprint_is_of_rows_whichever_library_wrote_them(tmp_path, monkeypatch):
    """So the shipped encoder is that of the study with any version of pyarrow; a file that was
    changed by hand has a fingerprint of its own."""
    rows = [{"premise": text, "hypothesis": "b", "label": 1} for text in "xyz"]

    def mark(name, rows, features=mirror.NLI_FEATURES):
        mirror.write(tmp_path / name, "facebook/xnli", "en", "test", rows, features)
        return fingerprint("xnli", "en", "test", tmp_path / name)

    before = mark("here", rows)
    path = tmp_path / "here/facebook/xnli/en/test-00000-of-00001.parquet"
    assert mark("row", [*rows[:2], rows[2] | {"label": 2}]) != before
    names = {"names": mirror.NLI_LABELS[::-1]}
    assert mark("labels", rows, mirror.NLI_FEATURES | {"label": names}) != before

    plain = pq.write_table
    monkeypatch.setattr(pq, "write_table", lambda table, to, **_: plain(
        table.replace_schema_metadata(table.schema.metadata | {b"by": b"later"}), to, version="1.0"
    ))  # fmt: skip
    assert mark("elsewhere", rows) == before
    assert (tmp_path / "elsewhere" / path.relative_to(tmp_path / "here")).read_bytes() != (
        path.read_bytes()
    )
    table = pq.read_table(path)
    plain(table.slice(1), path)
    assert fingerprint("xnli", "en", "test", tmp_path / "here") != before


def test_a_world_that_takes_long_says_how_far_it_is(tmp_path, capsys):
    (tmp_path / "a.parquet").touch()
    with generate.told(tmp_path, every=0.01):
        time.sleep(0.1)
    told = "".join(capsys.readouterr())
    assert "making the invented languages, once: 1 of about 430 files in 0 s" in told
    time.sleep(0.05)
    assert capsys.readouterr() == ("", "")


def test_a_sentence_in_every_kind_of_language():
    """Worked by hand from the grammar: order and suffixes."""
    fact = invented.Fact(
        "Ada", "cooked", "soup", number="3", adjective="old", place="kitchen", day="Friday"
    )
    all_words = {w: w for w in [*invented.CONTENT_WORDS, *invented.NAMES, *invented.FUNCTION_WORDS]}
    suffixes = {"object": "ka", "place": "li", "day": "no"}

    def speaker(code):
        return invented.Language(code, all_words, suffixes)

    like_english = "Ada cooked 3 old soup in kitchen on Friday."
    for code in ("qka", "qna", "qga"):
        assert speaker(code).sentence(fact) == like_english
    assert speaker("qta").sentence(fact) == "Ada 3 old soup cooked in kitchen on Friday."
    assert speaker("qma").sentence(fact) == "Ada cooked 3 old soupka kitchenli Fridayno."
    question = "What Ada 3 cooked in kitchen on Friday?"
    assert speaker("qta").question(fact, "object") == question
    assert speaker("qfa").question(fact, "place") == "Where Ada cooked 3 old soupka Fridayno?"


def test_half_of_the_statements_and_no_question_have_the_verb_last_where_order_is_free():
    words = {w: w for w in [*invented.CONTENT_WORDS, *invented.NAMES, *invented.FUNCTION_WORDS]}
    free = invented.Language("qsa", words, {})
    facts = [
        invented.Fact(name, verb, noun)
        for name in invented.NAMES
        for verb in invented.VERBS
        for noun in invented.OBJECTS
    ]
    late = [free.sentence(f) == f"{f.agent} {f.object} {f.verb}." for f in facts]
    first = [free.sentence(f) == f"{f.agent} {f.verb} {f.object}." for f in facts]
    assert all(a != b for a, b in zip(late, first, strict=True))
    assert abs(sum(late) / len(late) - 0.5) < 3 * 0.5 / len(late) ** 0.5  # three standard errors
    assert all(free.question(f, "agent") == f"Who {f.verb} {f.object}?" for f in facts)


def test_families_differ_in_one_factor_each_and_one_in_all_of_them():
    table = family_table().set_index("family")
    factors = ["cognates", "order", "case", "script"]
    changed = {name: [f for f in factors if row[f] != table.loc["Kindric", f]]
               for name, row in table.iterrows()}  # fmt: skip
    assert changed == {
        "Kindric": [], "Novaric": ["cognates"], "Glyphic": ["script"], "Markic": ["case"],
        "Swayric": ["order"], "Turnic": ["order"], "Farric": factors,
    }  # fmt: skip
    assert set(table.intended) == {"alike", "less", "little"}


def test_families_share_english_words_and_no_others():
    """Half of the content words (28 of 57), the same ones in every family that has any."""
    words = invented.make_languages(0)
    english = {code: {w for w in invented.CONTENT_WORDS if words[code].words[w] == w}
               for code in words if code != "en"}  # fmt: skip
    kindric = english["qka"]
    assert len(kindric) == 28
    for code, found in english.items():
        family = words[code].family
        assert found == (kindric if family.cognates and family.script == "Latn" else set()), code
    own = {}
    for language in words.values():
        for lemma in invented.CONTENT_WORDS + invented.FUNCTION_WORDS:
            word = language.words[lemma]
            if word not in words["en"].words.values():
                assert own.setdefault(word, (lemma, language.family.family)) == (
                    lemma,
                    language.family.family,
                )


@pytest.mark.parametrize("code", list(invented.LANGUAGES))
def test_answers_stand_where_they_are_said_to(tiny, code):
    for example in load("xquad", code, None, tiny):
        (text,), (start,) = example["answers"]["text"], example["answers"]["answer_start"]
        assert text and example["context"][start : start + len(text)] == text


def test_each_question_has_one_answer_and_needs_a_synonym():
    """The shared word is in every sentence, the question's verb in none or in a denial."""
    drawn = World(invented.make_languages(0), random.Random(5))
    denied = 0
    for _ in range(400):
        passage, fact, slot = span_question(drawn, ("agent", "object"), False)
        row = squad_row(drawn.english, "", passage, fact, slot)
        asked = set(row["question"].rstrip("?").split()[1:])
        sentences = [set(text.split()) for text in row["context"].rstrip(".").split(". ")]
        (shared,) = set.intersection(*sentences) & asked
        (verb,) = asked - {shared}
        synonyms = [s for s in sentences if invented.SYNONYM[verb] in s]
        assert len(sentences) == 3 and len(synonyms) == 1
        assert set(row["answers"]["text"][0].split()) <= synonyms[0]
        literal = [s for s in sentences if verb in s]
        assert len(literal) <= 1 and all("not" in s for s in literal)
        denied += len(literal)
        assert len({getattr(each, slot) for each in passage}) == 3
    assert abs(denied / 400 - DENIED) < 3 * (0.15 * 0.85 / 400) ** 0.5


def test_the_right_sentence_is_each_of_three_equally_often(tiny):
    places = Counter()
    for row in load("xquad", "en", None, tiny):
        before = row["context"][: row["answers"]["answer_start"][0]]
        places[before.count(".")] += 1
    assert places == {0: 4, 1: 4, 2: 4}


def test_squad_v2_asks_other_questions_than_squad_and_some_have_no_answer(tiny):
    def first_words(task):
        return {question.split()[0] for question in load(task, "en", "train", tiny)["question"]}

    assert first_words("squad") == {"Who", "What"}
    assert first_words("squad_v2") == {"Where", "How"}
    empty = [not answers["text"] for answers in load("squad_v2", "en", "train", tiny)["answers"]]
    assert sum(empty) == len(empty) / 3


def test_evaluation_passages_are_not_in_training_sets(tiny):
    seen = set(load("squad", "en", "train", tiny)["context"]) | set(
        load("squad_v2", "en", "train", tiny)["context"]
    )
    assert not seen & set(load("xquad", "en", None, tiny)["context"])
    premises = set(load("mnli", "en", "train", tiny)["text"])
    assert not premises & set(load("xnli", "en", None, tiny)["text"])


def test_parallel_targets_are_parallel_and_labels_balanced(tiny):
    english, other = (load("xnli", code, None, tiny) for code in ("en", "qfb"))
    assert english["example_id"] == other["example_id"] and english["label"] == other["label"]
    assert {english["label"].count(name) for name in set(english["label"])} == {len(english) // 3}


def test_choices_differ_and_the_right_one_is_next(tiny):
    for example in load("hellaswag", "en", "train", tiny):
        assert len(set(example["choices"])) == 4
        agent, verb, *_ = example["context"].rstrip(".").split()
        right = example["choices"][example["label"]].rstrip(".").split()
        pairs = next(pairs for pairs, _, _ in invented.TOPICS.values() if verb in sum(pairs, ()))
        now, then = ([word in pair for pair in pairs].index(True) for word in (verb, right[1]))
        assert right[0] == agent and then == now + 1


def test_tags_align_with_tokens(tiny):
    for example in load("udpos", "qfa", None, tiny):
        assert len(example["tokens"]) == len(example["tags"]) and example["tags"][-1] == "PUNCT"


def test_the_world_brings_its_own_tables(tiny):
    table = languages(tiny)
    assert set(table) == set(invented.LANGUAGES)
    assert all(len(code) == 2 or "qaa" <= code <= "qtz" for code in table)
    assert {row.group for row in table.values()} == set(invented.FAMILIES)
    assert set(tasks(tiny)["xquad"].languages) == set(table)
    members = Counter(row.group for code, row in table.items() if code != "en")
    assert set(members.values()) == {3}  # fewer would be too few for a claim about a family
    assert "en" not in tasks(tiny)["tatoeba"].languages


def read(path):
    with path.open(newline="", encoding="utf-8") as file:
        return {next(iter(row.values())): row for row in csv.DictReader(file)}


def test_its_tasks_are_the_real_ones_in_its_languages():
    """But for languages, revision and note; a column or task that the real table gets, it gets."""
    real, own = read(PACKAGE / "tasks.csv"), read(WORLD / "tasks.csv")
    others = {name for name, row in real.items() if row["role"] == "other"}
    assert set(real) - set(own) == others - {"snli"}
    for name, row in own.items():
        theirs = {"languages": row["languages"], "revision": "", "note": "generated"}
        assert row == real[name] | theirs
        assert set(row["languages"].split()) <= set(languages("world"))
        assert row["languages"] == "en" or row["role"] not in ("intermediate", "other")


def test_its_distances_are_those_that_its_grammars_have():
    """The mean of word order (0, 1/2, 1) and case, by families.csv; English is Kindric."""
    order = {"SVO": 0.0, "SVO/SOV": 0.5, "SOV": 1.0}
    for code, row in languages("world").items():
        built = families()[row.family]
        assert row.script == built.script and row.group == row.family == row.xtreme_family
        assert row.syntactic == (order[built.order] + built.case) / 2
        assert (row.tatoeba, row.udpos, row.distance_source) == (code, row.name, "as built")


def test_scripts_are_really_different():
    words = invented.make_languages(0)
    assert all("ა" <= letter <= "ჿ" for letter in words["qga"].words["cooked"])
    assert all("ա" <= letter <= "և" for letter in words["qfa"].words["cooked"])


def test_unanswerable_questions_ask_about_what_nobody_does():
    drawn = World(invented.make_languages(0), random.Random(6))
    for _ in range(100):
        question = span_question(drawn, ("place", "number"), False)
        row = squad_row(drawn.english, "", *unanswerable(drawn, question))
        assert row["answers"] == {"text": [], "answer_start": []}
        (verb,) = set(row["question"].rstrip("?").split()) & set(invented.VERBS)
        said = set(row["context"].replace(".", "").split())
        assert not {verb, invented.SYNONYM[verb]} & said
