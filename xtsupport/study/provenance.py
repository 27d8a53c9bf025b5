"""What a run was made with: versions, commit, machine, memory."""

import platform
import subprocess
import sys
from collections.abc import Iterable
from contextlib import suppress
from functools import cache
from importlib.metadata import PackageNotFoundError, version

from xtsupport import folders

LIBRARIES = (
    *("xtsupport", "torch", "transformers", "datasets", "tokenizers"),
    *("numpy", "pandas", "pyarrow"),
)


def versions() -> dict[str, str]:
    """Python and the libraries that can move a number."""
    return {"python": platform.python_version()} | versions_of(LIBRARIES)


def versions_of(names: Iterable[str]) -> dict[str, str]:
    """The versions of those packages that are installed."""
    found = {}
    for name in names:
        with suppress(PackageNotFoundError):
            found[name] = version(name)
    return found


@cache
def commit() -> str | None:
    """The project's git commit, with ``+changes`` when tracked files differ; None without git."""

    def git(*arguments: str) -> str:
        command = ["git", "-C", str(folders.PACKAGE), *arguments]
        return subprocess.check_output(
            command, stderr=subprocess.DEVNULL, text=True, timeout=10
        ).strip()

    try:
        changed = "+changes" if git("status", "--porcelain", "-uno") else ""
        return git("rev-parse", "HEAD") + changed
    except (OSError, subprocess.SubprocessError):
        return None


def peak_memory() -> int | None:
    """Largest memory of this process so far, in bytes; None where the system does not tell."""
    try:
        import resource
    except ImportError:  # Windows
        return None
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024
