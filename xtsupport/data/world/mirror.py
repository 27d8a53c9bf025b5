"""The generated world on disk: datasets with the columns of the real ones, and both tables."""

import csv
from pathlib import Path

from xtsupport.data.world.languages import Language

NLI_LABELS = ["entailment", "neutral", "contradiction"]
UPOS = ["ADJ", "ADP", "ADV", "AUX", "CCONJ", "DET", "INTJ", "NOUN", "NUM", "PART", "PRON", "PROPN",
        "PUNCT", "SCONJ", "SYM", "VERB", "X"]  # fmt: skip
_TEXT, _LABEL = "string", {"names": NLI_LABELS}
SQUAD_FEATURES = {
    "id": _TEXT,
    "title": _TEXT,
    "context": _TEXT,
    "question": _TEXT,
    "answers": {"text": [_TEXT], "answer_start": ["int32"]},
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
    """One split as the hub stores it, class labels with their names."""
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
    schema = datasets.Features(
        {name: feature(spec) for name, spec in features.items()}
    ).arrow_schema
    columns = {name: [row[name] for row in rows] for name in features}
    pq.write_table(pa.table(columns, schema=schema), path, compression="zstd")


def write_tables(folder: Path, languages: dict[str, Language], spoken: dict) -> None:
    """tasks.csv and invented.csv in the columns of the packaged ones.

    spoken: the languages of the tasks that do not have all of them.
    """
    package = Path(__file__).parents[2]
    codes = list(languages)
    with (package / "tasks.csv").open(newline="", encoding="utf-8") as file:
        tasks = [
            row for row in csv.DictReader(file) if row["role"] != "other" or row["name"] in spoken
        ]
    for row in tasks:
        if row["role"] != "intermediate":
            row["languages"] = " ".join(
                c for c in spoken.get(row["name"], codes) if (row["name"], c) != ("tatoeba", "en")
            )
        row.update(revision="", note="generated")
    _write_table(folder / "tasks.csv", tasks)
    with (package / "languages.csv").open(newline="", encoding="utf-8") as file:
        blank = dict.fromkeys(csv.DictReader(file).fieldnames or (), "")
    _write_table(
        folder / "languages.csv",
        [blank | language_row(language) for language in languages.values()],
    )


def language_row(language: Language) -> dict:
    """The syntactic distance is what was built in: the mean of word order (0, 0.5, 1) and case."""
    family = language.family
    same = language.code == "en"
    order = {"SVO": 0.0, "SVO/SOV": 0.5, "SOV": 1.0}[family.order]
    return {
        "code": language.code,
        "iso3": "eng" if same else language.code,
        "name": language.name,
        "family": family.family,
        "group": family.family,
        "xtreme_family": family.family,
        "script": family.script,
        "tatoeba": language.code,
        "udpos": language.name,
        "syntactic": 0.0 if same else (order + family.case) / 2,
        "distance_source": "as built",
        "note": "invented",
    }


def _write_table(path: Path, rows: list[dict]) -> None:
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, list(rows[0]), lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)
