"""How long a study takes on several GPUs, by the estimate of `xtsupport plan`.

python benchmarks/scale.py params/paper.yaml [--devices 1 2 4 8 16]

Runs are given to the device that is free first, those with the longest way to the end before
others, each after the run it starts from: what Snakemake does under the slurm profile with one run
a node, less waiting for the cluster. Nothing is measured; `study/devices.py` says what is assumed.
"""

import argparse
import heapq
from collections import defaultdict

from xtsupport.study import cost
from xtsupport.study.devices import DEVICES
from xtsupport.study.inputs import Published
from xtsupport.study.params.loading import load_settings
from xtsupport.study.planner import Planner
from xtsupport.study.runs import Run

NODE = 30 / 3600  # hours a node takes beside its run: queue, kernel, imports


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("file")
    parser.add_argument("--devices", type=int, nargs="+", default=[1, 2, 4, 8, 16])
    options = parser.parse_args()
    settings = load_settings(options.file)
    made = Planner(settings, inputs=Published).all_runs()
    found = cost.Estimate(settings, made)
    for device in DEVICES:
        hours = hours_of(found, device)
        by_phase: dict[str, float] = defaultdict(float)
        for run in made:
            by_phase[run.phase] += hours[run.name]
        print(device.name, {phase: round(total, 1) for phase, total in by_phase.items()})
        longest = max(made, key=lambda run: hours[run.name])
        print(f"  longest run: {longest.name}, {hours[longest.name]:.1f} hours")
        for count in options.devices:
            print(f"  {count:>3} devices: {makespan(made, hours, count):,.1f} hours")


def hours_of(found: cost.Estimate, device: cost.Device) -> dict[str, float]:
    """Run name -> hours on a device, with what its node takes."""
    return {
        run.name: work.seconds(device) / 3600 + NODE
        for run, work in zip(found.runs, found.works, strict=True)
    }


def makespan(made: list[Run], hours: dict[str, float], devices: int) -> float:
    """Hours until all runs are done on so many devices."""
    below = defaultdict(list)
    for run in made:
        for each in run.upstream:
            below[each.name].append(run)
    ahead: dict[str, float] = {}
    for run in reversed(made):  # upstream first in `made`
        after = max((ahead[each.name] for each in below[run.name]), default=0.0)
        ahead[run.name] = hours[run.name] + after
    waiting = {run.name: len(run.upstream) for run in made}
    ready = [(-ahead[run.name], i, run) for i, run in enumerate(made) if not run.upstream]
    heapq.heapify(ready)
    busy: list[tuple[float, int, Run]] = []
    now, number = 0.0, len(made)
    while ready or busy:
        while ready and len(busy) < devices:
            _, i, run = heapq.heappop(ready)
            heapq.heappush(busy, (now + hours[run.name], i, run))
        now, _, done = heapq.heappop(busy)
        for run in below[done.name]:
            waiting[run.name] -= 1
            if not waiting[run.name]:
                number += 1
                heapq.heappush(ready, (-ahead[run.name], number, run))
    return now


if __name__ == "__main__":
    main()
