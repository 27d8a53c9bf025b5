"""Readers of published files: what is in XTREME's download folder, and what that is made from.

A reader gives the parts of a file; which one reads it, and of what task, language and split it is,
its name says (`READERS`).
"""

import csv
import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from xtsupport import tables
from xtsupport.errors import UserError

SPLITS = {"train": "train", "dev": "validation", "val": "validation", "test": "test",
          "dev_2k": "validation", "test_2k": "test"}  # fmt: skip
SORTED = (
    "the English side is sorted, as XTREME does it, so that nobody knows the pairs; take "
    "tatoeba.*-eng.* of LASER's data/tatoeba/v1"
)
BLANK = "all answers are blank (XTREME takes them out of its test sets)"
GONE = "has no labels (XTREME takes them out of its test sets)"


@dataclass(frozen=True)
class Part:
    """Rows of one split; `why` they cannot be used, where they cannot."""

    task: str
    language: str
    split: str
    rows: list[dict]
    why: str = ""
    language_2: str | None = None


def recognised(folder: Path) -> Iterator[tuple[Path, re.Match, object]]:
    """(file, match, reader) of every file whose name is known, sorted."""
    for path in sorted(path for path in folder.rglob("*") if path.is_file()):
        name = path.relative_to(folder.parent).as_posix()
        for pattern, reader in READERS:
            if hit := re.search(pattern + "$", name):
                yield path, hit, reader
                break


# ------------------------------------------------------------------------------- texts and labels


def _tab_rows(path: Path, columns: tuple[int, ...], published: bool = False) -> list[list[str]]:
    """Fields of a file with tabs: XTREME's are quoted as csv does it, published ones never are.

    A published one has a header, which is left out.
    """
    lines = path.read_text(encoding="utf-8-sig").split("\n")[int(published) :]
    rows = [line.rstrip("\r").split("\t") for line in lines]
    if not published:
        quoted = list(csv.reader((f"{line}\n" for line in lines), delimiter="\t"))
        if not any("\n" in field for row in quoted for field in row):  # else it is not quoted
            rows = quoted
    for number, row in enumerate(rows, 1 + published):
        if any(row) and len(row) not in columns:
            allowed = f"{columns[0]} or {columns[-1]}" if len(columns) > 1 else columns[0]
            raise UserError(f"{path}, line {number}: has {len(row)} columns with tabs between; "
                            f"expected {allowed}")  # fmt: skip
    return [row for row in rows if any(row)]


def _pairs(path, hit):
    """XTREME's xnli and pawsx. Its training set of xnli is MNLI."""
    task, split, code = hit["task"], SPLITS[hit["split"]], hit["code"]
    rows = _tab_rows(path, (2, 3))
    why = GONE if any(len(row) == 2 for row in rows) else ""
    names = ("premise", "hypothesis") if task == "xnli" else ("sentence1", "sentence2")
    found = [] if why else [dict(zip((*names, "label"), row, strict=True)) for row in rows]
    task = "mnli" if (task, split, code) == ("xnli", "train", "en") else task
    yield Part(task, code, split, found, why)


def _xnli(path, hit):
    """XNLI as published: all languages in one file, with a header."""
    by_code: dict[str, list] = {}
    for row in _tab_rows(path, (19,), published=True):
        by_code.setdefault(row[0], []).append(
            {"premise": row[6], "hypothesis": row[7],
             "label": row[1].replace("contradictory", "contradiction")}
        )  # fmt: skip
    for code, rows in by_code.items():
        yield Part("xnli", code, SPLITS[hit["split"]], rows)


def _pawsx(path, hit):
    """PAWS-X as published: number, two sentences, label, with a header."""
    rows = _tab_rows(path, (4,), published=True)
    found = [{"sentence1": a, "sentence2": b, "label": label} for _, a, b, label in rows]
    yield Part("pawsx", hit["code"], SPLITS[hit["split"]], found)


def _xcopa(path, hit):
    lines = path.read_text(encoding="utf-8-sig").splitlines()
    if hit["code"] in tables.task("xcopa").languages:
        rows = [json.loads(line) for line in lines if line.strip()]
        why = "" if all("label" in row for row in rows) else GONE
        yield Part("xcopa", hit["code"], SPLITS[hit["split"]], rows, why)


# ------------------------------------------------------------------------------------- words


def _words(path, hit):
    """A word and its tag a line, an empty line after each sentence."""
    column = "ner_tags" if hit["task"] == "panx" else "pos_tags"
    prefix = f"{hit['code']}:" if not path.suffix else ""  # of WikiAnn's own files
    sentences, why = [[]], ""
    for number, line in enumerate(path.read_text(encoding="utf-8-sig").split("\n"), 1):
        fields = line.rstrip("\r").split("\t")
        if not line.strip():
            sentences.append([])
        elif len(fields) == 1:
            why = GONE
        elif len(fields) == 2:
            sentences[-1].append((fields[0].removeprefix(prefix), fields[1].strip()))
        else:
            raise UserError(f"{path}, line {number}: expected a word, a tab and a tag")
    yield Part(hit["task"], hit["code"], SPLITS[hit["split"]], _tagged(sentences, column), why)


def _conllu(path, hit):
    """A treebank; ranges and empty nodes, whose numbers are no whole ones, are no words."""
    if hit["code"] not in tables.task("udpos").every_language:
        return
    sentences = [[]]
    for number, line in enumerate(path.read_text(encoding="utf-8-sig").split("\n"), 1):
        fields = line.split("\t")
        if not line.strip():
            sentences.append([])
        elif line.startswith("#"):
            continue
        elif len(fields) != 10:
            raise UserError(f"{path}, line {number}: expected the 10 columns of CoNLL-U")
        elif fields[0].isdecimal():
            sentences[-1].append((fields[1], fields[3]))
    yield Part("udpos", hit["code"], SPLITS[hit["split"]], _tagged(sentences, "pos_tags"))


def _tagged(sentences, column):
    return [
        {"tokens": [word for word, _ in sentence], column: [tag for _, tag in sentence]}
        for sentence in sentences
        if sentence
    ]


# ---------------------------------------------------------------------------------- questions


def _questions(path: Path, prefix: str = "") -> tuple[list[dict], str]:
    """(rows of SQuAD's columns, why they cannot be used); `prefix` and a number go before ids."""
    try:
        articles = json.loads(path.read_text(encoding="utf-8-sig"))["data"]
        rows = [
            {"id": question["id"], "title": article.get("title", ""), "context": part["context"],
             "question": question["question"],
             "answers": {"text": [a["text"] for a in question["answers"]],
                         "answer_start": [a["answer_start"] for a in question["answers"]]}}
            for article in articles for part in article["paragraphs"] for question in part["qas"]
        ]  # fmt: skip
    except (ValueError, KeyError, TypeError) as error:
        reason = f"{type(error).__name__}: {error}"
        raise UserError(f"{path}: not JSON as SQuAD has it ({reason})") from error
    given = [text for row in rows for text in row["answers"]["text"]]
    why = BLANK if given and not any(text.strip() for text in given) else ""
    if prefix:
        rows = [row | {"id": f"{prefix}-{k}-{row['id']}"} for k, row in enumerate(rows)]
    return rows, why


def _squad(path, hit):
    task = "squad" if hit["version"].startswith("1") else "squad_v2"
    yield Part(task, "en", SPLITS[hit["split"]], *_questions(path))


def _xquad(path, hit):
    yield Part("xquad", hit["code"], "validation", *_questions(path))


def _mlqa(path, hit):
    rows, why = _questions(path)
    yield Part("mlqa", hit["code"], SPLITS[hit["split"]], rows, why, hit["code_2"])


def _tydiqa(path, hit):
    """Ids begin with the language's name: the file of all languages is told apart by them."""
    found = hit.groupdict()
    whole = path.parent.parent.glob("**/tydiqa-goldp-v1.1-train.json")
    split, name = SPLITS[found["split"]], ""
    if "code" in found:
        name = tables.language(found["code"]).name.lower()
        if split == "train" and any(whole):
            return  # XTREME made its files per language out of that one
    yield Part("tydiqa", name or "all", split, *_questions(path, name))


# --------------------------------------------------------------------------------- retrieval


def _tatoeba(path, hit):
    """Line k of one file is the translation of line k of the other."""
    by_code = {row.tatoeba: code for code, row in tables.languages().items() if row.tatoeba}
    code, english = by_code.get(hit["code"], hit["code"]), path.with_suffix(f".{hit['end']}")
    if code not in tables.task("tatoeba").every_language:
        return
    sides = [_lines(path), _lines(english)]
    if len(sides[0]) != len(sides[1]):
        raise UserError(f"{path}: {len(sides[0])} lines, but {english.name} has {len(sides[1])}")
    why = SORTED if len(sides[1]) > 2 and sides[1] == sorted(sides[1]) else ""
    rows = [{"source_sentence": a, "target_sentence": b} for a, b in zip(*sides, strict=True)]
    yield Part("tatoeba", code, "validation", rows, why)


def _lines(path):
    if not path.is_file():
        raise UserError(f"{path}: is missing; its other side is there")
    return [line.strip() for line in path.read_text(encoding="utf-8-sig").rstrip("\n").split("\n")]


CODE = r"(?P<code>[a-z]{2,3})"
READERS = (
    (rf"(?P<task>xnli|pawsx)/(?P<split>train|dev|test)-{CODE}\.tsv", _pairs),
    (r"xnli\.(?P<split>dev|test)\.tsv", _xnli),
    (rf"/{CODE}/(?P<split>train|dev_2k|test_2k)\.tsv", _pawsx),
    (rf"(?P<task>panx|udpos)/(?P<split>train|dev|test)-{CODE}\.(tsv|conll|txt)", _words),
    (rf"(?P<task>panx)\w*/{CODE}-(?P<split>train|dev|test)", _words),
    (rf"/{CODE}_[\w.]+-ud-(?P<split>train|dev|test)\.conllu", _conllu),
    (r"/(?P<split>train|dev)-v(?P<version>1\.1|2\.0)\.json", _squad),
    (rf"xquad\.{CODE}\.json", _xquad),
    (rf"(?P<split>dev|test)-context-{CODE}-question-(?P<code_2>[a-z]+)\.json", _mlqa),
    (rf"tydiqa\.goldp\.{CODE}\.(?P<split>train|dev)\.json", _tydiqa),
    (r"tydiqa-goldp-v1\.1-(?P<split>train|dev)\.json", _tydiqa),
    (r"tydiqa-goldp-(?P<split>dev)-[a-z]+\.json", _tydiqa),
    (rf"/(?P<split>val|test)\.{CODE}\.jsonl", _xcopa),
    (r"tatoeba\.(?P<code>[a-z]{3})-(?P<end>eng)\.(?P=code)", _tatoeba),
    (rf"tatoeba/{CODE}-(?P<end>en)\.(?P=code)", _tatoeba),
)
