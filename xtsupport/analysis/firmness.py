"""The report's section "How firm is it?": other methods, scales, noise, what more would buy."""

import pandas as pd

from xtsupport.analysis import plots
from xtsupport.analysis.distance import distance_slope
from xtsupport.analysis.headline import on_scales
from xtsupport.analysis.material import Material, interval, p_text
from xtsupport.analysis.multiplicity import better_on
from xtsupport.analysis.page import MARKS, Html, bullets, figure, folded, paragraph, table
from xtsupport.analysis.planning import power_sentences
from xtsupport.analysis.power import power_table
from xtsupport.analysis.printed import page_table
from xtsupport.analysis.sensitivity import contradictions, noise, other_methods, stochastic_order
from xtsupport.analysis.views import by_language

MINUS = "\N{MINUS SIGN}"


def firm(found: Material) -> Html:
    """The whole section."""
    single = by_language(found.comparison, found.answer)
    parts = [*methods(found), *scales(found), *languages(found, single)]
    parts += [*distance(found, single), *sources(found), *power(found), *for_paper(found)]
    return Html("".join(parts))


def methods(found: Material) -> list[Html]:
    """The answer's rows by every other method, and which of them disagree."""
    beside = other_methods(found.sums, found.rules, data=found.data)
    against = contradictions(beside, found.rules.alpha)
    names = [f"{row.task} in {row.level} by {row.method}" for row in against.itertuples()]
    verdict = (
        f"They reach another conclusion on {'; '.join(names)}."
        if names
        else "They reach the same conclusion on every row of the answer."
    )
    text = (
        "The intervals above come from the two-way variance with Satterthwaite's degrees of "
        "freedom. Beside it stand the same variance with more cautious degrees of freedom and "
        f"three intervals of the clusters x seeds bootstrap, which make the same claim. {verdict} "
        "Methods that resample clusters only, or swap labels, speak about these trained models, "
        "not about the recipe; they usually find more. Equivalent: p-value of the two one-sided "
        f"tests for a gain within {found.rules.margin:g} points."
    )
    p_values = ["p_value", "holm", "fdr_bh", "romano-wolf", "equivalent"]
    shown = beside[["task", "level", "method", "unit", "gain"]].assign(
        **{"95% interval": interval(beside).where(beside["ci_low"].notna())},
        **{name: beside[name].map(p_text, na_action="ignore") for name in p_values},
    )
    return [paragraph(text), folded("The answer by other methods", table(shown))]


def scales(found: Material) -> list[Html]:
    """The answer's rows on other scales and metrics."""
    rows = on_scales(found.measured, found.rules, found.data)
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


def languages(found: Material, single: pd.DataFrame) -> list[Html]:
    """On how many languages the treatment is better for sure, and all of them one by one."""
    if single.empty:
        return []
    counts = better_on(single, found.rules.alpha)
    lines = [
        f"{row.task}: larger than zero on at least {row.better_on}, smaller on at least "
        f"{row.worse_on} of {row.n_languages} languages."
        for row in counts.itertuples()
    ]
    text = (
        "On how many languages is there surely a gain? Counts that hold at once with "
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


def distance(found: Material, single: pd.DataFrame) -> list[Html]:
    """Picture and table of the slope on distance, where at least four languages have one."""
    place = found.languages.set_index("code")["syntactic"].astype(float)
    if single["level"].map(place).dropna().groupby(single["level"]).first().size < 4:
        return []
    covariates = [
        name
        for name in ("pretraining_gb", "fertility")
        if name in found.languages and found.languages[name].notna().any()
    ]
    slopes = distance_slope(
        found.measured, found.languages, found.rules, adjust_for=covariates, data=found.data
    )
    slopes = slopes.assign(p=slopes["p_value"].map(p_text)).drop(columns="p_value")
    summary = "Slopes: points per tenth of the distance, with languages as a further unit"
    return [
        figure(plots.distance_slope(single, found.languages)),
        folded(summary, table(slopes, digits=2)),
    ]


def sources(found: Material) -> list[Html]:
    """Where the uncertainty comes from, with the mixed model and the order of whole runs."""
    if not found.rules.paired:
        return []
    parts, fit = noise(found.sums, found.rules, found.data)
    text = (
        f"Where the uncertainty of the gain on {found.primary.target} over all languages comes "
        "from: standard deviation of each part in points, and its share of the squared standard "
        "error (variance components in closed form; negative estimates count as none)."
    )
    lines = [mixed_words(fit)] if fit else []
    order = stochastic_order(found.sums, found.rules, found.data)
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
        f"finds {fit['gain']:+.2f} with a standard error of {fit['se']:.2f}; the two-way variance "
        f"{fit['primary_gain']:+.2f} with {fit['primary_se']:.2f}."
    ).replace("-", MINUS)


def power(found: Material) -> list[Html]:
    """What more seeds would find, from this study's own noise; needs two seeds."""
    if found.answer["n_seeds"].min() < 2 or not found.rules.paired:
        return []
    plan = power_table(found.measured, found.rules, questions=(1,), data=found.data)
    picture = plots.mde_picture(plan, "level", "n_seeds", found.rules.margin, found.languages)
    told = folded("What a gain of one point would need", bullets(power_sentences(plan)))
    return [figure(picture), told]


def for_paper(found: Material) -> list[Html]:
    """The answer's p-values and smallest detectable gains in tables that fit a page."""
    tables = [
        part
        for task, rows in found.answer.groupby("task", sort=False)
        for part in (paragraph(task), table(page_table(rows, found.rules.alpha), marks=MARKS))
    ]
    return [folded("p-values and smallest detectable gains (LaTeX: primary.tex)", *tables)]
