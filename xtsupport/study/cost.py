"""What a study costs before it runs: tokens, floating-point operations, disk, memory, hours.

Operations (Kaplan et al. 2020, arXiv 2001.08361, section 2.1, counts them so). A sequence of n
tokens costs 2 x n operations for each weight of the layers, and 4 x n^2 x width for attention in
each layer. Training costs three times that, adversarial training that again for every ascent
step. Embeddings are looked up and heads are small; both are left out.

Hours are operations by what a device does, and a little for every step and every row. What the
device at hand does follows from a matrix product that is timed on it; for others stands a share of
the maker's figure for 16-bit floats, and no step takes less than starting its kernels does: of the
small steps of large encoders, that is most. benchmarks/cost.py holds estimates against runs.
"""

import json
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from xtsupport import folders, tables
from xtsupport.data import lengths
from xtsupport.data.lengths import Lengths
from xtsupport.errors import UserError
from xtsupport.folders import user_cache
from xtsupport.study import runs
from xtsupport.study.lacking import USABLE, remedy
from xtsupport.study.params.rules import data_source
from xtsupport.study.planner import Planner
from xtsupport.study.runs import Run
from xtsupport.training import checkpoint
from xtsupport.training.recipe import Recipe, masked_steps, steps_of, weights

BYTES_PER_SCORE = 8  # of examples.parquet: of demo and small 1 to 8
DEV_ROWS = 10_000  # of a development set that is not here (MNLI's has 9,815, PAN-X's 10,000)
STATE = 16  # bytes a trained weight takes on the device: itself, gradient, two moments, float32
ACTIVATION = 34  # bytes x width that a token leaves in each layer for the way back, in 16 bits
# Beside the operations, fitted to the runs of the demo: per run (loading, saving), step and score.
SECONDS_PER_RUN, SECONDS_PER_STEP, SECONDS_PER_SCORE = 1.5, 0.015, 0.0004


@dataclass(frozen=True)
class Shape:
    """The size of an encoder."""

    layers: int
    width: int
    feed_forward: int
    vocabulary: int

    @property
    def layer_weights(self) -> int:
        """Weights of all layers: four square matrices of attention, two of the feed-forward."""
        return self.layers * (4 * self.width**2 + 2 * self.width * self.feed_forward)

    @property
    def weights(self) -> int:
        """All weights, with word embeddings."""
        return self.layer_weights + self.vocabulary * self.width

    def operations(self, sizes: np.ndarray) -> float:
        """Floating-point operations of the encoder over sequences of sizes (n,), one pass."""
        sizes = np.asarray(sizes, dtype=np.float64)
        attention = 4 * self.layers * self.width * (sizes**2).sum()
        return float(2 * self.layer_weights * sizes.sum() + attention)


SHAPES = {  # of the hub's encoders, for machines that cannot ask
    "FacebookAI/xlm-roberta-large": Shape(24, 1024, 4096, 250_002),
    "FacebookAI/xlm-roberta-base": Shape(12, 768, 3072, 250_002),
    "google-bert/bert-base-multilingual-cased": Shape(12, 768, 3072, 119_547),
    "microsoft/mdeberta-v3-base": Shape(12, 768, 3072, 251_000),
    "microsoft/Multilingual-MiniLM-L12-H384": Shape(12, 384, 1536, 250_037),
    "offline-e5": Shape(12, 384, 1536, 250_037),
}


@dataclass(frozen=True)
class Device:
    """What a device does: operations a second in training and evaluation."""

    name: str
    rate: float
    measured: bool = False
    memory: int = 0  # bytes; 0: the machine's
    launch: float = 0.0  # seconds until a kernel is started; small steps wait for nothing else


# Of an eager training step in bfloat16: what PyTorch starts for each layer, forwards, backwards and
# in the optimiser, and for all else (tests/test_cost.py counts). How long each takes is assumed.
KERNELS_PER_LAYER, KERNELS_BESIDE, LAUNCH = 115, 64, 10e-6
DEVICES = (
    Device("one NVIDIA L4, 24 GB, at 40% of 121 Tflop/s", 0.4 * 121e12, False, 24 << 30, LAUNCH),
    Device("one NVIDIA A100, 40 GB, at 40% of 312 Tflop/s", 0.4 * 312e12, False, 40 << 30, LAUNCH),
    Device("one NVIDIA H100, 80 GB, at 40% of 989 Tflop/s", 0.4 * 989e12, False, 80 << 30, LAUNCH),
)
# What training as a whole reaches of the product's rate. A core with AVX-512 BF16 did 86 of 100
# Gflop/s in float32 and 158 of 220 in bfloat16 in steps alone; whole runs have more to do.
REACHED = {"float32": 0.72, "bfloat16": 0.6}


def here(precision: str) -> Device:
    """The device at hand, in float32 or bfloat16."""
    from xtsupport.training.precision import device_name, product_rates

    rate = REACHED[precision] * product_rates()[precision]
    return Device(f"{device_name()} in {precision}", rate, measured=True)


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

    def seconds(self, rate: float, least: float = 0.0) -> float:
        """On a device that does `rate` operations a second, beside a CPU that scores.

        least: seconds that a step takes there, however little there is to compute.
        """
        rest = SECONDS_PER_RUN + SECONDS_PER_STEP * self.steps + SECONDS_PER_SCORE * self.scores
        return max(self.training / rate, least * self.steps) + self.evaluation / rate + rest


class Estimate:
    """Costs of the runs of a study.

    `guessed` names the data sets whose rows are not here, so that published sizes stand for them.
    """

    def __init__(self, settings, made: list[Run], data: str):
        self.settings, self.runs, self.data = settings, made, data
        self.shape, self.tokenizer = shape_of(settings), tokenizer_of(settings, made)
        self.tables = tables.tasks(data)
        self.guessed: set[str] = set()
        self.works = [self.work(run) for run in made]

    def work(self, run: Run) -> Work:
        """The work of a run."""
        trained, evaluated = self.training(run), self.evaluation(run)
        passes = 3 * (run.settings.get("ascent_steps", 0) + 1)
        each = self.shape.operations
        return Work(
            run.phase,
            sum(count * sizes.mean() for count, sizes in trained),
            sum(passes * count * each(sizes) / len(sizes) for count, sizes in trained),
            self.steps(run)[0],
            sum(count * sizes.mean() for _, count, sizes in evaluated),
            sum(count * each(sizes) / len(sizes) for _, count, sizes in evaluated),
            sum(rows for rows, _, _ in evaluated),
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
        counted = weights(windows, *(own.get(name, getattr(Recipe, name)) for name in names))
        total = sum(counted.values())
        found = [self.sequences(name, drawn * n / total, own) for name, n in counted.items()]
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
        """(examples, sequences, lengths (n,) in tokens) of every evaluation set of a run."""
        own, found = run.settings, self.development(run)
        for target, codes in own.get("targets", {}).items():
            split = own.get("eval_splits", {}).get(target)
            for code in [*codes, *(pair[0] for pair in own.get("pairs", {}).get(target, ()))]:
                about = self.lengths(target, "eval", code, split)
                sizes = self.windows(target, about, own)
                share = min(1.0, most(own.get("max_clusters"), target) / about.clusters)
                rows = round(about.rows * share)
                each = about.sequences * len(sizes) / len(about.quantiles)
                found.append((rows, rows * each, sizes))
        return found

    def development(self, run: Run) -> list[tuple[int, float, np.ndarray]]:
        """(examples, sequences, lengths (n,) in tokens) of all evaluations on development rows."""
        own, found = run.settings, []
        for task, split in own.get("dev_splits", {}).items():
            about = self.lengths(task, "train", "en", split)
            there = about.rows if about.measured else min(about.rows, DEV_ROWS)
            sizes = self.windows(task, about, own)
            times = -(-self.steps(run)[0] // own["dev_every"])
            rows = times * min(own["dev_rows"] or there, there)
            each = about.sequences * len(sizes) / len(about.quantiles)
            found.append((rows, rows * each, sizes))
        return found

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
        least = device.launch * (KERNELS_PER_LAYER * self.shape.layers + KERNELS_BESIDE)
        return sum(work.seconds(device.rate, least) for work in self.works) / 3600

    def disk(self) -> int:
        """Bytes: encoders of phases 1 and 2, a checkpoint at work, and scores per example."""
        kept = sum(run.phase in ("pretraining", "intermediate") for run in self.runs)
        scores = sum(work.scores for work in self.works)
        return 4 * self.shape.weights * (kept + 3) + 3 * BYTES_PER_SCORE * scores

    def memory(self, tokens: int = 0, half: bool | None = None, checkpointing=None) -> int:
        """Bytes of a GPU while training: weights and their state, activations of `tokens`.

        Computed, for attention that keeps no scores; a CPU's process takes several times as much.
        The arguments replace the study's own: tokens at a time, bfloat16, checkpointing.
        """
        own = self.settings.evaluation
        half = self.settings.resolved_precision == "bfloat16" if half is None else half
        checkpointing = own.checkpointing if checkpointing is None else checkpointing
        phases = (self.settings.target, self.settings.intermediate)
        frozen = all(phase.freeze_embeddings for phase in phases)
        trained = self.shape.layer_weights if frozen else self.shape.weights
        per_token = ACTIVATION * self.shape.width * self.shape.layers
        if checkpointing:  # what goes into each layer, and one layer whole
            per_token = (ACTIVATION + 2 * self.shape.layers) * self.shape.width
        activations = (1 if half else 2) * per_token * (tokens or own.batch_tokens)
        return 4 * self.shape.weights + (STATE - 4) * trained + activations

    def lines(self) -> list[str]:
        """What `xtsupport plan` prints below the nodes."""
        million = self.shape.weights / 1e6
        text = [f"encoder      {self.settings.encoder}: {million:,.1f} million weights"]
        text += [self.phase_line(phase) for phase in dict.fromkeys(w.phase for w in self.works)]
        tokens, gib = self.settings.evaluation.batch_tokens, self.memory() / 2**30
        text.append(f"disk         {self.disk() / 1e9:,.1f} GB")
        text.append(
            f"memory       {gib:,.1f} GiB of a GPU at {tokens} tokens a time (not measured)"
        )
        devices = (here(self.settings.resolved_precision), *DEVICES)
        text += [self.hours_line(device) for device in devices]
        if self.guessed:
            text.append(
                f"note: {', '.join(sorted(self.guessed))}: the rows are not here; "
                "published sizes and the lengths in xtsupport/lengths.csv were used"
            )
        if not self.tokenizer and self.data != "hub":
            text.append(
                "note: the encoder's tokenizer is not here (`xtsupport data get` fetches it); "
                "tokens were guessed from words"
            )
        return text

    def hours_line(self, device: Device) -> str:
        """The time on a device, and whether the study fits on it."""
        hours = self.hours(device)
        time = f"{hours:,.1f} hours" if hours >= 1 else f"{60 * hours:.0f} minutes"
        seen = "product timed now" if device.measured else "by the maker's figure, not measured"
        small = device.memory and self.memory() > USABLE * device.memory
        less = f"; too little memory: {remedy(self, device.memory)}" if small else ""
        return f"time         {time} on {device.name} ({seen}){less}"

    def phase_line(self, phase: str) -> str:
        """Runs, tokens and operations of a phase."""
        of = [work for work in self.works if work.phase == phase]
        trained, evaluated = sum(w.trained for w in of), sum(w.evaluated for w in of)
        done = sum(work.training + work.evaluation for work in of)
        return (
            f"{phase:<13}{len(of)} runs, {trained / 1e6:,.1f} million tokens trained on, "
            f"{evaluated / 1e6:,.1f} evaluated, {done / 1e12:,.1f} Tflop"
        )


def most(max_clusters, target: str) -> float:
    """How many clusters of a target are evaluated at most."""
    if isinstance(max_clusters, dict):
        max_clusters = max_clusters.get(target)
    return max_clusters or float("inf")


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


def tokenizer_of(settings, made: list[Run]) -> Path | None:
    """The tokenizer.json of the study's encoder; None where it is not here."""
    places = [folders.typed(settings.encoder)]
    if settings.encoder == "pretrain":
        found = (runs.find(run) for run in made if run.phase == "pretraining")
        places = [folder / "model" for folder in found if folder]
    elif settings.encoder == "offline-e5":
        places = list(user_cache().glob("multilingual-e5-small-*"))
    there = [place / "tokenizer.json" for place in places if (place / "tokenizer.json").is_file()]
    return there[0] if there else None


class WithoutData(Planner):
    """Plans a study whose data are not here, by the published sizes of the training sets."""

    def rows(self, task: str, most: int | None, split: str | None = None, code="en") -> int:
        """How many training rows are used."""
        found = lengths.published(task, "train").rows
        return min(found, most or found)

    def mark(self, task, language, split, language_2=None) -> str:
        """No data, no fingerprint."""
        return ""

    def encoder_data(self) -> dict:
        """No checksums."""
        return {}

    def commits(self, data) -> dict:
        """No commits: nothing is asked."""
        return {}


def estimate(settings, made: list[Run]) -> Estimate:
    """What the runs of a study cost."""
    return Estimate(settings, made, data_source(settings.data))
