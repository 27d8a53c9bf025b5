"""Nearest neighbours and mining at BUCC's size: seconds, memory, against one dense matrix.

    python benchmarks/retrieval.py                    # zh-en, whole
    python benchmarks/retrieval.py --pair ru --share 0.02

Random vectors, 384 wide, of which a tenth have a partner. `share` does only this share of the
queries (memory is that of the whole; seconds are scaled up).
"""

import argparse
import resource
import time

import numpy as np
import torch

from xtsupport.evaluation.mining import one_to_one
from xtsupport.evaluation.retrieval import nearest, unit

SIZES = {"zh": (94_637, 88_860), "de": (413_869, 399_337), "fr": (271_874, 369_810),
         "ru": (460_853, 558_401)}  # fmt: skip


def random_vectors(n: int, width: int, seed: int) -> np.ndarray:
    """Unit vectors, made in place so that making them takes no second copy."""
    vectors = np.empty((n, width), dtype=np.float32)
    np.random.default_rng(seed).standard_normal(dtype=np.float32, out=vectors)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    return vectors


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--pair", choices=SIZES, default="zh")
    parser.add_argument("--width", type=int, default=384)
    parser.add_argument("--share", type=float, default=1.0)
    parser.add_argument("--threads", type=int, default=1)
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    device = "cuda" if torch.cuda.is_available() else "cpu"
    (n, m), started = SIZES[args.pair], resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    x, y = random_vectors(n, args.width, 0), random_vectors(m, args.width, 1)
    gold = n // 10
    y[:gold] = unit(y[:gold] + 1.5 * x[:gold])
    found, seconds = [], []
    for queries, pool in ((x, y), (y, x)):
        begun = time.process_time() if device == "cpu" else time.perf_counter()
        found.append(nearest(queries[: int(args.share * len(queries))], pool, 4, device=device))
        ended = time.process_time() if device == "cpu" else time.perf_counter()
        seconds.append((ended - begun) / args.share)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    took, kind = sum(seconds), "CPU seconds" if device == "cpu" else "seconds"
    print(f"{args.pair}-en: {n:,} x {m:,} x {args.width} on {device}, {args.threads} thread(s)")
    print(f"{took:9.0f} {kind} for the neighbours in both directions")
    print(f"{4 * n * m * args.width / took / 1e9:9.1f} GFLOP/s of products")
    print(f"{peak / 2**20:9.2f} GiB at most, {(peak - started) / 2**20:.2f} beyond imports")
    print(f"{4 * n * m / 2**30:9.2f} GiB would be one matrix of all cosines")
    if args.share == 1:
        rows, columns, scores = one_to_one(*found)
        best = np.argsort(-scores)[:gold]
        right = 100 * (rows[best] == columns[best]).mean()
        print(f"{right:9.2f} % of the best pairs are planted ones")


if __name__ == "__main__":
    main()
