"""Training and evaluation against transformers' Trainer, interleaved, each in a process of its own.

python benchmarks/training.py [--data FOLDER] [--encoder NAME] [--precision NAME ...] [--task ...]

Four ways to make the same number of updates with the same encoder (its word embeddings frozen), new
head, rows and optimiser: Trainer as transformers' question-answering example sets it up (every
window padded to 384 tokens; sentence pairs to 128, as its GLUE example does), Trainer padding to
the longest row of each batch (as DataCollatorWithPadding does), Trainer as well as its settings
allow (batches of similar length, no dropout in attention), and xtsupport, which does both by
default. Evaluation, of a question-answering, a sentence-pair and a tagging target in XQuAD's eleven
languages: a loop over each language padded as in those examples, the same loop with rows of similar
length padded to the longest (as Trainer's evaluation does at its best), and xtsupport, which pools
the languages and also finds the best spans and labels. Every process makes one update, or evaluates
one language, before it is timed. Ratios are within a precision, to the first way of each task.

FOLDER is a mirror of the hub; where it or the encoder is missing, random weights and random ids of
the lengths in xtsupport/lengths.csv take their place, so that the script runs offline, on GPUs too.
Processor seconds are compared on CPUs, which other processes do not change much; wall seconds on
GPUs. Tflop/s counts real tokens only, so that padding is no merit.
"""

import argparse
import json
import platform
import resource
import subprocess
import sys
import tempfile
import time
from itertools import islice
from pathlib import Path

import numpy as np
import torch

TASKS = {  # task: padded length, batch size, updates, head
    "squad": (384, 8, 6, "span"),
    "mnli": (128, 16, 8, "classification"),
}
EVALUATIONS = {  # target: padded length, head, its labels
    "xquad": (384, "span", 2),
    "xnli": (128, "classification", 3),
    "udpos": (128, "tagging", 17),
}
WAYS = ("trainer-padded", "trainer-dynamic", "trainer-tuned", "xtsupport")
EVALUATION_WAYS = ("padded", "by length", "xtsupport")
PRECISIONS = ("float32", "bfloat16")
LANGUAGES = ("en", "ar", "de", "el", "es", "hi", "ru", "th", "tr", "vi", "zh")  # XQuAD's
SAMPLED = 50  # batches that an epoch has; updates draw from them
EXAMPLES = 24  # of a target, per language, spread over the data set
BATCH = 8  # of the loops over one language; Trainer's default


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--data", default="../shared/hub")
    parser.add_argument("--encoder", default="offline-e5", help="offline-e5, a folder, or random")
    parser.add_argument("--precision", nargs="+", default=PRECISIONS, choices=PRECISIONS)
    tasks, all_ways = (*TASKS, *EVALUATIONS), {*WAYS, *EVALUATION_WAYS}
    parser.add_argument("--task", nargs="+", default=tasks, choices=tasks)
    parser.add_argument("--way", nargs="+", default=all_ways, choices=all_ways)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--one", help="internal: TASK:WAY:PRECISION, one measurement as JSON")
    options = parser.parse_args()
    if options.one:
        task, way, options.precision = options.one.split(":")
        return print(json.dumps(measure(task, way, options)))
    ways = [(task, way) for task in TASKS for way in WAYS]
    ways += [(task, way) for task in EVALUATIONS for way in EVALUATION_WAYS]
    ways = [(task, way) for task, way in ways if task in options.task and way in options.way]
    cases = [(*way, precision) for way in ways for precision in options.precision]
    found: dict[tuple, list[dict]] = {case: [] for case in cases}
    for _ in range(options.rounds):
        for case in cases:
            found[case].append(alone(case, options))
    print(f"{device_name()}, torch {torch.__version__}, 1 thread on CPUs")
    print(*table(found), sep="\n")


def alone(case, options) -> dict:
    """One measurement in a process of its own."""
    command = [sys.executable, __file__, "--one", ":".join(case), "--data", options.data]
    command += ["--encoder", options.encoder]
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode:
        sys.exit(done.stderr)
    found = json.loads(done.stdout.splitlines()[-1])
    print(*case, found, file=sys.stderr, flush=True)
    return found


def table(found: dict) -> list[str]:
    """One line per case: medians of the rounds, and how many times as fast as the first way of its
    task in its precision, round by round: median, least and most."""
    clock = "wall" if torch.cuda.is_available() else "processor"
    lines = [
        f"{'task':<8}{'way':<18}{'precision':<11}{'sequences/s':>12}{'tokens/s':>10}"
        f"{'Tflop/s':>9}{'GiB':>7}{'loss':>8}{'ratio':>8}{'least':>7}{'most':>7}"
    ]
    first: dict[tuple, np.ndarray] = {}
    for (task, way, precision), rounds in found.items():
        each = rounds[0]
        seconds = np.array([one[clock] for one in rounds])
        speeds = np.array([one["tokens"] for one in rounds]) / seconds
        ratios = speeds / first.setdefault((task, precision), speeds)
        lines.append(
            f"{task:<8}{way:<18}{precision:<11}{np.median(each['examples'] / seconds):>12.2f}"
            f"{np.median(speeds):>10.0f}{np.median(each['operations'] / seconds) / 1e12:>9.3f}"
            f"{each['memory'] / 2**30:>7.2f}{each['loss']:>8.3f}"
            f"{np.median(ratios):>8.2f}{ratios.min():>7.2f}{ratios.max():>7.2f}"
        )
    return lines


def measure(task: str, way: str, options) -> dict:
    """Seconds, memory and loss of one way to do one task."""
    from xtsupport.study.cost import Shape

    torch.set_num_threads(1)
    torch.manual_seed(0)
    model, tokenizer = model_of(options)
    config = model.encoder.config
    shape = Shape(
        config.num_hidden_layers, config.hidden_size, config.intermediate_size, config.vocab_size
    )
    if task in EVALUATIONS:
        sets = [features_of(task, code, tokenizer, options) for code in LANGUAGES]
        model.add_head(task, *EVALUATIONS[task][1:], seed=0)
        evaluate = evaluate_ours if way == "xtsupport" else evaluate_each
        evaluate(model, sets[:1], tokenizer, options, task, way)
        wall, processor, (loss, sizes) = timed(evaluate, model, sets, tokenizer, options, task, way)
    else:
        sets = [features_of(task, "en", tokenizer, options)]
        model.add_head(task, TASKS[task][3], 3, seed=0)
        train = train_ours if way == "xtsupport" else train_with_trainer
        train(model, sets[0], tokenizer, options, task, way, 1)
        model.add_head(task, TASKS[task][3], 3, seed=0)
        updates = TASKS[task][2]
        wall, processor, (loss, sizes) = timed(
            train, model, sets[0], tokenizer, options, task, way, updates
        )
    passes = 1 if task in EVALUATIONS else 3
    return {
        "examples": len(sizes),
        "tokens": int(sizes.sum()),
        "operations": passes * shape.operations(sizes),
        "wall": wall,
        "processor": processor,
        "loss": loss,
        "memory": peak_memory(),
    }


def timed(work, *arguments):
    """(wall seconds, processor seconds, what the work returned)."""
    wall, processor = time.perf_counter(), time.process_time()
    result = work(*arguments)
    if torch.cuda.is_available():
        torch.cuda.synchronize()
    return time.perf_counter() - wall, time.process_time() - processor, result


def peak_memory() -> int:
    """Bytes, of the GPU where there is one."""
    if torch.cuda.is_available():
        return torch.cuda.max_memory_allocated()
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


# ------------------------------------------------------------------------------ training


def train_ours(model, features, tokenizer, options, task, way, updates):
    """(loss, tokens of every sequence) of xtsupport's loop: batches of similar length, attention
    without dropout."""
    from xtsupport.training.attention import use_fast_attention
    from xtsupport.training.batches import batch_stream
    from xtsupport.training.encoder import set_dropout
    from xtsupport.training.loop import Recipe, train

    batch_size = TASKS[task][1]
    set_dropout(model.encoder, 0.1, 0.0)
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    use_fast_attention(model.encoder, device, options.precision)
    recipe = Recipe(updates, batch_size, 3e-5, precision=options.precision)
    history = train(model, {task: features}, tokenizer, recipe, progress=False)
    taken = islice(batch_stream(features, batch_size, recipe.seed, task), updates)
    return float(history.loss.mean()), features.lengths[np.concatenate(list(taken))]


def train_with_trainer(model, features, tokenizer, options, task, way, updates):
    """(loss, tokens of every sequence) of Trainer over the same features."""
    from transformers import Trainer, TrainingArguments

    from xtsupport.training.encoder import set_dropout

    tuned = way == "trainer-tuned"
    if tuned:
        set_dropout(model.encoder, 0.1, 0.0)
    length, batch_size, *_ = TASKS[task]
    padded, taken = length if way == "trainer-padded" else None, []
    rows = [{"row": i, "input_ids": row["ids"]} for i, row in enumerate(features.rows)]

    def collator(chosen):
        taken.append([each["row"] for each in chosen])
        return padded_batch(features, taken[-1], tokenizer, padded)

    with tempfile.TemporaryDirectory() as folder:
        arguments = TrainingArguments(
            folder,
            per_device_train_batch_size=batch_size,
            max_steps=updates,
            learning_rate=3e-5,
            bf16=options.precision == "bfloat16",
            use_cpu=not torch.cuda.is_available(),
            save_strategy="no",
            report_to="none",
            disable_tqdm=True,
            remove_unused_columns=False,
            train_sampling_strategy="group_by_length" if tuned else "random",
        )
        trainer = Trainer(
            Wrapped(model, task),
            arguments,
            train_dataset=rows,
            data_collator=collator,
        )
        loss = trainer.train().training_loss
    return loss, features.lengths[np.concatenate(taken[:updates])]  # one more was prefetched


class Wrapped(torch.nn.Module):
    """The same model as Trainer wants it: keyword arguments in, loss out."""

    def __init__(self, model, task):
        super().__init__()
        self.model, self.task = model, task

    def forward(self, ids, mask, labels):
        return {"loss": self.model(self.task, {"ids": ids, "mask": mask, "labels": labels})}


def padded_batch(features, rows, tokenizer, length):
    """A batch in the given order, padded to `length` tokens, or to its longest row."""
    from xtsupport.training.batches import collate

    batch = collate(features, np.array(rows), tokenizer.pad_token_id)
    more = 0 if length is None else length - batch["ids"].shape[1]
    pad = torch.nn.functional.pad
    batch["ids"] = pad(batch["ids"], (0, more), value=tokenizer.pad_token_id)
    batch["mask"] = pad(batch["mask"], (0, more))
    return batch


# ---------------------------------------------------------------------------- evaluation


@torch.inference_mode()
def evaluate_each(model, sets, tokenizer, options, task, way):
    """One language after the other: in the order of the rows, every row padded to the target's
    length, or the longest first, each batch padded to its longest."""
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    model.to(device).eval()
    for features in sets:
        order = np.arange(len(features)) if way == "padded" else np.argsort(-features.lengths)
        for start in range(0, len(features), BATCH):
            length = EVALUATIONS[task][0] if way == "padded" else None
            batch = padded_batch(features, order[start : start + BATCH], tokenizer, length)
            with torch.autocast(device.type, torch.bfloat16, options.precision == "bfloat16"):
                model.logits(task, {k: v.to(device) for k, v in batch.items()}).cpu()
    return float("nan"), np.concatenate([each.lengths for each in sets])


def evaluate_ours(model, sets, tokenizer, options, task, way):
    """xtsupport's batches of at most so many tokens, of all languages together, longest first."""
    from xtsupport.evaluation.predict import model_outputs
    from xtsupport.training.attention import use_fast_attention
    from xtsupport.training.features import Features

    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    use_fast_attention(model.encoder, device, options.precision)
    model.to(device)
    together = Features(sets[0].kind, [row for each in sets for row in each.rows], 0)
    model_outputs(model, task, together, tokenizer.pad_token_id, 4096, options.precision, 30)
    return float("nan"), np.concatenate([each.lengths for each in sets])


# ------------------------------------------------------------------------- model and rows


class Pad:
    """What is needed of a tokenizer where there is none."""

    pad_token_id = 1


def model_of(options):
    """(TaskModel without head, tokenizer): the encoder, or random weights of XLM-R base's shape."""
    from xtsupport.training.encoder import freeze_embeddings, load_encoder
    from xtsupport.training.heads import TaskModel

    if options.encoder == "random":
        from transformers import XLMRobertaConfig, XLMRobertaModel

        config = XLMRobertaConfig(vocab_size=250_002, max_position_embeddings=514)
        encoder, tokenizer = XLMRobertaModel(config, add_pooling_layer=False), Pad()
    else:
        encoder, tokenizer = load_encoder(options.encoder)
    freeze_embeddings(encoder)
    return TaskModel(encoder, 0.1, "mean"), tokenizer


def features_of(task: str, code: str, tokenizer, options, batches: int | None = None):
    """Rows for so many batches, spread over the data set, the same for every way."""
    from xtsupport import tables
    from xtsupport.data import load
    from xtsupport.training.features import featurise

    if task in EVALUATIONS:
        (length, kind, _), wanted, split = EVALUATIONS[task], EXAMPLES, None
    else:
        length, batch_size, _, kind = TASKS[task]
        wanted, split = batch_size * (batches or SAMPLED), "train"
    if options.encoder == "random" or not Path(options.data).is_dir():
        return random_features(task, kind, wanted)
    rows = load(task, code, split, options.data)
    rows = rows.select(np.linspace(0, len(rows) - 1, wanted).astype(int))
    labels, stride = tables.task(task).labels, 128 if kind == "span" else 0
    features = featurise(rows[:], kind, tokenizer, length, stride, labels)
    if task in TASKS:  # as many features in every task
        features.rows = features.rows[:wanted]
        features.__post_init__()
    return features


def random_features(task, kind, wanted):
    """Random ids of real lengths."""
    from xtsupport.data.lengths import published
    from xtsupport.training.features import Features

    about = published(task, "eval" if task in EVALUATIONS else "train")
    draw = np.random.default_rng(0)
    longest = (TASKS | EVALUATIONS)[task][0]
    sizes = draw.choice(about.windows(longest, 128, kind != "span"), wanted)
    rows = []
    for n, size in enumerate(sizes.tolist()):
        row = {"ids": draw.integers(5, 250_000, size).tolist(), "example": n, "label": n % 3}
        row |= {"labels": [n % 3] * size}
        offsets = np.zeros((size, 2), dtype=int)
        rows.append(row | {"start": 1, "end": min(2, size - 1), "offsets": offsets})
    return Features(kind, rows, wanted, ("a", "b", "c") if kind == "classification" else ())


def device_name() -> str:
    """The GPU, or the CPU and its matrix units."""
    if torch.cuda.is_available():
        return torch.cuda.get_device_name()
    facts = Path("/proc/cpuinfo")
    text = facts.read_text() if facts.exists() else ""
    units = [name for name in ("amx_bf16", "avx512_bf16", "avx512f", "avx2") if name in text]
    return f"{platform.machine()} CPU with {units[0] if units else 'no known matrix units'}"


if __name__ == "__main__":
    main()
