"""Scores that another program wrote: what is filled in, what is refused, and what comes out."""

import re

import numpy as np
import pandas as pd
import pytest
from simulated_cubes import simulate

from xtsupport.cube.any_table import read_table
from xtsupport.cube.store import open_cube
from xtsupport.errors import UserError
from xtsupport.study.cli import main
from xtsupport.study.results_commands import cube_in

COLUMNS = ["condition", "task", "language", "example_id", "score"]


@pytest.fixture
def scores():
    """Two systems on XQuAD, one run each, no family column, as other programs leave it."""
    made = simulate({("squad", "xquad"): 6.0}, ("none", "squad"), ("xquad",), seeds=1, size=0.3)
    made = made[made["metric"] == "f1"]
    named = made["condition"].map({"none": "mbert", "squad": "xlmr"})
    return made.assign(condition=named)[COLUMNS].reset_index(drop=True)


@pytest.fixture
def call(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)

    def run(table, *arguments):
        table.to_csv("mine.csv", index=False)
        code = main(["significance", "mine.csv", "--out", "judged", *arguments])
        said = capsys.readouterr()
        return code, said.out.splitlines(), said.err.splitlines()

    return run


def test_two_systems_of_one_run_as_csv(scores, call, tmp_path):
    code, out, errors = call(scores, "--baseline", "mbert")
    assert code == 0 and out[0].startswith("xlmr against mbert: XQuAD F1 ")
    assert {line.split(":")[1].strip() for line in errors} == {
        "study", "seed", "cluster_id", "metric", "family", "group"
    }  # fmt: skip
    table = pd.read_csv(tmp_path / "judged" / "significance.csv", keep_default_na=False)
    row = table[(table["task"] == "xquad") & (table["by"] == "all")].iloc[0]
    means = scores[scores["language"] != "en"].groupby(["condition", "language"])["score"].mean()
    expected = 100 * (means["xlmr"] - means["mbert"]).mean()
    assert float(row["gain"]) == pytest.approx(expected, abs=1e-4)
    assert (row["treatment"], row["baseline"], row["verdict"]) == ("xlmr", "mbert", "too few")
    assert {"Indo-European", "Sino-Tibetan"} <= set(table.loc[table["by"] == "family", "level"])
    told = (tmp_path / "judged" / "sentences.txt").read_text(encoding="utf-8")
    assert "other questions, not about other runs" in told and "the recipe" not in told
    page = (tmp_path / "judged" / "report.html").read_text(encoding="utf-8")
    assert "other questions, not about other runs" in page
    assert "speak about the recipe" not in page and "new runs" not in page
    differ = r"Too few seeds to say whether the gain on .* differs between groups: .*; about other "
    assert re.search(differ + "questions, not about other runs", page)


def test_without_a_baseline_the_conditions_are_named(scores, call, tmp_path):
    code, _, errors = call(scores)
    assert code == 1 and errors[-1].endswith("give --baseline, one of mbert, xlmr")
    code, _, errors = call(scores, "--baseline", "bert")
    assert code == 1 and "--baseline bert: there is no such condition" in errors[-1]
    assert not (tmp_path / "judged").exists()


def test_a_study_s_folder_stands_for_its_cube_and_other_folders_are_refused(tmp_path):
    (tmp_path / "mine" / "cube").mkdir(parents=True)
    assert cube_in(str(tmp_path / "mine")) == cube_in(str(tmp_path / "mine" / "cube"))
    for folder in ("mine/cube", "mine"):
        (tmp_path / folder / "notes.txt").touch()
        with pytest.raises(UserError, match=r"is not a cube, as it holds notes\.txt"):
            open_cube(tmp_path / folder)


def test_all_problems_at_once_before_anything_is_written(scores, call, tmp_path):
    broken = scores.astype(object).assign(seed="0")
    broken.loc[3, "score"], broken.loc[4, "seed"], broken.loc[5, "language"] = "high", "one", ""
    code, _, errors = call(broken.drop(columns=["example_id", "task"]), "--baseline", "mbert")
    assert code == 1 and len(errors) == 5
    for expected in (
        "lacks the column task", "lacks the column example_id", "score='high' in row 4",
        "seed='one' in row 5", "language is empty in 1 rows, first row 6",
    ):  # fmt: skip
        assert sum(expected in line for line in errors) == 1, expected
    assert not (tmp_path / "judged").exists()


def test_what_cubes_refuse_is_refused(scores, call):
    code, _, errors = call(scores.assign(score=100 * scores["score"]), "--baseline", "mbert")
    assert code == 1 and "fractions, not percentages" in errors[-1]
    twice = pd.concat([scores, scores.iloc[:1]])
    code, _, errors = call(twice, "--baseline", "mbert")
    assert code == 1 and "duplicated rows: 1" in errors[-1]


def test_words_that_look_like_nothing_stay_words(scores, tmp_path):
    """A system called `none`, a language that no table has, an id `NA`; tabs instead of commas."""
    mine = scores.replace({"condition": {"mbert": "none"}, "language": {"th": "tlh"}})
    mine["example_id"] = mine["example_id"].replace(mine["example_id"].iloc[0], "NA")
    mine.to_csv(tmp_path / "a.tsv", sep="\t", index=False)
    table, assumed = read_table(tmp_path / "a.tsv")
    assert set(table["condition"]) == {"none", "xlmr"} and "NA" in set(table["example_id"])
    own = table.loc[table["language"] == "tlh", ["family", "group"]].drop_duplicates()
    assert own.to_numpy().tolist() == [["tlh", "tlh"]]
    assert "family: from languages.csv; tlh not in there, each a family of its own" in assumed
    german = table.loc[table["language"] == "de", ["family", "group", "metric", "seed"]]
    assert german.drop_duplicates().to_numpy().tolist() == [["Indo-European", "Germanic", "f1", 0]]


def test_parquet_with_its_own_columns_keeps_them(scores, tmp_path):
    given = scores.assign(seed=np.int64(7), metric="exact_match", cluster_id="c", family="mine")
    given.to_parquet(tmp_path / "a.parquet")
    table, assumed = read_table(tmp_path / "a.parquet")
    assert set(table["seed"]) == {7} and set(table["family"]) == {"mine"}
    assert set(table["metric"]) == {"exact_match"} and set(table["cluster_id"]) == {"c"}
    assert [line.split(":")[0] for line in assumed] == ["study", "group"]
    with pytest.raises(UserError, match="has no rows"):
        given.iloc[:0].to_parquet(tmp_path / "b.parquet")
        read_table(tmp_path / "b.parquet")


def test_a_system_with_a_slash_in_its_name_is_a_system_and_no_variant(scores, call, tmp_path):
    """Hub ids are the usual names of systems."""
    renamed = scores.replace({"condition": {"xlmr": "FacebookAI/xlm-roberta-base"}})
    code, _, errors = call(renamed, "--baseline", "mbert")
    assert code == 0 and any("a slash" in line for line in errors)
    answer = (tmp_path / "judged" / "answer.txt").read_text(encoding="utf-8")
    assert answer.startswith("FacebookAI_xlm-roberta-base against mbert: XQuAD F1 ")
