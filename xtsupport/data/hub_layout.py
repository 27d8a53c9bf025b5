"""Which files of a repository make up a split, as the hub's data sets say it or lay it out.

A card (README.md) may list `configs:`, each with the files of its splits. Without that the names
tell: `<config>/<split>-00000-of-00001*.parquet`, `<config>/<split>/0000.parquet` (the hub's own
conversions), and `data/` in the place of a configuration called default.
"""

import re
from fnmatch import fnmatchcase
from functools import cache
from pathlib import Path

from xtsupport.data import download, remote
from xtsupport.data.remote import Repo
from xtsupport.errors import Unreachable, UserError

NUMBERED = re.compile(r"-(\d+)-of-(\d+)(-\w+)?\.parquet$")


def split_files(repo: Repo, config: str, split: str) -> list[str]:
    """Paths of a split's parquet files in order; UserError where there are none, or not all."""
    names = sorted(name for name in remote.listing(repo) if name.endswith(".parquet"))
    wanted = patterns(repo, config, split)
    found = [name for name in names if any(fnmatchcase(name, each) for each in wanted)]
    if not found:
        there = sorted({name for path in names if (name := _split_of(path, config))})
        has = f"there are the splits {', '.join(there)}" if there else "there is no such folder"
        raise UserError(f"{repo} at commit {repo.commit[:12]}: no parquet file of the split "
                        f"{split!r} of {config or 'default'!r}; {has}")  # fmt: skip
    numbers = [hit for name in found if (hit := NUMBERED.search(name))]
    if numbers and (len(numbers) != len(found) or {int(n[2]) for n in numbers} != {len(found)}):
        raise UserError(f"{repo} at commit {repo.commit[:12]}: {config}/{split} has {len(found)} "
                        f"of {numbers[0][2]} files ({', '.join(found[:3])})")  # fmt: skip
    return found


def patterns(repo: Repo, config: str, split: str) -> list[str]:
    """Patterns of the paths of a split's files."""
    for each in card(repo).get("configs") or ():
        if each.get("config_name", "default") == (config or "default"):
            listed = each.get("data_files")
            if isinstance(listed, list) and all(isinstance(one, dict) for one in listed):
                paths = [one["path"] for one in listed if one.get("split") == split]
                return [p for path in paths for p in ([path] if isinstance(path, str) else path)]
    places = [config or "default"] + (["data"] if config in ("", "default") else [])
    return [f"{place}/{split}{rest}" for place in places
            for rest in ("-*.parquet", "/*.parquet", ".parquet")]  # fmt: skip


def card(repo: Repo) -> dict:
    """What the front matter of README.md says; {} where there is none."""
    if "README.md" not in remote.listing(repo):
        return {}
    try:
        return _front_matter(download.fetch(repo, "README.md").resolve())
    except Unreachable:  # listed from the cache, which came from elsewhere
        return {}


@cache
def _front_matter(path: Path) -> dict:
    """The YAML at the head of a file, whose name in the cache is its checksum."""
    import yaml

    text = path.read_text(encoding="utf-8")
    front = re.match(r"---\s*\n(.*?)\n---\s*(\n|$)", text, re.DOTALL)
    try:
        found = yaml.load(front[1], getattr(yaml, "CSafeLoader", yaml.SafeLoader)) if front else {}
    except yaml.YAMLError:
        return {}
    return found if isinstance(found, dict) else {}


def with_label_names(table, repo: Repo, config: str):
    """The table with the names of its classes, from the card where the file does not say them."""
    import datasets

    if b"huggingface" in (table.schema.metadata or {}):
        return table
    infos = card(repo).get("dataset_info") or []
    for info in infos if isinstance(infos, list) else [infos]:
        if info.get("config_name", "default") == (config or "default") and info.get("features"):
            try:
                features = datasets.Features._from_yaml_list(info["features"])
            except (TypeError, ValueError, KeyError, AttributeError):
                return table
            return table.replace_schema_metadata(features.arrow_schema.metadata)
    return table


def _split_of(path: str, config: str) -> str:
    """The split that a file of a configuration is of, by its name; "" for other files."""
    folder, _, name = path.rpartition("/")
    if folder.partition("/")[0] not in (config or "default", "data"):
        return ""
    return folder.partition("/")[2] or re.split(r"-\d|\.", name)[0]
