"""The one exception for mistakes that a user can mend."""


class UserError(ValueError):
    """Something the user can mend: a wrong setting, a missing file, an unknown name.

    Each problem is one line that names the thing, its value, what is allowed and what to do.
    The command line prints every line as ``xtsupport: error: ...`` without a traceback.
    """

    def __init__(self, *problems: str):
        self.problems = problems
        super().__init__("\n".join(problems))
