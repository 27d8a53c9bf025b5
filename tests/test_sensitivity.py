"""Alternatives beside the primary method: same rows, own units, planted truths, other packages."""

import numpy as np
import pandas as pd
import pytest
from scipy import stats
from statsmodels.stats.multitest import multipletests

from xtsupport.statistics.comparisons import significance
from xtsupport.statistics.declared import Declared, Primary
from xtsupport.statistics.evidence import gather
from xtsupport.statistics.sensitivity import (
    contradictions,
    mixed_check,
    noise,
    other_methods,
    stochastic_order,
)
from xtsupport.statistics.simulate import simulate

RULES = Declared(primary=Primary("squad"))


@pytest.fixture(scope="module")
def evidence():
    cube = simulate(
        {("squad", "xquad"): 8.0},
        tasks=("xquad", "xnli"),
        languages=("en", "de", "el", "th"),
        size=0.4,
    )
    return gather(cube, RULES)


@pytest.fixture(scope="module")
def table(evidence):
    return other_methods(evidence, n_resamples=1000)


def test_every_method_has_the_rows_of_the_answer(evidence, table):
    compared = significance(evidence).query("by == 'group' and metric in ('f1', 'official')")
    for _, part in table.groupby(["method", "unit"]):
        for task in ("xquad", "rest", "xquad - rest"):
            rows = compared[compared["task"] == task].set_index("level")
            mine = part[part["task"] == task].set_index("level")
            assert len(mine) == 3 and np.allclose(mine.loc[rows.index, "gain"], rows["gain"])
    assert len(table) == 3 * 3 * (1 + 3 + 3 + 1)
    first = table[table["method"] == "two-way variance"].query("task == 'xquad'")
    rows = compared[compared["task"] == "xquad"].set_index("level")
    assert np.allclose(first.set_index("level")["holm"][rows.index], rows["p_adjusted"])


def test_every_row_names_what_it_resamples(table):
    units = table.groupby("method")["unit"].unique()
    assert list(units["two-way variance"]) == ["clusters x seeds"]
    assert set(units["bootstrap, bca"]) == {"clusters x seeds", "clusters"}
    assert list(units["sign-flip"]) == ["labels within clusters"]


def test_adjustments_are_those_of_statsmodels(table):
    for _, part in table.dropna(subset="p_value").groupby(["task", "method", "unit"]):
        for method in ("holm", "fdr_bh"):
            expected = multipletests(part["p_value"], method=method)[1]
            assert list(part[method]) == pytest.approx(list(expected))


def test_a_planted_gain_is_found_by_all_and_its_absence_by_none(table):
    alone = table[table["task"] == "xquad"]
    assert (alone.loc[alone["ci_low"].notna(), "ci_low"] > 0).all()
    assert (alone["p_value"].dropna() < 0.05).all()
    assert (alone["equivalent"].dropna() > 0.9).all()


def test_contradictions_are_of_the_same_unit_only():
    rows = [
        ("two-way variance", "clusters x seeds", 0.1, 2.0),
        ("bootstrap, bca", "clusters x seeds", -0.1, 2.0),
        ("bootstrap, percentile", "clusters x seeds", 0.2, 2.0),
        ("bootstrap, bca", "clusters", -1.0, 2.0),
    ]
    frame = pd.DataFrame(rows, columns=["method", "unit", "ci_low", "ci_high"])
    found = contradictions(frame.assign(task="xquad", level="Greek"))
    assert found.to_numpy().tolist() == [["xquad", "Greek", "bootstrap, bca"]]


@pytest.mark.parametrize("seeds", [1, 2])
def test_sides_that_never_differ_have_empty_intervals(seeds):
    one = simulate(languages=("en", "de", "th"), seeds=seeds, size=0.1).query("condition == 'none'")
    both = gather(pd.concat([one, one.assign(condition="squad")]), RULES)
    table = other_methods(both, n_resamples=50)
    assert np.allclose(table[["gain", "ci_low", "ci_high"]].fillna(0), 0, atol=1e-6)
    assert (table["p_value"].dropna() > 0.99).all() and contradictions(table).empty


def test_noise_is_attributed_and_the_mixed_model_agrees(evidence):
    parts, fit = noise(evidence), mixed_check(evidence)
    assert parts["share"].sum() == pytest.approx(100) and (parts["share"] >= 0).all()
    assert fit["gain"] == pytest.approx(fit["primary_gain"], abs=1e-6)
    names = ("none", "squad", "mnli")
    more = simulate(conditions=names, languages=("en", "de", "el", "th"), seeds=6, size=0.4)
    fit = mixed_check(
        gather(more, RULES)
    )  # two conditions and three runs know little of the run variance
    assert fit["se"] == pytest.approx(fit["primary_se"], rel=0.3)


def test_one_seed_says_nothing_of_runs():
    evidence = gather(simulate(languages=("en", "de"), seeds=1, size=0.2), RULES)
    parts = noise(evidence)
    assert mixed_check(evidence) is None and parts["share"].isna().all()
    assert np.isnan(parts.set_index("part").loc["seed", "sd"])


def test_stochastic_order_needs_five_runs(evidence):
    assert stochastic_order(evidence) is None
    cube = simulate({"squad": 9.0}, languages=("en", "de", "th"), seeds=5, size=0.3)
    found = stochastic_order(gather(cube, RULES))
    assert found["n_seeds"] == 5 and found["epsilon_min"] < 0.2
    scores = cube.query("metric == 'f1' and language != 'en'").groupby(["condition", "seed"])[
        "score"
    ]
    means = scores.mean().unstack()
    assert stats.mannwhitneyu(means.loc["squad"], means.loc["none"]).pvalue < 0.05
