"""Whether the packages that xtsupport needs are there; asked on import, before one is missed.

A notebook's check cell imports this first, so that a half-installed environment is one line that
says what to type, and no traceback from somewhere inside.
"""

import re
import sys
from importlib.metadata import PackageNotFoundError, requires, version

from xtsupport.errors import UserError


def missing() -> list[str]:
    """Names of required packages that this Python does not have; extras are not asked for."""
    try:
        wanted = [each for each in requires("xtsupport") or () if "extra ==" not in each]
    except PackageNotFoundError:
        return ["xtsupport"]
    names = [re.split(r"[^\w.-]", each, maxsplit=1)[0] for each in wanted]
    return [name for name in names if not there(name)]


def there(name: str) -> bool:
    """Whether a package is installed, by its name on the registry."""
    try:
        version(name)
    except PackageNotFoundError:
        return False
    return True


def check() -> None:
    """Raise UserError, with the command to type, where something is missing."""
    absent = missing()
    if absent:
        raise UserError(
            f"this Python ({sys.executable}) lacks {', '.join(absent)}. In a terminal, in the "
            "project's folder, type `make lab` (without make: `python -m pip install -c "
            "constraints.txt -e .`), and choose that Python as the notebook's kernel"
        )


check()
