"""Seeds of a condition trained as one batched model: equal losses, and how much faster?

python benchmarks/seeds_as_one.py [--seeds N] [--steps N] [--batch-size N] [--rounds N]

A step of a small encoder is in part the overhead of starting its operations. Here the weights of N
seeds are stacked, every operation is done once for all of them, and each seed has its own rows,
head, gradient norm and optimiser state: in layers written by hand, and by torch.func.vmap over the
package's own model. Data and start are the shipped demo encoder's and squad's. The same steps are
done seed after seed as the study does them; the three take turns. Processor time, medians.
"""

import argparse
import time
from copy import deepcopy

import numpy as np
import torch
from torch.func import functional_call, stack_module_state, vmap
from torch.nn.functional import (
    cross_entropy,
    embedding,
    gelu,
    layer_norm,
    scaled_dot_product_attention,
)
from transformers import AttentionInterface

from xtsupport import folders
from xtsupport.data import load
from xtsupport.training.attention import NAME, bmm_attention, use_fast_attention
from xtsupport.training.batches import batch_stream, collate
from xtsupport.training.encoder import load_encoder
from xtsupport.training.features import featurise
from xtsupport.training.heads import TaskModel
from xtsupport.training.loop import Recipe, _weight_groups, rate

ENCODER = folders.shipped() / "pretraining" / "seed0" / "model"


class StackedSpans(torch.nn.Module):
    """XLM-R with a span head, the weights of all seeds stacked: (seeds, ...) each."""

    def __init__(self, models):
        super().__init__()
        self.config = models[0].encoder.config
        states = [dict(model.named_parameters()) for model in models]
        self.names = list(states[0])
        for name in self.names:
            weight = torch.stack([state[name].detach() for state in states])
            self.register_parameter(name.replace(".", "_"), torch.nn.Parameter(weight))

    def part(self, name):
        return getattr(self, name.replace(".", "_"))

    def linear(self, name, x):
        """(seeds, rows, in) -> (seeds, rows, out)."""
        return torch.baddbmm(
            self.part(f"{name}.bias")[:, None], x, self.part(f"{name}.weight").transpose(1, 2)
        )

    def looked_up(self, name, ids):
        """Rows of every seed's table: (seeds, batch, length) -> (seeds, batch, length, width)."""
        table = self.part(name)
        first = torch.arange(len(ids))[:, None, None] * table.shape[1]
        return embedding(ids + first, table.flatten(0, 1))

    def norm(self, name, x):
        """Layer norm over the last dimension, (seeds, rows, width)."""
        plain = layer_norm(x, x.shape[-1:], eps=self.config.layer_norm_eps)
        weight, bias = self.part(f"{name}.weight"), self.part(f"{name}.bias")
        return torch.addcmul(bias[:, None], plain, weight[:, None])

    def embedded(self, ids, mask):
        """ids, mask (seeds, batch, length) -> (seeds, batch * length, width)."""
        positions = (mask.cumsum(-1) * mask + self.config.pad_token_id).long()
        e = "encoder.embeddings."
        x = self.looked_up(e + "word_embeddings.weight", ids)
        x = x + self.looked_up(e + "position_embeddings.weight", positions)
        x = x + self.part(e + "token_type_embeddings.weight")[:, :1, None]
        return self.norm(e + "LayerNorm", x.flatten(1, 2))

    def layer(self, number, x, shape, mask):
        """One transformer layer, (seeds, batch * length, width) -> the same."""
        at, heads = f"encoder.encoder.layer.{number}.", self.config.num_attention_heads
        seeds, batch, length = shape
        split = lambda y: y.view(seeds * batch, length, heads, -1).transpose(1, 2)  # noqa: E731
        q, k, v = (
            split(self.linear(f"{at}attention.self.{n}", x)) for n in ("query", "key", "value")
        )
        y = scaled_dot_product_attention(q, k, v, attn_mask=mask)
        y = self.linear(f"{at}attention.output.dense", y.transpose(1, 2).reshape(x.shape))
        x = self.norm(f"{at}attention.output.LayerNorm", x + y)
        y = self.linear(f"{at}output.dense", gelu(self.linear(f"{at}intermediate.dense", x)))
        return self.norm(f"{at}output.LayerNorm", x + y)

    def forward(self, ids, mask, labels):
        """The loss of every seed, (seeds,); ids and mask (seeds, batch, length)."""
        x, seen = self.embedded(ids, mask), mask.flatten(0, 1)[:, None, None].bool()
        for number in range(self.config.num_hidden_layers):
            x = self.layer(number, x, ids.shape, seen)
        logits = self.linear("heads.squad.out", x).view(*ids.shape, 2)
        logits = logits.masked_fill(mask[..., None] == 0, -torch.inf).transpose(2, 3)
        losses = cross_entropy(logits.flatten(0, 2), labels.flatten(), reduction="none")
        return losses.view(len(ids), -1).mean(1)


def stacked_batch(features, streams, pad):
    """The next batch of every seed, padded to one length: ids, mask (seeds, batch, length)."""
    batches = [collate(features, next(stream), pad) for stream in streams]
    length = max(batch["ids"].shape[1] for batch in batches)
    fill = lambda x, value: torch.nn.functional.pad(x, (0, length - x.shape[1]), value=value)  # noqa: E731
    ids = torch.stack([fill(batch["ids"], pad) for batch in batches])
    mask = torch.stack([fill(batch["mask"], 0) for batch in batches])
    return ids, mask, torch.stack([batch["labels"] for batch in batches])


def clip_each(parameters, most):
    """Every seed's gradient to a norm of at most `most`, as if it were alone."""
    squares = sum((p.grad**2).flatten(1).sum(1) for p in parameters)
    factor = (most / (squares.sqrt() + 1e-6)).clamp(max=1)
    for p in parameters:
        p.grad.mul_(factor.view(-1, *[1] * (p.ndim - 1)))


class Vmapped(torch.nn.Module):
    """The package's own model once for all seeds, by vmap; attention as two batched products."""

    def __init__(self, models):
        super().__init__()
        weights, self.still = stack_module_state(models)
        self.names = list(weights)
        self.each = torch.nn.ParameterList(weight.detach() for weight in weights.values())
        self.one = [deepcopy(models[0]).to("meta")]  # in a list: no part of this module
        AttentionInterface.register(NAME, bmm_attention)
        self.one[0].encoder.set_attn_implementation(NAME)

    def forward(self, ids, mask, labels):
        """The loss of every seed, (seeds,); ids and mask (seeds, batch, length)."""
        weights = dict(zip(self.names, self.each, strict=True))
        return vmap(self.loss)(weights, self.still, ids, mask, labels)

    def loss(self, weights, still, ids, mask, labels):
        """The loss of one seed; its masks are made here, as the encoder's ask what they hold."""
        model, away = self.one[0], -1e9 * (1.0 - mask.float())[:, None, None]
        inner = {"input_ids": ids, "attention_mask": away.expand(-1, 1, ids.shape[1], -1)}
        encoder = weights | still
        own = {n.removeprefix("encoder."): w for n, w in encoder.items() if "heads." not in n}
        states = functional_call(model.encoder, own, (), inner).last_hidden_state
        head = {n.removeprefix("heads.squad."): w for n, w in weights.items() if "heads." in n}
        logits = functional_call(model.heads["squad"], head, (states, mask))
        logits = logits.masked_fill(mask[..., None] == 0, -torch.inf).transpose(1, 2)
        return cross_entropy(logits.flatten(0, 1), labels.flatten())


def as_one(form, models, features, pad, recipe, batch_size):
    """Losses (steps, seeds) and processor seconds of all seeds together."""
    model = form(models)
    decayed = [p for p in model.parameters() if p.ndim > 2]
    rest = [p for p in model.parameters() if p.ndim <= 2]
    groups = [{"params": decayed, "weight_decay": recipe.weight_decay},
              {"params": rest, "weight_decay": 0.0}]  # fmt: skip
    optimizer = torch.optim.AdamW(groups, betas=(0.9, 0.98), fused=True)
    streams = [batch_stream(features, batch_size, s, "squad") for s in range(len(models))]
    losses, begun = [], time.process_time()
    for step in range(recipe.steps):
        loss = model(*stacked_batch(features, streams, pad))
        loss.sum().backward()
        clip_each([*decayed, *rest], recipe.clip)
        losses.append(loss.detach().numpy())
        advance(optimizer, step, recipe)
    return np.array(losses), time.process_time() - begun


def one_by_one(models, features, pad, recipe, batch_size):
    """The same, seed after seed."""
    losses, begun = np.zeros((recipe.steps, len(models))), time.process_time()
    for seed, model in enumerate(models):
        optimizer = torch.optim.AdamW(
            _weight_groups(model, recipe.weight_decay), betas=(0.9, 0.98), fused=True
        )
        stream = batch_stream(features, batch_size, seed, "squad")
        for step in range(recipe.steps):
            loss = model("squad", collate(features, next(stream), pad))
            loss.backward()
            torch.nn.utils.clip_grad_norm_(model.parameters(), recipe.clip)
            losses[step, seed] = loss.item()
            advance(optimizer, step, recipe)
    return losses, time.process_time() - begun


def advance(optimizer, step, recipe):
    """One optimiser step at the rate of the schedule."""
    for group in optimizer.param_groups:
        group["lr"] = rate(step, recipe)
    optimizer.step()
    optimizer.zero_grad()


def models_of(seeds):
    """The shipped encoder with a span head, once for every seed."""
    made = []
    for seed in range(seeds):
        encoder, tokenizer = load_encoder(ENCODER)
        use_fast_attention(encoder, torch.device("cpu"), "float32")
        made.append(TaskModel(encoder))
        made[-1].add_head("squad", "span", 2, seed)
    return made, tokenizer


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seeds", type=int, nargs="+", default=[1, 3, 8])
    parser.add_argument("--steps", type=int, default=50)
    parser.add_argument("--batch-size", type=int, default=16)
    parser.add_argument("--rounds", type=int, default=5)
    args = parser.parse_args()
    torch.set_num_threads(1)
    _, tokenizer = models_of(1)
    features = featurise(load("squad", "en", "train", "world"), "span", tokenizer, 128, 32)
    recipe = Recipe(args.steps, args.batch_size, 1e-3)
    rest = (features, tokenizer.pad_token_id, recipe, args.batch_size)
    print(
        "seeds  ms a seed-step: one by one  by hand   vmap  times (least, most)  largest difference"
    )
    for seeds in args.seeds:
        rounds = []
        for _ in range(args.rounds):
            alone, slow = one_by_one(models_of(seeds)[0], *rest)
            made = [as_one(form, models_of(seeds)[0], *rest) for form in (StackedSpans, Vmapped)]
            rounds.append([slow, *(seconds for _, seconds in made)])
            apart = max(np.abs(alone - losses).max() for losses, _ in made)
        times = np.array(rounds) * 1000 / (seeds * args.steps)
        ratios = times[:, :1] / times[:, 1:]
        print(f"{seeds:5}", *(f"{each:20.1f}"[-8:] for each in np.median(times, 0)),
              *(f"{m:.2f} ({a:.2f}-{b:.2f})" for m, a, b in
                zip(np.median(ratios, 0), ratios.min(0), ratios.max(0), strict=True)),
              f"{apart:.0e}", flush=True)  # fmt: skip


if __name__ == "__main__":
    main()
