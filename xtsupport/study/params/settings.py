"""The settings of a study: every key of a params file, its unit, its range and its default.

A setting that is not here is an error. ``loading.load_settings`` reads a params file.
"""

from collections.abc import Mapping
from functools import cached_property
from typing import Annotated, Any, Literal

import pydantic
from pydantic import BaseModel, ConfigDict, Field, PrivateAttr

from xtsupport.data.data_source import data_source
from xtsupport.statistics.declared import Adjustment, By, Declared, Unit
from xtsupport.statistics.declared import Primary as Declaration
from xtsupport.study.params.params_file import leaves
from xtsupport.tables import Task
from xtsupport.training.recipe import Recipe, Sampler

Positive = Annotated[int, Field(ge=1)]
Share = Annotated[float, Field(ge=0, lt=1)]
Length = Annotated[int, Field(ge=8, le=8192)]
Text = Annotated[str, Field(min_length=1)]
Pair = Annotated[list[str], Field(min_length=2, max_length=2)]
Rate = Annotated[float, Field(gt=0, le=1)]
Seed = Annotated[int, Field(ge=0, lt=2**31)]
Seeds = Annotated[list[Seed], Field(min_length=1, max_length=1000)]
Betas = Annotated[
    list[Annotated[float, Field(ge=0, lt=1)]],
    Field(min_length=2, max_length=2, description="AdamW's decay rates of both moments"),
]
LOST = "planned.json is missing or was changed"
RESERVED = {"runs", "scratch", "con", "prn", "aux", "nul"}
Name = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._+@~=-]{0,63}$")]


class Group(BaseModel):
    """A frozen group of settings that refuses unknown keys and does not convert types."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True, allow_inf_nan=False)


class Pretraining(Group):
    """Phase 1, when ``encoder: pretrain``: a small XLM-R-architecture masked language model."""

    steps: int = Field(default=2000, ge=1, description="optimizer steps")
    batch_size: int = Field(default=32, ge=1, description="documents per step")
    learning_rate: Rate = Field(default=4e-3, description="peak, after warm-up")
    warmup: Share = Field(default=Recipe.warmup, description="share of the steps")
    weight_decay: float = Field(default=Recipe.weight_decay, ge=0, le=1)
    betas: Betas = [0.9, 0.98]  # as RoBERTa was pretrained (Liu et al. 2019, section 3.1)
    clip: float = Field(default=Recipe.clip, gt=0, description="largest gradient norm")
    mask: float = Field(default=0.2, gt=0, lt=1, description="share of the tokens to predict")
    hidden_size: int = Field(default=64, ge=8, le=8192)
    layers: int = Field(default=2, ge=1, le=96)
    heads: int = Field(default=4, ge=1, le=128)
    feed_forward: int = Field(default=128, ge=8, le=65536)
    vocabulary: int = Field(default=800, ge=50, le=1_000_000, description="sub-word pieces")
    max_length: Length = Field(default=128, description="tokens per document")
    seed: Seed = 0


class Phase(Group):
    """What phases 2 and 3 have in common."""

    epochs: float = Field(
        default=3, gt=0, le=1000, description="passes over the windows of the training rows"
    )
    batch_size: int = Field(default=32, ge=1, le=65536, description="windows per optimizer step")
    learning_rate: Rate = Field(default=1e-3, description="peak, after warm-up")
    max_rows: Positive | None = Field(
        default=None, description="use only this many training rows; null: all"
    )
    warmup: Share = Field(default=Recipe.warmup, description="share of the steps")
    weight_decay: float = Field(default=Recipe.weight_decay, ge=0, le=1)
    betas: Betas = list(Recipe.betas)
    clip: float = Field(default=Recipe.clip, gt=0, description="largest gradient norm")
    max_length: Length = Field(default=128, description="tokens per window")
    stride: int = Field(
        default=32,
        ge=0,
        description="tokens shared by two windows (not XTREME's doc_stride: see step)",
    )
    step: Positive | None = Field(
        default=None,
        description="tokens from the start of one window to the next, instead of stride; null: "
        "use stride",
    )
    dropout: Share = 0.0
    attention_dropout: Share | None = Field(
        default=None, description="null: the checkpoint's value; above 0 it is slow on CPUs"
    )
    freeze_embeddings: bool = False
    pooling: Literal["first", "mean"] = Field(
        default="first", description="the input of classification and choice heads"
    )
    dev_every: Positive | None = Field(
        default=None,
        description="steps between evaluations on English development rows, of which the best "
        "weights are kept; null: no evaluations, the final weights are kept",
    )
    dev_patience: Positive | None = Field(
        default=None,
        description="stop after this many evaluations without improvement; null: never",
    )
    dev_rows: Positive | None = Field(
        default=500, description="at most this many development rows; null: all"
    )
    dev_overlap: bool = Field(
        default=False,
        description="keep development rows whose context, premise or sentence is also evaluated",
    )


class Intermediate(Phase):
    """Phase 2: English intermediate training."""

    sampler: Sampler = Field(
        default=Recipe.sampler, description="`all`: how often a task is drawn, given its size"
    )
    mixing_cap: int = Field(
        default=Recipe.mixing_cap,
        ge=1,
        description="sampler capped: a task counts for at most this many windows",
    )
    temperature: float = Field(
        default=Recipe.temperature,
        ge=1,
        le=1000,
        description="sampler temperature: size to the power of 1/T",
    )


class Target(Phase):
    """Phase 3: English training on the target task."""


class Mlm(Group):
    """``X+mlm``: masked language modelling continues during phase 2, in every language."""

    share: float = Field(default=0.2, gt=0, lt=1, description="share of all steps, added to X's")
    mask: float = Field(
        default=Recipe.mask, gt=0, lt=1, description="share of the tokens to predict"
    )
    documents: int = Field(default=1000, ge=1, description="raw texts per language at most")


class Robust(Group):
    """Phase 3 of the variants adversarial, smoothing and synonyms (training/robust.py)."""

    radius: float = Field(
        default=Recipe.radius, gt=0, le=1, description="smoothing: largest noise per embedding norm"
    )
    adversarial_radius: float = Field(
        default=0.01, gt=0, le=1, description="the same for adversarial, which tolerates less"
    )
    ascent_steps: int = Field(
        default=Recipe.ascent_steps,
        ge=1,
        le=50,
        description="adversarial: each costs as much as a training step",
    )
    copies: int = Field(default=3, ge=1, le=100, description="synonyms: changed copies of a row")
    synonyms: Text = Field(
        default="embeddings", description="embeddings, or a JSON file {word: [synonym, ...]}"
    )


def optional(group: type[Group]) -> Any:
    """A class with the settings of a group, none of them set, for what replaces some of them."""
    fields: dict[str, Any] = {
        key: (field.rebuild_annotation() | None, None) for key, field in group.model_fields.items()
    }
    return pydantic.create_model(f"Optional{group.__name__}", __base__=Group, **fields)


OptionalPhase: Any = optional(Phase)


class Overrides(OptionalPhase):
    """Settings of one task that replace those of its phase."""

    train_split: Text | None = None  # for mirrors without the usual


class Evaluation(Group):
    """How predictions are made."""

    max_clusters: Positive | dict[str, Positive] | None = Field(
        default=None, description="clusters per language, or {target: clusters}; null: all"
    )
    batch_tokens: int = Field(
        default=8192, ge=16, description="tokens per batch at most; no effect on scores"
    )
    checkpointing: bool = Field(
        default=False,
        description="recompute activations in training: less memory, a third more time",
    )
    max_answer_length: int = Field(default=30, ge=1, le=512, description="tokens of a span")
    pairs: list[Pair] = Field(
        default=[],
        description="also evaluate parallel targets with the context or first text in one "
        "language and the question or second text in another",
    )
    splits: dict[str, Text] = Field(
        default={},
        description="per target: evaluate on this split, for mirrors without the usual one",
    )
    languages: dict[str, list[str]] = Field(
        default={}, description="per target, instead of `languages`: for mirrors that lack some"
    )


class Embedding(Group):
    """How a sentence becomes a vector; the same for every condition."""

    layer: int = Field(
        default=1, ge=0, le=96, description="0: the embeddings; n: after layer n (XTREME's n - 1)"
    )
    pooling: Literal["mean", "cls"] = "mean"
    max_length: Length | None = Field(
        default=None, description="tokens per sentence, at most; null: target.max_length"
    )


OptionalEmbedding: Any = optional(Embedding)


class EmbeddingOverrides(OptionalEmbedding):
    """Of one retrieval task."""


class Retrieval(Embedding):
    """How a sentence becomes a vector; the same for every condition."""

    precision: Literal["float32", "bfloat16"] = Field(
        default="float32", description="of the encoder; neighbours differ by little"
    )
    tasks: dict[str, EmbeddingOverrides] = Field(
        default={}, description="settings of one target that replace those above"
    )


class Primary(Group):
    """The one comparison that was planned; every other is printed as exploratory."""

    treatment: str
    baseline: str = Declaration.baseline
    target: str
    metric: str = Declaration.metric
    by: By = Declaration.by


class Analysis(Group):
    """What is compared, and which rules decide what counts as a finding."""

    contrasts: list[Pair] = []
    primary: Primary | None = None
    margin: float = Field(
        default=Declared.margin,
        gt=0,
        le=100,
        description="points; smaller gains count as equivalent",
    )
    alpha: float = Field(
        default=Declared.alpha, gt=0, lt=0.5, description="error rate of a whole family of tests"
    )
    adjustment: Adjustment = Declared.adjustment
    unit: Unit = Declared.unit


class Nodes(Group):
    """How the runs are divided into notebook executions."""

    split: Literal["condition", "run"] = Field(
        default="condition", description="run: one node per run, for clusters"
    )
    per_gpu: int = Field(default=1, ge=1, le=64, description="nodes that may share a GPU")


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
    variants: list[Text] = Field(
        default=[], description="CONDITION/VARIANT: also do phase 3 this way, as in squad/source=de"
    )
    seeds: Seeds | dict[str, Seeds | dict[str, Seeds]] = Field(
        default=[0, 1, 2],
        description="for all conditions, or {CONDITION: its seeds, default: seeds of the others}; "
        "its seeds can be {TARGET: seeds, default: seeds of its other targets}; [0, 1, 2] where "
        "there is no default",
        examples=[[0, 1, 2], {"default": [0, 1, 2], "squad": {"xquad": [0, 1, 2, 3, 4]}}],
    )
    languages: Literal["all"] | Annotated[list[str], Field(min_length=1)] = "all"
    pretraining: Pretraining = Pretraining()
    intermediate: Intermediate = Intermediate()
    target: Target = Target()
    tasks: dict[str, Overrides] = Field(default={}, description="phase 3, per training task")
    intermediate_tasks: dict[str, Overrides] = Field(
        default={}, description="phase 2, per condition"
    )
    mlm: Mlm = Mlm()
    robust: Robust = Robust()
    evaluation: Evaluation = Evaluation()
    retrieval: Retrieval = Retrieval()
    analysis: Analysis = Analysis()
    nodes: Nodes = Nodes()
    precision: Literal["auto", "float32", "bfloat16"] = Field(
        default="auto",
        description="auto: bfloat16 if the machine of the first run is faster with it; float32 "
        "products are TF32 on a GPU",
    )
    cuda_graphs: bool = Field(
        default=False,
        description="start a training step's layers all at once on a GPU: small steps of large "
        "encoders take a third of the time",
    )
    trim_vocabulary: bool = Field(
        default=False,
        description="leave out the pieces that none of the study's texts contains: same results, "
        "smaller encoders, faster steps where embeddings are trained",
    )
    threads: int = Field(default=1, ge=1, le=1024, description="per node")
    checkpoint_minutes: float = Field(default=5.0, gt=0, le=1440)
    tracking: Literal["tensorboard", "trackio"] | None = None

    _origins: dict[str, str] = PrivateAttr(default_factory=dict)
    _planned: dict = PrivateAttr(default_factory=dict)
    _left_out: list[str] = PrivateAttr(default_factory=list)  # what --set left nothing for

    def embedding(self, target: str) -> dict:
        """Layer, pooling and max_length of a retrieval target."""
        own, special = self.retrieval, self.retrieval.tasks.get(target)
        found = own.model_dump(include=set(Embedding.model_fields))
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

    @cached_property
    def resolved_precision(self) -> str:
        """``float32`` or ``bfloat16``; of ``auto`` what the study's first run made of it."""
        if self.precision != "auto":
            return self.precision
        from xtsupport.training.precision import resolve

        return self._planned.get("precision") or resolve("auto")

    @property
    def late(self) -> list[str]:
        """What of ``analysis``, by name, is no longer as it was before the study's first run."""
        if LOST in self._planned:
            return [LOST]
        now, then = self.analysis.model_dump(), self._planned.get("analysis", {})
        return [name for name, value in now.items() if then.get(name, value) != value]

    @pydantic.field_validator("study")
    @classmethod
    def _a_folder_of_its_own(cls, name: str) -> str:
        if name.lower() in RESERVED or name.endswith("."):
            raise ValueError(f"is reserved; choose a name other than {', '.join(sorted(RESERVED))}")
        return name
