"""The hub over HTTP: commits, lists of files, parts of files (whole ones: download.py).

Files are requested by commit. If the hub does not answer, for whatever reason, Unreachable is
raised within 15 seconds, and the hub is not asked again for a minute.
"""

import io
import os
import re
import socket
import threading
import time
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from urllib.parse import quote, urlsplit

from xtsupport import __version__
from xtsupport.errors import Unreachable, UserError
from xtsupport.files import read_json, write_json
from xtsupport.folders import user_cache

CONNECT, ANSWER = 4, 6  # seconds; two attempts without a byte end a download
NOUNS = {"datasets": "data set", "models": "encoder"}
_down: list = [0.0, "", ""]  # until when not to ask again, whom, and why


@dataclass(frozen=True)
class Repo:
    """A repository of the hub at a commit; kind: datasets or models."""

    kind: str
    name: str
    commit: str

    def __str__(self):
        return f"{NOUNS[self.kind]} {self.name}"

    @property
    def folder(self) -> Path:
        """Its folder in the cache of the hub's client."""
        from huggingface_hub import constants

        return Path(constants.HF_HUB_CACHE) / f"{self.kind}--{self.name.replace('/', '--')}"

    def cached(self, path: str) -> Path:
        """Where a file lies in the cache, or would."""
        return self.folder / "snapshots" / self.commit / path

    def url(self, path: str) -> str:
        """Where the hub has a file."""
        prefix = "datasets/" if self.kind == "datasets" else ""
        return f"{endpoint()}/{prefix}{self.name}/resolve/{self.commit}/{quote(path)}"


def endpoint() -> str:
    """The hub's address: $HF_ENDPOINT, by default the public one."""
    from huggingface_hub import constants

    return (os.environ.get("HF_ENDPOINT") or constants.ENDPOINT).rstrip("/")


def latest(kind: str, name: str, revision: str) -> str:
    """The commit that a branch or tag stands at now; Unreachable, or UserError if there is none."""
    repo = Repo(kind, name, revision)
    url = f"{endpoint()}/api/{kind}/{name}/revision/{quote(revision, safe='')}"
    found = _json(_read(url, repo), repo)
    commit = str(found.get("sha")) if isinstance(found, dict) else ""
    if not re.fullmatch("[0-9a-f]{40}", commit):
        raise silent("sent an unusable answer (no commit)", repo)
    return commit


def listing(repo: Repo) -> dict[str, dict]:
    """{path: {size, sha256 or oid}} of every file, kept in the cache; without network the sizes of
    the files that are there."""
    kept = _notes(repo, "files")
    if known := read_json(kept):
        return known
    try:
        found = _tree(repo)
    except Unreachable:
        root = repo.cached("")
        there = sorted(path for path in root.rglob("*") if path.is_file())
        found = {path.relative_to(root).as_posix(): {"size": path.stat().st_size} for path in there}
        if not found:
            raise
        return found
    write_json(kept, found)
    return found


def opened(repo: Repo, path: str):
    """A file to read parts of: the cached one's path, else one that asks the hub for each part."""
    place = repo.cached(path)
    return place if place.is_file() else RemoteFile(repo, path, entry_of(repo, path)["size"])


def rows(repo: Repo, path: str) -> int:
    """The rows of a parquet file, from its last bytes only; kept in the cache."""
    from xtsupport.data import parquet

    kept = _notes(repo, "rows")
    known = read_json(kept) or {}
    if path not in known:
        known[path] = parquet.rows(opened(repo, path))
        write_json(kept, known)
    return known[path]


class RemoteFile(io.RawIOBase):
    """A file on the hub as a stream; reads what is asked for, wherever, and nothing else."""

    def __init__(self, repo: Repo, path: str, size: int):
        self.repo, self.path, self.size, self.at = repo, path, size, 0

    def __str__(self):
        return f"{self.repo.name}/{self.path}"

    def readable(self):
        """Yes."""
        return True

    def seek(self, offset, whence=0):
        """Go to a position in bytes."""
        self.at = offset + (0, self.at, self.size)[whence]
        return self.at

    def read(self, size=-1):
        """`size` bytes from here, fewer at the end of the file."""
        last = self.size if size is None or size < 0 else min(self.at + size, self.size)
        if last <= self.at:
            return b""
        url, span = self.repo.url(self.path), f"bytes={self.at}-{last - 1}"
        content = _read(url, self.repo, Range=span).content
        if len(content) != last - self.at:
            raise Unreachable(f"{self} arrived only in part", str(self.repo))
        self.at = last
        return content


@contextmanager
def asked(url: str, repo: Repo, **headers: str):
    """The hub's response as it comes; Unreachable where it does not, also within the block."""
    from huggingface_hub import utils
    from huggingface_hub.errors import HTTPError

    _check_reachable(repo)
    session = utils.get_session()
    wait = type(session.timeout)(ANSWER, connect=CONNECT)  # the class of httpx or its successor
    token = utils.get_token()  # the client's own function for headers asks another server
    login = {"authorization": f"Bearer {token}"} if token else {}
    given = {"user-agent": f"xtsupport/{__version__}", **login, **headers}
    try:
        with session.stream(
            "GET", url, headers=given, timeout=wait, follow_redirects=True
        ) as response:
            if response.status_code >= 400:
                response.read()  # or the connection is torn down
            yield _accepted(response, repo)
    except (HTTPError, OSError) as error:
        if isinstance(error, OSError) and error.errno and not isinstance(error, ConnectionError):
            raise  # a full disk
        raise silent(error, repo) from error


def _read(url: str, repo: Repo, **headers: str):
    """The hub's response, read whole."""
    with asked(url, repo, **headers) as response:
        response.read()
    return response


def _json(response, repo: Repo):
    try:
        return response.json()
    except ValueError as error:
        raise silent("sent an unusable answer (not JSON)", repo) from error


def _tree(repo: Repo) -> dict[str, dict]:
    url, found = f"{endpoint()}/api/{repo.kind}/{repo.name}/tree/{repo.commit}?recursive=true", {}
    while url:
        response = _read(url, repo)
        for each in _json(response, repo):
            if each["type"] == "file":
                lfs = each.get("lfs") or {}
                checks = {"sha256": lfs["oid"]} if lfs else {"oid": each["oid"]}
                if not _safe(each["path"], *checks.values()):
                    name = each["path"]
                    raise UserError(f"{repo}: the hub lists {name!r}, which is not a file name")
                found[each["path"]] = {"size": lfs.get("size", each["size"]), **checks}
        url = response.links.get("next", {}).get("url")
    return found


def _safe(path: str, checksum: str) -> bool:
    """Whether a path stays below its folder and a checksum is one: both become names of files."""
    inside = not path.startswith("/") and ".." not in path.split("/") and "\\" not in path
    return inside and bool(re.fullmatch("[0-9a-f]{40,64}", checksum))


def entry_of(repo: Repo, path: str) -> dict:
    """What the list of files says of one; UserError if it is not on the list."""
    found = listing(repo)
    if path not in found:
        raise UserError(f"{repo} at commit {repo.commit[:12]}: has no file {path}")
    return found[path]


def _accepted(response, repo: Repo):
    """The response if it is what was asked for; else the error for what hubs answer instead."""
    code, error = response.status_code, response.headers.get("X-Error-Code", "")
    if code < 300:
        commits = [r.headers.get("X-Repo-Commit") for r in [*response.history, response]]
        if len(repo.commit) == 40 and set(commits) - {None, repo.commit}:
            raise UserError(f"{repo}: the hub gives a different commit than {repo.commit}")
        return response
    if code == 404 and error == "RevisionNotFound":
        raise UserError(f"{repo}: the hub has no revision {repo.commit!r} of it")
    if code in (401, 403):
        raise UserError(
            f"{repo}: the hub requires a login ({code}): check the name, accept its terms on its "
            "page, then `hf auth login` or set HF_TOKEN"
        )
    if code == 404:
        raise UserError(f"{repo}: the hub does not have it at {response.url.path}")
    wait = response.headers.get("Retry-After")
    raise silent(f"answers {code}{f', try again in {wait} seconds' if wait else ''}", repo)


def silent(error, repo: Repo) -> Unreachable:
    """Why the hub gives nothing; it is not asked again for a minute."""
    kind, reason = type(error).__name__, str(error).strip().split("\n")[0]
    if "Timeout" in kind:
        reason = "does not answer in time"
    elif "Protocol" in kind or kind == "ReadError":
        reason = "breaks off in the middle of an answer"
    elif not isinstance(error, str):
        reason = f"does not answer ({reason or kind})"
    _down[:] = time.monotonic() + 60, endpoint(), reason
    return Unreachable(f"the hub ({endpoint()}) {reason}", str(repo))


def _check_reachable(repo: Repo) -> None:
    """Raise Unreachable without asking where no answer is to be expected."""
    from huggingface_hub import constants

    if constants.is_offline_mode():
        raise Unreachable("the hub is not asked (HF_HUB_OFFLINE is set)", str(repo))
    until, whom, reason = _down
    if whom == endpoint() and time.monotonic() < until:
        raise Unreachable(f"the hub ({whom}) {reason}", str(repo))
    if not _has_address(urlsplit(endpoint()).hostname):
        raise silent("cannot be found: no network, or a wrong HF_ENDPOINT", repo)


def ask_again() -> None:
    """Ask the hub even if it has just been silent."""
    _down[0] = 0.0


@cache
def _has_address(host: str | None) -> bool:
    """Whether the name resolves within some seconds; behind a proxy names need not."""
    if any(name.lower().endswith("_proxy") for name in os.environ):
        return True
    found: list = []

    def look():
        with suppress(OSError, ValueError):
            found.append(socket.getaddrinfo(host, None))

    thread = threading.Thread(target=look, daemon=True)
    thread.start()
    thread.join(CONNECT)
    return bool(found)


def _notes(repo: Repo, what: str) -> Path:
    """A file of our own on a commit, which never changes."""
    return user_cache() / "hub" / repo.folder.name / f"{repo.commit}.{what}.json"
