"""Grades the exercises: `grade("02b-a", answer)` says what is wrong, and returns 1 point or 0.

The notebooks in exercises/ run this file. nbgrader reads the number that a check cell ends with as
its points, so the same notebooks can be collected and graded by it. A check works the answer out by
itself: read it after you have tried.
"""

from collections.abc import Callable

import numpy as np
import pandas as pd

CHECKS: dict[str, Callable] = {}


def grade(name: str, answer, *given) -> int:
    """Points for an answer, 1 or 0, with what is wrong in words. given: what the check needs."""
    if answer is None:
        print(f"{name}: not solved yet; put your code into the cell above")
        return 0
    returned = []

    def noted(*args):
        returned.append(answer(*args))
        return returned[-1]

    try:
        CHECKS[name](noted if callable(answer) else answer, *given)
    except Exception as error:
        wrong = isinstance(error, AssertionError)
        said = (
            f"not yet. {error}"
            if wrong
            else f"your code stops with {type(error).__name__}: {error}."
        )
        if returned and returned[-1] is None:
            said += " Your function returned None: end it with `return`; `print` returns nothing."
        print(f"{name}: {said}")
        return 0
    print(f"{name}: right")
    return 1


def check(name: str):
    """Registers a function as the check of an exercise."""
    return lambda function: CHECKS.setdefault(name, function)


def near(answer, expected, hint: str, tolerance: float = 0.051) -> None:
    """A number, or the numbers of a Series by their labels, as expected; else the hint is told,
    with the answer."""
    if isinstance(expected, pd.Series):
        assert isinstance(answer, pd.Series), f"expected a Series, got {type(answer).__name__}"
        lacking = [label for label in expected.index if label not in answer.index]
        assert not lacking, f"these rows are missing: {lacking}"
        answer = answer[expected.index]
    else:
        assert np.ndim(answer) == 0, f"expected one number, got {answer!r}"
    values = np.asarray(answer, float)
    apart = np.abs(values - np.asarray(expected, float))
    assert np.all(apart <= tolerance), f"{hint} Your answer: {values.round(4).tolist()}."


def pair(answer, names: str) -> tuple:
    """An answer that must be two numbers; names: what they are, such as "(low, high)"."""
    assert answer is not None and np.shape(answer) == (2,), (
        f"return a pair {names}; you returned {answer!r}."
    )
    return tuple(each.item() if hasattr(each, "item") else each for each in answer)


# ------------------------------------------------------------------------------ 00 and 01


@check("00-a")
def last_words(answer, rows):
    from xtsupport.evaluation import score

    said = {each["example_id"]: each["context"].split(" ")[-1][:-1] for each in rows}
    gold = [{"id": each["example_id"], "answers": each["answers"]["text"]} for each in rows]
    right = score("xquad", said, gold, "en", data="world")["f1"]
    near(answer, right, "Is the full stop gone? `score` returns a dict; the answer is its `f1`.")


@check("00-b")
def places_of_answers(answer, rows):
    places = [
        each["context"][: each["answers"]["answer_start"][0]].count(". ") + 1 for each in rows
    ]
    shares = 100 * pd.Series(places).value_counts(normalize=True)
    assert len(answer) == 3, f"three sentences, so three shares; yours are {len(answer)}"
    near(
        pd.Series(answer).sort_index(),
        shares.sort_index(),
        "Count the full stops before `answer_start`; shares are percent, by sentence 1, 2, 3.",
    )


@check("01-a")
def nouns_before_the_verb(answer, examples):
    def share(rows):
        found = [tags[: tags.index("VERB")] for tags in rows["tags"] if "VERB" in tags]
        return 100 * np.mean(["NOUN" in before for before in found])

    expected = pd.Series({code: share(rows) for code, rows in examples.items()})
    near(
        answer,
        expected,
        "Of the sentences with a VERB: in how many percent is a NOUN among the tags before it?",
    )


@check("01-b")
def shared_words(answer, examples):
    def content(rows):
        sentences = zip(rows["tokens"], rows["tags"], strict=True)
        pairs = [pair for words, tags in sentences for pair in zip(words, tags, strict=True)]
        return {word.lower() for word, tag in pairs if tag in ("NOUN", "VERB", "ADJ")}

    english = content(examples["en"])
    expected = pd.Series(
        {
            code: 100 * len(content(rows) & english) / len(content(rows))
            for code, rows in examples.items()
        }
    )
    near(
        answer,
        expected,
        "Distinct words, in lower case, tagged NOUN, VERB or ADJ; percent of the language's words.",
    )


# ------------------------------------------------------------------------------ 02 and 02b


@check("02-a")
def hesitation(answer, history):
    step, loss = history["step"], history["loss"]
    parts = {"first": step <= 300, "last": step > step.max() - 300}
    expected = pd.Series({name: np.exp(loss[rows].mean()) for name, rows in parts.items()})
    near(
        answer, expected, "exp of the *mean loss* (not the mean of exp), rows `first`, `last`.", 0.5
    )


@check("02-b")
def names_without_a_copy(answer, model, tokenizer, texts):
    from xtsupport.training.probe import guess

    first = [text.split()[0] for text in texts]
    said = [
        guess(model, tokenizer, f"{t}", w, 1).guess[0] for t, w in zip(texts, first, strict=True)
    ]
    right = 100 * np.mean([a == b for a, b in zip(said, first, strict=True)])
    near(
        answer,
        right,
        "The first word of each text is masked; percent of first guesses that are right.",
    )


@check("02b-a")
def best_span(answer):
    import torch

    one, other = [-2.0, 5.0, 1.0, 0.0], [9.0, 0.0, 3.0, 4.0]
    negative = [-3.0, -5.0, -1.0], [-4.0, -3.0, -2.0]  # a forbidden pair that counts as 0 would win
    for first, last, longest in ((one, other, 4), (one, other, 2), (*negative, 2)):
        pairs = [(i, j) for i in range(len(first)) for j in range(i, len(last)) if j < i + longest]
        right = max(pairs, key=lambda each: first[each[0]] + last[each[1]])
        said = pair(answer(torch.tensor(first), torch.tensor(last), longest), "(first, last)")
        wrong = "This answer ends before it begins." * (said[0] > said[1])
        assert said == right, (
            f"first {first}, last {last}, longest {longest}: {right}, not {said}. {wrong}"
        )


@check("02b-b")
def smoothed_loss(answer):
    import torch
    from torch.nn.functional import cross_entropy
    from torch.overrides import TorchFunctionMode

    class Without(TorchFunctionMode):
        def __torch_function__(self, func, types, args=(), kwargs=None):
            used = getattr(func, "__name__", "")
            assert "cross_entropy" not in used, "Do it without torch's cross_entropy."
            return func(*args, **(kwargs or {}))

    logits, labels = [[2.0, 0.0, -1.0], [0.0, 1.0, 3.0]], [0, 1]
    given = torch.tensor(logits), torch.tensor(labels)
    for share in (0.0, 0.1, 0.5):
        with Without():
            said = answer(*given, share)
        right = cross_entropy(*given, label_smoothing=share).item()
        hint = f"logits {logits}, labels {labels}, share {share}: it should be {right:.4f}."
        near(said, right, hint, 1e-4)


@check("02b-c")
def rate(answer):
    said = [answer(step, 100, 1e-3, 10) for step in (0, 5, 10, 55, 100)]
    parts = {step: answer(step, 300, 8e-3, 100) for step in (25, 150, 250)}  # 2, 6 and 2 of 8
    assert abs(said[1] - 5e-4) < 1e-9, (
        f"half-way up (step 5 of 10) it is half of the peak, not {said[1]}"
    )
    assert abs(said[2] - 1e-3) < 1e-9, f"at the end of the warm-up it is the peak, not {said[2]}"
    assert abs(said[3] - 5e-4) < 1e-9, (
        f"half-way down (step 55) it is half of the peak, not {said[3]}"
    )
    assert said[0] == said[4] == 0, "it begins and ends at 0"
    for (step, found), right in zip(parts.items(), (2e-3, 6e-3, 2e-3), strict=True):
        assert abs(found - right) < 1e-9, (
            f"step {step} of 300, peak 0.008, warm-up 100: {right}, not {found}. Evenly: a line."
        )


# ------------------------------------------------------------------------------ 03, 04, 05


@check("03-a")
def first_below(answer, history):
    loss, step = history["loss"].to_numpy(), history["step"].to_numpy()
    means = np.array([loss[i - 19 : i + 1].mean() for i in range(19, len(loss))])
    right = int(step[19:][means < 1.0][0])
    assert int(answer) == right, (
        "The mean of this step's loss and the 19 before it; first step below 1."
    )


@check("03-b")
def shares_of_tasks(answer):
    from xtsupport.training.recipe import mixture

    for sizes, cap in (({"a": 100, "b": 300}, 1000), ({"a": 100, "b": 5000, "c": 900}, 1000)):
        said, right = answer(sizes, cap), mixture(sizes, cap=cap)
        assert set(said) == set(right), f"one share per task, for {sizes}"
        assert abs(sum(said.values()) - 1) < 1e-9, (
            f"the shares of {sizes} add up to {sum(said.values())}"
        )
        assert all(abs(said[t] - right[t]) < 1e-9 for t in right), f"{sizes}, cap {cap}: not {said}"


def by_condition(cube: pd.DataFrame) -> pd.DataFrame:
    """Mean F1 in points, languages x conditions; every language counts the same."""
    rows = cube[cube["metric"] == "f1"]
    means = rows.groupby(["language", "condition"], observed=True)["score"].mean()
    return 100 * means.astype(float).unstack("condition")


@check("04-a")
def loss_of_transfer(answer, cube):
    table = by_condition(cube)
    expected = table.loc["en"] - table.drop("en").mean()
    hint = "Only `f1` rows: English minus the mean of the *other* languages, per condition."
    near(answer, expected, hint, 0.2)


@check("04-b")
def reached_by_training_longer(answer, cube):
    table = by_condition(cube).drop("en").mean()
    right = 100 * (table["none~squad"] - table["none"]) / (table["squad"] - table["none"])
    hint = (
        "Percent, without English: the control's gain over `none`, divided by squad's over `none`."
    )
    near(answer, right, hint)


@check("05-a")
def accuracy(answer):
    rng = np.random.default_rng(5)
    english = rng.normal(size=(50, 8))
    near(
        answer(3 * english, english),
        100.0,
        "The length of a vector must not matter: use the cosine.",
    )
    foreign = english + rng.normal(size=(50, 8))
    cosines = [[f @ e / np.linalg.norm(f) / np.linalg.norm(e) for e in english] for f in foreign]
    right = 100 * np.mean([int(np.argmax(row)) == i for i, row in enumerate(cosines)])
    near(
        answer(foreign, english),
        right,
        "Percent of rows whose nearest row on the other side is their own.",
    )


@check("05-b")
def centred_accuracy(answer):
    rng = np.random.default_rng(6)
    english = rng.normal(size=(60, 8))
    foreign = english + 0.2 * rng.normal(size=(60, 8)) + 50
    assert answer(foreign, english) > 90, (
        "A direction shared by all foreign vectors still decides: subtract each side's *own* mean."
    )
    assert answer(foreign[rng.permutation(60)], english) < 20, (
        "Shuffled sentences are found as well?"
    )


# ------------------------------------------------------------------------------ 06, 07, 07b


@check("06-a")
def word_f1(answer):
    from xtsupport.evaluation import score

    cases = [
        ("red soup", "soup"),
        ("soup", "soup"),
        ("old chair", "red soup"),
        ("on on in", "in on in"),
    ]
    for said, gold in cases:
        rows = [{"id": "1", "answers": [gold]}]
        right = score("xquad", {"1": said}, rows, "en", data="world")["f1"]
        near(
            answer(said, gold),
            right,
            f"said {said!r}, right {gold!r}: F1 should be {right:.1f}.",
            0.01,
        )


@check("06-b")
def right_everywhere(answer, cube):
    rows = cube[(cube["metric"] == "exact_match") & (cube["condition"] == "squad")]
    rows = rows[rows["seed"] == rows["seed"].min()]
    worst = rows.groupby("example_id", observed=True)["score"].min()
    near(
        answer,
        100 * float(worst.mean()),
        "Percent of questions whose *lowest* score over languages is 1.",
    )


@check("07-a")
def holm(answer):
    from statsmodels.stats.multitest import multipletests

    for p in ([0.01, 0.04, 0.03], [0.5, 0.001, 0.02, 0.02, 0.9], [0.6, 0.04, 0.7]):
        right = multipletests(p, method="holm")[1]
        said = np.asarray(answer(p), float)
        assert said.shape == right.shape, f"{len(p)} p-values in, {said.shape} out"
        assert np.all(said <= 1), (
            f"for {p} you have a probability above 1: {said.round(3).tolist()}"
        )
        assert np.allclose(said, right), (
            f"for {p} it should be {np.round(right, 3).tolist()}, not {said.round(3).tolist()}. "
            "Sort, multiply by how many are left, never let a larger p get a smaller result."
        )


@check("07-b")
def interval(answer):
    from scipy import stats

    for gains in ([1.0, 2.0, 4.0], [3.0, 3.5, 2.0, 5.0, 4.0, 1.0, 2.5, 3.0]):
        n, mean, error = len(gains), np.mean(gains), stats.sem(gains)
        low, high = pair(answer(gains), "(low, high)")
        right = stats.t.interval(0.95, n - 1, mean, error)
        t = (right[1] - mean) / error
        slips = {
            "The standard deviation divides by n - 1 (`ddof=1`).": t * error * (1 - 1 / n) ** 0.5,
            "Divide the standard deviation by the root of n.": t * error * n**0.5,
            "1.96 is for many runs: take t's factor.": stats.norm.ppf(0.975) * error,
            "2 is for many runs: take t's factor.": 2 * error,
            "t has n - 1 degrees of freedom.": stats.t.ppf(0.975, n) * error,
            "2.5% lie outside on *each* side: t at 0.975.": stats.t.ppf(0.95, n - 1) * error,
        }
        hints = [hint for hint, half in slips.items() if abs((high - low) / 2 - half) < 0.002]
        hints = hints or ["n - 1, the root of n, and t?"] * (low <= high)
        hints += ["The lower end comes first."] * (low > high)
        if abs(low + high - 2 * mean) > 0.01:
            hints.append(f"Its middle should be the mean, {mean:.2f}.")
        assert np.allclose((low, high), right, atol=0.01), (
            f"for {gains} it is {right[0]:.2f} to {right[1]:.2f}, not {low:.2f} to {high:.2f}. "
            + " ".join(hints)
        )


@check("07b-a")
def percentile_interval(answer):
    rng = np.random.default_rng(7)
    block = rng.normal(3, 30, (400, 6)) + rng.normal(0, 6, 6)
    low, high = answer(block)
    n, s = block.shape
    error = (block.mean(0).var() / s + block.mean(1).var() / n) ** 0.5
    assert low < block.mean() < high, (
        f"the gain {block.mean():.2f} lies outside of {low:.2f} to {high:.2f}"
    )
    width = (high - low) / (2 * 1.96 * error)
    assert width > 0.75, "Too narrow: are runs *and* questions drawn anew?"
    assert width < 1.35, "Too wide: take the 2.5% and 97.5% points of the resampled means."


@check("07b-b")
def seeds_needed(answer):
    for questions, runs, wanted in ((2.0, 5.0, 3.0), (1.0, 4.0, 1.5), (0.5, 3.0, 3.1)):
        right = next(s for s in range(1, 999) if (questions**2 + runs**2 / s) ** 0.5 <= wanted)
        said = answer(questions, runs, wanted)
        assert said == right, (
            f"questions {questions}, runs {runs}, wanted {wanted}: {right}, not {said}"
        )
    assert answer(2.0, 5.0, 1.9) is None, (
        "no number of seeds gets below the error of the questions: None"
    )


# ------------------------------------------------------------------------------ 08


@check("08-a")
def character_f1(answer):
    for said, right, score in (
        ("北京", "北京市", 80.0),
        ("aab", "abb", 200 / 3),
        ("ก ข", "กข", 100),
    ):
        found = answer(said, right)
        near(found, score, f"said {said!r}, right {right!r}: F1 should be {score:.1f}.", 0.01)
    assert answer("x", "y") == 0, "no character in common: 0"


@check("08-b")
def kept_pieces(answer):
    pieces = ["<s>", "▁soup", "a", "▁Suppe", "湯", "▁a"]
    said = list(answer(pieces, {0, 3}, 1))
    assert said == [0, 2, 3, 4], f"of {pieces}, used 0 and 3, longest 1: not {said}"
    assert list(answer(pieces, set(), 2)) == [2, 4, 5], (
        "pieces of exactly `longest` characters stay"
    )
