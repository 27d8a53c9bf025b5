"""BUCC 2018: the two pools of sentences that gold pairs are to be found in.

The hub's google/xtreme has the gold pairs only; they load like any task. The pools come from the
shared task's archives (bucc2018-<xx>-en.*-gold.tar.bz2), unpacked so that a mirror's root, or
$XTSUPPORT_DATA (default: ./data), holds

    bucc2018/zh-en/zh-en.training.zh     id <tab> sentence
    bucc2018/zh-en/zh-en.training.en     id <tab> sentence
    bucc2018/zh-en/zh-en.training.gold   zh id <tab> en id

XTREME tests on `training` and tunes the threshold on `sample`; the splits are called test and
validation here as on the hub. The sample is optional: see xtsupport/evaluation/mining.py.
"""

import hashlib
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

from xtsupport.data import hub
from xtsupport.errors import UserError, shorten, unknown
from xtsupport.files import checksum, read_text

FILES = {"test": "training", "validation": "sample"}


@dataclass(frozen=True)
class Pools:
    """The sentences of both sides by their ids, and the gold (source id, target id) pairs."""

    source: dict[str, str]
    target: dict[str, str]
    gold: list[tuple[str, str]]


def pools(language, split, data) -> Pools:
    """The pools of `language` and English from a user's folder; UserError if absent or wrong."""
    return read(files(language, split, data))


def read(paths: list[Path]) -> Pools:
    """The pools in the files of the source pool, the English pool and the gold pairs."""
    source, target, gold = (_two_columns(path) for path in paths)
    _check_ids(paths, source, target, gold)
    return Pools(dict(source), dict(target), gold)


def files(language, split, data) -> list[Path]:
    """The files of the source pool, the English pool and the gold pairs; UserError if absent."""
    if split not in FILES:
        raise UserError(f"bucc: {unknown('split', split, FILES)}")
    pair = f"{language}-en"
    folder = hub.own_folder("bucc2018", data) / pair
    paths = [folder / f"{pair}.{FILES[split]}.{end}" for end in (language, "en", "gold")]
    absent = [path.name for path in paths if not path.is_file()]
    if absent:
        archive = f"bucc2018-{pair}.{FILES[split]}-gold.tar.bz2"
        raise UserError(f"bucc ({language}): no {', '.join(absent)} in {folder}: unpack the BUCC "
                        f"2018 archive {archive} there")  # fmt: skip
    return paths


def present(language, split, data) -> bool:
    """Whether pools() would find its files."""
    try:
        return bool(files(language, split, data))
    except UserError:
        return False


def fingerprint(language, split, data) -> str:
    """A hex string that changes whenever pools() would give something else; UserError if absent."""
    marks = "".join(map(checksum, files(language, split, data)))
    return hashlib.sha256(marks.encode()).hexdigest()


def _check_ids(paths, source, target, gold):
    """Ids are unique and without blanks, and the gold pairs are pairs of them, none twice."""
    problems = []
    for path, rows in zip(paths, (source, target, gold), strict=True):
        ids = Counter(rows if rows is gold else (identifier for identifier, _ in rows))
        twice = [identifier for identifier, count in ids.items() if count > 1]
        problems += _some(path, twice, "occur more than once")
    for path, rows in zip(paths[:2], (source, target), strict=True):
        blank = [identifier for identifier, _ in rows if len(identifier.split()) != 1]
        problems += _some(path, blank, "are empty or contain a space")
    pools = [{identifier for identifier, _ in rows} for rows in (source, target)]
    stray = [pair for pair in gold if pair[0] not in pools[0] or pair[1] not in pools[1]]
    swapped = stray and all(pair[1] in pools[0] and pair[0] in pools[1] for pair in stray)
    what = "have the English id first; it must be second" if swapped else "are not in the pools"
    problems += _some(paths[2], stray, what)
    if problems:
        raise UserError(*problems)


def _some(path, wrong, what):
    """A line on some ids or pairs of a file, none if none is wrong."""
    first = ", ".join(shorten(each) for each in wrong[:3]) + (", ..." if len(wrong) > 3 else "")
    return [f"{path}: {len(wrong)} ids or pairs {what}: {first}"] if wrong else []


def _two_columns(path):
    rows = []
    for number, line in enumerate(read_text(path).split("\n"), start=1):
        fields = line.rstrip("\r").split("\t", 1)
        if len(fields) == 2:
            rows.append((fields[0].strip(), fields[1].strip()))
        elif line.strip():
            raise UserError(f"{path}, line {number}: expected two columns with a tab between")
    return rows
