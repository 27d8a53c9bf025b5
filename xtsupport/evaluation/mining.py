"""Mining translations from two pools of sentences, as XTREME does for BUCC 2018.

XTREME (google-research/xtreme, utils_retrieve.py, which follows LASER) scores pairs by the ratio
margin over 4 neighbours, pairs every sentence of either side with its best neighbour, takes these
pairs from the best score downwards, each sentence once, and keeps those above a threshold (Artetxe
and Schwenk 2019, arXiv 1811.01136). A sentence that occurs several times in its pool is searched
once and cannot be part of an answer, because its id is not known. The threshold is the one with the
best F1 on gold pairs: those of the sample (validation) or, if there is none, those of the set that
is scored, as in XTREME's bucc_eval() with a gold file; that overestimates the F1.
"""

from collections import Counter

import numpy as np

from xtsupport.evaluation.retrieval import nearest

NEIGHBOURS = 4


def scored_pairs(pools, encode, device="cpu") -> dict[str, list[tuple[str, str, float]]]:
    """Candidates (source id, target id, score) by `margin` and by `cosine`, best first.

    pools: xtsupport.data.bucc.Pools. encode: list of sentences -> unit vectors (n, hidden).
    """
    sides = [list(dict.fromkeys(pool.values())) for pool in (pools.source, pools.target)]
    x, y = (encode(texts) for texts in sides)
    forward = nearest(x, y, NEIGHBOURS, device=device)
    backward = nearest(y, x, NEIGHBOURS, device=device)
    ids = [_ids(pools.source), _ids(pools.target)]
    found = {}
    for name, margin in (("margin", True), ("cosine", False)):
        triples = zip(*one_to_one(forward, backward, margin), strict=True)
        named = ((ids[0].get(sides[0][i]), ids[1].get(sides[1][j]), s) for i, j, s in triples)
        found[name] = [(a, b, float(s)) for a, b, s in named if a and b and s > 0]
    return found


def one_to_one(forward, backward, margin=True):
    """Rows of x, rows of y and scores of the pairs that are mined, best first.

    forward, backward: what nearest() gives for x in y and for y in x. The score is the cosine;
    with `margin`, the cosine over the mean of the two sentences' mean cosines with their
    neighbours.
    """
    means = [cosines.mean(1) for _, cosines in (forward, backward)]
    pairs, scores = [], []
    for (index, cosines), own, other in ((forward, *means), (backward, *means[::-1])):
        values = cosines / ((own[:, None] + other[index]) / 2) if margin else cosines
        best = values.argmax(1)
        rows = np.arange(len(index))
        pairs.append((rows, index[rows, best]))
        scores.append(values[rows, best])
    source = np.concatenate([pairs[0][0], pairs[1][1]])
    target = np.concatenate([pairs[0][1], pairs[1][0]])
    every = np.concatenate(scores)
    keep: list[int] = []
    sources: set[int] = set()
    targets: set[int] = set()
    for n in np.argsort(-every, kind="stable"):
        if source[n] not in sources and target[n] not in targets:
            sources.add(source[n])
            targets.add(target[n])
            keep.append(n)
    return source[keep], target[keep], every[keep]


def best_threshold(scored, gold) -> float:
    """The score from which on the candidates agree best with the gold pairs, by F1.

    Half-way between the last candidate taken and the next; 0 (all) if no candidate is right.
    """
    gold, scores = set(gold), [score for _, _, score in scored]
    right = np.cumsum([(a, b) in gold for a, b, _ in scored])
    if not len(right) or not right[-1]:
        return 0.0
    last = int(np.argmax(2 * right / (np.arange(1, len(right) + 1) + len(gold))))
    return (scores[last] + scores[min(last + 1, len(scores) - 1)]) / 2


def above(scored, threshold: float) -> list[tuple[str, str]]:
    """The (source id, target id) pairs that reach the threshold."""
    return [(a, b) for a, b, score in scored if score >= threshold]


def _ids(pool: dict[str, str]) -> dict[str, str]:
    """The id of every sentence that occurs once."""
    times = Counter(pool.values())
    return {text: identifier for identifier, text in pool.items() if times[text] == 1}
