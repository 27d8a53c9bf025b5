"""`xtsupport data convert`: make a mirror folder from published files.

It recognises, by their names, the files in XTREME's `download/` folder (google-research/xtreme,
scripts/download_data.sh and utils_preprocess.py) and the files from which that folder is made:

    xnli/dev-de.tsv  pawsx/train-en.tsv  xnli.dev.tsv (XNLI)  de/test_2k.tsv (PAWS-X)
    panx/dev-de.tsv  udpos/train-en.tsv  panx_dataset/de-test (WikiAnn)  de_gsd-ud-test.conllu
    squad/train-v1.1.json  xquad/xquad.de.json  MLQA_V1/dev/dev-context-de-question-en.json
    tydiqa.goldp.de.train.json  tydiqa-goldp-v1.1-train.json  tydiqa-goldp-dev-english.json
    tatoeba/de-en.de  tatoeba.deu-eng.deu  bucc2018/zh-en.dev.zh

XTREME removes the labels of its test sets; such files are reported and left out, and so are its
Tatoeba files, whose English side it sorts. In CoNLL-U files, words are the syntactic words.
"""

import re
import shutil
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pyarrow as pa

from xtsupport.data import bucc, hub, readers, soundness
from xtsupport.data.published_files import SplitRows, joined, recognised
from xtsupport.errors import UserError
from xtsupport.files import draft, write_parquet

POOLS = {"dev": "sample", "test": "training", "sample": "sample", "training": "training"}


def convert(folder: Path, out: Path) -> Iterator[str]:
    """Write what a folder holds as a mirror into `out`; lines to print as it goes on.

    Whatever can be read is written, a split of several files only if all of them can. Raises
    UserError at the end, with a line on each file that is not what its name says, and where nothing
    is recognised.
    """
    folder = folder.resolve()
    splits: dict[tuple, list[tuple[Path, SplitRows]]] = {}
    problems: list[str] = []
    spoilt, there = set(), out.exists()
    out.mkdir(parents=True, exist_ok=True)
    for path, hit, reader in recognised(folder):
        try:
            parts = list(reader(path, hit))
        except (ValueError, OSError) as error:
            problems += getattr(error, "problems", [f"{path}: cannot be read ({error})"])
            spoilt.add(joined(path, hit, reader))
            continue
        for part in parts:
            if part.why:
                yield f"left out: {path.relative_to(folder)}: {part.why}"
            else:
                code = "en" if part.task == "tydiqa" else part.language  # has all in one file
                key = (joined(path, hit, reader), part.task, code, part.split, part.language_2)
                splits.setdefault(key, []).append((path, part))
    yield from _written(out, splits, spoilt, problems)
    yield from _pools(folder, out, problems)
    if not there:
        with suppress(OSError):  # it is not empty: all is well
            out.rmdir()
    if problems:
        raise UserError(*problems)
    if not out.exists():
        raise UserError(f"{folder}: no known file with labels is here; `xtsupport data convert` "
                        "takes XTREME's download folder and the files it is made from")  # fmt: skip


def _written(out, splits, spoilt, problems) -> Iterator[str]:
    """Write every split that can be used."""
    known: dict[tuple, tuple[list[Path], list[dict]]] = {}
    for (mark, task, language, split, language_2), found in splits.items():
        key, paths = (task, language, split, language_2), [path for path, _ in found]
        if mark in spoilt:
            yield f"left out: {task} {language} {split}: another of its files cannot be read"
            continue
        rows = _rows([part for _, part in found])
        if key not in known:
            try:
                yield _write(out, key, paths, rows)
            except UserError as error:
                problems += (f"{paths[0]}: {problem}" for problem in error.problems)
        elif rows != known[key][1]:
            problems.append(f"{paths[0]}: has other rows of {task} ({language}, {split}) than "
                            f"{known[key][0][0]}; keep one of them")  # fmt: skip
        known.setdefault(key, (paths, rows))


def _rows(parts: list[SplitRows]) -> list[dict]:
    """The rows of a split; of TyDiQA those of a file with all languages, if there is one."""
    whole = [part for part in parts if part.language == "all"]
    if not whole:
        return [row for part in parts for row in part.rows]
    return list({row["id"]: row for part in whole for row in part.rows}.values())


def _write(out, key, paths, rows) -> str:
    """Write a split that data check would pass; UserError for one that it would not."""
    task, language, split, language_2 = key
    (part,) = hub.parts_of(task, language, split, out, language_2)
    if not rows:
        raise UserError("has no rows")
    table = pa.Table.from_pylist(rows)
    soundness.sound(readers.read(table, part.task), len(rows), part.task, str(part))
    folder = out / part.task.hub / (part.config or "default")
    write_parquet(folder / f"{part.split}-00000-of-00001.parquet", table)
    names = ", ".join(path.name for path in paths[:3]) + (", ..." if len(paths) > 3 else "")
    return f"{part}: {len(rows):,} rows from {names}"


def _pools(folder: Path, out: Path, problems: list[str]) -> Iterator[str]:
    """BUCC's pools, under the names of the shared task."""
    for path in sorted(folder.rglob("*-en.*.en")):
        hit = re.fullmatch(r"([a-z]{2})-en\.(dev|test|sample|training)\.en", path.name)
        if not hit:
            continue
        pair, split = f"{hit[1]}-en", hit[2]
        found = [path.with_name(f"{pair}.{split}.{end}") for end in (hit[1], "en", "gold")]
        absent = [each.name for each in found if not each.is_file()]
        if absent:
            yield f"left out: {path.relative_to(folder)}: there is no {', '.join(absent)}"
            continue
        try:
            bucc.read(found)
        except UserError as error:
            problems += error.problems
            continue
        for each in found:
            place = out / "bucc2018" / pair / f"{pair}.{POOLS[split]}{each.suffix}"
            with draft(place) as half:
                shutil.copyfile(each, half)
        yield f"bucc2018/{pair}.{POOLS[split]}: the pools of {pair}.{split}"
