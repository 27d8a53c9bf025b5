"""What the verbs on a study do."""

import os
import shlex
import signal
import subprocess
import sys
from collections.abc import Sequence
from contextlib import closing, suppress
from pathlib import Path

from xtsupport import folders
from xtsupport.errors import Unreachable, UserError
from xtsupport.study.verbs import (
    DEMO,
    PART,
    UPDATE,
    argument,
    flag,
    out_folder,
    positive,
    say,
    verb,
)


def opened(args, checked: bool = False):
    """The study of a command line, narrowed by ``--only``; what that leaves out is said.

    checked: its encoder as well, and names of the hub that have moved are told.
    """
    from xtsupport.data import commits
    from xtsupport.study.params.loading import load_settings
    from xtsupport.study.params.sound_values import check_encoder
    from xtsupport.study.plan import left_out, study_of
    from xtsupport.study.run_store import unused

    settings = load_settings(args.file, args.set)
    if getattr(args, "update", False):
        commits.update(folders.outputs() / settings.study)
    study = study_of(settings, args.file, args.only)
    if apart := folders.outside(args.file):
        say(f"note: runs are looked for {apart}")
    if checked:
        say(*(f"note: {line}" for line in commits.moved()))
        check_encoder(study.settings)
    say(*(f"note: {line}" for line in [*unused(study.folder), *left_out(study)]))
    return study


@verb(
    "new",
    "xtsupport new my_study --encoder pretrain --intermediate squad --targets xquad xnli",
    argument("dir", "DIR", "the folder to make; the study gets the same name"),
    argument("--encoder", "NAME", "a hub id, a folder, offline-e5, pretrain (default: XLM-R base)"),
    argument("--intermediate", "TASK", "intermediate tasks (default: squad)", nargs="+"),
    argument("--targets", "TASK", "targets (default: xquad xnli udpos tatoeba)", nargs="+"),
    argument("--languages", "CODE", "default: all languages of each target", nargs="+"),
    argument("--seeds", "N", "default: 0 1 2", type=int, nargs="+"),
    set=[], only=[], measure=False,
)  # fmt: skip
def new(args) -> int:
    """Make a folder to work in: notebooks and a params file."""
    from xtsupport.study import new as new_study

    given = {key: getattr(args, key) for key in vars(new_study.Choice())}
    ask = sys.stdin.isatty() and sys.stdout.isatty()
    choice = new_study.asked(given) if ask else new_study.chosen(given)
    folder = folders.typed(args.dir, Path())
    args.file = str(new_study.make(folder, choice).relative_to(folder))
    os.chdir(folder)  # the plan below is that of the new project
    print(f"{args.dir}: notebooks/, params/, and the study's own file {args.file}\n")
    try:
        plan(args)
    except UserError as error:  # the folder is sound all the same
        print("no plan yet:", *error.problems, sep="\n")
    print(f"\nnext:\n  cd {shlex.quote(args.dir)}")
    print(f"  xtsupport plan {args.file}\n  xtsupport lab\n  xtsupport run {args.file}")
    return 0


@verb("lab", "xtsupport lab --no-browser", usage="xtsupport lab [JUPYTER OPTION ...]")
def lab(args) -> int:
    """Open the notebooks in JupyterLab."""
    first = folders.root() / "notebooks" / "00_start_here.ipynb"
    if not first.is_file():
        raise UserError(f"{first}: not found; `xtsupport new my_study` writes a folder with it")
    command = [sys.executable, "-m", "jupyterlab", str(first), *args.rest]
    command.append(f"--ServerApp.root_dir={folders.root()}")  # params/ and outputs/ are seen too
    server = subprocess.Popen(command, cwd=folders.root())
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for JupyterLab, which asks back
    return server.wait()


@verb("doctor", "xtsupport doctor")
def doctor(args) -> int:
    """Check if this machine can run a study, and how to fix it."""
    from xtsupport.study.doctor import findings

    wrong = 0
    for finding in findings():
        print(finding.line(), flush=True)
        wrong += bool(finding.mend) and finding.needed
    return min(wrong, 1)


@verb(
    "run",
    f"xtsupport run {DEMO} --only conditions=none,squad --only targets=xquad",
    *PART,
    UPDATE,
    argument("--jobs", "N", "cores to use, or jobs to submit on a cluster (default: all cores)",
             type=positive),
    argument("--profile", "NAME", "local, slurm, or a folder with a Snakemake profile (default: "
             "local)", default="local"),
    flag("--dry-run", "only show what is left to do, like `plan`"),
    measure=False,
)  # fmt: skip
def run(args) -> int:
    """Run everything in a study that is not finished yet."""
    from xtsupport.statistics.declared import doubt
    from xtsupport.study.execution import progress, runner, snakemake, state
    from xtsupport.study.params.loading import load_settings
    from xtsupport.study.plan_lines import unfit
    from xtsupport.study.planned import plan_flaw

    if args.dry_run:
        return plan(args)
    study = opened(args, checked=True)
    snakemake.profile_folder(args.profile)
    chosen = [*(f"--set {each}" for each in args.set), *(f"--only {each}" for each in args.only)]
    if chosen and (kept := state.replaced(study)):
        raise UserError(
            f"{' '.join(chosen)}: {folders.portable(study.folder)} holds {kept}, which these would "
            "replace; add --set study=NAME: own results, finished runs are shared"
        )
    todo = state.stale(study)
    nodes = study.plan.nodes
    name, done = study.settings.study, len(nodes) - len(todo)
    say(f"study {name}: {len(study.plan.runs)} runs in {len(nodes)} nodes, {done} done, "
        f"{len(todo)} to do")  # fmt: skip
    say(*(f"note: {line}; repeating it" for line in state.harmed(todo)))
    if todo and args.profile == "local":  # the nodes' devices are this machine's
        say(*unfit(study))
    os.environ["XTSUPPORT_DEBUG"] = "1" if args.debug else ""  # for the nodes
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    planned = {node.name: study.seconds[node.name] for node in todo}
    log = study.folder / "study.log"
    with closing(progress.Progress(planned, len(nodes), log=log)) as shown:
        states = runner.run_study(study, args.jobs or cores or 1, args.profile, shown)
    if failed := progress.failures(study, states):
        say(f"xtsupport: error: study {name} is not complete; run the same command again to retry",
            *failed)  # fmt: skip
        return 1
    if flaw := plan_flaw(study.folder):
        say(f"warning: {flaw}")
    elif late := [
        e for e in load_settings(study.folder / "settings.yaml").late if e != "contrasts"
    ]:
        say(f"note: analysis: {doubt(late)}")
    print(*progress.outcome(study), sep="\n")
    return 0


@verb("demo", "xtsupport demo", file=DEMO, set=[], only=[], jobs=None, profile="local",
      dry_run=False)  # fmt: skip
def demo(args) -> int:
    """Run the demo study, offline, in any folder."""
    return run(args)


@verb(
    "plan",
    f"xtsupport plan {DEMO}",
    *PART,
    UPDATE,
    flag("--measure", "time twenty steps of each phase on this machine"),
)
def plan(args) -> int:
    """Show a study's runs, what is left to do, and what it costs."""
    from xtsupport.study.plan_lines import cost_lines, node_lines

    problems: Sequence[str] = ()
    try:
        study = opened(args, checked=True)
    except UserError as error:
        study, problems = without_data(args, error), error.problems
    print(*node_lines(study, planned=not problems), sep="\n")
    lines = cost_lines(study.settings, study.plan.runs, args.measure, problems)
    print(*lines, sep="\n", flush=True)
    if problems and any(line.startswith("cost unknown") for line in lines):
        raise UserError(*problems)
    return 0


def without_data(args, error: UserError):
    """A study whose settings are sound and whose data or encoder are missing, planned by published
    sizes; the error itself where settings or encoder are not sound, or it cannot be planned."""
    from xtsupport.study.inputs import Published
    from xtsupport.study.narrowing import unspoken
    from xtsupport.study.params.loading import load_settings
    from xtsupport.study.params.sound_values import check_encoder
    from xtsupport.study.plan import study_of

    if all(" data = " in each and "no folder" in each and not each.startswith("--set")
           for each in error.problems):  # fmt: skip # a mirror that is not there yet
        args.set = [*args.set, "data=hub"]
    settings = load_settings(args.file, args.set)
    with suppress(Unreachable):
        check_encoder(settings)
    try:
        study = study_of(settings, args.file, args.only, Published)
    except UserError:
        raise error from None
    say(*(f"note: {line}" for line in unspoken(settings)))
    return study


@verb(
    "status",
    f"xtsupport status {DEMO}",
    *PART,
    flag("--watch", "keep updating, with losses, until the study ends or Ctrl-C"),
)
def status(args) -> None:
    """Show which parts of a study are done, running, failed or to do."""
    from xtsupport.study.execution import progress, state, watch

    study = opened(args)
    if args.watch:
        with suppress(KeyboardInterrupt):  # ends the watching; the study goes on
            watch.watch(study)
        return
    states = state.states(study, study.plan.nodes)
    print(*progress.status_lines(study, state.runner_of(study.folder), states), sep="\n")


@verb(
    "runs",
    f"xtsupport runs {DEMO}",
    argument("file", "FILE", "only the runs of this params file's study", nargs="?"),
    argument("--page", "NAME", "write a page that shows these side by side: studies, keys of runs, "
             "or settings (KEY=VALUE)", nargs="+"),
    argument("--out", "DIR", "the folder for the page (default: scratch/runs)"),
)  # fmt: skip
def runs_done(args) -> None:
    """List all runs made here, and how they differ."""
    from xtsupport.study.my_runs import finished, left_out, readable, runs_table, survey
    from xtsupport.study.plan import open_study

    if args.page:
        from xtsupport.study.runs_page import write_page

        print(write_page(args.page, out_folder(args, "runs") / "report.html"))
        return
    study = open_study(args.file) if args.file else None
    every = survey(study)
    made = finished(every)
    for phase in dict.fromkeys(each.record["phase"] for each in made):
        part = runs_table([each for each in made if each.record["phase"] == phase])
        print(readable(part).to_string(index=False), end="\n\n")
    say(*left_out(every))
    if every and not study:
        say(f"of all studies; `xtsupport runs FILE`, such as {DEMO}, shows the runs of one, and "
            "where each departs from the settings in the file")  # fmt: skip
    if not made:
        print("no finished run in outputs/runs" + (f" for {args.file}" if args.file else ""))


@verb("clean", "xtsupport clean", flag("--remove", "delete them"))
def clean(args) -> None:
    """List the runs that no study and no params file here uses."""
    from xtsupport.report.numbers import counted
    from xtsupport.study import leftovers

    found = leftovers.leftovers()
    if not found:
        some = any(folders.runs().glob("*/run.json"))
        used = "every run in outputs/runs belongs to a study" if some else "no run is here"
        print("nothing to remove:", used)
        return
    for each in found:
        print(f"{max(each.size / 1e6, 0.01):>9.2f} MB  {folders.shown(each.folder)}  {each.what}")
    size = sum(each.size for each in found) / 1e6
    total = f"{counted(len(found), 'run')} that no study here uses, {max(size, 0.01):.2f} MB"
    if args.remove:
        leftovers.remove(found)
    more = "; `xtsupport clean --remove` deletes them"
    print(f"removed {total}" if args.remove else total + more)
