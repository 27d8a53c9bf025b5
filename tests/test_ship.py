"""The encoder and checkpoints that come with the package: of the demo, small, and what they say."""

import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from safetensors.numpy import load_file

from xtsupport import folders
from xtsupport.study.phases import train
from xtsupport.study.plan import open_study
from xtsupport.study.runs import content, digest, find, flaws, read_record

sys.path.insert(0, str(Path(__file__).parents[1] / "benchmarks"))
from ship import copy, thin

DEMO = Path(__file__).parents[1] / "params" / "demo.yaml"


@pytest.fixture(scope="module")
def alone(tmp_path_factory):
    """The demo as somebody sees it who has run nothing."""
    patch = pytest.MonkeyPatch()
    patch.setenv("XTSUPPORT_ROOT", str(tmp_path_factory.mktemp("root")))
    yield open_study(DEMO)
    patch.undo()


def test_every_phase_2_of_the_demo_is_there_for_the_first_seed(alone):
    wanted = alone.runs("pretraining") + alone.runs("intermediate", seeds=[0], into="scratch")
    assert len(wanted) == 6
    for run in wanted:
        folder = find(run)
        assert folder is not None, f"{run.name}: of other settings; python benchmarks/ship.py"
        assert folder.is_relative_to(folders.shipped()) and not flaws(folder)
        size = sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())
        assert size < 1_000_000
        record = read_record(folder)
        assert not {"machine", "commit", "options"} & record.keys()
        assert record["run_key"] == digest([run.recipe, "shipped", content(record)])


def test_the_shipped_encoder_predicts_masked_words_as_well_as_its_record_says(alone):
    from transformers import AutoModelForMaskedLM, AutoTokenizer

    from xtsupport.data import load
    from xtsupport.training.batches import collate
    from xtsupport.training.features import featurise
    from xtsupport.training.masked import mask_tokens, masked_model

    folder = find(alone.runs("pretraining")[0])
    tokenizer = AutoTokenizer.from_pretrained(folder / "model")
    model = AutoModelForMaskedLM.from_pretrained(folder / "model", dtype=torch.float32)
    texts = [
        t
        for code in ("en", "qka", "qtb", "qmc", "qga", "qfb")
        for t in load("wikipedia", code, "train", "world")["text"][:40]
    ]
    features = featurise({"text": texts}, "masked", tokenizer, 128, 0)
    batch = collate(features, np.arange(len(features)), tokenizer.pad_token_id)
    batch = mask_tokens(batch, tokenizer, 0.2, np.random.default_rng(0))
    with torch.inference_mode():
        loss = float(masked_model(model.eval(), "wikipedia")("wikipedia", batch))
    assert abs(loss - read_record(folder)["final_loss"]) < 0.15


def test_training_phase_2_again_gives_a_checkpoint_as_good(alone):
    (run,) = alone.runs("intermediate", "squad", [0], into="scratch")
    shipped = find(run)
    history = train.train_intermediate(run, progress=False)
    assert find(run) == run.folder != shipped
    assert len(history) == read_record(run.folder)["steps"]
    for scores in (run.folder / "scores.csv", shipped / "scores.csv"):
        f1 = pd.read_csv(scores).query("metric == 'f1'").score.item()
        assert f1 > 90  # three candidates each: 33 without reading the question


def test_copies_are_whole_and_rounded(alone, tmp_path):
    source = find(alone.runs("intermediate", "squad", [0], into="scratch")[0])
    made = copy(source, tmp_path / "copy")
    assert not flaws(made)
    weights = load_file(made / "model" / "model.safetensors").values()
    assert {each.dtype.name for each in weights} == {"float16"}
    (made / "scores.csv").write_text("damaged")
    assert flaws(made)


def test_of_a_long_training_every_nth_step_is_kept_up_to_the_last(tmp_path):
    path = tmp_path / "history.csv"
    path.write_text("step,loss\n" + "".join(f"{i},0.5\n" for i in range(1, 10)))
    thin(path, most=4)
    assert pd.read_csv(path).step.tolist() == [3, 6, 9]
    thin(path, most=4)
    assert pd.read_csv(path).step.tolist() == [3, 6, 9]
