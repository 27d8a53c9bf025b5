"""Speed of the resampling beside scipy's, on identical work; of a whole study from disk; and of the
command on the demo's study.

    python benchmarks/significance.py [--rounds 5] [--whole FOLDER | --command]

XQuAD's shape: 1,190 questions in 240 paragraphs, 11 languages x 3 seeds, 10,000 resamples, one BLAS
thread, interleaved rounds, medians. The intervals of both are compared for equal generators.
``--whole`` writes a study of 11 conditions x 8 targets x 40 languages x 5 seeds at XTREME's sizes
(some 30 million rows, without BUCC) into FOLDER once, then contracts and compares it from disk and
prints seconds and peak memory. ``--command`` runs `xtsupport significance` on the scores that come
with the package, and prints seconds by the clock and of the processor for every round.
"""

import os

for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ[name] = "1"

import argparse  # noqa: E402
import resource  # noqa: E402
import subprocess  # noqa: E402
import sys  # noqa: E402
import tempfile  # noqa: E402
import time  # noqa: E402
from itertools import product  # noqa: E402
from pathlib import Path  # noqa: E402

import numpy as np  # noqa: E402
import pandas as pd  # noqa: E402
import pyarrow as pa  # noqa: E402
import pyarrow.parquet as pq  # noqa: E402
from scipy import stats  # noqa: E402

from xtsupport.cube.columns import SCHEMA  # noqa: E402
from xtsupport.statistics.bootstrap import cluster_counts  # noqa: E402
from xtsupport.statistics.clusters import study_moments  # noqa: E402
from xtsupport.statistics.comparisons import significance  # noqa: E402
from xtsupport.statistics.evidence import evidence_of  # noqa: E402

R = 10_000


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--whole", type=Path)
    parser.add_argument("--command", action="store_true")
    arguments = parser.parse_args()
    if arguments.command:
        print(command(arguments.rounds).round(1).to_string(index=False))
    elif arguments.whole:
        print(whole_study(arguments.whole).to_string(index=False))
    else:
        print(against_scipy(arguments.rounds).round(3).to_string(index=False))


def against_scipy(rounds: int) -> pd.DataFrame:
    """Seconds and ratios per pair of equal jobs."""
    rng = np.random.default_rng(0)
    a, b = scores(rng)
    d = a - b

    jobs = {
        "bootstrap, paired, 33 columns": (
            lambda: percentile(bootstrap_means((a - b).T, np.ones(1190))),
            lambda: scipy_interval((a, b), paired_difference, paired=True),
        ),
        "bootstrap of differences, 33 columns": (
            lambda: percentile(bootstrap_means(d.T, np.ones(1190))),
            lambda: scipy_interval((d,), np.mean),
        ),
    }
    sizes = np.full(240, 5.0)
    sums = np.add.reduceat(d.T, np.linspace(0, 1190, 240, endpoint=False).astype(int))
    lines: list[dict] = []
    for title, (ours, theirs) in jobs.items():
        seconds = np.array([[timed(ours), timed(theirs)] for _ in range(rounds)])
        lines.append({"job": title, **medians(seconds[:, 0], "ours"), **medians(seconds[:, 1])})
        for kind in ("", "CPU "):
            lines[-1][f"{kind}ratio"] = lines[-1][f"scipy {kind}s"] / lines[-1][f"ours {kind}s"]
    clusters = [timed(lambda: percentile(bootstrap_means(sums, sizes))) for _ in range(rounds)]
    job = "bootstrap of 240 clusters, 33 columns"
    lines.append({"job": job, **medians(np.array(clusters), "ours")})
    for title, pair in jobs.items():
        one, other = (job() for job in pair)
        print(f"{title}: intervals differ by at most {np.abs(one - other).max():.1e}")
    return pd.DataFrame(lines)


def scores(rng) -> tuple[np.ndarray, np.ndarray]:
    """Two (33, 1190) arrays of F1-like scores whose differences are mostly 0."""
    a = rng.choice([0.0, 0.5, 1.0], size=(33, 1190), p=[0.2, 0.2, 0.6])
    changed = rng.random(a.shape) < 0.25
    return a, np.where(changed, rng.choice([0.0, 0.5, 1.0], size=a.shape), a)


def bootstrap_means(sums: np.ndarray, sizes: np.ndarray) -> np.ndarray:
    """R resampled means (R, columns) of ``sums`` (G, columns) over ``sizes`` (G,)."""
    counts = cluster_counts(len(sums), R, np.random.default_rng(1))
    return np.concatenate([drawn @ sums / (drawn @ sizes)[:, None] for drawn in counts])


def paired_difference(x, y, axis):
    return x.mean(axis=axis) - y.mean(axis=axis)


def percentile(means: np.ndarray) -> np.ndarray:
    return np.percentile(means, [2.5, 97.5], axis=0)


def scipy_interval(data, statistic, paired=False) -> np.ndarray:
    found = stats.bootstrap(
        data,
        statistic,
        n_resamples=R,
        batch=100,
        paired=paired,
        vectorized=True,
        axis=-1,
        method="percentile",
        rng=np.random.default_rng(1),
    )
    return np.array(found.confidence_interval)


def timed(job) -> tuple[float, float]:
    """Seconds by the clock, and of the processor: on a busy machine the second tells more."""
    start = time.perf_counter(), time.process_time()
    job()
    return time.perf_counter() - start[0], time.process_time() - start[1]


def medians(seconds: np.ndarray, who: str = "scipy") -> dict[str, float]:
    """Medians over rounds. seconds: (rounds, 2), clock and processor."""
    return dict(zip((f"{who} s", f"{who} CPU s"), np.median(seconds, axis=0), strict=True))


SIZES = {  # target: (languages, examples per language, examples per cluster, metrics, parallel)
    "xnli": (15, 5010, 3, ("accuracy",), True),
    "pawsx": (7, 2000, 1, ("accuracy",), True),
    "udpos": (33, 3400, 1, ("f1",), False),
    "panx": (40, 7400, 1, ("f1",), False),
    "xquad": (11, 1190, 5, ("f1", "exact_match", "f1_segmented"), True),
    "mlqa": (7, 6100, 1, ("f1", "exact_match", "f1_segmented"), True),
    "tydiqa": (9, 570, 1, ("f1", "exact_match", "f1_segmented"), False),
    "tatoeba": (36, 1000, 1, ("accuracy",), False),
}
CONDITIONS = ("none", *(f"task{i}" for i in range(9)), "all")


def write_study(folder: Path) -> int:
    """A study of random scores at XTREME's sizes; returns the number of rows."""
    from xtsupport.tables import languages

    rng, rows, known = np.random.default_rng(0), 0, list(languages().values())
    schema = pa.schema([field for field in SCHEMA if field.name != "task"])
    for task, (n_languages, n, _, metrics, _) in SIZES.items():
        part = folder / f"task={task}" / "part-0.parquet"
        part.parent.mkdir(parents=True, exist_ok=True)
        runs = [(c, seed) for c in CONDITIONS for seed in range(5)]
        if task == "tatoeba":
            runs = runs[:1] + runs[5:]  # without phase 2, retrieval has one run
        with pq.ParquetWriter(part, schema) as writer:
            for run, language, metric in product(runs, known[:n_languages], metrics):
                writer.write_table(run_table(rng, task, run, language, metric).cast(schema))
                rows += n
    return rows


def run_table(rng, task, run, language, metric) -> pa.Table:
    """The rows of one run, language and metric."""
    (condition, seed), (_, n, per_cluster, _, parallel) = run, SIZES[task]
    prefix = "" if parallel else language.code
    words = {
        "study": "whole",
        "condition": condition,
        "variant": "plain",
        "language": language.code,
        "language_2": None,
        "family": language.family,
        "group": language.group,
        "metric": metric,
        "phase2_run": None if condition == "none" else f"{condition}{seed}",
        "phase3_run": f"{task}{condition}{seed}",
    }
    columns = {name: pa.array([word] * n, pa.string()) for name, word in words.items()}
    number = np.arange(n)
    columns["seed"] = pa.array(np.full(n, seed, np.int32))
    columns["example_id"] = pa.array([f"{prefix}{i}" for i in number])
    columns["cluster_id"] = pa.array([f"{prefix}c{i}" for i in number // per_cluster])
    micro = task in ("udpos", "panx")
    score, counts = rng.random(n).astype(np.float32), rng.integers(0, 5, (3, n)).astype(np.int16)
    columns["score"] = pa.nulls(n, pa.float32()) if micro else pa.array(score)
    for name, count in zip(("tp", "fp", "fn"), counts, strict=True):
        columns[name] = pa.array(count) if micro else pa.nulls(n, pa.int16())
    order = [field.name for field in SCHEMA if field.name != "task"]
    return pa.table({name: columns[name] for name in order})


def whole_study(folder: Path) -> pd.DataFrame:
    """Seconds and peak memory (the process's maximum) from a cube on disk to significance rows."""
    if not folder.exists():
        print(f"{write_study(folder):,} rows written to {folder}")
    start = time.perf_counter(), time.process_time()
    measured = study_moments(folder)
    middle = time.perf_counter(), time.process_time()
    table = significance(evidence_of(measured))
    end = time.perf_counter(), time.process_time()
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
    steps = {"read and contract": (start, middle), "compare": (middle, end), "total": (start, end)}
    lines = [
        {"step": step, "seconds": b[0] - a[0], "CPU seconds": b[1] - a[1]}
        for step, (a, b) in steps.items()
    ]
    print(f"{len(table):,} rows of the table, peak memory {peak:.2f} GiB")
    return pd.DataFrame(lines).round(1)


def command(rounds: int) -> pd.DataFrame:
    """Seconds of `xtsupport significance` on the demo: imports, pictures and page are in it, but
    not the compiling of our modules, which only the first call does; it is not counted.
    """
    from xtsupport import folders

    cube, lines = folders.shipped() / "study" / "cube", []
    compiles = {n: v for n, v in os.environ.items() if n != "PYTHONDONTWRITEBYTECODE"}
    for _ in range(rounds + 1):
        start, before = time.perf_counter(), resource.getrusage(resource.RUSAGE_CHILDREN)
        with tempfile.TemporaryDirectory() as out:
            asked = ["significance", str(cube), "--out", out]
            subprocess.run([sys.executable, "-m", "xtsupport", *asked], check=True,
                           stdout=subprocess.DEVNULL, env=compiles)  # fmt: skip
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        spent = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
        lines.append({"seconds": time.perf_counter() - start, "CPU seconds": spent})
    return pd.DataFrame(lines[1:])


if __name__ == "__main__":
    main()
