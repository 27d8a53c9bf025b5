"""What each phase does: one function per phase, each fills the folder of one run.

pretrain -> train_intermediate -> train_target, and retrieve; a run's encoder comes from the run
above it, or from the study's `encoder` setting. Heads are never carried over.
"""

import pandas as pd
import torch

from xtsupport import folders
from xtsupport.data import load
from xtsupport.errors import UserError
from xtsupport.files import new_folder
from xtsupport.study.phases import development, exposure, fitting
from xtsupport.study.phases.evaluating import (
    counted,
    evaluate,
    validate,
    validation_rows,
    write_scores,
)
from xtsupport.study.phases.sentence_retrieval import LAYER_COLUMNS, align, mine
from xtsupport.study.phases.training_rows import raw_features, training_features
from xtsupport.study.run_folder import open_run
from xtsupport.study.runs import Run, require
from xtsupport.tables import task
from xtsupport.training import checkpoint, precision, vocabulary
from xtsupport.training import encoder as encoders
from xtsupport.training.attention import use_fast_attention
from xtsupport.training.features import featurise
from xtsupport.training.heads import TaskModel
from xtsupport.training.loop import MLM
from xtsupport.training.masked import MaskedHead, masked_model, tiny_xlmr, train_tokenizer


def pretrain(run: Run, progress: bool = True) -> pd.DataFrame:
    """Phase 1: a small masked language model from nothing; returns the training history."""
    settings, data = run.settings, run.options["data"]
    name, split = settings["task"], task(settings["task"], data).train_split
    texts = [t for code in settings["languages"] for t in load(name, code, split, data)["text"]]
    with open_run(run) as out:
        prepare(run)
        tokenizer = train_tokenizer(texts, settings["vocabulary"])
        shape = ("hidden_size", "layers", "heads", "feed_forward", "max_length", "seed")
        model = tiny_xlmr(len(tokenizer), **{key: settings[key] for key in shape})
        features = featurise({"text": texts}, "masked", tokenizer, settings["max_length"], 0)
        recipe = fitting.recipe_of(run, settings["steps"])
        whole, rows = masked_model(model, "masked"), {"masked": features}
        history = fitting.fit(whole, rows, tokenizer, recipe, run, out, progress)
        with new_folder(out.path / "model") as folder:
            encoders.save_encoder(model, tokenizer, folder, folders.frozen())
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
            model.add_head(name, features.kind, max(2, len(features.labels)), run.seed)
        masked = {MLM: raw_features(tokenizer, run)} if "raw" in run.settings else {}
        recipe = fitting.recipe_of(
            run, *fitting.phase2_steps(run, {name: len(data[name]) for name in data})
        )
        dev = development.evaluator(run, model, data, tokenizer)
        unseen = {name: validation_rows(name, run) for name in data}  # fails now, not hours later
        history = fitting.fit(model, data | masked, tokenizer, recipe, run, out, progress, dev)
        scores = [
            validate(model, name, features, unseen[name], tokenizer, run, out)
            for name, features in data.items()
        ]
        out.write_csv("scores.csv", pd.concat(scores, ignore_index=True))
        out.note(exposed=exposure.exposed(run, data))
        with new_folder(out.path / "model") as folder:
            encoders.save_encoder(model.encoder, tokenizer, folder, folders.frozen())
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
        model.add_head(run.training_task, features.kind, max(2, len(features.labels)), run.seed)
        recipe = fitting.recipe_of(run, fitting.phase3_steps(run, features, tokenizer))
        data = {run.training_task: features}
        dev = development.evaluator(run, model, data, tokenizer)
        history = fitting.fit(model, data, tokenizer, recipe, run, out, progress, dev)
        write_scores(out, run, evaluate(model, features, tokenizer, run, out))
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
        model.to(fitting.device())
        parts: list[tuple] = []
        by_layer: list[dict] = []
        mined: list[dict] = []
        for target, codes in settings["targets"].items():
            pools = task(target, data).evaluator == "pairs"
            look, records = (mine, mined) if pools else (align, by_layer)
            for code, gold, found, scores, size in look(target, codes, model, tokenizer, run):
                parts.append((target, code, None, gold, found))
                records += scores
                counted(out, f"{target}/{code}", size)
        write_scores(out, run, parts)
        layers = pd.DataFrame(by_layer, columns=LAYER_COLUMNS)
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
    torch.backends.cuda.matmul.allow_tf32 = True  # what float32 means on GPUs that have it
    for line in precision.check(run.options["precision"], run.settings["precision"]):
        print(line)


def starting_encoder(run: Run):
    """(encoder, tokenizer) that a run starts from: its upstream run's, else the study's."""
    encoder, tokenizer = encoders.load_encoder(starting_point(run))
    check_length(encoder, run)
    if "texts" in run.options and not run.upstream:  # what phase 2 leaves is trimmed already
        texts, mark, whole = run.options["texts"], run.data["vocabulary"], len(tokenizer)
        used = vocabulary.used_in_study(texts, run.options["data"], mark, tokenizer)
        tokenizer = vocabulary.trimmed(encoder, tokenizer, used)
        print(f"{run.name}: {len(tokenizer):,} of {whole:,} pieces of the vocabulary are used")
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
    use_fast_attention(encoder, fitting.device(), run.settings["precision"])
    encoders.set_dropout(encoder, run.settings["dropout"], run.settings["attention_dropout"])
    if run.settings["freeze_embeddings"]:
        encoders.freeze_embeddings(encoder)
    model = TaskModel(encoder, run.settings["dropout"], run.settings["pooling"])
    if "raw" in run.settings:
        model.add_masked_head(MLM, MaskedHead(layers))
    return model, tokenizer
