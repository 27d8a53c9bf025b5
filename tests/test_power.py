"""Power: known formulas, simulation, and honest warnings."""

import numpy as np
import pytest
from statsmodels.stats.power import TTestPower

from xtsupport.errors import UserError
from xtsupport.statistics.aggregates import Facts
from xtsupport.statistics.clusters import study_moments
from xtsupport.statistics.components import components
from xtsupport.statistics.contrasts import cases
from xtsupport.statistics.evidence import gather
from xtsupport.statistics.inference import inference
from xtsupport.statistics.power import (
    design_power,
    design_variance,
    power_table,
    seeds_needed,
    t_power,
)
from xtsupport.statistics.simulate import simulate, simulate_differences

PAIR = [(("squad", "plain"), ("none", "plain"))]
QUIET = {"seed": 0.0, "seed:language": 0.0, "cluster": 4.0, "cluster:language": 60.0}
QUIET |= {"cluster:seed": 7.0, "residual": 70.0}


def case_of(sums):
    found = cases(study_moments([sums]), {"xquad": Facts("span", "f1")}, PAIR, "all")
    return next(case for case in found if case.row.task == "xquad")


def test_t_power_is_that_of_statsmodels():
    for gain, se, df in ((2.0, 0.8, 4), (0.5, 0.4, 30), (1.0, 1.0, 200)):
        expected = TTestPower().power(gain / se / np.sqrt(df + 1), df + 1, 0.05)
        assert t_power(gain, se, df) == pytest.approx(expected, abs=1e-6)
    assert t_power(1.96, 1.0, np.inf) == pytest.approx(0.5, abs=0.001)


def test_design_of_the_pilot_reproduces_its_standard_error():
    case = case_of(simulate_differences(np.random.default_rng(4), 5, 4, 2.0, 1.0))
    parts, numbers = components(case), inference([case]).iloc[0]
    clusters, seeds, _ = design_variance(parts, 5, 240, 4)
    assert np.sqrt(clusters + seeds) == pytest.approx(numbers["se"], rel=1e-6)
    assert design_power(parts, 1.0, 5, 240, 4)["df"] == pytest.approx(numbers["df"], rel=1e-6)


def test_more_of_anything_narrows_and_finds_more():
    parts = QUIET | {"seed": 1.0, "seed:language": 0.5}
    base = design_power(parts, 1.5, 10, 240, 4)
    for design in ((20, 240, 4), (10, 480, 4), (10, 240, 8)):
        more = design_power(parts, 1.5, *design)
        assert more["power"] > base["power"] and more["mde"] < base["mde"]
        assert more["se"] < base["se"]


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
    assert all(t_power(20.0, 1.0, df) > 0.999 for df in (10, 50, 240))


def test_seeds_needed_is_the_smallest_number_that_suffices():
    parts = QUIET | {"seed": 4.0}
    needed = seeds_needed(parts, 2.0, 240, 1)
    assert design_power(parts, 2.0, needed, 240, 1)["power"] >= 0.8
    assert design_power(parts, 2.0, needed - 1, 240, 1)["power"] < 0.8
    assert np.isnan(seeds_needed(parts, 0.5, 240, 1))


def test_the_table_warns_where_no_number_of_seeds_suffices():
    cube = simulate(tasks=("xquad",), languages=("en", "de", "th"), size=0.4)
    table = power_table(gather(cube), gain=0.6, seeds=(3, 5), questions=(1, 64))
    assert set(table["level"]) == {"Germanic", "Tai-Kadai", "all"}
    small, large = (table[table["n_examples"] == n] for n in sorted(set(table["n_examples"])))
    assert small["note"].str.contains("no number of seeds suffices").all()
    assert (large["note"] == "").any() and large["seeds_needed"].notna().any()
    assert table["power"].between(0, 1).all() and (table["mde"] > 0).all()


def test_bad_pilots_are_refused():
    with pytest.raises(UserError, match="one seed"):
        power_table(gather(simulate(seeds=1, languages=("en", "de"), size=0.1)))
    with pytest.raises(UserError, match="gain=0"):
        power_table(gather(simulate(seeds=2, languages=("en", "de"), size=0.1)), gain=0)


def test_a_planted_gain_is_found_as_often_as_predicted():
    """300 studies of +2 points, 5 seeds x 3 languages: within 5 points and the binomial error."""
    rng = np.random.default_rng(8)
    studies = [case_of(simulate_differences(rng, 5, 3, 1.0, 0.5, gain=2.0)) for _ in range(300)]
    found = np.mean([inference([case])["p_value"][0] <= 0.05 for case in studies])
    parts = {name: np.mean([components(case)[name] for case in studies]) for name in QUIET}
    predicted = design_power(parts, 2.0, 5, 240, 3)["power"]
    assert found == pytest.approx(predicted, abs=0.05 + 0.045)
