"""Sentence retrieval of one target in one language: among aligned rows, or out of two pools."""

from collections.abc import Iterator
from functools import partial

import numpy as np

from xtsupport.data import bucc, load
from xtsupport.evaluation import mining
from xtsupport.evaluation.retrieval import cut_ids, embed_ids, encode, nearest, too_long, unit
from xtsupport.evaluation.scores import score

LAYER_COLUMNS = ["task", "language", "layer", "accuracy", "accuracy_centred"]
VECTORS = 2**28  # bytes of vectors held at a time


def align(target: str, codes: list[str], model, tokenizer, run) -> Iterator[tuple]:
    """(language, examples, predictions, scores by layer, sizes) of every language, where row k
    translates the other side's.

    A prediction is the row nearest to an English sentence, XTREME's direction. The languages'
    sentences are embedded together, equal ones once.
    """
    own = run.settings["embedding"][target]
    options = embedding_options(target, run)
    most = options.pop("max_length")
    for group in together(target, codes, model, run):
        place: dict[str, int] = {}
        rows = {
            code: [
                [place.setdefault(text, len(place)) for text in each[side][:]]
                for side in ("text_2", "text")  # English, the other language
            ]
            for code, each in group.items()
        }
        ids, cut = cut_ids(tokenizer, place, most)
        vectors = embed_ids(model, ids, tokenizer.pad_token_id, **options)
        for code, examples in group.items():
            sides = [vectors[:, side] for side in rows[code]]
            by_layer = [
                layer_scores(target, code, layer, *(side[layer] for side in sides))
                for layer in range(len(vectors))
            ]
            english, other = (unit(side[own["layer"]]) for side in sides)
            found = nearest(english, other)[0][:, 0].tolist()
            lost = sum(cut[n] for side in rows[code] for n in side)
            yield code, examples, found, by_layer, {"examples": len(examples), "truncated": lost}


def together(target: str, codes: list[str], model, run) -> Iterator[dict]:
    """Language -> examples, in groups whose vectors of all layers have `VECTORS` bytes at most,
    one language at least."""
    config = model.config
    room = VECTORS // (4 * config.hidden_size * (config.num_hidden_layers + 1))
    group: dict = {}
    for code in codes:
        examples = load(target, code, None, run.options["data"])
        if group and 2 * (sum(map(len, group.values())) + len(examples)) > room:
            yield group
            group = {}
        group[code] = examples
    yield group


def embedding_options(target: str, run) -> dict:
    """What `embed` and `encode` take behind the sentences and the layer."""
    own = run.settings["embedding"][target]
    return {
        "max_length": own["max_length"],
        "pooling": own["pooling"],
        "batch_tokens": run.options["batch_tokens"],
        "precision": run.settings["precision"],
    }


def layer_scores(target: str, code: str, layer: int, first: np.ndarray, second: np.ndarray) -> dict:
    """Accuracy (percent) of one layer, plain and with the mean vector subtracted."""
    right = np.arange(len(first))
    scores = []
    for centred in (False, True):
        found = nearest(unit(first, centred), unit(second, centred))[0][:, 0]
        scores.append(100 * float((found == right).mean()))
    return dict(zip(LAYER_COLUMNS, (target, code, layer, *scores), strict=True))


def mine(target: str, codes: list[str], model, tokenizer, run) -> Iterator[tuple]:
    """(language, gold pairs, mined pairs, a record per way of scoring, sizes) of every language,
    from the pools of BUCC.

    The pairs are those by ratio margin; the records, of both margin and cosine, say which gold
    pairs the threshold was tuned on: validation, or (flattering) test itself.
    """
    data, settings = run.options["data"], run.settings["embedding"][target]
    options = embedding_options(target, run)
    vectors = partial(encode, model, tokenizer, layer=settings["layer"], **options)
    for code in codes:
        tuned_on = "validation" if bucc.present(code, "validation", data) else "test"
        candidates = {}
        for split in dict.fromkeys((tuned_on, "test")):
            pools = bucc.pools(code, split, data)
            scored = mining.scored_pairs(pools, vectors, next(model.parameters()).device)
            candidates[split] = scored, pools.gold
        records, pairs = [], {}
        for way, tuning in candidates[tuned_on][0].items():
            threshold = mining.best_threshold(tuning, candidates[tuned_on][1])
            pairs[way] = mining.above(candidates["test"][0][way], threshold)
            found = score(target, pairs[way], pools.gold, code, data=data)
            records.append({"task": target, "language": code, "scored_by": way, **found,
                            "threshold": threshold, "tuned_on": tuned_on})  # fmt: skip
        texts = [*pools.source.values(), *pools.target.values()]
        cut = too_long(tokenizer, texts, settings["max_length"])
        size = {"examples": len(texts), "truncated": cut}
        yield code, pools.gold, pairs["margin"], records, size
