"""What a study needs of the data, and what the mirror has of it."""

from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from xtsupport.study import data_check, reads
from xtsupport.study.inputs import Inputs
from xtsupport.study.params.loading import load_settings
from xtsupport.study.params.settings import Settings
from xtsupport.study.planner import Planner

PARAMS = sorted((Path(__file__).parents[1] / "params").glob("*.yaml"))


def study(**changes):
    values = {"study": "check", "data": "hub", "conditions": ["none", "mnli"],
              "targets": ["xquad", "xnli"], "languages": ["de", "sw"], "encoder": "offline-e5",
              "precision": "float32"}  # fmt: skip
    return Settings.model_validate(values | changes)


def listed(**changes):
    """What is read for training, evaluation and selection."""
    return [[read[:3] for read in part] for part in reads.reads(study(**changes))[:3]]


def test_everything_that_is_read_is_listed_once(cache):
    frame = data_check.check(study())
    assert list(zip(frame["task"], frame["language"], frame["split"], strict=True)) == [
        ("mnli", "en", "train"),
        ("squad", "en", "train"),
        ("xquad", "de", "validation"),
        ("xnli", "de", "test"),
        ("xnli", "sw", "test"),
    ]
    assert set(frame["status"]) == {"unreachable"} and frame["rows"].isna().all()


@pytest.mark.parametrize("path", PARAMS, ids=lambda path: path.stem)
def test_what_is_listed_is_what_the_planner_marks(path, monkeypatch):
    """The fingerprints that a plan asks for are the rows of the table, and nothing else."""
    invented = "world" in path.read_text(encoding="utf-8").partition("data: ")[2].splitlines()[0]
    settings = load_settings(path, {"data": "world-tiny" if invented else "hub"})
    asked = []
    with monkeypatch.context() as patched:
        patched.setattr(Inputs, "fingerprint", lambda self, *read: asked.append(read) or "")
        patched.setattr(Inputs, "rows", lambda *_: 1)
        patched.setattr(Inputs, "encoder", lambda _: {})  # no data, and perhaps on the hub
        Planner(settings).all_runs()
    listed = {read[:4] for read in reads.needed(settings)}
    assert listed == {(*read, None)[:4] for read in asked}


def test_pairs_of_languages_and_development_rows_are_read_where_asked_for():
    pairs = {"pairs": [["de", "en"]]}
    _, evaluation, development, _ = reads.reads(study(evaluation=pairs))
    assert ("xquad", "de", "validation", "en", None) in evaluation and not development
    *_, development = listed(target={"dev_every": 100})
    assert development == [
        ("squad", "en", "validation"),
        ("xquad", "en", "validation"),
        ("mnli", "en", "validation_matched"),
        ("xnli", "en", "test"),
    ]


def test_other_training_splits_are_the_ones_that_are_read():
    own = {"mnli": {"train_split": "validation_mismatched"}}
    training, *_ = listed(intermediate_tasks=own)
    assert training == [("mnli", "en", "validation_mismatched"), ("squad", "en", "train"),
                        ("mnli", "en", "train")]  # fmt: skip


def test_other_sources_and_translations_are_read_too(tmp_path):
    for place in ("nyu-mll/glue/mnli.de", "nyu-mll/glue/mnli.fi"):  # fi: no language of the study
        (tmp_path / place).mkdir(parents=True)
        (tmp_path / place / "train-00000-of-00001.parquet").touch()
    training, *_ = listed(
        data=str(tmp_path), conditions=["none", "mnli@translated"], variants=["none/source=sw"],
        targets=["xquad"])  # fmt: skip
    assert training == [("mnli", "de", "train"), ("squad", "en", "train"), ("squad", "sw", "train")]


def test_raw_text_is_needed_for_pretraining():
    frame = data_check.check(study(encoder="pretrain", pretraining={"max_length": 128}))
    assert (frame["task"] == "wikipedia").sum() == 41


def test_real_mirror(mirror):
    frame = data_check.check(study(conditions=["anli_plus", "hellaswag"], data=str(mirror)))
    table = frame.set_index(["task", "language", "split"])
    assert table.loc[("xquad", "de", "validation"), "rows"] == 1190
    assert table.loc[("anli_plus", "en", "mnli/train"), "status"] == "present"
    assert table.loc[("hellaswag", "en", "train"), "status"] == "missing"
    parts = frame[frame["status"] == "missing part"]
    assert list(parts["split"]) == ["train_r1", "train_r2", "train_r3", "snli/train"]
    missing = frame[frame["status"].str.startswith("missing")]
    assert missing["rows"].isna().all() and (missing["fingerprint"] == "").all()
    assert missing["note"].str.contains("no '").all()
    assert (frame.loc[frame["status"] == "present", "fingerprint"].str.len() == 12).all()


def test_a_damaged_file_is_an_error(tmp_path):
    place = tmp_path / "facebook" / "xnli" / "de"
    place.mkdir(parents=True)
    (place / "test-00000-of-00001.parquet").write_bytes(b"PAR1")
    (row,) = (
        data_check.check(
            study(targets=["xnli"], data=str(tmp_path), languages=["de"], conditions=["none"])
        )
        .query("language == 'de'")
        .itertuples()
    )
    assert row.status == "wrong" and "is not a complete parquet file" in row.note


def test_rows_that_were_mended_or_cannot_be_used_are_told(tmp_path):
    """Off by four and repaired; hidden gold; another task's columns."""
    context, one = "Ada cooked soup. Ben sold 3 chairs.", {"text": ["Ben sold"]}
    good = {
        "id": "1",
        "context": context,
        "question": "Who?",
        "answers": one | {"answer_start": [17]},
    }
    moved = good | {"id": "2", "answers": one | {"answer_start": [21]}}
    hidden = good | {"answers": {"text": [""], "answer_start": [0]}}
    for language, rows in {"de": [good, moved], "ru": [hidden] * 2, "el": [{"text": "a"}]}.items():
        place = tmp_path / f"google/xtreme/XQuAD.{language}"
        place.mkdir(parents=True)
        pq.write_table(pa.Table.from_pylist(rows), place / "validation-00000-of-00001.parquet")
    read = {"data": str(tmp_path), "languages": ["de", "ru", "el"], "conditions": ["none"]}
    frame = data_check.check(study(targets=["xquad"], **read)).set_index("language")
    frame = frame[frame["task"] == "xquad"]
    assert frame["status"].to_dict() == {"de": "present", "ru": "wrong", "el": "wrong"}
    assert frame["note"]["de"] == "1 answer moved to where the text is"
    assert "none of its 2 rows has a gold answer" in frame["note"]["ru"]
    assert "xquad: not the columns of a span dataset" in frame["note"]["el"]


def test_pools_of_bucc_are_looked_for_in_the_users_folder(tmp_path, monkeypatch):
    monkeypatch.setenv("XTSUPPORT_DATA", str(tmp_path))
    place = tmp_path / "bucc2018" / "de-en"
    place.mkdir(parents=True)
    for ending, text in {"de": "d1\teins\n", "en": "e1\tone\n", "gold": "d1\te1\n"}.items():
        (place / f"de-en.training.{ending}").write_text(text)
    frame = data_check.check(study(targets=["bucc"], languages=["de", "ru"], conditions=["none"]))
    assert frame[["language", "split", "status"]].values.tolist() == [
        ["de", "test", "present"], ["ru", "test", "missing"]
    ]  # fmt: skip
    assert frame["rows"].tolist()[0] == 1 and "bucc2018-ru-en.training-gold" in frame["note"][1]
