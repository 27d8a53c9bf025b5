"""Studies, runs and settings side by side on one page: ``xtsupport runs --page A B ...``.

What is named can be a params file, a study's name or folder, the key of a run (the folder's name in
``outputs/runs`` or its first letters), a setting (``intermediate.learning_rate=0.0005``) or a label
as `xtsupport runs FILE` prints it (``squad{intermediate.learning_rate=0.0005}``).
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import compress
from pathlib import Path

import pandas as pd

from xtsupport import folders
from xtsupport.errors import UserError
from xtsupport.files import read_text, write_text
from xtsupport.report import page, plots
from xtsupport.report.names import named, side_name
from xtsupport.report.numbers import counted, signed_gain
from xtsupport.report.page import Block, Cell, board, folded, paragraph, picture
from xtsupport.sides import in_braces
from xtsupport.study import run_store, runs
from xtsupport.study.finished import stacked
from xtsupport.study.labels import Done
from xtsupport.study.my_runs import found, means, readable, runs_table
from xtsupport.study.plan import open_study

SETTING = re.compile(r"^(?:(?P<side>[^{}=]*)\{)?(?P<pairs>[\w.]+=[^{}]*)\}?$")
PHASES = {"pretraining": "Phase 1", "intermediate": "Phase 2", "target": "Phase 3"}
CURVES = 12  # lines that a figure of losses can hold


@dataclass(frozen=True)
class Chosen:
    """What one word of the command line stands for."""

    name: str
    runs: list[Done]
    folder: Path | None = None  # of a study


def chosen(name: str) -> Chosen:
    """The runs that a word stands for; UserError if there are none."""
    path = folders.typed(name, Path())
    folder = next((each for each in (path, folders.outputs() / name)
                   if (each / "settings.yaml").is_file()), None)  # fmt: skip
    if path.is_file():
        study = open_study(path)
        picked = Chosen(study.settings.study, found(study), study.folder)
    elif folder:
        picked = Chosen(folder.name, of(run_store.of_study(folder)), folder)
    elif match := SETTING.match(name):
        wanted = dict(pair.split("=", 1) for pair in in_braces(f"{{{match['pairs']}}}"))
        every = [each for each in found() if match["side"] in (None, "", each.side)]
        fits = [{key: str(each.settings.get(key)) for key in wanted} == wanted for each in every]
        picked = Chosen(name, [*compress(every, fits)])
    else:
        keys = [each for each in run_store.entries(folders.runs()) if each.name.startswith(name)]
        file = folders.params_file(f"params/{name}.yaml")  # of a study done by notebooks alone
        picked = Chosen(name, of(keys) or (found(open_study(file)) if file.is_file() else []))
    if not picked.runs:
        raise UserError(
            f"--page {name}: no finished run of it here; name a params file, a study, a run's key "
            "or a setting such as intermediate.learning_rate=0.0005 (`xtsupport runs` lists them)"
        )
    return picked


def of(places: Sequence[Path]) -> list[Done]:
    """The finished runs in some folders."""
    return [Done(each, record) for each in places if (record := runs.read_record(each))]


def write_page(names: Sequence[str], out: Path) -> Path:
    """Write the page of what is named, and return its path."""
    every = [chosen(name) for name in names]
    title = f"Side by side: {', '.join(each.name for each in every)}"
    made = {one.folder: one for each in every for one in each.runs}
    table = readable(runs_table(list(made.values())))
    sections = [
        ("answers", "What each study found", answers(every)),
        ("scores", "Scores", scores(every)),
        ("settings", "What differs", settings(every)),
        ("losses", "Loss curves", curves(every)),
        ("runs", "The runs", [folded(counted(len(table), "run"), page.table(table.map(str)))]),
    ]
    shown = [{"id": i, "heading": h, "blocks": b} for i, h, b in sections if b]
    counts = [(each.name, counted(len(each.runs), "run")) for each in every]
    return write_text(out, page.render("compare.html", title=title, facts=counts, sections=shown))


def answers(every: Sequence[Chosen]) -> list[Block]:
    """The first sentence of every study's answer, as its page and the terminal have it."""
    rows = [
        [Cell(each.name), Cell(read_text(path).partition("\n")[0], kind="text")]
        for each in every
        if each.folder and (path := each.folder / "answer.txt").is_file()
    ]
    return [board(["study", "answer"], rows)] if rows else []


def scores(every: Sequence[Chosen]) -> list[Block]:
    """Mean scores of each condition, side by side; below, how far from the first that has it."""
    table = score_table(every)
    if table.empty:
        return []
    targets = [name for name in table if name not in ("chosen", "condition", "seeds")]
    first = table.drop_duplicates("condition").set_index("condition")[targets]
    rows = []
    for row in table.to_dict("records"):
        cells = []
        for target in targets:
            base = first.loc[row["condition"], target]
            change = row[target] - base
            apart = row["chosen"] != every[0].name and change == change
            cells.append(Cell(page.shown(row[target]), signed_gain(change) if apart else "", "n"))
        rows.append([Cell(side_name(row["condition"])), Cell(row["chosen"]), *cells,
                     Cell(str(row["seeds"]), kind="n")])  # fmt: skip
    heads: list[Cell | str] = ["trained on first", "of"]
    for name in targets:  # `xquad (en)` as `XQuAD, English`
        task, _, where = name.partition(" (")
        text = f"{named(task)}, {'English' if where == 'en)' else 'others'}"
        heads.append(Cell(text, kind="n"))
    heads.append(Cell("seeds", kind="n"))
    text = (
        "In points, mean over seeds: in English, and over the other languages. Below: the "
        "difference from the first that has the condition. Not a test: differences between "
        "single runs may well be chance."
    )
    return [board(heads, rows, (0, 1)), paragraph(text, "note")]


def score_table(every: Sequence[Chosen]) -> pd.DataFrame:
    """chosen, condition, seeds, and the columns of ``means``: one row per condition of each."""
    rows = [
        {"chosen": each.name, "condition": one.label, "seed": one.record["seed"]} | means(one)
        for each in every
        for one in each.runs
        if one.record["phase"] in runs.SCORED
    ]
    if not rows:
        return pd.DataFrame()
    groups = pd.DataFrame(rows).groupby(["condition", "chosen"], sort=False)
    return groups.mean().drop(columns="seed").assign(seeds=groups["seed"].nunique()).reset_index()


def settings(every: Sequence[Chosen]) -> list[Block]:
    """A row per setting and phase in which what is named differs."""
    values: dict[str, dict[str, set[str]]] = {}
    for each in every:
        for one in each.runs:
            for key, value in one.settings.items():
                values.setdefault(key, {}).setdefault(each.name, set()).add(str(value))
    names = [each.name for each in every]
    rows = [
        [Cell(key), *(Cell(", ".join(sorted(seen.get(name, {"\N{EN DASH}"})))) for name in names)]
        for key, seen in values.items()
        if len({frozenset(seen.get(name, ())) for name in names}) > 1
    ]
    same = paragraph("Their settings are the same.")
    return [board(["setting", *names], rows) if rows else same]


def curves(every: Sequence[Chosen]) -> list[Block]:
    """A picture of losses per phase and training task: the mean over seeds of each condition."""
    parts = [
        (one.folder, {"phase": one.record["phase"],
                      "run": one.label + f" ({each.name})" * (len(every) > 1)})
        for each in every
        for one in each.runs
    ]  # fmt: skip
    log = stacked(parts, "history.csv")
    if log.empty:
        return []
    keys = ["phase", "task", "run", "step"]
    mean = log.groupby(keys, sort=False, as_index=False)["loss"].mean()
    blocks = []
    for (phase, task), part in mean.groupby(["phase", "task"], sort=False):
        few = part["run"].unique()[:CURVES]
        block = picture(plots.losses_of_runs(part[part["run"].isin(few)], str(task)))
        title = f"{PHASES[phase]}, {block.picture['title']}"
        blocks.append(Block("picture", picture={**block.picture, "title": title}))
    return [Block("pictures", items=blocks)]
