"""No sentence, figure or table contradicts a verdict: every row of the reference study."""

import re
from pathlib import Path

import pandas as pd
import pytest

from xtsupport.report import gain_plots
from xtsupport.report.answer import gain_words
from xtsupport.report.comparison_rows import forest_rows
from xtsupport.report.names import task_name
from xtsupport.report.numbers import with_interval
from xtsupport.report.paper_sentences import sentence
from xtsupport.report.paper_tables import page_table, read_comparison
from xtsupport.report.style import OPEN, VERDICTS, verdict_look
from xtsupport.statistics.declared import Declared, Primary
from xtsupport.tables import language_table

TABLE = Path(__file__).parents[1] / "outputs" / "reference" / "significance.csv"
PRINTED = re.compile(r"(-?[\d.]+)(?: to |, )(-?[\d.]+)")
RULES = Declared(margin=1.0)


@pytest.fixture(scope="module")
def table():
    return read_comparison(TABLE)


def agrees(verdict: str, gain: float, low: float, high: float) -> bool:
    """Whether an interval says what the verdict says; ends that are exactly 0 hold it."""
    return {
        "improves": gain > 0 and low > 0,
        "harms": gain < 0 and high < 0,
        "undetermined": low <= 0 <= high,
        "equivalent": low >= -1 and high <= 1,
        "too few": True,
    }[verdict]


def printed(text: str) -> tuple[float, float]:
    found = PRINTED.search(text.replace("\N{MINUS SIGN}", "-"))
    return float(found[1]), float(found[2])


def test_the_table_has_every_kind_of_row(table):
    assert {"improves", "harms", "undetermined"} <= set(table["verdict"])
    assert table["mde"].dtype == float and table["df"].dtype == float


def test_the_words_for_a_row_say_what_its_verdict_says(table):
    said = {
        "improves": "", "harms": "", "equivalent": "equivalent within", "too few": "too few",
        "undetermined": "inconclusive|does not survive",
    }  # fmt: skip
    cells = with_interval(table)
    shown = page_table(table, 0.05)
    head = next(name for name in shown if name.startswith("gain"))
    for i, row in enumerate(table.to_dict("records")):
        verdict, text = row["verdict"], sentence(row, RULES, "hub")
        assert re.search(said[verdict], text), text
        others = [words for name, words in said.items() if name != verdict and words]
        assert not re.search("|".join(others), text), text
        inside = text[text.index("% interval") :]
        short = gain_words(row)
        for where in (inside, short[short.index("(") :], cells.iloc[i][5:], shown[head][i][5:]):
            low, high = printed(where[where.index("[") :] if "[" in where else where)
            assert agrees(verdict, row["gain"], low, high), (where, row)


def test_marks_are_coloured_by_verdict_and_bars_are_the_rows_intervals(table):
    languages = language_table()
    for treatment, baseline in table[["treatment", "baseline"]].drop_duplicates().to_numpy():
        rows = forest_rows(table, Primary(treatment, baseline, by="all"), languages)
        figure = gain_plots.gain_forest(rows, languages, 0.05)
        drawn = 0
        for panel in figure.axes:
            mine = rows[rows["task"].map(task_name) == panel.get_title().replace("\n", " ")]
            marks = [line for line in panel.lines if line.get_gid() in VERDICTS]
            bars = [line for line in panel.lines if line.get_gid() == "interval"]
            for mark, bar, row in zip(marks, bars, mine.itertuples(), strict=True):
                look = verdict_look(row.verdict)
                found = row.verdict in ("improves", "harms", "equivalent")
                assert mark.get_color() == bar.get_color() == look["color"]
                assert (look["color"] == OPEN) == (not found)
                assert (mark.get_markerfacecolor() == "white") == (not found)
                low, high = bar.get_xdata()
                assert agrees(row.verdict, mark.get_xdata()[0], low, high)
                whole = row.ci_low >= panel.get_xlim()[0] and row.ci_high <= panel.get_xlim()[1]
                assert not whole or (low, high) == (row.ci_low, row.ci_high)
                drawn += 1
        assert drawn == len(rows) >= 20


def test_an_empty_number_is_no_word(tmp_path):
    row = pd.read_csv(TABLE, keep_default_na=False).head(1).assign(mde="", verdict="undetermined")
    row.assign(p_value=0.5).to_csv(tmp_path / "s.csv", index=False)
    (read,) = read_comparison(tmp_path / "s.csv").to_dict("records")
    words = sentence(read, RULES, "hub")
    assert "which is inconclusive (" in words and "nan" not in words
