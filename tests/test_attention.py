"""The CPU attention against PyTorch's own, outputs and gradients."""

import copy

import pytest
import torch

from xtsupport.training.attention import use_fast_attention


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
