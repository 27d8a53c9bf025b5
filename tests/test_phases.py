"""What each phase leaves in its folder, on the smallest study."""

import shutil
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from safetensors.numpy import load_file

from xtsupport.study.phases import evaluating, train
from xtsupport.study.phases.evaluating import whole_clusters
from xtsupport.study.plan import open_study
from xtsupport.study.runs import is_whole, read_record
from xtsupport.training import feature_cache
from xtsupport.training.features import Features

CUBE = {
    "study",
    "condition",
    "variant",
    "task",
    "language",
    "language_2",
    "family",
    "group",
    "seed",
    "example_id",
    "cluster_id",
    "metric",
    "score",
    "tp",
    "fp",
    "fn",
    "phase2_run",
    "phase3_run",
}


@pytest.fixture(scope="module")
def study(tmp_path_factory):
    patch = pytest.MonkeyPatch()
    patch.setenv("XTSUPPORT_ROOT", str(tmp_path_factory.mktemp("root")))
    from pathlib import Path

    opened = open_study(Path(__file__).parents[1] / "params" / "tiny.yaml", {"seeds": [0]})
    for run in opened.runs("pretraining"):
        train.pretrain(run, progress=False)
    for run in opened.runs("intermediate"):
        train.train_intermediate(run, progress=False)
    yield opened
    patch.undo()


def only(study, phase, condition, task=""):
    return next(r for r in study.runs(phase, condition) if not task or r.training_task == task)


def test_phase_1_leaves_an_encoder_that_transformers_can_read(study):
    from transformers import AutoModelForMaskedLM, AutoTokenizer

    (run,) = study.runs("pretraining")
    assert is_whole(run)
    tokenizer = AutoTokenizer.from_pretrained(run.folder / "model")
    model = AutoModelForMaskedLM.from_pretrained(run.folder / "model")
    assert tokenizer.mask_token_id < len(tokenizer) == model.config.vocab_size
    assert len(pd.read_csv(run.folder / "history.csv")) == run.settings["steps"]


def test_phase_2_changes_the_encoder_and_keeps_no_head(study):
    before = load_file(study.runs("pretraining")[0].folder / "model" / "model.safetensors")
    after = load_file(only(study, "intermediate", "all").folder / "model" / "model.safetensors")
    name = "encoder.layer.0.attention.self.query.weight"
    assert not np.array_equal(before[f"roberta.{name}"], after[name])
    assert not any("head" in key for key in after)
    history = pd.read_csv(only(study, "intermediate", "all").folder / "history.csv")
    assert set(history.task) == {"mnli", "squad"}


def test_phase_3_scores_every_language_and_the_scores_add_up(study):
    run = only(study, "target", "squad", "squad")
    train.train_target(run, progress=False)
    assert is_whole(run)
    names = {path.name for path in run.folder.iterdir()}
    assert names - {".lock"} == {"run.json", "examples.parquet", "scores.csv", "history.csv"}
    rows = pd.read_parquet(run.folder / "examples.parquet")
    assert set(rows.columns) == CUBE | {"prediction"}
    assert rows.language.nunique() == 22 and rows.cluster_id.nunique() == 4
    by_hand = 100 * rows[rows.metric == "f1"].groupby("language").score.mean()
    scores = (
        pd.read_csv(run.folder / "scores.csv").query("metric == 'f1'").set_index("language").score
    )
    assert np.allclose(by_hand, scores[by_hand.index])
    assert set(rows.phase2_run) == {run.upstream[0].key} and set(rows.phase3_run) == {run.key}


def test_the_control_trains_as_many_steps_as_phases_2_and_3(study):
    phase2, phase3 = only(study, "intermediate", "squad"), only(study, "target", "squad", "squad")
    control = only(study, "target", "none~squad", "squad")
    train.train_target(control, progress=False)
    steps = len(pd.read_csv(control.folder / "history.csv"))
    before = [len(pd.read_csv(run.folder / "history.csv")) for run in (phase2, phase3)]
    assert steps == sum(before)


def test_an_untrained_encoder_is_reported_as_collapsed(study):
    """Two steps of a random model: at chance, kept and flagged."""
    run = only(study, "target", "none", "mnli")
    train.train_target(run, progress=False)
    assert read_record(run.folder)["collapsed"] == ["xnli"]


def test_retrieval_by_layer_and_by_row(study):
    run = only(study, "retrieval", "squad")
    layers = train.retrieve(run)
    rows = pd.read_parquet(run.folder / "examples.parquet")
    chosen = (
        layers[layers.layer == run.settings["embedding"]["tatoeba"]["layer"]]
        .set_index("language")
        .accuracy
    )
    assert np.allclose(chosen, 100 * rows.groupby("language").score.mean()[chosen.index])
    assert (rows.seed == 0).all() and rows.phase3_run.isna().all()


def test_the_same_run_again_gives_the_same_bytes(study, tmp_path, monkeypatch):
    """Once without encoded rows of an earlier run, once with them on disk, once with them in
    memory; languages in common batches or each alone."""
    monkeypatch.setattr(feature_cache, "user_cache", lambda: tmp_path)
    evaluating.KEPT.clear()
    run = only(study, "target", "squad", "mnli")
    shutil.rmtree(run.folder, ignore_errors=True)
    train.train_target(run, progress=False)
    first = (run.folder / "examples.parquet").read_bytes()
    shutil.rmtree(run.folder)
    kept = len(
        list((tmp_path / "features").iterdir())
    )  # languages whose few rows are equal share a file
    assert 15 < kept <= 1 + len(run.settings["targets"]["xnli"])
    monkeypatch.setattr(feature_cache, "featurise", None)
    for pool, groups in ((1, 0), (evaluating.POOL, 1)):
        monkeypatch.setattr(evaluating, "POOL", pool)
        evaluating.KEPT.clear()
        train.train_target(run, progress=False)
        assert (run.folder / "examples.parquet").read_bytes() == first
        assert len(evaluating.KEPT) == groups
        shutil.rmtree(run.folder)
    monkeypatch.setattr(evaluating, "encoded", None)
    train.train_target(run, progress=False)
    assert (run.folder / "examples.parquet").read_bytes() == first


def test_evaluation_sets_are_kept_for_runs_that_read_the_same(study):
    """Another seed takes what is kept; another length, other rows or another encoder do not."""
    from transformers import AutoTokenizer

    run = only(study, "target", "squad", "mnli")
    tokenizer = AutoTokenizer.from_pretrained(study.runs("pretraining")[0].folder / "model")
    trained_on = Features("classification", [], 0, ("entailment", "neutral", "contradiction"))

    def pool(**changes):
        return next(evaluating.pools(trained_on, tokenizer, replace(run, **changes)))

    first = pool()
    assert pool(seed=1) is first
    shorter = pool(settings=run.settings | {"max_length": 9})
    assert max(each.features.lengths.max() for each in shorter) == 9
    assert pool(data=run.data | {"more": "1"}) is not shorter and pool() is not first
    assert len(evaluating.KEPT) == 1


def test_what_was_seen_before_stands_beside_the_scores(study):
    """The encoder is the study's own; the world keeps evaluation passages out of training sets."""
    run = only(study, "target", "squad", "squad")
    if not is_whole(run):
        train.train_target(run, progress=False)
    record = read_record(run.folder)
    assert record["exposed"] == []
    pairs = {(r["training"], r["target"], r["field"]) for r in record["contamination"]}
    assert pairs == {("squad", "xquad", "context"), ("squad", "xquad", "question")}
    by_field = {r["field"]: r for r in record["contamination"]}
    assert by_field["context"]["exact"] == 0 and by_field["context"]["texts"] > 0


def test_other_languages_of_training_are_looked_through_too(study):
    """Phase 3 on rows in qta, after phase 2 in English: both are compared with both."""
    from xtsupport.study.phases import exposure

    run = only(study, "target", "squad", "squad")
    found = exposure.contamination(replace(run, settings=run.settings | {"source": "qta"}))
    assert {(row["language"], row["field"]) for row in found} == {
        (code, field) for code in ("en", "qta") for field in ("context", "question")
    }
    assert all(row["exact"] == 0 for row in found if row["field"] == "context")


def test_what_is_cut_off_in_evaluation_is_counted(study):
    """At 12 tokens the pairs of XNLI and the sentences of Tatoeba do not all fit."""
    from transformers import AutoTokenizer

    from xtsupport.data import load

    tokenizer = AutoTokenizer.from_pretrained(study.runs("pretraining")[0].folder / "model")
    pairs = whole_clusters(load("xnli", "en", data=study.data), 4)
    sides = load("tatoeba", "qta", data=study.data)
    long = [
        sum(len(tokenizer(*texts)["input_ids"]) > 12 for texts in each)
        for each in (
            zip(pairs["text"], pairs["text_pair"], strict=True),
            [(text,) for name in ("text", "text_2") for text in sides[name]],
        )
    ]
    assert all(long)
    for name, count, phase in (("xnli/en", long[0], "target"), ("tatoeba/qta", long[1], "")):
        run = only(study, phase or "retrieval", "none", "mnli" if phase else "")
        short = {"max_length": 12}
        if not phase:
            short = {"embedding": {"tatoeba": run.settings["embedding"]["tatoeba"] | short}}
        run = replace(run, settings=run.settings | short)
        train.train_target(run, progress=False) if phase else train.retrieve(run)
        assert read_record(run.folder)["evaluation"][name]["truncated"] == count


def test_known_and_unknown_encoders(study):
    from xtsupport.study.phases.exposure import exposed

    run = only(study, "target", "none", "squad")
    names = {"offline-e5": ["xquad"], "somebody/encoder": None}
    for name, expected in names.items():
        other = replace(run, settings=run.settings | {"encoder": name})
        assert exposed(other, ["udpos", "xquad"]) == expected


def test_a_target_of_xtreme_r_trained_on_another_task(tmp_path, tiny_encoder, monkeypatch):
    """XCOPA after Social IQa: four rows each, from a mirror made here."""
    import pyarrow as pa
    import pyarrow.parquet as pq
    import yaml

    def put(place, split, rows):
        (tmp_path / place).mkdir(parents=True, exist_ok=True)
        pq.write_table(
            pa.Table.from_pylist(rows), tmp_path / place / f"{split}-00000-of-00001.parquet"
        )

    answers = {"answerA": "soup", "answerB": "chairs", "answerC": "Friday"}
    rows_in = [{"context": "Ada cooked.", "question": "Who?", **answers, "label": "2"}] * 4
    put("allenai/social_i_qa/default", "train", rows_in)
    for code in ("id", "qu"):
        rows = [{"premise": "Ada cooked", "choice1": "soup", "choice2": "old chairs",
                 "question": "effect", "label": k % 2, "idx": k, "changed": False}
                for k in range(4)]  # fmt: skip
        put(f"cambridgeltl/xcopa/{code}", "test", rows)
    for part in tiny_encoder:
        part.save_pretrained(tmp_path / "encoder")
    settings = {"study": "copa", "data": str(tmp_path), "encoder": str(tmp_path / "encoder"),
                "conditions": ["none"], "targets": ["xcopa"], "seeds": [0],
                "languages": ["id", "qu"]}  # fmt: skip
    settings["target"] = {"epochs": 1, "batch_size": 2, "max_length": 64, "stride": 8}
    (tmp_path / "copa.yaml").write_text(yaml.safe_dump(settings))
    monkeypatch.setenv("XTSUPPORT_ROOT", str(tmp_path))
    (run,) = open_study(tmp_path / "copa.yaml").runs("target")
    train.train_target(run, progress=False)
    rows = pd.read_parquet(run.folder / "examples.parquet")
    assert rows.groupby("language").size().to_dict() == {"id": 4, "qu": 4}
    gold = rows["example_id"].astype(int) % 2
    assert (rows["score"] == (rows["prediction"].astype(int) == gold)).all()
    assert set(rows["prediction"]) <= {"0", "1"} and set(rows["group"]) == {
        "Austronesian",
        "Quechuan",
    }
