"""Rules: the values of a params file go together, and the encoder can do what they ask for."""

from collections.abc import Iterator
from typing import Any

from xtsupport import folders, tables
from xtsupport.data import commits
from xtsupport.errors import UserError, shorten
from xtsupport.sides import side
from xtsupport.study import conditions
from xtsupport.study.params.groups import Overrides
from xtsupport.study.params.known_names import Problems, compared
from xtsupport.study.params.params_file import dotted
from xtsupport.training import checkpoint


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


def controls_with_runs(settings, tasks, languages) -> Problems:
    """A control is compared only where it has runs."""
    if conditions.controls_run(tasks[each] for each in settings.targets if each in tasks):
        return
    for path, pair in compared(settings):
        for name in pair:
            if "~" in name and name in settings.conditions:
                text = f"{dotted(path[:2])}: {' against '.join(pair)}: no target trains, so"
                yield path, f"{text} {name!r} has no runs; leave the comparison out"


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
    if path[0] == "tasks":
        return settings.target.step
    base = settings.intermediate_tasks.get(conditions.stem(path[1]), Overrides())
    return base.over({"step": settings.intermediate.step})["step"]


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
    path, found = (phase, "stride"), getattr(settings, phase).model_dump()
    for name in own:
        changed = getattr(settings, per_task)[name]
        found = changed.over(found)
        if {"max_length", "stride"} & changed.model_fields_set:
            path = (per_task, name)
    stride = 0 if found["step"] else found["stride"]  # with a step windows always move on
    return path, task, found["max_length"], stride


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


def check_encoder(settings) -> None:
    """Raise UserError where an encoder's files are unsound, or sequences are too long for it."""
    most = checkpoint.longest(checkpoint.check(settings.encoder))
    found = too_long(settings, tables.tasks(settings.data_source), most)
    if lines := [text for _, text in found]:
        raise UserError(*lines)


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


def trimmable(settings, tasks, languages) -> Problems:
    """A vocabulary is trimmed where nothing but the study's texts needs it."""
    if not settings.trim_vocabulary:
        return
    model = checkpoint.saved(settings.encoder, "tokenizer.json").get("model", {})
    kind = model.get("type", "Unigram")
    against = {
        f"encoder: its vocabulary is {kind}, only Unigram becomes smaller": kind != "Unigram",
        "encoder: pretrain learns its pieces from the texts": settings.encoder == "pretrain",
        "+mlm predicts every piece": any("+mlm" in name for name in settings.conditions),
        "synonyms bring other words": any(side(v)[1] == "synonyms" for v in settings.variants),
    }
    for reason in (text for text, holds in against.items() if holds):
        yield ("trim_vocabulary",), f"trim_vocabulary = true: {reason}; set it to false"


def recordable(settings, tasks, languages) -> Problems:
    """Layers that are computed twice cannot be recorded."""
    if settings.cuda_graphs and settings.evaluation.checkpointing:
        text = "cuda_graphs = true: set it to false, or evaluation.checkpointing"
        yield ("cuda_graphs",), text


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
