"""The state of a training in a file, from which a run that was killed goes on."""

import json
from pathlib import Path

import numpy as np
import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file

from xtsupport.files import flush
from xtsupport.training.encoder import checksum
from xtsupport.training.selection import Selection


def save_checkpoint(
    path: Path, model, optimizer, losses: np.ndarray, selection: Selection, step: int
) -> None:
    """Weights, optimiser, random state, losses (steps,), the scores on development rows and the
    best weights in one safetensors file, at once or not."""
    tensors = {f"model.{name}": value for name, value in trained_weights(model).items()}
    tensors |= {f"best.{name}": value for name, value in selection.best.items()}
    for index, state in optimizer.state_dict()["state"].items():
        tensors |= {f"optimizer.{index}.{name}": value for name, value in state.items()}
    tensors |= {"random.cpu": torch.get_rng_state(), "losses": torch.from_numpy(losses)}
    tensors |= {f"random.cuda{i}": state for i, state in enumerate(torch.cuda.get_rng_state_all())}
    tensors = {n: t.detach().cpu().contiguous() for n, t in tensors.items()}
    about = {"step": str(step), "dev": json.dumps(list(selection.scores.items()))}
    half = path.with_name(path.name + ".part")  # one name: what a kill left is written over
    save_file(tensors, half, about | {"sha256": checksum(tensors)})
    flush(half)
    half.replace(path)


def trained_weights(model) -> dict[str, torch.Tensor]:
    """What training changes: every trained parameter and buffer once, tied ones by first name; each
    in its own shape (...)."""
    trained = {name: value for name, value in model.named_parameters() if value.requires_grad}
    return trained | dict(model.named_buffers())


def _read_checkpoint(path: Path) -> tuple[int, dict[int, float], dict[str, torch.Tensor]]:
    """Steps done, scores on development rows by step, and tensors; SafetensorError or ValueError
    for a damaged file."""
    with safe_open(path, "pt") as file:
        about = file.metadata()
        tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    if about.get("sha256") != checksum(tensors):
        raise ValueError("its checksum differs")
    return int(about["step"]), dict(json.loads(about["dev"])), tensors


def resume(path: Path, model, optimizer, losses: np.ndarray, selection: Selection) -> int:
    """Continue from a checkpoint if any: fill losses (steps,) and `selection`, return how many
    steps are done. A damaged one is named and removed, and training starts over."""
    if not path.exists():
        return 0
    try:
        step, selection.scores, tensors = _read_checkpoint(path)
    except (SafetensorError, ValueError, OSError) as error:
        print(f"{path} is damaged ({error}); training starts over")
        path.unlink()
        return 0
    with torch.no_grad():
        for name, weight in trained_weights(model).items():
            weight.copy_(tensors[f"model.{name}"])
    state = optimizer.state_dict()
    for name, value in tensors.items():
        if name.startswith("best."):
            selection.best[name.removeprefix("best.")] = value
        if name.startswith("optimizer."):
            _, index, part = name.split(".")
            state["state"].setdefault(int(index), {})[part] = value
    optimizer.load_state_dict(state)
    torch.set_rng_state(tensors["random.cpu"])
    devices = range(torch.cuda.device_count())
    torch.cuda.set_rng_state_all([tensors[f"random.cuda{i}"] for i in devices])
    losses[:] = tensors["losses"].numpy()
    return step
