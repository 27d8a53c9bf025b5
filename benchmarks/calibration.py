"""How often each method rejects a true null, and finds a planted gain, on simulated studies.

    python benchmarks/calibration.py [--studies 1000] [--keep outputs/calibration.csv]

Studies have the variance components of XQuAD differences (see xtsupport.statistics.simulate) and S
seeds, k languages, and normal run (and run x language) effects; every method tests the mean over
languages at 5%. Interrupt it at will: finished studies are kept and not repeated. Prints rejection
rates in percent with the Monte Carlo error, the family-wise error of Holm's method, and the power
of the primary method beside what `design_power` predicts.
"""

import argparse
from pathlib import Path

import numpy as np
import pandas as pd
from scipy import stats

from xtsupport.files import write_text
from xtsupport.statistics.aggregates import Facts
from xtsupport.statistics.clusters import study_moments
from xtsupport.statistics.components import PARTS, components
from xtsupport.statistics.contrasts import cases
from xtsupport.statistics.inference import inference
from xtsupport.statistics.power import design_power
from xtsupport.statistics.resampling import METHODS, bootstrap, bootstrap_means
from xtsupport.statistics.signflip import sign_flip
from xtsupport.statistics.simulate import as_cluster_sums, draw_differences
from xtsupport.statistics.verdicts import holm

DESIGNS = [  # seeds, languages, run SD, run x language SD
    (3, 1, 0.5, 0.3),
    (3, 2, 0.5, 0.3),
    (3, 11, 0.5, 0.3),
    (5, 2, 0.5, 0.3),
    (10, 2, 0.5, 0.3),
    (3, 2, 0.0, 0.0),
    (5, 2, 1.0, 0.5),
    (3, 11, 1.0, 0.3),  # beyond the guide's list: runs dominate at three seeds
]
FAMILIES = [(3, 10, 0.5, 0.3), (5, 10, 0.5, 0.3), (3, 10, 2.0, 0.3)]  # ten hypotheses each
PLANTED = [(5, 2, 0.5, 0.3), (3, 11, 0.5, 0.3), (10, 1, 1.0, 0.5)]  # +2 points
PAIR = [(("squad", "plain"), ("none", "plain"))]
FACTS = {"xquad": Facts("span", "f1")}
RESAMPLES = 500
TITLES = (
    "rejections of a true null, % (seeds, languages, run SD, run x language SD)",
    "family-wise error over ten languages, %",
    "a planted gain of 2 points, %",
)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--studies", type=int, default=1000)
    parser.add_argument("--keep", type=Path, default=Path("outputs/calibration.csv"))
    arguments = parser.parse_args()
    done = run_all(arguments.studies, arguments.keep)
    for title, table in report(done).items():
        print(f"\n{title}\n{table.to_string()}")


def run_all(studies: int, keep: Path | None, batch: int = 250) -> pd.DataFrame:
    """All studies of all parts; with ``keep``, those in that file are not run again."""
    done = pd.read_csv(keep) if keep and keep.exists() else pd.DataFrame()
    jobs = [("true null", design, null_study) for design in DESIGNS]
    jobs += [("family", design, family_study) for design in FAMILIES]
    jobs += [("planted", design, planted_study) for design in PLANTED]
    for part, design, study in jobs:
        name = " ".join(map(str, design))
        have = 0 if done.empty else int(((done["part"] == part) & (done["design"] == name)).sum())
        for start in range(have, studies, batch):
            numbers = range(start, min(start + batch, studies))
            rows = [study(design, generator(part, design, n)) for n in numbers]
            done = pd.concat(
                [done, pd.DataFrame(rows).assign(part=part, design=name)], ignore_index=True
            )
            if keep:
                write_text(keep, done.to_csv(index=False))
    return done


def generator(part: str, design: tuple, number: int) -> np.random.Generator:
    """Study ``number`` is the same whenever and in whatever order it is run."""
    return np.random.default_rng([len(part), *(int(10 * value) for value in design), number])


def null_study(design, rng) -> dict:
    """Whether every method rejects (p, or 0 and 1 for an interval without 0 and one with it)."""
    differences, sizes = draw_differences(rng, *design)
    sums = [as_cluster_sums(differences, sizes)]
    case = cases(study_moments(sums), FACTS, PAIR, "all")[0]
    primary = inference([case]).iloc[0]
    drawn = bootstrap(sums, [case], n_resamples=RESAMPLES)
    intervals = {f"pigeonhole, {name}": drawn.interval(name)[0] for name in METHODS}
    return {
        **flat_tests(differences),
        **{name: float(low <= 0 <= high) for name, (low, high) in intervals.items()},
        "primary": primary["p_value"],
        "covers": float(primary["ci_low"] <= 0 <= primary["ci_high"]),
        "half width": (primary["ci_high"] - primary["ci_low"]) / 2,
    }


def flat_tests(d: np.ndarray) -> dict:
    """Tests that overlook a source of variance. d: (seeds, languages, examples)."""
    rows, questions, seeds = d.ravel(), d.mean((0, 1)), d.mean((1, 2))
    drawn = bootstrap_means(questions[:, None], None, RESAMPLES)
    tail = min((drawn <= 0).sum(), (drawn >= 0).sum())
    return {
        "naive pooling": stats.ttest_1samp(rows, 0).pvalue,
        "question bootstrap": 2 * (1 + tail) / (1 + RESAMPLES),
        "question sign-flip": sign_flip(questions[:, None], RESAMPLES)[0],
        "seed t-test": stats.ttest_1samp(seeds, 0).pvalue,
    }


def family_study(design, rng) -> dict:
    """Smallest adjusted p-value over the languages of one study without a gain."""
    sums = [as_cluster_sums(*draw_differences(rng, *design))]
    found = cases(study_moments(sums), FACTS, PAIR, "language")
    found = [case for case in found if case.row.task == "xquad"]
    p = inference(found)["p_value"].to_numpy()
    return {"Holm": holm(p).min()}


def planted_study(design, rng) -> dict:
    """The primary p-value and the components of one study with a gain of 2 points."""
    sums = [as_cluster_sums(*draw_differences(rng, *design, gain=2.0))]
    case = cases(study_moments(sums), FACTS, PAIR, "all")[0]
    parts = components(case)
    return {"primary": inference([case])["p_value"][0], **{name: parts[name] for name in PARTS}}


def report(done: pd.DataFrame) -> dict[str, pd.DataFrame]:
    """The three tables, in percent."""
    methods = ["naive pooling", "question bootstrap", "question sign-flip", "seed t-test"]
    methods += [f"pigeonhole, {name}" for name in METHODS] + ["primary"]
    null = done[done["part"] == "true null"].groupby("design", sort=False)
    rates = null[methods].agg(lambda p: 100 * (p <= 0.05).mean())
    rates["coverage"] = 100 * null["covers"].mean()
    rates["half width"] = null["half width"].mean()
    rates["studies"] = null.size()
    rates["error"] = 100 * np.sqrt(0.05 * 0.95 / rates["studies"])
    family = done[done["part"] == "family"].groupby("design", sort=False)
    wrong = family[["Holm"]].agg(lambda p: 100 * (p <= 0.05).mean())
    wrong["studies"] = family.size()
    lines = {}
    for name, rows in done[done["part"] == "planted"].groupby("design", sort=False):
        seeds, languages = int(name.split()[0]), int(name.split()[1])
        power = design_power(rows[list(PARTS)].mean(), 2.0, seeds, 240, languages)["power"]
        found = 100 * (rows["primary"] <= 0.05).mean()
        lines[name] = {"found": found, "predicted": 100 * power, "studies": len(rows)}
    tables = (rates, wrong, pd.DataFrame(lines).T)
    return {title: table.round(1) for title, table in zip(TITLES, tables, strict=True)}


if __name__ == "__main__":
    main()
