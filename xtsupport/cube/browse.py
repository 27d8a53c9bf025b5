"""Looking at single examples: the same one in several languages, and what a condition changed."""

from collections.abc import Callable, Mapping, Sequence
from functools import partial

import numpy as np
import pandas as pd
import pyarrow as pa

from xtsupport.cube.columns import COUNTS
from xtsupport.data.hub import load, load_table
from xtsupport.data.world import languages as invented
from xtsupport.errors import Unreachable, UserError
from xtsupport.sides import Side, as_columns
from xtsupport.tables import languages, task

COLUMNS = {  # of an example of each kind
    "span": ("question", "context", "answers"),
    "classification": ("text", "text_pair", "label"),
    "choice": ("context", "question", "choices", "label"),
    "tagging": ("tokens", "tags"),
    "retrieval": ("text", "text_2"),
    "masked": ("text",),
}
GOLD = {"span": "answers", "classification": "label", "choice": "label", "tagging": "tags",
        "retrieval": "text_2", "masked": ""}  # fmt: skip
KEYS = ["family", "language", "example_id"]
SHOWN = {*KEYS, *COUNTS, "condition", "variant", "seed", "metric", "score", "prediction"}
UNTOLD = ("label", "tags", "text_2")  # labels, and what is English already


def side_by_side(
    name: str, index: int = 0, data: str = "hub", codes: Sequence[str] = ()
) -> pd.DataFrame:
    """Example number `index` of a task's evaluation set in several languages (default: all).

    One row per language: its name, family, the example's columns, and what they say in English
    (``in_english``). Languages whose data are not there are left out, and said.
    """
    table, about, texts = languages(data), task(name, data), Texts(data)
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
        example = shown[index]
        about_it = {"language": table[code].name, "family": table[code].family}
        told = in_english(name, code, example, texts)
        rows.append(about_it | plain(example) | {"in English": told})
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


def in_english(name: str, code: str, example: dict, texts: "Texts") -> str:
    """What an example says in English: word by word for an invented language, the English row of
    the same id where a task is parallel, each marked as what it is; else nothing.
    """
    about = task(name, texts.data)
    if code in invented.LANGUAGES and code != "en":
        told = [key for key in COLUMNS[about.kind] if key not in UNTOLD]
        shown = plain({key: example[key] for key in told if example.get(key)})
        return "word by word: " + " · ".join(
            map(partial(invented.gloss, code=code), shown.values())
        )
    if code == "en" or "en" not in about.languages:
        return ""
    english = texts.example(name, "en", example["example_id"])
    if english is None:
        return ""
    shown = plain(english)
    return "translation: " + " · ".join(
        str(shown[key]) for key in COLUMNS[about.kind] if shown.get(key)
    )


def most_changed(
    treatment: pd.DataFrame, baseline: pd.DataFrame, name: str, data: str, count: int = 2
) -> pd.DataFrame:
    """The examples of each family that a treatment changed most, `count` in each direction, in
    languages other than English.

    `treatment` and `baseline`: rows of the cube with a column `prediction`, of one target. The
    change is the mean over seeds of the score of the target's first metric, in points; predictions
    are those of the seed that changed most in that direction. Columns: family, language (its name),
    change, baseline and treatment prediction (in English in brackets), the answer (as `right`),
    what the example says in English, its own columns; the most changed first, the unchanged left
    out.
    """
    metric = task(name, data).metrics[0]
    both = (treatment.assign(condition="after"), baseline.assign(condition="before"))
    rows = pd.concat(both, ignore_index=True).assign(variant="plain")
    rows = rows[rows["metric"].eq(metric) & rows["language"].ne("en")]
    examples, sides = _by_side(rows)
    change = _changes(examples, sides["after", "plain"], sides["before", "plain"])
    chosen = _of_each_family(change, count)
    size, family = chosen["change"].abs(), chosen["family"].astype(str)
    order = np.lexsort((-chosen["change"], -size, family))
    table, texts, told = languages(data), Texts(data), []
    each = rows.set_index(KEYS[1:]).sort_index()
    for row in chosen.iloc[order].to_dict("records"):
        code = row["language"]
        about = {"family": row["family"], "language": table[code].name if code in table else code}
        about["change"] = round(row["change"], 1)
        said = _said(each.loc[[(code, row["example_id"])]], row["change"])
        about |= {who: invented.with_gloss(str(text), code) for who, text in said.items()}
        example = texts.example(name, code, row["example_id"])
        if example:
            shown = plain(example)
            about["right"] = shown.pop(GOLD[task(name, data).kind])
            about |= {"in English": in_english(name, code, example, texts)} | shown
        told.append(about)
    return pd.DataFrame(told).drop(columns=["example_id", "cluster_id"], errors="ignore")


def _of_each_family(change: pd.DataFrame, count: int) -> pd.DataFrame:
    """The `count` largest rises and falls of every family, of equal ones those that no family
    before it shows: in a parallel task the same question would stand in each."""
    parts: list[pd.DataFrame] = []
    used: set[str] = set()
    for _, rows in change.groupby("family", observed=True):
        for sign in (1, -1):
            size = (sign * rows["change"]).round(1)
            ranked = rows.assign(size=size, used=rows["example_id"].isin(used))[size > 0]
            ranked = ranked.sort_values(["size", "used"], ascending=[False, True], kind="stable")
            parts.append(ranked.drop_duplicates("example_id").head(count))
            used |= {*parts[-1]["example_id"]}
    return pd.concat(parts or [change])


def _said(rows: pd.DataFrame, change: float) -> dict[str, str]:
    """What both sides said of one example, in the seed that changed most in the direction of
    `change`; where they share no seed, each in its first."""
    rows = rows.assign(score=_score(rows), prediction=rows["prediction"].fillna(""))
    wide = rows.pivot_table(["score", "prediction"], "seed", "condition", aggfunc="first")
    paired = wide.dropna()
    wide = paired if len(paired) else wide.bfill().head(1)
    gain = (wide["score", "after"] - wide["score", "before"]).astype(float)
    said = wide.loc[gain.idxmax() if change > 0 else gain.idxmin(), "prediction"]
    return {"baseline said": said["before"], "treatment said": said["after"]}


def changed_examples(
    read: Callable[[str], pd.DataFrame],
    contrasts: Sequence[tuple[Side, Side]],
    metrics: Mapping[str, str],
    data: str,
    count: int = 24,
) -> pd.DataFrame:
    """The examples that each contrast changed most on each task, at most two a language each way.

    read: a task -> its rows of the cube; metrics: task -> metric. Columns: treatment, baseline,
    variant, task, language, example_id, change (points, mean over seeds). Where the cube has
    predictions, also what the example asks (question), its gold, the question in English, and what
    both sides said (first seed): a cube without predictions is one that holds no texts.
    """
    parts = []
    for name, metric in metrics.items():
        rows = read(name)
        rows = rows.loc[rows["metric"] == metric, [each for each in rows if each in SHOWN]]
        rows = rows if "variant" in rows else rows.assign(variant="plain")
        examples, sides = _by_side(rows)
        for treatment, baseline in contrasts:
            if not {treatment, baseline} <= set(sides):
                continue
            change = _changes(examples, sides[treatment], sides[baseline], 0.5)
            worse, better = _extremes(change, "language", 2)
            both = pd.concat([better[::-1].head(count // 2), worse.head(count // 2)])
            parts.append(both.assign(task=name, **as_columns(treatment, baseline)))
    if not parts:
        return pd.DataFrame()
    found = pd.concat(parts, ignore_index=True)
    if "baseline_said" in found:
        texts = Texts(data)
        shown = [texts.of(row.task, row.language, row.example_id) for row in found.itertuples()]
        found = pd.concat([found, pd.DataFrame(shown, index=found.index)], axis=1)
    return found


def _by_side(rows: pd.DataFrame) -> tuple[pd.DataFrame, dict[Side, pd.DataFrame]]:
    """The examples (columns `KEYS`), and of every side, in their order, the mean score over seeds
    and, if known, what the first seed said; rows: of one metric. An example of a micro-averaged F1
    counts with its own F1.
    """
    grouped = rows.groupby(KEYS, observed=True)
    place, score, seed = grouped.ngroup().to_numpy(), _score(rows).to_numpy(), rows["seed"].array
    first = np.unique(place, return_index=True)[1]
    examples = rows[KEYS].iloc[first].reset_index(drop=True)
    if "prediction" in rows:
        said = rows["prediction"].astype(object)
        said = said.where(said.notna(), "").to_numpy()
    sides = {}
    for side, at in rows.groupby(["condition", "variant"], observed=True).indices.items():
        total, n = (np.bincount(place[at], w, len(first)) for w in (score[at], None))
        found = pd.DataFrame({"score": total / np.where(n, n, np.nan)})
        if "prediction" in rows:
            at = at[seed[at] == seed[at].min()][::-1]
            answers = np.full(len(first), "", object)
            answers[place[at]] = said[at]
            found["said"] = answers
        sides[side] = found
    return examples, sides


def _changes(examples, treatment, baseline, least: float = 0.0) -> pd.DataFrame:
    """The examples of both sides that changed by more than `least` points, with their change and,
    if known, what both said.
    """
    change = 100 * (treatment["score"] - baseline["score"])
    kept = change.abs() > least
    more = {"change": change}
    if "said" in treatment:
        more |= {"baseline_said": baseline["said"], "treatment_said": treatment["said"]}
    return examples.assign(**more)[kept]  # of no rows, assign would make as many as it is given


def _score(rows: pd.DataFrame) -> pd.Series:
    if "tp" not in rows:
        return rows["score"].astype(float)
    tp, fp, fn = (rows[name].astype(float) for name in COUNTS)
    own = (2 * tp / (2 * tp + fp + fn).where(lambda total: total > 0)).fillna(1.0).where(tp.notna())
    return rows["score"].astype(float).fillna(own) if "score" in rows else own


def _extremes(change: pd.DataFrame, by: str, count: int) -> tuple[pd.DataFrame, pd.DataFrame]:
    """The `count` largest falls and rises of every value of a column, in rising order."""
    order = change.sort_values("change", kind="stable")
    falls, rises = (
        order[side(order["change"], 0)].groupby(by, sort=False, observed=True)
        for side in (np.less, np.greater)
    )
    return falls.head(count), rises.tail(count)


class Texts:
    """What single examples ask, as texts; every evaluation set is read once."""

    def __init__(self, data: str):
        self.data = data
        self.known: dict[tuple[str, str], tuple[pa.Table | None, dict[str, int]]] = {}

    def of(self, name: str, code: str, example_id: str) -> dict[str, str]:
        """question, gold, english of an example; empty where its data are not here."""
        example = self.example(name, code, example_id)
        if example is None:
            return dict.fromkeys(("question", "gold", "english"), "")
        kind, shown = task(name, self.data).kind, plain(example)
        asked = [key for key in COLUMNS[kind] if key not in (GOLD[kind], "context")]
        return {
            "question": " / ".join(str(shown[key]) for key in asked if shown.get(key)),
            "gold": str(shown.get(GOLD[kind], "")),
            "english": in_english(name, code, {**example, "context": ""}, self),
        }

    def example(self, name: str, code: str, example_id: str) -> dict | None:
        """An example of an evaluation set; None where it, or its data, are not here."""
        if (name, code) not in self.known:
            try:
                rows = load_table(name, code, None, self.data)[0]
                place = {each: at for at, each in enumerate(rows["example_id"].to_pylist())}
                self.known[name, code] = rows, place
            except UserError:
                self.known[name, code] = None, {}
        rows, place = self.known[name, code]
        found = rows.slice(place[example_id], 1) if rows and example_id in place else None
        return found.to_pylist()[0] if found else None
