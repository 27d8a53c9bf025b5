"""Cuts through scores and comparisons, against numbers worked out by hand."""

import pandas as pd
from figure_toys import comparison, toy_languages

from xtsupport import tables
from xtsupport.cube.scores import (
    in_order,
    official,
    official_metrics,
    with_guesses,
    zero_shot_means,
)
from xtsupport.report import comparison_rows
from xtsupport.statistics.declared import Primary


def frame(*rows) -> pd.DataFrame:
    columns = ["condition", "task", "language", "seed", "metric", "score"]
    return pd.DataFrame(rows, columns=columns)


def test_official_keeps_the_first_metric_of_the_table_and_unknown_tasks():
    scores = frame(
        ("none", "xquad", "de", 0, "exact_match", 40.0),
        ("none", "xquad", "de", 0, "f1", 60.0),
        ("none", "xnli", "de", 0, "accuracy", 70.0),
        ("none", "mine", "de", 0, "bleu", 10.0),
    )
    assert official(scores, "hub")["metric"].tolist() == ["f1", "accuracy", "bleu"]


def test_zero_shot_means_leave_english_out_and_weigh_languages_equally():
    scores = frame(
        ("none", "xquad", "en", 0, "f1", 90.0),
        ("none", "xquad", "de", 0, "f1", 50.0),
        ("none", "xquad", "de", 1, "f1", 60.0),
        ("none", "xquad", "fr", 0, "f1", 20.0),
    )
    means = zero_shot_means(scores)
    assert means.loc["none", "xquad"] == 37.5 and means.loc["none", "xquad (en)"] == 90.0


def test_guesses_stand_below_in_the_tasks_and_languages_that_there_are():
    scores = frame(
        ("none", "xnli", "de", 0, "accuracy", 70.0),
        ("none", "xquad", "de", 0, "f1", 60.0),
        ("none", "xnli", "de+en", 0, "accuracy", 60.0),
    )
    rows = with_guesses(scores, "hub")
    assert rows.iloc[:3].drop(columns="seed").equals(scores.drop(columns="seed"))
    last = rows.iloc[3:][["condition", "task", "language", "score"]].values.tolist()
    assert last == [["chance", "xnli", "de", 33.33]]
    world = with_guesses(frame(("none", "xquad", "qka", 0, "f1", 60.0)), "world")
    assert world["condition"].tolist() == ["none", "chance", "lazy rules"]
    means = zero_shot_means(world)["xquad"]
    assert means["none"] == 60 and 0 < means["chance"] < 10 < means["lazy rules"] < 40


def test_rows_come_in_the_order_of_the_study():
    scores = frame(
        ("squad", "xnli", "de", 0, "accuracy", 1.0),
        ("none", "xnli", "de", 0, "accuracy", 2.0),
        ("other", "xquad", "de", 0, "f1", 3.0),
        ("squad", "xquad", "de", 0, "f1", 4.0),
    )
    rows = in_order(scores, ["none", "squad"], ["xquad", "xnli"])
    assert rows["score"].tolist() == [4.0, 3.0, 2.0, 1.0]


def test_the_answer_is_target_rest_and_difference_in_table_order():
    rest = comparison(tasks=("rest",), metric="official")
    others = [comparison("mnli"), comparison(by="family"), comparison(metric="exact_match")]
    f1 = comparison(tasks=("rest (f1)",), metric="official")
    parts = comparison(tasks=("xquad - rest (f1)", "xquad - rest", "xquad"))
    table = pd.concat([rest, f1, *others, parts])
    rows = comparison_rows.answer_rows(table, Primary("squad"), toy_languages())
    assert rows["task"].drop_duplicates().tolist() == [
        "xquad", "rest", "rest (f1)", "xquad - rest", "xquad - rest (f1)"
    ]  # fmt: skip
    assert rows["level"].tolist()[:4] == ["all", "West Zedic", "East Zedic", "Ayan"]
    assert set(rows["treatment"]) == {"squad"} and len(rows) == 25


def test_all_languages_are_drawn_above_whatever_levels_were_declared():
    """Of one average the families, of a declaration by group the groups; all languages always."""
    levels = [part[part["level"] != "all"] for part in (comparison(), comparison(by="family"))]
    table = pd.concat([*levels, comparison(by="all").groupby("task").tail(1)])
    for declared, below in (("all", "family"), ("group", "group")):
        rows = comparison_rows.forest_rows(table, Primary("squad", by=declared), toy_languages())
        assert rows["by"].tolist() == (["all"] + [below] * 4)


def test_a_variant_is_named_with_a_slash():
    """In a table the variant is that of both sides, unless the baseline names its own."""
    same, own = (comparison(variant="smoothing", baseline=name) for name in ("none", "none/plain"))
    table = pd.concat([comparison(), same.assign(gain=1.0), own.assign(gain=2.0)])
    for baseline, gain in (("none/smoothing", 1.0), ("none", 2.0), ("none/plain", 2.0)):
        rows = comparison_rows.answer_rows(
            table, Primary("squad/smoothing", baseline), toy_languages()
        )
        assert set(rows["variant"]) == {"smoothing"} and rows["gain"].tolist() == [gain] * 5


def test_the_overview_has_one_metric_per_task_in_the_order_asked_for():
    table = pd.concat(
        [
            comparison(tasks=("rest",), metric="official"),
            comparison(tasks=("xnli",), metric="accuracy"),
            comparison(tasks=("xquad",)),
            comparison(tasks=("xquad",), metric="exact_match"),
            comparison(tasks=("xquad",), by="language"),
        ]
    )
    rows = comparison_rows.overview(table, "group", {"xquad": "f1", "xnli": "accuracy"})
    assert rows["task"].drop_duplicates().tolist() == ["xquad", "xnli", "rest"] and len(rows) == 15


def test_by_language_follows_the_answer():
    table = pd.concat([comparison(), comparison(by="language"), comparison("mnli", by="language")])
    answer = comparison_rows.answer_rows(table, Primary("squad"), toy_languages())
    rows = comparison_rows.by_language(table, answer)
    assert set(rows["by"]) == {"language"} and set(rows["treatment"]) == {"squad"}


def test_tables_of_tasks_and_languages_are_the_packaged_ones():
    assert tables.task_table().loc["xquad", "metrics"].split()[0] == "f1"
    assert set(tables.language_table()["code"]) >= {"en", "de", "zh"}
    fertility = tables.language_table().set_index("code")["fertility"]
    assert 1 < fertility["en"] < fertility["ml"] < 4 and fertility.notna().sum() >= 40
    assert tables.language_table("world")["fertility"].isna().all()
    assert official_metrics("hub", ["xnli", "xquad"]) == {
        "xnli": "accuracy",
        "xquad": "f1",
    }


def test_reading_shows_whole_texts_escaped_or_not_without_row_numbers():
    page = comparison_rows.reading(pd.DataFrame({"text": ["x" * 200], "score": [1.26]})).to_html()
    assert page.count("min-width") == 1 and "_col0 {" in page.split("min-width")[0]  # not the score
    assert "x" * 200 in page and "1.3" in page and "text-align: left" in page


def test_levels_stand_nearest_to_english_first_within_their_task():
    rows = pd.DataFrame({"task": ["b", "a", "b", "a"], "level": ["a1", "a2", "z1", "z3"]})
    shown = comparison_rows.nearest_first(rows, toy_languages(), "task")
    assert shown["task"].tolist() == ["b", "b", "a", "a"]
    assert shown["level"].tolist() == ["z1", "a1", "z3", "a2"]


def test_a_table_for_reading_names_tasks_and_levels_as_all_others_do():
    rows = pd.DataFrame({"task": ["xquad - rest"], "level": ["all"], "condition": ["none"]})
    text = comparison_rows.reading(rows).to_html()
    assert "XQuAD minus other targets" in text and "all languages" in text
    assert "no intermediate task" in text
    assert rows["task"].tolist() == ["xquad - rest"]
