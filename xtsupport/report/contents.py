"""What a report is made of, gathered once: comparison, evidence, settings, records of runs."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property

import pandas as pd

from xtsupport.cube.scores import in_order, official
from xtsupport.errors import UserError
from xtsupport.report.comparison_rows import answer_rows, by_language, forest_rows
from xtsupport.sides import bare, short_name, side
from xtsupport.statistics.claims import check_claims
from xtsupport.statistics.declared import Declared, Primary
from xtsupport.statistics.evidence import Evidence
from xtsupport.statistics.power import power_table
from xtsupport.statistics.sensitivity import beside_bootstrap
from xtsupport.statistics.single_runs import run_gains


@dataclass(frozen=True, eq=False)
class Contents:
    """What the sections of a report draw on."""

    comparison: pd.DataFrame
    evidence: Evidence
    records: Sequence[Mapping]
    settings: Mapping

    @property
    def study(self) -> str:
        """Name of the study; `simulated` for invented scores."""
        return self.evidence.study or "without a name"

    @property
    def rules(self) -> Declared:
        """What the study declared."""
        return self.evidence.rules

    @property
    def primary(self) -> Primary:
        """The declared primary comparison, or else the one that this cube allows."""
        return self.evidence.primary

    @property
    def languages(self) -> pd.DataFrame:
        """The languages table, with every language of the cube."""
        return self.evidence.languages

    @cached_property
    def answer(self) -> pd.DataFrame:
        """Rows of the primary contrast: target, rest, difference."""
        return answer_rows(self.comparison, self.primary, self.languages)

    @cached_property
    def drawn(self) -> pd.DataFrame:
        """The answer's rows over all languages and by level (of one average: by family)."""
        return forest_rows(self.comparison, self.primary, self.languages)

    @cached_property
    def single(self) -> pd.DataFrame:
        """The answer's rows by language."""
        return by_language(self.comparison, self.answer)

    @cached_property
    def power(self) -> pd.DataFrame | None:
        """The power table of the study's own noise; None from one seed."""
        if self.answer["n_seeds"].min() < 2 or not self.rules.paired:
            return None
        return power_table(self.evidence, self.rules.margin, questions=(1,))

    @cached_property
    def control(self) -> Primary | None:
        """The primary comparison against the step-matched control ``none~X``; None: not there."""
        condition, variant = side(self.primary.treatment)
        wanted = f"none~{bare(condition)}"
        if bare(self.primary.baseline) != "none" or "~" in condition:
            return None
        have = {side(name)[0] for name in self.comparison["baseline"]}
        same = condition.replace(bare(condition), wanted, 1)  # with the treatment's settings
        names = sorted((each for each in have if bare(each) == wanted),
                       key=lambda each: (each != same, len(each)))  # fmt: skip
        every = (replace(self.primary, baseline=short_name((name, variant))) for name in names)
        return next((each for each in every if len(self._over_all_languages(each))), None)

    @cached_property
    def overall(self) -> Mapping:
        """The primary comparison's row over all languages on its target."""
        return self._over_all_languages(self.primary).iloc[0].to_dict()

    @cached_property
    def over_control(self) -> Mapping:
        """The same against the step-matched control, where there is one; else empty."""
        return self._over_all_languages(self.control).iloc[0].to_dict() if self.control else {}

    def _over_all_languages(self, primary: Primary) -> pd.DataFrame:
        rows = answer_rows(self.comparison, primary, self.languages, "all")
        return rows[rows["task"].eq(primary.target)]

    @cached_property
    def answer_drawn(self) -> pd.DataFrame:
        """Rows of the answer's figure: gains on the target over the baseline and the control."""
        parts = [self.drawn]
        if self.control:
            parts.append(forest_rows(self.comparison, self.control, self.languages))
        rows = pd.concat(parts, ignore_index=True)
        return rows[rows["task"] == self.primary.target].reset_index(drop=True)

    @cached_property
    def run_gains(self) -> pd.DataFrame:
        """Gain of every run on the answer's rows, over the baseline and the control."""
        levels, evidence = dict.fromkeys(self.drawn["by"]), self.evidence
        parts = [run_gains(evidence, by).assign(baseline=self.primary.baseline) for by in levels]
        if self.control:
            rules = replace(self.rules, primary=self.control)
            other = replace(evidence, rules=rules, parts=tuple(evidence.moments))
            name = short_name(side(self.control.baseline))
            parts += [run_gains(other, by).assign(baseline=name) for by in levels]
        return pd.concat(parts, ignore_index=True)

    @cached_property
    def claims(self) -> pd.DataFrame:
        """Published claims, tested as far as this study can: the columns of ``check_claims``."""
        return check_claims(self.evidence)

    @cached_property
    def beside(self) -> pd.DataFrame:
        """The answer's rows by the bootstrap as well: the columns of ``beside_bootstrap``; only a
        finding can differ."""
        rows = beside_bootstrap(self.evidence)
        found = self.answer[self.answer["verdict"].isin(["improves", "harms"])]
        findings = pd.MultiIndex.from_frame(found[["task", "level"]])
        known = pd.MultiIndex.from_frame(rows[["task", "level"]]).isin(findings)
        return rows.assign(differs=rows["differs"] & known)

    @property
    def doubted(self) -> pd.DataFrame:
        """The row of `beside` on the target over all languages, where only one method finds
        something; else no row (nor where the answer is one of levels)."""
        if self.primary.by != "all":
            return pd.DataFrame()
        rows = self.beside[self.beside["task"].eq(self.primary.target)]
        return rows[rows["level"].eq("all") & rows["differs"]]

    @property
    def matched(self) -> bool:
        """Whether the declared baseline is the treatment's step-matched control."""
        return bare(self.primary.baseline) == f"none~{bare(self.primary.treatment)}"

    @cached_property
    def scores(self) -> pd.DataFrame:
        """Official scores per condition, task, language and seed."""
        scores = official(self.evidence.scores, self.evidence.data)
        conditions = self.settings.get("conditions", [self.primary.baseline])
        targets = self.settings.get("targets", [self.primary.target])
        return in_order(scores, conditions, targets)


def contents(comparison, evidence: Evidence, settings=None, records=()) -> Contents:
    """Gather what the sections need; UserError where the comparison has no rows of the answer.

    comparison: what ``significance`` made of the evidence. settings: of the study; records: the
    ``run.json`` of its runs. A cube alone has a report, too.
    """
    given = settings.model_dump() if settings else {}
    found, primary = Contents(comparison, evidence, records, given), evidence.primary
    if not found.answer["task"].eq(primary.target).any():
        raise UserError(
            f"report: the comparison has no row of {primary.treatment} over {primary.baseline} on "
            f"{primary.target} {primary.metric} by {primary.by}; give the significance of this cube"
        )
    return found
