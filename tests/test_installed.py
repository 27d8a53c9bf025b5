"""A missing package is one line with the command to type."""

import itertools
import subprocess
import sys
from importlib import metadata

import pytest

from xtsupport.errors import UserError
from xtsupport.study import cli, doctor, installed, provenance


def test_nothing_is_missing_here():
    assert installed.missing() == []


def test_what_is_missing_is_named_with_the_command(monkeypatch):
    real = metadata.version

    def version(name):
        if name in ("pandas", "torch"):
            raise metadata.PackageNotFoundError(name)
        return real(name)

    monkeypatch.setattr(provenance, "version", version)
    with pytest.raises(UserError, match=r"lacks pandas>=2.2, torch>=2.11\. .*`make lab`"):
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


def test_a_version_outside_its_range_is_named_too(monkeypatch):
    real = metadata.version
    monkeypatch.setattr(
        provenance, "version", lambda name: "1.5.3" if name == "pandas" else real(name)
    )
    assert installed.missing() == ["pandas>=2.2"]
    monkeypatch.setattr(
        provenance, "version", lambda name: {"ipykernel": "6.17"}.get(name, real(name))
    )
    installed.check()  # a host's own kernel will do
    assert installed.missing() == ["ipykernel>=6.29"]


class TestDoctor:
    """Each check, with a machine that lacks what it looks for."""

    def test_training_is_seen_to_work_or_not(self, monkeypatch):
        sound = doctor.training()
        assert sound.mend == "" and sound.line().startswith("training  ok     loss 3.")
        monkeypatch.setattr(doctor, "STEPS", 1)  # nothing is learned in a step
        assert "--force-reinstall torch" in doctor.training().line()

    def test_memory_disk_and_cache(self, monkeypatch, tmp_path):
        monkeypatch.setattr(doctor, "LEAST_MEMORY", 10**6)
        monkeypatch.setattr(doctor, "LEAST_DISK", 10**6)
        assert "--jobs 1" in doctor.memory().mend and "clean --remove" in doctor.disk().mend
        (tmp_path / "file").touch()
        monkeypatch.setenv("XTSUPPORT_CACHE", str(tmp_path / "file"))
        assert doctor.cache().mend == "set XTSUPPORT_CACHE to a folder that you can write to"

    def test_a_gpu_that_torch_was_not_built_for(self, monkeypatch):
        import torch

        monkeypatch.setattr("xtsupport.study.execution.gpu_locks.devices", lambda: ["0"])
        monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
        monkeypatch.setattr(torch.version, "cuda", None)
        found = doctor.torch_build()
        assert "there is a GPU" in found.found and "torch (a build for CUDA)" in found.mend
        monkeypatch.setattr(torch.version, "cuda", "12.8")
        assert "driver: this torch needs CUDA 12.8" in doctor.torch_build().mend

    def test_a_hub_that_is_away_is_no_reason_to_fail(self):
        found = doctor.hub()  # no test reaches the hub
        assert found.mend.startswith("on a networked machine") and not found.needed

    def test_a_kernel_of_another_python(self, monkeypatch, tmp_path):
        assert doctor.kernel().mend == ""
        spec = tmp_path / "kernels" / "python3"
        spec.mkdir(parents=True)
        (spec / "kernel.json").write_text('{"argv": ["/usr/bin/python2", "-m", "x"]}')
        monkeypatch.setenv("JUPYTER_PATH", str(tmp_path))
        assert "/usr/bin/python2" in doctor.kernel().line()
        assert "ipykernel install --sys-prefix" in doctor.kernel().mend

    def test_without_jupyterlab_there_is_a_note_and_the_checks_go_on(self, monkeypatch):
        monkeypatch.setattr(installed, "missing", lambda: ["jupyterlab>=4"])
        monkeypatch.setattr(doctor, "torch_build", lambda: doctor.Finding("torch", "was asked"))
        _, packages, torch = itertools.islice(doctor.findings(), 3)
        note, command = packages.line().splitlines()
        assert note.split()[:3] == ["packages", "note", "no"] and "xtsupport lab" in note
        assert command.endswith("-m pip install 'jupyterlab>=4'") and torch.found == "was asked"
        both = ["jupyterlab>=4", "pandas>=2.2"]
        assert doctor.packages(both).needed and "pandas" in doctor.packages(both).mend

    def test_the_command_stops_at_missing_packages(self, monkeypatch, capsys):
        monkeypatch.setattr(installed, "missing", lambda: ["pandas>=2.2"])
        assert cli.main(["doctor"]) == 1
        lines = capsys.readouterr().out.splitlines()
        assert len(lines) == 3 and lines[2].endswith("-m pip install 'pandas>=2.2'")
