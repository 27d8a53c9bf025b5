"""A made-up study exported and read back as XTREME's evaluator reads submissions."""

import json
from pathlib import Path

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import yaml

from xtsupport import tables
from xtsupport.data import bucc, load
from xtsupport.errors import UserError
from xtsupport.evaluation import score
from xtsupport.files import described
from xtsupport.study import export_xtreme, run_store
from xtsupport.study.cli import main
from xtsupport.study.export_xtreme import export, summary
from xtsupport.study.phases import train
from xtsupport.study.plan import open_study


def put(mirror, config, split, rows, dataset="google/xtreme"):
    place = mirror / dataset / config
    place.mkdir(parents=True)
    pq.write_table(pa.Table.from_pylist(rows), place / f"{split}-00000-of-00001.parquet")


@pytest.fixture
def mirror_of_three(tmp_path):
    """Three rows of every kind of target, in German."""
    mirror = tmp_path / "mirror"
    answers = {"text": ["x"], "answer_start": [0]}
    questions = [{"id": i, "context": "x", "question": "?", "answers": answers} for i in "abc"]
    put(mirror, "XQuAD.de", "validation", questions)
    pairs = [{"premise": p, "hypothesis": "h", "label": 0} for p in "pqr"]
    put(mirror, "de", "test", pairs, "facebook/xnli")
    sentences = [{"tokens": tokens, "tags": ["X"] * len(tokens)}
                 for tokens in (["a", "b"], ["c"], ["d", "e"])]  # fmt: skip
    put(mirror, "udpos.German", "test", sentences)
    english = ["Zebra", "apple", "Milk"]
    sides = [{"source_sentence": f"s{k}", "target_sentence": t} for k, t in enumerate(english)]
    put(mirror, "tatoeba.deu", "validation", sides)
    return mirror


def run(study, folder, data, task, predictions, metrics, **more):
    """A finished run as phases 3 and retrieval leave it."""
    place = study / folder
    place.mkdir(parents=True)
    rows = [
        {"task": task, "language": "de", "language_2": None, "example_id": identifier,
         "metric": metric, "prediction": prediction}
        for metric in metrics for identifier, prediction in predictions.items()
    ]  # fmt: skip
    pd.DataFrame(rows).to_parquet(place / "examples.parquet")
    texts = dict.fromkeys(("study", "training_task", "run_key"), "")
    empty: dict = {name: {} for name in ("settings", "data", "upstream", "files")}
    record = {"phase": folder.split("/")[0], "condition": "squad", "variant": "plain", "seed": 0,
              "seconds": 1, "options": {"data": str(data)}, **texts, **empty}  # fmt: skip
    (place / "run.json").write_text(json.dumps(record | more))


def exported(out, task):
    return (out / "squad" / "plain" / "seed0" / task).read_text(encoding="utf-8")


SPAN = ("f1", "exact_match", "f1_segmented")
TARGET = "target/squad/squad/plain/seed0"


def test_span_answers_by_id(tmp_path, mirror_of_three):
    answers = {"a": "Öl", "b": "", "c": "ไทย"}
    run(tmp_path / "study", TARGET, mirror_of_three, "xquad", answers, SPAN)
    (path,) = export(tmp_path / "study", tmp_path / "out")
    assert path == tmp_path / "out/squad/plain/seed0/xquad/test-de.json"
    assert json.loads(path.read_text(encoding="utf-8")) == answers


def test_predictions_that_changed_are_not_exported(tmp_path, mirror_of_three):
    run(tmp_path / "study", TARGET, mirror_of_three, "xquad", {"a": "x", "b": "y", "c": "z"}, SPAN)
    (path,) = (tmp_path / "study").rglob("examples.parquet")
    record = json.loads(path.with_name("run.json").read_text())
    record["files"] = {"examples.parquet": described(path)}
    path.with_name("run.json").write_text(json.dumps(record))
    pd.read_parquet(path).assign(prediction="x").to_parquet(path)
    with pytest.raises(UserError, match="has changed since it was written"):
        export(tmp_path / "study", tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_ids_are_those_of_the_file(tmp_path, mirror_of_three):
    """A # that is the id's own stays; one that made a repeated id unique goes."""
    place = mirror_of_three / "google/xtreme/XQuAD.de"
    answers = {"text": ["x"], "answer_start": [0]}
    rows = [{"id": i, "context": "x", "question": "?", "answers": answers}
            for i in ("C#1", "F#2", "a", "a")]  # fmt: skip
    pq.write_table(pa.Table.from_pylist(rows), place / "validation-00000-of-00001.parquet")
    given = {"C#1": "c", "F#2": "f", "a": "first", "a#2": "second"}
    run(tmp_path / "study", TARGET, mirror_of_three, "xquad", given, SPAN)
    (path,) = export(tmp_path / "study", tmp_path / "out")
    found = json.loads(path.read_text(encoding="utf-8"))
    assert found == {"C#1": "c", "F#2": "f", "a": "first"}


def test_labels_line_by_line_in_the_order_of_the_test_set(tmp_path, mirror_of_three):
    labels = {"2": "neutral", "0": "entailment", "1": "contradiction"}
    run(tmp_path / "study", TARGET, mirror_of_three, "xnli", labels, ["accuracy"])
    export(tmp_path / "study", tmp_path / "out")
    assert exported(tmp_path / "out", "xnli/test-de.tsv").split("\n") == [
        "entailment", "contradiction", "neutral", ""
    ]  # fmt: skip


def test_tags_with_an_empty_line_after_each_sentence(tmp_path, mirror_of_three):
    tags = {"de-0": "DET NOUN", "de-1": "VERB", "de-2": "NOUN NOUN"}
    run(tmp_path / "study", TARGET, mirror_of_three, "udpos", tags, ["f1"])
    export(tmp_path / "study", tmp_path / "out")
    text = exported(tmp_path / "out", "udpos/test-de.tsv")
    sentences = [block.split("\n") for block in text.strip().split("\n\n")]
    assert sentences == [["DET", "NOUN"], ["VERB"], ["NOUN", "NOUN"]]


def test_tatoeba_follows_the_sorted_english_side(tmp_path, mirror_of_three):
    rows = {"de-0": "0", "de-1": "2", "de-2": "1"}  # English: Zebra, apple, Milk
    run(tmp_path / "study", "retrieval/squad/seed0", mirror_of_three, "tatoeba", rows, ["accuracy"])
    export(tmp_path / "study", tmp_path / "out")
    assert exported(tmp_path / "out", "tatoeba/test-de.tsv") == "1\n0\n2\n"  # Milk, Zebra, apple


def test_bucc_pairs(tmp_path, mirror_of_three):
    pairs = {"de-1": "en-7 en-8", "de-2": "", "de-3": "en-9"}
    run(tmp_path / "study", "retrieval/squad/seed0", mirror_of_three, "bucc", pairs, ["f1"])
    export(tmp_path / "study", tmp_path / "out")
    assert exported(tmp_path / "out", "bucc2018/test-de.tsv") == (
        "de-1\ten-7\nde-1\ten-8\nde-3\ten-9\n"
    )


def test_every_condition_and_seed_has_a_folder_of_its_own(tmp_path, mirror_of_three):
    for seed, condition in ((0, "none"), (1, "none"), (0, "mnli")):
        place = f"target/squad/{condition}/plain/seed{seed}"
        run(tmp_path / "study", place, mirror_of_three, "xquad", dict.fromkeys("abc", ""), SPAN,
            condition=condition, seed=seed)  # fmt: skip
    folders = {str(p.parents[1].relative_to(tmp_path / "out"))
               for p in export(tmp_path / "study", tmp_path / "out")}  # fmt: skip
    assert folders == {"none/plain/seed0", "none/plain/seed1", "mnli/plain/seed0"}


def test_a_part_of_a_test_set_is_refused(tmp_path, mirror_of_three):
    run(tmp_path / "study", TARGET, mirror_of_three, "xquad", {"a": "", "b": ""}, SPAN)
    labels = dict.fromkeys("012", "neutral")
    other = "target/mnli/squad/plain/seed0"
    run(tmp_path / "study", other, mirror_of_three, "xnli", labels, ["accuracy"])
    with pytest.raises(UserError, match=r"xquad \(de\): 2 predictions for 3 examples"):
        export(tmp_path / "study", tmp_path / "out")
    assert not (tmp_path / "out").exists()  # no half-filled folder


def test_a_study_that_carries_records_only(tmp_path, capsys):
    """The committed reference has scores and no predictions: one line says so."""
    reference = Path(__file__).parents[1] / "outputs" / "reference"
    assert main(["export-xtreme", str(reference), str(tmp_path / "out")]) == 1
    (line,) = capsys.readouterr().err.splitlines()
    assert "runs have scores without predictions (no examples.parquet)" in line
    assert not (tmp_path / "out").exists()


def test_a_disk_that_fills_up_leaves_no_half_a_submission(tmp_path, mirror_of_three, monkeypatch):
    answers = dict.fromkeys("abc", "")
    run(tmp_path / "study", TARGET, mirror_of_three, "xquad", answers, SPAN)

    def files():
        return {path: path.read_bytes() for path in (tmp_path / "out").rglob("*") if path.is_file()}

    def full(path, text):
        raise OSError(28, "No space left on device")

    export(tmp_path / "study", tmp_path / "out")
    before = files()
    monkeypatch.setattr(export_xtreme, "write_text", full)
    with pytest.raises(OSError, match="No space"):
        export(tmp_path / "study", tmp_path / "out")
    assert before == files() != {}


def test_retrieval_without_phase_2_stands_under_every_seed(tmp_path, mirror_of_three):
    rows = {"de-0": "0", "de-1": "2", "de-2": "1"}
    for seed in (0, 1):
        place = f"target/squad/none/plain/seed{seed}"
        run(tmp_path / "study", place, mirror_of_three, "xquad", dict.fromkeys("abc", ""), SPAN,
            phase="target", condition="none", seed=seed)  # fmt: skip
    run(tmp_path / "study", "retrieval/none/seed0", mirror_of_three, "tatoeba", rows, ["accuracy"],
        phase="retrieval", condition="none")  # fmt: skip
    files = export(tmp_path / "study", tmp_path / "out")
    assert (
        len(files) == 4 and len({path.read_text() for path in files if "tatoeba" in str(path)}) == 1
    )
    assert summary(files)[:2] == [
        f"{tmp_path}/out/none/plain/seed0: tatoeba (de), xquad (de)",
        f"{tmp_path}/out/none/plain/seed1: tatoeba (de), xquad (de)",
    ]


def test_what_xtreme_would_still_ask_for_is_said(tmp_path, mirror_of_three):
    run(tmp_path / "study", TARGET, mirror_of_three, "xquad", dict.fromkeys("abc", ""), SPAN)
    _, languages, tasks = summary(export(tmp_path / "study", tmp_path / "out"))
    assert languages.startswith("note: xquad lacks en, ar, el, es, hi, ru, th, tr, vi, zh;")
    assert "bucc2018" in tasks and "xquad" not in tasks
    invented = summary([tmp_path / "none/plain/seed0/xquad/test-qka.json"])
    assert invented[-1] == "note: the languages are invented; XTREME cannot score them"


def test_a_study_without_runs(tmp_path):
    with pytest.raises(UserError, match="no finished target or retrieval run; run the study first"):
        export(tmp_path, tmp_path / "out")


# ------------------------------------------------------------------ every target of a whole study

TARGETS = ["xnli", "pawsx", "udpos", "panx", "xquad", "mlqa", "tydiqa", "bucc", "tatoeba"]


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    """All nine targets on the smallest world, trained for two steps each."""
    root, patch = tmp_path_factory.mktemp("root"), pytest.MonkeyPatch()
    patch.setenv("XTSUPPORT_ROOT", str(root))
    settings = yaml.safe_load((Path(__file__).parents[1] / "params" / "tiny.yaml").read_text())
    settings |= {"conditions": ["none"], "targets": TARGETS, "seeds": [0], "analysis": {},
                 "languages": ["en", "qka", "qkb"], "evaluation": {}}  # fmt: skip
    settings["pretraining"]["steps"] = 1
    (root / "nine.yaml").write_text(yaml.safe_dump(settings))
    study = open_study(root / "nine.yaml")
    train.pretrain(study.runs("pretraining")[0], progress=False)
    for run in study.runs("target"):
        train.train_target(run, progress=False)
    train.retrieve(study.runs("retrieval")[0])
    study.folder.mkdir(parents=True)
    run_store.write_list(study)
    yield study
    patch.undo()


def gold(task, language, data):
    """What XTREME's evaluator would read from its files of labels."""
    if task == "bucc":
        return bucc.pools(language, "test", data).gold
    examples = load(task, language, data=data)
    if task == "tatoeba":  # the row of each English sentence's translation, English sorted
        english = [text.strip() for text in examples["text_2"]]
        return [str(row) for row in sorted(range(len(english)), key=english.__getitem__)]
    if tables.task(task, data).kind == "span":
        answers = (row["text"] for row in examples["answers"])
        return [
            {"id": i, "answers": a} for i, a in zip(examples["example_id"], answers, strict=True)
        ]
    return examples["tags" if task in ("udpos", "panx") else "label"][:]


def submitted(path, task):
    """A file as the three readers of XTREME's evaluate.py read it, and BUCC's metric its lines."""
    if path.suffix == ".json":
        return json.loads(path.read_text(encoding="utf-8"))  # read_squad
    lines = [line.strip() for line in path.read_text(encoding="utf-8").splitlines(keepends=True)]
    if task not in ("udpos", "panx"):
        return [tuple(line.split("\t")) if task == "bucc" else line for line in lines]  # read_label
    sentences, words = [], []  # read_tag
    for line in lines:
        if line:
            words.append(line)
        else:
            sentences.append(words)
            words = []
    return sentences + ([words] if words else [])


def test_the_submission_of_every_target_scores_what_the_study_says(finished, tmp_path):
    export(finished.folder, tmp_path)
    runs = finished.runs("target") + finished.runs("retrieval")
    scores = pd.concat(pd.read_csv(run.folder / "scores.csv") for run in runs)
    assert set(scores["task"]) == set(TARGETS)
    for (task, language), rows in scores.groupby(["task", "language"]):
        ending = "json" if task in ("xquad", "mlqa", "tydiqa") else "tsv"
        folder = tmp_path / "none" / "plain" / "seed0" / {"bucc": "bucc2018"}.get(task, task)
        found = submitted(folder / f"test-{language}.{ending}", task)
        if task != "bucc":  # evaluate.py asks for as many as there are labels
            assert len(found) == len(gold(task, language, finished.data))
        again = score(
            task, found, gold(task, language, finished.data), language, data=finished.data
        )
        kept = rows.set_index("metric")["score"]
        assert {name: again[name] for name in kept.index} == pytest.approx(kept.to_dict(), abs=1e-9)
