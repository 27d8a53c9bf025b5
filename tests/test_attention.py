"""The CPU attention against PyTorch's own, outputs and gradients."""

import copy

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


def test_float32_and_gpus_keep_pytorchs(tiny_encoder):
    model = copy.deepcopy(tiny_encoder[0])
    before = model.config._attn_implementation
    use_fast_attention(model, torch.device("cpu"), "float32")
    use_fast_attention(model, torch.device("cuda"), "bfloat16")
    assert model.config._attn_implementation == before
