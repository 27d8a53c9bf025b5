"""Studies on a hub: planned, frozen, fetched beforehand; encoders by name, damaged ones refused."""

import json
import re
import shutil
import time

import pytest
import torch
import yaml
from hub_server import Hub, forget, put, running
from huggingface_hub import constants
from safetensors.torch import load_file, save_file

from xtsupport.errors import UserError
from xtsupport.study.cli import main
from xtsupport.study.phases.evaluating import validation_rows
from xtsupport.study.plan import open_study
from xtsupport.tables import task
from xtsupport.training import checkpoint
from xtsupport.training.encoder import load_encoder
from xtsupport.training.masked import tiny_xlmr

STUDY = {
    "study": "online", "data": "hub", "encoder": "some/encoder", "conditions": ["none", "squad"],
    "targets": ["xquad"], "languages": ["de"], "seeds": [0],
    "intermediate": {"max_length": 128, "stride": 16}, "target": {"max_length": 128, "stride": 16},
}  # fmt: skip


def question(identifier):
    return {"id": identifier, "title": "", "context": "He is old.", "question": "How?",
            "answers": {"text": ["old"], "answer_start": [6]}}  # fmt: skip


@pytest.fixture
def hub(cache, monkeypatch, tiny_encoder):
    """A hub with what the study needs."""
    _, tokenizer = tiny_encoder
    model = tiny_xlmr(len(tokenizer), 16, 2, 2, 32, 128, seed=0).base_model
    model.save_pretrained(cache / "models/some/encoder")
    tokenizer.save_pretrained(cache / "models/some/encoder")
    questions = [question(f"q{k}") for k in range(30)]
    for split in ("train", "validation"):
        name = f"plain_text/{split}-00000-of-00001.parquet"
        put(cache / "data", "rajpurkar/squad", name, questions)
    name = "XQuAD.de/validation-00000-of-00001.parquet"
    put(cache / "data", "google/xtreme", name, questions[:3])
    put(cache / "data", "google/xtreme", name.replace("de", "fr"), questions[:3])
    monkeypatch.setenv("XTSUPPORT_ROOT", str(cache))
    (cache / "online.yaml").write_text(yaml.safe_dump(STUDY))
    server = Hub(cache / "data", cache / "models")
    with running(server) as address:
        monkeypatch.setenv("HF_ENDPOINT", address)
        yield server


def command(capsys, *arguments):
    """(exit code, standard output, lines of standard error) of a command in a new process."""
    forget()
    code = main(list(arguments))
    out, err = capsys.readouterr()
    return code, out, err.splitlines()


def test_sequences_too_long_for_an_encoder_of_the_hub_are_refused_by_plan_and_run(hub, capsys):
    for verb in ("plan", "run"):
        code, _, err = command(capsys, verb, "online.yaml", "--set", "target.max_length=129")
        text = "target.max_length = 129: the encoder takes at most 128 tokens"
        assert (code, err) == (1, [f"xtsupport: error: {text}"])


def test_a_plan_freezes_commits_and_fetches_no_weights(hub, cache, capsys):
    code, out, err = command(capsys, "plan", "online.yaml")
    assert (code, err) == (0, []) and "runs in" in out
    assert json.loads((cache / "outputs/online/commits.json").read_text()) == {
        "datasets/google/xtreme@main": "a" * 40, "models/some/encoder@main": "a" * 40
    }  # fmt: skip
    assert [part for _, part in hub.asked_for("model.safetensors") if part is None] == []
    assert all(part for _, part in hub.asked_for("/elsewhere/"))
    (run,) = (run for run in open_study("online.yaml").plan.runs if run.phase == "intermediate")
    assert run.data["encoder/commit"] == "a" * 40
    assert run.options["commits"] == {"rajpurkar/squad": task("squad").revision}
    (run,) = (run for run in open_study("online.yaml").runs("target", "none"))
    assert run.options["commits"]["google/xtreme"] == "a" * 40
    (run,) = open_study("online.yaml").runs("intermediate")
    old = run.key
    hub.commits = {"google/xtreme": "b" * 40, "some/encoder": "c" * 40}
    code, out, err = command(capsys, "plan", "online.yaml")
    assert code == 0 and len(err) == 2 and "some/encoder: main has moved" in err[1]
    assert open_study("online.yaml").runs("intermediate")[0].key == old
    code, out, err = command(capsys, "plan", "online.yaml", "--update")
    assert (code, err) == (0, [])
    new = open_study("online.yaml").runs("intermediate")[0]
    assert new.key != old and new.data["encoder/commit"] == "c" * 40


def test_an_encoder_at_a_revision(hub, cache):
    hub.tags["some/encoder"] = {"v1": "d" * 40}
    study = open_study("online.yaml", {"encoder": "some/encoder@v1"})
    assert study.runs("intermediate")[0].data["encoder/commit"] == "d" * 40
    model, tokenizer = load_encoder("some/encoder@v1")
    same, _ = load_encoder(cache / "models/some/encoder")
    ids = torch.tensor([tokenizer("He is old.")["input_ids"]])
    with torch.no_grad():
        assert torch.equal(model(ids).last_hidden_state, same(ids).last_hidden_state)
    assert hub.asked_for(f"some/encoder/resolve/{'d' * 40}/model.safetensors")


def test_get_then_without_network(hub, capsys, monkeypatch):
    code, out, _ = command(capsys, "data", "get", "online.yaml")
    assert code == 0 and "google/xtreme/XQuAD.de/validation" in out and "XQuAD.fr" not in out
    assert "plain_text/train" in out and "some/encoder/model.safetensors" in out
    lines = out.splitlines()
    hub.requests.clear()
    code, out, _ = command(capsys, "data", "get", "online.yaml")
    assert code == 0 and hub.requests == []  # everything is there
    assert all(line.endswith("there") for line in out.splitlines()[1:-1])
    assert len(out.splitlines()) == len(lines)
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    code, out, err = command(capsys, "plan", "online.yaml")
    assert (code, err) == (0, [])
    load_encoder("some/encoder")
    (run,) = open_study("online.yaml").runs("intermediate")
    assert len(validation_rows("squad", run)) == 30  # on which phase 2 is scored after training


def test_get_goes_on_after_a_break(hub, cache, capsys):
    hub.fault, hub.only = "500", "elsewhere/models"
    code, _, err = command(capsys, "data", "get", "online.yaml")
    assert code == 1 and len(err) == 1 and "answers 500" in err[0]
    hub.fault = ""
    hub.requests.clear()
    code, _, _ = command(capsys, "data", "get", "online.yaml")
    assert code == 0 and not hub.asked_for("/datasets/rajpurkar")


def test_get_into_a_mirror(hub, cache, capsys, monkeypatch):
    code, out, _ = command(capsys, "data", "get", "online.yaml", "--to", "carried")
    assert code == 0 and "set `data: carried` and `encoder: carried/some/encoder`" in out
    assert not any(path.is_symlink() for path in (cache / "carried").rglob("*"))
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    there = ("--set", "data=carried", "--set", "encoder=./carried/some/encoder")
    code, out, err = command(capsys, "data", "check", "online.yaml", *there)
    assert (code, err) == (0, []) and "present" in out
    assert command(capsys, "plan", "online.yaml", *there)[0] == 0
    load_encoder(cache / "carried/some/encoder")


def test_a_language_from_elsewhere_on_the_hub_has_its_place_in_a_mirror(hub, cache, capsys):
    put(cache / "data", "google/xquad", "xquad.ro/validation-0.parquet", [question("r1")])
    named = ("--set", "languages=[ro]")
    code, _, err = command(capsys, "data", "get", "online.yaml", *named, "--to", "carried")
    assert (code, err) == (0, [])
    there = ("--set", "data=carried", "--set", "encoder=./carried/some/encoder")
    assert command(capsys, "data", "check", "online.yaml", *named, *there)[0] == 0


def test_first_documents_go_into_a_mirror(hub, cache, capsys):
    texts = [{"text": f"Text {k}"} for k in range(500)]
    for code in ("de", "en"):
        name = f"20231101.{code}/train-00000-of-00001.parquet"
        put(cache / "data", "wikimedia/wikipedia", name, texts)
    masked = ("--set", "conditions=[none, squad+mlm]", "--set", "mlm.documents=100")
    code, out, err = command(capsys, "data", "get", "online.yaml", *masked, "--to", "carried")
    assert code == 0, err
    assert "20231101.de/train-00000-of-00001.parquet  100 rows" in out
    from xtsupport.data import rows

    assert rows("wikipedia", "de", "train", cache / "carried") == 100


@pytest.mark.parametrize("fault", ["500", "stall"])
def test_a_silent_hub(hub, capsys, fault):
    """plan: a line under what is missing, and 0; data check: 1."""
    hub.fault = fault
    xlmr = ("--set", "encoder=FacebookAI/xlm-roberta-base")
    start = time.monotonic()
    code, out, err = command(capsys, "plan", "online.yaml", *xlmr)
    assert (code, err) == (0, []) and time.monotonic() - start < 15
    (line,) = (line for line in out.splitlines() if line.startswith("missing"))
    for name in ("rajpurkar/squad", "google/xtreme", "FacebookAI/xlm-roberta-base"):
        assert name in line
    assert "hours on" in out
    code, out, err = command(capsys, "data", "check", "online.yaml", *xlmr)
    assert code == 1 and len(err) == 1 and "unreachable" in out


def test_data_check_touches_the_hub(hub, cache, capsys):
    code, out, err = command(capsys, "data", "check", "online.yaml")
    assert (code, err) == (0, []) and hub.asked_for("/tree/")
    assert "2 splits are on the hub only" in out and "`xtsupport data get online.yaml`" in out
    shutil.rmtree(cache / "data/google/xtreme/XQuAD.de")
    shutil.rmtree(cache / "cache")
    code, _, err = command(capsys, "data", "check", "online.yaml")
    assert code == 1 and "no parquet file of the split 'validation' of 'XQuAD.de'" in err[0]


def test_rows_of_the_hub_are_checked_once_they_are_here(hub, cache, capsys):
    """The hub's own file has its gold hidden: told after it was fetched."""
    blank = {"answers": {"text": [""], "answer_start": [0]}}
    name = "XQuAD.de/validation-00000-of-00001.parquet"
    put(cache / "data", "google/xtreme", name, [question(f"q{k}") | blank for k in range(3)])
    command(capsys, "data", "get", "online.yaml")
    code, out, err = command(capsys, "data", "check", "online.yaml")
    assert code == 1 and len(err) == 1 and "hub only" not in out
    assert "XQuAD.de/validation: none of its" in err[0]
    assert re.search(r"squad +en +train +\d+ +present", out)


# -------------------------------------------------------------------------- encoders at fault


def pointer(folder):
    (folder / "model.safetensors").write_text(
        "version https://git-lfs.github.com/spec/v1\noid sha256:aa\nsize 99\n"
    )


def truncated(folder):
    path = folder / "model.safetensors"
    path.write_bytes(path.read_bytes()[:-100])


def cut_in_header(folder):
    path = folder / "model.safetensors"
    path.write_bytes(path.read_bytes()[:60])


def empty(folder):
    (folder / "model.safetensors").write_bytes(b"")


def other_shapes(folder):
    path = folder / "model.safetensors"
    weights = load_file(path)
    weights["embeddings.word_embeddings.weight"] = torch.zeros(7, 16)
    save_file(weights, path, metadata={"format": "pt"})


def no_weights(folder):
    (folder / "model.safetensors").unlink()
    (folder / "pytorch_model.bin").write_bytes(b"x")


def configured(**changes):
    def change(folder):
        path = folder / "config.json"
        path.write_text(json.dumps(json.loads(path.read_text()) | changes))

    return change


def no_json(folder):
    (folder / "config.json").write_text("{")


def no_tokenizer(folder):
    for path in folder.glob("tokenizer*"):
        path.unlink()


DAMAGE = [
    (no_tokenizer, "has no tokenizer"),
    (pointer, "model.safetensors is a Git LFS pointer"),
    (truncated, r"model.safetensors has [\d,]+ bytes and should have"),
    (cut_in_header, r"model.safetensors \(60 bytes\) is not a safetensors file"),
    (empty, r"model.safetensors \(0 bytes\) is not a safetensors file"),
    (other_shapes, r"embeddings.word_embeddings.weight is \[\d+, 16\], in the weights \[7, 16\]"),
    (no_weights, "has no model.safetensors; pytorch_model.bin is not read"),
    (no_json, "config.json cannot be read"),
    (configured(hidden_size=10**12), "config.json has hidden_size = 10{12}, out of range"),
    (configured(hidden_size=15), "config.json describes no model that can be built"),
    (configured(num_hidden_layers=10**7), "config.json has 10000000 layers, but the weights have"),
    (configured(vocab_size="many"), "config.json describes no model that can be built"),
    (configured(model_type="own", auto_map={"AutoModel": "evil.Model"}), "custom code, which"),
    (configured(model_type="nonsense"), "transformers does not know it"),
    (configured(model_type=None), "model_type None"),
]


@pytest.mark.parametrize(("damage", "words"), DAMAGE)
@pytest.mark.parametrize("where", ["hub", "folder"])
def test_a_damaged_encoder_is_one_line_that_names_the_file(
    hub, cache, capsys, damage, words, where
):
    damage(cache / "models/some/encoder")
    name = "some/encoder" if where == "hub" else "./models/some/encoder"
    with pytest.raises(UserError, match=words) as caught:
        checkpoint.check(name)
    assert len(caught.value.problems) == 1 and len(str(caught.value)) < 600
    if where == "folder":
        code, _, err = command(capsys, "plan", "online.yaml", "--set", f"encoder={name}")
        assert code == 1 and len(err) == 1 and "bug in xtsupport" not in err[0]


@pytest.mark.parametrize("text", ["{", "version https://git-lfs.github.com/spec/v1\noid x\n"])
def test_a_damaged_tokenizer_in_a_folder_is_one_line(hub, cache, capsys, text):
    (cache / "models/some/encoder/tokenizer.json").write_text(text)
    own = "encoder=./models/some/encoder"
    code, _, err = command(capsys, "plan", "online.yaml", "--set", own)
    assert code == 1 and len(err) == 1 and "tokenizer.json cannot be read" in err[0]


@pytest.mark.parametrize("file", ["config.json", "tokenizer_config.json"])
def test_code_of_a_repository_is_never_run_and_never_offered(hub, cache, file, monkeypatch):
    folder = cache / "models/some/encoder"
    stain = cache / "stain"
    (folder / "evil.py").write_text(f"open({str(stain)!r}, 'w').close()\n")
    content = json.loads((folder / file).read_text())
    content["auto_map"] = {"AutoConfig": "evil.C", "AutoModel": "evil.M",
                           "AutoTokenizer": ["evil.T", "evil.T"]}  # fmt: skip
    content |= {"model_type": "own"} if file == "config.json" else {"tokenizer_class": "Own"}
    (folder / file).write_text(json.dumps(content))

    def asked(*_):
        raise AssertionError("a prompt")

    monkeypatch.setattr("builtins.input", asked)
    for name in ("some/encoder", folder):
        try:
            load_encoder(name)
        except UserError as error:
            assert "trust_remote_code" not in str(error)
    assert not stain.exists() and not hub.asked_for("evil.py")


@pytest.mark.parametrize(
    "name", ["~nosuchuser/x", "a\0b", "x" * 5000, "a/b/c", "..", "/dev/null", "https://x.y/z", ""]
)
def test_names_that_cannot_be(hub, cache, capsys, name):
    for key in ("encoder", "data"):
        settings = STUDY | {key: name}
        (cache / "online.yaml").write_text(yaml.safe_dump(settings))
        code, out, err = command(capsys, "plan", "online.yaml")
        missing = [line for line in out.splitlines() if line.startswith("missing")]
        assert code == 1 if key == "encoder" else err or missing  # a mirror may come later
        assert all(len(line) < 700 for line in err + missing), err
        assert not any("bug in xtsupport" in line for line in err), err
    with pytest.raises(UserError):
        checkpoint.check(name)


@pytest.mark.parametrize("name", ["~nosuchuser/x", "x" * 5000, "/dev/null", "online.yaml"])
def test_places_that_cannot_be_written(hub, cache, capsys, name):
    folder = cache / "own" / "xquad"
    folder.mkdir(parents=True)
    article = {"context": "a b", "qas": [
        {"id": "1", "question": "?", "answers": [{"text": "a", "answer_start": 0}]}]}  # fmt: skip
    (folder / "xquad.de.json").write_text(json.dumps({"data": [{"paragraphs": [article]}]}))
    for words in (["data", "get", "online.yaml", "--to", name], ["data", "convert", "own", name]):
        code, _, err = command(capsys, *words)
        assert code == 1 and len(err) == 1 and len(err[0]) < 300, err
        assert "bug in xtsupport" not in err[0]
