"""What a report is made of, gathered once: comparison, cube, declaration, records of runs."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property

import pandas as pd

from xtsupport.analysis.clusters import Moments, study_moments
from xtsupport.analysis.declared import Declared, Primary, declared
from xtsupport.analysis.results import score_table
from xtsupport.analysis.views import (
    answer_rows,
    in_order,
    language_table,
    official,
    official_metrics,
)
from xtsupport.data import tables
from xtsupport.errors import UserError


@dataclass(frozen=True)
class Material:
    """What a report is made of."""

    comparison: pd.DataFrame
    cube: pd.DataFrame
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
        return str(self.cube["study"].iloc[0]) if "study" in self.cube else "without a name"

    @property
    def rules(self) -> Declared:
        """The rules, with the primary comparison that is shown."""
        return replace(self.given, primary=self.primary)

    @cached_property
    def answer(self) -> pd.DataFrame:
        """Rows of the primary contrast: target, rest, difference."""
        return answer_rows(self.comparison, self.primary, self.languages)

    @cached_property
    def scores(self) -> pd.DataFrame:
        """Official scores per condition, task, language and seed."""
        scores = official(score_table(self.cube), self.data)
        conditions, targets = (self.settings.get(key, []) for key in ("conditions", "targets"))
        return in_order(scores, conditions, targets)


def material(comparison, cube, settings=None, data=None, records=()) -> Material:
    """Gather what the sections need; UserError where there is nothing to answer with."""
    rules, measured = declared(settings), study_moments(cube)
    data = data or source_of(cube)
    primary = rules.primary or likely_primary(comparison, data)
    rows = answer_rows(comparison, primary, language_table(data))
    if not rows["task"].eq(primary.target).any():
        raise UserError(
            f"report: the comparison has no row of {primary.treatment} over {primary.baseline} on "
            f"{primary.target} {primary.metric} by {primary.by}; give the significance of this cube"
        )
    languages = known_languages(cube, data)
    given = settings.model_dump() if settings else {}
    return Material(comparison, cube, measured, rules, primary, data, languages, records, given)


def likely_primary(comparison: pd.DataFrame, data: str) -> Primary:
    """The rows to show of a comparison that declares none: squad on xquad, or what there is."""
    metrics = official_metrics(data)
    single = comparison[comparison["by"].eq("group") & comparison["task"].isin(metrics)]
    single = single[single["metric"] == single["task"].map(metrics)]
    if single.empty:
        raise UserError("report: the comparison has no row of a known task by group")
    wanted = single["task"].eq("xquad") * 2 + single["treatment"].eq("squad")
    row = single.loc[wanted.idxmax()]
    treatment = row["treatment"] + ("" if row["variant"] == "plain" else f"/{row['variant']}")
    return Primary(treatment, row["baseline"], row["task"], row["metric"], "group")


def is_simulated(cube: pd.DataFrame) -> bool:
    """Whether these are the invented scores that stand in for a study that was not run."""
    return "study" in cube and (cube["study"] == "simulated").all()


def source_of(cube: pd.DataFrame) -> str:
    """The data source whose languages table has all of a cube's languages; `hub` if none has."""
    codes = set(cube["language"].unique())
    return next((data for data in ("hub", "world") if codes <= set(tables.languages(data))), "hub")


def known_languages(cube: pd.DataFrame, data: str) -> pd.DataFrame:
    """The languages table, with rows from the cube itself for languages that it lacks."""
    known = language_table(data)
    columns = ["language", "family", "group"]
    present = cube[columns].drop_duplicates().astype(str)
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
