"""The best intermediate task for a target, without flattering it.

The best of several noisy gains overstates itself. Three ways to choose, all over the baseline:

- ``cross-fitted``: clusters are cut into folds and seeds left out in turn; each (fold, seed) is
  judged under the condition that is best on the other folds *and* the other seeds;
- ``english``: the same, but chosen by the source language's scores, as one without target data
  would; questions are parallel across languages, so folds are left out here too;
- ``naive``: chosen and judged on everything. Labelled optimistic, for comparison only.

Intervals resample clusters x seeds and repeat the choice inside every resample, folds and seeds
keeping their names so that a drawn copy is never on both sides.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from xtsupport.errors import UserError
from xtsupport.statistics.clusters import ratio
from xtsupport.statistics.declared import UNITS
from xtsupport.statistics.evidence import Evidence
from xtsupport.statistics.resampling import cluster_ids

WAYS = ("cross-fitted", "english", "naive")


def best_intermediate(
    evidence: Evidence,
    targets: str | Sequence[str] = "xquad",
    candidates: Sequence[str] | None = None,
    baseline: str = "none",
    ways: Sequence[str] = WAYS,
    folds: int = 5,
    n_resamples: int = 500,
    seed: int = 0,
) -> pd.DataFrame:
    """The gain (points, mean of zero-shot languages) of choosing the best condition per target.

    candidates: conditions to choose from (None: all plain ones but the baseline and its controls).
    One row per target and way, and for several targets one
    per way for their ``mean``: chosen (most often), share of choices it won, gain, ci_low, ci_high
    (percentile, clusters x seeds; seeds are drawn for all targets at once), unit, note. UserError
    for fewer than two candidates, or no source-language scores for ``english``.
    """
    unknown = [way for way in ways if way not in WAYS]
    if unknown:
        raise UserError(f"ways={unknown}: allowed are {', '.join(WAYS)}")
    targets = [targets] if isinstance(targets, str) else list(targets)
    chosen = [_target_scores(evidence, name, candidates, baseline) for name in targets]
    rng, alpha = np.random.default_rng(seed), evidence.rules.alpha
    fold = [rng.permutation(one.n_clusters) % folds for one in chosen]
    lines = []
    for way in ways:
        parts = list(zip(chosen, fold, strict=True))
        whole = [_choose(one, way, f, *_everything(one)) for one, f in parts]
        gains = np.array([gain for gain, _ in whole])
        drawn = np.empty((n_resamples, len(targets)))
        for row in drawn:
            luck = rng.random(max(one.n_seeds for one in chosen))
            row[:] = [_choose(one, way, f, *_draw(one, rng, luck))[0] for one, f in parts]
        for target, one, (gain, won), column in zip(targets, chosen, whole, drawn.T, strict=True):
            best = {"chosen": one.conditions[int(won.argmax())], "share": float(won.max())}
            lines.append(_line(target, way, best, gain, column, alpha, _note(way, one)))
        if len(targets) > 1:
            note = "; ".join(dict.fromkeys(filter(None, (_note(way, one) for one in chosen))))
            best = {"chosen": "best of each target", "share": np.nan}
            lines.append(_line("mean", way, best, gains.mean(), drawn.mean(1), alpha, note))
    return pd.DataFrame(lines)


def _line(target, way, best, gain, drawn, alpha, note) -> dict:
    low, high = np.quantile(drawn, [alpha / 2, 1 - alpha / 2])
    numbers = {"gain": 100 * gain, "ci_low": 100 * low, "ci_high": 100 * high}
    return {"target": target, "way": way, **best, **numbers, "unit": UNITS[0], "note": note}


def _note(way, scores) -> str:
    few = f"{scores.n_seeds} seeds: the interval is too short where runs differ much"
    notes = {1: "one seed: the same runs choose and are judged"}
    notes |= dict.fromkeys((2, 3, 4), few)
    naive = "optimistic: chosen and judged on the same scores" if way == "naive" else ""
    return "; ".join(filter(None, [naive, notes.get(scores.n_seeds, "")]))


@dataclass(frozen=True)
class _Scores:
    """Summed statistics of one target: per language (conditions + baseline, seeds, G, stats)."""

    conditions: list[str]
    sums: list[np.ndarray]
    sizes: list[np.ndarray]
    at: list[np.ndarray]
    judged: list[int]
    source: list[int]
    n_clusters: int
    n_seeds: int


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
        raise UserError(
            f"best intermediate for {target}: needs {baseline!r} and two candidates or more; "
            f"the cube has {', '.join(names)}"
        )
    chosen = [runs[runs["condition"] == name] for name in (*candidates, baseline)]
    several = [rows for rows in chosen if len(rows) > 1 or facts.kind != "retrieval"] or chosen
    seeds = sorted(set.intersection(*(set(rows["seed"]) for rows in several)))
    if not seeds:
        raise UserError(f"best intermediate for {target}: no seed has runs of every candidate")
    index = np.array([_run_of_seed(rows, seeds) for rows in chosen])
    languages = part.languages["language"].tolist()
    ids = cluster_ids([part])
    return _Scores(
        conditions=list(candidates),
        sums=[total[index] for total in part.sums],
        sizes=part.sizes,
        at=[np.searchsorted(ids, clusters) for clusters in part.clusters],
        judged=[i for i, code in enumerate(languages) if code != evidence.source],
        source=[i for i, code in enumerate(languages) if code == evidence.source],
        n_clusters=len(ids),
        n_seeds=len(seeds),
    )


def _run_of_seed(rows: pd.DataFrame, seeds) -> list[int]:
    """Row numbers of the runs; a single retrieval run serves every seed."""
    by_seed = dict(zip(rows["seed"], rows.index, strict=True))
    return [by_seed.get(seed, rows.index[0]) for seed in seeds]


def _everything(scores: _Scores) -> tuple[np.ndarray, np.ndarray]:
    return np.ones(scores.n_clusters), np.ones(scores.n_seeds)


def _draw(scores: _Scores, rng, luck: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Counts of clusters, and of seeds by uniform numbers that all targets share."""
    n = scores.n_clusters
    counts = np.bincount(rng.integers(0, n, n), minlength=n)
    seeds = (luck[: scores.n_seeds] * scores.n_seeds).astype(int)
    return counts.astype(float), np.bincount(seeds, minlength=scores.n_seeds).astype(float)


def _choose(scores: _Scores, way, fold, counts, seeds) -> tuple[float, np.ndarray]:
    """The gain of the choices under cluster and seed weights, and how often each candidate won."""
    n_folds = fold.max() + 1
    weights = (fold == np.arange(n_folds)[:, None]) * counts
    folded = {i: _fold_sums(scores, i, weights) for i in {*scores.judged, *scores.source}}
    basis = scores.source if way == "english" else scores.judged
    if not basis:
        raise UserError("way='english': the cube has no scores in the source language")
    live = np.flatnonzero(seeds)
    choice = np.zeros((n_folds, len(seeds)), int)
    for f in range(n_folds):
        kept = [o for o in range(n_folds) if o != f] if way != "naive" else list(range(n_folds))
        by_seed = np.mean([_score(*folded[i], kept) for i in basis], axis=0)  # (C + 1, S)
        for s in live:
            others = [o for o in live if o != s] if way != "naive" and len(live) > 1 else live
            means = by_seed[:-1, others] @ seeds[others]
            choice[f, s] = int(means.argmax())
    won = (
        np.bincount(choice[:, live].ravel(), minlength=len(scores.conditions))
        / choice[:, live].size
    )
    gains = [_judge(*folded[i], choice) for i in scores.judged]
    return float(np.mean(gains, axis=0)[live] @ seeds[live] / seeds.sum()), won


def _fold_sums(scores: _Scores, lang: int, weights) -> tuple[np.ndarray, np.ndarray]:
    """(C + 1, S, folds, stats) sums and (folds,) examples of a language."""
    w = weights[:, scores.at[lang]]
    return np.einsum("fg,csgk->csfk", w, scores.sums[lang], optimize=True), w @ scores.sizes[lang]


def _score(sums, examples, kept) -> np.ndarray:
    return ratio(sums[:, :, kept].sum(2), max(examples[kept].sum(), 1))


def _judge(sums, examples, choice) -> np.ndarray:
    """Gain per seed when fold f and seed s are scored under condition choice[f, s]. (S,)"""
    folds, seeds = np.indices(choice.shape)
    mixed = sums[choice, seeds, folds].sum(0)
    return ratio(mixed, max(examples.sum(), 1)) - ratio(sums[-1].sum(1), max(examples.sum(), 1))
