"""The world's other tasks: in their originals' columns, apart from training data, trainable."""

import hashlib
import json
import re
from pathlib import Path

import pandas as pd
import pyarrow.parquet as pq
import pytest
import yaml

from xtsupport import tables
from xtsupport.data import bucc, load
from xtsupport.data.world import languages as invented
from xtsupport.data.world import other_tasks
from xtsupport.study.phases import train
from xtsupport.study.plan import open_study

DEMO = ("XQuAD", "squad", "xnli", "mnli", "hellaswag", "udpos", "tatoeba", "wikipedia")
# Training sets in other languages than English came later.
TRANSLATED = re.compile(r"(plain_text|mnli)\.\w+/train|udpos\.(?!English)\w+/train")
# The rows of the demo's datasets: a change to another task must leave them as they are.
DEMO_ROWS = "6562c4e2cf0c1ae160cd1d9783444411b2b00940c0d6e861501724db5663a94c"
NINE = (
    ["anli_plus", "mnli", "qqp", "squad", "squad_v2", "hellaswag", "ccg", "cosmos_qa",
     "commonsense_qa"],
    ["xnli", "pawsx", "udpos", "panx", "xquad", "mlqa", "tydiqa", "bucc", "tatoeba"],
)  # fmt: skip


def test_the_datasets_of_the_demo_are_what_they_were(tiny):
    digest = hashlib.sha256()
    for path in sorted(tiny.rglob("*.parquet")):
        name = path.relative_to(tiny).as_posix()
        if any(part in name for part in DEMO) and not TRANSLATED.search(name):
            rows = pq.read_table(path).to_pylist()
            digest.update(f"{name} {json.dumps(rows)}".encode())
    assert digest.hexdigest() == DEMO_ROWS


def test_the_world_has_every_task_of_the_paper(tiny):
    known = tables.tasks(tiny)
    for role, names in zip(("intermediate", "target"), NINE, strict=True):
        assert {name for name in known if known[name].role == role} == set(names)
    for task in known.values():
        assert len(load(task.name, task.languages[-1], None, tiny))
        trained = task.training_task or task.name
        if task.kind != "retrieval":
            assert len(load(trained, "en", known[trained].train_split, tiny))


@pytest.mark.parametrize("name", ["qqp", "snli", "anli_plus", "pawsx"])
def test_labels_are_balanced_and_no_evaluation_text_is_trained_on(tiny, name):
    train, test = (load(name, "en", split, tiny)
                   for split in (tables.task(name, tiny).train_split, None))  # fmt: skip
    times = pd.Series(test["label"][:]).value_counts()
    assert times.max() == times.min() and len(times) == len(tables.task(name, tiny).labels)
    assert not set(zip(train["text"], train["text_pair"], strict=True)) & set(
        zip(test["text"], test["text_pair"], strict=True)
    )


def test_span_targets_are_not_in_any_training_set(tiny):
    trained = {
        context
        for name in ("squad", "squad_v2", "tydiqa")
        for context in load(name, "en", "train", tiny)["context"]
    }
    for name in ("mlqa", "tydiqa", "xquad"):
        assert trained.isdisjoint(load(name, "en", None, tiny)["context"])


def test_hypotheses_follow_from_their_premises_as_labelled(tiny):
    """By words: entailed ones say less, neutral ones add a day, the others add another word."""
    for row in load("snli", "en", "test", tiny):
        said, more = (set(row[name].lower().rstrip(".").split()) for name in ("text", "text_pair"))
        added = more - said
        assert {"entailment": not added, "neutral": added and added <= {"on", *days()},
                "contradiction": len(added) == 1 and not added & days()}[row["label"]]  # fmt: skip


def days():
    return {day.lower() for day in invented.DAYS}


def test_people_and_places(tiny):
    """In a language with prepositions and in one with case suffixes."""
    for code in ("qta", "qfa"):
        adpositions = invented.make_languages(0)[code].words["in"]
        places = 0
        for row in load("panx", code, None, tiny):
            assert row["tags"].count("B-PER") == 1 and set(row["tags"]) <= {"O", "B-PER", "B-LOC"}
            named = [w for w, t in zip(row["tokens"], row["tags"], strict=True) if t == "B-LOC"]
            assert adpositions not in named
            places += len(named)
        assert places > 0


def test_supertags_of_an_english_sentence():
    fact = invented.Fact("Ada", "cooked", "soup", "3", "old", "kitchen", "Friday", True)
    line = other_tasks.ccg_line(invented.make_languages(0)["en"], fact)
    assert line == (
        r"Ada|PROPN|NP not|PART|((S\NP)/NP)/((S\NP)/NP) cooked|VERB|(S\NP)/NP 3|NUM|N/N "
        r"old|ADJ|N/N soup|NOUN|N in|ADP|((S\NP)\(S\NP))/N kitchen|NOUN|N "
        r"on|ADP|((S\NP)\(S\NP))/N Friday|NOUN|N .|PUNCT|."
    )


def test_questions_and_contexts_in_two_languages(tiny):
    both, context, question = (load("mlqa", *pair) for pair in (
        ("qka", None, tiny, "qfa"), ("qka", None, tiny), ("qfa", None, tiny)))  # fmt: skip
    assert both["context"][:] == context["context"][:]
    assert both["question"][:] == question["question"][:]
    assert both["answers"][:] == context["answers"][:]


def test_gold_pairs_stand_in_both_pools(tiny):
    pools = bucc.pools("qta", "test", tiny)
    pairs = {(pools.source[a], pools.target[b]) for a, b in pools.gold}
    examples = load("bucc", "qta", None, tiny)
    assert pairs == set(zip(examples["text"], examples["text_2"], strict=True))
    assert len(pools.source) == len(pools.target) == 3 * len(pools.gold)


@pytest.fixture(scope="module")
def study(tmp_path_factory, tiny):
    """Every task of the paper on the smallest world, two steps each; hellaswag on another split."""
    root, patch = tmp_path_factory.mktemp("root"), pytest.MonkeyPatch()
    patch.setenv("XTSUPPORT_ROOT", str(root))
    settings = yaml.safe_load((Path(__file__).parents[1] / "params" / "tiny.yaml").read_text())
    settings |= {"data": str(tiny), "conditions": ["none", *NINE[0]], "targets": NINE[1],
                 "seeds": [0], "languages": ["en", "qka", "qfb"], "analysis": {},
                 "intermediate_tasks": {"hellaswag": {"train_split": "validation"}},
                 "evaluation": {"max_clusters": 4, "pairs": [["en", "qka"], ["qka", "qta"]],
                                "splits": {"panx": "validation"}}}  # fmt: skip
    settings["pretraining"]["steps"] = 2
    settings["intermediate"]["max_rows"] = settings["target"]["max_rows"] = 16
    (root / "all.yaml").write_text(yaml.safe_dump(settings))
    opened = open_study(root / "all.yaml")
    train.pretrain(opened.runs("pretraining")[0], progress=False)
    yield opened
    patch.undo()


@pytest.mark.parametrize("name", NINE[0])
def test_every_intermediate_task_trains_and_is_validated(study, name):
    (run,) = study.runs("intermediate", name)
    history = train.train_intermediate(run, progress=False)
    scores = pd.read_csv(run.folder / "scores.csv")
    assert len(history) == 2 and history.loss.notna().all()
    if name == "hellaswag":  # it trained on the validation rows
        assert scores.empty
    else:
        assert set(scores.task) == {name} and scores.score.between(0, 100).all()


@pytest.mark.parametrize("name", ["squad", "mnli", "pawsx", "udpos", "panx", "tydiqa"])
def test_every_target_trains_and_is_evaluated(study, name):
    run = next(r for r in study.runs("target", "none") if r.training_task == name)
    train.train_target(run, progress=False)
    rows = pd.read_parquet(run.folder / "examples.parquet")
    assert set(rows.task) == set(run.settings["targets"])
    for target, part in rows.groupby("task"):
        spoken = set(tables.task(target, study.data).languages)
        alone = part[part.language_2.isna()]
        assert set(alone.language) == spoken & {"en", "qka", "qfb"}
        pairs = set(zip(part.language, part.language_2, strict=True)) - set(
            zip(alone.language, alone.language_2, strict=True)
        )
        parallel = target in ("xquad", "mlqa", "xnli", "pawsx")
        assert pairs == ({("en", "qka"), ("qka", "qta")} if parallel else set())
    scores = pd.read_csv(run.folder / "scores.csv")
    assert ("language_2" in scores) == rows.language_2.notna().any()


def test_both_retrieval_targets_are_evaluated(study):
    (run,) = study.runs("retrieval", "none")
    train.retrieve(run)
    rows = pd.read_parquet(run.folder / "examples.parquet")
    assert set(rows.task) == {"tatoeba", "bucc"}
    mined = pd.read_csv(run.folder / "mining.csv")
    assert mined.scored_by.tolist() == ["margin", "cosine"]
    assert set(mined.tuned_on) == {"validation"}
    counts = rows[rows.task == "bucc"][["tp", "fp", "fn"]].sum()
    f1 = 100 * 2 * counts.tp / (2 * counts.tp + counts.fp + counts.fn)
    assert f1 == pytest.approx(mined.f1[0])
    found = rows[rows.task == "bucc"].prediction.str.split().str.len().sum()
    assert found == counts.tp + counts.fp
