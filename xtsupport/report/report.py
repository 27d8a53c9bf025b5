"""report.html: the study's answer on one screen, then what stands behind it, on one page.

Every number comes from the comparison (``significance``), the cube, or the runs' records; what was
declared before the first run is kept apart from what is exploratory.
"""

import re
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path

import pandas as pd
from matplotlib.figure import Figure

from xtsupport import tables
from xtsupport.cube.scores import official_metrics, with_guesses
from xtsupport.errors import UserError
from xtsupport.files import write_text
from xtsupport.report import appendix, gain_plots, page, page_tables, plots, robustness, style
from xtsupport.report.answer import STEPS, fewer_seeds, in_short, one_sentence, title
from xtsupport.report.comparison_rows import overview
from xtsupport.report.contents import Contents
from xtsupport.report.intended import intended_table
from xtsupport.report.names import NONE, metric_name, side_name, task_name
from xtsupport.report.numbers import counted, points
from xtsupport.report.page import Block, bullets, folded, paragraph, picture, table
from xtsupport.report.page_tables import trained_on
from xtsupport.report.paper_tables import write_tables
from xtsupport.report.power_report import mde_picture
from xtsupport.report.style import SIMULATED, gain_window, marked
from xtsupport.sides import bare, both_sides
from xtsupport.statistics.declared import Declared, apart, doubt

VERDICT = re.compile(r"(undetermined|improves|harms|equivalent|too few \w+ for a verdict)")
ADJUSTED = {"holm": "Holm", "bonferroni": "Bonferroni"}
WIDEST = 60  # columns of the map of verdicts; a wider one cannot be read


def write_report(out, found: Contents, changed: pd.DataFrame | None = None, links=None) -> Path:
    """Write the report to the file `out` and return its path.

    Beside it go ``figures/`` (SVG), ``tables/`` (CSV and LaTeX) and ``claims.csv``.

    changed: of ``changed_examples``; links: text -> address, below the page.
    """
    out = Path(out)
    with marked(found.study):
        for name, draw in figures(found).items():
            page.save(draw(), out.parent / "figures" / f"{name}.svg")
        write_tables(found, out.parent / "tables")
        write_text(out.with_name("claims.csv"), found.claims.to_csv(index=False))
        return write_text(out, study_page(found, changed, links))


def study_page(
    found: Contents, changed: pd.DataFrame | None = None, links: Mapping[str, str] | None = None
) -> str:
    """The page as HTML; changed: columns of ``changed_examples``; links: text -> address."""
    examples, drawn = page_tables.example_boards(found, changed)
    sections = [
        ("families", "Other targets and families", elsewhere(found)),
        ("intended", "Intended and found", intended(found)),
        ("gains", "Every gain", [*page_tables.gain_boards(found, drawn), *appendix.best(found)]),
        ("examples", "Examples whose answers changed", examples),
        ("languages", "What to expect in a language", robustness.in_languages(found)),
        ("firm", "How robust is the result?", robustness.firm(found)),
        ("limits", "What this cannot show", [bullets(appendix.cautions(found))]),
        ("literature", "Published claims", appendix.literature(found)),
        ("runs", "How it was made", appendix.runs(found)),
        ("words", "What the words mean", [Block("words")]),
    ]
    return page.render(
        "study.html",
        title=f"{title(found)} ({found.study})",
        heading=title(found),
        eyebrow=f"Study: {found.study}{made_on(found.records)}",
        warnings=warnings(found),
        lead=lead(found),
        facts=facts(found),
        limits=appendix.deciding(found),
        pictures=[Block("pictures", items=panels(found, found.answer_drawn))],
        scores=page_tables.score_board(found),
        sections=[{"id": i, "heading": h, "blocks": b} for i, h, b in sections if b],
        links=list((links or {}).items()),
    )


def warnings(found: Contents) -> list[str]:
    """What nobody may miss."""
    if found.study == SIMULATED:
        return ["SIMULATED: the study has not been run. All scores on this page are invented."]
    lines = [f"The results are from {style.ORIGIN}."] if style.ORIGIN else []
    if found.languages["note"].eq("invented").all():
        lines.append(
            "The languages of this study are invented: it shows how the method works and is no "
            "evidence about real languages."
        )
    return lines


def lead(found: Contents) -> list[dict[str, str]]:
    """The first sentence in parts; a part that is a verdict has its class in `verdict`."""
    parts = VERDICT.split(one_sentence(found))
    return [
        {"text": part, "verdict": ("few" if "few" in part else part) if i % 2 else ""}
        for i, part in enumerate(parts)
    ]


def made_on(records: Sequence[Mapping]) -> str:
    """`, run on 2026-11-22`, or from a day to another; empty without records."""
    days = sorted({str(record["started"])[:10] for record in records if record.get("started")})
    if not days:
        return ""
    return f", run on {days[0]}" if len(days) == 1 else f", run from {days[0]} to {days[-1]}"


def facts(found: Contents) -> list[tuple[str, str]]:
    """What was trained on what: a name and a text each."""
    data, scores = found.evidence.data, found.scores
    spoken = scores.groupby("task", sort=False)["language"].nunique()
    seeds = sorted(scores.groupby("condition")["seed"].nunique().unique())
    fewest = "" if seeds[0] == seeds[-1] else f"{seeds[0]} to "
    many = f"{fewest}{counted(seeds[-1], 'run')}"
    tested = scores.drop_duplicates(["condition", "task", "seed"])
    every = f"{len(found.records) or len(tested)} in all" + " on the targets" * (not found.records)
    rules, method = found.rules, found.rules.adjustment
    return [
        *([("Encoder", encoder_words(found))] if found.settings else []),
        (trained_on(found).capitalize(), conditions_words(found)),
        ("Tested on", ", ".join(f"{task_name(name, data)} ({counted(n, 'language')})"
                                for name, n in spoken.items())),
        measured(found),
        ("Runs", f"{many} of each condition (seeds), {every}"),
        ("Comparison", standing(rules)),
        ("Interval", f"that of the verdict, over {gain_plots.sampled(found.answer)}; error rate "
         f"{rules.alpha:g}, several verdicts adjusted ({ADJUSTED.get(method, method)}); "
         f"equivalent: a gain shown to lie within {points(rules.margin)} of 0"),
    ]  # fmt: skip


def conditions_words(found: Contents) -> str:
    """What came first: `SQuAD, MNLI; or no intermediate task; or that, with the steps of
    SQuAD ...`."""
    names = list(dict.fromkeys(found.scores["condition"]))
    if "none" not in map(bare, names):
        return ", ".join(side_name(name, found.evidence.data) for name in names)
    named = {name: side_name(name.removeprefix("none~"), found.evidence.data) for name in names}
    controls = [text for name, text in named.items() if name.startswith("none~")]
    tasks = [text for name, text in named.items() if not re.match("none(~|$)", name)]
    nothing, more = NONE, "spent on the target's training set"
    if controls:
        nothing += f"; or that, with the steps of {' or '.join(controls)} {more}"
    return f"{', '.join(tasks)}; or {nothing}" if tasks else nothing


def measured(found: Contents) -> tuple[str, str]:
    """The scores that the first sentence compares, over the languages that it speaks of."""
    primary, data = found.primary, found.evidence.data
    row = found.overall
    before = row["baseline_score"]
    parts = [(side_name(primary.baseline, data), before)]
    if found.control:
        again = found.over_control["baseline_score"]
        parts.append((side_name(found.control.baseline, data), again))
    parts.append((side_name(primary.treatment, data), before + row["gain"]))
    where = f"{task_name(primary.target, data)} {metric_name(primary.metric)}"
    return f"{where}, without English", "; ".join(f"{name}: {score:.1f}" for name, score in parts)


def encoder_words(found: Contents) -> str:
    """The encoder's name and size."""
    name = found.settings["encoder"]
    if name == "pretrain":
        own = found.settings["pretraining"]
        return f"pretrained by the study: {own['layers']} layers, {own['hidden_size']} wide"
    row = tables.known_encoder(name, found.evidence.data)
    about = [row.title, row.size] if row and row.title else [name]
    return ", ".join(filter(None, about))


def standing(given: Declared) -> str:
    """Whether the comparison was declared in time, in a sentence."""
    if given.in_advance:
        return "declared before the first run"
    if given.primary:
        return f"exploratory: {doubt(given.late)}"
    return "exploratory: none was declared in advance"


def panels(found: Contents, rows: pd.DataFrame) -> list[Block]:
    """A picture per contrast and task, all of one stretch; only the first explains the marks."""
    window, runs = gain_window(rows, found.run_gains), found.run_gains
    hint = gain_plots.how_to_read(rows, found.rules.alpha, window, runs)
    made: list[Block] = []
    for _, part in rows.groupby(["baseline", "variant", "task"], sort=False):
        drawn = gain_plots.gain_forest(part, found.languages, found.rules.alpha, runs, window)
        drawn.set_figwidth(4.6)  # readable on a phone; wider screens enlarge it
        block = picture(drawn)
        about = {"title": panel_title(found, part.iloc[0])}
        about["hint"] = "" if made else hint
        if seeds := fewer_seeds(found, part.iloc[0]):
            about["hint"] = f"{seeds[0].upper()}{seeds[1:]}. {about['hint']}".strip()
        made.append(Block("picture", picture={**block.picture, **about}))
    return made


def panel_title(found: Contents, row: pd.Series) -> str:
    """`XQuAD: gain of SQuAD over no intermediate task, in points`."""
    data, (who, base) = found.evidence.data, both_sides(row)
    matched = found.control.baseline if found.control else found.primary.baseline * found.matched
    against = STEPS if base == matched else side_name(base, data)
    where = task_name(row["task"], data)
    name = f"{where[0].upper()}{where[1:]}"
    return f"{name}: gain of {side_name(who, data)} over {against}, in points"


def elsewhere(found: Contents) -> list[Block]:
    """The answer's other parts: other targets, differences, families."""
    lines, rest = in_short(found)[1:], rest_rows(found)
    if not len(rest):
        return [bullets(lines)] if lines else []
    by = apart(found.primary.by)
    wide = robustness.level_table(found.drawn, by)
    return [
        bullets(lines),
        Block("pictures", items=panels(found, rest)),
        folded("The same as a table", table(wide)),
        *robustness.fewer_targets(found, rest),
        paragraph(f"Per {by}: exploratory.", "note") if by != found.primary.by else paragraph(""),
    ]


def intended(found: Contents) -> list[Block]:
    """Of the generated world: what its families were built for, beside what was found."""
    rows = intended_table(found)
    if rows.empty:
        return []
    text = (
        "Each family of this world was built for a purpose that was written down before any "
        "training. Alike: at least half of the English gain; little: less than a quarter; less: "
        "above zero but below the families that should be alike. In line is yes or no only where "
        "an interval decides it."
    )
    return [table(rows), paragraph(text, "note")]


def rest_rows(found: Contents) -> pd.DataFrame:
    """The rows on the rests, each followed by the gain on the target less it."""
    target, rows = found.primary.target, found.drawn
    order = [f"{less}{rest}" for rest in ("rest", "rest (f1)") for less in ("", f"{target} - ")]
    rows = rows[rows["task"].isin(order)]
    return rows.sort_values("task", key=lambda task: task.map(order.index), kind="stable")


def figures(found: Contents) -> dict[str, Callable[[], Figure]]:
    """Name -> how to draw it: every figure of the study, as the notebooks show them."""
    metrics = official_metrics(found.evidence.data, found.settings.get("targets", ()))
    level = overview(found.comparison, found.primary.by, metrics)
    forest = partial(gain_plots.gain_forest, languages=found.languages, alpha=found.rules.alpha,
                     runs=found.run_gains)  # fmt: skip
    made: dict[str, Callable[[], Figure]] = {"answer": partial(forest, found.answer_drawn)}
    if len(rest := rest_rows(found)):
        made["rest"] = partial(forest, rest)
    if 0 < len(level[["task", "level"]].drop_duplicates()) <= WIDEST:
        made["verdicts"] = partial(gain_plots.verdict_heatmap, level, found.languages)
    if robustness.has_slope(found, found.single):
        made["distance"] = partial(gain_plots.distance_slope, found.single, found.languages)
    if found.power is not None:
        drawn = found.power, found.rules.margin, found.languages
        made["power"] = partial(mde_picture, *drawn)
    beside = with_guesses(found.scores, found.evidence.data)
    for task in dict.fromkeys(found.scores["task"]):
        made[f"scores-{task}"] = partial(plots.score_heatmap, beside, found.languages, task)
    return made


def one_figure(found: Contents, name: str, form: str, folder) -> Path:
    """Write one figure alone, as svg, png or pdf; UserError for a name that this study lacks."""
    known = figures(found)
    if name not in known:
        raise UserError(f"--figure {name}: this study has {', '.join(known)}")
    return page.save(known[name](), Path(folder) / f"{name}.{form}")


def answer_figures(found: Contents) -> list[Figure]:
    """The answer's figure and, where there are other targets, theirs: what notebook 07 shows."""
    shared = found.languages, found.rules.alpha, found.run_gains
    drawn = [rows for rows in (found.answer_drawn, rest_rows(found)) if len(rows)]
    return [gain_plots.gain_forest(rows, *shared) for rows in drawn]
