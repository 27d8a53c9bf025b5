"""Examples become token features: windows over long texts, labels on tokens.

A feature is one sequence for the encoder: a dict with ``ids`` (list of int, with special tokens),
``example`` (row of its example) and what its kind needs besides:

=============== ===============================================================================
classification  ``label`` (int)
choice          ``label`` (int), ``choices`` (list of ids, one sequence per option, as many as the
                question has) instead of ids
tagging         ``labels`` (int per token, -100 where no word starts or its tag is none of the
                task's), ``words`` (index or -1)
span            ``start``, ``end`` (token positions, 0 where the window has no answer, -100 where
                no window of the example has its answer),
                ``offsets`` (characters of the context per token, (-1, -1) outside the context)
masked          nothing
=============== ===============================================================================

Pairs have ``segments`` besides (like ids: 0 and 1, which text a token belongs to) where the
tokenizer gives segment ids that differ.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from itertools import pairwise

import numpy as np

from xtsupport.data import soundness
from xtsupport.errors import UserError

IGNORED = -100  # label of tokens that do not count, as in torch.nn.functional.cross_entropy
MAX_QUESTION = 64  # tokens; XTREME's max_query_length


@dataclass
class Features:
    """Everything of one dataset that the model reads, and how much had to be cut off."""

    kind: str
    rows: list[dict]
    examples: int
    labels: tuple[str, ...] = ()
    unanswerable: bool = False  # span: some training question has no answer
    truncated: int = 0  # examples that lost text
    unplaced: int = 0  # span: examples whose answer no window holds whole; they are not trained on
    lengths: np.ndarray = field(init=False)  # tokens per feature, the longest choice for `choice`

    def __post_init__(self):
        sequences = (row.get("choices") or [row["ids"]] for row in self.rows)
        self.lengths = np.array([max(map(len, each)) for each in sequences], dtype=np.int64)

    def __len__(self) -> int:
        return len(self.rows)


def check_learnable(task: str, features: Features) -> None:
    """UserError where no row has anything to learn from, so that training would do nothing."""
    labels = {"tagging": "labels", "span": "start"}.get(features.kind)
    if labels and all(np.all(np.equal(row[labels], IGNORED)) for row in features.rows):
        lack = "a tag that is one of its labels" if labels == "labels" else "an answer in its text"
        raise UserError(
            f"{task}: none of the {features.examples} training rows has {lack}; "
            "there is nothing to learn"
        )


def featurise(
    examples, kind: str, tokenizer, max_length: int, stride: int, labels=(), step: int | None = None
) -> Features:
    """Features of a dataset of examples (columns as `xtsupport.data.load` gives them).

    Long contexts and sentences become overlapping windows of `max_length` tokens that share
    `stride` tokens or, with `step`, begin so many tokens apart (what XTREME's scripts and
    transformers' SQuAD processor call doc_stride; fewer where a window holds fewer). Sentence pairs
    and raw text are cut, and counted in `truncated`.
    """
    build: dict[str, Callable[..., Features]] = {
        "classification": _pairs, "choice": _choices, "tagging": _tagging,
        "span": _span, "masked": _masked,
    }  # fmt: skip
    return build[kind](examples, tokenizer, max_length, stride, tuple(labels), step)


def _pairs(examples, tokenizer, max_length, stride, labels, step) -> Features:
    found, cut = _encode_pairs(tokenizer, examples["text"], examples["text_pair"], max_length)
    gold = map(labels.index, examples["label"])
    rows = _rows(tokenizer, found, range(len(found)), label=gold)
    return Features("classification", rows, len(rows), labels, truncated=cut)


def _choices(examples, tokenizer, max_length, stride, labels, step) -> Features:
    first, second = [], []
    for context, question, choices in zip(
        examples["context"], examples["question"], examples["choices"], strict=True
    ):
        first += [context or question] * len(choices)
        second += [f"{question} {choice}" if context and question else choice for choice in choices]
    found, cut = _encode_pairs(tokenizer, first, second, max_length)
    parts = {"choices": [encoding.ids for encoding in found], **_segments(tokenizer, found)}
    bounds = np.cumsum([0, *map(len, examples["choices"])]).tolist()
    spans = zip(pairwise(bounds), examples["label"], strict=True)
    rows = [
        {name: part[start:end] for name, part in parts.items()} | {"example": n, "label": label}
        for n, ((start, end), label) in enumerate(spans)
    ]
    return Features("choice", rows, len(rows), truncated=cut)


def _encode_pairs(tokenizer, first, second, max_length) -> tuple[list, int]:
    """Encodings of pairs, or of single texts where every second is empty; how many were cut."""
    texts = (list(first), list(second)) if any(second) else (list(first),)
    encoded = tokenizer(*texts, truncation="longest_first", max_length=max_length)
    found = encoded.encodings or []
    return found, sum(bool(encoding.overflowing) for encoding in found)


def _rows(tokenizer, encodings, examples, **columns) -> list[dict]:
    """One row per encoding, with its example and what the columns have for it."""
    columns |= {"ids": [encoding.ids for encoding in encodings], "example": examples}
    columns |= _segments(tokenizer, encodings)
    return [dict(zip(columns, row, strict=True)) for row in zip(*columns.values(), strict=True)]


def _segments(tokenizer, encodings) -> dict[str, list]:
    """Segment ids as transformers gives them; {} where the tokenizer gives none that differ."""
    if "token_type_ids" not in tokenizer.model_input_names:
        return {}
    found = [encoding.type_ids for encoding in encodings]
    return {"segments": found} if any(map(any, found)) else {}


def _tagging(examples, tokenizer, max_length, stride, labels, step) -> Features:
    if step is not None:
        stride = _overlap(tokenizer, max_length, step)
    check_room(max_length, stride, tokenizer.num_special_tokens_to_add())
    words = _never_empty(running(examples["tokens"], tokenizer), tokenizer)
    encoded = tokenizer(
        words,
        is_split_into_words=True,
        truncation=True,
        max_length=max_length,
        stride=stride,
        return_overflowing_tokens=True,
    )
    index = {label: i for i, label in enumerate(labels)}
    rows = _rows(tokenizer, encoded.encodings, encoded["overflow_to_sample_mapping"])
    for row, encoding in zip(rows, encoded.encodings, strict=True):
        row["words"] = _word_starts(encoding.word_ids)
    owner = _owner_windows(rows)
    for w, row in enumerate(rows):
        n, tags = row["example"], examples["tags"][row["example"]]
        own = [word if owner.get((n, word)) == w else -1 for word in row["words"]]
        row["labels"] = [index.get(tags[word], IGNORED) if word >= 0 else IGNORED for word in own]
        row["words"] = own
    return Features("tagging", rows, len(words), labels)


def check_room(max_length: int, stride: int, special: int, question: int = 0) -> None:
    """UserError where windows of `max_length` tokens that share `stride` would not move on;
    special, question: tokens of every window that are none of its text."""
    room = max_length - special - question
    if stride >= room:
        taken = f"{special} special ones" + (f" and {question} of the question" if question else "")
        raise UserError(
            f"max_length = {max_length} leaves {max(0, room)} tokens of text in a window (without "
            f"{taken}), and stride = {stride} must be less; raise max_length or lower stride"
        )


def running(sentences, tokenizer) -> list[list[str]]:
    """Words as the running sentence has them: a tokenizer that puts no blank before a word
    (ModernBERT's, mmBERT's) would else read every word as the end of another."""
    probe = ["a", "b"]
    apart = tokenizer(probe, is_split_into_words=True, add_special_tokens=False)["input_ids"]
    if apart == tokenizer(" ".join(probe), add_special_tokens=False)["input_ids"]:
        return list(sentences)
    return [[*words[:1], *(f" {word}" for word in words[1:])] for words in sentences]


def _never_empty(sentences, tokenizer) -> list[list[str]]:
    """Words that the tokenizer would swallow whole (zero-width characters) as its unknown token."""
    unique = sorted({word for words in sentences for word in words})
    ids = tokenizer(unique, add_special_tokens=False)["input_ids"] if unique else []
    empty = {word for word, i in zip(unique, ids, strict=True) if not i}
    return [
        [tokenizer.unk_token if word in empty else word for word in words] for words in sentences
    ]


def _word_starts(word_ids) -> list[int]:
    """The word that starts at each token, -1 for later sub-words and special tokens."""
    before = zip([None, *word_ids], word_ids, strict=False)
    return [-1 if word in (None, previous) else word for previous, word in before]


def _owner_windows(rows) -> dict[tuple[int, int], int]:
    """The window that decides each (example, word): where the word is farthest from both ends."""
    best: dict = {}
    for w, row in enumerate(rows):
        for position, word in enumerate(row["words"]):
            context, place = min(position, len(row["ids"]) - 1 - position), (row["example"], word)
            if word >= 0 and context > best.get(place, (-1, None))[0]:
                best[place] = context, w
    return {key: w for key, (_, w) in best.items()}


def _overlap(tokenizer, max_length: int, step: int, question: int | None = None) -> int:
    """Tokens that two windows share where they begin `step` apart, beside a question of so many."""
    special = tokenizer.num_special_tokens_to_add(pair=question is not None)
    return max(0, max_length - special - (question or 0) - step)


def _span_windows(questions, contexts, tokenizer, max_length, stride, step):
    """Encodings and examples of every window, in order; the tokenizer takes one overlap a call."""
    shares = [stride] * len(questions)
    if step is not None:
        ids = tokenizer(questions, add_special_tokens=False)["input_ids"] if questions else []
        shares = [_overlap(tokenizer, max_length, step, len(each)) for each in ids]
    windows: list[tuple] = []
    for share in sorted(set(shares)):
        chosen = [n for n, each in enumerate(shares) if each == share]
        encoded = tokenizer(
            [questions[n] for n in chosen],
            [contexts[n] for n in chosen],
            truncation="only_second",
            max_length=max_length,
            stride=share,
            return_overflowing_tokens=True,
        )
        examples = (chosen[k] for k in encoded["overflow_to_sample_mapping"])
        windows += zip(encoded.encodings, examples, strict=True)
    windows.sort(key=lambda window: window[1])
    return [encoding for encoding, _ in windows], [n for _, n in windows]


def _span(examples, tokenizer, max_length, stride, labels, step) -> Features:
    questions, truncated, longest = _short_questions(examples["question"], tokenizer)
    special = tokenizer.num_special_tokens_to_add(pair=True)
    check_room(max_length, stride if step is None else 0, special, longest)
    contexts = list(examples["context"])
    encodings, owners = _span_windows(questions, contexts, tokenizer, max_length, stride, step)
    answers = examples["answers"]
    places = [_answer_place(*both) for both in zip(contexts, answers, strict=True)]
    offsets = [_context_offsets(encoding) for encoding in encodings]
    rows = _rows(tokenizer, encodings, owners, offsets=offsets)
    for row in rows:
        row["start"], row["end"] = _answer_tokens(row["offsets"], places[row["example"]])
    unanswerable = any(not answer["text"] for answer in answers)
    unplaced = {n for n, answer in enumerate(answers) if answer["text"]}
    unplaced -= {row["example"] for row in rows if row["start"]}
    for row in rows:
        if row["example"] in unplaced:
            row["start"] = row["end"] = IGNORED  # there is an answer: nothing says "no answer"
    return Features("span", rows, len(questions), (), unanswerable, truncated, len(unplaced))


def _context_offsets(encoding) -> np.ndarray:
    """First character and end (tokens, 2) of every token of the context, -1 of others."""
    inside = np.array([[s == 1] for s in encoding.sequence_ids])
    return np.where(inside, np.array(encoding.offsets), -1)


def _short_questions(questions, tokenizer) -> tuple[list[str], int, int]:
    """Questions of at most MAX_QUESTION tokens, how many were cut, and the most tokens of one."""
    encodings = tokenizer(list(questions), add_special_tokens=False).encodings
    long = [len(e.ids) > MAX_QUESTION for e in encodings]
    cut = [
        question[: e.offsets[MAX_QUESTION - 1][1]] if is_long else question
        for question, e, is_long in zip(questions, encodings, long, strict=True)
    ]
    if any(long):  # half a word may be more tokens than it was as part of the whole
        encodings = tokenizer(cut, add_special_tokens=False).encodings
    return cut, sum(long), max((len(e.ids) for e in encodings), default=0)


def _answer_place(context: str, answer: dict) -> tuple[int, int] | None:
    """First character and end, blanks around it left out, of the first gold answer that lies where
    it says, else None."""
    pairs = zip(answer["text"], answer["answer_start"], strict=True)
    places = (soundness.place(context, text, start) for text, start in pairs)
    return next((place for place in places if place), None)


def _answer_tokens(offsets: np.ndarray, place: tuple[int, int] | None) -> tuple[int, int]:
    """First and last token of an answer; (0, 0) where the window lacks part of it."""
    inside = np.flatnonzero(offsets[:, 0] >= 0)
    if place is None or not len(inside):
        return 0, 0
    first, last = place
    touched = inside[(offsets[inside, 0] < last) & (offsets[inside, 1] > first)]
    whole = offsets[inside[0], 0] <= first and offsets[inside[-1], 1] >= last
    return (int(touched[0]), int(touched[-1])) if whole and len(touched) else (0, 0)


def _masked(examples, tokenizer, max_length, stride, labels, step) -> Features:
    found, cut = _encode_pairs(tokenizer, examples["text"], (), max_length)
    rows = _rows(tokenizer, found, range(len(found)))
    return Features("masked", rows, len(rows), truncated=cut)
