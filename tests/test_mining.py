"""Mining of translations against a dense computation by hand, and its treatment of repetitions."""

import resource

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from xtsupport.data.bucc import Pools
from xtsupport.evaluation import mining
from xtsupport.evaluation.retrieval import nearest, unit


def vectors(seed, n, width=5):
    """Unit vectors with positive entries: no mean cosine is near zero."""
    return unit(np.random.default_rng(seed).random((n, width)).astype(np.float32))


@settings(max_examples=50)
@given(st.integers(0, 10**6), st.integers(2, 12), st.integers(2, 12))
def test_margin_is_the_dense_formula(seed, n, m):
    """Score every pair from the whole matrix, then give each sentence its best free partner."""
    x, y = vectors(seed, n), vectors(seed + 1, m)
    cosines = x @ y.T
    mean = lambda rows: np.sort(rows, axis=1)[:, -4:].mean(1)  # noqa: E731
    margins = cosines / ((mean(cosines)[:, None] + mean(cosines.T)[None]) / 2)
    named = {(i, max(np.argsort(-cosines[i])[:4], key=lambda j: margins[i, j])) for i in range(n)}
    named |= {(max(np.argsort(-cosines[:, j])[:4], key=lambda i: margins[i, j]), j)
              for j in range(m)}  # fmt: skip
    expected = {}
    for i, j in sorted(named, key=lambda pair: -margins[pair]):
        if i not in expected and j not in expected.values():
            expected[i] = j
    rows, columns, scores = mining.one_to_one(nearest(x, y, 4), nearest(y, x, 4))
    assert dict(zip(rows.tolist(), columns.tolist(), strict=True)) == expected
    assert np.allclose(scores, margins[rows, columns], atol=1e-5)
    assert (np.diff(scores) <= 0).all()


def test_the_margin_prefers_the_pair_without_rivals():
    """A is a hub: cos(a, A) 0.85, cos(b, A) 0.9, cos(b, B) 0.8, cos(a, B) 0.1.

    By cosine b-A takes both away from a and B. Mean cosines are a 0.475, b 0.85, A 0.875, B 0.45:
    by margin a-A has 0.85 / 0.675, b-B 0.8 / 0.65, b-A 0.9 / 0.8625.
    """
    forward = np.array([[0, 1], [0, 1]]), np.array([[0.85, 0.1], [0.9, 0.8]])
    backward = np.array([[1, 0], [1, 0]]), np.array([[0.9, 0.85], [0.8, 0.1]])
    rows, columns, scores = mining.one_to_one(forward, backward, margin=False)
    assert (rows.tolist(), columns.tolist(), scores.tolist()) == ([1], [0], [0.9])
    rows, columns, scores = mining.one_to_one(forward, backward)
    assert (rows.tolist(), columns.tolist()) == ([0, 1], [0, 1])
    assert scores == pytest.approx([0.85 / 0.675, 0.8 / 0.65])


SCORED = [("a", "A", 2.0), ("b", "B", 1.5), ("c", "X", 1.25), ("d", "D", 1.0), ("e", "X", 0.5)]


def test_threshold_with_the_best_f1():
    """Gold a b d and one never found: F1 after 1..5 pairs is 2/5 4/6 4/7 6/8 6/9."""
    gold = [("a", "A"), ("b", "B"), ("d", "D"), ("f", "F")]
    assert mining.best_threshold(SCORED, gold) == 0.75
    assert mining.above(SCORED, 0.75) == [("a", "A"), ("b", "B"), ("c", "X"), ("d", "D")]
    assert mining.best_threshold(SCORED[:1], gold) == 2.0  # nothing follows
    assert mining.best_threshold(SCORED, [("z", "Z")]) == 0.0 == mining.best_threshold([], gold)


def test_repeated_sentences_take_part_in_the_search_but_not_in_the_answer():
    texts = {"eins": 0, "zwei": 1, "drei": 2, "one": 0, "two": 1, "three": 2}
    encode = lambda sentences: np.eye(3, dtype=np.float32)[[texts[s] for s in sentences]]  # noqa: E731
    pools = Pools(
        {"d1": "eins", "d2": "zwei", "d3": "zwei", "d4": "drei"},
        {"e1": "one", "e2": "two", "e3": "three"},
        [("d1", "e1"), ("d2", "e2")],
    )
    found = mining.scored_pairs(pools, encode)
    assert {(a, b) for a, b, _ in found["margin"]} == {("d1", "e1"), ("d4", "e3")}
    assert {(a, b) for a, b, _ in found["cosine"]} == {("d1", "e1"), ("d4", "e3")}


def test_memory_does_not_grow_with_the_product_of_the_pools():
    """8,000 x 8,000 cosines would take 256 MB; what is held is queries x k and blocks."""
    x, y = vectors(0, 8000, 16), vectors(1, 8000, 16)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    index, _ = nearest(x, y, 4, block=512)
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 40_000  # KiB
    assert (index[:50] == np.argsort(-(x[:50] @ y.T), axis=1)[:, :4]).mean() > 0.99
