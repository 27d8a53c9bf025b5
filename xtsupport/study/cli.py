"""The command ``xtsupport``: what is typed goes to its verb, and errors come out as lines."""

import argparse
import atexit
import gc
import io
import os
import sys
import traceback
from typing import Any

from xtsupport import __version__
from xtsupport.errors import UserError
from xtsupport.study import commands, data_commands, results_commands  # noqa: F401 of verbs
from xtsupport.study.verbs import VERBS

LONGEST = 1200  # characters of an error line: whatever was typed, it can be read
DESCRIPTION = "Measure how English intermediate-task training changes zero-shot transfer."
GROUPS = {
    "a study": ["new", "run", "plan", "status", "runs", "clean"],
    "data": ["data check", "data get", "data convert", "data fertility", "world"],
    "results": ["significance", "gather", "calibrate", "power", "export-xtreme"],
    "this machine": ["lab", "demo", "doctor"],
}


def main(arguments: list[str] | None = None) -> int:
    """Parse and do; 0 only on success. Errors are lines ``xtsupport: error: ...`` on stderr."""
    gc.set_threshold(1_000_000)  # looking through imported objects again and again took a second,
    atexit.register(gc.freeze)  # and once more on the way out, where all memory is freed anyway
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):  # of consoles that lack a sign, as on Windows
            stream.reconfigure(errors="replace")
    args, rest = parser().parse_known_args(arguments)
    if rest and args.do is not commands.lab:  # JupyterLab has options of its own
        parser().error(f"unrecognized arguments: {' '.join(rest)}")
    args.rest = rest
    try:
        return args.do(args) or 0
    except UserError as error:
        report(args, error, *error.problems)
    except KeyboardInterrupt:
        report(args, None, "stopped; finished work is kept, and the same command continues")
        return 130
    except BrokenPipeError:  # the reader of our output left, as in `xtsupport plan FILE | head`
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    except OSError as error:  # of the machine: a path, a disk, a right
        named = f"{error.filename}: " if error.filename else ""
        report(args, error, f"{named}{error.strerror or error}")
    except Exception as error:
        text = " ".join(f"{type(error).__name__}: {error}".split())
        report(args, error, f"{text} (this is a bug in xtsupport; --debug shows where)")
    return 1


def report(args: argparse.Namespace, error: BaseException | None, *lines: str) -> None:
    """Print error lines, with the traceback only when asked for."""
    if args.debug and error is not None:
        traceback.print_exception(error)
    for line in (" ".join(line.split()) for line in lines):
        short = line if len(line) <= LONGEST else f"{line[: LONGEST // 2]} ... {line[-200:]}"
        print(f"xtsupport: error: {short}", file=sys.stderr)


class Parser(argparse.ArgumentParser):
    """argparse that reports mistakes as this program does, and leaves its last lines as written."""

    def __init__(self, **options):
        super().__init__(formatter_class=argparse.RawDescriptionHelpFormatter, **options)

    def error(self, message: str):
        """One line, exit code 2."""
        self.exit(2, f"xtsupport: error: {message}; `{self.prog} --help` shows what is allowed\n")


def parser() -> Parser:
    """All verbs and their options."""
    top = Parser(prog="xtsupport", description=DESCRIPTION, epilog=overview(*GROUPS),
                 usage="xtsupport COMMAND ...")  # fmt: skip
    top.add_argument("--version", action="version", version=f"xtsupport {__version__}")
    top.add_argument("--debug", action="store_true", help="show tracebacks")
    given: dict[str, Any] = {"metavar": "COMMAND", "required": True, "parser_class": Parser,
                             "help": argparse.SUPPRESS}  # fmt: skip
    verbs = top.add_subparsers(prog="xtsupport", **given)
    data = verbs.add_parser("data", usage="xtsupport data COMMAND ...", epilog=overview("data"))
    of_data = data.add_subparsers(prog="xtsupport data", **given)
    for name, verb in VERBS.items():
        each = (of_data if name.startswith("data ") else verbs).add_parser(
            name.removeprefix("data "), description=verb.text, epilog=f"example: {verb.example}"
        )
        each.add_argument(
            "--debug", action="store_true", help="show tracebacks", default=argparse.SUPPRESS
        )
        for word, about in verb.arguments:
            each.add_argument(word, **about)
        each.usage = verb.usage
        each.set_defaults(do=verb.do, **verb.preset)
    return top


def overview(*groups: str) -> str:
    """The verbs below what one wants to do, a line each."""
    lines = []
    for title in groups:
        lines += [title, *(f"  {name:<16}{VERBS[name].text}" for name in GROUPS[title])]
    return "\n".join([*lines, "", "xtsupport COMMAND --help says more, with an example."])


if __name__ == "__main__":
    sys.exit(main())
