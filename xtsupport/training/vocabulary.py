"""A vocabulary without the pieces that a study's texts never contain.

Most weights of a multilingual encoder are vectors of pieces (192 of XLM-R Base's 278 million), most
of which no text of a study contains. AdamW only lets these decay, and nothing reads them: without
them every loss and score is the same, and training moves and saves less.

Only Unigram vocabularies (Kudo 2018, arXiv 1804.10959: XLM-R, mDeBERTa, multilingual-e5) become
smaller. A text is cut into the pieces with the largest sum of scores, so that the best way to cut
it stays the best when other pieces leave. The lowest piece stays, because the unknown one scores 10
less than it; so do all single characters, with which other texts can still be written.
"""

import json
from collections.abc import Iterable
from hashlib import sha256
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import torch
from transformers import AutoTokenizer

from xtsupport import tables
from xtsupport.data import bucc, load
from xtsupport.errors import UserError
from xtsupport.files import draft
from xtsupport.folders import user_cache
from xtsupport.training.feature_cache import code_mark, tokenizer_mark
from xtsupport.training.features import featurise

ROWS = 10_000  # that are encoded at a time
WHOLE = 2**30  # tokens: nothing is cut
FIRST = ("pad", "cls", "sep", "bos", "eos", "unk")  # whose ids stand in other places too
REFUSED = "trim_vocabulary: the encoder's vocabulary cannot be made smaller"


def used_in_study(texts: list, data: str, mark: str, tokenizer) -> np.ndarray:
    """The ids (ids,) that a study's texts are made of, worked out once.

    texts: [task, language, split, second language or None] of all that it reads. mark: what the
    texts' fingerprints come to.
    """
    name = sha256(json.dumps([mark, tokenizer_mark(tokenizer), code_mark()]).encode())
    path = user_cache() / "vocabularies" / f"{name.hexdigest()}.npy"
    if not path.is_file():
        found = [used_in(rows, kind, tokenizer) for kind, rows in chunks(texts, data)]
        with draft(path) as temporary, temporary.open("wb") as file:
            np.save(file, np.unique(np.concatenate(found)))
    return np.load(path)


def chunks(texts: list, data: str) -> Iterable[tuple[str, dict]]:
    """(kind, columns of at most `ROWS` examples) of texts as `used_in_study` takes them."""
    for name, language, split, language_2 in texts:
        row = tables.task(name, data)
        if row.evaluator == "pairs":
            pools = bucc.pools(language, split, data)
            sides = {"text": pools.source, "text_2": pools.target}
            yield row.kind, {name: list(pool.values()) for name, pool in sides.items()}
            continue
        rows = load(name, language, split, data, language_2)
        for start in range(0, len(rows), ROWS):
            yield row.kind, rows[start : start + ROWS]


def used_in(examples: dict, kind: str, tokenizer) -> np.ndarray:
    """The ids (ids,) in the features of examples, however they are cut into windows."""
    if kind in ("retrieval", "masked"):
        columns = [examples[name] for name in ("text", "text_2") if name in examples]
        ids = [each for column in columns for each in tokenizer(list(column))["input_ids"]]
    else:
        labels = sorted(set(examples["label"])) if kind == "classification" else ()
        features = featurise(examples, kind, tokenizer, WHOLE, 0, labels)
        ids = [ids for row in features.rows for ids in row.get("choices", [row.get("ids")])]
    return np.unique(np.concatenate([np.empty(0, np.int64), *ids]).astype(np.int64))


def trimmed(encoder, tokenizer, used: Iterable[int]):
    """The tokenizer with the ids `used` and those that have to stay, in their order; the encoder,
    changed in place, keeps their vectors.

    Raises UserError where the vocabulary is not one of the kind above.
    """
    with TemporaryDirectory() as folder:
        tokenizer.save_pretrained(folder)
        path = Path(folder, "tokenizer.json")
        content = json.loads(path.read_text(encoding="utf-8"))
        kept = kept_ids(content, tokenizer, used)
        place = {old: new for new, old in enumerate(kept)}
        pieces = content["model"]["vocab"]
        content["model"]["vocab"] = [pieces[i] for i in kept if i < len(pieces)]
        for each in content["added_tokens"]:
            each["id"] = place[each["id"]]
        path.write_text(json.dumps(content, ensure_ascii=False), encoding="utf-8")
        smaller = AutoTokenizer.from_pretrained(folder, local_files_only=True)
    if smaller.get_vocab() != {p: place[i] for p, i in tokenizer.get_vocab().items() if i in place}:
        raise UserError(f"{REFUSED}: transformers reads it otherwise than it was written")
    embedding = encoder.get_input_embeddings()
    embedding.weight = torch.nn.Parameter(embedding.weight.detach()[kept])
    encoder.config.vocab_size = embedding.num_embeddings = len(kept)
    return smaller


def kept_ids(content: dict, tokenizer, used: Iterable[int]) -> list[int]:
    """The ids to keep of a tokenizer, in order; content: of its tokenizer.json. UserError as for
    `trimmed`."""
    if content["model"]["type"] != "Unigram":
        raise UserError(f"{REFUSED}: it is of the kind {content['model']['type']}, not Unigram")
    pieces = content["model"]["vocab"]
    lowest = min(range(len(pieces)), key=lambda i: pieces[i][1])
    short = (i for i, (piece, _) in enumerate(pieces) if len(piece) == 1)
    added = (each["id"] for each in content["added_tokens"])
    kept = sorted({lowest, *short, *added, *map(int, used)})
    first = {i for name in FIRST if (i := getattr(tokenizer, f"{name}_token_id")) is not None}
    if not first <= {i for i, old in enumerate(kept) if i == old}:
        raise UserError(f"{REFUSED}: its special tokens are not the first of its pieces")
    return kept
