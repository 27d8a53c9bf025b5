"""What finished runs left, as tables: the notebooks read their figures from here."""

from collections.abc import Iterable

import pandas as pd

from xtsupport import folders
from xtsupport.errors import UserError
from xtsupport.files import read_csv
from xtsupport.study import runs
from xtsupport.study.checks import NOTEBOOKS
from xtsupport.study.plan import Study
from xtsupport.study.runs import Run


def finished(study: Study, phase: str) -> list[Run]:
    """The runs of a phase that are whole: in the store or in the package."""
    return [run for run in study.runs(phase, into="scratch") if runs.find(run)]


def progress_table(study: Study) -> pd.DataFrame:
    """Per phase: its notebook, how many runs the study has, and how many of them are whole."""
    rows = []
    for phase, notebook in NOTEBOOKS.items():
        of_phase = study.runs(phase)
        whole = sum(runs.is_whole(run) for run in of_phase)
        rows.append({"phase": phase, "notebook": notebook, "runs": len(of_phase), "done": whole})
    return pd.DataFrame(rows)


def table(done: Iterable[Run], name: str) -> pd.DataFrame:
    """The CSV file `name` of several runs, with their condition and seed in front.

    A variant of phase 3 is named with its condition: ``squad/source=de``.

    name: history.csv (step, task, loss), scores.csv (task, language, metric, score in points,
    n_examples) or layers.csv (task, language, layer, accuracy, accuracy_centred). Raises UserError
    when a run is missing.
    """
    return _gathered(done, lambda folder: read_csv(folder / name))


def predictions(study: Study, condition: str, target: str) -> pd.DataFrame:
    """Per-example scores and predictions of a condition on one target, all finished seeds.

    Columns: those of the cube, and `prediction`. Raises UserError when no seed is finished.
    """
    shipped = study.folder / "cube"
    if shipped.is_relative_to(folders.shipped()):
        from xtsupport.cube.store import read_cube

        cube = read_cube(shipped, tasks=[target])
        return cube[cube["condition"] == condition].reset_index(drop=True)
    done = [
        run
        for phase in ("target", "retrieval")
        for run in finished(study, phase)
        if run.side == condition and target in run.settings["targets"]
    ]
    if not done:
        raise UserError(
            f"{target} under {condition!r}: no run of it is finished; run notebook "
            f"04_target_transfer with condition = {condition!r} and targets = [{target!r}]"
        )
    read = _gathered(done, lambda folder: pd.read_parquet(folder / "examples.parquet"))
    return read[read["task"] == target].reset_index(drop=True)


def has_predictions(study: Study, conditions: Iterable[str], target: str) -> bool:
    """Whether every one of the conditions has a finished run on the target; says so if not."""
    for condition in conditions:
        try:
            predictions(study, condition, target)
        except UserError as error:
            print(error)
            return False
    return True


def _gathered(done: Iterable[Run], read) -> pd.DataFrame:
    frames = [read(runs.require(run)).assign(condition=run.side, seed=run.seed) for run in done]
    if not frames:
        raise UserError(
            "no finished run to show; run the cells above, or `xtsupport run` the study"
        )
    gathered = pd.concat(frames, ignore_index=True)
    first = ["condition", "seed"]
    return gathered[first + [name for name in gathered if name not in first]]
