"""Length-bucketed batches in an order that depends on the seed alone, and the order of tasks.

The order is a function of (seed, task, epoch), so a resumed run needs nothing but its step number.
"""

from collections.abc import Iterator
from itertools import count

import numpy as np
import torch

from xtsupport.training.features import IGNORED, Features

POOL = 50  # batches whose features are sorted together: little padding, still random batches
CACHED = 2**18  # numbers, a layer's output for one batch: 1 MiB in float32, a CPU core's cache


def epoch_batches(
    lengths: np.ndarray, batch_size: int, rng: np.random.Generator
) -> list[np.ndarray]:
    """One epoch: feature indices in batches of `batch_size` of similar length, in random order.

    lengths (features,) in tokens; each batch is an array (batch,). Features are shuffled, sorted by
    length within pools of `POOL` batches, cut into batches, and the batches shuffled. Every feature
    occurs once; one batch an epoch may be smaller.

    Sequences are not packed into common rows: these batches hold some 2% of padding, which is all
    that packing could save (benchmarks/packing.py).
    """
    order = rng.permutation(len(lengths))
    batches = []
    for pool in np.split(order, range(POOL * batch_size, len(order), POOL * batch_size)):
        pool = pool[np.argsort(lengths[pool], kind="stable")]
        batches += np.split(pool, range(batch_size, len(pool), batch_size))
    return [batches[i] for i in rng.permutation(len(batches))]


def batch_stream(features: Features, batch_size: int, seed: int, task: str) -> Iterator[np.ndarray]:
    """Batches of one task without end, epoch after epoch: feature indices (batch,)."""
    name = np.frombuffer(task.encode(), dtype=np.uint8)
    for epoch in count():
        rng = np.random.default_rng([seed, epoch, *name])
        yield from epoch_batches(features.lengths, batch_size, rng)


def schedule(shares: dict[str, float], steps: int, seed: int) -> list[str]:
    """The task of every step, drawn with the shares of a `mixture`."""
    rng, tasks = np.random.default_rng([seed, 2]), list(shares)
    return [tasks[i] for i in rng.choice(len(tasks), size=steps, p=list(shares.values()))]


def interleaved(tasks: list[str], other: str, steps: int, seed: int) -> list[str]:
    """`steps` steps of another task at random places among `tasks`, which keep their order."""
    total = len(tasks) + steps
    places = set(np.random.default_rng([seed, 4]).choice(total, size=steps, replace=False).tolist())
    rest = iter(tasks)
    return [other if step in places else next(rest) for step in range(total)]


def token_batches(lengths: np.ndarray, max_tokens: int) -> list[np.ndarray]:
    """Indices (batch,) of all features, longest first, at most `max_tokens` tokens when padded."""
    batches, order = [], np.argsort(-lengths, kind="stable")
    while len(order):
        size = max(1, max_tokens // max(1, int(lengths[order[0]])))
        batches.append(order[:size])
        order = order[size:]
    return batches


def evaluation_batches(lengths: np.ndarray, max_tokens: int, encoder) -> list[np.ndarray]:
    """`token_batches` for a forward pass: indices (batch,), from lengths (features,).

    On CPUs they are no larger than keeps a layer's output in the cache, which is 1.2 to 1.7 times
    as fast as batches of 4,096 to 16,384 tokens.
    """
    if encoder.device.type == "cpu":
        max_tokens = min(max_tokens, CACHED // encoder.config.hidden_size)
    return token_batches(lengths, max_tokens)


def collate(
    features: Features, indices: np.ndarray, pad: int, few_lengths: bool = False, unit: int = 1
) -> dict[str, torch.Tensor]:
    """One padded batch: ids, mask and, of pairs, segments (batch, length).

    Of `choice` these have one row per option, (sum of options, length), and options (batch,) says
    how many of them are each example's.
    length: of the longest sequence; then up to a multiple of `unit`, with `few_lengths` up to an
    eighth more (eight lengths per doubling), but not beyond the longest of all features.
    """
    rows = [features.rows[i] for i in indices]
    choice = features.kind == "choice"
    sequences = [ids for row in rows for ids in (row["choices"] if choice else [row["ids"]])]
    length = max(map(len, sequences))
    if few_lengths:
        unit = 1 << max(0, length.bit_length() - 4)
    if unit > 1:
        length = min(-(-length // unit) * unit, int(features.lengths.max()))
    batch = {"ids": _pad(sequences, length, pad)}
    batch["mask"] = _pad([[1] * len(s) for s in sequences], length, 0)
    if "segments" in rows[0]:
        pairs = [ids for row in rows for ids in (row["segments"] if choice else [row["segments"]])]
        batch["segments"] = _pad(pairs, length, 0)
    if choice:
        batch["options"] = torch.tensor([len(row["choices"]) for row in rows])
    if features.kind == "tagging":
        batch["labels"] = _pad([row["labels"] for row in rows], length, IGNORED)
    elif features.kind == "span":
        batch["labels"] = torch.tensor([[row["start"], row["end"]] for row in rows])
    elif features.kind in ("classification", "choice"):
        batch["labels"] = torch.tensor([row["label"] for row in rows])
    return batch


def on_device(batch: dict[str, torch.Tensor], device: torch.device) -> dict[str, torch.Tensor]:
    """The same tensors, of any shape (...), on the device.

    A GPU gets them without being waited for, from memory that stays in its place; what the host
    will read remains there: `options`, and, where a batch has no padding, that it is `unpadded`.
    """
    if device.type != "cuda":
        return {name: tensor.to(device) for name, tensor in batch.items()}
    pinned = {name: tensor.pin_memory() for name, tensor in batch.items() if name != "options"}
    there = {name: each.to(device, non_blocking=True) for name, each in pinned.items()}
    return batch | there | ({"unpadded": batch["mask"]} if batch["mask"].all() else {})


def _pad(sequences, length: int, value: int) -> torch.Tensor:
    padded = np.full((len(sequences), length), value, dtype=np.int64)
    for row, sequence in zip(padded, sequences, strict=True):
        row[: len(sequence)] = sequence
    return torch.from_numpy(padded)
