"""Rules between settings, and between settings and the tables of tasks and languages.

Each rule yields (key path, what is wrong), and ends at the first setting that is itself wrong.
"""

from collections import Counter
from collections.abc import Collection, Iterator
from contextlib import suppress
from typing import Any

from xtsupport import folders
from xtsupport.data import commits
from xtsupport.data.published_files import recognised
from xtsupport.errors import UserError, did_you_mean, instead, shorten
from xtsupport.sides import side, source_of
from xtsupport.study import conditions
from xtsupport.study.params.params_file import dotted
from xtsupport.training import checkpoint

Problems = Iterator[tuple[tuple, str]]


class Wrong(Exception):
    """A rule asked for a setting that is wrong, which was said already."""


class Sound:
    """The settings, of which those named in `bad` cannot be read."""

    def __init__(self, settings, bad: set[str]):
        self._settings, self._bad = settings, bad

    def __getattr__(self, name: str) -> Any:
        if name in self._bad:
            raise Wrong
        return getattr(self._settings, name)


def broken(settings, given, bad: set[str]) -> list[str]:
    """One line per broken rule: file and line, key, what is wrong."""
    tables, problems = tables_of(settings, bad)
    lines = [f"{given.where(('data',))}: {each}" for each in problems]
    for rule in RULES:
        with suppress(Wrong):
            for path, text in rule(Sound(settings, bad), *tables):
                lines.append(f"{given.where(path)}: {text}")
    return lines


def without_support(own, settings, given) -> list[tuple]:
    """Key paths of the file's entries whose task or condition ``--set`` took out of the study.

    own: the settings of the file alone. What was wrong there already, or was itself given by
    ``--set``, stays, and is refused.
    """

    def entries(each) -> set[tuple]:
        tables, _ = tables_of(each, set())
        paths = (path for rule in NAMING for path, _ in rule(each, *tables))
        return {path[:2] if path[:2] == ("analysis", "primary") else path for path in paths}

    return [
        path
        for path in sorted(entries(settings) - entries(own))
        if not any(path in (key, key[: len(path)]) or path[: len(key)] == key
                   for key in given.set_keys)
    ]  # fmt: skip


def tables_of(settings, bad: set[str]) -> tuple[tuple[dict, dict], list[str]]:
    """The tables that the study's data bring along, and why they cannot be had."""
    from xtsupport.tables import languages, tasks

    try:
        source = "hub" if "data" in bad else data_source(settings.data)
        return (tasks(source), languages(source)), []
    except UserError as error:
        return (tasks("hub"), languages("hub")), [
            f"data = {shorten(settings.data)}: {each}" for each in error.problems
        ]


def data_source(data: str) -> str:
    """A ``data`` setting as ``load(data=...)`` takes it: ``hub``, ``world`` or an absolute folder.

    Folders are resolved against the project root, wherever the params file lies.
    Raises UserError when there is no such folder.
    """
    if data in ("hub", "world"):
        return data
    if data == "world-tiny":
        from xtsupport.data.world.generate import world_folder

        return str(world_folder(size="tiny"))
    folder = folders.typed(data).resolve()
    if not folder.is_dir():
        raise UserError(
            f"no folder {folder}{did_you_mean(data, ['hub', 'world'])}; "
            "allowed: hub, world or a mirror folder"
        )
    if next(folder.rglob("*.parquet"), None) is None and next(recognised(folder), None):
        raise UserError(
            f"{folder} holds files as published and no parquet; make a mirror from it with "
            f"`xtsupport data convert {data} NEW_FOLDER` and set `data: NEW_FOLDER`"
        )
    return str(folder)


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
        source = source_of(variant)
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


def unseen_evaluation(settings, tasks, languages) -> Problems:
    """Phase 3 does not train on the rows of its own target's evaluation set.

    The same split will do where English is not evaluated and the languages are no translations.
    """
    for name in set(settings.targets) & set(tasks):
        own = settings.tasks.get(name)
        trained = (own and own.train_split) or tasks[name].train_split
        evaluated = settings.evaluation.splits.get(name) or tasks[name].eval_split
        both = ", ".join(sorted({*trained.split("+")} & {*evaluated.split("+")}))
        apart = not tasks[name].parallel and "en" not in settings.spoken(tasks[name])
        if both and tasks[name].training_task == name and not apart:
            path = ("tasks", name, "train_split")
            yield path, (f"{dotted(path)} = {trained!r}: {name} is evaluated on {both}; "
                         "train on other rows")  # fmt: skip


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


def sound_windows(settings, tasks, languages) -> Problems:
    """Windows over long texts move on: they share less than the text that one of them holds."""
    told = set()
    for path, name, length, stride in windows(settings, tasks):
        special, question = TAKEN.get(tasks[name].kind, (0, 0))
        room = length - special - question
        if special and stride >= room and path not in told:
            told.add(path)
            taken = f"{special} special ones" + f" and {question} of a question" * bool(question)
            yield path, (
                f"{dotted(path)}: max_length {length} leaves {max(0, room)} tokens of text "
                f"in a window of {name} (without {taken}), and stride {stride} must be less; "
                "raise max_length or lower stride")  # fmt: skip


def stride_or_step(settings, tasks, languages) -> Problems:
    """A step replaces the stride, so that no group gives both, nor a stride below a step."""
    for path, own in trainings(settings):
        if own.stride is None or "stride" not in own.model_fields_set:
            continue
        key = dotted(path)
        if own.step is not None:
            yield (*path, "step"), (f"{key}: has stride {own.stride} and step {own.step}, which "
                                    "means the same; keep one")  # fmt: skip
        elif "step" not in own.model_fields_set and (step := step_above(settings, path)):
            yield (*path, "stride"), (
                f"{key}.stride = {own.stride}: has no effect beside the step {step} of its phase; "
                f"set {key}.step, or make it null to use stride")  # fmt: skip


def step_above(settings, path: tuple) -> int | None:
    """The step that a group of ``tasks`` or ``intermediate_tasks`` inherits; None for a phase."""
    if len(path) == 1:
        return None
    above = settings.target if path[0] == "tasks" else settings.intermediate
    base = settings.intermediate_tasks.get(conditions.stem(path[1]))
    inherits = path[0] == "intermediate_tasks" and base and "step" in base.model_fields_set
    return base.step if inherits else above.step


def windows(settings, tasks) -> Iterator[tuple[tuple, str, int, int]]:
    """(key path, task, max_length, stride) of every task that the study trains on."""
    singles = conditions.single_tasks(settings.conditions)
    for name in settings.conditions:
        base = conditions.stem(name)
        own = [key for key in dict.fromkeys((base, name)) if key in settings.intermediate_tasks]
        for task in singles if base == "all" else [base]:
            if task in tasks:
                yield task_window(settings, "intermediate", "intermediate_tasks", own, task)
    for name in dict.fromkeys(tasks[t].training_task for t in settings.targets if t in tasks):
        if name in tasks:
            own = [name] if name in settings.tasks else []
            yield task_window(settings, "target", "tasks", own, name)


def task_window(settings, phase: str, per_task: str, own: list[str], task: str) -> tuple:
    """(key path, task, max_length, stride) after the overrides `own`, the last one first."""
    path, base = (phase, "stride"), getattr(settings, phase)
    length, stride, step = base.max_length, base.stride, base.step
    for name in own:
        changed = getattr(settings, per_task)[name]
        step = changed.step if "step" in changed.model_fields_set else step
        if changed.max_length is not None or changed.stride is not None:
            path = (per_task, name)
            length = length if changed.max_length is None else changed.max_length
            stride = stride if changed.stride is None else changed.stride
    return path, task, length, 0 if step else stride  # with a step windows always move on


# Tokens of a window that are none of its text: special ones of a pair at most (XLM-R has 4), and
# the longest question (training/features.py, whose imports take seconds).
TAKEN = {"span": (4, 64), "tagging": (2, 0)}


def sound_encoder(settings, tasks, languages) -> Problems:
    """The encoder that phase 1 builds can be built and read out."""
    if settings.encoder != "pretrain":
        yield from sound_name(settings.encoder)
        return
    size = settings.pretraining
    if size.hidden_size % size.heads:
        text = f"pretraining.heads = {size.heads}: must divide hidden_size {size.hidden_size}"
        yield ("pretraining", "heads"), text
    for path, own in retrieval_settings(settings):
        if own.layer is not None and own.layer > size.layers:
            path = (*path, "layer")
            yield path, (f"{dotted(path)} = {own.layer}: the encoder has {size.layers} layers; "
                         f"allowed: 0..{size.layers}")  # fmt: skip


def known_positions(settings, tasks, languages) -> Problems:
    """No sequence is longer than the encoder has positions, where that is known without the hub."""
    most, said = settings.pretraining.max_length, "pretraining.max_length = "
    if settings.encoder != "pretrain":
        most, said = checkpoint.positions(settings.encoder), ""
    yield from too_long(settings, tasks, most, said)


def too_long(settings, tasks, most: int | None, said: str = "") -> Problems:
    """Sequences of more than `most` tokens (None: any will do), which `said` says where."""
    wanted = {path: own.max_length or 0 for path, own in retrieval_settings(settings)}
    for path, _, length, _ in windows(settings, tasks):
        wanted[path[:1] if path[-1] == "stride" else path] = length
    if any(tasks[n].kind == "retrieval" for n in settings.targets if n in tasks):
        wanted |= {} if settings.retrieval.max_length else {("target",): settings.target.max_length}
    for path, length in wanted.items():
        if most is not None and length > most:
            path = (*path, "max_length")
            text = f"{dotted(path)} = {length}: the encoder takes at most {said}{most} tokens"
            yield path, text


def trainings(settings) -> Iterator[tuple[tuple, Any]]:
    """(key path, settings) of both phases and of every task that has its own."""
    for phase in ("intermediate", "target"):
        yield (phase,), getattr(settings, phase)
    for key in ("intermediate_tasks", "tasks"):
        yield from (((key, name), own) for name, own in getattr(settings, key).items())


def retrieval_settings(settings) -> list[tuple[tuple, Any]]:
    """(key path, settings) of retrieval in general and of every target that has its own."""
    special = [(("retrieval", "tasks", n), own) for n, own in settings.retrieval.tasks.items()]
    return [(("retrieval",), settings.retrieval), *special]


def known_retrieval(settings, tasks, languages) -> Problems:
    """Retrieval settings of a task are of a retrieval target of the study."""
    names = [n for n in settings.targets if n in tasks and tasks[n].kind == "retrieval"]
    for name in settings.retrieval.tasks:
        path = ("retrieval", "tasks", name)
        text = f"{dotted(path)}: is not a retrieval target of the study"
        yield from among(path, name, names, text)


def trimmable(settings, tasks, languages) -> Problems:
    """A vocabulary is trimmed where nothing but the study's texts needs it."""
    if not settings.trim_vocabulary:
        return
    against = {
        "encoder: pretrain learns its pieces from the texts": settings.encoder == "pretrain",
        "+mlm predicts every piece": any("+mlm" in name for name in settings.conditions),
        "synonyms bring other words": any(side(v)[1] == "synonyms" for v in settings.variants),
    }
    for reason in (text for text, holds in against.items() if holds):
        yield ("trim_vocabulary",), f"trim_vocabulary = true: {reason}; set it to false"


def sound_name(encoder: str) -> Problems:
    """An encoder is the packaged one, the folder of a saved model, or can be a name of the hub."""
    try:
        folder = checkpoint.own_folder(encoder)
    except UserError as error:
        yield ("encoder",), str(error)
        return
    if folder is None and not commits.NAME.fullmatch(encoder.partition("@")[0]):
        yield ("encoder",), (
            f"encoder = {shorten(encoder)}: is neither a folder with a config.json nor a name "
            "on the hub; allowed: pretrain, offline-e5, owner/name[@revision] or the folder of "
            "a saved model")  # fmt: skip


def sound_synonyms(settings, tasks, languages) -> Problems:
    """A list of synonyms is a file."""
    name, path = settings.robust.synonyms, ("robust", "synonyms")
    if name == "embeddings" or not any(side(v)[1] == "synonyms" for v in settings.variants):
        return
    try:
        if not folders.typed(name).is_file():
            yield path, f"robust.synonyms = {name!r}: not a file; allowed: embeddings, a JSON file"
    except UserError as error:
        yield path, f"robust.synonyms: {error}"


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


def paired_seeds(settings, tasks, languages) -> Problems:
    """The sides of a comparison have a seed in common on every target: gains are within seeds."""
    known = [each for each in settings.targets if settings.seeds and each in tasks]
    trained = [each for each in known if tasks[each].kind != "retrieval"]
    for path, pair in compared(settings):
        names = [side(each)[0] for each in pair if side(each)[0] in settings.conditions]
        for target in trained if len(names) == 2 else ():
            one, other = (settings.seeds_of(name, target) for name in names)
            if not {*one} & {*other}:
                told = f"{pair[0]} has the seeds {one} and {pair[1]} {other}"
                yield path, f"{dotted(path[:2])}: on {target}, {told}; they need some in common"


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


# Their problems are of entries that name a task or condition of the study.
NAMING = (
    *(known_seeds, known_variants, known_overrides, known_evaluation),
    *(known_retrieval, known_contrasts, sound_primary),
)
RULES = (
    *(no_name_twice, known_conditions, known_targets, known_languages, unseen_evaluation, *NAMING),
    *(
        paired_seeds,
        sound_windows,
        stride_or_step,
        sound_encoder,
        known_positions,
        trimmable,
        sound_synonyms,
    ),
)
