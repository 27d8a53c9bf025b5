"""Encoders: any transformers encoder by hub id or folder, the packaged real one, the demo's own."""

import hashlib
import shutil
from pathlib import Path

import torch
from safetensors.torch import save_file
from transformers import AutoModel, AutoModelForMaskedLM, AutoTokenizer
from transformers.utils import logging

from xtsupport.errors import UserError
from xtsupport.files import draft, write_json
from xtsupport.training import checkpoint

logging.disable_progress_bar()  # of loading and saving; training has a line of its own


def load_encoder(name: str | Path):
    """(model, tokenizer) of an encoder without any head.

    `name` is a hub id (``owner/name`` or ``owner/name@revision``), a folder in transformers'
    layout, or ``offline-e5``. Raises UserError when the encoder cannot be found or read.
    """
    model, tokenizer, missing = read_model(AutoModel, name)
    missing = [key for key in missing if "pooler" not in key]
    _complete(name, model, missing, "it is damaged or of another kind")
    return without_pooler(model), tokenizer


def load_masked_encoder(name: str | Path):
    """(encoder, layers of its masked-LM head, tokenizer), to go on with masked language modelling;
    as `load_encoder`, with a UserError also when the head is missing."""
    model, tokenizer, missing = read_model(AutoModelForMaskedLM, name)
    _complete(name, model, missing, "+mlm needs an encoder saved with its masked-LM head")
    encoder = model.base_model
    layers = [layer for layer in model.children() if layer is not encoder]
    return without_pooler(encoder), layers, tokenizer


def read_model(auto, name: str | Path):
    """(model, tokenizer, names of the weights that the checkpoint lacks), by AutoModel or the like;
    UserError as for `load_encoder`."""
    checkpoint.check(name)
    folder = checkpoint.located(name)
    logging.set_verbosity_error()  # its report lists the absent pooler, which nothing here uses
    local = {"local_files_only": True, "trust_remote_code": False}
    try:
        tokenizer = AutoTokenizer.from_pretrained(folder, use_fast=True, **local)
        model, info = auto.from_pretrained(
            folder, dtype=torch.float32, use_safetensors=True, output_loading_info=True, **local
        )
    except Exception as error:  # whatever damaged files can make transformers raise
        reason = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
        if "trust_remote_code" in str(error):
            reason = "it needs custom code, which xtsupport never runs"
        raise UserError(
            f"encoder '{name}' cannot be loaded ({reason[:300]}): a folder needs config.json, "
            "model.safetensors and tokenizer files that transformers knows"
        ) from error
    return model, tokenizer, sorted(info["missing_keys"])


def _complete(name, model, missing: list[str], why: str) -> None:
    if missing:
        raise UserError(f"encoder '{name}': its weights lack {len(missing)} tensors of "
                        f"{type(model).__name__}, such as {missing[0]}; {why}")  # fmt: skip


def without_pooler(model):
    """Drop what only next-sentence prediction uses: no unused weight is trained or saved."""
    if getattr(model, "pooler", None) is not None:
        model.pooler = None
    return model


def set_dropout(model, hidden: float, attention: float | None = None) -> None:
    """Dropout of the hidden layers and of attention; attention None: as the checkpoint has it.

    With attention dropout above 0 PyTorch's attention leaves its fast path on CPUs.
    """
    known = ("attention_probs_dropout_prob", "attention_dropout")
    names = [name for name in known if hasattr(model.config, name)]
    if attention is None:
        attention = max((getattr(model.config, name) for name in names), default=0.0)
    for module in model.modules():
        if isinstance(module, torch.nn.Dropout):
            module.p = hidden
    for module in model.modules():
        if hasattr(module, "attention_dropout"):
            module.attention_dropout = attention
        layer = getattr(module, "dropout", None) if hasattr(module, "is_causal") else None
        if isinstance(layer, torch.nn.Dropout):
            layer.p = attention  # BERT and XLM-R keep their attention dropout in a layer
    for name in names:
        setattr(model.config, name, attention)


def freeze_embeddings(model) -> None:
    """Keep the word embeddings as they are: most of a multilingual encoder's weights."""
    model.get_input_embeddings().weight.requires_grad_(False)


def forget_cuts(tokenizer) -> None:
    """Take back the truncation and padding of the tokenizer's last call. It would save them, though
    every call sets its own, and what is saved would depend on what was cut last."""
    tokenizer.backend_tokenizer.no_truncation()
    tokenizer.backend_tokenizer.no_padding()


def save_encoder(model, tokenizer, folder: Path, shared: Path) -> None:
    """The encoder as a transformers folder: config.json, safetensors, tokenizer files.

    Frozen weights, such as the word embeddings of most studies on a small machine, are a file of
    their own: one in `shared`, named by its checksum, of which every folder has a hard link.
    """
    forget_cuts(tokenizer)
    tokenizer.save_pretrained(folder)
    names = [name for name, weight in model.named_parameters() if not weight.requires_grad]
    if not names:
        model.save_pretrained(folder)
        return
    state = model.state_dict()
    kept = {name: state.pop(name).contiguous() for name in names}
    place = shared / f"{checksum(kept)}.safetensors"
    if not place.exists():
        with draft(place) as temporary:
            save_file(kept, temporary, metadata={"format": "pt"})
    model.save_pretrained(folder, state_dict=state)
    parts = [folder / f"model-0000{number}-of-00002.safetensors" for number in (1, 2)]
    (folder / checkpoint.WEIGHTS).replace(parts[0])
    try:
        parts[1].hardlink_to(place)
    except OSError:  # a file system without hard links
        shutil.copyfile(place, parts[1])
    found = {part.name: checkpoint.header(folder, part.name, part) for part in parts}
    where = {key: part for part, shapes in found.items() for key in shapes}
    size = sum(part.stat().st_size for part in parts)
    write_json(folder / checkpoint.INDEX, {"metadata": {"total_size": size}, "weight_map": where})


def checksum(tensors: dict[str, torch.Tensor]) -> str:
    """The SHA-256 of names and values, of tensors of any shape (...)."""
    found = hashlib.sha256()
    for name in sorted(tensors):
        found.update(name.encode())
        found.update(tensors[name].detach().cpu().reshape(-1).view(torch.uint8).numpy().data)
    return found.hexdigest()
