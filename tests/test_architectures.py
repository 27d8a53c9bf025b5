"""Encoders of every architecture: random, tiny, saved to disk, loaded back, trained, evaluated."""

import inspect
import json
from itertools import pairwise

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch
from safetensors.torch import load_file, save_file
from tokenizers import (
    Tokenizer,
    decoders,
    models,
    normalizers,
    pre_tokenizers,
    processors,
    trainers,
)
from transformers import (
    AutoModel,
    AutoModelForMaskedLM,
    BertConfig,
    DebertaV2Config,
    ModernBertConfig,
    PreTrainedTokenizerFast,
    XLMRobertaConfig,
)

from xtsupport.data.fertility import fertility
from xtsupport.errors import UserError
from xtsupport.evaluation.predict import predict
from xtsupport.training.attention import NAME as BMM
from xtsupport.training.attention import use_fast_attention
from xtsupport.training.batches import collate
from xtsupport.training.encoder import (
    freeze_embeddings,
    load_encoder,
    load_masked_encoder,
    set_dropout,
)
from xtsupport.training.features import featurise
from xtsupport.training.heads import TaskModel
from xtsupport.training.loop import MLM, Recipe, train
from xtsupport.training.masked import MaskedHead

TEXTS = ["Ada cooked soup in the kitchen on Friday.", "Who cooked soup?", "Ben sold 3 old chairs."]
SHAPE = dict(
    hidden_size=16, num_hidden_layers=2, num_attention_heads=2, intermediate_size=32, vocab_size=0
)
CONFIGS = {
    "xlm-r": (XLMRobertaConfig, {"max_position_embeddings": 66, "pad_token_id": 1}, "unigram"),
    "bert": (BertConfig, {"max_position_embeddings": 64}, "wordpiece"),
    "minilm": (BertConfig, {"max_position_embeddings": 64}, "unigram"),  # BERT with XLM-R's pieces
    "deberta-v3": (
        DebertaV2Config,
        {
            "max_position_embeddings": 64,
            "relative_attention": True,
            "position_buckets": 8,
            "norm_rel_ebd": "layer_norm",
            "share_att_key": True,
            "pos_att_type": ["p2c", "c2p"],
            "position_biased_input": False,
            "type_vocab_size": 0,
        },
        "unigram",
    ),
    "modernbert": (
        ModernBertConfig,
        {"max_position_embeddings": 64, "local_attention": 8, "global_attn_every_n_layers": 2},
        "bpe",
    ),
    "mmbert": (ModernBertConfig, {"max_position_embeddings": 64, "local_attention": 8}, "gemma"),
}
SPECIAL = {
    "unigram": ("<s>", "<pad>", "</s>", "<unk>", "<mask>"),
    "wordpiece": ("[CLS]", "[PAD]", "[SEP]", "[UNK]", "[MASK]"),
    "bpe": ("[CLS]", "[PAD]", "[SEP]", "[UNK]", "[MASK]"),
    "gemma": ("<bos>", "<pad>", "<eos>", "<unk>", "<mask>"),
}


BLANK = "\N{LOWER ONE EIGHTH BLOCK}"


def tokenizer_of(kind, segments=False):
    """Sub-word tokenizers as SentencePiece (unigram), BERT (WordPiece) and, both without a blank
    before the first word, ModernBERT (byte BPE) and mmBERT (Gemma's) cut; segments: ids of the
    second text are 1."""
    special = SPECIAL[kind]
    first, last, unknown = special[0], special[2], special[3]
    if kind == "unigram":
        made = Tokenizer(models.Unigram())
        made.pre_tokenizer, made.decoder = pre_tokenizers.Metaspace(), decoders.Metaspace()
        trainer = trainers.UnigramTrainer(
            vocab_size=90, special_tokens=list(special), unk_token=unknown, show_progress=False
        )
    elif kind == "wordpiece":
        made = Tokenizer(models.WordPiece(unk_token=unknown))
        made.normalizer = normalizers.BertNormalizer(lowercase=False)
        made.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
        made.decoder = decoders.WordPiece()
        trainer = trainers.WordPieceTrainer(
            vocab_size=90, special_tokens=list(special), show_progress=False
        )
    elif kind == "gemma":
        made = Tokenizer(models.BPE(unk_token=unknown))
        made.normalizer = normalizers.Replace(" ", BLANK)
        made.pre_tokenizer = pre_tokenizers.Split(BLANK, "merged_with_next")
        made.decoder = decoders.Replace(BLANK, " ")
        trainer = trainers.BpeTrainer(
            vocab_size=90, special_tokens=list(special), show_progress=False
        )
    else:
        made = Tokenizer(models.BPE(unk_token=unknown))
        made.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
        made.decoder = decoders.ByteLevel()
        trainer = trainers.BpeTrainer(
            vocab_size=90, special_tokens=list(special), show_progress=False
        )
    made.train_from_iterator(TEXTS * 30, trainer)
    between = f"{last} {last}" if kind == "unigram" else last
    made.post_processor = processors.TemplateProcessing(
        single=f"{first} $A {last}",
        pair=f"{first} $A {between} $B:1 {last}:1"
        if segments
        else f"{first} $A {between} $B {last}",
        special_tokens=[(first, made.token_to_id(first)), (last, made.token_to_id(last))],
    )
    names = ("cls_token", "pad_token", "sep_token", "unk_token", "mask_token")
    inputs = ["input_ids", *(["token_type_ids"] if segments else []), "attention_mask"]
    return PreTrainedTokenizerFast(
        tokenizer_object=made, model_input_names=inputs, **dict(zip(names, special, strict=True))
    )


@pytest.fixture(scope="module", params=CONFIGS)
def folder(request, tmp_path_factory):
    """An encoder with its masked-LM head on disk, as the hub's checkpoints are."""
    kind, own, pieces = CONFIGS[request.param]
    tokenizer = tokenizer_of(pieces, segments=request.param in ("bert", "deberta-v3"))
    own = {"pad_token_id": tokenizer.pad_token_id} | own | SHAPE | {"vocab_size": len(tokenizer)}
    if kind is ModernBertConfig:
        ids = ("bos", "eos", "cls", "sep")
        own |= {f"{name}_token_id": tokenizer.cls_token_id for name in ids}
    torch.manual_seed(0)
    model = AutoModelForMaskedLM.from_config(kind(**own))
    place = tmp_path_factory.mktemp(request.param)
    model.save_pretrained(place)
    tokenizer.save_pretrained(place)
    return place


def examples():
    context = "Ada cooked soup in the kitchen on Friday. Ben sold 3 old chairs."
    spans = {
        "question": ["Who cooked soup?", "Who sold 3 old chairs?"] * 4,
        "context": [context] * 8,
        "answers": [{"text": ["Ada"], "answer_start": [0]}, {"text": ["Ben"], "answer_start": [42]}]
        * 4,
    }
    pairs = {
        "text": ["Ada cooked soup.", "Ben sold 3 old chairs."] * 4,
        "text_pair": ["Ada cooked.", "Ada sold."] * 4,
        "label": ["yes", "no"] * 4,
    }
    tags = {"tokens": [["Ada", "cooked", "soup"]] * 8, "tags": [["N", "V", "N"]] * 8}
    return {
        "span": (spans, ()),
        "classification": (pairs, ("yes", "no")),
        "tagging": (tags, ("N", "V")),
    }


def test_every_architecture_trains_and_predicts(folder):
    encoder, tokenizer = load_encoder(folder)
    set_dropout(encoder, 0.1)
    freeze_embeddings(encoder)
    model, data = TaskModel(encoder, 0.1), {}
    for kind, (columns, labels) in examples().items():
        data[kind] = featurise(columns, kind, tokenizer, 48, 8, labels)
        model.add_head(kind, kind, max(2, len(labels)), seed=0)
    before = {name: weight.clone() for name, weight in encoder.state_dict().items()}
    recipe = Recipe(steps=6, batch_size=4, learning_rate=1e-3)
    history = train(model, data, tokenizer, recipe, progress=False)
    assert history.loss.between(0, 10).all()
    for name, weight in encoder.named_parameters():
        changed = not torch.equal(weight, before[name])
        assert changed == (weight is not encoder.get_input_embeddings().weight), name
    for kind, (columns, _) in examples().items():
        found = predict(model, kind, data[kind], columns, tokenizer.pad_token_id)
        allowed = {"span": str, "classification": str, "tagging": list}[kind]
        assert len(found) == 8 and all(isinstance(each, allowed) for each in found)
    assert all(len(tags) == 3 for tags in found)


def test_the_fast_attention_gives_what_transformers_gives(folder):
    encoder, tokenizer = load_encoder(folder)
    tokens = tokenizer(TEXTS[:2], padding=True, return_tensors="pt")
    inputs = {name: tokens[name] for name in ("input_ids", "attention_mask")}
    with torch.no_grad():
        theirs = encoder.eval()(**inputs).last_hidden_state
        use_fast_attention(encoder, torch.device("cpu"), "bfloat16")
        ours = encoder(**inputs).last_hidden_state
    real = inputs["attention_mask"].bool()
    assert torch.allclose(ours[real], theirs[real], atol=1e-5)


@pytest.mark.parametrize("attention", ["sdpa", "eager", BMM])
def test_padding_changes_nothing(folder, attention):
    """One short sequence alone, and beside a long one: the same states to 1e-5."""
    encoder, tokenizer = load_encoder(folder)
    use_fast_attention(encoder, torch.device("cpu"), "bfloat16")
    if attention != BMM and "deberta" not in encoder.config.model_type:  # it has its own attention
        encoder.set_attn_implementation(attention)
        if encoder.config._attn_implementation != attention:
            pytest.skip("ModernBERT stays with sdpa in early releases of transformers 5")
    short, long = (tokenizer(text)["input_ids"] for text in ("Who cooked soup?", TEXTS[0]))
    encoder.eval()
    pad = len(long) - len(short)
    with torch.no_grad():
        alone = encoder(torch.tensor([short])).last_hidden_state[0]
        ids = torch.tensor([short + [tokenizer.pad_token_id] * pad, long])
        mask = torch.tensor([[1] * len(short) + [0] * pad, [1] * len(long)])
        beside = encoder(ids, attention_mask=mask).last_hidden_state[0, : len(short)]
    assert torch.allclose(alone, beside, atol=1e-5)


def test_the_loaded_encoder_gives_what_transformers_gives(folder):
    encoder, tokenizer = load_encoder(folder)
    ids = torch.tensor([tokenizer(TEXTS[0])["input_ids"]])
    with torch.no_grad():
        ours = encoder.eval()(ids).last_hidden_state
        theirs = AutoModel.from_pretrained(folder).eval()(ids).last_hidden_state
    assert torch.allclose(ours, theirs, atol=1e-6)


PAIRS = [("Who cooked soup?", TEXTS[0]), ("Who sold 3 old chairs?", "Ben sold 3 old chairs.")]


def states_of(examples, kind, encoder, tokenizer, max_length=64):
    """Hidden states of every sequence of a dataset, in one padded batch, with its mask."""
    features = featurise(examples, kind, tokenizer, max_length, 2, ("yes", "no"))
    batch = collate(features, np.arange(len(features)), tokenizer.pad_token_id)
    with torch.no_grad():
        return TaskModel(encoder.eval()).states(batch), batch["mask"].bool()


def test_pairs_and_single_texts_have_the_states_that_transformers_gives(folder):
    """Of every kind, segment ids included; windows of a long context too."""
    encoder, tokenizer = load_encoder(folder)
    theirs = AutoModel.from_pretrained(folder).eval()
    first, second = (list(texts) for texts in zip(*PAIRS, strict=True))
    labels = {"label": ["yes", "no"]}
    answers = {"answers": [{"text": ["Ada"], "answer_start": [0]},
                           {"text": ["Ben"], "answer_start": [0]}]}  # fmt: skip
    choices = {"context": first, "question": ["", ""], "choices": [[s, "Ada"] for s in second]}
    cut = dict(truncation="only_second", max_length=40, stride=2, return_overflowing_tokens=True)
    cases = [
        ("classification", {"text": first, "text_pair": second} | labels, (first, second), {}),
        ("classification", {"text": first, "text_pair": ["", ""]} | labels, (first,), {}),
        ("choice", choices | {"label": [0, 0]},
         ([f for f in first for _ in range(2)], [c for s in second for c in (s, "Ada")]), {}),
        ("span", {"question": first, "context": second} | answers, (first, second), cut),
        ("masked", {"text": first}, (first,), {}),
    ]  # fmt: skip
    for kind, examples, texts, options in cases:
        ours, real = states_of(examples, kind, encoder, tokenizer, options.get("max_length", 64))
        given = tokenizer(*texts, padding=True, return_tensors="pt", **options)
        given.pop("overflow_to_sample_mapping", None)
        forward = inspect.signature(theirs.forward).parameters
        given = {name: value for name, value in given.items() if name in forward}
        with torch.no_grad():
            expected = theirs(**given).last_hidden_state
        assert torch.equal(real, given["attention_mask"].bool())
        assert (ours[real] - expected[real]).abs().max() < 1e-5, kind
        if theirs.config.model_type == "bert" and kind == "span" and "token_type_ids" in given:
            with torch.no_grad():
                without = theirs(given["input_ids"], attention_mask=given["attention_mask"])
            assert (without.last_hidden_state[real] - expected[real]).abs().max() > 0.01


def test_tagged_words_are_the_pieces_of_the_running_sentence(folder):
    _, tokenizer = load_encoder(folder)
    sentences = [text.split() for text in (TEXTS[0], "Ben sold 3 old", "soup soup")]
    tags = [["N"] * len(words) for words in sentences]
    features = featurise({"tokens": sentences, "tags": tags}, "tagging", tokenizer, 48, 8, ("N",))
    for row, words in zip(features.rows, sentences, strict=True):
        whole = tokenizer(" ".join(words), return_offsets_mapping=True)
        assert row["ids"] == whole["input_ids"]
        ends = np.cumsum([len(word) + 1 for word in words]) - 1  # a blank is of the word after it
        found = [int(np.searchsorted(ends, offset[1])) if offset[1] else -1
                 for offset in whole["offset_mapping"]]  # fmt: skip
        starts = [word if word != before else -1 for before, word in pairwise([-1, *found])]
        assert row["words"] == starts


def test_fertility_counts_the_pieces_of_running_sentences(folder, tmp_path):
    _, tokenizer = load_encoder(folder)
    place = tmp_path / "google/xtreme/udpos.German"
    place.mkdir(parents=True)
    sentences = [TEXTS[0].split(), ["Ben", "sold", "soup"]]
    rows = {"tokens": sentences, "pos_tags": [["NOUN"] * len(words) for words in sentences]}
    pq.write_table(pa.table(rows), place / "test-00000-of-00001.parquet")
    (row,) = fertility(tokenizer, str(tmp_path), ["de"]).to_dict("records")
    pieces = sum(len(tokenizer.tokenize(" ".join(words))) for words in sentences)
    assert row["fertility"] == pieces / sum(map(len, sentences))


def test_the_masked_head_gives_what_transformers_gives(folder):
    encoder, layers, tokenizer = load_masked_encoder(folder)
    whole = AutoModelForMaskedLM.from_pretrained(folder).eval()
    model = TaskModel(encoder)
    model.add_masked_head(MLM, MaskedHead(layers))
    ids = torch.tensor([tokenizer(TEXTS[0])["input_ids"]])
    labels = torch.full_like(ids, -100)
    labels[0, 2:5] = ids[0, 2:5]
    mask = torch.ones_like(ids)
    with torch.no_grad():
        ours = model.eval()(MLM, {"ids": ids, "mask": mask, "labels": labels})
        theirs = whole(ids, attention_mask=mask, labels=labels).loss
    assert float(ours) == pytest.approx(float(theirs), rel=1e-5)
    features = featurise({"text": TEXTS * 4}, "masked", tokenizer, 48, 0)
    model.add_head("c", "classification", 2, seed=0)
    pairs, labels = examples()["classification"]
    data = {"c": featurise(pairs, "classification", tokenizer, 48, 0, labels), MLM: features}
    recipe = Recipe(steps=6, batch_size=4, learning_rate=1e-3, masked_steps=3, mask=0.5)
    history = train(model, data, tokenizer, recipe, progress=False)
    assert history.task.value_counts().to_dict() == {"c": 3, MLM: 3}


def test_pickled_weights_are_refused_in_one_line(folder, tmp_path):
    for path in folder.iterdir():
        if path.suffix != ".safetensors":
            (tmp_path / path.name).write_bytes(path.read_bytes())
    torch.save(load_file(folder / "model.safetensors"), tmp_path / "pytorch_model.bin")
    with pytest.raises(UserError, match="safetensors") as error:
        load_encoder(tmp_path)
    assert len(error.value.problems) == 1 and "\n" not in error.value.problems[0]


def test_code_of_a_checkpoint_is_never_run(folder, tmp_path):
    for path in folder.iterdir():
        (tmp_path / path.name).write_bytes(path.read_bytes())
    config = json.loads((tmp_path / "config.json").read_text())
    config |= {
        "model_type": "foreign",
        "auto_map": {"AutoModel": "own.Model", "AutoConfig": "own.C"},
    }
    (tmp_path / "config.json").write_text(json.dumps(config))
    (tmp_path / "own.py").write_text(f"open({str(tmp_path / 'ran')!r}, 'w')\nclass C: pass\n")
    with pytest.raises(UserError, match="custom code, which xtsupport never runs"):
        load_encoder(tmp_path)
    assert not (tmp_path / "ran").exists()


def test_a_checkpoint_without_its_masked_head_is_named(folder, tmp_path):
    encoder, tokenizer = load_encoder(folder)
    encoder.save_pretrained(tmp_path)
    tokenizer.save_pretrained(tmp_path)
    load_encoder(tmp_path)
    with pytest.raises(UserError, match=r"weights lack .* \+mlm needs"):
        load_masked_encoder(tmp_path)


def test_a_checkpoint_that_lacks_a_layer_is_named(folder, tmp_path):
    for path in folder.iterdir():
        (tmp_path / path.name).write_bytes(path.read_bytes())
    weights = load_file(tmp_path / "model.safetensors")
    kept = {name: tensor for name, tensor in weights.items() if "layers.1." not in name}
    kept = {name: tensor for name, tensor in kept.items() if "layer.1." not in name}
    assert len(kept) < len(weights)
    save_file(kept, tmp_path / "model.safetensors", {"format": "pt"})
    with pytest.raises(UserError, match="its weights lack"):
        load_encoder(tmp_path)
