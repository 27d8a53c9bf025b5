"""The store of runs (``outputs/runs``) as studies see it: their lists.

A study lists its runs in ``runs.csv``. A study that is shared carries the records of its runs in
folders of its own instead, ``PHASE/.../seedK/run.json``.
"""

import csv
import io
from collections.abc import Sequence
from pathlib import Path

from xtsupport import files, folders
from xtsupport.errors import UserError
from xtsupport.study import runs
from xtsupport.study.runs import LOCK, PHASES, RECORD, SHORT, Run

LIST = "runs.csv"
NEVER = "which was deleted or never written"
COLUMNS = ("phase", "condition", "variant", "training_task", "seed", "name", "recipe", "run_key")


def write_list(study) -> None:
    """Leave ``runs.csv``: every run of a `plan.Study`, with key and folder as soon as it is done.

    A part of a study writes its own runs and leaves what the list says of others.
    """
    rows = {row["name"]: row for row in read_list(study.folder)} if study.whole else {}
    for run in study.plan.runs:
        folder, record = runs.standing(run) or (None, {})
        row = {name: getattr(run, name) for name in COLUMNS[:-1]}
        place = "" if folder is None else folders.portable(folder)
        rows[run.name] = row | {"run_key": record.get("run_key", ""), "folder": place}
    text = io.StringIO()
    table = csv.DictWriter(text, [*COLUMNS, "folder"], lineterminator="\n")
    table.writeheader()
    table.writerows(rows.values())
    files.write_text(study.folder / LIST, text.getvalue())


def read_list(folder: Path) -> list[dict]:
    """The rows of a study's ``runs.csv``; none where there is no such file.

    Raises UserError for a damaged one: its runs would count as nobody's.
    """
    path = folder / LIST
    try:
        with path.open(encoding="utf-8", newline="") as stream:
            rows = list(table := csv.DictReader(stream))
            whole = {"name", "recipe", "run_key"} <= {*(table.fieldnames or ())}
        whole &= all(None not in (*row, *row.values()) for row in rows)
    except FileNotFoundError:
        return []
    except (UnicodeDecodeError, csv.Error):
        whole = False
    if whole:
        return rows
    raise UserError(
        f"{path}: is damaged; delete it and run the study again, which writes it anew and does no "
        "finished run twice"
    )


def of_study(folder: Path) -> list[Path]:
    """The run folders of a study: those in its list, else those whose records it carries."""
    listed = [place(row["run_key"]) for row in read_list(folder) if row["run_key"]]
    return [each for each in listed if each] or carried(folder)


def place(key: str) -> Path | None:
    """Where the run of a key lies: in the store or in the package."""
    mine = folders.runs() / key[:SHORT]
    shipped = (each for each, record in runs.shipped_runs().values() if record["run_key"] == key)
    return mine if (runs.read_record(mine) or {}).get("run_key") == key else next(shipped, None)


def carried(folder: Path) -> list[Path]:
    """The run folders that lie in a study's own folder, upstream first."""
    return [path.parent for phase in PHASES for path in sorted(folder.glob(f"{phase}/**/{RECORD}"))]


def unused(folder: Path) -> list[str]:
    """A line where whole runs lie in a study's own folder as before there was a store.

    Nothing says what they started from, so that no study can count them.
    """
    made = [each for each in carried(folder) if not runs.flaws(each)]
    whole = [each for each in made if not (runs.read_record(each) or {}).get("recipe")]
    return [
        f"{len(whole)} runs in folders such as {each} have an earlier layout and are ignored; the "
        "study repeats them in outputs/runs. Delete them when you no longer need them"
        for each in whole[:1]
    ]


def sketch(made: Sequence[Run]) -> dict[str, dict]:
    """Runs in a form that is small and can be kept: enough for their keys and folders."""
    return {
        run.name: {
            "phase": run.phase,
            "recipe": run.recipe,
            "upstream": [each.name for each in run.upstream],
        }
        for run in made
    }


def sketched(study: str, sketches: dict[str, dict]) -> dict[str, Run]:
    """The runs of ``sketch`` again, by name; only their keys and folders mean anything."""
    found: dict[str, Run] = {}
    for name, each in sketches.items():
        above = tuple(found[upstream] for upstream in each["upstream"])
        run = Run(study, each["phase"], "", 0, name, upstream=above, listed=each["recipe"])
        found[name] = run
    return found


def intact(cube: Path) -> Path:
    """A table of scores that somebody named; UserError for a study's cube that is no longer as
    notebook 06 wrote it, a line per file."""
    for named in {cube, cube.resolve()}:  # the folder may be a link to a larger disk
        node = named.parent / "nodes" / "results"
        if named.name == "cube" and (node / RECORD).is_file() and (flaws := runs.flaws(node)):
            raise UserError(
                *flaws, f"{cube}: is not as the study wrote it; `xtsupport run` writes it again"
            )
    return cube


# ---------------------------------------------------------------------------------- a run's folder


def described(record: dict) -> str:
    """A run in a few words: ``target xquad under none~squad, trained on squad, seed 0 (study
    demo)``."""
    words = [record["phase"], ", ".join(record["settings"].get("targets", ()))]
    words += ["under", record["condition"]] if record["condition"] else []
    words += [record["variant"]] if record["variant"] != "plain" else []
    trained = f", trained on {record['training_task']}" if record["training_task"] else ""
    what = " ".join(filter(None, words)) + trained
    return f"{what}, seed {record['seed']} (study {record['study']})"


def headless(folder: Path) -> bool:
    """Whether a run left its files, but neither ``run.json`` nor a checkpoint to continue from;
    False while it is being written."""
    there = (folder / RECORD).exists() or (folder / runs.CHECKPOINT).exists()
    return not there and bool(runs.inside(folder)) and not files.is_locked(folder / LOCK)


def entries(folder: Path) -> list[Path]:
    """The folders in a folder that may be absent, but for hidden ones."""
    found = folder.iterdir() if folder.is_dir() else ()
    return sorted(path for path in found if path.is_dir() and not path.name.startswith("."))
