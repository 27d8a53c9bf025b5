"""A study's predictions as a submission to XTREME: `<task>/test-<language>.<tsv or json>`.

XTREME's evaluator (google-research/xtreme, evaluate.py) reads json {id: text} for span tasks; for
classification one label a line; for tagging one tag a line and an empty line after each sentence;
for BUCC source id, tab, target id; for Tatoeba, whose English side it sorts, the row number of
the sentence found for each English sentence in that order.
"""

import json
from pathlib import Path

from xtsupport import tables
from xtsupport.data import hub
from xtsupport.errors import UserError
from xtsupport.study import runs, store
from xtsupport.study.params.rules import data_source

XTREME_NAMES = {"bucc": "bucc2018"}


def export(study: str | Path, out: str | Path, data=None) -> list[Path]:
    """Write one submission folder per condition, variant and seed of a study; returns its files.

    A submission lies in `out/<condition>/<variant>/seed<k>/`. Targets that are not XTREME's and
    pairs in two languages are left out. data: where the study's data are; None: as run.json says.
    Raises UserError if the study has no finished runs, or evaluated only a part of a test set.
    """
    made = [(folder, runs.read_record(folder)) for folder in store.of_study(Path(study))]
    made = [each for each in made if each[1] and each[1]["phase"] in ("target", "retrieval")]
    if not made:
        raise UserError(f"{study}: no finished target or retrieval run; run the study first")
    written = []
    for place, run in made:
        source = data or data_source(run.get("options", {}).get("data", "hub"))
        folder = Path(out) / run["condition"] / run["variant"] / f"seed{run['seed']}"
        written += _export_run(place / "examples.parquet", folder, source)
    return written


def _export_run(path, folder, data):
    import pandas as pd

    columns = ["task", "language", "language_2", "example_id", "metric", "prediction"]
    cube = pd.read_parquet(path, columns=columns)
    written = []
    for (name, language), rows in cube[cube["language_2"].isna()].groupby(["task", "language"]):
        task = tables.task(name, data)
        if task.role != "target":
            continue
        rows = rows[rows["metric"] == task.metrics[0]]
        lines = _submission(task, language, rows, data)
        ending = "json" if task.kind == "span" else "tsv"
        target = folder / XTREME_NAMES.get(name, name) / f"test-{language}.{ending}"
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(lines, encoding="utf-8", newline="\n")
        written.append(target)
    return written


def _submission(task, language, rows, data):
    predictions = dict(zip(rows["example_id"], rows["prediction"], strict=True))
    if task.evaluator == "pairs":
        pairs = [
            (source, target) for source, found in predictions.items() for target in found.split()
        ]
        return "".join(f"{source}\t{target}\n" for source, target in pairs)
    examples = hub.load(task.name, language, data=data)
    ids = examples["example_id"][:]
    if set(ids) != set(predictions):
        raise UserError(
            f"{task.name} ({language}): {len(predictions)} predictions for {len(ids)} examples; "
            "a submission needs all of them (evaluation.max_clusters: null)"
        )
    if task.kind == "span":  # an id that XTREME's file repeats was made unique with #
        answers = {
            identifier.partition("#")[0]: predictions[identifier] for identifier in ids[::-1]
        }
        return json.dumps(dict(reversed(answers.items())), ensure_ascii=False, indent=1) + "\n"
    if task.kind == "retrieval":
        english = examples["text_2"][:]
        ids = [ids[row] for row in sorted(range(len(ids)), key=lambda row: english[row].strip())]
    lines = [predictions[identifier] for identifier in ids]
    if task.kind == "tagging":
        return "".join("".join(f"{tag}\n" for tag in line.split()) + "\n" for line in lines)
    return "".join(f"{line}\n" for line in lines)
