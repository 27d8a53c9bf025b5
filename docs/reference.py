"""Write the results of the committed reference study into the texts that report them.

    python docs/reference.py

Every passage between ``<!-- generated: NAME -->`` and ``<!-- end -->`` in README.md and
outputs/reference/README.md is made here, from the study's cube and the table made of it
(``make reference-report`` does both); a test compares them.
"""

import re
import sys
from collections.abc import Mapping
from pathlib import Path

import pandas as pd

from xtsupport import folders
from xtsupport.cube.scores import official
from xtsupport.errors import UserError
from xtsupport.files import write_text
from xtsupport.report.answer import gain_words, in_short
from xtsupport.report.contents import Contents, contents
from xtsupport.report.names import side_name, task_name
from xtsupport.report.numbers import ends, p_equation, points, signed_gain
from xtsupport.report.paper_tables import read_comparison
from xtsupport.report.robustness import bootstrap_words, far_out, without_one
from xtsupport.statistics.best_intermediate import best_intermediate
from xtsupport.statistics.claims import beside_published
from xtsupport.statistics.comparisons import compare
from xtsupport.study.reference import reference_folder, reference_settings, reference_table
from xtsupport.study.results_commands import evidence_at

PASSAGE = re.compile(r"(<!-- generated: (\w+) -->\n).*?(<!-- end -->)", re.DOTALL)
COLUMNS = {
    ("xnli", "accuracy"): "XNLI, accuracy",
    ("panx", "f1"): "PAN-X, F1",
    ("udpos", "f1"): "UDPOS, F1",
    ("xquad", "f1"): "XQuAD, F1",
    ("mlqa", "f1"): "MLQA, F1",
    ("tydiqa", "f1"): "TyDiQA, F1",
    ("tatoeba", "accuracy"): "Tatoeba, accuracy",
    ("xquad - rest", "f1"): "XQuAD − rest, official metrics",
    ("xquad - rest (f1)", "f1"): "XQuAD − rest, F1 only",
}
PUBLISHED = ("XLM-R Large", "X-STILTs (Phang et al. 2020)")
LAYERS = (4, 6, 7, 8, 10, 12)


def committed() -> Path:
    """The folder of the reference study. UserError where there is none."""
    folder = reference_folder()
    if folder is None:
        raise UserError("outputs/reference holds no study; run `make reference` first")
    return folder


def study() -> Contents:
    """The reference study: its committed table, its cube, its settings."""
    folder = committed()
    evidence, settings, _ = evidence_at(str(folder / "cube"))
    return contents(read_comparison(folder / "significance.csv"), evidence, settings)


def passages(found: Contents) -> dict[str, str]:
    """Name -> text of every generated passage."""
    return {
        "answer": "\n".join(listed([*short(found), tatoeba(found)])),
        "short": "\n".join(listed(short(found))),
        "gains": gains(found),
        "findings": "\n".join(listed(findings(found))),
        "control": "\n".join(listed(control(found))),
        "declared": declared(found),
        "runs": "\n".join(listed([*far_out(found), *without_one(found)])),
        "bootstrap": bootstrap_words(found),
        "layers": layers(),
        "best": best(found),
        "published": beside(found),
        "claims": "\n".join(listed(claims(found))),
        "pilot": "\n".join(listed(pilot())),
    }


def listed(lines: list[str]) -> list[str]:
    """Markdown bullets; a tilde would strike words through."""
    return [f"* {line}".replace("~", r"\~") for line in lines]


def overall(comparison: pd.DataFrame) -> pd.DataFrame:
    """The rows over all languages, on what the table of gains shows."""
    rows = comparison[comparison["by"] == "all"]
    shown = pd.MultiIndex.from_frame(rows[["task", "metric"]]).isin(list(COLUMNS))
    return rows[shown]


def lines(cells: list[list[str]]) -> str:
    """A table in Markdown; the first row is its head."""
    head, *body = cells
    return "\n".join(f"| {' | '.join(row)} |" for row in [head, ["---"] * len(head), *body])


def gains(found: Contents) -> str:
    """The table of gains: contrasts down, in the paper's order, with the verdicts' intervals."""
    rows = overall(found.comparison)
    order = reference_settings()["conditions"]
    pairs = rows[["treatment", "baseline"]].drop_duplicates().to_numpy().tolist()
    pairs.sort(key=lambda pair: order.index(pair[0]))
    table = [["gain of", *COLUMNS.values()]]
    for one, base in pairs:
        mine = rows[(rows["treatment"] == one) & (rows["baseline"] == base)]
        cells = {(row["task"], row["metric"]): row for row in mine.to_dict("records")}
        table.append([over(mine.iloc[0]), *(cell(cells.get(column)) for column in COLUMNS)])
    return lines(table)


def cell(row: dict | None) -> str:
    """`+1.4 (−0.3 to 3.0)`, in bold letters with the verdict where something was found."""
    if row is None:
        return ""
    text = gain_words(row)
    return text.removesuffix(", undetermined") if "undetermined" in text else f"**{text}**"


def findings(found: Contents) -> list[str]:
    """What is not undetermined in the table of gains, a line each."""
    rows = overall(found.comparison).query("verdict != 'undetermined'").to_dict("records")
    return [f"{COLUMNS[r['task'], r['metric']]}, {over(r)}: {gain_words(r)}." for r in rows]


def over(row: Mapping) -> str:
    """`SQuAD over no intermediate task`."""
    return f"{side_name(row['treatment'])} over {side_name(row['baseline'])}"


def told(found: Contents, task: str, treatment: str = "squad", baseline: str = "none") -> str:
    """A gain on a task or aggregate over all languages, in words."""
    rows = found.comparison
    mine = rows["task"].eq(task) & rows["by"].eq("all") & rows["variant"].eq("plain")
    mine &= rows["treatment"].eq(treatment) & rows["baseline"].eq(baseline)
    mine &= rows["metric"].isin(["f1", "accuracy", "official"])
    return gain_words(rows[mine].iloc[0])


def at_chance(found: Contents) -> str:
    """The gains on XNLI without the runs that stayed at chance, over the control and over none."""
    scores = official(found.evidence.scores, found.evidence.data)
    scores = scores.query("task == 'xnli' and language != 'en'")
    means = scores.groupby(["condition", "seed"])["score"].mean().unstack("condition")
    sides = means[[found.primary.treatment, found.primary.baseline, "none"]].dropna()
    failed = sides.index[(sides <= 100 / 3 + 1).any(axis=1)]  # one in three is chance
    kept = sides.drop(failed).mean()
    gain, over_none = (signed_gain(kept.iloc[0] - base) for base in kept.iloc[1:])
    return (
        f"On XNLI the runs of seeds {' and '.join(map(str, failed))} stayed at chance after "
        f"{side_name(found.primary.treatment)}; without them the gain is {gain}, and over no "
        f"intermediate task {over_none}."
    )


def control(found: Contents) -> list[str]:
    """What the control's steps do by themselves, and to MNLI's gain: 95% intervals, unadjusted."""
    base, names = found.primary.baseline, ("udpos", "panx", "tydiqa", "xnli")
    pairs = [(base, "none"), ("mnli", base)]
    rows = overall(compare(found.evidence, by="all", contrasts=pairs, adjustment="none"))
    own = {(row["treatment"], row["task"]): ends_of(row) for row in rows.to_dict("records")}
    alone = ", ".join(f"{task_name(name)} {own[base, name]}" for name in names)
    return [
        f"The control over no intermediate task: {alone}.",
        f"{side_name('mnli')} over the control: {task_name('xnli')} {own['mnli', 'xnli']}.",
    ]


def declared(found: Contents) -> str:
    """The one row that the params file names in a comment and `planned.json` does not."""
    rows, primary = overall(found.comparison), found.primary
    mine = rows["treatment"].eq(primary.treatment) & rows["baseline"].eq(primary.baseline)
    p = rows.loc[mine & rows["task"].eq("xquad - rest (f1)"), "p_value"].item()
    return (
        "The params file's comment also names XQuAD − rest by F1 only. `planned.json` does not, so "
        f"that row is judged as exploratory; before correction it has {p_equation(p)}."
    )


def short(found: Contents) -> list[str]:
    """The answer in short, the margin beside its gain, and what else was asked."""
    first, *rest = in_short(found)
    return [first, beside_margin(found), *rest, *more_training(found)]


def beside_margin(found: Contents) -> str:
    """Whether the answer's gain, and its interval, reach the margin that was declared."""
    row, margin = found.overall, found.rules.margin
    size = "smaller" if row["gain"] < margin else "larger"
    reach = "goes beyond" if row["ci_high"] > margin else "ends below"
    first = f"This gain is {size} than the margin declared in advance, {points(margin)}"
    return f"{first}; its interval {reach} it."


def more_training(found: Contents) -> list[str]:
    """What else was asked about the primary target, and about the targets beside it."""
    sides = found.primary.treatment, found.primary.baseline
    asked = ("mlqa", "xquad - same-format", "all")
    same, less, every = (told(found, task, *sides) for task in asked)
    return [
        f"MLQA alone, which has XQuAD's format: {same}; the gain on XQuAD, over the languages of "
        f"both, minus that: {less}. All six fine-tuned targets (TyDiQA in its own languages): "
        f"{every}. {at_chance(found)}",
        f"XQuAD F1 over no intermediate task (fewer training steps): {side_name('squad')} "
        f"{told(found, 'xquad')}; {side_name('mnli')} (declared second) "
        f"{told(found, 'xquad', 'mnli')}. The other targets, by official metrics: "
        f"{side_name('squad')} {told(found, 'rest')}.",
    ]


def tatoeba(found: Contents) -> str:
    """Retrieval, which no phase 3 precedes: only what phase 2 does to the encoder."""
    return (
        f"Sentence retrieval ({task_name('tatoeba')}, accuracy) over no intermediate task: "
        f"{side_name('squad')} {told(found, 'tatoeba')}; {side_name('mnli')} "
        f"{told(found, 'tatoeba', 'mnli')}."
    )


def best(found: Contents) -> str:
    """The best intermediate task per target, chosen on other rows and runs than it is judged by."""
    table = [["target", "chosen", "how often", "gain, cross-fitted", "gain, naively"]]
    notes, ways = [], ("cross-fitted", "naive")
    for target in dict.fromkeys(one.task for one in found.evidence.moments):
        made = best_intermediate(found.evidence, target, None, "none", ways, n_resamples=200)
        fair, naive = made.to_dict("records")
        about = [task_name(target), side_name(fair["chosen"]), f"{100 * fair['share']:.0f}%"]
        table.append([*about, *map(ends_of, (fair, naive))])
        notes.append(fair["note"])
    note = "; or ".join(dict.fromkeys(notes))
    return f"{lines(table)}\n\nBootstrap intervals ({note}), not verdicts."


def ends_of(row: dict) -> str:
    """`+2.1 (0.2 to 3.4)`."""
    return f"{signed_gain(row['gain'])} ({ends(row['ci_low'], row['ci_high'])})"


def beside(found: Contents) -> str:
    """Averages over all languages evaluated, beside published ones of large encoders."""
    table = beside_published(found.evidence.scores)
    table = table.set_index(["task", "metric", "model"])["score"]
    shown = ("none", "none~squad", "squad", "mnli", "all")
    models = [*(f"this study, {name}" for name in shown), *PUBLISHED]
    cells = [["target", *map(side_name, shown), *PUBLISHED]]
    for (task, metric), title in COLUMNS.items():
        if (task, metric, PUBLISHED[0]) in table:
            cells.append([title, *(f"{table[task, metric, name]:.1f}" for name in models)])
    return lines(cells)


def claims(found: Contents) -> list[str]:
    """What can be said of the seed paper's claims."""
    return [
        f"{row.text}: {row.verdict} ({row.note.split('; very much')[0].split('; benefit')[0]})."
        for row in found.claims.itertuples()
    ]


def pilot() -> list[str]:
    """What the study before this one found."""
    found = (folders.outputs() / "pilot" / "answer.txt").read_text(encoding="utf-8")
    return found.partition("\n\n")[0].splitlines()


def layers() -> str:
    """Tatoeba's accuracy by layer, and gains over none, from the runs' own tables."""
    table = reference_table("layers.csv", "retrieval")
    runs = table.groupby(["condition", "seed", "layer"])["accuracy"].mean()
    mean = runs.groupby(["condition", "layer"]).mean().unstack("condition")
    others = [name for name in mean if name != "none"]
    cells = [["layer", side_name("none"), *(f"{side_name(name)}, gain" for name in others)]]
    for layer in LAYERS:
        row = mean.loc[layer]
        moved = [f"{row[name] - row['none']:+.1f}".replace("-", "−") for name in others]
        cells.append([str(layer), f"{row['none']:.1f}", *moved])
    lower = [f"{side_name(name)} {(mean[name] < mean['none']).sum()}" for name in others]
    told = f"Of {len(mean)} layers, embeddings included, so many lose accuracy: {', '.join(lower)}."
    return f"{lines(cells)}\n\n{told}"


def filled(text: str, made: dict[str, str]) -> str:
    """A text with its generated passages as they are made now."""
    return PASSAGE.sub(lambda match: f"{match[1]}{made[match[2]]}\n{match[3]}", text)


def texts() -> list[Path]:
    """The files with generated passages."""
    return [folders.root() / "README.md", committed() / "README.md"]


if __name__ == "__main__":
    try:
        made = passages(study())
    except UserError as error:
        sys.exit(f"reference: error: {error}")
    for path in texts():
        write_text(path, filled(path.read_text(encoding="utf-8"), made))
