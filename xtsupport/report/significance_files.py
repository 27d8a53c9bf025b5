"""What a comparison leaves in a folder: the table, its answer, its rows in words."""

from pathlib import Path

import pandas as pd

from xtsupport.files import write_text
from xtsupport.report.answer import closing
from xtsupport.report.contents import Contents
from xtsupport.report.paper_sentences import sentence


def write_significance(found: Contents, out) -> Path:
    """Write ``significance.csv``, ``answer.txt`` (what a terminal says of it) and ``sentences.txt``
    (one per row) into ``out``; returns the path of the table.
    """
    table, out = found.comparison, Path(out)
    rows = table.to_dict("records")
    words = [sentence(row, found.rules, found.evidence.data) for row in rows]
    write_text(out / "answer.txt", "\n".join(closing(found)) + "\n")
    write_text(out / "sentences.txt", "\n".join(words) + "\n")
    return write_text(out / "significance.csv", table.to_csv(index=False))


def read_comparison(path) -> pd.DataFrame:
    """The table of a ``significance.csv``; words stay words (`none`, `na`), empty numbers nan."""
    numbers = ("baseline_score", "gain", "se", "df", "ci_low", "ci_high", "mde")
    table = pd.read_csv(path, keep_default_na=False, na_values={name: [""] for name in numbers})
    return table.astype(dict.fromkeys(numbers, float))
