"""The training loop: one loop for pretraining, intermediate and target training.

Devices, precision and data parallelism come from `accelerate`; the order of the data is a
function of the seed and the step, so a killed run continues from its last checkpoint and ends
with the same weights (bitwise on one machine's CPU).
"""

import hashlib
import json
import os
import time
from contextlib import nullcontext
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from accelerate import Accelerator, DistributedDataParallelKwargs
from accelerate.tracking import GeneralTracker
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file

from xtsupport.errors import Stopped
from xtsupport.training.batches import (
    batch_stream,
    collate,
    interleaved,
    schedule,
    token_batches,
)
from xtsupport.training.features import IGNORED, Features
from xtsupport.training.interrupt import asked_to_stop
from xtsupport.training.masked import mask_tokens
from xtsupport.training.progress import ProgressLine
from xtsupport.training.robust import robust_loss

MLM = "mlm"  # the name of the masked-LM task that a mixture may have beside the others


REMEDY = "lower its learning_rate, or lengthen its warmup"


class Diverged(RuntimeError):
    """The loss or the gradient is no longer a number."""


@dataclass(frozen=True)
class Recipe:
    """How to train; the names and units are those of the params file."""

    steps: int  # optimiser steps
    batch_size: int  # examples per step, over all processes
    learning_rate: float  # peak
    warmup: float = 0.1  # share of the steps
    weight_decay: float = 0.01
    clip: float = 1.0  # norm of the gradient
    seed: int = 0
    batch_tokens: int = 16384  # tokens that are in memory at a time; larger batches accumulate
    mixing_cap: int = 100_000  # examples; see batches.mixture
    mask: float = 0.15  # share of tokens masked, for tasks of kind `masked`
    precision: str = "auto"
    masked_steps: int = 0  # of the steps, those on the task `mlm`
    noise: str = ""  # robust.py: adversarial or smoothing
    radius: float = 0.1  # of the noise, share of an embedding's norm
    ascent_steps: int = 3  # adversarial: steps towards the worst noise


def train(
    model,
    data: dict[str, Features],
    tokenizer,
    recipe: Recipe,
    checkpoint: Path | None = None,
    minutes: float = 5.0,
    progress: bool = True,
    tracker: GeneralTracker | None = None,
) -> pd.DataFrame:
    """Train `model` in place on one task or a mixture; returns the history (step, task, loss).

    `model(task, batch)` returns the mean loss of a batch. With `checkpoint` (a file) the state is
    saved every `minutes` and a run that finds one continues from it. `tracker` is told loss,
    gradient norm and learning rate of every step. Raises Diverged when the
    loss or the gradient is not finite, Stopped (after a checkpoint) when somebody interrupts.
    """
    torch.manual_seed(recipe.seed)
    accelerator = _accelerator(recipe, len(data) > 1)
    optimizer = torch.optim.AdamW(
        _weight_groups(model, recipe.weight_decay), betas=(0.9, 0.98), fused=True
    )
    tasks = schedule_of(recipe, {t: len(f) for t, f in data.items()})
    losses = np.full(recipe.steps, np.nan, dtype=np.float32)
    wrapped, optimizer = accelerator.prepare(model.train(), optimizer)
    first = resume(checkpoint, model, optimizer, losses) if checkpoint else 0
    streams = {
        t: islice(batch_stream(f, recipe.batch_size, recipe.seed, t), tasks[:first].count(t), None)
        for t, f in data.items()
    }

    saved = time.monotonic()
    line = ProgressLine(recipe.steps, first, progress and accelerator.is_main_process)
    with asked_to_stop() as asked:
        for step in range(first, recipe.steps):
            task, indices = tasks[step], next(streams[tasks[step]])
            _set_rate(optimizer, rate(step, recipe))
            losses[step] = _step(
                wrapped, accelerator, task, data[task], indices, tokenizer, recipe, step
            )
            norm = accelerator.clip_grad_norm_(wrapped.parameters(), recipe.clip)
            for name, value in (("loss", losses[step]), ("gradient", float(norm))):
                if not np.isfinite(value):
                    place = f"at step {step + 1} of {recipe.steps}"
                    raise Diverged(f"the {name} of {task} is {value} {place}; {REMEDY}")
            optimizer.step()
            optimizer.zero_grad()
            line.step(step + 1, losses, int(data[task].lengths[indices].sum()))
            if tracker:
                told = {f"loss/{task}": float(losses[step]), "gradient": float(norm)}
                tracker.log(told | {"learning_rate": rate(step, recipe)}, step=step + 1)
            stop = asked() and accelerator.num_processes == 1 and step + 1 < recipe.steps
            due = time.monotonic() - saved > 60 * minutes
            if checkpoint and (due or stop) and accelerator.is_main_process:
                save_checkpoint(checkpoint, model, optimizer, losses, step + 1)
                saved = time.monotonic()
            if stop:
                raise Stopped(
                    f"stopped at step {step + 1} of {recipe.steps}; run the cell again to continue"
                )
    model.eval()
    return pd.DataFrame({"step": np.arange(1, recipe.steps + 1), "task": tasks, "loss": losses})


def schedule_of(recipe: Recipe, sizes: dict[str, int]) -> list[str]:
    """The task of every step; `masked_steps` of them are masked-LM batches between the others."""
    if not recipe.masked_steps:
        return schedule(sizes, recipe.steps, recipe.mixing_cap, recipe.seed)
    others = {task: size for task, size in sizes.items() if task != MLM}
    steps = recipe.steps - recipe.masked_steps
    tasks = schedule(others, steps, recipe.mixing_cap, recipe.seed)
    return interleaved(tasks, MLM, recipe.masked_steps, recipe.seed)


def _step(model, accelerator, task, features, indices, tokenizer, recipe, step) -> float:
    """Gradients of one batch, in pieces that fit into memory; the pieces add up to the batch."""
    rng = np.random.default_rng([recipe.seed, 3, step])
    batch = collate(features, indices, tokenizer.pad_token_id)
    if features.kind == "masked":
        batch = mask_tokens(batch, tokenizer, recipe.mask, rng)
    pieces = list(_pieces(batch, features.lengths[indices], recipe.batch_tokens, accelerator))
    pieces = [piece for piece in pieces if _counted(piece)] or pieces[:1]  # nothing to learn from
    total = max(1, _counted(batch))
    loss = 0.0
    for number, piece in enumerate(pieces, 1):
        share = _counted(piece) / total
        piece = {name: tensor.to(accelerator.device) for name, tensor in piece.items()}
        with _sync(accelerator, model, number == len(pieces)):
            part = _loss(model, accelerator, task, piece, recipe) * share
            accelerator.backward(part * accelerator.num_processes)
        loss += part.detach()
    return float(accelerator.reduce(loss, "sum"))


def _loss(model, accelerator, task, piece, recipe) -> torch.Tensor:
    if not recipe.noise:
        return model(task, piece)
    inner = accelerator.unwrap_model(model)
    return robust_loss(model, inner, task, piece, recipe.noise, recipe.radius, recipe.ascent_steps)


def _pieces(batch, lengths, max_tokens, accelerator):
    """This process's share of a batch, cut into parts of at most `max_tokens` tokens."""
    if accelerator.num_processes == 1 and batch["ids"].numel() <= max_tokens:
        yield batch
        return
    mine = np.arange(len(lengths))[accelerator.process_index :: accelerator.num_processes]
    per_row = len(batch["ids"]) // len(lengths)  # choices per example, else 1
    for rows in token_batches(lengths[mine] * per_row, max_tokens):
        rows = torch.from_numpy(mine[rows])
        yield {
            name: tensor.view(len(lengths), -1, *tensor.shape[1:])[rows].flatten(0, 1)
            if name in ("ids", "mask")
            else tensor[rows]
            for name, tensor in batch.items()
        }


def _counted(batch) -> int:
    """How many labels the mean loss of a batch is taken over."""
    return int((batch["labels"] != IGNORED).sum())


def _sync(accelerator, model, last: bool):
    return nullcontext() if last else accelerator.no_sync(model)


def _accelerator(recipe: Recipe, several_heads: bool) -> Accelerator:
    handler = DistributedDataParallelKwargs(find_unused_parameters=several_heads)
    precision = "bf16" if resolve_precision(recipe.precision) == "bfloat16" else "no"
    return Accelerator(mixed_precision=precision, kwargs_handlers=[handler])


def resolve_precision(setting: str) -> str:
    """``auto``: bfloat16 on GPUs that have it, float32 elsewhere."""
    if setting != "auto":
        return setting
    return "bfloat16" if torch.cuda.is_available() and torch.cuda.is_bf16_supported() else "float32"


def _weight_groups(model, decay: float) -> list[dict]:
    """No weight decay for biases and layer norms, as BERT and XLM-R were trained."""
    weights = [p for p in model.parameters() if p.requires_grad]
    return [
        {"params": [p for p in weights if p.ndim > 1], "weight_decay": decay},
        {"params": [p for p in weights if p.ndim <= 1], "weight_decay": 0.0},
    ]


def rate(step: int, recipe: Recipe) -> float:
    """Learning rate of a step (from 0): linear warm-up, then linear decay to 0."""
    warm = max(1, round(recipe.warmup * recipe.steps))
    if step < warm:
        return recipe.learning_rate * (step + 1) / warm
    return recipe.learning_rate * (recipe.steps - step) / max(1, recipe.steps - warm)


def _set_rate(optimizer, value: float) -> None:
    for group in optimizer.param_groups:
        group["lr"] = value


# ------------------------------------------------------------------------------ checkpoints


def save_checkpoint(path: Path, model, optimizer, losses: np.ndarray, step: int) -> None:
    """Weights, optimiser, random state, losses (steps,) in one safetensors file, at once or not."""
    tensors = {f"model.{name}": value for name, value in _weights(model).items()}
    for index, state in optimizer.state_dict()["state"].items():
        tensors |= {f"optimizer.{index}.{name}": value for name, value in state.items()}
    tensors |= {"random.cpu": torch.get_rng_state(), "losses": torch.from_numpy(losses)}
    tensors |= {f"random.cuda{i}": state for i, state in enumerate(torch.cuda.get_rng_state_all())}
    tensors = {n: t.detach().cpu().contiguous() for n, t in tensors.items()}
    draft = path.with_name(path.name + ".part")
    save_file(tensors, draft, {"step": json.dumps(step), "sha256": _checksum(tensors)})
    with open(draft, "rb") as file:
        os.fsync(file.fileno())
    draft.replace(path)


def _weights(model) -> dict[str, torch.Tensor]:
    """What training changes: every trained parameter and buffer once, tied ones by first name."""
    trained = {name: value for name, value in model.named_parameters() if value.requires_grad}
    return trained | dict(model.named_buffers())


def _checksum(tensors: dict[str, torch.Tensor]) -> str:
    """SHA-256 of names and bytes."""
    found = hashlib.sha256()
    for name in sorted(tensors):
        found.update(name.encode())
        found.update(tensors[name].reshape(-1).view(torch.uint8).numpy())
    return found.hexdigest()


def _read_checkpoint(path: Path) -> tuple[int, dict[str, torch.Tensor]]:
    """Steps done and tensors; SafetensorError or ValueError for a damaged file."""
    with safe_open(path, "pt") as file:
        about = file.metadata()
        tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    if about.get("sha256", "") not in ("", _checksum(tensors)):  # older files carry none
        raise ValueError("its checksum is another")
    return json.loads(about["step"]), tensors


def resume(path: Path, model, optimizer, losses: np.ndarray) -> int:
    """Continue from a checkpoint if any; fills losses (steps,), returns how many steps are done.

    A damaged checkpoint is named and removed, and training starts over.
    """
    if not path.exists():
        return 0
    try:
        step, tensors = _read_checkpoint(path)
    except (SafetensorError, ValueError, OSError) as error:
        print(f"{path} is damaged ({error}); training starts over")
        path.unlink()
        return 0
    with torch.no_grad():
        for name, weight in _weights(model).items():
            weight.copy_(tensors[f"model.{name}"])
    state = optimizer.state_dict()
    for name, value in tensors.items():
        if name.startswith("optimizer."):
            _, index, part = name.split(".")
            state["state"].setdefault(int(index), {})[part] = value
    optimizer.load_state_dict(state)
    torch.set_rng_state(tensors["random.cpu"])
    if torch.cuda.is_available():
        torch.cuda.set_rng_state_all(
            [tensors[f"random.cuda{i}"] for i in range(torch.cuda.device_count())]
        )
    losses[:] = tensors["losses"].numpy()
    return step
