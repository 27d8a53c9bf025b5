"""Packed rows against batches of similar length: are they exact, and are they faster?

python benchmarks/packing.py [--data FOLDER] [--encoder NAME] [--rounds N]

Packed means that the tokens of a batch stand in one row without padding, and attention stays within
each sequence: sequence by sequence with the attention that training uses on CPUs (for GPUs see
gpu.py). The same batches of similar length (training/batches.py) go both
ways, forwards and backwards, in turns; packed batches in random order follow, since packing would
make sorting by length unnecessary. FOLDER and NAME are those of benchmarks/training.py. Processor
seconds, one thread.
"""

import argparse

import numpy as np
import torch
from torch.nn.functional import scaled_dot_product_attention
from training import TASKS, device_name, features_of, model_of, timed
from transformers import AttentionInterface, AttentionMaskInterface

from xtsupport.training.attention import bmm_attention, use_fast_attention
from xtsupport.training.batches import collate, epoch_batches
from xtsupport.training.encoder import set_dropout
from xtsupport.training.heads import TaskModel

NAMES = {"float32": "packed", "bfloat16": "packed_bmm"}  # as training attends on CPUs
BATCHES = 10  # a round
FIRST = {"bert": 0, "roberta": 2, "xlm-roberta": 2}  # the position of a sequence's first token


class PackedModel(TaskModel):
    """A TaskModel whose encoder sees no padding."""

    def states(self, batch):
        real = batch["mask"].bool()
        positions = torch.arange(real.shape[1], device=real.device).expand_as(real)[real]
        states = self.encoder(
            input_ids=batch["ids"][real][None],
            position_ids=positions[None] + FIRST[self.encoder.config.model_type],
            sizes=batch["mask"].sum(1).tolist(),
        ).last_hidden_state[0]
        padded = states.new_zeros(*real.shape, states.shape[-1])
        padded[real] = states
        return padded


def packed_attention(module, query, key, value, attention_mask, scaling=None, *, sizes, **_):
    """Attention within each sequence: (1, heads, tokens, width) -> (1, tokens, heads, width)."""
    parts = zip(*(x.split(sizes, 2) for x in (query, key, value)), strict=True)
    if module.config._attn_implementation == NAMES["bfloat16"]:
        found = [bmm_attention(module, q, k, v, None, scaling)[0] for q, k, v in parts]
    else:
        attend = scaled_dot_product_attention
        found = [attend(q, k, v, scale=scaling).transpose(1, 2) for q, k, v in parts]
    return torch.cat(found, 1), None


def pack(encoder, precision: str) -> None:
    """Switch an encoder to packed attention."""
    for name in NAMES.values():
        AttentionInterface.register(name, packed_attention)
        AttentionMaskInterface.register(name, lambda *arguments, **named: None)
    encoder.set_attn_implementation(NAMES[precision])


def both_models(task, precision, device, options):
    """(padded, packed, tokenizer): the same encoder and head."""
    models = []
    for kind in (TaskModel, PackedModel):
        torch.manual_seed(0)
        found, tokenizer = model_of(options)
        set_dropout(found.encoder, 0.1, 0.0)
        model = kind(found.encoder, 0.1, "mean")
        model.add_head(task, TASKS[task][3], 3, seed=0)
        models.append(model.to(device))
    use_fast_attention(models[0].encoder, device, precision)
    pack(models[1].encoder, precision)
    return *models, tokenizer


def batch_of(features, indices, tokenizer, device):
    """Padded, on the device."""
    batch = collate(features, indices, tokenizer.pad_token_id)
    return {name: tensor.to(device) for name, tensor in batch.items()}


def step(model, task, precision, device, features, indices, tokenizer) -> None:
    """One batch, forwards and backwards."""
    batch = batch_of(features, indices, tokenizer, device)
    with torch.autocast(device.type, torch.bfloat16, enabled=precision == "bfloat16"):
        loss = model(task, batch)
    loss.backward()


@torch.inference_mode()
def largest_difference(padded, packed, task, batch) -> float:
    """Between the float32 logits of both ways, where there are tokens."""
    one, other = (model.eval().logits(task, batch) for model in (padded, packed))
    real = torch.isfinite(one)
    return float((one - other)[real].abs().max())


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--data", default="../shared/hub")
    parser.add_argument("--encoder", default="offline-e5", help="offline-e5, a folder, or random")
    parser.add_argument("--rounds", type=int, default=2)
    options = parser.parse_args()
    torch.set_num_threads(1)
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    print(f"{device_name()}, torch {torch.__version__}, 1 thread on CPUs")
    print(f"{'task':<7}{'precision':<11}{'logits differ':>14}{'packed':>8}{'and random':>12}")
    for task in TASKS:
        for precision in ("float32", "bfloat16"):
            compare(task, precision, device, options)


def compare(task, precision, device, options):
    """One line: the largest difference of logits, and how many times as fast packing is."""
    padded, packed, tokenizer = both_models(task, precision, device, options)
    _, size, _, _ = TASKS[task]
    features = features_of(task, "en", tokenizer, options, batches=50)
    similar = epoch_batches(features.lengths, size, np.random.default_rng(0))[:BATCHES]
    rows = np.random.default_rng(1).permutation(np.concatenate(similar))
    random = np.split(rows, np.cumsum([len(each) for each in similar])[:-1])
    differ = max(
        largest_difference(padded, packed, task, batch_of(features, each, tokenizer, device))
        for each in similar[:4]
    )
    ways = {"padded": (padded, similar), "packed": (packed, similar), "random": (packed, random)}
    spent = dict.fromkeys(ways, 0.0)
    for turn in range(options.rounds):
        for i in range(BATCHES):
            for name, (model, batches) in ways.items():
                batch = features, batches[i], tokenizer
                wall, processor, _ = timed(step, model.train(), task, precision, device, *batch)
                model.zero_grad()
                took = wall if torch.cuda.is_available() else processor
                spent[name] += took if (turn, i) > (0, 1) else 0.0  # the first ones warm up
    print(
        f"{task:<7}{precision:<11}{differ:>14.1e}{spent['padded'] / spent['packed']:>8.2f}"
        f"{spent['padded'] / spent['random']:>12.2f}",
        flush=True,
    )


if __name__ == "__main__":
    main()
