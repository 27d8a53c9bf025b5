"""What a condition's name says: which tasks phase 2 trains on, and what phase 3 is matched to.

``none`` | a task | ``all`` | ``none~X`` (no phase 2, but as many steps as X's phases 2 and 3).
"""

from dataclasses import dataclass


@dataclass(frozen=True)
class Condition:
    """A parsed condition.

    ``base`` is what phase 2 trains on (``none``: nothing), ``matched`` the X of ``none~X``.
    """

    name: str
    base: str
    matched: str = ""

    @property
    def has_phase2(self) -> bool:
        """Whether there is anything to train before phase 3."""
        return self.base != "none"


def parse(name: str) -> Condition:
    """The condition a name stands for. Raises ValueError when the name has no such form."""
    base, tilde, matched = name.partition("~")
    if not tilde:
        return Condition(name, base)
    if base != "none" or matched in ("", "none") or "~" in matched:
        raise ValueError("a control is written none~X, with X a task or `all`")
    return Condition(name, base, matched)


def single_tasks(conditions: list[str]) -> list[str]:
    """The tasks that have a condition of their own, in alphabetical order: what ``all`` mixes."""
    return sorted(name for name in conditions if "~" not in name and name not in ("none", "all"))
