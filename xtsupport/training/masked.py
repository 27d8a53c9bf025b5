"""Masked language modelling: the tiny XLM-R that phase 1 trains from nothing, and its tokenizer."""

from functools import lru_cache

import numpy as np
import torch
from tokenizers import (
    Tokenizer,
    decoders,
    models,
    normalizers,
    pre_tokenizers,
    processors,
    trainers,
)
from torch import nn
from transformers import PreTrainedTokenizerFast, XLMRobertaConfig, XLMRobertaForMaskedLM

from xtsupport.training.features import IGNORED
from xtsupport.training.heads import TaskModel, mean_loss
from xtsupport.training.offline_encoder import XLMR_TOKENS

SPECIAL = ["<s>", "<pad>", "</s>", "<unk>", "<mask>"]


def train_tokenizer(texts, vocabulary: int) -> PreTrainedTokenizerFast:
    """A sub-word tokenizer with XLM-R's special tokens: byte-pair merges (Sennrich et al. 2016),
    learned from raw text; frequent words stay whole, rarer and inflected ones are split."""
    tokenizer = Tokenizer(models.BPE(unk_token="<unk>"))
    tokenizer.normalizer = normalizers.NFKC()
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [pre_tokenizers.Metaspace(), pre_tokenizers.Punctuation()]
    )
    tokenizer.decoder = decoders.Metaspace()
    tokenizer.train_from_iterator(
        texts,
        trainers.BpeTrainer(vocab_size=vocabulary, special_tokens=SPECIAL, show_progress=False),
    )
    ids = [("<s>", 0), ("</s>", 2)]
    tokenizer.post_processor = processors.TemplateProcessing(
        single="<s> $A </s>", pair="<s> $A </s> </s> $B </s>", special_tokens=ids
    )
    return PreTrainedTokenizerFast(tokenizer_object=tokenizer, **XLMR_TOKENS)


def tiny_xlmr(
    vocabulary: int,
    hidden_size: int,
    layers: int,
    heads: int,
    feed_forward: int,
    max_length: int,
    seed: int,
) -> XLMRobertaForMaskedLM:
    """A randomly initialised masked language model of XLM-R's architecture, without dropout."""
    torch.manual_seed(seed)
    return XLMRobertaForMaskedLM(
        XLMRobertaConfig(
            vocab_size=vocabulary,
            hidden_size=hidden_size,
            num_hidden_layers=layers,
            num_attention_heads=heads,
            intermediate_size=feed_forward,
            max_position_embeddings=max_length + 2,
            type_vocab_size=1,
            hidden_dropout_prob=0.0,
            attention_probs_dropout_prob=0.0,
            initializer_range=0.05,
            pad_token_id=1,
            bos_token_id=0,
            eos_token_id=2,
        )
    )


class MaskedHead(nn.Module):
    """The prediction head of a masked language model, as one more head on a shared encoder.

    `layers` turn the encoder's states into logits over the vocabulary, one after the other; their
    last weights are usually the encoder's own word embeddings.
    """

    def __init__(self, layers):
        super().__init__()
        self.layers = nn.ModuleList(layers)

    def forward(self, states: torch.Tensor, labels: torch.Tensor, places=None) -> torch.Tensor:
        """states (batch, length, hidden), labels (batch, length) -> mean cross-entropy of the
        masked tokens, a scalar; 0 where nothing is masked. places: of ``masked_places``, so that a
        GPU need not be asked for them."""
        places = masked_places(labels) if places is None else places
        logits = states.flatten(0, 1)[places]
        for layer in self.layers:
            logits = layer(logits)
        return mean_loss(logits.float(), labels.flatten()[places])


def masked_places(labels: torch.Tensor) -> torch.Tensor:
    """Where the tokens with a label stand in labels (batch, length), flattened: (masked,)."""
    return torch.nonzero(labels.flatten() != IGNORED)[:, 0]


def masked_model(model: XLMRobertaForMaskedLM, task: str) -> TaskModel:
    """A masked language model as the training loop takes it, with its head for one task."""
    whole = TaskModel(model.base_model)
    whole.add_masked_head(task, MaskedHead([model.lm_head]))
    return whole


def special_ids(tokenizer) -> list[int]:
    """Ids of special tokens, wherever in the vocabulary they are: XLM-R's mask is the last."""
    added = getattr(tokenizer, "added_tokens_decoder", {})
    return sorted({*tokenizer.all_special_ids, *(i for i, t in added.items() if t.special)})


@lru_cache(maxsize=1)  # a vocabulary of 250,000 takes longer to list than a small step
def ordinary_ids(tokenizer) -> np.ndarray:
    """Ids (tokens,) of all tokens but the special ones; a vocabulary may have gaps."""
    return np.setdiff1d(list(tokenizer.get_vocab().values()), special_ids(tokenizer))


def mask_tokens(batch: dict, tokenizer, share: float, rng: np.random.Generator) -> dict:
    """BERT's masking (Devlin et al. 2019, section 3.1): of `share` of the tokens, 80% become the
    mask, 10% a random token, 10% stay; labels are -100 elsewhere. Special tokens are spared."""
    ids = batch["ids"].numpy()
    ordinary = ordinary_ids(tokenizer)
    chosen = (rng.random(ids.shape) < share) & ~np.isin(ids, special_ids(tokenizer))
    how = rng.random(ids.shape)
    random_ids = ordinary[rng.integers(len(ordinary), size=ids.shape)]
    masked = np.where(how < 0.8, tokenizer.mask_token_id, np.where(how < 0.9, random_ids, ids))
    labels = torch.from_numpy(np.where(chosen, ids, IGNORED))
    return batch | {"ids": torch.from_numpy(np.where(chosen, masked, ids)), "labels": labels}
