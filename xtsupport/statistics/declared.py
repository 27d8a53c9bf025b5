"""What a study declared before its first run: the primary comparison and the rules of judging.

Everything that the params file does not declare is printed as exploratory.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, get_args

Unit = Literal["clusters x seeds", "clusters", "seeds", "clusters x seeds x languages"]
Adjustment = Literal["holm", "bonferroni", "fdr_bh", "fdr_by", "none"]
By = Literal["group", "family", "language", "all"]
UNITS = get_args(Unit)
FEWEST_SEEDS = 3  # for a claim about the recipe, and not about these trained models


@dataclass(frozen=True)
class Primary:
    """The one comparison that was planned; its hypotheses are the levels of ``by``."""

    treatment: str
    baseline: str = "none"
    target: str = "xquad"
    metric: str = "f1"
    by: By = "group"


def apart(by: str) -> str:
    """The level at which to look for differences: ``by``; families where that is one average."""
    return "family" if by == "all" else by


def plural(by: str) -> str:
    """`families`, `groups`, `languages`."""
    return "families" if by == "family" else f"{by}s"


@dataclass(frozen=True)
class Declared:
    """Contrasts (none: those that fit the cube), primary comparison, rules; margin in points.

    ``late``: names of what differs from the declaration before the first results. More contrasts
    do no harm, as all but the primary one are exploratory; other targets make only differences to
    them exploratory; anything else makes the primary comparison exploratory, too.
    """

    contrasts: tuple = ()
    primary: Primary | None = None
    margin: float = 1.0
    alpha: float = 0.05
    adjustment: Adjustment = "holm"
    unit: Unit = "clusters x seeds"
    paired: bool = True
    late: tuple[str, ...] = ()

    @property
    def in_advance(self) -> bool:
        """Whether the primary comparison, its rules, languages and seeds were declared before the
        first run."""
        return self.primary is not None and set(self.late) <= {"contrasts", "targets"}


def doubt(late: Sequence[str]) -> str:
    """Why a comparison that is declared counts as exploratory, as half a sentence."""
    if "planned.json" in late[0]:  # the file itself is in doubt
        return f"{late[0]}, so nothing shows that it was declared before the first run"
    return (f"it differs from what was declared before the first run ({', '.join(late)}; see "
            "planned.json)")  # fmt: skip


def few_seeds(unit: str, n_seeds: int) -> bool:
    """Whether a unit of resampling with seeds has too few of them for a verdict."""
    return "seeds" in unit and n_seeds < FEWEST_SEEDS


def declared(settings=None) -> Declared:
    """The declaration in a study's settings, its ``analysis`` part, a mapping, or nothing."""
    if settings is None or isinstance(settings, Declared):
        return settings or Declared()
    part = getattr(settings, "analysis", settings)
    given = dict(part) if isinstance(part, Mapping) else dict(vars(part))
    given = {name: value for name, value in given.items() if name in Declared.__annotations__}
    primary = given.get("primary")
    if primary is not None and not isinstance(primary, Primary):
        primary = Primary(**(primary if isinstance(primary, Mapping) else vars(primary)))
    contrasts = tuple(tuple(pair) for pair in given.get("contrasts") or ())
    late = tuple(getattr(settings, "late", ()))
    return Declared(**{**given, "primary": primary, "contrasts": contrasts, "late": late})
