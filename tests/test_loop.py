"""The loop: reproducible, resumable to the bit, exact in pieces, loud when it diverges."""

import copy
import importlib.util
import os
import random
import signal
import time
from dataclasses import replace
from types import MappingProxyType, SimpleNamespace

import numpy as np
import pytest
import torch
from safetensors import safe_open
from torch.nn.functional import cross_entropy
from training_toys import train_until_killed

from xtsupport.errors import UserError
from xtsupport.training import loop
from xtsupport.training.batches import batch_stream, collate
from xtsupport.training.divergence import Diverged, Readings
from xtsupport.training.encoder import freeze_embeddings
from xtsupport.training.features import featurise
from xtsupport.training.heads import TaskModel
from xtsupport.training.loop import Recipe, _pieces, rate, train
from xtsupport.training.masked import mask_tokens, masked_model, special_ids, tiny_xlmr
from xtsupport.training.tracking import tracked

RECIPE = Recipe(steps=12, batch_size=4, learning_rate=1e-2, seed=3)


@pytest.fixture
def setting(tiny_encoder):
    """(a function that makes the same model each time, data of two tasks, tokenizer)."""
    encoder, tokenizer = tiny_encoder
    pairs = {
        "text": ["Ada cooked soup.", "Ben sold chairs.", "Ada sold 3 old chairs in the kitchen."]
        * 6,
        "text_pair": ["Ada cooked.", "Ada cooked.", "Ben sold."] * 6,
        "label": ["yes", "no", "no"] * 6,
    }
    context = "Ada cooked soup on Friday. Ben sold chairs."
    spans = {
        "question": ["Who cooked?", "Who sold chairs?"] * 5,
        "context": [context] * 10,
        "answers": [{"text": ["Ada"], "answer_start": [0]}, {"text": ["Ben"], "answer_start": [27]}]
        * 5,
    }
    data = {
        "mnli": featurise(pairs, "classification", tokenizer, 64, 0, ("yes", "no")),
        "squad": featurise(spans, "span", tokenizer, 64, 8),
    }

    def make():
        model = TaskModel(copy.deepcopy(encoder), dropout=0.1)
        model.add_head("mnli", "classification", 2, seed=1)
        model.add_head("squad", "span", 2, seed=1)
        return model

    return make, data, tokenizer


def weights(model):
    return torch.cat([p.detach().flatten() for p in model.parameters()])


def test_it_learns_and_the_same_seed_gives_the_same_bits(setting):
    make, data, tokenizer = setting
    recipe = Recipe(steps=120, batch_size=8, learning_rate=1e-2, seed=3)
    one, two = make(), make()
    history = train(one, data, tokenizer, recipe, progress=False)
    train(two, data, tokenizer, recipe, progress=False)
    assert torch.equal(weights(one), weights(two))
    for _, losses in history.groupby("task").loss:
        assert losses.tail(5).mean() < 0.5 * losses.head(5).mean()


@pytest.mark.parametrize("device", ["cpu", "cuda"])
def test_losses_and_weights_are_those_of_a_plain_loop(setting, monkeypatch, device):
    """To the bit, whether every step is read at once, or twenty together as on GPUs."""
    monkeypatch.setattr(loop, "Readings", lambda *a: Readings(*a[:3], torch.device(device), *a[4:]))
    make, data, tokenizer = setting
    model, plain, features = make(), make().train(), data["squad"]
    recipe = Recipe(steps=23, batch_size=4, learning_rate=1e-2, seed=3, precision="bfloat16")
    history = train(model, {"squad": features}, tokenizer, recipe, progress=False)

    torch.manual_seed(3)
    decayed, others = [[p for p in plain.parameters() if (p.ndim > 1) == many] for many in (1, 0)]
    groups = [{"params": decayed, "weight_decay": 0.01}, {"params": others, "weight_decay": 0.0}]
    optimizer, losses = torch.optim.AdamW(groups, fused=True), []
    for step, rows in zip(range(23), batch_stream(features, 4, 3, "squad"), strict=False):
        for group in optimizer.param_groups:
            group["lr"] = 1e-2 * ((step + 1) / 2 if step < 2 else (23 - step) / 21)
        with torch.autocast("cpu", torch.bfloat16):
            batch = collate(features, rows, tokenizer.pad_token_id)
            logits = plain.logits("squad", batch).transpose(1, 2).flatten(0, 1)
            loss = cross_entropy(logits, batch["labels"].flatten(), ignore_index=-100)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(plain.parameters(), 1.0)
        optimizer.step()
        optimizer.zero_grad()
        losses.append(loss.item())
    assert np.array_equal(history.loss, np.array(losses, dtype=np.float32))
    assert torch.equal(weights(model), weights(plain))


@pytest.mark.parametrize("killed_after", [1, 5, 11])
def test_a_killed_mixture_ends_with_the_same_bits(setting, tmp_path, monkeypatch, killed_after):
    make, data, tokenizer = setting
    whole, resumed, killed = make(), make(), make()
    for model in (whole, resumed, killed):
        freeze_embeddings(model.encoder)
    history = train(whole, data, tokenizer, RECIPE, progress=False)

    state = tmp_path / "state"
    train_until_killed(monkeypatch, killed_after, killed, data, tokenizer, RECIPE, state)
    with safe_open(state, "pt") as file:
        assert not any("word_embeddings" in name for name in file.keys())  # noqa: SIM118
    again = train(resumed, data, tokenizer, RECIPE, state, minutes=1e9, progress=False)
    assert torch.equal(weights(whole), weights(resumed))
    assert np.array_equal(history.loss, again.loss)


@pytest.mark.skipif(not hasattr(os, "fork"), reason="forks")
def test_kill_9_while_checkpoints_are_written_costs_no_bit(setting, tmp_path, monkeypatch):
    """A checkpoint after every step: whenever the process dies, it is likely writing one."""
    make, data, tokenizer = setting
    recipe, state = replace(RECIPE, steps=60), tmp_path / "state"
    whole, resumed, begun = make(), make(), []
    history = train(whole, data, tokenizer, recipe, progress=False)
    for _ in range(4):
        before = state.stat().st_mtime_ns if state.exists() else 0
        child = os.fork()
        if not child:
            train(make(), data, tokenizer, recipe, state, minutes=0.0, progress=False)
            os._exit(0)
        while not state.exists() or state.stat().st_mtime_ns == before:
            time.sleep(0.001)
        time.sleep(0.02 * random.random())
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)
        with safe_open(state, "pt") as file:
            begun.append(int(file.metadata()["step"]))
    assert begun == sorted(begun) and begun[-1] >= 4
    again = train(resumed, data, tokenizer, recipe, state, minutes=1e9, progress=False)
    assert torch.equal(weights(whole), weights(resumed))
    assert np.array_equal(history.loss, again.loss)


@pytest.mark.parametrize("harm", ["truncated", "changed", "emptied"])
def test_a_damaged_checkpoint_is_named_and_training_starts_over(setting, tmp_path, capsys, harm):
    make, data, tokenizer = setting
    whole, resumed, state = make(), make(), tmp_path / "state"
    train(whole, data, tokenizer, RECIPE, state, minutes=0.0, progress=False)
    written = bytearray(state.read_bytes())
    written[-100] ^= 1  # one bit of a weight, or of the random state
    state.write_bytes({"truncated": written[:-9], "changed": written, "emptied": b""}[harm])
    train(resumed, data, tokenizer, RECIPE, state, minutes=1e9, progress=False)
    assert f"{state} is damaged" in capsys.readouterr().out
    assert torch.equal(weights(whole), weights(resumed))
    assert not state.exists()


def test_pieces_of_a_batch_add_up_to_the_batch(setting):
    make, data, tokenizer = setting
    results = []
    for budget in (10**6, 40):
        model = make()
        for module in model.modules():
            if isinstance(module, torch.nn.Dropout):
                module.p = 0.0
        recipe = Recipe(steps=5, batch_size=6, learning_rate=1e-3, batch_tokens=budget)
        results.append((train(model, data, tokenizer, recipe, progress=False).loss, weights(model)))
    assert np.allclose(results[0][0], results[1][0], atol=1e-6)
    assert torch.allclose(results[0][1], results[1][1], atol=1e-5)


@pytest.mark.parametrize("order", [("float32", "bfloat16"), ("bfloat16", "float32")])
def test_one_process_trains_in_both_precisions(setting, order):
    """As in a notebook whose settings change; weights stay float32, the losses differ a little."""
    losses = []
    for precision in order:
        make, data, tokenizer = setting
        model = make()
        recipe = Recipe(steps=2, batch_size=4, learning_rate=1e-3, precision=precision)
        losses.append(train(model, data, tokenizer, recipe, progress=False).loss)
        assert {weight.dtype for weight in model.parameters()} == {torch.float32}
    assert not losses[0].equals(losses[1]) and np.allclose(losses[0], losses[1], rtol=0.02)


def test_the_rate_by_hand():
    recipe = Recipe(steps=10, batch_size=1, learning_rate=1.0, warmup=0.2)
    assert [round(rate(step, recipe), 3) for step in range(10)] == [
        0.5,
        1.0,
        1.0,
        0.875,
        0.75,
        0.625,
        0.5,
        0.375,
        0.25,
        0.125,
    ]


def test_divergence_is_named(setting):
    make, data, tokenizer = setting
    model = make()
    with torch.no_grad():
        model.heads["squad"].out.bias.fill_(torch.nan)
    with pytest.raises(Diverged, match="loss of squad is nan at step"):
        train(model, {"squad": data["squad"]}, tokenizer, RECIPE, progress=False)


def test_a_half_written_checkpoint_is_not_read(setting, tmp_path):
    make, data, tokenizer = setting
    (tmp_path / "state.part").write_bytes(b"half")
    model, whole = make(), make()
    train(model, data, tokenizer, RECIPE, tmp_path / "state", progress=False)
    train(whole, data, tokenizer, RECIPE, progress=False)
    assert torch.equal(weights(model), weights(whole))


def test_tensorboard_is_told_every_step(setting, tmp_path):
    pytest.importorskip("tensorboard")
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    make, data, tokenizer = setting
    with tracked("tensorboard", tmp_path / "toy", "intermediate/squad/seed0") as tracker:
        history = train(make(), data, tokenizer, RECIPE, progress=False, tracker=tracker)
    read = EventAccumulator(str(tmp_path / "toy" / "tracking" / "intermediate/squad/seed0"))
    read.Reload()
    for name, part in history.groupby("task"):
        told = read.Scalars(f"loss/{name}")
        assert [each.step for each in told] == part["step"].tolist()
        assert [each.value for each in told] == pytest.approx(part["loss"].tolist())
    assert len(read.Scalars("gradient")) == len(read.Scalars("learning_rate")) == RECIPE.steps


def test_a_missing_dashboard_is_named_before_training(tmp_path, monkeypatch):
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    missing = pytest.raises(UserError, match="tracking = trackio: it is not installed; run `pip")
    with missing, tracked("trackio", tmp_path, "run"):
        pass


def test_a_dashboard_is_closed_where_training_fails(tmp_path, monkeypatch):
    class Tracker:
        def __init__(self, *_):
            self.log = []

        def start(self):
            self.log.append("start")

        def finish(self):
            self.log.append("finish")

    find = importlib.util.find_spec  # accelerate looks for packages of other devices with it

    def found(name, *rest):
        return name == "tensorboard" or find(name, *rest)

    monkeypatch.setattr("importlib.util.find_spec", found)
    monkeypatch.setattr("xtsupport.training.tracking.TensorBoardTracker", Tracker)
    with pytest.raises(Diverged), tracked("tensorboard", tmp_path, "run") as tracker:
        raise Diverged("the loss is nan")
    assert tracker.log == ["start", "finish"]
    with tracked(None, tmp_path, "run") as tracker:
        assert tracker is None


def tagged(tokenizer, tags):
    words = {"tokens": [["Ada", "cooked"]] * len(tags), "tags": [[tag] * 2 for tag in tags]}
    return featurise(words, "tagging", tokenizer, 16, 4, ("N",))


@pytest.mark.parametrize("noise", ["", "smoothing", "adversarial"])
def test_a_batch_with_nothing_to_learn_is_no_divergence(setting, noise):
    """Rows of which every tag is `_`, in batches of one: their loss is 0 and their step too."""
    make, _, tokenizer = setting
    model, features = make(), tagged(tokenizer, ["_", "_", "N", "_"])
    model.add_head("t", "tagging", 2, seed=0)
    recipe = Recipe(steps=8, batch_size=1, learning_rate=1e-3, weight_decay=0, noise=noise)
    history = train(model, {"t": features}, tokenizer, recipe, progress=False)
    assert (history.loss == 0).sum() == 6 and (history.loss > 0.1).sum() == 2


def test_only_rows_with_nothing_to_learn_are_refused(setting):
    make, _, tokenizer = setting
    features = tagged(tokenizer, ["_", "_"])
    with pytest.raises(UserError, match="t: none of the 2 training rows has a tag that is one of"):
        train(make(), {"t": features}, tokenizer, RECIPE, progress=False)


def test_masked_batches_in_which_nothing_was_masked(tiny_encoder):
    """Texts of one word: at 15% most batches of one have no masked token."""
    tokenizer = tiny_encoder[1]
    model = masked_model(tiny_xlmr(len(tokenizer), 16, 1, 2, 32, 64, seed=0), "masked")
    features = featurise({"text": ["Ada", "soup"]}, "masked", tokenizer, 16, 0)
    recipe = Recipe(steps=20, batch_size=1, learning_rate=1e-3)
    history = train(model, {"masked": features}, tokenizer, recipe, progress=False)
    assert (history.loss == 0).any() and (history.loss > 1).any()


@pytest.mark.parametrize("task", ["mnli", "squad"])
def test_a_process_without_a_share_of_a_batch_takes_part(setting, task):
    make, data, tokenizer = setting
    batch = collate(data[task], np.array([0]), tokenizer.pad_token_id)
    second = SimpleNamespace(num_processes=2, process_index=1)
    (piece,) = _pieces(batch, data[task].lengths[:1], 1000, second)
    model = make()
    loss = model(task, piece)
    loss.backward()
    used = [w for name, w in model.named_parameters() if task in name or "encoder" in name]
    assert float(loss) == 0 and all(w.grad is not None and not w.grad.any() for w in used)


class Vocabulary:
    """A tokenizer with special tokens first, in the middle and last, as XLM-R's, and gaps: the ids
    40 to 49 are nobody's."""

    all_special_ids, mask_token_id = (0, 1, 59), 59
    added_tokens_decoder = MappingProxyType(
        {30: SimpleNamespace(special=True), 31: SimpleNamespace(special=False)}
    )

    def get_vocab(self):
        return {f"piece {i}": i for i in range(60) if not 40 <= i < 50}

    def __len__(self):
        return len(self.get_vocab())


def test_random_replacements_are_never_special_tokens():
    assert special_ids(Vocabulary()) == [0, 1, 30, 59]
    ids = torch.full((200, 100), 7)
    ids[:, 0] = 30
    found = mask_tokens({"ids": ids}, Vocabulary(), 0.9, np.random.default_rng(0))
    drawn = found["ids"][(found["ids"] != 59) & (found["ids"] != 7)]
    counts = torch.bincount(drawn[drawn != 30], minlength=60)
    assert (found["ids"][:, 0] == 30).all() and (found["labels"][:, 0] == -100).all()
    assert set(np.flatnonzero(counts)) == set(range(60)) - {0, 1, 30, 59, 7, *range(40, 50)}
