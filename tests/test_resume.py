"""Killed runs of every kind of mixture and variant end with the bits of whole ones."""

import copy
import os
import signal

import numpy as np
import pytest
import torch
from training_toys import train_until_killed

import xtsupport.training.loop as loop
from xtsupport.errors import Stopped
from xtsupport.training.features import featurise
from xtsupport.training.heads import TaskModel
from xtsupport.training.loop import MLM, Recipe, train
from xtsupport.training.masked import MaskedHead, tiny_xlmr

TEXTS = ["Ada cooked soup.", "Ben sold chairs.", "Ada sold 3 old chairs in the kitchen."]


@pytest.fixture
def setting(tiny_encoder):
    """(a function that makes the same model each time, data of three tasks, tokenizer)."""
    _, tokenizer = tiny_encoder
    pairs = {"text": TEXTS * 6, "text_pair": ["Ada cooked."] * 18, "label": ["yes", "no", "no"] * 6}
    tags = {"tokens": [["Ada", "cooked", "soup"]] * 9, "tags": [["N", "V", "N"]] * 9}
    data = {
        "mnli": featurise(pairs, "classification", tokenizer, 64, 0, ("yes", "no")),
        "udpos": featurise(tags, "tagging", tokenizer, 64, 8, ("N", "V")),
        MLM: featurise({"text": TEXTS * 5}, "masked", tokenizer, 64, 0),
    }
    whole = tiny_xlmr(len(tokenizer), 16, 2, 2, 32, 64, seed=0)

    def make():
        own = copy.deepcopy(whole)
        model = TaskModel(own.base_model, dropout=0.1)
        model.add_head("mnli", "classification", 2, seed=1)
        model.add_head("udpos", "tagging", 2, seed=1)
        model.add_masked_head(MLM, MaskedHead([own.lm_head]))
        return model

    return make, data, tokenizer


def weights(model):
    return torch.cat([p.detach().flatten() for p in model.parameters()])


CASES = {
    "mixture with masked words": (("mnli", "udpos", MLM), {"masked_steps": 4}),
    "adversarial": (("mnli",), {"noise": "adversarial", "ascent_steps": 2}),
    "smoothing": (("udpos",), {"noise": "smoothing"}),
}


@pytest.mark.parametrize("killed_after", [1, 4, 7, 11])
@pytest.mark.parametrize("case", CASES)
def test_a_killed_run_ends_with_the_same_bits(setting, tmp_path, monkeypatch, case, killed_after):
    make, data, tokenizer = setting
    names, own = CASES[case]
    data = {name: data[name] for name in names}
    recipe = Recipe(steps=12, batch_size=4, learning_rate=1e-2, seed=3, **own)
    whole, killed, resumed = make(), make(), make()
    history = train(whole, data, tokenizer, recipe, progress=False)
    state = tmp_path / "state"
    train_until_killed(monkeypatch, killed_after, killed, data, tokenizer, recipe, state)
    assert not torch.equal(weights(whole), weights(killed))
    torch.manual_seed(99)  # whatever the new process has drawn before
    again = train(resumed, data, tokenizer, recipe, state, minutes=1e9, progress=False)
    assert torch.equal(weights(whole), weights(resumed))
    assert np.array_equal(history.loss, again.loss)
    assert history.task.tolist() == again.task.tolist()


def test_masked_steps_change_neither_the_order_nor_the_batches_of_the_task(setting, monkeypatch):
    """The task's own steps see the same batches in the same order as without masked words."""
    make, data, tokenizer = setting
    seen, collate = {}, loop.collate

    def noted(features, indices, *more, **named):
        seen.setdefault(features.kind, []).append(tuple(indices))
        return collate(features, indices, *more, **named)

    monkeypatch.setattr(loop, "collate", noted)
    recipe = Recipe(steps=8, batch_size=4, learning_rate=1e-3)
    train(make(), {"mnli": data["mnli"]}, tokenizer, recipe, progress=False)
    alone = seen.pop("classification")
    recipe = Recipe(steps=11, batch_size=4, learning_rate=1e-3, masked_steps=3)
    both = {"mnli": data["mnli"], MLM: data[MLM]}
    train(make(), both, tokenizer, recipe, progress=False)
    assert seen["classification"] == alone and len(seen["masked"]) == 3


def test_large_batches_in_pieces_for_every_kind(setting):
    """Gradient accumulation: 12 rows in pieces of 40 tokens, and at once."""
    make, data, tokenizer = setting
    ends = []
    for budget in (10**6, 40):
        model = make()
        for module in model.modules():
            if isinstance(module, torch.nn.Dropout):
                module.p = 0.0
        recipe = Recipe(9, 9, 1e-3, batch_tokens=budget, masked_steps=3, mask=0.5)
        ends.append((train(model, data, tokenizer, recipe, progress=False).loss, weights(model)))
    assert np.allclose(ends[0][0], ends[1][0], atol=1e-5)
    assert torch.allclose(ends[0][1], ends[1][1], atol=2e-4)


@pytest.mark.parametrize("way", [signal.SIGINT, signal.SIGTERM, "file"])
def test_whoever_interrupts_finds_a_checkpoint_of_that_very_step(
    setting, tmp_path, monkeypatch, way
):
    """One line says which step it was; the same again goes on from there and ends with the bits."""
    make, data, tokenizer = setting
    data = {"mnli": data["mnli"]}
    recipe = Recipe(steps=12, batch_size=4, learning_rate=1e-2, seed=3)
    torch.manual_seed(0)
    whole = make()
    history = train(whole, data, tokenizer, recipe, progress=False)
    checkpoint, real, steps = tmp_path / "state.safetensors", loop._step, []
    monkeypatch.setenv("XTSUPPORT_STOP", str(tmp_path / "stop"))

    def step(*given):
        steps.append(given[-1])
        if len(steps) == 5:
            (tmp_path / "stop").touch() if way == "file" else os.kill(os.getpid(), way)
        return real(*given)

    monkeypatch.setattr(loop, "_step", step)
    before = [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)]
    with pytest.raises(Stopped) as caught:
        train(make(), data, tokenizer, recipe, checkpoint, 99, progress=False)
    told = "stopped at step 5 of 12; run the cell again to continue"
    assert caught.value.problems == (told,) and caught.value._render_traceback_() == [told]
    assert [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)] == before
    (tmp_path / "stop").unlink(missing_ok=True)
    again = make()
    assert train(again, data, tokenizer, recipe, checkpoint, 99, progress=False).equals(history)
    assert steps == list(range(12)) and torch.equal(weights(again), weights(whole))
