"""Published claims are decided wrongly in a share alpha of studies at most, and still decided."""

from collections import Counter

import numpy as np
import pandas as pd
import pytest

from xtsupport.statistics.claims import _at_least, check_claims, claims
from xtsupport.statistics.clusters import ClusterSums
from xtsupport.statistics.comparisons import compare
from xtsupport.statistics.evidence import evidence_of

SINGLE = ("squad", "mnli", "hellaswag", "qqp", "boolq", "ccg", "sst2", "cola", "rte")
BARS = {"xnli": 1.0, "tydiqa": 0.0, "tatoeba": 10.0}  # thresholds of the claims about each
OF_ALL, OF_NONE = {"retrieval-tatoeba", "tydiqa-many"}, {"xnli-none", "mlm-not-consistent"}
STUDIES = 30


def one_task(rng, task: str, gains: dict[str, float], seeds=range(4), clusters=100):
    """Cluster sums of conditions with true gains (points); runs, clusters and their cells vary."""
    runs = pd.MultiIndex.from_product([gains, seeds], names=["condition", "seed"])
    runs = runs.to_frame(index=False).assign(variant="plain", phase2=True)
    shape = (len(gains), len(seeds), clusters)
    scores = 0.5 + np.array([*gains.values()])[:, None, None] / 100
    scores = scores + rng.normal(0, 0.01, (shape[0], 1, clusters))
    scores = scores + rng.normal(0, 0.003, (*shape[:2], 1)) + rng.normal(0, 0.01, shape)
    return ClusterSums(
        task=task,
        metric="accuracy" if task in ("xnli", "pawsx", "tatoeba") else "f1",
        runs=runs.assign(replicate=runs["seed"]),
        languages=pd.DataFrame({"language": ["de"], "family": ["x"], "group": ["x"]}),
        clusters=[np.arange(clusters)],
        sizes=[np.ones(clusters)],
        sums=[scores.reshape(-1, clusters, 1)],
    )


def verdicts(rng, k: int, beyond: float) -> pd.Series:
    """Of a study whose k treatments all gain the bar of each claim plus ``beyond`` points."""
    parts = []
    for task, bar in BARS.items():
        gains = {"none": 0.0} | dict.fromkeys(SINGLE[:k], bar + beyond)
        gains["squad+mlm"] = gains["squad"] + 1 + beyond
        parts.append(one_task(rng, task, gains))
    table = check_claims(evidence_of(parts)).set_index("claim")
    return table["verdict"][sorted(OF_ALL | OF_NONE)]


@pytest.mark.parametrize("k", [1, 5, 9])
def test_a_truth_at_the_bar_is_rarely_decided(k):
    """Either way of the two in 2.5% at most: more than 4 of 30 has a probability of 0.1%."""
    rng = np.random.default_rng(k)
    drawn = [verdicts(rng, k, 0.0) for _ in range(STUDIES)]
    for claim in OF_ALL | OF_NONE:
        found = Counter(each[claim] for each in drawn)
        assert found["not testable"] == 0
        assert found["contradicted"] <= 4 and found["supported"] <= 4, (claim, found)


@pytest.mark.parametrize("k", [1, 5, 9])
@pytest.mark.parametrize(("beyond", "of_all", "of_none"), [
    (2.0, "supported", "contradicted"), (-2.0, "contradicted", "supported"),
])  # fmt: skip
def test_a_truth_well_beyond_the_bar_is_decided(k, beyond, of_all, of_none):
    """Two points are about eight standard errors."""
    found = verdicts(np.random.default_rng(k), k, beyond)
    assert set(found[sorted(OF_ALL)]) == {of_all} and set(found[sorted(OF_NONE)]) == {of_none}


@pytest.mark.parametrize(("gains", "n", "verdict", "ends"), [
    ((2.1, 3.0, 2.6, 2.0), 4, "more", (0.04, 3.96)),  # each at 95%: z = 1.96
    ((2.1, 3.0, 2.6, 1.9), 4, "open", (-0.60, 4.40)),
    ((2.1, 2.6, 2.0, 1.9), 1, "more", (0.10, 5.10)),  # any of four, 98.75%: z = 2.498
    ((2.1, 2.4, 2.0, 1.9), 1, "open", (-0.10, 4.90)),
    ((2.3, 2.5, -9.0, 2.4), 3, "more", (0.06, 4.54)),  # three of four, 97.5%: z = 2.241
    ((2.2, 2.5, 9.0, -1.0), 3, "open", (-0.19, 4.59)),  # the wider: 98.33%, z = 2.394
    ((-2.5, -3.0, 9.0, 8.0), 3, "fewer", (-4.89, -0.11)),
    ((9.0, 9.0, 9.0, -2.5), 4, "fewer", (-5.00, -0.00)),
    ((-2.0, -3.0, -2.1, -2.2), 1, "fewer", (-3.96, -0.04)),
])  # fmt: skip
def test_verdicts_worked_out_by_hand(gains, n, verdict, ends):
    """Four rows with a standard error of 1 and normal errors, bar 0; quantiles from a table."""
    rows = pd.DataFrame({"gain": gains, "se": 1.0, "df": np.inf})
    rows = rows.assign(clusters=np.nan, runs=np.nan, cells=np.nan, df_runs=np.nan)
    more, fewer, row = _at_least(n, rows, 0.0, 0.05)
    assert (more, fewer) == (verdict == "more", verdict == "fewer")
    assert (row["ci_low"], row["ci_high"]) == pytest.approx(ends, abs=0.006)


def test_choosing_the_best_asks_for_as_many_seeds_as_its_row_says():
    claim = next(each for each in claims() if each["claim"] == "best-per-target")
    gains = {"none": 0.0, "squad": 3.0, "mnli": 0.0}
    for seeds, verdict in ((1, "not testable"), (2, "not testable"), (3, "supported")):
        rng = np.random.default_rng(seeds)
        parts = [one_task(rng, task, gains, range(seeds)) for task in claim["tasks"].split()]
        row = check_claims(evidence_of(parts)).set_index("claim").loc["best-per-target"]
        assert row["verdict"] == verdict
        assert (f"{seeds} seed(s), fewer than 3" in row["note"]) == (seeds < 3)


def test_seeds_are_paired_only_where_the_study_declares_it():
    sums = one_task(np.random.default_rng(0), "xnli", {"none": 0.0, "squad": 3.0})
    intervals = []
    for paired in (True, False):
        evidence = evidence_of([sums], {"paired": paired})
        row = check_claims(evidence).set_index("claim").loc["xnli-none"]
        same = compare(evidence, by="all", paired=paired).set_index("task").loc["xnli"]
        intervals.append(row[["ci_low", "ci_high"]].tolist())
        assert intervals[-1] == pytest.approx(same[["ci_low", "ci_high"]].tolist())
    assert intervals[0] != pytest.approx(intervals[1], abs=0.01)
