"""Runs that go wrong say so: a loss or gradient that is no number, a score that stays at chance."""

import copy
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
import torch
from safetensors.torch import load_file
from torch.utils._python_dispatch import TorchDispatchMode

from xtsupport.study.execution import nodes
from xtsupport.study.phases import evaluating
from xtsupport.training import loop
from xtsupport.training.attention import use_fast_attention
from xtsupport.training.divergence import Diverged, Readings
from xtsupport.training.features import featurise
from xtsupport.training.heads import TaskModel
from xtsupport.training.loop import Recipe, train
from xtsupport.training.masked import MaskedHead, masked_places


@pytest.fixture
def setting(tiny_encoder):
    encoder, tokenizer = tiny_encoder
    pairs = {"text": ["Ada cooked."] * 8, "text_pair": ["Ben sold."] * 8, "label": ["a", "b"] * 4}
    model = TaskModel(copy.deepcopy(encoder))
    model.add_head("mnli", "classification", 2, seed=0)
    features = featurise(pairs, "classification", tokenizer, 64, 0, ("a", "b"))
    return model, {"mnli": features}, tokenizer


def test_a_gradient_that_is_no_number_is_found_even_at_the_last_step(setting):
    """The loss is sound: without the check a ruined encoder would be saved."""
    model, data, tokenizer = setting
    weight, seen = model.heads["mnli"].out.weight, []

    def ruined(gradient):
        seen.append(1)
        return gradient * float("inf") if len(seen) == 3 else gradient

    weight.register_hook(ruined)
    with pytest.raises(Diverged, match=r"the gradient of mnli is (nan|inf) at step 3 of 3; lower"):
        train(model, data, tokenizer, Recipe(3, 4, 1e-3), progress=False)
    assert torch.isfinite(weight).all(), "the ruined step was not made"


@pytest.mark.parametrize("minutes", [0.0, 99.0])
def test_on_gpus_the_exact_step_is_named_and_nothing_after_it_is_kept(
    setting, monkeypatch, tmp_path, minutes
):
    """Twenty steps are read together, fewer where a checkpoint is written: here after each."""
    model, data, tokenizer = setting
    gpu, state, seen = torch.device("cuda"), tmp_path / "state", []
    monkeypatch.setattr(loop, "Readings", lambda *a: Readings(*a[:3], gpu, *a[4:]))

    def ruined(gradient):
        seen.append(1)
        return gradient * float("nan") if len(seen) == 3 else gradient

    model.heads["mnli"].out.weight.register_hook(ruined)
    with pytest.raises(Diverged, match=r"the gradient of mnli is nan at step 3 of 30; lower"):
        train(model, data, tokenizer, Recipe(30, 4, 1e-3), state, minutes, progress=False)
    assert len(seen) == (20 if minutes else 3) and state.exists() == (not minutes)
    if not minutes:
        kept = load_file(state)
        assert kept["losses"].isfinite().sum() == 2
        assert all(kept[name].isfinite().all() for name in kept if name.startswith("model"))


def test_steps_are_read_together_where_somebody_looks():
    """45 steps on a GPU: after 20, at step 30 before the evaluation there, and at the end."""
    recipe, told = Recipe(45, 4, 1e-3, dev_every=30), []
    tracker = SimpleNamespace(log=lambda told_now, step: told.append((step, told_now)))
    losses, looks = np.full(45, np.nan, dtype=np.float32), []
    readings = Readings(recipe, losses, 0, torch.device("cuda"), tracker)
    for step in range(1, 46):
        readings.add("mnli", torch.tensor(float(step)), torch.tensor(0.5), 1e-3)
        looks += [step] if readings.read == step else []
    assert looks == [20, 30, 45] and losses.tolist() == list(range(1, 46))
    assert [step for step, _ in told] == list(range(1, 46))
    assert told[6][1] == {"loss/mnli": 7.0, "gradient": 0.5, "learning_rate": 1e-3}


class Asked(TorchDispatchMode):
    """Counts the operators by which a host waits for what a device has computed."""

    def __init__(self):
        super().__init__()
        self.found = []

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        name = func.overloadpacket.__name__
        self.found += [name] * (name in ("_local_scalar_dense", "nonzero", "is_nonzero"))
        return func(*args, **(kwargs or {}))


@pytest.mark.parametrize("kind", ["classification", "tagging", "span", "masked"])
def test_a_step_asks_the_device_nothing(tiny_encoder, kind):
    """With the attention of GPUs; with transformers' own the mask is asked for padding."""
    found = []
    for kind_of_device in ("cuda", "cpu"):
        model = TaskModel(copy.deepcopy(tiny_encoder[0]))
        use_fast_attention(model.encoder, torch.device(kind_of_device), "float32")
        if kind == "masked":
            hidden = model.encoder.config.hidden_size
            model.add_masked_head("t", MaskedHead([torch.nn.Linear(hidden, 3)]))
        else:
            model.add_head("t", kind, 3, seed=0)
        batch = {"ids": torch.full((2, 8), 5), "mask": torch.ones(2, 8, dtype=torch.long)}
        batch["mask"][0, 5:] = 0
        batch["labels"] = torch.ones((2, 2) if kind == "span" else (2, 8), dtype=torch.long)
        batch["labels"] = batch["labels"][:, 0] if kind == "classification" else batch["labels"]
        batch |= {"places": masked_places(batch["labels"])} if kind == "masked" else {}
        with Asked() as asked:
            loss = model("t", batch)
            loss.backward()
            torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        found.append(asked.found)
    assert found[0] == [] and found[1] != []


def test_a_diverged_run_is_named_in_one_line():
    error = Diverged("the loss of squad is nan at step 7 of 9; lower its learning_rate")
    assert nodes.first_line(error) == f"Diverged: {error}"


def test_scores_at_chance_are_collapsed_and_others_are_not():
    """XNLI, chance 33.3: of 300 rows 3 standard errors are 8.2 points, of 3,000 they are 2.6."""
    columns = ["task", "language", "metric", "score", "n_examples"]

    def found(score, rows, language="en", source="en"):
        frame = pd.DataFrame([["xnli", language, "accuracy", score, rows]], columns=columns)
        return evaluating.collapsed(frame, "hub", source)

    assert found(41.0, 300) == ["xnli"] and found(42.0, 300) == []
    assert found(35.0, 3000) == ["xnli"] and found(37.0, 3000) == []
    assert found(34.0, 3000, "de") == [], "other languages may stay at chance"
    assert found(34.0, 3000, "de", source="de") == ["xnli"], "not the one that was trained on"
