"""Every folder of the project has one name here."""

import os
from contextlib import suppress
from pathlib import Path

from xtsupport.errors import UserError, shorten

PACKAGE = Path(__file__).resolve().parent


def root() -> Path:
    """The project root: the nearest folder from here upwards with a ``params/``, else this folder.

    ``XTSUPPORT_ROOT`` replaces it (nodes of a study, tests).
    """
    chosen = os.environ.get("XTSUPPORT_ROOT")
    if chosen:
        return Path(chosen).resolve()
    here = Path.cwd()
    return next((each for each in (here, *here.parents) if (each / "params").is_dir()), here)


def packaged() -> Path:
    """Where ``notebooks/`` and ``params/`` lie as they came: in a wheel, or in the checkout."""
    inside = PACKAGE / "project"
    return inside if inside.is_dir() else PACKAGE.parent


def params_file(path: str | Path) -> Path:
    """A params file as somebody named it: from here, else the project root, else as it came."""
    places = (Path(), root(), packaged())
    found = [typed(path, place) for place in places]
    return next((each for each in found if each.exists()), found[0])


def outside(params: str | Path) -> str:
    """Where a study's runs are, in words, if its params file lies outside of the project root;
    else empty, as for one that came with the package."""
    path, here = typed(params, Path()), root()
    places = Path(os.path.normpath(Path.cwd() / path)), path.resolve()
    if not path.exists() or any(each.is_relative_to(here) for each in places):
        return ""
    return f"in {outputs()}: {params} lies outside of the project {here}"


def typed(path: str | Path, start: Path | None = None) -> Path:
    """A path that somebody typed, `~` expanded, from `start` (None: the project root).

    UserError if there can be no such path: an unknown user, NUL in it, too long, no text.
    """
    if not isinstance(path, str | Path):
        raise UserError(f"{shorten(path)} cannot be a path (it is not text)")
    try:
        found = (root() if start is None else start) / Path(path).expanduser()
        with suppress(FileNotFoundError, NotADirectoryError, PermissionError):
            found.stat()
    except (OSError, ValueError, RuntimeError) as error:
        reason = (getattr(error, "strerror", None) or str(error).rstrip(".")).lower()
        if "\0" in str(path):  # each version of Python says this in words of its own
            reason = "it contains NUL"
        raise UserError(f"{shorten(str(path))} cannot be a path ({reason})") from None
    return found


def portable(path: str | Path) -> str:
    """A path as other machines may know it: from the project root, or a neighbour's; else a name.

    Relative paths, ``hub`` and ``world`` stay as they are.
    """
    if not Path(path).is_absolute():
        return str(path)
    near = Path(path).is_relative_to(root().parent)
    return Path(os.path.relpath(path, root())).as_posix() if near else Path(path).name


def shown(path: Path) -> str:
    """A path as seen from the project root."""
    here = root()
    return str(path.relative_to(here)) if path.is_relative_to(here) else str(path)


def user_cache() -> Path:
    """Where generated and converted files are kept: $XTSUPPORT_CACHE, else ~/.cache/xtsupport."""
    return Path(os.environ.get("XTSUPPORT_CACHE") or Path.home() / ".cache" / "xtsupport")


def outputs() -> Path:
    """Where studies lie, one folder each."""
    return root() / "outputs"


def runs() -> Path:
    """The store of runs, one folder per run key; studies and notebooks share it."""
    return outputs() / "runs"


def frozen() -> Path:
    """The weights that runs did not train, which their folders share as hard links."""
    return runs() / ".frozen"


def scratch() -> Path:
    """Where notebooks leave tables and reports that belong to no study."""
    return outputs() / "scratch"


def notebooks() -> Path:
    """The source notebooks: the project's own, else as they came."""
    own = root() / "notebooks"
    return own if own.is_dir() else packaged() / "notebooks"


def shipped() -> Path:
    """The small encoder and checkpoints that come with the package, as run folders."""
    return PACKAGE / "demo"
