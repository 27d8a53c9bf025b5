"""Runs that go wrong say so: a loss or gradient that is no number, a score that stays at chance."""

import copy

import pandas as pd
import pytest
import torch

from xtsupport.study.execution import nodes
from xtsupport.study.phases import train as phases
from xtsupport.training.features import featurise
from xtsupport.training.heads import TaskModel
from xtsupport.training.loop import Diverged, Recipe, train


@pytest.fixture
def setting(tiny_encoder):
    encoder, tokenizer = tiny_encoder
    pairs = {"text": ["Ada cooked."] * 8, "text_pair": ["Ben sold."] * 8, "label": ["a", "b"] * 4}
    model = TaskModel(copy.deepcopy(encoder))
    model.add_head("mnli", "classification", 2, seed=0)
    features = featurise(pairs, "classification", tokenizer, 64, 0, ("a", "b"))
    return model, {"mnli": features}, tokenizer


def test_a_gradient_that_is_no_number_is_found_even_at_the_last_step(setting):
    """The loss is sound: without the check a ruined encoder would be saved."""
    model, data, tokenizer = setting
    weight, seen = model.heads["mnli"].out.weight, []

    def ruined(gradient):
        seen.append(1)
        return gradient * float("inf") if len(seen) == 3 else gradient

    weight.register_hook(ruined)
    with pytest.raises(Diverged, match=r"the gradient of mnli is (nan|inf) at step 3 of 3; lower"):
        train(model, data, tokenizer, Recipe(3, 4, 1e-3), progress=False)
    assert torch.isfinite(weight).all(), "the ruined step was not made"


def test_a_diverged_run_is_named_in_one_line():
    error = Diverged("the loss of squad is nan at step 7 of 9; lower its learning_rate")
    assert nodes.first_line(error) == f"Diverged: {error}"


def test_scores_at_chance_are_collapsed_and_others_are_not():
    """XNLI, chance 33.3: of 300 rows 3 standard errors are 8.2 points, of 3,000 they are 2.6."""
    columns = ["task", "language", "metric", "score", "n_examples"]

    def found(score, rows, language="en", source="en"):
        frame = pd.DataFrame([["xnli", language, "accuracy", score, rows]], columns=columns)
        return phases.collapsed(frame, "hub", source)

    assert found(41.0, 300) == ["xnli"] and found(42.0, 300) == []
    assert found(35.0, 3000) == ["xnli"] and found(37.0, 3000) == []
    assert found(34.0, 3000, "de") == [], "other languages may stay at chance"
    assert found(34.0, 3000, "de", source="de") == ["xnli"], "not the one that was trained on"
