"""One line that says how training goes; one output in a notebook, with its last text."""

import nbformat
import numpy as np
import pytest

from xtsupport.training.progress import ProgressLine, duration

NOTEBOOK = """
import numpy as np, time
from xtsupport.training import progress
progress.EVERY = 0.0
line = progress.ProgressLine(300)
for step in range(300):
    line.step(step + 1, np.linspace(2, 1, 300), 10)
"""


def test_the_text_by_hand():
    line = ProgressLine(400, first=100, shown=False)  # 50 steps in 20 s, 250 to go: 100 s
    line.tokens = 5000
    text = line.text(150, np.r_[np.full(100, 9.0), np.full(50, 1.5)], 20.0)
    assert text == "150 of 400 steps · loss 1.500 · 250 tokens/s · 2 min left"
    assert line.text(400, np.full(400, 0.25), 120.0).endswith(
        "loss 0.250 · 42 tokens/s · took 2 min"
    )


@pytest.mark.parametrize(
    ("seconds", "said"), [(9.4, "9 s"), (99, "99 s"), (240, "4 min"), (7500, "2 h 05 min")]
)
def test_durations(seconds, said):
    assert duration(seconds) == said


def test_nothing_is_written_into_files(capsys):
    line = ProgressLine(3)
    for step in range(3):
        line.step(step + 1, np.ones(3), 10)
    assert capsys.readouterr() == ("", "")


@pytest.mark.slow
def test_an_executed_notebook_holds_one_output_with_the_last_text():
    from nbclient import NotebookClient

    book = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(NOTEBOOK)])
    (cell,) = NotebookClient(book, timeout=120, kernel_name="python3").execute().cells
    (output,) = cell.outputs
    assert output.output_type == "display_data"
    assert output.data["text/plain"].startswith("300 of 300 steps · loss 1.0")
