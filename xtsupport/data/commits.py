"""Which commit of a data set or encoder is used: looked up once, then frozen with the study.

A name of the hub stands for whatever its branch holds today. The first plan of a study looks up
the commits and keeps them in `commits.json` in the study's folder; every later plan, notebook and
load uses those. Without network the newest commit in the cache is taken.
"""

import json
import re
from contextlib import suppress
from pathlib import Path

from xtsupport.data import remote
from xtsupport.data.remote import Repo
from xtsupport.errors import Unreachable, UserError
from xtsupport.files import plain_disk_errors, write_json

FILE = "commits.json"
COMMIT = re.compile(r"[0-9a-f]{40}")
NAME = re.compile(r"(?!.*(--|\.\.))\w[\w.-]{0,95}(/\w[\w.-]{0,95})?", re.ASCII)
_frozen: dict[str, str] = {}
_place: list[Path] = []


def freeze(folder: Path) -> None:
    """From now on use, and add to, the commits that the study in `folder` froze."""
    _frozen.clear()
    _place[:] = [folder / FILE]
    _frozen.update(_read(folder / FILE))


def resolve(kind: str, name: str, revision: str = "") -> Repo:
    """The repository at the commit that a branch, tag or commit (default: main) stands for.

    kind: datasets or models. Raises Unreachable where neither hub nor cache knows it, UserError
    for a name that cannot be one, and for a repository or revision that does not exist.
    """
    if not NAME.fullmatch(name):
        raise UserError(f"{name[:80]!r} is not a name on the hub: allowed is owner/name")
    revision = revision or "main"
    if COMMIT.fullmatch(revision):
        return Repo(kind, name, revision)
    key = f"{kind}/{name}@{revision}"
    if key not in _frozen:
        try:
            commit = remote.latest(kind, name, revision)
            _remember(Repo(kind, name, commit), revision)
        except Unreachable:
            cached = newest_cached(kind, name, revision)
            if cached is None:
                raise
            commit = cached
        _frozen[key] = commit
        for place in _place:
            _frozen.update(_read(place))  # what another process froze meanwhile stays
        _write()
    return Repo(kind, name, _frozen[key])


def newest_cached(kind: str, name: str, revision: str = "main") -> str | None:
    """The commit that a revision stood at when something was last fetched; None: never."""
    note = Repo(kind, name, "").folder / "refs" / revision
    commit = note.read_text(encoding="utf-8").strip() if note.is_file() else ""
    return commit if COMMIT.fullmatch(commit) else None


def moved() -> list[str]:
    """A sentence on every frozen name whose branch has gone on since; none without network."""
    try:
        return [
            f"{key.partition('@')[0].partition('/')[2]}: {key.partition('@')[2]} has moved from "
            f"{old[:12]} to {new[:12]} since the study was planned; the study keeps {old[:12]}, "
            "--update follows"
            for key, old in _frozen.items()
            if (new := _now(key)) != old
        ]
    except Unreachable:
        return []


def update(folder: Path) -> None:
    """Freeze what the hub holds now. Raises Unreachable, and changes nothing, without it."""
    freeze(folder)
    _frozen.update({key: _now(key) for key in _frozen})
    _write()


def _now(key: str) -> str:
    kind, _, rest = key.partition("/")
    name, _, revision = rest.rpartition("@")
    return remote.latest(kind, name, revision)


def _remember(repo: Repo, revision: str) -> None:
    """Note the commit where the hub's client looks for it when there is no network."""
    note = repo.folder / "refs" / revision
    with suppress(OSError):  # a cache that is shared and read-only
        note.parent.mkdir(parents=True, exist_ok=True)
        note.write_text(repo.commit, encoding="utf-8")


def _read(path: Path) -> dict[str, str]:
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
        if isinstance(found, dict) and all(COMMIT.fullmatch(str(each)) for each in found.values()):
            return found
        reason = "no commits"
    except FileNotFoundError:
        return {}
    except ValueError as error:
        reason = str(error)
    raise UserError(f"{path}: is not what xtsupport wrote ({reason}); remove it")


def _write() -> None:
    for place in _place:
        with plain_disk_errors(place):
            write_json(place, dict(sorted(_frozen.items())))
