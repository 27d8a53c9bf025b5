"""Gaussian differences with known variance components, as cluster sums.

Total SD 27 points, a tenth shared between languages, half persistent over seeds, intraclass
correlation .005 within paragraphs, and normal run and run x language effects.
"""

import numpy as np
import pandas as pd

from xtsupport.statistics.clusters import ClusterSums


def draw_differences(
    rng: np.random.Generator,
    seeds: int = 3,
    languages: int = 1,
    run_sd: float = 0.5,
    language_run_sd: float = 0.3,
    gain: float = 0.0,
    clusters: int = 240,
    mean_size: float = 4.96,
    total_sd: float = 27.0,
    shared: float = 0.10,
    persistent: float = 0.5,
    icc: float = 0.005,
) -> tuple[np.ndarray, np.ndarray]:
    """Per-example differences of two conditions with these components, and the clusters' sizes.

    Standard deviations, gain and differences (seeds, languages, examples) in points; ``shared``,
    ``persistent`` and ``icc`` are shares of the variance of an example.
    """
    sizes = 1 + rng.poisson(mean_size - 1, clusters)
    owner = np.repeat(np.arange(clusters), sizes)
    runs = rng.normal(0, run_sd, (seeds, 1, 1))
    differences = gain + runs + rng.normal(0, language_run_sd, (seeds, languages, 1))
    for over_languages, share_l in ((1, shared), (languages, 1 - shared)):
        for over_seeds, share_s in ((1, persistent), (seeds, 1 - persistent)):
            sd = total_sd * np.sqrt(share_l * share_s)
            in_cluster = rng.normal(0, sd * np.sqrt(icc), (over_seeds, over_languages, clusters))
            own = rng.normal(0, sd * np.sqrt(1 - icc), (over_seeds, over_languages, len(owner)))
            differences = differences + in_cluster[..., owner] + own
    return differences, sizes


def as_cluster_sums(differences: np.ndarray, sizes: np.ndarray) -> ClusterSums:
    """Differences (points) as a study of XQuAD: ``none`` constant, ``squad`` that much better."""
    seeds, languages, _ = differences.shape
    starts = np.concatenate([[0], np.cumsum(sizes)[:-1]])
    summed = np.add.reduceat(differences / 100, starts, axis=2)
    seed = np.tile(np.arange(seeds), 2)
    runs = {"condition": np.repeat(["none", "squad"], seeds), "variant": "plain", "seed": seed}
    base = np.zeros((seeds, len(sizes)))
    names = [f"l{number}" for number in range(languages)]
    return ClusterSums(
        task="xquad",
        metric="f1",
        runs=pd.DataFrame({**runs, "replicate": seed, "phase2": False}),
        languages=pd.DataFrame({"language": names, "family": "simulated", "group": "simulated"}),
        clusters=[np.arange(len(sizes))] * languages,
        sizes=[sizes.astype(float)] * languages,
        sums=[np.concatenate([base, summed[:, j]])[..., None] for j in range(languages)],
    )


def simulate_differences(rng: np.random.Generator, *design, **more) -> ClusterSums:
    """``draw_differences`` as cluster sums, ready for ``study_moments``."""
    return as_cluster_sums(*draw_differences(rng, *design, **more))
