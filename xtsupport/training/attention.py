"""Attention for encoders: on CPUs in bfloat16 as two batched matrix products, on GPUs PyTorch's.

PyTorch's own CPU kernel has a slow backward pass in bfloat16: a training step of a small encoder
on question-answering lengths ran 1.27 times as fast with this one (one core with AVX-512 BF16).
On GPUs the mask is made differently: to see whether there is padding, transformers reads the mask
of a batch back from the device and waits for it in every step. Here the host knows it already. And
cuDNN's attention is left out: it makes a plan for every new shape of a batch, of which training has
hundreds (on an H100 the first 40 steps of a process took 120 to 140 ms each, without it 70).
CPUs in float32 keep PyTorch's attention and transformers' mask.
"""

import torch
from transformers import AttentionInterface, AttentionMaskInterface
from transformers.masking_utils import ALL_MASK_ATTENTION_FUNCTIONS, eager_mask
from transformers.modeling_utils import ALL_ATTENTION_FUNCTIONS

NAME, UNASKED = "xtsupport_bmm", "xtsupport_sdpa"


def bmm_attention(
    module, query, key, value, attention_mask, scaling=None, dropout=0.0, sliding_window=None, **_
):
    """Attention of an encoder: every token sees every token that is not padding, or those of them
    that its layer's window leaves (ModernBERT).

    query, key, value: (batch, heads, length, width); attention_mask: None or additive
    (batch, 1, length, length), equal in all rows where there is no `sliding_window`. Returns
    ((batch, length, heads, width), None).
    """
    batch, heads, length, width = query.shape
    scaling = width**-0.5 if scaling is None else scaling
    query, key, value = (x.reshape(batch * heads, length, width) for x in (query, key, value))
    bias = query.new_zeros(1)
    if attention_mask is not None:
        rows = length if sliding_window else 1
        bias = attention_mask[:, :, :rows].to(query.dtype).expand(batch, heads, rows, length)
        bias = bias.reshape(batch * heads, rows, length)
    scores = torch.baddbmm(bias, query, key.transpose(1, 2), alpha=scaling)
    weights = torch.nn.functional.dropout(scores.softmax(-1), dropout, module.training)
    mixed = torch.bmm(weights, value).view(batch, heads, length, width)
    return mixed.transpose(1, 2), None


def mask_unasked(*arguments, attention_mask=None, **named):
    """transformers' mask for PyTorch's attention, None only where there is no `attention_mask`
    (batch, length) to begin with; what that holds is not looked at."""
    if attention_mask is not None:
        named["allow_is_bidirectional_skip"] = False
    make = ALL_MASK_ATTENTION_FUNCTIONS["sdpa"]
    return make(*arguments, attention_mask=attention_mask, **named)


def use_fast_attention(model, device: torch.device, precision: str) -> None:
    """Switch an encoder to the attention that is fastest on the device in this precision."""
    if device.type == "cpu" and precision == "bfloat16":
        AttentionInterface.register(NAME, bmm_attention)
        AttentionMaskInterface.register(NAME, eager_mask)
        model.set_attn_implementation(NAME)
    if device.type == "cuda" and model.config._attn_implementation == "sdpa":
        AttentionInterface.register(UNASKED, ALL_ATTENTION_FUNCTIONS["sdpa"])
        AttentionMaskInterface.register(UNASKED, mask_unasked)
        torch.backends.cuda.enable_cudnn_sdp(False)
        model.set_attn_implementation(UNASKED)
