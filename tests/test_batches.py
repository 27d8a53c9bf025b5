"""Every feature once an epoch, similar lengths together, the order a function of the seed."""

from itertools import islice
from types import SimpleNamespace

import numpy as np
import torch
from hypothesis import given
from hypothesis import strategies as st

from xtsupport.training.batches import (
    batch_stream,
    collate,
    epoch_batches,
    evaluation_batches,
    schedule,
    token_batches,
)
from xtsupport.training.features import Features
from xtsupport.training.recipe import mixture

lengths = st.lists(st.integers(1, 200), min_size=1, max_size=300).map(np.array)


def features_of(sizes):
    return Features(
        "masked", [{"ids": [5] * int(n), "example": i} for i, n in enumerate(sizes)], len(sizes)
    )


@given(lengths, st.integers(1, 40))
def test_an_epoch_has_every_feature_once(sizes, batch_size):
    batches = epoch_batches(sizes, batch_size, np.random.default_rng(0))
    assert sorted(np.concatenate(batches)) == list(range(len(sizes)))
    assert max(map(len, batches)) <= batch_size
    assert len(batches) == -(-len(sizes) // batch_size)


def test_bucketing_pads_less_than_random_batches():
    sizes = np.random.default_rng(1).integers(5, 200, 4000)
    padded = sum(
        len(b) * sizes[b].max() for b in epoch_batches(sizes, 16, np.random.default_rng(0))
    )
    shuffled = np.random.default_rng(0).permutation(4000).reshape(-1, 16)
    assert (
        padded / sizes.sum() < 1.05 < 1.6 < sum(16 * sizes[b].max() for b in shuffled) / sizes.sum()
    )


def test_the_order_depends_on_seed_task_and_epoch_only():
    features = features_of(range(1, 101))
    first, again = (list(islice(batch_stream(features, 10, 3, "squad"), 20)) for _ in range(2))
    assert all((a == b).all() for a, b in zip(first, again, strict=True))
    assert not all((a == b).all() for a, b in zip(first[:10], first[10:], strict=True))
    other = list(islice(batch_stream(features, 10, 3, "mnli"), 10))
    assert not all((a == b).all() for a, b in zip(first, other, strict=False))


def test_mixture_by_hand():
    """min(n, 100): 100 + 50 + 50 = 200."""
    sizes = {"a": 1000, "b": 50, "c": 50}
    assert mixture(sizes, "capped", cap=100) == {"a": 0.5, "b": 0.25, "c": 0.25}
    assert mixture(sizes, "proportional") == {"a": 10 / 11, "b": 0.5 / 11, "c": 0.5 / 11}
    assert mixture(sizes, "uniform") == {"a": 1 / 3, "b": 1 / 3, "c": 1 / 3}
    assert mixture({"a": 900, "b": 100}, "temperature", temperature=2) == {"a": 0.75, "b": 0.25}


def test_schedule_follows_the_mixture():
    drawn = schedule({"a": 0.75, "b": 0.25}, 4000, seed=0)
    assert abs(drawn.count("a") / 4000 - 0.75) < 3 * np.sqrt(0.75 * 0.25 / 4000)
    assert schedule({"a": 1.0}, 3, 0) == ["a", "a", "a"]


@given(lengths, st.integers(1, 500))
def test_token_batches_stay_within_the_budget(sizes, budget):
    batches = token_batches(sizes, budget)
    assert sorted(np.concatenate(batches)) == list(range(len(sizes)))
    assert all(len(b) == 1 or len(b) * sizes[b].max() <= budget for b in batches)


@given(lengths, st.sampled_from([64, 1024]))
def test_batches_to_evaluate_stay_in_the_cache_of_a_cpu(sizes, width):
    encoder = SimpleNamespace(device=torch.device("cpu"), config=SimpleNamespace(hidden_size=width))
    for batch in evaluation_batches(sizes, 8192, encoder):
        assert len(batch) == 1 or len(batch) * sizes[batch].max() * width <= 2**19
    encoder.device = torch.device("cuda")
    batches = evaluation_batches(sizes, 8192, encoder), token_batches(sizes, 8192)
    assert [b.tolist() for b in batches[0]] == [b.tolist() for b in batches[1]]


def test_collate_pads_to_the_longest():
    batch = collate(features_of([2, 4]), np.array([0, 1]), pad=1)
    assert torch.equal(batch["ids"], torch.tensor([[5, 5, 1, 1], [5, 5, 5, 5]]))
    assert batch["mask"].sum().item() == 6


@given(st.integers(1, 512), st.integers(0, 100))
def test_few_lengths_pad_by_an_eighth_at_most(length, more):
    features = features_of([length, length + more])
    padded = collate(features, np.array([0]), pad=1, few_lengths=True)["ids"].shape[1]
    assert length <= padded <= min(length * 9 / 8, length + more)


def test_few_lengths_are_eight_per_doubling():
    features = features_of(list(range(1, 513)))
    lengths = {collate(features, [i], 1, few_lengths=True)["ids"].shape[1] for i in range(512)}
    assert sorted(n for n in lengths if 256 < n <= 512) == list(range(288, 513, 32))
    assert sorted(n for n in lengths if 32 < n <= 64) == list(range(36, 65, 4))
