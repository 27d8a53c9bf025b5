"""What a study costs before it runs: tokens, floating-point operations, disk, hours.

Operations and steps are those of devices.py; in adversarial training every ascent step costs as
much as a training step. Hours are the time of all steps on a device, plus a little for every step,
run and row. The rate of this machine follows from a matrix product that is timed on it; the rate of
other devices is a share of the manufacturer's figure for 16-bit floats. benchmarks/cost.py compares
estimates with runs.
"""

import json
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from xtsupport import folders, tables
from xtsupport.data import lengths
from xtsupport.data.lengths import Lengths
from xtsupport.errors import UserError
from xtsupport.folders import user_cache
from xtsupport.study import runs
from xtsupport.study.devices import SHAPES, Device, Shape
from xtsupport.study.runs import Run
from xtsupport.training import checkpoint
from xtsupport.training.recipe import Recipe, masked_steps, mixture, recordable, steps_of

BYTES_PER_SCORE = 8  # of examples.parquet: of demo and small 1 to 8
DEV_ROWS = 10_000  # of a development set that is not here (MNLI's has 9,815, PAN-X's 10,000)
# Beside the operations, fitted to the runs of the demo: per run (loading, saving), step and score.
SECONDS_PER_RUN, SECONDS_PER_STEP, SECONDS_PER_SCORE = 1.5, 0.015, 0.0004
START = 5.0  # seconds of a node beside its runs: kernel, imports, reading
LOOKS = {"data": 10.0, "results": 9.0, "significance": 35.0}  # seconds of nodes without runs

# What training as a whole reaches of the product's rate. A core with AVX-512 BF16 did 86 of 100
# Gflop/s in float32 and 158 of 220 in bfloat16 in steps alone; whole runs have more to do.
REACHED = {"float32": 0.72, "bfloat16": 0.6}


def here(precision: str) -> Device:
    """The device at hand, in float32 or bfloat16."""
    from xtsupport.training.precision import device_name, product_rates

    rate = REACHED[precision] * product_rates()[precision]
    return Device(f"{device_name()} in {precision}", rate, "a matrix product timed now")


@dataclass(frozen=True)
class Work:
    """What one run does."""

    phase: str
    trained: float  # tokens
    training: float  # operations
    steps: int
    evaluated: float  # tokens
    evaluation: float  # operations
    scores: int  # examples
    moved: float = 0.0  # bytes, for the weights, in training
    kernels: float = 0.0  # in training

    def seconds(self, device: Device) -> float:
        """On a device, beside a CPU that scores."""
        rest = SECONDS_PER_RUN + SECONDS_PER_SCORE * self.scores
        return self.trains(device) + self.evaluation / device.rate + rest

    def trains(self, device: Device) -> float:
        """Seconds of all steps: by steps of this phase that were timed, else by what they consist
        of, beside which a CPU does a little more."""
        if self.phase in device.rates:
            return self.training / device.rates[self.phase]
        busy = self.training / device.rate + self.moved / device.bandwidth
        found = max(busy, device.launch * self.kernels)
        return found if device.launch else found + SECONDS_PER_STEP * self.steps


class Estimate:
    """Costs of the runs of a study.

    `guessed` names the data sets whose rows are not here, so that published sizes stand for them.
    """

    def __init__(self, settings, made: Sequence[Run]):
        self.settings, self.runs, self.data = settings, made, settings.data_source
        self.shape, self.tokenizer = shape_of(settings), tokenizer_of(settings, made)
        self.tables = tables.tasks(self.data)
        self.guessed: set[str] = set()
        self.works = [self.work(run) for run in made]

    def work(self, run: Run) -> Work:
        """The work of a run."""
        trained, evaluated = self.training(run), self.evaluation(run)
        passes = 3 * (run.settings.get("ascent_steps", 0) + 1)
        each, steps = self.shape.operations, self.steps(run)[0]
        half = self.settings.resolved_precision == "bfloat16"
        recorded = recordable(self.settings.cuda_graphs, run.settings.get("noise", ""))
        moved = self.shape.moved(run.settings.get("freeze_embeddings", False), half)
        return Work(
            run.phase,
            sum(count * sizes.mean() for count, sizes in trained),
            sum(passes * count * each(sizes) / len(sizes) for count, sizes in trained),
            steps,
            sum(count * sizes.mean() for _, count, sizes in evaluated),
            sum(count * each(sizes) / len(sizes) for _, count, sizes in evaluated),
            sum(rows for rows, _, _ in evaluated),
            steps * moved,
            steps * self.shape.kernels(recorded) * passes / 3,
        )

    def training(self, run: Run) -> list[tuple[float, np.ndarray]]:
        """(how many sequences a run trains on, their lengths (n,) in tokens), per task."""
        own = run.settings
        if run.phase == "pretraining":
            return [self.sequences(own["task"], own["steps"] * own["batch_size"], own)]
        if "epochs" not in own:
            return []
        steps, masked = self.steps(run)
        drawn = (steps - masked) * own["batch_size"]
        if run.phase == "target":
            return [self.sequences(run.training_task, drawn, own)]
        windows = self.train_windows(own["tasks"], own)
        names = ("sampler", "mixing_cap", "temperature")
        shares = mixture(windows, *(own.get(name, getattr(Recipe, name)) for name in names))
        found = [self.sequences(name, drawn * share, own) for name, share in shares.items()]
        if masked:
            found.append(self.sequences(own["raw"]["task"], masked * own["batch_size"], own))
        return found

    def steps(self, run: Run) -> tuple[int, int]:
        """(all steps, masked-LM steps among them) of a run, by the windows its rows should make."""
        own = run.settings
        if "epochs" not in own:
            return own.get("steps", 0), 0
        tasks = own.get("tasks") or {run.training_task: own["rows"]}
        found = steps_of(own, self.train_windows(tasks, own))
        masked, matched = masked_steps(found, own.get("masked_share", 0)), own.get("matched")
        more = self.steps(replace(run, settings=matched))[0] if matched else 0
        return found + masked + more, masked

    def train_windows(self, tasks: dict[str, int], own: dict) -> dict[str, int]:
        """Task -> how many windows so many rows of it should make in training."""
        found = {}
        for name, rows in tasks.items():
            about = self.lengths(name, "train", own.get("source", "en"))
            each = len(self.windows(name, about, own)) / len(about.quantiles)
            found[name] = round(rows * each)
        return found

    def sequences(self, task: str, features: float, own: dict) -> tuple[float, np.ndarray]:
        """The sequences of so many features of a task, and lengths (n,) that stand for theirs."""
        about = self.lengths(task, "train", own.get("source", "en"))
        return features * about.sequences, self.windows(task, about, own)

    def evaluation(self, run: Run) -> list[tuple[int, float, np.ndarray]]:
        """(examples, sequences, lengths (n,) in tokens) of every evaluation of a run: those on
        development rows while it trains, then every evaluation set."""
        own, found = run.settings, []
        for task, split in own.get("dev_splits", {}).items():
            about = self.lengths(task, "train", "en", split)
            there = about.rows if about.measured else min(about.rows, DEV_ROWS)
            times = -(-self.steps(run)[0] // own["dev_every"])
            found.append((task, about, times * min(own["dev_rows"] or there, there)))
        for target, codes in own.get("targets", {}).items():
            split, most = own.get("eval_splits", {}).get(target), own.get("max_clusters")
            most = most.get(target) if isinstance(most, dict) else most
            for code in [*codes, *(pair[0] for pair in own.get("pairs", {}).get(target, ()))]:
                about = self.lengths(target, "eval", code, split)
                share = min(1.0, most / about.clusters) if most else 1.0
                found.append((target, about, round(about.rows * share)))
        sizes = [self.windows(task, about, own) for task, about, _ in found]
        return [
            (rows, rows * about.sequences * len(cut) / len(about.quantiles), cut)
            for (_, about, rows), cut in zip(found, sizes, strict=True)
        ]

    def windows(self, task: str, about: Lengths, own: dict) -> np.ndarray:
        """The lengths (n,) in tokens after long sequences are cut, or become windows."""
        cut = self.tables[task].kind not in ("span", "tagging")
        most = own["embedding"][task] if "embedding" in own else own
        return about.windows(most["max_length"], own.get("stride", 0), cut, own.get("step"))

    def lengths(self, task: str, role: str, code: str, split: str | None = None) -> Lengths:
        """Of the rows themselves where they are here, else of the table."""
        about = self.tables[task]
        split = split or (about.train_split if role == "train" else about.eval_split)
        if self.data != "hub" and about.evaluator != "pairs":
            try:
                sample = lengths.SAMPLE[role]
                return lengths.measured(task, code, split, self.data, self.tokenizer, sample)
            except UserError:
                pass
        self.guessed.add(f"{task} ({role})")
        return lengths.published(task, role)

    # ------------------------------------------------------------------------- the whole study

    def hours(self, device: Device) -> float:
        """Of all runs, one after the other on one device."""
        return sum(work.seconds(device) for work in self.works) / 3600

    def disk(self) -> int:
        """Bytes: encoders of phases 1 and 2, a checkpoint at work, and scores per example."""
        kept = sum(run.phase in ("pretraining", "intermediate") for run in self.runs)
        scores = sum(work.scores for work in self.works)
        return 4 * self.shape.weights * (kept + 3) + 3 * BYTES_PER_SCORE * scores


def shape_of(settings) -> Shape:
    """The size of a study's encoder. Raises UserError when nothing here knows it."""
    own = settings.pretraining
    if settings.encoder == "pretrain":
        return Shape(own.layers, own.hidden_size, own.feed_forward, own.vocabulary)
    known = SHAPES.get(settings.encoder.partition("@")[0])
    if known:
        return known
    try:
        config = json.loads(checkpoint.config_file(settings.encoder).read_text(encoding="utf-8"))
        keys = ("num_hidden_layers", "hidden_size", "intermediate_size", "vocab_size")
        return Shape(*(int(config[key]) for key in keys))
    except (OSError, ValueError, KeyError) as error:
        names = ", ".join(SHAPES)
        raise UserError(
            f"encoder = {settings.encoder!r}: its size and cost are not known here; known: "
            f"pretrain, folders with a config.json, {names}"
        ) from error


def tokenizer_of(settings, made: Sequence[Run]) -> Path | None:
    """The tokenizer.json of the study's encoder; None where it is not here."""
    places = [folders.typed(settings.encoder)]
    if settings.encoder == "pretrain":
        found = (runs.find(run) for run in made if run.phase == "pretraining")
        places = [folder / "model" for folder in found if folder]
    elif settings.encoder == "offline-e5":
        places = list(user_cache().glob("multilingual-e5-small-*"))
    there = [place / "tokenizer.json" for place in places if (place / "tokenizer.json").is_file()]
    return there[0] if there else None


def seconds_here(settings, made: Sequence[Run]) -> list[float]:
    """What each run takes on the device at hand. Raises UserError for encoders of unknown size."""
    found, device = Estimate(settings, made), here(settings.resolved_precision)
    return [work.seconds(device) for work in found.works]


def node_seconds(settings, nodes) -> dict[str, float]:
    """Node -> what it takes on the device at hand; of an encoder of unknown size, its start."""
    found = {node.name: LOOKS.get(node.name, START) for node in nodes}
    work = [(node.name, run) for node in nodes for run in node.runs if run.phase != "analysis"]
    with suppress(UserError):
        seconds = seconds_here(settings, [run for _, run in work])
        for (name, _), own in zip(work, seconds, strict=True):
            found[name] += own
    return found
