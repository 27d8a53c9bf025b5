"""Read a params file: YAML without its traps, and the line every key stands on.

Only ``true`` and ``false`` are booleans (YAML 1.1 also takes ``no``, the code of Norwegian, for
one), ``1e-3`` is a number, a key may stand once, and aliases are refused. Nothing in a params file
can name a Python object.
"""

import re
from collections.abc import Callable, Mapping
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
class ParamsFile:
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

    def wrong(self, path: tuple, text: str, line: int = 0) -> None:
        """Note what is wrong with a key, on its own line unless another is named."""
        where = f"{self.name}:{line}" if line else self.where(path)
        self.problems.append(f"{where}: {dotted(path)}{text}")

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


def read(path: str | Path) -> ParamsFile:
    """Parse a params file and collect its problems. UserError when it cannot be read at all."""
    path, rather = folders.typed(path, Path()), "give a params file such as params/demo.yaml"
    given = ParamsFile(str(path))
    if path.exists() and not path.is_file():
        kind = "folder" if path.is_dir() else "pipe or device"
        raise UserError(f"{path}: is a {kind}; {rather}")
    try:
        text = path.read_bytes()
    except OSError as error:
        raise UserError(f"{path}: cannot be read ({error.strerror}); {rather}") from None
    if len(text) > BIGGEST:
        raise UserError(f"{given.name}: {len(text)} bytes; a params file has at most {BIGGEST}")
    values = parse(text, given)
    if values is None and given.problems:
        raise UserError(*given.problems)
    if values is None:
        given.problems.append(
            f"{given.name}: is empty; it needs at least study, data, encoder, conditions, targets"
        )
    elif not isinstance(values, dict):
        kind = KINDS.get(type(values), "nothing")
        given.problems.append(f"{given.name}: holds a {kind}; it must hold `key: value` lines")
    given.values = values if isinstance(values, dict) else {}
    return given


def parse(text: bytes | str, given: ParamsFile) -> object:
    """YAML text -> plain values; notes lines and problems in ``given``."""
    try:
        node = yaml.compose(
            text.decode("utf-8") if isinstance(text, bytes) else text, Loader=Loader
        )
        return None if node is None else plain(node, (), given, set())
    except UnicodeDecodeError as error:
        given.problems.append(f"{given.name}: is not UTF-8 text (byte {error.start})")
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        place = getattr(error, "problem_mark", None)
        line = f":{place.line + 1}" if place else ""
        reason = str(getattr(error, "problem", None) or error or type(error).__name__)
        text = f"is not valid YAML: {' '.join(reason.split())}"
        given.problems.append(f"{given.name}{line}: {text}")
    return None


def plain(node: yaml.Node, path: tuple, given: ParamsFile, seen: set[int]) -> object:
    """A YAML node as plain values, refusing aliases and keys that stand twice."""
    if id(node) in seen and not isinstance(node, yaml.ScalarNode):
        given.wrong(path, ": aliases are not allowed; write the value out")
        return None
    seen.add(id(node))
    if node.tag not in (*SCALARS, "tag:yaml.org,2002:seq", "tag:yaml.org,2002:map"):
        text = f": the tag {node.tag} is not allowed; write plain values"
        given.wrong(path, text, node.start_mark.line + 1)
        return None
    if isinstance(node, yaml.SequenceNode):
        return [plain(each, (*path, index), given, seen) for index, each in enumerate(node.value)]
    if isinstance(node, yaml.MappingNode):
        return mapping(node, path, given, seen)
    value = SCALARS[node.tag](node.value)
    if isinstance(value, int) and abs(value) > LARGEST:
        given.wrong(path, f" = {shorten(value)}: must be at most {LARGEST:,}")
        return LARGEST
    return value


def mapping(node: yaml.MappingNode, path: tuple, given: ParamsFile, seen: set[int]) -> dict:
    """A mapping node as a dict; the first of two equal keys wins and the second is a problem."""
    values: dict = {}
    for key, value in node.value:
        name = key.value if isinstance(key, yaml.ScalarNode) else "?"
        here, line = (*path, name), key.start_mark.line + 1
        if name in values:
            text = f": is set twice (first on line {given.lines[here]}); keep one"
            given.wrong(here, text, line)
            continue
        given.lines[here] = line
        values[name] = plain(value, here, given, seen)
    return values


def scalar(text: str) -> object:
    """The value that ``text`` has in a params file: a number, true, a list, or the text itself."""
    given = ParamsFile(text)
    value = parse(text, given)
    return text if given.problems else value


def dotted(path: tuple) -> str:
    """('target', 'epochs') -> 'target.epochs'; ('seeds', 0) -> 'seeds[0]'."""
    text = ""
    for part in path:
        text += f"[{part}]" if isinstance(part, int) else f".{part}" if text else str(part)
    return text or "the file"


def leaves(values: Mapping, before: str = "") -> dict[str, object]:
    """Nested settings -> {dotted key: value}; lists are values."""
    flat: dict[str, object] = {}
    for key, value in values.items():
        name = f"{before}{key}"
        flat |= leaves(value, f"{name}.") if isinstance(value, Mapping) and value else {name: value}
    return flat


KINDS = {list: "list", str: "text", bool: "true/false", int: "whole number", float: "number"}
SCALARS: dict[str, Callable[[str], Any]] = {
    "tag:yaml.org,2002:str": str,
    "tag:yaml.org,2002:null": lambda text: None,
    "tag:yaml.org,2002:bool": lambda text: text == "true",
    "tag:yaml.org,2002:int": int,
    "tag:yaml.org,2002:float": float,
}
