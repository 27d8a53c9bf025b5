"""How a verb of the command line is declared: its example and arguments, above what it does."""

import argparse
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from xtsupport import folders
from xtsupport.errors import UserError

DEMO = "params/demo.yaml"
Argument = tuple[str, dict]


@dataclass(frozen=True)
class Verb:
    """What ``xtsupport NAME`` does, and what its help shows."""

    do: Callable
    example: str
    arguments: tuple[Argument, ...]
    usage: str | None
    preset: dict

    @property
    def text(self) -> str:
        """What it does in a line: the first of the function's docstring."""
        line = (self.do.__doc__ or "").partition("\n")[0]
        return line[0].lower() + line[1:].removesuffix(".")


VERBS: dict[str, Verb] = {}


def verb(name: str, example: str, *arguments: Argument, usage: str | None = None, **preset):
    """Decorator: the function is what a verb does; `preset` are values that nobody types."""

    def declare(do: Callable) -> Callable:
        VERBS[name] = Verb(do, example, arguments, usage, preset)
        return do

    return declare


def argument(name: str, metavar: str | None = None, text: str | None = None, **more) -> Argument:
    """An option, or without dashes a word; `more` is what else ``add_argument`` takes."""
    return name, {"metavar": metavar, "help": text, **more}


def flag(name: str, text: str) -> Argument:
    """An option without a value."""
    return name, {"action": "store_true", "help": text}


def say(*lines: str) -> None:
    """Lines beside what a verb prints as its result."""
    for line in lines:
        print(line, file=sys.stderr, flush=True)


def existing(path: str) -> Path:
    """A file or folder that must be there."""
    found = folders.typed(path, Path())
    if not found.exists():
        raise UserError(f"{path}: no such file or folder")
    return found


def out_folder(args, usual: str = "") -> Path:
    """The folder that ``--out`` names, or the one of that name in scratch."""
    return folders.typed(args.out, Path()) if args.out else folders.scratch() / usual


def settings_and_part(args):
    """The settings of a command line, and those of the part that ``--only`` names (None: all)."""
    from xtsupport.study.narrowing import part_of
    from xtsupport.study.params.loading import load_settings

    settings = load_settings(args.file, args.set)
    return settings, part_of(settings, args.only) if args.only else None


def positive(text: str) -> int:
    """A whole number of at least 1."""
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"{text!r} must be a whole number >= 1")
    return int(text)


FILE = argument("file", "FILE", "a params file, such as params/demo.yaml")
SET = argument("--set", "KEY=VALUE", "replace a setting, for example target.epochs=2; may be "
               "repeated", action="append", default=[])  # fmt: skip
ONLY = argument("--only", "KEY=VALUES", "a part of the study, for example conditions=none,squad or "
                "targets=xquad; may be repeated", action="append", default=[])  # fmt: skip
PART = (FILE, SET, ONLY)
UPDATE = flag(
    "--update", "use the hub's current commits, not those that the study was planned with"
)
