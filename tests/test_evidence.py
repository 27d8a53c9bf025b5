"""The evidence of a study: made once, with one primary comparison that all agree on."""

import subprocess
import sys

import numpy as np
import pandas as pd
import pytest
from simulated_cubes import simulate

from xtsupport.errors import UserError
from xtsupport.report.contents import contents
from xtsupport.report.paper_tables import write_significance
from xtsupport.report.report import write_report
from xtsupport.statistics import clusters
from xtsupport.statistics import evidence as evidence_module
from xtsupport.statistics.clusters import study_moments
from xtsupport.statistics.comparisons import compare, is_primary, significance
from xtsupport.statistics.components import uncertainty_shares
from xtsupport.statistics.declared import Declared, Primary
from xtsupport.statistics.evidence import evidence_of
from xtsupport.statistics.power import power_table
from xtsupport.statistics.sensitivity import beside_bootstrap
from xtsupport.study.cli import main

CODES = ("en", "de", "es", "el", "hi", "th")


@pytest.fixture(scope="module")
def cube():
    tasks = ("xquad", "mlqa", "xnli", "udpos", "tatoeba")
    return simulate({("squad", "xquad"): 6.0}, ("none", "squad", "mnli"), tasks, CODES, size=0.15)


def test_a_whole_report_contracts_and_measures_every_task_once(cube, tmp_path, monkeypatch):
    """From a stored cube over table, files and report: one contraction and moments per task."""
    cube.to_parquet(tmp_path / "cube.parquet")
    called = {"_contract_task": [], "moments": []}
    for name, tasks in called.items():
        real = getattr(clusters, name)

        def counted(first, *rest, real=real, tasks=tasks):
            tasks.append(getattr(first, "metric", "a frame"))
            return real(first, *rest)

        for module in (clusters, evidence_module):  # by whichever name it is called
            monkeypatch.setattr(module, name, counted, raising=False)
    evidence = evidence_of(tmp_path / "cube.parquet", Declared(primary=Primary("squad")))
    table = significance(evidence)
    found = contents(table, evidence)
    write_significance(found, tmp_path)
    write_report(tmp_path / "report.html", found)
    assert len(called["_contract_task"]) == 5
    assert sorted(called["moments"]) == ["accuracy"] * 2 + ["exact_match"] * 2 + ["f1"] * 3


def test_frames_paths_sums_and_moments_are_the_same_evidence(cube, tmp_path):
    cube.to_parquet(tmp_path / "cube.parquet")
    table = compare(cube)
    for same in (
        tmp_path / "cube.parquet",
        evidence_of(cube),
        evidence_of(cube).sums,
        study_moments(cube),
    ):
        pd.testing.assert_frame_equal(compare(same), table)


def test_moments_are_enough_for_all_but_resampling(cube):
    evidence = evidence_of(study_moments(cube))
    assert np.isfinite(uncertainty_shares(evidence)["share"]).all()
    with pytest.raises(UserError, match="resampling needs a cube or its cluster sums"):
        beside_bootstrap(evidence)


@pytest.mark.parametrize(
    ("tasks", "conditions", "expected"),
    [
        (("xquad", "mlqa"), ("none", "mnli", "squad"), ("squad", "xquad", "f1")),
        (("mlqa",), ("none", "squad"), ("squad", "mlqa", "f1")),
        (("panx", "mlqa", "tatoeba"), ("none", "none~mnli", "qqp"), ("qqp", "mlqa", "f1")),
        (("tatoeba", "xnli"), ("none", "none~squad", "squad"), ("squad", "xnli", "accuracy")),
        (("tatoeba",), ("mnli", "none"), ("mnli", "tatoeba", "accuracy")),
    ],
)
def test_without_a_declaration_one_comparison_is_chosen(tasks, conditions, expected):
    evidence = evidence_of(simulate({}, conditions, tasks, ("en", "de", "th"), size=0.05))
    treatment, target, metric = expected
    assert evidence.primary == Primary(treatment, "none", target, metric, "group")


def test_variants_are_not_chosen_before_the_plain_condition():
    cube = simulate({}, ("none", "squad"), ("xquad",), ("en", "de"), size=0.05)
    robust = cube[cube["condition"] == "squad"].assign(variant="adversarial")
    assert evidence_of(pd.concat([robust, cube])).primary == Primary("squad")


def test_a_target_without_a_zero_shot_language_is_not_chosen():
    """XQuAD in English only, MLQA in German: the question can be asked of MLQA alone."""
    cube = simulate({}, tasks=("xquad", "mlqa"), languages=("en", "de"), size=0.05)
    english = (cube["task"] != "xquad") | (cube["language"] == "en")
    assert evidence_of(cube[english]).primary.target == "mlqa"
    with pytest.raises(UserError, match="no task has scores of both sides"):
        evidence_of(cube[cube["language"] == "en"]).primary  # noqa: B018


def test_a_cube_without_groups_is_compared_by_what_it_has():
    cube = simulate({}, tasks=("xquad",), languages=("en", "de", "th"), size=0.05)
    evidence = evidence_of(cube.drop(columns=["family", "group"]))
    assert evidence.levels == ["language", "all"] and evidence.primary.by == "language"
    table = significance(evidence)
    assert set(table["by"]) == {"language", "all", "source"}


def test_table_report_and_power_answer_the_same_question(tmp_path, capsys):
    """A cube of MLQA alone, which declares nothing: every command speaks about MLQA."""
    cube = simulate({}, ("none", "squad"), ("mlqa",), ("en", "de", "hi", "th"), size=0.2)
    cube.to_parquet(tmp_path / "cube.parquet")
    path = str(tmp_path / "cube.parquet")
    assert main(["power", path, "--out", str(tmp_path)]) == 0
    assert main(["significance", path, "--out", str(tmp_path)]) == 0, capsys.readouterr().err
    evidence = evidence_of(path)
    table = significance(evidence)
    rows = table[is_primary(table, evidence.primary)]
    assert set(rows["task"]) == {"mlqa"} and len(rows) == 3
    assert set(power_table(evidence)["level"]) == {*rows["level"], "all"}
    tex = (tmp_path / "tables" / "answer.tex").read_text()
    assert "Exploratory: SQuAD against no intermediate task on MLQA" in tex
    assert "SQuAD first: MLQA F1 " in (tmp_path / "report.html").read_text(encoding="utf-8")


def test_strangers_are_added_to_the_languages_table():
    cube = simulate({}, tasks=("xquad",), languages=("en", "de"), size=0.05)
    words = cube["language"].astype(str).replace("de", "tlh")
    rows = evidence_of(cube.assign(language=words), data="hub").languages.set_index("code")
    assert tuple(rows.loc["tlh", ["family", "group"]]) == ("Indo-European", "Germanic")
    assert "tlh" not in set(evidence_of(cube).languages["code"])


def test_comparing_loads_no_plots_and_no_second_statistics_package():
    code = (
        "import sys; from xtsupport.analysis import compare, read_cube; "
        "print([m for m in ('matplotlib', 'statsmodels', 'torch', 'xtsupport.report', "
        "'xtsupport.study') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
