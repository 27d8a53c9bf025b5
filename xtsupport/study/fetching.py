"""`xtsupport data get`: download everything that a study reads from the hub, in advance.

The files go into the cache of the hub's client, or into a mirror folder that can be taken to
machines without network.
"""

import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from xtsupport import tables
from xtsupport.data import download, hub, hub_layout, parquet, remote
from xtsupport.files import draft, write_parquet
from xtsupport.study.reads import reads
from xtsupport.training import checkpoint


@dataclass(frozen=True)
class Item:
    """One file that a study needs; `part` is None for the encoder's, `first` a limit of rows."""

    repo: remote.Repo
    path: str
    part: hub.Part | None = None
    first: int | None = None
    place: str = ""  # in a mirror

    @property
    def size(self) -> int:
        """Bytes of the file; 0 of the first rows of one, which nobody knows before."""
        return 0 if self.first else remote.listing(self.repo)[self.path]["size"]

    @property
    def there(self) -> bool:
        """Whether the cache has it."""
        return self.repo.cached(self.path).is_file()


def items(settings, part, to: Path | None) -> Iterator[Item]:
    """The files, in the order in which the plan names them; each may come more than once."""
    data = settings.data_source
    for read in dict.fromkeys(each for role in reads(settings, part) for each in role):
        row = tables.task(read.task, data)
        if row.evaluator == "pairs":  # BUCC's pools, which no hub has
            continue
        single = "{code_2}" not in row.config  # a pair is read as two languages
        for code in [read.language, read.language_2] if read.language_2 and single else [read[1]]:
            asked = (read.task, code, read.split)
            other = None if single else read.language_2
            found = hub.parts_of(*asked, data, other)
            named = hub.parts_of(*asked, to or data, other)  # as a mirror has them
            for part, own in zip(found, named, strict=True):
                if part.files is None:
                    yield from files_of(part, own, read.first)
    name = settings.encoder
    if name not in ("pretrain", checkpoint.OFFLINE) and checkpoint.own_folder(name) is None:
        repo, paths = checkpoint.on_hub(name)
        for path in paths:
            yield Item(repo, path, place=f"{repo.name}/{path}")


def files_of(part: hub.Part, named: hub.Part, first: int | None) -> list[Item]:
    """The files of a part of a split, with the names of the same part in a mirror."""
    start = f"{named.task.hub}/{named.config or 'default'}/{part.split}"
    paths = part.paths[:1] if first else part.paths
    return [
        Item(part.repo, path, part, first, f"{start}-{k:05}-of-{len(paths):05}.parquet")
        for k, path in enumerate(paths)
    ]


def get(settings, to: Path | None = None, part=None) -> Iterator[str]:
    """Fetch everything, or what a part of the study reads; lines to print as it goes on.

    What is there already is not fetched again.
    Raises Unreachable or UserError at the first file that does not come; those before it are kept.
    """
    if to:
        to.mkdir(parents=True, exist_ok=True)
    found = list({item.place: item for item in items(settings, part, to)}.values())
    if not found:
        yield "nothing to fetch: neither data nor encoder comes from the hub"
        return
    size, there = sum(i.size for i in found), sum(i.size for i in found if i.there)
    yield f"{len(found)} files, {amount(size)}, of which the cache has {amount(there)}"
    for item in found:
        state = "there" if item.there or (to and (to / item.place).is_file()) else amount(item.size)
        yield f"{item.repo.name}/{item.path}  {f'{item.first} rows' if item.first else state}"
        fetch(item, to)
    if not to:
        yield "everything is in the cache; with HF_HUB_OFFLINE=1 a study does not ask the hub"
        return
    yield f"everything is in {to}; set `data: {to}`" + "".join(
        f" and `encoder: {to / item.repo.name}`" for item in found if item.path == "config.json"
    )


def fetch(item: Item, to: Path | None) -> None:
    """One file into the cache, and from there into the mirror."""
    if to and (to / item.place).is_file():
        return
    rows = item.first
    path = hub.first_rows(item.part, rows) if rows else download.fetch(item.repo, item.path)
    if not to:
        return
    if item.part:
        plain = parquet.read(path)
        table = hub_layout.with_label_names(plain, item.repo, item.part.config)
        if table is not plain:
            write_parquet(to / item.place, table)
            return
    with draft(to / item.place) as half:
        shutil.copyfile(path, half)


def amount(size: float) -> str:
    """Bytes for people."""
    for unit in ("bytes", "kB", "MB"):
        if size < 1000:
            return f"{size:,.0f} {unit}"
        size /= 1000
    return f"{size:,.1f} GB"
