"""Packed rows have the logits and gradients of padded ones, under each attention of CPUs."""

import copy
import sys
from pathlib import Path

import pytest
import torch

from xtsupport.training.attention import use_fast_attention
from xtsupport.training.heads import TaskModel

sys.path.insert(0, str(Path(__file__).parents[1] / "benchmarks"))
import packing

TEXTS = ["Ada cooked soup in the kitchen.", "Ben", "Who cooked soup?"]


def outcome(model, kind, batch):
    """Logits of real tokens or texts, and a gradient, each as a share of its largest number."""
    model.eval().add_head("task", kind, 3, seed=0)
    logits = model.logits("task", batch)
    logits = logits[batch["mask"].bool()] if logits.dim() == 3 else logits
    (logits * torch.linspace(-1, 1, logits.shape[-1])).sum().backward()
    slope = model.encoder.encoder.layer[0].attention.self.value.weight.grad
    return [(x / x.abs().max()).detach() for x in (logits, slope)]


@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
@pytest.mark.parametrize("kind", ["classification", "tagging", "span"])
def test_packed_equals_padded(tiny_encoder, kind, precision):
    """To 1e-5, computed in float32 under the attention of either precision."""
    encoder, tokenizer = tiny_encoder
    tokens = tokenizer(TEXTS, padding=True, return_tensors="pt")
    batch = {"ids": tokens["input_ids"], "mask": tokens["attention_mask"]}
    padded, packed, leaking = (
        kind_of(copy.deepcopy(encoder), 0.0, "mean")
        for kind_of in (TaskModel, packing.PackedModel, packing.PackedModel)
    )
    use_fast_attention(padded.encoder, torch.device("cpu"), precision)
    packing.pack(packed.encoder, precision)
    expected, found, wrong = (outcome(model, kind, batch) for model in (padded, packed, leaking))
    for one, other, leaked in zip(expected, found, wrong, strict=True):
        assert torch.allclose(one, other, atol=1e-5)
        assert not torch.allclose(one, leaked, atol=1e-3)  # attention across the whole row
