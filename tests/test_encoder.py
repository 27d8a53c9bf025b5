"""Settings that are put into a loaded encoder."""

from copy import deepcopy

import pytest
import torch
from transformers import AutoModel, BertConfig, XLMRobertaConfig

from xtsupport.errors import UserError
from xtsupport.training import checkpoint
from xtsupport.training.encoder import (
    freeze_embeddings,
    load_encoder,
    save_encoder,
    set_dropout,
)

SHAPE = dict(vocab_size=9, hidden_size=8, num_hidden_layers=2, num_attention_heads=2)


@pytest.mark.parametrize("config", [BertConfig, XLMRobertaConfig])
@pytest.mark.parametrize(("asked", "found"), [(None, 0.25), (0.0, 0.0), (0.4, 0.4)])
def test_attention_keeps_the_dropout_of_the_checkpoint_unless_another_is_set(config, asked, found):
    model = AutoModel.from_config(
        config(**SHAPE, intermediate_size=8, attention_probs_dropout_prob=0.25)
    )
    set_dropout(model, 0.3, asked)
    rates = {name: m.p for name, m in model.named_modules() if isinstance(m, torch.nn.Dropout)}
    inside = {name for name in rates if name.endswith("attention.self.dropout")}
    assert len(inside) == 2 and len(rates) == 7
    assert {rates[name] for name in inside} == {found}
    assert model.config.attention_probs_dropout_prob == found
    assert {rate for name, rate in rates.items() if name not in inside} == {0.3}


def test_what_is_saved_does_not_depend_on_what_was_cut_last(tiny_encoder, tmp_path):
    """With warm feature caches a run cuts nothing; its folder, and so the keys that stand for its
    content, are the same."""
    model, tokenizer = deepcopy(tiny_encoder)
    saved = []
    for name, cut in (("warm", {}), ("cold", {"truncation": "only_second", "stride": 4})):
        asked = {"max_length": 64, "padding": "max_length"} | cut if cut else {}
        tokenizer(["a question"], ["a passage of some more words"], **asked)
        save_encoder(model, tokenizer, tmp_path / name, tmp_path / "shared")
        saved.append((tmp_path / name / "tokenizer.json").read_bytes())
    assert saved[0] == saved[1]


def test_frozen_weights_are_kept_once_and_every_folder_loads_as_before(tiny_encoder, tmp_path):
    model, tokenizer = deepcopy(tiny_encoder)
    whole, parts = tmp_path / "whole", [tmp_path / "a", tmp_path / "b"]
    save_encoder(model, tokenizer, whole, tmp_path / "shared")
    freeze_embeddings(model)
    for folder in parts:
        save_encoder(model, tokenizer, folder, tmp_path / "shared")
    for folder in parts:
        loaded = load_encoder(folder)[0].state_dict()
        assert loaded.keys() == load_encoder(whole)[0].state_dict().keys()
        for name, weight in AutoModel.from_pretrained(folder).state_dict().items():
            if "pooler" not in name:
                assert torch.equal(weight, model.state_dict()[name])
                assert torch.equal(loaded[name], weight)
    (one,) = (tmp_path / "shared").iterdir()
    assert one.stat().st_nlink == 3
    rows, width = model.get_input_embeddings().weight.shape
    assert one.stat().st_size > 4 * rows * width
    own = (parts[0] / "model-00001-of-00002.safetensors").stat().st_size
    assert own < (whole / "model.safetensors").stat().st_size - 4 * rows * width + 500
    (parts[0] / "model-00002-of-00002.safetensors").unlink()
    with pytest.raises(UserError, match=r"model-00002-of-00002.safetensors is missing"):
        checkpoint.check(parts[0])
