"""Every variant of `params/variants.yaml`, on the smallest world: planned, trained, scored."""

import shutil
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from xtsupport.data import load
from xtsupport.errors import UserError
from xtsupport.sides import side
from xtsupport.study.phases import train, training_rows
from xtsupport.study.plan import open_study
from xtsupport.study.runs import is_whole, read_record

PARAMS = Path(__file__).parents[1] / "params"
SMALL = {"epochs": 1, "max_rows": 24, "batch_size": 8, "max_length": 96, "stride": 16}
TINY = {
    "data": "world-tiny",
    "seeds": [0],
    "languages": ["en", "qta", "qga"],
    "pretraining.steps": 6,
    "pretraining.batch_size": 8,
    "pretraining.hidden_size": 16,
    "pretraining.layers": 1,
    "pretraining.heads": 2,
    "pretraining.feed_forward": 16,
    "pretraining.vocabulary": 300,
    "pretraining.max_length": 96,
    "intermediate_tasks": {"hellaswag": {"max_rows": 16}},
    "mlm.documents": 4,
    "evaluation.max_clusters": 4,
    **{f"intermediate.{key}": value for key, value in SMALL.items()},
    **{f"target.{key}": value for key, value in SMALL.items()},
}


@pytest.fixture(scope="module")
def study(tmp_path_factory):
    patch = pytest.MonkeyPatch()
    patch.setenv("XTSUPPORT_ROOT", str(tmp_path_factory.mktemp("root")))
    opened = open_study(PARAMS / "variants.yaml", TINY)
    for run in opened.runs("pretraining"):
        train.pretrain(run, progress=False)
    yield opened
    patch.undo()


def run_of(study, phase, named, task="squad"):
    condition, variant = side(named)
    return next(
        run
        for run in study.runs(phase, condition)
        if run.variant == variant and run.training_task in ("", task)
    )


def trained(study, phase, side, task="squad"):
    """A finished run and its history; phase 2 of its condition is done first."""
    run = run_of(study, phase, side, task)
    for above in run.upstream:
        if not is_whole(above):
            train.train_intermediate(above, progress=False)
    shutil.rmtree(run.folder, ignore_errors=True)
    work = train.train_intermediate if phase == "intermediate" else train.train_target
    return run, work(run, progress=False)


def test_every_condition_and_variant_of_the_study_is_trained_and_scored(study):
    for run in study.runs("intermediate"):
        train.train_intermediate(run, progress=False)
    sides = set()
    for run in study.runs("target"):
        train.train_target(run, progress=False)
        rows = pd.read_parquet(run.folder / "examples.parquet")
        assert set(rows.variant) == {run.variant} and set(rows.condition) == {run.condition}
        assert (rows.language_2.notna().sum() > 0) and not rows.score.isna().any()
        sides.add(run.side)
    assert sides == {*study.settings.conditions, *study.settings.variants}
    compared = {name for pair in study.settings.analysis.contrasts for name in pair}
    assert sides == compared, "a variant without a contrast of its own"


def test_masked_batches_are_added_to_all_steps_of_the_task(study):
    """A fifth of the steps: 3 of MNLI, and 3 * 0.2 / 0.8 = 0.75, so 1 of masked words."""
    plain, mixed = (run_of(study, "intermediate", name) for name in ("mnli", "mnli+mlm"))
    assert mixed.settings["masked_share"] == 0.2 and "masked_share" not in plain.settings
    _, history = trained(study, "intermediate", "mnli+mlm")
    assert history.task.value_counts().to_dict() == {"mnli": 3, "mlm": 1}
    assert read_record(mixed.folder)["training"]["mlm"]["examples"] == 3 * 4
    _, alone = trained(study, "intermediate", "mnli")
    assert history.loss[history.task == "mnli"].iloc[0] == pytest.approx(alone.loss[0], rel=0.2)


def test_translated_rows_are_the_same_rows_each_in_one_language(study):
    run = run_of(study, "intermediate", "squad@translated")
    plain = run_of(study, "intermediate", "squad")
    assert run.settings["translations"] == ["qga", "qta"]
    assert run.settings["tasks"] == plain.settings["tasks"]
    chosen = training_rows.rows_in(["qga", "qta"], "squad", 24, run)
    english = training_rows.rows_in(["en"], "squad", 24, plain)
    assert sorted(chosen["example_id"]) == sorted(english["example_id"])
    whole = {code: load("squad", code, "train", run.options["data"]) for code in ("qga", "qta")}
    for code, part in (("qga", chosen.select(range(12))), ("qta", chosen.select(range(12, 24)))):
        texts = dict(zip(whole[code]["example_id"], whole[code]["question"], strict=True))
        assert [texts[i] for i in part["example_id"]] == part["question"]


def test_matched_conditions_have_the_rows_of_the_smallest_task(study):
    rows = {
        name: run_of(study, "intermediate", name).settings["tasks"]
        for name in ("hellaswag", "squad", "squad@matched", "mnli@matched")
    }
    assert rows["hellaswag"] == {"hellaswag": 16} and rows["squad"] == {"squad": 24}
    assert rows["squad@matched"] == {"squad": 16} and rows["mnli@matched"] == {"mnli": 16}


def test_another_source_language_has_as_many_rows_and_its_own_data(study):
    plain, other = (run_of(study, "target", name) for name in ("none", "none/source=qta"))
    assert plain.settings["rows"] == other.settings["rows"]
    assert "squad/qta/train" in other.data and "squad/en/train" not in other.data
    assert plain.recipe != other.recipe and "source" not in plain.settings
    assert other.name.split("/")[-2] == "source=qta"
    english, turnaki = (
        training_rows.rows_in([code], "squad", 24, run)
        for code, run in (("en", plain), ("qta", other))
    )
    assert english["example_id"] == turnaki["example_id"]
    assert english["question"] != turnaki["question"]


def test_robust_runs_differ_from_plain_ones_in_phase_3_only(study):
    losses = {
        side: trained(study, "target", side, "mnli")[1].loss
        for side in ("none", "none/adversarial", "none/smoothing", "none/synonyms")
    }
    assert len({len(loss) for loss in losses.values()}) == 1
    assert losses["none/adversarial"][0] > losses["none"][0]
    assert len({tuple(np.round(loss, 7)) for loss in losses.values()}) == 4


def test_mistakes_in_names_are_one_line_each(study):
    wrong = TINY | {
        "conditions": ["none", "squad", "squad@deutsch", "mnli+mlm", "none+mlm"],
        "variants": ["none/adversarail", "mnli/smoothing", "none/source=qtx", "none/source=en"],
        "analysis": {"contrasts": [["none/smoothing", "none"]]},
    }
    with pytest.raises(UserError) as error:
        open_study(PARAMS / "variants.yaml", wrong)
    lines = "\n".join(error.value.problems)
    assert len(error.value.problems) == 8
    assert "'squad@deutsch': a task can be followed by" in lines
    assert "unknown variant 'adversarail' (did you mean 'adversarial'?)" in lines
    assert "'mnli' is not a condition of the study" in lines
    assert "unknown source language 'qtx'" in lines and "unknown source language 'en'" in lines
    assert "'none/smoothing' is not a condition of the study" in lines


def test_data_without_translations_is_named(study):
    with pytest.raises(UserError, match=r"no translations of hellaswag into any language"):
        open_study(
            PARAMS / "variants.yaml",
            TINY | {"conditions": ["none", "hellaswag@translated"], "variants": []}
            | {"analysis": {}},
        )  # fmt: skip
    with pytest.raises(UserError, match=r"has no train split of panx in qta"):
        open_study(
            PARAMS / "variants.yaml",
            TINY | {"conditions": ["none"], "variants": ["none/source=qta"], "targets": ["panx"]}
            | {"analysis": {}, "evaluation.pairs": [], "intermediate_tasks": {}, "tasks": {}},
        )  # fmt: skip
