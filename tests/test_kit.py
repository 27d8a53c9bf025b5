"""The teaching kit: the quiz is whole, the sheet scores what the cube says, slides find cells."""

import importlib.util
import re
import tomllib
from pathlib import Path

import nbformat
import pandas as pd
import pytest

from xtsupport.errors import UserError
from xtsupport.tables import language_table

NOTEBOOKS = Path(__file__).parents[1] / "notebooks"
KIT = NOTEBOOKS / "kit"


def module(name: str):
    spec = importlib.util.spec_from_file_location(f"kit_{name}", KIT / f"{name}.py")
    made = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(made)
    return made


def test_the_quiz_has_a_question_per_lesson_with_a_word_on_every_answer(capsys):
    quiz = module("quiz")
    asked = quiz.questions()
    lessons = {path.stem.split("_")[0] for path in NOTEBOOKS.glob("*.ipynb")}
    assert [each["lesson"] for each in asked] == sorted(lessons)
    for number, each in enumerate(asked, 1):
        assert each["right"] in each["options"] and len(each["options"]) >= 3
        assert all(len(word) > 10 for _, word in each["options"].values())
        assert quiz.answer(number, each["right"])
    assert not quiz.answer(1, "a") and "none of a, b, c" not in capsys.readouterr().out
    assert not quiz.answer(1, "z") and "none of a, b, c" in capsys.readouterr().out
    assert len({each["right"] for each in asked}) == 3  # not always the same letter


def test_the_quiz_says_per_lesson_what_to_read_again():
    quiz = module("quiz")
    asked = quiz.questions()
    for each in asked:
        book = nbformat.read(next(NOTEBOOKS.glob(f"{each['lesson']}_*.ipynb")), as_version=4)
        headings = [line for cell in book.cells for line in cell.source.splitlines()]
        assert f"## {each['section']}" in headings, each
    given = {number: each["right"] for number, each in enumerate(asked, 1)}
    assert quiz.feedback(given).count("right") == len(asked)
    lines = quiz.feedback({**given, 4: "a"}).splitlines()
    assert lines[3] == "02b  read again: Check by decoding" and lines[4] == "03   right"


def cube() -> pd.DataFrame:
    """XQuAD, UDPOS and Tatoeba with planted means: squad gains 40 in English, others by family."""
    gain = {"en": 40, "qka": 40, "qna": 34, "qga": 21, "qma": 12, "qta": 9, "qfa": 19}
    rows = []
    for code, points in gain.items():
        xquad = {"none": 0.2, "squad": 0.2 + points / 100, "none~squad": 0.2 + points / 200}
        other = {"none": 0.5, "squad": 0.49, "none~squad": 0.5}
        tatoeba = {"none": 0.5, "squad": 0.4, "none~squad": 0.5}
        for task, metric, means in (("xquad", "f1", xquad), ("udpos", "f1", other),
                                    ("tatoeba", "accuracy", tatoeba)):  # fmt: skip
            rows += [(task, metric, code, each, "e1", score) for each, score in means.items()]
    columns = ["task", "metric", "language", "condition", "example_id", "score"]
    frame = pd.DataFrame(rows, columns=columns).assign(seed=0, variant="plain", study="demo")
    return frame.assign(cluster_id="e1", tp=None, fp=None, fn=None)


def test_the_sheet_scores_guesses_against_the_cube():
    sheet = module("predictions")
    found = sheet.truth(cube(), language_table("world"))
    assert {key: found[key] for key in ("words", "script", "endings", "order", "everything")} == {
        "words": "alike", "script": "less", "endings": "less", "order": "little",
        "everything": "less",
    }  # fmt: skip
    assert found["english"] == pytest.approx(40) and found["longer"] == pytest.approx(50)
    assert (found["tagging"], found["retrieval"]) == ("same", "worse")
    guessed = {"english": 31, "longer": 20, "words": "alike", "order": "less", "retrieval": "worse"}
    table = sheet.score_sheet(guessed, found).set_index("question")["right"]
    assert table.sum() == 3  # english within 10, words, retrieval; blanks and wrong ones count 0
    with pytest.raises(ValueError, match=r"words: 'a lot' is none of alike, less, little"):
        sheet.score_sheet({"words": "a lot"}, found)


def test_the_quiz_as_a_page_marks_one_answer_right_per_question():
    quiz = module("quiz")
    parts = quiz.web_page().split("\n## ")[1:]
    for part, asked in zip(parts, quiz.questions(), strict=True):
        assert asked["ask"] in part and part.count("</summary>No: ") == len(asked["options"]) - 1
        assert f"<summary>{asked['right']}) " in part.split("</summary>Right: ")[0].splitlines()[-1]


def test_slides_show_cells_that_are_there():
    slides = module("slides")
    plan = tomllib.loads(slides.PLAN.read_text(encoding="utf-8"))["slide"]
    text = (NOTEBOOKS / "lessons.md").read_text(encoding="utf-8")
    lessons = {
        n: {*re.findall(r"\[(\d\db?)\]", text.split(f"## {n} minutes")[1].split("\n## ")[0])}
        for n in (45, 90)
    }
    for each in (each for each in plan if "cell" in each):
        book = nbformat.read(NOTEBOOKS / f"{each['notebook']}.ipynb", as_version=4)
        assert each["cell"] in {cell.id for cell in book.cells}, each["title"]
        assert each["notebook"].split("_")[0] in lessons[each["lessons"][-1]], each["title"]
    assert all(len(each["notes"]) > 40 for each in plan)
    for minutes in (45, 90):
        assert sum(each["minutes"] for each in plan if minutes in each["lessons"]) == minutes
        shown = {each["notebook"].split("_")[0] for each in plan
                 if minutes in each["lessons"] and "notebook" in each}  # fmt: skip
        assert shown - {"06"} == lessons[minutes] - {"06"}, minutes


def test_notebooks_of_slides_find_no_runs_of_this_machine(monkeypatch, tmp_path):
    slides = module("slides")
    roots = []
    monkeypatch.setattr(slides.subprocess, "run", lambda call, env, check: roots.append(
        [*Path(env["XTSUPPORT_ROOT"]).iterdir()]))  # fmt: skip
    out = slides.executed("07_significance_by_family", tmp_path)
    assert roots == [[]] and out.parent == tmp_path


def test_a_slide_takes_the_first_figure_or_table_of_its_cell():
    slides = module("slides")
    book = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(id="x")])
    shown = nbformat.v4.new_output("display_data", {"text/html": "<table></table>"})
    book.cells[0].outputs = [shown]
    assert slides.output(book, "x") == "<table></table>"
    picture = nbformat.v4.new_output("display_data", {"image/png": "AAAA\n"})
    second = nbformat.v4.new_output("display_data", {"image/png": "BBBB\n"})
    book.cells[0].outputs = [shown, picture, second]
    assert 'base64,AAAA"' in slides.output(book, "x")
    with pytest.raises(UserError, match=r"no cell 'y'"):
        slides.output(book, "y")


def test_a_slide_has_notes_below_it_and_of_a_long_table_what_was_chosen(monkeypatch, tmp_path):
    slides = module("slides")
    plan, book = tmp_path / "plan.toml", nbformat.v4.new_notebook()
    book.cells = [nbformat.v4.new_code_cell(id="x")]
    shown = nbformat.v4.new_output("display_data", {"text/html": "<table></table>"})
    book.cells[0].outputs = [shown]
    nbformat.write(book, tmp_path / "one.ipynb")
    plan.write_text(
        '[[slide]]\ntitle = "A"\nlessons = [45]\nminutes = 0\nnotebook = "one"\ncell = "x"\n'
        'rows = [2, 5]\ncolumns = 3\nnotes = "4 < 5"\n'
    )
    monkeypatch.setattr(slides, "PLAN", plan)
    monkeypatch.setattr(slides, "executed", lambda name, folder: folder / f"{name}.ipynb")
    page = slides.page(45, tmp_path)
    assert "<footer>1 / 1 · notebook one</footer></section><details><summary>notes" in page
    assert "4 &lt; 5</details>" in page
    assert "#s1 tbody tr:not(:nth-child(2), :nth-child(5)), " in page
    assert ":nth-child(n + 4) { display: none }" in page


def test_the_classroom_encoder_keeps_what_its_texts_and_short_words_need(tmp_path):
    from tokenizers import Tokenizer, models
    from training_toys import SPECIAL, like_xlmr

    from xtsupport.training.encoder import load_encoder
    from xtsupport.training.masked import tiny_xlmr

    pieces = [*SPECIAL, "▁", "▁soup", "▁fish", "▁i", "s", "o"]
    scored = [(piece, -float(n)) for n, piece in enumerate(pieces)]
    tokenizer = like_xlmr(Tokenizer(models.Unigram(scored, unk_id=3)))
    tokenizer.save_pretrained(tmp_path / "old")
    tiny_xlmr(len(tokenizer), 8, 1, 2, 8, 16, 0).base_model.save_pretrained(tmp_path / "old")
    module("real_encoders").smaller(tmp_path / "old", ["soup"], tmp_path / "new")
    model, found = load_encoder(tmp_path / "new")
    assert set(found.get_vocab()) == {*pieces, "<mask>"} - {"▁fish"}
    assert model.get_input_embeddings().num_embeddings == len(found)
