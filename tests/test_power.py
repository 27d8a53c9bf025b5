"""Power: known formulas, simulation, and honest warnings."""

import numpy as np
import pytest
from difference_toys import simulate_differences
from simulated_cubes import simulate
from statsmodels.stats.power import TTestPower

from xtsupport.errors import UserError
from xtsupport.statistics.aggregates import Facts
from xtsupport.statistics.clusters import study_moments
from xtsupport.statistics.components import components, run_noise
from xtsupport.statistics.contrasts import arms_of, cases
from xtsupport.statistics.evidence import evidence_of
from xtsupport.statistics.inference import inference
from xtsupport.statistics.power import (
    design_power,
    design_variance,
    power_table,
    seeds_needed,
)
from xtsupport.statistics.variance import estimate

THREE = ("none", "squad", "mnli")
PAIR = [(("squad", "plain"), ("none", "plain"))]
QUIET = {"seed": 0.0, "seed:language": 0.0, "cluster": 4.0, "cluster:language": 60.0}
QUIET |= {"cluster:seed": 7.0, "residual": 70.0}


def case_of(sums):
    found = cases(study_moments([sums]), {"xquad": Facts("span", "f1")}, PAIR, "all")
    return next(case for case in found if case.task == "xquad")


def test_a_pilot_may_have_more_runs_of_some_conditions():
    """The runs of all conditions count: 8 + 8 + 3 less 3 conditions and 7 seeds leave 9 df."""
    cube = simulate(conditions=THREE, languages=("de", "es", "th"), size=0.2, seeds=8)
    cube = cube[(cube["condition"] != "mnli") | (cube["seed"] < 3)]
    table = power_table(evidence_of(cube), seeds=(3, 8), questions=(1,))
    assert run_noise(evidence_of(cube).target_cases("language"))[0].df == 8 + 8 + 3 - 3 - 7
    assert table["power"].between(0, 1).all() and (table["run_sd_upper"] >= table["run_sd"]).all()


def test_design_of_the_pilot_reproduces_its_variance():
    case = case_of(simulate_differences(np.random.default_rng(4), 5, 4, 2.0, 1.0))
    one = estimate(*arms_of([case]), joint=True)
    clusters, seeds, cells = design_variance(components(case), 5, 240, 4)
    assert clusters == pytest.approx(1e4 * one.clusters.item(), rel=1e-6)
    assert cells == pytest.approx(1e4 * one.cells.item(), rel=1e-6)
    assert seeds == pytest.approx(1e4 * (one.seeds - one.cells).item(), rel=1e-6)


def test_more_of_anything_narrows_and_finds_more():
    parts = QUIET | {"seed": 1.0, "seed:language": 0.5}
    base = design_power(parts, 1.5, 10, 240, 4)
    for design in ((20, 240, 4), (10, 480, 4), (10, 240, 8)):
        more = design_power(parts, 1.5, *design)
        assert more["power"] > base["power"] and more["mde"] < base["mde"]
        assert more["se"] < base["se"]


@pytest.mark.parametrize("conditions", [2, 3, 5, 10])
@pytest.mark.parametrize("run", [0.0, 0.25, 1.0, 4.0])
def test_power_never_falls_with_more_questions_or_seeds(conditions, run):
    """Once 24% at 300 questions and 20% at 1,200: with few questions three runs that agree made the
    old test reject true nulls, too, which counted as power; and the narrower the questions' part,
    the fewer degrees of freedom the test has. The first is gone, the second a design can avoid."""
    parts = QUIET | {"seed": run, "seed:language": 0.25, "conditions": conditions}
    sizes = (16, 32, 64, 128, 256, 512, 1024, 4096)
    power = np.array(
        [[design_power(parts, 1.5, s, g, 10)["power"] for g in sizes] for s in (2, 3, 4, 5, 6, 8)]
    )
    assert (np.diff(power, axis=1) >= -0.001).all() and (np.diff(power, axis=0) >= -0.001).all()
    assert power[0, 0] < power[-1, -1]


def test_more_conditions_know_more_of_the_runs():
    parts = QUIET | {"seed": 1.0, "seed:language": 0.25}
    few, more = (design_power(parts | {"conditions": c}, 2.0, 3, 240, 10)["power"] for c in (2, 5))
    assert more > few + 0.1


def test_power_is_that_of_the_t_test_where_one_source_of_noise_is_left():
    """Only runs vary: the paired t test of S gains. Only questions vary: G clusters."""
    runs = dict.fromkeys(QUIET, 0.0) | {"seed": 4.0}
    questions = dict.fromkeys(QUIET, 0.0) | {"cluster": 400.0}
    for parts, n, gain in ((runs, 4, 3.0), (questions, 240, 3.0)):
        sd = np.sqrt(sum(parts.values()))
        found = design_power(parts, gain, 4, 240, 1)
        assert found["power"] == pytest.approx(TTestPower().power(gain / sd, n, 0.05), abs=0.004)
        assert design_power(parts, found["mde"], 4, 240, 1)["power"] == pytest.approx(0.8)


def test_a_sure_gain_is_found_whatever_the_numbers_of_seeds():
    parts = QUIET | {"seed": 1.0}
    assert all(design_power(parts, 30.0, s, 240, 1)["power"] > 0.999 for s in range(4, 1000, 37))


def test_seeds_needed_is_the_smallest_number_that_suffices():
    parts = QUIET | {"seed": 4.0}
    needed = seeds_needed(parts, 2.0, 240, 1)
    assert design_power(parts, 2.0, needed, 240, 1)["power"] >= 0.8
    assert design_power(parts, 2.0, needed - 1, 240, 1)["power"] < 0.8
    assert np.isnan(seeds_needed(parts, 0.5, 240, 1))


def test_the_table_warns_where_no_number_of_seeds_suffices():
    cube = simulate(conditions=("none", "squad", "mnli"), languages=("en", "de", "th"), size=0.4)
    table = power_table(evidence_of(cube), gain=0.6, seeds=(3, 5), questions=(1, 64))
    assert set(table["level"]) == {"Germanic", "Tai-Kadai", "all"}
    small, large = (table[table["n_examples"] == n] for n in sorted(set(table["n_examples"])))
    warned = "no number of seeds suffices" if table["run_sd"].iloc[-1] > 0 else "agree too well"
    assert small["note"].str.contains(warned).all()
    assert (large["note"] == "").any() and large["seeds_needed"].notna().any()
    assert table["power"].between(0, 1).all() and (table["mde"] > 0).all()


def test_runs_that_agree_promise_nothing():
    """Pilots of one truth: whatever the estimate, the plan takes its bound, and an estimate of zero
    or less is never read as "seeds do not matter"."""
    estimates, bounds = [], []
    for seed in range(12):
        cube = simulate(
            conditions=("none", "squad", "mnli"), languages=("en", "de", "th"), size=0.2,
            run_sd=0.7, seed=seed,
        )  # fmt: skip
        table = power_table(evidence_of(cube), gain=0.3, seeds=(3,), questions=(1,))
        row = table[table["level"] == "all"].iloc[0]
        estimates.append(row["run_sd"])
        bounds.append(row["run_sd_upper"])
        assert row["run_sd"] <= row["run_sd_upper"]
        notes = table.loc[table["run_sd"] == 0, "note"]
        assert not notes.str.contains("no number of seeds suffices").any()
    assert 0 in estimates
    assert np.mean(np.array(bounds) >= 0.99) >= 0.6  # SD .7 in either of two runs, bound of 80%


def test_bad_pilots_are_refused():
    with pytest.raises(UserError, match="one seed"):
        power_table(evidence_of(simulate(seeds=1, languages=("en", "de"), size=0.1)))
    with pytest.raises(UserError, match="gain=0"):
        power_table(evidence_of(simulate(seeds=2, languages=("en", "de"), size=0.1)), gain=0)


def test_a_planted_gain_is_found_as_often_as_predicted():
    """120 studies of +2 points, 5 seeds x 3 languages: within 5 points and the binomial error."""
    rng = np.random.default_rng(8)
    studies = [case_of(simulate_differences(rng, 5, 3, 1.0, 0.5, gain=2.0)) for _ in range(120)]
    found = np.mean([inference([case])["p_value"][0] <= 0.05 for case in studies])
    parts = {name: np.mean([components(case)[name] for case in studies]) for name in QUIET}
    predicted = design_power(parts, 2.0, 5, 240, 3)["power"]
    assert found == pytest.approx(predicted, abs=0.05 + 0.07)
