"""The report's section on languages: what to expect in each, and in one that was not tested."""

import pandas as pd

from xtsupport.report.contents import Contents
from xtsupport.report.headline import named
from xtsupport.report.page import Html, folded, paragraph, table
from xtsupport.report.sentences import signed
from xtsupport.statistics.pooling import outlook


def language_outlook(found: Contents) -> Html:
    """Gains drawn towards their common mean, per language, per group, and for a new language."""
    rows = outlook(found.evidence)
    if rows.empty:
        return paragraph("Fewer than three languages: nothing can be said about others.")
    each = rows[rows["by"].isin(["language", "new language"])]
    groups = rows[(rows["by"] == "group") & (rows["n_languages"] > 1)]
    parts = [paragraph(outlook_words(found, rows)), table(outlook_table(each, found.languages))]
    if len(groups):
        parts.append(folded("Per group", table(outlook_table(groups, found.languages))))
    return Html("".join(parts))


def outlook_words(found: Contents, rows: pd.DataFrame) -> str:
    """What the table holds, and the prediction for a language that was not tested."""
    new = rows[rows["by"] == "new language"].iloc[0]
    sure = f"{100 * (1 - found.rules.alpha):g}%"
    return (
        "The gain measured in one language is noisy, and the largest of several is too large. Here "
        "each is drawn towards the mean of all, by as much as its noise deserves (partial pooling; "
        f"gain of {found.primary.treatment} over {found.primary.baseline} on "
        f"{named(found.primary.target)}, in points). Languages differ by a standard deviation of "
        f"about {new['between']:.1f} points. In a language like these that was not tested, expect "
        f"a gain of {signed(new['gain'])} ({sure} interval {signed(new['ci_low'])} to "
        f"{signed(new['ci_high'])}). These are expectations, not verdicts."
    )


def outlook_table(rows: pd.DataFrame, languages: pd.DataFrame) -> pd.DataFrame:
    """One line per language or group: measured gain, expected gain, interval."""
    names = languages.set_index("code")["name"]
    bounds = zip(rows["ci_low"], rows["ci_high"], strict=True)
    return pd.DataFrame(
        {
            "language": [names.get(level, level) for level in rows["level"]],
            "measured": ["" if pd.isna(gain) else signed(gain) for gain in rows["measured"]],
            "expected": rows["gain"].map(signed).to_list(),
            "interval": [f"{signed(low)} to {signed(high)}" for low, high in bounds],
        }
    )
