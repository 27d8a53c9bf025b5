"""Decoding, against brute force and by hand."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from xtsupport.evaluation.predict import best_spans, predict, predict_sets
from xtsupport.training.batches import collate
from xtsupport.training.features import featurise
from xtsupport.training.heads import TaskModel


@given(st.integers(0, 10**6), st.integers(2, 60))
@settings(max_examples=40)
def test_best_span_is_that_of_brute_force(seed, length):
    generator = torch.Generator().manual_seed(seed)
    logits = torch.randn(1, length, 2, generator=generator)
    inside = torch.rand(1, length, generator=generator) < 0.7
    inside[0, -1] = True
    start, end, score, null = best_spans(logits, inside, 7)[0].tolist()
    pairs = [
        (float(logits[0, i, 0] + logits[0, j, 1]), i, j)
        for i in range(length)
        for j in range(i, min(length, i + 7))
        if inside[0, i] and inside[0, j]
    ]
    assert np.isclose(score, max(pairs)[0]) and (start, end) in [
        (i, j) for s, i, j in pairs if np.isclose(s, score)
    ]
    assert np.isclose(null, float(logits[0, 0].sum()))


def test_predictions_come_back_in_the_order_of_the_examples(tiny_encoder):
    """A head that reads nothing but the bias, then batches of every size give the same answers."""
    encoder, tokenizer = tiny_encoder
    model = TaskModel(encoder)
    model.add_head("mnli", "classification", 2, seed=0)
    examples = {
        "text": ["Ada " * n for n in range(1, 20)],
        "text_pair": ["Ben"] * 19,
        "label": ["a"] * 19,
    }
    features = featurise(examples, "classification", tokenizer, 32, 0, ("a", "b"))
    one = predict(model, "mnli", features, examples, tokenizer.pad_token_id, batch_tokens=1)
    many = predict(model, "mnli", features, examples, tokenizer.pad_token_id, batch_tokens=10**6)
    assert one == many and len(one) == 19


def test_spans_over_windows_and_no_answer(tiny_encoder):
    encoder, tokenizer = tiny_encoder
    model = TaskModel(encoder)
    model.add_head("squad", "span", 2, seed=0)
    context = " ".join(["Ben sold 3 old chairs on Friday."] * 8)
    examples = {
        "question": ["Who?"],
        "context": [context],
        "answers": [{"text": ["Ben"], "answer_start": [0]}],
    }
    features = featurise(examples, "span", tokenizer, 24, 8)
    answer = predict(model, "squad", features, examples, tokenizer.pad_token_id)
    assert len(features) > 1 and answer[0] and answer[0] in context
    with torch.no_grad():
        model.heads["squad"].out.weight.zero_()
    assert predict(
        model, "squad", features, examples, tokenizer.pad_token_id, unanswerable=True
    ) == ["Ben"]


def test_tags_cover_every_word(tiny_encoder):
    encoder, tokenizer = tiny_encoder
    model = TaskModel(encoder)
    model.add_head("udpos", "tagging", 2, seed=0)
    examples = {"tokens": [["chairs"] * 40, ["Ada"]], "tags": [["X"] * 40, ["Y"]]}
    features = featurise(examples, "tagging", tokenizer, 16, 4, ("X", "Y"))
    tags = predict(model, "udpos", features, examples, tokenizer.pad_token_id)
    assert [len(row) for row in tags] == [40, 1] and set(tags[0]) <= {"X", "Y"}


CONTEXTS = ["Ada cooked soup. " * n + "Ben sold 3 old chairs on Friday." for n in range(1, 9)]
KINDS = {
    "span": lambda part: {
        "question": ["Who sold chairs?"] * len(part),
        "context": part,
        "answers": [{"text": ["Ben"], "answer_start": [each.index("Ben")]} for each in part],
    },
    "tagging": lambda part: {
        "tokens": [each.split() for each in part],
        "tags": [["X"] * len(each.split()) for each in part],
    },
    "classification": lambda part: {
        "text": part,
        "text_pair": ["Ben"] * len(part),
        "label": ["X"] * len(part),
    },
    "choice": lambda part: {
        "context": part,
        "question": [""] * len(part),
        "choices": [["soup", "Ada", "Ben sold chairs."][: 2 + n % 2] for n in range(len(part))],
        "label": [0] * len(part),
    },
}


@pytest.mark.parametrize("kind", KINDS)
def test_languages_in_common_batches_give_what_each_gives_alone(kind, tiny_encoder):
    encoder, tokenizer = tiny_encoder
    model = TaskModel(encoder)
    model.add_head("task", kind, 2, seed=0)
    generator = torch.Generator().manual_seed(0)
    torch.nn.init.normal_(model.heads["task"].out.weight, std=9.0, generator=generator)  # no ties
    parts = [KINDS[kind](part) for part in (CONTEXTS[:5], CONTEXTS[5:6], CONTEXTS[6:])]
    sets = [(featurise(part, kind, tokenizer, 24, 8, ("X", "Y")), part) for part in parts]
    pad = tokenizer.pad_token_id
    if kind == "classification":  # neither label for all
        batch = collate(sets[0][0], np.arange(5), pad)
        with torch.no_grad():
            logits = model.eval().logits("task", batch)
            model.heads["task"].out.bias -= logits.median(0).values
    alone = [predict(model, "task", *each, pad) for each in sets]
    assert predict_sets(model, "task", sets, pad, batch_tokens=100) == alone
    assert len({str(each) for part in alone for each in part}) > 1
    assert list(map(len, alone)) == [5, 1, 2]
