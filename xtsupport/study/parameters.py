"""Parameters of notebooks: taken as people give them, and no unknown one is overlooked."""

import ast
import sys
from collections.abc import Mapping
from difflib import get_close_matches
from typing import Any

from xtsupport.errors import UserError, did_you_mean
from xtsupport.study.params import params_file

PARTS = ("conditions", "targets", "seeds", "variants")  # what `only` can choose from


def as_list(value: object) -> list:
    """``0``, ``"0"``, ``"[0, 1]"``, ``"0, 1"``, ``"xquad"`` or a list, as a list; None is empty.

    papermill hands on what ``-p seeds 0`` or ``-p seeds '[0, 1]'`` says as a number or a text.
    """
    if isinstance(value, str):
        read = params_file.scalar(value)
        if isinstance(read, str):
            return [params_file.scalar(each.strip()) for each in read.split(",") if each.strip()]
        value = read
    if value is None:
        return []
    return list(value) if isinstance(value, list | tuple | set | range) else [value]


def as_settings(value: Any) -> list[str] | dict:
    """What ``settings`` may be: a list of ``key=value``, one of them as a text, or a mapping."""
    if isinstance(value, Mapping):
        return dict(value)
    texts = [] if value is None else value
    if isinstance(value, str):
        read = params_file.scalar(value)
        texts = read if isinstance(read, list) else [value] if value.strip() else []
    if not isinstance(texts, list | tuple | set):
        texts = [value]
    wrong = [each for each in texts if not isinstance(each, str)]
    if wrong:
        raise UserError(
            f'settings: {wrong[0]!r} must be text such as "intermediate.learning_rate=5e-4"'
        )
    return list(texts)


def check_names() -> None:
    """In a notebook: raise UserError for a parameter that the notebook does not have.

    The parameters cell declares names with a type; names that are set without a type, there or in
    the cell that papermill adds, must be among them.
    """
    cells = history()
    own = [number for number, cell in enumerate(cells) if "params" in names(cell, ast.AnnAssign)]
    if not own:
        return
    first = own[-1]
    known = names(cells[first], ast.AnnAssign)
    added = [cell for cell in cells[first + 1 :] if cell.startswith("# Parameters")]
    given = [name for cell in (cells[first], *added) for name in names(cell, ast.Assign)]
    unknown = [name for name in dict.fromkeys(given) if name not in known]
    if unknown:
        raise UserError(*(
            f"parameter {name!r}: this notebook has no such parameter{nearest(name, known)}; "
            f"it has {', '.join(known)}" for name in unknown
        ))  # fmt: skip


def nearest(name: str, known: list[str]) -> str:
    """What was probably meant: a part of the study, where the notebook takes parts, else a name."""
    part = get_close_matches(name, PARTS, n=1, cutoff=0.8)
    if "only" in known and part:
        return f" (for a part of the study: only = ['{part[0]}=...'])"
    return did_you_mean(name, known)


def history() -> list[str]:
    """The cells that this notebook has executed, oldest first; empty outside a notebook."""
    if "IPython" not in sys.modules:
        return []
    from IPython import get_ipython

    shell = get_ipython()
    return list(shell.user_ns.get("In", ())) if shell is not None else []


def names(cell: str, kind: type[ast.Assign] | type[ast.AnnAssign]) -> list[str]:
    """The names that a cell sets with a type (AnnAssign: ``seeds: list = [0]``) or without
    (Assign); none where Python alone cannot read the cell (magics)."""
    try:
        own = [each for each in ast.parse(cell).body if isinstance(each, kind)]
    except (SyntaxError, ValueError):
        return []
    targets = [each for one in own for each in getattr(one, "targets", [vars(one).get("target")])]
    return [each.id for each in targets if isinstance(each, ast.Name)]
