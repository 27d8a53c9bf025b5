"""A row of a comparison as a sentence that a careful author could paste into a paper."""

from collections.abc import Mapping
from math import isnan

from xtsupport.report.names import AGGREGATES, metric_name, side_name, task_name
from xtsupport.report.numbers import counted, ends, level, p_equation, points, signed
from xtsupport.sides import both_sides
from xtsupport.statistics.declared import Declared, few_seeds
from xtsupport.tables import languages

CLAIMS = {
    "clusters x seeds": "the recipe on new examples",
    "clusters": "these trained models on new examples",
    "seeds": "the recipe on these examples",
    "clusters x seeds x languages": "the recipe on new examples in further languages",
}
ONE_SEED = "these trained models on other questions, not about other runs"


def sentence(row: Mapping, rules: Declared, data: str) -> str:
    """One sentence with gain, interval, p-value (adjusted, if that changes it), verdict and what
    these rest on; what they speak of, where that is not the recipe on new examples.

    row: a row of ``compare`` (a mapping or a Series); rules: those it was judged by; data: whose
    tables name tasks and languages.
    """
    adjusted = "Holm-adjusted " if row["adjustment"] == "holm" else "adjusted "
    if row["p_adjusted"] == row["p_value"]:  # as in a family of one row
        adjusted = ""
    grouped = row["by"] not in ("all", "language", "source")
    facts = [counted(row["n_languages"], "language")] if grouped else []
    facts += [
        f"{level(row, rules.alpha)}% interval {ends(row['ci_low'], row['ci_high'])}",
        adjusted + p_equation(row["p_adjusted"]),
        f"{counted(row['n_clusters'], 'cluster')}, {counted(row['n_seeds'], 'seed')}",
    ]
    about = "" if claim(row) == CLAIMS["clusters x seeds"] else f"; this is about {claim(row)}"
    return f"{_finding(row, rules, data)} ({'; '.join(facts)}){about}."


def claim(row: Mapping) -> str:
    """What a row's interval speaks about: its unit; of one run, never other runs."""
    if "seeds" in row["unit"] and row["n_seeds"] < 2:
        return ONE_SEED
    return CLAIMS.get(row["unit"], row["unit"])


def _finding(row, rules, data) -> str:
    where, (target, _, rest) = _place(row, data), row["task"].partition(" - ")
    who, base = (side_name(each, data) for each in both_sides(row))
    on, words = _task(target, data), ("larger", "smaller") if rest else ("higher", "lower")
    size = f"{signed(abs(row['gain']))} {metric_points(row['metric'], row['task'])}"
    than = f"{size} {words[int(row['gain'] < 0)]} on {on} than"
    if not round(row["gain"], 3):  # identical, but for what adding leaves
        than = f"the same on {on} as"
    if rest:
        said = f"{where}, the gain of {who} over {base} is {than} on {_task(rest, data)}"
    else:
        said = f"{where}, {who} scores {than} {base}"
    return said + {
        "improves": "",
        "harms": "",
        "equivalent": f", which is equivalent within {points(rules.margin)}",
        "too few": f", from too few {scarce(row)} for a verdict",
        "undetermined": _open(row, rules.alpha),
    }[row["verdict"]]  # fmt: skip


def _open(row, alpha) -> str:
    if row["p_value"] <= alpha:
        return ", which does not survive the correction for multiple comparisons"
    if isnan(row["mde"]):
        return ", which is inconclusive"
    return f", which is inconclusive ({required(row, alpha)})"


def required(row: Mapping, alpha: float) -> str:
    """`80% power requires a gain of 1.5 points`, and that this is before a correction if so."""
    corrected = level(row, alpha) != f"{100 * (1 - alpha):g}"
    before = ", before the correction for several rows" if corrected else ""
    return f"80% power requires a gain of {points(round(row['mde'], 1))}{before}"


def metric_points(metric: str, task: str) -> str:
    """`F1 points`, `points of exact match`; `points` of a difference of two metrics."""
    if task.endswith("(f1)") and metric == "official":
        metric = "f1"
    _, apart, rest = task.partition(" - ")
    if apart and not (metric == "f1" and rest in ("rest (f1)", "same-format")):
        return "points"
    special = {"f1": "F1 points", "official": "points of the official metrics"}
    return special.get(metric, f"points of {metric_name(metric)}")


def _task(name: str, data: str) -> str:
    text = task_name(name, data)
    return f"the {text}" if name in AGGREGATES and "targets" in text and name != "all" else text


def _place(row, data) -> str:
    if row["by"] in ("language", "source"):
        known = languages(data).get(row["level"])
        return f"In {known.name if known else row['level']}"
    if row["by"] == "all":
        return f"Over {counted(row['n_languages'], 'language')}"
    return f"In {row['level']}"


def scarce(row: Mapping) -> str:
    """What a row with verdict `too few` has too few of: seeds or languages."""
    return "seeds" if few_seeds(row["unit"], row["n_seeds"]) else "languages"
