"""The encoder that comes with the package has learned what the world's questions need.

Both numbers told, in encoders that were pretrained for comparison, whether training on questions
would help at all: where synonyms did not lie side by side, or the loss stayed high, it did not.
"""

import numpy as np
import pytest
import torch
from torch.nn.functional import normalize

from xtsupport import folders
from xtsupport.data.world import languages as invented
from xtsupport.study.runs import read_record
from xtsupport.training.probe import load_masked

LEAST = 0.9  # share of the words
SHIPPED = folders.shipped() / "pretraining" / "seed0"


@pytest.fixture(scope="module")
def encoder():
    return load_masked(SHIPPED / "model")


@torch.no_grad()
def vectors(encoder, words):
    """Input embeddings of words (the mean of their pieces), centred and of length one."""
    model, tokenizer = encoder
    table = model.get_input_embeddings().weight
    pieces = [tokenizer(word, add_special_tokens=False)["input_ids"] for word in words]
    means = torch.stack([table[torch.tensor(each)].mean(0) for each in pieces])
    return normalize(means - means.mean(0), dim=1)


def test_the_nearest_english_word_of_every_verb_is_its_synonym(encoder):
    words = invented.CONTENT_WORDS
    vector = vectors(encoder, words)
    likeness = (vector @ vector.T).fill_diagonal_(-1)
    nearest = {word: words[row.argmax()] for word, row in zip(words, likeness, strict=True)}
    assert {verb: nearest[verb] for verb in invented.VERBS} == invented.SYNONYM


def test_the_loss_fell_as_far_as_it_must():
    assert read_record(SHIPPED)["final_loss"] < 1.0


def as_said(language, lemma):
    """A word as it stands in texts: with its case suffix, where the language has cases."""
    slots = {"object": invented.OBJECTS, "place": invented.PLACES, "day": invented.DAYS}
    suffixes = language.suffixes if language.family.case else {}
    return language.words[lemma] + "".join(
        end for slot, end in suffixes.items() if lemma in slots[slot]
    )


@pytest.mark.parametrize("family", list(invented.FAMILIES))
def test_words_lie_next_to_their_english_translation_or_its_synonym(encoder, family):
    """Of the words that are not English anyway; guessing would find 2 to 4 of 100."""
    languages, english = invented.make_languages(0), vectors(encoder, invented.CONTENT_WORDS)
    for code, (_, name) in invented.LANGUAGES.items():
        if name == family and code != "en":
            language = languages[code]
            own = [w for w in invented.CONTENT_WORDS if language.words[w] != w]
            said = vectors(encoder, [as_said(language, w) for w in own])
            found = [invented.CONTENT_WORDS[i] for i in (said @ english.T).argmax(1).tolist()]
            right = [a in (b, invented.SYNONYM.get(b)) for a, b in zip(found, own, strict=True)]
            assert np.mean(right) > LEAST, (code, np.mean(right))
