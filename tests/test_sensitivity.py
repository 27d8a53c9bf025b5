"""The bootstrap beside the primary method, and where the noise comes from: planted truths."""

import numpy as np
import pandas as pd
import pytest
from simulated_cubes import simulate

from xtsupport.statistics.comparisons import significance
from xtsupport.statistics.components import uncertainty_shares
from xtsupport.statistics.declared import Declared, Primary
from xtsupport.statistics.evidence import evidence_of
from xtsupport.statistics.sensitivity import beside_bootstrap

RULES = Declared(primary=Primary("squad"))


@pytest.fixture(scope="module")
def evidence():
    cube = simulate(
        {("squad", "xquad"): 8.0},
        tasks=("xquad", "xnli"),
        languages=("en", "de", "el", "th"),
        size=0.4,
    )
    return evidence_of(cube, RULES)


@pytest.fixture(scope="module")
def table(evidence):
    return beside_bootstrap(evidence, n_resamples=1000)


def test_it_has_the_rows_of_the_answer_and_their_unadjusted_intervals(evidence, table):
    compared = significance(evidence).query("by == 'group' and metric in ('f1', 'official')")
    for task in ("xquad", "rest", "xquad - rest"):
        rows = compared[compared["task"] == task].set_index("level")
        mine = table[table["task"] == task].set_index("level")
        assert len(mine) == 3 and np.allclose(mine.loc[rows.index, "gain"], rows["gain"])
    assert len(table) == 9


def test_a_planted_gain_is_found_by_both(table):
    alone = table[table["task"] == "xquad"]
    assert (alone[["ci_low", "boot_low"]] > 0).all(axis=None) and not alone["differs"].any()


def test_a_difference_is_that_one_interval_alone_excludes_zero(table):
    low = (table["ci_low"] > 0) | (table["ci_high"] < 0)
    drawn = (table["boot_low"] > 0) | (table["boot_high"] < 0)
    assert list(table["differs"]) == list(low ^ drawn)


@pytest.mark.parametrize("seeds", [1, 2])
def test_sides_that_never_differ_have_empty_intervals(seeds):
    one = simulate(languages=("en", "de", "th"), seeds=seeds, size=0.1).query("condition == 'none'")
    both = evidence_of(pd.concat([one, one.assign(condition="squad")]), RULES)
    table = beside_bootstrap(both, n_resamples=50)
    assert np.allclose(table.drop(columns=["task", "level", "differs"]), 0, atol=1e-6)
    assert not table["differs"].any()


def test_noise_is_attributed(evidence):
    parts = uncertainty_shares(evidence)
    assert parts["share"].sum() == pytest.approx(100) and (parts["share"] >= 0).all()


def test_one_seed_says_nothing_of_runs():
    evidence = evidence_of(simulate(languages=("en", "de"), seeds=1, size=0.2), RULES)
    parts = uncertainty_shares(evidence)
    assert parts["share"].isna().all()
    assert np.isnan(parts.set_index("part").loc["seed", "sd"])
