"""Check the rows of a split: problems are corrected, counted or refused.

load() and `data check` do this. Corrected: answers whose `answer_start` is wrong, if it is clear
which place is meant. Counted: those, answers that are nowhere in their context, rows without a gold
label, and rows without a text, which are left out. Counted but kept, because the official scores
count them: rows with a blank text, word or option, or with the id of another row. Refused, in one
line: a split whose gold is hidden, too many answers that are nowhere or texts that are blank, and
tags that are not one per token.
"""

import re
import unicodedata
from functools import cache, reduce

import pyarrow as pa
import pyarrow.compute as pc

from xtsupport.errors import UserError, shorten
from xtsupport.tables import Task

BLANK = r"^[\p{Z}\p{Cc}\p{Cf}]*$"  # of what `unseen` tells
NEAR = 32  # characters around `answer_start` in which an answer is looked for
MOST = 0.05  # share of the rows whose answers may have no place, or whose text may be blank
TEXTS = {
    "classification": ("text",),
    "choice": ("context", "question"),  # one of them may be blank
    "span": ("question", "context"),
    "tagging": ("tokens",),
    "retrieval": ("text", "text_2"),
    "masked": ("text",),
}


def sound(examples: pa.Table, raw_rows: int, task: Task, name: str) -> tuple[pa.Table, dict]:
    """The examples with what could be mended, and {what was found: rows}.

    examples: as readers.read() gives them; raw_rows: how many rows they were read from; name: of
    the split, for messages. Raises UserError for a split that cannot be used.
    """
    if not raw_rows:
        raise UserError(f"{name}: has no rows; copy it again, or use another split")
    found = {"rows without gold": raw_rows - examples.num_rows}
    rows = examples.num_rows
    for column in TEXTS[task.kind]:
        examples = examples.filter(pc.is_valid(examples[column]))
    if task.kind == "tagging":
        examples = examples.filter(pc.greater(pc.list_value_length(examples["tokens"]), 0))
    found["rows without text"] = rows - examples.num_rows
    found["rows with the id of an earlier row"] = _ids_again(examples["example_id"].to_pylist())
    found |= _blanks(examples, task.kind, name)
    if task.kind == "span":
        examples, of_answers = _answers(examples, task, name)
        found["rows without gold"] += of_answers.pop("rows without gold")
        found |= of_answers
    if task.kind == "tagging":
        _one_tag_each(examples, name)
    if not examples.num_rows and found["rows without text"]:
        raise UserError(f"{name}: none of its {raw_rows} rows has a text in "
                        f"{' and '.join(TEXTS[task.kind])}; copy it again")  # fmt: skip
    if not examples.num_rows:
        raise UserError(
            f"{name}: none of its {raw_rows} rows has a gold answer or label: they are hidden, as "
            "leaderboards do; use another split"
        )
    return examples, {what: count for what, count in found.items() if count}


def in_words(found: dict) -> str:
    """``12 rows without gold, 1 answer moved to where its text is``."""
    return ", ".join(
        f"{count} {what.removesuffix('s') if count == 1 else what} {rest}"
        for key, count in found.items()
        for what, rest in [key.split(" ", 1)]
    )


@cache
def unseen(character: str) -> bool:
    """Whether it is a blank of any width (Unicode Z), a control or a format character (Cc, Cf)."""
    category = unicodedata.category(character)
    return category[0] == "Z" or category in ("Cc", "Cf")


def core(text: str) -> tuple[str, int]:
    """A text without the blanks and invisible characters around it, and how many stood before."""
    outer = "".join(filter(unseen, set(text)))
    return text.strip(outer), len(text) - len(text.lstrip(outer))


def place(context: str, text: str, start: int) -> tuple[int, int] | None:
    """First character and end of an answer's core in the context, None if it is not at `start`."""
    inner, before = core(text)
    for first in (start + before, start):
        if inner and first >= 0 and context.startswith(inner, first):
            return first, first + len(inner)
    return None


def mended(context: str, text: str, start: int) -> int | None:
    """The `answer_start` that is meant: the only place of the answer in the context, or the only
    one within NEAR characters of `start`; None where there is no such place."""
    inner, _ = core(text)
    places = [hit.start() for hit in re.finditer(f"(?={re.escape(inner)})", context) if inner]
    near = [first for first in places if abs(first - start) <= NEAR]
    only = places if len(places) == 1 else near
    return only[0] if len(only) == 1 else None


def _ids_again(ids: list[str]) -> int:
    """How many ids readers.unique() had to number, as in a file that holds rows twice."""
    known = set(ids)
    return sum(before in known for before, mark, _ in (i.rpartition("#") for i in ids) if mark)


def _blanks(examples, kind, name) -> dict[str, int]:
    """How many rows have a blank text or word; UserError where these are too many."""
    if kind == "tagging":
        return {"rows with a blank word": _blank_part(examples["tokens"])}
    texts = {name: pc.match_substring_regex(examples[name], BLANK) for name in TEXTS[kind]}
    if kind == "classification":
        pairs = pc.match_substring_regex(examples["text_pair"], BLANK)
        texts |= {} if pc.all(pairs).as_py() else {"text_pair": pairs}
    both = pc.and_ if kind == "choice" else pc.or_
    found = reduce(both, texts.values()).to_pylist()
    if sum(found) > MOST * len(found):
        raise UserError(
            f"{name}: {sum(found)} of {len(found)} rows have nothing but blanks in "
            f"{' or '.join(texts)} (at most {MOST:.0%} allowed), first row "
            f"{examples['example_id'][found.index(True)]}; copy it again, or use another split"
        )
    counts = {"rows with a blank text": sum(found)}
    if kind == "choice":
        counts["rows with a blank option"] = _blank_part(examples["choices"])
    return counts


def _blank_part(lists) -> int:
    """How many lists of texts have a blank one."""
    blank = pc.match_substring_regex(pc.list_flatten(lists), BLANK)
    return len(pc.unique(pc.list_parent_indices(lists).filter(blank)))


def _answers(examples, task, name):
    """Answers that lie where they say, rows of hidden gold left out, and what was found."""
    second = task.evaluator == "squad_v2"
    contexts, kept, moved, lost = examples["context"].to_pylist(), [], 0, []
    answers = examples["answers"].to_pylist()
    for n, (context, answer) in enumerate(zip(contexts, answers, strict=True)):
        if len(answer["text"]) != len(answer["answer_start"]):
            raise UserError(
                f"{name}: row {examples['example_id'][n]} has {len(answer['text'])} answers and "
                f"{len(answer['answer_start'])} answer positions; there must be one each"
            )
        pairs = list(zip(answer["text"], answer["answer_start"], strict=True))
        pairs = [(text, start) for text, start in pairs if core(text or "")[0]]
        if pairs or second:
            kept.append(n)
        starts = [s if place(context, text, s) else mended(context, text, s) for text, s in pairs]
        moved += any(new not in (None, old) for new, (_, old) in zip(starts, pairs, strict=True))
        if pairs and all(new is None for new in starts):
            lost.append(n)
        answers[n] = {"text": [text for text, _ in pairs],
                      "answer_start": [-1 if new is None else new for new in starts]}  # fmt: skip
    if kept and not any(answer["text"] for answer in answers):
        kept = []  # SQuAD v2 has questions without an answer, but not only such
    if len(lost) > MOST * len(kept):
        _refuse(examples, lost, len(kept), name)
    counts = {"rows without gold": examples.num_rows - len(kept),
              "answers moved to where the text is": moved,
              "answers not found in the context": len(lost)}  # fmt: skip
    made = pa.array(answers, examples.schema.field("answers").type)
    column = examples.column_names.index("answers")
    return examples.set_column(column, "answers", made).take(pa.array(kept, pa.int64())), counts


def _refuse(examples, lost, rows, name):
    row = examples.slice(lost[0], 1).to_pylist()[0]
    answer = row["answers"]
    raise UserError(
        f"{name}: {len(lost)} of {rows} answers are not in their contexts (at most "
        f"{MOST:.0%} allowed): answer {shorten(answer['text'][0])} of row {row['example_id']} is "
        f"not at its answer_start; is it counted in bytes, or from another context?"
    )


def _one_tag_each(examples, name):
    sizes = [pc.list_value_length(examples[column]) for column in ("tokens", "tags")]
    wrong = pc.invert(pc.equal(*sizes)).to_pylist()
    if any(wrong):
        n = wrong.index(True)
        raise UserError(f"{name}: row {examples['example_id'][n]} has {sizes[0][n]} tokens and "
                        f"{sizes[1][n]} tags; there must be one each")  # fmt: skip
    for tag in pc.unique(pc.list_flatten(examples["tags"])).to_pylist():
        if len(tag.split()) != 1:
            raise UserError(f"{name}: a tag is {shorten(tag)}; tags must be words without spaces")
