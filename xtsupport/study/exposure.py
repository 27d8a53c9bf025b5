"""What was seen before it is tested: facts for ``run.json`` beside every score."""

from collections.abc import Iterable

from xtsupport.data import hub, hygiene
from xtsupport.data.tables import encoders, task
from xtsupport.study.runs import Run


def exposed(run: Run, names: Iterable[str]) -> list[str] | None:
    """The tasks among `names` that the encoder was trained on, by encoders.csv; None: unknown."""
    known = encoders(run.options["data"]).get(run.settings["encoder"])
    return known and [name for name in names if name in known.exposed]


def contamination(run: Run) -> list[dict]:
    """Where English evaluation texts of a phase-3 run occur in what phases 2 and 3 trained on.

    One record per training task, target and field, also where nothing was found: how many texts,
    how many stand there whole, how many share 13 words (xtsupport/data/hygiene.py).
    """
    data, splits = run.options["data"], run.settings.get("eval_splits", {})
    trained = [(name, "en", training_split(name, each))
               for each in (run, *run.upstream) for name in training_tasks(each)]  # fmt: skip
    tested = [(name, "en", splits.get(name) or task(name, data).eval_split)
              for name, codes in run.settings["targets"].items() if "en" in codes]  # fmt: skip
    trained = [each for each in dict.fromkeys(trained) if hub.present(*each, data)]
    found = hygiene.contamination(trained, tested, data)
    columns = ["training", "target", "field", "texts", "exact", "ngram"]
    return found[columns].to_dict("records")


def training_tasks(run: Run) -> list[str]:
    """The tasks that a run itself trains on, raw text apart."""
    return [run.training_task] if run.phase == "target" else [*run.settings.get("tasks", ())]


def training_split(name: str, run: Run) -> str:
    """The split that a run trains on: the task's, unless the study names another."""
    named = run.settings.get("train_splits", {}).get(name)
    return named or task(name, run.options["data"]).train_split
