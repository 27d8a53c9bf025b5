"""One loader for the Hugging Face hub, a mirror folder and the generated world.

A mirror is a folder laid out like the hub, `<hub>/<config>/<split>-00000-of-00001.parquet`, with
the columns of the hub's datasets. Data that no hub may distribute (CCGbank, the BUCC pools) are in
`ccgbank/` and `bucc2018/` at a mirror's root or in $XTSUPPORT_DATA (default: ./data).
"""

import hashlib
import os
import re
import warnings
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc

from xtsupport import tables
from xtsupport.data import ccgbank, commits, download, hub_layout, parquet, readers, remote
from xtsupport.data.soundness import in_words, sound
from xtsupport.data.world import mirror as generated
from xtsupport.errors import UserError, shorten
from xtsupport.files import checksum as sha256
from xtsupport.files import write_parquet
from xtsupport.folders import user_cache
from xtsupport.tables import Task


@dataclass(frozen=True)
class Part:
    """One split of one dataset in one language; `files`: those in a mirror (none: missing there),
    None for the hub."""

    task: Task
    language: str
    config: str
    split: str
    id_prefix: str
    files: tuple[Path, ...] | None

    def __str__(self):
        return "/".join(filter(None, (self.task.hub, self.config, self.split)))

    @property
    def repo(self) -> remote.Repo:
        """Its repository at the commit that is used; UserError if nobody knows it."""
        return commits.resolve("datasets", self.task.hub, self.task.revision)

    @property
    def paths(self) -> list[str]:
        """Its files on the hub; UserError if there are none, or not all."""
        return hub_layout.split_files(self.repo, self.config, self.split)


def load(task, language="en", split=None, data="hub", language_2=None, first=None):
    """Load the examples of a split as a `datasets.Dataset`; the columns depend on the task's kind
    (see readers.py).

    split: None is the task's evaluation split. "a+b" joins splits, "task/split" is a split of
    another task. If a mirror lacks some of the parts, a warning names them and the others are used;
    the dataset's `info.description` lists the parts that were used.
    language_2: the language of the question (mlqa, xquad) or of text_pair (xnli, pawsx), for
    parallel rows.
    first: load only this many rows of each part; from the hub, only these are downloaded.
    Raises UserError with the name of the dataset and what to do, when nothing can be loaded.
    """
    import datasets

    examples, used = load_table(task, language, split, data, language_2, first)
    mark = f"{fingerprint(task, language, split, data, language_2)} {first}".encode()
    return datasets.Dataset(
        datasets.table.InMemoryTable(examples.combine_chunks()),
        info=datasets.DatasetInfo(description=" + ".join(used)),
        fingerprint=hashlib.sha256(mark).hexdigest(),
    )


def load_table(
    task, language="en", split=None, data="hub", language_2=None, first=None
) -> tuple[pa.Table, list[str]]:
    """What ``load`` returns as a table, without the import of `datasets`; and the parts used."""
    row = tables.task(task, data)
    if first is not None and not (isinstance(first, int) and first > 0):
        raise UserError(f"{task}: first = {shorten(first)} must be a whole number of rows, >= 1")
    found = parts_of(task, language, split, data, language_2)
    there = _there(found, data)
    used = list(map(str, there))
    if len(there) < len(found):
        lacking = ", ".join(str(part) for part in found if part not in there)
        warnings.warn(f"{task}: {data} lacks {lacking}; using {', '.join(used)} only", stacklevel=3)
    read = []
    for part in there:
        examples, unsound = examples_of(part, len(found) > 1, first)
        read.append(examples)
        if unsound.keys() - {"rows without gold", "rows with a blank word"}:
            warnings.warn(f"{task}: {part}: {in_words(unsound)}", stacklevel=3)
    examples = pa.concat_tables(read, promote_options="permissive")
    if language_2 not in (None, language) and "{code_2}" not in row.config:
        examples = _paired(examples, load_table(task, language_2, split, data)[0], row)
    return examples, used


def available(task, language="en", split=None, data="hub", language_2=None) -> bool:
    """Whether load() would find every part: in a mirror by the files, on the hub by tasks.csv."""
    try:
        found = parts_of(task, language, split, data, language_2)
    except UserError:
        return False
    if data == "hub":
        wanted = {language, language_2 or language}
        return all(wanted <= set(part.task.languages) for part in found)
    return all(part.files for part in found)


def present(task, language="en", split=None, data="hub") -> bool:
    """Whether load() would find at least one part."""
    try:
        return bool(_there(parts_of(task, language, split, data), data))
    except UserError:
        return False


def rows(task, language="en", split=None, data="hub") -> int:
    """How many rows load() would read, those that it drops included; UserError without any part."""
    return sum(count(part) for part in _there(parts_of(task, language, split, data), data))


def fingerprint(task, language="en", split=None, data="hub", language_2=None) -> str:
    """A hex string that changes whenever load() would give other examples.

    Of mirrors over the files' sha256, or that of their rows in the generated world; of the hub over
    the commit. Raises UserError like load().
    """
    digest = hashlib.sha256(f"{task} {language} {language_2}".encode())
    both = language_2 is not None and "{code_2}" not in tables.task(task, data).config
    for code in [language, language_2] if both else [language]:
        for part in _there(parts_of(task, code, split, data, language_2), data):
            digest.update(f" {part} {part.id_prefix} {checksum(part, data)}".encode())
    return digest.hexdigest()


def parts_of(task, language, split, data, language_2=None) -> list[Part]:
    """The parts that make up a split; UserError if task, language or pair do not exist."""
    row = tables.task(task, data)
    first = tables.language(language, data)
    second = tables.language(language_2 or language, data)
    if not isinstance(split, str | None):
        raise UserError(f"{task}: the split {shorten(split)} must be text, or None")
    if second != first and not row.pairable:
        raise UserError(f"{task}: no pairs of two languages ({language}, {language_2}); "
                        "only parallel span and classification tasks have them")  # fmt: skip
    found = []
    for named in (split or row.eval_split).split("+"):
        name, _, subset = named.rpartition("/")
        owner = tables.task(name, data) if name else row
        if data == "hub" and owner.more_source and language in owner.more_languages:
            owner = tables.task(owner.more_source, data)
        found.append(_source(owner, first, second, subset, data))
    return found


def count(part) -> int:
    """The rows of one part, from the parquet metadata; 0 if it is missing."""
    if part.task.hub == "ccgbank":
        return ccgbank.read(part.files).num_rows
    if part.files is None and not part.id_prefix:
        return sum(remote.rows(part.repo, path) for path in part.paths)
    if not part.id_prefix:
        return sum(parquet.rows(path) for path in part.files)
    files = part.files  # of the hub's, only the ids are fetched
    files = [remote.opened(part.repo, path) for path in part.paths] if files is None else files
    ids = (parquet.read(path, ["id"])["id"] for path in files)
    return sum(pc.sum(pc.starts_with(each, part.id_prefix)).as_py() or 0 for each in ids)


def checksum(part, data) -> str:
    """The sha256 of a part's files, of their rows in the generated world (as long as a file is the
    one that was written), or the commit that is used of the hub's."""
    if part.files is None:
        return part.repo.commit
    of_rows = generated.row_checksums(mirror_folder(data))
    marks = (of_rows.get(each, each) for each in map(sha256, part.files))
    return hashlib.sha256("".join(marks).encode()).hexdigest()


def mirror_folder(data: str | Path) -> Path | None:
    """The folder that `data` stands for, or None for the hub; UserError if there is none."""
    if data == "world":
        from xtsupport.data.world.generate import world_folder

        return world_folder()
    return None if data == "hub" else tables.mirror(data)


def own_folder(name, data) -> Path:
    """Where a user puts ccgbank or bucc2018: the mirror's root, else $XTSUPPORT_DATA or ./data."""
    mirror = mirror_folder(data)
    if mirror is not None and (mirror / name).is_dir():
        return mirror / name
    return Path(os.environ.get("XTSUPPORT_DATA") or "data") / name


def _source(task, first, second, split, data):
    values = vars(first) | {"code_2": second.code}
    empty = [key for key in re.findall(r"{(\w+)}", task.config) if not values[key]]
    if empty:
        raise UserError(f"{task.name}: no data for {first.code} ({first.name}): "
                        f"its {empty[0]!r} in languages.csv is empty")  # fmt: skip
    config = task.config.format(**values)
    if "{" not in task.config + task.id_prefix and first.code not in task.languages:
        config = f"{config}.{first.code}"  # translations of an English task lie beside it
    prefix = task.id_prefix.format(**values).lower()
    files = None
    if "/" not in task.hub:
        files = ccgbank.files(own_folder(task.hub, data), split)
    elif data != "hub":
        files = parquet.shards(mirror_folder(data) / task.hub / config, split)
    return Part(task, first.code, config, split, prefix, files)


def _there(found, data):
    """The parts that are there; UserError with every part that was looked for if none is."""
    there = [part for part in found if part.files is None or part.files]
    if not there:
        raise UserError(*(missing(part, data) for part in found))
    return there


def missing(part, data) -> str:
    """One line on a part that a mirror lacks: what was looked for, and what is there."""
    if part.task.hub == "ccgbank":
        return ccgbank.missing(own_folder("ccgbank", data), part.split)
    folder = mirror_folder(data) / part.task.hub / part.config
    there = sorted({path.name.split("-")[0] for path in folder.glob("*.parquet")})
    has = f"there are the splits {', '.join(there)}" if there else "the folder does not exist"
    name = shorten(str(part), 200)[1:-1]
    return (f"{part.task.name}: no {shorten(part.split)} split for {part.language} in "
            f"{data}: no {name}-*.parquet, {has}")  # fmt: skip


def examples_of(part, combined=False, first=None) -> tuple[pa.Table, dict[str, int]]:
    """The first so many examples of one part, and what sound() found in them; combined: ids of
    several parts are kept apart by the part's name."""
    raw = _raw(part, first)
    if part.id_prefix:
        raw = raw.filter(pc.starts_with(raw["id"], part.id_prefix))
    pattern = "{row}" if part.task.parallel else part.language + "-{row}"
    examples = readers.read(raw, part.task, pattern)
    name = f"{part} ({part.language})" if part.id_prefix else str(part)
    examples, found = sound(examples, raw.num_rows, part.task, name)
    if combined:
        for name in ("example_id", "cluster_id"):
            prefixed = pc.binary_join_element_wise(f"{part}-", examples[name], "")
            position = examples.column_names.index(name)
            examples = examples.set_column(position, name, prefixed)
    return examples, found


def _raw(part, first=None):
    if part.files is not None:
        read = ccgbank.read if part.task.hub == "ccgbank" else parquet.together
        return read(part.files).slice(0, first)
    repo, paths = part.repo, part.paths
    if first is None:
        table = parquet.together(tuple(download.fetch(repo, path) for path in paths))
    else:
        table = parquet.read(first_rows(part, first))
    return hub_layout.with_label_names(table, repo, part.config)


def first_rows(part, first) -> Path:
    """A parquet file with the first rows of a part of the hub's, kept in the user's cache."""
    repo = part.repo
    name = f"{repo.name.replace('/', '--')}-{repo.commit}-{part.config}-{part.split}-{first}"
    place = user_cache() / "hub" / "first" / f"{name}.parquet"
    if not place.is_file():
        parts: list[pa.Table] = []
        for path in part.paths:
            if (missing := first - sum(map(len, parts))) > 0:
                parts.append(parquet.first(remote.opened(repo, path), missing))
        write_parquet(place, pa.concat_tables(parts))
    return place


def _paired(examples, other, task):
    """Question or second text from another language, row by row, without rows whose ids or labels
    differ or of which a text was not translated (PAWS-X: "NS")."""
    if examples.num_rows != other.num_rows:
        raise UserError(f"{task.name}: the two languages have {examples.num_rows} and "
                        f"{other.num_rows} rows and cannot be paired")  # fmt: skip
    second = "question" if task.kind == "span" else "text_pair"
    keep = pc.equal(examples["example_id"], other["example_id"])
    if task.kind == "classification":
        keep = pc.and_(keep, pc.equal(examples["label"], other["label"]))
        for text in (side[name] for side in (examples, other) for name in ("text", "text_pair")):
            keep = pc.and_(keep, pc.invert(pc.is_in(text, pa.array(["", "NS"]))))
    position = examples.column_names.index(second)
    return examples.set_column(position, second, other[second]).filter(keep)
