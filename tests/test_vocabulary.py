"""Without the pieces that a study's texts never contain everything is the same, only smaller."""

import copy
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from tokenizers import Tokenizer, models, pre_tokenizers, trainers
from training_toys import SPECIAL, like_xlmr
from transformers import AutoModel, AutoTokenizer

from xtsupport.data import load
from xtsupport.data.world.generate import world_folder
from xtsupport.errors import UserError
from xtsupport.evaluation.predict import predict
from xtsupport.study.cost import Estimate
from xtsupport.study.devices import DEVICES
from xtsupport.study.phases import train
from xtsupport.study.plan import open_study, study_of
from xtsupport.study.plan_lines import estimated
from xtsupport.study.runs import read_record
from xtsupport.training import encoder as encoders
from xtsupport.training import loop
from xtsupport.training.features import featurise
from xtsupport.training.heads import TaskModel
from xtsupport.training.masked import tiny_xlmr
from xtsupport.training.recipe import Recipe
from xtsupport.training.vocabulary import trimmed, used_in

# The unknown piece scores 10 less than the lowest one: q + uab would win if ~ left.
TOY = {"▁": -1, "▁qu": -20, "ab": -20, "uab": -1, "q~": -40, "▁no": -3, "no": -3, "u": -4}
TOY |= {"n": -5, "o": -5, "▁q~": -6}


def encoder_of(tokenizer):
    return tiny_xlmr(len(tokenizer), 16, 1, 2, 16, 128, seed=0).base_model


@pytest.fixture
def toy():
    """(encoder, tokenizer) of a few pieces."""
    pieces = [*((name, 0.0) for name in SPECIAL), *((p, float(s)) for p, s in TOY.items())]
    tokenizer = like_xlmr(Tokenizer(models.Unigram(pieces, unk_id=3)))
    return encoder_of(tokenizer), tokenizer


@pytest.fixture(scope="module")
def world(tmp_path_factory):
    """A folder with a random encoder whose pieces are learned from the world and from English."""
    data = str(world_folder(size="tiny"))
    texts = [text for code in ("en", "qka") for text in load("xquad", code, None, data)["context"]]
    texts += [f"never said before: number {n} of the unrelated sentences" for n in range(300)]
    learner = trainers.UnigramTrainer(
        vocab_size=700, special_tokens=SPECIAL, unk_token="<unk>", show_progress=False
    )
    toy = Tokenizer(models.Unigram())
    toy.pre_tokenizer = pre_tokenizers.Metaspace()
    toy.train_from_iterator(texts, learner)
    tokenizer, folder = like_xlmr(toy), tmp_path_factory.mktemp("encoder")
    tokenizer.save_pretrained(folder)
    encoder_of(tokenizer).save_pretrained(folder)
    return folder


def test_texts_are_cut_as_before_and_keep_their_vectors(toy, tmp_path):
    encoder, tokenizer = toy
    text = "quab no"
    before = tokenizer(text)["input_ids"]
    assert tokenizer.convert_ids_to_tokens(before) == ["<s>", "▁qu", "ab", "▁no", "</s>"]
    used = used_in({"text": [text]}, "masked", tokenizer)
    smaller, states = copy.deepcopy(encoder), encoder(torch.tensor([before])).last_hidden_state
    found = trimmed(smaller, tokenizer, used)
    gone = set(tokenizer.get_vocab()) - set(found.get_vocab())
    assert gone == {"uab", "no", "▁q~"}  # `q~` is the lowest; single characters stay
    smaller.save_pretrained(tmp_path)
    found.save_pretrained(tmp_path)
    for model, cut in ((smaller, found), encoders.load_encoder(tmp_path)):
        after = cut(text, return_tensors="pt")["input_ids"]
        assert cut.convert_ids_to_tokens(after[0]) == tokenizer.convert_ids_to_tokens(before)
        assert torch.equal(model(after).last_hidden_state, states)
        assert cut.mask_token_id == len(cut) - 1 == model.config.vocab_size - 1


def test_real_texts_are_cut_as_before(world):
    """Of a learned vocabulary, in pairs and in words, with what only a cut question contains."""
    encoder, tokenizer = encoders.load_encoder(world)
    rows = load("squad", "en", "train", str(world_folder(size="tiny")))[:20]
    rows["question"] = [f"{each} " * 12 for each in rows["question"]]  # cut at 64 tokens
    smaller = trimmed(encoder, tokenizer, used_in(rows, "span", tokenizer))
    assert len(smaller) < len(tokenizer) - 50
    one, other = (featurise(rows, "span", each, 96, 8).rows for each in (tokenizer, smaller))
    for a, b in zip(one, other, strict=True):
        names = [t.convert_ids_to_tokens(x["ids"]) for t, x in ((tokenizer, a), (smaller, b))]
        assert names[0] == names[1]


@pytest.mark.parametrize("frozen", [False, True])
def test_losses_predictions_and_weights_are_those_of_the_whole_vocabulary(world, frozen):
    """With strong weight decay; what never occurs only decays, by what the rates say."""
    data = str(world_folder(size="tiny"))
    rows = load("squad", "en", "train", data)[:24]
    recipe = Recipe(steps=6, batch_size=4, learning_rate=3e-3, weight_decay=0.5, warmup=0.3)
    found = {}
    for trim in (False, True):
        encoder, tokenizer = encoders.load_encoder(world)
        whole, start = dict(tokenizer.get_vocab()), encoder.get_input_embeddings().weight.clone()
        if trim:
            tokenizer = trimmed(encoder, tokenizer, used_in(rows, "span", tokenizer))
        if frozen:
            encoders.freeze_embeddings(encoder)
        model = TaskModel(encoder, 0.1)
        model.add_head("squad", "span", 2, seed=0)
        features = featurise(rows, "span", tokenizer, 96, 8)
        history = loop.train(model, {"squad": features}, tokenizer, recipe, progress=False)
        said = predict(model, "squad", features, rows, tokenizer.pad_token_id)
        found[trim] = history.loss, said, encoder.get_input_embeddings().weight, tokenizer
    (loss, said, weight, _), (loss_2, said_2, weight_2, smaller) = found[False], found[True]
    assert np.allclose(loss, loss_2, rtol=1e-5, atol=0) and said == said_2
    kept = [whole[piece] for piece in smaller.convert_ids_to_tokens(list(range(len(smaller))))]
    assert torch.allclose(weight[kept], weight_2, atol=1e-6)
    gone = sorted(set(whole.values()) - set(kept))
    decay = 1.0 if frozen else np.prod([1 - 0.5 * loop.rate(n, recipe) for n in range(6)])
    assert len(gone) > 50 and torch.allclose(weight[gone], decay * start[gone], rtol=1e-5)
    assert frozen or not torch.allclose(weight[kept], decay * start[kept], rtol=1e-2)


def study(world: Path, trim: bool, **more):
    return open_study(Path(__file__).parents[1] / "params" / "tiny.yaml", {
        "encoder": str(world), "conditions": ["none", "squad"], "targets": ["xquad", "tatoeba"],
        "analysis": {}, "seeds": [0], "languages": ["en", "qka", "qta"],
        "intermediate.weight_decay": 0.1, "trim_vocabulary": trim, **more,
    })  # fmt: skip


def test_a_study_has_the_same_losses_and_answers(world, tmp_path, monkeypatch):
    """Through phase 2, phase 3 and retrieval; the encoder that is left is smaller and loads."""
    monkeypatch.setenv("XTSUPPORT_ROOT", str(tmp_path))
    made = []
    for trim in (False, True):
        opened = study(world, trim)
        (phase2,), phase3 = opened.runs("intermediate"), opened.runs("target", "squad")
        train.train_intermediate(phase2, progress=False)
        train.train_target(phase3[0], progress=False)
        train.retrieve(opened.runs("retrieval", "squad")[0])
        made.append([phase2, *phase3, *opened.runs("retrieval", "squad")])
    for one, other in zip(*made, strict=True):
        assert one.key != other.key and "texts" not in read_record(other.folder)["options"]
        for name in ("history.csv", "scores.csv"):
            if (one.folder / name).exists():
                frames = [pd.read_csv(run.folder / name) for run in (one, other)]
                pd.testing.assert_frame_equal(*frames, rtol=1e-4)
        if (one.folder / "examples.parquet").exists():
            said = [pd.read_parquet(run.folder / "examples.parquet") for run in (one, other)]
            assert said[0].prediction.nunique() > 5
            assert said[0].prediction.tolist() == said[1].prediction.tolist()
    sizes = []
    for runs in made:
        folder = runs[0].folder / "model"
        model, tokenizer = AutoModel.from_pretrained(folder), AutoTokenizer.from_pretrained(folder)
        assert model.get_input_embeddings().num_embeddings == len(tokenizer)
        sizes.append(len(tokenizer))
    assert sizes[1] < sizes[0] - 50


def test_keys_depend_on_the_texts_of_the_whole_study(world, tmp_path, monkeypatch):
    monkeypatch.setenv("XTSUPPORT_ROOT", str(tmp_path))
    whole, usual = study(world, True), study(world, False)
    part = study_of(whole.settings, whole.params, ["targets=xquad", "conditions=squad"])
    other = study(world, True, languages=["en", "qka"])  # phase 2 reads the same, the study less
    keys = [each.runs("intermediate")[0].recipe for each in (whole, usual, other, part)]
    assert len({*keys}) == 3 and keys[3] == keys[0]
    told = estimated(Estimate(whole.settings, []), DEVICES[0])
    assert told[-1].startswith("note: trim_vocabulary")


def test_what_cannot_be_trimmed_is_refused(world, tiny_encoder, tmp_path, monkeypatch):
    monkeypatch.setenv("XTSUPPORT_ROOT", str(tmp_path))
    encoder, tokenizer = tiny_encoder
    with pytest.raises(UserError, match=r"trim_vocabulary: .* of the kind BPE, not Unigram"):
        trimmed(encoder, tokenizer, [5])
    for part in (encoder, tokenizer):
        part.save_pretrained(tmp_path / "bpe")
    with pytest.raises(UserError, match=r"vocabulary is BPE, only Unigram .* set it to false"):
        study(world, True, encoder=str(tmp_path / "bpe"))  # before any run
    with pytest.raises(UserError, match=r"pretrain learns its pieces") as found:
        study(world, True, encoder="pretrain", conditions=["none", "squad", "squad+mlm"],
              variants=["none/synonyms"])  # fmt: skip
    assert len(found.value.problems) == 3
