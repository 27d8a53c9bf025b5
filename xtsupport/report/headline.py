"""The study's answer in a few lines, with sizes, intervals and verdicts: for page, notebook, prose.

Each number is one of a row of the comparison; an interval is the one that belongs to the verdict.
"""

from collections.abc import Mapping
from dataclasses import replace

import pandas as pd

from xtsupport.report.contents import Contents, p_words
from xtsupport.report.score_tables import answer_rows
from xtsupport.report.sentences import METRICS, ends, scarce
from xtsupport.sides import short_name, side
from xtsupport.statistics.declared import apart, plural
from xtsupport.statistics.primary import heterogeneity

NAMES = {
    "xquad": "XQuAD", "mlqa": "MLQA", "tydiqa": "TyDiQA", "xnli": "XNLI", "pawsx": "PAWS-X",
    "udpos": "UDPOS", "panx": "PAN-X", "bucc": "BUCC", "tatoeba": "Tatoeba", "squad": "SQuAD",
    "squad_v2": "SQuAD v2", "mnli": "MNLI", "qqp": "QQP", "anli_plus": "ANLI+", "ccg": "CCG",
    "hellaswag": "HellaSwag", "cosmos_qa": "Cosmos QA", "commonsense_qa": "CommonsenseQA",
    "all": "all tasks at once",
}  # fmt: skip


def in_short(found: Contents) -> list[str]:
    """The answer to the question's three parts, a line each; the first over all languages."""
    return [one_sentence(found), *by_level(found), *rests(found), *families_differ(found)]


def one_sentence(found: Contents) -> str:
    """Gain on the target with interval and verdict, and the step-matched control beside it."""
    primary = found.primary
    target = answer_rows(found.comparison, primary, found.languages, by="all")
    row = target[target["task"] == primary.target].iloc[0]
    metric = METRICS.get(primary.metric, primary.metric).removesuffix(" points")
    over = " first" if primary.baseline == "none" else f" against {primary.baseline}"
    control = control_words(found)
    count = "one language" if row["n_languages"] == 1 else f"{row['n_languages']} languages"
    return (
        f"{named(primary.treatment)}{over}: {named(primary.target)} "
        f"{metric.removeprefix('points of ')} {gain_words(row, f' over {count}')}"
        f"{'; ' * bool(control)}{control}."
    )


def control_words(found: Contents) -> str:
    """`against the same number of steps ...: -1.6 (-3.2 to 0.0), undetermined`, if it was run."""
    primary = found.primary
    condition, variant = side(primary.treatment)
    control = short_name((f"none~{condition}", variant))
    against = replace(primary, baseline=control)
    rows = answer_rows(found.comparison, against, found.languages, by="all")
    rows = rows[rows["task"] == against.target]
    if primary.baseline != "none":
        return ""
    if rows.empty:
        return f"no comparison with as many steps without it ({control}) in this table"
    return (
        "against the same number of steps spent on the target's training set: "
        f"{gain_words(rows.iloc[0])}"
    )


def gain_words(row: Mapping, where: str = "") -> str:
    """`+1.4 (-0.3 to 3.0), undetermined`, with a true minus; of a difference larger or smaller."""
    verdict = row["verdict"]
    if verdict == "too few":
        verdict = f"too few {scarce(row)} for a verdict"
    elif " - " in row["task"]:
        verdict = {"improves": "larger", "harms": "smaller"}.get(verdict, verdict)
    numbers = f"{row['gain']:+.1f} ({ends(row['ci_low'], row['ci_high'])})"
    return f"{numbers}{where}, {verdict}".replace("-", "\N{MINUS SIGN}")


def named(name: str) -> str:
    """A task or condition as people write it."""
    return NAMES.get(name, name)


def by_level(found: Contents) -> list[str]:
    """The verdicts on the target per level, unless the answer is one average."""
    if found.primary.by == "all":
        return []
    rows = found.answer[found.answer["task"] == found.primary.target]
    words = scores_words(found.primary.baseline)
    told = tally(rows, found.primary.by, words)
    return [f"On {named(found.primary.target)}, {found.primary.treatment} {told}"]


def rests(found: Contents) -> list[str]:
    """The gain on the rest and the difference to it: by official metrics, and by F1 alone."""
    have = set(found.answer["task"])
    kinds = {"rest": "by official metrics", "rest (f1)": "only those scored by F1"}
    lines = [rest_line(found, rest, kind) for rest, kind in kinds.items() if rest in have]
    if lines and len(lines) == 1:
        lines.append(same_rest(found))
    return lines


def rest_line(found: Contents, rest: str, kind: str) -> str:
    """One line on a rest: its targets, the gain, and the primary gain less that."""
    primary, rows = found.primary, found.answer
    part, difference = (rows[rows["task"] == n] for n in (rest, f"{primary.target} - {rest}"))
    targets = part["note"].str.extract(r"mean of ([^;]+)")[0].iloc[0]
    targets = ", ".join(map(named, targets.split(", ")))
    head = f"The other targets, {kind} ({targets}): "
    if primary.by == "all":
        gap = f"; the gain on {named(primary.target)} less that: {gain_words(difference.iloc[0])}"
        return f"{head}{gain_words(part.iloc[0])}{gap}."
    words = scores_words(primary.baseline)
    told = tally(part, primary.by, words), tally(difference, primary.by, GAINS)
    return f"{head}{primary.treatment} {told[0]} The gain on {named(primary.target)} {told[1]}"


def same_rest(found: Contents) -> str:
    """Why there is no F1 rest of its own."""
    facts, target = found.evidence.facts, found.primary.target
    rest = [one for name, one in facts.items() if name != target and one.kind != "retrieval"]
    if any(one.metric == "f1" for one in rest):
        return "All of them are scored by F1, so both rests coincide."
    return "None of them is scored by F1: there is no F1-native rest to compare with."


def tally(rows: pd.DataFrame, by: str, words: Mapping[str, str]) -> str:
    """`scores above none in 3 of 5 groups (Kindric, ...); cannot be distinguished from none in 2
    (...).`; of one average, `scores above none over all 10 languages.`

    words: verdict -> what to say of it, in the order wanted.
    """
    if by == "all":
        row = rows.iloc[0]
        return f"{words[row['verdict']]} over all {row['n_languages']} languages."
    parts: list[str] = []
    if rows["verdict"].nunique() == 1 and len(rows) > 1:
        return f"{words[rows['verdict'].iloc[0]]} in all {len(rows)} {plural(by)}."
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
        "undetermined": f"cannot be distinguished from {baseline}",
        "too few": "rests on too few seeds or languages",
    }


GAINS = {
    "improves": "is larger than there",
    "harms": "is smaller than there",
    "equivalent": "equals that within the margin",
    "undetermined": "cannot be distinguished from that",
    "too few": "rests on too few seeds or languages",
}


def families_differ(found: Contents) -> list[str]:
    """Whether the levels differ in their gain on the target, with the joint test."""
    by = apart(found.primary.by)
    test = heterogeneity(found.evidence, by)
    if test.empty:
        return []
    row = test.iloc[0]
    if row["df2"] <= 0:
        return [f"Whether {plural(by)} differ cannot be tested: too few clusters of questions."]
    one = found.answer["n_seeds"].max() < 2
    limit = "; about other questions, not about other runs" if one else ""
    differ = "differs" if row["p_value"] <= found.rules.alpha else "cannot be shown to differ"
    depends = f" ({row['depends_on']})" if row["depends_on"] else ""
    return [
        f"The gain on {named(found.primary.target)} {differ} between {plural(by)}: the largest is "
        f"{row['spread']:.1f} points above the smallest, F({row['df1']}, {row['df2']:.0f}) = "
        f"{row['statistic']:.1f}, {p_words(row['p_value'])}{depends}{limit}."
    ]
