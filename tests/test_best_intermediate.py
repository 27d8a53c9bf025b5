"""Choosing the best intermediate on other folds and seeds than those it is judged on."""

from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
from simulated_cubes import simulate

from xtsupport.errors import UserError
from xtsupport.statistics.best_intermediate import _fold_sums, best_intermediate
from xtsupport.statistics.clusters import ClusterSums
from xtsupport.statistics.evidence import evidence_of

NOISE = tuple(f"task{i}" for i in range(5))


def no_effect(rng, conditions=("none", *NOISE), seeds=3, clusters=60):
    """Cluster sums of conditions whose scores differ by noise of clusters and runs only."""
    runs = pd.MultiIndex.from_product([conditions, range(seeds)], names=["condition", "seed"])
    runs = runs.to_frame(index=False).assign(variant="plain", phase2=False)
    noise = rng.normal(0, 0.2, (len(runs), clusters, 1)) + rng.normal(0, 0.02, (len(runs), 1, 1))
    return ClusterSums(
        task="xquad",
        metric="f1",
        runs=runs.assign(replicate=runs["seed"]),
        languages=pd.DataFrame({"language": ["de"], "family": ["x"], "group": ["x"]}),
        clusters=[np.arange(clusters)],
        sizes=[np.full(clusters, 4.0)],
        sums=[4 * (0.6 + noise)],
    )


def test_naive_choice_among_equals_is_optimistic_and_cross_fitting_is_not():
    """Five conditions that all do nothing: the best one seems to gain, unless it is held out."""
    rng = np.random.default_rng(0)
    gains = {"naive": [], "cross-fitted": []}
    for _ in range(60):
        evidence = evidence_of([no_effect(rng)])
        for row in best_intermediate(evidence, ways=tuple(gains), n_resamples=1).itertuples():
            gains[row.way].append(row.gain)
    naive, fair = np.array(gains["naive"]), np.array(gains["cross-fitted"])
    error = fair.std(ddof=1) / np.sqrt(60)
    assert naive.mean() > 3 * error and abs(fair.mean()) < 3 * error


def chosen_by_hand(scores, fold, apart):
    """The mean gain (points) of choosing, from scores (1 + C, S, clusters), baseline first."""
    gains = []
    for seed in range(scores.shape[1]):
        won = np.empty(scores.shape[2])
        for f in range(5):
            runs = [s for s in range(scores.shape[1]) if s != seed or not apart]
            rows = (fold != f) | (not apart)
            best = max(range(1, len(scores)), key=lambda c: scores[c, runs][:, rows].mean())
            won[fold == f] = scores[best, seed, fold == f]
        gains.append(100 * (won - scores[0, seed]).mean())
    return np.mean(gains)


def test_the_choice_is_made_on_other_folds_and_other_seeds():
    sums = no_effect(np.random.default_rng(5), clusters=33)
    fold = np.random.default_rng(7).permutation(33) % 5
    scores = sums.sums[0].reshape(6, 3, 33) / 4
    table = best_intermediate(evidence_of([sums]), ways=("cross-fitted", "naive"), seed=7)
    by_hand = [chosen_by_hand(scores, fold, apart) for apart in (True, False)]
    assert list(table["gain"]) == pytest.approx(by_hand)


def test_a_clearly_best_condition_is_chosen_by_every_way():
    effects = {("task1", "xquad"): 12.0, ("task2", "xquad"): -3.0}
    cube = simulate(effects, ("none", *NOISE[:3]), languages=("en", "de", "th"), size=0.4)
    table = best_intermediate(evidence_of(cube), n_resamples=40).set_index("way")
    assert set(table["chosen"]) == {"task1"} and (table["share"] > 0.99).all()
    assert np.ptp(table["gain"]) < 1e-9  # the same choice everywhere is the plain gain
    assert table["note"].str.contains("optimistic").to_dict() == {
        "cross-fitted": False,
        "english": False,
        "naive": True,
    }
    assert (table["ci_low"] < table["gain"]).all() and (table["gain"] < table["ci_high"]).all()


def test_micro_f1_targets_are_chosen_through_their_counts():
    cube = simulate({"task1": 10.0}, ("none", *NOISE[:2]), ("udpos",), ("en", "de"), size=0.5)
    table = best_intermediate(evidence_of(cube), "udpos", ways=("cross-fitted",), n_resamples=5)
    row = table.iloc[0]
    assert row["chosen"] == "task1" and row["gain"] > 3


def test_several_targets_are_averaged_with_shared_seeds():
    cube = simulate(
        {("task0", "xquad"): 10.0, ("task1", "tatoeba"): 14.0},
        ("none", *NOISE[:2]),
        ("xquad", "tatoeba"),
        ("en", "de", "th"),
        size=0.5,
    )
    both, ways = ("xquad", "tatoeba"), ("cross-fitted",)
    table = best_intermediate(evidence_of(cube), both, ways=ways, n_resamples=30)
    rows = table.set_index("target")
    assert list(rows["chosen"]) == ["task0", "task1", "best of each target"]
    assert rows.loc["mean", "gain"] == pytest.approx(rows["gain"].iloc[:2].mean())
    assert rows.loc["mean", "ci_low"] > 5


def test_too_few_candidates_are_refused():
    evidence = evidence_of(simulate(languages=("en", "de"), size=0.1))
    with pytest.raises(UserError, match="two candidates or more; the cube has none, squad"):
        best_intermediate(evidence)
    with pytest.raises(UserError, match="no such task"):
        best_intermediate(evidence, "mlqa")


def test_a_language_without_clusters_in_a_fold_adds_nothing_there():
    """Two clusters of three folds: sums 0, 1 in the first, 2, 3 in the last; sizes 3 and 4."""
    sums = np.arange(4.0).reshape(2, 2, 1, 1)
    scores = SimpleNamespace(at=[np.array([0, 1])], sums=[sums], sizes=[np.array([3.0, 4.0])])
    found, examples = _fold_sums(scores, 0, np.array([0, 2, 1]), np.ones((1, 3)))
    assert found[0, :, 0, :, 0].tolist() == [[0, 0, 2], [1, 0, 3]]
    assert examples.tolist() == [[3, 0, 4]]
