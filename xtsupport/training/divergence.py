"""Losses and gradient norms during training, and the error when training diverges."""

import math

import torch

EVERY = 20  # steps of a GPU between two readings
REMEDY = "lower its learning_rate, or lengthen its warmup"


class Diverged(RuntimeError):
    """The loss or the gradient is no longer a number."""


class Readings:
    """What each step leaves, read from the device several steps at a time.

    Reading waits for the device. A GPU computes one step while the next ones are started, and would
    stand idle if each were waited for; on CPUs every step is read before its update is made.
    `losses` (steps,) is filled up to step `read`.
    """

    def __init__(self, recipe, losses, first: int, device: torch.device, tracker=None):
        self.recipe, self.losses, self.tracker = recipe, losses, tracker
        self.every = EVERY if device.type == "cuda" else 1
        self.read = first
        self.waiting: list[tuple[str, float, torch.Tensor, torch.Tensor]] = []

    def add(self, task: str, loss: torch.Tensor, norm: torch.Tensor, rate: float) -> None:
        """Loss and norm of a step, scalars on the device; reads where many wait, or where the
        model is about to be evaluated or done. Raises Diverged as `read_all` does."""
        self.waiting.append((task, rate, loss, norm))
        step, every = self.read + len(self.waiting), self.recipe.dev_every
        looked_at = step == self.recipe.steps or (every and step % every == 0)
        if looked_at or len(self.waiting) >= self.every:
            self.read_all()

    def read_all(self) -> None:
        """Fill in the losses of the steps that wait, and tell the tracker. Raises Diverged, naming
        the first step whose loss or gradient is not finite; what came after it is lost."""
        if not self.waiting:
            return
        values = torch.stack([torch.stack(each[2:]) for each in self.waiting]).tolist()
        for (task, rate, *_), (loss, norm) in zip(self.waiting, values, strict=True):
            self.losses[self.read] = loss
            self.read += 1
            for name, value in (("loss", loss), ("gradient", norm)):
                if not math.isfinite(value):
                    place = f"at step {self.read} of {self.recipe.steps}"
                    raise Diverged(f"the {name} of {task} is {value} {place}; {REMEDY}")
            if self.tracker:
                told = {f"loss/{task}": loss, "gradient": norm, "learning_rate": rate}
                self.tracker.log(told, step=self.read)
        self.waiting = []
