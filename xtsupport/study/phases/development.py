"""Development rows: English rows that say, during training, which weights are the best."""

from collections.abc import Callable

import numpy as np

from xtsupport.data import load
from xtsupport.data.contamination import fields, words
from xtsupport.errors import UserError
from xtsupport.evaluation.scores import corpus_score, score_examples
from xtsupport.study.phases.evaluating import predictions_of
from xtsupport.study.runs import Run
from xtsupport.tables import task


def evaluator(run: Run, model, trained_on: dict, tokenizer) -> Callable[[], float] | None:
    """The score of a run's model on development rows, in points; None where it evaluates on none.

    trained_on: task -> features. Of several tasks the mean of their first metrics, as in jiant
    (EqualMetricAggregator).
    """
    data, splits = run.options["data"], run.settings.get("dev_splits", {})
    rows = {name: development_rows(name, run) for name in splits}

    def score() -> float:
        found = []
        for name, examples in rows.items():
            answers, _ = predictions_of(model, name, trained_on[name], examples, tokenizer, run)
            frame = score_examples(name, examples, answers, "en", data=data)
            found.append(corpus_score(name, frame)[task(name, data).metrics[0]])
        return float(np.mean(found))

    return score if rows else None


def development_rows(name: str, run: Run):
    """At most `dev_rows` English development rows of a task, the same ones for every seed.

    Left out are rows whose context, premise or sentence occurs in an English evaluation set of the
    study (XQuAD's paragraphs are from SQuAD's development set), unless `dev_overlap` keeps them.
    Raises UserError where no row is left.
    """
    own, data = run.settings, run.options["data"]
    split = own["dev_splits"][name]
    examples = load(name, "en", split, data)
    chosen = np.arange(len(examples))
    if apart := own["dev_apart"]:
        seen = {text for target, part in apart.items() for text in first_texts(target, part, data)}
        seen.discard(())
        chosen = np.flatnonzero([text not in seen for text in first_texts(name, split, data)])
    if not len(chosen):
        raise UserError(
            f"{name}: all {len(examples)} development rows of {split!r} have a text of an "
            "evaluation set; set dev_every: null for it, or dev_overlap: true to keep them"
        )
    if own["dev_rows"] and own["dev_rows"] < len(chosen):
        chosen = np.sort(np.random.default_rng(0).permutation(chosen)[: own["dev_rows"]])
    return examples.select(chosen)


def first_texts(name: str, split: str, data: str) -> list[tuple[str, ...]]:
    """The words, in lower case, of each English row's first text that is not empty."""
    columns = fields(name, "en", split, data).values()
    rows = zip(*columns, strict=True)
    return [next((found for text in row if (found := words(text))), ()) for row in rows]
