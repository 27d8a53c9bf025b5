"""Do the verdicts of this study hold? Studies like it, with a known answer, judged as it is judged.

A simulated study has the study's own clusters of examples, drawn anew with all that languages,
conditions and seeds have in common, and its own numbers of runs and conditions. What its runs truly
differ by is drawn, with the variance that all conditions of the study show together (``run_noise``,
per condition: on all languages alike and on each), and so is known, as the gain is: none, the
margin, or a planted one. Every study is judged as ``compare`` does; counted is what that says.

Three runs leave the run variance uncertain, so the studies are drawn twice: with the estimate, and
with its one-sided 80% upper bound. For other designs see benchmarks/calibration.md.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np
import pandas as pd

from xtsupport.errors import UserError
from xtsupport.sides import side
from xtsupport.statistics.clusters import ClusterSums, sharing
from xtsupport.statistics.components import RunNoise, run_noise
from xtsupport.statistics.evidence import Evidence
from xtsupport.statistics.inference import inference
from xtsupport.statistics.verdicts import judge


def calibrate(
    evidence: Evidence,
    gain: float = 2.0,
    studies: int = 120,
    seed: int = 0,
    progress: Callable[[int, int], None] = lambda done, of: None,
) -> pd.DataFrame:
    """What ``compare`` says of simulated studies like this one, on the target of the primary.

    gain: the planted one, in points, of every treatment; studies: of each kind; progress: called
    with the number of studies done and of all.

    One row per run variance (``runs``: estimate, upper bound), true gain (0, the margin, ``gain``)
    and table (``by``: all, and the declared level or else language): run_sd (SD of the difference
    of two runs on all languages, points), rows (hypotheses of a table), studies; and in percent

    - found: rows with p <= alpha before adjustment; with no gain the error of a row, else its power
    - any_found: studies with an "improves" or "harms"; with no gain the error of the family
    - judged: rows so judged; any_equivalent: studies with an "equivalent", at the margin all wrong
    - covered: printed intervals that hold the truth
    - allowed, mc_error: of ``any_found`` or, at the margin, ``any_equivalent``, what alpha allows
      (nan with a planted gain), and its Monte Carlo standard error

    UserError for a study of one seed.
    """
    if not gain > 0 or studies < 1:
        raise UserError(f"gain={gain}, studies={studies}: both must be positive")
    rules, pattern, noises = evidence.rules, *_pattern(evidence)
    known = replace(rules, primary=evidence.primary, contrasts=tuple(_contrasts(evidence)))
    alike = replace(evidence, rules=known)
    level = "language" if evidence.primary.by == "all" else evidence.primary.by
    truths = [0.0, *sorted({rules.margin, gain})]
    names = dict(zip(("estimate", "upper bound"), noises, strict=True))
    kinds = [(runs, true) for runs in names for true in truths]
    rng, lines = np.random.default_rng(seed), []
    for number, (runs, true) in enumerate(kinds):
        tables: dict[str, list] = {"all": [], level: []}
        for done in range(studies):
            drawn = replace(alike, parts=(pattern.draw(true, names[runs], rng),))
            judged = _judged(drawn, list(tables))
            for by, found in tables.items():
                found.append(judged[judged["by"].eq(by)])
            progress(number * studies + done + 1, len(kinds) * studies)
        about = {"runs": runs, "run_sd": float(np.sqrt(names[runs].variance(np.inf)))}
        lines += [about | _counted(found, by, true, rules) for by, found in tables.items()]
    return pd.DataFrame(lines).assign(unit=rules.unit)


def _judged(drawn: Evidence, by: Sequence[str]) -> pd.DataFrame:
    """The target's rows of a simulated study, as ``compare`` has them."""
    rules, target = drawn.rules, drawn.primary.target
    found = [case for each in by for case in drawn.cases(each) if case.task == target]
    table = inference(found, rules.unit, rules.alpha)
    return judge(table, rules.adjustment, rules.margin, rules.alpha)


def _counted(tables: list[pd.DataFrame], by: str, true: float, rules) -> dict:
    every = pd.concat(tables, keys=range(len(tables)))
    study = every.index.get_level_values(0)
    judged = every["verdict"].isin(["improves", "harms"])
    equivalent = every["verdict"].eq("equivalent")
    covered = every["ci_low"].le(true) & every["ci_high"].ge(true)
    counts = true == 0 or true == rules.margin
    allowed = 100 * rules.alpha if counts else np.nan
    return {
        "true_gain": true,
        "by": by,
        "rows": len(tables[0]),
        "studies": len(tables),
        "found": 100 * every["p_value"].le(rules.alpha).mean(),
        "any_found": 100 * judged.groupby(study).any().mean(),
        "judged": 100 * judged.mean(),
        "any_equivalent": 100 * equivalent.groupby(study).any().mean(),
        "covered": 100 * covered.mean(),
        "allowed": allowed,
        "mc_error": np.sqrt(allowed * (100 - allowed) / len(tables)),
    }


@dataclass(frozen=True)
class Pattern:
    """A study's task without gains and run effects: cluster sums whose runs all score the same.

    treated: (R,) whether a run is of a treatment; phase2: (R,) numbers of what has effects of its
    own, a run or several of one phase 2; varies: (R,) False for one run that serves every seed.
    """

    sums: ClusterSums
    treated: np.ndarray
    phase2: np.ndarray
    varies: np.ndarray

    def draw(self, gain: float, noise: RunNoise, rng) -> ClusterSums:
        """A study with a true gain (points) of every treatment; its clusters drawn anew."""
        sds = np.sqrt(np.maximum([noise.run, noise.language], 0) / noise.sides)
        units, n_languages = self.phase2.max() + 1, len(self.sums.languages)
        effects = sds[0] * rng.normal(size=(units, 1))
        effects = effects + sds[1] * rng.normal(size=(units, n_languages))
        effects = effects[self.phase2] * self.varies[:, None] + gain * self.treated[:, None]
        return shifted(_resampled(self.sums, rng), effects / 100)


def _contrasts(evidence: Evidence) -> list:
    """The contrasts with the baseline of the primary comparison."""
    baseline = side(evidence.primary.baseline)
    return [pair for pair in evidence.contrasts if pair[1] == baseline]


def _pattern(evidence: Evidence) -> tuple[Pattern, tuple[RunNoise, RunNoise]]:
    """The target of the primary comparison as a pattern, and how much its runs vary."""
    primary = evidence.primary
    levels = evidence.target_cases("language")
    if min(len(labels) for labels in levels[0].arms[0].labels if labels is not None) < 2:
        raise UserError(
            f"{primary.target}: one seed, so how runs vary is unknown; run at least two"
        )
    wanted = (primary.target, levels[0].metric)
    part = next(one for one in evidence.sums if (one.task, one.metric) == wanted)
    codes = [case.level for case in levels]
    part = part.of_languages(part.languages["language"].isin(codes).to_numpy())
    runs = part.runs
    sides = list(zip(runs["condition"], runs["variant"], strict=True))
    units = pd.factorize(pd.Series(sides).astype(str) + runs["replicate"].astype(str))[0]
    single = runs.groupby(["condition", "variant"])["seed"].transform("size").eq(1)
    values = part.values()
    return Pattern(
        sums=shifted(part, np.nanmean(values, axis=0) - values),
        treated=np.array([one in {pair[0] for pair in _contrasts(evidence)} for one in sides]),
        phase2=units,
        varies=~(single & ~runs["phase2"]).to_numpy(),
    ), run_noise(levels)


def shifted(sums: ClusterSums, by: np.ndarray) -> ClusterSums:
    """Sums whose scores (0..1) are higher by ``by`` (R, L), exactly, each cluster by as much."""
    moved = []
    for lang, (total, size) in enumerate(zip(sums.sums, sums.sizes, strict=True)):
        shift = by[:, lang, None]
        if not sums.micro:
            moved.append(total + (shift * size)[..., None])
            continue
        half = shift * (2 * total[..., 0] + total[..., 1] + total[..., 2]) / 2
        moved.append(total + np.stack([half, -half, -half], axis=-1))  # 2 tp + fp + fn stays
    return replace(sums, sums=moved)


def _resampled(sums: ClusterSums, rng) -> ClusterSums:
    """Clusters drawn with replacement, together for all languages that share them."""
    clusters, sizes, totals = sums.clusters[:], sums.sizes[:], sums.sums[:]
    start = 0
    for together in sharing(sums.clusters):
        ids = np.unique(np.concatenate([sums.clusters[lang] for lang in together]))
        drawn = rng.integers(0, len(ids), len(ids))
        for lang in together:
            place = np.full(len(ids), -1)
            place[np.searchsorted(ids, sums.clusters[lang])] = np.arange(len(sums.clusters[lang]))
            new = np.flatnonzero(place[drawn] >= 0)
            rows = place[drawn[new]]
            clusters[lang] = start + new  # a cluster drawn twice is two clusters
            sizes[lang], totals[lang] = sums.sizes[lang][rows], sums.sums[lang][:, rows]
        start += len(ids)
    return replace(sums, clusters=clusters, sizes=sizes, sums=totals)
