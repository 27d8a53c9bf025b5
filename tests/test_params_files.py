"""The recipes that cite a source have its values: read off the scripts again, by hand."""

from pathlib import Path

import pytest

from xtsupport.study.inputs import Published
from xtsupport.study.params.loading import load_settings
from xtsupport.study.planner import Planner
from xtsupport.training.recipe import mixture

PARAMS = Path(__file__).parents[1] / "params"

# jiant/scripts/benchmarks/xtreme/subscripts/d_write_configs.sh: --epochs, --train_batch_size x
# --gradient_accumulation_steps; c_tokenize_and_cache.sh: --max_seq_length
JIANT = {
    "mnli": (2, 4 * 8, 256),
    "pawsx": (5, 4 * 8, 256),
    "udpos": (10, 4 * 8, 256),
    "panx": (10, 4 * 8, 256),
    "squad": (2, 4 * 4, 384),
    "tydiqa": (2, 4 * 4, 384),
}
# scripts/train_*.sh of XTREME for xlm-roberta-large: NUM_EPOCHS, BATCH_SIZE x GRAD_ACC, MAXL, LR,
# --save_steps where only the best checkpoint is kept
XTREME = {
    "mnli": (5, 2 * 16, 128, 3e-5, 100),
    "pawsx": (5, 2 * 16, 128, 2e-5, 200),
    "udpos": (10, 2 * 16, 128, 2e-5, 500),
    "panx": (10, 2 * 16, 128, 2e-5, 1000),
    "squad": (3, 4 * 8, 384, 3e-5, None),
    "tydiqa": (3, 4 * 8, 384, 3e-5, None),
}


def runs(name):
    """The planned runs of phase 3 under `none`, and the others, by training task or condition."""
    made = Planner(load_settings(PARAMS / f"{name}.yaml"), inputs=Published).all_runs()
    target = {run.training_task: run.settings for run in made
              if run.phase == "target" and run.condition == "none"}  # fmt: skip
    before = {run.condition: run.settings for run in made if run.phase == "intermediate"}
    (retrieval,) = [r.settings for r in made if r.phase == "retrieval" and r.condition == "none"]
    return target, before, retrieval


@pytest.fixture(scope="module")
def paper():
    return runs("paper")


def test_phase_3_of_the_papers_authors(paper):
    """xtreme.md: --learning_rate 1e-5 --eval_every_steps 1000 --no_improvements_for_n_evals 30;
    xtreme_runconfig_writer.py: warmup 0.1, eval_subset_num 500."""
    target, _, _ = paper
    found = {t: (own["epochs"], own["batch_size"], own["max_length"]) for t, own in target.items()}
    assert found == JIANT
    for own in target.values():
        assert (own["learning_rate"], own["warmup"], own["weight_decay"]) == (1e-5, 0.1, 0.01)
        assert (own["dev_every"], own["dev_patience"], own["dev_rows"]) == (1000, 30, 500)
        assert own["betas"] == [0.9, 0.999] and own["attention_dropout"] is None
    assert target["squad"]["step"] == target["tydiqa"]["step"] == 128
    assert target["squad"]["dev_splits"] == {"squad": "validation"}
    assert target["squad"]["dev_apart"] == {}  # rows of XQuAD stay, as there


def test_phase_2_of_the_papers_authors(paper):
    """xstilts.md: --train_batch_size 4; simple/runscript.py: 1e-5, 3 epochs, 256 tokens, no
    evaluation during training; doc_stride 128; ProportionalMultiTaskSampler."""
    _, before, _ = paper
    assert len(before) == 10
    for own in before.values():
        assert (own["epochs"], own["batch_size"], own["learning_rate"]) == (3, 4, 1e-5)
        assert (own["max_length"], own["step"], own["dev_every"]) == (256, 128, None)
    shares = mixture(before["all"]["tasks"], before["all"]["sampler"])
    total = sum(before["all"]["tasks"].values())
    assert shares["anli_plus"] == pytest.approx(before["all"]["tasks"]["anli_plus"] / total)
    assert shares["anli_plus"] > 0.4


def test_retrieval_of_the_papers_authors(paper):
    """xtreme_runconfig_writer.py: retrieval_layer 14, mean; c_tokenize_and_cache.sh: 512."""
    one = {"layer": 14, "pooling": "mean", "max_length": 512}
    assert paper[2]["embedding"] == {"bucc": one, "tatoeba": one}


def test_xtremes_baseline():
    target, _, retrieval = runs("xtreme")
    names = ("epochs", "batch_size", "max_length", "learning_rate", "dev_every")
    assert {t: tuple(own[name] for name in names) for t, own in target.items()} == XTREME
    assert {t: own["weight_decay"] for t, own in target.items()} == (
        dict.fromkeys(target, 0.0) | {"squad": 1e-4, "tydiqa": 1e-4}
    )
    assert target["udpos"]["dev_rows"] is None and target["udpos"]["dev_patience"] is None
    assert retrieval["embedding"] == {  # --specific_layer 13 and 7, without the embeddings
        "tatoeba": {"layer": 14, "pooling": "mean", "max_length": 512},
        "bucc": {"layer": 8, "pooling": "cls", "max_length": 512},
    }


def test_a_layer_of_xtreme_is_ours_less_one(tiny_encoder):
    """third_party/evaluate_retrieval.py indexes the encoder's layers; ours are hidden_states, with
    the embeddings in front: after layer n of the module list stands index n + 1."""
    import numpy as np
    import torch

    from xtsupport.evaluation.retrieval import embed

    model, tokenizer = tiny_encoder
    seen = {}
    layers = model.encoder.layer
    handles = [
        layer.register_forward_hook(lambda _, __, out, k=k: seen.update({k: out}))
        for k, layer in enumerate(layers)
    ]
    vectors = embed(model, tokenizer, ["Ada cooked soup"])
    for handle in handles:
        handle.remove()
    assert len(vectors) == len(layers) + 1
    for k in range(len(layers)):
        out = seen[k][0] if isinstance(seen[k], tuple) else seen[k]
        mean = out.reshape(-1, out.shape[-1]).mean(0)
        assert np.allclose(vectors[k + 1][0], mean.detach().numpy(), atol=1e-5)
        assert not torch.allclose(mean, torch.from_numpy(vectors[k][0]), atol=1e-5)
