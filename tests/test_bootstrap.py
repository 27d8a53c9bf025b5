"""Bootstraps against scipy, and by hand."""

import numpy as np
import pandas as pd
import pytest
from difference_toys import simulate_differences
from scipy import stats
from simulated_cubes import simulate

from xtsupport.errors import UserError
from xtsupport.statistics.aggregates import Facts, task_facts
from xtsupport.statistics.bootstrap import bootstrap, cluster_counts
from xtsupport.statistics.clusters import contracted, study_moments
from xtsupport.statistics.contrasts import cases, sides_of
from xtsupport.statistics.inference import inference
from xtsupport.statistics.verdicts import better_on


def prepare(cube, by="language"):
    sums = list(contracted(cube))
    measured = study_moments(sums)
    return sums, cases(measured, task_facts(measured), sides_of(measured, "none", None), by)


def only(found, task, metric, by="language"):
    return [c for c in found if (c.task, c.metric, c.by) == (task, metric, by)]


@pytest.fixture(scope="module")
def cube():
    return simulate(
        {("squad", "xquad"): 4.0},
        tasks=("xquad", "xnli", "udpos"),
        languages=("en", "de", "el", "th"),
        size=0.3,
    )


@pytest.fixture(scope="module")
def single(cube):
    """XQuAD F1 without ties, every question its own cluster, for comparison with scipy."""
    one = cube.query("task == 'xquad' and metric == 'f1'").drop(columns=["tp", "fp", "fn"])
    noise = np.random.default_rng(0).uniform(0, 0.1, len(one))
    return one.assign(cluster_id=one["example_id"], score=0.9 * one["score"] + noise)


def matrix(cube):
    wide = cube.pivot_table(
        index="example_id", columns=["condition", "language", "seed"], values="score"
    )
    return (wide["squad"] - wide["none"]).T.groupby("language").mean().T


def test_draws_are_scipys_for_an_equal_generator(single):
    sums, found = prepare(single)
    german = only(found, "xquad", "f1")[:1]
    assert german[0].level == "de"
    ours = bootstrap(sums, german, "clusters", n_resamples=999, seed=7, batch=100)
    theirs = stats.bootstrap(
        (matrix(single)["de"].to_numpy(),), np.mean, n_resamples=999, batch=100,
        rng=np.random.default_rng(7),
    ).bootstrap_distribution  # fmt: skip
    assert ours.gains[:, 0] == pytest.approx(100 * theirs, abs=1e-9)


def test_the_interval_is_the_bootstrap_t(single):
    """By hand: each resample's distance from the gain in units of its own standard error."""
    sums, found = prepare(single)
    german = only(found, "xquad", "f1")[:1]
    drawn = bootstrap(sums, german, "clusters", n_resamples=500, seed=7, batch=100)
    d, rng, t = 100 * matrix(single)["de"].to_numpy(), np.random.default_rng(7), []
    n = len(d)
    for _ in range(5):
        for picks in rng.integers(0, n, (100, n)):
            centred = (d - d.mean())[picks]  # the influences of the clusters drawn
            error = np.sqrt(((centred - centred.mean()) ** 2).sum()) / n
            t.append((d[picks].mean() - d.mean()) / error)
    high, low = np.quantile(t, [0.05, 0.95])
    error = d.std() / np.sqrt(n)
    expected = [d.mean() - low * error, d.mean() - high * error]
    assert drawn.interval(alpha=0.1)[0] == pytest.approx(expected, rel=1e-9)


def test_clustered_means_are_ratios():
    rng = np.random.default_rng(0)
    sums, sizes = rng.normal(size=(30, 2)), rng.integers(1, 9, 30).astype(float)
    again = np.random.default_rng(3)
    for counts in cluster_counts(30, 50, np.random.default_rng(3), batch=10):
        ours = counts @ sums / (counts @ sizes)[:, None]
        for row, drawn in enumerate(again.integers(0, 30, (10, 30))):
            assert ours[row] == pytest.approx(sums[drawn].sum(0) / sizes[drawn].sum())


def test_cluster_bootstrap_agrees_with_the_robust_variance(cube):
    sums, found = prepare(cube)
    resamples = bootstrap(sums, found, "clusters", n_resamples=4000)
    analytic = inference(found, "clusters")["se"].to_numpy()
    assert resamples.gain == pytest.approx(inference(found, "clusters")["gain"].to_numpy())
    assert resamples.gains.std(0) == pytest.approx(analytic, rel=0.08)
    assert resamples.se == pytest.approx(analytic, rel=0.02)


def test_micro_f1_is_formed_after_resampling(cube):
    sums, found = prepare(cube)
    one = only(found, "udpos", "f1")[:1]
    drawn = bootstrap(sums, one, "clusters", n_resamples=3, seed=1, batch=3)
    part = next(s for s in sums if s.task == "udpos")
    lang = list(part.languages["language"]).index(one[0].level)
    # the generator draws one block per language, in the order of the strata
    rng = np.random.default_rng(1)
    picks = {i: rng.integers(0, len(c), (3, len(c))) for i, c in enumerate(part.clusters)}
    totals = part.sums[lang][:, picks[lang]].sum(2)  # (runs, 3, tp fp fn)
    f1 = 2 * totals[..., 0] / (2 * totals[..., 0] + totals[..., 1] + totals[..., 2])
    sides = [f1[part.runs["condition"] == name].mean(0) for name in ("squad", "none")]
    assert drawn.gains[:, 0] == pytest.approx(100 * (sides[0] - sides[1]))


def test_pigeonhole_is_wider_and_conservative(cube):
    sums, found = prepare(cube, "all")
    both = bootstrap(sums, found, n_resamples=3000)
    clusters = bootstrap(sums, found, "clusters", n_resamples=3000)
    assert (both.gains.std(0) > clusters.gains.std(0)).all()
    low, high = both.interval().T
    assert (low < both.gain).all() and (both.gain < high).all()
    with pytest.raises(UserError, match="bootstrap resamples clusters x seeds or clusters"):
        bootstrap(sums, found, "seeds")


def test_drawing_seeds_does_not_shrink_their_variance():
    """Only runs differ: the bootstrap's variance is that of a mean of 3, with n - 1."""
    rng = np.random.default_rng(0)
    sums = [simulate_differences(rng, 3, 1, run_sd=2.0, language_run_sd=0.0, total_sd=1e-6)]
    pair = [(("squad", "plain"), ("none", "plain"))]
    found = cases(study_moments(sums), {"xquad": Facts("span", "f1")}, pair, "all")[:1]
    drawn = bootstrap(sums, found, n_resamples=4000)
    runs = 100 * (sums[0].values()[3:] - sums[0].values()[:3]).ravel()
    expected = runs.std(ddof=1) / np.sqrt(3)
    assert drawn.gains.std() == pytest.approx(expected, rel=0.04)
    assert drawn.se[0] == pytest.approx(expected)


def test_large_tasks_are_resampled_in_blocks():
    cube = simulate(tasks=("xnli",), languages=("en", "de"), size=8.0, seeds=1)
    sums, found = prepare(cube)
    assert len(sums[0].clusters[0]) == 2400
    resamples = bootstrap(sums, found, "clusters", n_resamples=2000)
    assert resamples.gains.std(0) == pytest.approx(inference(found, "clusters")["se"], rel=0.1)


def test_better_on_counts_languages():
    rows = {"treatment": "squad", "baseline": "none", "variant": "plain", "task": "xquad"}
    rows["unit"] = "clusters x seeds"
    table = pd.DataFrame(
        [
            {**rows, "metric": "f1", "by": "language", "gain": g, "p_value": p}
            for g, p in ((5, 1e-6), (4, 1e-5), (3, 0.2), (-5, 1e-6))
        ]
    )
    counts = better_on(table, 0.05).iloc[0]
    assert (counts["better_on"], counts["worse_on"], counts["n_languages"]) == (2, 1, 4)
