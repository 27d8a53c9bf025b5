"""What a pretrained encoder knows before any task: masked words, and words with similar vectors."""

from pathlib import Path

import pandas as pd
import torch
from torch.nn.functional import normalize
from transformers import AutoModelForMaskedLM, AutoTokenizer

from xtsupport.data import load, tables

WORD_START = "\N{LOWER ONE EIGHTH BLOCK}"  # SentencePiece's mark of a piece that begins a word


def load_masked(folder: Path):
    """(masked language model, tokenizer) of a folder that phase 1 left.

    Only an encoder with its prediction head can fill masks.
    """
    tokenizer = AutoTokenizer.from_pretrained(folder)
    model = AutoModelForMaskedLM.from_pretrained(folder, dtype=torch.float32, use_safetensors=True)
    return model.eval(), tokenizer


@torch.no_grad()
def fill_mask(model, tokenizer, text: str, guesses: int = 5) -> pd.DataFrame:
    """The likeliest pieces in the place of the one `<mask>` in a text.

    Columns: guess, probability (percent). ValueError unless the text has exactly one mask.
    """
    batch = tokenizer(text.replace("<mask>", tokenizer.mask_token), return_tensors="pt")
    at = (batch["input_ids"][0] == tokenizer.mask_token_id).nonzero()[:, 0]
    if len(at) != 1:
        raise ValueError(f"{text!r}: needs exactly one <mask>, has {len(at)}")
    logits = model(batch["input_ids"], attention_mask=batch["attention_mask"]).logits[0, at[0]]
    best = logits.softmax(-1).topk(guesses)
    pieces = [tokenizer.decode([i]).strip() for i in best.indices.tolist()]
    return pd.DataFrame({"guess": pieces, "probability": (100 * best.values).round(decimals=1)})


def recall_by_language(model, tokenizer, data: str, task: str = "xquad") -> pd.DataFrame:
    """Whether a masked word of a passage is looked up in a second copy of it, per language.

    For every language: how often the first guess is right over 50 passages, and one example. Masked
    is the longest word that is one piece of the vocabulary. Columns: language, family, right
    (percent), masked, said.
    """
    rows = []
    for code in tables.task(task, data).languages:
        about, tries = tables.language(code, data), []
        for text in load(task, code, None, data)["context"][:50]:
            words = [w.strip(".,?") for w in text.split()]
            whole = [w for w in words if len(tokenizer.tokenize(w)) == 1] or words
            word = max(whole, key=len)
            asked = f"{text} {text.replace(word, '<mask>', 1)}"
            tries.append((word, fill_mask(model, tokenizer, asked, 1)["guess"][0]))
        right = 100 * sum(word == said for word, said in tries) / len(tries)
        rows.append((about.name, about.family, round(right), *tries[0]))
    return pd.DataFrame(rows, columns=["language", "family", "right", "masked", "said"])


def nearest_words(model, tokenizer, words: list[str], count: int = 5) -> pd.DataFrame:
    """For each word, the whole-word pieces whose input vectors point the same way.

    Cosine of the embeddings after their mean is subtracted. A word that is not one piece of the
    vocabulary is left out. Columns: word, and 1..count.
    """
    vectors = model.get_input_embeddings().weight.detach()  # (vocabulary, width)
    vectors = normalize(vectors - vectors.mean(0), dim=-1)
    pieces = tokenizer.convert_ids_to_tokens(list(range(len(vectors))))
    whole = [i for i, p in enumerate(pieces) if p.startswith(WORD_START) and len(p) > 2]
    place = {pieces[i][1:]: row for row, i in enumerate(whole)}
    asked = [word for word in words if word in place]
    like = vectors[whole] @ vectors[whole].T
    rows = []
    for word in asked:
        order = like[place[word]].argsort(descending=True).tolist()
        rows.append([pieces[whole[i]][1:] for i in order if i != place[word]][:count])
    return pd.DataFrame(rows, index=pd.Index(asked, name="word"), columns=range(1, count + 1))
