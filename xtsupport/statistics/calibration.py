"""Does the test of this study cry wolf, and would it see a wolf? On the study's own scores.

Null studies are made by swapping treatment and baseline in half of the clusters at random; in them
no gain exists, and about 5% should be significant. The same with points added to one side should
be found with the power that a real gain of that size would have. Swapping removes what runs have
in common, so this checks the machinery on real scores; the calibration under run-to-run noise is
benchmarks/calibration.py.
"""

from dataclasses import replace

import numpy as np
import pandas as pd
from scipy import stats

from xtsupport.errors import UserError
from xtsupport.sides import side
from xtsupport.statistics.clusters import ClusterSums
from xtsupport.statistics.contrasts import cases
from xtsupport.statistics.evidence import Evidence, gather
from xtsupport.statistics.inference import inference
from xtsupport.statistics.power import t_power


def self_test(
    evidence: Evidence, gain: float = 2.0, studies: int = 100, seed: int = 0
) -> pd.DataFrame:
    """Share of swapped studies that are significant at alpha, without and with ``gain`` points.

    Tested is the primary contrast on its target over all
    zero-shot languages. Columns: planted (points), studies, found, expected, low and high (percent;
    the range holds 95% of such counts if all is well: alpha without a gain, the t test's power
    with), unit.
    """
    primary, alpha = evidence.primary, evidence.rules.alpha
    wanted = [
        one for one in evidence.sums if (one.task, one.metric) == (primary.target, primary.metric)
    ]
    if not wanted or wanted[0].micro:
        raise UserError(f"self-test: needs {primary.target} {primary.metric} as a mean of scores")
    pair = (side(primary.treatment), side(primary.baseline))
    part = _paired_runs(wanted[0], pair)
    rng = np.random.default_rng(seed)
    null, planted = [], []
    for _ in range(studies):
        swapped = _swap(part, rng)
        null.append(_test(swapped, pair, evidence))
        planted.append(_test(_add(swapped, gain), pair, evidence))
    power = np.mean([t_power(gain, row["se"], row["df"], alpha) for row in planted])
    lines = [_line(0.0, null, alpha, alpha), _line(gain, planted, alpha, power)]
    return pd.DataFrame(lines).assign(unit=evidence.rules.unit)


def _paired_runs(part: ClusterSums, pair) -> ClusterSums:
    """The runs of both sides only: the treatment's, then the baseline's, with equal seeds."""
    runs = part.runs
    sides = [runs[(runs["condition"] == c) & (runs["variant"] == v)] for c, v in pair]
    both = sorted(set(sides[0]["seed"]) & set(sides[1]["seed"]))
    if not both:
        raise UserError(f"self-test: {part.task} has no seed with runs of both sides")
    index = [i for one in sides for i in one[one["seed"].isin(both)].sort_values("seed").index]
    sums = [total[index] for total in part.sums]
    return replace(part, runs=runs.loc[index].reset_index(drop=True), sums=sums)


def _swap(part: ClusterSums, rng) -> ClusterSums:
    n = len(part.runs) // 2
    other = np.r_[n : 2 * n, :n]
    swap = rng.random(max(ids.max() for ids in part.clusters) + 1) < 0.5
    sums = [
        np.where(swap[ids][None, :, None], total[other], total)
        for ids, total in zip(part.clusters, part.sums, strict=True)
    ]
    return replace(part, sums=sums)


def _add(part: ClusterSums, gain: float) -> ClusterSums:
    treated = (np.arange(len(part.runs)) < len(part.runs) // 2)[:, None, None]
    added = [size[None, :, None] * gain / 100 * treated for size in part.sizes]
    sums = [total + more for total, more in zip(part.sums, added, strict=True)]
    return replace(part, sums=sums)


def _test(part: ClusterSums, pair, evidence: Evidence) -> dict:
    rules, one = evidence.rules, gather([part], data=evidence.data)
    found = cases(one.moments, one.facts, [pair], "all", rules.paired, part.task, evidence.source)
    return inference(found[:1], rules.unit, rules.alpha).iloc[0].to_dict()


def _line(planted: float, rows: list[dict], alpha: float, expected: float) -> dict:
    n = len(rows)
    low, high = stats.binom.interval(0.95, n, expected)
    return {
        "planted": planted,
        "studies": n,
        "found": 100 * np.mean([row["p_value"] <= alpha for row in rows]),
        "expected": 100 * expected,
        "low": 100 * low / n,
        "high": 100 * high / n,
    }
