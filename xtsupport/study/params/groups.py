"""The groups of settings in a params file: every key, its unit, its range and its default."""

from typing import Annotated, Any, Literal

import pydantic
from pydantic import BaseModel, ConfigDict, Field

from xtsupport.statistics.declared import Adjustment, By, Declared, Unit
from xtsupport.statistics.declared import Primary as Declaration
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


class Group(BaseModel):
    """A frozen group of settings that refuses unknown keys and does not convert types."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True, allow_inf_nan=False)


def setting(default: Any, says: str | None = None, **limits) -> Any:
    """A setting of a group: its default, what it is and its unit, its range."""
    return Field(default, description=says, **limits)


class Pretraining(Group):
    """Phase 1, when ``encoder: pretrain``: a small XLM-R-architecture masked language model."""

    steps: int = setting(2000, "optimizer steps", ge=1)
    batch_size: int = setting(32, "documents per step", ge=1)
    learning_rate: Rate = setting(4e-3, "peak, after warm-up")
    warmup: Share = setting(Recipe.warmup, "share of the steps")
    weight_decay: float = setting(Recipe.weight_decay, ge=0, le=1)
    betas: Betas = [0.9, 0.98]  # as RoBERTa was pretrained (Liu et al. 2019, section 3.1)
    clip: float = setting(Recipe.clip, "largest gradient norm", gt=0)
    mask: float = setting(0.2, "share of the tokens to predict", gt=0, lt=1)
    hidden_size: int = setting(64, ge=8, le=8192)
    layers: int = setting(2, ge=1, le=96)
    heads: int = setting(4, ge=1, le=128)
    feed_forward: int = setting(128, ge=8, le=65536)
    vocabulary: int = setting(800, "sub-word pieces", ge=50, le=1_000_000)
    max_length: Length = setting(128, "tokens per document")
    seed: Seed = 0


class Phase(Group):
    """What phases 2 and 3 have in common."""

    epochs: float = setting(3, "passes over the windows of the training rows", gt=0, le=1000)
    batch_size: int = setting(32, "windows per optimizer step", ge=1, le=65536)
    learning_rate: Rate = setting(1e-3, "peak, after warm-up")
    max_rows: Positive | None = setting(None, "use only this many training rows; null: all")
    warmup: Share = setting(Recipe.warmup, "share of the steps")
    weight_decay: float = setting(Recipe.weight_decay, ge=0, le=1)
    betas: Betas = list(Recipe.betas)
    clip: float = setting(Recipe.clip, "largest gradient norm", gt=0)
    max_length: Length = setting(128, "tokens per window")
    stride: int = setting(
        32, "tokens shared by two windows (not XTREME's doc_stride: see step)", ge=0
    )
    step: Positive | None = setting(
        None, "tokens from the start of one window to the next, instead of stride; null: use stride"
    )
    dropout: Share = 0.0
    attention_dropout: Share | None = setting(
        None, "null: the checkpoint's value; above 0 it is slow on CPUs"
    )
    freeze_embeddings: bool = False
    pooling: Literal["first", "mean"] = setting(
        "first", "the input of classification and choice heads"
    )
    dev_every: Positive | None = setting(
        None,
        "steps between evaluations on English development rows, of which the best "
        "weights are kept; null: no evaluations, the final weights are kept",
    )
    dev_patience: Positive | None = setting(
        None, "stop after this many evaluations without improvement; null: never"
    )
    dev_rows: Positive | None = setting(500, "at most this many development rows; null: all")
    dev_overlap: bool = setting(
        False, "keep development rows whose context, premise or sentence is also evaluated"
    )


class Intermediate(Phase):
    """Phase 2: English intermediate training."""

    sampler: Sampler = setting(Recipe.sampler, "`all`: how often a task is drawn, given its size")
    mixing_cap: int = setting(
        Recipe.mixing_cap, "sampler capped: a task counts for at most this many windows", ge=1
    )
    temperature: float = setting(
        Recipe.temperature, "sampler temperature: size to the power of 1/T", ge=1, le=1000
    )


class Target(Phase):
    """Phase 3: English training on the target task."""


class Mlm(Group):
    """``X+mlm``: masked language modelling continues during phase 2, in every language."""

    share: float = setting(0.2, "share of all steps, added to X's", gt=0, lt=1)
    mask: float = setting(Recipe.mask, "share of the tokens to predict", gt=0, lt=1)
    documents: int = setting(1000, "raw texts per language at most", ge=1)


class Robust(Group):
    """Phase 3 of the variants adversarial, smoothing and synonyms (training/robust.py)."""

    radius: float = setting(
        Recipe.radius, "smoothing: largest noise per embedding norm", gt=0, le=1
    )
    adversarial_radius: float = setting(
        0.01, "the same for adversarial, which tolerates less", gt=0, le=1
    )
    ascent_steps: int = setting(
        Recipe.ascent_steps, "adversarial: each costs as much as a training step", ge=1, le=50
    )
    copies: int = setting(3, "synonyms: changed copies of a row", ge=1, le=100)
    synonyms: Text = setting("embeddings", "embeddings, or a JSON file {word: [synonym, ...]}")


def optional(group: type[Group]) -> Any:
    """A class with the settings of a group, none of them set, for what replaces some of them."""
    fields: dict[str, Any] = {
        key: (field.rebuild_annotation(), None) for key, field in group.model_fields.items()
    }
    return pydantic.create_model(f"Optional{group.__name__}", __base__=Group, **fields)


OptionalPhase: Any = optional(Phase)


class Overrides(OptionalPhase):
    """Settings of one task that replace those of its phase."""

    train_split: Text | None = None  # for mirrors without the usual

    def over(self, settings: dict) -> dict:
        """The settings of a phase, those replaced that were given here."""
        return settings | self.model_dump(exclude_unset=True, exclude={"train_split"})


class Evaluation(Group):
    """How predictions are made."""

    max_clusters: Positive | dict[str, Positive] | None = setting(
        None, "clusters per language, or {target: clusters}; null: all"
    )
    batch_tokens: int = setting(8192, "tokens per batch at most; no effect on scores", ge=16)
    checkpointing: bool = setting(
        False, "recompute activations in training: less memory, a third more time"
    )
    max_answer_length: int = setting(30, "tokens of a span", ge=1, le=512)
    pairs: list[Pair] = setting(
        [],
        "also evaluate parallel targets with the context or first text in one "
        "language and the question or second text in another",
    )
    splits: dict[str, Text] = setting(
        {}, "per target: evaluate on this split, for mirrors without the usual one"
    )
    languages: dict[str, list[str]] = setting(
        {}, "per target, instead of `languages`: for mirrors that lack some"
    )


class Embedding(Group):
    """How a sentence becomes a vector; the same for every condition."""

    layer: int = setting(1, "0: the embeddings; n: after layer n (XTREME's n - 1)", ge=0, le=96)
    pooling: Literal["mean", "cls"] = "mean"
    max_length: Length | None = setting(
        None, "tokens per sentence, at most; null: target.max_length"
    )


OptionalEmbedding: Any = optional(Embedding)


class EmbeddingOverrides(OptionalEmbedding):
    """Of one retrieval task."""


class Retrieval(Embedding):
    """How a sentence becomes a vector; the same for every condition."""

    precision: Literal["float32", "bfloat16"] = setting(
        "float32", "of the encoder; neighbours differ by little"
    )
    tasks: dict[str, EmbeddingOverrides] = setting(
        {}, "settings of one target that replace those above"
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
    margin: float = setting(
        Declared.margin, "points; equivalent: shown to be smaller", gt=0, le=100
    )
    alpha: float = setting(Declared.alpha, "error rate of a whole family of tests", gt=0, lt=0.5)
    adjustment: Adjustment = Declared.adjustment
    unit: Unit = Declared.unit


class Nodes(Group):
    """How the runs are divided into notebook executions."""

    split: Literal["condition", "run"] = setting("condition", "run: one node per run, for clusters")
    per_gpu: int = setting(1, "nodes that may share a GPU", ge=1, le=64)
