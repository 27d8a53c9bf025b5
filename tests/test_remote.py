"""The hub as it really answers: a server on this machine, right and at fault."""

import hashlib
import json
import os
import subprocess
import sys
import time
from pathlib import Path

import pytest
from hub_server import Hub, forget, put, running
from huggingface_hub import constants

from xtsupport import tables
from xtsupport.cube.browse import side_by_side
from xtsupport.data import available, commits, download, fingerprint, load, remote, rows
from xtsupport.errors import Unreachable, UserError


def question(identifier):
    return {"id": identifier, "title": "", "context": "He is old.", "question": "How?",
            "answers": {"text": ["old"], "answer_start": [6]}}  # fmt: skip


@pytest.fixture
def hub(cache, monkeypatch):
    """A hub with SQuAD, XQuAD in German, TyDiQA and Wikipedia."""
    data = cache / "data"
    questions = [question(f"q{k}") for k in range(50)]
    for split in ("train", "validation"):
        put(data, "rajpurkar/squad", f"plain_text/{split}-00000-of-00001.parquet", questions)
    put(data, "google/xtreme", "XQuAD.de/validation-00000-of-00001.parquet", questions[:3])
    ids = ["english-1", "finnish-1", "english-2"]
    tydiqa = [question(name) for name in ids]
    for split in ("train", "validation"):
        put(data, "google/xtreme", f"tydiqa/{split}-00000-of-00001.parquet", tydiqa)
    for k in range(2):
        texts = [{"text": hashlib.sha512(b"%d %d" % (k, n)).hexdigest() * 9} for n in range(4000)]
        name = f"20231101.de/train-0000{k}-of-00002.parquet"
        put(data, "wikimedia/wikipedia", name, texts, row_group_size=500)
    server = Hub(data, cache / "models")
    with running(server) as address:
        monkeypatch.setenv("HF_ENDPOINT", address)
        yield server


def seconds(call, *args, **options):
    """(how long a call took, its UserError)."""
    start = time.monotonic()
    with pytest.raises(UserError) as caught:
        call(*args, **options)
    return time.monotonic() - start, caught.value


def test_only_the_split_that_is_asked_for_comes(hub):
    assert load("squad", split="train")["example_id"][:3] == ["q0", "q1", "q2"]
    files = {path for path, _ in hub.requests if path.endswith(".parquet")}
    assert all("plain_text/train-" in path for path in files) and len(files) == 2  # and elsewhere
    revision = tables.task("squad").revision
    assert hub.asked_for(f"/resolve/{revision}/plain_text/train")
    before = len(hub.requests)
    load("squad", split="train")
    assert len(hub.requests) == before


def test_rows_are_counted_without_fetching_files(hub):
    assert rows("wikipedia", "de", "train") == 8000
    assert (
        hub.bytes_sent
        < 400_000
        < sum(path.stat().st_size for path in hub.roots["datasets"].rglob("wikipedia/*/*"))
    )
    assert rows("tydiqa", "en", "train") == 2


def test_the_first_documents_come_without_the_rest(hub):
    texts = load("wikipedia", "de", "train", first=1000)["text"]
    assert len(texts) == 1000 and texts[999] == hashlib.sha512(b"0 999").hexdigest() * 9
    whole = hub.roots["datasets"] / "wikimedia/wikipedia/20231101.de/train-00000-of-00002.parquet"
    assert hub.bytes_sent < 0.4 * whole.stat().st_size
    assert not hub.asked_for("train-00001")
    hub.fault = "500"
    assert load("wikipedia", "de", "train", first=1000)["text"][:] == texts[:]


def test_more_documents_than_the_first_file_has(hub):
    assert len(load("wikipedia", "de", "train", first=5000)) == 5000
    assert len(load("wikipedia", "de", "train", first=9000)) == 8000


def test_the_first_rows_of_a_mirror(hub):
    mirror = hub.roots["datasets"]
    assert load("squad", "en", "train", mirror, first=3)["example_id"][:] == ["q0", "q1", "q2"]


def test_a_card_says_where_the_files_are(hub):
    root = hub.roots["datasets"] / "google/xtreme"
    put(root.parent, "xtreme", "elsewhere/de-part.parquet", [question("c1")])
    (root / "README.md").write_text(
        "---\nconfigs:\n- config_name: XQuAD.de\n  data_files:\n  - split: validation\n"
        "    path: elsewhere/de-*\n---\n# XTREME\n"
    )
    assert load("xquad", "de")["example_id"][:] == ["c1"]


def test_label_names_come_from_the_card_where_the_file_has_none(hub):
    row = {"premise": "p", "hypothesis": "h", "label": 0}
    put(hub.roots["datasets"], "facebook/xnli", "de/test-00000-of-00001.parquet", [row])
    assert load("xnli", "de")[0]["label"] == "entailment"  # the order of tasks.csv
    (hub.roots["datasets"] / "facebook/xnli/README.md").write_text(
        "---\ndataset_info:\n- config_name: de\n  features:\n  - name: premise\n    dtype: string\n"
        "  - name: hypothesis\n    dtype: string\n  - name: label\n    dtype:\n      class_label:\n"
        "        names:\n          '0': contradiction\n          '1': entailment\n"
        "          '2': neutral\n---\n"
    )
    for note in (hub.roots["datasets"].parent / "cache").rglob("*.files.json"):
        note.unlink()
    assert load("xnli", "de")[0]["label"] == "contradiction"


def test_the_hubs_conversions_and_default_configurations(hub):
    choice = {"ctx_a": "a", "ctx_b": "b", "endings": ["x", "y"], "label": "1"}
    put(
        hub.roots["datasets"], "Rowan/hellaswag", "data/train-00000-of-00001-b42a.parquet", [choice]
    )
    assert load("hellaswag", split="train")[0]["label"] == 1
    cosmos = {"context": "c", "question": "q", "label": 2} | {f"answer{k}": "a" for k in range(4)}
    put(hub.roots["datasets"], "allenai/cosmos_qa", "default/train/0000.parquet", [cosmos])
    assert load("cosmos_qa", split="train")[0]["label"] == 2


def test_what_is_missing_is_named_with_what_is_there(hub):
    with pytest.raises(UserError, match=r"'nope' of 'plain_text'; there are the splits train"):
        load("squad", split="nope")
    with pytest.raises(UserError, match=r"data set Rowan/hellaswag: the hub does not have it"):
        load("hellaswag", split="train")
    (
        hub.roots["datasets"] / "wikimedia/wikipedia/20231101.de/train-00001-of-00002.parquet"
    ).unlink()
    with pytest.raises(UserError, match=r"train has 1 of 00002 files"):
        load("wikipedia", "de", "train")


def test_languages_of_xtreme_r_come_from_where_the_hub_has_them(hub):
    put(hub.roots["datasets"], "google/xquad", "xquad.ro/validation-0.parquet", [question("r1")])
    assert load("xquad", "ro")["example_id"][:] == ["r1"] and available("xquad", "ro")
    words = {"tokens": ["Bakı"], "ner_tags": [5], "langs": ["az"]}
    put(hub.roots["datasets"], "unimelb-nlp/wikiann", "az/test-00000-of-00001.parquet", [words])
    assert load("panx", "az")["tags"][:] == [["B-LOC"]] and available("panx", "az")
    assert not available("tatoeba", "az") and not available("udpos", "wo")  # no hub has them


def test_a_folder_of_that_name_is_never_read_instead(hub):
    put(Path(), "rajpurkar/squad", "plain_text/train-00000-of-00001.parquet", [question("local")])
    assert "local" not in load("squad", split="train")["example_id"][:]


# --------------------------------------------------------------------------------------- commits


def test_a_commit_is_frozen_and_a_moved_branch_is_told(hub, cache):
    study = cache / "outputs" / "study"
    commits.freeze(study)
    first = fingerprint("xquad", "de")
    assert json.loads((study / "commits.json").read_text()) == {
        "datasets/google/xtreme@main": "a" * 40
    }
    assert commits.moved() == []
    hub.commits["google/xtreme"] = "b" * 40
    forget()
    commits.freeze(study)
    assert fingerprint("xquad", "de") == first
    (line,) = commits.moved()
    assert "google/xtreme: main has moved from aaaaaaaaaaaa to bbbbbbbbbbbb" in line
    load("xquad", "de")
    assert hub.asked_for(f"/resolve/{'a' * 40}/") and not hub.asked_for(f"/resolve/{'b' * 40}/")
    commits.update(study)
    assert fingerprint("xquad", "de") != first and commits.moved() == []


def test_without_network_the_cached_commit_is_used(hub, cache, monkeypatch):
    known = load("xquad", "de")["example_id"][:]
    hub.commits["google/xtreme"] = "b" * 40
    for fault in ("500", "429"):
        forget()
        hub.fault = fault
        assert load("xquad", "de")["example_id"][:] == known
    forget()
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    monkeypatch.setenv("XTSUPPORT_CACHE", str(cache / "other"))  # lists of files are not kept
    assert load("xquad", "de")["example_id"][:] == known
    with pytest.raises(Unreachable, match=r"HF_HUB_OFFLINE is set"):
        load("xnli", "de")


def test_examples_side_by_side_without_some_of_them(hub, capsys):
    name = "XQuAD.th/validation-00000-of-00001.parquet"
    put(hub.roots["datasets"], "google/xtreme", name, [question("t1")])
    load("xquad", "de")
    hub.fault = "500"
    shown = side_by_side("xquad", codes=["de", "th"])
    assert shown["language"].tolist() == ["German"]
    assert "xquad: 1 languages are not shown: the hub" in capsys.readouterr().out
    empty = side_by_side("xquad", codes=["th"])
    assert len(empty) == 0 and list(empty) == list(shown)


def test_an_update_without_network_changes_nothing(hub, cache):
    study = cache / "study"
    commits.freeze(study)
    fingerprint("xquad", "de")
    before = (study / "commits.json").read_text()
    hub.fault = "500"
    with pytest.raises(Unreachable):
        commits.update(study)
    assert (study / "commits.json").read_text() == before


def test_tags_and_revisions_that_do_not_exist(hub):
    hub.tags["google/xtreme"] = {"v1": "c" * 40}
    assert commits.resolve("datasets", "google/xtreme", "v1").commit == "c" * 40
    with pytest.raises(UserError, match=r"data set google/xtreme: the hub has no revision 'v2'"):
        commits.resolve("datasets", "google/xtreme", "v2")
    for name in ("a/b/c", "../x", "a b", "x" * 5000, "a\0b", "-"):
        with pytest.raises(UserError, match="is not a name on the hub"):
            commits.resolve("models", name)


# ---------------------------------------------------------------------------------------- faults


@pytest.mark.parametrize(
    ("fault", "words"),
    [("500", "answers 500"), ("429", "answers 429, try again in 3 seconds"),
     ("stall", "does not answer"), ("not json", "sent an unusable answer")],
)  # fmt: skip
def test_a_hub_at_fault_is_one_line_soon(hub, fault, words):
    hub.fault = fault
    taken, error = seconds(load, "xquad", "de")
    assert taken < 15 and isinstance(error, Unreachable)
    (line,) = error.problems
    assert (
        words in line and "data set google/xtreme" in line and "`xtsupport data get FILE`" in line
    )
    taken, _ = seconds(load, "xnli", "de")
    assert taken < 0.5  # a silent hub is left alone for a while


def test_a_login_is_said(hub):
    hub.fault = "401"
    with pytest.raises(UserError, match=r"google/xtreme: .* requires a login \(401\).*HF_TOKEN"):
        load("xquad", "de")


@pytest.mark.parametrize("address", ["http://127.0.0.1:9", "http://no-such-host.invalid", "x"])
def test_nobody_there(cache, monkeypatch, address):
    monkeypatch.setenv("HF_ENDPOINT", address)
    taken, error = seconds(load, "xquad", "de")
    assert taken < 15 and len(error.problems) == 1 and address in str(error)


def test_a_download_that_breaks_off_goes_on(hub):
    hub.fault = "cut"
    path = "20231101.de/train-00000-of-00002.parquet"
    repo = commits.resolve("datasets", "wikimedia/wikipedia")
    place = download.fetch(repo, path)
    assert place.read_bytes() == (hub.roots["datasets"] / repo.name / path).read_bytes()
    ranges = [part for _, part in hub.asked_for("elsewhere")]
    assert ranges[0] is None and all(part.startswith("bytes=") for part in ranges[1:])


def test_what_never_comes_whole_is_an_error_and_kept_for_the_next_time(hub):
    hub.fault = "cut whole"
    path = "20231101.de/train-00000-of-00002.parquet"
    repo = commits.resolve("datasets", "wikimedia/wikipedia")
    taken, error = seconds(download.fetch, repo, path)
    size = remote.listing(repo)[path]["size"]
    assert taken < 15 and f"of {size:,} of {path}" in str(error) and "breaks off" in str(error)
    assert not repo.cached(path).exists()
    (part,) = (repo.folder / "blobs").glob("*.incomplete")
    size = part.stat().st_size
    hub.fault = ""
    remote.ask_again()
    assert download.fetch(repo, path).is_file()
    assert hub.asked_for("elsewhere")[-1][1] == f"bytes={size}-"


def test_a_download_that_stalls_is_one_line_soon(hub):
    hub.fault, hub.only = "stall", "elsewhere"
    taken, error = seconds(load, "squad", split="train")
    assert taken < 15 and isinstance(error, Unreachable) and len(error.problems) == 1


def test_a_changed_byte_is_noticed(hub):
    hub.fault, hub.only = "flip", "elsewhere"
    for _ in range(2):
        with pytest.raises(UserError, match="does not have the checksum that the hub states"):
            load("squad", split="train")
    hub.fault = ""
    assert len(load("squad", split="train")) == 50


def test_names_that_lead_out_of_the_cache_are_refused(hub, cache):
    hub.fault = "outside"
    with pytest.raises(UserError, match=r"lists '../../plain_text/.*', which is not a file name"):
        load("squad", split="train")
    hub.fault, hub.commits = "", {"google/xtreme": "../../x"}
    with pytest.raises(UserError, match="no commit"):
        load("xquad", "de")


@pytest.mark.parametrize("text", ["{", "[]", '{"datasets/a/b@main": "../x"}'])
def test_a_damaged_list_of_commits_is_one_line(hub, cache, text):
    (cache / "commits.json").write_text(text)
    with pytest.raises(UserError, match="is not what xtsupport wrote") as caught:
        commits.freeze(cache)
    assert len(caught.value.problems) == 1


def test_another_commit_than_asked_for_is_refused(hub, monkeypatch):
    hub.commit = lambda name, revision: "d" * 40
    with pytest.raises(UserError, match="the hub gives a different commit than"):
        load("squad", split="train")


def test_huggingfaces_own_cache_is_the_same(hub, cache):
    """What was fetched is found by the hub's own client without network."""
    name = "XQuAD.de/validation-00000-of-00001.parquet"
    download.fetch(commits.resolve("datasets", "google/xtreme"), name)
    code = (
        "from huggingface_hub import hf_hub_download as get; print(get('google/xtreme', "
        f"'{name}', repo_type='dataset', local_files_only=True))"
    )
    env = os.environ | {"HF_HUB_CACHE": constants.HF_HUB_CACHE}
    found = subprocess.run([sys.executable, "-c", code], env=env, capture_output=True, text=True)
    assert Path(found.stdout.strip()).is_file(), found.stderr
