"""From a run's settings to a training: how many steps, which recipe, what it leaves behind."""

from dataclasses import replace

import pandas as pd
import torch

from xtsupport import folders
from xtsupport.errors import UserError
from xtsupport.study.phases.training_rows import training_features, window_counts
from xtsupport.study.runs import Run
from xtsupport.training.features import Features
from xtsupport.training.loop import train
from xtsupport.training.recipe import Recipe, masked_steps, steps_of
from xtsupport.training.tracking import tracked


def device() -> torch.device:
    """The accelerator if there is one, else the CPU."""
    return torch.device("cuda" if torch.cuda.is_available() else "cpu")


def phase2_steps(run: Run, windows: dict[str, int]) -> tuple[int, int]:
    """(all steps, masked-LM steps among them) of a run of phase 2 with so many windows a task."""
    steps = steps_of(run.settings, windows)
    masked = masked_steps(steps, run.settings.get("masked_share", 0))
    return steps + masked, masked


def phase3_steps(run: Run, features: Features, tokenizer) -> int:
    """Steps of a run of phase 3; ``none~X`` takes those of X's phase 2 as well, counted on the same
    windows, and copies of rows with synonyms take no more steps than the rows themselves."""
    own, name = run.settings, run.training_task
    if "copies" in own:
        plain = replace(run, settings={key: own[key] for key in own if key != "copies"})
        features = training_features(name, own["rows"], tokenizer, plain)
    steps = steps_of(own, {name: len(features)})
    if "matched" in own:
        phase2 = replace(run, settings=own["matched"])
        steps += phase2_steps(phase2, window_counts(phase2, tokenizer))[0]
    return steps


def recipe_of(run: Run, steps: int, masked: int = 0) -> Recipe:
    """How a run trains, by its settings; KeyError where one of them is absent."""
    own = run.settings
    given = ("batch_size", "learning_rate", "warmup", "weight_decay", "clip", "precision")
    some = ("mask", "sampler", "mixing_cap", "temperature", "noise", "radius", "ascent_steps")
    return Recipe(
        steps=steps,
        masked_steps=masked,
        seed=run.seed,
        batch_tokens=run.options["batch_tokens"],
        cuda_graphs=run.options.get("cuda_graphs", False),
        betas=tuple(own["betas"]),
        dev_every=own.get("dev_every") or 0,  # phase 1 has none
        dev_patience=own.get("dev_patience") or 0,
        **{name: own[name] for name in given},
        **{name: own[name] for name in some if name in own},  # of some phases and variants only
    )


def fit(
    model, data: dict[str, Features], tokenizer, recipe: Recipe, run: Run, out, progress, dev=None
) -> pd.DataFrame:
    """Train by a recipe; leaves ``history.csv`` and facts for ``run.json``.

    dev: the score of the model on development rows, for recipes that keep the best weights.
    """
    for name, features in data.items():
        if progress and len(features) != features.examples:
            more = len(features) / features.examples
            print(f"{name}: {features.examples} rows, {more:.2f} windows a row")
    if run.options.get("checkpointing"):
        recompute(model)
    checkpoint = out.checkpoint / "state.safetensors"
    minutes = run.options["checkpoint_minutes"]
    dashboard = run.options.get("tracking"), folders.outputs() / run.study, run.name
    with tracked(*dashboard) as tracker:
        history = train(model, data, tokenizer, recipe, checkpoint, minutes, progress, tracker, dev)
    out.write_csv("history.csv", history)
    out.note(
        training={name: sizes(features) for name, features in data.items()},
        steps=recipe.steps,
        kept_step=int(history["dev"].idxmax()) + 1 if dev else len(history),
        final_loss=float(history.loss.tail(max(1, len(history) // 20)).mean()),
        device=device().type,
    )
    return history


def recompute(model) -> None:
    """Have the layers of a model computed again on the way back, and nothing of them kept.

    Chen et al. 2016, arXiv 1604.06174. The losses are the same: dropout is drawn again as it was.
    """
    old = model.encoder.gradient_checkpointing_enable  # its earlier name
    try:
        getattr(model.encoder, "activation_checkpointing_enable", old)({"use_reentrant": False})
    except ValueError as error:
        raise UserError(f"evaluation.checkpointing: {error}") from error


def sizes(features: Features) -> dict[str, int]:
    """Rows, what became of them, and how many of the rows lost text or answer."""
    return {
        "examples": features.examples,
        "features": len(features),
        "tokens": int(features.lengths.sum()),
        "truncated": features.truncated,
        "unplaced": features.unplaced,
    }
