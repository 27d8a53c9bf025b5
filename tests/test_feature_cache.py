"""Features from the cache equal freshly made ones; whatever they depend on gives another file."""

import datasets
import numpy as np
import pytest

from xtsupport.training import feature_cache
from xtsupport.training.feature_cache import encoded, key
from xtsupport.training.features import Features, featurise
from xtsupport.training.masked import train_tokenizer

CONTEXT = "Ada cooked soup in the kitchen. " * 6 + "Ben sold 3 old chairs on Friday."
ANSWERS = {"text": ["Ben"], "answer_start": [CONTEXT.index("Ben")]}
NONE = {"text": [], "answer_start": []}
EXAMPLES = {
    "span": {"question": ["Who sold chairs?"] * 2, "context": [CONTEXT, "Ada"],
             "answers": [ANSWERS, NONE]},
    "classification": {"text": ["Ada " * 40, "Ben"], "text_pair": ["Ben", "old"],
                       "label": ["no", "yes"]},
    "choice": {"context": ["Ada", ""], "question": ["Who", "Ben"],
               "choices": [["soup", "3"], ["sold", "old", "the"]], "label": [1, 0]},
    "tagging": {"tokens": [["Ada", "cooked", "\u200b"] * 9, ["soup"]],
                "tags": [["yes", "no", "yes"] * 9, ["no"]]},
    "masked": {"text": ["Ada cooked soup.", "Ben " * 50]},
}  # fmt: skip
CUT, LABELS = {"max_length": 24, "stride": 8}, ("yes", "no")
SETTINGS = (24, 8, LABELS)


@pytest.fixture(autouse=True)
def place(tmp_path, monkeypatch):
    monkeypatch.setenv("XTSUPPORT_CACHE", str(tmp_path))
    return tmp_path / "features"


def rows(kind="span", **changes):
    return datasets.Dataset.from_dict(EXAMPLES[kind] | changes)


def same(one: Features, other: Features) -> bool:
    """Equal to the last bit and type."""
    facts = [(f.kind, f.examples, f.labels, f.unanswerable, f.truncated) for f in (one, other)]
    assert facts[0] == facts[1]
    assert one.lengths.dtype == other.lengths.dtype and (one.lengths == other.lengths).all()
    for first, second in zip(one.rows, other.rows, strict=True):
        assert list(first) == list(second)
        for name, value in first.items():
            assert type(value) is type(second[name]), name
            if isinstance(value, np.ndarray):
                assert value.dtype == second[name].dtype and np.array_equal(value, second[name])
            else:
                assert value == second[name], name
    return True


@pytest.mark.parametrize("kind", EXAMPLES)
def test_the_second_time_equals_the_first_and_no_cache(kind, tiny_encoder, place, monkeypatch):
    tokenizer, examples = tiny_encoder[1], rows(kind)
    expected = featurise(examples[:], kind, tokenizer, *SETTINGS)
    assert same(encoded(examples, kind, tokenizer, CUT, LABELS), expected)
    monkeypatch.setattr(feature_cache, "featurise", None)  # may not be called again
    assert same(encoded(rows(kind), kind, tokenizer, CUT, LABELS), expected)
    assert len(list(place.iterdir())) == 1


def test_everything_that_features_depend_on_changes_the_name(tiny_encoder, monkeypatch):
    tokenizer = tiny_encoder[1]
    names = [key(rows(), tokenizer, ("span", *SETTINGS))]
    one_letter = ["Who sold chairs?", "Who sold chair?"]
    names.append(key(rows(question=one_letter), tokenizer, ("span", *SETTINGS)))
    names.append(key(rows(answers=[NONE, NONE]), tokenizer, ("span", *SETTINGS)))
    names.append(key(rows().select([1, 0]), tokenizer, ("span", *SETTINGS)))
    names.append(key(rows().select([0]), tokenizer, ("span", *SETTINGS)))
    changed = ((25, 8, ("yes", "no")), (24, 7, ("yes", "no")), (24, 8, ("no", "yes")))
    names += [key(rows(), tokenizer, ("span", *each)) for each in changed]
    names.append(key(rows(), tokenizer, ("masked", *SETTINGS)))
    other = train_tokenizer(["Ben sold 3 old chairs."] * 30, 119)
    names.append(key(rows(), other, ("span", *SETTINGS)))
    other.add_tokens(["chairs"])
    names.append(key(rows(), other, ("span", *SETTINGS)))
    monkeypatch.setattr(feature_cache, "code_mark", lambda: ["newer code"])
    names.append(key(rows(), tokenizer, ("span", *SETTINGS)))
    assert len(set(names)) == len(names)


def test_the_name_is_the_same_for_the_same_rows_however_they_are_held(tiny_encoder):
    tokenizer = tiny_encoder[1]
    name = key(rows(), tokenizer, ("span", *SETTINGS))
    encoded(
        rows(), "span", tokenizer, {"max_length": 16, "stride": 4}
    )  # leaves truncation in the tokenizer
    shuffled = rows().select([1, 0]).select([1, 0])
    joined = datasets.concatenate_datasets([rows().select([0]), rows().select([1])])
    assert {key(each, tokenizer, ("span", *SETTINGS)) for each in (shuffled, joined)} == {name}


@pytest.mark.parametrize("keep", [0, 20, -30])
def test_a_damaged_file_is_made_again(keep, tiny_encoder, place):
    tokenizer = tiny_encoder[1]
    first = encoded(rows(), "span", tokenizer, CUT, LABELS)
    (path,) = place.iterdir()
    whole = path.read_bytes()
    path.write_bytes(whole[:keep])
    assert same(encoded(rows(), "span", tokenizer, CUT, LABELS), first)
    assert path.read_bytes() == whole


def test_no_single_wrong_byte_is_read_as_features(tiny_encoder, place):
    first = encoded(rows(), "span", tiny_encoder[1], CUT, LABELS)
    (path,) = place.iterdir()
    whole = path.read_bytes()
    for position in range(0, len(whole), 7):
        path.write_bytes(whole[:position] + bytes([whole[position] ^ 1]) + whole[position + 1 :])
        assert feature_cache.read(path) is None
    path.write_bytes(whole)
    assert same(feature_cache.read(path), first)


def test_the_folder_is_bounded(tiny_encoder, place, monkeypatch):
    tokenizer = tiny_encoder[1]
    encoded(rows("choice"), "choice", tokenizer, CUT, LABELS)
    (old,) = place.iterdir()
    monkeypatch.setattr(feature_cache, "LIMIT", old.stat().st_size + 1)
    encoded(rows("masked"), "masked", tokenizer, CUT, LABELS)
    (left,) = place.iterdir()
    assert left != old


def test_a_folder_that_cannot_be_written_costs_time_only(tiny_encoder, place):
    place.write_text("in the way")
    features = encoded(rows(), "span", tiny_encoder[1], CUT, LABELS)
    assert same(features, featurise(rows()[:], "span", tiny_encoder[1], *SETTINGS))
