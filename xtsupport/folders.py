"""Every folder of the project has one name here."""

import os
from pathlib import Path

from xtsupport.errors import UserError, shown

PACKAGE = Path(__file__).resolve().parent


def root() -> Path:
    """The project root: the checkout the package lies in, else the current folder.

    ``XTSUPPORT_ROOT`` replaces it (tests; an installed package used from elsewhere).
    """
    chosen = os.environ.get("XTSUPPORT_ROOT")
    if chosen:
        return Path(chosen).resolve()
    checkout = PACKAGE.parent
    return checkout if (checkout / "pyproject.toml").exists() else Path.cwd()


def portable(path: str | Path) -> str:
    """A path as other machines may know it: from the project root, or a neighbour's; else a name.

    Relative paths, ``hub`` and ``world`` stay as they are.
    """
    if not Path(path).is_absolute():
        return str(path)
    near = Path(path).is_relative_to(root().parent)
    return Path(os.path.relpath(path, root())).as_posix() if near else Path(path).name


def given(text: str | Path, start: Path | None = None) -> Path:
    """The path that somebody typed, from `start`, by default the project root.

    Raises UserError where no path can be so: zero bytes, thousands of characters, ~nobody.
    """
    try:
        path = (root() if start is None else start) / Path(text).expanduser()
        path.resolve().exists()
        return path
    except (OSError, ValueError, RuntimeError) as error:
        reason = getattr(error, "strerror", None) or error
        raise UserError(f"{shown(str(text))} is not a path ({reason})") from error


def outputs() -> Path:
    """Where studies lie, one folder each."""
    return root() / "outputs"


def scratch() -> Path:
    """Where interactive work goes, one folder per run key; never part of a study."""
    return outputs() / "scratch"


def notebooks() -> Path:
    """The source notebooks."""
    return root() / "notebooks"


def shipped() -> Path:
    """The small encoder and checkpoints that come with the package, as run folders."""
    return PACKAGE / "demo"
