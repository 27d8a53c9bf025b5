"""Later sections of the report: limits, other contrasts, scores, runs, meaning of columns."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence

import pandas as pd
import yaml

from xtsupport import tables
from xtsupport.cube.scores import SOURCE, official_metrics, with_guesses, zero_shot_means
from xtsupport.errors import UserError
from xtsupport.report import plots
from xtsupport.report.contents import Contents, gain_head, interval, p_text, with_interval
from xtsupport.report.page import MARKS, Html, bullets, figure, folded, html, paragraph, table
from xtsupport.report.score_tables import overview
from xtsupport.report.sentences import claim, points
from xtsupport.sides import side
from xtsupport.statistics.best_intermediate import WAYS, best_intermediate
from xtsupport.statistics.declared import reach
from xtsupport.statistics.sensitivity import noise

ROWS = 400  # of the exploratory table; the rest is in significance.csv
FIELDS = {"tokens": "sentence", "text_pair": "second text"}  # columns that need another name


def limits(found: Contents) -> Html:
    """What a reader must not conclude, from the design of this very study."""
    return bullets(cautions(found))


def cautions(found: Contents) -> list[str]:
    """One sentence per limit of the design."""
    rows, primary = found.answer, found.primary
    target = rows[rows["task"] == primary.target]
    lines = [
        f"The intervals, by resampling {target['unit'].iloc[0]}, speak about "
        f"{claim(target.iloc[0])}; not about other encoders, pretraining runs or languages.",
    ]
    if target["mde"].notna().any():
        lines.append(
            f"Gains below about {target['mde'].median():.1f} points (the median smallest "
            f"detectable gain {reach(primary.by)}) could not be found here: undetermined does not "
            "mean none."
        )
    share = runs_share(found)
    if share > 50 and target["n_seeds"].min() < 5:
        lines.append(
            f"Differences between runs make {share:.0f}% of the uncertainty (squared standard "
            f"error), and there are only {target['n_seeds'].min()} of them: more seeds would "
            "narrow the intervals, more questions hardly."
        )
    alone = target.loc[target["n_languages"] == 1, "level"].tolist()
    if alone and primary.by != "language":
        lines.append(
            f"One language only stands for {', '.join(alone)}: these rows are about that language, "
            "not about the family."
        )
    if target["note"].str.contains("own training data").any():
        lines.append(
            f"{primary.treatment} uses the training data of {primary.target} itself: its gain is "
            "also that of more training."
        )
    if found.evidence.exposed:
        lines.append(
            f"The encoder {found.settings['encoder']} was itself trained on data of "
            f"{', '.join(found.evidence.exposed)}: scores and gains there are exposed, not "
            "zero-shot."
        )
    met = contaminated(found.records)
    if met:
        lines.append(f"Evaluation texts that stand in training rows, too: {met}.")
    if found.languages["note"].eq("invented").all():
        lines.append(
            "The languages are generated, and the raw text holds parallel and mixed documents, "
            "unlike the web text of real encoders: nothing here is evidence about real languages."
        )
    return lines


def runs_share(found: Contents) -> float:
    """How much of the primary gain's uncertainty comes from runs, in percent; 0 if unknown."""
    if not found.rules.paired or found.answer["n_seeds"].min() < 2:
        return 0.0
    parts = noise(found.evidence).set_index("part")
    return float(parts.loc[["seed", "seed:language"], "share"].sum())


def seen(found: Contents) -> Html:
    """What the encoder had seen of the tasks before; nothing where the study is not known."""
    encoder = found.settings.get("encoder")
    names = list(dict.fromkeys(found.scores["task"]))
    return (
        paragraph(tables.seen_before(encoder, names, found.evidence.data), "note")
        if encoder
        else Html("")
    )


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
        f"{_span(share for share, _ in counts.values())} of "
        f"{_span(texts for _, texts in counts.values())} {target} {FIELDS.get(field, field)}s "
        f"in {training}" + _spoken(list(counts))
        for (target, field, training), counts in found.items()
    )


def _span(numbers: Iterable[int]) -> str:
    ordered = sorted(numbers)
    return " to ".join(str(n) for n in dict.fromkeys((ordered[0], ordered[-1])))


def _spoken(codes: list[str]) -> str:
    if codes == ["en"]:
        return ""
    return f" ({codes[0]})" if len(codes) == 1 else f" (each of {len(codes)} languages)"


def contrasts(found: Contents) -> Html:
    """The map of verdicts and the rows over all languages."""
    rules, metrics = (
        found.rules,
        official_metrics(found.evidence.data, found.settings.get("targets", ())),
    )
    level = overview(found.comparison, found.primary.by, metrics)
    total = found.comparison[found.comparison["by"] == "all"]
    shown = total[["treatment", "baseline", "task", "metric", "baseline_score"]].assign(
        **{gain_head(total, rules.alpha): with_interval(total)},
        p=total["p_adjusted"].map(p_text),
        mde=total["mde"],
        verdict=total["verdict"],
    )
    text = (
        f"p-values are adjusted ({rules.adjustment}) over the contrasts and levels of one task and "
        f"metric; gains within {points(rules.margin)} count as equivalent. These comparisons were "
        "not declared in advance: they are for ideas, not for claims."
    )
    return html(
        "{p}{f}{t}{all}",
        p=paragraph(text),
        f=[
            *([figure(plots.verdict_heatmap(level, found.languages))] if len(level) else []),
            *best(found),
        ],
        t=folded("All contrasts over all zero-shot languages", table(shown, marks=MARKS)),
        all=every_row(found.comparison),
    )


def best(found: Contents) -> list[Html]:
    """What choosing the best intermediate per target gains, fairly and naively."""
    baseline, _ = side(found.primary.baseline)  # of the plain conditions
    tables = []
    for target in dict.fromkeys(one.task for one in found.evidence.moments):
        one = next(one for one in found.evidence.moments if one.task == target)
        has_source = SOURCE in set(one.languages["language"])
        ways = [way for way in WAYS if way != "english" or has_source]
        try:
            tables.append(
                best_intermediate(
                    found.evidence,
                    target,
                    baseline=baseline,
                    ways=ways,
                    n_resamples=200,
                )
            )
        except UserError:
            continue  # fewer than two candidates
    if not tables:
        return []
    rows = pd.concat(tables, ignore_index=True)
    shown = rows.assign(share=100 * rows["share"], interval=interval(rows))
    text = (
        "The best of several noisy gains flatters itself. Cross-fitted: chosen on other questions "
        "and other runs than it is judged by; english: the same, chosen by the scores in English; "
        "naive: chosen and judged on everything, which is optimistic. Share: of the choices that "
        "fell on it (percent)."
    )
    columns = ["target", "way", "chosen", "share", "gain", "interval", "unit", "note"]
    body = [paragraph(text), table(shown[columns])]
    return [folded(f"The best condition per target, over {baseline}", *body)]


def every_row(comparison: pd.DataFrame) -> Html:
    """The rows of the whole comparison, as far as they fit a page."""
    cut = comparison.head(ROWS)
    shown = cut[["treatment", "baseline", "task", "by", "level", "metric", "gain"]].assign(
        interval=interval(cut), p=cut["p_adjusted"].map(p_text), verdict=cut["verdict"]
    )
    more = f", the first {ROWS} of {len(comparison)}" if len(comparison) > ROWS else ""
    summary = f"Every row{more}; significance.csv has all rows and columns"
    return folded(summary, table(shown.assign(note=cut["note"]), marks=MARKS))


def scores(found: Contents) -> Html:
    """Mean zero-shot scores, and a heat map per target."""
    beside = with_guesses(found.scores, found.evidence.data)
    means = zero_shot_means(beside).reset_index()
    tasks = list(dict.fromkeys(found.scores["task"]))
    return html(
        "{p}{seen}{t}{figures}",
        seen=seen(found),
        p=paragraph(
            "Official metric of each target, in points, mean over seeds and over the languages "
            "that were not trained on. English, the language of training, stands apart. Chance and "
            "lazy rules, where they are known, are what needs no training."
        ),
        t=table(means),
        figures=[figure(plots.score_heatmap(beside, found.languages, task)) for task in tasks],
    )


def runs(found: Contents) -> Html:
    """Time, versions, collapsed runs and settings."""
    if not found.records:
        return paragraph("This report was made from a cube alone; it has no records of runs.")
    made = {
        "versions": [
            ", ".join(f"{name} {v}" for name, v in r["versions"].items()) for r in found.records
        ],
        "machine": [r.get("machine", "") for r in found.records],
        "commit": [r.get("commit") or "not under version control" for r in found.records],
    }
    return html(
        "{facts}{times}{collapsed}{settings}",
        facts=bullets(f"{name}: {distinct(texts)}" for name, texts in made.items()),
        times=table(times(found.records), digits=0),
        collapsed=paragraph(collapsed(found.records)),
        settings=folded(
            "Settings of the study",
            html("<pre>{s}</pre>", s=yaml.safe_dump(dict(found.settings), sort_keys=False)),
        ),
    )


def distinct(texts: Sequence[str]) -> str:
    """What all runs have in common, or the different texts and how many runs each belongs to."""
    counts = Counter(texts)
    if len(counts) == 1:
        return texts[0]
    return "; ".join(f"{text} ({n} of {len(texts)} runs)" for text, n in counts.items())


def times(records: Sequence[Mapping]) -> pd.DataFrame:
    """Runs and seconds per phase."""
    table_of = pd.DataFrame(
        [{"phase": r["phase"], "seconds": float(r["seconds"])} for r in records if "seconds" in r]
    )
    grouped = table_of.groupby("phase", sort=False)["seconds"]
    return grouped.agg(runs="count", seconds="sum", longest="max").reset_index()


def collapsed(records: Sequence[Mapping]) -> str:
    """Which runs stayed at chance level; they are counted like all others."""
    names = [
        f"{r['condition']}, seed {r['seed']}: {', '.join(r['collapsed'])}"
        for r in records
        if r.get("collapsed")
    ]
    if not names:
        return "No run stayed at chance level."
    return f"Runs that stayed at chance level in English (kept, not dropped): {'; '.join(names)}."


def columns() -> Html:
    """The columns of significance.csv in plain words."""
    rows = [html("<dt>{n}</dt><dd>{t}</dd>", n=name, t=text) for name, text in COLUMNS.items()]
    return html("<dl>{rows}</dl>", rows=rows)


COLUMNS = {
    "treatment, baseline, variant": "what is compared with what; the variant of phase 3",
    "task, metric": (
        "a target, or an aggregate: rest (the other fine-tuned targets in the same languages), "
        "same-format, f1-native, retrieval, all; a - b is the gain on a minus the gain on b; "
        "official: each target's own metric"
    ),
    "by, level": "whether a row is about a group, family, language or all of them, and which",
    "n_languages, n_seeds, n_clusters, n_examples": "what stands behind a row",
    "baseline_score, gain": "points; the gain is treatment minus baseline",
    "se, df, ci_low, ci_high": (
        "standard error, its degrees of freedom, and the interval that belongs to the verdict: it "
        "leaves 0 out for improves and harms, holds it for undetermined, lies within the margin "
        "for equivalent; the note gives its level where that is not 1 - alpha"
    ),
    "p_value, p_adjusted, adjustment": "two-sided p-value, and after counting the other rows",
    "mde": "the gain that would have been found with 80% power; empty where that is not known",
    "verdict": (
        "improves or harms (adjusted p at most the error rate), equivalent (surely within the "
        "margin), undetermined, or too few (under three seeds, or two languages for a family)"
    ),
    "unit": "what was resampled, and so what the interval speaks about",
}
