"""What a study needs of the data, and what the mirror has of it."""

from types import SimpleNamespace

import pytest

from xtsupport.errors import UserError
from xtsupport.study import data_check


def study(**changes):
    values = {"data": "hub", "conditions": ["none", "mnli"], "targets": ["xquad", "xnli"],
              "languages": ["de", "sw"], "encoder": "offline-e5"}  # fmt: skip
    return SimpleNamespace(**values | changes)


def test_conditions_name_tasks():
    names = ["none", "all", "squad", "none~squad", "mnli+mlm", "mnli@translated"]
    assert [task.name for task in data_check.intermediate_tasks(names)] == ["squad", "mnli"]
    with pytest.raises(UserError, match=r"unknown task 'mnil' \(did you mean 'mnli'\?\)"):
        data_check.intermediate_tasks(["mnil"])


def test_everything_that_is_read_is_listed_once():
    frame = data_check.check(study())
    assert list(zip(frame["task"], frame["language"], frame["split"], strict=True)) == [
        ("mnli", "en", "train"),
        ("squad", "en", "train"),
        ("xquad", "de", "validation"),
        ("xnli", "en", "validation"),
        ("xnli", "de", "test"),
        ("xnli", "sw", "test"),
    ]
    assert set(frame["status"]) == {"unreachable"} and frame["rows"].isna().all()


def test_other_training_splits_are_the_ones_that_are_read():
    own = {"mnli": SimpleNamespace(train_split="validation_mismatched"), "other": None}
    found = data_check.training(study(intermediate_tasks=own), "hub")
    assert found == [("mnli", "en", "validation_mismatched"), ("squad", "en", "train"),
                     ("mnli", "en", "train")]  # fmt: skip


def test_other_sources_and_translations_are_read_too(tmp_path):
    for place in ("nyu-mll/glue/mnli.de", "nyu-mll/glue/mnli.fi"):  # fi: no language of the study
        (tmp_path / place).mkdir(parents=True)
        (tmp_path / place / "train-00000-of-00001.parquet").touch()
    varied = study(conditions=["none", "mnli@translated"], variants=["none/source=sw"],
                   targets=["xquad"])  # fmt: skip
    assert data_check.training(varied, tmp_path) == [
        ("mnli", "en", "train"), ("mnli", "de", "train"), ("squad", "en", "train"),
        ("squad", "sw", "train")
    ]  # fmt: skip


def test_raw_text_is_needed_for_pretraining():
    frame = data_check.check(study(encoder="pretrain"))
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
    with pytest.raises(UserError, match="is not a whole parquet file"):
        data_check.check(study(targets=["xnli"], data=tmp_path))


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
