"""Run folders: nothing half-written is ever read as whole."""

import errno
import hashlib
import json
import os
import re
import shutil
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
from xtsupport.study import run_folder, runs
from xtsupport.study.run_folder import open_run
from xtsupport.study.runs import (
    Run,
    find,
    flaws,
    interactive,
    is_whole,
    read_record,
    standing,
)


@pytest.fixture
def run(tmp_path, monkeypatch):
    monkeypatch.setenv("XTSUPPORT_ROOT", str(tmp_path))
    name = "target/squad/none/plain/seed0"
    return Run("toy", "target", "none", 0, name, {"steps": 3}, {"squad/en": "f00"})


def fill(run, text="a,b\n1,2\n"):
    with open_run(run) as folder:
        (folder.path / "scores.csv").write_text(text)
        pd.DataFrame({"x": [1.5, 2.5]}).to_parquet(folder.path / "examples.parquet")
        with files.new_folder(folder.path / "model") as model:
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
    assert name in (told := flaws(run.folder, run.key)[0])
    assert ("its size is the same" in told) == (harm == "changed" and name != "run.json")


def test_a_record_that_says_otherwise_than_it_was_written_is_no_record(run):
    """Its lines in another order, and the records of before they were sealed, say the same."""
    fill(run)
    path = run.folder / "run.json"
    record = json.loads(path.read_text())
    for said in (record | {"seed": 7}, record | {"settings": {"steps": 4}}, record | {"new": 1}):
        path.write_text(json.dumps(said))
        assert flaws(run.folder) == [f"{path}: has changed since it was written"]
        assert read_record(run.folder) is None and not is_whole(run) and standing(run) is None
    for said in (dict(reversed(record.items())), {k: record[k] for k in {*record} - {"sha256"}}):
        path.write_text(json.dumps(said, indent=3))
        assert flaws(run.folder, run.key) == [] and is_whole(run)


def test_what_a_notebook_noted_comes_back_as_the_record_vouches_for_it(run):
    with open_run(run) as folder:
        folder.note(layers={2: 0.1, 10: (1, 2e-300)})  # numbers as names are words in JSON
    assert is_whole(run) and read_record(run.folder)["layers"] == {"2": 0.1, "10": [1, 2e-300]}


def test_whether_somebody_works_there_is_only_looked_at(tmp_path):
    """Where there is no folder none is made, and a disk may be read-only."""
    lock = tmp_path / "study" / ".lock"
    assert not files.is_locked(lock) and not lock.parent.exists()
    with files.locked(lock, "busy"):
        assert files.is_locked(lock)
    assert not files.is_locked(lock)


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() != 0, reason="mounting needs root")
def test_a_lock_on_a_read_only_disk_is_seen(tmp_path):
    (own := tmp_path / "own").mkdir()
    (seen := tmp_path / "seen").mkdir()
    if subprocess.run(["mount", "--bind", own, seen], stderr=subprocess.DEVNULL).returncode:
        pytest.skip("may not mount here")
    try:
        subprocess.run(["mount", "-o", "remount,ro,bind", seen], check=True)
        with files.locked(own / ".lock", "busy"):
            assert files.is_locked(seen / ".lock")
        assert not files.is_locked(seen / ".lock")
    finally:
        subprocess.run(["umount", seen], check=True)


def test_a_pipe_in_place_of_a_record_is_not_waited_for(run):
    run.folder.mkdir(parents=True)
    os.mkfifo(run.folder / "run.json")
    assert flaws(run.folder) == [f"{run.folder / 'run.json'}: cannot be read"]


def test_other_settings_make_it_stale(run):
    fill(run)
    other = replace(run, settings={"steps": 4})
    assert not is_whole(other) and other.folder != run.folder
    assert "other settings" in flaws(run.folder, other.key)[0]


def test_a_finished_run_is_never_replaced(run):
    """Other settings go beside it; the same ones are refused, with the run as it was."""
    fill(run)
    fill(replace(run, settings={"steps": 4}), "a,b\n3,4\n")
    assert is_whole(run) and (run.folder / "scores.csv").read_text() == "a,b\n1,2\n"
    with pytest.raises(UserError, match="is finished"), open_run(run):
        raise AssertionError("must not get here")
    assert is_whole(run)


def above_and_below(run):
    above = replace(run, phase="intermediate", name="intermediate/squad/seed0")
    return above, replace(run, upstream=(above,))


def test_a_key_stands_for_the_contents_of_what_a_run_starts_from(run):
    """The same recipe above, other weights: another key, and both results stay."""
    above, below = above_and_below(run)
    assert below.key is None and not is_whole(below)
    with pytest.raises(UserError, match="intermediate/squad/seed0: this earlier run is missing"):
        fill(below)
    fill(above)
    (weights := above.folder / "model" / "weights").write_bytes(b"\1" * 1000)
    told = f"intermediate/squad/seed0: {weights}: has changed since it was written (its size is the"
    with pytest.raises(UserError, match=re.escape(told)):
        fill(below)
    weights.write_bytes(b"\0" * 1000)
    first = below.key
    fill(below)
    record = read_record(below.folder)
    assert record["upstream"] == {above.name: above.key} and record["recipe"] == below.recipe
    weights = above.folder / "model" / "weights"
    weights.write_bytes(b"harmed")  # to be done again; what starts from it waits and sees
    assert below.key == first and is_whole(below) and not is_whole(above)
    with open_run(above) as folder, files.new_folder(folder.path / "model") as model:
        (model / "weights").write_bytes(b"of another processor")
    assert below.key not in (None, first) and not is_whole(below)
    fill(below)
    assert {path.name for path in below.folder.parent.iterdir()} == {
        above.key[:12], first[:12], below.key[:12]
    }  # fmt: skip
    assert [below.recipe] == list({read_record(below.folder)["recipe"], record["recipe"]})


def test_a_clock_that_is_set_back_changes_no_duration_and_no_result(run, monkeypatch):
    with open_run(run) as folder:
        (folder.path / "scores.csv").write_text("a")
        now = time.time()
        monkeypatch.setattr(time, "time", lambda: now - 86_400)
    assert is_whole(run)
    assert 0 <= read_record(run.folder)["seconds"] < 60
    for path in run.folder.rglob("*"):
        os.utime(path, (now + 1e8, now + 1e8))
    assert is_whole(run)


def test_an_error_leaves_no_record_and_the_next_try_cleans_up(run):
    with pytest.raises(ZeroDivisionError), open_run(run) as folder:
        (folder.path / "left-over.csv").write_text("x")
        raise ZeroDivisionError
    assert not is_whole(run)
    fill(run)
    assert not (run.folder / "left-over.csv").exists()


def test_redoing_a_harmed_run_removes_the_old_record_before_anything_else(run):
    fill(run)
    (run.folder / "scores.csv").write_text("harmed")
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
    (run.folder / "run.json").unlink()
    with pytest.raises(ZeroDivisionError), open_run(run) as folder:
        (folder.checkpoint / "run.json").write_text("another")
        raise ZeroDivisionError
    with open_run(run) as folder:
        assert not list(folder.path.glob("checkpoint/step"))


def test_two_processes_never_write_one_folder(run, monkeypatch, capsys):
    monkeypatch.setattr(run_folder, "WAIT", 0)
    with (
        open_run(run),
        pytest.raises(UserError, match="is being written by another process"),
        open_run(run),
    ):
        raise AssertionError("must not get here")
    assert "another process is working on this run; waiting" in capsys.readouterr().out


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


def test_a_folder_that_may_not_be_replaced_stays_and_is_named(tmp_path, monkeypatch):
    """As a cube that another user wrote."""

    def denied(folder, ignore_errors=False):
        if folder == cube and not ignore_errors:
            raise PermissionError(errno.EACCES, "Permission denied", str(cube / "old"))

    cube = tmp_path / "cube"
    cube.mkdir()
    (cube / "old").touch()
    monkeypatch.setattr(shutil, "rmtree", denied)
    said = pytest.raises(UserError, match=r"cube/old: writing is not allowed here")
    with said, files.plain_disk_errors(tmp_path), files.new_folder(cube) as fresh:
        (fresh / "new").touch()
    assert [each.name for each in cube.iterdir()] == ["old"]


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EROFS, errno.EACCES])
def test_disk_trouble_is_one_line_that_names_the_folder(run, number):
    with pytest.raises(UserError, match=r"disk|writing") as caught, open_run(run):
        raise OSError(number, os.strerror(number), str(run.folder / "examples.parquet"))
    assert str(run.folder / "examples.parquet") in caught.value.problems[0]
    assert not is_whole(run)


@pytest.mark.skipif(not hasattr(os, "posix_fallocate") or os.geteuid() != 0 or
                    subprocess.run(["which", "mount"], capture_output=True).returncode,
                    reason="needs the right to mount a small tmpfs")  # fmt: skip
def test_a_disk_that_is_really_full(run, tmp_path, monkeypatch):
    small = tmp_path / "small"
    small.mkdir()
    if subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=64k", "tmpfs", small], capture_output=True
    ).returncode:
        pytest.skip("mounting a tmpfs is not allowed here")
    try:
        monkeypatch.setenv("XTSUPPORT_ROOT", str(small))
        with pytest.raises(UserError, match="the disk is full"), open_run(run) as folder:
            files.write_text(folder.path / "big.csv", "x" * 200_000)
        assert not is_whole(run)
        assert not list(run.folder.glob("big*"))
    finally:
        subprocess.run(["umount", small], check=True)


@pytest.fixture
def shipped(tmp_path, monkeypatch):
    """A package that brings the runs in a folder."""
    monkeypatch.setattr(runs.folders, "shipped", lambda: tmp_path / "package")
    runs.shipped_runs.cache_clear()
    yield tmp_path / "package"
    runs.shipped_runs.cache_clear()


def ship(run, folder):
    """Put a run into the package as benchmarks/ship.py does: a result with a key of its own."""
    fill(run)
    shutil.copytree(run.folder, folder / "one")
    shutil.rmtree(run.folder)
    record = read_record(folder / "one") | {"run_key": "5417"}
    (folder / "one" / "run.json").write_text(json.dumps(runs.sealed(record)))
    runs.shipped_runs.cache_clear()


def test_a_shipped_phase_2_serves_notebooks_until_there_is_an_own_one(run, shipped):
    above, below = above_and_below(run)
    ship(above, shipped)
    assert find(above) is None and below.key is None and not is_whole(above)
    mine = interactive(below)
    assert find(mine.upstream[0]) == shipped / "one" and not is_whole(mine.upstream[0])
    first = mine.key
    assert first is not None
    fill(above)
    assert find(mine.upstream[0]) == above.folder and mine.key == below.key != first


def test_a_shipped_phase_1_serves_everyone_and_shares_no_key_with_another(run, shipped):
    above, below = above_and_below(run)
    above = replace(above, phase="pretraining", name="pretraining/seed0")
    below = replace(below, upstream=(above,))
    ship(above, shipped)
    assert is_whole(above) and find(above) == shipped / "one"
    again = replace(above, again=True)
    assert not is_whole(again)
    fill(again)
    own = read_record(again.folder)["run_key"]
    assert own != read_record(shipped / "one")["run_key"]
    fill(below)
    assert read_record(below.folder)["upstream"] == {"pretraining/seed0": "5417"}
    other = replace(below, upstream=(again,))
    assert other.key != below.key and standing(other) is None


def test_the_record_names_data_from_the_project_root(run, tmp_path):
    for given, told in (
        ("hub", "hub"),
        ("../shared/hub", "../shared/hub"),
        (tmp_path / "data" / "hub", "data/hub"),
        (tmp_path.parent / "hub", "../hub"),
        ("/nowhere/near/hub", "hub"),
    ):
        options = {"data": "/where/it/lies", "given": folders.portable(given), "threads": 1}
        record = run_folder.record_of(replace(run, options=options))
        assert record["options"] == {"data": told, "threads": 1}


def test_the_record_is_json_that_other_programs_can_read(run):
    fill(run)
    text = (run.folder / "run.json").read_text()
    assert json.loads(text)["upstream"] == {}
    assert "NaN" not in text
    assert Path(run.folder / "run.json").stat().st_size < 20_000


def test_a_large_file_is_hashed_once_whatever_the_process(tmp_path, monkeypatch):
    monkeypatch.setenv("XTSUPPORT_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(files, "LARGE", 1000)
    large, small = tmp_path / "large", tmp_path / "small"
    large.write_bytes(b"a" * 1000)
    small.write_bytes(b"a" * 999)
    by_hand = {path: hashlib.sha256(path.read_bytes()).hexdigest() for path in (large, small)}
    read, digest = [], hashlib.file_digest
    monkeypatch.setattr(files.hashlib, "file_digest", lambda *a: read.append(a) or digest(*a))
    for _ in range(3):
        files._checksum.cache_clear()  # as another process begins
        assert {path: files.checksum(path) for path in (large, small)} == by_hand
    assert len(read) == 1 + 3
    large.write_bytes(b"b" * 1000)
    os.utime(large, ns=(0, 1))
    assert files.checksum(large) == hashlib.sha256(b"b" * 1000).hexdigest()
