"""How long the examples of a task are, in tokens; the cost of training and evaluation follows.

`lengths.csv` has histograms of real rows, tokenized with the vocabulary of XLM-R: for each task
twenty lengths (the middles of twenty equal shares of its sequences), the number of rows, and the
sequences per row. If a data set and the encoder's tokenizer are on disk, real rows are counted.
"""

import csv
import hashlib
import re
from contextlib import suppress
from dataclasses import asdict, dataclass
from functools import cache
from pathlib import Path

import numpy as np

from xtsupport import __version__, tables
from xtsupport.data import hub
from xtsupport.errors import UserError
from xtsupport.files import checksum, read_json, write_json
from xtsupport.folders import user_cache

TABLE = Path(__file__).parents[1] / "lengths.csv"
# Rows of a data set that are cut into tokens to know its lengths. There are a few training sets,
# of which most costs come, and up to hundreds of evaluation sets, whose errors average out.
SAMPLE = {"train": 300, "eval": 40}


@dataclass(frozen=True)
class Lengths:
    """Tokens of the sequences of a data set, whole: `quantiles` stand for equal shares of them."""

    rows: int
    clusters: int
    sequences: int  # per row: the choices of multiple choice, the two sides of retrieval
    quantiles: tuple[int, ...]
    measured: bool  # on these very rows with this tokenizer, and not taken from the table

    def windows(self, max_length: int, stride: int, cut: bool, step: int | None = None):
        """Lengths (n,) in tokens of what a row becomes, one per window of each quantile.

        A longer sequence is cut off (`cut`), or becomes windows that share `stride` tokens, or
        begin `step` tokens apart.
        """
        whole = np.array(self.quantiles)
        if cut:
            return np.minimum(whole, max_length)
        parts: list[int] = []
        for length in whole.tolist():
            while length > max_length:
                parts.append(max_length)
                length -= step or max_length - stride
            parts.append(length)
        return np.array(parts)


@cache
def published(task: str, role: str) -> Lengths:
    """The histogram of the table; role: train or eval. Raises UserError where it has none."""
    with TABLE.open(newline="", encoding="utf-8") as file:
        for row in csv.DictReader(file):
            if (row["task"], row["role"]) == (task, role):
                numbers = ("rows", "clusters", "sequences")
                rows, clusters, sequences = (int(row[name]) for name in numbers)
                quantiles = tuple(map(int, row["quantiles"].split()))
                return Lengths(rows, clusters, sequences, quantiles, False)
    reason = f"lengths.csv has no {role} lengths for it; add a line to estimate costs"
    raise UserError(f"{task}: {reason}")


@cache
def measured(
    task: str, language: str, split: str, data: str, tokenizer: Path | None, sample: int
) -> Lengths:
    """Lengths of so many rows that are there, drawn evenly, and how many rows there are; kept in
    the user's cache for as long as the rows are the same.

    tokenizer: a tokenizer.json; None where there is none: tokens are guessed from words.
    Raises UserError when the rows are not there.
    """
    row, rows = tables.task(task, data), hub.fingerprint(task, language, split, data)
    cut = checksum(tokenizer) if tokenizer else words.__doc__
    what = repr([__version__, repr(row), rows, cut, sample])
    kept = user_cache() / "lengths" / hashlib.sha256(what.encode()).hexdigest()
    if known := read_json(kept):
        return Lengths(**known | {"quantiles": tuple(known["quantiles"])})
    examples, _ = hub.load_table(task, language, split, data)
    count, clusters = len(examples), len(examples["cluster_id"].unique())
    taken = examples.take(np.linspace(0, count - 1, min(count, sample)).astype(int))
    texts = [each for example in taken.to_pylist() for each in sequences(example, row.kind)]
    sizes = cutter(tokenizer)(texts) if tokenizer else words(texts)
    quantiles = np.quantile(sizes, (np.arange(20) + 0.5) / 20)
    per_row = round(len(texts) / max(1, len(taken)))
    found = Lengths(count, clusters, per_row, tuple(map(int, quantiles)), True)
    with suppress(OSError):  # a cache that is read-only
        write_json(kept, asdict(found))
    return found


def sequences(row: dict, kind: str) -> list[tuple[str, ...]]:
    """The texts of one example as the encoder reads them: single ones and pairs."""
    if kind == "span":
        return [(row["question"], row["context"])]
    if kind == "choice":
        return [(row["context"], f"{row['question']} {choice}") for choice in row["choices"]]
    if kind == "tagging":
        return [(" ".join(row["tokens"]),)]
    if kind == "retrieval":
        return [(row["text"],), (row["text_2"],)]
    return [tuple(text for text in (row["text"], row.get("text_pair")) if text)]


def words(texts) -> list[int]:
    """Tokens by guess, where no tokenizer is at hand: words and signs, a fifth of them in two."""
    sizes = (len(re.findall(r"\w+|[^\w\s]", " ".join(text))) for text in texts)
    return [round(1.2 * size) + 2 for size in sizes]


@cache
def cutter(path: Path):
    """A function that counts the tokens of texts, special ones included, from a tokenizer.json."""
    from tokenizers import Tokenizer

    try:
        tokenizer = Tokenizer.from_file(str(path))
    except Exception as error:  # the library knows no other
        raise UserError(f"{path}: is not a tokenizer ({str(error)[:200]})") from error
    tokenizer.no_truncation()
    tokenizer.no_padding()

    def cut(texts):
        given = [text if len(text) > 1 else text[0] for text in texts]
        return [len(encoding.ids) for encoding in tokenizer.encode_batch(given)]

    return cut
