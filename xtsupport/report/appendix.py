"""Later sections of the report: limits, the best condition per target, published claims and
averages, how the runs were made."""

from collections import Counter
from collections.abc import Mapping, Sequence
from contextlib import suppress

import pandas as pd
import yaml

from xtsupport import tables
from xtsupport.errors import UserError
from xtsupport.report.contents import Contents
from xtsupport.report.names import side_name, task_name
from xtsupport.report.numbers import ends, interval, span
from xtsupport.report.page import Block, bullets, folded, paragraph, table
from xtsupport.report.paper_sentences import claim, required
from xtsupport.report.robustness import named_tasks
from xtsupport.sides import SOURCE, side
from xtsupport.statistics.best_intermediate import WAYS, best_intermediate
from xtsupport.statistics.claims import beside_published
from xtsupport.statistics.components import uncertainty_shares

FIELDS = {"tokens": "sentence", "text_pair": "second text"}  # columns that need another name


def deciding(found: Contents) -> list[str]:
    """The limits that decide how the first sentence is read, a sentence each."""
    primary, data = found.primary, found.evidence.data
    target = found.answer[found.answer["task"] == primary.target]
    who, where = side_name(primary.treatment, data), task_name(primary.target, data)
    lines = []
    if found.evidence.exposed:
        met = ", ".join(task_name(name, data) for name in found.evidence.exposed)
        lines.append(
            f"The encoder was itself trained on data of {met}: scores and gains there are exposed, "
            "not zero-shot."
        )
    if found.matched:
        lines.append("Steps are equal, rows are not: phase 2 may show rows that the control, which "
                     "repeats the target's, never sees.")  # fmt: skip
    elif target["note"].str.contains("own training data").any() and not found.control:
        lines.append(f"{who} and {where} share training data: part of the gain may come "
                     "from the additional training alone.")  # fmt: skip
    whole = found.comparison[found.comparison["by"] == "all"].merge(
        target[["treatment", "baseline", "variant", "task", "metric"]].drop_duplicates()
    )
    if (whole["verdict"] == "undetermined").any() and whole["mde"].notna().any():
        needs = required(whole.iloc[0], found.rules.alpha)
        lines.append(f"Undetermined does not mean no effect: here {needs}.")
    for row in found.doubted.to_dict("records"):
        bounds = ends(row["boot_low"], row["boot_high"])
        lines.append(f"A studentised bootstrap of the same clusters and seeds gives {bounds}: "
                     "treat the verdict over all languages as inconclusive.")  # fmt: skip
    if target["n_seeds"].max() < 2:
        text = "One run per condition: the interval covers other questions, not other runs."
        lines.append(text)
    return lines


def cautions(found: Contents) -> list[str]:
    """What else a reader must not conclude, from the design of this very study."""
    rows, primary = found.answer, found.primary
    target = rows[rows["task"] == primary.target]
    about = f"{claim(target.iloc[0])}, not about other encoders, pretraining runs or languages"
    lines = [f"The intervals (unit: {target['unit'].iloc[0]}) are about {about}."]
    share = runs_share(found)
    if share > 50 and target["n_seeds"].min() < 5:
        lines.append(
            f"Differences between runs make {share:.0f}% of the uncertainty (squared standard "
            f"error), and there are only {target['n_seeds'].min()} of them: more seeds would "
            "narrow the intervals, more questions would hardly help."
        )
    alone = target.loc[target["n_languages"] == 1, "level"].tolist()
    if alone and primary.by != "language":
        lines.append(
            f"Only one language represents {', '.join(alone)}: these rows describe that language, "
            "not the family."
        )
    met = contaminated(found.records)
    if met:
        lines.append(f"Evaluation texts that also occur in training rows: {met}.")
    if found.evidence.exposed:
        names, encoder = list(dict.fromkeys(found.scores["task"])), found.settings["encoder"]
        lines.append(tables.seen_before(encoder, names, found.evidence.data))
    if found.languages["note"].eq("invented").all():
        lines.append(
            "The languages are generated, and the raw text holds parallel and mixed documents, "
            "unlike the web text of real encoders: nothing here is evidence about real languages."
        )
    lines.append(
        f"Only the declared comparison is evidence; all others are exploratory: p-values are "
        f"adjusted ({found.rules.adjustment}) over the contrasts and levels of one task and metric."
    )
    return lines


def runs_share(found: Contents) -> float:
    """How much of the primary gain's uncertainty comes from runs, in percent; 0 if unknown."""
    if not found.rules.paired or found.answer["n_seeds"].min() < 2:
        return 0.0
    parts = uncertainty_shares(found.evidence).set_index("part")
    return float(parts.loc[["seed", "seed:language"], "share"].sum())


def contaminated(records: Sequence[Mapping]) -> str:
    """`12 of 600 xquad contexts in squad`, ... from the runs' records; empty where none was met."""
    found: dict[tuple, dict[str, tuple[int, int]]] = {}
    for record in records:
        for row in record.get("contamination") or ():
            share = max(row["exact"], row["ngram"])
            if share:
                place = found.setdefault((row["target"], row["field"], row["training"]), {})
                place[row.get("language", "en")] = share, row["texts"]
    return "; ".join(
        f"{span(share for share, _ in counts.values())} of "
        f"{span(texts for _, texts in counts.values())} {target} {FIELDS.get(field, field)}s "
        f"in {training}" + _spoken(list(counts))
        for (target, field, training), counts in found.items()
    )


def _spoken(codes: list[str]) -> str:
    if codes == ["en"]:
        return ""
    return f" ({codes[0]})" if len(codes) == 1 else f" (each of {len(codes)} languages)"


def best(found: Contents) -> list[Block]:
    """What choosing the best intermediate per target gains, fairly and naively."""
    baseline = "none" if found.matched else side(found.primary.baseline)[0]  # a plain condition
    tables = []
    for target in dict.fromkeys(one.task for one in found.evidence.moments):
        one = next(one for one in found.evidence.moments if one.task == target)
        has_source = SOURCE in set(one.languages["language"])
        ways = [way for way in WAYS if way != "english" or has_source]
        with suppress(UserError):  # fewer than two candidates
            made = best_intermediate(found.evidence, target, None, baseline, ways, n_resamples=200)
            tables.append(made)
    if not tables:
        return []
    rows = pd.concat(tables, ignore_index=True)
    shown = rows.assign(
        share=100 * rows["share"],
        interval=interval(rows),
        target=rows["target"].map(task_name),
        chosen=rows["chosen"].map(side_name),
    )
    text = (
        "The largest of noisy gains is an overestimate. Cross-fitted: chosen on other questions "
        "and other runs than it is judged by; english: the same, chosen by the scores in English; "
        "naive: chosen and judged on everything, which is optimistic. Share: how often it was "
        "chosen (percent)."
    )
    columns = ["target", "way", "chosen", "share", "gain", "interval", "unit", "note"]
    body = [paragraph(text), table(named_tasks(shown[columns]))]
    return [folded(f"The best condition per target, over {side_name(baseline)}", *body)]


def literature(found: Contents) -> list[Block]:
    """What published papers claim, as far as this study can say."""
    claims = found.claims
    told = claims[claims["verdict"] != "not testable"]
    shown = told[["text", "verdict", "gain", "published", "note"]].assign(bounds=interval(told))
    silent = bullets(
        f"{row.text}: {row.note.split(';')[0]}."
        for row in claims[claims["verdict"] == "not testable"].itertuples()
    )
    text = (
        f"{len(told)} of {len(claims)} published claims can be tested with the targets and "
        "conditions of this study. Gain: of the treatment that decides, in points; published: the "
        "figure of the paper, where it gives one."
    )
    parts = [paragraph(text)]
    if len(told):
        columns = ["text", "verdict", "gain", "bounds", "published", "note"]
        parts.append(table(shown[columns].rename(columns={"text": "claim", "bounds": "interval"})))
    return [*parts, folded("Claims that this study cannot test", silent), *published(found)]


def published(found: Contents) -> list[Block]:
    """Published averages per target beside the study's own."""
    beside = beside_published(found.evidence.scores)
    if beside.empty:
        return []
    invented = found.languages["note"].eq("invented").all()
    text = (
        "The languages are generated: the targets share only the name and the form with the "
        "published ones, so the figures cannot be compared. This study's are averages over all "
        "languages including English, unlike the scores above."
        if invented
        else "Averages over all languages including English, as published, unlike the scores "
        "above. Figures for other encoders, languages or examples are not comparable; the last "
        "column says where each is from."
    )
    own = "this study, "
    beside["model"] = [
        own + side_name(name.removeprefix(own)) if name.startswith(own) else name
        for name in beside["model"]
    ]
    body = [paragraph(text), table(named_tasks(beside))]
    return [folded("Published averages per target beside this study's own", *body)]


def runs(found: Contents) -> list[Block]:
    """Time, versions, collapsed runs and settings."""
    if not found.records:
        return [paragraph("This report was made from a cube alone, without records of runs.")]
    every = [r["versions"].items() for r in found.records]
    made = {
        "versions": [", ".join(f"{name} {v}" for name, v in each) for each in every],
        "machine": [r.get("machine", "") for r in found.records],
        "commit": [r.get("commit") or "not under version control" for r in found.records],
    }
    settings = yaml.safe_dump(dict(found.settings), sort_keys=False, allow_unicode=True)
    return [
        paragraph(collapsed(found.records)),
        table(times(found.records), digits=0),
        folded("Versions and machines", bullets(f"{n}: {distinct(t)}" for n, t in made.items())),
        folded("Settings of the study", Block("code", settings)),
    ]


def distinct(texts: Sequence[str]) -> str:
    """What all runs have in common, or the different texts and how many runs each belongs to."""
    counts = Counter(texts)
    if len(counts) == 1:
        return texts[0]
    return "; ".join(f"{text} ({n} of {len(texts)} runs)" for text, n in counts.items())


def times(records: Sequence[Mapping]) -> pd.DataFrame:
    """Runs and seconds per phase."""
    timed = [(r["phase"], float(r["seconds"])) for r in records if "seconds" in r]
    grouped = pd.DataFrame(timed, columns=["phase", "s"]).groupby("phase", sort=False)["s"]
    return grouped.agg(runs="count", seconds="sum", longest="max").reset_index()


def collapsed(records: Sequence[Mapping]) -> str:
    """Which runs stayed at chance level; they are counted like all others."""
    low = [r for r in records if r.get("collapsed")]
    names = [f"{r['condition']}, seed {r['seed']}: {', '.join(r['collapsed'])}" for r in low]
    if not names:
        return "No run stayed at chance level."
    return f"Runs that stayed at chance level in English (kept, not dropped): {'; '.join(names)}."
