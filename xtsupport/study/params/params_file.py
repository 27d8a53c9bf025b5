"""Read a params file: YAML without its traps, and the line every key stands on.

Only ``true`` and ``false`` are booleans (YAML 1.1 also takes ``no``, the code of Norwegian, for
one), ``1e-3`` is a number, a key may stand once, and aliases are refused. Nothing in a params file
can name a Python object.
"""

import re
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from xtsupport import folders
from xtsupport.errors import UserError, shorten

BIGGEST = 1_000_000  # bytes
LARGEST = 10**15  # of whole numbers: more than any count here, and exact as a float


class Loader(yaml.SafeLoader):
    """The safe loader with YAML 1.2's idea of booleans and numbers."""

    yaml_implicit_resolvers = {}  # noqa: RUF012, as in the class above it


for tag, pattern, first in (
    ("bool", r"^(?:true|false)$", "tf"),
    ("null", r"^(?:~|null|)$", ["~", "n", ""]),
    ("int", r"^[-+]?[0-9]+$", "-+0123456789"),
    ("float", r"^[-+]?(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:[eE][-+]?[0-9]+)?$", "-+.0123456789"),
):
    Loader.add_implicit_resolver(f"tag:yaml.org,2002:{tag}", re.compile(pattern), list(first))


@dataclass
class Source:
    """A parsed file: its values, the line of every key path, the problems found."""

    name: str
    values: dict = field(default_factory=dict)
    lines: dict[tuple, int] = field(default_factory=dict)
    problems: list[str] = field(default_factory=list)
    set_keys: set[tuple] = field(default_factory=set)  # key paths that --set gave

    def where(self, path: tuple) -> str:
        """``params/demo.yaml:12``: the closest line known for a key path."""
        for end in range(len(path), 0, -1):
            if path[:end] in self.set_keys:
                return "--set"
            if path[:end] in self.lines:
                return f"{self.name}:{self.lines[path[:end]]}"
        return self.name

    def without(self, paths: list[tuple]) -> list[str]:
        """Take entries out; returns their names, of those in lists with what they said."""
        names = []
        for *parents, last in sorted(paths, reverse=True):  # of lists the last one first
            place = self.values
            for name in parents:
                place = place[name]
            gone, listed = place.pop(last), isinstance(place, list)
            names.append(f"{dotted((*parents,))} {gone}" if listed else dotted((*parents, last)))
        return names[::-1]


def read(path: str | Path, name: str | None = None) -> Source:
    """Parse a params file and collect its problems. UserError when it cannot be read at all."""
    path, rather = folders.typed(path, Path()), "give a params file such as params/demo.yaml"
    source = Source(name or str(path))
    if path.exists() and not path.is_file():
        kind = "folder" if path.is_dir() else "pipe or device"
        raise UserError(f"{path}: is a {kind}; {rather}")
    try:
        text = path.read_bytes()
    except OSError as error:
        raise UserError(f"{path}: cannot be read ({error.strerror}); {rather}") from None
    if len(text) > BIGGEST:
        raise UserError(f"{source.name}: {len(text)} bytes; a params file has at most {BIGGEST}")
    values = parse(text, source)
    if values is None and source.problems:
        raise UserError(*source.problems)
    if values is None:
        source.problems.append(
            f"{source.name}: is empty; it needs at least study, data, encoder, conditions, targets"
        )
    elif not isinstance(values, dict):
        kind = KINDS.get(type(values), "nothing")
        source.problems.append(f"{source.name}: holds a {kind}; it must hold `key: value` lines")
    source.values = values if isinstance(values, dict) else {}
    return source


def parse(text: bytes | str, source: Source) -> object:
    """YAML text -> plain values; notes lines and problems in ``source``."""
    try:
        node = yaml.compose(
            text.decode("utf-8") if isinstance(text, bytes) else text, Loader=Loader
        )
        return None if node is None else plain(node, (), source, set())
    except UnicodeDecodeError as error:
        source.problems.append(f"{source.name}: is not UTF-8 text (byte {error.start})")
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        place = getattr(error, "problem_mark", None)
        line = f":{place.line + 1}" if place else ""
        reason = str(getattr(error, "problem", None) or error or type(error).__name__)
        text = f"is not valid YAML: {' '.join(reason.split())}"
        source.problems.append(f"{source.name}{line}: {text}")
    return None


def plain(node: yaml.Node, path: tuple, source: Source, seen: set[int]) -> object:
    """A YAML node as plain values, refusing aliases and keys that stand twice."""
    if id(node) in seen and not isinstance(node, yaml.ScalarNode):
        source.problems.append(
            f"{source.where(path)}: {dotted(path)}: aliases are not allowed; write the value out"
        )
        return None
    seen.add(id(node))
    if node.tag not in (*SCALARS, "tag:yaml.org,2002:seq", "tag:yaml.org,2002:map"):
        source.problems.append(
            f"{source.name}:{node.start_mark.line + 1}: {dotted(path)}: the tag {node.tag} is "
            "not allowed; write plain values"
        )
        return None
    if isinstance(node, yaml.SequenceNode):
        return [plain(each, (*path, index), source, seen) for index, each in enumerate(node.value)]
    if isinstance(node, yaml.MappingNode):
        return mapping(node, path, source, seen)
    value = SCALARS[node.tag](node.value)
    if isinstance(value, int) and abs(value) > LARGEST:
        source.problems.append(
            f"{source.where(path)}: {dotted(path)} = {shorten(value)}: must be at most {LARGEST:,}"
        )
        return LARGEST
    return value


def mapping(node: yaml.MappingNode, path: tuple, source: Source, seen: set[int]) -> dict:
    """A mapping node as a dict; the first of two equal keys wins and the second is a problem."""
    values: dict = {}
    for key, value in node.value:
        name = key.value if isinstance(key, yaml.ScalarNode) else "?"
        here, line = (*path, name), key.start_mark.line + 1
        if name in values:
            source.problems.append(
                f"{source.name}:{line}: {dotted(here)}: is set twice "
                f"(first on line {source.lines[here]}); keep one"
            )
            continue
        source.lines[here] = line
        values[name] = plain(value, here, source, seen)
    return values


def scalar(text: str) -> object:
    """The value that ``text`` has in a params file: a number, true, a list, or the text itself."""
    source = Source(text)
    value = parse(text, source)
    return text if source.problems else value


def dotted(path: tuple) -> str:
    """('target', 'epochs') -> 'target.epochs'; ('seeds', 0) -> 'seeds[0]'."""
    text = ""
    for part in path:
        text += f"[{part}]" if isinstance(part, int) else f".{part}" if text else str(part)
    return text or "the file"


KINDS = {list: "list", str: "text", bool: "true/false", int: "whole number", float: "number"}
SCALARS: dict[str, Callable[[str], Any]] = {
    "tag:yaml.org,2002:str": str,
    "tag:yaml.org,2002:null": lambda text: None,
    "tag:yaml.org,2002:bool": lambda text: text == "true",
    "tag:yaml.org,2002:int": int,
    "tag:yaml.org,2002:float": float,
}
