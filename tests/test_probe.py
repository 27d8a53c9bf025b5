"""What is asked of a pretrained encoder: the right word is masked, the nearest is nearest."""

from types import SimpleNamespace

import pytest
import torch
from transformers import XLMRobertaConfig

from xtsupport.training.masked import tiny_xlmr, train_tokenizer
from xtsupport.training.probe import fits, guess, nearest_words, room

TEXTS = ["Ada cooked soup in soupland .", "Ben cooked soup on Friday .", "Ada sold soup ."] * 40


@pytest.fixture(scope="module")
def tokenizer():
    return train_tokenizer(TEXTS, 120)


class Oracle:
    """A model that says which position it was asked about: it answers with the piece before it."""

    config = XLMRobertaConfig(max_position_embeddings=34)

    def __init__(self, tokenizer):
        self.size, self.mask = len(tokenizer), tokenizer.mask_token_id

    def __call__(self, ids, attention_mask):
        before = torch.roll(ids, 1, dims=1)
        assert (ids == self.mask).sum() == 1
        logits = torch.nn.functional.one_hot(before, self.size).float() * 20
        return SimpleNamespace(logits=logits)


def test_the_last_whole_word_is_masked(tokenizer):
    """In the text `soup` also begins `soupland`; the piece before the last `soup` is `sold`."""
    text = "Ada cooked soup . Ben sold soup in soupland ."
    said = guess(Oracle(tokenizer), tokenizer, text, "soup", count=2)
    assert said.guess[0] == "sold" and said.probability[0] > 99


def test_a_word_that_is_not_there_or_too_long_a_text_is_refused(tokenizer):
    with pytest.raises(ValueError, match="as one piece"):
        guess(Oracle(tokenizer), tokenizer, "Ada cooked .", "soup")
    with pytest.raises(ValueError, match="longer than the 32 pieces"):
        guess(Oracle(tokenizer), tokenizer, "soup " * 40, "soup")


def test_room_is_what_the_model_takes(tokenizer):
    model = tiny_xlmr(len(tokenizer), 16, 1, 2, 16, 20, seed=0)
    assert room(model) == 20
    just, over = " ".join(["soup"] * 18), " ".join(["soup"] * 19)
    assert fits(model, tokenizer, just) and not fits(model, tokenizer, over)


def test_nearest_words_by_cosine_of_centred_embeddings(tokenizer):
    model = tiny_xlmr(len(tokenizer), 16, 1, 2, 16, 20, seed=0)
    vectors = model.get_input_embeddings().weight.data
    place = {name: tokenizer.convert_tokens_to_ids(f"▁{name}") for name in ("soup", "sold", "Ada")}
    vectors[place["sold"]] = vectors[place["soup"]] * 1.01
    near = nearest_words(model, tokenizer, ["soup", "unknownword"], count=3)
    assert list(near.index) == ["soup"] and near.loc["soup", 1] == "sold"
