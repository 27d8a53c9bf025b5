"""The command ``xtsupport``."""

import argparse
import io
import os
import shlex
import sys
import traceback
from pathlib import Path

from xtsupport import __version__
from xtsupport.errors import Unreachable, UserError, together

LONGEST = 1200  # characters of an error line: whatever was typed, it can be read


def main(arguments: list[str] | None = None) -> int:
    """Parse and do; 0 only on success. Errors are lines ``xtsupport: error: ...`` on stderr."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):  # of consoles that lack a sign, as on Windows
            stream.reconfigure(errors="replace")
    args, rest = parser().parse_known_args(arguments)
    if rest and args.do is not lab:  # JupyterLab has options of its own
        parser().error(f"unrecognized arguments: {' '.join(rest)}")
    args.rest = rest
    try:
        return args.do(args) or 0
    except UserError as error:
        report(args, error, *error.problems)
    except KeyboardInterrupt:
        report(args, None, "stopped; what is finished is kept, the same command continues")
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
    """argparse that reports mistakes as this program does, naming the nearest valid word."""

    def error(self, message: str):
        """One line, exit code 2."""
        self.exit(2, f"xtsupport: error: {message}; `{self.prog} --help` shows what is allowed\n")


class AsWritten(argparse.RawDescriptionHelpFormatter):
    """Help whose last lines stay as they are."""


def parser() -> argparse.ArgumentParser:
    """All commands and their options."""
    texts: dict[str, str] = {}
    data = None
    top = Parser(prog="xtsupport", description=DESCRIPTION, formatter_class=AsWritten,
                 usage="xtsupport COMMAND ...")  # fmt: skip
    top.add_argument("--version", action="version", version=f"xtsupport {__version__}")
    top.add_argument("--debug", action="store_true", help="show tracebacks")
    commands = top.add_subparsers(
        metavar="COMMAND", required=True, parser_class=Parser, help=argparse.SUPPRESS
    )

    def command(name: str, do, text: str, among=commands) -> argparse.ArgumentParser:
        full = f"data {name}" if among is data else name
        each = among.add_parser(
            name, description=text, epilog=f"example: {EXAMPLES[full]}", formatter_class=AsWritten
        )
        each.add_argument(
            "--debug", action="store_true", help="show tracebacks", default=argparse.SUPPRESS
        )
        each.set_defaults(do=do)
        texts[full] = text
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

    def updating(each: argparse.ArgumentParser) -> argparse.ArgumentParser:
        each.add_argument(
            "--update",
            action="store_true",
            help="take what the hub has now, not the commits that the study was planned with",
        )
        return each

    def part(name: str, do, text: str, among=commands) -> argparse.ArgumentParser:
        each = study(name, do, text, among)
        each.add_argument(
            "--only",
            action="append",
            default=[],
            metavar="KEY=VALUES",
            help="a part of the study, for example conditions=none,squad or targets=xquad; "
            "may be repeated",
        )
        return each

    each = command("new", new, "make a folder to work in: notebooks and a params file")
    each.add_argument("dir", metavar="DIR", help="the folder to make; its name is the study's")
    each.add_argument("--encoder", metavar="NAME", help="a hub id, a folder, offline-e5, pretrain")
    each.add_argument("--intermediate", nargs="+", metavar="TASK", help="tasks of phase 2")
    each.add_argument("--targets", nargs="+", metavar="TASK", help="tasks of phase 3")
    each.add_argument("--languages", nargs="+", metavar="CODE", help="default: all of each target")
    each.add_argument("--seeds", type=int, nargs="+", metavar="N", help="default: 0 1 2")
    each.add_argument("--data", metavar="SOURCE", help="hub, world, or a mirror folder")
    each = updating(part("run", run, "run a study: whatever is not finished yet"))
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
    each.add_argument("--dry-run", action="store_true", help="show what is left to do, as `plan`")
    each = updating(
        part("plan", plan, "show the runs and nodes of a study, and what is left to do")
    )
    each.add_argument("--measure", action="store_true", help="time twenty steps of each phase here")
    each = part("status", status, "show what is done, running, failed or stale")
    each.add_argument("--watch", action="store_true", help="keep showing losses as they change")
    each = command("runs", runs_done, "every run made here, and how they differ")
    each.add_argument(
        "file", metavar="FILE", nargs="?", help="only those of this params file's study"
    )
    each.add_argument("--phase", choices=["pretraining", "intermediate", "target", "retrieval"])
    each.add_argument("--page", nargs="+", metavar="NAME", help="studies, keys of runs or settings "
                      "(KEY=VALUE) side by side on one page")  # fmt: skip
    each.add_argument("--out", metavar="DIR", help="where the page goes (default: scratch/runs)")
    each.set_defaults(set=[])
    each = command("clean", clean, "list the runs that no study uses, with their sizes")
    each.add_argument("--remove", action="store_true", help="delete them")
    group = commands.add_parser("data", description="look at a study's data")
    data = group.add_subparsers(metavar="COMMAND", required=True, parser_class=Parser)
    part("check", data_check, "check that all of a study's data are there and sound", data)
    each = part("get", data_get, "fetch everything that a study needs from the hub", data)
    each.add_argument("--to", metavar="DIR", help="make a mirror there (default: cache only)")
    each = command("convert", data_convert, "make a mirror from XTREME's or published files", data)
    each.add_argument("source", metavar="XTREME_DOWNLOAD", help="a folder of files as published")
    each.add_argument("out", metavar="OUT", help="the mirror folder to make or add to")
    each = command(
        "fertility", fertility, "how finely an encoder's tokenizer cuts each language", data
    )
    each.add_argument("encoder", metavar="ENCODER", help="offline-e5, a hub id or a folder")
    each.add_argument("--data", default="hub", help="hub, world, or a mirror folder (default: hub)")
    each.add_argument("--languages", nargs="+", metavar="CODE", help="default: all of the table")
    each = command("world", world, "generate the world of invented languages; says where it is")
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
    each = command("calibrate", calibrate, "how often the verdicts of a study like this are wrong")
    each.add_argument("cube", metavar="CUBE", help="a study's cube: a folder or parquet file")
    each.add_argument("--gain", type=float, default=2.0, metavar="POINTS",
                      help="the gain to plant (default: 2)")  # fmt: skip
    each.add_argument("--studies", type=positive, default=120, metavar="N",
                      help="simulated studies of each kind (default: 120: a minute)")  # fmt: skip
    each.add_argument("--seed", type=int, default=0)
    each.add_argument("--out", metavar="DIR", help="for the table (default: scratch/calibration)")
    each = command("significance", significance, "compare the systems of any table of scores")
    each.add_argument("cube", metavar="TABLE", help="a cube, or scores as CSV, TSV or parquet")
    each.add_argument("--baseline", metavar="NAME", help="the condition to compare all others with")
    each.add_argument("--out", required=True, metavar="DIR", help="where the table and report go")
    each.add_argument("--figure", metavar="NAME", help="only this figure, such as answer or rest")
    each.add_argument("--format", choices=["svg", "png", "pdf"], help="its format (default: svg)")
    each = command("gather", gather, "one answer from studies that differ in their seeds")
    each.add_argument("studies", metavar="STUDY_DIR", nargs="+", help="such as outputs/demo")
    each.add_argument(
        "--target", metavar="TASK", help="another than the declared one, such as xnli"
    )
    each.add_argument("--out", metavar="DIR", help="for cube, table, plot (default: scratch/class)")
    each = command(
        "export-xtreme", export_xtreme, "write predictions as XTREME's submission folder"
    )
    each.add_argument("study", metavar="STUDY_DIR", help="a study's folder, such as outputs/demo")
    each.add_argument("out", metavar="OUT_DIR")
    each = command("lab", lab, "open the notebooks in JupyterLab")
    each.usage = "xtsupport lab [JUPYTER OPTION ...]"
    command("doctor", doctor, "whether this machine can run a study, and how to fix it")
    each = command("demo", run, "run the demo study, offline, in any folder")
    each.set_defaults(file=DEMO, set=[], only=[], jobs=None, profile="local", dry_run=False)
    top.epilog = overview(texts)
    return top


def overview(texts: dict[str, str]) -> str:
    """The commands below what one wants to do, a line each."""
    lines = []
    for title, names in GROUPS.items():
        lines += [title, *(f"  {name:<16}{texts[name]}" for name in names)]
    return "\n".join([*lines, "", "xtsupport COMMAND --help says more, with an example."])


def opened(args):
    """The study of a command line, narrowed by ``--only``; what that leaves out is said.

    For `run` and `plan` its encoder is checked, and names of the hub that have moved are told.
    """
    from xtsupport import folders
    from xtsupport.data import commits
    from xtsupport.study.narrowing import left_out
    from xtsupport.study.plan import open_study, read_settings
    from xtsupport.study.store import unused

    if getattr(args, "update", False):
        commits.update(folders.outputs() / read_settings(args.file, args.set).study)
    study = open_study(args.file, args.set, args.only)
    if args.do in (run, plan):
        for line in commits.moved():
            print(f"note: {line}", file=sys.stderr)
        check_encoder(study.settings)
    for line in [*unused(study.folder), *left_out(study)]:
        print(f"note: {line}", file=sys.stderr)
    return study


def new(args) -> int:
    """``xtsupport new``."""
    from xtsupport import folders
    from xtsupport.study import new as new_study

    given = {key: getattr(args, key) for key in new_study.DEFAULTS} | {"data": args.data}
    ask = sys.stdin.isatty() and sys.stdout.isatty()
    choice = new_study.asked(given) if ask else new_study.chosen(given)
    folder = folders.typed(args.dir, Path())
    args.file = str(new_study.make(folder, choice).relative_to(folder))
    os.chdir(folder)  # the plan below is that of the new project
    print(f"{args.dir}: notebooks/, params/, and the study's own file {args.file}\n")
    args.set, args.only, args.do = [], [], plan
    plan(args)
    print(f"\nnext:\n  cd {shlex.quote(args.dir)}")
    print(f"  xtsupport plan {args.file}\n  xtsupport lab\n  xtsupport run {args.file}")
    return 0


def lab(args) -> int:
    """``xtsupport lab``."""
    import subprocess

    from xtsupport import folders

    first = folders.root() / "notebooks" / "00_start_here.ipynb"
    if not first.is_file():
        raise UserError(f"{first}: not found; `xtsupport new my_study` writes a folder with it")
    command = [sys.executable, "-m", "jupyterlab", f"notebooks/{first.name}", *args.rest]
    return subprocess.call(command, cwd=folders.root())


def doctor(args) -> int:
    """``xtsupport doctor``."""
    from xtsupport.study.doctor import findings

    wrong = 0
    for finding in findings():
        print(finding.line(), flush=True)
        wrong += bool(finding.mend) and finding.needed
    return min(wrong, 1)


def run(args) -> int:
    """``xtsupport run``."""
    from xtsupport.study.execution import progress, runner
    from xtsupport.study.store import plan_flaw

    if args.dry_run:
        args.do = plan
        return plan(args)
    study = opened(args)
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
        for line in [*slow_precision(study.settings), *short_of_memory(study)]:
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
            "the same command retries what is left",
            *failed,
            sep="\n",
            file=sys.stderr,
        )
        return 1
    if flaw := plan_flaw(study.folder):
        print(f"warning: {flaw}", file=sys.stderr)
    elif late := study.settings.late:
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


def short_of_memory(study) -> list[str]:
    """A line where this machine has a GPU, and too small a one for a study."""
    from xtsupport.study.execution.devices import devices

    if not devices():  # nor is torch imported to find that out
        return []
    from xtsupport.study.cost import estimate
    from xtsupport.study.lacking import too_little_memory

    text = too_little_memory(estimate(study.settings, list(study.plan.runs)))
    return [f"warning: {text}"] if text else []


def plan(args) -> int:
    """``xtsupport plan``."""
    from xtsupport.study.execution.runner import stale

    try:
        study = opened(args)
    except UserError as error:
        return plan_without_data(args, error)
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
    print(*cost_lines(args, study.settings, study.plan.runs), sep="\n")
    return 0


def check_encoder(settings) -> None:
    """UserError where the encoder of a study cannot be what its files say it is."""
    if settings.encoder != "pretrain":
        from xtsupport.training import checkpoint

        checkpoint.check(settings.encoder)


def settings_and_part(args):
    """The settings of a command line, and those of the part that ``--only`` names (None: all)."""
    from xtsupport.study.narrowing import part_of
    from xtsupport.study.plan import read_settings

    settings = read_settings(args.file, args.set)
    return settings, part_of(settings, args.only) if args.only else None


def cost_lines(args, settings, made, problems=()) -> list[str]:
    """What a study costs, or why that is unknown; then what is missing, `problems` among it."""
    from xtsupport.study.cost import estimate
    from xtsupport.study.lacking import missing_lines, too_little_memory

    try:
        found, at_hand = estimate(settings, made), None
        if getattr(args, "measure", False):
            from xtsupport.study.timing import timed

            at_hand = timed(found)
        return [*found.lines(at_hand), *missing_lines(problems, too_little_memory(found))]
    except UserError as error:
        return [f"cost unknown: {problem}" for problem in error.problems]


def plan_without_data(args, error: UserError) -> int:
    """What a study costs whose settings are sound and whose data or encoder are missing; the error
    itself where settings or encoder are not sound, or nothing can be estimated."""
    from contextlib import suppress

    from xtsupport.study.cost import WithoutData
    from xtsupport.study.plan import nodes

    if all(" data = " in each and "no folder" in each and not each.startswith("--set")
           for each in error.problems):  # fmt: skip # a mirror that is not there yet
        args.set = [*args.set, "data=hub"]
    settings, part = settings_and_part(args)
    with suppress(Unreachable):
        check_encoder(settings)
    try:
        made = WithoutData(settings, part).all_runs()
    except UserError:
        raise error from None
    print(f"{len(made)} runs in {len(nodes(part or settings, made))} nodes, if the data were here:")
    lines = cost_lines(args, settings, made, error.problems)
    print(*lines, sep="\n", flush=True)
    if any(line.startswith("cost unknown") for line in lines):
        raise error
    return 0


def status(args) -> None:
    """``xtsupport status``."""
    from xtsupport.study.execution import progress, runner, watch

    study = opened(args)
    if args.watch:
        return watch.watch(study)
    states = runner.states(study, list(study.plan.nodes))
    print(*progress.status_lines(study, runner.runner_of(study.folder), states), sep="\n")


def runs_done(args) -> None:
    """``xtsupport runs``."""
    from xtsupport.study.my_runs import found, readable, runs_table
    from xtsupport.study.plan import open_study

    if args.page:
        from xtsupport import folders
        from xtsupport.study.side_by_side import write_page

        out = folders.typed(args.out, Path()) if args.out else folders.scratch() / "runs"
        print(write_page(args.page, out / "report.html"))
        return
    made = found(open_study(args.file, args.set) if args.file else None, args.phase)
    for phase in dict.fromkeys(each.record["phase"] for each in made):
        part = runs_table([each for each in made if each.record["phase"] == phase])
        print(readable(part).to_string(index=False), end="\n\n")
    if not made:
        print("no finished run in outputs/runs" + (f" for {args.file}" if args.file else ""))


def clean(args) -> None:
    """``xtsupport clean``."""
    from xtsupport.study import store
    from xtsupport.study.checks import shown

    found = store.leftovers()
    for each in found:
        print(f"{each.size / 1e6:>9.1f} MB  {shown(each.folder)}  {each.what}")
    total = f"{len(found)} runs that no study uses, {sum(each.size for each in found) / 1e6:.1f} MB"
    if not found:
        print("nothing to remove: every run in outputs/runs is one of a study")
    elif args.remove:
        store.remove(found)
        print(f"removed {total}")
    else:
        print(f"{total}; `xtsupport clean --remove` deletes them")


def data_check(args) -> None:
    """``xtsupport data check``."""
    from xtsupport.study.data_check import check

    table = check(*settings_and_part(args))
    print(table.drop(columns="note").astype(object).fillna("-").to_string(index=False))
    for row in table[(table["status"] == "present") & (table["note"] != "")].itertuples():
        print(f"{row.task} {row.language} {row.split}: {row.note}")
    if away := sum(table["status"] == "hub"):
        print(f"{away} splits are on the hub only: `xtsupport data get {args.file}` fetches them, "
              "and then their rows are checked")  # fmt: skip
    lacking = table.loc[table["status"].isin(["missing", "wrong"]), "note"]
    if len(lacking) or table.attrs["away"]:
        raise together([*table.attrs["away"], *map(UserError, lacking)])


def data_get(args) -> None:
    """``xtsupport data get``."""
    from xtsupport import folders
    from xtsupport.files import plain_disk_errors
    from xtsupport.study import fetching

    to = folders.typed(args.to, Path()) if args.to else None
    settings, part = settings_and_part(args)
    with plain_disk_errors(to or folders.root()):
        for line in fetching.get(settings, to, part):
            print(line, flush=True)


def data_convert(args) -> None:
    """``xtsupport data convert``."""
    from xtsupport import folders
    from xtsupport.data.convert import convert
    from xtsupport.files import plain_disk_errors

    out = folders.typed(args.out, Path())
    with plain_disk_errors(out):
        for line in convert(existing(args.source), out):
            print(line, flush=True)


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
    from xtsupport.data.world.generate import world_folder

    print(world_folder(args.seed, args.size))


def power(args) -> None:
    """``xtsupport power``."""
    from xtsupport import folders
    from xtsupport.report.power_report import power_sentences, printable, write_power
    from xtsupport.report.style import marked
    from xtsupport.statistics.power import power_table

    evidence, *_ = evidence_of(args.cube)
    design = {name: getattr(args, name) for name in ("gain", "seeds", "questions", "languages")}
    table = power_table(evidence, **design)
    if args.level:
        levels = table["level"].unique()
        if args.level not in levels:
            raise UserError(f"--level {args.level}: allowed are {', '.join(levels)}")
        table = table[table["level"] == args.level]
    print(printable(table).to_string(index=False), *power_sentences(table), sep="\n")
    out = args.out or folders.scratch() / "power"
    with marked(evidence.study):
        print(*write_power(table, out, evidence.languages), sep="\n")


def calibrate(args) -> None:
    """``xtsupport calibrate``."""
    from xtsupport import folders
    from xtsupport.files import write_text
    from xtsupport.report.power_report import calibration_sentences
    from xtsupport.statistics.calibration import calibrate as calibrated

    def progress(done: int, of: int) -> None:
        if done * 10 // of > (done - 1) * 10 // of:
            print(f"{done} of {of} studies", file=sys.stderr, flush=True)

    evidence, *_ = evidence_of(args.cube)
    table = calibrated(evidence, args.gain, args.studies, args.seed, progress)
    print(table.round(1).to_string(index=False), *calibration_sentences(table), sep="\n")
    out = Path(args.out) if args.out else folders.scratch() / "calibration"
    print(write_text(out / "calibration.csv", table.to_csv(index=False)))


def significance(args) -> None:
    """``xtsupport significance``."""
    from xtsupport.cube.browse import changed_examples
    from xtsupport.report.contents import contents
    from xtsupport.report.report import one_figure, write_report
    from xtsupport.report.write import write_significance
    from xtsupport.statistics.comparisons import significance as compared
    from xtsupport.study.conclude import page_links
    from xtsupport.study.execution import progress

    if Path(args.out).exists() and not Path(args.out).is_dir():
        raise UserError(f"--out {args.out}: is a file; name a folder")
    if args.format and not args.figure:
        raise UserError(f"--format {args.format}: of which figure? add --figure NAME")
    evidence, settings, rows = evidence_of(args.cube, args.baseline)
    found = contents(compared(evidence), evidence, settings, run_records(args.cube))
    if args.figure:
        print(one_figure(found, args.figure, args.format or "svg", args.out))
        return
    path = write_significance(found, args.out)
    answer = path.with_name("answer.txt").read_text(encoding="utf-8")
    print(*progress.answer_lines(answer), "", path, sep="\n", flush=True)
    changed = changed_examples(rows, evidence.contrasts, evidence.official, evidence.data)
    out = path.with_name("report.html")
    links = page_links(out, Path(args.cube).resolve().parent)
    print(write_report(out, found, changed, links))


def gather(args) -> None:
    """``xtsupport gather``."""
    from xtsupport import folders
    from xtsupport.report.sentences import sentence
    from xtsupport.study.gather import gather as gathered

    out = args.out or folders.scratch() / "class"
    alone, together, notes = gathered(args.studies, out, args.target)
    for line in notes:
        print(f"note: {line}", file=sys.stderr)
    print(alone.round(2).to_string(index=False))
    said = ", ".join(f"{n} {verdict}" for verdict, n in alone["verdict"].value_counts().items())
    print(f"{len(alone)} machines, each by its own questions alone: {said}")
    gain = together["gain"][0]
    outside = ((alone["ci_low"] > gain) | (alone["ci_high"] < gain)).sum()
    print(f"{outside} of these {len(alone)} intervals leave out the pooled gain, {gain:.1f}")
    print(f"together: {sentence(together.iloc[0].to_dict())}")
    print(f"{out}: cube.parquet, machines.csv, machines.png")


def run_records(cube: str) -> list[dict]:
    """The ``run.json`` of every run in the study that a cube lies in."""
    from xtsupport.study import runs, store

    found = store.of_study(Path(cube).resolve().parent)
    return [record for folder in found if (record := runs.read_record(folder))]


def evidence_of(path: str, baseline: str | None = None):
    """A table's evidence, the settings of the study that it lies in (None: it lies in none), and a
    function from a task to its rows.

    baseline: the condition to compare all others with (None: as the study declared, or ``none``).
    """
    cube = existing(path)
    from xtsupport.cube.any_table import is_cube, read_table
    from xtsupport.cube.store import read_cube
    from xtsupport.statistics.evidence import against, gather
    from xtsupport.study.params.rules import data_source

    settings = study_settings(cube.resolve().parent / "settings.yaml")
    data = data_source(settings.data) if settings else None
    if is_cube(cube):
        evidence = gather(cube, settings, data)
        return against(evidence, baseline), settings, lambda task: read_cube(cube, tasks=[task])
    table, assumed = read_table(cube, data or "hub")
    for line in assumed:
        print(f"assumed: {line}", file=sys.stderr)
    evidence = against(gather(table, settings, data), baseline)
    return evidence, settings, lambda task: table[table["task"] == task]


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
    from xtsupport import folders
    from xtsupport.files import plain_disk_errors
    from xtsupport.study.export_xtreme import export, summary

    out = folders.typed(args.out, Path())
    with plain_disk_errors(out):
        print(*summary(export(existing(args.study), out)), sep="\n")


def existing(path: str) -> Path:
    """A file or folder that must be there."""
    from xtsupport import folders

    found = folders.typed(path, Path())
    if not found.is_file() and not found.is_dir():
        raise UserError(f"{path}: no such file or folder")
    return found


def positive(text: str) -> int:
    """A whole number of at least 1."""
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"{text!r} must be a whole number >= 1")
    return int(text)


def cores() -> int:
    """The cores this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


DESCRIPTION = "Measure how English intermediate-task training changes zero-shot transfer."
DEMO = "params/demo.yaml"
GROUPS = {
    "a study": ["new", "run", "plan", "status", "runs", "clean"],
    "data": ["data check", "data get", "data convert", "data fertility", "world"],
    "results": ["significance", "gather", "calibrate", "power", "export-xtreme"],
    "here": ["lab", "demo", "doctor"],
}
EXAMPLES = {
    "new": "xtsupport new my_study --encoder pretrain --intermediate squad --targets xquad xnli",
    "run": f"xtsupport run {DEMO} --only conditions=none,squad --only targets=xquad",
    "plan": f"xtsupport plan {DEMO}",
    "status": f"xtsupport status {DEMO}",
    "runs": f"xtsupport runs {DEMO} --phase target",
    "clean": "xtsupport clean",
    "data check": f"xtsupport data check {DEMO}",
    "data get": f"xtsupport data get {DEMO} --to my_mirror",
    "data convert": "xtsupport data convert download my_mirror",
    "data fertility": "xtsupport data fertility offline-e5 --data world",
    "world": "xtsupport world --size tiny",
    "significance": "xtsupport demo && xtsupport significance outputs/demo/cube --out my_report",
    "gather": "xtsupport demo && xtsupport gather outputs/demo",
    "calibrate": "xtsupport demo && xtsupport calibrate outputs/demo/cube --studies 24",
    "power": "xtsupport demo && xtsupport power outputs/demo/cube --seeds 3 10",
    "export-xtreme": "xtsupport demo && xtsupport export-xtreme outputs/demo my_submission",
    "lab": "xtsupport lab --no-browser",
    "demo": "xtsupport demo",
    "doctor": "xtsupport doctor",
}

if __name__ == "__main__":
    sys.exit(main())
