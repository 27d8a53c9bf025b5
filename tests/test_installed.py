"""A missing package is one line with the command to type."""

import subprocess
import sys
from importlib import metadata

import pytest

from xtsupport.errors import UserError
from xtsupport.study import installed


def test_nothing_is_missing_here():
    assert installed.missing() == []


def test_what_is_missing_is_named_with_the_command(monkeypatch):
    real = metadata.version

    def version(name):
        if name in ("seaborn", "torch"):
            raise metadata.PackageNotFoundError(name)
        return real(name)

    monkeypatch.setattr(installed, "version", version)
    with pytest.raises(UserError, match=r"lacks seaborn, torch\. .*`make lab`"):
        installed.check()


def test_a_python_without_the_project_says_so_before_anything_else_fails():
    code = (
        "import importlib.metadata as m\n"
        "def requires(name): raise m.PackageNotFoundError(name)\n"
        "m.requires = requires\n"
        "import xtsupport.study.checks"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode and "UserError: this Python (" in done.stderr.splitlines()[-1]
