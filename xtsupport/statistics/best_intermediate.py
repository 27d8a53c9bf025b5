"""The best intermediate task for a target, without flattering it.

The best of several noisy gains overstates itself. Three ways to choose, all over the baseline:

- ``cross-fitted``: clusters are cut into folds and seeds left out in turn; each (fold, seed) is
  judged under the condition that is best on the other folds *and* the other seeds;
- ``english``: the same, but chosen by the source language's scores, as one without target data
  would; questions are parallel across languages, so folds are left out here too;
- ``naive``: chosen and judged on everything. Labelled optimistic, for comparison only.

With one seed only folds are left out: the run that chooses is judged, too, and the way is called
``cross-fitted, questions only``. Intervals resample clusters x seeds and repeat the choice inside
every resample, folds and seeds keeping their names so that a drawn copy is never on both sides.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from xtsupport.errors import UserError, unknown
from xtsupport.sides import SOURCE
from xtsupport.statistics.bootstrap import cluster_ids
from xtsupport.statistics.clusters import ratio
from xtsupport.statistics.declared import UNITS
from xtsupport.statistics.evidence import Evidence

FOLDS = 5
AT_ONCE = 100  # resamples: few enough for memory, enough that Python does not count
WAYS = ("cross-fitted", "english", "naive")


def best_intermediate(
    evidence: Evidence,
    targets: str | Sequence[str] = "xquad",
    candidates: Sequence[str] | None = None,
    baseline: str = "none",
    ways: Sequence[str] = WAYS,
    n_resamples: int = 500,
    seed: int = 0,
) -> pd.DataFrame:
    """The gain (points, mean of zero-shot languages) of choosing the best condition per target.

    candidates: conditions to choose from (None: all plain ones but the baseline and its controls).
    One row per target and way, and for several targets one per way for their ``mean``: chosen (most
    often), share of choices it won, gain, ci_low, ci_high (percentile, clusters x seeds; seeds are
    drawn for all targets at once), n_seeds (the fewest of a target), unit, note. UserError for
    fewer than two candidates, or no source-language scores for ``english``.
    """
    if strange := [way for way in ways if way not in WAYS]:
        raise UserError(*(unknown("way of choosing", way, WAYS) for way in strange))
    targets = [targets] if isinstance(targets, str) else list(targets)
    chosen = [_target_scores(evidence, name, candidates, baseline) for name in targets]
    rng, alpha = np.random.default_rng(seed), evidence.rules.alpha
    fold = [rng.permutation(one.n_clusters) % FOLDS for one in chosen]
    lines = []
    for way in ways:
        parts = list(zip(chosen, fold, strict=True))
        once = [(np.ones((1, one.n_clusters)), np.ones((1, one.n_seeds))) for one in chosen]
        whole = [_choose(one, f, way, *each) for (one, f), each in zip(parts, once, strict=True)]
        gains = np.array([gain[0] for gain, _ in whole])
        drawn = _resampled(parts, way, n_resamples, rng)
        for target, one, (gain, won), column in zip(targets, chosen, whole, drawn.T, strict=True):
            best = {"chosen": one.conditions[int(won[0].argmax())], "share": float(won[0].max())}
            lines.append(_line(target, way, best, gain[0], column, alpha, [one]))
        if len(targets) > 1:
            best = {"chosen": "best of each target", "share": np.nan}
            lines.append(_line("mean", way, best, gains.mean(), drawn.mean(1), alpha, chosen))
    return pd.DataFrame(lines)


def _resampled(parts, way, n_resamples: int, rng) -> np.ndarray:
    """The gain of every resample and target, (n_resamples, targets), `AT_ONCE` of them at a time.

    parts: per target its scores and the fold of each cluster.
    """
    done = []
    most = max(one.n_seeds for one, _ in parts)
    for first in range(0, n_resamples, AT_ONCE):
        drawn: list[list] = [[] for _ in parts]
        for _ in range(min(AT_ONCE, n_resamples - first)):
            luck = rng.random(most)
            for own, (one, _) in zip(drawn, parts, strict=True):
                own.append(_draw(one, rng, luck))
        counts = [map(np.stack, zip(*own, strict=True)) for own in drawn]
        gains = [_choose(one, f, way, *own)[0]
                 for (one, f), own in zip(parts, counts, strict=True)]  # fmt: skip
        done.append(np.stack(gains, axis=1))
    return np.concatenate(done)


def _line(target, way, best, gain, drawn, alpha, scores: Sequence["_Scores"]) -> dict:
    low, high = np.quantile(drawn, [alpha / 2, 1 - alpha / 2])
    numbers = {"gain": 100 * gain, "ci_low": 100 * low, "ci_high": 100 * high}
    n_seeds = min(one.n_seeds for one in scores)
    label = way if n_seeds > 1 or way == "naive" else f"{way}, questions only"
    note = "; ".join(dict.fromkeys(filter(None, (_note(way, one) for one in scores))))
    about = {"n_seeds": n_seeds, "unit": UNITS[0], "note": note}
    return {"target": target, "way": label, **best, **numbers, **about}


def _note(way, scores) -> str:
    n, most = scores.n_seeds, scores.most_seeds
    seeds = f"over the {n} seeds that all conditions have, of up to {most}" if n < most else ""
    if n == 1:
        seeds = "one seed: the same runs choose and are judged"
    elif n < 5:
        seeds = f"{seeds or f'{n} seeds'}: the interval is too short where runs differ much"
    naive = "optimistic: chosen and judged on the same scores" if way == "naive" else ""
    return "; ".join(filter(None, [naive, seeds]))


@dataclass(frozen=True)
class _Scores:
    """Summed statistics of one target: per language (G, conditions + baseline, seeds, stats)."""

    conditions: list[str]
    sums: list[np.ndarray]
    sizes: list[np.ndarray]
    at: list[np.ndarray]
    judged: list[int]
    source: list[int]
    n_clusters: int
    n_seeds: int
    most_seeds: int  # of any one condition


def _target_scores(evidence, target, candidates, baseline) -> _Scores:
    parts = [one for one in evidence.sums if one.task == target]
    if not parts:
        raise UserError(f"best intermediate for {target!r}: the cube has no such task")
    facts = evidence.facts[target]
    part = next(one for one in parts if one.metric == facts.metric)
    runs = part.runs[part.runs["variant"] == "plain"]
    names = list(dict.fromkeys(runs["condition"]))
    if candidates is None:
        candidates = [n for n in names if n != baseline and not n.startswith(f"{baseline}~")]
    missing = [name for name in (*candidates, baseline) if name not in names]
    if missing or len(candidates) < 2:
        raise UserError(f"best intermediate for {target}: needs {baseline!r} and two candidates or "
                        f"more; the cube has {', '.join(names)}")  # fmt: skip
    chosen = [runs[runs["condition"] == name] for name in (*candidates, baseline)]
    several = [rows for rows in chosen if len(rows) > 1 or facts.kind != "retrieval"] or chosen
    seeds = sorted(set.intersection(*(set(rows["seed"]) for rows in several)))
    if not seeds:
        raise UserError(f"best intermediate for {target}: no seed has runs of every candidate")
    index = []  # the runs of every candidate and seed; a single retrieval run serves every seed
    for rows in chosen:
        by_seed = dict(zip(rows["seed"], rows.index, strict=True))
        index.append([by_seed.get(seed, rows.index[0]) for seed in seeds])
    languages = part.languages["language"].tolist()
    ids = cluster_ids([part])
    return _Scores(
        conditions=list(candidates),
        sums=[np.ascontiguousarray(np.moveaxis(total[index], 2, 0)) for total in part.sums],
        sizes=part.sizes,
        at=[np.searchsorted(ids, clusters) for clusters in part.clusters],
        judged=[i for i, code in enumerate(languages) if code != SOURCE],
        source=[i for i, code in enumerate(languages) if code == SOURCE],
        n_clusters=len(ids),
        n_seeds=len(seeds),
        most_seeds=max(map(len, chosen)),
    )


def _draw(scores: _Scores, rng, luck: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Counts of clusters, and of seeds by uniform numbers that all targets share."""
    n = scores.n_clusters
    counts = np.bincount(rng.integers(0, n, n), minlength=n)
    seeds = (luck[: scores.n_seeds] * scores.n_seeds).astype(int)
    return counts, np.bincount(seeds, minlength=scores.n_seeds)


def _choose(scores: _Scores, fold, way, counts, seeds) -> tuple[np.ndarray, np.ndarray]:
    """The gain of the choices (R,), and the share of them that fell on each candidate (R, C).

    fold: (clusters,); counts, seeds: (R, clusters) and (R, S), how often each counts.
    """
    basis = scores.source if way == "english" else scores.judged
    if not basis:
        raise UserError("way='english': the cube has no scores in the source language")
    apart = way != "naive"
    n_folds, n_seeds = fold.max() + 1, scores.n_seeds
    folded = {i: _fold_sums(scores, i, fold, counts) for i in {*scores.judged, *scores.source}}
    kept = np.ones((n_folds, n_folds)) - apart * np.eye(n_folds)
    by_seed = np.mean([_score(*folded[i], kept) for i in basis], axis=0)  # (R, C + 1, S, folds)
    weights = np.repeat(seeds[:, None], n_seeds, axis=1)  # of the seeds that choose for each
    alone = (seeds > 0).sum(1) < 2
    weights = np.where(alone[:, None, None], weights, weights * (1 - apart * np.eye(n_seeds)))
    means = np.einsum("rcof,rso->rcsf", by_seed[:, :-1], weights)
    choice = means.argmax(1)  # (R, S, folds)
    live = (seeds > 0)[:, :, None]
    won = [((choice == c) & live).sum((1, 2)) for c in range(len(scores.conditions))]
    gains = np.mean([_judge(*folded[i], choice) for i in scores.judged], axis=0)
    share = np.stack(won, axis=1) / (live.sum(1) * n_folds)
    return (gains * seeds).sum(1) / seeds.sum(1), share


def _fold_sums(scores: _Scores, lang: int, fold, counts) -> tuple[np.ndarray, np.ndarray]:
    """(R, C + 1, S, folds, stats) sums and (R, folds) examples of a language."""
    own, total, n_folds = scores.at[lang], scores.sums[lang], fold.max() + 1
    sums = np.empty((len(counts), *total.shape[1:3], n_folds, total.shape[3]))
    examples = np.empty((len(counts), n_folds))
    for f in range(n_folds):
        inside = np.flatnonzero(fold[own] == f)
        drawn = counts[:, own[inside]]
        flat = total[inside].reshape(len(inside), total[0].size)  # a language may lack a fold
        sums[..., f, :] = (drawn @ flat).reshape(len(counts), *total.shape[1:])
        examples[:, f] = drawn @ scores.sizes[lang][inside]
    return sums, examples


def _score(sums, examples, kept) -> np.ndarray:
    """The score (R, C + 1, S, folds) on the folds that are kept for each, (folds, folds)."""
    seen = np.maximum(examples @ kept, 1)
    return ratio(np.einsum("rcsgk,gf->rcsfk", sums, kept), seen[:, None, None])


def _judge(sums, examples, choice) -> np.ndarray:
    """Gain per seed when fold f and seed s are scored under condition choice[:, s, f]. (R, S)"""
    mixed = np.take_along_axis(sums, choice[:, None, :, :, None], axis=1)[:, 0]
    seen = np.maximum(examples.sum(1), 1)[:, None]
    return ratio(mixed.sum(2), seen) - ratio(sums[:, -1].sum(2), seen)
