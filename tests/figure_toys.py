"""Small invented frames for the tests of figures and report."""

import numpy as np
import pandas as pd

from xtsupport.statistics.comparisons import COLUMNS


def toy_languages() -> pd.DataFrame:
    """Seven languages; the table names families in an order that is not alphabetical."""
    rows = [
        ("en", "English", "Home", "Home", "Latin", 0.0),
        ("z1", "Zed", "Zedic", "West Zedic", "Latin", 0.2),
        ("a1", "Aye", "Ayan", "Ayan", "Aye script", 0.8),
        ("z2", "Zud", "Zedic", "East Zedic", "Latin", 0.3),
        ("z3", "Zod", "Zedic", "West Zedic", "Latin", 0.1),
        ("a2", "Awe", "Ayan", "Ayan", "Aye script", 0.9),
        ("m1", "Mim", "Mimic", "Mimic", "Latin", np.nan),
    ]
    return pd.DataFrame(rows, columns=["code", "name", "family", "group", "script", "syntactic"])


def comparison(treatment="squad", tasks=("xquad", "rest"), by="group", **changes) -> pd.DataFrame:
    """A table with the columns of `compare`, one verdict of each kind per task."""
    cells = [
        ("West Zedic", 4.0, 1.0, "improves", 2),
        ("East Zedic", -3.0, 1.0, "harms", 1),
        ("Ayan", 0.1, 0.2, "equivalent", 2),
        ("Mimic", 1.5, 2.0, "undetermined", 1),
        ("all", 2.0, 3.0, "too few", 6),
    ]
    rows = []
    for task in tasks:
        for level, gain, se, verdict, n_languages in cells:
            row = dict(
                treatment=treatment,
                baseline="none",
                variant="plain",
                task=task,
                by=by,
                level=level,
                metric="f1",
                n_languages=n_languages,
                n_seeds=3,
                n_clusters=240,
                n_examples=1190,
                baseline_score=40.0,
                gain=gain,
                se=se,
                df=5.0,
                ci_low=gain - 2.5 * se,
                ci_high=gain + 2.5 * se,
                p_value=0.02,
                p_adjusted=0.04,
                adjustment="holm",
                mde=3 * se,
                verdict=verdict,
                unit="clusters x seeds",
                note="",
            )
            rows.append(row | changes)
    return pd.DataFrame(rows)[COLUMNS]


def scores() -> pd.DataFrame:
    """Scores of two conditions: 10 times the language's position, 5 more with seed 1."""
    codes = toy_languages()["code"]
    return pd.DataFrame(
        [
            {
                "condition": condition,
                "task": "xquad",
                "language": code,
                "seed": seed,
                "score": 10.0 * i + 5 * seed,
            }
            for condition in ("none", "squad")
            for i, code in enumerate(codes)
            for seed in (0, 1)
        ]
    )


def losses(conditions=("none", "squad"), seeds=3, steps=200) -> pd.DataFrame:
    """Falling losses of some runs."""
    step = np.arange(1, steps + 1)
    runs = [
        pd.DataFrame(
            {
                "step": step,
                "loss": 3 * np.exp(-step / 50) + 0.1 * seed,
                "seed": seed,
                "condition": name,
            }
        )
        for name in conditions
        for seed in range(seeds)
    ]
    return pd.concat(runs, ignore_index=True)
