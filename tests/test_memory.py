"""Memory and what makes it suffice; checkpointing changes no loss."""

import copy
from types import SimpleNamespace

import pytest
import torch

from xtsupport import folders
from xtsupport.study import memory, plan_lines
from xtsupport.study.cost import SHAPES, Estimate
from xtsupport.study.params.loading import load_settings
from xtsupport.study.phases.fitting import recompute
from xtsupport.training.features import featurise
from xtsupport.training.heads import TaskModel
from xtsupport.training.loop import train
from xtsupport.training.recipe import Recipe


@pytest.fixture
def large(monkeypatch):
    """XLM-R large by the paper's recipe: 558 million weights, 16,384 tokens at a time, bfloat16.

    By hand: 16 x 558.0e6 = 8.93 GB of weights and their state, 34 x 1024 x 24 = 0.836 MB a token;
    checkpointing leaves (34 + 2 x 24) x 1024 = 0.084 MB a token. A GPU is used to nine tenths.
    """
    made = object.__new__(Estimate)
    made.settings = load_settings(folders.packaged() / "params" / "paper.yaml")
    made.shape = SHAPES["FacebookAI/xlm-roberta-large"]
    return made


GIB = 1 << 30


@pytest.mark.parametrize(
    ("there", "words"),
    [
        (16 * GIB, "--set evaluation.batch_tokens=4096"),  # 8.93 + 3.42 of 15.46 GB
        (10 * GIB, "--set evaluation.batch_tokens=512"),  # 8.93 + 0.43 of 9.66
        (9.5 * GIB, "--set evaluation.batch_tokens=2048 --set evaluation.checkpointing=true"),
        (9 * GIB, "no setting makes it fit: use a smaller encoder, or freeze_embeddings"),
    ],
)
def test_accumulation_then_bfloat16_then_checkpointing(large, there, words):
    assert memory.remedy(large, there) == words


def test_bfloat16_comes_before_checkpointing(large):
    """In float32 a token takes 1.67 MB: 8.93 + 0.86 GB at 512 tokens, with bfloat16 8.93 + 0.43."""
    whole = large.settings.model_copy(update={"precision": "float32"})
    large.settings = whole
    words = "--set evaluation.batch_tokens=512 --set precision=bfloat16"
    assert memory.remedy(large, int(9.4e9 / 0.9)) == words


def test_only_a_gpu_that_is_too_small_is_told(large, monkeypatch):
    assert torch.cuda.is_available() or memory.too_little_memory(large) == ""
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    small, big = SimpleNamespace(total_memory=16 * GIB), SimpleNamespace(total_memory=80 * GIB)
    monkeypatch.setattr(torch.cuda, "get_device_properties", lambda _: big)
    assert memory.too_little_memory(large) == ""
    monkeypatch.setattr(torch.cuda, "get_device_properties", lambda _: small)
    told = memory.too_little_memory(large)
    assert "21.1 GiB, this GPU has 16.0; --set evaluation.batch_tokens=4096" in told
    monkeypatch.setattr(plan_lines, "devices", lambda: ["0"])
    monkeypatch.setattr(plan_lines, "Estimate", lambda *_: large)
    study = SimpleNamespace(settings=large.settings, plan=SimpleNamespace(runs=()))
    assert f"warning: {told}" in plan_lines.unfit(study)  # before `run` starts


def test_checkpointing_computes_layers_twice_and_changes_no_loss(tiny_encoder):
    encoder, tokenizer = tiny_encoder
    rows = {"text": ["Ada cooked.", "Ben sold."] * 4, "text_pair": ["Ada.", "Ben."] * 4,
            "label": ["yes", "no"] * 4}  # fmt: skip
    data = {"mnli": featurise(rows, "classification", tokenizer, 32, 0, ("yes", "no"))}
    recipe = Recipe(steps=3, batch_size=4, learning_rate=1e-2, seed=3)
    losses, calls = [], []
    for again in (False, True):
        model = TaskModel(copy.deepcopy(encoder), dropout=0.1)
        model.add_head("mnli", "classification", 2, seed=1)
        if again:
            recompute(model)
        calls.append(0)

        def count(*_):
            calls[-1] += 1

        model.encoder.encoder.layer[0].attention.register_forward_hook(count)
        losses.append(train(model, data, tokenizer, recipe, progress=False)["loss"].tolist())
    assert losses[0] == losses[1] and calls == [3, 6]
