"""The report's sections on how firm the answer is: runs, other methods and scales, noise, power;
and on what to expect in a language.
"""

import pandas as pd

from xtsupport.report import gain_plots
from xtsupport.report.answer import gain_words
from xtsupport.report.comparison_rows import nearest_first
from xtsupport.report.contents import Contents
from xtsupport.report.names import metric_name, side_name, task_name
from xtsupport.report.numbers import MINUS, ends, interval, p_text, points, signed
from xtsupport.report.page import Block, bullets, folded, paragraph, picture, table
from xtsupport.report.paper_sentences import sentence
from xtsupport.report.power_report import mde_picture, power_sentences
from xtsupport.statistics.components import uncertainty_shares
from xtsupport.statistics.distance import distance_slope
from xtsupport.statistics.pooling import outlook
from xtsupport.statistics.sensitivity import on_scales
from xtsupport.statistics.single_runs import leave_one_out, outlying, run_scores, scatter
from xtsupport.statistics.verdicts import better_on

ONE_RUN = "Each condition has one run, so nothing can be said about other runs."


def firm(found: Contents) -> list[Block]:
    """The whole section: sentences first, the tables behind them folded."""
    if found.answer["n_seeds"].max() < 2:
        runs = [paragraph(ONE_RUN)]
    else:
        runs = [bullets([*far_out(found), *without_one(found)])]
    return [*runs, *methods(found), *power(found), *runs_table(found), *scales(found),
            *noise_shares(found), *in_words(found)]  # fmt: skip


def runs_table(found: Contents) -> list[Block]:
    """Standard deviation of the runs of every condition."""
    if found.answer["n_seeds"].max() < 2:
        return []
    text = (
        "Standard deviation of the runs of one condition, in points (mean over the languages not "
        "trained on, official metric)."
    )
    shown = named_tasks(scatter(found.evidence).rename(columns=task_name))
    shown["condition"] = shown["condition"].map(side_name)
    return [folded("How far apart runs are", paragraph(text), table(shown))]


def far_out(found: Contents) -> list[str]:
    """A line per condition with a run far from its fellows, with all their scores."""
    scores, far = run_scores(found.evidence), outlying(found.evidence)
    lines = []
    for row in far.itertuples():
        mine = scores[(scores["condition"] == row.condition) & (scores["task"] == row.task)]
        listed = ", ".join(f"{score:.1f}" for score in mine["score"])
        lines.append(
            f"{task_name(row.task)}, {side_name(row.condition)}: the runs score {listed}; seed "
            f"{row.seed} lies {abs(row.score - row.others):.1f} points from the mean of the "
            f"others, where the usual standard deviation of runs is {row.usual:.1f}."
        )
    return lines or ["No run is an outlier within its condition."]


def without_one(found: Contents) -> list[str]:
    """The range of the primary gain when one run of each side is left out, per level."""
    rows = nearest_first(leave_one_out(found.evidence), found.languages, "task")
    rows = rows[rows["task"] == found.primary.target]
    return [
        f"Without one run, the gain on {task_name(row.task)} "
        f"{'over all languages' if row.level == 'all' else f'in {row.level}'}, {signed(row.gain)}, "
        f"lies between {signed(row.lowest)} and {signed(row.highest)}."
        for row in rows.itertuples()
    ]


def methods(found: Contents) -> list[Block]:
    """Whether the bootstrap of the same clusters and seeds says otherwise; intervals, folded."""
    if found.answer["n_seeds"].max() < 2:
        return [paragraph(bootstrap_words(found))]
    beside = found.beside
    shown = beside[["task", "level", "gain"]].assign(
        **{"two-way variance": interval(beside)},
        bootstrap=interval(beside.assign(ci_low=beside["boot_low"], ci_high=beside["boot_high"])),
    )
    summary = f"Both intervals, {100 * (1 - found.rules.alpha):g}%, not corrected"
    return [paragraph(bootstrap_words(found)), folded(summary, table(named_tasks(shown)))]


def bootstrap_words(found: Contents) -> str:
    """One sentence: where the bootstrap differs from the primary method, or that it does not."""
    method = "A studentised bootstrap of the same clusters and seeds"
    if found.answer["n_seeds"].max() < 2:
        return "One seed does not show how much runs vary, so a bootstrap of seeds says nothing."
    if not found.answer["verdict"].isin(["improves", "harms"]).any():
        return "Nothing was found, so there is nothing for a bootstrap to confirm."
    against = found.beside[found.beside["differs"]]
    if against.empty:
        return (
            f"{method} agrees with the primary method (two-way variance): before correction, its "
            "interval excludes 0 for every finding."
        )
    places = ", ".join(f"{task_name(row.task)} ({row.level})" for row in against.itertuples())
    return (
        f"{method} disagrees with the primary method (two-way variance) on whether the uncorrected "
        f"interval excludes 0 in: {places}. Treat these as inconclusive."
    )


def scales(found: Contents) -> list[Block]:
    """The answer's rows on other scales and metrics."""
    rows = on_scales(found.evidence)
    rows[f"{100 * (1 - found.rules.alpha):g}% interval"] = interval(rows)
    rows["p"] = rows["p_value"].map(p_text)
    text = (
        "The same comparisons in points, as the share of the baseline's errors removed (percent), "
        "and in log odds; p-values are not adjusted. A conclusion that changes with the metric or "
        "the scale is marked metric-dependent or scale-dependent in significance.csv."
    )
    rows["gain"] = rows["gain"].map(signed)
    rows = named_tasks(rows.drop(columns=["ci_low", "ci_high", "p_value"]))
    return [folded("The answer on other metrics and scales", paragraph(text), table(rows))]


def noise_shares(found: Contents) -> list[Block]:
    """Where the uncertainty comes from; needs two seeds."""
    if not found.rules.paired or found.answer["n_seeds"].min() < 2:
        return []
    text = (
        f"Where the uncertainty of the gain on {task_name(found.primary.target)} over all "
        "languages comes from: the standard deviation of each part in points and its share of the "
        "squared standard error (variance components in closed form; negative estimates count as "
        "zero)."
    )
    shown = uncertainty_shares(found.evidence).drop(columns="variance")
    return [folded("Where the noise comes from", paragraph(text), table(shown))]


def power(found: Contents) -> list[Block]:
    """What more seeds would find, from this study's own noise; needs two seeds."""
    plan = found.power
    if plan is None:
        return []
    drawn = mde_picture(plan, found.rules.margin, found.languages)
    told = power_sentences(plan[plan["level"] == "all"])[0]
    summary = f"What a gain of {points(found.rules.margin)} would need"
    return [folded(summary, paragraph(told), picture(drawn))]


def in_words(found: Contents) -> list[Block]:
    """A sentence per row of the answer, as one could write it in a paper."""
    rules, data = found.rules, found.evidence.data
    rows = found.drawn.to_dict("records")
    lines = [sentence(row, rules, data) for row in rows]
    return [folded("The answer in sentences for a paper", bullets(lines))]


def in_languages(found: Contents) -> list[Block]:
    """Gains by distance from English, what to expect in a language, and on how many it is sure."""
    single = found.single
    order = list(dict.fromkeys(found.answer["task"]))
    single = single.sort_values("task", key=lambda task: task.map(order.index), kind="stable")
    return [*distance(found, single), *expected(found), *sure_languages(found, single)]


def distance(found: Contents, single: pd.DataFrame) -> list[Block]:
    """Picture and table of the slope on distance, where at least four languages have one."""
    if not has_slope(found, single):
        return []
    slopes = distance_slope(found.evidence)
    slopes["95% interval"], slopes["one left out"] = (
        [f"{low:+.2f} to {high:+.2f}".replace("-", MINUS) for low, high in slopes[pair].to_numpy()]
        for pair in (["ci_low", "ci_high"], ["leave_one_out_low", "leave_one_out_high"])
    )
    slopes["p"] = slopes["p_value"].map(p_text)
    columns = ["task", "adjusted_for", "n_languages", "slope", "95% interval", "p"]
    shown = slopes[[*columns, "one left out", "spearman", "note"]]
    summary = f"Slopes: points per tenth of the distance; unit: {slopes['unit'].iloc[0]}"
    target = single[single["task"] == found.primary.target]
    return [
        picture(gain_plots.distance_slope(target, found.languages)),
        folded(summary, table(named_tasks(shown), digits=2)),
    ]


def has_slope(found: Contents, single: pd.DataFrame) -> bool:
    """Whether at least four languages have a distance; single: rows by language."""
    place = found.languages.set_index("code")["syntactic"].astype(float)
    return single["level"].map(place).dropna().groupby(single["level"]).first().size >= 4


def expected(found: Contents) -> list[Block]:
    """Gains drawn towards their common mean, per language, per group, and for a new language."""
    rows = outlook(found.evidence)
    if rows.empty:
        return [paragraph(outlook_words(found, rows))]
    rows = nearest_first(rows, found.languages, "by")
    each = rows[rows["by"].isin(["language", "new language"])]
    groups = rows[(rows["by"] == "group") & (rows["n_languages"] > 1)]
    parts = [table(outlook_table(part, found.languages)) for part in (each, groups) if len(part)]
    summary = "What to expect in each language"
    return [paragraph(outlook_words(found, rows)), folded(summary, *parts)]


def outlook_words(found: Contents, rows: pd.DataFrame) -> str:
    """What the table holds, and the prediction for a language that was not tested; or why there is
    none."""
    if rows.empty and found.answer["n_seeds"].max() < 2:
        return "One seed says nothing about other runs, and so not what to expect in a language."
    if rows.empty:
        return "With fewer than three languages, nothing can be said about others."
    new = rows[rows["by"] == "new language"].iloc[0]
    sure = f"{100 * (1 - found.rules.alpha):g}%"
    return (
        f"In a language like these that was not tested, expect a gain of {signed(new['gain'])} "
        f"points on {task_name(found.primary.target)} ({sure} interval {signed(new['ci_low'])} to "
        f"{signed(new['ci_high'])}). Gains of single languages are noisy, and the largest of "
        "several is usually too large; here each is shrunk towards the overall mean, noisier ones "
        "more (partial pooling). Languages may differ by a standard deviation of "
        f"{ends(new['between_low'], new['between_high'])} points. These are expectations, not "
        "verdicts."
    )


def outlook_table(rows: pd.DataFrame, languages: pd.DataFrame) -> pd.DataFrame:
    """One line per language or group: measured gain, expected gain, interval."""
    names = languages.set_index("code")["name"]
    shown = pd.DataFrame({"language": [names.get(level, level) for level in rows["level"]]})
    shown["measured"] = ["" if pd.isna(gain) else signed(gain) for gain in rows["measured"]]
    shown["expected"] = rows["gain"].map(signed).to_list()
    shown["interval"] = list(map(ends, rows["ci_low"], rows["ci_high"]))
    return shown


def sure_languages(found: Contents, single: pd.DataFrame) -> list[Block]:
    """On how many languages the treatment is surely better; single: rows by language."""
    if single.empty:
        return []
    lines = [
        f"{task_name(row.task)}: a gain in at least {row.better_on} of {row.n_languages} "
        f"languages, a loss in at least {row.worse_on}."
        for row in better_on(single, found.rules.alpha).itertuples()
    ]
    text = (
        f"Counts that hold with {100 * (1 - found.rules.alpha):g}% confidence (partial "
        "conjunction, Bonferroni, each direction at half the error rate):"
    )
    summary = "In how many languages a gain or a loss is certain"
    return [folded(summary, paragraph(text), bullets(lines))]


def named_tasks(frame: pd.DataFrame) -> pd.DataFrame:
    """A table with tasks and metrics as people write them, its columns without underscores."""
    for column, names in (("task", task_name), ("metric", metric_name)):
        if column in frame:
            frame = frame.assign(**{column: frame[column].map(names)})
    return frame.rename(columns=lambda name: name.replace("_", " "))


def fewer_targets(found: Contents, rows: pd.DataFrame) -> list[Block]:
    """Which levels lack some of the other targets, and what theirs are; rows: of the rests."""
    rows = rows[rows["task"] == "rest"]
    held = rows["note"].str.extract(r"mean of ([^;]+)")[0].str.split(", ").set_axis(rows["level"])
    fewer = held[held.str.len() < held.str.len().max()]
    if fewer.empty:
        return []
    data = found.evidence.data
    told = [f"{level} ({', '.join(task_name(one, data) for one in names)})"
            for level, names in fewer.items()]  # fmt: skip
    return [paragraph(f"With fewer of the other targets: {', '.join(told)}.")]


def level_table(rows: pd.DataFrame, by: str) -> pd.DataFrame:
    """One line per level: the gain with interval and verdict of every task, side by side."""
    wide = rows.assign(text=[gain_words(row) for row in rows.to_dict("records")])
    most = rows.groupby("task")["n_seeds"].max()
    names = {task: task_name(task) + (f", {n} seeds" if most.nunique() > 1 else "")
             for task, n in most.items()}  # fmt: skip
    wide = wide.pivot_table(index="level", columns="task", values="text", aggfunc="first",
                            sort=False, observed=True)  # fmt: skip
    wide = wide.rename(columns=names, index={"all": "all languages"}).fillna("\N{EN DASH}")
    return wide.rename_axis(index=by, columns=None).reset_index()
