"""Sides of a contrast: conditions with variants, and how params files and tables name them.

Params files write ``squad/source=de``, and ``squad`` for ``squad/plain``. Tables have the columns
treatment, baseline and variant: the variant is that of both, unless the baseline names its own.
"""

import re
from collections.abc import Mapping

Side = tuple[str, str]  # condition, variant
SOURCE = "en"  # the language that phase 3 trains on, unless its variant names another


def side(named) -> Side:
    """``condition`` or ``condition/variant`` (or a pair of them) as a pair."""
    if not isinstance(named, str):
        return tuple(named)
    settings = named.rfind("}") + 1  # other than the study's; an encoder's name may have a slash
    condition, _, variant = named[settings:].partition("/")
    return named[:settings] + condition, variant or "plain"


def bare(name: str) -> str:
    """A condition or side without its settings in braces: squad of ``squad{a.b=1}``."""
    before, brace, settings = name.partition("{")
    return before + settings.rpartition("}")[2] if brace else name


def in_braces(name: str) -> list[str]:
    """``squad{a.b=1,c.d=[0, 1]}`` -> a.b=1 and c.d=[0, 1]."""
    inside = name.partition("{")[2].rpartition("}")[0]
    return re.split(r",(?=[a-z_][a-z0-9_.]*=)", inside) if inside else []


def short_name(one: Side) -> str:
    """A side as params files name it."""
    return one[0] if one[1] == "plain" else "/".join(one)


def source_language(variant: str) -> str:
    """The language that phase 3 of a variant trains on: de of ``source=de``, else English."""
    return variant.removeprefix("source=") if variant.startswith("source=") else SOURCE


def as_columns(treatment: Side, baseline: Side) -> dict[str, str]:
    """Both sides as tables name them: treatment, baseline, variant."""
    shared = baseline[1] == treatment[1]
    return {
        "treatment": treatment[0],
        "baseline": baseline[0] if shared else "/".join(baseline),
        "variant": treatment[1],
    }


def both_sides(row: Mapping) -> tuple[str, str]:
    """Treatment and baseline of a table's row as params files name them."""
    baseline, variant = row["baseline"], row["variant"]
    against = side(baseline)
    if baseline == against[0]:
        against = against[0], variant
    return short_name((row["treatment"], variant)), short_name(against)
