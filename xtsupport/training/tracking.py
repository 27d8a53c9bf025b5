"""Losses on a dashboard while a run trains (``tracking`` in the settings); off by default.

Nothing is ever read back: what counts stands in ``history.csv``.
"""

import importlib.util
from pathlib import Path

from accelerate import PartialState
from accelerate.tracking import GeneralTracker, TensorBoardTracker, TrackioTracker

from xtsupport.errors import UserError


def open_tracker(kind: str | None, study: Path, run: str) -> GeneralTracker | None:
    """Where a run logs its losses, or None. kind: tensorboard, trackio or None.

    TensorBoard's files go to ``tracking/RUN`` in the study's folder (`study`); trackio keeps its
    own, under the study's name. Raises UserError where the package is not installed.
    """
    if kind is None:
        return None
    if importlib.util.find_spec(kind) is None:
        raise UserError(f"tracking = {kind}: it is not installed; type `pip install {kind}`")
    PartialState()  # accelerate asks it which process may write
    if kind == "tensorboard":
        tracker = TensorBoardTracker(run, study / "tracking")
    else:
        tracker = TrackioTracker(study.name, name=run, resume="allow")
    tracker.start()
    return tracker
