"""A training run that dies, and a toy of XLM-R's tokenizer."""

import pytest
from tokenizers import Tokenizer, pre_tokenizers, processors
from transformers import PreTrainedTokenizerFast

from xtsupport.training import loop


class Killed(Exception):
    """Stands for kill -9."""


def train_until_killed(
    monkeypatch, after: int, model, data, tokenizer, recipe, state, evaluate=None
) -> None:
    """Train with a checkpoint per step at `state`, and die once that of step `after` is written."""
    save = loop.save_checkpoint

    def save_and_die(*arguments):
        save(*arguments)
        if arguments[-1] == after:
            raise Killed

    with monkeypatch.context() as patched:
        patched.setattr(loop, "save_checkpoint", save_and_die)
        with pytest.raises(Killed):
            loop.train(
                model, data, tokenizer, recipe, state, 0.0, progress=False, evaluate=evaluate
            )


SPECIAL = ["<s>", "<pad>", "</s>", "<unk>"]
NAMES = dict(bos_token="<s>", eos_token="</s>", pad_token="<pad>", unk_token="<unk>",
             cls_token="<s>", sep_token="</s>", mask_token="<mask>")  # fmt: skip


def like_xlmr(toy: Tokenizer) -> PreTrainedTokenizerFast:
    """With the special tokens of XLM-R, <mask> behind all pieces."""
    toy.pre_tokenizer = pre_tokenizers.Metaspace()
    toy.post_processor = processors.TemplateProcessing(
        single="<s> $A </s>", pair="<s> $A </s> </s> $B </s>",
        special_tokens=[("<s>", 0), ("</s>", 2)],
    )  # fmt: skip
    return PreTrainedTokenizerFast(tokenizer_object=toy, **NAMES)
