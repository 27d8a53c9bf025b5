"""The command ``xtsupport``."""

import argparse
import os
import sys
import traceback
from pathlib import Path

from xtsupport import __version__
from xtsupport.errors import UserError


def main(arguments: list[str] | None = None) -> int:
    """Parse and do; 0 only on success. Errors are lines ``xtsupport: error: ...`` on stderr."""
    args = parser().parse_args(arguments)
    try:
        return args.do(args) or 0
    except UserError as error:
        report(args, error, *error.problems)
    except KeyboardInterrupt:
        report(args, None, "stopped; what is finished is kept, the same command continues")
        return 130
    except BrokenPipeError:  # the reader of our output left, as in `xtsupport plan FILE | head`
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    except Exception as error:
        text = " ".join(f"{type(error).__name__}: {error}".split())
        report(args, error, f"{text} (this is a fault of xtsupport; --debug shows where)")
    return 1


def report(args: argparse.Namespace, error: BaseException | None, *lines: str) -> None:
    """Print error lines, with the traceback only when asked for."""
    if args.debug and error is not None:
        traceback.print_exception(error)
    for line in lines:
        print(f"xtsupport: error: {' '.join(line.split())}", file=sys.stderr)


class Parser(argparse.ArgumentParser):
    """argparse that reports mistakes as this program does, naming the nearest valid word."""

    def error(self, message: str):
        """One line, exit code 2."""
        self.exit(2, f"xtsupport: error: {message}; `{self.prog} --help` shows what is allowed\n")


def parser() -> argparse.ArgumentParser:
    """All commands and their options."""
    top = Parser(prog="xtsupport", description=DESCRIPTION)
    top.add_argument("--version", action="version", version=f"xtsupport {__version__}")
    top.add_argument("--debug", action="store_true", help="show tracebacks")
    commands = top.add_subparsers(metavar="COMMAND", required=True)

    def command(name: str, do, text: str, among=commands) -> argparse.ArgumentParser:
        each = among.add_parser(name, help=text, description=text)
        each.add_argument(
            "--debug", action="store_true", help="show tracebacks", default=argparse.SUPPRESS
        )
        each.set_defaults(do=do)
        return each

    def study(name: str, do, text: str, among=commands) -> argparse.ArgumentParser:
        each = command(name, do, text, among)
        each.add_argument("file", metavar="FILE", help="a params file, such as params/demo.yaml")
        each.add_argument(
            "--set",
            action="append",
            default=[],
            metavar="KEY=VALUE",
            help="replace a setting, for example target.epochs=2; may be repeated",
        )
        return each

    each = study("run", run, "run a study: whatever is not finished yet")
    each.add_argument(
        "--jobs",
        type=positive,
        metavar="N",
        help="cores to use, or jobs to submit on a cluster (default: all cores)",
    )
    each.add_argument(
        "--profile",
        default="local",
        metavar="NAME",
        help="local, slurm, or a folder with a Snakemake profile (default: local)",
    )
    study("plan", plan, "show the runs and nodes of a study, and what is left to do")
    study("status", status, "show what is done, running, failed or stale")
    data = commands.add_parser("data", help="look at a study's data").add_subparsers(
        metavar="COMMAND", required=True
    )
    study("check", data_check, "check that all data of a study are there and sound", data)
    each = command(
        "fertility", fertility, "how finely an encoder's tokenizer cuts each language", data
    )
    each.add_argument("encoder", metavar="ENCODER", help="offline-e5, a hub id or a folder")
    each.add_argument("--data", default="hub", help="hub, world, or a mirror folder (default: hub)")
    each.add_argument("--languages", nargs="+", metavar="CODE", help="default: all of the table")
    each = command(
        "world", world, "generate the world of invented languages, and say where it lies"
    )
    each.add_argument("--seed", type=int, default=0)
    each.add_argument("--size", choices=["full", "tiny"], default="full")
    each = command("power", power, "how many seeds, questions and languages a gain needs")
    each.add_argument("cube", metavar="CUBE", help="a pilot's cube: a folder or parquet file")
    each.add_argument("--gain", type=float, default=1.0, metavar="POINTS", help="default: 1")
    each.add_argument("--level", metavar="NAME", help="only this group (default: every one, all)")
    each.add_argument("--seeds", type=int, nargs="+", metavar="N", default=[3, 5, 10, 20])
    each.add_argument("--questions", type=float, nargs="+", metavar="FACTOR", default=[1, 4],
                      help="times the pilot's questions (default: 1 4)")  # fmt: skip
    each.add_argument("--languages", type=int, nargs="+", metavar="N",
                      help="numbers of languages (default: as many as each level has)")  # fmt: skip
    each.add_argument("--out", metavar="DIR", help="for table and plot (default: scratch/power)")
    each = command("significance", significance, "compare the systems of any table of scores")
    each.add_argument("cube", metavar="TABLE", help="a cube, or scores as CSV, TSV or parquet")
    each.add_argument("--baseline", metavar="NAME", help="the condition to hold all others against")
    each.add_argument("--out", required=True, metavar="DIR", help="where table and report go")
    each = command(
        "export-xtreme", export_xtreme, "write predictions as XTREME's submission folder"
    )
    each.add_argument("study", metavar="STUDY_DIR", help="a study's folder, such as outputs/demo")
    each.add_argument("out", metavar="OUT_DIR")
    return top


def run(args) -> int:
    """``xtsupport run``."""
    from xtsupport.study.execution import progress, runner
    from xtsupport.study.plan import open_study

    study = open_study(args.file, args.set)
    runner.profile_folder(args.profile)
    todo = runner.stale(study)
    nodes = study.plan.nodes
    print(
        f"study {study.settings.study}: {len(study.plan.runs)} runs in {len(nodes)} nodes, "
        f"{len(nodes) - len(todo)} done, {len(todo)} to do",
        file=sys.stderr,
        flush=True,
    )
    for line in runner.harmed(study):
        print(f"note: {line}; done again", file=sys.stderr)
    if todo and args.profile == "local":  # the nodes' devices are this machine's
        for line in slow_precision(study.settings):
            print(line, file=sys.stderr)
    os.environ["XTSUPPORT_DEBUG"] = "1" if args.debug else ""  # for the nodes
    shown = progress.Progress(todo, len(nodes), log=study.folder / "study.log")
    try:
        states = runner.run_study(study, args.jobs or cores(), args.profile, shown)
    finally:
        shown.close()
    failed = progress.failures(study, states)
    if failed:
        print(
            f"xtsupport: error: study {study.settings.study} is not complete; "
            "the same command tries again what is left",
            *failed,
            sep="\n",
            file=sys.stderr,
        )
        return 1
    if late := study.settings.late:
        print(
            f"note: analysis ({', '.join(late)}) was changed after the first run; "
            f"{study.folder / 'planned.json'} keeps what was planned",
            file=sys.stderr,
        )
    print(*progress.headline(study), sep="\n")
    return 0


def slow_precision(settings) -> list[str]:
    """A line where this machine is slow in a study's precision; UserError where it may not run."""
    from xtsupport.training import precision

    own = settings.retrieval.precision
    return [
        *precision.check(settings.precision, settings.resolved_precision),
        *precision.check(own, own),
    ][:1]


def plan(args) -> None:
    """``xtsupport plan``."""
    from xtsupport.study.execution.runner import stale
    from xtsupport.study.plan import open_study

    try:
        study = open_study(args.file, args.set)
    except UserError:
        print(*cost_without_data(args), sep="\n", flush=True)
        raise
    waiting = {node.name for node in stale(study)}
    for node in study.plan.nodes:
        print(
            f"{node.name:<34}{node.notebook:<28}{len(node.runs):>3} runs  "
            f"{'to do' if node.name in waiting else 'done'}"
        )
    print(
        f"{len(study.plan.runs)} runs in {len(study.plan.nodes)} nodes, {len(waiting)} to do; "
        f"they go to {study.folder}"
    )
    print(*cost_lines(study.settings, study.plan.runs), sep="\n")


def cost_lines(settings, made) -> list[str]:
    """What a study costs, or why that is unknown."""
    from xtsupport.study.cost import estimate

    try:
        return estimate(settings, made).lines()
    except UserError as error:
        return [f"cost unknown: {problem}" for problem in error.problems]


def cost_without_data(args) -> list[str]:
    """What a study costs whose settings are sound and whose data are missing; else nothing."""
    from xtsupport.study.cost import WithoutData
    from xtsupport.study.plan import nodes, read_settings

    settings = read_settings(args.file, args.set)
    try:
        made = WithoutData(settings).all_runs()
    except UserError as error:
        return [f"cost unknown: {problem}" for problem in error.problems]
    counted = f"{len(made)} runs in {len(nodes(settings, made))} nodes, if the data were here:"
    return [counted, *cost_lines(settings, made)]


def status(args) -> None:
    """``xtsupport status``."""
    from xtsupport.study.execution import progress, runner
    from xtsupport.study.plan import open_study

    study = open_study(args.file, args.set)
    states = runner.states(study, list(study.plan.nodes))
    print(*progress.status_lines(study, runner.runner_of(study.folder), states), sep="\n")


def data_check(args) -> None:
    """``xtsupport data check``."""
    from xtsupport.study.data_check import check
    from xtsupport.study.params.rules import data_source
    from xtsupport.study.params.settings import load_settings

    settings = load_settings(args.file, args.set)
    table = check(settings, data_source(settings.data))
    print(table.drop(columns="note").astype(object).fillna("-").to_string(index=False))
    missing = table.loc[table["status"] == "missing", "note"]
    if len(missing):
        raise UserError(*missing)


def fertility(args) -> None:
    """``xtsupport data fertility``."""
    from xtsupport.data.fertility import fertility as measured
    from xtsupport.study.params.rules import data_source
    from xtsupport.training.encoder import load_encoder

    _, tokenizer = load_encoder(args.encoder)
    table = measured(tokenizer, data_source(args.data), args.languages)
    print(table.round(2).astype(object).fillna("-").to_string(index=False))


def world(args) -> None:
    """``xtsupport world``."""
    from xtsupport.data.world.world import world_folder

    print(world_folder(args.seed, args.size))


def power(args) -> None:
    """``xtsupport power``."""
    from xtsupport import folders
    from xtsupport.report.power_report import power_sentences, printable, write_power
    from xtsupport.statistics.power import power_table

    evidence, _ = evidence_of(args.cube)
    design = {name: getattr(args, name) for name in ("gain", "seeds", "questions", "languages")}
    table = power_table(evidence, **design)
    if args.level:
        levels = table["level"].unique()
        if args.level not in levels:
            raise UserError(f"--level {args.level}: allowed are {', '.join(levels)}")
        table = table[table["level"] == args.level]
    print(printable(table).to_string(index=False), *power_sentences(table), sep="\n")
    out = args.out or folders.scratch() / "power"
    print(*write_power(table, out, evidence.languages), sep="\n")


def significance(args) -> None:
    """``xtsupport significance``."""
    from xtsupport.report.contents import contents
    from xtsupport.report.report import write_report
    from xtsupport.report.write import write_significance
    from xtsupport.statistics.comparisons import significance as compared

    if Path(args.out).exists() and not Path(args.out).is_dir():
        raise UserError(f"--out {args.out}: is a file; name a folder")
    evidence, settings = evidence_of(args.cube, args.baseline)
    comparison, records = compared(evidence), run_records(args.cube)
    contents(comparison, evidence, settings, records)  # refuses what has no answer, before writing
    print(path := write_significance(comparison, evidence, args.out))
    out = path.with_name("report.html")
    print(write_report(out, comparison, evidence, settings, records))


def run_records(cube: str) -> list[dict]:
    """The ``run.json`` of every run in the study that a cube lies in."""
    from xtsupport.study import runs
    from xtsupport.study.plan import PHASES

    below = Path(cube).resolve().parent
    found = [path.parent for phase in PHASES for path in sorted(below.glob(f"{phase}/**/run.json"))]
    return [record for folder in found if (record := runs.read_record(folder))]


def evidence_of(path: str, baseline: str | None = None):
    """A table's evidence, and the settings of the study that it lies in (None: it lies in none).

    baseline: the condition to hold all others against (None: as the study declared, or ``none``).
    """
    cube = existing(path)
    from xtsupport.cube.any_table import is_cube, read_table
    from xtsupport.statistics.evidence import against, gather
    from xtsupport.study.params.rules import data_source

    settings = study_settings(cube.resolve().parent / "settings.yaml")
    data = data_source(settings.data) if settings else None
    found = cube
    if not is_cube(cube):
        found, assumed = read_table(cube, data or "hub")
        for line in assumed:
            print(f"assumed: {line}", file=sys.stderr)
    return against(gather(found, settings, data), baseline), settings


def study_settings(declared: Path):
    """The settings in a study's folder, also where its data are gone; None without the file."""
    from xtsupport.study.params.settings import load_settings

    if not declared.is_file():
        return None
    try:
        return load_settings(declared)
    except UserError as error:
        if not all("data = " in problem for problem in error.problems):
            raise
        return load_settings(declared, {"data": "hub"})  # no rows are read, only the tables


def export_xtreme(args) -> None:
    """``xtsupport export-xtreme``."""
    from xtsupport.study.export_xtreme import export

    export(existing(args.study), Path(args.out))


def existing(path: str) -> Path:
    """A path that must be there."""
    if not Path(path).exists():
        raise UserError(f"{path}: no such file or folder")
    return Path(path)


def positive(text: str) -> int:
    """A whole number of at least 1."""
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"{text!r} must be a whole number >= 1")
    return int(text)


def cores() -> int:
    """The cores this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


DESCRIPTION = (
    "Measure how English intermediate-task training changes zero-shot cross-lingual transfer."
)

if __name__ == "__main__":
    sys.exit(main())
