"""The third cell of every notebook: is everything here that the rest of the notebook needs?"""

from collections.abc import Sequence
from contextlib import suppress

from xtsupport import files, folders
from xtsupport.errors import UserError
from xtsupport.study import cost, installed, parameters, provenance, runs  # noqa: F401 installed asks
from xtsupport.study.narrowing import overruled
from xtsupport.study.plan import Study, all_of, open_study
from xtsupport.study.planned import declare
from xtsupport.study.runs import Run
from xtsupport.training.progress import duration


def check_setup(
    study: Study, todo: Sequence[Run] | None = None, into: str = "scratch", elsewhere: bool = False
) -> None:
    """Print versions, device, where results go, what is already there and the expected minutes.
    Before the first run of a study, keep what it declares.

    todo: the runs that this notebook does, if any; elsewhere: runs in the package count as well.
    Raises UserError, one line per problem, for a parameter that the notebook does not have, for
    an earlier phase that is missing (with the command that makes it), for a run that the study
    does not have, and where a process may open too few files.
    """
    import torch

    parameters.check_names()
    files.allow_open_files()
    device = torch.cuda.get_device_name() if torch.cuda.is_available() else "CPU"
    versions = provenance.versions()
    print("versions   " + ", ".join(f"{name} {versions[name]}" for name in SHOWN))
    print(f"device     {device}; {study.settings.threads} thread(s)")
    place = study.place(into) if todo is None else folders.runs()
    print(f"study      {study.settings.study}; this notebook writes to {folders.shown(place)}")
    apart = "" if study.shipped else folders.outside(study.params)
    for line in [*overruled(study.settings), *([f"runs are looked for {apart}"] if apart else [])]:
        print(f"note       {line}")
    if todo is None:
        return
    if not todo:
        raise UserError(
            f"study {study.settings.study} has no run for this notebook: its encoder is "
            f"{study.settings.encoder!r}, its conditions are {', '.join(study.settings.conditions)}"
        )
    earlier = {above.recipe: above for run in todo for above in run.upstream}
    places = {above: runs.find(above) for above in earlier.values()}
    for each, found in places.items():
        print(f"needs      {each.name}: {'MISSING' if found is None else folders.shown(found)}")
    if missing := [each for each, found in places.items() if found is None]:
        raise UserError(
            *(runs.absent(each, study.params, study.settings.chosen) for each in missing)
        )
    left = unfinished(todo, elsewhere)
    if left:
        declare(as_filed(study))
    print(f"to do      {len(left)} of {len(todo)} run(s), {minutes(study, left)}")


def as_filed(study: Study) -> Study:
    """The whole study, without the settings chosen in a notebook; with them where what they leave
    out cannot be planned, as its data are not here."""
    if study.settings.chosen:
        with suppress(UserError):
            return open_study(study.params)
    return all_of(study)


def unfinished(todo: Sequence[Run], elsewhere: bool = False) -> list[Run]:
    """The runs that are not whole in the store; `elsewhere`: nor in the package."""
    return [run for run in todo if not (runs.find(run) if elsewhere else runs.is_whole(run))]


def minutes(study: Study, left: Sequence[Run]) -> str:
    """Words for the time that runs will take here, by the estimate of ``xtsupport plan``."""
    if not left:
        return "nothing to wait for"
    try:
        seconds = sum(cost.seconds_here(study.settings, list(left)))
    except UserError:  # an encoder of unknown size
        return "time unknown: it depends on the encoder and the device"
    return f"about {duration(seconds)}"


SHOWN = ("python", "xtsupport", "torch", "transformers")
