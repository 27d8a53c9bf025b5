"""report.html: the study's answer first, then what stands behind it, on one page.

Every number comes from the comparison (``significance``), the cube, or the runs' records; what was
declared before the first run is kept apart from what is exploratory.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path

import pandas as pd

from xtsupport.files import draft, write_text
from xtsupport.report import appendix, plots
from xtsupport.report.contents import (
    Contents,
    contents,
    p_text,
    p_words,
    with_interval,
)
from xtsupport.report.how_firm import firm
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
from xtsupport.report.sentences import points, sentence
from xtsupport.statistics.declared import Declared, Primary, apart, plural, reach
from xtsupport.statistics.evidence import Evidence
from xtsupport.statistics.primary import heterogeneity


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
        plots.gain_forest(found.drawn, found.languages).savefig(picture, dpi=150, format="png")
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
        f"the rest of the benchmarks, and equally in every {apart(primary.by)}?"
    )
    return html(
        "{question}{lines}{standing}{seen}{table}{figure}{exploratory}",
        question=paragraph(question),
        lines=[paragraph(line, "answer") for line in in_short(found)],
        standing=paragraph(
            f"{standing(found.rules)} {declaration(found)} Points are percent, 0 to 100; "
            f"unit of resampling: {rows['unit'].iloc[0]}; {rows['n_seeds'].min()} seeds.",
            "note",
        ),
        seen=appendix.seen(found),
        table=answer_table(rows, primary),
        figure=figure(plots.gain_forest(found.drawn, found.languages)),
        exploratory=paragraph(note, "note") if pooled else "",
    )


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


def in_short(found: Contents) -> list[str]:
    """The answer to the question's three parts, a sentence each, from the verdicts."""
    primary, rows = found.primary, found.answer
    sides = {task: part for task, part in rows.groupby("task", sort=False)}
    who, words = primary.treatment, scores_words(primary.baseline)
    lines = [f"On {primary.target}, {who} {tally(sides[primary.target], primary.by, words)}"]
    if "rest" in sides:
        lines.append(
            f"On the rest of the benchmarks, {who} {tally(sides['rest'], primary.by, words)}"
        )
    difference = sides.get(f"{primary.target} - rest")
    if difference is not None:
        lines.append(f"The gain on {primary.target} {tally(difference, primary.by, GAINS)}")
    return [*lines, *families_differ(found)]


def tally(rows: pd.DataFrame, by: str, words: Mapping[str, str]) -> str:
    """`scores above none in 3 of 5 groups (Kindric, ...); cannot be told from none in 2 (...).`; of
    one average, `scores above none over all 10 languages.`

    words: verdict -> what to say of it, in the order wanted.
    """
    if by == "all":
        row = rows.iloc[0]
        return f"{words[row['verdict']]} over all {row['n_languages']} languages."
    parts = []
    for verdict, word in words.items():
        names = rows.loc[rows["verdict"] == verdict, "level"].tolist()
        if names:
            of = f" of {len(rows)} {plural(by)}" if not parts else ""
            parts.append(f"{word} in {len(names)}{of} ({', '.join(names)})")
    return "; ".join(parts) + "."


def scores_words(baseline: str) -> dict[str, str]:
    """What to say of each verdict on a treatment's scores, best first."""
    return {
        "improves": f"scores above {baseline}",
        "harms": f"scores below {baseline}",
        "equivalent": f"equals {baseline} within the margin",
        "undetermined": f"cannot be told from {baseline}",
        "too few": "rests on too few seeds or languages",
    }


GAINS = {
    "improves": "is larger than that on the rest",
    "harms": "is smaller than that on the rest",
    "equivalent": "equals that on the rest within the margin",
    "undetermined": "cannot be told from that on the rest",
    "too few": "rests on too few seeds or languages",
}


def families_differ(found: Contents) -> list[str]:
    """Whether the levels differ in their gain on the target, with the joint test."""
    by = apart(found.primary.by)
    test = heterogeneity(found.evidence, by)
    if test.empty:
        return []
    row = test.iloc[0]
    differ = "differs" if row["p_value"] <= found.rules.alpha else "cannot be shown to differ"
    depends = f" ({row['depends_on']})" if row["depends_on"] else ""
    return [
        f"The gain on {found.primary.target} {differ} between {plural(by)}: the largest is "
        f"{row['spread']:.1f} points above the smallest, F({row['df1']}, {row['df2']:.0f}) = "
        f"{row['statistic']:.1f}, {p_words(row['p_value'])}{depends}."
    ]


def answer_table(rows: pd.DataFrame, primary: Primary) -> Html:
    """One line per level: gain with interval, p and verdict on target, rest and difference."""
    wide = {}
    for task, part in rows.groupby("task", sort=False):
        part = part.set_index("level")
        if not wide:
            named = part.index + " (" + part["n_languages"].astype(str) + ")"
            head = "languages" if primary.by == "all" else f"{primary.by} (languages)"
            wide["", head] = pd.Series(named, part.index)
            wide["", "baseline"] = part["baseline_score"]
        wide[task, "gain [95% interval]"] = with_interval(part)
        if task != "rest":
            wide[task, "p"] = part["p_adjusted"].map(p_text)
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
