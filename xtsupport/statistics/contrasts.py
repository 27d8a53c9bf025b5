"""Which comparisons are made: pairs of (condition, variant), each with every row of its table.

A contrast is explicit because one baseline does not serve all: ``mnli@translated`` is held against
``mnli``, a robust or other-source phase 3 against its plain form, and an intermediate task also
against the control ``none~task`` that trains as many steps without it.
"""

from collections.abc import Collection, Sequence

import numpy as np
import pandas as pd

from xtsupport.errors import UserError
from xtsupport.sides import Side, bare, in_braces, short_name, side
from xtsupport.statistics.aggregates import Case, Facts, rows
from xtsupport.statistics.clusters import Moments
from xtsupport.statistics.declared import Primary
from xtsupport.statistics.variance import Arm, arm


def cases(
    measured: Sequence[Moments],
    facts: dict[str, Facts],
    pairs: Sequence[tuple[Side, Side]],
    by: str,
    paired: bool = True,
    primary: str = Primary.target,
) -> list[Case]:
    """Every row of every contrast, in the order of the contrasts; UserError if there is none."""
    found = []
    for pair in pairs:
        cut = [arm(one, *pair, paired, facts[one.task].kind == "retrieval") for one in measured]
        if arms := [one for one in cut if one is not None]:
            found += rows(arms, facts, by, primary)
    if not found:
        raise UserError(
            "nothing to compare: no task has runs of both sides of any contrast"
            + ", with the same seeds (in Python, paired=False takes any)" * paired
        )
    return found


def arms_of(found: Sequence[Case]) -> tuple[list[Arm], list[np.ndarray]]:
    """Every arm of some cases, and per arm the (cases, 2, L) weights."""
    arms = list({id(one): one for case in found for one in case.arms}.values())
    place = {id(one): j for j, one in enumerate(arms)}
    weights = [np.zeros((len(found), 2, len(one.moments.languages))) for one in arms]
    for row, case in enumerate(found):
        for one, weight in zip(case.arms, case.weights, strict=True):
            weights[place[id(one)]][row] = weight, -weight
    return arms, weights


def sides_of(
    measured: Sequence[Moments], baseline: str, contrasts: Sequence | None
) -> list[tuple[Side, Side]]:
    """The contrasts as pairs of (condition, variant); without a list, everything over ``baseline``.

    A variant is then compared with the baseline of the same variant, or the plain one. UserError
    for a name that the cube does not have.
    """
    have = sides(measured)
    if contrasts is None:
        base = side(baseline)
        alike = {one: (base[0], one[1]) for one in have if base in have and one != base}
        pairs = [(one, same if same in have and same != one else base)
                 for one, same in alike.items()]  # fmt: skip
    else:
        pairs = [(side(a), side(b)) for a, b in contrasts]
    shown = ", ".join(short_name(one) for one in have)
    unknown = sorted({one for pair in pairs for one in pair} - set(have))
    if unknown:
        names = map(short_name, unknown)
        raise UserError(*(f"contrast with {one!r}: the cube only has {shown}" for one in names))
    if not pairs:
        raise UserError(f"nothing to compare with {baseline!r}: the cube only has {shown}")
    return pairs


def default_contrasts(have: Collection[Side]) -> list[tuple[Side, Side]]:
    """The contrasts of a study that declares none, each with the baseline that fits it.

    That of a run with other settings, ``squad{target.epochs=4.0}``, has as many of these settings
    as can be had, and no others: settings of phase 2 mean nothing to ``none``.
    """
    pairs: list[tuple[Side, Side]] = []
    for condition, variant in have:
        name = bare(condition)
        stem = name.partition("@")[0].partition("+")[0]
        base = _alike(stem, condition, have)
        if variant != "plain":
            pairs.append(((condition, variant), (condition, "plain")))
        elif stem != name and base in have:
            pairs.append(((condition, variant), base))
        elif name != "none":
            usual = (_alike(each, condition, have) for each in ("none", f"none~{name}"))
            pairs += [((condition, variant), each) for each in usual]
    return [pair for pair in pairs if {*pair} <= {*have}]


def _alike(name: str, condition: str, have: Collection[Side]) -> Side:
    """The side `name` with the most of the settings in the braces of `condition`, and no others."""
    wanted = {*in_braces(condition)}
    fit = {one: len(own) for one, variant in have
           if variant == "plain" and bare(one) == name
           and (own := {*in_braces(one)}) <= wanted}  # fmt: skip
    return max(fit, key=lambda one: fit[one], default=name), "plain"


def sides(measured: Sequence[Moments]) -> list[Side]:
    """Every (condition, variant) of a cube, sorted."""
    runs = pd.concat([one.runs[["condition", "variant"]] for one in measured])
    return sorted(set(runs.itertuples(index=False, name=None)))
