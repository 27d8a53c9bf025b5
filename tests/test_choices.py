"""Questions with different numbers of options: each is judged among its own options alone."""

import copy
from dataclasses import replace

import datasets
import numpy as np
import pytest
import torch
from torch.nn.functional import cross_entropy

from xtsupport.evaluation.predict import predict
from xtsupport.training.batches import collate
from xtsupport.training.feature_cache import encoded
from xtsupport.training.features import featurise
from xtsupport.training.heads import TaskModel, by_example
from xtsupport.training.loop import Recipe, train
from xtsupport.training.robust import robust_loss

WORDS = ["soup", "3 old chairs", "Ada in the kitchen on Friday", "Ben", "Who"]
COUNTS = [4, 2, 3, 3, 5, 2, 1, 4]  # and 4 + 3 in one batch, whose product is no multiple
EXAMPLES = {
    "context": ["Ada cooked soup."] * len(COUNTS),
    "question": ["Who", "Ben sold", "Ada cooked", "Friday"] * 2,
    "choices": [[*WORDS[n % 3 :], *WORDS][:count] for n, count in enumerate(COUNTS)],
    "label": [3, 1, 0, 2, 4, 0, 0, 1],
}


@pytest.fixture
def setting(tiny_encoder):
    """(model with a choice head far from its start, features, tokenizer)."""
    encoder, tokenizer = tiny_encoder
    model = TaskModel(copy.deepcopy(encoder))
    model.add_head("q", "choice", 1, seed=0)
    with torch.no_grad():
        model.heads["q"].out.weight.mul_(50)
    return model, featurise(EXAMPLES, "choice", tokenizer, 48, 0), tokenizer


def scores_by_hand(model, row):
    """The logits of one question, each option encoded alone."""
    found = []
    for ids in row["choices"]:
        ids = torch.tensor([ids])
        states = model.encoder(ids, attention_mask=torch.ones_like(ids)).last_hidden_state
        found.append(model.heads["q"](states, torch.ones_like(ids))[0, 0])
    return torch.stack(found)


def test_options_are_put_together_by_question():
    found = by_example(torch.tensor([1.0, 2, 3, 4, 5, 6]), torch.tensor([1, 3, 2]))
    assert found.tolist() == [[1, -np.inf, -np.inf], [2, 3, 4], [5, 6, -np.inf]]


def test_a_batch_answers_as_one_by_one(setting):
    model, features, tokenizer = setting
    by_hand = [int(scores_by_hand(model, row).argmax()) for row in features.rows]
    assert len(set(by_hand)) > 2  # or the test could not fail
    for budget in (1, 60, 150, 10**6):
        found = predict(model, "q", features, EXAMPLES, tokenizer.pad_token_id, budget)
        assert found == by_hand, budget


@pytest.mark.parametrize("chosen", [[0, 2], [0, 1, 2, 3], list(range(8)), [6]])
def test_the_loss_is_the_mean_over_the_questions(setting, chosen):
    model, features, tokenizer = setting
    batch = collate(features, np.array(chosen), tokenizer.pad_token_id)
    assert batch["options"].tolist() == [COUNTS[n] for n in chosen]
    each = [cross_entropy(scores_by_hand(model, features.rows[n]),
                          torch.tensor(EXAMPLES["label"][n])) for n in chosen]  # fmt: skip
    loss = model("q", batch)
    assert torch.allclose(loss, torch.stack(each).mean(), atol=1e-5)
    loss.backward()
    assert all(torch.isfinite(p.grad).all() for p in model.parameters() if p.grad is not None)
    assert torch.allclose(robust_loss(model, model, "q", batch, "smoothing", 1e-9, 0), loss)
    assert robust_loss(model, model, "q", batch, "adversarial", 0.1, 2) > loss or chosen == [6]


def test_pieces_that_fit_into_memory_train_as_the_whole_batch(setting):
    model, features, tokenizer = setting
    recipe = Recipe(steps=3, batch_size=8, learning_rate=1e-2, batch_tokens=10**6)
    ends = []
    for budget in (10**6, 100, 1):
        one = copy.deepcopy(model)
        history = train(one, {"q": features}, tokenizer, replace(recipe, batch_tokens=budget),
                        progress=False)  # fmt: skip
        ends.append((history.loss.to_numpy(), one.heads["q"].dense.weight.detach()))
    for losses, weight in ends[1:]:
        assert np.allclose(losses, ends[0][0], atol=1e-5)
        assert torch.allclose(weight, ends[0][1], atol=1e-4)


def test_the_cache_keeps_every_option(setting, tmp_path, monkeypatch):
    _, features, tokenizer = setting
    monkeypatch.setenv("XTSUPPORT_CACHE", str(tmp_path))
    rows = datasets.Dataset.from_dict(EXAMPLES)
    for _ in range(2):
        assert encoded(rows, "choice", tokenizer, {"max_length": 48}).rows == features.rows
