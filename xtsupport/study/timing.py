"""Twenty steps of a study's encoder on the device at hand, for `xtsupport plan --measure`."""

import time
from contextlib import suppress
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import torch
from transformers import AutoConfig, AutoModel

from xtsupport.errors import UserError
from xtsupport.study.cost import Estimate, here
from xtsupport.study.devices import Device
from xtsupport.study.phases.fitting import device
from xtsupport.study.runs import Run
from xtsupport.training import checkpoint
from xtsupport.training.attention import use_fast_attention
from xtsupport.training.divergence import EVERY
from xtsupport.training.encoder import freeze_embeddings, set_dropout, without_pooler
from xtsupport.training.features import Features
from xtsupport.training.heads import TaskModel
from xtsupport.training.loop import train
from xtsupport.training.masked import tiny_xlmr
from xtsupport.training.recipe import Recipe

STEPS, ENOUGH = 20, 60.0  # steps that are timed; seconds after which fewer have to do


class Clock:
    """A tracker that notes when each step was read, and ends the training after `ENOUGH` seconds,
    but not before one step more than the `warm` ones."""

    def __init__(self, warm: int):
        self.warm, self.begun = warm, time.perf_counter()
        self.read: dict[int, float] = {}

    def log(self, values: dict, step: int) -> None:
        """Note a step; TimeoutError where it shall be the last."""
        self.read[step] = time.perf_counter()
        if step > self.warm and self.read[step] - self.begun > ENOUGH:
            raise TimeoutError

    def measured(self) -> tuple[int, float]:
        """(steps after the warm ones, seconds each)."""
        steps = max(self.read) - self.warm
        return steps, (self.read[max(self.read)] - self.read[self.warm]) / steps


def timed(found: Estimate) -> Device:
    """The device at hand as the steps of a study go there: operations a second for each phase, by
    the run of it that has most to do. Evaluation goes by a matrix product, as in `here`."""
    rates, told = {}, []
    pairs = [pair for pair in zip(found.works, found.runs, strict=True) if pair[0].training]
    for phase in dict.fromkeys(work.phase for work, _ in pairs):
        of_phase = (pair for pair in pairs if pair[0].phase == phase)
        work, run = max(of_phase, key=lambda pair: pair[0].training)
        try:
            steps, seconds = time_steps(found, run, work.steps)
        except torch.OutOfMemoryError as error:
            raise UserError(
                f"--measure: a step of {run.name} needs more memory than this device has"
            ) from error
        rates[phase] = work.training / work.steps / seconds
        told.append(f"{1e3 * seconds:,.0f} ms a step of {run.name}, {steps} timed now")
    return replace(
        here(found.settings.resolved_precision), rates=rates, how="; ".join(told) or "no training"
    )


def time_steps(found: Estimate, run: Run, of: int) -> tuple[int, float]:
    """(how many steps were timed, seconds each), of random tokens in as many sequences, of such
    lengths, as a step of a run of so many steps has."""
    own, warm = run.settings, EVERY if device().type == "cuda" else 3
    torch.set_num_threads(run.options["threads"])
    torch.manual_seed(0)
    model = TaskModel(encoder(found), own.get("dropout", 0.0))
    model.add_head("timed", "classification", 2, seed=0)
    precision = found.settings.resolved_precision
    use_fast_attention(model.encoder, device(), precision)
    set_dropout(model.encoder, own.get("dropout", 0.0), own.get("attention_dropout"))
    if own.get("freeze_embeddings"):
        freeze_embeddings(model.encoder)
    size = max(1, round(sum(count for count, _ in found.training(run)) / of))
    recipe = Recipe(
        warm + STEPS,
        size,
        1e-7,
        precision=precision,
        batch_tokens=run.options["batch_tokens"],
        cuda_graphs=found.settings.cuda_graphs,
    )
    clock, rows = Clock(warm), sequences(found, run, size * recipe.steps)
    with suppress(TimeoutError):
        padding = SimpleNamespace(pad_token_id=1)  # what is asked of a tokenizer
        train(model, {"timed": rows}, padding, recipe, progress=False, tracker=clock)
    return clock.measured()


def encoder(found: Estimate):
    """The study's encoder with random weights; where its config.json is not here, an XLM-R of its
    size."""
    with suppress(UserError, OSError, ValueError):
        folder = checkpoint.config_file(found.settings.encoder).parent
        config = AutoConfig.from_pretrained(folder, local_files_only=True)
        return without_pooler(AutoModel.from_config(config))
    own, most = found.shape, 8192  # tokens
    size = own.vocabulary, own.width, own.layers, max(1, own.width // 64), own.feed_forward
    return tiny_xlmr(*size, most, seed=0).roberta


def sequences(found: Estimate, run: Run, wanted: int) -> Features:
    """So many sequences of random tokens, of lengths drawn as the run's tasks have them."""
    draw, tasks = np.random.default_rng(0), found.training(run)
    shares = np.array([count for count, _ in tasks])
    chosen = draw.choice(len(tasks), wanted, p=shares / shares.sum())
    lengths = [int(draw.choice(tasks[n][1])) for n in chosen]
    rows = [
        {"ids": draw.integers(5, found.shape.vocabulary, length).tolist(), "label": n % 2}
        for n, length in enumerate(lengths)
    ]
    return Features("classification", rows, wanted, ("0", "1"))
