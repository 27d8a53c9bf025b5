"""How finely a tokenizer cuts each language: a measure of how well its vocabulary knows it."""

from xtsupport import tables
from xtsupport.data import hub


def fertility(tokenizer, data, languages=None, sentences=1000):
    """A frame of language, fertility, words_from and words, one row per language.

    fertility: sub-tokens per word (Rust et al. 2021, arXiv 2012.15613) of up to `sentences` running
    sentences of UDPOS, or of PAN-X (words_from) where there is no UDPOS; null without either.
    tokenizer: a callable like those of transformers. languages: codes; None: all of the table.
    """
    import pandas as pd

    records = []
    for code in tables.languages(data) if languages is None else languages:
        source, tokens = _words(code, data, sentences)
        texts, words = [" ".join(sentence) for sentence in tokens], sum(map(len, tokens))
        cut = tokenizer(texts, add_special_tokens=False)["input_ids"] if words else []
        records.append((code, sum(map(len, cut)) / words if words else None, source, words))
    return pd.DataFrame(records, columns=["language", "fertility", "words_from", "words"])


def _words(code, data, sentences):
    """(task, lists of words) of the first task and split that has the language."""
    known = tables.tasks(data)
    for name in ("udpos", "panx"):
        for split in (known[name].eval_split, known[name].dev_split) if name in known else ():
            if split and hub.present(name, code, split, data):
                return name, hub.load(name, code, split, data)["tokens"][:sentences]
    return "", []
