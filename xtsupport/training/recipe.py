"""How to train: the settings that the loop reads, their defaults, and how many steps they make."""

import math
from dataclasses import dataclass
from typing import Literal

Sampler = Literal["proportional", "capped", "temperature", "uniform"]


@dataclass(frozen=True)
class Recipe:
    """How to train; the names and units are those of the params file, and so are the defaults."""

    steps: int  # optimiser steps
    batch_size: int  # examples per step, over all processes
    learning_rate: float  # peak
    warmup: float = 0.1  # share of the steps
    weight_decay: float = 0.01
    betas: tuple[float, float] = (0.9, 0.999)  # of AdamW
    clip: float = 1.0  # norm of the gradient
    seed: int = 0
    batch_tokens: int = 16384  # tokens that are in memory at a time; larger batches accumulate
    sampler: Sampler = "capped"  # of tasks in a mixture; see `mixture`
    mixing_cap: int = 100_000  # examples
    temperature: float = 2.0
    mask: float = 0.15  # share of tokens masked, for tasks of kind `masked`
    cuda_graphs: bool = False  # graphs.py: of layers, on GPUs
    precision: str = "float32"  # or bfloat16: autocast; weights and optimiser stay float32
    masked_steps: int = 0  # of the steps, those on the task `mlm`
    noise: str = ""  # robust.py: adversarial or smoothing
    radius: float = 0.1  # of the noise, share of an embedding's norm
    ascent_steps: int = 3  # adversarial: steps towards the worst noise
    dev_every: int = 0  # steps between evaluations on development rows; 0: none
    dev_patience: int = 0  # evaluations without a better one that end the training; 0: never


def recordable(cuda_graphs: bool, noise: str) -> bool:
    """Whether the layers of a step are CUDA graphs: each step is one pass forwards and back."""
    return cuda_graphs and not noise


def mixture(
    sizes: dict[str, int],
    sampler: str = Recipe.sampler,
    cap: int = Recipe.mixing_cap,
    temperature: float = Recipe.temperature,
) -> dict[str, float]:
    """Share of each task in a multi-task mixture: p_t = w(n_t) / sum_u w(n_u).

    w is n (proportional), min(n, cap) (capped: examples-proportional mixing with an artificial
    limit), n^(1/T) (temperature) or 1 (uniform); Raffel et al. 2020, arXiv 1910.10683, section
    3.5.2.
    """
    weight = {
        "proportional": lambda size: size,
        "capped": lambda size: min(size, cap),
        "temperature": lambda size: size ** (1 / temperature),
        "uniform": lambda size: 1,
    }[sampler]
    total = sum(map(weight, sizes.values()))
    return {task: weight(size) / total for task, size in sizes.items()}


def steps_of(own: dict, sizes: dict[str, int]) -> int:
    """Optimiser steps of ``epochs`` passes over training sets of so many windows, at least one.

    own: a run's settings. A pass over a mixture counts of each task what its sampler takes at most:
    all windows, but of a capped one `mixing_cap`.
    """
    capped = own.get("sampler") == "capped"
    windows = sum(min(size, own["mixing_cap"]) if capped else size for size in sizes.values())
    return max(1, math.ceil(own["epochs"] * windows / own["batch_size"]))


def masked_steps(steps: int, share: float) -> int:
    """Masked-LM steps beside `steps` of the task, which keeps all of its own: `share` of all."""
    return max(1, round(steps * share / (1 - share))) if share else 0
