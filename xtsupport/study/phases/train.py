"""What each phase does: one function per phase, each fills the folder of one run.

pretrain -> train_intermediate -> train_target, and retrieve; a run's encoder comes from the run
above it, or from the study's `encoder` setting. Heads are never carried over.
"""

import hashlib

import numpy as np
import pandas as pd
import torch

from xtsupport import folders
from xtsupport.data import load
from xtsupport.data.hub import available
from xtsupport.errors import UserError
from xtsupport.evaluation.predict import predict
from xtsupport.evaluation.scores import corpus_score, score_examples
from xtsupport.study.params.settings import Evaluation
from xtsupport.study.phases import development, exposure, sentence_retrieval
from xtsupport.study.phases.exposure import training_split
from xtsupport.study.phases.fitting import (
    device,
    fit,
    phase2_steps,
    phase3_steps,
    recipe_of,
    sizes,
)
from xtsupport.study.phases.training_rows import raw_features, training_features, windows_of
from xtsupport.study.runs import Run, open_run, require, upstream_records
from xtsupport.tables import languages, task
from xtsupport.training import checkpoint, precision
from xtsupport.training import encoder as encoders
from xtsupport.training.attention import use_fast_attention
from xtsupport.training.features import Features, featurise
from xtsupport.training.heads import TaskModel
from xtsupport.training.loop import MLM
from xtsupport.training.masked import MaskedHead, MaskedModel, tiny_xlmr, train_tokenizer

MAX_ANSWER = Evaluation.model_fields["max_answer_length"].default  # of validation in phase 2
VALIDATION_CLUSTERS = 400  # English validation after phase 2: enough to see that it learned


def pretrain(run: Run, progress: bool = True) -> pd.DataFrame:
    """Phase 1: a small masked language model from nothing; returns the training history."""
    settings = run.settings
    texts = [
        text
        for code in settings["languages"]
        for text in load(
            settings["task"],
            code,
            task(settings["task"], run.options["data"]).train_split,
            run.options["data"],
        )["text"]
    ]
    with open_run(run) as out:
        prepare(run)
        tokenizer = train_tokenizer(texts, settings["vocabulary"])
        shape = {
            k: settings[k]
            for k in ("hidden_size", "layers", "heads", "feed_forward", "max_length", "seed")
        }
        model = tiny_xlmr(len(tokenizer), **shape)
        features = featurise({"text": texts}, "masked", tokenizer, settings["max_length"], 0)
        recipe = recipe_of(run, settings["steps"])
        history = fit(
            MaskedModel(model), {"masked": features}, tokenizer, recipe, run, out, progress
        )
        save_encoder(model, tokenizer, out)
    return history


def train_intermediate(run: Run, progress: bool = True) -> pd.DataFrame:
    """Phase 2: training on one task or a mixture; keeps the encoder; returns the history.

    ``scores.csv`` holds the scores on English validation rows, where the data source has any.
    """
    with open_run(run) as out:
        prepare(run)
        model, tokenizer = starting_model(run)
        data = {
            name: training_features(name, rows, tokenizer, run)
            for name, rows in run.settings["tasks"].items()
        }
        for name, features in data.items():
            add_head(model, name, features, run)
        masked = {MLM: raw_features(tokenizer, run)} if "raw" in run.settings else {}
        recipe = recipe_of(run, *phase2_steps(run, {name: len(data[name]) for name in data}))
        dev = development.evaluator(run, answerer(model, data, tokenizer, run))
        history = fit(model, data | masked, tokenizer, recipe, run, out, progress, dev)
        scores = [
            validate(model, name, features, tokenizer, run, out) for name, features in data.items()
        ]
        out.write_csv("scores.csv", pd.concat(scores, ignore_index=True))
        out.note(exposed=exposure.exposed(run, data))
        save_encoder(model.encoder, tokenizer, out)
    return history


def train_target(run: Run, progress: bool = True) -> pd.DataFrame:
    """Phase 3: training on a task, then every target it serves in every language.

    Writes ``examples.parquet`` and ``scores.csv``; returns the training history.
    """
    with open_run(run) as out:
        prepare(run)
        model, tokenizer = starting_model(run)
        rows = run.settings["rows"]
        features = training_features(run.training_task, rows, tokenizer, run, model.encoder)
        add_head(model, run.training_task, features, run)
        recipe = recipe_of(run, phase3_steps(run, features, tokenizer))
        data = {run.training_task: features}
        dev = development.evaluator(run, answerer(model, data, tokenizer, run))
        history = fit(model, data, tokenizer, recipe, run, out, progress, dev)
        parts = [
            evaluate(model, run.training_task, features, *each, tokenizer, run, out)
            for each in evaluation_sets(run)
        ]
        write_scores(out, run, parts)
        seen = exposure.exposed(run, [run.training_task, *run.settings["targets"]])
        out.note(exposed=seen, contamination=exposure.contamination(run))
    return history


def retrieve(run: Run) -> pd.DataFrame:
    """Sentence retrieval in every language; returns accuracy by layer, plain and mean-centred.

    Writes ``examples.parquet``, ``scores.csv`` and ``layers.csv``; for pools of sentences (BUCC)
    ``mining.csv``, the scores by margin and by cosine.
    """
    data, settings = run.options["data"], run.settings
    with open_run(run) as out:
        prepare(run)
        model, tokenizer = starting_encoder(run)
        model.to(device())
        parts: list[tuple] = []
        by_layer: list[dict] = []
        mined: list[dict] = []
        for target, codes in settings["targets"].items():
            pools = task(target, data).evaluator == "pairs"
            find, records = (
                (sentence_retrieval.mine, mined) if pools else (sentence_retrieval.align, by_layer)
            )
            for code in codes:
                gold, found, scores, size = find(target, code, model, tokenizer, run)
                parts.append((target, code, None, gold, found))
                records += scores
                counted(out, f"{target}/{code}", size)
        write_scores(out, run, parts)
        layers = pd.DataFrame(by_layer, columns=sentence_retrieval.LAYER_COLUMNS)
        out.write_csv("layers.csv", layers)
        out.note(exposed=exposure.exposed(run, settings["targets"]))
        if mined:
            out.write_csv("mining.csv", pd.DataFrame(mined))
    return layers


# ---------------------------------------------------------------------------------- the steps


def prepare(run: Run) -> None:
    """Threads and random state as the run wants them. Raises UserError where the study's automatic
    precision is not one of this device's."""
    torch.set_num_threads(run.options["threads"])
    torch.manual_seed(run.seed)
    for line in precision.check(run.options["precision"], run.settings["precision"]):
        print(line)


def starting_encoder(run: Run):
    """(encoder, tokenizer) that a run starts from: its upstream run's, else the study's."""
    encoder, tokenizer = encoders.load_encoder(starting_point(run))
    check_length(encoder, run)
    return encoder, tokenizer


def check_length(encoder, run: Run) -> None:
    """Raise UserError where the run's sequences are longer than the encoder has positions."""
    most, own = checkpoint.longest(encoder.config.to_dict()), run.settings
    lengths = [each["max_length"] for each in own.get("embedding", {}).values()]
    wanted = max(lengths or [own["max_length"]])
    if most is not None and wanted > most:
        raise UserError(
            f"{run.phase}.max_length = {wanted}: the encoder {starting_point(run)} takes at most "
            f"{most} tokens; set {run.phase}.max_length to {most} or less"
        )


def starting_point(run: Run):
    """The folder, or name at its commit, of the encoder that a run starts from."""
    if run.upstream:
        return require(run.upstream[0]) / "model"
    name, commit = run.settings["encoder"], run.data.get("encoder/commit")
    return f"{name.partition('@')[0]}@{commit}" if commit else name


def starting_model(run: Run):
    """(model, tokenizer), dropout and frozen weights as the run's settings say.

    It has no head, but for ``X+mlm`` the encoder's own masked-LM head, under the name `mlm`.
    """
    if "raw" in run.settings:
        encoder, layers, tokenizer = encoders.load_masked_encoder(starting_point(run))
    else:
        encoder, tokenizer = starting_encoder(run)
    use_fast_attention(encoder, device(), run.settings["precision"])
    encoders.set_dropout(encoder, run.settings["dropout"], run.settings["attention_dropout"])
    if run.settings["freeze_embeddings"]:
        encoders.freeze_embeddings(encoder)
    model = TaskModel(encoder, run.settings["dropout"], run.settings["pooling"])
    if "raw" in run.settings:
        model.add_masked_head(MLM, MaskedHead(layers))
    return model, tokenizer


def add_head(model: TaskModel, name: str, features: Features, run: Run) -> None:
    """A new head of the features' kind, drawn with the run's seed; at least two labels."""
    labels = max(2, len(features.labels))
    model.add_head(name, features.kind, labels, run.seed)


def answerer(model, data: dict[str, Features], tokenizer, run: Run):
    """(task, examples) -> predictions of the model as it is."""
    return lambda name, rows: answers(model, name, data[name], rows, tokenizer, run)[0]


def counted(out, name: str, size: dict[str, int]) -> None:
    """Put the size of an evaluation set into ``run.json``."""
    out.note(evaluation=out.notes.get("evaluation", {}) | {name: size})


def evaluation_sets(run: Run) -> list[tuple[str, str, str | None]]:
    """(target, language, language_2): all single languages, then the pairs that were asked for."""
    alone = [(t, code, None) for t, codes in run.settings["targets"].items() for code in codes]
    pairs = run.settings.get("pairs", {}).items()
    return alone + [(target, *pair) for target, both in pairs for pair in both]


def evaluate(
    model,
    trained: str,
    trained_on: Features,
    target: str,
    code: str,
    code_2: str | None,
    tokenizer,
    run: Run,
    out,
):
    """(target, language, language_2, examples, predictions) of one evaluation set."""
    split = run.settings.get("eval_splits", {}).get(target)
    most = run.settings.get("max_clusters")
    examples = whole_clusters(
        load(target, code, split, run.options["data"], code_2),
        most.get(target) if isinstance(most, dict) else most,
    )
    predictions, size = answers(model, trained, trained_on, examples, tokenizer, run)
    counted(out, f"{target}/{code}" + (f"+{code_2}" if code_2 else ""), size)
    return target, code, code_2, examples, predictions


def answers(model, trained: str, trained_on: Features, examples, tokenizer, run: Run):
    """(predictions, sizes of the features) of evaluation rows."""
    settings = run.settings
    features = windows_of(examples, trained_on.kind, tokenizer, settings, trained_on.labels)
    predictions = predict(
        model,
        trained,
        features,
        examples[:],
        tokenizer.pad_token_id,
        run.options["batch_tokens"],
        settings["precision"],
        trained_on.unanswerable,
        settings.get("max_answer_length", MAX_ANSWER),
    )
    return predictions, sizes(features)


def validate(model, name: str, trained_on: Features, tokenizer, run: Run, out) -> pd.DataFrame:
    """Scores on English validation rows of an intermediate task; empty where there are none.

    Rows that the run trained on are not validation rows.
    """
    data, row = run.options["data"], task(name, run.options["data"])
    trained = set(training_split(name, run).split("+"))
    unseen = row.eval_split and trained.isdisjoint(row.eval_split.split("+"))
    if not unseen or not available(name, "en", row.eval_split, data):
        return pd.DataFrame(columns=["task", "language", "metric", "score", "n_examples"])
    examples = whole_clusters(load(name, "en", row.eval_split, data), VALIDATION_CLUSTERS)
    predictions, size = answers(model, name, trained_on, examples, tokenizer, run)
    counted(out, f"{name}/en", size)
    return summary(name, "en", score_examples(name, examples, predictions, "en", data=data), data)


def whole_clusters(examples, most: int | None):
    """At most `most` clusters of an evaluation set, whole, and the same ones in every language."""
    clusters = np.array(examples["cluster_id"][:])
    names = sorted(set(clusters), key=lambda name: hashlib.sha256(name.encode()).digest())
    if most is None or most >= len(names):
        return examples
    return examples.select(np.flatnonzero(np.isin(clusters, names[:most])))


def write_scores(out, run: Run, parts) -> None:
    """The run's part of the cube with predictions, scores per language, collapsed targets."""
    data, frames, scores = run.options["data"], [], []
    table = languages(data)
    for target, code, code_2, examples, predictions in parts:
        frame = score_examples(target, examples, predictions, code, code_2, data)
        pair = {"language_2": code_2} if code_2 else {}
        scores.append(summary(target, code, frame, data).assign(**pair))
        texts = prediction_texts(target, examples, predictions, data)
        frames.append(
            frame.assign(
                task=target,
                language=code,
                language_2=code_2,
                family=table[code].family,
                group=table[code].group,
                prediction=frame["example_id"].map(texts),
            )
        )
    above = upstream_records(run).values()
    phase2 = next((each["run_key"] for each in above if each["phase"] == "intermediate"), None)
    cube = pd.concat(frames, ignore_index=True).assign(
        study=run.study,
        condition=run.condition,
        variant=run.variant,
        seed=run.seed,
        phase2_run=phase2,
        phase3_run=out.identity["run_key"] if run.phase == "target" else None,
    )
    scores = pd.concat(scores, ignore_index=True)
    out.write_parquet("examples.parquet", cube)
    out.write_csv("scores.csv", scores)
    out.note(collapsed=collapsed(scores, data, run.settings.get("source", "en")))


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


def summary(name: str, code: str, frame: pd.DataFrame, data) -> pd.DataFrame:
    """One row per metric: task, language, metric, score (percent), n_examples."""
    scores = corpus_score(name, frame)
    return pd.DataFrame(
        {
            "task": name,
            "language": code,
            "metric": list(scores),
            "score": list(scores.values()),
            "n_examples": frame["example_id"].nunique(),
        }
    )


def collapsed(scores: pd.DataFrame, data, source: str = "en") -> list[str]:
    """Targets whose headline score in the language of the training is not above chance by 2 points
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


def save_encoder(model, tokenizer, out) -> None:
    """The encoder of a run, in its folder ``model``."""
    with out.new_folder("model") as folder:
        encoders.save_encoder(model, tokenizer, folder, folders.frozen())
