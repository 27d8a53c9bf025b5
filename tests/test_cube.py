"""The cube: gathered from runs, read back, refused when it cannot be compared."""

from functools import partial
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from simulated_cubes import simulate

from xtsupport.cube.columns import by_language, complete, validate_cube
from xtsupport.cube.scores import score_table
from xtsupport.cube.store import build_cube, read_cube
from xtsupport.errors import UserError
from xtsupport.statistics import clusters
from xtsupport.statistics.clusters import study_moments


@pytest.fixture(scope="module")
def cube():
    return simulate(
        tasks=("xquad", "xnli", "udpos", "tatoeba"), languages=("en", "de", "hi", "th"), size=0.1
    )


def write_runs(cube, root):
    folders = []
    for (condition, seed), rows in cube.groupby(["condition", "seed"]):
        folder = root / condition / f"seed{seed}"
        folder.mkdir(parents=True)
        rows.assign(prediction="x").to_parquet(folder / "examples.parquet")
        folders.append(folder)
    return folders


def test_cube_is_gathered_and_read_back(cube, tmp_path):
    out = build_cube(write_runs(cube, tmp_path), tmp_path / "cube")
    assert sorted(path.name for path in out.iterdir()) == [
        f"task={task}" for task in ("tatoeba", "udpos", "xnli", "xquad")
    ]
    back = read_cube(out)
    assert len(back) == len(cube) and "prediction" not in back
    pd.testing.assert_frame_equal(
        score_table(back).drop(columns="language_2"),
        score_table(cube).drop(columns="language_2"),
        check_dtype=False,
    )
    part = read_cube(out, tasks=["xquad"], columns=["task", "seed", "score"])
    assert list(part) == ["task", "seed", "score"] and set(part["task"]) == {"xquad"}
    one_file = next((out / "task=xnli").iterdir())
    assert len(read_cube(one_file)) == (cube["task"] == "xnli").sum()


def test_building_again_replaces_the_cube_and_leaves_nothing_else(cube, tmp_path):
    folders = write_runs(cube, tmp_path / "runs")
    languages = {code: SimpleNamespace(family="F", group="G") for code in cube["language"].unique()}
    build_cube(folders, tmp_path / "cube")
    out = build_cube(folders[:1], tmp_path / "cube", languages)
    assert set(read_cube(out)["group"]) == {"G"}
    assert {path.name for path in tmp_path.iterdir()} == {"runs", "cube"}


def test_unreadable_input_is_one_line(cube, tmp_path):
    with pytest.raises(UserError, match="no cube here"):
        read_cube(tmp_path / "nothing")
    (tmp_path / "notes.md").write_text("no table")
    with pytest.raises(UserError, match=r"notes.md: is not a table of scores; name a study's"):
        read_cube(tmp_path / "notes.md")
    folders = write_runs(cube, tmp_path)
    (folders[0] / "examples.parquet").write_bytes(b"PAR1 half a file")
    with pytest.raises(UserError, match="not a complete parquet file"):
        build_cube(folders, tmp_path / "cube")
    assert not list(tmp_path.glob("cube*"))
    out = build_cube(folders[1:], tmp_path / "cube")
    with pytest.raises(UserError, match=r"no task 'mlqa'; it has tatoeba, udpos, xnli, xquad"):
        read_cube(out, tasks=["mlqa"])
    broken = out / "task=xnli" / "part-0.parquet"
    broken.write_bytes(broken.read_bytes()[:-500])
    with pytest.raises(UserError, match="xnli"):
        read_cube(out)


def test_files_of_a_cube_may_store_the_same_columns_differently(tmp_path):
    """Narrow and wide dictionaries and numbers, words as text, columns all empty or absent: by
    itself pyarrow reads every file as the first one is, and loses what that lacks."""
    narrow = {
        "condition": pd.Categorical(["none", "none"]),
        "variant": [None, None],
        "seed": np.array([1, 2], "int8"),
        "score": [0, 1],
    }
    wide = {
        "condition": [f"c{i}" for i in range(300)],
        "variant": ["adversarial"] * 300,
        "language_2": ["de"] * 300,
        "seed": range(1000, 1300),
        "score": [0.25] * 300,
    }
    for name, rows in {"a": narrow, "b": wide, "c": {**wide, "condition": ["squad"] * 300}}.items():
        (tmp_path / f"task={name}").mkdir()
        table = pa.table({key: pa.array(values) for key, values in rows.items()})
        if name == "c":
            table = table.set_column(0, "condition", table["condition"].dictionary_encode())
        pq.write_table(table, tmp_path / f"task={name}" / "part-0.parquet")
    found = read_cube(tmp_path).set_index("task")
    assert found["condition"].nunique() == 302 and found["seed"].max() == 1299
    assert found.loc["a", "score"].tolist() == [0, 1] and set(found.loc["b", "score"]) == {0.25}
    assert found.loc["a", ["variant", "language_2"]].isna().all(axis=None)
    assert set(found.loc["b", "variant"]) == {"adversarial"}
    assert set(found.loc["c", "language_2"]) == {"de"}


def test_score_table_is_the_mean_or_micro_f1(cube):
    table = score_table(cube).set_index(["condition", "task", "language", "seed", "metric"])
    rows = cube.query("condition == 'squad' and language == 'de' and seed == 1")
    f1 = rows.query("task == 'xquad' and metric == 'f1'")
    assert table.loc[("squad", "xquad", "de", 1, "f1"), "score"] == pytest.approx(
        100 * f1["score"].mean()
    )
    tp, fp, fn = rows.query("task == 'udpos'")[["tp", "fp", "fn"]].sum()
    row = table.loc[("squad", "udpos", "de", 1, "f1")]
    assert row["score"] == pytest.approx(200 * tp / (2 * tp + fp + fn))
    assert row["n_examples"] == len(rows.query("task == 'udpos'"))


def test_a_good_cube_passes_and_may_lack_examples_without_counts(cube):
    validate_cube(cube)
    some = cube[~((cube["task"] == "udpos") & (cube["seed"] == 1) & (cube["tp"] == 0))]
    validate_cube(some)


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (
            lambda c: c.assign(score=c["score"].mask(c.index == 5, 51.0)),
            r"outside 0\.\.1.*score=51",
        ),
        (lambda c: pd.concat([c, c.iloc[[7]]]), "duplicated rows: 1"),
        (
            lambda c: c.query("not (condition == 'squad' and language == 'th' and seed == 2)"),
            "missing cells.*condition=squad.*seed=2.*language=th",
        ),
        (
            lambda c: c.drop(index=c.query("task == 'xnli'").index[3]),
            "xnli: misaligned example ids",
        ),
        (
            lambda c: c.assign(cluster_id=c["cluster_id"].mask(c.index == 5, "other")),
            "examples in two clusters",
        ),
        (lambda c: c.assign(score=c["score"].mask(c.index == 5)), "neither a score nor tp"),
        (lambda c: c.drop(columns="cluster_id"), r"lacks the column\(s\) cluster_id"),
        (lambda c: c.iloc[:0], "empty"),
    ],
)
def test_bad_cubes_are_refused_with_the_first_offender(cube, spoil, message):
    with pytest.raises(UserError, match=message):
        validate_cube(spoil(cube))


def test_several_problems_are_reported_at_once(cube):
    bad = cube.copy()
    bad.loc[bad["task"] == "xquad", "score"] = 2.0
    bad.loc[bad["task"] == "tatoeba", "score"] = -1.0
    with pytest.raises(UserError) as caught:
        validate_cube(bad)
    assert [line.split(":")[0] for line in caught.value.problems] == ["tatoeba", "xquad"]


def test_columns_that_a_cube_may_lack(cube):
    small = cube.drop(columns=["variant", "study", "family"]).query("task == 'xquad'")
    small = small.drop(columns=["tp", "fp", "fn"])
    validate_cube(small)
    assert np.isfinite(score_table(small)["score"]).all()


def test_a_stored_cube_is_contracted_like_a_frame(cube, tmp_path, monkeypatch):
    out = build_cube(write_runs(cube, tmp_path), tmp_path / "cube")
    monkeypatch.setattr(clusters, "by_language", partial(by_language, most=300))
    stored = study_moments(out)
    monkeypatch.undo()
    for one, other in zip(stored, study_moments(cube), strict=True):
        assert (one.task, one.metric) == (other.task, other.metric)
        assert np.allclose(one.values, other.values) and np.allclose(one.gram, other.gram)
        assert list(one.languages["language"]) == list(other.languages["language"])


@pytest.mark.parametrize("name", ["task", "seed"])
def test_a_stored_cube_without_a_column_is_refused(cube, tmp_path, name):
    cube.drop(columns=name).to_parquet(tmp_path / "cube.parquet")
    with pytest.raises(UserError, match=name):
        study_moments(tmp_path / "cube.parquet")


def test_pieces_never_cut_a_language(cube):
    rows = complete(cube.query("task == 'xquad'"))
    pieces = list(by_language(rows, most=700))
    assert len(pieces) > 1 and sum(map(len, pieces)) == len(rows)
    held = [set(piece["language"]) for piece in pieces]
    assert sum(map(len, held)) == len(set.union(*held))
