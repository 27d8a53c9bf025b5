"""Attention for encoders on CPUs in bfloat16, as two batched matrix products.

PyTorch's own CPU kernel has a slow backward pass in bfloat16: a training step of a small encoder
on question-answering lengths ran 1.27 times as fast with this one (one core with AVX-512 BF16).
Other devices and precisions keep PyTorch's.
"""

import torch
from transformers import AttentionInterface, AttentionMaskInterface
from transformers.masking_utils import eager_mask

NAME = "xtsupport_bmm"


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


def use_fast_attention(model, device: torch.device, precision: str) -> None:
    """Switch an encoder to `bmm_attention` where that is the faster one."""
    if (
        device.type == "cpu"
        and precision == "bfloat16"
        and hasattr(model, "set_attn_implementation")
    ):
        AttentionInterface.register(NAME, bmm_attention)
        AttentionMaskInterface.register(NAME, eager_mask)
        model.set_attn_implementation(NAME)
