"""The official scores of every task, per example and per corpus.

Each evaluator takes gold and predictions in the same order and returns, for each metric, either
one score in 0..1 per example or the counts (tp, fp, fn) per example where the official score is a
micro average. A corpus score is the mean of the former, or the F1 of the summed latter, so that
the scores kept per example always add up to the official ones.
"""

import numpy as np

from xtsupport import tables
from xtsupport.errors import UserError
from xtsupport.evaluation import accepted_forms
from xtsupport.evaluation.accepted_forms import brief, listed
from xtsupport.evaluation.answer_f1 import MLQA_ARTICLES, segmented_tokens, squad_tokens, token_f1
from xtsupport.tables import Task


def score(task, predictions, references, language="en", data="hub") -> dict:
    """The official scores of a task as percentages (f1, exact_match, accuracy, precision, recall).

    span: predictions {id: text}, references [{"id", "answers": [text, ...]}] (the formats of
    SQuAD's files work too); language: that of the answers. tagging: lists of lists of tags.
    classification, choice, Tatoeba: lists of labels, as names or numbers. BUCC: lists of
    (source id, target id). None is no answer.
    Raises UserError with task, language and both counts when predictions are missing or surplus,
    and when their format could only score 0.
    """
    row = tables.task(task, data)
    where = f"{row.name} ({brief(language)})"
    if not isinstance(language, str):
        raise UserError(f"{where}: language must be a code such as 'en'")
    if row.kind == "span":
        predictions, references = accepted_forms.answers(predictions, references, where)
    if row.evaluator == "pairs":
        predictions, references = accepted_forms.pairs(predictions, references, where)
        return _percentages({"f1": _pairs(references, predictions)[1]})
    return _percentages(_evaluate(row, references, predictions, language))


def score_examples(task, examples, predictions, language="en", data="hub"):
    """The scores of every example: a frame of example_id, cluster_id, metric, score, tp, fp, fn.

    examples: what load() returned, or a list of such examples; BUCC: the gold (source id, target
    id) pairs. predictions, aligned with them: span: text; classification: label; choice: index;
    tagging: list of tags; Tatoeba: row number of the nearest sentence; BUCC: pairs.
    `score` is in 0..1, and null where the metric is a micro average over tp, fp and fn.
    """
    row = tables.task(task, data)
    where = f"{row.name} ({brief(language)})"
    if row.evaluator == "pairs":
        predictions, examples = accepted_forms.pairs(predictions, examples, where)
        ids, counts = _pairs(examples, predictions)
        return _frame(ids, ids, {"f1": counts})
    ids = _column(examples, "example_id")
    if row.kind == "span":
        given, what = listed(predictions, f"{where}: predictions"), f"{where}: a prediction"
        predictions = [accepted_forms.text_of(each, what) for each in given]
    results = _evaluate(row, _gold(row, examples, len(ids)), predictions, language)
    return _frame(ids, _column(examples, "cluster_id"), results)


def corpus_score(task, frame) -> dict:
    """The percentages that score() gives, from a frame of score_examples()."""
    results, metrics = {}, frame["metric"].to_numpy()
    score, *counts = (
        frame[name].to_numpy(dtype=float, na_value=np.nan) for name in ("score", "tp", "fp", "fn")
    )
    for metric in frame["metric"].unique():
        rows = metrics == metric
        values = np.stack(counts, 1) if np.isnan(score[rows]).all() else score
        results[metric] = values[rows]
    if not results:
        raise UserError(f"{task}: no scored examples")
    return _percentages(results)


def _evaluate(task: Task, gold, predictions, language):
    where = f"{task.name} ({brief(language)})"
    gold = listed(gold, f"{where}: references")
    predictions = listed(predictions, f"{where}: predictions")
    _same_length(where, predictions, gold)
    if not gold:
        raise UserError(f"{where}: nothing to score: 0 examples")
    if task.kind == "tagging":
        gold, predictions = accepted_forms.tags(gold, predictions, task, where)
        for number, (guess, true) in enumerate(zip(predictions, gold, strict=True)):
            _same_length(f"{where}: sentence {number}", guess, true)
    elif task.kind != "span":
        gold, predictions = accepted_forms.labels(gold, predictions, task, where)
    return EVALUATORS[task.evaluator](task, gold, predictions, language)


def _accuracy(task, gold, predictions, language):
    """Accuracy; if the task has it, also the F1 of its last label (QQP in GLUE: duplicate)."""
    guesses, true = (np.array(labels, dtype=object) for labels in (predictions, gold))
    results = {"accuracy": (guesses == true).astype(float)}
    if "f1" in task.metrics:
        found, there = guesses == task.labels[-1], true == task.labels[-1]
        results["f1"] = np.stack([found & there, found & ~there, there & ~found], 1).astype(float)
    return results


def _token_accuracy(task, gold, predictions, language):
    """Share of right tags, as a micro average: a wrong tag is a false one and a missed one."""
    counts = []
    for guess, true in zip(predictions, gold, strict=True):
        right = sum(a == b for a, b in zip(guess, true, strict=True))
        counts.append((right, len(true) - right, len(true) - right))
    return {"accuracy": np.array(counts, float)}


def _span(task, gold, predictions, language):
    """Maximum over the gold answers of F1 and exact match, officially and segmented."""
    second = task.evaluator == "squad_v2"
    invented = "qaa" <= language <= "qtz"  # scored by MLQA's rules for a language without articles
    if task.evaluator == "mlqa" and language not in MLQA_ARTICLES and not invented:
        raise UserError(f"{task.name}: MLQA's evaluator knows {', '.join(MLQA_ARTICLES)}, "
                        f"not {brief(language)!r}")  # fmt: skip

    def segmented(text):
        return segmented_tokens(text, language)

    official = segmented if task.evaluator == "mlqa" else squad_tokens

    def f1(mine, gold):  # of SQuAD v2, two empty answers agree: there is none
        empty = second and not (mine and gold)
        return float(mine == gold) if empty else token_f1(mine, gold)

    rows = []
    for guess, answers in zip(predictions, gold, strict=True):
        if second:  # answers that normalise to nothing do not count; none at all: unanswerable
            answers = [text for text in answers if squad_tokens(text)] or [""]
        if not any(text.strip() for text in answers) and not second:  # also gold that was blanked
            raise UserError(f"{task.name} ({brief(language)}): a question without an answer; "
                            "only SQuAD v2 has them")  # fmt: skip
        mine, mine_segmented = official(guess), segmented(guess)
        true = [official(text) for text in answers]
        best = max(f1(mine, each) for each in true)
        best_segmented = max(f1(mine_segmented, segmented(text)) for text in answers)
        rows.append((best, mine in true, best_segmented))
    scores = np.array(rows, float).T
    return dict(zip(("f1", "exact_match", "f1_segmented"), scores, strict=True))


def _seqeval(task, gold, predictions, language):
    """Micro F1 over entities as seqeval 1.2 counts them, each in the sentence that it ends in."""
    true, found = entities(gold), entities(predictions)
    counts = np.zeros((len(gold), 3))
    for column, group in enumerate((true & found, found - true, true - found)):
        for _, _, (sentence, _) in group:
            counts[sentence, column] += 1
    return {"f1": counts}


def entities(sentences) -> set[tuple[str, tuple[int, int], tuple[int, int]]]:
    """(type, first token, last token) of all entities, tokens as (sentence, position).

    seqeval reads a tag as one letter of the scheme (B, I, E, S, O) and a type, the rest without a
    hyphen, over all sentences joined by an O. XTREME applies it to raw part-of-speech tags, and
    so do we: NOUN is letter N, type OUN; neighbours of one type are one entity; SCONJ and CCONJ
    are both of type CONJ; X is of O's type, so that it opens no entity after an O, and the one it
    closes starts where the last entity started, maybe in an earlier sentence. (seqeval before 1.0
    took NOUN as the type, so that scores of 2020 may differ where CCONJ, SCONJ and X are mixed up.)
    """
    found = set()
    letter, kind, first, last = "O", "", (0, 0), (0, 0)
    for number, tags in enumerate(sentences):
        for position, tag in enumerate([*tags, "O"]):
            previous, before = letter, kind
            letter, kind = tag[0], tag[1:].split("-", 1)[-1] or "_"
            if _closes(previous, letter, before, kind):
                found.add((before, first, last))
            if _opens(previous, letter, before, kind):
                first = (number, position)
            last = (number, position)
    return found


def _closes(previous, letter, before, kind):
    scheme = previous in "ES" or (previous in "BI" and letter in "BSO")
    return scheme or (previous not in "O." and before != kind)


def _opens(previous, letter, before, kind):
    scheme = letter in "BS" or (previous in "ESO" and letter in "EI")
    return scheme or (letter not in "O." and before != kind)


def _pairs(gold, predictions):
    """Ids of the source sentences in either set of pairs, and their counts."""
    gold, predictions = ({tuple(pair) for pair in pairs} for pairs in (gold, predictions))
    ids = sorted({source for source, _ in gold | predictions})
    place = {source: number for number, source in enumerate(ids)}
    counts = np.zeros((len(ids), 3))
    for column, group in enumerate((gold & predictions, predictions - gold, gold - predictions)):
        for source, _ in group:
            counts[place[source], column] += 1
    return ids, counts


EVALUATORS = {"accuracy": _accuracy, "token_accuracy": _token_accuracy, "seqeval": _seqeval}
EVALUATORS |= dict.fromkeys(("squad_v1", "squad_v2", "mlqa"), _span)


def _gold(task, examples, count):
    if task.kind == "span":
        what = f"{task.name}: answers"
        return [accepted_forms.texts(each, what) for each in _column(examples, "answers")]
    if task.kind == "retrieval":
        return list(range(count))
    return _column(examples, "tags" if task.kind == "tagging" else "label")


def _column(examples, name):
    try:
        if isinstance(examples, list):
            return [example[name] for example in examples]
        return examples[name][:]
    except (TypeError, KeyError, IndexError):
        raise UserError(f"examples must be what load() returns, or a list of its rows, with "
                        f"{name!r}; not {brief(examples)!r}") from None  # fmt: skip


def _same_length(where, predictions, references):
    if len(predictions) != len(references):
        raise UserError(f"{where}: {len(predictions)} predictions for {len(references)} "
                        "references; there must be one each")  # fmt: skip


def _percentages(results):
    """{metric: scores (n,) or counts (n, 3)} -> percentages; counts also give precision, recall."""
    percentages = {}
    for metric, values in results.items():
        if values.ndim == 1:
            percentages[metric] = 100 * float(values.mean())
            continue
        tp, fp, fn = values.sum(axis=0)
        percentages[metric] = 100 * 2 * tp / (2 * tp + fp + fn) if tp else 0.0
        if metric == "f1":
            percentages["precision"] = 100 * tp / (tp + fp) if tp else 0.0
            percentages["recall"] = 100 * tp / (tp + fn) if tp else 0.0
    return {metric: float(value) for metric, value in percentages.items()}


def _frame(ids, clusters, results):
    import pandas as pd

    values = np.full((len(results), len(ids), 4), np.nan)  # score, tp, fp, fn
    for rows, found in zip(values, results.values(), strict=True):
        rows[:, slice(0, 1) if found.ndim == 1 else slice(1, 4)] = found.reshape(len(ids), -1)
    score, *counts = values.reshape(-1, 4).T
    columns: dict = {
        "example_id": list(ids) * len(results),
        "cluster_id": list(clusters) * len(results),
    }
    columns |= {"metric": np.repeat(list(results), len(ids)), "score": score}
    named = zip(("tp", "fp", "fn"), counts, strict=True)
    return pd.DataFrame(columns | {name: pd.array(each, "Int32") for name, each in named})
