"""What the verbs on results do."""

import os
from pathlib import Path

from xtsupport import folders
from xtsupport.errors import UserError
from xtsupport.files import plain_disk_errors, write_text
from xtsupport.study.verbs import argument, existing, out_folder, positive, say, verb


@verb(
    "power",
    "xtsupport demo && xtsupport power outputs/demo/cube --seeds 3 10",
    argument("cube", "CUBE", "the cube of a pilot: a folder or parquet file"),
    argument("--gain", "POINTS", "default: 1", type=float, default=1.0),
    argument("--seeds", "N", "default: 3 5 10 20 and as many as the study has", type=int,
             nargs="+"),
    argument("--questions", "FACTOR", "multiples of the pilot's questions (default: 1 4)",
             type=float, default=[1, 4], nargs="+"),
    argument("--languages", "N", "numbers of languages (default: as many as each level has)",
            type=int, nargs="+"),
    argument("--out", "DIR", "the folder for table and plot (default: scratch/power)"),
)  # fmt: skip
def power(args) -> None:
    """Estimate how many seeds, questions and languages a gain needs."""
    from xtsupport.report.power_report import power_sentences, printable, write_power
    from xtsupport.report.style import marked
    from xtsupport.statistics.power import power_table

    evidence, *_ = evidence_at(args.cube)
    design = {name: getattr(args, name) for name in ("gain", "seeds", "questions", "languages")}
    table = power_table(evidence, **design)
    print(printable(table).to_string(index=False), *power_sentences(table), sep="\n")
    out = out_folder(args, "power")
    with marked(evidence.study):
        print(*write_power(table, out, evidence.languages), sep="\n")


@verb(
    "calibrate",
    "xtsupport demo && xtsupport calibrate outputs/demo/cube --studies 24",
    argument("cube", "CUBE", "a study's cube: a folder or parquet file"),
    argument("--gain", "POINTS", "the gain to simulate (default: 2)", type=float, default=2.0),
    argument("--studies", "N", "simulated studies of each kind (default: 120, about a minute)",
             type=positive, default=120),
    argument("--out", "DIR", "the folder for the table (default: scratch/calibration)"),
)  # fmt: skip
def calibrate(args) -> None:
    """Estimate how often the verdicts of such a study are wrong."""
    from xtsupport.report.power_report import calibration_sentences
    from xtsupport.statistics.calibration import calibrate as calibrated

    def progress(done: int, of: int) -> None:
        if done * 10 // of > (done - 1) * 10 // of:
            say(f"{done} of {of} studies")

    evidence, *_ = evidence_at(args.cube)
    table = calibrated(evidence, args.gain, args.studies, progress=progress)
    print(table.round(1).to_string(index=False), *calibration_sentences(table), sep="\n")
    out = out_folder(args, "calibration")
    print(write_text(out / "calibration.csv", table.to_csv(index=False)))


@verb(
    "significance",
    "xtsupport demo && xtsupport significance outputs/demo/cube --out my_report",
    argument("cube", "TABLE", "a study's folder, a cube, or scores as CSV, TSV or parquet"),
    argument("--baseline", "NAME", "the condition to compare all others with"),
    argument("--out", "DIR", "the folder for table and report", required=True),
    argument("--figure", "NAME", "only this figure, such as answer or rest"),
    argument("--format", text="its format (default: svg)", choices=["svg", "png", "pdf"]),
)
def significance(args) -> None:
    """Compare the systems in any table of scores."""
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")  # in small products a second only waits
    from xtsupport.cube.browse import changed_examples
    from xtsupport.report.contents import contents
    from xtsupport.report.paper_tables import write_significance
    from xtsupport.report.report import one_figure, write_report
    from xtsupport.statistics.comparisons import significance as compared
    from xtsupport.study import run_store, runs
    from xtsupport.study.conclude import page_links
    from xtsupport.study.execution import progress

    out = out_folder(args)
    if out.exists() and not out.is_dir():
        raise UserError(f"--out {args.out}: is a file; name a folder")
    if args.format and not args.figure:
        raise UserError(f"--format {args.format}: needs a figure; add --figure NAME")
    evidence, settings, rows = evidence_at(args.cube, args.baseline)
    study = cube_in(args.cube).resolve().parent
    made = [runs.read_record(folder) for folder in run_store.of_study(study)]
    records = [each for each in made if each]
    found = contents(compared(evidence), evidence, settings, records)
    if args.figure:
        print(one_figure(found, args.figure, args.format or "svg", out))
        return
    path = write_significance(found, out)
    answer = path.with_name("answer.txt").read_text(encoding="utf-8")
    print(*progress.answer_lines(answer), "", path, sep="\n", flush=True)
    changed = changed_examples(rows, evidence.contrasts, evidence.official, evidence.data)
    page = path.with_name("report.html")
    print(write_report(page, found, changed, page_links(page, study)))


@verb(
    "gather",
    "xtsupport demo && xtsupport gather outputs/demo",
    argument("studies", "STUDY_DIR", "such as outputs/demo", nargs="+"),
    argument("--target", "TASK", "another target than the declared one, such as xnli"),
    argument("--out", "DIR", "the folder for cube, table and plot (default: scratch/class)"),
)
def gather(args) -> None:
    """Pool studies that differ only in their seeds."""
    from xtsupport.report.paper_sentences import sentence
    from xtsupport.statistics.declared import declared
    from xtsupport.study.gather import gather as gathered

    out = out_folder(args, "class")
    alone, together, notes = gathered(args.studies, out, args.target)
    say(*(f"note: {line}" for line in notes))
    print(alone.round(2).to_string(index=False))
    said = ", ".join(f"{n} × {verdict}" for verdict, n in alone["verdict"].value_counts().items())
    print(f"{len(alone)} machines, each by its own questions alone: {said}")
    gain = together["gain"][0]
    outside = ((alone["ci_low"] > gain) | (alone["ci_high"] < gain)).sum()
    print(f"{outside} of these {len(alone)} intervals do not contain the pooled gain, {gain:.1f}")
    settings = study_settings(out / "settings.yaml")
    words = sentence(together.iloc[0].to_dict(), declared(settings), settings.data_source)
    print(f"together: {words}")
    print(f"{out}: cube.parquet, machines.csv, machines.png")


def cube_in(path: str) -> Path:
    """The cube, or table, that a path names: of a study's folder the cube inside."""
    found = existing(path)
    inside = (found / "cube", found / "cube.parquet")  # of `run` and `gather`
    return next((each for each in inside if each.exists()), found)


def evidence_at(path: str, baseline: str | None = None):
    """A table's evidence, the settings of the study that it lies in (None: it lies in none), and a
    function from a task to its rows; of a cube, to what is shown of them.

    baseline: the condition to compare all others with (None: as the study declared, or ``none``).
    """
    from xtsupport.cube.any_table import is_cube, read_table
    from xtsupport.cube.browse import SHOWN
    from xtsupport.cube.store import open_cube, read_cube
    from xtsupport.statistics.evidence import against, evidence_of
    from xtsupport.study.planned import note_lacking
    from xtsupport.study.run_store import intact

    cube = intact(cube_in(path))

    settings = study_settings(cube.resolve().parent / "settings.yaml")
    data = settings.data_source if settings else None
    if is_cube(cube):
        if settings:
            note_lacking(settings, read_cube(cube, columns=["task", "condition", "seed"]))
        evidence = evidence_of(cube, settings, data)
        shown = [name for name in open_cube(cube).schema.names if name in SHOWN]
        return against(evidence, baseline), settings, lambda task: read_cube(cube, [task], shown)
    table, assumed = read_table(cube, data or "hub")
    say(*(f"assumed: {line}" for line in assumed))
    evidence = against(evidence_of(table, settings, data), baseline)
    return evidence, settings, lambda task: table[table["task"] == task]


def study_settings(declared: Path):
    """The settings in a study's folder, also where its data are gone; None without the file."""
    from xtsupport.study.params.loading import load_settings

    if not declared.is_file():
        return None
    try:
        return load_settings(declared)
    except UserError as error:
        if not all("data = " in problem for problem in error.problems):
            raise
        return load_settings(declared, {"data": "hub"})  # no rows are read, only the tables


@verb(
    "export-xtreme",
    "xtsupport demo && xtsupport export-xtreme outputs/demo my_submission",
    argument("study", "STUDY_DIR", "a study's folder, such as outputs/demo"),
    argument("out", "OUT_DIR"),
)
def export_xtreme(args) -> None:
    """Write predictions in the layout of XTREME's submissions."""
    from xtsupport.study.export_xtreme import export, summary

    out = folders.typed(args.out, Path())
    with plain_disk_errors(out):
        print(*summary(export(existing(args.study), out)), sep="\n")
