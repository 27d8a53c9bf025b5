"""Nearness of translations on planted vectors: who lies where is known."""

import numpy as np
import pandas as pd
import pytest

from xtsupport.data.world.generate import world_folder
from xtsupport.evaluation.nearness import on_a_map, parallel_sentences, translation_accuracy

WORDS = ["soup", "fish", "rice", "boat", "lamp"]


@pytest.fixture
def planted():
    """English, a language that is English moved by 100 in one direction, and one in disorder that
    spells its first two words as English does."""
    texts = pd.DataFrame(
        [("en", w, w) for w in WORDS]
        + [("qx", w, f"x{w}") for w in WORDS]
        + [("qy", w, w if i < 2 else f"y{w}") for i, w in enumerate(WORDS)],
        columns=["language", "meaning", "text"],
    )
    english = np.random.default_rng(0).normal(size=(5, 12))
    moved = english + 100 * np.eye(12)[0]
    disorder = english[[1, 0, 2, 4, 3]]  # of the three words of its own, one lies right
    both = np.concatenate([english, moved, disorder]).astype(np.float32)
    return texts, np.stack([both] * 2)


def test_the_share_of_nearest_translations(planted):
    found = translation_accuracy(*planted).pivot(index="language", columns="layer", values="score")
    assert found.columns.tolist() == [0, 1]
    assert found.loc["qx"].tolist() == [100, 100]
    assert found.loc["qy"].tolist() == pytest.approx([100 / 3] * 2)


def test_a_map_keeps_translations_together_once_means_are_off(planted):
    texts, vectors = planted
    far = on_a_map(texts, vectors[0]).set_index(["language", "meaning"])[["x", "y"]]
    assert np.linalg.norm(far.loc[("qx", "soup")] - far.loc[("en", "soup")]) > 90
    near = on_a_map(texts, vectors[0], centred=True).set_index(["language", "meaning"])[["x", "y"]]
    assert np.allclose(near.loc["qx"], near.loc["en"], atol=1e-4)


def test_parallel_sentences_have_their_number_as_meaning():
    found = parallel_sentences("tatoeba", ["qka", "qta"], str(world_folder(size="tiny")), 3)
    assert found.groupby("language")["meaning"].agg(list).to_dict() == {
        code: [1, 2, 3] for code in ("en", "qka", "qta")
    }
