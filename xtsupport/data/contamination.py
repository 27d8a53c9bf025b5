"""Contamination: evaluation texts that occur in training splits.

Two tests after the same normalisation (lower case, words only; scripts without spaces are split
into characters): the text equals a training text, or one of its 13-grams occurs in one, as in
Brown et al. 2020 (arXiv 2005.14165, appendix C).
"""

import re
import unicodedata
from functools import lru_cache

from xtsupport import tables
from xtsupport.data import hub
from xtsupport.data.soundness import TEXTS

NGRAM = 13
FIELDS = TEXTS | {"span": ("context", "question"), "classification": ("text", "text_pair")}
UNSEGMENTED = "\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u3040-\u30ff\u3400-\u9fff"
MARKS = "".join(  # vowel signs and accents, which regular expressions do not count as letters
    chr(code) for code in range(0x300, 0x3100) if unicodedata.category(chr(code)).startswith("M")
)
WORD = re.compile(rf"[{UNSEGMENTED}]|(?:[^\W_{UNSEGMENTED}][{MARKS}]*)+")


def by_pair(found):
    """Which training sets and targets share texts: the worst language of each pair.

    Rows of shared_texts() with a share above 0, one per training split, target and field, the
    largest share first, and `languages`: in how many languages of the target it is above 0.
    """
    keys = ["training", "training_split", "target", "field"]
    met = found[found["share"] > 0].sort_values("share", ascending=False, kind="stable")
    met = met.assign(languages=met.groupby(keys)["language"].transform("nunique"))
    return met.drop_duplicates(keys).reset_index(drop=True)


def shared_texts(training, evaluation, data):
    """How many evaluation texts occur in training splits, one row per pair and field.

    training, evaluation: lists of (task, language, split). Columns: training, training_split,
    target, language, field, texts (distinct ones), exact, ngram (texts that share a 13-gram),
    share (percent of texts found either way) and example (the first such text). Texts shorter
    than 13 words can only be found exactly; texts without a word are not counted.
    """
    import pandas as pd

    seen = [_index(t, code, part, data, hub.fingerprint(t, code, part, data))
            for t, code, part in training]  # fmt: skip
    records = []
    for target, language, split in evaluation:
        for field, texts in fields(target, language, split, data).items():
            found = {words(text): text for text in texts}
            found.pop((), None)
            hashes = {key: (hash(key), set(ngrams(key))) for key in found}
            for (source, _, part), (whole, grams) in zip(training, seen, strict=True):
                exact = {key for key, (own, _) in hashes.items() if own in whole}
                shared = {key for key, (_, own) in hashes.items() if not own.isdisjoint(grams)}
                first = next((found[key] for key in found if key in exact | shared), "")
                share = 100 * len(exact | shared) / len(found) if found else 0.0
                records.append((source, part, target, language, field, len(found), len(exact),
                                len(shared), share, first))  # fmt: skip
    columns = ["training", "training_split", "target", "language", "field", "texts", "exact",
               "ngram", "share", "example"]  # fmt: skip
    return pd.DataFrame(records, columns=columns)


@lru_cache(maxsize=8)
def _index(task, language, split, data, fingerprint) -> tuple[set[int], set[int]]:
    """Hashes of the normalised texts of a split, and of their 13-grams."""
    whole, grams = set(), set()
    for texts in fields(task, language, split, data).values():
        for text in set(texts):
            key = words(text)
            whole.add(hash(key))
            grams.update(ngrams(key))
    return whole, grams


def words(text: str) -> tuple[str, ...]:
    """The words of a text in lower case."""
    return tuple(WORD.findall(text.lower()))


def ngrams(key: tuple[str, ...]):
    """Hashes of the runs of 13 words."""
    return (hash(key[start : start + NGRAM]) for start in range(len(key) - NGRAM + 1))


def fields(task, language, split, data) -> dict[str, list[str]]:
    """The texts of a split by column, tokens joined by blanks."""
    examples = hub.load(task, language, split, data)
    names = FIELDS[tables.task(task, data).kind]
    columns = {name: examples[name][:] for name in names}
    return {name: [" ".join(text) for text in texts] if name == "tokens" else texts
            for name, texts in columns.items()}  # fmt: skip
