"""The slope of gains over distance: planted, by least squares, refused where there is no line."""

import numpy as np
import pandas as pd
import pytest
from simulated_cubes import LANGUAGES, simulate

from xtsupport.errors import UserError
from xtsupport.statistics.distance import design, distance_slope, slope
from xtsupport.statistics.evidence import evidence_of, exactly


@pytest.fixture(scope="module")
def sloping():
    """Gains that fall by 2 points per tenth of distance, on eight languages."""
    codes = [code for code in LANGUAGES if code != "en"][:8]
    far = dict(zip(codes, np.linspace(0.3, 0.7, 8), strict=True))
    effects = {("squad", "xquad", code): 10 - 20 * (x - 0.3) for code, x in far.items()}
    cube = simulate(effects, tasks=("xquad", "xnli"), languages=("en", *codes), size=0.5)
    size, pieces = np.random.default_rng(0).uniform(1, 100, (2, 8))
    table = pd.DataFrame({"code": codes, "syntactic": far.values(), "pretraining_gb": size})
    table["fertility"] = pieces
    return evidence_of(cube), table


def test_planted_slope_is_found(sloping):
    evidence, table = sloping
    lines = distance_slope(evidence, table).set_index(["task", "adjusted_for"])
    for covariates in ("", "pretraining_gb", "fertility", "pretraining_gb + fertility"):
        row = lines.loc[("xquad", covariates)]
        assert row["ci_low"] < -2 < row["ci_high"] and row["ci_high"] < 0
        assert row["leave_one_out_low"] <= row["slope"] <= row["leave_one_out_high"]
        assert row["unit"] == "clusters x seeds x languages"
    assert lines.loc[("xquad", ""), "spearman"] < -0.7
    assert lines.loc[("rest", ""), "p_value"] > 0.01


def test_slope_is_least_squares(sloping):
    evidence, table = sloping
    found = exactly(evidence.primary_cases("language"), "xquad", "f1", "language")
    codes = [case.level for case in found]
    x = design(table.set_index("code")[["syntactic"]], codes)
    gains = [
        100 * float(np.diff([v.mean(0) @ w for v in a.values][::-1])[0])
        for case in found
        for a, w in zip(case.arms, case.weights, strict=True)
    ]
    numbers = slope(found, x)
    assert numbers["slope"] == pytest.approx(np.polyfit(x[:, 1], gains, 1)[0])


def test_slope_needs_languages_with_a_distance(sloping):
    evidence, table = sloping
    with pytest.raises(UserError, match="fewer than four"):
        distance_slope(evidence, table.head(3))
