"""Write the results of the committed reference study into the texts that tell of them.

    python docs/reference.py

Every passage between ``<!-- generated: NAME -->`` and ``<!-- end -->`` in README.md and
outputs/reference/README.md is made here, from the study's cube and the table made of it
(``make reference-report`` does both); a test compares them.
"""

import re
from pathlib import Path

import pandas as pd

from xtsupport import folders
from xtsupport.files import write_text
from xtsupport.report.contents import Contents, contents
from xtsupport.report.headline import gain_words, in_short
from xtsupport.report.how_firm import bootstrap_words, far_out, without_one
from xtsupport.report.names import side_name, task_name
from xtsupport.report.write import read_comparison
from xtsupport.statistics.sensitivity import beside_bootstrap
from xtsupport.study.reference import reference_folder, reference_table
from xtsupport.study.results_commands import evidence_of

PASSAGE = re.compile(r"(<!-- generated: (\w+) -->\n).*?(<!-- end -->)", re.DOTALL)
ROWS = {
    ("xquad", "f1"): "XQuAD, F1",
    ("xquad", "f1_segmented"): "XQuAD, segmented F1",
    ("xquad", "exact_match"): "XQuAD, exact match",
    ("xnli", "accuracy"): "XNLI, accuracy",
    ("udpos", "f1"): "UDPOS, F1",
    ("tatoeba", "accuracy"): "Tatoeba, accuracy",
    ("xquad - rest", "f1"): "XQuAD F1 − rest, official metrics",
    ("xquad - rest (f1)", "f1"): "XQuAD F1 − rest, F1 only",
}
LAYERS = (4, 6, 7, 8, 10, 12)


def study() -> Contents:
    """The reference study: its committed table, its cube, its settings."""
    folder = reference_folder()
    evidence, settings, _ = evidence_of(str(folder / "cube"))
    return contents(read_comparison(folder / "significance.csv"), evidence, settings)


def passages(found: Contents) -> dict[str, str]:
    """Name -> text of every generated passage."""
    return {
        "answer": "\n".join([*listed(in_short(found)), *listed([tatoeba(found)])]),
        "short": "\n".join(listed(in_short(found))),
        "gains": gains(found),
        "findings": "\n".join(listed(findings(found))),
        "runs": "\n".join(listed([*far_out(found), *without_one(found)])),
        "bootstrap": bootstrap_words(beside_bootstrap(found.evidence)),
        "layers": layers(),
    }


def listed(lines: list[str]) -> list[str]:
    """Markdown bullets; a tilde would strike words through."""
    return [f"* {line}".replace("~", r"\~") for line in lines]


def overall(found: Contents) -> pd.DataFrame:
    """The rows over all languages that the table of gains shows."""
    rows = found.comparison[found.comparison["by"] == "all"]
    shown = pd.MultiIndex.from_frame(rows[["task", "metric"]]).isin(list(ROWS))
    return rows[shown]


def gains(found: Contents) -> str:
    """The table of gains: contrasts across, each with the interval of its verdict."""
    rows = overall(found)
    pairs = rows[["treatment", "baseline"]].drop_duplicates().to_numpy().tolist()
    head = ["gain", *(f"{side_name(one)} over {side_name(base)}" for one, base in pairs)]
    lines = [head, ["---"] * len(head)]
    for (task, metric), name in ROWS.items():
        mine = rows[(rows["task"] == task) & (rows["metric"] == metric)]
        cells = mine.set_index(["treatment", "baseline"]).to_dict("index")
        lines.append([name, *(cell(cells.get(tuple(pair))) for pair in pairs)])
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def cell(row: dict | None) -> str:
    """`+1.4 (−0.3 to 3.0)`, in bold letters with the verdict where something was found."""
    if row is None:
        return ""
    text = gain_words(row)
    return text.removesuffix(", undetermined") if "undetermined" in text else f"**{text}**"


def findings(found: Contents) -> list[str]:
    """What is not undetermined in the table of gains, a line each."""
    rows = overall(found).query("verdict != 'undetermined'").to_dict("records")
    return [
        f"{ROWS[row['task'], row['metric']]}, {side_name(row['treatment'])} over "
        f"{side_name(row['baseline'])}: "
        f"{gain_words(row)}."
        for row in rows
    ]


def tatoeba(found: Contents) -> str:
    """Retrieval under the primary contrast."""
    rows = overall(found).query("task == 'tatoeba'")
    mine = rows[rows["treatment"].eq(found.primary.treatment) & rows["baseline"].eq("none")]
    return f"Sentence retrieval ({task_name('tatoeba')}, accuracy): {gain_words(mine.iloc[0])}."


def layers() -> str:
    """Tatoeba's accuracy by layer, and gains over none, from the runs' own tables."""
    table = reference_table("layers.csv", "retrieval")
    runs = table.groupby(["condition", "seed", "layer"])["accuracy"].mean()
    mean = runs.groupby(["condition", "layer"]).mean().unstack("condition")
    others = [name for name in mean if name != "none"]
    lines = [["layer", side_name("none"), *(f"{side_name(name)}, gain" for name in others)]]
    lines.append(["---"] * len(lines[0]))
    for layer in LAYERS:
        row = mean.loc[layer]
        cells = [f"{row[name] - row['none']:+.1f}".replace("-", "−") for name in others]
        lines.append([str(layer), f"{row['none']:.1f}", *cells])
    lower = [f"{side_name(name)} at {(mean[name] < mean['none']).sum()}" for name in others]
    told = f"Lower than without, of {len(mean)} layers with the embeddings: {', '.join(lower)}."
    return "\n".join([*(f"| {' | '.join(line)} |" for line in lines), "", told])


def filled(text: str, made: dict[str, str]) -> str:
    """A text with its generated passages as they are made now."""
    return PASSAGE.sub(lambda match: f"{match[1]}{made[match[2]]}\n{match[3]}", text)


def texts() -> list[Path]:
    """The files with generated passages."""
    return [folders.root() / "README.md", reference_folder() / "README.md"]


if __name__ == "__main__":
    made = passages(study())
    for path in texts():
        write_text(path, filled(path.read_text(encoding="utf-8"), made))
