"""How finely a tokenizer cuts each language: a measure of how well its vocabulary knows it."""

from xtsupport import tables
from xtsupport.data import hub


def fertility(tokenizer, data, languages=None, sentences=1000):
    """A frame of language, fertility, parity, words_from and words, one row per language.

    fertility: sub-tokens per word (Rust et al. 2021, arXiv 2012.15613) of up to `sentences` running
    sentences of UDPOS, or of PAN-X (words_from) where there is no UDPOS. parity:
    sub-tokens of the Tatoeba sentences over those of their English translations (Petrov et al.
    2023, arXiv 2305.15425), which does not depend on what a word is. Null where data are missing.
    tokenizer: a callable like those of transformers. languages: codes; None: all of the table.
    """
    import pandas as pd

    records = []
    for code in tables.languages(data) if languages is None else languages:
        source, tokens = _words(code, data, sentences)
        words = sum(map(len, tokens))
        pieces = _pieces(tokenizer, [" ".join(sentence) for sentence in tokens])
        records.append({
            "language": code,
            "fertility": pieces / words if words else None,
            "parity": _parity(tokenizer, code, data, sentences),
            "words_from": source,
            "words": words,
        })  # fmt: skip
    return pd.DataFrame(records)


def _words(code, data, sentences):
    """(task, lists of words) of the first task and split that has the language."""
    known = tables.tasks(data)
    for name in ("udpos", "panx"):
        for split in (known[name].eval_split, known[name].dev_split) if name in known else ():
            if split and hub.present(name, code, split, data):
                return name, hub.load(name, code, split, data)["tokens"][:sentences]
    return "", []


def _parity(tokenizer, code, data, sentences):
    if "tatoeba" not in tables.tasks(data) or not hub.present("tatoeba", code, None, data):
        return None
    pairs = hub.load("tatoeba", code, None, data)[:sentences]
    return _pieces(tokenizer, pairs["text"]) / _pieces(tokenizer, pairs["text_2"])


def _pieces(tokenizer, texts):
    if not texts:
        return 0
    return sum(map(len, tokenizer(texts, add_special_tokens=False)["input_ids"]))
