"""Single runs: gains and scores by hand, and a planted run far from its fellows."""

import numpy as np
import pandas as pd
import pytest

from xtsupport.statistics.declared import Declared, Primary
from xtsupport.statistics.evidence import evidence_of
from xtsupport.statistics.single_runs import leave_one_out, outlying, run_gains, run_scores, scatter

RULES = Declared(primary=Primary("squad", by="all"))
SCORES = {  # condition -> score of each run, the same in every language but English
    "none": (0.50, 0.51, 0.52),
    "squad": (0.54, 0.54, 0.57),
    "mnli": (0.50, 0.51, 0.30),
}


def cube(tasks=("xquad",), seeds=3):
    rows = [
        {
            "condition": condition, "task": task, "language": code, "seed": seed,
            "example_id": str(i), "cluster_id": str(i), "metric": "f1",
            "score": 0.9 if code == "en" else scores[seed] + 0.02 * (-1) ** i,
            "family": "x", "group": "x",
        }
        for condition, scores in SCORES.items()
        for task in tasks
        for code in ("en", "de", "th")
        for seed in range(seeds)
        for i in range(6)
    ]  # fmt: skip
    return pd.DataFrame(rows)


@pytest.fixture(scope="module")
def evidence():
    return evidence_of(cube(), RULES)


def test_gains_are_differences_of_one_seed(evidence):
    table = run_gains(evidence)
    assert table["gain"].tolist() == pytest.approx([4, 3, 5], abs=1e-5)
    assert set(table["task"]) == {"xquad"} and set(table["level"]) == {"all"}
    assert set(run_gains(evidence, "language")["level"]) == {"de", "th"}


def test_leaving_one_out_is_the_mean_of_the_others(evidence):
    row = leave_one_out(evidence).iloc[0]
    assert [row["gain"], row["lowest"], row["highest"]] == pytest.approx([4, 3.5, 4.5], abs=1e-5)
    one = leave_one_out(evidence_of(cube(seeds=1), RULES)).iloc[0]
    assert np.isnan(one["lowest"])


def test_unpaired_runs_are_held_against_the_mean_of_the_baseline():
    table = run_gains(evidence_of(cube(), Declared(primary=RULES.primary, paired=False)))
    assert table["gain"].tolist() == pytest.approx([3, 3, 6], abs=1e-5)


def test_scatter_is_the_sd_of_runs_without_english(evidence):
    table = scatter(evidence).set_index("condition")["xquad"]
    expected = {name: 100 * np.std(scores, ddof=1) for name, scores in SCORES.items()}
    assert table.to_dict() == pytest.approx(expected, abs=1e-4)
    assert run_scores(evidence).query("condition == 'none'")["score"].tolist() == pytest.approx(
        [50, 51, 52], abs=1e-4
    )


def test_the_run_that_lies_far_out_is_named_alone(evidence):
    (row,) = outlying(evidence).to_dict("records")
    assert (row["condition"], row["task"], row["seed"]) == ("mnli", "xquad", 2)
    assert [row["score"], row["others"]] == pytest.approx([30, 50.5], abs=1e-4)
    assert row["usual"] == pytest.approx(100 * np.std(SCORES["squad"], ddof=1), abs=1e-4)
    assert outlying(evidence_of(cube(seeds=2), RULES)).empty  # of two, neither is the odd one
