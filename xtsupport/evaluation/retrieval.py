"""Sentence retrieval without training: embeddings, and nearest neighbours by cosine."""

import numpy as np
import torch

from xtsupport.training.batches import collate, evaluation_batches
from xtsupport.training.features import Features
from xtsupport.training.heads import mean_pool

SLICE = 16384  # sentences that encode() holds as tokens at a time


def embed(model, tokenizer, sentences, max_length: int = 128, **options) -> np.ndarray:
    """`embed_ids` of sentences: (layers + 1, sentences, hidden), layer 0 the embeddings."""
    ids, _ = cut_ids(tokenizer, sentences, max_length)
    return embed_ids(model, ids, tokenizer.pad_token_id, **options)


def cut_ids(tokenizer, sentences, max_length: int) -> tuple[list[list[int]], list[bool]]:
    """The tokens of each sentence, at most `max_length`, and whether it lost its end."""
    found = tokenizer(list(sentences), truncation=True, max_length=max_length).encodings or []
    return [each.ids for each in found], [bool(each.overflowing) for each in found]


@torch.inference_mode()
def embed_ids(
    model,
    ids: list[list[int]],
    pad: int,
    pooling: str = "mean",
    batch_tokens: int = 16384,
    precision: str = "float32",
    layer: int | None = None,
) -> np.ndarray:
    """Vectors of sentences as tokens, of every layer: (layers + 1, sentences, hidden).

    precision: float32 or bfloat16, of the encoder; vectors are averaged and kept in float32.
    layer: only this one, (1, sentences, hidden).
    """
    device, config = next(model.parameters()).device, model.config
    model.eval()
    features = Features("masked", [{"ids": each} for each in ids], len(ids))
    layers = config.num_hidden_layers + 1 if layer is None else 1
    vectors = np.zeros((layers, len(ids), config.hidden_size), dtype=np.float32)
    for indices in evaluation_batches(features.lengths, batch_tokens, model):
        batch = {name: each.to(device) for name, each in collate(features, indices, pad).items()}
        mask = batch["mask"]
        given = {"input_ids": batch["ids"], "attention_mask": mask, "output_hidden_states": True}
        with torch.autocast(device.type, torch.bfloat16, enabled=precision == "bfloat16"):
            states = model(**given).hidden_states
        states = states if layer is None else states[layer : layer + 1]
        pooled = [mean_pool(s.float(), mask) if pooling == "mean" else s[:, 0] for s in states]
        vectors[:, indices] = torch.stack(pooled).float().cpu().numpy()
    return vectors


def encode(model, tokenizer, sentences, layer: int, **options) -> np.ndarray:
    """Unit vectors of one layer (sentences, hidden), for pools too large for embed() at once."""
    vectors = np.zeros((len(sentences), model.config.hidden_size), dtype=np.float32)
    for start in range(0, len(sentences), SLICE):
        part = sentences[start : start + SLICE]
        found = embed(model, tokenizer, part, layer=layer, **options)[0]
        vectors[start : start + SLICE] = unit(found)
    return vectors


def too_long(tokenizer, sentences, max_length: int) -> int:
    """How many sentences lose their end at `max_length` tokens."""
    parts = (sentences[start : start + SLICE] for start in range(0, len(sentences), SLICE))
    return sum(sum(cut_ids(tokenizer, part, max_length)[1]) for part in parts)


def unit(vectors: np.ndarray, centred: bool = False) -> np.ndarray:
    """Vectors (n, width) of length 1; `centred` takes off their mean first: no anisotropy."""
    if centred:
        vectors = vectors - vectors.mean(0)
    return vectors / np.maximum(np.linalg.norm(vectors, axis=-1, keepdims=True), 1e-12)


@torch.inference_mode()
def nearest(queries: np.ndarray, pool: np.ndarray, k: int = 1, block: int = 4096, device="cpu"):
    """Indices and cosines (queries, k) of the k nearest pool vectors, best first.

    queries (n, hidden) and pool (m, hidden) have length 1; fewer than k columns if m < k. Of equal
    cosines the first counts where k is 1. Memory: block x (2 block + hidden) floats beyond input
    and output.
    """
    k = min(k, len(pool))
    index = np.zeros((len(queries), k), dtype=np.int64)
    cosine = np.zeros((len(queries), k), dtype=np.float32)
    for start in range(0, len(queries), block):
        rows = torch.from_numpy(queries[start : start + block]).to(device)
        best = torch.full((len(rows), k), -torch.inf, device=device)
        where = torch.zeros((len(rows), k), dtype=torch.int64, device=device)
        for first in range(0, len(pool), block):
            scores = rows @ torch.from_numpy(pool[first : first + block]).to(device).T
            # After some blocks few rows still improve, and only these are worth a selection.
            better = (scores.amax(1) > best[:, -1]).nonzero()[:, 0]
            joined = torch.cat([best[better], scores[better]], 1)
            top, chosen = joined.max(1, keepdim=True) if k == 1 else joined.topk(k, 1)
            kept = where[better].gather(1, chosen.clamp(max=k - 1))
            best[better] = top
            where[better] = torch.where(chosen < k, kept, chosen - k + first)
        index[start : start + block] = where.cpu().numpy()
        cosine[start : start + block] = best.cpu().numpy()
    return index, cosine
