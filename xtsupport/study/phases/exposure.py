"""What was seen before it is tested: facts for ``run.json`` beside every score."""

from collections.abc import Iterable

from xtsupport.data import hub
from xtsupport.data.contamination import shared_texts
from xtsupport.study.runs import Run
from xtsupport.tables import known_encoder, task


def exposed(run: Run, names: Iterable[str]) -> list[str] | None:
    """The tasks among `names` that the encoder was trained on, by encoders.csv; None: unknown."""
    known = known_encoder(run.settings["encoder"], run.options["data"])
    if known is None:
        return None
    return [name for name in dict.fromkeys(names) if name in known.exposed]


def contamination(run: Run) -> list[dict]:
    """Where evaluation texts of a phase-3 run occur in what phases 2 and 3 trained on.

    Tested are English and the other languages of training, if any. One record per training task,
    target, language and field, also where nothing was found: how many texts, how many stand there
    whole, how many share 13 words (xtsupport/data/contamination.py).
    """
    data, splits = run.options["data"], run.settings.get("eval_splits", {})
    trained = [(name, code, training_split(name, each)) for each in (run, *run.upstream)
               for name in training_tasks(each) for code in training_languages(each)]  # fmt: skip
    trained = [each for each in dict.fromkeys(trained) if hub.present(*each, data)]
    spoken = {"en", *(code for _, code, _ in trained)}
    tested = [(name, code, splits.get(name) or task(name, data).eval_split)
              for name, codes in run.settings["targets"].items()
              for code in codes if code in spoken]  # fmt: skip
    found = shared_texts(trained, tested, data)
    columns = ["training", "target", "language", "field", "texts", "exact", "ngram"]
    worst = found.groupby(columns[:4], sort=False)[columns[4:]].max()  # of languages of training
    return worst.reset_index().to_dict("records")


def training_tasks(run: Run) -> list[str]:
    """The tasks that a run itself trains on, raw text apart."""
    return [run.training_task] if run.phase == "target" else [*run.settings.get("tasks", ())]


def training_languages(run: Run) -> list[str]:
    """The languages that a run trains in: its translations, its source, or English."""
    return run.settings.get("translations") or [run.settings.get("source", "en")]


def validation_split(name: str, run: Run) -> str | None:
    """The split whose English rows show what a run of phase 2 learned; None: it trained on them."""
    split = task(name, run.options["data"]).eval_split
    trained = set(training_split(name, run).split("+"))
    return split if split and trained.isdisjoint(split.split("+")) else None


def training_split(name: str, run: Run) -> str:
    """The split that a run trains on: the task's, unless the study names another."""
    named = run.settings.get("train_splits", {}).get(name)
    return named or task(name, run.options["data"]).train_split
