"""One head per kind of task on a shared encoder. All languages of a task share its head."""

import inspect
from typing import Any

import torch
from torch import nn
from torch.nn.functional import cross_entropy

from xtsupport.training.features import IGNORED


class TextHead(nn.Module):
    """Classification and multiple choice: one vector per sequence -> `outputs` logits.

    ``first`` reads the first token as XLM-R and BERT do; ``mean`` averages the tokens, for encoders
    whose first token was never trained.
    """

    def __init__(self, hidden: int, outputs: int, dropout: float, pooling: str):
        super().__init__()
        self.pooling = pooling
        self.dropout = nn.Dropout(dropout)
        self.dense = nn.Linear(hidden, hidden)
        self.out = nn.Linear(hidden, outputs)

    def forward(self, states: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
        """states (batch, length, hidden), mask (batch, length) -> logits (batch, outputs)."""
        vector = states[:, 0] if self.pooling == "first" else mean_pool(states, mask)
        return self.out(self.dropout(torch.tanh(self.dense(self.dropout(vector)))))


class TokenHead(nn.Module):
    """Tagging and spans: one vector per token -> `outputs` logits per token."""

    def __init__(self, hidden: int, outputs: int, dropout: float):
        super().__init__()
        self.dropout = nn.Dropout(dropout)
        self.out = nn.Linear(hidden, outputs)

    def forward(self, states: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
        """states (batch, length, hidden) -> logits (batch, length, outputs)."""
        return self.out(self.dropout(states))


class TaskModel(nn.Module):
    """An encoder with one head per task."""

    def __init__(self, encoder: Any, dropout: float = 0.0, pooling: str = "first"):
        super().__init__()
        self.encoder = encoder  # a transformers model
        kinds = getattr(encoder.config, "type_vocab_size", None) or 0  # of segments, as BERT has
        takes = inspect.signature(encoder.forward).parameters
        self.segmented = kinds > 1 and "token_type_ids" in takes
        self.heads = nn.ModuleDict()
        self.kinds: dict[str, str] = {}
        self.dropout, self.pooling = dropout, pooling

    def add_head(self, task: str, kind: str, labels: int, seed: int) -> None:
        """A new head, initialised from the seed alone (normal, 0.02, zero bias, as BERT's)."""
        hidden = self.encoder.config.hidden_size
        if kind in ("classification", "choice"):
            outputs = labels if kind == "classification" else 1
            head: nn.Module = TextHead(hidden, outputs, self.dropout, self.pooling)
        else:
            head = TokenHead(hidden, 2 if kind == "span" else labels, self.dropout)
        generator = torch.Generator().manual_seed(seed)
        for layer in (m for m in head.modules() if isinstance(m, nn.Linear)):
            nn.init.normal_(layer.weight, std=0.02, generator=generator)
            nn.init.zeros_(layer.bias)
        self.heads[task], self.kinds[task] = head, kind

    def add_masked_head(self, task: str, head: nn.Module) -> None:
        """The encoder's own masked-LM head (masked.MaskedHead), to go on training it."""
        self.heads[task], self.kinds[task] = head, "masked"

    def logits(self, task: str, batch: dict) -> torch.Tensor:
        """Float32 logits: classification (batch, labels), choice (batch, most options) with -inf
        where an example has fewer, tagging (batch, length, labels), span (batch, length, 2) with
        -inf on padding."""
        logits = self.heads[task](self.states(batch), batch["mask"]).float()
        if self.kinds[task] == "choice":
            return by_example(logits[:, 0], batch["options"])
        if self.kinds[task] == "span":
            return logits.masked_fill(batch["mask"][..., None] == 0, -torch.inf)
        return logits

    def states(self, batch: dict) -> torch.Tensor:
        """What the encoder makes of every token, (batch, length, hidden)."""
        mask = None if "unpadded" in batch else batch["mask"]
        given = {"input_ids": batch["ids"], "attention_mask": mask}
        if self.segmented and "segments" in batch:
            given["token_type_ids"] = batch["segments"]
        return self.encoder(**given).last_hidden_state

    def forward(self, task: str, batch: dict) -> torch.Tensor:
        """The training loss, a scalar: `mean_loss`; for spans over starts and ends."""
        if self.kinds[task] == "masked":
            return self.heads[task](self.states(batch), batch["labels"], batch.get("places"))
        logits = self.logits(task, batch)
        if self.kinds[task] == "span":  # (batch, length, 2) -> one row per start and per end
            logits = logits.transpose(1, 2)
        return mean_loss(logits.flatten(0, -2), batch["labels"].flatten())


def mean_loss(logits: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
    """Mean cross-entropy over the labels (n,) that count, of logits (n, classes).

    0 where none counts; every weight still takes part, as data parallelism demands. Nothing is
    asked of the device, so that a GPU is not waited for.
    """
    total = cross_entropy(logits, labels, ignore_index=IGNORED, reduction="sum")
    return total / (labels != IGNORED).sum().clamp_min(1)


def by_example(logits: torch.Tensor, options: torch.Tensor) -> torch.Tensor:
    """One row per example: logits (all options,) and numbers of options (batch,) -> (batch, most
    options), -inf where an example has fewer."""
    options = options.cpu()
    there = (torch.arange(int(options.max())) < options[:, None]).to(logits.device)
    return logits.new_full(there.shape, -torch.inf).masked_scatter(there, logits)


def mean_pool(states: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
    """Mean over the tokens of each sequence: (batch, length, hidden) -> (batch, hidden)."""
    weights = mask[..., None].to(states.dtype)
    return (states * weights).sum(1) / weights.sum(1)
