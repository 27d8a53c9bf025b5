"""docs/where.md: the files and names that it gives are there."""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
ROW = r"^\| (.+?) \| `(.+?)` \| (?:`(\w+)`)? ?\|$"
ANSWERS = re.findall(ROW, (ROOT / "docs" / "where.md").read_text(encoding="utf-8"), re.M)


def test_there_are_questions_on_every_room():
    rooms = {Path(file).parts[0] for _, file, _ in ANSWERS}
    assert len(ANSWERS) >= 20
    assert {"data", "training", "evaluation", "cube", "statistics", "report", "study"} < rooms


@pytest.mark.parametrize(("question", "file", "name"), ANSWERS)
def test_the_answer_is_there(question, file, name):
    text = (ROOT / "xtsupport" / file).read_text(encoding="utf-8")
    assert not name or re.search(rf"^(?: {{4}})?(?:def|class) {name}\b|^{name} = ", text, re.M)
