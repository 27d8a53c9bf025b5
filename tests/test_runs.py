"""Run folders: nothing half-written is ever read as whole."""

import errno
import json
import os
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import pandas as pd
import pytest

from xtsupport import files, folders
from xtsupport.errors import UserError
from xtsupport.study import runs
from xtsupport.study.runs import Run, find, flaws, is_whole, open_run, read_record, require


@pytest.fixture
def run(tmp_path, monkeypatch):
    monkeypatch.setenv("XTSUPPORT_ROOT", str(tmp_path))
    name = "target/squad/none/plain/seed0"
    folder = tmp_path / "outputs" / "toy" / name
    return Run("toy", "target", "none", 0, name, folder, {"steps": 3}, {"squad/en": "f00"})


def fill(run, text="a,b\n1,2\n"):
    with open_run(run) as folder:
        folder.write_text("scores.csv", text)
        folder.write_parquet("examples.parquet", pd.DataFrame({"x": [1.5, 2.5]}))
        with folder.new_folder("model") as model:
            (model / "weights").write_bytes(b"\0" * 1000)
        folder.note(tokens=12)


def test_a_whole_folder_holds_exactly_these_files(run):
    assert not is_whole(run)
    fill(run)
    assert is_whole(run)
    files = {
        path.relative_to(run.folder).as_posix() for path in run.folder.rglob("*") if path.is_file()
    }
    assert files == {".lock", "run.json", "scores.csv", "examples.parquet", "model/weights"}
    record = read_record(run.folder)
    assert record["run_key"] == run.key
    assert record["tokens"] == 12
    assert record["settings"] == {"steps": 3}
    assert record["versions"]["python"] == ".".join(map(str, sys.version_info[:3]))
    assert set(record["files"]) == files - {".lock", "run.json"}
    assert record["files"]["scores.csv"]["bytes"] == 8
    assert pd.read_parquet(run.folder / "examples.parquet")["x"].tolist() == [1.5, 2.5]


@pytest.mark.parametrize("name", ["scores.csv", "examples.parquet", "model/weights", "run.json"])
@pytest.mark.parametrize("harm", ["truncated", "changed", "removed"])
def test_a_harmed_file_is_named_and_the_run_is_not_whole(run, name, harm):
    fill(run)
    path = run.folder / name
    before = path.read_bytes()
    if harm == "removed":
        path.unlink()
    else:
        path.write_bytes(
            before[: len(before) // 2] if harm == "truncated" else before[:-3] + b"xyz"
        )
    assert not is_whole(run)
    assert name in flaws(run.folder, run.key)[0]


def test_other_settings_make_it_stale(run):
    fill(run)
    other = replace(run, settings={"steps": 4})
    assert not is_whole(other)
    assert "other settings" in flaws(other.folder, other.key)[0]


def test_a_clock_that_is_set_back_changes_no_duration_and_no_result(run, monkeypatch):
    with open_run(run) as folder:
        folder.write_text("scores.csv", "a")
        now = time.time()
        monkeypatch.setattr(time, "time", lambda: now - 86_400)
    assert is_whole(run)
    assert 0 <= read_record(run.folder)["seconds"] < 60
    for path in run.folder.rglob("*"):
        os.utime(path, (now + 1e8, now + 1e8))
    assert is_whole(run)


def test_an_error_leaves_no_record_and_the_next_try_cleans_up(run):
    with pytest.raises(ZeroDivisionError), open_run(run) as folder:
        folder.write_text("left-over.csv", "x")
        raise ZeroDivisionError
    assert not is_whole(run)
    fill(run)
    assert not (run.folder / "left-over.csv").exists()


def test_redoing_removes_the_old_record_before_anything_else(run):
    fill(run)
    with pytest.raises(ZeroDivisionError), open_run(run):
        raise ZeroDivisionError
    assert not is_whole(run)


def test_a_checkpoint_outlives_a_crash_but_not_a_change_of_settings(run):
    for _ in range(2):
        with pytest.raises(ZeroDivisionError), open_run(run) as folder:
            (folder.checkpoint / "step").write_text("7")
            raise ZeroDivisionError
        assert (run.folder / "checkpoint" / "step").read_text() == "7"
    with open_run(run) as folder:
        assert (folder.checkpoint / "step").read_text() == "7"
    assert not (run.folder / "checkpoint").exists()
    with pytest.raises(ZeroDivisionError), open_run(run) as folder:
        (folder.checkpoint / "run_key").write_text("another")
        raise ZeroDivisionError
    with open_run(run) as folder:
        assert not list(folder.path.glob("checkpoint/step"))


def test_two_processes_never_write_one_folder(run, monkeypatch):
    monkeypatch.setattr(runs, "locked", lambda path, text: files.locked(path, text, wait=0))
    with (
        open_run(run),
        pytest.raises(UserError, match="is being written by another process"),
        open_run(run),
    ):
        raise AssertionError("must not get here")


def test_kill_9_in_the_middle_of_writing_leaves_the_old_file_or_none(run, tmp_path):
    code = """
import sys
from pathlib import Path
from xtsupport.files import write_text
number = 0
while True:
    number += 1
    write_text(Path(sys.argv[1]), f"{number}\\n" * 20_000)
"""
    target = tmp_path / "file.txt"
    process = subprocess.Popen([sys.executable, "-c", code, str(target)])
    while not target.exists():
        time.sleep(0.01)
    time.sleep(0.2)
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    lines = target.read_text().splitlines()
    assert len(lines) == 20_000
    assert len(set(lines)) == 1


def test_a_failed_write_leaves_no_temporary_file(tmp_path):
    with pytest.raises(ValueError, match="JSON compliant"):
        files.write_json(tmp_path / "x.json", {"x": float("nan")})
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EROFS, errno.EACCES])
def test_disk_trouble_is_one_line_that_names_the_folder(run, number):
    with pytest.raises(UserError, match=r"disk|writing") as caught, open_run(run):
        raise OSError(number, os.strerror(number), str(run.folder / "examples.parquet"))
    assert str(run.folder / "examples.parquet") in caught.value.problems[0]
    assert not is_whole(run)


@pytest.mark.skipif(not hasattr(os, "posix_fallocate") or os.geteuid() != 0 or
                    subprocess.run(["which", "mount"], capture_output=True).returncode,
                    reason="needs the right to mount a small tmpfs")  # fmt: skip
def test_a_disk_that_is_really_full(run, tmp_path):
    small = tmp_path / "small"
    small.mkdir()
    if subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=64k", "tmpfs", small], capture_output=True
    ).returncode:
        pytest.skip("mounting a tmpfs is not allowed here")
    try:
        full = replace(run, folder=small / "run")
        with pytest.raises(UserError, match="the disk is full"), open_run(full) as folder:
            folder.write_text("big.csv", "x" * 200_000)
        assert not is_whole(full)
        assert not list((small / "run").glob("big*"))
    finally:
        subprocess.run(["umount", small], check=True)


def test_runs_are_found_in_the_study_in_scratch_and_in_the_package(run, tmp_path, monkeypatch):
    assert find(run) is None
    with pytest.raises(UserError, match="earlier run is missing"):
        require(run)
    scratch = runs.into_scratch(run)
    fill(scratch)
    assert find(run) == scratch.folder == find(scratch)
    fill(run)
    assert find(run) == run.folder
    assert find(scratch) == scratch.folder
    shipped = tmp_path / "package"
    (shipped / "some").mkdir(parents=True)
    run.folder.rename(shipped / "some" / "run")
    (scratch.folder / "scores.csv").write_text("harmed")
    monkeypatch.setattr(runs.folders, "shipped", lambda: shipped)
    runs.shipped_runs.cache_clear()
    try:
        assert find(run) == shipped / "some" / "run"
    finally:
        runs.shipped_runs.cache_clear()


def test_the_record_names_data_from_the_project_root(run, tmp_path):
    for given, told in (
        ("hub", "hub"),
        ("../shared/hub", "../shared/hub"),
        (tmp_path / "data" / "hub", "data/hub"),
        (tmp_path.parent / "hub", "../hub"),
        ("/nowhere/near/hub", "hub"),
    ):
        options = {"data": "/where/it/lies", "given": folders.portable(given), "threads": 1}
        record = runs.record_of(replace(run, options=options))
        assert record["options"] == {"data": told, "threads": 1}


def test_the_record_is_json_that_other_programs_can_read(run):
    fill(run)
    text = (run.folder / "run.json").read_text()
    assert json.loads(text)["upstream"] == {}
    assert "NaN" not in text
    assert Path(run.folder / "run.json").stat().st_size < 20_000
