"""A part of a study: ``--only conditions=none,squad``. Its runs are those of the whole study."""

from collections.abc import Sequence
from typing import Any

from xtsupport import tables
from xtsupport.errors import UserError, did_you_mean
from xtsupport.sides import side
from xtsupport.study.conditions import controls_run
from xtsupport.study.parameters import PARTS, as_list
from xtsupport.study.params.settings import Settings


def read(settings: Settings, only: Sequence[str]) -> dict[str, list]:
    """What ``--only`` says, checked: {key: values in the order of the study}."""
    chosen: dict[str, list] = {}
    problems = []
    for text in only:
        key, equals, value = text.partition("=")
        key = key.strip()
        if not equals or key not in PARTS:
            keys = f"{', '.join(PARTS)}{did_you_mean(key, PARTS)}"
            problems.append(f"--only {text}: must be key=value,value with one of the keys {keys}, "
                            "for example conditions=none,squad")  # fmt: skip
            continue
        allowed, asked = named(settings)[key], as_list(value)
        problems += [
            f"--only {text}: {each!r} is not one of the study's {key}"
            f"{did_you_mean(each, allowed)}; it has {', '.join(map(str, allowed)) or 'none'}"
            for each in asked
            if each not in allowed
        ]
        if not asked:
            problems.append(f"--only {text}: names nothing; leave it out to take all")
        chosen[key] = [each for each in allowed if each in chosen.get(key, []) + asked]
    if problems:
        raise UserError(*problems)
    return chosen


def named(settings: Settings) -> dict[str, list]:
    """What a study has that ``--only`` can choose from, by key."""
    found = {key: getattr(settings, key) for key in PARTS}
    return found | {"seeds": settings.every_seed}


def part_of(settings: Settings, only: Sequence[str]) -> Settings:
    """The settings of the part of a study that ``only`` names, a list of ``key=value,value``, with
    the comparisons that it still allows.

    A condition or target that has none of the chosen seeds goes, too. Raises UserError for an
    unknown key, for a value that the study does not have, and where nothing is left.
    """
    kept: dict[str, Any] = named(settings) | read(settings, only)
    seeds = {
        name: {
            target: [seed for seed in settings.seeds_of(name, target) if seed in kept["seeds"]]
            for target in kept["targets"]
        }
        for name in kept["conditions"]
    }
    kept["conditions"] = [name for name in kept["conditions"] if any(seeds[name].values())]
    kept["targets"] = [t for t in kept["targets"] if any(own[t] for own in seeds.values())]
    if not kept["targets"]:
        asked = ", ".join(map(str, kept["seeds"]))
        raise UserError(f"--only: no chosen condition has seed {asked} on a chosen target")
    if not controls_run(tables.task(each, settings.data_source) for each in kept["targets"]):
        kept["conditions"] = [name for name in kept["conditions"] if "~" not in name]
    kept["variants"] = [each for each in kept["variants"] if side(each)[0] in kept["conditions"]]
    sides = {side(each) for each in [*kept["conditions"], *kept["variants"]]}
    analysis, primary = settings.analysis, settings.analysis.primary
    contrasts = [each for each in analysis.contrasts if {*map(side, each)} <= sides]
    if primary and not (
        {side(primary.treatment), side(primary.baseline)} <= sides
        and primary.target in kept["targets"]
    ):
        primary = None
    kept["seeds"] = kept["seeds"] if isinstance(settings.seeds, list) else seeds
    return with_analysis(settings.model_copy(update=kept), contrasts, primary)


def with_analysis(settings: Settings, contrasts: list, primary) -> Settings:
    """The settings with these comparisons, which do not count as changed after the first run."""
    analysis = settings.analysis.model_copy(update={"contrasts": contrasts, "primary": primary})
    found, late = settings.model_copy(update={"analysis": analysis}), settings.late
    unchanged = {name: value for name, value in analysis.model_dump().items() if name not in late}
    planned = settings._planned.get("analysis", {}) | unchanged
    found._planned = settings._planned | {"analysis": planned}
    return found


def unspoken(settings: Settings) -> list[str]:
    """A line where languages were chosen that no target has."""
    chosen = [] if settings.languages == "all" else settings.languages
    heard = settings.every_language(tables.tasks(settings.data_source))
    if gone := [code for code in chosen if code not in heard]:
        return [f"left out: {', '.join(gone)}, which no target of the study has"]
    return []


def overruled(settings: Settings) -> list[str]:
    """A line where a setting was chosen for a phase, and a task or condition has its own value."""
    lines = []
    for phase, key in (("target", "tasks"), ("intermediate", "intermediate_tasks")):
        chosen = [each.partition("=") for each in settings.chosen if each.startswith(f"{phase}.")]
        for name, own in getattr(settings, key).items():
            lines += [
                f"{setting} = {value} does not change {name}, which has its own: set "
                f"{key}.{name}.{field} (now {getattr(own, field)})"
                for setting, _, value in chosen
                if (field := setting.removeprefix(f"{phase}.")) in own.model_fields_set
            ]
    return lines
