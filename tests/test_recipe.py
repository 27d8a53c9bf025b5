"""How a run trains: its steps, and every setting in its recipe."""

import math
from dataclasses import replace

import pytest
from study_toys import toy_root

from xtsupport.study.phases.fitting import recipe_of
from xtsupport.study.plan import open_study
from xtsupport.training.recipe import masked_steps, steps_of


def test_a_pass_is_over_windows():
    """130 windows, 8 a step, 2 passes: 33 steps. Of a capped task no more than the cap counts."""
    own = {"epochs": 2, "batch_size": 8}
    assert steps_of(own, {"squad": 130}) == math.ceil(260 / 8) == 33
    mixed = own | {"sampler": "capped", "mixing_cap": 50}
    assert steps_of(mixed, {"squad": 130, "mnli": 30}) == 20
    for sampler in ("proportional", "temperature", "uniform"):
        assert steps_of(mixed | {"sampler": sampler}, {"squad": 130, "mnli": 30}) == 40
    assert steps_of({"epochs": 0.1, "batch_size": 8}, {"squad": 2}) == 1


def test_masked_steps_are_a_share_of_all():
    """8 of 40 are a fifth; nothing without a share."""
    assert masked_steps(32, 0.2) == 8 and masked_steps(1, 0.01) == 1 and masked_steps(32, 0) == 0


def test_every_setting_reaches_the_recipe(tmp_path, monkeypatch):
    """Each by its name; one that is missing is an error, not a default."""
    monkeypatch.setenv("XTSUPPORT_ROOT", str(tmp_path))
    given = {
        "batch_size": 5, "learning_rate": 0.25, "warmup": 0.75, "weight_decay": 0.5,
        "betas": [0.5, 0.25], "clip": 9.0, "dev_every": 7, "dev_patience": 3,
    }  # fmt: skip
    study = open_study(toy_root(tmp_path, conditions=["none", "squad", "mnli", "all"]),
                       {f"intermediate.{name}": value for name, value in given.items()} |
                       {"intermediate.sampler": "temperature", "intermediate.temperature": 3.0,
                        "intermediate.mixing_cap": 11, "evaluation.batch_tokens": 99})  # fmt: skip
    run = study.runs("intermediate", "all", [1])[0]
    recipe = recipe_of(run, 40, 4)
    expected = given | {"betas": (0.5, 0.25), "steps": 40, "masked_steps": 4, "seed": 1,
                        "batch_tokens": 99, "sampler": "temperature", "temperature": 3.0,
                        "mixing_cap": 11, "precision": "float32"}  # fmt: skip
    assert {name: getattr(recipe, name) for name in expected} == expected
    for name in ("warmup", "betas", "clip", "precision"):
        del (lacking := dict(run.settings))[name]
        with pytest.raises(KeyError, match=name):
            recipe_of(replace(run, settings=lacking), 40)


def test_robust_and_masked_settings_reach_the_recipe(tmp_path, monkeypatch):
    monkeypatch.setenv("XTSUPPORT_ROOT", str(tmp_path))
    params = toy_root(tmp_path, targets=["xquad"], variants=["none/adversarial"])
    robust = {"robust.adversarial_radius": 0.25, "robust.ascent_steps": 9}
    study = open_study(params, robust | {"pretraining.mask": 0.5})
    (run, *_) = [r for r in study.runs("target", "none") if r.variant == "adversarial"]
    recipe = recipe_of(run, 2)
    assert (recipe.noise, recipe.radius, recipe.ascent_steps) == ("adversarial", 0.25, 9)
    (first,) = study.runs("pretraining")
    recipe = recipe_of(first, 4)
    assert recipe.mask == 0.5 and recipe.betas == (0.9, 0.98) and recipe.dev_every == 0
