"""Fertility with a tokenizer that cuts into characters."""

import pytest

from xtsupport.data import load
from xtsupport.data.fertility import fertility


def characters(texts, add_special_tokens):
    assert add_special_tokens is False
    return {"input_ids": [list(text.replace(" ", "")) for text in texts]}


def test_real_languages(mirror):
    frame = fertility(characters, mirror, ["de", "ka", "my", "en"], sentences=50)
    table = frame.set_index("language")
    words = [word for tokens in load("udpos", "de", None, mirror)["tokens"][:50] for word in tokens]
    assert table.loc["de", "fertility"] == pytest.approx(sum(map(len, words)) / len(words))
    assert table["words_from"].to_dict() == {
        "de": "udpos", "ka": "panx", "my": "panx", "en": "udpos"
    }  # fmt: skip
