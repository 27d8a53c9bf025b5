"""compare(): known answers by direct formulas and statsmodels, invariances, verdicts, refusals."""

from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
import statsmodels.api as sm
from scipy import integrate, stats
from simulated_cubes import simulate
from statsmodels.stats.multitest import multipletests

from xtsupport.errors import UserError
from xtsupport.statistics.clusters import study_moments
from xtsupport.statistics.comparisons import COLUMNS, compare, significance
from xtsupport.statistics.evidence import evidence_of
from xtsupport.statistics.spread import Spread
from xtsupport.statistics.verdicts import ADJUSTMENTS, equivalence_p, judge

TASKS = ("xquad", "mlqa", "xnli", "udpos", "tatoeba")


@pytest.fixture(scope="module")
def cube():
    return simulate(
        {("squad", "xquad"): 6.0, ("squad", "tatoeba"): 5.0},
        tasks=TASKS,
        languages=("en", "de", "es", "el", "hi", "th"),
        size=0.4,
        run_sd=1.0,
    )


@pytest.fixture(scope="module")
def measured(cube):
    return study_moments(cube)


@pytest.fixture(scope="module")
def table(measured):
    return compare(measured)


@pytest.fixture(scope="module")
def by_language(measured):
    return compare(measured, by="language")


def pick(table, **where):
    for name, value in where.items():
        table = table[table[name] == value]
    assert len(table) == 1
    return table.iloc[0]


def differences(cube, languages, task="xquad", metric="f1"):
    """(questions, seeds) macro mean of squad - none, made with pandas only."""
    rows = cube[
        (cube["task"] == task) & (cube["metric"] == metric) & cube["language"].isin(languages)
    ]
    wide = rows.pivot_table(
        index=["cluster_id", "example_id"], columns=["condition", "seed"], values="score"
    )
    return wide["squad"] - wide["none"]


def test_columns_are_the_contract(table):
    assert list(table) == COLUMNS
    assert set(table["unit"]) == {"clusters x seeds"}
    assert (table["p_adjusted"] >= table["p_value"]).all()


def mean_squares(d):
    """V_p, V_s, V_c, G and S of a (questions, seeds) table of differences, by their definitions."""
    sums, sizes = d.groupby("cluster_id").sum(), d.groupby("cluster_id").size()
    n, g, s = len(d), len(sums), d.shape[1]
    gain_s = d.mean()
    gain = gain_s.mean()
    v_p = g / (g - 1) * ((sums.mean(axis=1) - sizes * gain) ** 2).sum() / n**2
    r = sums.sub(sums.mean(axis=1), axis=0) - np.outer(sizes, gain_s - gain)
    v_c = g / (g - 1) * (r.to_numpy() ** 2).sum() / (n**2 * s * (s - 1))
    return 1e4 * v_p, 1e4 * gain_s.var(ddof=1) / s, 1e4 * v_c, g, s


def test_levels_lend_by_hand(cube, measured):
    """Two conditions, five one-language levels: z is the mean of their V_s, with four df."""
    codes = ["el", "hi", "th", "de", "es"]
    z = np.mean([mean_squares(differences(cube, [code]))[1] for code in codes])
    for code in codes:
        v_p, v_s, v_c, g, s = mean_squares(differences(cube, [code]))
        mixed = (4 * z + (s - 1) * v_s) / (s + 3)
        runs, nu = (mixed, s + 3) if mixed > v_s else (v_s, s - 1)
        v = v_p + max(runs - v_c, 0)
        df = v**2 / (v_p**2 / (g - 1) + runs**2 / nu + v_c**2 / ((g - 1) * (s - 1)))
        table = compare(measured, by="language", adjustment="none")
        row = pick(table, task="xquad", metric="f1", level=code)
        gain = 100 * differences(cube, [code]).to_numpy().mean()
        assert (row["gain"], row["se"], row["df"]) == pytest.approx((gain, np.sqrt(v), df))
        assert row["p_value"] == pytest.approx(2 * stats.t.sf(abs(gain) / np.sqrt(v), df))
        assert (row["n_clusters"], row["n_seeds"], row["n_languages"]) == (g, s, 1)
        low, high = stats.t.interval(0.95, df, gain, np.sqrt(v))
        expected = (low, high) if row["verdict"] != "equivalent" else None
        assert expected is None or (row["ci_low"], row["ci_high"]) == pytest.approx(expected)


def test_two_conditions_are_fiducial(cube, measured):
    """By quadrature of the density of 1 / chi2 (scipy), to the precision of the midpoint rule."""
    codes = ["el", "hi", "th", "de", "es"]
    v_p, v_s, v_c, g, s = mean_squares(differences(cube, codes))
    row = pick(compare(measured, by="all"), task="xquad", metric="f1", by="all")
    gain = 100 * differences(cube, codes).to_numpy().mean()

    def tails(x):
        def part(u):
            runs = max((s - 1) * v_s / stats.chi2.ppf(u, s - 1) - v_c, 0)
            return 2 * stats.t.sf(x / np.sqrt(v_p + runs), g - 1)

        return integrate.quad(part, 0, 1, limit=500, epsabs=1e-8)[0]

    assert row["p_value"] == pytest.approx(tails(abs(gain)), rel=0.02)
    assert tails(row["se"] * stats.t.isf(0.025, g - 1)) == pytest.approx(0.05, rel=0.01)
    assert row["df"] == g - 1 and np.isnan(row["mde"]) and "fiducial" in row["note"]


def test_cluster_unit_is_the_robust_variance_of_statsmodels(cube, measured):
    d = differences(cube, ["hi"]).mean(axis=1)
    codes = pd.factorize(d.index.get_level_values("cluster_id"))[0]
    fit = sm.OLS(100 * d.to_numpy(), np.ones(len(d))).fit(
        cov_type="cluster", cov_kwds={"groups": codes}
    )
    row = pick(
        compare(measured, by="language", unit="clusters"), task="xquad", metric="f1", level="hi"
    )
    assert row["gain"] == pytest.approx(fit.params[0])
    assert row["se"] == pytest.approx(fit.bse[0])


def test_seed_unit_is_the_paired_t_test(cube, measured):
    seeds = differences(cube, ["th"]).mean()
    expected = stats.ttest_1samp(seeds, 0)
    row = pick(
        compare(measured, by="language", unit="seeds"), task="xquad", metric="f1", level="th"
    )
    assert row["p_value"] == pytest.approx(expected.pvalue)
    assert row["df"] == 2


def test_unpaired_seeds_are_welch(cube, measured):
    rows = cube.query("task == 'xnli' and language == 'th'")
    means = rows.groupby(["condition", "seed"])["score"].mean()
    expected = means["squad"].var() / 3 + means["none"].var() / 3
    row = pick(
        compare(measured, by="language", unit="seeds", paired=False), task="xnli", level="th"
    )
    assert row["se"] == pytest.approx(100 * np.sqrt(expected))
    welch = stats.ttest_ind(means["squad"], means["none"], equal_var=False)
    assert (row["df"], row["p_value"]) == pytest.approx((welch.df, welch.pvalue))


def test_micro_f1_is_the_difference_of_corpus_scores_with_a_delta_method_error(cube, by_language):
    rows = cube.query("task == 'udpos' and language == 'de'")
    sums = rows.groupby(["condition", "seed"])[["tp", "fp", "fn"]].sum().astype(float)
    f1 = 200 * sums["tp"] / (2 * sums["tp"] + sums["fp"] + sums["fn"])
    row = pick(by_language, task="udpos", level="de")
    assert row["gain"] == pytest.approx((f1["squad"] - f1["none"]).mean())
    assert row["baseline_score"] == pytest.approx(f1["none"].mean())
    # one unit per sentence, right or wrong: micro F1 is accuracy, so the error is that of a mean
    rows = cube.query("task == 'udpos'")
    right = rows.assign(score=rows["tp"].astype(float), task="x", metric="accuracy")
    mean = pick(
        compare(right.drop(columns=["tp", "fp", "fn"]), by="language"), task="x", level="de"
    )
    assert row["se"] == pytest.approx(mean["se"])


def test_retrieval_baseline_is_broadcast(table, cube):
    row = pick(table, task="tatoeba", level="Greek")
    assert row["n_seeds"] == 3 and "one run" in row["note"]
    rows = cube.query("task == 'tatoeba' and language == 'el'")
    means = rows.groupby(["condition", "seed"])["score"].mean()
    assert row["gain"] == pytest.approx(100 * (means["squad"].mean() - means["none"].mean()))


def test_swapping_the_sides_mirrors_everything(measured, table):
    swapped = compare(measured, baseline="squad")
    assert np.allclose(swapped["gain"], -table["gain"])
    assert np.allclose(swapped["ci_low"], -table["ci_high"])
    for name in ("se", "df", "p_value", "p_adjusted", "mde"):
        assert np.allclose(swapped[name], table[name], equal_nan=True)


def test_order_and_names_do_not_matter(cube, table):
    shuffled = cube.sample(frac=1, random_state=1)
    shuffled = shuffled.assign(
        example_id="q" + shuffled["example_id"],
        cluster_id="p" + shuffled["cluster_id"],
        seed=10 - shuffled["seed"],
    )
    again = compare(shuffled)
    numbers = ["gain", "se", "df", "p_adjusted", "n_clusters", "n_examples"]
    assert np.allclose(again[numbers].astype(float), table[numbers].astype(float))


def test_a_constant_shift_of_both_sides_changes_nothing(cube):
    one = cube.query("task == 'xquad'").drop(columns=["tp", "fp", "fn"])
    squeezed = one.assign(score=one["score"] / 2)
    shifted = squeezed.assign(score=squeezed["score"] + 0.25)
    a, b = compare(squeezed), compare(shifted)
    assert np.allclose(a["se"], b["se"]) and np.allclose(a["gain"], b["gain"])


def test_families_are_macro_means(measured):
    languages = compare(measured, by="language").query(
        "task == 'xquad' and metric == 'f1' and by == 'language'"
    )
    row = pick(compare(measured, by="family"), task="xquad", metric="f1", level="Indo-European")
    members = languages[languages["level"].isin(["de", "es", "el", "hi"])]
    assert row["gain"] == pytest.approx(members["gain"].mean())
    assert row["n_languages"] == 4  # English is trained on


def test_source_language_is_reported_apart(table):
    source = table[table["by"] == "source"]
    assert set(source["level"]) == {"en"} and "zero-shot" in source["note"].iloc[0]
    assert "en" not in compare_levels(table)


def compare_levels(table):
    return set(table.loc[table["by"] == "group", "level"])


def test_difference_in_differences_is_matched(by_language):
    for metric in ("f1", "exact_match"):
        row = pick(by_language, task="xquad - rest", level="th", metric=metric)
        xquad = pick(by_language, task="xquad", level="th", metric=metric)
        mlqa = pick(by_language, task="mlqa", level="th", metric=metric)
        others = [pick(by_language, task=task, level="th") for task in ("xnli", "udpos")]
        rest = np.mean([mlqa["gain"]] + [other["gain"] for other in others])
        assert row["gain"] == pytest.approx(xquad["gain"] - rest)
        assert np.isnan(row["baseline_score"])
    rest = pick(by_language, task="rest", level="th")
    assert "tatoeba" not in rest["note"] and "mlqa" in rest["note"]


def test_rest_without_the_tasks_that_share_the_treatments_data(by_language):
    """MLQA trains on SQuAD, so for the treatment squad the narrower rest is without it."""
    rest = pick(by_language, task="rest (other data)", level="th")
    others = [pick(by_language, task=task, level="th")["gain"] for task in ("xnli", "udpos")]
    assert rest["gain"] == pytest.approx(np.mean(others)) and "mlqa" not in rest["note"]
    assert "own training data" in pick(by_language, task="xquad", level="th", metric="f1")["note"]


def test_pairs_of_languages_are_a_task_of_their_own(cube):
    one = cube.query("task == 'xnli' and language == 'de'")
    pairs = pd.concat([one.assign(language_2=None), one.assign(language_2="th")])
    table = compare(pairs, by="all")
    assert set(table["task"]) == {"xnli", "xnli (pairs)", "all"}
    assert "pairs" not in pick(table, task="all")["note"]
    assert pick(table, task="xnli (pairs)")["gain"] == pick(table, task="xnli")["gain"]


def test_shared_seeds_enter_the_difference_in_differences():
    """A run effect on all tasks cancels in xquad - rest, not in either alone."""
    cube = simulate(tasks=("xquad", "mlqa"), languages=("en", "de", "th"), size=0.5, run_sd=0.0)
    shift = {0: -0.05, 1: 0.0, 2: 0.05}
    treated = cube["condition"] == "squad"
    cube["score"] = (0.2 + cube["score"] / 2).where(
        ~treated, 0.2 + cube["score"] / 2 + cube["seed"].map(shift)
    )
    table = compare(cube, by="all", metrics=["f1"])
    alone = pick(table, task="xquad", by="all")
    difference = pick(table, task="xquad - rest")
    assert alone["se"] > 2.5 and difference["se"] < 1.5


def test_targets_with_unequal_seeds_meet_on_those_that_all_have():
    """More seeds on XQuAD count for XQuAD alone; by hand, from the means of runs."""
    whole = simulate(
        {"squad": 9}, ("none", "squad", "mnli"), ("xquad", "xnli", "udpos", "tatoeba"),
        ("en", "de", "th"), seeds=6, run_sd=3.0, size=0.2,
    )  # fmt: skip
    more = whole["task"].eq("xquad") & whole["condition"].isin(["none", "squad"])
    cube = whole[more | (whole["seed"] < 3)]

    def mean(task, condition, seeds):
        rows = whole.query("task == @task and condition == @condition and language != 'en'")
        rows = rows[rows["seed"].isin(seeds) & rows["metric"].isin(["f1", "accuracy"])]
        sums = rows.groupby(["seed", "language"])[["tp", "fp", "fn"]].sum()
        micro = 2 * sums["tp"] / (2 * sums["tp"] + sums["fp"] + sums["fn"])
        scores = rows.groupby(["seed", "language"])["score"].mean()
        return 100 * (micro if task == "udpos" else scores).mean()

    def gain(task, seeds):
        return mean(task, "squad", seeds) - mean(task, "none", seeds)

    table = compare(cube, by="all", metrics=["f1", "accuracy"], contrasts=[("squad", "none")])
    xquad, few = pick(table, task="xquad", by="all"), range(3)
    assert xquad["n_seeds"] == 6 and xquad["gain"] == pytest.approx(gain("xquad", range(6)))
    rest = np.mean([gain(task, few) for task in ("xnli", "udpos")])
    assert pick(table, task="rest", by="all")["gain"] == pytest.approx(rest)
    difference = pick(table, task="xquad - rest", by="all")
    assert difference["n_seeds"] == 3
    assert difference["gain"] == pytest.approx(gain("xquad", few) - rest)
    assert "without seeds 3, 4, 5, which not every target has" in difference["note"]
    assert "without seeds" not in xquad["note"] + pick(table, task="rest", by="all")["note"]
    equal = compare(whole[whole["seed"] < 3], by="all", metrics=["f1", "accuracy"],
                    contrasts=[("squad", "none")])  # fmt: skip
    for name in ("gain", "se", "df"):
        assert difference[name] == pytest.approx(pick(equal, task="xquad - rest", by="all")[name])


def test_seeds_that_share_a_phase_2_run_are_one_replicate(cube):
    one = cube.query("task == 'xquad'").copy()
    one["phase2_run"] = np.where(
        one["condition"] == "squad", "p" + (one["seed"] // 2).astype(str), None
    )
    row = compare(one, by="all", metrics=["f1"]).query("by == 'all'").iloc[0]
    assert row["n_seeds"] == 2 and row["verdict"] == "too few"
    assert "phase-2 run" in row["note"]


def judged(**row):
    """The verdict of a row with df 50, alone in its family; p_value is that of the t test."""
    row = {
        "unit": "clusters x seeds",
        "n_seeds": 3,
        "n_languages": 1,
        "by": "group",
        "df": 50.0,
    } | row
    nothing = dict.fromkeys(("clusters", "runs", "cells", "df_runs"), np.nan)
    p = 2 * stats.t.sf(abs(row["gain"]) / row["se"], row["df"])
    table = pd.DataFrame([{"task": "t", "metric": "f1", "p_value": p, **row, **nothing}])
    return judge(table, "holm", 1.0, 0.05).iloc[0]


def test_verdicts():
    assert judged(gain=2, se=0.3)["verdict"] == "improves"
    assert judged(gain=-2, se=0.3)["verdict"] == "harms"
    assert judged(gain=0.1, se=0.3)["verdict"] == "equivalent"
    assert judged(gain=0.9, se=0.5)["verdict"] == "undetermined"
    assert judged(gain=2, se=0.3, n_seeds=2)["verdict"] == "too few"
    assert judged(gain=2, se=0.3, n_seeds=2, unit="clusters")["verdict"] == "improves"
    assert judged(gain=2, se=0.3, n_languages=2)["verdict"] == "too few"
    assert judged(gain=2, se=0.3, n_languages=2, by="all")["verdict"] == "improves"
    equal = judged(gain=0.1, se=0.3)
    expected = stats.t.interval(0.90, 50, 0.1, 0.3)
    assert (equal["ci_low"], equal["ci_high"]) == pytest.approx(expected)
    assert equal["note"] == "90% interval"


def test_one_language_groups_are_labelled(table):
    row = pick(table, task="xquad", metric="f1", level="Tai-Kadai")
    assert "one language: th" in row["note"] and row["verdict"] != "too few"


def test_equivalence_is_two_one_sided_tests():
    x = np.random.default_rng(0).normal(0.1, 1, 40)
    lower, upper = (
        stats.ttest_1samp(x, -1, alternative="greater"),
        stats.ttest_1samp(x, 1, alternative="less"),
    )
    se, nothing = x.std(ddof=1, keepdims=True) / np.sqrt(40), np.full(1, np.nan)
    p = equivalence_p(x.mean(keepdims=True), Spread(se, np.full(1, 39.0), *[nothing] * 4), 1.0)
    assert p == pytest.approx(max(lower.pvalue, upper.pvalue))


def test_adjustments_are_those_of_statsmodels():
    p = np.random.default_rng(0).uniform(0, 0.2, 12).round(2)
    for method in ("holm", "bonferroni", "fdr_bh", "fdr_by"):
        assert ADJUSTMENTS[method](p) == pytest.approx(multipletests(p, method=method)[1])
    assert list(ADJUSTMENTS["none"](p)) == list(p)


def test_identical_conditions_are_equivalent(cube):
    one = cube.query("condition == 'none' and task == 'xquad'")
    both = pd.concat([one, one.assign(condition="copy")])
    table = compare(both)
    assert (table["gain"].abs() < 1e-9).all() and (table["p_value"] > 0.99).all()
    assert set(table["verdict"]) == {"equivalent"}


def test_languages_as_a_sample_widen_the_interval(measured):
    narrow, wide = (
        pick(
            compare(measured, by="family", unit=unit),
            task="xquad",
            metric="f1",
            level="Indo-European",
        )
        for unit in ("clusters x seeds", "clusters x seeds x languages")
    )
    assert wide["se"] >= narrow["se"] and wide["gain"] == narrow["gain"]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"by": "continent"}, "unknown level 'continent'; allowed: group, family, language, all"),
        ({"unit": "questions"}, "unknown unit 'questions'"),
        ({"baseline": "nothing"}, "'nothing': the cube only has none, squad"),
        ({"contrasts": [("squad", "mnli")]}, "'mnli': the cube only has"),
        ({"margin": -1}, "margin=-1"),
        ({"adjustment": "bonferoni"}, "unknown adjustment 'bonferoni' .did you mean 'bonferroni'"),
        ({"metrics": ["bleu"]}, "has none of them"),
    ],
)
def test_bad_arguments_are_one_line(measured, arguments, message):
    with pytest.raises(UserError, match=message):
        compare(measured, **arguments)


def test_tasks_that_the_encoder_was_trained_on_are_noted():
    measured = study_moments(
        simulate(
            conditions=("none", "squad", "mnli"), tasks=TASKS, languages=("en", "de"), size=0.1
        )
    )
    settings = SimpleNamespace(encoder="offline-e5", contrasts=[("squad", "none")])
    table = significance(evidence_of(measured, settings))
    exposed = table["note"].str.contains("exposed")
    named = table["task"].str.partition(" ")[0]
    assert set(named[exposed]) == {"xquad", "mlqa", "xnli", "tatoeba"}
    assert not exposed[named.isin(["udpos", "panx", "rest", "all"])].any()
    settings.encoder = "FacebookAI/xlm-roberta-base"
    assert not evidence_of(measured, settings).exposed


def test_contrasts_are_an_explicit_list(cube):
    extra = cube[cube["condition"] == "squad"].assign(variant="adversarial")
    both = pd.concat([cube, extra]).query("task == 'xnli'")
    table = compare(both, contrasts=[("squad/adversarial", "squad"), ("squad", "none")])
    assert list(
        table[["treatment", "baseline", "variant"]]
        .drop_duplicates()
        .itertuples(index=False, name=None)
    ) == [("squad", "squad/plain", "adversarial"), ("squad", "none", "plain")]
    assert (table.loc[table["variant"] == "adversarial", "gain"].abs() < 1e-9).all()
