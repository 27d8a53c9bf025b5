"""The primary inference on bare numbers, and that no interval contradicts its verdict."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import integrate, stats
from simulated_cubes import simulate
from statsmodels.formula.api import ols

from xtsupport.cube.columns import by_task, complete
from xtsupport.statistics.aggregates import task_facts
from xtsupport.statistics.clusters import _contract_task, study_moments
from xtsupport.statistics.comparisons import compare
from xtsupport.statistics.contrasts import arms_of, cases
from xtsupport.statistics.declared import Declared, Primary
from xtsupport.statistics.evidence import evidence_of
from xtsupport.statistics.heterogeneity import heterogeneity
from xtsupport.statistics.inference import inference
from xtsupport.statistics.spread import Spread, fiducial, moderate, two_way
from xtsupport.statistics.variance import estimate
from xtsupport.statistics.verdicts import ADJUSTMENTS, judge, rates

REFERENCE = Path(__file__).parents[1] / "outputs" / "pilot" / "cube"
SQUAD = (("squad", "plain"), ("none", "plain"))

# gain, V_p, df_p, V_s, V_c, q, prior df; then SE, df, p: STATISTICS.md 1.5b
WORKED = {
    "xquad, squad - none": (1.376, 0.43604, 63, 0.10090, 0.28286, 0.57399, 2, 0.700, 7.5, 0.088),
    "udpos, all - none": (-1.303, 0.00530, 8000, 0.00139, 0.00545, 0.27161, 2, 0.369, 4.0, 0.024),
    "difference": (2.022, 0.44875, 66.7, 0.63557, 0.29230, 1.61488, 2, 1.132, 5.13, 0.133),
    "Arabic": (3.203, 1.42067, 63, 1.32875, 1.72566, 1.99589, 4, 1.212, 3.72, 0.062),
}


@pytest.mark.parametrize("name", WORKED)
def test_worked_numbers(name):
    gain, v_p, df_p, v_s, v_c, q, weight, *expected = WORKED[name]
    se, df = two_way(v_p, df_p, v_s, 2, v_c, q, weight)
    p = 2 * stats.t.sf(abs(gain) / se, df)
    for value, wanted, digit in zip((se, df, p), expected, (5e-4, 0.05, 5e-4), strict=True):
        assert value == pytest.approx(wanted, abs=digit + 1e-9)


def test_degrees_of_freedom_are_those_of_the_variance_itself():
    """V is a sum of mean squares over chi2: 2 E(V)^2 / Var(V), where nothing is truncated."""
    v_p, v_s, v_c, g, s = 0.52792, 0.57218, 0.42673, 150, 3
    se, df = two_way(v_p, g - 1, v_s, s - 1, v_c, v_s)  # q equal to V_s adds nothing
    assert se**2 == pytest.approx(v_p + v_s - v_c) and df == pytest.approx(2.729, abs=5e-4)
    rng = np.random.default_rng(0)
    parts = zip((v_p, v_s, -v_c), (g - 1, s - 1, (g - 1) * (s - 1)), strict=True)
    drawn = sum(v * rng.chisquare(k, 10**6) / k for v, k in parts)
    assert 2 * drawn.mean() ** 2 / drawn.var() == pytest.approx(df, rel=0.01)


def test_moderation_never_lowers():
    v, nu = moderate(np.array([0.2, 2.0]), 2, np.array([1.0, 1.0]))
    assert v == pytest.approx([0.6, 2.0]) and list(nu) == [4, 2]
    v, nu = moderate(0.2, 2, 1.0, 4)
    assert v == pytest.approx((4 * 1 + 2 * 0.2) / 6) and nu == 6


@pytest.mark.parametrize("v_s", [0.0, 0.1, 0.5, 5.0])
@pytest.mark.parametrize("df_s", [1, 2, 4, 2.7])
def test_fiducial_tails_and_their_inverse(v_s, df_s):
    v_p, df_p, v_c, x = 0.5, 63, 0.3, 1.7

    def tail(u):
        runs = max(df_s * v_s / stats.chi2.ppf(u, df_s) - v_c, 0)
        return stats.t.sf(x / np.sqrt(v_p + runs), df_p)

    found = fiducial(v_p, df_p, v_s, df_s, v_c)
    expected = integrate.quad(tail, 0, 1, limit=800, epsabs=1e-9)[0]
    assert found.tail(np.array([x]))[0] == pytest.approx(expected, abs=3e-4)
    for rate in (0.3, 0.025, 1e-3, 1e-4):
        assert found.tail(found.reach(rate))[0] == pytest.approx(rate, rel=1e-8)
    assert found.tail(np.array([-x]))[0] == pytest.approx(1 - found.tail(np.array([x]))[0])
    assert found.tail(found.se * stats.t.isf(0.025, df_p))[0] == pytest.approx(0.025)


@pytest.fixture(scope="module")
def reference():
    return study_moments(REFERENCE)


def test_the_reference_study_by_compare(reference):
    """The worked numbers again, from the committed cube."""
    pairs = [("squad", "none"), ("squad", "none~squad"), ("all", "none")]
    table = compare(reference, by="all", contrasts=pairs, adjustment="none")
    keys = ["treatment", "baseline", "task", "metric", "by"]
    rows = table.set_index(keys).sort_index()
    expected = {
        ("squad", "none", "xquad"): (0.700, 7.5, 0.088, -0.26, 3.01),
        ("all", "none", "udpos"): (0.369, 4.0, 0.024, None, None),
        ("squad", "none~squad", "xquad"): (0.546, 3.42, 0.052, -3.23, 0.02),
        ("squad", "none", "xquad - rest (f1)"): (1.132, 5.13, 0.133, None, None),
    }
    for key, (se, df, p, low, high) in expected.items():
        row = rows.loc[(*key, "f1", "all")]
        assert row["se"] == pytest.approx(se, abs=6e-4)
        assert row["df"] == pytest.approx(df, abs=0.05)
        assert row["p_value"] == pytest.approx(p, abs=6e-4)
        if low is not None:
            assert (row["ci_low"], row["ci_high"]) == pytest.approx((low, high), abs=0.006)
        assert "none~squad" in row["note"] and "mnli" in row["note"]
    tatoeba = rows.loc[("squad", "none", "tatoeba", "accuracy", "all")]
    assert tatoeba["se"] == pytest.approx(0.65, abs=0.005)  # one run under none
    languages = compare(reference, contrasts=pairs[:1], by="language", adjustment="none")
    arabic = languages.query("task == 'xquad' and metric == 'f1' and level == 'ar'").iloc[0]
    assert arabic[["se", "df", "p_value"]].tolist() == pytest.approx([1.212, 3.72, 0.062], abs=6e-3)


@pytest.mark.parametrize(("by", "p"), [("language", 0.091), ("family", 0.153)])
def test_levels_of_the_reference_study(reference, by, p):
    rules = Declared(primary=Primary("squad", by=by))
    table = heterogeneity(evidence_of(reference, rules)).set_index("task")
    assert table.loc["xquad", "p_value"] == pytest.approx(p, abs=6e-4)


@pytest.fixture(scope="module")
def cube():
    names = ("none", "squad", "mnli")
    return simulate(conditions=names, languages=("en", "de", "es", "th"), size=0.3, seeds=4)


def drop(cube, condition, seed):
    return cube[~((cube["condition"] == condition) & (cube["seed"] == seed))]


def case_of(cube, paired=True, task="xquad"):
    parts = by_task(complete(cube))  # unchecked: one condition may lack a language
    measured = study_moments(one for part in parts for one in _contract_task(*part))
    found = cases(measured, task_facts(measured), [SQUAD], "all", paired)
    return next(c for c in found if (c.task, c.metric, c.by) == (task, "f1", "all"))


def means(cube):
    rows = cube.query("metric == 'f1' and language != 'en'")
    each = rows.groupby(["condition", "seed", "language"])["score"].mean()
    return each.groupby(["condition", "seed"]).mean().mul(100).rename("y").reset_index()


def combined(found, by):
    """The estimate of one weighted sum of some cases."""
    arms, weights = arms_of(found)
    return estimate(arms, [np.tensordot(by, weight, 1)[None] for weight in weights])


@pytest.mark.parametrize("missing", [[], [("mnli", 3)], [("mnli", 0), ("squad", 3)]])
def test_pooled_runs_are_the_residual_of_least_squares(cube, missing):
    for condition, seed in missing:
        cube = drop(cube, condition, seed)
    case = case_of(cube)
    one = combined([case], np.ones(1))
    fit = ols("y ~ C(condition) + C(seed)", means(cube)).fit()
    assert 1e4 * one.pooled[0] == pytest.approx(2 * fit.mse_resid / one.n_seeds)
    assert one.df_pooled[0] == fit.df_resid and one.informed[0]
    assert one.n_seeds == (3 if ("squad", 3) in missing else 4)


def test_unpaired_seeds_pool_within_conditions(cube):
    cube = drop(cube, "none", 3)
    one = combined([case_of(cube, paired=False)], np.ones(1))
    y = means(cube).groupby("condition")["y"]
    ms = (y.var() * (y.count() - 1)).sum() / (y.count() - 1).sum()
    assert 1e4 * one.pooled[0] == pytest.approx(ms * (1 / 4 + 1 / 3))
    v_s = y.var()["squad"] / 4 + y.var()["none"] / 3
    welch = v_s**2 / (((y.var()["squad"] / 4) ** 2 + 0) / 3 + (y.var()["none"] / 3) ** 2 / 2)
    assert 1e4 * one.seeds[0] == pytest.approx(v_s) and one.df_seeds[0] == pytest.approx(welch)


def test_a_single_run_of_retrieval_does_not_vary():
    names = ("none", "squad", "mnli")
    cube = simulate(conditions=names, tasks=("tatoeba",), languages=("de", "es"), size=0.3)
    measured = study_moments(cube)
    found = cases(measured, task_facts(measured), [SQUAD], "all")
    one = combined(found[:1], np.ones(1))
    runs = cube.groupby(["condition", "seed", "language"])["score"].mean()
    runs = runs.groupby(["condition", "seed"]).mean()[["squad", "mnli"]].groupby("condition")
    assert 1e4 * one.pooled[0] == pytest.approx(1e4 * runs.var().mean() / 3)
    alone = study_moments(cube[cube["condition"] != "mnli"])
    row = compare(alone, by="all").query("task == 'tatoeba'").iloc[0]
    assert "fiducial" in row["note"] and row["df"] > 50


def test_who_takes_part_in_the_pool(cube):
    extra = cube[cube["condition"] == "mnli"]
    lacking = extra[extra["language"] != "th"].assign(condition="qqp")
    one_run = extra[extra["seed"] == 0].assign(condition="ccg")
    deviating = extra.assign(condition="squad{intermediate.epochs=2}")
    whole = pd.concat([cube, lacking, one_run, deviating])
    plain, more = (inference([case_of(c)]).iloc[0] for c in (cube, whole))
    assert more["se"] == pytest.approx(plain["se"])
    assert more["note"].endswith("run variance pooled over squad, none, mnli")


def test_a_weighted_sum_of_rows_is_what_the_joint_estimate_says(cube):
    measured = study_moments(cube)
    found = cases(measured, task_facts(measured), [SQUAD], "language")
    found = [c for c in found if c.by == "language" and c.metric == "f1"][:3]
    by = np.array([0.2, -1.0, 0.7])
    one, joint = combined(found, by), estimate(*arms_of(found), joint=True)
    for name in ("clusters", "seeds", "cells", "pooled"):
        assert getattr(one, name)[0] == pytest.approx(by @ getattr(joint, name) @ by)
    assert one.gain[0] == pytest.approx(by @ joint.gain)


p_lists = st.lists(st.floats(1e-6, 1.0), min_size=1, max_size=12)


@pytest.mark.parametrize("method", ADJUSTMENTS)
@given(p=p_lists, alpha=st.sampled_from([0.01, 0.05, 0.2]))
@settings(max_examples=60)
def test_own_rates_reject_what_the_adjustment_rejects(method, p, alpha):
    p = np.array(p)
    own = rates(p, method, alpha)
    adjusted = ADJUSTMENTS[method](p)
    clear = np.abs(adjusted - alpha) > 1e-9
    assert ((p <= own) == (adjusted <= alpha))[clear].all()
    assert (own <= alpha + 1e-12).all() and (own > 0).all()


def test_holm_rates_by_hand():
    own = rates([0.03, 0.001, 0.9, 0.015], "holm", 0.05)
    assert own == pytest.approx([0.05 / 2, 0.05 / 4, 0.05 / 2, 0.05 / 3])
    own = rates([0.03, 0.001, 0.9, 0.015], "fdr_bh", 0.05)
    assert own == pytest.approx([0.0375, 0.0375, 0.05, 0.0375])  # three of four are rejected


row = st.tuples(
    st.floats(-6, 6),
    st.floats(0.05, 3),
    st.floats(2, 300),
    st.sampled_from([np.nan, 0.0, 0.2, 2.0]),  # V_s of a fiducial row, or a t
    st.sampled_from([2, 3, 5]),
    st.sampled_from([1, 2, 4]),
)


@pytest.mark.parametrize("method", ADJUSTMENTS)
@given(rows=st.lists(row, min_size=1, max_size=8), margin=st.sampled_from([0.5, 1.0, 3.0]))
@settings(max_examples=40)
def test_no_row_contradicts_its_verdict(method, rows, margin):
    gain, se, df, v_s, seeds, languages = (
        np.array(part, float) for part in zip(*rows, strict=True)
    )
    mixed = ~np.isnan(v_s)
    nothing = np.full((4, len(rows)), np.nan)
    if mixed.any():
        one = fiducial(
            se[mixed] ** 2, df[mixed], v_s[mixed], 2.0 + 0 * v_s[mixed], 0.1 + 0 * v_s[mixed]
        )
        se[mixed] = one.se
        nothing[:, mixed] = one.clusters, one.runs, one.cells, one.df_runs
    spread = Spread(se, df, *nothing)
    columns = {"gain": gain, "se": se, "df": df, "n_seeds": seeds, "n_languages": languages}
    columns |= dict(zip(("clusters", "runs", "cells", "df_runs"), nothing, strict=True))
    labels = {"task": "t", "metric": "f1", "by": "group", "unit": "clusters x seeds"}
    p = 2 * spread.tail(np.abs(gain))
    table = judge(pd.DataFrame(columns).assign(**labels, p_value=p), method, margin, 0.05)
    check(table, margin)
    assert (table["p_value"] == p).all()


def check(table, margin):
    """Every verdict agrees with the interval beside it."""
    low, high, verdict = table["ci_low"], table["ci_high"], table["verdict"]
    sure = verdict != "too few"
    assert ((low > 0) == (verdict == "improves"))[sure & (verdict != "equivalent")].all()
    assert ((high < 0) == (verdict == "harms"))[sure & (verdict != "equivalent")].all()
    equal = verdict == "equivalent"
    assert (low[equal] >= -margin - 1e-9).all() and (high[equal] <= margin + 1e-9).all()


@pytest.mark.parametrize("method", ADJUSTMENTS)
def test_no_row_of_the_reference_contradicts_its_verdict(reference, method):
    for by in ("language", "family", "all"):
        table = compare(reference, by=by, adjustment=method, margin=1.5)
        check(table, 1.5)
        assert table["verdict"].nunique() > 1
