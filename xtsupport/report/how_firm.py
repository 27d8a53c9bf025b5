"""The report's section "How firm is it?": other methods, scales, noise, what more would buy."""

import pandas as pd

from xtsupport.report import plots
from xtsupport.report.contents import Contents, gain_head, interval, p_text, with_interval
from xtsupport.report.page import MARKS, Html, bullets, figure, folded, paragraph, table
from xtsupport.report.power_report import power_sentences
from xtsupport.report.score_tables import by_language
from xtsupport.report.sentences import points
from xtsupport.statistics.distance import distance_slope
from xtsupport.statistics.multiplicity import better_on
from xtsupport.statistics.power import power_table
from xtsupport.statistics.primary import on_scales
from xtsupport.statistics.sensitivity import beside_bootstrap, noise

MINUS = "\N{MINUS SIGN}"


def firm(found: Contents) -> Html:
    """The whole section."""
    single = by_language(found.comparison, found.answer)
    order = list(dict.fromkeys(found.answer["task"]))
    single = single.sort_values("task", key=lambda task: task.map(order.index), kind="stable")
    parts = [*methods(found), *scales(found), *languages(found, single)]
    parts += [*distance(found, single), *sources(found), *power(found)]
    return Html("".join(parts))


def methods(found: Contents) -> list[Html]:
    """Whether the bootstrap of the same clusters and seeds says otherwise; intervals, folded."""
    beside = beside_bootstrap(found.evidence)
    shown = beside[["task", "level", "gain"]].assign(
        **{"two-way variance": interval(beside)},
        bootstrap=interval(beside.assign(ci_low=beside["boot_low"], ci_high=beside["boot_high"])),
    )
    summary = f"Both intervals, {100 * (1 - found.rules.alpha):g}%, not corrected"
    return [paragraph(bootstrap_words(beside)), folded(summary, table(shown))]


def bootstrap_words(beside: pd.DataFrame) -> str:
    """One sentence: where the bootstrap differs from the primary method, or that it does not.

    beside: the columns of ``beside_bootstrap``.
    """
    method = "A studentised bootstrap of the same clusters and seeds"
    against = beside[beside["differs"]]
    if against.empty:
        return f"{method} agrees with the primary method (two-way variance) on every row."
    places = ", ".join(f"{row.task} ({row.level})" for row in against.itertuples())
    return (
        f"{method} disagrees with the primary method (two-way variance) on whether the uncorrected "
        f"interval excludes 0 in: {places}. Treat these as open."
    )


def scales(found: Contents) -> list[Html]:
    """The answer's rows on other scales and metrics."""
    rows = on_scales(found.evidence)
    rows[f"{100 * (1 - found.rules.alpha):g}% interval"] = interval(rows)
    rows["p"] = rows["p_value"].map(p_text)
    text = (
        "A conclusion that changes with the metric or the scale is labelled metric-dependent "
        "or scale-dependent in the notes. Below are the answer's rows on every scale: points, "
        "share of the baseline's errors that is gone (percent), and log odds. "
        "These p-values are not adjusted."
    )
    rows = rows.drop(columns=["ci_low", "ci_high", "p_value"])
    return [paragraph(text), folded("The answer on other metrics and scales", table(rows))]


def languages(found: Contents, single: pd.DataFrame) -> list[Html]:
    """On how many languages the treatment is better for sure, and a row for each of them."""
    if single.empty:
        return []
    counts = better_on(single, found.rules.alpha)
    lines = [
        f"{row.task}: a gain on at least {row.better_on}, a loss on at least {row.worse_on} of "
        f"{row.n_languages} languages."
        for row in counts.itertuples()
    ]
    text = (
        "On how many languages is there surely a gain or loss? Counts that hold with "
        f"{100 * (1 - found.rules.alpha):g}% confidence (partial conjunction, Bonferroni, each "
        "direction at half the error rate):"
    )
    shown = single[["task", "level", "n_examples", "baseline_score"]].assign(
        **{gain_head(single, found.rules.alpha): with_interval(single)}, verdict=single["verdict"]
    )
    return [
        paragraph(text),
        bullets(lines),
        folded("The answer language by language", table(shown, marks=MARKS)),
    ]


def distance(found: Contents, single: pd.DataFrame) -> list[Html]:
    """Picture and table of the slope on distance, where at least four languages have one."""
    place = found.languages.set_index("code")["syntactic"].astype(float)
    if single["level"].map(place).dropna().groupby(single["level"]).first().size < 4:
        return []
    slopes = distance_slope(found.evidence)
    slopes["95% interval"], slopes["one left out"] = (
        [f"{low:+.2f} to {high:+.2f}".replace("-", MINUS) for low, high in slopes[ends].to_numpy()]
        for ends in (["ci_low", "ci_high"], ["leave_one_out_low", "leave_one_out_high"])
    )
    slopes["p"] = slopes["p_value"].map(p_text)
    columns = ["task", "adjusted_for", "n_languages", "slope", "95% interval", "p"]
    shown = slopes[[*columns, "one left out", "spearman", "note"]]
    summary = f"Slopes: points per tenth of the distance; unit: {slopes['unit'].iloc[0]}"
    return [
        figure(plots.distance_slope(single, found.languages)),
        folded(summary, table(shown, digits=2)),
    ]


def sources(found: Contents) -> list[Html]:
    """Where the uncertainty comes from."""
    if not found.rules.paired:
        return []
    text = (
        f"Where the uncertainty of the gain on {found.primary.target} over all languages comes "
        "from: standard deviation of each part in points, and its share of the squared standard "
        "error (variance components in closed form; negative estimates count as none)."
    )
    shown = noise(found.evidence).drop(columns="variance")
    return [folded("Where the noise comes from", paragraph(text), table(shown))]


def power(found: Contents) -> list[Html]:
    """What more seeds would find, from this study's own noise; needs two seeds."""
    if found.answer["n_seeds"].min() < 2 or not found.rules.paired:
        return []
    gain = found.rules.margin
    plan = power_table(found.evidence, gain, questions=(1,))
    picture = plots.mde_picture(plan, "level", "n_seeds", found.rules.margin, found.languages)
    told = folded(
        f"What a gain of {points(found.rules.margin)} would need", bullets(power_sentences(plan))
    )
    return [figure(picture), told]
