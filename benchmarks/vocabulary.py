"""What `trim_vocabulary` saves in a checkpoint, and in a training step on a CPU.

python benchmarks/vocabulary.py [--used N] [--rounds N]

XLM-R Base's shape with random weights, lengths of real rows (xtsupport/lengths.csv), one thread,
through the training loop. Of 250,002 pieces N are used. The two ways take turns; processor
milliseconds of a step in every round, and how many times as fast as the first way. Needs 10 GB.
"""

import argparse
import copy
import statistics
import tempfile
import time
from dataclasses import replace
from pathlib import Path

import gpu
import torch
from tokenizers import Tokenizer, models
from transformers import PreTrainedTokenizerFast

from xtsupport.study.devices import Shape
from xtsupport.training import encoder, heads
from xtsupport.training.vocabulary import trimmed

BASE = Shape(12, 768, 3072, 250_002)
CASES = ("mnli 4", "xnli 32")  # of gpu.py


def compared(name: str, ways: dict, rounds: int) -> None:
    """The ways in turns, `rounds` times, and how many times as fast as the first each is."""
    found: dict[str, list[float]] = {way: [] for way in ways}
    for _ in range(rounds):
        for way, run in ways.items():
            found[way].append(run())
    first = next(iter(found.values()))
    for way, spent in found.items():
        ratios = [one / other for one, other in zip(first, spent, strict=True)]
        told = ", ".join(f"{1e3 * each:,.0f}" for each in spent)
        each = ", ".join(f"{ratio:.2f}" for ratio in ratios)
        print(f"{name:<10}{way:<28}{told} ms a step; x {statistics.median(ratios):.2f} ({each})")


def unigram(pieces: int) -> PreTrainedTokenizerFast:
    """A tokenizer of so many invented pieces, with XLM-R's special ones first."""
    special = ["<s>", "<pad>", "</s>", "<unk>"]
    scored = [(p, 0.0) for p in special] + [(f"▁{n}", -float(n)) for n in range(pieces - 4)]
    names = dict(bos_token="<s>", eos_token="</s>", pad_token="<pad>", unk_token="<unk>")
    model = Tokenizer(models.Unigram(scored, unk_id=3))
    return PreTrainedTokenizerFast(tokenizer_object=model, **names)


def made(bench, shape: Shape):
    """A model of a shape, with the attention of float32 on CPUs and no dropout in it."""
    drawn, bench.shape = bench.shape, shape
    model, bench.shape = bench.made(heads.TaskModel, 0.0), drawn
    model.encoder.set_attn_implementation("sdpa")
    return model


def vocabularies(bench, used: int, rounds: int) -> None:
    """Steps that train embeddings, and what phase 2 leaves, with and without unused pieces."""
    whole, tokenizer = made(bench, BASE), unigram(BASE.vocabulary)
    smaller = copy.deepcopy(whole)
    begun = time.process_time()
    less = trimmed(smaller.encoder, tokenizer, range(used))
    print(f"trimmed to {len(less):,} pieces in {time.process_time() - begun:.1f} s")
    for name, model, cut in (("whole", whole, tokenizer), ("trimmed", smaller, less)):
        with tempfile.TemporaryDirectory() as folder:
            encoder.save_encoder(model.encoder, cut, Path(folder, "model"), Path(folder))
            size = Path(folder, "model", "model.safetensors").stat().st_size
        print(f"{name:<10}checkpoint of {size / 1e6:,.0f} MB")
    for case in CASES:
        models_of = {"whole": whole, "trimmed": smaller}
        ways = {
            name: lambda c=case, m=model: bench.trained(c, model=m, precision="float32")
            for name, model in models_of.items()
        }
        compared(case, ways, rounds)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--used", type=int, default=90_000, help="pieces that occur")
    parser.add_argument("--rounds", type=int, default=3)
    options = parser.parse_args()
    torch.set_num_threads(1)
    bench = gpu.Bench(replace(BASE, vocabulary=options.used), tiny=False)  # draws used ids only
    vocabularies(bench, options.used, options.rounds)


if __name__ == "__main__":
    main()
