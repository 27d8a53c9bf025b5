"""Looking at single examples: the same one in several languages, and what a condition changed."""

from collections.abc import Sequence
from functools import partial

import pandas as pd

from xtsupport.data import load
from xtsupport.data.world import languages as invented
from xtsupport.errors import Unreachable, UserError
from xtsupport.tables import languages, task

COLUMNS = {  # of an example of each kind
    "span": ("question", "context", "answers"),
    "classification": ("text", "text_pair", "label"),
    "choice": ("context", "question", "choices", "label"),
    "tagging": ("tokens", "tags"),
    "retrieval": ("text", "text_2"),
    "masked": ("text",),
}
UNTOLD = ("label", "tags", "text_2")  # labels, and what is English already


def side_by_side(
    name: str, index: int = 0, data: str = "hub", codes: Sequence[str] = ()
) -> pd.DataFrame:
    """Example number `index` of a task's evaluation set in several languages (default: all).

    One row per language: its name, family, the example's columns, and what they say in English
    (``in_english``). Languages whose data are not there are left out, and said.
    """
    table, about = languages(data), task(name, data)
    rows, away = [], []
    for code in codes or about.languages:
        try:
            shown = load(name, code, None, data)
        except UserError as error:
            away.append(error.reason if isinstance(error, Unreachable) else error.problems[0])
            continue
        if index >= len(shown):
            raise UserError(f"{name} ({code}): has {len(shown)} examples, numbered from 0; "
                            f"there is no example {index}")  # fmt: skip
        rows.append({"language": table[code].name, "family": table[code].family}
                    | plain(shown[index])
                    | {"in English": in_english(name, code, shown[index], data)})  # fmt: skip
    if away:
        print(f"{name}: {len(away)} languages are not shown: {away[0]}")
    columns = ["language", "family", *COLUMNS[about.kind], "in English"]
    return pd.DataFrame(rows, columns=columns)


def plain(example: dict) -> dict:
    """An example with its nested values as text: answers and choices joined, tokens spaced."""
    shown = {}
    for key, value in example.items():
        if key == "answers":
            value = " | ".join(dict.fromkeys(value["text"])) or "(no answer)"
        elif isinstance(value, list):
            value = (" " if key in ("tokens", "tags") else " | ").join(value)
        shown[key] = value
    return shown


def in_english(name: str, code: str, example: dict, data: str = "hub") -> str:
    """What an example says in English: word by word for an invented language, the English row of
    the same id where a task is parallel, each marked as what it is; else nothing."""
    if is_invented(code):
        texts = [key for key in COLUMNS[task(name, data).kind] if key not in UNTOLD]
        shown = plain({key: example[key] for key in texts if example.get(key)})
        return "word by word: " + " · ".join(map(partial(word_by_word, code=code), shown.values()))
    if code == "en" or "en" not in task(name, data).languages:
        return ""
    try:
        rows = load(name, "en", None, data)
    except UserError:
        return ""
    if example["example_id"] not in (ids := rows["example_id"][:]):
        return ""
    shown = plain(rows[ids.index(example["example_id"])])
    texts = [shown[key] for key in COLUMNS[task(name, data).kind] if shown.get(key)]
    return "translation: " + " · ".join(map(str, texts))


def is_invented(code: str) -> bool:
    """Whether a code is that of a language of the generated world, English apart."""
    return code in invented.LANGUAGES and code != "en"


def word_by_word(text: str, code: str) -> str:
    """A text of an invented language in English words, in its own order; others as they are."""
    return invented.gloss(text, code) if is_invented(code) else text


def most_changed(
    treatment: pd.DataFrame, baseline: pd.DataFrame, name: str, data: str = "hub", count: int = 2
) -> pd.DataFrame:
    """The examples of each family that a treatment changed most, `count` in each direction.

    `treatment` and `baseline`: rows of the cube with a column `prediction`, of one target. The
    change is the mean over seeds of the score of the target's first metric, in points; predictions
    are those of the first seed. Columns: family, language (its name), change, the example's own
    columns, what they say in English, baseline and treatment prediction (in English in brackets);
    the most changed first.
    """
    metric = task(name, data).metrics[0]
    sides = [side[side["metric"] == metric] for side in (baseline, treatment)]
    keys = ["family", "language", "example_id"]
    means = [side.groupby(keys, observed=True)["score"].mean() for side in sides]
    change = (100 * (means[1] - means[0])).dropna().rename("change").reset_index()
    order = change.sort_values("change", kind="stable").groupby("family", sort=False)
    chosen = pd.concat([order.head(count), order.tail(count)]).drop_duplicates(keys)
    chosen = chosen.assign(size=chosen["change"].abs())
    chosen = chosen.sort_values(
        ["family", "size", "change"], ascending=[True, False, False], kind="stable"
    )
    said = [
        side[side["seed"] == side["seed"].min()].set_index(keys)["prediction"] for side in sides
    ]
    table = languages(data)
    rows = [
        {
            "family": row.family,
            "language": table[row.language].name if row.language in table else row.language,
            "change": round(row.change, 1),
            **_example(name, row.language, row.example_id, data),
            "baseline said": _both(said[0].get(tuple(row[1:4]), ""), row.language),
            "treatment said": _both(said[1].get(tuple(row[1:4]), ""), row.language),
        }
        for row in chosen.itertuples()
    ]
    return pd.DataFrame(rows)


def _example(name: str, code: str, example_id: str, data: str) -> dict:
    examples = load(name, code, None, data)
    example = examples[examples["example_id"].index(example_id)]
    shown = plain(example) | {"in English": in_english(name, code, example, data)}
    return {key: shown[key] for key in shown if key not in ("example_id", "cluster_id")}


def _both(said: str, code: str) -> str:
    told = word_by_word(str(said), code)
    return str(said) if told == str(said) else f"{said} ({told})"
