"""What a report is made of, gathered once: comparison, sums, declaration, records of runs."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property

import pandas as pd

from xtsupport import tables
from xtsupport.errors import UserError
from xtsupport.report.score_tables import (
    answer_rows,
    forest_rows,
    in_order,
    language_table,
    official,
    official_metrics,
    score_rows,
)
from xtsupport.sides import both_sides
from xtsupport.statistics.claims import check_claims
from xtsupport.statistics.clusters import PAIRS, ClusterSums, Moments, contracted, study_moments
from xtsupport.statistics.declared import Declared, Primary, declared


@dataclass(frozen=True)
class Material:
    """What a report is made of."""

    comparison: pd.DataFrame
    sums: list[ClusterSums]
    measured: list[Moments]
    given: Declared  # what the study declared, if anything
    primary: Primary  # declared, or else the comparison that this cube allows
    data: str
    languages: pd.DataFrame
    records: Sequence[Mapping]
    settings: Mapping

    @property
    def study(self) -> str:
        """Name of the study; `simulated` for invented scores."""
        return self.sums[0].study or "without a name"

    @property
    def rules(self) -> Declared:
        """The rules, with the primary comparison that is shown."""
        return replace(self.given, primary=self.primary)

    @cached_property
    def answer(self) -> pd.DataFrame:
        """Rows of the primary contrast: target, rest, difference."""
        return answer_rows(self.comparison, self.primary, self.languages)

    @cached_property
    def drawn(self) -> pd.DataFrame:
        """Rows of the answer's figure: where the answer is one average, families', too."""
        return forest_rows(self.comparison, self.primary, self.languages)

    @cached_property
    def exposed(self) -> list[str]:
        """Tasks of the cube whose data the encoder had seen before the study."""
        have = {one.task for one in self.measured}
        known = tables.exposed(self.settings.get("encoder", ""), self.data)
        return [task for task in known if task in have]

    @cached_property
    def claims(self) -> pd.DataFrame:
        """Published claims, tested as far as this study can: the columns of ``check_claims``."""
        return check_claims(self.sums, self.rules, self.data, exposed=self.exposed)

    @cached_property
    def scores(self) -> pd.DataFrame:
        """Official scores per condition, task, language and seed."""
        scores = official(score_rows(self.sums), self.data)
        conditions, targets = (self.settings.get(key, []) for key in ("conditions", "targets"))
        return in_order(scores, conditions, targets)


def material(comparison, cube, settings=None, data=None, records=()) -> Material:
    """Gather what the sections need; UserError where there is nothing to answer with."""
    rules, sums = declared(settings), list(contracted(cube))
    measured = study_moments(sums)
    data = data or source_of(measured)
    primary = rules.primary or likely_primary(comparison, data)
    rows = answer_rows(comparison, primary, language_table(data))
    if not rows["task"].eq(primary.target).any():
        raise UserError(
            f"report: the comparison has no row of {primary.treatment} over {primary.baseline} on "
            f"{primary.target} {primary.metric} by {primary.by}; give the significance of this cube"
        )
    languages = known_languages(measured, data)
    given = settings.model_dump() if settings else {}
    return Material(comparison, sums, measured, rules, primary, data, languages, records, given)


def likely_primary(comparison: pd.DataFrame, data: str) -> Primary:
    """The rows to show of a comparison that declares none: squad on xquad, or what there is."""
    metrics = official_metrics(data)
    single = comparison[comparison["by"].eq("group") & comparison["task"].isin(metrics)]
    single = single[single["metric"] == single["task"].map(metrics)]
    if single.empty:
        raise UserError("report: the comparison has no row of a known task by group")
    wanted = single["task"].eq("xquad") * 2 + single["treatment"].eq("squad")
    row = single.loc[wanted.idxmax()]
    return Primary(*both_sides(row), row["task"], row["metric"], "group")


def source_of(measured: Sequence[Moments]) -> str:
    """The data source whose languages table has all of a cube's languages; `hub` if none has."""
    codes = set(_languages(measured)["language"])
    return next((data for data in ("hub", "world") if codes <= set(tables.languages(data))), "hub")


def _languages(measured: Sequence[Moments]) -> pd.DataFrame:
    """Language, family and group (``unknown`` where a cube has none) of a cube, pairs left out."""
    columns = ["language", "family", "group"]
    single = [one.languages for one in measured if not one.task.endswith(PAIRS)]
    present = pd.concat(single or [one.languages for one in measured])
    return present.reindex(columns=columns, fill_value="unknown").drop_duplicates().astype(str)


def known_languages(measured: Sequence[Moments], data: str) -> pd.DataFrame:
    """The languages table, with rows from the cube itself for languages that it lacks."""
    known, present = language_table(data), _languages(measured)
    strangers = present[~present["language"].isin(known["code"])].set_axis(
        ["code", "family", "group"], axis=1
    )
    if strangers.empty:
        return known
    return pd.concat([known, strangers.assign(name=strangers["code"], script="")])


def with_interval(rows: pd.DataFrame) -> pd.Series:
    """`+2.3 [1.2, 3.4]`: the gain and its interval, for every row."""
    cells = zip(rows["gain"], rows["ci_low"], rows["ci_high"], strict=True)
    texts = [f"{gain:+.1f} [{low:.1f}, {high:.1f}]" for gain, low, high in cells]
    return pd.Series(texts, rows.index).str.replace("-", "\N{MINUS SIGN}")


def interval(rows: pd.DataFrame) -> pd.Series:
    """`+1.2 to +3.4` for every row."""
    pairs = zip(rows["ci_low"], rows["ci_high"], strict=True)
    text = [f"{low:+.1f} to {high:+.1f}".replace("-", "\N{MINUS SIGN}") for low, high in pairs]
    return pd.Series(text, rows.index)


def p_text(p: float) -> str:
    """A p-value in three digits."""
    return "< 0.001" if p < 0.001 else f"{p:.3f}"


def p_words(p: float) -> str:
    """`p = 0.012` or `p < 0.001`."""
    return f"p {p_text(p)}" if p < 0.001 else f"p = {p_text(p)}"
