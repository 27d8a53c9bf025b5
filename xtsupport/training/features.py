"""Examples become token features: windows over long texts, labels on tokens.

A feature is one sequence for the encoder: a dict with ``ids`` (list of int, with special tokens),
``example`` (row of its example) and what its kind needs besides:

=============== ===============================================================================
classification  ``label`` (int)
choice          ``label`` (int), ``choices`` (list of ids, one sequence per choice) instead of ids
tagging         ``labels`` (int per token, -100 where no word starts or its tag is none of the
                task's), ``words`` (index or -1)
span            ``start``, ``end`` (token positions, 0 where the window has no answer),
                ``offsets`` (characters of the context per token, (-1, -1) outside the context)
masked          nothing
=============== ===============================================================================
"""

from dataclasses import dataclass, field

import numpy as np

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
    lengths: np.ndarray = field(init=False)  # tokens per feature, the longest choice for `choice`

    def __post_init__(self):
        sizes = [
            max(map(len, r["choices"])) if "choices" in r else len(r["ids"]) for r in self.rows
        ]
        self.lengths = np.array(sizes, dtype=np.int64)

    def __len__(self) -> int:
        return len(self.rows)


def featurise(
    examples,
    kind: str,
    tokenizer,
    max_length: int,
    stride: int,
    labels=(),
    step: int | None = None,
) -> Features:
    """Features of a dataset of examples (columns as `xtsupport.data.load` gives them).

    Long contexts and sentences become overlapping windows of `max_length` tokens that share
    `stride` tokens or, with `step`, begin so many tokens apart (what XTREME's scripts and
    transformers' SQuAD processor call doc_stride; fewer where a window holds fewer). Sentence pairs
    and raw text are cut, and counted in `truncated`.
    """
    build = {
        "classification": _pairs,
        "choice": _choices,
        "tagging": _tagging,
        "span": _span,
        "masked": _masked,
    }
    if step is not None and kind in ("span", "tagging"):
        return build[kind](examples, tokenizer, max_length, stride, tuple(labels), step)
    return build[kind](examples, tokenizer, max_length, stride, tuple(labels))


def _pairs(examples, tokenizer, max_length, stride, labels) -> Features:
    ids, truncated = _encode_pairs(tokenizer, examples["text"], examples["text_pair"], max_length)
    index = {label: i for i, label in enumerate(labels)}
    rows = [
        {"ids": i, "example": n, "label": index[label]}
        for n, (i, label) in enumerate(zip(ids, examples["label"], strict=True))
    ]
    return Features("classification", rows, len(rows), labels, truncated=truncated)


def _choices(examples, tokenizer, max_length, stride, labels) -> Features:
    first, second = [], []
    for context, question, choices in zip(
        examples["context"], examples["question"], examples["choices"], strict=True
    ):
        first += [context or question] * len(choices)
        second += [f"{question} {choice}" if context and question else choice for choice in choices]
    ids, truncated = _encode_pairs(tokenizer, first, second, max_length)
    rows, position = [], 0
    for n, (choices, label) in enumerate(zip(examples["choices"], examples["label"], strict=True)):
        rows.append(
            {"choices": ids[position : position + len(choices)], "example": n, "label": label}
        )
        position += len(choices)
    return Features("choice", rows, len(rows), truncated=truncated)


def _encode_pairs(tokenizer, first, second, max_length) -> tuple[list[list[int]], int]:
    """Ids of pairs (single texts where every second is empty), and how many had to be cut."""
    texts = (list(first), list(second)) if any(second) else (list(first),)
    encodings = tokenizer(*texts, truncation="longest_first", max_length=max_length).encodings
    return [e.ids for e in encodings], sum(bool(e.overflowing) for e in encodings)


def _tagging(examples, tokenizer, max_length, stride, labels, step=None) -> Features:
    words = _never_empty(examples["tokens"], tokenizer)
    if step is not None:
        stride = _overlap(tokenizer, max_length, step)
    encoded = tokenizer(
        words,
        is_split_into_words=True,
        truncation=True,
        max_length=max_length,
        stride=stride,
        return_overflowing_tokens=True,
    )
    index = {label: i for i, label in enumerate(labels)}
    windows = list(zip(encoded.encodings, encoded["overflow_to_sample_mapping"], strict=True))
    owner = _owner_windows(windows)
    rows = []
    for w, (encoding, n) in enumerate(windows):
        starts = _word_starts(encoding.word_ids)
        starts = [word if owner.get((n, word)) == w else -1 for word in starts]
        tags = examples["tags"][n]
        row_labels = [index.get(tags[word], IGNORED) if word >= 0 else IGNORED for word in starts]
        rows.append({"ids": encoding.ids, "example": n, "labels": row_labels, "words": starts})
    return Features("tagging", rows, len(words), labels)


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
    starts, previous = [], None
    for word in word_ids:
        starts.append(-1 if word is None or word == previous else word)
        previous = word
    return starts


def _owner_windows(windows) -> dict[tuple[int, int], int]:
    """The window that decides each (example, word): where the word is farthest from both ends."""
    best: dict = {}
    for w, (encoding, n) in enumerate(windows):
        last = len(encoding.ids) - 1
        for position, word in enumerate(_word_starts(encoding.word_ids)):
            if word >= 0:
                context = min(position, last - position)
                if context > best.get((n, word), (-1, None))[0]:
                    best[n, word] = context, w
    return {key: w for key, (_, w) in best.items()}


def _overlap(tokenizer, max_length: int, step: int, question: int | None = None) -> int:
    """Tokens that two windows share where they begin `step` apart, beside a question of so many."""
    special = tokenizer.num_special_tokens_to_add(pair=question is not None)
    return max(0, max_length - special - (question or 0) - step)


def _span_windows(questions, contexts, tokenizer, max_length, stride, step):
    """(encoding, example) of every window, in order; the tokenizer takes one overlap a call."""
    shares = [stride] * len(questions)
    if step is not None:
        ids = tokenizer(questions, add_special_tokens=False)["input_ids"] if questions else []
        shares = [_overlap(tokenizer, max_length, step, len(each)) for each in ids]
    windows = []
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
    return sorted(windows, key=lambda window: window[1])


def _span(examples, tokenizer, max_length, stride, labels, step=None) -> Features:
    questions, truncated = _short_questions(examples["question"], tokenizer)
    contexts = list(examples["context"])
    answers = examples["answers"]
    rows = []
    for encoding, n in _span_windows(questions, contexts, tokenizer, max_length, stride, step):
        inside = np.array([s == 1 for s in encoding.sequence_ids])
        offsets = np.where(inside[:, None], np.array(encoding.offsets), -1)
        start, end = _answer_tokens(offsets, answers[n])
        rows.append(
            {"ids": encoding.ids, "example": n, "start": start, "end": end, "offsets": offsets}
        )
    unanswerable = any(not answer["text"] for answer in answers)
    return Features("span", rows, len(questions), unanswerable=unanswerable, truncated=truncated)


def _short_questions(questions, tokenizer) -> tuple[list[str], int]:
    encodings = tokenizer(list(questions), add_special_tokens=False).encodings
    long = [len(e.ids) > MAX_QUESTION for e in encodings]
    cut = [
        question[: e.offsets[MAX_QUESTION - 1][1]] if is_long else question
        for question, e, is_long in zip(questions, encodings, long, strict=True)
    ]
    return cut, sum(long)


def _answer_tokens(offsets: np.ndarray, answer: dict) -> tuple[int, int]:
    """First and last token of the first gold answer; (0, 0) where the window lacks part of it."""
    if not answer["text"]:
        return 0, 0
    first = answer["answer_start"][0]
    last = first + len(answer["text"][0])
    touched = np.flatnonzero(
        (offsets[:, 0] < last) & (offsets[:, 1] > first) & (offsets[:, 0] >= 0)
    )
    if not len(touched) or offsets[touched[-1], 1] < last or offsets[touched[0], 0] > first:
        return 0, 0
    return int(touched[0]), int(touched[-1])


def _masked(examples, tokenizer, max_length, stride, labels) -> Features:
    encodings = tokenizer(list(examples["text"]), truncation=True, max_length=max_length).encodings
    rows = [{"ids": e.ids, "example": n} for n, e in enumerate(encodings)]
    return Features(
        "masked", rows, len(rows), truncated=sum(bool(e.overflowing) for e in encodings)
    )
