"""What the names of conditions and variants say: how phases 2 and 3 train.

A condition is ``none``, a task, ``all``, or one of these made of a task (or of ``all``) X:

============== ====================================================================================
X+mlm          X, with masked-LM batches of all languages between its own
X@translated   X's rows machine-translated, in turn into each of the study's languages
X@matched      X on as many rows as the smallest intermediate task of the study
none~X         no phase 2, but as many steps as X's phases 2 and 3 together
============== ====================================================================================

Marks can be joined: ``squad@translated+mlm``. A variant is ``plain``, ``adversarial``,
``smoothing``, ``synonyms`` (training/robust.py) or ``source=de``: phase 3 on rows in that language.
A side is a condition with a variant, ``squad/source=de``; without one it is the plain one.
"""

import re
from collections.abc import Iterable
from dataclasses import dataclass

from xtsupport.tables import Task

ROBUST = ("adversarial", "smoothing", "synonyms")
MARKS = ("@translated", "@matched", "+mlm")


@dataclass(frozen=True)
class Condition:
    """A parsed condition.

    ``base`` is what phase 2 trains on (``none``: nothing), ``matched`` the X of ``none~X``,
    ``marks`` how it differs from plain English training on ``base``.
    """

    name: str
    base: str
    matched: str = ""
    marks: frozenset[str] = frozenset()

    @property
    def has_phase2(self) -> bool:
        """Whether there is anything to train before phase 3."""
        return self.base != "none"


def parse(name: str) -> Condition:
    """The condition a name stands for. Raises ValueError when the name has no such form."""
    base, tilde, matched = name.partition("~")
    if tilde:
        if base != "none" or matched in ("", "none") or "~" in matched:
            raise ValueError("a control is written none~X, with X a task or `all`")
        return Condition(name, base, matched)
    marks = set()
    for mark in reversed(MARKS):
        if base.endswith(mark):
            base = base.removesuffix(mark)
            marks.add(mark)
    if {"+", "@"} & set(base):
        raise ValueError(f"a task can be followed by {', '.join(MARKS)}, in this order")
    if marks and base == "none":
        raise ValueError("none has no phase 2 to change")
    if base == "all" and marks - {"+mlm"}:
        raise ValueError("all can be all or all+mlm")
    return Condition(name, base, marks=frozenset(marks))


def controls_run(targets: Iterable[Task]) -> bool:
    """Whether a control such as ``none~squad`` has runs: it is one of phase 3, which sentence
    retrieval has none of."""
    return any(each.kind != "retrieval" for each in targets)


def stem(name: str) -> str:
    """What stands before the first mark of a name, sound or not: squad of ``squad@matched``."""
    return re.split("[@+~]", name)[0]


def single_tasks(conditions: list[str]) -> list[str]:
    """The tasks that have a condition of their own, in alphabetical order: what ``all`` mixes."""
    return sorted(
        name for name in conditions if not {"~", "@", "+"} & set(name) and name not in BUILT_IN
    )


BUILT_IN = ("none", "all")
