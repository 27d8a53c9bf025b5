"""A small calibration: the full one is benchmarks/calibration.py, its table calibration.md."""

import importlib.util
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

pytestmark = pytest.mark.calibration
SCRIPT = Path(__file__).parents[1] / "benchmarks" / "calibration.py"


@pytest.fixture(scope="module")
def calibration():
    spec = importlib.util.spec_from_file_location("calibration", SCRIPT)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def rejected(calibration, design, studies=200):
    rows = [
        calibration.null_study(design, calibration.generator("true null", design, n))
        for n in range(studies)
    ]
    return {name: np.mean([row[name] <= 0.05 for row in rows]) for name in rows[0]}


@pytest.mark.parametrize("design", [(3, 2, 0.5, 0.3), (5, 2, 1.0, 0.5)])
def test_the_primary_method_rejects_about_five_percent(calibration, design):
    """200 null studies: 95% of binomial(200, 0.05) lie in 4..16; the naive test is far outside."""
    rate = rejected(calibration, design)
    assert 0.015 <= rate["primary"] <= 0.085
    assert rate["naive pooling"] > 0.15 and rate["pigeonhole, percentile"] <= 0.075 + 0.02


def test_studies_are_kept_and_not_repeated(calibration, tmp_path, monkeypatch):
    monkeypatch.setattr(calibration, "DESIGNS", calibration.DESIGNS[:1])
    for name in ("FAMILIES", "PLANTED"):
        monkeypatch.setattr(calibration, name, getattr(calibration, name)[:1])
    keep = tmp_path / "calibration.csv"
    first = calibration.run_all(2, keep)
    again = calibration.run_all(4, keep)
    assert len(first) == 6 and len(again) == 12
    fresh = calibration.run_all(4, None)
    key = ["part", "design", "primary", "Holm"]
    one, other = (table[key].sort_values(key, ignore_index=True) for table in (again, fresh))
    pd.testing.assert_frame_equal(one, other)
    tables = calibration.report(again)
    assert len(tables) == 3 and "coverage" in next(iter(tables.values()))
