"""Windows that begin `step` tokens apart, and passes over windows."""

import math

import pytest

from xtsupport.training.features import featurise
from xtsupport.training.recipe import masked_steps, rows_drawn, steps_of

CONTEXT = " ".join(f"word{n} stands here." for n in range(40))


def documents(length: int, room: int, step: int) -> list[tuple[int, int]]:
    """(first, last + 1) token of each window over a text of `length` tokens: the loop over
    `doc_spans` of the first BERT (google-research/bert, run_squad.py), whose doc_stride XTREME's
    scripts and transformers' processor took over."""
    spans, start = [], 0
    while start < length:
        size = min(room, length - start)
        spans.append((start, start + size))
        if start + size == length:
            break
        start += min(size, step)
    return spans


@pytest.mark.parametrize("step", [5, 12, 100])
def test_windows_are_those_of_the_squad_processors(tiny_encoder, step):
    """Questions of different lengths: the windows of each begin `step` tokens apart."""
    _, tokenizer = tiny_encoder
    questions = ["Who cooked soup?", "Who?", "What did Ada cook in the kitchen on Friday?"]
    rows = {
        "question": questions,
        "context": [CONTEXT, CONTEXT, "Ada cooked."],
        "answers": [{"text": ["word7"], "answer_start": [CONTEXT.index("word7 ")]}] * 2
        + [{"text": ["Ada"], "answer_start": [0]}],
    }
    found = featurise(rows, "span", tokenizer, 40, 0, step=step)
    assert [row["example"] for row in found.rows] == sorted(row["example"] for row in found.rows)
    for n, question in enumerate(questions):
        asked = tokenizer(question, add_special_tokens=False)["input_ids"]
        text = tokenizer(rows["context"][n], add_special_tokens=False)["input_ids"]
        special = tokenizer.num_special_tokens_to_add(pair=True)
        spans = documents(len(text), 40 - len(asked) - special, step)
        windows = [row for row in found.rows if row["example"] == n]
        inside = [
            [i for i, o in zip(w["ids"], w["offsets"], strict=True) if o[0] >= 0] for w in windows
        ]
        assert inside == [text[first:last] for first, last in spans]
        assert len(windows) > 1 or n == 2


def test_tags_of_windows_with_a_step(tiny_encoder):
    """Every word is decided once, as with a stride."""
    _, tokenizer = tiny_encoder
    rows = {"tokens": [["Ada", "cooked", "soup"] * 20], "tags": [["N", "V", "N"] * 20]}
    found = featurise(rows, "tagging", tokenizer, 24, 0, ("N", "V"), step=9)
    assert len(found) > 3
    assert sorted(w for row in found.rows for w in row["words"] if w >= 0) == list(range(60))


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


def test_rows_that_are_drawn_by_hand():
    """16 rows in steps of 8; beside them the 3 steps of 4 rows of the phase 2 that is matched."""
    own = {"epochs": 1, "batch_size": 8, "rows": 16}
    matched = {"epochs": 1, "batch_size": 4, "tasks": {"squad": 12}}
    assert rows_drawn(own) == 16 and rows_drawn(own | {"matched": matched}) == 16 + 12
    assert rows_drawn({"steps": 5, "batch_size": 3}) == 15 and rows_drawn({"targets": {}}) == 0
