"""CCGbank in both layouts, on made-up sentences."""

import pytest

from xtsupport.data import available, load, rows
from xtsupport.errors import UserError

AUTO = """ID=wsj_0200.1 PARSER=GOLD NUMPARSE=1
(<T S[dcl] 0 2> (<L NP NNP NNP Kim NP>) (<L S[dcl]\\NP VBZ VBZ sleeps S[dcl]\\NP_1>) )
ID=wsj_0200.2 PARSER=GOLD NUMPARSE=1
(<T NP 0 1> (<L NP DT DT This NP>) )
"""


@pytest.fixture
def corpus(tmp_path):
    for section, text in (("02", AUTO), ("00", AUTO.split("ID=wsj_0200.2")[0])):
        place = tmp_path / "ccgbank" / "data" / "AUTO" / section
        place.mkdir(parents=True)
        (place / f"wsj_{section}00.auto").write_text(text, encoding="utf-8")
    return tmp_path


def test_corpus_as_distributed(corpus):
    examples = load("ccg", "en", "train", corpus)
    assert rows("ccg", "en", "train", corpus) == len(examples) == 2
    assert examples[0]["tokens"] == ["Kim", "sleeps"]
    assert examples[0]["tags"] == ["NP", "S[dcl]\\NP"]
    assert len(load("ccg", data=corpus)) == 1


def test_one_sentence_a_line(tmp_path):
    (tmp_path / "ccgbank").mkdir()
    path = tmp_path / "ccgbank" / "test.txt"
    path.write_text("Kim|NNP|NP sleeps|VBZ|S[dcl]\\NP .|.|.\n\nThis|DT|NP\n", encoding="utf-8")
    examples = load("ccg", "en", "test", tmp_path)
    assert examples["tags"][:] == [["NP", "S[dcl]\\NP", "."], ["NP"]]
    path.write_text("\ufeffKim|NNP|NP\n", encoding="utf-8")
    assert load("ccg", "en", "test", tmp_path)["tokens"][:] == [["Kim"]]
    path.write_bytes("Zoë|NNP|NP\n".encode("latin-1"))
    with pytest.raises(UserError, match=r"test.txt: is not UTF-8 text \(byte 2\)"):
        load("ccg", "en", "test", tmp_path)
    path.write_text("Kim|NP\n", encoding="utf-8")
    with pytest.raises(UserError, match=r"test.txt, line 1: expected word\|POS\|supertag"):
        load("ccg", "en", "test", tmp_path)


def test_absent_corpus_says_what_to_get_and_where_to_put_it(tmp_path, monkeypatch):
    monkeypatch.setenv("XTSUPPORT_DATA", str(tmp_path / "own"))
    for data in (tmp_path, "hub"):
        with pytest.raises(UserError, match=r"own/ccgbank: buy CCGbank \(LDC2005T13\)"):
            load("ccg", "en", "train", data)
    assert not available("ccg", "en", "train", tmp_path)


def test_unknown_split(corpus):
    with pytest.raises(UserError, match="ccg: unknown split 'validation'; allowed: train, dev"):
        load("ccg", "en", "validation", corpus)
