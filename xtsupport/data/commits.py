"""Which commit of a data set or encoder is used: looked up once, then frozen with the study.

A name of the hub stands for whatever its branch holds today. The first plan of a study looks up
the commits and keeps them in `commits.json` in the study's folder; every later plan, notebook and
load uses those. Without network the newest commit in the cache is taken.
"""

import re
from contextlib import suppress
from pathlib import Path

from xtsupport.data import remote
from xtsupport.data.remote import NOUNS, Repo
from xtsupport.errors import Unreachable, UserError
from xtsupport.files import plain_disk_errors, read_json, write_json, write_text

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
        folder = ", the folder of a saved model, offline-e5" * (kind == "models")
        raise UserError(f"{NOUNS[kind]} {name[:80]!r} is not a name on the hub; allowed: "
                        f"owner/name[@revision]{folder}")  # fmt: skip
    revision = revision or "main"
    if COMMIT.fullmatch(revision):
        return Repo(kind, name, revision)
    key = f"{kind}/{name}@{revision}"
    if key not in _frozen:
        note = Repo(kind, name, "").folder / "refs" / revision  # the hub's client looks for it
        try:
            commit = remote.latest(kind, name, revision)
            with suppress(OSError):  # a cache that is shared and read-only
                write_text(note, commit)
        except Unreachable:
            commit = note.read_text(encoding="utf-8").strip() if note.is_file() else ""
            if not COMMIT.fullmatch(commit):
                raise
        _frozen[key] = commit
        for place in _place:
            _frozen.update(_read(place))  # what another process froze meanwhile stays
        _write()
    return Repo(kind, name, _frozen[key])


def moved() -> list[str]:
    """A sentence on every frozen name whose branch has gone on since; none without network."""
    with suppress(Unreachable):
        return [
            f"{key.partition('@')[0].partition('/')[2]}: {key.partition('@')[2]} has moved from "
            f"{old[:12]} to {new[:12]} since the study was planned; the study keeps {old[:12]}, "
            "--update follows"
            for key, old in _frozen.items()
            if (new := _now(key)) != old
        ]
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


def _read(path: Path) -> dict[str, str]:
    found = read_json(path) if path.exists() else {}
    if found is None or not all(COMMIT.fullmatch(str(each)) for each in found.values()):
        raise UserError(f"{path}: is not what xtsupport wrote (names and commits); remove it")
    return found


def _write() -> None:
    for place in _place:
        with plain_disk_errors(place):
            write_json(place, dict(sorted(_frozen.items())))
