"""Lazy rules: ways to answer questions about a passage without reading it, and their scores.

A rule picks one sentence (the first, the one that shares the most words with the question, ...) and
one word of it (the first that is not in the question, ...). Two kinds know more than a rule could:
`position` uses, for each question word, the position that is best on the evaluated rows, and `kind`
the words that answer some other question with the same question word. Only what a model scores
above the best rule can be called transfer. Jia and Liang 2017 (arXiv 1707.07328) and Weissenborn
et al. 2017 (arXiv 1703.04816) show how far such rules go on SQuAD.

`python -m xtsupport.data.lazy_rules` writes lazy_rules.csv, what the rules score on every span
target of the world, for pictures and tables of scores (``tables.guesses``).
"""

import re
from collections import Counter, defaultdict

import numpy as np
import pandas as pd

from xtsupport.data.hub import load
from xtsupport.tables import PACKAGE, tasks
from xtsupport.tables import task as task_row

POSITIONS = range(-6, 6)  # in a sentence, from its front and from its end
COLUMNS = ["language", "chance", "lazy", "rule"]


def lazy_table(task: str, data: str, languages=None, rows: int | None = None) -> pd.DataFrame:
    """What guessing scores on a span task: language, chance, lazy (F1 in 0..100), rule.

    `chance` is a random word of the passage, `lazy` the best rule in that language and `rule` its
    name. At most `rows` questions a language.
    """
    found = []
    for code in languages or task_row(task, data).languages:
        examples = load(task, code, None, data)
        scores = lazy_scores(examples.select(range(min(rows or len(examples), len(examples)))))
        chance = scores.pop("chance")
        found.append((code, chance, scores.max(), scores.idxmax()))
    return pd.DataFrame(found, columns=COLUMNS)


def lazy_scores(examples) -> pd.Series:
    """Rule -> mean F1 in 0..100 over the questions that have an answer; `chance` among them.

    examples: rows with context, question and answers ({"text": [...]}), as load() gives them.
    """
    asked = [_Question(row) for row in examples if row["answers"]["text"]]
    kinds: defaultdict[str, Counter] = defaultdict(Counter)
    for each in asked:
        kinds[each.ask].update(each.answers)
    found, fitted = defaultdict(list), defaultdict(list)
    for each in asked:
        others = kinds[each.ask] - Counter(each.answers)
        for rule, word in _guesses(each, others):
            found[rule].append(each.score(word))
        for (sentence, *place), word in _at_positions(each):
            fitted[sentence, each.ask, *place].append(each.score(word))
        found["chance"].append(float(np.mean([each.score(word) for word in each.words])))
    scores = {rule: np.sum(each) for rule, each in found.items()} | _best_positions(fitted)
    return 100 * pd.Series(scores) / max(1, len(asked))


class _Question:
    """A row as lower-case words: of the question, of every sentence, and how often each occurs."""

    def __init__(self, row):
        self.question = set(_words(row["question"]))
        self.ask = _words(row["question"])[0]
        self.sentences = [s for s in map(_words, re.split(r"[.?!]", row["context"])) if s]
        self.words = [word for sentence in self.sentences for word in sentence]
        self.times = Counter(self.words)
        self.answers = [" ".join(_words(text)) for text in row["answers"]["text"]]

    def score(self, word: str) -> float:
        """F1 of one word against the answer, the better of several: 0..1."""
        return max(2 * (word in a.split()) / (1 + len(a.split())) for a in self.answers)


def _words(text: str) -> list[str]:
    return re.findall(r"\w+", text.lower())


def _sentences(each: _Question) -> dict[str, list[str]]:
    """The sentences a rule may take, by its name."""
    shared = [len(each.question & set(sentence)) for sentence in each.sentences]
    lengths = [len(sentence) for sentence in each.sentences]
    numbers = {
        "first": 0, "last": -1, "middle": len(shared) // 2,
        "shares most": int(np.argmax(shared)),
        "shares most, last": len(shared) - 1 - int(np.argmax(shared[::-1])),
        "shares least": int(np.argmin(shared)),
        "shortest": int(np.argmin(lengths)), "longest": int(np.argmax(lengths)),
    }  # fmt: skip
    return {name: each.sentences[number] for name, number in numbers.items()}


def _guesses(each: _Question, kind):
    """(rule, word) of every rule; a rule that finds nothing takes the sentence's first word."""
    for name, sentence in _sentences(each).items():
        new = [word for word in sentence if word not in each.question]
        old = [i for i, word in enumerate(sentence) if word in each.question]
        once = [word for word in new if each.times[word] == 1]
        fits = [word for word in new if word in kind]
        picks = {
            "first new word": new[:1], "last new word": new[-1:],
            "first word said once": once[:1], "last word said once": once[-1:],
            "word before the question's": sentence[max(0, old[0] - 1) :] if old else [],
            "word after the question's": sentence[old[-1] + 1 :] if old else [],
            "first word": sentence, "last word": sentence[-1:],
            "first of the kind": fits, "last of the kind": fits[-1:],
        }  # fmt: skip
        for pick, words in picks.items():
            yield f"{name}: {pick}", (words or sentence)[0]


def _at_positions(each: _Question):
    """((sentence, all or new words, position), word) wherever the sentence has such a position."""
    for name, sentence in _sentences(each).items():
        new = [word for word in sentence if word not in each.question]
        for which, words in (("word", sentence), ("new word", new)):
            for place in POSITIONS:
                if -len(words) <= place < len(words):
                    yield (name, which, place), words[place]


def _best_positions(fitted) -> dict[str, float]:
    """For every sentence the sum of scores at the best position for each question word."""
    best: defaultdict[str, defaultdict] = defaultdict(lambda: defaultdict(float))
    for (sentence, ask, which, _), scores in fitted.items():
        rule = f"{sentence}: position of a {which}"
        best[rule][ask] = max(best[rule][ask], np.sum(scores))
    return {rule: sum(sums.values()) for rule, sums in best.items()}


if __name__ == "__main__":
    spans = [row.name for row in tasks("world").values() if row.kind == "span"]
    targets = [name for name in spans if task_row(name, "world").role == "target"]
    every = pd.concat([lazy_table(name, "world").assign(task=name) for name in targets])
    every[["task", *COLUMNS]].round(2).to_csv(PACKAGE / "lazy_rules.csv", index=False)
