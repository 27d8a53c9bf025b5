"""The CPU attention against PyTorch's own, outputs and gradients; packed rows against padded."""

import copy
import sys
from pathlib import Path

import pytest
import torch

from xtsupport.training.attention import use_fast_attention
from xtsupport.training.heads import TaskModel

sys.path.insert(0, str(Path(__file__).parents[1] / "benchmarks"))
import packing


def outputs(model, tokenizer):
    batch = tokenizer(["Ada cooked soup in the kitchen.", "Ben"], padding=True, return_tensors="pt")
    states = model(**batch).last_hidden_state[batch["attention_mask"].bool()]
    model.zero_grad()
    (states * torch.linspace(-1, 1, states.shape[-1])).sum().backward()
    return states.detach(), model.encoder.layer[0].attention.self.query.weight.grad.clone()


def test_it_equals_pytorchs_with_padding(tiny_encoder):
    model, tokenizer = copy.deepcopy(tiny_encoder[0]).eval(), tiny_encoder[1]
    states, gradient = outputs(model, tokenizer)
    use_fast_attention(model, torch.device("cpu"), "bfloat16")
    assert model.config._attn_implementation == "xtsupport_bmm"
    fast_states, fast_gradient = outputs(model, tokenizer)
    assert torch.allclose(states, fast_states, atol=1e-5)
    assert torch.allclose(gradient, fast_gradient, atol=1e-5)


def test_float32_keeps_pytorchs(tiny_encoder):
    model = copy.deepcopy(tiny_encoder[0])
    before = model.config._attn_implementation
    use_fast_attention(model, torch.device("cpu"), "float32")
    assert model.config._attn_implementation == before


@pytest.mark.parametrize("texts", [["Ada cooked soup in the kitchen.", "Ben"], ["Ada cooked."] * 2])
def test_on_gpus_only_the_mask_is_made_otherwise(tiny_encoder, texts):
    """The same numbers with padding and without; where there is no mask, none is made."""
    models, tokenizer = [copy.deepcopy(tiny_encoder[0]).eval() for _ in range(2)], tiny_encoder[1]
    use_fast_attention(models[1], torch.device("cuda"), "float32")
    batch = tokenizer(texts, padding=True, return_tensors="pt")
    real = batch["attention_mask"].bool()
    one, other = (model(**batch).last_hidden_state[real] for model in models)
    assert torch.allclose(one, other, atol=1e-6)
    if real.all():
        alone = models[1](input_ids=batch["input_ids"], attention_mask=None).last_hidden_state[real]
        assert torch.equal(alone, one)


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
