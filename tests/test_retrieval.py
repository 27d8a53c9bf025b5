"""Nearest neighbours against brute force, embeddings against a loop over sentences."""

import numpy as np
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from xtsupport.evaluation import retrieval
from xtsupport.evaluation.retrieval import embed, encode, nearest, unit


@settings(max_examples=50)
@given(st.integers(0, 10**6), st.integers(1, 30), st.integers(1, 50), st.integers(1, 9))
def test_nearest_is_brute_force_in_blocks(seed, queries, pool, block):
    rng = np.random.default_rng(seed)
    a, b = (unit(rng.normal(size=(n, 4)).astype(np.float32)) for n in (queries, pool))
    k = min(3, pool)
    index, cosine = nearest(a, b, k, block)
    assert np.allclose(cosine, -np.sort(-(a @ b.T), axis=1)[:, :k], atol=1e-6)
    assert np.allclose(np.take_along_axis(a @ b.T, index, 1), cosine, atol=1e-6)


def test_embeddings_do_not_depend_on_the_batch(tiny_encoder):
    model, tokenizer = tiny_encoder
    sentences = ["Ada cooked soup in the kitchen on Friday.", "Ben", "Who sold 3 old chairs?"]
    together = embed(model, tokenizer, sentences)
    alone = np.concatenate([embed(model, tokenizer, [s]) for s in sentences], axis=1)
    assert together.shape == (3, 3, 16) and np.allclose(together, alone, atol=1e-5)
    ids = tokenizer(sentences[0], return_tensors="pt")
    with torch.inference_mode():
        by_hand = model(**ids).last_hidden_state[0].mean(0).numpy()
    assert np.allclose(together[-1, 0], by_hand, atol=1e-5)


def test_bfloat16_vectors_point_the_same_way(tiny_encoder):
    """To 8 bits of the mantissa; they are averaged and returned in float32."""
    model, tokenizer = tiny_encoder
    texts = ["Ada cooked soup", "Ben"]
    exact = embed(model, tokenizer, texts)
    rounded = embed(model, tokenizer, texts, precision="bfloat16")
    cosine = (unit(exact) * unit(rounded)).sum(-1)
    assert rounded.dtype == exact.dtype == np.float32 and not np.array_equal(exact, rounded)
    assert cosine.min() > 0.999


def test_centred_vectors_lose_what_all_share():
    vectors = np.array([[1.0, 100.0], [-1.0, 100.0]], dtype=np.float32)
    assert np.allclose(unit(vectors, centred=True), [[1, 0], [-1, 0]])


def test_of_equal_neighbours_the_first_counts():
    pool = unit(np.array([[0, 1], [1, 1], [1, 1], [1, 1]], dtype=np.float32))
    for block in (1, 2, 3, 4):
        assert nearest(pool, pool, 1, block)[0][:, 0].tolist() == [0, 1, 1, 1]


def test_a_large_pool_in_slices_is_the_layer_of_the_whole(tiny_encoder, monkeypatch):
    model, tokenizer = tiny_encoder
    monkeypatch.setattr(retrieval, "SLICE", 2)
    sentences = ["Ada cooked soup.", "Ben", "Who sold 3 old chairs?", "Ada", "soup"]
    whole = embed(model, tokenizer, sentences)[1]
    assert np.allclose(encode(model, tokenizer, sentences, 1), unit(whole), atol=1e-6)
