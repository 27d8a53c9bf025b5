"""The literature's claims: the table is sound, planted truths are recognised, gaps are named."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from simulated_cubes import simulate

from xtsupport.cube.scores import score_table
from xtsupport.statistics.claims import KINDS, beside_published, check_claims, claims
from xtsupport.statistics.evidence import evidence_of
from xtsupport.tables import tasks

NINE = ["xnli", "pawsx", "udpos", "panx", "xquad", "mlqa", "tydiqa", "bucc", "tatoeba"]
CONDITIONS = ("none", "squad", "mnli", "all", "squad+mlm")
EFFECTS = {
    ("squad", "tatoeba"): 20.0,
    ("mnli", "tatoeba"): 20.0,
    ("all", "tatoeba"): 20.0,
    ("squad", "xquad"): 6.0,
    ("all", "xquad"): 6.0,
    ("squad", "mlqa"): 5.0,
    ("mnli", "mlqa"): 5.0,
    ("all", "mlqa"): 5.0,
    ("squad", "xnli"): -4.0,
    ("mnli", "xnli"): -4.0,
    ("squad+mlm", "tatoeba"): 5.0,
}


def renamed(cube, task, to, metric=None):
    part = cube[cube["task"] == task]
    return part.assign(task=to, metric=metric or part["metric"])


@pytest.fixture(scope="module")
def cube():
    """All nine targets; the three that the simulator lacks are made from their likes."""
    six = ("xquad", "mlqa", "xnli", "udpos", "panx", "tatoeba")
    one = simulate(EFFECTS, CONDITIONS, six, ("en", "de", "th"), size=0.5, run_sd=0.2)
    more = [renamed(one, "mlqa", "tydiqa"), renamed(one, "udpos", "pawsx", "accuracy")]
    more[1]["score"] = more[1]["tp"].astype(float)
    more[1] = more[1].assign(tp=np.nan, fp=np.nan, fn=np.nan)
    return pd.concat([one, *more, renamed(one, "tatoeba", "bucc", "f1")], ignore_index=True)


@pytest.fixture(scope="module")
def evidence(cube):
    return evidence_of(cube)


@pytest.fixture(scope="module")
def table(evidence):
    return check_claims(evidence, n_resamples=20).set_index("claim")


def test_nothing_is_claimed_about_targets_that_the_encoder_had_met(evidence, table):
    """The other verdicts stay as they are."""
    met = check_claims(replace(evidence, exposed=("tatoeba",)), n_resamples=20).set_index("claim")
    told = table["verdict"] != "not testable"
    about = table.index.map({c["claim"]: "tatoeba" in c["tasks"].split() for c in claims()})
    assert (told & about).any() and (told & ~about).any()
    assert set(met.loc[about, "verdict"]) == {"not testable"}
    assert met.loc["retrieval-tatoeba", "note"].startswith("exposed: the encoder had been trained")
    assert met.loc[~about, "verdict"].equals(table.loc[~about, "verdict"])


def test_the_table_of_claims_is_sound():
    known = tasks()
    for claim in claims():
        assert claim["kind"] in KINDS and claim["source"] and claim["aggregate"] and claim["split"]
        assert all(known[task].role == "target" for task in claim["tasks"].split())
        float(claim["threshold"]), int(claim["least_seeds"]), float(claim["published"] or 0)
    figures = {c["claim"]: c["published"] for c in claims()}
    assert figures["squad-average"] == "8.2" and figures["best-per-target"] == "5.4"


def test_planted_truths_are_recognised(table):
    assert table.loc["squad-average", "verdict"] == "supported"
    assert table.loc["squad-average", "published"] == 8.2
    assert table.loc["retrieval-tatoeba", "verdict"] == "supported"
    assert table.loc["tydiqa-many", "verdict"] == "supported"
    assert table.loc["xnli-none", "verdict"] == "supported"
    assert table.loc["mlm-not-consistent", "verdict"] == "supported"
    assert table.loc["best-per-target", "verdict"] == "supported"
    assert "tatoeba: " in table.loc["best-per-target", "note"]


def test_what_the_study_lacks_is_named(table):
    for claim, lacking in (
        ("hellaswag-average", "hellaswag"),
        ("translated-not-consistent", "@translated"),
    ):
        assert table.loc[claim, "verdict"] == "not testable" and lacking in table.loc[claim, "note"]


def test_averages_include_english_and_every_target(cube, table):
    scores = score_table(cube)
    official = {"xquad": "f1", "mlqa": "f1", "tydiqa": "f1"}
    scores = scores[
        [official.get(t, m) == m for t, m in zip(scores["task"], scores["metric"], strict=True)]
    ]
    means = scores.groupby(["condition", "task"])["score"].mean().groupby("condition").mean()
    assert table.loc["squad-average", "gain"] == pytest.approx(means["squad"] - means["none"])


def test_a_contradicted_claim():
    cube = simulate(
        {"squad": -8.0, "mnli": 0.0}, ("none", "squad", "mnli"), ("tatoeba",), ("de", "th")
    )
    found = check_claims(evidence_of(cube)).set_index("claim")
    assert found.loc["retrieval-tatoeba", "verdict"] == "contradicted"
    assert found.loc["squad-average", "verdict"] == "not testable"
    assert "xnli" in found.loc["squad-average", "note"]


def test_too_few_seeds_are_not_testable():
    cube = simulate({"squad": 20.0}, tasks=("tatoeba",), languages=("de", "th"), seeds=2, size=0.3)
    row = check_claims(evidence_of(cube)).set_index("claim").loc["retrieval-tatoeba"]
    assert row["verdict"] == "not testable" and "fewer than 3" in row["note"]


def test_published_averages_stand_beside_the_study(cube):
    table = beside_published(score_table(cube))
    xquad = table[(table["task"] == "xquad") & (table["metric"] == "f1")].set_index("model")
    assert xquad.loc["XLM-R Large", "score"] == 76.6
    own = score_table(cube).query("condition == 'none' and task == 'xquad' and metric == 'f1'")
    assert xquad.loc["this study, none", "score"] == pytest.approx(own["score"].mean())
    assert "3 languages" in xquad.loc["this study, none", "source"]
    assert set(NINE) >= set(table["task"])
