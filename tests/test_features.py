"""Windows lose nothing, labels sit on the right tokens, and what is cut is counted."""

import unicodedata

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from transformers import BertTokenizer

from xtsupport.data import load, soundness
from xtsupport.errors import UserError
from xtsupport.training.features import IGNORED, _short_questions, check_learnable, featurise

CONTEXT = "Ada cooked soup in the kitchen. Ben sold 3 old chairs on Friday."


def span_examples(answer, start, context=CONTEXT, question="Who sold chairs?"):
    answers = (
        {"text": [answer], "answer_start": [start]} if answer else {"text": [], "answer_start": []}
    )
    return {"question": [question], "context": [context], "answers": [answers]}


@pytest.mark.parametrize("answer", ["Ada", "soup", "3 old chairs", "Friday"])
def test_start_and_end_point_at_the_answer(tiny_encoder, answer):
    features = featurise(
        span_examples(answer, CONTEXT.index(answer)), "span", tiny_encoder[1], 64, 8
    )
    (row,) = features.rows
    first, last = row["offsets"][row["start"]][0], row["offsets"][row["end"]][1]
    assert CONTEXT[first:last].strip() == answer


def test_long_contexts_become_windows_that_cover_everything(tiny_encoder):
    context = " ".join(["Ben sold 3 old chairs on Friday."] * 20) + " Ada cooked soup."
    features = featurise(
        span_examples("Ada", context.index("Ada"), context), "span", tiny_encoder[1], 32, 8
    )
    assert len(features) > 5 and max(features.lengths) <= 32
    covered = np.zeros(len(context), bool)
    for row in features.rows:
        for start, end in row["offsets"]:
            covered[max(start, 0) : max(end, 0)] = True
    assert all(covered[i] or context[i] == " " for i in range(len(context)))
    with_answer = [row for row in features.rows if row["start"]]
    assert with_answer and all(
        context[r["offsets"][r["start"]][0] :].strip().startswith("Ada") for r in with_answer
    )
    assert features.examples == 1


def test_unanswerable_questions_point_at_the_first_token(tiny_encoder):
    features = featurise(span_examples("", 0), "span", tiny_encoder[1], 64, 8)
    assert features.unanswerable and (features.rows[0]["start"], features.rows[0]["end"]) == (0, 0)


def test_endless_questions_leave_room_for_the_context(tiny_encoder):
    question = "Who sold chairs and soup? " * 60
    features = featurise(
        span_examples("Ada", 0, question=question), "span", tiny_encoder[1], 128, 8
    )
    assert features.truncated == 1 and all(
        (row["offsets"][:, 0] >= 0).any() for row in features.rows
    )


BOB = "Bob Miller was born in 1950. Ada sold chairs."


@pytest.mark.parametrize("before", ["", " ", "\u200b", "\u200e\xa0"])
@pytest.mark.parametrize("after", ["", " ", "\u200b", "\u200e", "\xa0", "\u3000"])
def test_blanks_and_invisible_characters_around_an_answer_do_not_hide_it(
    tiny_encoder, before, after
):
    """TyDiQA and MLQA have such answers, as "Bob Miller " at 0."""
    context = BOB.replace("Bob Miller", f"{before}Bob Miller{after}")
    examples = span_examples(f"{before}Bob Miller{after}", 0, context)
    features = featurise(examples, "span", tiny_encoder[1], 96, 8)
    (row,) = features.rows
    found = context[row["offsets"][row["start"]][0] : row["offsets"][row["end"]][1]]
    assert soundness.core(found)[0] == "Bob Miller" and features.unplaced == 0


def test_no_real_answer_is_lost_for_the_blanks_around_it(mirror, real_tokenizer):
    """TyDiQA's training rows with such answers; none of them became "no answer"."""
    found = []
    for code in ("en", "sw", "ko"):
        examples = load("tydiqa", code, "train", mirror)
        texts = [answer["text"][0] for answer in examples["answers"]]
        chosen = [n for n, text in enumerate(texts) if soundness.core(text)[0] != text]
        found += chosen
        if chosen:
            rows = examples.select(chosen)[:]
            features = featurise(rows, "span", real_tokenizer, 384, 128)
            assert features.unplaced == 0 and not features.unanswerable
    assert found


@pytest.mark.parametrize("start", [500, -1, 4])
def test_an_answer_without_a_place_is_counted_and_not_learned_as_no_answer(tiny_encoder, start):
    features = featurise(span_examples("Bob Miller", start, BOB), "span", tiny_encoder[1], 96, 8)
    assert features.unplaced == 1 and not features.unanswerable
    assert {row[side] for row in features.rows for side in ("start", "end")} == {IGNORED}
    with pytest.raises(UserError, match="squad: none of the 1 training rows has an answer in its"):
        check_learnable("squad", features)


def test_an_answer_that_no_window_holds_whole_is_counted(tiny_encoder):
    context = "Ben sold 3 old chairs on Friday. " * 6
    examples = span_examples(context[:150], 0, context)
    features = featurise(examples, "span", tiny_encoder[1], 40, 8)
    assert features.unplaced == 1 and len(features) > 1
    assert all(row["start"] == row["end"] == IGNORED for row in features.rows)


def test_stride_that_leaves_windows_without_text_is_refused(tiny_encoder):
    """One token less of overlap is taken; at the limit the tokenizer itself would panic."""
    tokenizer, question = tiny_encoder[1], "Who sold chairs? " * 40
    context = "Ben sold 3 old chairs on Friday. " * 20
    examples = span_examples("Ben", 0, context, question)
    cut, _, longest = _short_questions([question], tokenizer)
    assert 60 <= longest <= 66 and len(tokenizer(cut[0], add_special_tokens=False)[0]) == longest
    room = 128 - longest - 4
    assert len(featurise(examples, "span", tokenizer, 128, room - 1)) > 50
    for length, stride in ((128, room), (64, 16)):
        with pytest.raises(UserError, match=f"max_length = {length} leaves .* stride = {stride}"):
            featurise(examples, "span", tokenizer, length, stride)
    tags = {"tokens": [["Ada"] * 40], "tags": [["N"] * 40]}
    assert len(featurise(tags, "tagging", tokenizer, 16, 13, ("N",))) > 20
    with pytest.raises(UserError, match="leaves 14 tokens of text in a window"):
        featurise(tags, "tagging", tokenizer, 16, 14, ("N",))


words = st.lists(
    st.sampled_from(["Ada", "chairs", "kitchen", "zebra", "x" * 30, "\u200b", "3", "."]),
    min_size=1,
    max_size=60,
)


@given(words)
@settings(max_examples=60)
def test_every_word_is_labelled_exactly_once_whatever_the_windows(tiny_encoder, tokens):
    labels = ("NOUN", "VERB")
    tags = [labels[i % 2] for i in range(len(tokens))]
    features = featurise(
        {"tokens": [tokens], "tags": [tags]}, "tagging", tiny_encoder[1], 16, 4, labels
    )
    seen = [word for row in features.rows for word in row["words"] if word >= 0]
    assert sorted(seen) == list(range(len(tokens)))
    for row in features.rows:
        for word, label in zip(row["words"], row["labels"], strict=True):
            assert label == (IGNORED if word < 0 else word % 2)


def test_pairs_are_cut_at_the_longer_text_and_counted(tiny_encoder):
    examples = {"text": ["Ada " * 100, "Ada"], "text_pair": ["Ben", "Ben"], "label": ["no", "yes"]}
    features = featurise(examples, "classification", tiny_encoder[1], 20, 0, ("yes", "no"))
    tokenizer = tiny_encoder[1]
    assert features.truncated == 1 and [row["label"] for row in features.rows] == [1, 0]
    assert len(features.rows[0]["ids"]) == 20 and tokenizer.decode(
        features.rows[0]["ids"]
    ).endswith("Ben</s>")


def test_choices_pair_context_with_question_and_choice(tiny_encoder):
    tokenizer = tiny_encoder[1]
    examples = {
        "context": ["Ada cooked", ""],
        "question": ["Who", "Ben"],
        "choices": [["soup", "3"], ["sold", "old"]],
        "label": [1, 0],
    }
    rows = featurise(examples, "choice", tokenizer, 32, 0).rows
    text = [
        [tokenizer.decode(ids, skip_special_tokens=True) for ids in row["choices"]] for row in rows
    ]
    expected = [
        [("Ada cooked", "Who soup"), ("Ada cooked", "Who 3")],
        [("Ben", "sold"), ("Ben", "old")],
    ]
    assert [list(row["choices"]) for row in rows] == [
        [tokenizer(*pair)["input_ids"] for pair in pairs] for pairs in expected
    ], text


@pytest.fixture(scope="module")
def real_tokenizer():
    from xtsupport.errors import UserError
    from xtsupport.training.encoder import load_encoder

    try:
        return load_encoder("offline-e5")[1]
    except UserError as error:
        pytest.skip(str(error))


@pytest.mark.parametrize("code", ["ar", "he", "fa", "hi", "ta", "th", "zh", "ja"])
def test_no_token_of_a_real_sentence_is_lost(mirror, real_tokenizer, code):
    """Right to left, combining marks, no blanks: every token has its tag on its first sub-token."""
    examples = load("udpos", code, None, mirror)[:80]
    labels = sorted({tag for tags in examples["tags"] for tag in tags})
    features = featurise(examples, "tagging", real_tokenizer, 24, 8, labels)
    assert len(features) > 80  # some sentences became several windows
    decided = {}
    for row in features.rows:
        ids = real_tokenizer.convert_ids_to_tokens(row["ids"])
        for position, word in enumerate(row["words"]):
            if word >= 0:
                assert (row["example"], word) not in decided
                decided[row["example"], word] = labels[row["labels"][position]]
                piece = ids[position].removeprefix("▁")
                token = unicodedata.normalize("NFKC", examples["tokens"][row["example"]][word])
                assert token.startswith(piece) or ids[position] == "<unk>"
    gold = {(n, w): tag for n, tags in enumerate(examples["tags"]) for w, tag in enumerate(tags)}
    assert decided == gold


def test_real_rows_of_every_script(mirror, real_tokenizer):
    """Thai, Chinese, Arabic, Hindi and Greek answers come back from their token positions."""
    tokenizer = real_tokenizer
    for code in ("th", "zh", "ar", "hi", "el"):
        examples = load("xquad", code, None, mirror)[:40]
        features = featurise(examples, "span", tokenizer, 384, 128)
        found = 0
        for row in features.rows:
            if row["start"]:
                answer = examples["answers"][row["example"]]["text"][0]
                start, end = row["offsets"][row["start"]][0], row["offsets"][row["end"]][1]
                assert answer.strip() in examples["context"][row["example"]][start:end]
                found += 1
        assert found >= 40, code


# ------------------------------------------------------- windows that begin `step` tokens apart

WORDS = " ".join(f"word{n} stands here." for n in range(40))


def documents(length: int, room: int, step: int) -> list[tuple[int, int]]:
    """(first, last + 1) token of each window over a text of `length` tokens: the loop over
    `doc_spans` of the first BERT (google-research/bert, run_squad.py), whose doc_stride XTREME's
    scripts and transformers' processor took over."""
    spans, start = [], 0
    while start < length:
        size = min(room, length - start)
        spans.append((start, start + size))
        if start + size == length:
            break
        start += min(size, step)
    return spans


@pytest.mark.parametrize("step", [5, 12, 100])
def test_windows_are_those_of_the_squad_processors(tiny_encoder, step):
    """Questions of different lengths: the windows of each begin `step` tokens apart."""
    _, tokenizer = tiny_encoder
    questions = ["Who cooked soup?", "Who?", "What did Ada cook in the kitchen on Friday?"]
    rows = {
        "question": questions,
        "context": [WORDS, WORDS, "Ada cooked."],
        "answers": [{"text": ["word7"], "answer_start": [WORDS.index("word7 ")]}] * 2
        + [{"text": ["Ada"], "answer_start": [0]}],
    }
    found = featurise(rows, "span", tokenizer, 40, 0, step=step)
    assert [row["example"] for row in found.rows] == sorted(row["example"] for row in found.rows)
    for n, question in enumerate(questions):
        asked = tokenizer(question, add_special_tokens=False)["input_ids"]
        text = tokenizer(rows["context"][n], add_special_tokens=False)["input_ids"]
        special = tokenizer.num_special_tokens_to_add(pair=True)
        spans = documents(len(text), 40 - len(asked) - special, step)
        windows = [row for row in found.rows if row["example"] == n]
        inside = [
            [i for i, o in zip(w["ids"], w["offsets"], strict=True) if o[0] >= 0] for w in windows
        ]
        assert inside == [text[first:last] for first, last in spans]
        assert len(windows) > 1 or n == 2


# Words of the context, words of the question, max_seq_length, doc_stride -> tokens of each window,
# as squad_convert_example_to_features of transformers 4.57.3 makes them (5.0 has no such function)
PROCESSOR = [
    (61, 4, 64, 16, [64, 52]),
    (62, 1, 64, 16, [64, 50]),
    (100, 9, 64, 50, [64, 62]),
    (137, 1, 48, 7, [48, 48, 48, 48, 48, 48, 48, 48, 48, 48, 48, 48, 48, 48, 43]),
    (137, 4, 64, 16, [64, 64, 64, 64, 64, 64]),
    (250, 9, 64, 50, [64, 64, 64, 64, 62]),
]


@pytest.mark.parametrize(("context", "question", "most", "step", "sizes"), PROCESSOR)
def test_windows_are_those_of_transformers(context, question, most, step, sizes):
    """Every word is a token; each window begins `step` words after the one before."""
    vocabulary = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "who"]
    vocabulary += [f"w{n}" for n in range(context)]
    tokenizer = BertTokenizer(vocab={word: n for n, word in enumerate(vocabulary)})
    rows = {
        "question": [" ".join(["who"] * question)],
        "context": [" ".join(f"w{n}" for n in range(context))],
        "answers": [{"text": [], "answer_start": []}],
    }
    found = featurise(rows, "span", tokenizer, most, 0, step=step).rows
    assert [len(row["ids"]) for row in found] == sizes
    first = [row["ids"][question + 2] - vocabulary.index("w0") for row in found]
    assert first == [n * step for n in range(len(sizes))]


def test_tags_of_windows_with_a_step(tiny_encoder):
    """Every word is decided once, as with a stride."""
    _, tokenizer = tiny_encoder
    rows = {"tokens": [["Ada", "cooked", "soup"] * 20], "tags": [["N", "V", "N"] * 20]}
    found = featurise(rows, "tagging", tokenizer, 24, 0, ("N", "V"), step=9)
    assert len(found) > 3
    assert sorted(w for row in found.rows for w in row["words"] if w >= 0) == list(range(60))
