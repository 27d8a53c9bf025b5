"""One prediction per example, for every kind of task that has a head."""

from collections.abc import Callable, Sequence
from functools import partial
from itertools import islice
from typing import Any

import numpy as np
import torch
from torch.nn import functional

from xtsupport.training.batches import collate, evaluation_batches, on_device
from xtsupport.training.features import Features


def predict(model, task: str, features: Features, examples, pad: int, *more, **named) -> list:
    """`predict_sets` for one set."""
    return predict_sets(model, task, [(features, examples)], pad, *more, **named)[0]


def predict_sets(
    model,
    task: str,
    sets: Sequence[tuple[Features, Any]],
    pad: int,
    batch_tokens: int = 16384,
    precision: str = "float32",
    unanswerable: bool = False,
    max_answer: int = 30,
) -> list[list]:
    """Predictions for several sets (features, examples) of one kind, such as all languages of a
    target, in common batches; of each aligned with its examples: labels (str), choices (int), tags
    (list of str), or answer texts (str; empty where `unanswerable` and no answer is likelier than
    any span).

    `model` has a head for `task` (a training task); `batch_tokens` bounds tokens per batch and
    `max_answer` the tokens of a span (XTREME: 30).
    """
    rows = [row for features, _ in sets for row in features.rows]
    kind = sets[0][0].kind
    together = Features(kind, rows, sum(features.examples for features, _ in sets))
    found = iter(model_outputs(model, task, together, pad, batch_tokens, precision, max_answer))
    decode: dict[str, Callable] = {
        "classification": lambda best, features, examples: [features.labels[n] for n in best],
        "choice": lambda best, features, examples: list(map(int, best)),
        "tagging": _tags,
        "span": partial(_spans, unanswerable=unanswerable),
    }
    return [decode[kind](list(islice(found, len(each))), each, of) for each, of in sets]


@torch.inference_mode()
def model_outputs(model, task, features, pad: int, batch_tokens, precision, max_answer) -> list:
    """What decoding needs, per feature: the best label or option, the best label of every token
    (length,), or of spans (start, end, score of that best span, score of no answer)."""
    device = next(model.parameters()).device
    model.eval()
    found = []  # read at the end: a GPU is not waited for between batches
    sizes = features.lengths * max((len(r.get("choices", [0])) for r in features.rows), default=1)
    half = precision == "bfloat16"
    few_lengths = half and device.type == "cpu"  # its kernels are made, and kept, for each length
    with torch.autocast(device.type, torch.bfloat16, enabled=half):  # around all: one cast a weight
        for indices in evaluation_batches(sizes, batch_tokens, model.encoder):
            batch = on_device(collate(features, indices, pad, few_lengths), device)
            logits = model.logits(task, batch)
            if features.kind == "span":
                best = best_spans(logits, in_context(features, indices, logits), max_answer)
            else:
                best = logits.argmax(-1)
            found.append((indices, best))
    outputs: list = [None] * len(features)
    for indices, best in found:
        for i, output in zip(indices, best.cpu().numpy(), strict=True):
            outputs[i] = output
    return outputs


def in_context(features: Features, indices, logits: torch.Tensor) -> torch.Tensor:
    """Which tokens belong to the context: (batch, length) beside logits (batch, length, 2)."""
    inside = torch.zeros(logits.shape[:2], dtype=torch.bool)
    for row, i in zip(inside, indices, strict=True):
        offsets = features.rows[i]["offsets"]
        row[: len(offsets)] = torch.from_numpy(offsets[:, 0] >= 0)
    return inside.to(logits.device, non_blocking=True)


def best_spans(logits: torch.Tensor, inside: torch.Tensor, max_answer: int) -> torch.Tensor:
    """The best span of at most `max_answer` tokens inside the context.

    logits (batch, length, 2), inside (batch, length) -> (batch, 4): start, end, score of the span
    (start logit + end logit), score of no answer (the same at the first token).
    """
    starts = logits[..., 0].masked_fill(~inside, -torch.inf)
    ends = logits[..., 1].masked_fill(~inside, -torch.inf)
    length = starts.shape[1]
    by_width = (starts[:, : length - k] + ends[:, k:] for k in range(min(max_answer, length)))
    padded = [functional.pad(sums, (0, k), value=-torch.inf) for k, sums in enumerate(by_width)]
    scores = torch.stack(padded, dim=-1)  # (batch, length, width)
    best, where = scores.flatten(1).max(1)
    start = where // scores.shape[-1]
    null = logits[:, 0].sum(-1)
    return torch.stack([start, start + where % scores.shape[-1], best, null], dim=-1).double()


def _tags(best, features: Features, examples) -> list[list[str]]:
    """One tag per word; every word has exactly one window that decides it."""
    tags = [[""] * len(tokens) for tokens in examples["tokens"]]
    for row, of_tokens in zip(features.rows, best, strict=True):
        for position, word in enumerate(row["words"]):
            if word >= 0:
                tags[row["example"]][word] = features.labels[of_tokens[position]]
    return tags


def _spans(spans, features: Features, examples, unanswerable: bool) -> list[str]:
    """The text of the best span over all windows of an example."""
    contexts = examples["context"]
    best: dict[int, tuple] = {}
    null: dict[int, float] = {}
    for row, (start, end, score, no_answer) in zip(features.rows, spans, strict=True):
        n = row["example"]
        null[n] = min(null.get(n, np.inf), no_answer)
        if n not in best or score > best[n][0]:
            offsets = row["offsets"]
            best[n] = score, offsets[int(start), 0], offsets[int(end), 1]
    return [
        ""
        if unanswerable and null[n] > best[n][0]
        else contexts[n][best[n][1] : best[n][2]].strip()
        for n in range(features.examples)
    ]
