"""Windows that begin `step` tokens apart, and passes over windows."""

import math
from dataclasses import replace

import pytest
from study_toys import toy_root
from transformers import BertTokenizer

from xtsupport.study.phases.fitting import recipe_of
from xtsupport.study.plan import open_study
from xtsupport.training.features import featurise
from xtsupport.training.recipe import masked_steps, steps_of

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


# Words of the context, words of the question, max_seq_length, doc_stride -> tokens of each window,
# as squad_convert_example_to_features of transformers 4.57.3 makes them (5.0 has no such function)
PROCESSOR = [
    (61, 4, 64, 16, [64, 52]),
    (62, 1, 64, 16, [64, 50]),
    (100, 9, 64, 50, [64, 62]),
    (137, 1, 48, 7, [48, 48, 48, 48, 48, 48, 48, 48, 48, 48, 48, 48, 48, 48, 43]),
    (137, 4, 64, 16, [64, 64, 64, 64, 64, 64]),
    (250, 9, 64, 50, [64, 64, 64, 64, 62]),
]


@pytest.mark.parametrize(("context", "question", "most", "step", "sizes"), PROCESSOR)
def test_windows_are_those_of_transformers(context, question, most, step, sizes):
    """Every word is a token; each window begins `step` words after the one before."""
    vocabulary = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "who"]
    vocabulary += [f"w{n}" for n in range(context)]
    tokenizer = BertTokenizer(vocab={word: n for n, word in enumerate(vocabulary)})
    rows = {
        "question": [" ".join(["who"] * question)],
        "context": [" ".join(f"w{n}" for n in range(context))],
        "answers": [{"text": [], "answer_start": []}],
    }
    found = featurise(rows, "span", tokenizer, most, 0, step=step).rows
    assert [len(row["ids"]) for row in found] == sizes
    first = [row["ids"][question + 2] - vocabulary.index("w0") for row in found]
    assert first == [n * step for n in range(len(sizes))]


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
