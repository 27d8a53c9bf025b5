"""Which rows a run trains on: English ones, translated ones, those of another source, raw text."""

from pathlib import Path

import numpy as np

from xtsupport import folders
from xtsupport.data import load
from xtsupport.errors import UserError
from xtsupport.files import read_json
from xtsupport.study.phases.exposure import training_languages, training_split
from xtsupport.study.runs import Run
from xtsupport.tables import task
from xtsupport.training.feature_cache import encoded
from xtsupport.training.features import Features
from xtsupport.training.robust import synonyms_of, with_synonyms


def training_features(name: str, rows: int, tokenizer, run: Run, encoder=None) -> Features:
    """Features of `rows` training rows of a task, the same rows for every seed.

    In English, in the run's source language (Turc et al. 2021, arXiv 2106.16171: any language can
    be the source, also a machine-translated one; as many rows in each) or, for ``X@translated``
    (Phang et al. 2020, arXiv 2005.13013), each row in one of the languages, in turn. So a row
    occurs once, in one language, and the steps are those of X; the paper's amounts of translated
    data could not be checked.
    encoder: whose embeddings say what is a synonym, for runs that have ``copies``.
    """
    row = task(name, run.options["data"])
    settings = run.settings
    examples = rows_in(training_languages(run), name, rows, run)
    labels = row.labels
    if row.kind == "tagging" and not labels:  # CCG has hundreds: those that occur
        labels = tuple(sorted({tag for tags in examples["tags"][:] for tag in tags}))
    if "copies" in settings:
        examples = noisy_copies(examples, row.kind, encoder, tokenizer, run)
    return encoded(examples, row.kind, tokenizer, settings, labels)


def window_counts(run: Run, tokenizer) -> dict[str, int]:
    """Task -> windows that its rows make in training, for the tasks of a run of phase 2."""
    return {
        name: len(training_features(name, rows, tokenizer, run))
        if task(name, run.options["data"]).kind in ("span", "tagging")
        else rows
        for name, rows in run.settings["tasks"].items()
    }


def rows_in(languages: list[str], name: str, rows: int, run: Run):
    """`rows` rows of a task's training split, the k-th one in the k-th language, in turn."""
    import datasets

    split, data = training_split(name, run), run.options["data"]
    found = [load(name, code, split, data) for code in languages]
    count = min(map(len, found))
    chosen = np.arange(count)
    if rows < count:
        chosen = np.sort(np.random.default_rng(0).permutation(count)[:rows])
    if len(found) == 1:
        return found[0] if len(chosen) == len(found[0]) else found[0].select(chosen)
    parts = [each.select(chosen[k :: len(found)]) for k, each in enumerate(found)]
    return datasets.concatenate_datasets([part for part in parts if len(part)])


def noisy_copies(examples, kind: str, encoder, tokenizer, run: Run):
    """`copies` copies of every row, with words replaced by synonyms (training/robust.py)."""
    import datasets

    columns = examples[:]
    if run.settings["synonyms"] == "embeddings":
        near = synonyms_of(encoder, tokenizer, columns, kind)
    else:
        near = read_synonyms(folders.typed(run.settings["synonyms"]))
    copied = with_synonyms(columns, kind, near, run.settings["copies"], run.seed)
    return datasets.Dataset.from_dict(copied, features=examples.features)


def read_synonyms(path: Path) -> dict[str, list[str]]:
    """A JSON object {word: [synonym, ...]}. Raises UserError when the file is no such thing."""
    found = read_json(path)
    if found is None or not all(isinstance(near, list) for near in found.values()):
        raise UserError(f"robust.synonyms = {path}: must hold a JSON object, word: [synonym, ...]")
    return found


def raw_features(tokenizer, run: Run) -> Features:
    """Raw text of every language of the run, at most `documents` of each."""
    import datasets

    raw, data, parts = run.settings["raw"], run.options["data"], []
    split = task(raw["task"], data).train_split
    for code in raw["languages"]:
        texts = load(raw["task"], code, split, data, first=raw["documents"])
        parts.append(texts.select_columns("text"))
    texts = datasets.concatenate_datasets(parts)
    return encoded(texts, "masked", tokenizer, run.settings)
