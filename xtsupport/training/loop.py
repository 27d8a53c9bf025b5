"""The training loop: one loop for pretraining, intermediate and target training.

The order of the data is a function of the seed and the step, so a killed run continues from its
last checkpoint and ends with the same weights (bitwise on one machine's CPU).
"""

import time
from collections.abc import Callable
from contextlib import nullcontext
from itertools import islice
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from accelerate import Accelerator, DistributedDataParallelKwargs
from accelerate.tracking import GeneralTracker

from xtsupport.errors import Stopped
from xtsupport.training.batches import (
    batch_stream,
    collate,
    interleaved,
    on_device,
    schedule,
    token_batches,
)
from xtsupport.training.divergence import Readings
from xtsupport.training.features import IGNORED, Features, check_learnable
from xtsupport.training.graphs import UNIT, one_by_one, recorded
from xtsupport.training.interrupt import asked_to_stop
from xtsupport.training.masked import mask_tokens, masked_places
from xtsupport.training.progress import ProgressLine
from xtsupport.training.recipe import Recipe, mixture, recordable
from xtsupport.training.resume import resume, save_checkpoint, trained_weights
from xtsupport.training.robust import robust_loss
from xtsupport.training.selection import Selection

MLM = "mlm"  # the name of the masked-LM task that a mixture may have beside the others


def train(
    model,
    data: dict[str, Features],
    tokenizer,
    recipe: Recipe,
    checkpoint: Path | None = None,
    minutes: float = 5.0,
    progress: bool = True,
    tracker: GeneralTracker | None = None,
    evaluate: Callable[[], float] | None = None,
) -> pd.DataFrame:
    """Train `model` in place on one task or a mixture; returns the history (step, task, loss).

    `model(task, batch)` returns the mean loss of a batch. With `checkpoint` (a file) the state is
    saved every `minutes` and a run that finds one continues from it. `tracker` is told loss,
    gradient norm and learning rate of every step. `evaluate` scores the model on development rows
    (larger is better) every `dev_every` steps: the best weights are kept, the history has the
    scores as `dev`, and it ends early where the recipe's patience does. Raises Diverged when the
    loss or the gradient is not finite, Stopped (after a checkpoint) when somebody interrupts.
    """
    for task, features in data.items():
        check_learnable(task, features)
    torch.manual_seed(recipe.seed)
    several = DistributedDataParallelKwargs(find_unused_parameters=len(data) > 1)
    accelerator = Accelerator(mixed_precision="no", kwargs_handlers=[several])  # _step casts
    groups = _weight_groups(model, recipe.weight_decay)
    optimizer = torch.optim.AdamW(groups, betas=recipe.betas, fused=True)
    tasks = schedule_of(recipe, {t: len(f) for t, f in data.items()})
    losses = np.full(recipe.steps, np.nan, dtype=np.float32)
    score = _together(accelerator, evaluate, recipe)
    selection = Selection(score, recipe.dev_every, recipe.dev_patience)
    wrapped, optimizer = accelerator.prepare(model.train(), optimizer)
    weights, clipped = trained_weights(model), list(wrapped.parameters())
    first = resume(checkpoint, model, optimizer, losses, selection) if checkpoint else 0
    streams = {
        t: islice(batch_stream(f, recipe.batch_size, recipe.seed, t), tasks[:first].count(t), None)
        for t, f in data.items()
    }

    saved, done = time.monotonic(), first
    line = ProgressLine(recipe.steps, first, progress and accelerator.is_main_process)
    readings = Readings(recipe, losses, first, accelerator.device, tracker)
    alone = accelerator.num_processes == 1
    graphs = recorded(model.encoder, alone and recordable(recipe.cuda_graphs, recipe.noise))
    with asked_to_stop() as asked, graphs:
        while done < recipe.steps and not selection.finished:
            task, indices = tasks[done], next(streams[tasks[done]])
            for group in optimizer.param_groups:
                group["lr"] = rate(done, recipe)
            loss = _step(wrapped, accelerator, task, data[task], indices, tokenizer, recipe, done)
            norm = accelerator.clip_grad_norm_(clipped, recipe.clip)
            readings.add(task, loss, norm, rate(done, recipe))
            optimizer.step()
            optimizer.zero_grad()
            done += 1
            selection.look(model, weights, done, last=done == recipe.steps)
            tokens = int(data[task].lengths[indices].sum())
            line.step(done, losses[: readings.read], tokens, str(selection))
            stop = asked() and alone and done < recipe.steps
            due = time.monotonic() - saved > 60 * minutes
            if checkpoint and (due or stop) and accelerator.is_main_process:
                readings.read_all()
                save_checkpoint(checkpoint, model, optimizer, losses, selection, done)
                saved = time.monotonic()
            if stop:
                place = f"stopped at step {done} of {recipe.steps}"
                raise Stopped(f"{place}; run the cell again to continue")
    selection.restore(weights)
    model.eval()
    history = {"step": np.arange(1, done + 1), "task": tasks[:done], "loss": losses[:done]}
    return pd.DataFrame(history | ({"dev": selection.column(done)} if evaluate else {}))


def _together(accelerator, evaluate, recipe: Recipe):
    """The same score in every process: their mean."""
    if evaluate is None:
        return None

    def score() -> float:
        with one_by_one(recipe.cuda_graphs):
            own = torch.tensor(evaluate(), dtype=torch.float64)
        return float(accelerator.reduce(own, "mean"))

    return score


def schedule_of(recipe: Recipe, sizes: dict[str, int]) -> list[str]:
    """The task of every step; `masked_steps` of them are masked-LM batches between the others."""
    others = {task: size for task, size in sizes.items() if task != MLM or not recipe.masked_steps}
    shares = mixture(others, recipe.sampler, recipe.mixing_cap, recipe.temperature)
    tasks = schedule(shares, recipe.steps - recipe.masked_steps, recipe.seed)
    return interleaved(tasks, MLM, recipe.masked_steps, recipe.seed)


def _step(model, accelerator, task, features, indices, tokenizer, recipe, step) -> torch.Tensor:
    """Gradients of one batch, in pieces that fit into memory; the pieces add up to the batch.

    Returns its loss, on the device. A GPU still computes it then: what follows on the host, the
    next batch too, is made meanwhile.
    """
    rng = np.random.default_rng([recipe.seed, 3, step])
    unit = UNIT if recipe.cuda_graphs else 1
    batch = collate(features, indices, tokenizer.pad_token_id, unit=unit)
    if features.kind == "masked":
        batch = mask_tokens(batch, tokenizer, recipe.mask, rng)
    pieces = list(_pieces(batch, features.lengths[indices], recipe.batch_tokens, accelerator))
    pieces = [piece for piece in pieces if _counted(piece)] or pieces[:1]  # nothing to learn: 0
    total = max(1, _counted(batch))
    loss, half = torch.zeros((), device=accelerator.device), recipe.precision == "bfloat16"
    for number, piece in enumerate(pieces, 1):
        share = _counted(piece) / total
        if features.kind == "masked":
            piece = piece | {"places": masked_places(piece["labels"])}
        piece = on_device(piece, accelerator.device)
        # recorded gradients lie where the next pass writes: a batch in pieces is not recorded
        started = one_by_one(recipe.cuda_graphs and len(pieces) > 1)
        last = number == len(pieces)
        with nullcontext() if last else accelerator.no_sync(model), started:
            with torch.autocast(accelerator.device.type, torch.bfloat16, enabled=half):
                part = _loss(model, accelerator, task, piece, recipe) * share
            accelerator.backward(part * accelerator.num_processes)
        loss += part.detach()
    return accelerator.reduce(loss, "sum")


def _loss(model, accelerator, task, piece, recipe) -> torch.Tensor:
    if not recipe.noise:
        return model(task, piece)
    inner = accelerator.unwrap_model(model)
    return robust_loss(model, inner, task, piece, recipe.noise, recipe.radius, recipe.ascent_steps)


def _pieces(batch, lengths, max_tokens, accelerator):
    """This process's share of a batch, cut into parts of at most `max_tokens` tokens.

    A process without a share gets one row whose label does not count: all take part in a step.
    """
    if accelerator.num_processes == 1 and batch["ids"].numel() <= max_tokens:
        yield batch
        return
    mine = np.arange(len(lengths))[accelerator.process_index :: accelerator.num_processes]
    if not len(mine):
        nothing = torch.full_like(batch["labels"][:1], IGNORED)
        yield _part(batch, np.array([0])) | {"labels": nothing}
    most = int(batch["options"].max()) if "options" in batch else 1
    for rows in token_batches(lengths[mine] * most, max_tokens):
        yield _part(batch, mine[rows])


def _part(batch, rows):
    """The examples `rows` (n,) of a batch, with all options of each."""
    rows = torch.from_numpy(rows)
    sequences = rows
    if "options" in batch:
        sequences = torch.arange(len(batch["ids"])).split(batch["options"].tolist())
        sequences = torch.cat([sequences[row] for row in rows])
    return {
        name: tensor[sequences if name in ("ids", "mask", "segments") else rows]
        for name, tensor in batch.items()
    }


def _counted(batch) -> int:
    """How many labels the mean loss of a batch is taken over."""
    return int((batch["labels"] != IGNORED).sum())


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
