"""Processor seconds that a run of the demo's phase 3 needs to score and write its predictions.

python benchmarks/writing.py [--params FILE] [--rounds 5]

Six of ten predictions are the gold answer, the others three words drawn from the context, in every
language that the runs of this training task are evaluated on.
"""

import argparse
import random
import statistics
import tempfile
import time
from pathlib import Path

from xtsupport.data import load
from xtsupport.files import write_text
from xtsupport.study.phases import evaluating
from xtsupport.study.plan import open_study


class Folder:
    """What `write_scores` needs of a run's folder."""

    def __init__(self, path: str):
        self.path, self.identity = Path(path), {"run_key": "benchmark"}

    def note(self, **facts):
        pass

    def write_csv(self, name, frame):
        write_text(self.path / name, frame.to_csv(index=False))


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--params", default="params/demo.yaml")
    parser.add_argument("--rounds", type=int, default=5)
    options = parser.parse_args()
    runs = open_study(options.params).runs("target")
    run = next(each for each in runs if each.training_task == "squad")
    evaluating.upstream_records = lambda run: {}  # there is no phase 2 to read
    parts = [part(*each, run.options["data"]) for each in evaluating.evaluation_sets(run)]
    examples = sum(len(predictions) for *_, predictions in parts)
    with tempfile.TemporaryDirectory() as folder:
        first, *later = (seconds(Folder(folder), run, parts) for _ in range(options.rounds))
    print(f"{run.name}: {examples:,} examples of {len(parts)} languages: {first:.2f} processor "
          f"seconds in a new process, then {statistics.median(later):.2f} "
          f"({min(later):.2f} to {max(later):.2f})")  # fmt: skip


def part(target, code, code_2, data, share=0.6):
    """(target, language, language_2, examples, predictions) of an evaluation set of kind span."""
    rows, draw = load(target, code, None, data, code_2)[:], random.Random(0)
    gold_or_words = [
        gold["text"][0] if draw.random() < share else " ".join(draw.sample(context.split(), 3))
        for gold, context in zip(rows["answers"], rows["context"], strict=True)
    ]
    return target, code, code_2, rows, gold_or_words


def seconds(folder, run, parts) -> float:
    start = time.process_time()
    evaluating.write_scores(folder, run, parts)
    return time.process_time() - start


if __name__ == "__main__":
    main()
