"""The page's large tables: scores of all conditions, all gains, examples whose answers changed."""

from collections import Counter
from collections.abc import Iterable, Mapping

import pandas as pd

from xtsupport.cube.scores import with_guesses, zero_shot_means
from xtsupport.report.answer import verdict_words
from xtsupport.report.comparison_rows import nearest_first
from xtsupport.report.contents import Contents
from xtsupport.report.names import metric_name, side_name, task_name
from xtsupport.report.numbers import counted, ends, signed_gain, span
from xtsupport.report.page import Block, Cell, board, folded, paragraph, shown
from xtsupport.sides import bare, both_sides
from xtsupport.statistics.claims import published_scores
from xtsupport.statistics.declared import apart

ROWS = 6000  # of all gains on a page; significance.csv has the rest
TEXTS = {"question": "question", "gold": "gold answer", "english": "in English"}


def score_board(found: Contents) -> list[Block]:
    """Mean zero-shot scores, conditions x targets, each with its gain and verdict below."""
    data, official = found.evidence.data, official_of(found)
    means = zero_shot_means(with_guesses(found.scores, data))
    home = [f"{name} (en)" for name in official if f"{name} (en)" in means]
    away = found.scores[found.scores["language"] != "en"].groupby("task")["language"].nunique()
    heads: list[Cell | str] = [trained_on(found)]
    for name, metric in official.items():
        below = f"{metric_name(metric)}, {counted(away.get(name, 0), 'language')}"
        heads.append(Cell(task_name(name, data), below, "n"))
    english = (task_name(name.removesuffix(" (en)"), data) for name in home)
    heads += [Cell(name, "English", "n soft") for name in english]
    conditions, rows = set(found.scores["condition"]), []
    gains = gains_below(found, official)
    bases = {key: both_sides(row)[1] for key, row in gains.items()}
    usual = most_common(bases.values())
    for name, line in means.iterrows():
        own = most_common([base for (who, _), base in bases.items() if who == name]) or usual
        below = "" if own == usual else f"gains over {side_name(own, data)}"
        row = [Cell(side_name(name, data), below, "" if name in conditions else "soft")]
        row += [score_cell(gains.get((name, target)), own, line.get(target),
                           f"gains-{place}" if name in conditions else "")
                for place, target in enumerate(official)]  # fmt: skip
        rows.append([*row, *(Cell(shown(line[each]), kind="n soft") for each in home)])
    text = (
        "Mean over seeds and over the languages other than English, in points. Below a score: "
        f"the gain over {side_name(usual or found.primary.baseline, data)} unless another is "
        "named, coloured where it is a finding (?: undetermined). Click a score for its languages."
    )
    if unequal_seeds(found, gains):
        text += (
            " A gain compares only the seeds that both conditions have, so it may differ from the "
            "difference of the two scores."
        )
    published = published_rows(found, list(official), len(home))
    if published:
        text += " Published averages are over all languages including English and full test sets."
    return [board(heads, rows + published), paragraph(text, "note")]


def trained_on(found: Contents) -> str:
    """The heading above conditions; of a table without ``none`` they are any program's systems."""
    return "trained on first" if "none" in map(bare, found.scores["condition"]) else "system"


def gains_below(found: Contents, official: Mapping[str, str]) -> dict[tuple[str, str], Mapping]:
    """(condition, target) -> its first row over all languages, by official metric."""
    rows = found.comparison[found.comparison["by"] == "all"]
    rows = rows[rows["metric"].eq(rows["task"].map(official))].to_dict("records")
    return {(both_sides(row)[0], row["task"]): row for row in reversed(rows)}


def most_common(names: Iterable[str]) -> str:
    """The most frequent name; nothing of none."""
    return next((name for name, _ in Counter(names).most_common(1)), "")


def unequal_seeds(found: Contents, gains: Mapping[tuple[str, str], Mapping]) -> bool:
    """Whether a gain leaves out seeds that one of its sides has."""
    have = found.scores.groupby(["condition", "task"], observed=True)["seed"].nunique()
    return any(have.get((side, task), 0) > row["n_seeds"]
               for (_, task), row in gains.items() for side in both_sides(row))  # fmt: skip


def score_cell(row: Mapping | None, baseline: str, score, link: str) -> Cell:
    """A score, and below it the gain with its verdict's colour, over a baseline that is known."""
    if row is None:
        known = link if score == score else ""
        return Cell(shown(score), kind="n" if link else "n soft", link=known)
    base = both_sides(row)[1]
    against = "" if base == baseline else f" on {side_name(base)}"
    sign = "?" if row["verdict"] == "undetermined" else verdict_words(row)
    below = f"{signed_gain(row['gain'])}{against} {sign.removesuffix(' for a verdict')}"
    return Cell(shown(score), below, f"n {kind_of(row)}", link)


def kind_of(row: Mapping) -> str:
    """The class of a row's verdict in the style sheet."""
    return str(row["verdict"]).split()[-1]


def official_of(found: Contents) -> dict[str, str]:
    """Target -> its official metric: the primary target first, then in the study's order."""
    facts, have = found.evidence.facts, dict.fromkeys(found.scores["task"])
    names = dict.fromkeys([found.primary.target, *have])
    return {name: facts[name].metric for name in names if name in have}


def published_rows(found: Contents, targets: list[str], blanks: int) -> list[list[Cell]]:
    """Published averages of the study's targets, a row per model; none for invented languages."""
    if found.languages["note"].eq("invented").all():
        return []
    official, rows = official_of(found), []
    for model, part in published_scores().groupby("model", sort=False):
        own = part[part["metric"] == part["task"].map(official)].set_index("task")["score"]
        if own.index.isin(targets).any():
            cells = [Cell(shown(own.get(name)), kind="n soft") for name in targets]
            more = [Cell("", kind="soft")] * blanks
            line = [Cell(f"{model}, published", kind="soft"), *cells, *more]
            rows.append((own.get(targets[0], 0.0), line))
    return [line for _, line in sorted(rows, key=lambda each: each[0])]


def gain_boards(found: Contents, drawn: Mapping[tuple, str]) -> list[Block]:
    """Every gain by official metric: a folded table per target, a row per contrast and level.

    drawn: (treatment, baseline, variant, task) -> address of the examples that changed.
    """
    chosen, official = found.comparison, official_of(found)
    chosen = chosen[chosen["metric"].eq(chosen["task"].map(official))]
    wide = len(chosen) > ROWS
    levels = ["all", apart(found.primary.by), *([] if wide else ["language"])]
    blocks = [
        gain_table(found, task, chosen[chosen["task"] == task], list(dict.fromkeys(levels)), drawn,
                   f"gains-{place}")
        for place, task in enumerate(official) if (chosen["task"] == task).any()
    ]  # fmt: skip
    text = (
        "Gains in points by official metric; click a gain for the examples behind it. Runs: how "
        "many seeds a gain compares on both sides."
    )
    told = chosen[chosen["by"].isin(levels)]
    if len(far := told[told["ci_high"] - told["ci_low"] > 100]):
        few = span(far["n_seeds"])
        text += f" Some intervals are wider than the whole scale: {few} runs cannot bound the gain."
    if wide:
        text += " Single languages are in significance.csv: here they would be too many."
    return [paragraph(text, "note"), *blocks]


def gain_table(found: Contents, task, rows, levels, drawn, name) -> Block:
    """The gains on one target."""
    data, languages = found.evidence.data, found.languages
    names = languages.set_index("code").to_dict("index")
    lines = []
    for by in levels:
        for row in nearest_first(rows[rows["by"] == by], languages).to_dict("records"):
            who, base = (side_name(each, data) for each in both_sides(row))
            where, family = placed(row, names)
            link = drawn.get((row["treatment"], row["baseline"], row["variant"], task), "")
            verdict = verdict_words(row)
            kind = kind_of(row)
            lines.append([
                Cell(where), Cell(family), Cell(who), Cell(base),
                Cell(str(row["n_seeds"]), kind="n"),
                Cell(shown(row["baseline_score"]), kind="n"),
                Cell(signed_gain(row["gain"]), kind=f"n {kind}", link=link),
                Cell(ends(row["ci_low"], row["ci_high"]), kind="i"),
                Cell(verdict, kind=f"i {kind}"),
            ])  # fmt: skip
    heads: list[Cell | str] = ["language", "family", trained_on(found), "against"]
    heads += [*(Cell(name, kind="n") for name in ("runs", "baseline", "gain"))]
    heads += ["interval", "verdict"]
    summary = f"{task_name(task, data)}, {metric_name(rows['metric'].iloc[0])}: {len(lines)} gains"
    return folded(summary, board(heads, lines, (0, 1, 2)), name=name)


def placed(row: Mapping, names: Mapping[str, Mapping]) -> tuple[str, str]:
    """What a row's level is called, and its family; names: code -> row of the languages table."""
    if row["by"] == "all":
        return "all languages", ""
    if row["by"] == "language" and row["level"] in names:
        one = names[row["level"]]
        return one["name"], one["group"]
    return f"{row['level']} ({row['n_languages']})", row["level"]


def example_boards(found: Contents, changed: pd.DataFrame | None) -> tuple[list[Block], dict]:
    """The examples whose scores changed most, folded per contrast and target; their addresses.

    changed: the columns of ``changed_examples``; None: there are no single examples here.
    """
    if changed is None or changed.empty:
        return [], {}
    data, names = found.evidence.data, found.languages.set_index("code").to_dict("index")
    keys = ["treatment", "baseline", "variant", "task"]
    order = list(official_of(found))
    changed = changed.sort_values("task", key=lambda task: task.map(order.index), kind="stable")
    texts = {name: head for name, head in TEXTS.items() if name in changed}
    said = [name for name in ("baseline_said", "treatment_said") if name in changed]
    blocks, drawn = [], {}
    for place, (key, part) in enumerate(changed.groupby(keys, sort=False)):
        drawn[key] = f"examples-{place}"
        first = part.iloc[0].to_dict()
        who, base = (side_name(each, data) for each in both_sides(first))
        heads: list[Cell | str] = ["language", "family", Cell("change", kind="n"), *texts.values(),
                 *(f"said: {name}" for name in (base, who) if said), "example"]  # fmt: skip
        lines = [
            [*(Cell(text) for text in placed({"by": "language", **row, "level": row["language"],
                                              "n_languages": 1}, names)),
             Cell(signed_gain(row["change"], 0), kind="n"),
             *(Cell(str(row[name]), kind="text") for name in (*texts, *said)),
             Cell(row["example_id"], kind="soft")]
            for row in part.to_dict("records")
        ]  # fmt: skip
        summary = f"{task_name(first['task'], data)}: {who} against {base}, {len(lines)} examples"
        blocks.append(folded(summary, board(heads, lines, (0, 1)), name=drawn[key]))
    about = (
        "The examples whose score changed most, mean over seeds, in points; answers are those of "
        "the first seed." if said else
        "The examples whose score changed most, mean over seeds, in points. This page was made "
        "without the texts: it names the examples by their ids in the data set."
    )  # fmt: skip
    return [paragraph(about, "note"), *blocks], drawn
