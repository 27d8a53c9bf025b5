"""BUCC from its files to the submission, with planted vectors: what must be found is known."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import yaml

from xtsupport.data import bucc, load
from xtsupport.evaluation import mining, score
from xtsupport.study import run_store
from xtsupport.study.cli import main
from xtsupport.study.phases import sentence_retrieval, train
from xtsupport.study.plan import open_study
from xtsupport.study.runs import read_record

WIDTH = 48


def planted(pools, noise=0.3, strangers=()):
    """Vectors of sentences: gold pairs close together, all others random; strangers at random."""
    rng, vectors = np.random.default_rng(0), {}
    for a, b in pools.gold:
        centre = rng.normal(size=WIDTH)
        vectors[pools.source[a]] = centre + noise * rng.normal(size=WIDTH)
        vectors[pools.target[b]] = centre + noise * rng.normal(size=WIDTH)
    for text in [*pools.source.values(), *pools.target.values(), *strangers]:
        vectors.setdefault(text, rng.normal(size=WIDTH))
    return vectors


def encoder(*vectors):
    known = {text: vector for each in vectors for text, vector in each.items()}

    def encode(texts):
        found = np.array([known[text] for text in texts], dtype=np.float32)
        return found / np.linalg.norm(found, axis=1, keepdims=True)

    return encode


@pytest.fixture(scope="module")
def study(tmp_path_factory, tiny):
    root, patch = tmp_path_factory.mktemp("root"), pytest.MonkeyPatch()
    patch.setenv("XTSUPPORT_ROOT", str(root))
    settings = yaml.safe_load((Path(__file__).parents[1] / "params" / "tiny.yaml").read_text())
    settings |= {"data": str(tiny), "conditions": ["none"], "targets": ["bucc"],
                 "seeds": [0], "languages": ["qta"], "analysis": {}}  # fmt: skip
    settings["pretraining"]["steps"] = 1
    (root / "bucc.yaml").write_text(yaml.safe_dump(settings))
    opened = open_study(root / "bucc.yaml")
    train.pretrain(opened.runs("pretraining")[0], progress=False)
    yield opened
    patch.undo()


def test_planted_translations_are_mined_scored_and_submitted(study, tmp_path, monkeypatch):
    pools = {split: bucc.pools("qta", split, study.data) for split in ("validation", "test")}
    encode = encoder(*map(planted, pools.values()))
    monkeypatch.setattr(sentence_retrieval, "encode", lambda _, __, texts, **more: encode(texts))
    (run,) = study.runs("retrieval")
    train.retrieve(run)
    mined = pd.read_csv(run.folder / "mining.csv").set_index("scored_by")
    assert set(mined["tuned_on"]) == {"validation"} and (mined["f1"] == 100).all()
    assert (mined["threshold"] > 0).all()
    size = read_record(run.folder)["evaluation"]["bucc/qta"]
    assert size["examples"] == len(pools["test"].source) + len(pools["test"].target)

    study.folder.mkdir(parents=True)
    run_store.write_list(study)
    assert main(["export-xtreme", str(study.folder), str(tmp_path)]) == 0
    path = tmp_path / "none" / "plain" / "seed0" / "bucc2018" / "test-qta.tsv"
    lines = path.read_text(encoding="utf-8").splitlines()
    assert {tuple(line.split("\t")) for line in lines} == set(pools["test"].gold)
    assert len(lines) == len(pools["test"].gold)


def test_the_threshold_comes_from_the_sample_and_not_from_the_test_set(study, monkeypatch):
    """Where sample pairs are closer than test pairs, the threshold is too high for the test set."""
    close, far = (bucc.pools("qta", split, study.data) for split in ("validation", "test"))
    encode = encoder(planted(close, 0.05), planted(far, 1.0))
    monkeypatch.setattr(sentence_retrieval, "encode", lambda _, __, texts, **more: encode(texts))
    (run,) = study.runs("retrieval")
    model, tokenizer = train.starting_encoder(run)
    ((_, _, pairs, (record, _), _),) = sentence_retrieval.mine(
        "bucc", ["qta"], model, tokenizer, run
    )
    scored = mining.scored_pairs(far, encode)["margin"]
    found = mining.above(scored, mining.best_threshold(scored, far.gold))
    assert record["f1"] < score("bucc", found, far.gold, "qta", data=study.data)["f1"]
    assert set(pairs) == {(a, b) for a, b, s in scored if s >= record["threshold"]}


def gold_pools(language, split, data):
    """Pools of nothing but the gold sentences, from the hub's layout: much easier than BUCC."""
    examples = load("bucc", language, split, data)
    sides = [list(dict.fromkeys(examples[name][:])) for name in ("text", "text_2")]
    ids = [{text: f"{code}-{k}" for k, text in enumerate(side)}
           for code, side in zip((language, "en"), sides, strict=True)]  # fmt: skip
    gold = [(ids[0][a], ids[1][b])
            for a, b in zip(examples["text"][:], examples["text_2"][:], strict=True)]  # fmt: skip
    return bucc.Pools(*({i: text for text, i in side.items()} for side in ids), gold)


def test_gold_pairs_of_the_hub_from_loading_to_the_score(tiny):
    """Without pools: the hub's pairs load like any task, and can be mined from one another."""
    pools = {split: gold_pools("qta", split, tiny)
             for split in ("validation", "test")}  # fmt: skip
    pairs = load("bucc", "qta", "test", tiny)
    texts = set(zip(pairs["text"], pairs["text_2"], strict=True))
    test = pools["test"]
    assert {(test.source[a], test.target[b]) for a, b in test.gold} == texts
    encode = encoder(*map(planted, pools.values()))
    tuning = mining.scored_pairs(pools["validation"], encode)["margin"]
    threshold = mining.best_threshold(tuning, pools["validation"].gold)
    found = mining.above(mining.scored_pairs(pools["test"], encode)["margin"], threshold)
    assert score("bucc", found, pools["test"].gold, "qta", data=tiny)["f1"] > 80
