"""Variance components against the balanced analysis of variance, planted values and statsmodels."""

from collections.abc import Sequence
from itertools import combinations

import numpy as np
import pandas as pd
import pytest
import statsmodels.formula.api as smf
from difference_toys import simulate_differences
from simulated_cubes import simulate
from statsmodels.stats.anova import anova_lm

from xtsupport.errors import UserError
from xtsupport.statistics.aggregates import Facts
from xtsupport.statistics.clusters import study_moments
from xtsupport.statistics.components import components, run_noise
from xtsupport.statistics.contrasts import cases

PAIR = [(("squad", "plain"), ("none", "plain"))]


def anova(values: np.ndarray, factors: Sequence[str] = ("cluster", "seed", "language")):
    """Balanced crossed random-effects analysis of variance of a complete array, one axis a factor.

    values: (clusters, seeds, languages) or as `factors` say. Returns a frame with one row per term
    (the last is the residual): df, sum_of_squares, mean_square, and variance, the
    expected-mean-squares estimate (raw, may be negative).
    """
    axes = tuple(range(values.ndim))
    terms = [term for size in range(1, values.ndim + 1) for term in combinations(axes, size)]
    lines = {}
    for term in terms:
        effect = sum(
            (-1) ** (len(term) - size) * values.mean(tuple(set(axes) - set(part)), keepdims=True)
            for size in range(len(term) + 1)
            for part in combinations(term, size)
        )
        df = int(np.prod([values.shape[axis] - 1 for axis in term]))
        total = float((np.broadcast_to(effect, values.shape) ** 2).sum())
        lines[term] = {"df": df, "sum_of_squares": total, "mean_square": total / df}
    for term in terms:
        above = [other for other in terms if set(term) <= set(other)]
        signed = [(-1) ** (len(o) - len(term)) * lines[o]["mean_square"] for o in above]
        others = [values.shape[axis] for axis in axes if axis not in term]
        lines[term]["variance"] = sum(signed) / float(np.prod(others))
    names = [":".join(factors[axis] for axis in term) for term in terms]
    table = pd.DataFrame(list(lines.values()), index=names).rename_axis("term")
    return table.rename(index={names[-1]: "residual"})


def case_of(sums):
    found = cases(study_moments([sums]), {"xquad": Facts("span", "f1")}, PAIR, "all")
    return next(case for case in found if case.task == "xquad")


def test_sums_of_squares_add_up_and_agree_with_statsmodels():
    y = np.random.default_rng(0).normal(size=(6, 3, 4))
    table = anova(y)
    assert table["sum_of_squares"].sum() == pytest.approx(((y - y.mean()) ** 2).sum(), abs=1e-9)
    assert table["df"].sum() == y.size - 1
    c, s, lang = (index.ravel() for index in np.indices(y.shape))
    rows = pd.DataFrame({"y": y.ravel(), "c": c, "s": s, "l": lang})
    fit = anova_lm(smf.ols("y ~ C(c) * C(s) * C(l)", rows).fit())
    assert table.loc["cluster", "sum_of_squares"] == pytest.approx(fit.loc["C(c)", "sum_sq"])
    assert table.loc["cluster:seed", "mean_square"] == pytest.approx(
        fit.loc["C(c):C(s)", "mean_sq"]
    )


def test_two_way_table_by_hand():
    y = np.array([[1.0, 2.0], [3.0, 6.0], [5.0, 7.0]])
    table = anova(y, ("cluster", "seed"))
    ms_q, ms_s, ms_e = table["mean_square"]
    assert table.loc["cluster", "variance"] == pytest.approx((ms_q - ms_e) / 2)
    assert table.loc["seed", "variance"] == pytest.approx((ms_s - ms_e) / 3)
    assert table.loc["residual", "variance"] == ms_e


def test_components_from_moments_are_the_mean_squares_estimates():
    sums = simulate_differences(np.random.default_rng(1), 3, 4, 1.0, 0.5)
    psi = np.stack([sums.influence(lang) for lang in range(4)], axis=2)
    values = sums.values()
    d = (values[3:] - values[:3])[None] + 240 * (psi[3:] - psi[:3]).transpose(1, 0, 2)
    expected, found = anova(100 * d)["variance"], components(case_of(sums))
    for name in (
        "seed",
        "seed:language",
        "cluster",
        "cluster:language",
        "cluster:seed",
        "residual",
    ):
        assert found[name] == pytest.approx(expected[name], abs=1e-9)
    assert (found["n_seeds"], found["n_languages"], found["n_clusters"]) == (3, 4, 240)


def test_planted_components_are_recovered():
    rng = np.random.default_rng(2)
    studies = [components(case_of(simulate_differences(rng, 4, 5, 1.5, 1.0))) for _ in range(60)]
    mean = pd.DataFrame(studies).mean()
    assert mean["seed"] == pytest.approx(1.5**2, rel=0.35)
    assert mean["seed:language"] == pytest.approx(1.0, rel=0.2)
    per_cluster = 27**2 / 4.96  # about one question's variance over the mean cluster size
    parts = ("cluster", "cluster:language", "cluster:seed", "residual")
    assert mean[list(parts)].sum() == pytest.approx(per_cluster, rel=0.1)
    shared = mean["cluster"] + mean["cluster:seed"]
    assert shared / mean[list(parts)].sum() == pytest.approx(0.10, abs=0.02)


def test_run_noise_recovers_what_was_planted():
    """Four conditions, three seeds: the difference of two runs has twice a run's variance."""
    found = []
    for seed in range(16):
        cube = simulate(
            conditions=("none", "a", "b", "c"), languages=("de", "es", "ru", "th", "zh"),
            run_sd=1.5, language_run_sd=1.0, size=0.2, seed=seed,
        )  # fmt: skip
        measured = [m for m in study_moments(cube) if m.metric == "f1"]
        pair = [(("a", "plain"), ("none", "plain"))]
        levels = cases(measured, {"xquad": Facts("span", "f1")}, pair, "language")
        found.append(run_noise([case for case in levels if case.task == "xquad"]))
    estimates, bounds = zip(*found, strict=True)
    assert {(one.df, one.sides) for one in (*estimates, *bounds)} == {(6.0, 2)}
    assert np.mean([one.run for one in estimates]) == pytest.approx(2 * 1.5**2, rel=0.4)
    assert np.mean([one.language for one in estimates]) == pytest.approx(2 * 1.0**2, rel=0.4)
    above = np.mean([one.run >= 4.5 for one in bounds])
    assert above == pytest.approx(0.8, abs=0.25)


def test_one_language_and_one_seed():
    one = components(case_of(simulate_differences(np.random.default_rng(3), 3, 1)))
    assert one["seed:language"] == one["cluster:language"] == 0
    lonely = components(case_of(simulate_differences(np.random.default_rng(3), 1, 3)))
    assert np.isnan(lonely["seed"]) and np.isnan(lonely["cluster:seed"])


def test_aggregates_are_refused():
    found = cases(
        study_moments([simulate_differences(np.random.default_rng(0), 2, 1)]),
        {"xquad": Facts("span", "f1")},
        PAIR,
        "all",
        paired=False,
    )
    with pytest.raises(UserError, match="one task and paired seeds"):
        components(found[0])
