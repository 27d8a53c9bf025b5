"""report.html: the study's answer first, then what stands behind it, on one page.

Every number comes from the comparison (``significance``), the cube, or the runs' records; what was
declared before the first run is kept apart from what is exploratory.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path

import pandas as pd
from matplotlib.figure import Figure

from xtsupport.files import draft, write_text
from xtsupport.report import appendix, plots
from xtsupport.report.contents import (
    Contents,
    contents,
    gain_head,
    p_text,
    with_interval,
)
from xtsupport.report.headline import in_short
from xtsupport.report.how_firm import firm
from xtsupport.report.language_outlook import language_outlook
from xtsupport.report.literature import literature
from xtsupport.report.page import (
    MARKS,
    Html,
    bullets,
    figure,
    html,
    page,
    paragraph,
    table,
)
from xtsupport.report.runs_seen import runs_seen
from xtsupport.report.sentences import counted, points, sentence
from xtsupport.statistics.declared import Declared, Primary, apart, plural, reach
from xtsupport.statistics.evidence import Evidence


def write_report(
    out,
    comparison: pd.DataFrame,
    evidence: Evidence,
    settings=None,
    records: Sequence[Mapping] = (),
) -> Path:
    """Write the report to the file `out` and return its path.

    Beside it go ``answer.png``, the answer's figure for slides and pages, and ``claims.csv``.

    comparison: what ``significance`` made of the evidence. settings: of the study; records: the
    ``run.json`` of its runs. A cube alone has a report, too. Raises UserError where the comparison
    has no row of the primary contrast.
    """
    found = contents(comparison, evidence, settings, records)
    sections = [
        ("answer", "The answer", answer(found)),
        ("words", "The answer in words", words(found)),
        ("seen", "The runs", runs_seen(found)),
        ("outlook", "What to expect in a language", language_outlook(found)),
        ("firm", "How firm is it?", firm(found)),
        ("limits", "What this cannot show", appendix.limits(found)),
        ("contrasts", "All contrasts (exploratory)", appendix.contrasts(found)),
        ("literature", "Published claims", literature(found)),
        ("scores", "Scores", appendix.scores(found)),
        ("runs", "How the runs were made", appendix.runs(found)),
        ("columns", "What the columns mean", appendix.columns()),
    ]
    title = f"Does intermediate training help transfer? Study {found.study}"
    with draft(Path(out).with_name("answer.png")) as picture:
        answer_figure(found).savefig(picture, dpi=150, format="png")
    write_text(Path(out).with_name("claims.csv"), found.claims.to_csv(index=False))
    return write_text(Path(out), page(title, sections, banner(found)))


def banner(found: Contents) -> Html:
    """Warnings that nobody may miss."""
    if found.study == "simulated":
        return paragraph(
            "SIMULATED: the study has not been run. All scores on this page are invented.", "banner"
        )
    if found.languages["note"].eq("invented").all():
        return paragraph(
            "The languages of this study are invented; it shows how the method works and is no "
            "evidence about real languages.",
            "banner",
        )
    return Html("")


def answer(found: Contents) -> Html:
    """Question, answer in a few lines, table, figure."""
    primary, rows = found.primary, found.answer
    pooled = len(found.drawn) > len(rows)
    note = f"The rows of single {plural(apart(primary.by))} are exploratory."
    question = (
        f"Does training on {primary.treatment} first raise {primary.target} ({primary.metric}) "
        f"over {primary.baseline} in languages that were never trained on, more than it raises "
        f"the rest of the targets (by official metrics; by F1 alone), and equally in every "
        f"{apart(primary.by)}?"
    )
    return html(
        "{question}{lines}{standing}{seen}{table}{figure}{exploratory}",
        question=paragraph(question),
        lines=[paragraph(line, "answer") for line in in_short(found)],
        standing=paragraph(
            f"{standing(found.rules)} {declaration(found)} Points are percent, 0 to 100; "
            f"resampled: {rows['unit'].iloc[0]}; {counted(rows['n_seeds'].min(), 'seed')}.",
            "note",
        ),
        seen=appendix.seen(found),
        table=answer_tables(rows, primary, found.rules.alpha),
        figure=figure(answer_figure(found)),
        exploratory=paragraph(note, "note") if pooled else "",
    )


def answer_figure(found: Contents) -> Figure:
    """Gains of the answer's rows with their verdicts and every run as a dot."""
    return plots.gain_forest(found.drawn, found.languages, found.run_gains, found.rules.alpha)


def standing(given: Declared) -> str:
    """Whether the comparison was declared in time, in a sentence."""
    if given.in_advance:
        return "This comparison was declared before the first run."
    if "planned.json" in " ".join(given.late):  # the file itself is in doubt
        return (
            f"{given.late[0]}, so that nothing shows that this comparison was declared before the "
            "first run: everything on this page is exploratory."
        )
    if given.primary:
        return (
            f"After the first run, the declaration was changed ({', '.join(given.late)}; "
            "planned.json keeps the first one): everything on this page is exploratory."
        )
    return "No comparison was declared in advance: everything on this page is exploratory."


def declaration(found: Contents) -> str:
    """The primary comparison and the rules of judging, in words."""
    rules, primary = found.rules, found.primary
    return (
        f"Primary: {primary.treatment} over {primary.baseline} on {primary.target} and on "
        f"{primary.target} - rest, {primary.metric}; hypotheses: each {reach(primary.by)}, "
        f"p adjusted by {rules.adjustment}; error rate {rules.alpha:g}; margin of equivalence "
        f"{points(rules.margin)}."
    )


def answer_tables(rows: pd.DataFrame, primary: Primary, alpha: float = 0.05) -> list[Html]:
    """Gain with interval, verdict and p on target, rests and differences.

    Of one average a line per task; else a line per level, the differences in a table of their own.
    """
    if primary.by == "all":
        long = rows[["task"]].assign(
            **{gain_head(rows, alpha): with_interval(rows)},
            verdict=rows["verdict"],
            p=rows["p_adjusted"].map(p_text),
            baseline=rows["baseline_score"],
            languages=rows["n_languages"],
            metric=rows["metric"],
        )
        return [table(long, marks=MARKS)]
    less = rows["task"].str.contains(" - ")
    return [level_table(part, primary, alpha) for part in (rows[~less], rows[less]) if len(part)]


def level_table(rows: pd.DataFrame, primary: Primary, alpha: float) -> Html:
    """One line per level: gain with interval, and verdict, of every task side by side."""
    wide: dict[tuple, pd.Series] = {}
    for task, part in rows.groupby("task", sort=False):
        part = part.set_index("level")
        if not wide:
            named = part.index + " (" + part["n_languages"].astype(str) + ")"
            wide["", f"{primary.by} (languages)"] = pd.Series(named, part.index)
        if task == primary.target:
            wide[task, "baseline"] = part["baseline_score"]
        wide[task, gain_head(part, alpha)] = with_interval(part)
        wide[task, "verdict"] = part["verdict"]
    return table(pd.DataFrame(wide), marks=MARKS)


def words(found: Contents) -> Html:
    """A sentence per row of the answer, by benchmark."""
    rules = found.rules
    parts = [paragraph("Each sentence is generated from its row and can be checked against it.")]
    for task, part in found.answer.groupby("task", sort=False):
        lines = [sentence(row, rules.margin, rules.alpha) for row in part.to_dict("records")]
        parts.append(html("<h3>{t}</h3>{b}", t=task, b=bullets(lines)))
    return Html("".join(parts))
