"""Names as people write them, in all that is read: tasks, conditions, metrics, languages; and the
order in which languages and families stand."""

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from functools import lru_cache

import pandas as pd

from xtsupport import tables
from xtsupport.sides import bare, both_sides, in_braces, side

METRICS = {
    "f1": "F1", "exact_match": "exact match", "f1_segmented": "segmented F1",
    "accuracy": "accuracy", "official": "official metrics",
}  # fmt: skip
AGGREGATES = {
    "rest": "other targets",
    "rest (common)": "other targets that all these languages have",
    "rest (f1)": "other targets scored by F1",
    "rest (other data)": "other targets trained on other data",
    "same-format": "other targets of its format",
    "f1-native": "targets scored by F1",
    "retrieval": "sentence retrieval",
    "all": "all targets",
}
MARKS = {"@translated": ", translated", "@matched": ", equal rows", "+mlm": " + masked LM"}
ROOM = 44  # letters for settings in braces
NONE = "no intermediate task"
SCRIPTS = {"Latn": "Latin", "Cyrl": "Cyrillic", "Arab": "Arabic", "Deva": "Devanagari",
           "Beng": "Bengali", "Armn": "Armenian", "Geor": "Georgian", "Grek": "Greek",
           "Gujr": "Gujarati", "Guru": "Gurmukhi", "Hans": "Chinese", "Hebr": "Hebrew",
           "Jpan": "Japanese", "Kore": "Korean", "Mlym": "Malayalam", "Mymr": "Burmese",
           "Taml": "Tamil", "Telu": "Telugu"}  # ISO 15924; Thai is "Thai"  # fmt: skip


@lru_cache(maxsize=8)
def _titles(data: str) -> dict[str, str]:
    own = tables.tasks(data).items()  # a mirror's table may be older than its column of titles
    known = {name: row.title for name, row in (*tables.tasks().items(), *own) if row.title}
    return known | {"none": NONE, "all": "all tasks mixed"}


def named(name: str, data: str = "hub") -> str:
    """A task or plain condition: `XQuAD`; one that no table names stays as it is."""
    return _titles(str(data)).get(name, name)


def task_name(task: str, data: str = "hub") -> str:
    """A task, an aggregate or a difference: `XQuAD`, `XQuAD minus other targets`."""
    first, less, second = task.partition(" - ")
    if less:
        return f"{task_name(first, data)} minus {task_name(second, data)}"
    return AGGREGATES.get(task) or named(task, data)


def metric_name(metric: str) -> str:
    """`F1`, `exact match`."""
    return METRICS.get(metric, metric)


@lru_cache(maxsize=512)
def side_name(one: str, data: str = "hub") -> str:
    """A condition with its variant: `SQuAD, adversarial`; `no intermediate task, steps matched to
    SQuAD`."""
    condition, variant = side(one)
    own = in_braces(one)  # none in the name of a system from elsewhere, such as `my{`
    base, _, matched = (bare(condition) if own else condition).partition("~")
    marks = "".join(words for mark, words in MARKS.items() if mark in base)
    for mark in MARKS:
        base = base.replace(mark, "")
    text = f"{NONE}, steps matched to {named(matched, data)}" if matched else named(base, data)
    text += marks + (f", {variant.replace('source=', 'trained in ')}" if variant != "plain" else "")
    return text + (f"{{{few_words(own)}}}" if own else "")


def few_words(settings: Sequence[str]) -> str:
    """Settings in a name that a figure has room for: the first, and how many more, with a mark of
    what they are; of a long one both ends."""
    first, *rest = settings
    text = first if len(first) <= ROOM else f"{first[:12]}\N{HORIZONTAL ELLIPSIS}{first[-28:]}"
    if not rest or len(text) + sum(map(len, rest)) < ROOM:
        return ",".join([text, *rest])
    mark = hashlib.sha256(",".join(settings).encode()).hexdigest()[:4]
    return f"{text} and {len(rest)} more, {mark}"


def contrast_name(row: Mapping) -> str:
    """Both sides of a row of a comparison: `SQuAD against no intermediate task`."""
    return " against ".join(side_name(each) for each in both_sides(row))


def level_order(levels: Iterable[str], languages: pd.DataFrame) -> list[str]:
    """Distinct levels: `all` first, then families, groups or codes, nearest to English first.

    languages: the columns of languages.csv. A family or group stands at the mean distance of its
    languages other than English, equally near ones in the table's order; unknown ones come last.
    """
    places: dict[str, list[float]] = {"all": [-1.0]}
    names = [languages[column].tolist() for column in ("code", "group", "family")]
    for code, *above, far in zip(*names, languages["syntactic"].astype(float), strict=True):
        for level in dict.fromkeys((code, *above)) if code != "en" else (code,):
            places.setdefault(level, []).append(far)

    def place(level: str) -> float:
        known = [far for far in places.get(level, [3.0]) if far == far]
        return sum(known) / len(known) if known else 2.0

    wanted = dict.fromkeys(levels)
    return sorted({level: None for level in places if level in wanted} | wanted, key=place)


def level_names(levels: Iterable[str], languages: pd.DataFrame) -> dict[str, str]:
    """Level -> what a reader sees: `German, Germanic`; languages: the columns of languages.csv."""
    columns = (languages[column].tolist() for column in ("code", "name", "group"))
    known = {code: name if group == code else f"{name}, {group}"
             for code, name, group in zip(*columns, strict=True)}  # fmt: skip
    known["all"] = "all languages"
    return {level: known.get(level, level) for level in levels}
