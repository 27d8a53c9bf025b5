"""Sentence retrieval without training: embeddings, nearest neighbours, cosine and margin scores."""

import numpy as np
import torch

from xtsupport.training.batches import token_batches
from xtsupport.training.heads import mean_pool


@torch.inference_mode()
def embed(
    model,
    tokenizer,
    sentences,
    max_length: int = 128,
    pooling: str = "mean",
    batch_tokens: int = 16384,
) -> np.ndarray:
    """Sentence vectors of every layer: (layers + 1, sentences, hidden), layer 0 the embeddings."""
    device = next(model.parameters()).device
    model.eval()
    ids = tokenizer(list(sentences), truncation=True, max_length=max_length)["input_ids"]
    vectors = None
    for indices in token_batches(np.array([len(i) for i in ids]), batch_tokens):
        batch = tokenizer.pad({"input_ids": [ids[i] for i in indices]}, return_tensors="pt").to(
            device
        )
        states = model(**batch, output_hidden_states=True).hidden_states
        mask = batch["attention_mask"]
        pooled = torch.stack([mean_pool(s, mask) if pooling == "mean" else s[:, 0] for s in states])
        if vectors is None:
            vectors = np.zeros((len(pooled), len(ids), pooled.shape[-1]), dtype=np.float32)
        vectors[:, indices] = pooled.float().cpu().numpy()
    return vectors


def unit(vectors: np.ndarray, centred: bool = False) -> np.ndarray:
    """Vectors of length 1; `centred` subtracts their mean first, the control for anisotropy."""
    if centred:
        vectors = vectors - vectors.mean(0)
    return vectors / np.maximum(np.linalg.norm(vectors, axis=-1, keepdims=True), 1e-12)


def nearest(queries: np.ndarray, pool: np.ndarray, k: int = 1, block: int = 4096):
    """Indices and cosines (queries, k) of the k nearest pool vectors, best first, block by block.

    queries (n, hidden) and pool (m, hidden) have length 1. Memory: n x (k + block) floats.
    """
    best = (
        np.full((len(queries), 0), -np.inf, dtype=np.float32),
        np.zeros((len(queries), 0), dtype=np.int64),
    )
    for start in range(0, len(pool), block):
        cosines = queries @ pool[start : start + block].T
        scores = np.concatenate([best[0], cosines], axis=1)
        index = np.concatenate(
            [best[1], np.broadcast_to(np.arange(start, start + cosines.shape[1]), cosines.shape)],
            axis=1,
        )
        top = np.argsort(-scores, axis=1, kind="stable")[:, :k]
        best = np.take_along_axis(scores, top, 1), np.take_along_axis(index, top, 1)
    return best[1], best[0]
