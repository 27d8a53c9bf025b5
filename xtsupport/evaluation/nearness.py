"""How near translations lie in an encoder, layer by layer, and as a map of two directions.

`texts` is everywhere a frame with the columns language, meaning (equal for translations) and text;
vectors are those of ``retrieval.embed``, (layers + 1, texts, hidden), layer 0 the embeddings.
"""

import numpy as np
import pandas as pd

from xtsupport.data import load
from xtsupport.evaluation.retrieval import nearest, unit
from xtsupport.sides import SOURCE


def parallel_sentences(task: str, codes, data: str, count: int = 8) -> pd.DataFrame:
    """The first `count` sentences of a retrieval task in English and in the languages `codes`;
    columns language, meaning (the sentence's number), text."""
    rows = []
    for code in codes:
        pairs = load(task, code, None, data)
        rows += [(code, k + 1, text) for k, text in enumerate(pairs["text"][:count])]
        if not any(row[0] == SOURCE for row in rows):
            rows += [(SOURCE, k + 1, text) for k, text in enumerate(pairs["text_2"][:count])]
    return pd.DataFrame(rows, columns=["language", "meaning", "text"])


def translation_accuracy(texts: pd.DataFrame, vectors: np.ndarray) -> pd.DataFrame:
    """How often a text's nearest English one is its translation: language, layer, score (percent).

    Nearest by cosine, each language's mean subtracted. Texts that are spelled as in English are
    left out: to find those takes no translation.
    """
    english = np.flatnonzero(texts["language"] == SOURCE)
    spelled = dict(zip(texts["meaning"].iloc[english], texts["text"].iloc[english], strict=True))
    rows = []
    for language, group in texts.groupby("language", sort=False):
        if language == SOURCE:
            continue
        mine = texts.index.get_indexer(group.index)
        other = group["text"].str.lower().ne(group["meaning"].map(spelled).str.lower()).to_numpy()
        for layer, states in enumerate(vectors):
            found = nearest(unit(states[mine], True), unit(states[english], True))[0][:, 0]
            said = texts["meaning"].to_numpy()[english][found]
            right = said == group["meaning"].to_numpy()
            rows.append((language, layer, 100 * right[other].mean() if other.any() else np.nan))
    return pd.DataFrame(rows, columns=["language", "layer", "score"])


def on_a_map(texts: pd.DataFrame, states: np.ndarray, centred: bool = False) -> pd.DataFrame:
    """`texts` with x and y: the two directions in which states (texts, hidden) vary most (principal
    components); `centred`: each language's mean subtracted first."""
    states = states - states.mean(0)
    if centred:
        for rows in texts.reset_index(drop=True).groupby("language").indices.values():
            states[rows] -= states[rows].mean(0)
    directions = np.linalg.svd(states, full_matrices=False)[2][:2]
    return texts.assign(x=states @ directions[0], y=states @ directions[1])
