"""Shapes and losses of the heads, against PyTorch's own functions."""

import torch

from xtsupport.training.heads import TaskModel, mean_pool


def test_logits_have_the_shapes_of_their_kind(tiny_encoder):
    model = TaskModel(tiny_encoder[0])
    for task, kind, labels in (
        ("a", "classification", 3),
        ("b", "choice", 2),
        ("c", "tagging", 5),
        ("d", "span", 2),
    ):
        model.add_head(task, kind, labels, seed=0)
    ids = torch.randint(5, 50, (4, 7))
    mask = torch.ones_like(ids)
    mask[0, 5:] = 0
    batch = {"ids": ids, "mask": mask, "options": torch.tensor([2, 2])}
    assert model.logits("a", batch).shape == (4, 3)
    assert model.logits("b", batch).shape == (2, 2)
    assert model.logits("c", batch).shape == (4, 7, 5)
    spans = model.logits("d", batch)
    assert (
        spans.shape == (4, 7, 2)
        and torch.isinf(spans[0, 5:]).all()
        and torch.isfinite(spans[1]).all()
    )


def test_span_loss_is_the_mean_over_starts_and_ends(tiny_encoder):
    model = TaskModel(tiny_encoder[0])
    model.add_head("d", "span", 2, seed=0)
    ids = torch.randint(5, 50, (3, 6))
    batch = {
        "ids": ids,
        "mask": torch.ones_like(ids),
        "labels": torch.tensor([[1, 2], [0, 0], [5, 5]]),
    }
    probability = model.logits("d", batch).log_softmax(1)
    by_hand = -sum(probability[n, batch["labels"][n, k], k] for n in range(3) for k in range(2)) / 6
    assert torch.allclose(model("d", batch), by_hand)


def test_mean_pool_ignores_padding():
    states = torch.tensor([[[1.0], [3.0], [100.0]]])
    assert mean_pool(states, torch.tensor([[1, 1, 0]])).item() == 2.0


def test_heads_depend_on_the_seed_alone(tiny_encoder):
    def head(seed):
        model = TaskModel(tiny_encoder[0])
        torch.rand(seed)  # whatever was drawn before
        model.add_head("a", "classification", 3, seed=7)
        return model.heads["a"].out.weight

    assert torch.equal(head(1), head(2))
