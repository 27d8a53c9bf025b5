"""Which weights a run keeps: the last ones, or the best by a score on development rows."""

from collections.abc import Callable

import numpy as np
import pandas as pd
import torch


class Selection:
    """Scores of a training on development rows, and the best weights so far.

    evaluate: the score of the model as it is, larger is better; None: the last weights are kept.
    every: steps between two evaluations (the last step is always one). patience: evaluations
    without a better score that end the training; 0: none does.
    """

    def __init__(self, evaluate: Callable[[], float] | None, every: int, patience: int = 0):
        self.evaluate, self.every, self.patience = evaluate, every, patience
        self.scores: dict[int, float] = {}  # steps done -> score
        self.best: dict[str, torch.Tensor] = {}

    @property
    def best_step(self) -> int:
        """Steps done when the score was best, the first time; 0 before any evaluation."""
        return max(self.scores, key=self.scores.__getitem__, default=0)

    @property
    def finished(self) -> bool:
        """Whether so many evaluations in a row were not better that training ends."""
        later = sum(step > self.best_step for step in self.scores)
        return bool(self.patience) and later >= self.patience

    def look(self, model, weights: dict[str, torch.Tensor], done: int, last: bool) -> None:
        """After `done` steps: evaluate where it is due, and keep `weights`, every trained tensor
        (...) by name, where they are best."""
        if self.evaluate is None or (done % self.every and not last):
            return
        self.scores[done] = float(self.evaluate())
        model.train()
        if self.best_step == done:
            self.best = {name: value.detach().cpu().clone() for name, value in weights.items()}

    def restore(self, weights: dict[str, torch.Tensor]) -> None:
        """Put the best weights back into these tensors, each of its shape (parameter,)."""
        with torch.no_grad():
            for name, value in self.best.items():
                weights[name].copy_(value)

    def column(self, steps: int) -> np.ndarray:
        """The score after each step (steps,), NaN where none was taken."""
        return pd.Series(self.scores, dtype=float).reindex(range(1, steps + 1)).to_numpy()

    def __str__(self) -> str:
        """``dev 71.3 (best 72.0 at step 1000)``; empty before any evaluation."""
        if not self.scores:
            return ""
        last, best = self.scores[max(self.scores)], self.best_step
        return f"dev {last:.1f} (best {self.scores[best]:.1f} at step {best})"
