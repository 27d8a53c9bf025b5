"""Partial pooling: against brute-force integration, its limits, its coverage, on a real study."""

from pathlib import Path

import numpy as np
import pytest
from scipy import stats
from simulated_cubes import simulate

from xtsupport.statistics.declared import Declared, Primary
from xtsupport.statistics.evidence import evidence_of
from xtsupport.statistics.pooling import expectations, measured, outlook, pool

REFERENCE = Path(__file__).parents[1] / "outputs" / "pilot" / "cube"


def test_the_posterior_is_that_of_brute_force():
    """A grid over the mean, the SD between languages and the shift of all, with Bayes' rule."""
    gains, shared = np.array([1.0, 3.0, -0.5, 2.0]), np.array([0.2, 0.9])
    own = np.diag([0.5, 1.0, 0.7, 0.6]) + 0.1
    found = pool(gains, own, shared, np.eye(4))
    scale = 0.5 * np.sqrt(np.linalg.eigvalsh(own).mean() + shared.mean())
    first, new, weight = [], [], []
    for between in scale * np.tan(np.pi / 2 * (np.arange(120) + 0.5) / 120):
        total = own + between**2 * np.eye(4)
        means = np.linspace(-12, 15, 271)  # of gains and the shift together
        weight += stats.multivariate_normal.pdf(gains - means[:, None], np.zeros(4), total).tolist()
        pulls = between**2 * np.linalg.solve(total, (gains - means[:, None]).T)
        first += (means + pulls[0]).tolist()
        new += means.tolist()
    weight = np.array(weight) / np.sum(weight)
    assert found["gain"][0] == pytest.approx(weight @ first, abs=0.02)
    assert found["gain"].iloc[-1] == pytest.approx(weight @ new, abs=0.02)


def test_intervals_hold_what_a_sampler_draws():
    """Rows drawn from the posterior of a near-known SD: 2.5% lie beyond each end."""
    rng = np.random.default_rng(0)
    gains, own, a = rng.normal(1, 2, 40), 0.3 * np.eye(40), np.array([0.5])
    found = pool(gains, own, a, np.ones((1, 40)) / 40)
    sd = np.sqrt(found["sd"][0] ** 2)
    assert found["gain"][0] == pytest.approx(gains.mean())
    assert sd == pytest.approx(np.sqrt(0.3 / 40 + 0.5), rel=0.01)
    assert found["ci_high"][0] - found["ci_low"][0] == pytest.approx(2 * 1.96 * sd, rel=0.01)
    assert found["between"].iloc[0] == pytest.approx(np.sqrt(gains.var(ddof=1) - 0.3), rel=0.1)


def test_noise_alone_is_pulled_to_the_mean_and_sure_gains_are_left():
    gains = np.array([-1.0, 0.0, 1.0, 2.0, 3.0])
    noisy = pool(gains, 25 * np.eye(5), np.zeros(1), np.eye(5))
    sure = pool(gains, 1e-4 * np.eye(5), np.zeros(1), np.eye(5))
    assert np.ptp(noisy["gain"][:5]) < 0.5 * np.ptp(gains)
    assert sure["gain"][:5].to_numpy() == pytest.approx(gains, abs=1e-3)
    assert (noisy["sd"][:5] < 5).all() and noisy["sd"].iloc[-1] > noisy["sd"][0]


def study(rng, between, n=10, seeds=3, conditions=5, se=0.8, run_sd=1.0):
    """Gains and noise of a study, drawn as the primary estimates them, and its true gains."""
    truth = 1 + between * rng.normal(size=n + 1)
    own = se**2 * (0.1 + 0.9 * np.eye(n))
    gains = truth[:n] + rng.multivariate_normal(np.zeros(n), own)
    gains = gains + run_sd / np.sqrt(seeds) * rng.normal()
    chi = rng.chisquare([seeds - 1, (conditions - 2) * (seeds - 1)])
    v_s, q = chi[0] / (seeds - 1), chi.sum() / ((conditions - 1) * (seeds - 1))
    mixed = (2 * q + (seeds - 1) * v_s) / (seeds + 1)
    v, df = (mixed, seeds + 1) if mixed > v_s else (v_s, seeds - 1)
    shared = run_sd**2 / seeds * df * v / stats.chi2.ppf((np.arange(16) + 0.5) / 16, df)
    return (gains, own, shared), truth


@pytest.mark.parametrize(("between", "most"), [(0.0, 1.0), (0.5, 0.995), (1.0, 0.99), (2.0, 0.985)])
def test_coverage_of_languages_and_of_a_new_one(between, most):
    """200 studies of ten languages: nominal 95%; where none differ it is more (see the module)."""
    rng, inside, errors, spread = np.random.default_rng(1), [], [], []
    for _ in range(200):
        parts, truth = study(rng, between)
        found = pool(*parts, np.eye(10))
        spread.append(found["between_low"][0] <= between <= found["between_high"][0])
        inside.append((found["ci_low"] <= truth) & (truth <= found["ci_high"]))
        errors.append([parts[0] - truth[:10], found["gain"][:10] - truth[:10]])
    inside, rmse = np.array(inside), np.sqrt(np.square(errors).mean((0, 2)))
    assert 0.93 <= inside[:, :10].mean() <= most
    assert 0.92 <= inside[:, 10].mean() <= most
    assert rmse[1] < rmse[0]
    assert np.mean(spread) >= 0.88 or not between  # the prior prefers small ones; 0 is never inside


@pytest.mark.skipif(not REFERENCE.exists(), reason="outputs/pilot is not here")
def test_what_the_reference_study_expects():
    """Against an independent prototype: mean 1.4, SD between languages 1.2 with a smaller run part,
    single languages drawn in to SDs near 1, a new language between about -2 and +4.5."""
    evidence = evidence_of(REFERENCE, Declared(primary=Primary("squad", by="language")))
    levels = evidence.target_cases("language")
    table = expectations(levels, {case.level: case.level in "de el es" for case in levels})
    single, new = table[table["by"] == "language"], table.iloc[-1]
    assert len(single) == 10 and table.loc[table["by"] == "mean", "gain"].item() == pytest.approx(
        1.38, abs=0.1
    )
    assert np.ptp(single["gain"]) < 0.5 * np.ptp(single["measured"])
    assert single["sd"].between(0.8, 1.4).all() and 0.5 < new["between"] < 1.3
    assert -2.5 < new["ci_low"] < -1 and 3.5 < new["ci_high"] < 5
    groups = table[table["by"] == "group"]
    assert groups["n_languages"].tolist() == [7, 3]
    assert groups["gain"].iloc[1] == pytest.approx(
        single.set_index("level").loc[["de", "el", "es"], "gain"].mean()
    )


def test_the_noise_is_that_of_the_mean_where_it_is_averaged():
    """1' V 1 / L^2 + A, with A at its mean, exceeds what U says by the mean of the inverse chi2."""
    evidence = evidence_of(REFERENCE, Declared(primary=Primary("squad", by="language")))
    _, own, shared = measured(evidence.target_cases("language"))
    clusters = own.mean()
    assert clusters == pytest.approx(0.43604, rel=1e-4)  # V_p of the worked numbers
    df, v_star, cells = 4, (2 * 0.57399 + 2 * 0.10090) / 4, 0.28286
    luck = stats.chi2.ppf((np.arange(16) + 0.5) / 16, df)
    assert shared == pytest.approx(np.maximum(df * v_star / luck - cells, 0), abs=1e-4)


def test_languages_whose_gain_never_varies_are_no_obstacle():
    """One seed, and every example of a language alike: the noise is 0, or -1e-18 by rounding."""
    cube = simulate({"squad": 5.0}, seeds=1, size=0.1, tasks=("xquad",), run_sd=0.0)
    same = cube["language"].isin(["de", "el", "th"])
    cube.loc[same, "score"] = cube.loc[same, "condition"].eq("squad").astype(float) / 3
    evidence = evidence_of(cube)
    table = expectations(evidence.target_cases("language"))
    assert len(table) > 3 and table[["gain", "ci_low", "ci_high"]].notna().all(axis=None)
    assert outlook(evidence).empty  # of one seed nothing is said about runs to come


def test_an_interval_without_any_noise_is_its_gain():
    """Where the SD between languages and the noise are nil, both ends are the gain."""
    table = pool(np.full(4, 2.0), np.zeros((4, 4)), np.zeros(1), np.eye(4))
    assert np.allclose(table[["gain", "ci_low", "ci_high"]], 2.0, atol=1e-3)


def test_two_languages_say_nothing_about_others_and_have_the_same_columns():
    """Notebook 07 reads them whatever there is."""
    cube = simulate({"squad": 5.0}, seeds=2, size=0.1, tasks=("xquad",))
    two = outlook(evidence_of(cube[cube["language"].isin(["en", "de", "el"])]))
    assert two.empty and list(two.columns) == list(outlook(evidence_of(cube)).columns)
