"""The variance of a gain from the moments of a contrast: clusters, seeds, cells, pooled runs.

A gain is a weighted sum of score differences. With d_gs its influence per cluster g and seed s, V_p
is the cluster-robust variance of the seed-averaged gain, V_s = Var_s(gain_s) / S, and V_c the
variance of the interaction residuals d_gs - d_g. - d_.s + d_.. that both contain (Cameron, Gelbach
& Miller 2011, with the analysis-of-variance form of the cell term). ``spread`` makes a standard
error of them, with the run variance that ``run_variance`` pools over conditions. Tasks, and sides
that are not paired, enter with their own degrees of freedom. Shared runs need no special care: the
seed term is computed on the whole weighted sum, so two tasks scored from one run, or from runs that
share a phase-2 encoder, covary through their seed.

Valid for which population:

- ``clusters x seeds``: the recipe, on new questions, in these languages (the default);
- ``clusters``: these trained models, on new questions;
- ``seeds``: the recipe, on these very questions;
- ``clusters x seeds x languages``: the recipe, on new questions, in other languages of the level
  (which takes its languages for a sample: a strong assumption, and worthless below three).
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from xtsupport.errors import UserError
from xtsupport.sides import Side
from xtsupport.statistics.clusters import Moments
from xtsupport.statistics.run_variance import cells_of, pooled_runs
from xtsupport.statistics.spread import PRIOR, satterthwaite


@dataclass(frozen=True)
class Arm:
    """A contrast within one task and metric; side 0 is the treatment, side 1 the baseline.

    L languages, S[a] replicates on side a.

    labels[a]: the replicates of a side, None where one run serves every seed (retrieval without
    phase 2); values[a]: (S[a], L) scores 0..1, NaN for a language that the side does not have;
    gram[a][b]: (S[a], S[b], L, L) cluster products of the sides' influences;
    mix[a]: (S[a], R), how a replicate averages the task's runs; sides: (condition, variant) each.
    """

    moments: Moments
    labels: tuple[tuple | None, tuple | None]
    values: tuple[np.ndarray, np.ndarray]
    gram: tuple[tuple[np.ndarray, ...], ...]
    mix: tuple[np.ndarray, np.ndarray]
    paired: bool
    sides: tuple[Side, Side]
    retrieval: bool = False
    note: str = ""

    @cached_property
    def cells(self) -> tuple[dict, set[Side]]:
        """The runs of every condition of the task, as ``run_variance.cells_of`` groups them."""
        return cells_of(self)

    @cached_property
    def means(self) -> tuple[np.ndarray, np.ndarray]:
        """The mean score (L,) of each side's replicates; 0 in a language that it does not have."""
        treatment, baseline = (np.nan_to_num(scores.mean(0)) for scores in self.values)
        return treatment, baseline

    @property
    def present(self) -> np.ndarray:
        """Which languages both sides have, (L,) bool."""
        return ~(np.isnan(self.values[0]).any(0) | np.isnan(self.values[1]).any(0))


def arm(
    moments: Moments, treatment: Side, baseline: Side, paired: bool = True, retrieval: bool = False
) -> Arm | None:
    """Cut a contrast out of a task, once for all who hold it; None where a side has no run, or no
    seed has a partner.

    paired joins equal seeds and leaves out seeds without a partner. In
    retrieval a side with a single run serves every seed of the other: it has no phase 2 to vary.
    """
    key = (treatment, baseline, paired, retrieval)
    found = moments.arms.get(key) or _cut(moments, *key)
    if found:
        moments.arms[key] = found
    return found


def _cut(moments, treatment, baseline, paired, retrieval) -> Arm | None:
    runs = {name: moments.runs[name].to_numpy() for name in moments.runs}
    sides = [
        np.flatnonzero((runs["condition"] == condition) & (runs["variant"] == variant))
        for condition, variant in (treatment, baseline)
    ]
    if any(len(rows) == 0 for rows in sides):
        return None
    sides = [rows[np.argsort(runs["seed"][rows])] for rows in sides]
    names = [runs["replicate"][rows] for rows in sides]
    single = [retrieval and len(rows) == 1 and not runs["phase2"][rows].any() for rows in sides]
    notes = ["one run of one side serves every seed"] if any(single) and not all(single) else []
    if paired and not any(single):
        seeds = [runs["seed"][rows] for rows in sides]
        both = np.intersect1d(*seeds)
        if not len(both):
            return None
        alone = np.setxor1d(*seeds)
        if len(alone):
            notes.append(f"seeds without a partner left out: {', '.join(map(str, alone))}")
        sides = [rows[np.isin(s, both)] for rows, s in zip(sides, seeds, strict=True)]
        coarse = min((runs["replicate"][rows] for rows in sides), key=lambda r: len(set(r)))
        names = [coarse, coarse]
    mixes = [_replicate_means(*side, len(moments.runs)) for side in zip(sides, names, strict=True)]
    if any(len(labels) < len(rows) for (labels, _), rows in zip(mixes, sides, strict=True)):
        notes.append("several seeds share a phase-2 run, which is the unit")
    (known_1, weights_1), (known_2, weights_2) = mixes
    labels = (None if single[0] else known_1, None if single[1] else known_2)
    mix, pair = (weights_1, weights_2), (treatment, baseline)
    values, gram = _mix(moments, mix)
    return Arm(moments, labels, values, gram, mix, paired, pair, retrieval, "; ".join(notes))


def _replicate_means(rows, names, n_runs) -> tuple[tuple, np.ndarray]:
    """The replicates of some runs, and weights (replicates, R) that average the runs of each."""
    labels = tuple(sorted(set(names.tolist())))
    mix = (np.array(labels)[:, None] == names).astype(float)
    full = np.zeros((len(labels), n_runs))
    full[:, rows] = mix / mix.sum(1, keepdims=True)
    return labels, full


def _mix(moments, mixes):
    rows = [np.flatnonzero(mix.any(0)) for mix in mixes]
    used = [mix[:, own] for mix, own in zip(mixes, rows, strict=True)]
    values = tuple(mix @ moments.values[own] for mix, own in zip(used, rows, strict=True))

    def block(a, b):
        cut = np.nan_to_num(moments.gram[rows[a]][:, :, rows[b]])
        return np.einsum("sr,rltm,ut->sulm", used[a], cut, used[b], optimize=True)

    return values, tuple(tuple(block(a, b) for b in (0, 1)) for a in (0, 1))


@dataclass(frozen=True)
class Estimate:
    """E weighted sums of scores with their variance, in fractions where the weights are numbers.

    gain: (E,); clusters, seeds, cells, pooled: V_p, V_s, V_c and q, (E,), or (E, E) if
    estimated jointly; df_clusters, df_seeds, df_pooled: (E,); n_seeds: of the side that has fewer;
    conditions: per sum the sides that q is pooled over; informed: (E,) whether they are more than
    the contrast's own.
    """

    gain: np.ndarray
    clusters: np.ndarray
    seeds: np.ndarray
    cells: np.ndarray
    pooled: np.ndarray
    df_clusters: np.ndarray
    df_seeds: np.ndarray
    df_pooled: np.ndarray
    n_seeds: int
    conditions: list[tuple[Side, ...]]
    informed: np.ndarray

    def covariance(self) -> np.ndarray:
        """The (E, E) covariance over clusters x seeds, its run part made positive semidefinite.

        The run part is the moderated one; that it is never below the levels' own, as in ``spread``,
        has no counterpart for a matrix.
        """
        df = self.df_seeds.min()
        run = (PRIOR * self.pooled + df * self.seeds) / (PRIOR + df) - self.cells
        values, vectors = np.linalg.eigh(run)
        return self.clusters + (vectors * np.maximum(values, 0)) @ vectors.T


def _own(part: np.ndarray) -> np.ndarray:
    return np.diag(part) if part.ndim == 2 else part


def estimate(arms: Sequence[Arm], weights: Sequence[np.ndarray], joint: bool = False) -> Estimate:
    """Estimate E weighted sums over the languages of several tasks of one contrast.

    weights: per arm (E, 2, L): what each language's treatment and baseline score count for (the
    latter usually negative). Tasks meet by replicate, so only replicates that all arms have are
    used. joint: also the covariances between the sums.
    """
    paired = all(one.paired for one in arms)
    picks = common_replicates(arms, paired)
    clusters, df_clusters = _cluster_part(arms, weights, picks, joint)
    groups = [(0, 1)] if paired else [(0,), (1,)]
    parts = [_seed_part(arms, weights, picks, sides, joint) for sides in groups]
    seeds, cells = sum(part[0] for part in parts), sum(part[1] for part in parts)
    fewest = max(min(part[2] for part in parts) - 1, 1)
    return Estimate(
        gain=sum(_side_mean(arms, weights, picks, side) for side in (0, 1)),
        clusters=clusters,
        seeds=seeds,
        cells=cells,
        df_clusters=df_clusters,
        df_seeds=satterthwaite([(_own(v), max(n - 1, 1)) for v, _, n in parts], fewest),
        n_seeds=min((len(picks[a][0]) for a in (0, 1) if paired or _varies(arms, a)), default=1),
        **_pooled(arms, weights, picks, paired, seeds),
    )


def _pooled(arms, weights, picks, paired, seeds) -> dict:
    """q, its degrees of freedom and the conditions behind it; V_s where q is unknown."""
    vary = [a for a in (0, 1) if _varies(arms, a)]
    crossed = paired and len(vary) == 2
    square, df, took = pooled_runs(arms, weights, crossed, seeds.ndim == 2)
    q = square * sum(1 / len(picks[a][0]) for a in vary)
    more = np.array([len(names) > max(len(vary), 1) for names in took])
    return {
        "pooled": np.where(np.isfinite(q), q, seeds),
        "df_pooled": df,
        "conditions": took,
        "informed": np.isfinite(_own(q)) & more,
    }


def _varies(arms, side: int) -> bool:
    """Whether a side has replicates; a single retrieval run has none."""
    return any(one.labels[side] is not None for one in arms)


def common_replicates(arms, paired) -> list[list[list[int]]]:
    """Per side and arm, the rows that make tasks (if paired, also sides) meet by replicate."""
    wanted = []
    for side in (0, 1):
        joined = (0, 1) if paired else (side,)
        known = [set(labels) for one in arms for a in joined if (labels := one.labels[a])]
        wanted.append(sorted(set.intersection(*known)) if known else [None])
    if not all(wanted):
        names = ", ".join(one.moments.task for one in arms)
        raise UserError(
            f"no seed is finished in all of {names}; finish the study or compare fewer tasks"
        )
    return [[_rows(one.labels[side], wanted[side]) for one in arms] for side in (0, 1)]


def _rows(labels, wanted) -> list[int]:
    return [0 if labels is None else labels.index(label) for label in wanted]


def _cluster_part(arms, weights, picks, joint):
    total: Any = 0.0
    parts = []
    for j, (one, weight) in enumerate(zip(arms, weights, strict=True)):
        part: Any = sum(
            _product(weight[:, a], _block(one, picks, j, a, b).mean((0, 1)), weight[:, b], joint)
            for a in (0, 1)
            for b in (0, 1)
        )
        used = [one.moments.count_clusters(row) for row in weight.any(1)]
        total = total + part
        parts.append((_own(part), np.maximum(np.array(used) - 1, 1)))
    return total, satterthwaite(parts)


def _block(one, picks, j, a, b) -> np.ndarray:
    return one.gram[a][b][np.ix_(picks[a][j], picks[b][j])]


def _product(left, block, right, joint) -> np.ndarray:
    """left (E, L) times block (..., L, L) times right (E, L): (..., E, E), or its diagonal."""
    return left @ block @ right.T if joint else ((left @ block) * right).sum(-1)


def _seed_part(arms, weights, picks, sides, joint):
    """V_seeds and V_cells of sides whose replicates belong together, and the number of them."""
    n = len(picks[sides[0]][0])
    gains: Any = 0.0
    product: Any = 0.0
    for j, (one, weight) in enumerate(zip(arms, weights, strict=True)):
        for a in sides:
            gains = gains + np.nan_to_num(one.values[a][picks[a][j]]) @ weight[:, a].T
            for b in sides:
                block = _block(one, picks, j, a, b)
                product = product + _product(weight[:, a], block, weight[:, b], joint)
    if n < 2:
        return np.zeros_like(product[0, 0]), np.zeros_like(product[0, 0]), n
    centred = gains - gains.mean(0)
    seeds = centred.T @ centred if joint else (centred**2).sum(0)
    cells = np.trace(product) - product.sum((0, 1)) / n
    return seeds / (n * (n - 1)), cells / (n * (n - 1)), n


def _side_mean(arms, weights, picks, side):
    return sum(
        np.nan_to_num(one.values[side][picks[side][j]]).mean(0) @ weight[:, side].T
        for j, (one, weight) in enumerate(zip(arms, weights, strict=True))
    )
