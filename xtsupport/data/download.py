"""Whole files of the hub, into the cache of the hub's own client (`$HF_HOME`).

So what other tools fetched is used, and what is fetched here is theirs too. A file gets its name
only when it has the checksum that the hub states; what came before a break is kept and goes on.
"""

import hashlib
import os
import shutil
import time
from pathlib import Path

from xtsupport.data import remote
from xtsupport.data.remote import Repo
from xtsupport.errors import Unreachable, UserError
from xtsupport.files import draft


def fetch(repo: Repo, path: str) -> Path:
    """A file of the hub in the cache; fetched, or fetched on, when it is not there yet.

    Raises Unreachable when bytes stop coming (those that came are kept for the next time),
    UserError when the file is not what the hub says it is.
    """
    from filelock import FileLock

    place = repo.cached(path)
    if place.is_file():
        return place
    entry = remote.entry_of(repo, path)
    name = entry.get("sha256") or entry.get("oid")
    if not name:  # listed from the cache: it went away meanwhile
        raise Unreachable(f"{repo} no longer has {path}", str(repo))
    blob = repo.folder / "blobs" / name
    lock = repo.folder.parent / ".locks" / repo.folder.name / f"{name}.lock"
    for each in (blob, lock):
        each.parent.mkdir(parents=True, exist_ok=True)
    with FileLock(lock):
        if not blob.is_file():
            part = blob.with_name(f"{name}.incomplete")
            part.touch()
            _download(repo, path, entry["size"], part)
            _verify(repo, path, entry, part)
            part.replace(blob)
        _link(blob, place)
    return place


def _download(repo, path, size, part) -> None:
    """Bytes of a file behind those that are there; again after a break, while more come."""
    from tqdm import tqdm

    quiet = None if size > 1_000_000 else True  # None: on terminals only
    done = part.stat().st_size
    with tqdm(total=size, initial=done, unit="B", unit_scale=True, desc=path, disable=quiet) as bar:
        idle = 0
        while done < size:
            problem = None
            try:
                _append(repo, path, part, done, bar)
            except Unreachable as error:
                problem = error
            reached = part.stat().st_size
            idle = 0 if reached > done else idle + 1
            done = max(done, reached)
            if idle == 2 or (idle and problem and "answers" in problem.reason):
                if problem and ("answers" in problem.reason or not done):
                    raise problem
                raise remote.silent(f"breaks off at byte {done:,} of {size:,} of {path}", repo)
            if done < size:
                remote.ask_again()
                time.sleep(1)


def _append(repo, path, part, done, bar) -> None:
    """One attempt: the bytes from `done` on, or the whole file where the hub ignores that."""
    headers = {"accept-encoding": "identity"} | ({"Range": f"bytes={done}-"} if done else {})
    with remote.asked(repo.url(path), repo, **headers) as response, part.open("r+b") as file:
        skip = done if response.status_code != 206 else 0
        file.seek(done)
        for chunk in response.iter_bytes():
            fresh, skip = chunk[skip:], max(0, skip - len(chunk))
            file.write(fresh)
            bar.update(len(fresh))


def _verify(repo, path, entry, part) -> None:
    """Drop a file that has not the hub's checksum: sha256 of large files, git's sha1 of others."""
    if "sha256" in entry:
        digest, wanted = hashlib.sha256(), entry["sha256"]
    else:
        digest, wanted = hashlib.sha1(b"blob %d\0" % part.stat().st_size), entry["oid"]
    with part.open("rb") as file:
        hashlib.file_digest(file, lambda: digest)
    if digest.hexdigest() != wanted:
        part.unlink()
        raise UserError(
            f"{repo}: {path} does not have the checksum that the hub states; try again; if "
            "that does not help, look for a proxy that changes files"
        )


def _link(blob: Path, place: Path) -> None:
    """The file under its name: a link into blobs/, as the hub's client does it; else a copy."""
    place.parent.mkdir(parents=True, exist_ok=True)
    try:
        place.symlink_to(os.path.relpath(blob, place.parent))
    except FileExistsError:
        pass
    except OSError:  # no symlinks here
        with draft(place) as half:
            shutil.copyfile(blob, half)
