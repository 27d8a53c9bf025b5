"""Robust phase 3 after Huang et al. 2021 (EMNLP, arXiv 2104.08645): tolerate noisy embeddings.

The paper regards a word of another language as an English word whose embedding is slightly off: a
model trained to tolerate such noise should transfer better. It compares adversarial training with
two forms of randomised smoothing:

============ ======================================================================================
adversarial  the worst noise within a ball around each embedding: min over weights of max over
             noise of the loss (Madry et al. 2018, arXiv 1706.06083, equation 2.1), the maximum
             approached by projected gradient ascent (section 2.1 there)
smoothing    random noise, uniform in the same ball
synonyms     random replacement of words by similar ones (`with_synonyms`)
============ ======================================================================================

Deviations, and points that could not be checked (so the paper's own equations are not cited): The
ball's radius is a share of each token's embedding norm, where the paper tunes an absolute one.
Noise is added to the word-piece embeddings, before positions are. Predictions are made once,
without noise, instead of by a vote over noisy copies. The paper covers classification only. Its
authors' code (github.com/uclanlp/Robust-XLT) has the synonyms only: `perturb.py` draws each word
uniformly from itself and its neighbours in counter-fitted vectors, with 3 copies of each XNLI row
and 10 of each PAWS-X row, as `with_synonyms` does. Number and size of ascent steps were chosen
here. The paper's generalised setting (two languages in a pair) is the setting `evaluation.pairs`.
"""

import re
from contextlib import contextmanager

import numpy as np
import torch
from torch.nn.functional import normalize

from xtsupport.data.contamination import FIELDS
from xtsupport.training.embeddings import nearest_words

ASCENT = 0.5  # share of the radius that one ascent step goes
NEIGHBOURS, NEAR = 8, 0.5  # synonyms of a word at most, and their least cosine with it
# The texts of an example that may change; a span's context may not: the answer is in it.
TEXTS = FIELDS | {"span": ("question",)}


def robust_loss(model, inner, task: str, batch: dict, noise: str, radius: float, steps: int):
    """The loss of a batch with noise in its embeddings, a scalar.

    model: what is trained; inner: the same without wrappers for data parallelism, which the ascent
    uses. noise: ``adversarial`` or ``smoothing``. radius: share of each embedding's norm. steps:
    of ascent, each costs as much as an ordinary training step.
    """
    embed = inner.encoder.get_input_embeddings()
    with torch.no_grad():
        size = embed(batch["ids"]).norm(dim=-1, keepdim=True)
        limit = radius * size * batch["mask"][..., None]
        shift = in_ball(size.expand(*size.shape[:-1], embed.weight.shape[1]), limit)
    if noise == "adversarial":
        shift = worst(inner, embed, task, batch, shift, limit, steps)
    with shifted(embed, shift):
        return model(task, batch)


def in_ball(like: torch.Tensor, limit: torch.Tensor) -> torch.Tensor:
    """Noise uniform in a ball per token: (batch, length, width) within `limit` (batch, length, 1).

    A direction is uniform when its coordinates are normal; in `width` dimensions the distance to
    the centre is the width-th root of a uniform number.
    """
    direction = normalize(torch.randn_like(like), dim=-1)
    return direction * limit * torch.rand_like(limit) ** (1 / like.shape[-1])


def worst(inner, embed, task, batch, shift, limit, steps: int) -> torch.Tensor:
    """Projected gradient ascent on the loss from a random start (Madry et al. 2018, section 2.1,
    whose ball is a cube and whose steps are signs): after each step along the normalised gradient,
    noise beyond `limit` is put back on the ball. Noise is (batch, length, width)."""
    for _ in range(steps):
        shift.requires_grad_()
        with shifted(embed, shift):
            (slope,) = torch.autograd.grad(inner(task, batch), shift)
        with torch.no_grad():
            shift = shift + ASCENT * limit * normalize(slope, dim=-1)
            beyond = shift.norm(dim=-1, keepdim=True) / limit.clamp_min(1e-12)
            shift = shift / beyond.clamp_min(1.0)
    return shift.detach()


@contextmanager
def shifted(embed, shift: torch.Tensor):
    """While the block runs, `shift` (batch, length, width) is added to the embeddings."""
    handle = embed.register_forward_hook(lambda module, given, output: output + shift)
    try:
        yield
    finally:
        handle.remove()


def with_synonyms(examples: dict, kind: str, synonyms, count: int, seed: int) -> dict:
    """`count` copies of every example, in which each word of the `TEXTS` that has synonyms is
    replaced by itself or one of them, all equally likely; a capital stays one.

    examples: columns as `xtsupport.data.load` gives them. synonyms: word -> list of words.
    """
    rng = np.random.default_rng([seed, 5])

    def other(word: str) -> str:
        near = synonyms.get(word.lower(), ())
        chosen = ([word, *near])[rng.integers(len(near) + 1)] if near else word
        return chosen.title() if word[:1].isupper() and chosen != word else chosen

    def changed(text):
        if isinstance(text, list):
            return list(map(other, text))
        return re.sub(r"\w+", lambda match: other(match[0]), text)

    copied = {name: list(column) * count for name, column in examples.items()}
    return copied | {name: list(map(changed, copied[name])) for name in TEXTS[kind]}


def synonyms_of(encoder, tokenizer, examples: dict, kind: str) -> dict[str, list[str]]:
    """Synonyms where no list of them is given: the nearest words in the encoder's own embeddings.

    A word of the `TEXTS` that is one of the vocabulary gets those with a cosine of at least `NEAR`,
    `NEIGHBOURS` at most. Other than in counter-fitted vectors, neighbours may be in other
    languages, and opposites.
    """
    texts = (text for name in TEXTS[kind] for text in examples[name])
    split = (text if isinstance(text, list) else re.findall(r"\w+", text) for text in texts)
    words = sorted({word.lower() for each in split for word in each})
    found = {}
    for word, near in nearest_words(encoder, tokenizer, words, NEIGHBOURS).items():
        if alike := [each for each, cosine in near if cosine >= NEAR and each.lower() != word]:
            found[word] = alike
    return found
