"""The report's section "How firm is it?": other methods, scales, noise, what more would buy."""

import pandas as pd

from xtsupport.report import plots
from xtsupport.report.contents import Contents, interval, p_text
from xtsupport.report.page import MARKS, Html, bullets, figure, folded, paragraph, table
from xtsupport.report.power_report import power_sentences
from xtsupport.report.print_tables import page_table
from xtsupport.report.score_tables import by_language
from xtsupport.report.sentences import points
from xtsupport.statistics.distance import distance_slope
from xtsupport.statistics.multiplicity import better_on
from xtsupport.statistics.power import power_table
from xtsupport.statistics.primary import on_scales
from xtsupport.statistics.sensitivity import (
    contradictions,
    mixed_check,
    noise,
    other_methods,
    stochastic_order,
)

MINUS = "\N{MINUS SIGN}"


def firm(found: Contents) -> Html:
    """The whole section."""
    single = by_language(found.comparison, found.answer)
    order = list(dict.fromkeys(found.answer["task"]))
    single = single.sort_values("task", key=lambda task: task.map(order.index), kind="stable")
    parts = [*methods(found), *scales(found), *languages(found, single)]
    parts += [*distance(found, single), *sources(found), *power(found), *for_paper(found)]
    return Html("".join(parts))


def methods(found: Contents) -> list[Html]:
    """The answer's rows by every other method, and which of them disagree."""
    beside = other_methods(found.evidence)
    against = contradictions(beside, found.rules.alpha)
    verdict = "They disagree on:" if len(against) else "They agree on every row of the answer."
    text = (
        "The answer comes from the two-way variance with Satterthwaite's degrees of freedom. "
        "Beside it stand three intervals of the clusters x seeds bootstrap, which make the same "
        "claim; all intervals here are unadjusted. Methods "
        "that resample clusters only, or swap labels, speak about these trained models, not about "
        "the recipe; they usually find more. Equivalent: p-value of the two one-sided tests for a "
        f"gain within {points(found.rules.margin)}. {verdict}"
    )
    lines = [
        f"{method}: {', '.join(f'{row.task} in {row.level}' for row in rows.itertuples())}"
        for method, rows in against.groupby("method", sort=False)
    ]
    if len(against) and found.answer["n_seeds"].min() < 5:
        lines.append(
            "With fewer than five seeds the percentile and bca intervals are too short where runs "
            "make most of the noise; the studentised one is not."
        )
    return [
        paragraph(text),
        bullets(lines),
        folded("Intervals by other methods", table(side_by_side(beside))),
        folded("p-values by other methods", table(p_values(beside))),
    ]


def side_by_side(beside: pd.DataFrame) -> pd.DataFrame:
    """One line per row of the answer: its interval by every method, under the method's unit."""
    first = beside.drop_duplicates(["task", "level"]).set_index(["task", "level"])
    wide = {("", "gain"): first["gain"]}
    fixed = beside["unit"].eq("clusters") & beside["method"].ne("bootstrap, percentile")
    known = beside[beside["ci_low"].notna() & ~fixed]
    for (unit, method), rows in known.groupby(["unit", "method"], sort=False):
        name = method.removeprefix("bootstrap, ")
        wide[unit, name] = interval(rows.set_index(["task", "level"]))
    return with_labels(pd.DataFrame(wide), first)


def p_values(beside: pd.DataFrame) -> pd.DataFrame:
    """One line per row of the answer: every p-value, under what it resamples."""
    keys = ["task", "level"]
    own, drawn, fixed, flipped = (
        beside[(beside["method"] == method) & beside["unit"].str.startswith(unit)].set_index(keys)
        for method, unit in (
            ("two-way variance", ""),
            ("bootstrap, percentile", "clusters x"),
            ("bootstrap, percentile", "clusters"),
            ("sign-flip", ""),
        )
    )
    fixed = fixed[fixed["unit"] == "clusters"]
    unit = own["unit"].iloc[0]
    names = {"p_value": "two-way", "holm": "Holm", "fdr_bh": "BH"}
    wide = {(unit, name): own[column] for column, name in names.items()}
    wide |= {(unit, "equivalent"): own["equivalent"], (unit, "bootstrap"): drawn["p_value"]}
    wide["clusters", "bootstrap"] = fixed["p_value"]
    wide["labels", "sign-flip"] = flipped["p_value"]
    return with_labels(pd.DataFrame(wide).map(p_text), own)


def with_labels(wide: pd.DataFrame, rows: pd.DataFrame) -> pd.DataFrame:
    """A table of two rows of headings, with task and level of its index in front."""
    labels = wide.index.to_frame()
    wide.insert(0, ("", "task"), labels["task"])
    wide.insert(1, ("", "level"), labels["level"])
    return wide.loc[rows.index]


def scales(found: Contents) -> list[Html]:
    """The answer's rows on other scales and metrics."""
    rows = on_scales(found.evidence)
    rows["95% interval"] = interval(rows)
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
    shown = single[["task", "level", "n_examples", "baseline_score", "gain", "verdict"]]
    shown = shown.assign(interval=interval(single), mde=single["mde"])
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
    """Where the uncertainty comes from, with the mixed model and the order of whole runs."""
    if not found.rules.paired:
        return []
    parts = noise(found.evidence)
    fit = mixed_check(found.evidence)
    text = (
        f"Where the uncertainty of the gain on {found.primary.target} over all languages comes "
        "from: standard deviation of each part in points, and its share of the squared standard "
        "error (variance components in closed form; negative estimates count as none)."
    )
    lines = [mixed_words(fit)] if fit else []
    order = stochastic_order(found.evidence)
    if order:
        lines.append(
            f"Almost stochastic order of the {order['n_seeds']} runs a side: epsilon is at most "
            f"{order['epsilon_min']:.2f}. Below 0.5 the runs of {found.primary.treatment} are "
            "almost always the better ones; without pairing, an addition to the gain."
        )
    shown = parts.drop(columns="variance")
    body = [paragraph(text), table(shown), bullets(lines)]
    return [folded("Where the noise comes from", *body)]


def mixed_words(fit: dict) -> str:
    """What the mixed model says, beside the primary method."""
    if not fit["converged"]:
        return "A mixed model with crossed random clusters and seeds did not converge."
    return (
        "A mixed model with crossed random clusters and seeds (statsmodels, on joined clusters) "
        f"finds {fit['gain']:.2f} points with a standard error of {fit['se']:.2f}; the two-way "
        f"variance {fit['primary_gain']:.2f} with {fit['primary_se']:.2f}."
    )


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


def for_paper(found: Contents) -> list[Html]:
    """The answer's p-values and smallest detectable gains in tables that fit a page."""
    tables = [
        part
        for task, rows in found.answer.groupby("task", sort=False)
        for part in (paragraph(task), table(page_table(rows, found.rules.alpha), marks=MARKS))
    ]
    return [folded("p-values and smallest detectable gains (LaTeX: primary.tex)", *tables)]
