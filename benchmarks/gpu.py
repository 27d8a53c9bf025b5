"""Training and evaluation of XLM-R Large on one GPU: steps, what each choice saves, forecasts.

PYTHONPATH=. python3 benchmarks/gpu.py [--out FOLDER] [--minutes 9] [--tiny]

Needs PyTorch, transformers, accelerate, pandas and safetensors, and nothing of the network or of a
data set: weights and tokens are random, lengths those of xtsupport/lengths.csv. Batches are as in
params/paper.yaml. Each part has a time of its own; what it found is printed at once, and again with
all others at the end, each beside what was expected before (from study/devices.py, or a guess that
is written here). Variants of one thing take turns; their numbers are medians. FOLDER gets gpu.json.
`--tiny` runs everything on a small encoder, on CPUs too, to see that it runs.
"""

import argparse
import gc
import json
import signal
import statistics
import sys
import tempfile
import time
import traceback
import warnings
from contextlib import contextmanager
from functools import cache
from itertools import islice
from pathlib import Path
from types import SimpleNamespace
from unittest import mock

import numpy as np
import torch
from accelerate.state import AcceleratorState, GradientState
from training import Wrapped
from transformers import XLMRobertaConfig, XLMRobertaModel

from xtsupport.data.lengths import published
from xtsupport.evaluation import predict
from xtsupport.study.devices import DEVICES, Shape
from xtsupport.training import attention, divergence, heads, loop
from xtsupport.training.batches import batch_stream, collate
from xtsupport.training.features import IGNORED, Features
from xtsupport.training.recipe import Recipe

CUDA = torch.cuda.is_available()
DEVICE = torch.device("cuda" if CUDA else "cpu")
LARGE, SMALL = Shape(24, 1024, 4096, 250_002), Shape(2, 64, 128, 500)
CASES = {  # lengths of, kind, batch size, max_length, step: as params/paper.yaml trains
    "mnli 4": ("mnli", "classification", 4, 256, None),  # phase 2
    "squad 4": ("squad", "span", 4, 256, 128),  # phase 2
    "xnli 32": ("mnli", "classification", 32, 256, None),
    "udpos 32": ("udpos", "tagging", 32, 256, None),
    "squad 8": ("squad", "span", 8, 384, 128),
    "squad 16": ("squad", "span", 16, 384, 128),
}
LABELS = 17
FOUND: list[dict] = []
now = time.perf_counter if CUDA else time.process_time  # a CPU may have other work
BEGUN = time.monotonic()


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--out", default="")
    parser.add_argument("--minutes", type=float, default=9.0)
    parser.add_argument("--tiny", action="store_true")
    parser.add_argument("--only", nargs="+", default=[], help="names of parts")
    options = parser.parse_args()
    if not CUDA:
        torch.set_num_threads(1)
    work = Bench(SMALL if options.tiny else LARGE, options.tiny)
    parts = {  # seconds at most; what is dear to know first
        work.rates: 30,
        work.steps: 90,
        work.against_trainer: 90,
        work.before_and_after: 130,
        work.kernels: 50,
        work.optimisers: 30,
        work.recorded: 150,
        work.attentions: 75,
        work.evaluation: 30,
        work.checkpointing: 40,
        work.compiled: 110,
    }
    end = BEGUN + 60 * options.minutes
    note("start", "imports, device and weights", time.monotonic() - BEGUN, "s")
    for part, seconds in parts.items():
        if not options.only or part.__name__ in options.only:
            run_part(part, min(seconds, end - time.monotonic()), options.out)
    print(f"\n{device_name()}, torch {torch.__version__}, {'tiny' if options.tiny else 'large'}")
    print(f"{'part':<17}{'what':<52}{'measured':>10}  {'unit':<11}{'expected':>9}{'ratio':>7}")
    print(*map(line, FOUND), sep="\n")


def run_part(part, seconds: float, out: str) -> None:
    """Run a part for so many seconds at most; whatever it dies of is a row."""

    def stop(*_):
        raise TimeoutError(f"after {seconds:.0f} s")

    begun = time.monotonic()
    print(f"--- {part.__name__}", flush=True)
    signal.signal(signal.SIGALRM, stop)
    try:
        if seconds < 5:
            raise TimeoutError("no time left")
        signal.alarm(int(seconds))
        part()
    except BaseException as error:
        signal.alarm(0)
        traceback.print_exc(file=sys.stdout)
        note(part.__name__, f"ENDED: {type(error).__name__}: {str(error)[:60]}", float("nan"), "")
        if isinstance(error, KeyboardInterrupt):
            raise
    finally:
        signal.alarm(0)
        torch._dynamo.reset() if "torch._dynamo" in sys.modules else None
        gc.collect()
        torch.cuda.empty_cache() if CUDA else None
        note(part.__name__, "the whole part", time.monotonic() - begun, "s")
    if out:
        about = {"device": device_name(), "torch": torch.__version__, "rows": FOUND}
        Path(out, "gpu.json").write_text(json.dumps(about, indent=1))


def note(part: str, what: str, measured: float, unit: str, expected: float | None = None) -> None:
    FOUND.append(dict(part=part, what=what, measured=measured, unit=unit, expected=expected))
    print(line(FOUND[-1]), flush=True)


def line(row: dict) -> str:
    text = f"{row['part']:<17}{row['what']:<52}{row['measured']:>10.4g}  {row['unit']:<11}"
    if row["expected"]:
        text += f"{row['expected']:>9.4g}{row['measured'] / row['expected']:>7.2f}"
    return text


def device_name() -> str:
    return torch.cuda.get_device_name() if CUDA else "CPU"


def sync() -> None:
    if CUDA:
        torch.cuda.synchronize()


def seconds_of(work, rounds: int = 20, warm: int = 3) -> float:
    """Median seconds of `work`, the device waited for."""
    spent = []
    for _ in range(warm + rounds):
        sync()
        begun = time.perf_counter()
        work()
        sync()
        spent.append(time.perf_counter() - begun)
    return statistics.median(spent[warm:])


def in_turns(ways: dict, rounds: int) -> dict[str, float]:
    """Name -> median of what each way returns over so many turns."""
    found: dict[str, list[float]] = {name: [] for name in ways}
    for _ in range(rounds):
        for name, way in ways.items():
            found[name].append(way())
    return {name: statistics.median(values) for name, values in found.items()}


class Clock:
    """A tracker of the training loop: when it read the losses of which step."""

    def __init__(self):
        self.times: list[tuple[int, float]] = []

    def log(self, values, step):
        self.times.append((step, now()))

    def per_step(self, warm: int) -> float:
        """Seconds a step after so many that warm up; losses must have been read just then."""
        (last, ended), begun = self.times[-1], dict(self.times).get(warm)
        return (ended - begun) / (last - warm) if begun and last > warm else float("nan")


@cache
def random_features(case: str, batches: int, shape: Shape) -> Features:
    """Random ids of real lengths, for so many batches."""
    task, kind, size, most, step = CASES[case]
    draw = np.random.default_rng(0)
    sizes = published(task, "train").windows(most, 0, kind != "span", step)
    rows = []
    for n, length in enumerate(draw.choice(sizes, size * batches).tolist()):
        row = {"ids": draw.integers(5, shape.vocabulary, length).tolist(), "example": n}
        row |= {"start": 1, "end": min(2, length - 1), "label": n % LABELS}
        row["labels"] = draw.integers(0, LABELS, length).tolist()
        row["offsets"] = np.zeros((length, 2), dtype=int)
        rows.append(row)
    return Features(kind, rows, len(rows), tuple(map(str, range(LABELS))))


def worst(one: np.ndarray, other: np.ndarray) -> float:
    """The largest relative difference of two arrays."""
    return float((np.abs(one - other) / np.abs(one)).max())


def old_mean_loss(logits, labels):
    """As it was: it asks the device whether any label counts."""
    if (labels != IGNORED).any():
        return torch.nn.functional.cross_entropy(logits, labels, ignore_index=IGNORED)
    return logits.masked_fill(logits.isinf(), 0.0).sum() * 0


def blocking(batch, device):
    """As it was: every copy is waited for."""
    return {name: tensor.to(device) for name, tensor in batch.items()}


class Bench:
    """The parts, over one model."""

    def __init__(self, shape: Shape, tiny: bool):
        self.shape, self.tiny = shape, tiny
        self.model = self.made(heads.TaskModel)
        self.maker = DEVICES[2]
        self.pad = SimpleNamespace(pad_token_id=1)
        self.warm = divergence.EVERY if CUDA else 2  # steps before the clock starts

    def made(self, kind, attention_dropout: float = 0.1):
        """Random weights on the device, with a head for every case."""
        shape = self.shape
        config = XLMRobertaConfig(
            vocab_size=shape.vocabulary,
            hidden_size=shape.width,
            num_hidden_layers=shape.layers,
            num_attention_heads=shape.width // 64 if shape.width > 64 else 4,
            intermediate_size=shape.feed_forward,
            max_position_embeddings=514,
            type_vocab_size=1,
            pad_token_id=1,
            attention_probs_dropout_prob=attention_dropout,
        )
        torch.manual_seed(0)
        with DEVICE:
            encoder = XLMRobertaModel(config, add_pooling_layer=False)
        attention.use_fast_attention(encoder, DEVICE, "bfloat16")
        model = kind(encoder, 0.1, "first")
        for case, (_, kind_of_task, *_) in CASES.items():
            model.add_head(case, kind_of_task, LABELS, seed=0)
        return model.to(DEVICE)

    def trained(self, case: str, steps: int = 60, model=None, **own) -> float:
        """Seconds a step of the loop itself, on a case, without those that warm up."""
        steps = steps if CUDA else 6
        clock = Clock()
        settings: dict = {"precision": "bfloat16", "warmup": 0.5} | own
        recipe = Recipe(steps, CASES[case][2], 1e-7, **settings)
        features = random_features(case, 50, self.shape)
        model = model or self.model
        loop.train(model, {case: features}, self.pad, recipe, progress=False, tracker=clock)
        self.sizes = [
            features.lengths[rows]
            for rows in islice(batch_stream(features, recipe.batch_size, 0, case), steps)
        ]
        self.sizes = self.sizes[self.warm :] or self.sizes
        gc.collect()
        return clock.per_step(self.warm)

    def forecast(self, half: bool = True, rate: float | None = None) -> float:
        """What study/devices.py says a step of the sizes that were trained last takes."""
        operations = 3 * self.shape.operations(np.concatenate(self.sizes)) / len(self.sizes)
        moved = self.shape.moved(False, half)
        busy = operations / (rate or self.maker.rate) + moved / self.maker.bandwidth
        return max(busy, self.maker.launch * self.shape.kernels())

    # ------------------------------------------------------------------------ the parts

    def rates(self) -> None:
        """Matrix products, copies, and how fast kernels are started."""
        n = 256 if self.tiny else 8192
        expected = {"bfloat16": 790, "tf32": 400, "float32": 50}
        for name, guess in expected.items():
            kind = torch.bfloat16 if name == "bfloat16" else torch.float32
            torch.backends.cuda.matmul.allow_tf32 = name == "tf32"
            a, b = (torch.randn(n, n, device=DEVICE, dtype=kind) for _ in range(2))
            rate = 2 * n**3 / seconds_of(lambda a=a, b=b: a @ b, rounds=10) / 1e12
            note("rates", f"{n} x {n} product, {name}", rate, "Tflop/s", guess)
        torch.backends.cuda.matmul.allow_tf32 = False
        small = torch.randn(300, self.shape.width, device=DEVICE, dtype=torch.bfloat16)
        weight = torch.randn(self.shape.feed_forward, self.shape.width, device=DEVICE).bfloat16()
        each = seconds_of(lambda: [small @ weight.T for _ in range(50)]) / 50
        rate = 2 * small.numel() * len(weight) / each / 1e12
        note("rates", "product of 300 tokens with one layer's weight, bf16", rate, "Tflop/s", 150)
        big = torch.empty(2**20 if self.tiny else 2**30, device=DEVICE)
        there = torch.empty_like(big)
        moved = 2 * 4 * big.numel() / seconds_of(lambda: there.copy_(big)) / 1e9
        note("rates", "copy on the device, bytes read and written", moved, "GB/s", 3000)
        one = torch.zeros(8, device=DEVICE)
        launch = seconds_of(lambda: [one.add_(1) for _ in range(1000)]) / 1000
        note("rates", "one tiny kernel, started from Python", 1e6 * launch, "us", 5)

    def steps(self) -> None:
        """Seconds a step and tokens a second for the batches of the paper's study."""
        self.trained("squad 16", 100)  # the first steps of a process load the device's libraries
        for case in CASES:
            self.step_row(case, "bfloat16")
        for case in ("mnli 4", "squad 16"):
            self.step_row(case, "float32", rate=0.8 * 50e12)
            torch.backends.cuda.matmul.allow_tf32 = True
            self.step_row(case, "float32", " (TF32)", rate=0.5 * 400e12)
            torch.backends.cuda.matmul.allow_tf32 = False

    def step_row(self, case, precision, more="", rate=None) -> None:
        if CUDA:
            torch.cuda.reset_peak_memory_stats()
        spent = self.trained(case, precision=precision)
        guess = 1e3 * self.forecast(precision == "bfloat16", rate)
        tokens = sum(s.sum() for s in self.sizes) / len(self.sizes)
        what = f"{case}, {precision}{more}"
        note("steps", f"{what}: a step of {tokens:.0f} tokens", 1e3 * spent, "ms", guess)
        note("steps", f"{what}: tokens", tokens / spent, "tokens/s", 1e3 * tokens / guess)
        if CUDA:
            note("steps", f"{what}: memory", torch.cuda.max_memory_allocated() / 2**30, "GiB")

    def before_and_after(self) -> None:
        """The loop as it was and as it is, and each change taken back alone."""
        back = {
            "losses read every step": mock.patch.object(divergence, "EVERY", 1),
            "copies waited for": mock.patch.object(loop, "on_device", blocking),
            "the loss asks for labels": mock.patch.object(heads, "mean_loss", old_mean_loss),
            "the mask asks for padding": self.attending("sdpa"),
        }

        def way(case, *changes):
            def run():
                for change in changes:
                    change.__enter__()
                try:
                    return 1e3 * self.trained(case)
                finally:
                    for change in changes:
                        change.__exit__(None, None, None)

            return run

        for case, guess in (("mnli 4", 1.15), ("squad 16", 1.05)):
            self.trained(case)  # libraries are loaded and plans made before any clock starts
            ways = {"as it is": way(case), "as it was (all four)": way(case, *back.values())}
            if case == "mnli 4":
                ways |= {name: way(case, change) for name, change in back.items()}
            found = in_turns(ways, 3)
            for name, spent in found.items():
                expected = found["as it is"] * (guess if "four" in name else 1.0)
                note("before_and_after", f"{case}: {name}", spent, "ms a step", expected)
        self.syncs()
        self.host_side()

    def attending(self, name):
        """A context in which the encoder attends by another name."""
        model = self.model.encoder
        names = [name]

        class Attending:
            def __enter__(self):
                names.append(model.config._attn_implementation)
                model.set_attn_implementation(names[0])

            def __exit__(self, *_):
                model.set_attn_implementation(names.pop())

        return Attending()

    def syncs(self) -> None:
        """How often a step waits for the device, and where."""
        if not CUDA:
            return
        for case in ("mnli 4", "udpos 32", "squad 16"):
            with warnings.catch_warnings(record=True) as caught, self.told_of_syncs():
                warnings.simplefilter("always")
                self.trained(case, 40)
            places = [f"{Path(w.filename).name}:{w.lineno}" for w in caught if "sync" in str(w)]
            note("before_and_after", f"{case}: waits a step", len(places) / 40, "", 2 / 40)
            print("   ", {place: places.count(place) for place in set(places)}, flush=True)

    @contextmanager
    def told_of_syncs(self):
        torch.cuda.set_sync_debug_mode("warn")
        try:
            yield
        finally:
            torch.cuda.set_sync_debug_mode("default")

    def host_side(self) -> None:
        """What the host does for a batch beside starting kernels: all that prefetching can hide."""
        for case in ("mnli 4", "squad 16"):
            features = random_features(case, 50, self.shape)
            stream = batch_stream(features, CASES[case][2], 0, case)

            def make(features=features, stream=stream):
                loop.on_device(collate(features, next(stream), 1), DEVICE)

            note(
                "before_and_after",
                f"{case}: make and copy a batch",
                1e3 * seconds_of(make),
                "ms",
                0.5,
            )

    def against_trainer(self) -> None:
        """transformers' Trainer at its best (similar lengths, fused AdamW, bf16), in turns."""
        for case in ("mnli 4", "xnli 32", "squad 16"):
            ways = {"xtsupport": lambda c=case: self.tokens_ours(c)}
            ways["Trainer, tuned"] = lambda c=case: self.tokens_trainer(c)
            found = in_turns(ways, 3)
            for name, rate in found.items():
                guess = found["xtsupport"] * (0.9 if name != "xtsupport" else 1)
                note("against_trainer", f"{case}: {name}", rate, "tokens/s", guess)

    def tokens_ours(self, case) -> float:
        spent = self.trained(case)
        return sum(s.sum() for s in self.sizes) / len(self.sizes) / spent

    def tokens_trainer(self, case) -> float:
        """Real tokens a second of Trainer, after a third of its steps."""
        from transformers import Trainer, TrainerCallback, TrainingArguments

        AcceleratorState._reset_state(reset_partial_state=True)
        steps, size = 60 if CUDA else 6, CASES[case][2]
        features, taken, clock = random_features(case, 50, self.shape), [], Clock()
        warm = self.warm
        before = self.model.encoder.config._attn_implementation
        self.model.encoder.set_attn_implementation("sdpa")
        rows = [{"row": i, "input_ids": row["ids"]} for i, row in enumerate(features.rows)]

        def collator(chosen):
            taken.append([each["row"] for each in chosen])
            return collate(features, np.array(taken[-1]), 1)

        class Timed(TrainerCallback):
            def on_step_end(self, args, state, control, **_):
                if state.global_step in (warm, steps):
                    sync()
                    clock.log({}, state.global_step)

        arguments = TrainingArguments(
            str(Path(tempfile.gettempdir(), "xtsupport-trainer")),
            per_device_train_batch_size=size,
            max_steps=steps,
            learning_rate=1e-7,
            bf16=True,
            use_cpu=not CUDA,
            optim="adamw_torch_fused",
            save_strategy="no",
            report_to="none",
            disable_tqdm=True,
            logging_strategy="no",
            remove_unused_columns=False,
            train_sampling_strategy="group_by_length",
        )
        wrapped = Wrapped(self.model, case).train()
        trainer = Trainer(
            wrapped, arguments, train_dataset=rows, data_collator=collator, callbacks=[Timed()]
        )
        try:
            trainer.train()
        finally:  # what it set for the whole process
            AcceleratorState._reset_state(reset_partial_state=True)
            GradientState._reset_state()
            self.model.encoder.set_attn_implementation(before)
        tokens = sum(features.lengths[rows].sum() for rows in taken[warm:steps])
        del trainer
        gc.collect()
        return tokens / (steps - warm) / clock.per_step(warm)

    def optimisers(self) -> None:
        """Clipping and AdamW over all weights: what they move, against the copy rate."""
        weights = [p for p in self.model.parameters() if p.requires_grad]
        total = sum(p.numel() for p in weights)
        for p in weights:
            p.grad = torch.randn_like(p) * 1e-3

        def updated(clip, **how):
            optimizer = torch.optim.AdamW(weights, lr=1e-9, **how)

            def run():
                if clip == "loop":
                    torch.nn.utils.clip_grad_norm_(weights, 1.0, foreach=False)
                elif clip == "foreach":
                    torch.nn.utils.clip_grad_norm_(weights, 1.0)
                elif clip == "within":  # the fused kernel divides the gradients itself
                    norm = torch.nn.utils.get_total_norm([p.grad for p in weights])
                    scale = {"grad_scale": (norm + 1e-6).clamp_min(1.0)}
                    vars(optimizer).update(scale, found_inf=torch.zeros((), device=DEVICE))
                optimizer.step()

            spent = 1e3 * seconds_of(run, 10)
            optimizer.state.clear()
            return spent

        bytes_of = {"none": 28, "foreach": 40, "loop": 40, "within": 36}
        for name, clip, how in (
            ("fused AdamW alone", "none", {"fused": True}),
            ("clipping (foreach), fused AdamW: as it is", "foreach", {"fused": True}),
            ("clipping one by one, fused AdamW", "loop", {"fused": True}),
            ("clipping within fused AdamW", "within", {"fused": True}),
            ("clipping (foreach), AdamW not fused", "foreach", {"foreach": True}),
        ):
            guess = 1e3 * bytes_of[clip] * total / self.maker.bandwidth
            note("optimisers", name, updated(clip, **how), "ms", guess)
        for p in weights:
            p.grad = None

    def attentions(self) -> None:
        """Padded with a mask, with none (wrong where there is padding: a bound), packed."""
        packed = self.made(PackedModel, 0.0)
        packed.load_state_dict(self.model.state_dict())
        add_packed(packed.encoder)
        self.agree(packed)
        plain = self.made(heads.TaskModel, 0.0)

        def unmasked(batch, device, put=loop.on_device):
            return put(batch, device) | {"unpadded": True}

        for case in ("mnli 4", "xnli 32", "squad 16"):

            def bound(case=case):
                with mock.patch.object(loop, "on_device", unmasked):
                    return 1e3 * self.trained(case, model=plain)

            def packed_way(case=case):
                with mock.patch.object(loop, "on_device", packed_on_device):
                    return 1e3 * self.trained(case, model=packed)

            ways = {
                "mask (as it is)": lambda c=case: 1e3 * self.trained(c, model=plain),
                "no mask, padding attended to (a bound)": bound,
                "packed, varlen": packed_way,
            }
            found = in_turns(ways, 2)
            for name, spent in found.items():
                guess = {"m": 1.0, "n": 0.95, "p": 0.9}[name[0]] * found["mask (as it is)"]
                note("attentions", f"{case}: {name}", spent, "ms a step", guess)

    def agree(self, packed) -> None:
        """The largest difference of packed and padded logits of real tokens, in bfloat16."""
        features = random_features("squad 4", 4, self.shape)
        batch = collate(features, np.arange(16), 1)
        with torch.inference_mode(), torch.autocast(DEVICE.type, torch.bfloat16):
            one = self.model.eval().logits("squad 4", loop.on_device(batch, DEVICE))
            other = packed.eval().logits("squad 4", packed_on_device(batch, DEVICE))
        real = torch.isfinite(one)
        worst = float((one - other)[real].abs().max() / one[real].std())
        note("attentions", "packed and padded logits differ by at most", worst, "std", 0.1)

    def kernels(self) -> None:
        """Kernels of a step, and how long the device runs them, by PyTorch's profiler."""
        from torch.profiler import ProfilerActivity, profile

        kinds = [ProfilerActivity.CPU] + ([ProfilerActivity.CUDA] if CUDA else [])
        for case in ("mnli 4", "squad 16"):
            steps = 6
            self.trained(case, 20)
            with profile(activities=kinds) as seen:
                self.trained(case, steps)
            events = [  # without ranges that hold others, such as Optimizer.step#AdamW.step
                e for e in seen.events() if "CUDA" in str(e.device_type) and "#" not in e.name
            ]
            ran = [e for e in events if "Mem" not in e.name]
            each = len(ran) / steps
            note("kernels", f"{case}: kernels a step", each, "", self.shape.kernels())
            busy = sum(e.time_range.elapsed_us() for e in events) / steps / 1e3
            note("kernels", f"{case}: the device is busy", busy, "ms a step", 1e3 * self.forecast())
            print(seen.key_averages().table(sort_by="self_cuda_time_total", row_limit=25)[:6000])

    def checkpointing(self) -> None:
        """Memory and time of 16,384 tokens at a time, with and without keeping activations."""
        CASES["large batch"] = ("squad", "span", 4 if self.tiny else 56, 384, 128)
        self.model.add_head("large batch", "span", 2, seed=0)
        self.model.to(DEVICE)
        for name in ("kept", "computed again"):
            if name != "kept":
                self.model.encoder.gradient_checkpointing_enable({"use_reentrant": False})
            if CUDA:
                torch.cuda.reset_peak_memory_stats()
            spent = 1e3 * self.trained("large batch", 40, batch_tokens=1 << 20)
            guess = 1e3 * self.forecast() * (1 if name == "kept" else 4 / 3)
            note("checkpointing", f"activations {name}", spent, "ms a step", guess)
            if CUDA:
                peak = torch.cuda.max_memory_allocated() / 2**30
                note(
                    "checkpointing",
                    f"activations {name}",
                    peak,
                    "GiB",
                    25 if name == "kept" else 12,
                )
        self.model.encoder.gradient_checkpointing_disable()
        del CASES["large batch"]

    def evaluation(self) -> None:
        """Tokens a second in evaluation, as params/paper.yaml sets it (16,384 tokens at a time)."""
        for case, sets in (("squad 16", 40), ("xnli 32", 60)):
            features = random_features(case, 2 if self.tiny else sets, self.shape)

            def run(case=case, features=features):
                predict.model_outputs(self.model, case, features, 1, 16384, "bfloat16", 30)

            spent = seconds_of(run, 3, 1)
            tokens = int(features.lengths.sum())
            guess = tokens * self.maker.rate / self.shape.operations(features.lengths)
            note("evaluation", f"lengths of {case}", tokens / spent, "tokens/s", guess)

    def recorded(self) -> None:
        """Layers as CUDA graphs: seconds a step beside eager ones, and the same losses."""
        sure = self.made(heads.TaskModel, 0.0)
        for module in sure.modules():
            if isinstance(module, torch.nn.Dropout):
                module.p = 0.0
        start = {name: each.clone() for name, each in sure.state_dict().items()}
        losses = []
        for graphs in (False, True, False):  # twice eager: what differs without graphs
            sure.load_state_dict(start)
            losses.append(self.mixed(sure, graphs))
        note("recorded", "losses of a mixture, eager twice", worst(losses[0], losses[2]), "rel.")
        note("recorded", "the same, eager and recorded", worst(losses[0], losses[1]), "rel.", 1e-2)
        del sure, start
        for case, guess in (
            ("mnli 4", 0.35),
            ("squad 4", 0.4),
            ("xnli 32", 0.5),
            ("squad 16", 0.7),
        ):
            begun = time.perf_counter()
            self.trained(case, cuda_graphs=True)
            note("recorded", f"{case}: its shapes recorded", time.perf_counter() - begun, "s", 20)
            ways = {
                name: lambda c=case, g=name == "recorded": 1e3 * self.trained(c, cuda_graphs=g)
                for name in ("eager", "recorded")
            }
            found = in_turns(ways, 3)
            for name, spent in found.items():
                expected = found["eager"] * (guess if name == "recorded" else 1)
                note("recorded", f"{case}: {name}", spent, "ms a step", expected)
            if CUDA:
                note("recorded", "memory so far", torch.cuda.max_memory_reserved() / 2**30, "GiB")

    def mixed(self, model, graphs: bool) -> np.ndarray:
        """Losses of steps on two tasks, larger batches in pieces, scored in between."""
        cases = ("mnli 4", "squad 4")
        data = {case: random_features(case, 50, self.shape) for case in cases}
        recipe = Recipe(
            40 if CUDA else 6, 4, 1e-5, precision="bfloat16", warmup=0.5, batch_tokens=1000,
            cuda_graphs=graphs, sampler="uniform", dev_every=10,
        )  # fmt: skip
        batch = loop.on_device(collate(data["mnli 4"], np.arange(8), 1), DEVICE)

        def score() -> float:
            with torch.inference_mode():
                return -float(model.eval()("mnli 4", batch))

        history = loop.train(model, data, self.pad, recipe, progress=False, evaluate=score)
        return history.loss.to_numpy()

    def compiled(self) -> None:
        """torch.compile of the layers with lengths left open: seconds until it runs, and a step."""
        model = self.made(heads.TaskModel)
        before = {c: 1e3 * self.trained(c, model=model) for c in ("mnli 4", "squad 16")}
        begun = time.perf_counter()
        for layer in model.encoder.encoder.layer:  # one is compiled, the others are like it
            layer.compile(dynamic=True)
        for case, eager in before.items():
            self.trained(case, 12, model=model)
            note("compiled", f"{case}: until it runs", time.perf_counter() - begun, "s", 40)
            spent = 1e3 * self.trained(case, model=model)
            note("compiled", f"{case}: a step, eager {eager:.1f}", spent, "ms a step", 0.75 * eager)


# --------------------------------------------------------------------------- packed sequences


class PackedModel(heads.TaskModel):
    """A TaskModel whose encoder sees the tokens of a batch in one row, without padding."""

    def states(self, batch):
        states = self.encoder(
            input_ids=batch["packed"], position_ids=batch["positions"], ends=batch["ends"],
            longest=batch["longest"],
        ).last_hidden_state[0]  # fmt: skip
        rows, length = batch["mask"].shape
        padded = states.new_zeros(rows * length, states.shape[-1])
        return padded.index_copy(0, batch["where"], states).view(rows, length, -1)


def packed_on_device(batch, device, put=loop.on_device):
    """A batch on the device with its tokens in one row beside it, all worked out on the host."""
    real = batch["mask"].bool()
    sizes = real.sum(1)
    positions = torch.arange(real.shape[1]).expand_as(real)[real] + 2
    ends = torch.cat([torch.zeros(1, dtype=torch.long), sizes.cumsum(0)]).int()
    more = {"packed": batch["ids"][real][None], "positions": positions[None], "ends": ends}
    more["where"] = real.flatten().nonzero()[:, 0]
    return put(batch | more, device) | {"longest": int(sizes.max())}


def add_packed(encoder) -> None:
    """Switch an encoder to attention within each sequence of a packed row."""
    from transformers import AttentionInterface, AttentionMaskInterface

    AttentionInterface.register("packed", packed_attention)
    AttentionMaskInterface.register("packed", lambda *_, **__: None)
    encoder.set_attn_implementation("packed")


def packed_attention(module, query, key, value, mask, scaling=None, *, ends, longest, **_):
    """(1, heads, tokens, width) -> (1, tokens, heads, width)."""
    if query.is_cuda:
        from torch.nn.attention.varlen import varlen_attn

        query, key, value = (x[0].transpose(0, 1).bfloat16() for x in (query, key, value))
        mixed = varlen_attn(query, key, value, ends, ends, longest, longest)
        assert isinstance(mixed, torch.Tensor)  # else with what was not asked for
        return mixed[None], None
    parts = zip(*(x.split(ends.diff().tolist(), 2) for x in (query, key, value)), strict=True)
    attend = torch.nn.functional.scaled_dot_product_attention
    return torch.cat([attend(q, k, v, scale=scaling).transpose(1, 2) for q, k, v in parts], 1), None


if __name__ == "__main__":
    main()
