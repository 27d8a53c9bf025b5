"""The quiz: a question per lesson, a word on every answer, and per lesson what to read again.

`.venv/bin/python notebooks/kit/quiz.py` asks them; with `--sheet` it prints them for paper,
with the key at the end; the site has them as a page. In a notebook: `%run kit/quiz.py`, then
`answer(3, "b")`, and `feedback({1: "b", 2: "c"})`.
"""

import sys
import tomllib
from pathlib import Path

FILE = Path(__file__).with_name("quiz.toml")


def questions() -> list[dict]:
    """lesson, ask, right (a letter), and options: letter -> [text, what to say about it]."""
    return tomllib.loads(FILE.read_text(encoding="utf-8"))["question"]


def answer(number: int, letter: str) -> bool:
    """Whether an answer is right; prints why, and which notebook to look at."""
    asked = questions()[number - 1]
    if letter not in asked["options"]:
        print(f"{letter!r} is none of {', '.join(asked['options'])}")
        return False
    right = letter == asked["right"]
    print(
        f"{'Right' if right else 'No'}: {asked['options'][letter][1]} (notebook {asked['lesson']})"
    )
    return right


def feedback(given: dict[int, str]) -> str:
    """One line per lesson that was asked about: right, or what to read again. given: number ->
    letter; what is missing counts as wrong."""
    lines = []
    for number, asked in enumerate(questions(), 1):
        right = given.get(number) == asked["right"]
        told = "right" if right else f"read again: {asked['section']}"
        lines.append(f"{asked['lesson']:<4} {told}")
    return "\n".join(lines)


def shown(number: int) -> str:
    """A question with its options."""
    asked = questions()[number - 1]
    options = [f"   {letter}) {text}" for letter, (text, _) in asked["options"].items()]
    return "\n".join([f"{number}. {asked['ask']}", *options])


def sheet() -> str:
    """All questions for paper, and the key."""
    numbers = range(1, len(questions()) + 1)
    key = ", ".join(f"{n} {asked['right']}" for n, asked in zip(numbers, questions(), strict=True))
    return "\n\n".join([*map(shown, numbers), f"Key: {key}"])


def web_page() -> str:
    """All questions as Markdown; every answer opens with a word on it."""
    lines = ["# Quiz", "", "One question per lesson. Click an answer to see whether it is right."]
    for number, asked in enumerate(questions(), 1):
        lines += ["", f"## {number}. Lesson {asked['lesson']}", "", asked["ask"], ""]
        for letter, (text, about) in asked["options"].items():
            told = "Right" if letter == asked["right"] else "No"
            lines += [f"<details><summary>{letter}) {text}</summary>{told}: {about}.</details>"]
    return "\n".join([*lines, ""])


if __name__ == "__main__" and "ipykernel" not in sys.modules:
    if "--sheet" in sys.argv:
        print(sheet())
    else:
        points, given = 0, {}
        for n, asked in enumerate(questions(), 1):
            print(shown(n))
            while (said := input("   your answer: ").strip().lower()) not in asked["options"]:
                print(f"   type one of {', '.join(asked['options'])}")
            points, given[n] = points + answer(n, said), said
            print()
        print(f"{points} of {len(questions())}\n\nLesson by lesson:\n{feedback(given)}")
