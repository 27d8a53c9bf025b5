"""The packaged tables against the published ones, and what a user's own table may get wrong."""

import csv
import io
from dataclasses import asdict, fields

import pytest

from xtsupport import tables
from xtsupport.errors import UserError

INTERMEDIATE = [
    "anli_plus", "mnli", "qqp", "squad", "squad_v2", "hellaswag", "ccg", "cosmos_qa",
    "commonsense_qa",
]  # fmt: skip
TARGETS = ["xnli", "pawsx", "udpos", "panx", "xquad", "mlqa", "tydiqa", "bucc", "tatoeba"]

# Languages with data per group and task, counted in XTREME's own list of languages (evaluate.py).
COVERAGE = {
    "Germanic": (2, 2, 4, 4, 1, 3, 2, 2, 1),
    "Romance": (2, 2, 4, 4, 1, 4, 1, 1, 0),
    "Slavic": (2, 0, 2, 2, 1, 2, 1, 0, 1),
    "Greek": (1, 0, 1, 1, 0, 1, 1, 0, 0),
    "Indo-Aryan": (2, 0, 4, 3, 0, 4, 1, 1, 1),
    "Iranian": (0, 0, 1, 1, 0, 1, 0, 0, 0),
    "Afro-Asiatic": (1, 0, 2, 2, 0, 2, 1, 1, 1),
    "Turkic": (1, 0, 2, 2, 0, 2, 1, 0, 0),
    "Uralic": (0, 0, 3, 3, 0, 3, 0, 0, 1),
    "Dravidian": (0, 0, 3, 2, 0, 3, 0, 0, 1),
    "Austronesian": (0, 0, 4, 2, 0, 3, 0, 0, 1),
    "Austroasiatic": (1, 0, 1, 1, 0, 1, 1, 1, 0),
    "Tai-Kadai": (1, 0, 1, 1, 0, 1, 1, 0, 0),
    "Sino-Tibetan": (1, 1, 2, 1, 1, 1, 1, 1, 0),
    "Japonic": (0, 1, 1, 1, 0, 1, 0, 0, 0),
    "Koreanic": (0, 1, 1, 1, 0, 1, 0, 0, 1),
    "Kartvelian": (0, 0, 1, 0, 0, 1, 0, 0, 0),
    "Atlantic-Congo": (1, 0, 2, 1, 0, 1, 0, 0, 1),
    "Basque": (0, 0, 1, 1, 0, 1, 0, 0, 0),
}
COVERED = ["xnli", "pawsx", "panx", "udpos", "bucc", "tatoeba", "xquad", "mlqa", "tydiqa"]


def test_tasks_are_those_of_the_paper():
    known = tables.tasks()
    assert [name for name, task in known.items() if task.role == "intermediate"] == INTERMEDIATE
    assert [name for name, task in known.items() if task.role == "target"] == TARGETS


# What XTREME-R adds to XTREME's languages (Ruder et al. 2021, table 7).
XTREME_R = {"az", "gu", "ht", "lt", "pa", "pl", "qu", "ro", "uk", "wo"}
FURTHER = {"panx": "az gu lt pa pl qu ro uk", "udpos": "lt pl ro uk wo",
           "tatoeba": "az lt pl ro uk", "xquad": "ro"}  # fmt: skip


def test_languages_are_those_of_xtreme_and_xtreme_r():
    known = tables.languages()
    assert len(known) == 50
    used = {code for name in TARGETS for code in tables.task(name).languages}
    assert used == set(known) - XTREME_R
    assert len({known[code].family for code in used}) == 14
    assert len({known[code].xtreme_family for code in used}) == 14
    further = {code for name in TARGETS for code in tables.task(name).more_languages}
    assert further | set(tables.task("xcopa").languages) - used == XTREME_R


def test_a_study_names_the_languages_of_xtreme_r():
    for name in TARGETS:
        task = tables.task(name)
        assert set(task.more_languages) == set(FURTHER.get(name, "").split())
        assert task.spoken("all") == list(task.languages)
    assert tables.task("panx").spoken(["uk", "de", "wo"]) == ["de", "uk"]
    assert set(tables.task("wikipedia").every_language) == set(tables.languages())


def test_coverage_per_group_and_task():
    known = {code: row for code, row in tables.languages().items() if code not in XTREME_R}
    counted = {
        group: tuple(
            sum(known[code].group == group for code in tables.task(name).languages)
            for name in COVERED
        )
        for group in {language.group for language in known.values()}
    }
    assert counted == COVERAGE


def test_every_task_can_be_trained_and_scored():
    known = tables.tasks()
    for task in known.values():
        if task.kind != "masked":
            assert task.metrics and task.evaluator and task.eval_split, task.name
        if task.role == "target" and task.kind != "retrieval":
            assert known[task.training_task].train_split, task.name
            assert set(task.same_data) <= set(INTERMEDIATE), task.name
        if task.kind == "tagging" and task.role == "target":
            assert len(set(task.labels)) == len(task.labels) > 1, task.name


def test_english_is_at_distance_zero_and_others_are_not():
    for code, language in tables.languages().items():
        distances = (language.syntactic, language.geographic, language.featural)
        assert (distances == (0, 0, 0)) == (code == "en")


def test_yoruba_is_the_only_language_of_xtreme_outside_cc100():
    known = tables.languages().values()
    without = {language.code for language in known if language.pretraining_gb is None}
    assert without == {"yo", "ht", "qu", "wo"}


def test_offline_encoder_is_exposed_and_xlmr_is_not():
    known = tables.encoders("hub")
    assert "xquad" in known["offline-e5"].exposed
    assert known["FacebookAI/xlm-roberta-base"].exposed == ()
    assert set(known["offline-e5"].exposed) <= set(tables.tasks())


def test_what_was_seen_before_in_a_sentence():
    met = tables.seen_before("offline-e5", ["udpos", "xquad", "panx", "mlqa"], "hub")
    assert met.startswith("EXPOSED: the encoder (offline-e5) was itself trained on data of xquad, ")
    assert " xquad, mlqa;" in met and "udpos" not in met and "model card" in met
    assert "not trained on data of any" in tables.seen_before("offline-e5", ["udpos"], "hub")
    xlm_r = tables.seen_before("FacebookAI/xlm-roberta-base", ["xquad"], "hub")
    assert "not trained on data of any" in xlm_r
    assert tables.seen_before("my/encoder", ["xquad"], "hub").startswith("It is not known")


@pytest.mark.parametrize(("name", "near"), [("xqaud", "xquad"), ("hellaswagg", "hellaswag")])
def test_unknown_task_gets_the_nearest_name(name, near):
    with pytest.raises(UserError, match=f"unknown task '{name}'.*{near}"):
        tables.task(name)


def test_unknown_data_folder_is_one_line(tmp_path):
    with pytest.raises(UserError, match=r"no folder .*nowhere; allowed: hub, world or a mirror"):
        tables.tasks(tmp_path / "nowhere")


def write(path, rows):
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)


def language_row(**changes):
    return asdict(tables.languages()["de"]) | {"pretraining_gb": ""} | changes


def test_a_folder_may_be_named_from_a_root_that_is_not_made_yet(tmp_path):
    assert tables.mirror("../..", tmp_path / "away" / "root").resolve() == tmp_path


def test_a_mirrors_own_table_replaces_the_packaged_one(tmp_path):
    write(tmp_path / "languages.csv", [language_row(code="xx", iso3="xxx", name="Invented")])
    assert list(tables.languages(tmp_path)) == ["xx"]
    assert list(tables.tasks(tmp_path)) == list(tables.tasks())


def test_all_problems_of_a_table_at_once(tmp_path):
    rows = [
        language_row(code="xx", syntactic="far"),
        language_row(code="xx", geographic="1.5"),
        language_row(code="yy", name=""),
    ]
    write(tmp_path / "languages.csv", rows)
    with pytest.raises(UserError) as caught:
        tables.languages(tmp_path)
    text = "\n".join(caught.value.problems)
    assert "line 2: syntactic: 'far' is not a number" in text
    assert "line 3: geographic: 1.5 is not in 0..1" in text
    assert "line 3: 'xx' occurs twice" in text
    assert "line 4: name is empty" in text


def test_a_table_without_the_later_columns(tmp_path):
    row = asdict(tables.task("xquad")) | {"languages": "de", "metrics": "f1", "same_data": ""}
    row |= {"labels": "", "parallel": "yes"}
    write(tmp_path / "tasks.csv", [{k: v for k, v in row.items() if not k.startswith("more_")}])
    assert tables.task("xquad", tmp_path).every_language == ("de",)


def test_wrong_columns_are_named(tmp_path):
    write(tmp_path / "tasks.csv", [{"name": "mine", "knid": "span"}])
    with pytest.raises(UserError) as caught:
        tables.tasks(tmp_path)
    assert any("unknown column 'knid'" in problem for problem in caught.value.problems)
    assert any("no column 'kind'" in problem for problem in caught.value.problems)


def test_wrong_values_of_a_task_are_named(tmp_path):
    with (tables.PACKAGE / "tasks.csv").open(newline="", encoding="utf-8") as file:
        row = next(csv.DictReader(file))
    write(tmp_path / "tasks.csv", [row | {"kind": "essay", "config": "{langage}", "chance": "120"}])
    with pytest.raises(UserError) as caught:
        tables.tasks(tmp_path)
    text = "\n".join(caught.value.problems)
    assert "kind: 'essay' is not one of classification" in text
    assert "config: {langage} is not a column of languages.csv" in text
    assert "chance: 120.0 is not in 0..100" in text


@pytest.mark.parametrize("config", ["{code", "code}", "{", "{code!z}", "{code:d}", "{}"])
def test_a_config_that_cannot_be_filled_in_is_one_line(tmp_path, config):
    with (tables.PACKAGE / "tasks.csv").open(newline="", encoding="utf-8") as file:
        row = next(csv.DictReader(file))
    write(tmp_path / "tasks.csv", [row | {"config": config}])
    with pytest.raises(UserError) as caught:
        tables.tasks(tmp_path)
    (problem,) = caught.value.problems
    assert "tasks.csv: line 2: config: " in problem and "\n" not in problem


# ------------------------------------------------------------------- as spreadsheets save them


COLUMNS = len(fields(tables.Task))


def packaged(name):
    return (tables.PACKAGE / name).read_text(encoding="utf-8")


def resaved(name, delimiter, encoding):
    """A packaged table as a spreadsheet saves it, with empty rows at its end."""
    out = io.StringIO()
    rows = list(csv.reader(io.StringIO(packaged(name))))
    writer = csv.writer(out, delimiter=delimiter, lineterminator="\r\n")
    writer.writerows([*rows, [""] * len(rows[0]), [""] * len(rows[0])])
    return out.getvalue().encode(encoding)


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16"])
@pytest.mark.parametrize("delimiter", [",", ";", "\t"])
def test_tables_as_spreadsheets_save_them_read_alike(tmp_path, delimiter, encoding):
    for name in ("tasks.csv", "languages.csv", "encoders.csv"):
        (tmp_path / name).write_bytes(resaved(name, delimiter, encoding))
    assert tables.tasks(tmp_path) == tables.tasks()
    assert tables.languages(tmp_path) == tables.languages()
    assert tables.encoders(tmp_path) == tables.encoders("hub")


def broken(tmp_path, name, content):
    path = tmp_path / name
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    with pytest.raises(UserError) as error:
        tables.tasks(tmp_path) if name == "tasks.csv" else tables.languages(tmp_path)
    return error.value.problems


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("not_duplicate duplicate", "duplicate duplicate", "4: labels: 'duplicate' occurs twice"),
        (",en de es fr ja ko zh,", ",en de es de zh,", "line 12: languages: 'de' occurs twice"),
        (",Quora terms of use,", ",Quora, terms of use,", f"line 4: {COLUMNS + 1} cells, but"),
        ("qqp,QQP,intermediate,", "qqp,QQP,", f"line 4: {COLUMNS - 1} cells, but"),
        ("\nqqp,", "\nq/qp,", "line 4: name: 'q/qp' must be letters, digits"),
        (",50,,no,,,bcdc", ",nan,,no,,,bcdc", "line 4: chance: 'nan' is not a number"),
        ("title,role,kind", "title,role,role", "the column 'role' occurs twice"),
        ("\nqqp,", '\n"qqp,', "line 4: ',' expected after"),
    ],
)  # fmt: skip
def test_a_table_is_never_read_shifted(tmp_path, old, new, message):
    text = packaged("tasks.csv")
    assert text.count(old) == 1
    problems = broken(tmp_path, "tasks.csv", text.replace(old, new))
    assert message in "\n".join(problems) and all(len(each) < 300 for each in problems)


def test_a_table_in_another_coding_is_refused(tmp_path):
    text = packaged("languages.csv").replace("Afrikaans", "Afrikaans é", 1)
    (problem,) = broken(tmp_path, "languages.csv", text.encode("latin-1", "replace"))
    assert "is not UTF-8 text (byte" in problem and "save it as UTF-8" in problem
    assert "no column 'code'" in broken(tmp_path, "languages.csv", b"")[0]


def test_decimal_commas_are_refused(tmp_path):
    text = resaved("languages.csv", ";", "utf-8").decode().replace(";0.42;", ";0,42;")
    assert "syntactic: '0,42' is not a number such as 0.42" in "\n".join(
        broken(tmp_path, "languages.csv", text)
    )
