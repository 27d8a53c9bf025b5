"""The one exception for mistakes that a user can mend, and the hint that goes with it."""

from difflib import get_close_matches


class UserError(ValueError):
    """Something the user can mend: a wrong setting, a missing file, an unknown name.

    Each problem is one line that names the thing, its value, what is allowed and what to do.
    The command line prints every line as ``xtsupport: error: ...`` without a traceback.
    """

    def __init__(self, *problems: str):
        self.problems = problems
        super().__init__("\n".join(problems))

    def _render_traceback_(self) -> list[str]:
        """What a notebook shows instead of a traceback: the problems (IPython asks for this)."""
        return [f"xtsupport: error: {problem}" for problem in self.problems]


class Stopped(UserError):
    """Somebody interrupted the work, and nothing is wrong: what is done is kept."""

    def _render_traceback_(self) -> list[str]:
        """In a notebook: the line alone."""
        return list(self.problems)


def did_you_mean(name: object, allowed) -> str:
    """`` (did you mean 'xquad'?)`` for the closest allowed name, or an empty string."""
    close = get_close_matches(str(name), [str(each) for each in allowed], n=1, cutoff=0.5)
    return f" (did you mean {close[0]!r}?)" if close else ""
