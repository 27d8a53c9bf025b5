"""A training run that dies, for the tests of what comes after."""

import pytest

from xtsupport.training import loop


class Killed(Exception):
    """Stands for kill -9."""


def train_until_killed(
    monkeypatch, after: int, model, data, tokenizer, recipe, state, evaluate=None
) -> None:
    """Train with a checkpoint per step at `state`, and die once that of step `after` is written."""
    save = loop.save_checkpoint

    def save_and_die(*arguments):
        save(*arguments)
        if arguments[-1] == after:
            raise Killed

    with monkeypatch.context() as patched:
        patched.setattr(loop, "save_checkpoint", save_and_die)
        with pytest.raises(Killed):
            loop.train(
                model, data, tokenizer, recipe, state, 0.0, progress=False, evaluate=evaluate
            )
