"""The study's answer in a few lines, with sizes, intervals and verdicts.

The page, the terminal, notebook 07 and README take their words from here. Each number is one of a
row of the comparison; an interval is the one that belongs to the verdict.
"""

from collections.abc import Mapping

import pandas as pd

from xtsupport.report import style
from xtsupport.report.comparison_rows import answer_rows
from xtsupport.report.contents import Contents
from xtsupport.report.names import metric_name, side_name, task_name
from xtsupport.report.numbers import counted, ends, p_equation, points, signed_gain
from xtsupport.report.paper_sentences import scarce
from xtsupport.sides import bare, short_name, side
from xtsupport.statistics.contrasts import sides
from xtsupport.statistics.declared import apart, few_seeds, plural
from xtsupport.statistics.heterogeneity import heterogeneity

LISTED = 7  # levels of one verdict that a line names
STEPS = "the same number of steps spent on the target's training set"
FIRST = {  # verdict -> the heading of the page
    "improves": "Training on {who} first improves {where}",
    "harms": "Training on {who} first makes {where} worse",
    "equivalent": "Training on {who} first changes {where} by less than {margin}",
    "undetermined": "It is unclear whether training on {who} first helps {where}",
    "too few": "Too few {scarce} to say whether training on {who} first helps {where}",
}
AGAINST = {  # the same where the baseline is another condition, or a system from elsewhere
    "improves": "{who} scores higher on {where} than {base}",
    "harms": "{who} scores lower on {where} than {base}",
    "equivalent": "{who} and {base} score within {margin} of each other on {where}",
    "undetermined": "It is unclear whether {who} or {base} scores higher on {where}",
    "too few": "Too few {scarce} to say whether {who} beats {base} on {where}",
}


def in_short(found: Contents) -> list[str]:
    """The answer to the question's three parts, a line each; the first over all languages."""
    rest = (by_level, rests, families_differ, other_settings, unpaired)
    return [one_sentence(found), *(line for part in rest for line in part(found))]


def title(found: Contents) -> str:
    """The answer as a heading: what was found, and how it stands to the step-matched control."""
    primary, data = found.primary, found.evidence.data
    row, first = found.overall, bare(primary.baseline) == "none"
    who, where = side_name(primary.treatment, data), task_name(primary.target, data)
    base = base_words(found)
    told = (FIRST if first else AGAINST)[row["verdict"]]
    text = told.format(who=who, base=base, where=where, margin=points(found.rules.margin),
                       scarce=scarce(row))  # fmt: skip
    if row["verdict"] == "improves" and found.control:
        text += AGAINST_STEPS[found.over_control["verdict"]]
    return text + doubt(found)


def doubt(found: Contents) -> str:
    """What to add to a finding over all languages that the bootstrap does not share; or nothing."""
    return "; a bootstrap is inconclusive" if len(found.doubted) else ""


def base_words(found: Contents) -> str:
    """The baseline; where it is the treatment's step-matched control, what that is."""
    return STEPS if found.matched else side_name(found.primary.baseline, found.evidence.data)


AGAINST_STEPS = {
    "improves": ", and by more than as many further steps on the target's training set",
    "harms": ", but by less than as many further steps on the target's training set",
    "equivalent": ", but no more than as many further steps on the target's training set",
    "undetermined": "; whether by more than further steps on the target's training set is unclear",
    "too few": "; too few seeds to compare with further steps on the target's training set",
}


def one_sentence(found: Contents) -> str:
    """Gain on the target with interval and verdict, and the step-matched control beside it."""
    primary, data = found.primary, found.evidence.data
    row, who = found.overall, side_name(primary.treatment, data)
    over = (
        f"{who} against {base_words(found)}" if bare(primary.baseline) != "none" else f"{who} first"
    )
    count = "one language" if row["n_languages"] == 1 else f"{row['n_languages']} languages"
    where = f"{task_name(primary.target, data)} {metric_name(primary.metric)}"
    gain = gain_words(row, f" over {count}") + doubt(found)
    parts = [f"{over}: {where} {gain}", control_words(found)]
    return f"{'; '.join(filter(None, parts))}."


def control_words(found: Contents) -> str:
    """`against the same number of steps ...: -1.6 (-3.2 to 0.0), undetermined`, if it was run."""
    treatment, baseline = found.primary.treatment, found.primary.baseline
    if found.control:
        row = found.over_control
        seeds = fewer_seeds(found, row)
        return f"against {STEPS} instead{', ' * bool(seeds)}{seeds}: {gain_words(row)}"
    if bare(baseline) != "none" or "~" in treatment:
        return ""
    return f"there is no control with {STEPS} (none~{bare(treatment)})"


def fewer_seeds(found: Contents, row: Mapping) -> str:
    """`on the 5 seeds that all targets have`, of a row on fewer than the answer; or nothing."""
    if row["n_seeds"] >= found.overall["n_seeds"]:
        return ""
    owners = "both conditions" if row["task"] == found.primary.target else "all targets"
    return f"on the {counted(row['n_seeds'], 'seed')} that {owners} have"


def gain_words(row: Mapping, where: str = "") -> str:
    """`+1.4 (-0.3 to 3.0), undetermined`, with a true minus; of a difference larger or smaller."""
    numbers = f"{signed_gain(row['gain'])} ({ends(row['ci_low'], row['ci_high'])})"
    return f"{numbers}{where}, {verdict_words(row)}"


def verdict_words(row: Mapping) -> str:
    """The verdict: of a difference of gains `larger` or `smaller`; what there is too few of."""
    verdict = row["verdict"]
    if verdict == "too few":
        return f"too few {scarce(row)} for a verdict"
    if " - " in row["task"]:
        return {"improves": "larger", "harms": "smaller"}.get(verdict, verdict)
    return verdict


def by_level(found: Contents) -> list[str]:
    """The verdicts on the target per level, unless the answer is one average."""
    if found.primary.by == "all":
        return []
    rows = found.answer[found.answer["task"] == found.primary.target]
    name = task_name(found.primary.target, found.evidence.data)
    return [f"{name} by {found.primary.by}: {tally(rows, found.primary.by)}."]


def rests(found: Contents) -> list[str]:
    """The gain on the rest and the difference to it: by official metrics, and by F1 alone."""
    have = set(found.answer["task"])
    kinds = {"rest": "by official metrics", "rest (f1)": "only those scored by F1"}
    lines = [rest_line(found, rest, kind) for rest, kind in kinds.items() if rest in have]
    if lines and len(lines) == 1:
        lines.append(same_rest(found))
    return lines


def rest_line(found: Contents, rest: str, kind: str) -> str:
    """One line on a rest: its targets, the gain, and the primary gain minus that."""
    primary, data = found.primary, found.evidence.data
    rows = answer_rows(found.comparison, primary, found.languages, "all")
    part, difference = (rows[rows["task"] == n] for n in (rest, f"{primary.target} - {rest}"))
    targets = part["note"].str.extract(r"mean of ([^;]+)")[0].iloc[0]
    named = ", ".join(task_name(each, data) for each in targets.split(", "))
    seeds = fewer_seeds(found, difference.iloc[0])
    gap = f"the gain on {task_name(primary.target, data)} minus that{', ' * bool(seeds)}{seeds}: "
    text = f"The other targets, {kind} ({named}): {gain_words(part.iloc[0])}; {gap}"
    text += gain_words(difference.iloc[0])
    if primary.by != "all":
        levels = found.answer[found.answer["task"] == f"{primary.target} - {rest}"]
        text += f"; by {primary.by} {tally(levels, primary.by)}"
    return f"{text}."


def same_rest(found: Contents) -> str:
    """Why there is no F1 rest of its own."""
    facts, target = found.evidence.facts, found.primary.target
    rest = [one for name, one in facts.items() if name != target and one.kind != "retrieval"]
    if any(one.metric == "f1" for one in rest):
        return "All of them are scored by F1, so both rests coincide."
    return "None of them is scored by F1: there is no F1-native rest to compare with."


def tally(rows: pd.DataFrame, by: str) -> str:
    """`improves in 3 of 5 groups (Kindric, ...), undetermined in 2 (...)`."""
    verdicts = [verdict_words(row) for row in rows.to_dict("records")]
    if len(set(verdicts)) == 1:
        all_of_them = f"all {len(rows)} {plural(by)}" if len(rows) > 1 else f"the one {by}"
        return f"{verdicts[0]} in {all_of_them}"
    parts: list[str] = []
    for verdict in dict.fromkeys(verdicts):
        names = [level for level, each in zip(rows["level"], verdicts, strict=True)
                 if each == verdict]  # fmt: skip
        of = f" of {len(rows)} {plural(by)}" if not parts else ""
        listed = f" ({', '.join(names)})" if len(names) <= LISTED else ""
        parts.append(f"{verdict} in {len(names)}{of}{listed}")
    return ", ".join(parts)


def families_differ(found: Contents) -> list[str]:
    """Whether the levels differ in their gain on the target, with the joint test."""
    by = apart(found.primary.by)
    test = heterogeneity(found.evidence, by)
    if test.empty:
        return []
    row = test.iloc[0]
    if row["df2"] <= 0:
        return [f"Whether {plural(by)} differ cannot be tested: too few clusters of questions."]
    seeds = found.answer["n_seeds"].max()
    few = few_seeds(found.rules.unit, seeds)
    limit = "; about other questions, not about other runs" if seeds < 2 else ""
    differ = "differs" if row["p_value"] <= found.rules.alpha else "does not differ detectably"
    gain = f"gain on {task_name(found.primary.target, found.evidence.data)}"
    told = f"The {gain} {differ} between {plural(by)}"
    if few:
        told = f"Too few seeds to say whether the {gain} differs between {plural(by)}"
    depends = f" ({row['depends_on']})" if row["depends_on"] else ""
    return [
        f"{told}: the largest is {row['spread']:.1f} points above the smallest, "
        f"F({row['df1']}, {row['df2']:.0f}) = {row['statistic']:.1f}, "
        f"{p_equation(row['p_value'])}{depends}{limit}{single_languages(found, by)}."
    ]


def single_languages(found: Contents, by: str) -> str:
    """`; 5 of the 6 families have a single language here`; empty where none has."""
    rows = found.drawn[found.drawn["by"].eq(by) & found.drawn["task"].eq(found.primary.target)]
    alone = int((rows["n_languages"] == 1).sum())
    if by == "language" or not alone:
        return ""
    verb = "has" if alone == 1 else "have"
    return f"; {alone} of the {len(rows)} {plural(by)} {verb} a single language here"


def other_settings(found: Contents) -> list[str]:
    """Which runs the answer is about, where the treatment was run with several settings."""
    mine = side(found.primary.treatment)
    alike = [one for one in sides(found.evidence.moments)
             if (bare(one[0]), one[1]) == (bare(mine[0]), mine[1]) and one != mine]  # fmt: skip
    if not alike:
        return []
    names = [side_name(short_name(one), found.evidence.data) for one in alike]
    return [
        f"All this is about {side_name(found.primary.treatment, found.evidence.data)}, not about "
        f"{', '.join(names)}; to see those, choose their settings in notebook 07."
    ]


def unpaired(found: Contents) -> list[str]:
    """What is not compared, although both sides were run."""
    data = found.evidence.data
    return [
        f"Not compared on {task_name(task, data)}: "
        f"{' and '.join(side_name(short_name(one), data) for one in pair)}, which have no seed in "
        "common."
        for task, pair in found.evidence.unpaired
    ]


def closing(found: Contents) -> list[str]:
    """The answer for a terminal: its lines, and a table of the levels with their verdicts."""
    primary, rows = found.primary, found.answer_drawn.replace({"level": {"all": "all languages"}})
    steps = "gain over the same number of steps"
    heads = [steps if found.matched else f"gain over {side_name(primary.baseline)}", steps]
    wide = rows.assign(text=[gain_words(row) for row in rows.to_dict("records")]).pivot_table(
        index="level", columns="baseline", values="text", aggfunc="first", sort=False
    )
    first = rows.drop_duplicates("level")
    name = f"{task_name(primary.target)} {metric_name(primary.metric)}, in points"
    table = [
        [name, "languages", *heads[: wide.shape[1]]],
        *zip(
            wide.index, first["n_languages"].astype(str), *wide.fillna("").to_numpy().T, strict=True
        ),
    ]
    widths = [max(map(len, column)) for column in zip(*table, strict=True)]
    named = f"From {style.ORIGIN}:" if style.ORIGIN not in ("", style.SIMULATED) else ""
    return [
        *filter(None, [named]),
        *in_short(found),
        "",
        *("  ".join(map(str.ljust, line, widths)).rstrip() for line in table),
    ]
