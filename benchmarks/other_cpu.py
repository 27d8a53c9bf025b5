"""Do the demo's verdicts depend on the processor? Its declared comparison with fewer instructions.

python benchmarks/other_cpu.py FOLDER [--seeds N ...]

Trains none, squad and none~squad on xquad once more, from the encoder that comes with the package,
with PyTorch's vector instructions off (ATEN_CPU_CAPABILITY=default) and oneDNN's limited
(ONEDNN_MAX_CPU_ISA=AVX2): other roundings, after which every run goes its own way. Verdicts, and
the means of every language, are then held against the scores of the demo study that ships. FOLDER
keeps the runs; a second call only compares. About eight minutes on two idle cores.
"""

import argparse
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd

from xtsupport import folders

OTHER = {"ATEN_CPU_CAPABILITY": "default", "ONEDNN_MAX_CPU_ISA": "AVX2"}
CONDITIONS = ("none", "squad", "none~squad")
CONTRASTS = [("squad", "none"), ("squad", "none~squad")]
PARAMS = folders.PACKAGE.parent / "params" / "demo.yaml"


def planned():
    """The part of the demo study that is repeated."""
    from xtsupport.study.plan import open_study

    only = [f"conditions={','.join(CONDITIONS)}", "targets=xquad"]
    return open_study(PARAMS, only=only)


def train(seeds) -> None:
    """Every run of these seeds, in this process."""
    import torch

    from xtsupport.study import runs
    from xtsupport.study.phases.train import train_intermediate, train_target

    torch.set_num_threads(1)
    todo = [run for run in planned().plan.runs if run.phase in ("intermediate", "target")]
    for run in todo:
        if run.seed in seeds and not runs.find(run):
            begin = train_intermediate if run.phase == "intermediate" else train_target
            begin(run, progress=False)
            print(run.name, flush=True)


def train_all(folder: Path, seeds) -> None:
    """Two processes on the other processor, each with half of the seeds."""
    environment = os.environ | OTHER | {"XTSUPPORT_ROOT": str(folder)}
    command = [sys.executable, __file__, str(folder), "--train", "--seeds"]
    halves = [[str(seed) for seed in seeds[start::2]] for start in (0, 1)]
    working = [subprocess.Popen([*command, *half], env=environment) for half in halves if half]
    if any(process.wait() for process in working):
        sys.exit("a training failed")


def scores_of(cube: pd.DataFrame) -> pd.DataFrame:
    """F1 (0..100) by condition and language (rows) and seed."""
    rows = cube[(cube["metric"] == "f1") & cube["condition"].isin(CONDITIONS)]
    return 100 * rows.pivot_table("score", ["condition", "language"], "seed", observed=True)


def verdicts_of(cube: pd.DataFrame) -> pd.DataFrame:
    """Gain and verdict of both contrasts by family, under the rules of the demo study."""
    from xtsupport.statistics.comparisons import compare

    rules = planned().settings.analysis
    rows = cube[cube["metric"].eq("f1") & cube["condition"].isin(CONDITIONS)]
    table = compare(rows, by="group", contrasts=CONTRASTS, data="world", margin=rules.margin,
                    alpha=rules.alpha, adjustment=rules.adjustment)  # fmt: skip
    table = table[table["task"].eq("xquad") & table["by"].eq("group")]
    return table.set_index(["baseline", "level"])[["gain", "ci_low", "ci_high", "verdict"]]


def compared(shipped: pd.DataFrame, other: pd.DataFrame) -> None:
    """Print what is equal and what is not."""
    both = verdicts_of(shipped).join(verdicts_of(other).add_suffix(" there"))
    same = both["verdict"].eq(both["verdict there"])
    print(both.round(1).to_string())
    print(f"\nverdicts equal: {same.sum()} of {len(same)}")
    one, two = scores_of(shipped), scores_of(other)
    error = one.std(axis=1) / np.sqrt(one.count(axis=1))
    z = (two.mean(axis=1) - one.mean(axis=1)) / error
    print(f"language means within two standard errors of the shipped: {(z.abs() <= 2).sum()} "
          f"of {len(z)}; farthest {z.abs().max():.1f} ({'/'.join(z.abs().idxmax())})")  # fmt: skip
    runs = (two - one).groupby("condition", observed=True).mean()
    print("single runs, mean over languages, there less here, in points:")
    print(runs.round(2).to_string())


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("--seeds", type=int, nargs="+", default=list(range(8)))
    parser.add_argument("--train", action="store_true", help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.train:
        train(args.seeds)
        return
    train_all(args.folder.resolve(), args.seeds)
    shipped = pd.read_parquet(folders.shipped() / "study" / "cube" / "task=xquad")
    os.environ["XTSUPPORT_ROOT"] = str(args.folder.resolve())
    from xtsupport.study import runs

    targets = [run for run in planned().plan.runs if run.phase == "target"]
    parts = [runs.require(run) for run in targets if run.seed in args.seeds]
    other = pd.concat([pd.read_parquet(part / "examples.parquet") for part in parts])
    compared(shipped.assign(task="xquad"), other)


if __name__ == "__main__":
    main()
