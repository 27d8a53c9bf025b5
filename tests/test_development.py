"""Training that keeps the weights of its best score on development rows, and which these are."""

import shutil
from dataclasses import replace

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch
from study_toys import toy_root
from training_toys import train_until_killed

from xtsupport.data import load
from xtsupport.data.world.generate import world_folder
from xtsupport.errors import UserError
from xtsupport.study.phases import development, train
from xtsupport.study.plan import open_study
from xtsupport.study.runs import Run, read_record
from xtsupport.training import loop
from xtsupport.training.features import featurise
from xtsupport.training.heads import TaskModel
from xtsupport.training.recipe import Recipe
from xtsupport.training.selection import Selection

PAIRS = {"text": ["a b", "c d", "e"] * 4, "text_pair": ["x"] * 12, "label": ["0", "1", "1"] * 4}


@pytest.fixture
def setting(tiny_encoder):
    """(a new model each time, features, tokenizer)."""
    import copy

    encoder, tokenizer = tiny_encoder

    def model():
        made = TaskModel(copy.deepcopy(encoder), dropout=0.1)
        made.add_head("nli", "classification", 2, seed=0)
        return made

    return model, featurise(PAIRS, "classification", tokenizer, 16, 0, ("0", "1")), tokenizer


def scripted(model, scores):
    """An evaluation that says these scores in turn, and the weights that the model had then."""
    seen, rest = [], iter(scores)

    def evaluate():
        seen.append({name: value.clone() for name, value in model.state_dict().items()})
        return next(rest)

    return evaluate, seen


def same(model, weights) -> bool:
    return all(torch.equal(value, weights[name]) for name, value in model.state_dict().items())


def test_the_best_weights_are_kept_and_patience_ends_the_training(setting):
    """Scores after steps 2, 4, 6, 8: 50, 70, 60, 70; the third look after the best ends it."""
    make, features, tokenizer = setting
    model = make()
    evaluate, seen = scripted(model, [50.0, 70.0, 60.0, 70.0, 99.0])
    recipe = Recipe(20, 4, 1e-2, dev_every=2, dev_patience=2)
    history = loop.train(
        model, {"nli": features}, tokenizer, recipe, progress=False, evaluate=evaluate
    )
    assert len(history) == 8 and history["loss"].notna().all()
    assert history["dev"].dropna().to_dict() == {1: 50.0, 3: 70.0, 5: 60.0, 7: 70.0}
    assert same(model, seen[1]) and not same(model, seen[3])  # the first of equal ones


def test_the_last_step_is_always_evaluated(setting):
    make, features, tokenizer = setting
    model = make()
    evaluate, seen = scripted(model, [1.0, 2.0, 3.0])
    recipe = Recipe(5, 4, 1e-2, dev_every=2)
    loop.train(model, {"nli": features}, tokenizer, recipe, progress=False, evaluate=evaluate)
    assert len(seen) == 3 and same(model, seen[2])


def test_evaluations_change_no_bit_of_the_training(setting):
    """Evaluated or not, the same losses; and without an evaluation the last weights are kept."""
    make, features, tokenizer = setting
    recipe = Recipe(6, 4, 1e-2, dev_every=1)
    with_dev, without = make(), make()
    evaluate, seen = scripted(with_dev, [0.0, 5.0, 1.0, 1.0, 1.0, 1.0])
    one = loop.train(
        with_dev, {"nli": features}, tokenizer, recipe, progress=False, evaluate=evaluate
    )
    other = loop.train(without, {"nli": features}, tokenizer, recipe, progress=False)
    assert one["loss"].tolist() == other["loss"].tolist() and "dev" not in other
    assert same(without, seen[-1]) and same(with_dev, seen[1])


@pytest.mark.parametrize("killed_after", [1, 3, 4, 5])
def test_a_killed_run_keeps_the_same_weights(setting, tmp_path, monkeypatch, killed_after):
    """Best after step 4 (of 2, 4, 6, 7): killed before, at and after it."""
    make, features, tokenizer = setting
    recipe = Recipe(7, 4, 1e-2, dev_every=2)

    def score(model):
        """A score of the weights alone, with its best in the middle."""
        return {2: 1.0, 4: 3.0, 6: 2.0, 7: 2.5}[score.steps[id(model)]]

    def trained(model, run):
        """`run` trains with an evaluation that knows how far the optimiser is."""
        score.steps = {}
        look = Selection.look

        def counting(self, watched, weights, done, last):
            score.steps[id(model)] = done
            look(self, watched, weights, done, last)

        with monkeypatch.context() as patched:
            patched.setattr(Selection, "look", counting)
            return run(lambda: score(model))

    whole = make()
    data = {"nli": features}
    expected = trained(
        whole,
        lambda dev: loop.train(whole, data, tokenizer, recipe, progress=False, evaluate=dev),
    )
    state = tmp_path / "state.safetensors"
    first, second = make(), make()
    trained(
        first,
        lambda dev: train_until_killed(
            monkeypatch, killed_after, first, data, tokenizer, recipe, state, dev
        ),
    )
    found = trained(
        second,
        lambda dev: loop.train(
            second, data, tokenizer, recipe, state, progress=False, evaluate=dev
        ),
    )
    pd.testing.assert_frame_equal(found, expected)
    assert same(second, whole.state_dict())


# ------------------------------------------------------------------------------ which rows


def study_of(tmp_path, monkeypatch, **target):
    monkeypatch.setenv("XTSUPPORT_ROOT", str(tmp_path))
    params = toy_root(tmp_path, targets=["xquad", "udpos"])
    return open_study(params, {f"target.{name}": value for name, value in target.items()})


def test_development_is_off_unless_asked_for(tmp_path, monkeypatch):
    plain = study_of(tmp_path, monkeypatch)
    run = plain.runs("target", "none", [0], ["xquad"])[0]
    assert "dev_splits" not in run.settings and not [k for k in run.data if k.endswith("/dev")]
    asked = study_of(tmp_path, monkeypatch, dev_every=2)
    run, tags = (asked.runs("target", "none", [0], [name])[0] for name in ("xquad", "udpos"))
    assert run.settings["dev_splits"] == {"squad": "validation"}
    assert run.settings["dev_apart"] == {"xquad": "validation"}
    assert {"squad/en/dev", "xquad/en/dev"} <= set(run.data)
    assert tags.settings["dev_splits"] == {"udpos": "validation"}
    assert "dev_splits" not in asked.runs("intermediate", "squad", [0])[0].settings


def test_a_run_selects_on_english_rows_and_says_which_step_it_kept(tmp_path, monkeypatch):
    study = study_of(tmp_path, monkeypatch, dev_every=1, dev_rows=5)
    (start,) = study.runs("pretraining")
    train.pretrain(start, progress=False)
    run = study.runs("target", "none", [0], ["udpos"])[0]
    history = train.train_target(run, progress=False)
    assert history["dev"].notna().all() and history["dev"].between(0, 100).all()
    assert read_record(run.folder)["kept_step"] == history["dev"].idxmax() + 1


def development_run(data, **own):
    settings = {"dev_rows": None, "dev_splits": {"squad": "validation"}, **own}
    return Run("toy", "target", "none", 0, "toy", settings, options={"data": str(data)})


@pytest.fixture
def planted(tmp_path):
    """The smallest world, whose SQuAD development rows 0, 3, 6, ... have a paragraph of XQuAD."""
    folder = shutil.copytree(world_folder(size="tiny"), tmp_path / "mirror")
    (path,) = folder.glob("rajpurkar/squad/plain_text/validation-*.parquet")
    (other,) = folder.glob("google/xtreme/XQuAD.en/validation-*.parquet")
    table = pq.read_table(path)
    rows, evaluated = table.to_pylist(), pq.read_table(other).to_pylist()
    for n, row in enumerate(rows):
        row["context"] += f" Row {n}."
    for row, met in zip(rows[::3], evaluated, strict=False):
        row |= {"context": met["context"] + " (!)", "answers": met["answers"]}
    pq.write_table(pa.Table.from_pylist(rows, schema=table.schema), path)
    return folder


def without(column: str, rows, n: int) -> list:
    """A column without every n-th row."""
    return [value for k, value in enumerate(rows[column]) if k % n]


def test_rows_that_are_in_an_evaluation_set_are_left_out(planted):
    """Signs apart, and whatever the question (the world repeats questions)."""
    rows = load("squad", "en", "validation", str(planted))
    run = development_run(planted, dev_apart={"xquad": "validation"})
    kept = development.development_rows("squad", run)
    assert list(kept["example_id"]) == without("example_id", rows, 3)
    every = development.development_rows("squad", development_run(planted, dev_apart={}))
    assert list(every["example_id"]) == list(rows["example_id"])


def test_as_many_as_asked_for_and_the_same_for_every_seed(planted):
    run = development_run(planted, dev_apart={}, dev_rows=7)
    both = [development.development_rows("squad", each) for each in (run, replace(run, seed=5))]
    first, second = (list(rows["example_id"]) for rows in both)
    assert first == second and len(set(first)) == 7


def test_no_row_left_is_an_error(planted):
    apart = {"xquad": "validation"}
    run = development_run(planted, dev_apart=apart, dev_splits={"xquad": "validation"})
    with pytest.raises(UserError, match="xquad: all 12 development rows of 'validation'"):
        development.development_rows("xquad", run)


def test_scores_of_a_selection_by_hand():
    selection = Selection(None, 2, 2)
    selection.scores = {2: 1.0, 4: 3.0, 6: 3.0}
    assert selection.best_step == 4 and not selection.finished
    assert str(selection) == "dev 3.0 (best 3.0 at step 4)"
    selection.scores[8] = 2.0
    assert selection.finished
    column = selection.column(8)
    assert np.isnan(column).sum() == 4 and column[3] == 3.0
