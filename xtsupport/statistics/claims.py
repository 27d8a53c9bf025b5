"""What the literature claims, tested on the study at hand.

``claims.csv`` states each claim so that a cube can answer it: which treatments over which baseline,
averaged over which targets and languages, and from what on it would count. Kinds of claims:

- ``gain``: every named treatment that the study has gains more than the threshold;
- ``small``: the gain is below the threshold, on either side;
- ``none``: no treatment gains more than the threshold;
- ``most``: more than half of the treatments gain (Holm's count over treatments);
- ``best``: choosing the best treatment per target gains (cross-fitted, see ``best_intermediate``);
- ``inconsistent``: treatments with this suffix do not beat the same task without it everywhere.

Verdicts: *supported* and *contradicted* need an interval on that side; *undetermined* otherwise;
*not testable* where the study lacks targets, conditions or seeds, which are named. Averages include
English where the published ones did, so they are not zero-shot means.
"""

import csv
import io
from collections.abc import Sequence
from importlib.resources import files

import pandas as pd
from scipy.special import stdtrit

from xtsupport.errors import UserError
from xtsupport.sides import bare
from xtsupport.statistics.aggregates import Case
from xtsupport.statistics.best_intermediate import best_intermediate
from xtsupport.statistics.contrasts import sides
from xtsupport.statistics.evidence import Evidence
from xtsupport.statistics.inference import inference
from xtsupport.statistics.variance import arm
from xtsupport.statistics.verdicts import holm

COLUMNS = ["claim", "text", "verdict", "gain", "ci_low", "ci_high", "published", "aggregate",
           "split", "unit", "source", "note"]  # fmt: skip


def claims() -> list[dict[str, str]]:
    """The packaged claims, one dict per row of claims.csv."""
    return _read("claims.csv")


def check_claims(evidence: Evidence, n_resamples: int = 200) -> pd.DataFrame:
    """Test every claim on a study, by its rules; but not what it says of exposed targets.

    One row per claim with the columns ``COLUMNS``; gain and interval are those of the treatment
    that decides (the weakest for a claim about all of them), in points.
    """
    study = _Study(evidence, n_resamples)
    lines = []
    for claim in claims():
        try:
            found = KINDS[claim["kind"]](study, claim)
        except _Untestable as lacking:
            found = {"verdict": "not testable", "note": str(lacking)}
        analogy = "generated languages: an analogy, no evidence" if evidence.data == "world" else ""
        note = "; ".join(filter(None, [found.pop("note", ""), claim["note"], analogy]))
        found |= {"published": float(claim["published"] or "nan"), "note": note}
        lines.append({**claim, "unit": evidence.rules.unit, **found})
    return pd.DataFrame(lines).reindex(columns=COLUMNS)


class _Untestable(Exception):
    """The study lacks what a claim needs."""


class _Study:
    """What claims ask of a study."""

    def __init__(self, evidence: Evidence, n_resamples: int):
        self.evidence, self.n_resamples = evidence, n_resamples
        self.rules, self.facts = evidence.rules, evidence.facts
        self.sides = sides(evidence.moments)

    def targets(self, claim) -> list[str]:
        wanted = claim["tasks"].split()
        missing = [task for task in wanted if task not in self.facts]
        if missing and (len(wanted) == 1 or claim["kind"] != "inconsistent"):
            raise _Untestable(f"the study lacks the target(s) {', '.join(missing)}")
        if met := [task for task in wanted if task in self.evidence.exposed]:
            raise _Untestable(f"exposed: the encoder had been trained on {', '.join(met)}")
        return [task for task in wanted if task in self.facts]

    def treatments(self, claim) -> list[str]:
        plain = [condition for condition, variant in self.sides if variant == "plain"]
        others = [each for each in plain if bare(each) not in (claim["baseline"], "all")]
        single = [each for each in others if not set("~+@") & set(bare(each))]
        wanted = single if claim["treatments"] == "any" else claim["treatments"].split()
        found = [condition for condition in wanted if condition in plain]
        if not found or claim["baseline"] not in plain:
            lacking = " or ".join(wanted) if not found else claim["baseline"]
            raise _Untestable(
                f"the study has no condition {lacking or 'with an intermediate task'}"
            )
        return found

    def test(self, treatment, baseline, tasks, least_seeds) -> dict:
        """Gain of a condition on the mean over tasks of the mean over all their languages."""
        case = average_case(self.evidence, treatment, baseline, tasks)
        if case is None:
            raise _Untestable(
                f"{treatment} and {baseline} are not both finished on {', '.join(tasks)}"
            )
        row = inference([case], self.rules.unit, self.rules.alpha).iloc[0]
        if row["n_seeds"] < int(least_seeds):
            raise _Untestable(f"{row['n_seeds']:.0f} seed(s), fewer than {least_seeds}")
        return {"treatment": treatment, **row}


def average_case(
    evidence: Evidence, treatment: str, baseline: str, tasks: Sequence[str]
) -> Case | None:
    """The contrast on the mean over tasks of their official metrics' means over all languages."""
    arms = []
    for task in tasks:
        facts = evidence.facts[task]
        wanted = (task, facts.metric)
        one = next((m for m in evidence.moments if (m.task, m.metric) == wanted), None)
        pair = ((treatment, "plain"), (baseline, "plain"))
        cut = arm(one, *pair, True, facts.kind == "retrieval") if one else None
        if cut is None or not cut.present.any():
            return None
        arms.append(cut)
    weights = [one.present / one.present.sum() / len(arms) for one in arms]
    languages = sorted({code for one in arms for code in one.moments.languages["language"]})
    about = ("average", "all", "all", "official", tuple(languages))
    return Case(*about, tuple(arms), tuple(weights))


def _told(supported: bool, contradicted: bool, row, note: str) -> dict:
    """The verdict, the numbers of the row that decides, and a note."""
    verdict = "supported" if supported else "contradicted" if contradicted else "undetermined"
    numbers = {column: float(row[column]) for column in ("gain", "ci_low", "ci_high")}
    return {"verdict": verdict, **numbers, "note": note}


def _each(study: _Study, claim) -> list[dict]:
    tasks = study.targets(claim)
    return [
        study.test(treatment, claim["baseline"], tasks, claim["least_seeds"])
        for treatment in study.treatments(claim)
    ]


def _gain(study, claim) -> dict:
    rows, bar = _each(study, claim), float(claim["threshold"])
    weakest = min(rows, key=lambda row: row["gain"])
    every, below = (row["ci_low"] > bar for row in rows), (row["ci_high"] <= bar for row in rows)
    return _told(all(every), any(below), weakest, _listed(rows))


def _small(study, claim) -> dict:
    row, bar = _each(study, claim)[0], float(claim["threshold"])
    inside, outside = abs(row["gain"]) < bar, row["ci_low"] > bar or row["ci_high"] < -bar
    settled = inside and row["ci_low"] > -bar and row["ci_high"] < bar
    return _told(settled, outside, row, _listed([row]))


def _none(study, claim) -> dict:
    rows, bar = _each(study, claim), float(claim["threshold"])
    strongest = max(rows, key=lambda row: row["gain"])
    adjusted = holm([row["p_value"] for row in rows])
    gains = [
        row["ci_low"] > 0 and row["gain"] > bar and p <= study.rules.alpha
        for row, p in zip(rows, adjusted, strict=True)
    ]
    below = all(row["ci_high"] < bar for row in rows)
    return _told(not any(gains) and below, any(gains), strongest, _listed(rows))


def _most(study, claim) -> dict:
    rows, alpha = _each(study, claim), study.rules.alpha
    adjusted = holm([row["p_value"] for row in rows])
    better = sum(p <= alpha and row["gain"] > 0 for row, p in zip(rows, adjusted, strict=True))
    not_better = sum(row["ci_high"] < study.rules.margin for row in rows)
    half, middle = len(rows) / 2, sorted(rows, key=lambda row: row["gain"])[len(rows) // 2]
    note = f"{better} of {len(rows)} gain (Holm); {_listed(rows)}"
    return _told(better > half, not_better >= half, middle, note)


def _best(study, claim) -> dict:
    tasks, candidates = study.targets(claim), study.treatments(claim)
    try:
        way, baseline = ("cross-fitted",), claim["baseline"]
        table = best_intermediate(
            study.evidence, tasks, candidates, baseline, way, n_resamples=study.n_resamples
        )
    except UserError as error:
        raise _Untestable(str(error)) from error
    row = table.iloc[-1]
    each = ", ".join(f"{one.target}: {one.chosen}" for one in table.iloc[:-1].itertuples())
    note = "; ".join(filter(None, [each, row["note"]]))
    return _told(row["ci_low"] > 0, row["ci_high"] < 0, row, note) | {"unit": row["unit"]}


def _inconsistent(study, claim) -> dict:
    suffix, bar = claim["treatments"], float(claim["threshold"])
    have = {condition for condition, variant in study.sides if variant == "plain"}
    pairs = [(c, c.removesuffix(suffix)) for c in sorted(have) if c.endswith(suffix)]
    pairs = [(one, stem) for one, stem in pairs if stem in have]
    if not pairs:
        raise _Untestable(f"the study has no condition *{suffix} beside the one without it")
    tasks = study.targets(claim)
    rows = [
        study.test(*pair, [task], claim["least_seeds"]) | {"treatment": f"{pair[0]} on {task}"}
        for pair in pairs
        for task in tasks
    ]
    weakest = min(rows, key=lambda row: row["ci_high"])
    beats = all(row["ci_low"] > 0 for row in rows)
    level = (1 - study.rules.alpha) ** (1 / len(rows))  # the lowest of several (Sidak)
    upper = weakest["gain"] + stdtrit(weakest["df"], (1 + level) / 2) * weakest["se"]
    return _told(not beats and upper < bar, beats, weakest, f"weakest of {_listed(rows)}")


def _listed(rows) -> str:
    return ", ".join(f"{row['treatment']} {row['gain']:+.1f}" for row in rows)


KINDS = {"gain": _gain, "small": _small, "none": _none, "most": _most, "best": _best}
KINDS["inconsistent"] = _inconsistent


def beside_published(scores: pd.DataFrame) -> pd.DataFrame:
    """Published averages per target and the study's own in one table (percent).

    scores: ``score_table`` of a cube. Columns: task, metric, model, score, source. Averages are
    over all languages with English, as published; the study's are also over seeds. A study of some
    languages or examples only is not comparable, and its row says how many it has.
    """
    published = published_scores()
    plain = scores[scores["variant"] == "plain"]
    cell = ["condition", "task", "metric"]
    own = plain.groupby([*cell, "language"])[["score", "n_examples"]].mean().groupby(cell).agg(
        score=("score", "mean"), languages=("score", "size"), examples=("n_examples", "mean")
    )  # fmt: skip
    keys = published[["task", "metric"]].drop_duplicates()
    own = own.reset_index().merge(keys, on=["task", "metric"])
    own["model"] = "this study, " + own["condition"]
    examples = own["examples"].round().astype(int).astype(str)
    own["source"] = own["languages"].astype(str) + " languages, " + examples + " examples each"
    columns = ["task", "metric", "model", "score", "source"]
    both = pd.concat([published[published["task"].isin(own["task"])], own], ignore_index=True)
    return both[columns].sort_values(["task", "metric"], kind="stable", ignore_index=True)


def published_scores() -> pd.DataFrame:
    """published.csv: model, task, metric, score (percent, all languages with English), source."""
    return pd.DataFrame(_read("published.csv")).astype({"score": float})


def _read(table: str) -> list[dict[str, str]]:
    text = files("xtsupport").joinpath(table).read_text(encoding="utf-8")
    return list(csv.DictReader(io.StringIO(text)))
