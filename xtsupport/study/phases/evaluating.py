"""Evaluation of a trained model: predictions in every language, and the files that hold them."""

import hashlib
from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
import pandas as pd

from xtsupport.data import load
from xtsupport.data.hub import available
from xtsupport.evaluation.predict import predict, predict_sets
from xtsupport.evaluation.scores import corpus_score, score_examples
from xtsupport.files import write_parquet
from xtsupport.sides import SOURCE
from xtsupport.study.params.groups import Evaluation
from xtsupport.study.phases.exposure import validation_split
from xtsupport.study.phases.fitting import sizes
from xtsupport.study.runs import Run, digest, upstream_records
from xtsupport.tables import languages, task
from xtsupport.training.feature_cache import encoded, tokenizer_mark
from xtsupport.training.features import Features

MAX_ANSWER = Evaluation.model_fields["max_answer_length"].default  # of validation in phase 2
VALIDATION_CLUSTERS = 400  # English validation after phase 2: enough to see that it learned
POOL = 2**22  # tokens that are batched together: about 250 MB
KEPT: dict[str, list["EvaluationSet"]] = {}  # the pool of one run


def counted(out, name: str, size: dict[str, int]) -> None:
    """Put the size of an evaluation set into ``run.json``."""
    out.note(evaluation=out.notes.get("evaluation", {}) | {name: size})


def evaluation_sets(run: Run) -> list[tuple[str, str, str | None]]:
    """(target, language, language_2): all single languages, then the pairs that were asked for."""
    alone = [(t, code, None) for t, codes in run.settings["targets"].items() for code in codes]
    pairs = run.settings.get("pairs", {}).items()
    return alone + [(target, *pair) for target, both in pairs for pair in both]


class EvaluationSet(NamedTuple):
    """One target in one language, or pair of languages: columns of its examples, features."""

    target: str
    language: str
    language_2: str | None
    examples: dict[str, list]
    features: Features


def evaluate(model, trained_on: Features, tokenizer, run: Run, out) -> Iterator[tuple]:
    """(target, language, language_2, examples, predictions) of every evaluation set of a run, as
    many of them in common batches as have `POOL` tokens together."""
    more = decoding(trained_on, tokenizer, run)
    for pool in pools(trained_on, tokenizer, run):
        sets = [(each.features, each.examples) for each in pool]
        found = predict_sets(model, run.training_task, sets, **more)
        for each, predictions in zip(pool, found, strict=True):
            codes = "+".join(filter(None, (each.language, each.language_2)))
            counted(out, f"{each.target}/{codes}", sizes(each.features))
            yield *each[:4], predictions


def pools(trained_on: Features, tokenizer, run: Run) -> Iterator[list[EvaluationSet]]:
    """The evaluation sets of a run in groups of at most `POOL` tokens, one set at least.

    Where all fit into one group, it is kept for the next run, which is another seed as a rule.
    """
    own = [run.settings, run.data, str(run.options["data"]), trained_on.kind, trained_on.labels]
    known = digest([own, tokenizer_mark(tokenizer)])
    if known in KEPT:
        yield KEPT[known]
        return
    KEPT.clear()
    pool: list[EvaluationSet] = []
    tokens, groups = 0, 1
    for place in evaluation_sets(run):
        made = evaluation_set(*place, trained_on, tokenizer, run)
        size = int(made.features.lengths.sum())
        if pool and tokens + size > POOL:
            yield pool
            pool, tokens, groups = [], 0, groups + 1
        pool.append(made)
        tokens += size
    if groups == 1:
        KEPT[known] = pool
    yield pool


def evaluation_set(target, code, code_2, trained_on: Features, tokenizer, run: Run):
    """The `EvaluationSet` of a target in a language."""
    split = run.settings.get("eval_splits", {}).get(target)
    most = run.settings.get("max_clusters")
    most = most.get(target) if isinstance(most, dict) else most
    rows = whole_clusters(load(target, code, split, run.options["data"], code_2), most)
    features = encoded(rows, trained_on.kind, tokenizer, run.settings, trained_on.labels)
    return EvaluationSet(target, code, code_2, rows[:], features)


def decoding(trained_on: Features, tokenizer, run: Run) -> dict:
    """What `predict` takes beside model, task and rows."""
    return {
        "pad": tokenizer.pad_token_id,
        "batch_tokens": run.options["batch_tokens"],
        "precision": run.settings["precision"],
        "unanswerable": trained_on.unanswerable,
        "max_answer": run.settings.get("max_answer_length", MAX_ANSWER),
    }


def predictions_of(model, trained: str, trained_on: Features, examples, tokenizer, run: Run):
    """(predictions, sizes of the features) of evaluation rows."""
    labels = trained_on.labels
    features = encoded(examples, trained_on.kind, tokenizer, run.settings, labels)
    more = decoding(trained_on, tokenizer, run)
    return predict(model, trained, features, examples[:], **more), sizes(features)


def validation_rows(name: str, run: Run):
    """English validation examples of an intermediate task; None where the source has none."""
    data, split = run.options["data"], validation_split(name, run)
    if not split or not available(name, "en", split, data):
        return None
    return whole_clusters(load(name, "en", split, data), VALIDATION_CLUSTERS)


def validate(
    model, name: str, trained_on: Features, examples, tokenizer, run: Run, out
) -> pd.DataFrame:
    """Scores (points) on the validation examples of an intermediate task; empty without any."""
    if examples is None:
        return pd.DataFrame(columns=["task", "language", "metric", "score", "n_examples"])
    data = run.options["data"]
    predictions, size = predictions_of(model, name, trained_on, examples, tokenizer, run)
    counted(out, f"{name}/en", size)
    frame = score_examples(name, examples, predictions, "en", data=data)
    return pd.DataFrame(summary(name, "en", frame))


def whole_clusters(examples, most: int | None):
    """At most `most` clusters of an evaluation set, whole, and the same ones in every language."""
    clusters = np.array(examples["cluster_id"][:])
    names = sorted(set(clusters), key=lambda name: hashlib.sha256(name.encode()).digest())
    if most is None or most >= len(names):
        return examples
    return examples.select(np.flatnonzero(np.isin(clusters, names[:most])))


def write_scores(out, run: Run, parts) -> None:
    """The run's part of the cube with predictions, scores per language, collapsed targets."""
    data = run.options["data"]
    frames, places, texts, summaries = [], [], [], []
    for target, code, code_2, examples, predictions in parts:
        frame = score_examples(target, examples, predictions, code, data)
        pair = {"language_2": code_2} if code_2 else {}
        summaries += [row | pair for row in summary(target, code, frame)]
        text = prediction_texts(target, examples, predictions, data)
        texts += [text[name] for name in frame["example_id"].tolist()]
        frames.append(frame)
        places.append((target, code, code_2))
    above = upstream_records(run).values()
    phase2 = next((each["run_key"] for each in above if each["phase"] == "intermediate"), None)
    where = labels(places, [len(frame) for frame in frames], data)
    cube = pd.concat([pd.concat(frames, ignore_index=True), where], axis=1).assign(
        prediction=texts,
        study=run.study,
        condition=run.condition,
        variant=run.variant,
        seed=run.seed,
        phase2_run=phase2,
        phase3_run=out.identity["run_key"] if run.phase == "target" else None,
    )
    scores = pd.DataFrame(summaries)
    write_parquet(out.path / "examples.parquet", cube)
    out.write_csv("scores.csv", scores)
    out.note(collapsed=collapsed(scores, data, run.settings.get("source", SOURCE)))


def labels(places: list[tuple], rows: list[int], data) -> pd.DataFrame:
    """Task, languages, family and group of evaluation sets, each as often as it has `rows`."""
    table = languages(data)
    found = pd.DataFrame(places, columns=["task", "language", "language_2"])
    found = found.astype({"language_2": object}).assign(
        family=[table[code].family for _, code, _ in places],
        group=[table[code].group for _, code, _ in places],
    )
    return found.loc[found.index.repeat(rows)].reset_index(drop=True)


def prediction_texts(target: str, examples, predictions, data) -> dict[str, str]:
    """Example id -> prediction: tags with blanks between; of mined pairs the targets' ids."""
    if task(target, data).evaluator == "pairs":
        found = dict.fromkeys((source for source, _ in examples), "")
        for source, other in predictions:
            found[source] = f"{found.get(source, '')} {other}".strip()
        return found
    return {
        i: " ".join(p) if isinstance(p, list) else str(p)
        for i, p in zip(examples["example_id"][:], predictions, strict=True)
    }


def summary(name: str, code: str, frame: pd.DataFrame) -> list[dict]:
    """One row per metric: task, language, metric, score (percent), n_examples."""
    about, count = {"task": name, "language": code}, frame["example_id"].nunique()
    return [
        about | {"metric": metric, "score": score, "n_examples": count}
        for metric, score in corpus_score(name, frame).items()
    ]


def collapsed(scores: pd.DataFrame, data, source: str) -> list[str]:
    """Targets whose official score in the language of the training is not above chance by 2 points
    or 3 standard errors."""
    found = []
    same = scores.language == source
    if "language_2" in scores:
        same &= scores.language_2.isna()
    for row in scores[same].itertuples():
        about = task(row.task, data)
        chance = (about.chance or 0.0) / 100
        noise = 300 * (chance * (1 - chance) / row.n_examples) ** 0.5
        if row.metric == about.metrics[0] and row.score <= 100 * chance + max(2.0, noise):
            found.append(row.task)
    return found
