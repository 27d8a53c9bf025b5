"""What the statistics keep of a cube: sums per cluster, and the moments of their influence.

A cluster (XQuAD paragraph, XNLI premise, ...) is the smallest unit that is ever resampled, so a
task contracts to sums per (run, language, cluster): of scores and examples where a metric is a
mean, of tp, fp and fn where it is micro F1. Everything analytic needs still less. With theta a
language's score under one run and psi_g the influence of cluster g on it,

    mean:      theta = sum_g x_g / sum_g m_g     psi_g = (x_g - m_g theta) / sum_g m_g
    micro F1:  theta = 2TP / D, D = 2TP+FP+FN    psi_g = (2 tp_g - theta (2 tp_g + fp_g + fn_g)) / D

(the delta method; exact for means of equal clusters), the values theta and the Gram matrix
sum_g psi_g psi_g' over all (run, language) columns of a task determine every gain, every average
over languages and tasks, and every covariance between them. Clusters that languages share
(parallel benchmarks) are joined by their ids; different tasks have different clusters.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from functools import cached_property
from itertools import pairwise
from pathlib import Path
from weakref import WeakValueDictionary

import numpy as np
import pandas as pd

from xtsupport.cube.columns import COUNTS, by_language, by_task, complete, encode, validate_cube
from xtsupport.cube.store import stored_tasks

PAIRS = " (pairs)"  # a task whose two texts are in different languages is a task of its own
_RUN = ["condition", "variant", "seed"]
NEEDED = [*_RUN, "study", "language", "language_2", "family", "group", "example_id", "cluster_id"]
NEEDED += ["metric", "score", *COUNTS, "phase2_run"]


@dataclass(frozen=True)
class ClusterSums:
    """One task and metric, contracted: R runs, L languages, language l in G[l] of the clusters.

    - runs: condition, variant, seed, replicate, phase2 (R rows). The replicate numbers the phase-2
      runs and is the seed where every seed has its own; phase2 says whether the run has one.
    - languages: language, family, group (L rows); a pair of languages is one, ``de+fr``.
    - clusters[l]: (G[l],) cluster numbers within the task; sizes[l]: (G[l],) examples.
    - sums[l]: (R, G[l], 1) summed scores or (R, G[l], 3) tp, fp, fn; NaN where a run lacks it.
    - study: the name that the cube gives, if any.
    """

    task: str
    metric: str
    runs: pd.DataFrame
    languages: pd.DataFrame
    clusters: list[np.ndarray]
    sizes: list[np.ndarray]
    sums: list[np.ndarray]
    study: str = ""

    @property
    def micro(self) -> bool:
        """Whether the metric is micro F1, from counts."""
        return self.sums[0].shape[-1] == 3

    def values(self) -> np.ndarray:
        """Scores 0..1, (R, L)."""
        pairs = zip(self.sums, self.sizes, strict=True)
        return np.stack([ratio(total.sum(1), size.sum()) for total, size in pairs], axis=1)

    def of_languages(self, kept: np.ndarray) -> "ClusterSums":
        """The part with some languages; kept: (L,) bool."""
        at = np.flatnonzero(kept)
        return replace(
            self,
            languages=self.languages.iloc[at].reset_index(drop=True),
            clusters=[self.clusters[i] for i in at],
            sizes=[self.sizes[i] for i in at],
            sums=[self.sums[i] for i in at],
        )

    def influence(self, language: int) -> np.ndarray:
        """psi of one language, (R, G[l]); every row sums to zero."""
        x, m = self.sums[language], self.sizes[language]
        theta = ratio(x.sum(1), m.sum())[:, None]
        if not self.micro:
            return (x[..., 0] - m * theta) / m.sum()
        d = 2 * x[..., 0] + x[..., 1] + x[..., 2]
        return (2 * x[..., 0] - theta * d) / np.maximum(d.sum(1, keepdims=True), 1)


@dataclass(frozen=True)
class Moments:
    """All that analytic inference needs of one task and metric.

    values: (R, L) scores 0..1; gram: (R, L, R, L) products of influences, scaled by G / (G - 1);
    clusters and examples: per language, the cluster numbers (G[l],) and the number of examples;
    arms: the contrasts cut out of it that somebody holds (``variance.arm``).
    """

    task: str
    metric: str
    runs: pd.DataFrame
    languages: pd.DataFrame
    clusters: list[np.ndarray]
    examples: np.ndarray
    values: np.ndarray
    gram: np.ndarray
    _counted: dict = field(default_factory=dict, init=False, repr=False)
    arms: WeakValueDictionary = field(default_factory=WeakValueDictionary, init=False, repr=False)

    @cached_property
    def codes(self) -> np.ndarray:
        """The languages, (L,) as text."""
        return self.languages["language"].to_numpy()

    @cached_property
    def place(self) -> dict[str, int]:
        """Language -> its number."""
        return {code: number for number, code in enumerate(self.codes)}

    def count_clusters(self, languages: np.ndarray) -> int:
        """Distinct clusters of some languages, (L,) bool, which parallel languages share."""
        key = languages.tobytes()
        if key not in self._counted:
            used = np.flatnonzero(languages)
            self._counted[key] = len(set().union(*(self.clusters[lang] for lang in used)))
        return self._counted[key]


def ratio(totals: np.ndarray, examples) -> np.ndarray:
    """The metric from summed statistics (..., k), k 1 or 3: a mean, or micro F1 (0 of nothing)."""
    if totals.shape[-1] == 1:
        return totals[..., 0] / examples
    denominator = 2 * totals[..., 0] + totals[..., 1] + totals[..., 2]
    return 2 * totals[..., 0] / np.where(denominator == 0, 1, denominator)


def _contract_task(task: str, rows: pd.DataFrame) -> Iterator[ClusterSums]:
    pairs = rows["language_2"].notna().to_numpy()
    study = str(rows["study"].iloc[0]) if "study" in rows else ""
    for name, mine in ((task, ~pairs), (task + PAIRS, pairs)):
        pieces = by_language(rows if mine.all() else rows[mine]) if mine.any() else ()
        parts = [sums for piece in pieces for sums in _contract_piece(name, piece)]
        for metric in dict.fromkeys(part.metric for part in parts):
            yield replace(_join([part for part in parts if part.metric == metric]), study=study)


def _contract_piece(task: str, rows: pd.DataFrame) -> Iterator[ClusterSums]:
    run, runs = encode(rows, _RUN)
    runs["replicate"], runs["phase2"] = _replicates(rows, run, runs)
    columns = ("language", "language_2", "family", "group")
    place, languages = encode(rows, [name for name in columns if name in rows])
    pair = languages["language"].astype(str) + "+" + languages["language_2"].astype(str)
    alone = languages["language_2"].isna()
    languages["language"] = languages["language"].where(alone, pair)
    cluster = rows["cluster_id"].cat.codes.to_numpy()
    metric, metrics = encode(rows, ["metric"])
    for number, name in enumerate(metrics["metric"]):
        mine = metric == number
        chosen = rows[mine], run[mine], runs, place[mine], languages, cluster[mine]
        yield _sum_up(task, name, *chosen)


def _join(parts: list[ClusterSums]) -> ClusterSums:
    """Parts of one task and metric with different languages."""
    if len(parts) == 1:
        return parts[0]
    runs = pd.concat([part.runs for part in parts]).drop_duplicates(_RUN)
    runs = runs.sort_values(_RUN, ignore_index=True)
    number = {key: row for row, key in enumerate(runs[_RUN].itertuples(index=False, name=None))}
    sums = []
    for part in parts:
        at = [number[key] for key in part.runs[_RUN].itertuples(index=False, name=None)]
        if at == list(range(len(runs))):
            sums += part.sums  # no copy where a part has every run
            continue
        for total in part.sums:
            sums.append(np.full((len(runs), *total.shape[1:]), np.nan))
            sums[-1][at] = total
    return replace(
        parts[0],
        runs=runs,
        languages=pd.concat([part.languages for part in parts], ignore_index=True),
        clusters=[ids for part in parts for ids in part.clusters],
        sizes=[sizes for part in parts for sizes in part.sizes],
        sums=sums,
    )


def _replicates(rows, run, runs) -> tuple[np.ndarray, np.ndarray]:
    """Replicate, and whether there is a phase 2, per run; a shared phase-2 run is one replicate."""
    key = rows["phase2_run"].cat.codes.to_numpy()
    phase2 = np.full(len(runs), -1)
    phase2[run] = key
    names = ["condition", "variant", "phase2"]
    shared = runs.assign(phase2=phase2).groupby(names)["seed"].transform("min")
    return np.where(phase2 >= 0, shared, runs["seed"]), phase2 >= 0


def _sum_up(task, metric, rows, run, runs, place, languages, cluster) -> ClusterSums:
    score = rows["score"].to_numpy(dtype=float, na_value=np.nan)
    micro = bool(np.isnan(score).any())
    stats = [rows[name].to_numpy(dtype=float, na_value=0) for name in COUNTS] if micro else [score]
    used = np.unique(run)
    row = np.searchsorted(used, run)
    local, owner, starts = _number_clusters(place, cluster, len(languages))
    width = starts[-1]
    flat, shape = row * width + local, (len(used), width)
    summed = [np.bincount(flat, stat, len(used) * width).reshape(shape) for stat in stats]
    totals = np.stack(summed, axis=-1)
    counts = np.bincount(flat, minlength=len(used) * width).reshape(shape)
    present = np.stack([counts[:, a:b].any(1) for a, b in pairwise(starts)], axis=1)
    kept = [lang for lang in range(len(languages)) if present[:, lang].any()]
    parts = [slice(starts[lang], starts[lang + 1]) for lang in kept]
    for lang, part in zip(kept, parts, strict=True):
        totals[~present[:, lang], part] = np.nan
    return ClusterSums(
        task=task,
        metric=metric,
        runs=runs.iloc[used].reset_index(drop=True),
        languages=languages.iloc[kept].reset_index(drop=True),
        clusters=[owner[part] for part in parts],
        sizes=[counts[:, part].max(0).astype(float) for part in parts],
        sums=[totals[:, part] for part in parts],
    )


def _number_clusters(place, cluster, n_places):
    """Number the (language, cluster) pairs that occur, sorted by language.

    Returns the number per row, the cluster per pair, and where each language's pairs start.
    """
    n = int(cluster.max()) + 1
    occurs = np.zeros(n_places * n, bool)
    occurs[place * n + cluster] = True
    pairs = np.flatnonzero(occurs)
    number, starts = np.cumsum(occurs) - 1, np.searchsorted(pairs, np.arange(n_places + 1) * n)
    return number[place * n + cluster], pairs % n, starts


def moments(sums: ClusterSums, block: int = 2000) -> Moments:
    """Values and Gram matrix of a task's influence functions; ``block`` clusters at a time."""
    n_runs, n_languages = len(sums.runs), len(sums.languages)
    gram = np.zeros((n_runs, n_languages, n_runs, n_languages))
    for together in sharing(sums.clusters):
        psi = []
        for lang in together:
            n = len(sums.clusters[lang])
            psi.append(sums.influence(lang) * np.sqrt(n / max(n - 1, 1)))
        ids = np.unique(np.concatenate([sums.clusters[lang] for lang in together]))
        at = [np.searchsorted(ids, sums.clusters[lang]) for lang in together]
        for start in range(0, len(ids), block):
            wide = np.zeros((n_runs, len(together), min(block, len(ids) - start)))
            for j in range(len(together)):
                inside = (at[j] >= start) & (at[j] < start + block)
                wide[:, j, at[j][inside] - start] = psi[j][:, inside]
            flat = wide.reshape(-1, wide.shape[-1])
            part = (flat @ flat.T).reshape(n_runs, len(together), n_runs, len(together))
            gram[np.ix_(range(n_runs), together, range(n_runs), together)] += part
    about = (sums.task, sums.metric, sums.runs, sums.languages, sums.clusters)
    return Moments(*about, np.array([m.sum() for m in sums.sizes]), sums.values(), gram)


def contracted(cube) -> Iterator[ClusterSums | Moments]:
    """The cluster sums of a cube, validated: a frame, a path (read task by task), or what it was
    contracted to. UserError for a cube that cannot be read or compared.
    """
    if not isinstance(cube, str | Path | pd.DataFrame):
        yield from cube
        return
    for part in [cube] if isinstance(cube, pd.DataFrame) else stored_tasks(cube, NEEDED):
        validate_cube(part)
        for task, rows in by_task(complete(part)):
            yield from _contract_task(task, rows)


def study_moments(cube) -> list[Moments]:
    """What all analytic inference needs of a cube (validated and contracted), some megabytes.

    Takes a frame, the path of a cube (read task by task, never whole), or cluster sums.
    """
    return [one if isinstance(one, Moments) else moments(one) for one in contracted(cube)]


def sharing(clusters: list[np.ndarray]) -> list[list[int]]:
    """Languages grouped so that different groups share no cluster; clusters: ids (n,) of each."""
    groups: list[tuple[set, list[int]]] = []
    for lang, ids in enumerate(clusters):
        mine, members = set(ids.tolist()), [lang]
        apart = []
        for other, languages in groups:
            if other & mine:
                mine, members = other | mine, languages + members
            else:
                apart.append((other, languages))
        groups = [*apart, (mine, members)]
    return [sorted(members) for _, members in groups]
