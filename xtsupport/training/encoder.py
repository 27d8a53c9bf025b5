"""Encoders: any transformers encoder by hub id or folder, the packaged real one, the demo's own."""

from pathlib import Path

import torch
from transformers import AutoModel, AutoModelForMaskedLM, AutoTokenizer
from transformers.utils import logging

from xtsupport.errors import UserError
from xtsupport.training.commit import hub_commit

OFFLINE = "offline-e5"
logging.disable_progress_bar()  # of loading and saving; training has a line of its own


def load_encoder(name: str | Path, dtype: torch.dtype = torch.float32):
    """(model, tokenizer) of an encoder without any head.

    `name` is a hub id, a folder in transformers' layout, or ``offline-e5`` (the packaged
    multilingual-e5-small). Weights are read from safetensors only and no remote code is run.
    Raises UserError when the encoder cannot be found or read.
    """
    model, tokenizer, missing = _read(AutoModel, name, dtype)
    missing = [key for key in missing if "pooler" not in key]
    if missing:
        raise UserError(
            f"encoder '{name}': its weights lack {len(missing)} tensors of "
            f"{type(model).__name__}, such as {missing[0]}; it is damaged or of another kind"
        )
    return without_pooler(model), tokenizer


def load_masked_encoder(name: str | Path, dtype: torch.dtype = torch.float32):
    """(encoder, layers of its masked-LM head, tokenizer), to go on with masked language modelling.

    Name and weights as for `load_encoder`. Raises UserError also when the head is missing.
    """
    model, tokenizer, missing = _read(AutoModelForMaskedLM, name, dtype)
    if missing:
        raise UserError(
            f"encoder '{name}': +mlm goes on with masked language modelling, but the weights lack "
            f"{len(missing)} tensors of {type(model).__name__}, such as {missing[0]}; name an "
            "encoder that was saved with its masked-LM head"
        )
    encoder = model.base_model
    layers = [layer for layer in model.children() if layer is not encoder]
    return without_pooler(encoder), layers, tokenizer


def _read(auto, name, dtype):
    """(model, tokenizer, names of the weights that the checkpoint lacks)."""
    if str(name) == OFFLINE:
        from xtsupport.training.offline_encoder import offline_encoder_folder

        name = offline_encoder_folder()
    commit = None if Path(name).is_dir() else hub_commit(str(name))
    logging.set_verbosity_error()  # its report lists the absent pooler, which nothing here uses
    try:
        tokenizer = AutoTokenizer.from_pretrained(name, use_fast=True, revision=commit)
        model, info = auto.from_pretrained(
            name, dtype=dtype, use_safetensors=True, output_loading_info=True, revision=commit
        )
    except (OSError, ValueError) as error:
        reason = str(error).strip().splitlines()[0]
        raise UserError(
            f"encoder '{name}' cannot be loaded ({reason}): name a hub id, a folder with "
            f"config.json, model.safetensors and tokenizer files, or {OFFLINE}; without network "
            "only folders work"
        ) from error
    return model, tokenizer, sorted(info["missing_keys"])


def without_pooler(model):
    """Drop what only next-sentence prediction uses: no unused weight is trained or saved."""
    if getattr(model, "pooler", None) is not None:
        model.pooler = None
    return model


def set_dropout(model, hidden: float) -> None:
    """Dropout of the hidden layers; attention dropout is always 0.

    With attention dropout the attention of PyTorch leaves its fast path on CPUs.
    """
    for module in model.modules():
        if isinstance(module, torch.nn.Dropout):
            module.p = hidden
    for module in model.modules():
        if hasattr(module, "attention_dropout"):
            module.attention_dropout = 0.0
        if hasattr(module, "is_causal") and isinstance(
            getattr(module, "dropout", None), torch.nn.Dropout
        ):
            module.dropout.p = 0.0  # BERT and XLM-R keep their attention dropout in a layer
    for name in ("attention_probs_dropout_prob", "attention_dropout"):
        if hasattr(model.config, name):
            setattr(model.config, name, 0.0)


def freeze_embeddings(model) -> None:
    """Keep the word embeddings as they are: most of a multilingual encoder's weights."""
    model.get_input_embeddings().weight.requires_grad_(False)
