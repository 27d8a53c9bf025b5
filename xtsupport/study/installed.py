"""Whether the packages that xtsupport needs are there; asked on import, before one is missed.

A notebook's check cell imports this first, so that a half-installed environment is one line that
says what to type, and no traceback from somewhere inside.
"""

import sys
from importlib.metadata import PackageNotFoundError, requires

from packaging.requirements import Requirement

from xtsupport.errors import UserError
from xtsupport.study.hosted import FRONTS
from xtsupport.study.provenance import versions_of


def wanted() -> list[Requirement]:
    """What xtsupport requires of this Python, without extras; empty where it is not installed."""
    try:
        found = [Requirement(each) for each in requires("xtsupport") or ()]
    except PackageNotFoundError:
        return []
    return [each for each in found if not each.marker or each.marker.evaluate({"extra": ""})]


def missing() -> list[str]:
    """Requirements that this Python does not meet, such as ``pandas>=2.2``."""
    asked = wanted()
    found = versions_of(each.name for each in asked)
    lacking = [
        f"{each.name}{each.specifier}"
        for each in asked
        if each.name not in found or not each.specifier.contains(found[each.name], prereleases=True)
    ]
    return lacking if asked else ["xtsupport"]


def needed(lacking: list[str]) -> list[str]:
    """Of requirements that are not met, those without which no study runs here."""
    return [each for each in lacking if not each.startswith(FRONTS)]


def check() -> None:
    """Raise UserError, with the command to type, where something is missing."""
    absent = needed(missing())
    if absent:
        raise UserError(
            f"this Python ({sys.executable}) lacks {', '.join(absent)}. In a terminal type `make "
            "lab` in the project's folder (elsewhere: `python -m pip install "
            f"{' '.join(map(repr, absent))}`), and choose that Python as the notebook's kernel"
        )


check()
