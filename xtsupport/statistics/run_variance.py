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

import numpy as np

from xtsupport.sides import Side


def pooled_runs(
    arms: Sequence, weights: Sequence[np.ndarray], crossed: bool, joint: bool
) -> tuple[np.ndarray, np.ndarray, list[tuple[Side, ...]]]:
    """What all conditions say about the runs of E rows over several arms of one contrast: MS, (E,)
    or (E, E), NaN where no residual is left; its degrees of freedom (E,); who took part, per row.

    weights: per arm (E, 2, L), as for ``estimate``; other conditions count with the mean of both
    sides' weights, which in points are equal. crossed: seeds are a factor, as where they are
    paired. joint: also the products between the rows, over the conditions that all rows have.
    """
    cells = _common_cells(arms)
    names = list(dict.fromkeys((*arms[0].sides, *(side for side, _ in cells))))
    conditions = np.array([names.index(side) for side, _ in cells], int)
    seeds = np.unique([label for _, label in cells], return_inverse=True)[1]
    scores, usable = _scores(arms, weights, cells, conditions)
    if joint:
        usable[:] = usable.all(1, keepdims=True)
    for number in np.unique(conditions):
        mine = conditions == number
        usable[mine] &= usable[mine].sum(0) > 1
    rows = scores.shape[1]
    square, df = np.full((rows, rows) if joint else rows, np.nan), np.zeros(rows)
    patterns: dict[bytes, list[int]] = {}
    for row, column in enumerate(usable.T):
        patterns.setdefault(column.tobytes(), []).append(row)
    took: list[tuple[Side, ...]] = [()] * rows
    for mine in patterns.values():
        used = usable[:, mine[0]]
        rest, df[mine] = _residual(scores[used][:, mine], conditions[used], seeds[used], crossed)
        if df[mine[0]] > 0:
            product = rest.T @ rest if joint else (rest**2).sum(0)
            square[np.ix_(mine, mine) if joint else mine] = product / df[mine[0]]
        sides = tuple(names[number] for number in np.unique(conditions[used]))
        for row in mine:
            took[row] = sides
    return square, df, took


def _residual(y, conditions, seeds, crossed) -> tuple[np.ndarray, int]:
    """What least squares on conditions (and seeds) leaves of y (n, E), and its df."""
    factors = (conditions, seeds) if crossed else (conditions,)
    design = np.hstack([factor[:, None] == np.unique(factor) for factor in factors]).astype(float)
    if not len(y):
        return y, 0
    basis, sizes, _ = np.linalg.svd(design, full_matrices=False)
    basis = basis[:, sizes > 1e-9]
    return y - basis @ (basis.T @ y), len(y) - basis.shape[1]


def cells_of(one) -> tuple[dict, set[Side]]:
    """(side, replicate) -> rows of an arm's runs, for every condition of its task; sides whose one
    run of retrieval, without phase 2, serves all replicates.
    """
    names = ("condition", "variant", "seed", "replicate", "phase2")
    runs = zip(*(one.moments.runs[name].tolist() for name in names), strict=True)
    by_side: dict[Side, list] = {}
    for row, (condition, variant, *rest) in enumerate(runs):
        if "{" not in condition or (condition, variant) in one.sides:
            by_side.setdefault((condition, variant), []).append((row, *rest))
    joined = _joined_seeds(one)
    cells: dict[tuple[Side, int], list[int]] = {}
    alone = set()
    for side, mine in by_side.items():
        own = [replicate for _, _, replicate, _ in mine]
        labels = [joined.get(seed, replicate) for _, seed, replicate, _ in mine]
        labels = own if len(set(own)) < len(set(labels)) else labels
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


def _common_cells(arms) -> dict[tuple[Side, int], list[list[int]]]:
    """(side, replicate) -> per arm the rows of runs, for cells that all arms have."""
    parts = [one.cells for one in arms]
    lone = [{key[0]: rows for key, rows in cells.items() if key[0] in one} for cells, one in parts]
    every = sorted({key for cells, alone in parts for key in cells if key[0] not in alone})
    found = {}
    for key in every:
        pairs = zip(parts, lone, strict=True)
        rows = [cells.get(key) or single.get(key[0], []) for (cells, _), single in pairs]
        if all(rows):
            found[key] = rows
    return found


def _scores(arms, weights, cells, conditions) -> tuple[np.ndarray, np.ndarray]:
    """Weighted scores (cells, E) with the treatment's sign, and which cells have all of a row."""
    scores, lacking = np.zeros((2, len(cells), len(weights[0])))
    for j, (one, weight) in enumerate(zip(arms, weights, strict=True)):
        mix = np.zeros((len(cells), len(one.moments.runs)))
        for i, rows in enumerate(cells.values()):
            mix[i, rows[j]] = 1 / len(rows[j])
        known = ~np.isnan(one.moments.values)
        values = mix @ np.where(known, one.moments.values, 0.0)
        both = (weight[:, 0], -weight[:, 1], (weight[:, 0] - weight[:, 1]) / 2)
        for kind, counts in enumerate(both):
            mine = np.minimum(conditions, 2) == kind
            scores[mine] += values[mine] @ counts.T
        if not known.all():
            lacking += (mix @ ~known) @ weight.any(1).T
    return scores, lacking <= 1e-12
