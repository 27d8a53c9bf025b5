"""`xtsupport new`: a folder to work in, with the notebooks, the params files and one of one's own.

The new params file takes its recipe, comments and all, from the shipped one for such encoders.
"""

import re
import shutil
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path

from xtsupport import files, folders, tables
from xtsupport.data.data_source import data_source
from xtsupport.errors import Unreachable, UserError, did_you_mean
from xtsupport.study.conditions import controls_run
from xtsupport.study.parameters import as_list
from xtsupport.study.params.loading import load_settings
from xtsupport.training import checkpoint

RECIPES = {"pretrain": "demo", "offline-e5": "pilot"}  # every other encoder: base
HEAD = """\
# How does English training on {treatment} change zero-shot transfer?
# `xtsupport plan FILE` shows what there is to do and what it costs; editors check this file with
# params/schema.json. Everything below the first block is the recipe of params/{recipe}.yaml.
study: {study} # its folder under outputs/
data: {data} # hub, world (invented languages), or a mirror folder
encoder: {encoder} # pretrain (a small one, trained here), offline-e5, a hub id or a folder

conditions: [{conditions}] # none: no intermediate task; none~X: the steps of X, without X
targets: [{targets}]
seeds: [{seeds}] # claims about the recipe need at least three
languages: {languages}
"""
ANALYSIS = """\
analysis: # fixed by the study's first run
  contrasts:
{contrasts}
  primary: {{treatment: {treatment}, baseline: none, target: {target}, metric: {metric}, by: group}}
  margin: 1.0 # points; smaller gains count as equivalent
"""


@dataclass(frozen=True)
class Choice:
    """What a new study is about, unless somebody says otherwise."""

    encoder: str = "FacebookAI/xlm-roberta-base"
    intermediate: Sequence[str] = ("squad",)
    targets: Sequence[str] = ("xquad", "xnli", "udpos", "tatoeba")
    languages: Sequence[str] = ("all",)
    seeds: Sequence[int] = (0, 1, 2)

    @property
    def data(self) -> str:
        """Where its rows come from; an encoder that is trained here knows no real language."""
        return "world" if self.encoder == "pretrain" else "hub"


def make(folder: Path, choice: Choice) -> Path:
    """Write the folder; returns its new params file. UserError, and no folder, if it is not sound.

    The folder must be new or empty.
    """
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise UserError(f"{folder}: exists already and is not empty; choose another name")
    folder.parent.mkdir(parents=True, exist_ok=True)
    name = re.sub(r"[^A-Za-z0-9._-]", "_", folder.resolve().name)
    with files.plain_disk_errors(folder), files.new_folder(folder) as made:
        left_out = shutil.ignore_patterns(".ipynb_checkpoints")
        for part in ("notebooks", "params"):
            shutil.copytree(folders.packaged() / part, made / part, ignore=left_out)
        if (made / "params" / f"{name}.yaml").exists():
            raise UserError(f"{folder}: a study named {name} comes with xtsupport; choose another")
        path = files.write_text(made / "params" / f"{name}.yaml", params_text(name, choice))
        try:
            with suppress(Unreachable):
                checkpoint.check(load_settings(path).encoder)
        except UserError as error:
            raise UserError(
                *(each.replace(f"{made}", str(folder)) for each in error.problems)
            ) from None
    return folder / "params" / f"{name}.yaml"


def params_text(name: str, choice: Choice) -> str:
    """The params file of a study: its own head, the recipe, the comparisons."""
    recipe = RECIPES.get(choice.encoder, "base")
    first, target = choice.intermediate[0], choice.targets[0]
    source = data_source(choice.data)
    about = [tables.task(each, source) for each in choice.targets]
    metrics, spoken = about[0].metrics, ", ".join(choice.languages)
    control = [f"none~{first}"] if controls_run(about) else []
    conditions = ["none", *choice.intermediate, *control]
    contrasts = [(each, "none") for each in choice.intermediate] + [(first, c) for c in control]
    words = {
        "study": name,
        "recipe": recipe,
        "treatment": first,
        "data": choice.data,
        "encoder": choice.encoder,
        "conditions": ", ".join(conditions),
        "targets": ", ".join(choice.targets),
        "seeds": ", ".join(map(str, choice.seeds)),
        "languages": spoken if spoken == "all" else f"[{spoken}]",
        "contrasts": "\n".join(f"    - [{', '.join(pair)}]" for pair in contrasts),
        "target": target,
        "metric": "f1" if "f1" in metrics else metrics[0],
    }
    text = files.read_text(folders.packaged() / "params" / f"{recipe}.yaml")
    kept = {
        "intermediate_tasks": {*choice.intermediate},
        "tasks": {each.training_task for each in about},
    }
    return "\n".join(
        [HEAD.format(**words), *recipe_of(text, kept, choice.targets), ANALYSIS.format(**words)]
    )


def recipe_of(text: str, kept: dict[str, set[str]], targets: Sequence[str]) -> list[str]:
    """The blocks of a params file that say how to train; of a block in `kept` only those tasks."""
    blocks = re.split(r"(?m)^(?=\w)", text)[1:]
    found = []
    for block in blocks:
        key = block.partition(":")[0]
        if key in kept:
            head, *entries = re.split(r"(?m)^(?=  \w)", block)
            own = [each for each in entries if each.strip().partition(":")[0] in kept[key]]
            block = head + "".join(own) if own else ""
        if block and key not in OWN:
            found.append(only_of(block, targets).rstrip() + "\n")
    return found


def only_of(block: str, targets: Sequence[str]) -> str:
    """A block without the limits of targets that the study does not have."""
    found = re.search(r"max_clusters: \{(.*?)\}", block)
    if not found:
        return block
    own = [each for each in found[1].split(", ") if each.partition(":")[0] in targets]
    return block.replace(found[1], ", ".join(own))


def asked(given: dict, ask=input) -> Choice:
    """What flags do not say, asked for in the terminal; an empty answer takes the default."""
    answers, names = dict(given), offered()
    for key, question in QUESTIONS.items():
        if given[key] is not None:
            continue
        print(question.format(**{each: " ".join(own) for each, own in names.items()}))
        standing = " ".join(map(str, as_list(getattr(Choice, key))))
        while answers[key] is None:
            words = (ask(f"  {key} [{standing}]: ").strip() or standing).replace(",", " ").split()
            allowed = names.get(key, words)
            wrong = [each for each in words if each not in allowed]
            for each in wrong:
                print(f"  {each}: is not in the list{did_you_mean(each, allowed)}")
            if not wrong:
                answers[key] = words[0] if key == "encoder" else words
    return chosen(answers)


def chosen(given: dict) -> Choice:
    """The choice that flags make, with the defaults for the rest; folders as seen from anywhere."""
    found = Choice(**{key: value for key, value in given.items() if value})
    folder = folders.typed(found.encoder, Path())
    return replace(found, encoder=folder.resolve().as_posix()) if folder.is_dir() else found


def offered() -> dict[str, list[str]]:
    """The names to choose from, by question."""
    every = tables.tasks().values()
    return {
        "intermediate": [*(task.name for task in every if task.role == "intermediate"), "all"],
        "targets": [task.name for task in every if task.role == "target"],
        "languages": ["all", *tables.languages()],
    }


OWN = {"study", "data", "encoder", "conditions", "targets", "seeds", "languages", "analysis"}
QUESTIONS = {
    "encoder": "Which encoder? A hub id, a folder, offline-e5 (small, real), or pretrain (tiny, "
    "trained here, on invented languages)",
    "intermediate": "Which intermediate tasks? {intermediate}",
    "targets": "Which targets? {targets}",
    "languages": "Which languages? Codes such as de sw zh, or all",
}
