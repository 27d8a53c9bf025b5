"""XTREME's download folder, and the files it is made from, as a mirror; every layout made here."""

import csv
import json

import pytest
import yaml

from xtsupport.data import bucc, load, rows
from xtsupport.data.convert import convert
from xtsupport.errors import UserError
from xtsupport.study.cli import main


def write(path, text):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")


def squad(path, questions, **more):
    """Questions [(id, answer)] on one paragraph, in SQuAD's layout."""
    context = "Ada cooked soup in Ulm. Bert ate it."
    asked = [
        {"id": name, "question": "Who?",
         "answers": [{"text": text, "answer_start": context.find(text) if text else 0}]}
        for name, text in questions
    ]  # fmt: skip
    article = {"title": "Soup", "paragraphs": [{"context": context, "qas": asked}]}
    write(path, json.dumps({"version": "1.1", "data": [article]} | more))


def tabs(path, table):
    """As XTREME's utils_preprocess.py writes: the csv module with tabs."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w", encoding="utf-8") as file:
        csv.writer(file, delimiter="\t").writerows(table)


@pytest.fixture
def download(tmp_path):
    """A folder as XTREME's scripts leave it: test sets without labels."""
    root = tmp_path / "download"
    tabs(root / "xnli/train-en.tsv", [["A man.", 'He said "hi".', "entailment"]] * 3)
    tabs(root / "xnli/dev-en.tsv", [["a", "b", "neutral"], ['"q" x', "d", "contradiction"]])
    tabs(root / "xnli/dev-de.tsv", [["ä", "b", "neutral"], ["c", "d", "contradiction"]])
    tabs(root / "xnli/test-de.tsv", [["a", "b"]])
    tabs(root / "pawsx/train-en.tsv", [["a", "b", "1"], ["c", "d", "0"]])
    tabs(root / "pawsx/dev-ja.tsv", [["あ", "い", "1"]])
    write(root / "panx/train-en.tsv", "Ada\tB-PER\nis\tO\n\nUlm\tB-LOC\n\n")
    write(root / "panx/dev-de.tsv", "Ada\tB-PER\n\nin\tO\nUlm\tB-LOC\n")
    write(root / "panx/test-de.tsv", "Ada\n\nin\nUlm\n")
    write(root / "udpos/train-en.tsv", "Ada\tPROPN\ncooks\tVERB\n\n")
    write(root / "udpos/dev-de.tsv", "Ada\tPROPN\nkocht\tVERB\n\nSuppe\tNOUN\n\n")
    squad(root / "squad/train-v1.1.json", [("q1", "Ada"), ("q2", "Ulm")])
    squad(root / "squad/dev-v1.1.json", [("q3", "Bert")])
    squad(root / "xquad/xquad.de.json", [("x1", ""), ("x2", "")])
    squad(root / "mlqa/MLQA_V1/dev/dev-context-de-question-de.json", [("m1", "Ada")])
    squad(root / "mlqa/MLQA_V1/dev/dev-context-de-question-en.json", [("m1", "Ulm")])
    squad(root / "mlqa/MLQA_V1/test/test-context-de-question-de.json", [("m2", "")])
    train = root / "tydiqa/tydiqa-goldp-v1.1-train"
    squad(train / "tydiqa-goldp-v1.1-train.json", [("english-1-1", "Ada"), ("finnish-2-1", "Ulm")])
    squad(train / "tydiqa.goldp.en.train.json", [("1", "Ada")])
    squad(train / "tydiqa.goldp.fi.train.json", [("1", "Ulm")])
    squad(root / "tydiqa/tydiqa-goldp-v1.1-dev/tydiqa.goldp.fi.dev.json", [("finnish-9-1", "")])
    write(root / "tatoeba/de-en.de", "Null\nHund\nApfel\n")
    write(root / "tatoeba/de-en.en", "apple\ndog\nzero\n")
    for end, text in {
        "zh": "zh-1\t一\nzh-2\t二\n",
        "en": "en-1\tone\n",
        "gold": "zh-1\ten-1\n",
    }.items():
        write(root / f"bucc2018/zh-en.dev.{end}", text)
    write(root / "bucc2018/zh-en.test.zh", "zh-1\t一\n")
    write(root / "bucc2018/zh-en.test.en", "en-1\tone\n")
    write(root / "download.log", "Successfully downloaded data\n")
    return root


@pytest.fixture
def mirror(download, tmp_path):
    """(the mirror made of it, the lines that were printed)."""
    return tmp_path / "mirror", list(convert(download, tmp_path / "mirror"))


def test_texts_and_labels(mirror):
    out, _ = mirror
    (first, *_) = load("mnli", "en", "train", out)
    assert (first["text_pair"], first["label"]) == ('He said "hi".', "entailment")
    examples = load("xnli", "en", "validation", out)
    assert examples["text"][:] == ["a", '"q" x']
    assert load("xnli", "de", "validation", out)["label"][:] == ["neutral", "contradiction"]
    assert load("pawsx", "ja", "validation", out)[0]["text"] == "あ"
    assert load("pawsx", "en", "train", out)["label"][:] == ["1", "0"]


def test_words_and_tags(mirror):
    out, _ = mirror
    examples = load("panx", "de", "validation", out)
    assert examples["tokens"][:] == [["Ada"], ["in", "Ulm"]]
    assert examples["tags"][:] == [["B-PER"], ["O", "B-LOC"]]
    assert load("udpos", "de", "validation", out)["tags"][:] == [["PROPN", "VERB"], ["NOUN"]]
    assert rows("udpos", "en", "train", out) == 1


def test_questions(mirror):
    out, _ = mirror
    examples = load("squad", "en", "train", out)
    assert examples["example_id"][:] == ["q1", "q2"]
    assert examples[1]["answers"] == {"text": ["Ulm"], "answer_start": [19]}
    pair = load("mlqa", "de", "validation", out, language_2="en")
    assert pair[0]["answers"]["text"] == ["Ulm"]
    assert load("tydiqa", "fi", "train", out)["example_id"][:] == ["finnish-2-1"]
    assert load("tydiqa", "en", "train", out)["example_id"][:] == ["english-1-1"]


def test_pools(mirror):
    out, _ = mirror
    found = bucc.pools("zh", "validation", out)
    assert found.source == {"zh-1": "一", "zh-2": "二"} and found.gold == [("zh-1", "en-1")]
    assert not bucc.present("zh", "test", out)


def test_what_xtreme_hides_is_left_out_and_named(mirror):
    out, lines = mirror
    left = {line.split(": ")[1]: line for line in lines if line.startswith("left out")}
    assert set(left) == {
        "xnli/test-de.tsv", "panx/test-de.tsv", "xquad/xquad.de.json",
        "mlqa/MLQA_V1/test/test-context-de-question-de.json",
        "tydiqa/tydiqa-goldp-v1.1-dev/tydiqa.goldp.fi.dev.json",
        "tatoeba/de-en.de", "bucc2018/zh-en.test.en",
    }  # fmt: skip
    assert "has no labels" in left["xnli/test-de.tsv"]
    assert "all answers are blank" in left["xquad/xquad.de.json"]
    assert "the English side is sorted" in left["tatoeba/de-en.de"]
    assert not (out / "google/xtreme/tatoeba.deu").exists()


def test_data_check_passes(download, tmp_path, monkeypatch, capsys):
    """The command, the check of a study that evaluates on dev sets, and the hint of `data:`."""
    monkeypatch.setenv("XTSUPPORT_ROOT", str(tmp_path))
    monkeypatch.chdir(tmp_path)
    assert main(["data", "convert", "download", "mirror"]) == 0
    assert "facebook/xnli/de/validation: 2 rows from dev-de.tsv" in capsys.readouterr().out
    targets = ["xnli", "panx", "udpos", "mlqa"]
    study = {
        "study": "own", "data": "mirror", "encoder": "offline-e5", "conditions": ["none", "mnli"],
        "targets": targets, "languages": ["de"], "seeds": [0],
        "evaluation": {"splits": dict.fromkeys(targets, "validation")},
    }  # fmt: skip
    for name, split in (("panx", "en"), ("udpos", "en")):
        write(
            download / f"{name}/dev-{split}.tsv", "Ada\tO\n" if name == "panx" else "Ada\tPROPN\n"
        )
    squad(download / "mlqa/MLQA_V1/dev/dev-context-en-question-en.json", [("m1", "Ada")])
    assert main(["data", "convert", "download", "mirror"]) == 0
    (tmp_path / "own.yaml").write_text(yaml.safe_dump(study))
    assert main(["data", "check", "own.yaml"]) == 0, capsys.readouterr().err
    (tmp_path / "own.yaml").write_text(yaml.safe_dump(study | {"data": "download"}))
    capsys.readouterr()
    assert main(["data", "check", "own.yaml"]) == 1
    assert "`xtsupport data convert download NEW_FOLDER`" in capsys.readouterr().err


def test_files_as_they_are_published(tmp_path):
    """The test sets with labels, which XTREME's folder lacks."""
    root, out = tmp_path / "own", tmp_path / "mirror"
    header = "\t".join(f"c{k}" for k in range(19))
    row = ["de", "contradictory", *["-"] * 4, 'Er sagt "nein', "Ja", *["-"] * 11]
    lines = [header, "\t".join(row), "\t".join(["th", "neutral", *row[2:]])]
    write(root / "XNLI-1.0/xnli.test.tsv", "\n".join(lines) + "\n")
    write(root / "x-final/de/test_2k.tsv", 'id\tsentence1\tsentence2\tlabel\n1\t"a" b\tc\t0\n')
    write(root / "panx_dataset/de-test", "de:Ada\tB-PER\nde:de:x\tO\n\nde:Ulm\tB-LOC\n\n")
    first = "# sent_id = 1\n1-2\tzum\t_\t_\t_\t_\t_\t_\t_\t_\n"
    words = [("1", "zu", "ADP"), ("2", "dem", "DET"), ("2.1", "x", "X"), ("3", "Haus", "NOUN")]
    tree = "".join(f"{n}\t{w}\t_\t{t}\t_\t_\t_\t_\t_\t_\n" for n, w, t in words)
    write(root / "UD_German-GSD/de_gsd-ud-test.conllu", first + tree + "\n")
    write(root / "UD_German-PUD/de_pud-ud-test.conllu", tree + "\n")
    squad(root / "xquad.de.json", [("x1", "Ada")])
    squad(root / "train-v2.0.json", [("q1", "Ada")])
    squad(root / "tydiqa-goldp-v1.1-dev/tydiqa-goldp-dev-finnish.json", [("finnish-9-1", "Ada")])
    squad(root / "tydiqa-goldp-v1.1-dev/tydiqa-goldp-dev-korean.json", [("korean-9-1", "Ulm")])
    write(root / "v1/tatoeba.deu-eng.deu", "Null\nHund\nApfel\n")
    write(root / "v1/tatoeba.deu-eng.eng", "zero\ndog\napple\n")
    lines = list(convert(root, out))
    assert not any("left out" in line for line in lines)
    (example,) = load("xnli", "de", "test", out)
    assert (example["text"], example["label"]) == ('Er sagt "nein', "contradiction")
    assert load("xnli", "th", "test", out)[0]["label"] == "neutral"
    assert load("pawsx", "de", "test", out)[0]["text"] == '"a" b'
    assert load("panx", "de", "test", out)["tokens"][:] == [["Ada", "de:x"], ["Ulm"]]
    assert load("udpos", "de", "test", out)["tokens"][:] == [["zu", "dem", "Haus"]] * 2
    assert load("xquad", "de", None, out)[0]["answers"]["text"] == ["Ada"]
    assert load("squad_v2", "en", "train", out)["example_id"][:] == ["q1"]
    assert load("tydiqa", "ko", "validation", out)["example_id"][:] == ["korean-9-1"]
    assert load("tatoeba", "de", None, out)[1]["text_2"] == "dog"


def test_languages_of_xtreme_r(tmp_path):
    root, out = tmp_path / "own", tmp_path / "mirror"
    write(root / "panx/test-gu.tsv", "અમદાવાદ\tB-LOC\n")
    write(root / "udpos/test-wo.tsv", "dem\tVERB\n")
    write(root / "tatoeba.ron-eng.ron", "Zero\nCâine\nMăr\n")
    write(root / "tatoeba.ron-eng.eng", "zero\ndog\napple\n")
    squad(root / "xquad.ro.json", [("x1", "Ada")])
    list(convert(root, out))
    assert load("panx", "gu", None, out)["tags"][:] == [["B-LOC"]]
    assert load("udpos", "wo", None, out)["tags"][:] == [["VERB"]]
    assert load("tatoeba", "ro", None, out)["text"][:] == ["Zero", "Câine", "Măr"]
    assert load("xquad", "ro", None, out)["example_id"][:] == ["x1"]


def test_tydiqa_per_language_gets_ids_of_its_own(tmp_path):
    """XTREME cuts ids to their last part, which repeats."""
    folder = tmp_path / "download/tydiqa/tydiqa-goldp-v1.1-train"
    squad(folder / "tydiqa.goldp.en.train.json", [("1", "Ada"), ("1", "Ulm")])
    squad(folder / "tydiqa.goldp.fi.train.json", [("1", "Ulm")])
    list(convert(tmp_path / "download", tmp_path / "mirror"))
    assert load("tydiqa", "en", "train", tmp_path / "mirror")["example_id"][:] == [
        "english-0-1", "english-1-1"
    ]  # fmt: skip


WRONG = [
    (
        "xnli/dev-de.tsv",
        "a\tb\tneutral\na\n",
        "line 2: has 1 tab-separated columns.* expected 3$",
    ),
    (
        "xnli/dev-de.tsv",
        "a\tb\tneutral\na\tb\n",
        "line 2: has 2 tab-separated",
    ),  # not hidden labels
    (
        "xnli/dev-de.tsv",
        "a b neutral\n",
        "line 1: has 1 tab-separated columns.* expected 3 or 2",
    ),
    ("xnli/dev-de.tsv", "a\tb\tmaybe\n", "dev-de.tsv: xnli: column 'label' has the label"),
    ("xnli/dev-de.tsv", "", "dev-de.tsv: has no rows"),
    ("udpos/dev-de.tsv", "a\tb\tc\n", "line 1: expected a word, a tab and a tag"),
    ("udpos/dev-de.tsv", "a\tNOUN\nb\n", "line 2: expected a word, a tab and a tag"),
    (
        "udpos/dev-de.tsv",
        "a NOUN\n\nb VERB\n",
        "line 1: .* a tab and a tag, not a space",
    ),
    ("udpos/dev-de.tsv", "a\tWORD\n", "has the label 'WORD'"),
    ("panx/dev-de.tsv", "a\tO\nb\t\n", "has tags that are hidden or null beside others"),
    ("x/de_x-ud-dev.conllu", "1\ta\n", "line 1: expected the 10 columns"),
    ("squad/train-v1.1.json", "{", "not JSON in SQuAD's format"),
    ("squad/train-v1.1.json", '{"data": [{}]}', "not JSON in SQuAD's format"),
    ("tatoeba.deu-eng.deu", "a\nb\n", "tatoeba.deu-eng.eng: is missing"),
    ("notes.txt", "x", "no known file with labels is here"),
]


@pytest.mark.parametrize(("name", "text", "words"), WRONG)
def test_files_that_are_not_what_they_say(tmp_path, name, text, words):
    write(tmp_path / "own" / name, text)
    with pytest.raises(UserError, match=words) as caught:
        list(convert(tmp_path / "own", tmp_path / "mirror"))
    assert len(caught.value.problems) == 1 and not (tmp_path / "mirror").exists()


def test_bad_files_do_not_keep_the_others_from_being_read(download, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    write(download / "pawsx/dev-de.tsv", "a\tb\n1\n")
    (download / "panx/dev-fr.tsv").write_bytes("é\tO\n".encode("latin-1"))
    squad(download / "tydiqa/tydiqa-goldp-v1.1-dev/tydiqa-goldp-dev-korean.json", [("k-1", "Ada")])
    write(download / "tydiqa/tydiqa-goldp-v1.1-dev/tydiqa-goldp-dev-thai.json", "[]")
    write(download / "bucc2018/zh-en.dev.gold", "zh-1\ten-9\n")
    assert main(["data", "convert", "download", "mirror"]) == 1
    said = capsys.readouterr()
    named = [line.rpartition("/")[2] for line in said.err.splitlines()]
    assert [name.partition(":")[0].partition(",")[0] for name in named] == [
        "dev-fr.tsv", "dev-de.tsv", "tydiqa-goldp-dev-thai.json", "zh-en.dev.gold"
    ]  # fmt: skip
    assert "is not UTF-8 text (byte 0)" in named[0]
    assert "left out: tydiqa en validation: another of its files cannot be read" in said.out
    out = tmp_path / "mirror"
    assert load("xnli", "de", "validation", out).num_rows == 2
    assert not (out / "bucc2018").exists() and not list(out.rglob("tydiqa/validation*"))


@pytest.mark.parametrize(
    ("lines", "texts"),
    [
        (['"Hi" he said.\tHi.\t1'], ['"Hi" he said.', "Hi."]),
        (['"Hi."\t"No" he said.\t1'], ['"Hi."', '"No" he said.']),
        (['"Yes.\tNo."\t1'], ['"Yes.', 'No."']),
        (['"Yes.\tNo.\t1', *["a sentence\tanother\t0"] * 9000], ['"Yes.', "No."]),
        (['"Hi ""Ada""."\tHi.\t1', "", "a\tb\t0"], ['Hi "Ada".', "Hi."]),  # csv's own
        (['"Hi."\t"a ""b"""\t"1"'], ["Hi.", 'a "b"']),  # with quotes around all fields
    ],
)
def test_quotes_belong_to_the_text_unless_csv_wrote_them(tmp_path, lines, texts):
    write(tmp_path / "own/pawsx/dev-de.tsv", "\n".join(lines) + "\n")
    list(convert(tmp_path / "own", tmp_path / "out"))
    first = load("pawsx", "de", "validation", tmp_path / "out")[0]
    assert [first["text"], first["text_pair"], first["label"]] == [*texts, "1"]


def test_utf_16_is_read_as_what_it_is(tmp_path):
    folder, out = tmp_path / "own/udpos", tmp_path / "mirror"
    folder.mkdir(parents=True)
    (folder / "dev-de.tsv").write_text(
        "Füße\tNOUN\r\n\r\nda\tADV\r\n", encoding="utf-16", newline=""
    )
    list(convert(tmp_path / "own", out))
    assert load("udpos", "de", "validation", out)["tokens"][:] == [["Füße"], ["da"]]


def test_the_same_split_from_two_files(tmp_path):
    """Once where the rows are the same, refused where they differ."""
    root, out = tmp_path / "own", tmp_path / "mirror"
    squad(root / "a/xquad.de.json", [("x1", "Ada")])
    squad(root / "b/xquad.de.json", [("x1", "Ada")])
    list(convert(root, out))
    assert load("xquad", "de", None, out).num_rows == 1
    squad(root / "b/xquad.de.json", [("x1", "Ulm")])
    with pytest.raises(UserError, match=r"b/xquad.de.json: has other rows .* than .*a/xquad.de"):
        list(convert(root, out))
