"""Datasets as the hub stores them, with the columns of the real ones."""

import hashlib
import json
from functools import lru_cache
from pathlib import Path

from xtsupport.files import checksum

ROWS = "rows.sha256"  # at the root, a line per file: its sha256, and that of its rows
NLI_LABELS = ["entailment", "neutral", "contradiction"]
UPOS = ["ADJ", "ADP", "ADV", "AUX", "CCONJ", "DET", "INTJ", "NOUN", "NUM", "PART", "PRON", "PROPN",
        "PUNCT", "SCONJ", "SYM", "VERB", "X"]  # fmt: skip
_TEXT, _LABEL = "string", {"names": NLI_LABELS}
SQUAD_FEATURES = dict.fromkeys(("id", "title", "context", "question"), _TEXT) | {
    "answers": {"text": [_TEXT], "answer_start": ["int32"]}
}
NLI_FEATURES = {"premise": _TEXT, "hypothesis": _TEXT, "label": _LABEL}
HELLASWAG_FEATURES = (
    {"ind": "int32"}
    | dict.fromkeys(("activity_label", "ctx_a", "ctx_b", "ctx"), _TEXT)
    | {"endings": [_TEXT]}
    | dict.fromkeys(("source_id", "split", "split_type", "label"), _TEXT)
)
UDPOS_FEATURES = {"tokens": [_TEXT], "pos_tags": [{"names": UPOS}]}
TATOEBA_FEATURES = dict.fromkeys(
    ("source_sentence", "target_sentence", "source_lang", "target_lang"), _TEXT
)
WIKIPEDIA_FEATURES = dict.fromkeys(("id", "url", "title", "text"), _TEXT)


def write(
    folder: Path, dataset: str, config: str, split: str, rows: list[dict], features: dict
) -> None:
    """One split as the hub stores it, class labels with their names, and its line in `ROWS`."""
    import datasets
    import pyarrow as pa
    import pyarrow.parquet as pq

    def feature(spec):
        if isinstance(spec, str):
            return datasets.Value(spec)
        if isinstance(spec, list):
            return datasets.List(feature(spec[0]))
        if "names" in spec:
            return datasets.ClassLabel(names=spec["names"])
        return {name: feature(inner) for name, inner in spec.items()}

    path = folder / dataset / config / f"{split}-00000-of-00001.parquet"
    path.parent.mkdir(parents=True, exist_ok=True)
    schema = datasets.Features(feature(features)).arrow_schema
    columns = {name: [row[name] for row in rows] for name in features}
    pq.write_table(pa.table(columns, schema=schema), path, compression="zstd")
    of_rows = hashlib.sha256(json.dumps([features, columns]).encode()).hexdigest()
    with (folder / ROWS).open("a", encoding="ascii", newline="\n") as sums:
        sums.write(f"{checksum(path)} {of_rows}\n")


def row_checksums(folder: Path | None) -> dict[str, str]:
    """{sha256 of a file: sha256 of its rows} of the files that `write` left in a mirror.

    The bytes of a parquet file depend on the version of pyarrow that wrote it, the rows do not.
    """
    path = folder and folder / ROWS
    return _read(path, checksum(path)) if path and path.is_file() else {}


@lru_cache(maxsize=8)
def _read(path: Path, _state: str) -> dict[str, str]:
    lines = path.read_text(encoding="ascii", errors="replace").splitlines()
    return dict(pair for line in lines if len(pair := line.split()) == 2)
