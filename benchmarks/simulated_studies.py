"""Whole studies with a known answer, as the sums per cluster that ``compare`` takes.

Every question has a latent difficulty: the same for all (by question, and by question and
language), changed by the condition and by the run; part of the changes is shared between
languages. A run answers what lies below the quantile of its own true score, half right in a band
around it, so that the expected score is exact and most differences of two runs are 0: 70% of them,
with a standard deviation of 32 points; real XQuAD outputs have 73 to 79% and 26 to 28 points.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import pandas as pd
from scipy.special import ndtri

from xtsupport.statistics.clusters import ClusterSums

QUESTION, LANGUAGE, CONDITION, RUN = 0.30, 0.54, 0.08, 0.08  # shares of the latent variance
SHARED = 0.25  # of the parts by condition and run, between languages


@dataclass(frozen=True)
class Design:
    """One kind of study; standard deviations and gains in points.

    contrasts: treatments on one baseline; run_sd, language_run_sd: of the difference of two
    conditions in one seed, on all languages alike and on each (a condition has 1 / sqrt(2) of it);
    gain, language_sd: mean of the true gain over languages, and its SD between them; noisy: the
    condition whose runs vary three times as much; heavy: run effects are t with 3
    degrees of freedom; metric: f1 (partial credit), micro or accuracy; parallel: languages share
    the questions; sharing: so many seeds per phase-2 run, which makes half of the run variance;
    single: the baseline has one run (retrieval); rest: a second task of the same runs.
    """

    contrasts: int = 4
    seeds: int = 3
    languages: int = 10
    clusters: int = 240
    run_sd: float = 1.0
    language_run_sd: float = 0.5
    gain: float = 0.0
    language_sd: float = 0.0
    noisy: str = ""
    heavy: bool = False
    metric: str = "f1"
    parallel: bool = True
    paired: bool = True
    sharing: int = 1
    single: bool = False
    rest: bool = False

    @property
    def conditions(self) -> list[str]:
        """The baseline, then the treatments."""
        return ["none", *(f"t{number}" for number in range(1, self.contrasts + 1))]

    @property
    def task(self) -> str:
        """A task of the tasks table with this metric."""
        return {"f1": "xquad", "micro": "udpos", "accuracy": "tatoeba"}[self.metric]


@dataclass(frozen=True)
class Truth:
    """True gains of every treatment in points: per language (L,), and in one not tested."""

    gains: np.ndarray
    new: float


def draw_study(design: Design, rng: np.random.Generator) -> tuple[list[ClusterSums], Truth]:
    """One study: its task, and ``xnli`` as the rest if the design has one; and its true gains."""
    gains = design.gain + design.language_sd * rng.normal(size=design.languages + 1)
    effects = _run_effects(design, rng)
    sums = [_draw_task(design, design.task, design.metric, effects, gains[1:], rng)]
    if design.rest:
        own = _run_effects(design, rng)
        mixed = (effects + own) / np.sqrt(2)  # one phase 2, two phases 3
        sums.append(_draw_task(design, "xnli", "accuracy", mixed, gains[1:], rng))
    return sums, Truth(0 * gains[1:] if design.rest else gains[1:], float(gains[0]))


def _run_effects(design: Design, rng) -> np.ndarray:
    """True effects of runs on languages, (C, S, L), in points."""
    c, s, k = design.contrasts + 1, design.seeds, design.languages
    own = design.run_sd * _unit(design, rng, (c, s, 1))
    if design.sharing > 1:
        phase2 = design.run_sd * _unit(design, rng, (c, -(-s // design.sharing), 1))
        own = (own + phase2.repeat(design.sharing, axis=1)[:, :s]) / np.sqrt(2)
    effects = own + design.language_run_sd * _unit(design, rng, (c, s, k))
    scale = np.array([3.0 if name == design.noisy else 1.0 for name in design.conditions])
    scale[0] *= not design.single  # retrieval without phase 2: nothing was trained, no run to vary
    return effects * scale[:, None, None] / np.sqrt(2)


def _unit(design: Design, rng, shape) -> np.ndarray:
    return rng.standard_t(3, shape) / np.sqrt(3) if design.heavy else rng.normal(size=shape)


def _draw_task(design: Design, task, metric, effects, gains, rng) -> ClusterSums:
    sizes = np.full(design.clusters, 3)  # XNLI's premises; XQuAD's paragraphs differ
    if metric != "accuracy":
        sizes = 1 + rng.poisson(4, design.clusters)
    base = np.linspace(0.58, 0.72, design.languages)
    treated = np.arange(design.contrasts + 1)[:, None, None] > 0
    wanted = np.clip(base + (effects + gains * treated) / 100, 0.02, 0.98)
    starts = np.r_[0, np.cumsum(sizes)[:-1]]
    sums, owner = [], np.repeat(np.arange(design.clusters), sizes)
    for lang, latent in enumerate(_latents(design, len(owner), rng)):
        right = _scores(metric, latent, wanted[..., lang])
        sums.append(_per_cluster(metric, right, starts, sizes, rng))
    return _as_sums(design, task, metric, sizes, sums)


def _latents(design: Design, n: int, rng) -> Iterator[np.ndarray]:
    """Latent difficulties (C, S, N) of each language in turn."""
    c, s = design.contrasts + 1, design.seeds

    def normal(share, *shape):
        return np.float32(np.sqrt(share)) * rng.standard_normal(shape, np.float32)

    apart = 1 - SHARED
    question, common = normal(QUESTION, n), normal(CONDITION * SHARED, c, 1, n)
    runs = normal(RUN * SHARED, c, s, n)
    for _ in range(design.languages):
        if not design.parallel:
            question, common = normal(QUESTION, n), normal(CONDITION * SHARED, c, 1, n)
            runs = normal(RUN * SHARED, c, s, n)
        fixed = question + normal(LANGUAGE, n) + common + normal(CONDITION * apart, c, 1, n)
        yield fixed + runs + normal(RUN * apart, c, s, n)


def _scores(metric, latent, wanted) -> np.ndarray:
    """Scores (C, S, N) with the wanted means (C, S); of counts, whether an entity is found."""
    if metric == "f1":
        half = np.minimum(0.1, np.minimum(wanted, 1 - wanted))
        lenient, strict = (
            latent < ndtri(wanted + sign * half)[..., None].astype(np.float32) for sign in (1, -1)
        )
        return (lenient.astype(np.float32) + strict) / 2
    share = WRONG * wanted / (2 - (2 - WRONG) * wanted) if metric == "micro" else wanted
    return (latent < ndtri(share)[..., None].astype(np.float32)).astype(np.float32)


WRONG = 1.7  # a missed entity is a false negative, and in 70% of cases a false positive besides


def _per_cluster(metric, right, starts, sizes, rng) -> np.ndarray:
    """Sums (R, G, 1) of scores, or (R, G, 3) of true and false positives and false negatives."""
    flat = right.reshape(-1, right.shape[-1])
    found = np.add.reduceat(flat, starts, axis=1).astype(float)
    if metric != "micro":
        return found[..., None]
    also = rng.random(flat.shape[1]) < WRONG - 1
    false = np.add.reduceat((1 - flat) * also, starts, axis=1)
    return np.stack([found, false, sizes - found], axis=-1)


def _as_sums(design: Design, task, metric, sizes, sums) -> ClusterSums:
    seeds, n = np.arange(design.seeds), design.languages
    runs = pd.DataFrame(
        [(name, "plain", seed) for name in design.conditions for seed in seeds],
        columns=["condition", "variant", "seed"],
    )
    runs["replicate"] = runs["seed"] // design.sharing * design.sharing
    runs["phase2"] = runs["condition"].ne("none")
    keep = ~(design.single & runs["condition"].eq("none") & runs["seed"].gt(0)).to_numpy()
    names = [f"l{number}" for number in range(n)]
    about = {"language": names, "family": names, "group": names}
    shift = 0 if design.parallel else len(sizes)
    return ClusterSums(
        task=task,
        metric="accuracy" if metric == "accuracy" else "f1",
        runs=runs[keep].reset_index(drop=True),
        languages=pd.DataFrame(about),
        clusters=[np.arange(len(sizes)) + shift * lang for lang in range(n)],
        sizes=[sizes.astype(float)] * n,
        sums=[total[keep] for total in sums],
    )
