"""The tables: what a task, a language, a known encoder and an invented family is (the CSV files).

A mirror folder that holds such a file at its root replaces the packaged one; this is how a user's
own task or language, and the generated world, come in.
"""

import re
import string
from dataclasses import dataclass, fields
from math import inf
from pathlib import Path
from typing import TYPE_CHECKING

from xtsupport.errors import UserError, did_you_mean, shorten, unknown
from xtsupport.folders import PACKAGE, typed
from xtsupport.table_files import read_rows

if TYPE_CHECKING:
    import pandas as pd

WORLD = PACKAGE / "data" / "world"  # its tasks.csv and languages.csv
ROLES = ("intermediate", "target", "raw", "other")
KINDS = ("classification", "choice", "tagging", "span", "retrieval", "masked")
EVALUATORS = ("accuracy", "token_accuracy", "squad_v1", "squad_v2", "mlqa", "seqeval", "pairs", "")
CHOICES = {"role": ROLES, "kind": KINDS, "evaluator": EVALUATORS}
FILLED = ("code", "iso3", "name", "family", "group", "hub", "languages")
LARGEST = {"syntactic": 1, "geographic": 1, "featural": 1, "chance": 100, "pretraining_gb": inf}


@dataclass(frozen=True)
class Language:
    """One row of languages.csv.

    `group` is the Glottolog family, with Indo-European split into its branches. `pretraining_gb`
    is the language's size in GiB in CC-100 (XLM-R: Conneau et al. 2020, Table 6). `syntactic`,
    `geographic` and `featural` are distances from English in 0..1, from `distance_source`.
    Empty codes of a benchmark mean that it does not have the language.
    """

    code: str
    iso3: str
    name: str
    family: str
    group: str
    xtreme_family: str = ""
    script: str = ""
    glottocode: str = ""
    tatoeba: str = ""
    udpos: str = ""
    pretraining_gb: float | None = None
    syntactic: float | None = None
    geographic: float | None = None
    featural: float | None = None
    distance_source: str = ""
    note: str = ""


@dataclass(frozen=True)
class Task:
    """One row of tasks.csv.

    `title` is the name as people write it. `config` and `id_prefix` are patterns over the fields of
    a Language (`code_2` is the second language's code). A split may join several with ``+``, and
    ``task/split`` names another row: ``train_r1+snli/train``. `cluster` is the example column whose
    equal values form a cluster; `parallel` says that row k means the same in every language.
    `evaluator` names the official scorer. `more_languages` are read only where a study names them
    (XTREME-R's), on the hub from the row `more_source`, if any. `chance` is in 0..100. `same_data`
    lists the intermediate tasks that share data with this target. `revision` pins the files on the
    hub (a commit, tag or branch); where it is empty, each study freezes the commit that it finds.
    """

    name: str
    role: str
    kind: str
    hub: str
    title: str = ""
    config: str = ""
    train_split: str = ""
    eval_split: str = ""
    dev_split: str = ""
    training_task: str = ""
    languages: tuple[str, ...] = ()
    more_languages: tuple[str, ...] = ()
    more_source: str = ""
    labels: tuple[str, ...] = ()
    metrics: tuple[str, ...] = ()
    evaluator: str = ""
    chance: float | None = None
    cluster: str = ""
    parallel: bool = False
    id_prefix: str = ""
    same_data: tuple[str, ...] = ()
    revision: str = ""
    citation: str = ""
    licence: str = ""
    note: str = ""

    @property
    def every_language(self) -> tuple[str, ...]:
        """Its languages, and those that have to be named."""
        return self.languages + self.more_languages

    def spoken(self, chosen) -> list[str]:
        """The languages that a study's `languages` choose of it: ``all``, or a list of codes."""
        if chosen == "all":
            return list(self.languages)
        return [code for code in self.every_language if code in chosen]

    @property
    def pairable(self) -> bool:
        """Whether its two texts can be in different languages (load(..., language_2=...))."""
        return self.parallel and self.kind in ("span", "classification")


@dataclass(frozen=True)
class Encoder:
    """One row of encoders.csv: the tasks whose data a published encoder was trained on."""

    name: str
    title: str = ""
    size: str = ""
    exposed: tuple[str, ...] = ()
    source: str = ""
    note: str = ""


@dataclass(frozen=True)
class Family:
    """One row of families.csv: how a family of the generated world was built, and what for.

    cognates: the share of content words taken over from English; order: SVO, SOV, or SVO/SOV (half
    of the statements each, questions SVO); case: suffixes instead of prepositions, and on objects;
    script: ISO 15924; differs: in what, from Kindric.

    intended: the gain of `squad` over `none` on `xquad` that the family was built for, ``alike``,
    ``less`` or ``little`` beside English (report/intended.py), written down before any encoder was
    trained on this world and not changed by results.
    """

    family: str
    cognates: float | None
    order: str
    case: bool
    script: str
    intended: str
    differs: str


def mirror(data: str | Path, start: Path | None = Path()) -> Path:
    """The folder of a mirror, from `start` (None: the project root). UserError if there is none."""
    folder = typed(data, start)
    if not folder.resolve().is_dir():  # `..` leads out of a project root that is not made yet, too
        raise UserError(f"no folder {folder}{did_you_mean(data, ['hub', 'world'])}; "
                        "allowed: hub, world or a mirror folder")  # fmt: skip
    return folder


def tasks(data: str | Path = "hub") -> dict[str, Task]:
    """All tasks by name, from the mirror's own tasks.csv if it has one; UserError if wrong."""
    return _table("tasks.csv", Task, data)


def languages(data: str | Path = "hub") -> dict[str, Language]:
    """All languages by code, from the mirror's own languages.csv if it has one."""
    return _table("languages.csv", Language, data)


def encoders(data: str | Path) -> dict[str, Encoder]:
    """The encoders whose training data are known, by name (hub id, offline-e5 or pretrain)."""
    return _table("encoders.csv", Encoder, data)


def families() -> dict[str, Family]:
    """The families of the generated world by name."""
    return read_rows(PACKAGE / "families.csv", Family, _check)


def known_encoder(name: str, data: str | Path) -> Encoder | None:
    """The row of an encoder, at whatever revision (``owner/name@revision``); None: no row."""
    return encoders(data).get(name.partition("@")[0])


def seen_before(encoder: str, names, data: str | Path) -> str:
    """A sentence on which of the tasks `names` an encoder was trained on, to stand by results."""
    row = known_encoder(encoder, data)
    if row is None:
        return f"It is not known which of these tasks the encoder {encoder} was trained on."
    met = [name for name in names if name in row.exposed]
    if not met:
        return f"The encoder ({encoder}) was not trained on data of any of these tasks before."
    return (
        f"EXPOSED: the encoder ({encoder}) was itself trained on data of {', '.join(met)}; scores "
        f"and gains there are not zero-shot. Source: {row.source}."
    )


def task(name: str, data: str | Path = "hub") -> Task:
    """The task of that name; UserError with the nearest name if there is none."""
    return _pick(name, tasks(data), "task")


def language(code: str, data: str | Path) -> Language:
    """The language of that code; UserError with the nearest code if there is none."""
    return _pick(code, languages(data), "language")


def _pick(name, table, noun):
    if isinstance(name, str) and name in table:
        return table[name]
    raise UserError(unknown(noun, name, table))


def _table(filename, row_type, data):
    folder = WORLD if data == "world" else PACKAGE if data == "hub" else mirror(data)
    path = folder / filename if (folder / filename).is_file() else PACKAGE / filename
    return read_rows(path, row_type, _check)


def _check(row):
    """What is wrong with a row of any of the tables, by the names of its columns."""
    key = {Task: "name", Language: "code"}.get(type(row))
    for name, value in vars(row).items():
        if name in FILLED and not value:
            yield f"{name} is empty"
        elif name == key and not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}", value):
            yield f"{name}: {shorten(value)} must be letters, digits and . _ - (at most 64)"
        elif name in CHOICES and value not in CHOICES[name]:
            yield f"{name}: {value!r} is not one of {', '.join(filter(None, CHOICES[name]))}"
        elif name in LARGEST and value is not None and not 0 <= value <= LARGEST[name]:
            yield f"{name}: {value} is not in 0..{LARGEST[name]}"
        elif name in ("config", "id_prefix"):
            yield from _check_pattern(name, value)


def _check_pattern(name, pattern):
    allowed = {field.name for field in fields(Language)} | {"code_2"}
    try:
        parts = list(string.Formatter().parse(pattern))
    except ValueError as error:
        yield f"{name}: {shorten(pattern)}: {error}; write {{COLUMN}}"
        return
    for _, key, form, conversion in parts:
        if key is not None and (form or conversion or key not in allowed):
            yield f"{name}: {{{key}}} is not a column of languages.csv"


def _frame(rows):
    import pandas as pd

    table = pd.DataFrame(rows.values())
    return table.map(lambda cell: " ".join(cell) if isinstance(cell, tuple) else cell)


def language_table(data: str = "hub") -> "pd.DataFrame":
    """The languages of a data source, one row each: the columns of languages.csv, and fertility.

    fertility: sub-tokens per word (fertility.csv, measured by ``xtsupport data fertility`` with the
    tokenizer of multilingual-e5, which is XLM-R's); nan for languages of a mirror's own table.
    """
    import pandas as pd

    table, own = _frame(languages(data)), languages(data) != languages("hub")
    measured = pd.read_csv(PACKAGE / "fertility.csv", index_col="code")["fertility"]
    return table.assign(fertility=float("nan") if own else table["code"].map(measured))


def task_table(data: str = "hub") -> "pd.DataFrame":
    """The tasks of a data source by name, with the columns of tasks.csv; lists as text."""
    return _frame(tasks(data)).set_index("name")


def encoder_table(data: str) -> "pd.DataFrame":
    """The encoders whose training data are known, with the columns of encoders.csv."""
    return _frame(encoders(data))


def family_table(data: str = "world") -> "pd.DataFrame":
    """How a source's invented families were built: families.csv, no rows for real languages."""
    table = _frame(families())
    return table[table["family"].isin({row.family for row in languages(data).values()})]


def guesses(data: str) -> "pd.DataFrame":
    """What scores a task without training; columns task, language, condition, score (0..100).

    condition ``chance``: of guessing, as tasks.csv has it, where that is above 0; a random word of
    the passage for the questions of the generated world. ``lazy rules``: the best of some hundred
    rules that need no reading (data/lazy_rules.py); for the generated world only.
    """
    import pandas as pd

    columns = ["task", "language", "condition", "score"]
    known = [row for row in tasks(data).values() if row.chance]
    found = [(row.name, code, "chance", row.chance) for row in known for code in row.languages]
    if data == "world":
        lazy = pd.read_csv(PACKAGE / "lazy_rules.csv").rename(columns={"lazy": "lazy rules"})
        lazy = lazy.melt(columns[:2], ["chance", "lazy rules"], "condition", "score")
        found += lazy[columns].values.tolist()
    return pd.DataFrame(found, columns=columns)
