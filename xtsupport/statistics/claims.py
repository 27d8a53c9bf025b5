"""What the literature claims, tested on the study at hand.

``claims.csv`` states each claim so that a cube can answer it: which treatments over which baseline,
averaged over which targets and languages, and from what on it would count. Kinds of claims:

- ``gain``: every named treatment that the study has gains more than the threshold;
- ``small``: the gain is below the threshold, on either side;
- ``none``: no treatment gains more than the threshold;
- ``most``: more than half of the treatments gain more than the threshold;
- ``best``: choosing the best treatment per target gains more than the threshold (cross-fitted, see
  ``best_intermediate``);
- ``inconsistent``: treatments with this suffix do not gain more than the threshold over the same
  task without it everywhere.

Verdicts: *supported* and *contradicted* need an interval on that side of the threshold, wider where
any of several rows could decide (``_at_least``); *undetermined* otherwise; *not testable* where the
study lacks targets, conditions or seeds, which are named. Averages include English where the
published ones did, so they are not zero-shot means.
"""

import csv
import io
from collections.abc import Sequence
from importlib.resources import files

import numpy as np
import pandas as pd

from xtsupport.errors import UserError
from xtsupport.sides import bare
from xtsupport.statistics.aggregates import Case
from xtsupport.statistics.best_intermediate import best_intermediate
from xtsupport.statistics.contrasts import sides
from xtsupport.statistics.evidence import Evidence
from xtsupport.statistics.inference import inference
from xtsupport.statistics.spread import Spread
from xtsupport.statistics.variance import arm

COLUMNS = ["claim", "text", "verdict", "gain", "ci_low", "ci_high", "published", "aggregate",
           "split", "unit", "source", "note"]  # fmt: skip


def claims() -> list[dict[str, str]]:
    """The packaged claims, one dict per row of claims.csv."""
    return _read("claims.csv")


def check_claims(evidence: Evidence, n_resamples: int = 200) -> pd.DataFrame:
    """Test every claim on a study, by its rules; but not what it says of exposed targets.

    One row per claim with the columns ``COLUMNS``; gain and interval are those of the treatment
    that decides (the weakest for a claim about all of them), in points. The note says where the
    interval is wider than 1 - alpha.
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

    def test(self, contrasts: Sequence[tuple[str, str, list[str]]], least_seeds) -> pd.DataFrame:
        """Rows of ``inference``, one per (treatment, baseline, tasks): see ``average_case``."""
        found = []
        for treatment, baseline, tasks in contrasts:
            case = average_case(self.evidence, treatment, baseline, tasks)
            if case is None:
                both = f"{treatment} and {baseline}"
                raise _Untestable(f"{both} are not both finished on {', '.join(tasks)}")
            found.append(case)
        rows = inference(found, self.rules.unit, self.rules.alpha)
        _require_seeds(rows["n_seeds"].min(), least_seeds)
        return rows


def _require_seeds(n_seeds: float, least: str) -> None:
    if n_seeds < int(least):
        raise _Untestable(f"{n_seeds:.0f} seed(s), fewer than {least}")


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
        paired, retrieval = evidence.rules.paired, facts.kind == "retrieval"
        cut = arm(one, *pair, paired, retrieval) if one else None
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


def _each(study: _Study, claim) -> pd.DataFrame:
    tasks, baseline = study.targets(claim), claim["baseline"]
    contrasts = [(treatment, baseline, tasks) for treatment in study.treatments(claim)]
    return study.test(contrasts, claim["least_seeds"])


def _at_least(n: int, rows: pd.DataFrame, bar: float, alpha: float) -> tuple[bool, bool, pd.Series]:
    """Whether n or more of k true gains exceed the bar, whether fewer do, and the row that decides.

    rows: k of ``inference``. The n-th strongest row decides: at least n gains exceed the bar where
    its interval at 1 - alpha / (k - n + 1) does, and fewer where its interval at 1 - alpha / n is
    below. Either is wrong as rarely as the interval of one row, however the rows are correlated:
    a partial conjunction in Bonferroni's form (Benjamini & Heller 2008). So a claim about all rows
    needs no correction, and one about any of them is corrected for k. The row comes with the
    interval that decides, or with the wider one where neither does.
    """
    spread, gains = Spread.of(rows), rows["gain"].to_numpy(float)
    place = np.argsort(spread.tail(gains - bar), kind="stable")[n - 1]
    of_more, of_fewer = (
        (spread.reach(alpha / 2 / count)[place], count) for count in (len(rows) - n + 1, n)
    )
    gain = gains[place]
    more, fewer = bool(gain - of_more[0] > bar), bool(gain + of_fewer[0] < bar)
    half, count = of_more if more else of_fewer if fewer else max(of_more, of_fewer)
    level = f"{100 - 100 * alpha / count:.4g}% interval" if count > 1 else ""
    ends = {"ci_low": gain - half, "ci_high": gain + half, "level": level}
    return more, fewer, pd.Series({**rows.iloc[place], **ends})


def _gain(study, claim) -> dict:
    rows = _each(study, claim)
    every, not_every, row = _at_least(len(rows), rows, float(claim["threshold"]), study.rules.alpha)
    return _told(every, not_every, row, _listed(rows, row))


def _small(study, claim) -> dict:
    rows, bar = _each(study, claim).head(1), float(claim["threshold"])
    row = rows.iloc[0]
    inside = -bar < row["ci_low"] and row["ci_high"] < bar
    outside = row["ci_low"] > bar or row["ci_high"] < -bar
    return _told(inside, outside, row, _listed(rows, row))


def _none(study, claim) -> dict:
    rows = _each(study, claim)
    some, none, row = _at_least(1, rows, float(claim["threshold"]), study.rules.alpha)
    return _told(none, some, row, _listed(rows, row))


def _most(study, claim) -> dict:
    rows = _each(study, claim)
    majority, bar = len(rows) // 2 + 1, float(claim["threshold"])
    most, not_most, row = _at_least(majority, rows, bar, study.rules.alpha)
    return _told(most, not_most, row, _listed(rows, row))


def _best(study, claim) -> dict:
    tasks, candidates = study.targets(claim), study.treatments(claim)
    try:
        way, baseline = ("cross-fitted",), claim["baseline"]
        table = best_intermediate(
            study.evidence, tasks, candidates, baseline, way, n_resamples=study.n_resamples
        )
    except UserError as error:
        raise _Untestable(str(error)) from error
    row, bar = table.iloc[-1], float(claim["threshold"])
    _require_seeds(row["n_seeds"], claim["least_seeds"])
    each = ", ".join(f"{one.target}: {one.chosen}" for one in table.iloc[:-1].itertuples())
    note = "; ".join(filter(None, [each, row["note"]]))
    return _told(row["ci_low"] > bar, row["ci_high"] < bar, row, note) | {"unit": row["unit"]}


def _inconsistent(study, claim) -> dict:
    suffix, bar = claim["treatments"], float(claim["threshold"])
    have = {condition for condition, variant in study.sides if variant == "plain"}
    pairs = [(c, c.removesuffix(suffix)) for c in sorted(have) if c.endswith(suffix)]
    pairs = [(one, stem) for one, stem in pairs if stem in have]
    if not pairs:
        raise _Untestable(f"the study has no condition *{suffix} beside the one without it")
    contrasts = [(*pair, [task]) for pair in pairs for task in study.targets(claim)]
    names = [f"{treatment} on {task}" for treatment, _, (task,) in contrasts]
    rows = study.test(contrasts, claim["least_seeds"]).assign(treatment=names)
    every, not_every, row = _at_least(len(rows), rows, bar, study.rules.alpha)
    return _told(not_every, every, row, _listed(rows, row))


def _listed(rows: pd.DataFrame, decides: pd.Series) -> str:
    """The gains of some rows, and the level of the interval of the one that decides."""
    gains = (f"{row.treatment} {row.gain:+.1f}" for row in rows.itertuples())
    return "; ".join(filter(None, [", ".join(gains), decides.get("level", "")]))


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
