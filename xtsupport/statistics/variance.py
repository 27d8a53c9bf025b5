"""The primary inference: the two-way (clusters x seeds) variance of a gain.

A gain is a weighted sum of score differences. With d_gs its influence per cluster g and seed s,

    V  = V_clusters + max(V_seeds - V_cells, 0)
    df = V^2 / (V_clusters^2 / (G - 1) + max(V_seeds - V_cells, 0)^2 / (S - 1))

where V_clusters is the cluster-robust variance of the seed-averaged gain, V_seeds Var_s(gain_s)/S,
and V_cells the variance of the interaction residuals d_gs - d_g. - d_.s + d_.. that both contain
(Cameron, Gelbach & Miller 2011, with the analysis-of-variance form of the cell term). The degrees
of freedom are those of Satterthwaite (1946); tasks, and sides that are not paired, enter with their
own. Shared runs need no special care: the seed term is computed on the whole weighted sum, so two
tasks scored from one run, or from runs that share a phase-2 encoder, covary through their seed.

In the designs of benchmarks/calibration.md a true null is rejected in 4 to 7% of studies at 5%,
with one known exception: the formula takes the shares of V for known, and where three runs make
most of the noise their share is estimated from two degrees of freedom, too small just when the
interval is too short; then it is 9% (with five runs 6 to 7%). ``cautious_degrees``, whose shares
enter unsquared, is the check that ``sensitivity`` reports beside it (4 to 5%, and 7% there).

Valid for which population:

- ``clusters x seeds``: the recipe, on new questions, in these languages (the default);
- ``clusters``: these trained models, on new questions;
- ``seeds``: the recipe, on these very questions;
- ``clusters x seeds x languages``: the recipe, on new questions, in other languages of the level
  (which takes its languages for a sample: a strong assumption, and worthless below three).
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from xtsupport.errors import UserError
from xtsupport.sides import Side
from xtsupport.statistics.clusters import Moments
from xtsupport.statistics.declared import UNITS


@dataclass(frozen=True)
class Arm:
    """A contrast within one task and metric; side 0 is the treatment, side 1 the baseline.

    L languages, S[a] replicates on side a.

    labels[a]: the replicates of a side, None where one run serves every seed (retrieval without
    phase 2); values[a]: (S[a], L) scores 0..1, NaN for a language that the side does not have;
    gram[a][b]: (S[a], S[b], L, L) cluster products of the sides' influences;
    mix[a]: (S[a], R), how a replicate averages the task's runs.
    """

    moments: Moments
    labels: tuple[tuple | None, tuple | None]
    values: tuple[np.ndarray, np.ndarray]
    gram: tuple[tuple[np.ndarray, ...], ...]
    mix: tuple[np.ndarray, np.ndarray]
    paired: bool
    note: str = ""

    @property
    def present(self) -> np.ndarray:
        """Which languages both sides have, (L,) bool."""
        return ~(np.isnan(self.values[0]).any(0) | np.isnan(self.values[1]).any(0))


def arm(
    moments: Moments, treatment: Side, baseline: Side, paired: bool = True, retrieval: bool = False
) -> Arm | None:
    """Cut a contrast out of a task; None where a side has no run.

    paired joins equal seeds and leaves out seeds without a partner (UserError if none has one). In
    retrieval a side with a single run serves every seed of the other: it has no phase 2 to vary.
    """
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
            have = [", ".join(map(str, s)) for s in seeds]
            raise UserError(
                f"{moments.task}: {'/'.join(treatment)} has seeds {have[0]}, "
                f"{'/'.join(baseline)} has {have[1]}: no seed has a partner; use paired=False"
            )
        alone = np.setxor1d(*seeds)
        if len(alone):
            notes.append(f"seeds without a partner left out: {', '.join(map(str, alone))}")
        sides = [rows[np.isin(s, both)] for rows, s in zip(sides, seeds, strict=True)]
        coarse = min((runs["replicate"][rows] for rows in sides), key=lambda r: len(set(r)))
        names = [coarse, coarse]
    mixes = [_replicate_means(*side, len(moments.runs)) for side in zip(sides, names, strict=True)]
    if any(len(labels) < len(rows) for (labels, _), rows in zip(mixes, sides, strict=True)):
        notes.append("several seeds share a phase-2 run, which is the unit")
    mix = tuple(weights for _, weights in mixes)
    values, gram = _mix(moments, mix)
    labels = tuple(
        None if alone else known for alone, (known, _) in zip(single, mixes, strict=True)
    )
    return Arm(moments, labels, values, gram, mix, paired, "; ".join(notes))


def _replicate_means(rows, names, n_runs) -> tuple[tuple, np.ndarray]:
    """The replicates of some runs, and weights (replicates, R) that average the runs of each."""
    labels = tuple(sorted(set(names.tolist())))
    mix = (np.array(labels)[:, None] == names).astype(float)
    full = np.zeros((len(labels), n_runs))
    full[:, rows] = mix / mix.sum(1, keepdims=True)
    return labels, full


def _mix(moments, mixes):
    rows = [np.flatnonzero(mix.any(0)) for mix in mixes]
    values = tuple(
        mix[:, used] @ moments.values[used] for mix, used in zip(mixes, rows, strict=True)
    )

    def block(a, b):
        cut = np.nan_to_num(moments.gram[rows[a]][:, :, rows[b]])
        return np.einsum(
            "sr,rltm,ut->sulm", mixes[a][:, rows[a]], cut, mixes[b][:, rows[b]], optimize=True
        )

    return values, tuple(tuple(block(a, b) for b in (0, 1)) for a in (0, 1))


@dataclass(frozen=True)
class Estimate:
    """E weighted sums of scores with their variance, in fractions where the weights are numbers.

    gain, baseline: (E,); clusters, seeds, cells: the three terms of the module's formula, (E,), or
    (E, E) if estimated jointly; df_clusters, df_seeds: (E,); n_seeds: of the side that has fewer.
    """

    gain: np.ndarray
    baseline: np.ndarray
    clusters: np.ndarray
    seeds: np.ndarray
    cells: np.ndarray
    df_clusters: np.ndarray
    df_seeds: np.ndarray
    n_seeds: int

    def covariance(self) -> np.ndarray:
        """The (E, E) covariance over clusters x seeds, its seed part made positive semidefinite."""
        values, vectors = np.linalg.eigh(self.seeds - self.cells)
        return self.clusters + (vectors * np.maximum(values, 0)) @ vectors.T


def satterthwaite(parts, otherwise: float = np.inf):
    """Degrees of freedom of a sum of variances: (sum V)^2 / sum(V^2 / df) (Satterthwaite 1946).

    parts: pairs (V, df) of arrays that broadcast; ``otherwise`` where every V is 0.
    """
    total = sum(np.asarray(variance, float) for variance, _ in parts)
    spread = sum(np.square(variance) / df for variance, df in parts)
    default = np.full(np.shape(total), float(otherwise))
    return np.divide(total**2, spread, out=default, where=spread > 0)


def cautious_degrees(parts):
    """Fewer: sum V / sum(V / df), to first order the critical value of Cochran & Cox (1950)."""
    total = sum(np.asarray(variance, float) for variance, _ in parts)
    spread = sum(np.asarray(variance, float) / df for variance, df in parts)
    return np.divide(total, spread, out=np.full(np.shape(total), np.inf), where=spread > 0)


def standard_error(
    one: Estimate, unit: str = UNITS[0], extra=0.0, df_extra=np.inf, degrees=satterthwaite
):
    """Standard errors and degrees of freedom, (E,) and (E,), by the module's formula.

    ``extra`` is an independent variance to add, such as that of languages, with ``df_extra``
    degrees of freedom. degrees: ``satterthwaite`` or ``cautious_degrees``.
    """
    parts = (_own(part) for part in (one.clusters, one.seeds, one.cells))
    clusters, seeds, cells = (np.maximum(part, 0) for part in parts)  # rounding can leave -1e-20
    if unit == "seeds" and one.n_seeds > 1:
        return np.sqrt(seeds), one.df_seeds
    seeds_count = unit != "clusters" and one.n_seeds > 1
    between = np.maximum(seeds - cells, 0) if seeds_count else np.zeros_like(clusters)
    parts = [(clusters, one.df_clusters), (between, one.df_seeds), (extra, df_extra)]
    return np.sqrt(clusters + between + extra), degrees(parts)


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
    treatment, baseline = (_side_mean(arms, weights, picks, side) for side in (0, 1))
    return Estimate(
        gain=treatment + baseline,
        baseline=-baseline,
        clusters=clusters,
        seeds=seeds,
        cells=cells,
        df_clusters=df_clusters,
        df_seeds=satterthwaite([(_own(v), max(n - 1, 1)) for v, _, n in parts], fewest),
        n_seeds=min(_replicates_that_vary(arms, picks, paired), default=1),
    )


def _replicates_that_vary(arms, picks, paired) -> list[int]:
    """The number of replicates of each side that has any; a single retrieval run has none."""
    own = [paired or any(one.labels[side] is not None for one in arms) for side in (0, 1)]
    return [len(picks[side][0]) for side in (0, 1) if own[side]]


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
    total, parts = 0.0, []
    for j, (one, weight) in enumerate(zip(arms, weights, strict=True)):
        part = sum(
            _product(weight[:, a], _block(one, picks, j, a, b).mean((0, 1)), weight[:, b], joint)
            for a in (0, 1)
            for b in (0, 1)
        )
        used = [one.moments.count_clusters(np.flatnonzero(row.any(0))) for row in weight]
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
    gains, product = 0.0, 0.0
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
