"""Readers of published files: what is in XTREME's download folder, and what that is made from.

A reader gives the parts of a file; which one reads it, and of what task, language and split it is,
its name says (`READERS`).
"""

import csv
import io
import json
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from itertools import groupby
from pathlib import Path

from xtsupport import tables
from xtsupport.errors import UserError
from xtsupport.files import read_text

SPLITS = {"train": "train", "dev": "validation", "test": "test",
          "dev_2k": "validation", "test_2k": "test"}  # fmt: skip
SORTED = ("the English side is sorted, as XTREME does it, so the pairs are lost; use "
          "tatoeba.*-eng.* of LASER's data/tatoeba/v1")  # fmt: skip
BLANK = "all answers are blank (XTREME removes them from its test sets)"
GONE = "has no labels (XTREME removes them from its test sets)"


@dataclass(frozen=True)
class SplitRows:
    """Rows of one split; `why` they cannot be used, where they cannot."""

    task: str
    language: str
    split: str
    rows: list[dict]
    why: str = ""
    language_2: str | None = None


def recognised(folder: Path) -> Iterator[tuple[Path, re.Match, Callable]]:
    """(file, match, reader) of every file whose name is known, sorted."""
    for path in sorted(path for path in folder.rglob("*") if path.is_file()):
        name = path.relative_to(folder.parent).as_posix()
        for pattern, reader in READERS:
            if hit := re.search(pattern + "$", name):
                yield path, hit, reader
                break


def joined(path: Path, hit: re.Match, reader) -> tuple:
    """Equal for files that make up a split together: treebanks, the languages of TyDiQA."""
    if reader not in (_conllu, _tydiqa):
        return (path,)
    return reader, SPLITS[hit["split"]], hit["code"] if reader is _conllu else ""


def _tab_rows(path: Path, columns: tuple[int, ...], published: bool = False) -> list[list[str]]:
    """Fields of a file with tabs: XTREME's are quoted as csv does it, published ones never are.

    A published one has a header, which is left out. All rows have as many columns as the first,
    and that is one of `columns`.
    """
    lines = read_text(path).split("\n")[int(published) :]
    rows = (None if published else _unquoted(lines)) or [line.split("\t") for line in lines]
    found = [(number, row) for number, row in enumerate(rows, 1 + published) if any(row)]
    wanted = next((len(row) for _, row in found[:1] if len(row) in columns), None)
    for number, row in found:
        if len(row) != wanted:
            allowed = " or ".join(map(str, columns if wanted is None else [wanted]))
            raise UserError(f"{path}, line {number}: has {len(row)} tab-separated columns; "
                            f"expected {allowed}")  # fmt: skip
    return [row for _, row in found]


def _unquoted(lines: list[str]) -> list[list[str]] | None:
    """Fields of lines that a csv writer made, None for others: in them a quote is a quote."""
    try:
        rows = [next(csv.reader([line], delimiter="\t", strict=True), []) for line in lines]
    except csv.Error:
        return None
    if any("\t" in field for row in rows for field in row):  # no text of XTREME has one
        return None
    for style in (csv.QUOTE_MINIMAL, csv.QUOTE_ALL):
        made = io.StringIO()
        csv.writer(made, delimiter="\t", quoting=style, lineterminator="\n").writerows(rows)
        if made.getvalue().split("\n")[:-1] == lines:
            return rows
    return None


def _pairs(path, hit):
    """XTREME's xnli and pawsx. Its training set of xnli is MNLI."""
    task, split, code = hit["task"], SPLITS[hit["split"]], hit["code"]
    rows = _tab_rows(path, (3, 2))
    why = GONE if rows and len(rows[0]) == 2 else ""
    names = ("premise", "hypothesis") if task == "xnli" else ("sentence1", "sentence2")
    found = [] if why else [dict(zip((*names, "label"), row, strict=True)) for row in rows]
    task = "mnli" if (task, split, code) == ("xnli", "train", "en") else task
    yield SplitRows(task, code, split, found, why)


def _xnli(path, hit):
    """XNLI as published: all languages in one file, with a header."""
    by_code: dict[str, list] = {}
    for row in _tab_rows(path, (19,), published=True):
        by_code.setdefault(row[0], []).append(
            {"premise": row[6], "hypothesis": row[7],
             "label": row[1].replace("contradictory", "contradiction")}
        )  # fmt: skip
    for code, rows in by_code.items():
        yield SplitRows("xnli", code, SPLITS[hit["split"]], rows)


def _pawsx(path, hit):
    """PAWS-X as published: number, two sentences, label, with a header."""
    rows = _tab_rows(path, (4,), published=True)
    found = [{"sentence1": a, "sentence2": b, "label": label} for _, a, b, label in rows]
    yield SplitRows("pawsx", hit["code"], SPLITS[hit["split"]], found)


def _words(path, hit):
    """A word and its tag a line, an empty line after each sentence."""
    column = "ner_tags" if hit["task"] == "panx" else "pos_tags"
    prefix = f"{hit['code']}:" if not path.suffix else ""  # of WikiAnn's own files
    lines = [line.split("\t") if line.strip() else [] for line in read_text(path).split("\n")]
    wrong = next((n for n, fields in enumerate(lines, 1) if fields and len(fields) != 2), 0)
    words = [fields[0].split() for fields in lines if fields]
    known = tables.task(hit["task"]).labels
    blanks = all(len(each) == 2 and each[-1] in known for each in words)  # in place of tabs
    bare = wrong and not blanks and all(len(fields) < 2 for fields in lines)
    if wrong and not bare:
        raise UserError(f"{path}, line {wrong}: expected a word, a tab and a tag"
                        + ", not a space" * blanks)  # fmt: skip
    pairs = [(fields[0].removeprefix(prefix), fields[1].strip()) if fields else ()
             for fields in ([] if bare else lines)]  # fmt: skip
    rows, why = _tagged(pairs, column), GONE if bare else ""
    yield SplitRows(hit["task"], hit["code"], SPLITS[hit["split"]], rows, why)


def _conllu(path, hit):
    """A treebank; ranges and empty nodes, whose numbers are no whole ones, are no words."""
    if hit["code"] not in tables.task("udpos").every_language:
        return
    pairs: list[tuple] = []
    for number, line in enumerate(read_text(path).split("\n"), 1):
        fields = line.split("\t")
        if not line.strip():
            pairs.append(())
        elif line.startswith("#"):
            continue
        elif len(fields) != 10:
            raise UserError(f"{path}, line {number}: expected the 10 columns of CoNLL-U")
        elif fields[0].isdecimal():
            pairs.append((fields[1], fields[3]))
    yield SplitRows("udpos", hit["code"], SPLITS[hit["split"]], _tagged(pairs, "pos_tags"))


def _tagged(pairs, column):
    """Rows of (word, tag) pairs, with empty ones between sentences."""
    sentences = (zip(*each, strict=True) for words, each in groupby(pairs, bool) if words)
    return [{"tokens": list(words), column: list(tags)} for words, tags in sentences]


def _questions(path: Path, prefix: str = "") -> tuple[list[dict], str]:
    """(rows of SQuAD's columns, why they cannot be used); `prefix` and a number go before ids."""
    text = read_text(path)
    try:
        articles = json.loads(text)["data"]
        rows = [
            {"id": question["id"], "title": article.get("title", ""), "context": part["context"],
             "question": question["question"],
             "answers": {"text": [a["text"] for a in question["answers"]],
                         "answer_start": [a["answer_start"] for a in question["answers"]]}}
            for article in articles for part in article["paragraphs"] for question in part["qas"]
        ]  # fmt: skip
    except (ValueError, KeyError, TypeError) as error:
        reason = f"{type(error).__name__}: {error}"
        raise UserError(f"{path}: not JSON in SQuAD's format ({reason})") from error
    given = [text for row in rows for text in row["answers"]["text"]]
    why = BLANK if given and not any(text.strip() for text in given) else ""
    if prefix:
        rows = [row | {"id": f"{prefix}-{k}-{row['id']}"} for k, row in enumerate(rows)]
    return rows, why


def _qa(task, path, hit):
    """SQuAD, XQuAD and MLQA: the file's name says language and split where there are several."""
    found = {"code": "en", "split": "dev", "code_2": None} | hit.groupdict()
    rows, why = _questions(path)
    yield SplitRows(task, found["code"], SPLITS[found["split"]], rows, why, found["code_2"])


def _tydiqa(path, hit):
    """Ids begin with the language's name: the file of all languages is told apart by them."""
    found = hit.groupdict()
    split, name = SPLITS[found["split"]], ""
    if "code" in found:
        name = tables.language(found["code"], "hub").name.lower()
    yield SplitRows("tydiqa", name or "all", split, *_questions(path, name))


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
    yield SplitRows("tatoeba", code, "validation", rows, why)


def _lines(path):
    if not path.is_file():
        raise UserError(f"{path}: is missing; its other side is there")
    return [line.strip() for line in read_text(path).rstrip("\n").split("\n")]


CODE = r"(?P<code>[a-z]{2,3})"
READERS = (
    (rf"(?P<task>xnli|pawsx)/(?P<split>train|dev|test)-{CODE}\.tsv", _pairs),
    (r"xnli\.(?P<split>dev|test)\.tsv", _xnli),
    (rf"/{CODE}/(?P<split>train|dev_2k|test_2k)\.tsv", _pawsx),
    (rf"(?P<task>panx|udpos)/(?P<split>train|dev|test)-{CODE}\.(tsv|conll|txt)", _words),
    (rf"(?P<task>panx)\w*/{CODE}-(?P<split>train|dev|test)", _words),
    (rf"/{CODE}_[\w.]+-ud-(?P<split>train|dev|test)\.conllu", _conllu),
    (r"/(?P<split>train|dev)-v1\.1\.json", partial(_qa, "squad")),
    (r"/(?P<split>train|dev)-v2\.0\.json", partial(_qa, "squad_v2")),
    (rf"xquad\.{CODE}\.json", partial(_qa, "xquad")),
    (
        rf"(?P<split>dev|test)-context-{CODE}-question-(?P<code_2>\w+)\.json",
        partial(_qa, "mlqa"),
    ),
    (rf"tydiqa\.goldp\.{CODE}\.(?P<split>train|dev)\.json", _tydiqa),
    (r"tydiqa-goldp-v1\.1-(?P<split>train|dev)\.json", _tydiqa),
    (r"tydiqa-goldp-(?P<split>dev)-[a-z]+\.json", _tydiqa),
    (r"tatoeba\.(?P<code>[a-z]{3})-(?P<end>eng)\.(?P=code)", _tatoeba),
    (rf"tatoeba/{CODE}-(?P<end>en)\.(?P=code)", _tatoeba),
)
