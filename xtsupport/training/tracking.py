"""Losses on a dashboard while a run trains (``tracking`` in the settings); off by default.

Nothing is ever read back: what counts stands in ``history.csv``.
"""

import importlib.util
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from accelerate import PartialState
from accelerate.tracking import GeneralTracker, TensorBoardTracker, TrackioTracker

from xtsupport.errors import UserError


@contextmanager
def tracked(kind: str | None, study: Path, run: str) -> Iterator[GeneralTracker | None]:
    """Where a run logs its losses, or None; closed at the end, also where training fails.

    kind: tensorboard (files in ``tracking/RUN`` in the folder `study`), trackio (its own, under
    the study's name) or None. Raises UserError where the package is not installed.
    """
    if kind is None:
        yield None
        return
    if importlib.util.find_spec(kind) is None:
        raise UserError(f"tracking = {kind}: it is not installed; run `pip install {kind}`")
    PartialState()  # accelerate asks it which process may write
    if kind == "tensorboard":
        tracker = TensorBoardTracker(run, study / "tracking")
    else:
        tracker = TrackioTracker(study.name, name=run, resume="allow")
    tracker.start()
    try:
        yield tracker
    finally:
        tracker.finish()
