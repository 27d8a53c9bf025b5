"""Rules: every name in a params file is one of the tables or of the study itself."""

from collections import Counter
from collections.abc import Collection, Iterator
from typing import Any

from xtsupport.errors import did_you_mean, instead, shorten
from xtsupport.sides import side, source_language
from xtsupport.study import conditions
from xtsupport.study.params.params_file import dotted

Problems = Iterator[tuple[tuple, str]]  # (key path, what is wrong)


def among(path: tuple, name: str, allowed: Collection[str], text: str) -> Problems:
    """`text` and what is allowed, where a name is none of those."""
    if name not in allowed:
        yield path, f"{text}{instead(name, allowed)}"


def no_name_twice(settings, tasks, languages) -> Problems:
    """Lists name things once."""
    keys = ("conditions", "variants", "targets", "seeds", "languages")
    lists: dict[tuple, Any] = {(key,): getattr(settings, key) for key in keys}
    lists |= dict(own_seeds(settings))
    for path, values in lists.items():
        for value, times in Counter(values).items() if isinstance(values, list) else ():
            if times > 1:
                yield path, f"{dotted(path)}: {value} is listed {times} times; keep one"


def known_seeds(settings, tasks, languages) -> Problems:
    """Seeds of their own are those of conditions of the study, and there of its targets."""
    for path, _ in own_seeds(settings):
        what = "condition" if len(path) == 2 else "target"
        allowed = [*(settings.conditions if len(path) == 2 else settings.targets), "default"]
        yield from among(path, path[-1], allowed, f"{dotted(path)}: is not a {what} of the study")


def own_seeds(settings) -> Iterator[tuple[tuple, Any]]:
    """(key path, what it holds) of the seeds of conditions, and of a condition's targets."""
    for name, own in settings.seeds.items() if isinstance(settings.seeds, dict) else ():
        yield ("seeds", name), own
        for target, seeds in own.items() if isinstance(own, dict) else ():
            yield ("seeds", name, target), seeds


def known_conditions(settings, tasks, languages) -> Problems:
    """Every condition is none, all, an intermediate task, one of these changed, or none~X."""
    trainable = sorted(name for name, task in tasks.items() if task.role == "intermediate")
    for index, name in enumerate(settings.conditions):
        path = ("conditions", index)
        try:
            condition = conditions.parse(name)
        except ValueError as error:
            yield path, f"conditions: {name!r}: {error}"
            continue
        if condition.base not in ("none", "all", *trainable):
            hint = did_you_mean(condition.base, ["none", "all", *trainable])
            yield path, (f"conditions: unknown condition {name!r}{hint}; allowed: none, all, "
                         f"none~TASK, {', '.join(trainable)}, and a task with "
                         f"{', '.join(conditions.MARKS)}")  # fmt: skip
        elif condition.matched and condition.matched not in settings.conditions:
            yield path, f"conditions: {name!r} needs the condition {condition.matched!r}; add it"
    singles = conditions.single_tasks(settings.conditions)
    if {"all", "all+mlm"} & {*settings.conditions} and len(singles) < 2:
        text = "conditions: `all` mixes the single tasks of the study and needs at least two"
        yield ("conditions",), text
    if any(name.endswith("@matched") for name in settings.conditions) and not singles:
        text = "conditions: @matched takes the rows of the smallest single task of the study; "
        yield ("conditions",), f"{text}add the single tasks"


def known_variants(settings, tasks, languages) -> Problems:
    """Every variant is a condition of the study with a way to train phase 3."""
    ways = [*conditions.ROBUST, "source=LANGUAGE"]
    for index, name in enumerate(settings.variants):
        path, (condition, variant) = ("variants", index), side(name)
        text = f"variants: {name!r}: {condition!r} is not a condition of the study"
        yield from among(path, condition, settings.conditions, text)
        source = source_language(variant)
        if variant.startswith("source="):
            if source == "en" or source not in languages:
                hint = did_you_mean(source, languages)
                yield path, (f"variants: {name!r}: unknown source language {source!r}{hint}; "
                             "allowed: a code of the table of languages other than en, which is "
                             "plain")  # fmt: skip
        elif variant not in conditions.ROBUST:
            hint = did_you_mean(variant, ways)
            yield path, (f"variants: {shorten(name)}: unknown variant {shorten(variant)}{hint}; "
                         f"allowed: CONDITION/VARIANT with {', '.join(ways)}")  # fmt: skip


def known_targets(settings, tasks, languages) -> Problems:
    """Every target is a target task of the tables, or another one that says what to train on."""
    names = sorted(
        name
        for name, task in tasks.items()
        if task.role == "target" or (task.role == "other" and task.training_task)
    )
    for index, name in enumerate(settings.targets):
        yield from among(("targets", index), name, names, f"targets: unknown target {name!r}")


def known_languages(settings, tasks, languages) -> Problems:
    """Languages are codes of the table, and each target keeps at least one."""
    names = {each.name.lower(): each.code for each in languages.values()}
    for index, code in enumerate(() if settings.languages == "all" else settings.languages):
        if code not in languages:
            named = f" (did you mean {names.get(code.lower())!r}?)"
            hint = named if code.lower() in names else did_you_mean(code, languages)
            few = ", ".join(list(languages)[:8])
            yield ("languages", index), (f"languages: unknown language {code!r}{hint}; "
                                         f"allowed: all, or codes such as {few}")  # fmt: skip
    for name in settings.targets:
        if name in tasks and not settings.spoken(tasks[name]):
            has = ", ".join(code for code in tasks[name].every_language if code in languages)
            yield ("languages",), (f"languages: none of them is a language of target {name}; "
                                   f"it has {has}")  # fmt: skip


def known_overrides(settings, tasks, languages) -> Problems:
    """Per-task settings name tasks that the study trains on."""
    phase3 = sorted({tasks[n].training_task for n in settings.targets if n in tasks} - {""})
    marked = (name for name in settings.conditions if {"@", "+"} & {*name})
    bases = {conditions.stem(name) for name in settings.conditions} & {*tasks, "all"}
    for key, names in (("tasks", phase3), ("intermediate_tasks", sorted({*bases, *marked}))):
        for name in getattr(settings, key):
            text = f"{key}.{name}: the study does not train on {name!r} there"
            yield from among((key, name), name, names, text)


def known_evaluation(settings, tasks, languages) -> Problems:
    """Splits and limits are of targets with a head; pairs of two languages of a parallel one."""
    heads = sorted(n for n in settings.targets if n in tasks and tasks[n].kind != "retrieval")
    most = settings.evaluation.max_clusters
    limits = [("max_clusters", name) for name in (most if isinstance(most, dict) else ())]
    for key, name in [*(("splits", name) for name in settings.evaluation.splits), *limits]:
        path = ("evaluation", key, name)
        text = f"{dotted(path)}: is not a target of the study that is trained"
        yield from among(path, name, heads, text)
    for name, codes in settings.evaluation.languages.items():
        path = ("evaluation", "languages", name)
        yield from among(path, name, settings.targets, f"{dotted(path)}: is not a target")
        for code in codes if name in tasks else ():
            have = tasks[name].every_language
            told = f"{dotted(path)}: {code!r} is not one of its languages"
            yield from among(path, code, have, told)
    parallel = [name for name in heads if tasks[name].pairable]
    spoken = sorted({code for name in parallel for code in tasks[name].languages})
    for index, pair in enumerate(settings.evaluation.pairs):
        together = any(set(pair) <= set(tasks[name].languages) for name in parallel)
        if pair[0] == pair[1] or not together:
            of = ", ".join(parallel) or "no target (none is parallel)"
            yield ("evaluation", "pairs", index), (
                f"evaluation.pairs: [{', '.join(pair)}] must be two languages of one of {of}; "
                f"allowed: {', '.join(spoken) or 'nothing'}")  # fmt: skip


def known_retrieval(settings, tasks, languages) -> Problems:
    """Retrieval settings of a task are of a retrieval target of the study."""
    names = [n for n in settings.targets if n in tasks and tasks[n].kind == "retrieval"]
    for name in settings.retrieval.tasks:
        path = ("retrieval", "tasks", name)
        text = f"{dotted(path)}: is not a retrieval target of the study"
        yield from among(path, name, names, text)


def known_contrasts(settings, tasks, languages) -> Problems:
    """Contrasts are ordered pairs of two sides of the study: conditions, or variants of them."""
    known = [*settings.conditions, *settings.variants]
    for path, pair in compared(settings):
        key = dotted(path[:2])
        for name in pair:
            if name.removesuffix("/plain") not in known:
                hint = instead(name, known)
                yield path, f"{key}: {name!r} is not a condition of the study{hint}"
        if pair[0] == pair[1]:
            yield path, f"{key}: {pair[0]!r} is compared with itself"


def compared(settings) -> Iterator[tuple[tuple, list[str]]]:
    """(key path, sides) of the comparisons that a study declares."""
    for index, pair in enumerate(settings.analysis.contrasts):
        yield ("analysis", "contrasts", index), pair
    if primary := settings.analysis.primary:
        yield ("analysis", "primary"), [primary.treatment, primary.baseline]


def sound_primary(settings, tasks, languages) -> Problems:
    """The primary comparison is on a target of the study and one of that target's metrics."""
    primary, path = settings.analysis.primary, ("analysis", "primary")
    if not primary:
        return
    text = f"analysis.primary.target = {primary.target!r}: is not a target of the study"
    yield from among((*path, "target"), primary.target, settings.targets, text)
    about = tasks.get(primary.target) if primary.target in settings.targets else None
    if about and primary.metric not in about.metrics:
        has = ", ".join(about.metrics)
        text = f"analysis.primary.metric = {primary.metric!r}: {primary.target} has {has}"
        yield (*path, "metric"), text
