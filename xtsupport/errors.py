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


class Unreachable(UserError):
    """The hub does not answer, and `wanted` is not in the cache: mended by a network, or a mirror.

    A plan goes on without it; see `together`.
    """

    def __init__(self, reason: str, *wanted: str):
        self.reason, self.wanted = reason, wanted
        super().__init__(
            f"{reason}; not in the cache: {', '.join(wanted)}. Connect to the network and try "
            "again, fetch everything beforehand with `xtsupport data get FILE`, or set `data:` "
            "(and `encoder:`) to folders"
        )


class Stopped(UserError):
    """Somebody interrupted the work, and nothing is wrong: what is done is kept."""

    def _render_traceback_(self) -> list[str]:
        """In a notebook: the line alone."""
        return list(self.problems)


def together(problems: list[UserError]) -> UserError:
    """Several errors as one, each line once; what the hub did not give as a single line."""
    away = [error for error in problems if isinstance(error, Unreachable)]
    rest = [line for error in problems if error not in away for line in error.problems]
    names = dict.fromkeys(name for error in away for name in error.wanted)
    data_first = sorted(names, key=lambda name: name.startswith("encoder "))
    one = Unreachable(away[0].reason, *data_first) if away else None
    if one and not rest:
        return one
    return UserError(*dict.fromkeys(rest), *(one.problems if one else ()))


def did_you_mean(name: object, allowed) -> str:
    """`` (did you mean 'xquad'?)`` for the closest allowed name, or an empty string."""
    close = get_close_matches(str(name), [str(each) for each in allowed], n=1, cutoff=0.5)
    return f" (did you mean {close[0]!r}?)" if close else ""


def instead(name: object, allowed) -> str:
    """What a name that is none of ``allowed`` may be: the nearest, if any, and all of them."""
    return f"{did_you_mean(name, allowed)}; allowed: {', '.join(map(str, allowed)) or 'nothing'}"


def unknown(what: str, name: object, allowed) -> str:
    """`unknown unit 'runs' (did you mean ...?); allowed: ...`: the line on a name there is none of.

    what: the kind of name, such as task or split.
    """
    return f"unknown {what} {shorten(name)}{instead(name, allowed)}"


def shorten(value: object, most: int = 60) -> str:
    """A value as Python writes it, its middle cut out beyond `most` characters."""
    text = repr(value)
    head = most // 3
    return text if len(text) <= most else f"{text[:head]}...{text[head + 3 - most :]}"
