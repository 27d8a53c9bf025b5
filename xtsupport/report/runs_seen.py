"""The report's section on single runs: how far they scatter, and what the answer owes to each."""

from xtsupport.report.contents import Contents
from xtsupport.report.headline import named
from xtsupport.report.page import Html, bullets, paragraph, table
from xtsupport.report.sentences import signed
from xtsupport.statistics.runs_seen import leave_one_out, outlying, run_scores, scatter


def runs_seen(found: Contents) -> Html:
    """SD of the runs per condition, the answer without each run, runs that lie far out."""
    if found.answer["n_seeds"].max() < 2:
        return paragraph("Every side has one run: nothing can be said about other runs.")
    text = (
        "Standard deviation of the runs of one condition, in points (mean over the languages not "
        "trained on, official metric). In the answer's figure every run is a dot."
    )
    lines = [*far_out(found), *without_one(found)]
    return Html(paragraph(text) + table(scatter(found.evidence)) + bullets(lines))


def far_out(found: Contents) -> list[str]:
    """A line per condition with a run far from its fellows, with all their scores."""
    scores, far = run_scores(found.evidence), outlying(found.evidence)
    lines = []
    for row in far.itertuples():
        mine = scores[(scores["condition"] == row.condition) & (scores["task"] == row.task)]
        listed = ", ".join(f"{score:.1f}" for score in mine["score"])
        lines.append(
            f"{named(row.task)}, {row.condition}: the runs score {listed}; seed {row.seed} lies "
            f"{abs(row.score - row.others):.1f} points from the mean of the others, where the "
            f"usual standard deviation of runs is {row.usual:.1f}."
        )
    return lines or ["No run lies far from the others of its condition."]


def without_one(found: Contents) -> list[str]:
    """The range of the primary gain when one run of each side is left out, per level."""
    rows = leave_one_out(found.evidence)
    rows = rows[rows["task"] == found.primary.target]
    return [
        f"Without one run, the gain on {named(row.task)} "
        f"{'over all languages' if row.level == 'all' else f'in {row.level}'}, {signed(row.gain)}, "
        f"lies between {signed(row.lowest)} and {signed(row.highest)}."
        for row in rows.itertuples()
    ]
