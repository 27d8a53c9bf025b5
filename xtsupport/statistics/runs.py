"""How much runs of one recipe differ, pooled over every condition that a row has.

Three runs of two sides say little about how much runs vary; the runs of all conditions of a study
say more. y_cs is the row's weighted score of condition c under seed s. With paired seeds, MS is the
mean square of what remains of y after conditions and seeds; a gain over S seeds then has a run
variance of q = 2 MS / S. Seeds that are not paired leave only the variance within conditions, MS,
and q = MS (1 / S_k + 1 / S_0); so does retrieval without phase 2, whose one run does not vary: q =
MS / S_k.

A condition takes part if it has every task and language of the row under two seeds or more.
Deviating runs of a study (``squad{...}``) take part only where they are a side themselves.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from xtsupport.sides import Side


@dataclass(frozen=True)
class Pool:
    """What all conditions say about runs, for E rows.

    mean_square: MS, (E,) or (E, E), NaN where no residual is left; df: (E,) residual degrees of
    freedom; conditions: per row the (condition, variant) pairs that took part.
    """

    mean_square: np.ndarray
    df: np.ndarray
    conditions: list[tuple[Side, ...]]


def pool(arms: Sequence, weights: Sequence[np.ndarray], crossed: bool, joint: bool) -> Pool:
    """The pooled mean square of E rows over several arms of one contrast.

    weights: per arm (E, 2, L), as for ``estimate``; other conditions count with the mean of both
    sides' weights, which in points are equal. crossed: seeds are a factor, as where they are
    paired. joint: also the products between the rows, over the conditions that all rows have.
    """
    cells = _common_cells(arms)
    conditions = np.array([number for number, _ in cells], int)
    seeds = np.unique([label for _, label in cells], return_inverse=True)[1]
    scores, usable = _scores(arms, weights, cells, list(cells))
    if joint:
        usable[:] = usable.all(1, keepdims=True)
    for number in np.unique(conditions):
        mine = conditions == number
        usable[mine] &= usable[mine].sum(0) > 1
    names = _sides(arms)
    rows = scores.shape[1]
    square, df = np.full((rows, rows) if joint else rows, np.nan), np.zeros(rows)
    patterns, which = np.unique(usable, axis=1, return_inverse=True)
    took = []
    for i, used in enumerate(patterns.T):
        mine = np.flatnonzero(which.ravel() == i)
        rest, df[mine] = _residual(scores[used][:, mine], conditions[used], seeds[used], crossed)
        if df[mine[0]] > 0:
            product = rest.T @ rest if joint else (rest**2).sum(0)
            square[np.ix_(mine, mine) if joint else mine] = product / df[mine[0]]
        took.append(tuple(names[number] for number in np.unique(conditions[used])))
    return Pool(square, df, [took[i] for i in which.ravel()])


def _residual(y, conditions, seeds, crossed) -> tuple[np.ndarray, int]:
    """What least squares on conditions (and seeds) leaves of y (n, E), and its df."""
    factors = (conditions, seeds) if crossed else (conditions,)
    design = np.hstack([factor[:, None] == np.unique(factor) for factor in factors]).astype(float)
    if not len(y):
        return y, 0
    basis, sizes, _ = np.linalg.svd(design, full_matrices=False)
    basis = basis[:, sizes > 1e-9]
    return y - basis @ (basis.T @ y), len(y) - basis.shape[1]


def _sides(arms) -> list[Side]:
    """Every (condition, variant) that may take part, treatment and baseline first."""
    own = list(arms[0].sides)
    found = [side for one in arms for side in zip(*_columns(one)[:2], strict=True)]
    return own + [s for s in dict.fromkeys(found) if s not in own and "{" not in s[0]]


def _columns(one) -> list[list]:
    names = ("condition", "variant", "seed", "replicate", "phase2")
    return [one.moments.runs[name].tolist() for name in names]


def _runs_of_cells(one, number: dict[Side, int]) -> tuple[dict, set[int]]:
    """(number of a side, replicate) -> rows of runs, and the sides whose one run serves all."""
    runs = list(zip(*_columns(one), strict=True))
    joined = _joined_seeds(one)
    by_side: dict[int, list] = {}
    for row, (condition, variant, seed, replicate, phase2) in enumerate(runs):
        side = number.get((condition, variant))
        if side is not None:
            by_side.setdefault(side, []).append((row, seed, replicate, phase2))
    cells: dict[tuple[int, int], list[int]] = {}
    alone = set()
    for side, mine in by_side.items():
        own, shared = (
            [replicate for *_, replicate, _ in mine],
            [joined.get(seed, replicate) for _, seed, replicate, _ in mine],
        )
        labels = own if len(set(own)) < len(set(shared)) else shared
        if one.retrieval and len(mine) == 1 and not mine[0][3]:
            alone.add(side)
        for (row, *_), label in zip(mine, labels, strict=True):
            cells.setdefault((side, label), []).append(row)
    return cells, alone


def _joined_seeds(one) -> dict[int, int]:
    """seed -> replicate, as the contrast's own sides count them."""
    seeds = one.moments.runs["seed"].to_numpy()
    return {
        int(seed): label
        for labels, mix in zip(one.labels, one.mix, strict=True)
        if labels is not None
        for label, weights in zip(labels, mix, strict=True)
        for seed in seeds[weights > 0]
    }


def _common_cells(arms) -> dict[tuple[int, int], list[list[int]]]:
    """(number of a side, replicate) -> per arm the rows of runs, for cells that all arms have."""
    number = {side: i for i, side in enumerate(_sides(arms))}
    parts = [_runs_of_cells(one, number) for one in arms]
    lone = [
        {key[0]: rows for key, rows in cells.items() if key[0] in alone} for cells, alone in parts
    ]
    every = sorted({key for cells, alone in parts for key in cells if key[0] not in alone})
    found = {}
    for key in every:
        rows = [
            cells.get(key) or single.get(key[0])
            for (cells, _), single in zip(parts, lone, strict=True)
        ]
        if all(rows):
            found[key] = rows
    return found


def _scores(arms, weights, cells, keys) -> tuple[np.ndarray, np.ndarray]:
    """Weighted scores (cells, E) with the treatment's sign, and which cells have all of a row."""
    rows = len(weights[0])
    scores, lacking = np.zeros((len(keys), rows)), np.zeros((len(keys), rows))
    sides = np.array([number for number, _ in keys], int)
    for j, (one, weight) in enumerate(zip(arms, weights, strict=True)):
        mix = np.zeros((len(keys), len(one.moments.runs)))
        for i, key in enumerate(keys):
            mix[i, cells[key][j]] = 1 / len(cells[key][j])
        known = ~np.isnan(one.moments.values)
        values = mix @ np.where(known, one.moments.values, 0.0)
        both = (weight[:, 0], -weight[:, 1], (weight[:, 0] - weight[:, 1]) / 2)
        for kind, counts in enumerate(both):
            mine = np.minimum(sides, 2) == kind
            scores[mine] += values[mine] @ counts.T
        lacking += (mix @ ~known) @ weight.any(1).T
    return scores, lacking <= 1e-12
