"""Settings that are put into a loaded encoder."""

import pytest
import torch
from transformers import AutoModel, BertConfig, XLMRobertaConfig

from xtsupport.training.encoder import set_dropout

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
