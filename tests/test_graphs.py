"""Layers as CUDA graphs: the same numbers, and afterwards everything as before.

PyTorch's backend of this name runs on CPUs too, where it traces and compiles but records nothing.
"""

from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from xtsupport.errors import UserError
from xtsupport.training import graphs
from xtsupport.training.batches import collate
from xtsupport.training.features import Features
from xtsupport.training.heads import TaskModel
from xtsupport.training.loop import Recipe, train

ON_GPU = torch.device("cuda")


class Layers(torch.nn.Module):
    """One layer, and how often Python has run it."""

    def __init__(self):
        super().__init__()
        self.inner, self.runs = torch.nn.Linear(3, 3), 0

    def forward(self, states):
        self.runs += not torch.compiler.is_compiling()
        return self.inner(states).tanh()


def test_within_it_is_compiled_and_the_numbers_are_the_same():
    layers, states = Layers(), torch.randn(2, 3)
    encoder, before = SimpleNamespace(device=ON_GPU, encoder=layers), layers(states)
    with graphs.recorded(encoder, True):
        assert torch.equal(layers(states), before)
        assert layers.runs == 1, "not compiled"
        with graphs.one_by_one(True):
            assert torch.equal(layers(states), before)
        assert layers.runs == 2, "compiled where it shall not be"
    layers(states)
    assert layers.runs == 3


@pytest.mark.parametrize(("wanted", "device"), [(False, ON_GPU), (True, torch.device("cpu"))])
def test_nothing_is_compiled_unasked_or_on_a_cpu(wanted, device):
    layers = Layers()
    with graphs.recorded(SimpleNamespace(device=device, encoder=layers), wanted):
        layers(torch.randn(2, 3))
    assert layers.runs == 1


def test_an_encoder_whose_layers_cannot_be_recorded_is_named():
    with (
        pytest.raises(UserError, match="cuda_graphs: the layers of SimpleNamespace"),
        graphs.recorded(SimpleNamespace(device=ON_GPU), True),
    ):
        pass


@pytest.mark.parametrize(("longest", "length"), [(10, 64), (64, 64), (65, 100)])
def test_sequences_are_padded_to_few_lengths(longest, length):
    """Up to a multiple of 64, but not beyond the longest of all, here 100."""
    rows = [{"ids": [5] * n, "label": 0} for n in (longest, 3, 100)]
    features = Features("classification", rows, 3, ("0", "1"))
    batch = collate(features, np.array([0, 1]), 1, unit=graphs.UNIT)
    assert batch["ids"].shape == batch["mask"].shape == (2, length)
    assert batch["mask"].sum(1).tolist() == [longest, 3]


def test_losses_are_those_of_unpadded_batches(tiny_encoder):
    """Without dropout padding changes nothing, here over ten steps that count."""
    encoder, tokenizer = tiny_encoder
    draw = np.random.default_rng(0)
    rows = [
        {"ids": draw.integers(5, 50, length).tolist(), "label": int(length % 2)}
        for length in draw.integers(4, 60, 40)
    ]
    recipe, losses = Recipe(steps=10, batch_size=4, learning_rate=1e-3), []
    start = {name: each.clone() for name, each in encoder.state_dict().items()}
    for own in (recipe, replace(recipe, cuda_graphs=True)):
        encoder.load_state_dict(start)
        model = TaskModel(encoder)
        model.add_head("mnli", "classification", 2, seed=0)
        for module in model.modules():
            if isinstance(module, torch.nn.Dropout):
                module.p = 0.0
        features = Features("classification", rows, len(rows), ("0", "1"))
        losses.append(train(model, {"mnli": features}, tokenizer, own, progress=False).loss)
    encoder.load_state_dict(start)
    assert np.allclose(*losses, rtol=1e-4)
    assert losses[0].iloc[0] != losses[0].iloc[-1]
