"""Studies with a known answer: simulated cubes.

``simulate`` makes a whole cube with planted gains. Every example has a latent difficulty (cluster,
question, question x language, question x condition and run noise; a unit normal in total), and is
right where it lies below the quantile of the wanted score, so that the expected score is exactly
what was asked for. The shares reproduce what real XQuAD outputs show: paired differences with a
standard deviation near 27 points, most of them 0.
"""

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd
from scipy import stats

LANGUAGES = {  # code: family, group, score of the baseline
    "en": ("Indo-European", "Germanic", 0.80),
    "de": ("Indo-European", "Germanic", 0.70),
    "es": ("Indo-European", "Romance", 0.71),
    "el": ("Indo-European", "Greek", 0.66),
    "ru": ("Indo-European", "Slavic", 0.68),
    "hi": ("Indo-European", "Indo-Aryan", 0.60),
    "ar": ("Afro-Asiatic", "Afro-Asiatic", 0.61),
    "tr": ("Turkic", "Turkic", 0.62),
    "vi": ("Austroasiatic", "Austroasiatic", 0.64),
    "th": ("Tai-Kadai", "Tai-Kadai", 0.58),
    "zh": ("Sino-Tibetan", "Sino-Tibetan", 0.59),
}
TASKS = {  # task: kind, clusters, mean examples per cluster
    "xquad": ("span", 240, 5),
    "mlqa": ("span", 200, 2),
    "xnli": ("classification", 300, 3),
    "udpos": ("tagging", 200, 1),
    "panx": ("tagging", 200, 1),
    "tatoeba": ("retrieval", 300, 1),
}
SHARES = {"cluster": 0.03, "question": 0.27, "language": 0.40, "condition": 0.15, "run": 0.15}


def simulate(
    effects: Mapping | None = None,
    conditions: Sequence[str] = ("none", "squad"),
    tasks: Sequence[str] = ("xquad",),
    languages: Sequence[str] = tuple(LANGUAGES),
    seeds: int = 3,
    run_sd: float = 0.5,
    language_run_sd: float = 0.3,
    size: float = 1.0,
    seed: int = 0,
) -> pd.DataFrame:
    """A cube of simulated scores with planted gains.

    effects: points to add, by (condition, task), (condition, task, language or group) or condition;
    the most specific one counts. run_sd, language_run_sd: SD in points of a run's effect on all its
    languages and on each. size: factor on the number of clusters. Retrieval under the first
    condition has one run, as in a study, and the source language (en) none. Tagging has counts.
    """
    rng = np.random.default_rng(seed)
    effects = effects or {}
    frames = []
    for task in tasks:
        kind, n_clusters, mean = TASKS[task]
        codes = [code for code in languages if not (kind == "retrieval" and code == "en")]
        sizes = 1 + rng.poisson(mean - 1, max(int(n_clusters * size), 2))
        latent = _Latent(rng, np.repeat(np.arange(len(sizes)), sizes), codes, kind)
        for condition in conditions:
            own = latent.of_condition()
            single = kind == "retrieval" and condition == conditions[0]
            for s in range(1 if single else seeds):
                shift = rng.normal(0, run_sd)
                for j, code in enumerate(codes):
                    gain = _effect(effects, condition, task, code) + shift
                    wanted = LANGUAGES[code][2] + (gain + rng.normal(0, language_run_sd)) / 100
                    rows = _scores(kind, latent.draw(own, j), np.clip(wanted, 0.01, 0.99))
                    rows = _name_examples(rows, latent.cluster, "" if latent.parallel else code)
                    frames.append(
                        rows.assign(condition=condition, task=task, language=code, seed=s)
                    )
    cube = pd.concat(frames, ignore_index=True)
    cube["variant"], cube["study"] = "plain", "simulated"
    for number, name in enumerate(("family", "group")):
        cube[name] = cube["language"].map({code: row[number] for code, row in LANGUAGES.items()})
    return cube


class _Latent:
    """The parts of the difficulty of a task's examples that runs share."""

    def __init__(self, rng, cluster, codes, kind):
        self.rng, self.cluster, self.parallel = rng, cluster, kind in ("span", "classification")
        shape = (len(codes), len(cluster))
        shared = 1 if self.parallel else len(codes)
        self.shape = shape
        self.fixed = (
            self._part("cluster", (shared, cluster.max() + 1))[:, cluster]
            + self._part("question", (shared, len(cluster)))
            + self._part("language", shape)
        )

    def _part(self, name, shape):
        return self.rng.normal(0, np.sqrt(SHARES[name]), shape)

    def of_condition(self):
        return self.fixed + self._part("condition", self.shape)

    def draw(self, own, language):
        return own[language] + self._part("run", len(self.cluster))


def _effect(effects, condition, task, code) -> float:
    group = LANGUAGES[code][1]
    for key in ((condition, task, code), (condition, task, group), (condition, task), condition):
        if key in effects:
            return effects[key]
    return 0.0


def _scores(kind, latent, wanted) -> pd.DataFrame:
    """One language of one run: f1 in {0, .5, 1} with exact match, accuracy, or counts."""
    if kind == "span":
        half = min(0.1, wanted, 1 - wanted)
        lenient, strict = (latent < stats.norm.ppf(wanted + sign * half) for sign in (1, -1))
        scores = {"f1": (lenient + strict.astype(float)) / 2, "exact_match": strict.astype(float)}
        parts = [pd.DataFrame({"metric": name, "score": score}) for name, score in scores.items()]
        return pd.concat(parts, keys=range(2), names=["part", "row"]).reset_index()
    right = latent < stats.norm.ppf(wanted)
    rows = pd.DataFrame({"row": np.arange(len(right))})
    if kind != "tagging":
        return rows.assign(metric="accuracy", score=right.astype(float))
    return rows.assign(metric="f1", score=np.nan, tp=right * 1, fp=1 - right, fn=1 - right)


def _name_examples(rows, cluster, prefix) -> pd.DataFrame:
    number = rows["row"].to_numpy()
    ids = {"example_id": [f"{prefix}{i}" for i in number]}
    ids["cluster_id"] = [f"{prefix}c{g}" for g in cluster[number]]
    return rows.assign(**ids).drop(columns=["row", "part"], errors="ignore")
