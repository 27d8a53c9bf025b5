"""Write a study's predictions as a submission to XTREME: `<task>/test-<language>.<tsv or json>`.

XTREME's evaluator (google-research/xtreme, evaluate.py) reads JSON {id: text} for span tasks; one
label per line for classification; one tag per line and an empty line after each sentence for
tagging; source id, tab, target id for BUCC; and for Tatoeba, whose English side it sorts, the row
number of the sentence found for each English sentence, in that order.
"""

import json
from pathlib import Path

from xtsupport import tables
from xtsupport.data import hub, parquet
from xtsupport.data.data_source import data_source
from xtsupport.errors import UserError
from xtsupport.files import new_folder, write_text
from xtsupport.study import run_store, runs
from xtsupport.study.conditions import parse

EXAMPLES = "examples.parquet"
XTREME_NAMES = {"bucc": "bucc2018"}


def export(study: str | Path, out: str | Path) -> list[Path]:
    """Write one submission folder per condition, variant and seed of a study; returns its files.

    A submission lies in `out/<condition>/<variant>/seed<k>/`. Targets that are not XTREME's and
    pairs in two languages are left out; retrieval without phase 2, done once, stands under every
    seed.
    Raises UserError, and writes nothing, if the study has no finished runs, lacks predictions, has
    files that changed, or evaluated only a part of a test set.
    """
    every = [(folder, runs.read_record(folder) or {}) for folder in run_store.of_study(Path(study))]
    made = [each for each in every if each[1].get("phase") in ("target", "retrieval")]
    order = ("phase", "condition", "variant", "seed")
    made.sort(key=lambda each: [each[1][name] for name in order])
    if not made:
        raise UserError(f"{study}: no finished target or retrieval run; run the study first")
    lacking = sum(not (place / EXAMPLES).is_file() for place, _ in made)
    if lacking:
        raise UserError(
            f"{study}: {lacking} of its {len(made)} runs have scores without predictions (no "
            f"{EXAMPLES}), as in a copied study; export one that was run here"
        )
    if flaws := [line for place, _ in made for line in runs.flaws(place)]:
        raise UserError(*flaws, f"{study}: not all runs are intact; `xtsupport run` repeats these")
    submissions: dict[Path, dict[str, str]] = {}
    problems: list[str] = []
    for place, run in made:
        data = data_source(run.get("options", {}).get("data", "hub"))
        texts = _submissions(place / EXAMPLES, data, problems)
        for seed in _seeds(run, made):
            folder = Path(out) / run["condition"] / run["variant"] / f"seed{seed}"
            submissions.setdefault(folder, {}).update(texts)
    if problems:
        raise UserError(*dict.fromkeys(problems))
    for folder, texts in submissions.items():
        with new_folder(folder) as made_here:  # whole, or not there
            for name, text in texts.items():
                write_text(made_here / name, text)
    return [folder / name for folder, texts in submissions.items() for name in texts]


def summary(written: list[Path]) -> list[str]:
    """What was written, and what XTREME's evaluator would still ask for."""
    folders: dict[Path, dict[str, list[str]]] = {}
    for path in written:
        code = path.stem.removeprefix("test-")
        folders.setdefault(path.parents[1], {}).setdefault(path.parent.name, []).append(code)
    lines = [
        f"{folder}: " + ", ".join(f"{task} ({' '.join(codes)})" for task, codes in of.items())
        for folder, of in folders.items()
    ]
    known = tables.languages("hub")
    if any(code not in known for of in folders.values() for codes in of.values() for code in codes):
        return [*lines, "note: the languages are invented; XTREME cannot score them"]
    ours = {theirs: own for own, theirs in XTREME_NAMES.items()}
    for task in dict.fromkeys(task for of in folders.values() for task in of):
        wanted = tables.task(ours.get(task, task), "hub").languages
        there = [set(of[task]) for of in folders.values() if task in of]
        absent = [code for code in wanted if not all(code in codes for codes in there)]
        if absent:
            lines.append(f"note: {task} lacks {', '.join(absent)}; XTREME's evaluator needs them")
    tasks = [XTREME_NAMES.get(n, n) for n, t in tables.tasks("hub").items() if t.role == "target"]
    without = [task for task in tasks if not all(task in of for of in folders.values())]
    if without:
        lines.append(f"note: XTREME's overall score also needs {', '.join(without)}")
    return lines


def _seeds(run, made) -> list[int]:
    """The seeds that a run stands for: its own, or all where nothing was drawn (no phase 2)."""
    if run.get("phase") != "retrieval" or parse(run["condition"]).has_phase2:
        return [run["seed"]]
    side = [run["condition"], run["variant"]]
    others = (other for _, other in made if [other["condition"], other["variant"]] == side)
    return sorted({other["seed"] for other in others})


def _submissions(path, data, problems: list[str]) -> dict[str, str]:
    """{file in a submission: its text} of one run; a problem for every test set not whole."""
    columns = ["task", "language", "language_2", "example_id", "metric", "prediction"]
    cube = parquet.read(path, columns).to_pandas()
    texts: dict[str, str] = {}
    for (name, language), rows in cube[cube["language_2"].isna()].groupby(["task", "language"]):
        task = tables.task(name, data)
        if task.role != "target":
            continue
        ending = "json" if task.kind == "span" else "tsv"
        file = f"{XTREME_NAMES.get(name, name)}/test-{language}.{ending}"
        try:
            texts[file] = _submission(task, language, rows[rows["metric"] == task.metrics[0]], data)
        except UserError as error:
            problems += error.problems
    return texts


def _own_id(identifier, known):
    """The id in XTREME's file: one that it repeats was made unique with # and a number."""
    first, _, number = identifier.rpartition("#")
    return first if number.isdecimal() and int(number) > 1 and first in known else identifier


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
    if task.kind == "span":
        known = set(ids)
        answers = {_own_id(each, known): predictions[each] for each in ids[::-1]}
        return json.dumps(dict(reversed(answers.items())), ensure_ascii=False, indent=1) + "\n"
    if task.kind == "retrieval":
        english = examples["text_2"][:]
        ids = [ids[row] for row in sorted(range(len(ids)), key=lambda row: english[row].strip())]
    lines = [predictions[identifier] for identifier in ids]
    if task.kind == "tagging":
        return "".join("".join(f"{tag}\n" for tag in line.split()) + "\n" for line in lines)
    return "".join(f"{line}\n" for line in lines)
