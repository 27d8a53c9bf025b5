"""What a comparison leaves in a folder: the table, its rows in words, LaTeX of the primary rows."""

from pathlib import Path

import pandas as pd

from xtsupport.files import write_text
from xtsupport.report.answer import closing
from xtsupport.report.contents import Contents
from xtsupport.report.paper_sentences import sentence
from xtsupport.report.paper_tables import latex_table
from xtsupport.statistics.comparisons import is_primary


def write_significance(found: Contents, out) -> Path:
    """Write ``significance.csv``, ``answer.txt`` (what a terminal says of it), ``sentences.txt``
    (one per row) and ``primary.tex`` into ``out``.

    Returns the path of the table. Where no primary comparison was declared, ``primary.tex`` holds
    the one that the report shows, as exploratory.
    """
    rules, table, out = found.rules, found.comparison, Path(out)
    rows = table.to_dict("records")
    words = [sentence(row, rules, found.evidence.data) for row in rows]
    write_text(out / "answer.txt", "\n".join(closing(found)) + "\n")
    write_text(out / "sentences.txt", "\n".join(words) + "\n")
    primary = table[is_primary(table, found.primary)]
    if len(primary):
        parts = [latex_table(part, rules.alpha) for _, part in primary.groupby("task", sort=False)]
        write_text(out / "primary.tex", "\n".join(parts))
    return write_text(out / "significance.csv", table.to_csv(index=False))


def read_comparison(path) -> pd.DataFrame:
    """The table of a ``significance.csv``; words stay words (`none`, `na`), empty numbers nan."""
    numbers = ("baseline_score", "gain", "se", "df", "ci_low", "ci_high", "mde")
    table = pd.read_csv(path, keep_default_na=False, na_values={name: [""] for name in numbers})
    return table.astype(dict.fromkeys(numbers, float))
