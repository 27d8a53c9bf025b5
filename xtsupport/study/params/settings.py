"""The settings of a study, in groups (groups.py), and what follows from them.

A setting that is in neither is an error. ``loading.load_settings`` reads a params file.
"""

import json
from collections.abc import Mapping
from functools import cache, cached_property
from typing import Annotated, Literal

from pydantic import Field, PrivateAttr, field_validator

from xtsupport.data.data_source import data_source
from xtsupport.sides import side
from xtsupport.study.params import groups
from xtsupport.study.params.groups import Group, Seeds, Text, setting
from xtsupport.study.params.params_file import leaves
from xtsupport.tables import Task, task

LOST = "planned.json is missing or was changed"
RESERVED = {"runs", "scratch", "con", "prn", "aux", "nul"}
Name = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._+@~=-]{0,63}$")]


class Settings(Group):
    """One study. ``origins`` says where each value came from, ``late`` what was declared late."""

    study: str = Field(
        pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$",
        description="name of the folder under outputs/",
    )
    data: Text = Field(description="hub, world, or a mirror folder")
    encoder: Text = Field(description="pretrain, offline-e5, a hub id or a folder")
    conditions: list[Name] = Field(min_length=1)
    targets: list[Name] = Field(min_length=1)
    variants: list[Text] = setting(
        [], "CONDITION/VARIANT: also do phase 3 this way, as in squad/source=de"
    )
    seeds: Seeds | dict[str, Seeds | dict[str, Seeds]] = setting(
        [0, 1, 2],
        "for all conditions, or {CONDITION: its seeds, default: seeds of the others}; "
        "its seeds can be {TARGET: seeds, default: seeds of its other targets}; [0, 1, 2] where "
        "there is no default",
        examples=[[0, 1, 2], {"default": [0, 1, 2], "squad": {"xquad": [0, 1, 2, 3, 4]}}],
    )
    languages: Literal["all"] | Annotated[list[str], Field(min_length=1)] = "all"
    pretraining: groups.Pretraining = groups.Pretraining()
    intermediate: groups.Intermediate = groups.Intermediate()
    target: groups.Target = groups.Target()
    tasks: dict[str, groups.Overrides] = setting({}, "phase 3, per training task")
    intermediate_tasks: dict[str, groups.Overrides] = setting({}, "phase 2, per condition")
    mlm: groups.Mlm = groups.Mlm()
    robust: groups.Robust = groups.Robust()
    evaluation: groups.Evaluation = groups.Evaluation()
    retrieval: groups.Retrieval = groups.Retrieval()
    analysis: groups.Analysis = groups.Analysis()
    nodes: groups.Nodes = groups.Nodes()
    precision: Literal["auto", "float32", "bfloat16"] = setting(
        "auto",
        "auto: bfloat16 if the machine of the first run is faster with it; float32 "
        "products are TF32 on a GPU",
    )
    cuda_graphs: bool = setting(
        False,
        "start a training step's layers all at once on a GPU: small steps of large "
        "encoders take a third of the time",
    )
    trim_vocabulary: bool = setting(
        False,
        "leave out the pieces that none of the study's texts contains: same results, "
        "smaller encoders, faster steps where embeddings are trained",
    )
    threads: int = setting(1, "per node", ge=1, le=1024)
    checkpoint_minutes: float = setting(5.0, gt=0, le=1440)
    tracking: Literal["tensorboard", "trackio"] | None = None

    _origins: dict[str, str] = PrivateAttr(default_factory=dict)
    _planned: dict = PrivateAttr(default_factory=dict)
    _left_out: list[str] = PrivateAttr(default_factory=list)  # what --set left nothing for

    def embedding(self, target: str) -> dict:
        """Layer, pooling and max_length of a retrieval target."""
        own, special = self.retrieval, self.retrieval.tasks.get(target)
        found = own.model_dump(include=set(groups.Embedding.model_fields))
        found |= special.model_dump(exclude_unset=True) if special else {}
        return found | {"max_length": found["max_length"] or self.target.max_length}

    def seeds_of(self, condition: str, *targets: str) -> list[int]:
        """The seeds that a condition has on any of some targets (none named: of all of the study),
        in the order of the file."""
        found = (self._seeds_on(condition, target) for target in targets or self.targets)
        return list(dict.fromkeys(seed for seeds in found for seed in seeds))

    def _seeds_on(self, condition: str, target: str) -> list[int]:
        """The seeds of a condition on a target: what was given for it, else for the rest."""
        given = self.seeds if isinstance(self.seeds, dict) else {"default": self.seeds}
        for own in (given.get(condition, {}), given.get("default", {})):
            seeds = own.get(target, own.get("default")) if isinstance(own, dict) else own
            if seeds is not None:
                return seeds
        return type(self).model_fields["seeds"].default

    def spoken(self, task: Task) -> list[str]:
        """The languages that a target is evaluated in; task: its row of the table of tasks."""
        return task.spoken(self.evaluation.languages.get(task.name, self.languages))

    def every_language(self, tasks: Mapping[str, Task]) -> set[str]:
        """The languages that one target or another is evaluated in; tasks: the table."""
        return {code for name in self.targets for code in self.spoken(tasks[name])}

    @cached_property
    def data_source(self) -> str:
        """The data as ``load(data=...)`` takes them: ``hub``, ``world`` or an absolute folder."""
        return data_source(self.data)

    @property
    def every_seed(self) -> list[int]:
        """The seeds that one condition or another has."""
        return list(dict.fromkeys(s for name in self.conditions for s in self.seeds_of(name)))

    @property
    def origins(self) -> dict[str, str]:
        """Dotted key of every resolved value -> the params file, ``--set`` or ``default``."""
        return {key: self._origins.get(key, "default") for key in leaves(self.model_dump())}

    @property
    def chosen(self) -> list[str]:
        """``key=value`` of what ``--set``, or ``settings`` in a notebook, gave."""
        values = leaves(self.model_dump()).items()
        return [f"{key}={value}" for key, value in values if self._origins.get(key) == "--set"]

    @cached_property
    def resolved_precision(self) -> str:
        """``float32`` or ``bfloat16``; of ``auto`` what the study's first run made of it."""
        if self.precision != "auto":
            return self.precision
        from xtsupport.training.precision import resolve

        return self._planned.get("precision") or resolve("auto")

    @property
    def scope(self) -> dict:
        """What the primary comparison is about, empty without one: ``targets`` of the study,
        ``languages`` of its own target, ``seeds`` of its sides."""
        if not (primary := self.analysis.primary):
            return {}
        sides = [side(each)[0] for each in (primary.treatment, primary.baseline)]
        return {
            "targets": sorted(self.targets),
            "languages": sorted(self.spoken(task(primary.target, self.data_source))),
            "seeds": {name: sorted(self.seeds_of(name, primary.target)) for name in sides},
        }

    @property
    def late(self) -> list[str]:
        """What of ``analysis`` and ``scope``, by name, is not as declared before the study's first
        results; or what is wrong with planned.json, which shows that."""
        if LOST in self._planned:
            return [LOST]
        if seen := self._planned.get("seen"):
            return [f"planned.json is newer than results of {', '.join(seen)}"]
        now = self.analysis.model_dump() | self.scope
        then = self._planned.get("analysis", {}) | self._planned.get("scope", {})
        differ = [name for name, value in now.items() if then.get(name, value) != value]
        return differ + self._planned.get("changed", [])

    @field_validator("study")
    @classmethod
    def _a_folder_of_its_own(cls, name: str) -> str:
        if name.lower() in RESERVED or name.endswith("."):
            raise ValueError(f"is reserved; choose a name other than {', '.join(sorted(RESERVED))}")
        return name


@cache
def schema() -> dict:
    """The JSON Schema of params files, by which editors complete and check them."""
    draft = "https://json-schema.org/draft/2020-12/schema"
    return {"$schema": draft, **Settings.model_json_schema()}


if __name__ == "__main__":  # make schema
    print(json.dumps(schema(), indent=1))
