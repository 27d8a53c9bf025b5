"""Where an encoder's files are, and whether they are complete; checked before anything is loaded.

An encoder is the packaged one, a folder, or a name on the hub, `owner/name` or
`owner/name@revision`. Only safetensors are read, and code in a repository is neither downloaded nor
run. The checks read the configuration and the header of the weights, which must agree with the size
of the file and with the model that the configuration describes.
"""

import hashlib
import json
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path
from typing import Any

from xtsupport import folders
from xtsupport.data import commits, download, remote
from xtsupport.errors import UserError
from xtsupport.files import write_text
from xtsupport.folders import user_cache

OFFLINE = "offline-e5"
WEIGHTS, INDEX = "model.safetensors", "model.safetensors.index.json"
SMALL = (".json", ".txt", ".model")  # configuration and vocabularies
ABSURD = 10**8  # no size in a configuration is as large
TRAINED_ELSEWHERE = ("pytorch_model.bin", "tf_model.h5", "flax_model.msgpack")


def located(name: str | Path) -> Path:
    """The folder of an encoder, fetched from the hub where need be. Raises UserError."""
    if str(name) == OFFLINE:
        from xtsupport.training.offline_encoder import offline_encoder_folder

        return offline_encoder_folder()
    folder = own_folder(name)
    if folder is not None:
        return folder
    repo, names = on_hub(str(name))
    for each in names:
        download.fetch(repo, each)
    return repo.cached("")


def own_folder(name: str | Path) -> Path | None:
    """The folder that a path names, from the project root; None for a name of the hub."""
    text = str(name)
    try:
        folder = folders.typed(text).resolve()
    except UserError as error:
        raise UserError(f"encoder = {error}") from error
    saved = (folder / "config.json").is_file()
    if not saved and text.startswith((".", "/", "~")):
        raise UserError(
            f"encoder = {text!r}: no model in {folder} (it has no config.json); "
            f"allowed: pretrain, {OFFLINE}, a hub id or the folder of a saved model"
        )
    return folder if saved else None


def on_hub(name: str) -> tuple[remote.Repo, list[str]]:
    """(repository at its commit, the files of it that are needed, weights last)."""
    identifier, _, revision = name.partition("@")
    repo = commits.resolve("models", identifier, revision)
    names = [each for each in remote.listing(repo) if "/" not in each]
    small = [each for each in names if each.endswith(SMALL) and not each.startswith(WEIGHTS)]
    return repo, [*small, *weight_files(name, names, lambda each: download.fetch(repo, each))]


def check(name: str | Path) -> dict:
    """Raise a UserError that names the file if an encoder cannot be what its files say it is.

    Of an encoder on the hub, some kilobytes are read; of ``pretrain`` and ``offline-e5`` nothing.
    Returns its config.json (empty of those two).
    """
    if str(name) in ("pretrain", OFFLINE):
        return {}
    folder = own_folder(name)
    if folder is not None:
        names = [path.name for path in folder.iterdir() if path.is_file()]
        weights = weight_files(name, names, folder.joinpath)
        if "tokenizer.json" in names:
            _json(name, "tokenizer.json", folder / "tokenizer.json")
        opened: Callable[[str], Any] = folder.joinpath
    else:
        repo, weights = on_hub(str(name))
        weights = [each for each in weights if each.endswith(".safetensors")]

        def opened(each: str) -> Any:
            return (remote.opened if each in weights else download.fetch)(repo, each)

    config = _json(name, "config.json", opened("config.json"))
    found: dict = {}
    for each in weights:
        if each != INDEX:
            found |= header(name, each, opened(each))
    agreed(name, config, found)
    return config


def agreed(name, config: dict, found: dict) -> None:
    """Compare both, once for the same files and transformers: that takes seconds of imports."""
    seen = json.dumps([version("transformers"), config, sorted(found.items())])
    note = user_cache() / "encoders" / hashlib.sha256(seen.encode()).hexdigest()
    if not note.is_file():
        sound_configuration(name, config)
        agree(name, config, found)
        write_text(note, f"{name}: config.json and weights agree\n")


def positions(name: str) -> int | None:
    """How many tokens an encoder takes; None of one on the hub, or where nothing says it."""
    if name == OFFLINE:
        return 512
    return longest(saved(name, "config.json"))


def saved(name: str, file: str) -> dict:
    """A JSON file of an encoder's folder; empty of one on the hub, or where it cannot be read."""
    try:
        folder = own_folder(name)
        return _json(name, file, folder / file) if folder else {}
    except UserError:
        return {}  # other checks say what is wrong


def longest(config: dict) -> int | None:
    """How many tokens an encoder of that config.json takes; None where it does not say."""
    most = config.get("max_position_embeddings")
    shift = 2 if "roberta" in str(config.get("model_type")) else 0  # it counts positions from 2
    return most - shift if isinstance(most, int) else None


def config_file(name: str | Path) -> Path:
    """config.json of an encoder, fetched from the hub where need be. Raises UserError."""
    folder, file = own_folder(name), "config.json"
    return folder / file if folder else download.fetch(on_hub(str(name))[0], file)


def weight_files(name, names: list[str], opened) -> list[str]:
    """The safetensors files of an encoder, with the index of several; UserError without any, and
    where there is no vocabulary among its files."""
    if INDEX in names:
        parts = sorted(set(_json(name, INDEX, opened(INDEX)).get("weight_map", {}).values()))
        absent = [part for part in parts if part not in names]
        if absent:
            raise UserError(f"encoder '{name}': {absent[0]} is missing, which {INDEX} names")
        found = [INDEX, *parts]
    elif WEIGHTS in names:
        found = [WEIGHTS]
    else:
        other = next((each for each in names if each in TRAINED_ELSEWHERE), "")
        than = f"; {other} is not read, because such files can run code" if other else ""
        raise UserError(
            f"encoder '{name}': has no {WEIGHTS}{than}; save it with transformers' save_pretrained"
        )
    if not any(each == "tokenizer.json" or each.startswith("vocab") or each.endswith(".model")
               for each in names):  # fmt: skip
        raise UserError(
            f"encoder '{name}': has no tokenizer (no tokenizer.json, vocab.* or *.model); save it "
            "beside the weights with the tokenizer's save_pretrained"
        )
    return found


def sound_configuration(name, config: dict) -> None:
    """UserError where config.json needs code of its own or has sizes that cannot be."""
    from transformers.models.auto.configuration_auto import CONFIG_MAPPING

    kind = config.get("model_type")
    if not isinstance(kind, str) or kind not in CONFIG_MAPPING:
        own = "transformers does not know it"
        if "auto_map" in config:
            own = "it needs custom code, which xtsupport never runs"
        raise UserError(f"encoder '{name}': config.json has model_type {kind!r}: {own}; choose an "
                        "encoder that transformers knows")  # fmt: skip
    for key, value in config.items():
        if isinstance(value, int) and abs(value) > ABSURD:
            raise UserError(f"encoder '{name}': config.json has {key} = {value}, out of range")


def header(name, file: str, source) -> dict[str, tuple[int, ...]]:
    """{tensor: shape} of a safetensors file (a path or stream); UserError if it is not whole."""
    size = source.stat().st_size if isinstance(source, Path) else source.size
    with source.open("rb") if isinstance(source, Path) else source as stream:
        start = stream.read(8)
        if start == b"version ":
            raise UserError(
                f"encoder '{name}': {file} is a Git LFS pointer, not the weights; fetch them "
                "with `git lfs pull`"
            )
        length = int.from_bytes(start, "little")
        text = stream.read(length) if size >= 8 and length <= min(size - 8, ABSURD) else b""
    try:
        found = json.loads(text)
        found.pop("__metadata__", None)
        end = 8 + length + max((each["data_offsets"][1] for each in found.values()), default=0)
        shapes = {key: tuple(each["shape"]) for key, each in found.items()}
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise UserError(f"encoder '{name}': {file} ({size:,} bytes) is not a safetensors file; "
                        "fetch it again") from error  # fmt: skip
    if end != size:
        raise UserError(f"encoder '{name}': {file} has {size:,} bytes and should have {end:,}; "
                        "fetch it again")  # fmt: skip
    return shapes


def agree(name, config: dict, found: dict[str, tuple[int, ...]]) -> None:
    """UserError if the weights are of another size than the model that config.json describes."""
    import torch
    from transformers import AutoConfig, AutoModel

    layers = config.get("num_hidden_layers", config.get("n_layers", 0))
    if not isinstance(layers, int) or layers > len(found):
        raise UserError(f"encoder '{name}': config.json has {layers} layers, but the weights have "
                        f"{len(found)} tensors")  # fmt: skip
    try:
        values = {key: value for key, value in config.items() if key not in ("auto_map", "dtype")}
        built = AutoConfig.for_model(values.pop("model_type"), **values)
        with torch.device("meta"):
            model = AutoModel.from_config(built, trust_remote_code=False)
    except Exception as error:  # whatever a configuration can make a model's code raise
        reason = f"{type(error).__name__}: {error}".split("\n")[0]
        raise UserError(
            f"encoder '{name}': config.json describes no model that can be built ({reason[:200]})"
        ) from error
    prefix = f"{model.base_model_prefix}."
    for key, tensor in model.state_dict().items():
        shape = found.get(key, found.get(prefix + key))
        if shape is not None and shape != tuple(tensor.shape):
            raise UserError(
                f"encoder '{name}': by config.json {key} is {list(tensor.shape)}, in the weights "
                f"{list(shape)}; the files are not from one encoder"
            )


def _json(name, file: str, path: Path) -> dict:
    try:
        text = path.read_text(encoding="utf-8")
        if text.startswith("version https://git-lfs"):
            raise ValueError("it is a Git LFS pointer; fetch it with `git lfs pull`")
        found = json.loads(text)
        if isinstance(found, dict):
            return found
        reason = "not a mapping"
    except (OSError, ValueError) as error:
        reason = str(error)
    raise UserError(f"encoder '{name}': {file} cannot be read ({reason})")
