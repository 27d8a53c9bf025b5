"""What a pretrained encoder knows before any task: masked words, and words with similar vectors."""

import math
import re
from pathlib import Path

import pandas as pd
import torch
from transformers import AutoModelForMaskedLM

from xtsupport import tables
from xtsupport.data import load
from xtsupport.data.world.languages import with_gloss
from xtsupport.training import checkpoint, embeddings
from xtsupport.training.encoder import read_model

PASSAGES = 30  # of each language


def load_masked(folder: Path):
    """(masked language model, tokenizer) of a folder of phase 1, with its prediction head."""
    model, tokenizer, _ = read_model(AutoModelForMaskedLM, folder)
    return model.eval(), tokenizer


@torch.no_grad()
def guess(model, tokenizer, text: str, word: str, count: int = 5) -> pd.DataFrame:
    """The likeliest pieces in the place of the last `word` of a text, which is masked.

    Columns: guess, probability (percent). ValueError unless the word is there and one piece, and
    the text is short enough for the model.
    """
    if not fits(model, tokenizer, text):
        raise ValueError(f"{text[:60]!r}... is longer than the {room(model)} pieces of the model")
    encoded = tokenizer(text, return_offsets_mapping=True)
    found = [match.start() for match in re.finditer(rf"(?<!\w){re.escape(word)}(?!\w)", text)]
    start = found[-1] if found else len(text)
    spans = enumerate(encoded["offset_mapping"])
    pieces = [i for i, (a, b) in spans if a < start + len(word) and b > start and b > a]
    if len(pieces) != 1:
        raise ValueError(f"{word!r} must be in {text!r} as one piece, not {len(pieces)}")
    ids = torch.tensor([encoded["input_ids"]])
    ids[0, pieces[0]] = tokenizer.mask_token_id
    best = model(ids, attention_mask=torch.ones_like(ids)).logits[0, pieces[0]].softmax(-1)
    shares, places = best.topk(count)
    said = [tokenizer.decode([i]).strip() for i in places.tolist()]
    percent = [round(100 * share, 1) for share in shares.tolist()]
    return pd.DataFrame({"guess": said, "probability": percent})


def recall_by_language(model, tokenizer, data: str) -> pd.DataFrame:
    """Whether a masked word of a passage of XQuAD is looked up in a copy that stands before it.

    Masked is the longest word that is one piece of the vocabulary. Columns: language, family, right
    (percent of the passages), and one example: masked, said (words of invented languages with the
    English one in brackets).
    """
    rows = []
    for code in tables.task("xquad", data).languages:
        about, tries = tables.language(code, data), []
        for text in load("xquad", code, None, data)["context"][:PASSAGES]:
            words = [word.strip(".,?!") for word in text.split()]
            whole = [word for word in words if len(tokenizer.tokenize(word)) == 1]
            if whole and fits(model, tokenizer, f"{text} {text}"):
                word = max(whole, key=len)
                tries.append((word, guess(model, tokenizer, f"{text} {text}", word, 1).guess[0]))
        right = 100 * sum(word == said for word, said in tries) / max(1, len(tries))
        shown = (with_gloss(word, code) for word in (tries or [("", "")])[0])
        rows.append((about.name, about.family, round(right), *shown))
    return pd.DataFrame(rows, columns=["language", "family", "right", "masked", "said"])


def room(model) -> float:
    """How many pieces a text may have."""
    return checkpoint.longest(model.config.to_dict()) or math.inf


def fits(model, tokenizer, text: str) -> bool:
    """Whether a text with its special tokens is short enough."""
    return len(tokenizer(text)["input_ids"]) <= room(model)


def nearest_words(model, tokenizer, words: list[str], count: int = 5) -> pd.DataFrame:
    """For each word that is one piece of the vocabulary, the words whose input vectors point the
    same way (``embeddings.nearest_words``). Columns: word, and 1..count.
    """
    found = embeddings.nearest_words(model, tokenizer, words, count)
    rows = [[near for near, _ in pairs] for pairs in found.values()]
    return pd.DataFrame(rows, index=pd.Index(found, name="word"), columns=range(1, count + 1))
