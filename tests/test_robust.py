"""Noise in embeddings: inside its ball, where asked for, the worst one worse than a random one."""

import copy

import numpy as np
import pytest
import torch

from xtsupport.training import embeddings, robust
from xtsupport.training.batches import collate
from xtsupport.training.features import featurise
from xtsupport.training.heads import TaskModel
from xtsupport.training.loop import Recipe, train


@pytest.fixture
def setting(tiny_encoder):
    """(model with a head `mnli`, one batch, features, tokenizer)."""
    encoder, tokenizer = tiny_encoder
    pairs = {
        "text": ["Ada cooked soup.", "Ben sold 3 old chairs in the kitchen."] * 4,
        "text_pair": ["Ada cooked.", "Ada sold."] * 4,
        "label": ["yes", "no"] * 4,
    }
    features = featurise(pairs, "classification", tokenizer, 64, 0, ("yes", "no"))
    torch.manual_seed(0)
    model = TaskModel(copy.deepcopy(encoder))
    model.add_head("mnli", "classification", 2, seed=1)
    for _, weight in model.heads.named_parameters():
        torch.nn.init.normal_(weight)  # a new head is too flat to tell losses apart
    return model, collate(features, np.arange(8), tokenizer.pad_token_id), features, tokenizer


def test_noise_is_uniform_in_a_ball():
    """In d dimensions a share r^d of the ball lies within r of the centre."""
    torch.manual_seed(0)
    limit = torch.full((200, 50, 1), 2.0)
    distance = robust.in_ball(torch.empty(200, 50, 3), limit).norm(dim=-1) / 2
    assert distance.max() <= 1 + 1e-6
    assert abs((distance < 0.5).float().mean() - 0.5**3) < 3 * (0.125 * 0.875 / 10_000) ** 0.5
    mean = robust.in_ball(torch.empty(200, 50, 3), limit).mean((0, 1))
    assert mean.abs().max() < 0.05


def test_ascent_finds_worse_noise_than_chance_inside_the_ball(setting):
    model, batch, _, _ = setting
    embed = model.encoder.get_input_embeddings()
    size = embed(batch["ids"]).detach().norm(dim=-1, keepdim=True)
    limit = 0.3 * size * batch["mask"][..., None]
    torch.manual_seed(1)
    noise = [robust.in_ball(torch.empty(*size.shape[:2], 16), limit) for _ in range(20)]

    def loss(shift):
        with torch.no_grad(), robust.shifted(embed, shift):
            return float(model("mnli", batch))

    random = [loss(shift) for shift in noise]
    worst = robust.worst(model, embed, "mnli", batch, noise[0], limit, 5)
    assert loss(worst) > max(random)
    assert (worst.norm(dim=-1, keepdim=True) <= limit + 1e-5).all()
    assert not worst[batch["mask"] == 0].any()


def test_ascent_leaves_no_gradient_in_the_weights(setting):
    model, batch, _, _ = setting
    embed = model.encoder.get_input_embeddings()
    limit = 0.1 * torch.ones(*batch["ids"].shape, 1)
    start = torch.zeros(*batch["ids"].shape, 16)
    robust.worst(model, embed, "mnli", batch, start, limit, 2)
    assert all(weight.grad is None for weight in model.parameters())


def test_without_noise_the_loss_is_the_plain_one(setting):
    model, batch, _, _ = setting
    plain = float(model("mnli", batch))
    for noise in ("adversarial", "smoothing"):
        assert float(robust.robust_loss(model, model, "mnli", batch, noise, 0.0, 2)) == plain
    noisy = float(robust.robust_loss(model, model, "mnli", batch, "smoothing", 0.5, 2))
    assert noisy != plain and float(model("mnli", batch)) == plain


@pytest.mark.parametrize("noise", ["adversarial", "smoothing"])
def test_training_with_noise_is_reproducible_and_bears_the_noise_better(setting, noise):
    model, batch, features, tokenizer = setting
    ways = {}
    for name, kind in (("plain", ""), ("first", noise), ("again", noise)):
        ways[name] = copy.deepcopy(model)
        recipe = Recipe(steps=40, batch_size=8, learning_rate=3e-3, noise=kind, radius=0.5)
        train(ways[name], {"mnli": features}, tokenizer, recipe, progress=False)
    first, again = (
        torch.cat([p.flatten() for p in ways[n].parameters()]) for n in ("first", "again")
    )
    assert torch.equal(first, again)
    losses = {}
    for name in ("plain", "first"):
        torch.manual_seed(5)
        losses[name] = float(
            robust.robust_loss(ways[name], ways[name], "mnli", batch, "adversarial", 0.5, 5)
        )
    assert losses["first"] < losses["plain"]


def test_synonyms_stand_for_words_with_equal_chance():
    examples = {
        "text": ["Cooked soup, cooked."] * 3000,
        "text_pair": [""] * 3000,
        "label": ["a"] * 3000,
    }
    synonyms = {"cooked": ["made", "prepared"]}
    changed = robust.with_synonyms(examples, "classification", synonyms, 2, seed=0)
    assert len(changed["text"]) == 6000 and set(changed["label"]) == {"a"}
    first = [text.split()[0] for text in changed["text"]]
    for word in ("Cooked", "Made", "Prepared"):
        assert abs(first.count(word) / 6000 - 1 / 3) < 3 * (2 / 9 / 6000) ** 0.5
    assert {text.split()[1] for text in changed["text"]} == {"soup,"}


def test_the_context_of_a_question_stays_as_it_is():
    examples = {
        "question": ["who cooked?"],
        "context": ["Ada cooked."],
        "answers": [{"text": ["Ada"], "answer_start": [0]}],
    }
    synonyms = {"cooked": ["made"], "ada": ["eve"]}
    changed = robust.with_synonyms(examples, "span", synonyms, 20, 0)
    assert set(changed["context"]) == {"Ada cooked."}
    assert set(changed["question"]) == {"who cooked?", "who made?"}


def test_near_words_of_planted_embeddings(tiny_encoder):
    """Two words are given nearly the same vector: each is the other's only synonym."""
    encoder, tokenizer = tiny_encoder
    encoder = copy.deepcopy(encoder)
    words = embeddings.whole_words(tokenizer)
    table = encoder.get_input_embeddings().weight
    with torch.no_grad():
        torch.manual_seed(0)
        table.copy_(torch.randn_like(table))
        table[words["soup"]] = table[words["cooked"]] + 0.05 * torch.randn(16)
    near = robust.synonyms_of(encoder, tokenizer, {"text": ["Cooked soup nowhere"]}, "masked")
    assert near["cooked"][0] == "soup" and near["soup"][0] == "cooked" and "nowhere" not in near
