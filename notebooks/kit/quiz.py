"""The quiz: ten questions with a word on every answer. `python notebooks/kit/quiz.py`, or a form.

`python notebooks/kit/quiz.py --sheet` prints it for paper, with the key at the end. In a notebook:
`%run kit/quiz.py`, then `answer(3, "b")`.
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


if __name__ == "__main__" and "ipykernel" not in sys.modules:
    if "--sheet" in sys.argv:
        print(sheet())
    else:
        points = 0
        for n, asked in enumerate(questions(), 1):
            print(shown(n))
            while (said := input("   your answer: ").strip().lower()) not in asked["options"]:
                print(f"   type one of {', '.join(asked['options'])}")
            points += answer(n, said)
            print()
        print(f"{points} of {len(questions())}")
