"""`xtsupport data convert`: published files into a mirror folder.

Known are the files of XTREME's own `download/` folder (google-research/xtreme,
scripts/download_data.sh and utils_preprocess.py) and those that it is made from, by their names:

    xnli/dev-de.tsv  pawsx/train-en.tsv  xnli.dev.tsv (XNLI)  de/test_2k.tsv (PAWS-X)
    panx/dev-de.tsv  udpos/train-en.tsv  panx_dataset/de-test (WikiAnn)  de_gsd-ud-test.conllu
    squad/train-v1.1.json  xquad/xquad.de.json  MLQA_V1/dev/dev-context-de-question-en.json
    tydiqa.goldp.de.train.json  tydiqa-goldp-v1.1-train.json  tydiqa-goldp-dev-english.json
    xcopa/val.et.jsonl  tatoeba/de-en.de  tatoeba.deu-eng.deu  bucc2018/zh-en.dev.zh

XTREME takes the labels out of its test sets; such files are named and left out, and so are its
Tatoeba files, whose English side it sorts. In CoNLL-U, words are the syntactic words.
"""

import re
import shutil
from collections.abc import Iterator
from pathlib import Path

import pyarrow as pa

from xtsupport.data import hub, readers
from xtsupport.data.published import Part, recognised
from xtsupport.errors import UserError
from xtsupport.files import draft, write_parquet

POOLS = {"dev": "sample", "test": "training", "sample": "sample", "training": "training"}


def convert(folder: Path, out: Path) -> Iterator[str]:
    """Write what a folder holds as a mirror into `out`; lines to print as it goes on.

    Raises UserError, naming file and line, for a file that is not what its name says, and where
    nothing is recognised.
    """
    parts: dict[tuple, list[tuple[Path, Part]]] = {}
    for path, hit, reader in recognised(folder.resolve()):
        for part in _read(path, hit, reader):
            if part.why:
                yield f"left out: {path.relative_to(folder.resolve())}: {part.why}"
                continue
            key = (part.task, part.language, part.language_2, part.split)
            parts.setdefault(key, []).append((path, part))
    pools = list(_pools(folder.resolve(), out))
    if not parts and not pools:
        raise UserError(f"{folder}: no file here is known and has labels; `xtsupport data convert` "
                        "takes XTREME's download folder and the files it is made from")  # fmt: skip
    for (task, language, language_2, split), found in _merged(parts).items():
        out.mkdir(parents=True, exist_ok=True)
        (source,) = hub.sources(task, language, split, out, language_2)
        table = pa.Table.from_pylist([row for _, part in found for row in part.rows])
        try:
            readers.read(table, source.task)
        except UserError as error:
            raise UserError(f"{found[0][0]}: {error}") from error
        folder_of = out / source.task.hub / (source.config or "default")
        write_parquet(folder_of / f"{source.split}-00000-of-00001.parquet", table)
        names = ", ".join(path.name for path, _ in found[:3]) + (", ..." if len(found) > 3 else "")
        yield f"{source}: {table.num_rows:,} rows from {names}"
    yield from pools


def _read(path, hit, reader) -> list[Part]:
    """The parts of a file; UserError, with its name, for what cannot be read."""
    try:
        return list(reader(path, hit))
    except UserError:
        raise
    except ValueError as error:  # not UTF-8, not JSON
        raise UserError(f"{path}: {error}") from error


def _merged(parts):
    """The parts by split; TyDiQA keeps all languages in one file of the mirror."""
    merged = {}
    for key, found in parts.items():
        key = (key[0], "en", None, key[3]) if key[0] == "tydiqa" else key
        merged.setdefault(key, []).extend(found)
    return merged


def _pools(folder: Path, out: Path) -> Iterator[str]:
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
        for each in found:
            place = out / "bucc2018" / pair / f"{pair}.{POOLS[split]}{each.suffix}"
            with draft(place) as half:
                shutil.copyfile(each, half)
        yield f"bucc2018/{pair}.{POOLS[split]}: the pools of {pair}.{split}"
