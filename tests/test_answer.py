"""The answer: planted differences between benchmarks and families are found, and labelled."""

import re
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
from difference_toys import simulate_differences
from simulated_cubes import simulate

from xtsupport.errors import UserError
from xtsupport.report import style
from xtsupport.report.answer import closing, families_differ, in_short
from xtsupport.report.contents import contents
from xtsupport.report.numbers import level
from xtsupport.report.paper_sentences import metric_points, required, sentence
from xtsupport.report.paper_tables import caption, latex, page_table, write_significance
from xtsupport.report.report import rest_rows, warnings
from xtsupport.report.robustness import fewer_targets
from xtsupport.statistics.aggregates import Facts
from xtsupport.statistics.clusters import study_moments
from xtsupport.statistics.comparisons import COLUMNS, compare, dependence, is_primary, significance
from xtsupport.statistics.contrasts import cases, default_contrasts, sides
from xtsupport.statistics.declared import Declared, Primary, declared
from xtsupport.statistics.evidence import evidence_of
from xtsupport.statistics.heterogeneity import heterogeneity, levels_differ
from xtsupport.statistics.inference import inference
from xtsupport.statistics.scales import on_scale
from xtsupport.statistics.sensitivity import on_scales

RULES = Declared(primary=Primary("squad"), contrasts=(("squad", "none"),))


@pytest.fixture(scope="module")
def evidence():
    effects = {("squad", "xquad"): 9.0, ("squad", "xquad", "th"): -3.0, ("squad", "mlqa"): 1.0}
    cube = simulate(
        effects,
        tasks=("xquad", "mlqa", "xnli", "udpos", "tatoeba"),
        languages=("en", "de", "es", "el", "th"),
        run_sd=0.3,
        size=0.7,
        seed=3,
    )
    greek = (cube["language"] == "el") & (cube["task"] == "mlqa")  # as in XTREME: MLQA has no Greek
    return evidence_of(cube[~greek], RULES)


@pytest.fixture(scope="module")
def table(evidence):
    return significance(evidence)


def answer(table, task, metric="f1"):
    rows = table[(table["task"] == task) & (table["metric"] == metric) & (table["by"] == "group")]
    return rows.set_index("level")


def test_the_answer_is_what_was_planted(table):
    rows, rest = answer(table, "xquad"), answer(table, "rest", "official")
    assert set(rows.index) == {"Germanic", "Romance", "Greek", "Tai-Kadai"}
    assert set(rows.drop("Tai-Kadai")["verdict"]) == {"improves"}
    assert answer(table, "xquad - rest").loc["Germanic", "gain"] == pytest.approx(
        rows.loc["Germanic", "gain"] - rest.loc["Germanic", "gain"]
    )
    assert rows.loc["Tai-Kadai", "gain"] < 0
    assert (rows["unit"] == "clusters x seeds").all() and (rows["n_seeds"] == 3).all()


def test_the_answer_agrees_with_compare(evidence, table):
    compared = compare(evidence)
    for task in ("xquad", "xquad - rest"):
        rows, expected = answer(table, task), answer(compared, task)
        for column in ("gain", "p_adjusted"):
            assert np.allclose(rows[column], expected.loc[rows.index, column])


def test_families_differ_where_they_were_made_to(evidence):
    table = heterogeneity(evidence).set_index("task")
    assert table.loc["xquad", "p_value"] < 0.001 and table.loc["xquad", "n_levels"] == 4
    assert table.loc["rest (common)", "p_value"] > 0.05
    assert "mlqa" not in table.loc["rest (common)", "note"]  # not every language has it
    assert table.loc["xquad - rest (common)", "p_value"] < 0.001


def test_what_is_no_family_and_what_is_another_mix_of_tasks_is_said(evidence, table):
    found = contents(table, evidence)
    (line,) = families_differ(found)  # German; Spanish; Greek; Thai
    assert line.endswith("; 4 of the 4 groups have a single language here.")
    (block,) = fewer_targets(found, rest_rows(found))
    assert block.text == "With fewer of the other targets: Greek (UDPOS, XNLI)."
    same = evidence_of(simulate(tasks=("xquad", "xnli"), languages=("en", "de", "th")), RULES)
    found = contents(significance(same), same)
    assert fewer_targets(found, rest_rows(found)) == []


def test_one_level_alone_does_not_differ_from_itself():
    cube = simulate(tasks=("xquad", "xnli"), languages=("en", "th"), size=0.1)
    table = heterogeneity(evidence_of(cube, RULES), "language")
    assert table.empty and {"task", "p_value", "n_levels"} <= set(table)


def test_equal_levels_are_rejected_as_often_as_stated():
    """Runs move all languages alike and each a little; 300 null studies, binomial error 1.3%."""
    rng = np.random.default_rng(5)
    pair = [(("squad", "plain"), ("none", "plain"))]
    p = []
    for _ in range(300):
        sums = simulate_differences(rng, seeds=3, languages=5, run_sd=1.0, language_run_sd=1.0)
        found = cases(study_moments([sums]), {"xquad": Facts("span", "f1")}, pair, "language")
        p.append(levels_differ([case for case in found if case.task == "xquad"])["p_value"])
    assert 0.02 <= np.mean(np.array(p) < 0.05) <= 0.09
    assert 0.4 <= np.mean(np.array(p) < 0.5) <= 0.6


def test_scales_by_hand():
    k, b, n = np.array([0.8]), np.array([0.6]), np.array([100.0])
    assert on_scale("relative", k, b, n)[0] == pytest.approx(0.5)
    assert on_scale("logit", k, b, n)[0] == pytest.approx(np.log(4) - np.log(1.5))
    for scale in ("points", "relative", "logit"):
        value, by_k, by_b = on_scale(scale, k, b, n)
        step = 1e-6
        assert (on_scale(scale, k + step, b, n)[0] - value) / step == pytest.approx(by_k, rel=1e-4)
        assert (on_scale(scale, k, b + step, n)[0] - value) / step == pytest.approx(by_b, rel=1e-4)
    assert np.isfinite(on_scale("logit", np.array([1.0]), np.array([0.0]), n)[0])


def test_every_scale_and_metric_is_listed(evidence, table):
    listed = on_scales(evidence)
    assert set(listed["scale"]) == {"points", "relative", "logit"}
    assert set(listed.query("task == 'xquad'")["metric"]) == {"f1", "exact_match"}
    points = listed.query("scale == 'points' and task == 'xquad' and metric == 'f1'")
    assert np.allclose(points.set_index("level")["gain"], answer(table, "xquad")["gain"])


def test_a_conclusion_that_hangs_on_the_scale_is_labelled():
    """Equal points at 60 and at 95: no difference in points, a large one in errors and odds."""
    cube = simulate(
        tasks=("xquad", "xnli"), languages=("en", "de"), run_sd=0.0, language_run_sd=0.0
    )
    en = cube["language"] == "en"
    rng = np.random.default_rng(0)
    for task, base in (("xquad", 0.60), ("xnli", 0.94)):
        for condition, more in (("none", 0.0), ("squad", 0.03)):
            mine = (cube["task"] == task) & (cube["condition"] == condition) & ~en
            ids = cube.loc[mine, "example_id"].unique()
            good = rng.permutation(len(ids)) < (base + more) * len(ids)
            score = pd.Series(good.astype(float), index=ids)
            cube.loc[mine, "score"] = cube.loc[mine, "example_id"].map(score)
    found = cases(
        study_moments(cube),
        {"xquad": Facts("span", "f1"), "xnli": Facts("classification", "accuracy")},
        [(("squad", "plain"), ("none", "plain"))],
        "all",
    )
    difference = [case for case in found if case.task == "xquad - rest"]
    points = inference(difference)
    assert set(dependence(difference, Declared.unit, 0.05, points)) == {"scale-dependent"}


def test_significance_is_the_contract_and_marks_what_was_planned(table):
    assert list(table) == COLUMNS
    planned = table["note"].str.startswith("primary comparison")
    assert planned.sum() == 8  # four groups on xquad and on xquad - rest
    assert set(table.loc[planned, "by"]) == {"group"} and set(table.loc[planned, "metric"]) == {
        "f1"
    }
    assert table.loc[~planned, "note"].str.startswith("exploratory").all()
    assert not table.duplicated(["treatment", "baseline", "task", "by", "level", "metric"]).any()
    assert set(table["by"]) == {"group", "family", "language", "all", "source"}


def test_declaration_is_read_from_settings():
    settings = SimpleNamespace(
        analysis=SimpleNamespace(
            contrasts=[["squad", "none"]],
            primary=SimpleNamespace(treatment="squad", by="family", target="xquad"),
            margin=2.0,
            alpha=0.1,
        )
    )
    rules = declared(settings)
    assert rules.primary == Primary("squad", by="family") and rules.margin == 2.0
    assert rules.contrasts == (("squad", "none"),) and rules.adjustment == "holm"
    assert declared(None) == Declared() and declared({"alpha": 0.01}).alpha == 0.01


def test_primary_rows_follow_the_declaration(evidence):
    primary = Primary("squad", metric="exact_match", by="language")
    table = significance(evidence_of(evidence.moments, Declared(primary=primary)))
    assert set(table[is_primary(table, primary)]["level"]) == {"de", "el", "es", "th"}
    rules = Declared(primary=Primary("squad", metric="bleu"))
    with pytest.raises(UserError, match="no xquad bleu"):
        heterogeneity(evidence_of(evidence.moments, rules))


def test_default_contrasts_take_the_baseline_that_fits():
    cube = simulate(
        conditions=("none", "none~squad", "squad", "squad@translated", "squad+mlm"),
        languages=("en", "de"),
        seeds=1,
        size=0.05,
    )
    robust = cube[cube["condition"] == "squad"].assign(variant="adversarial")
    measured = study_moments(pd.concat([cube, robust], ignore_index=True))
    assert set(default_contrasts(sides(measured))) == {
        (("none~squad", "plain"), ("none", "plain")),
        (("squad", "plain"), ("none", "plain")),
        (("squad", "plain"), ("none~squad", "plain")),
        (("squad@translated", "plain"), ("squad", "plain")),
        (("squad+mlm", "plain"), ("squad", "plain")),
        (("squad", "adversarial"), ("squad", "plain")),
    }


@pytest.mark.parametrize(
    ("have", "pairs"),
    [
        ("none none{a=1} squad{a=1}", "squad{a=1}-none{a=1}"),  # the same phase 3
        ("none squad{b=1} squad{b=2}", "squad{b=1}-none squad{b=2}-none"),
        ("squad squad+mlm{a=1} none~squad{a=1}", "squad+mlm{a=1}-squad"),
        # settings of two phases: none has those of the second only; a list has commas of its own
        ("none{b=2} none{b=3} squad{a=1,b=2}", "squad{a=1,b=2}-none{b=2}"),
        ("none none{b=[1,2]} squad{a=1,b=[1,2]}", "squad{a=1,b=[1,2]}-none{b=[1,2]}"),
    ],
)
def test_a_side_with_other_settings_is_held_against_the_one_that_has_them_too(have, pairs):
    found = default_contrasts([(name, "plain") for name in have.split()])
    assert [f"{a}-{b}" for (a, _), (b, _) in found] == pairs.split()


def test_sentences_name_the_unit_and_the_numbers(table):
    rows = table.query("task == 'xquad' and metric == 'f1' and by == 'group'").set_index("level")
    words = sentence(rows.loc["Greek"].to_dict() | {"level": "Greek"}, Declared(), "hub")
    assert words.startswith("In Greek, SQuAD scores ")
    assert "F1 points higher on XQuAD than no intermediate task (1 language; 98.75% " in words
    assert re.search(r"; Holm-adjusted p [<=] 0.\d+; \d+ clusters, 3 seeds\)\.$", words)
    alone = rows.loc["Greek"].to_dict() | {
        "level": "Greek",
        "p_adjusted": rows.loc["Greek", "p_value"],
    }
    words = sentence(alone, Declared(), "hub")  # a family of one row: nothing was adjusted
    assert re.search(r"interval [^;]+; p [<=] 0.\d+; ", words)
    row = rows.loc["Greek"].to_dict() | {"level": "Greek", "verdict": "too few", "n_seeds": 2}
    few = sentence(row, Declared(), "hub")
    assert "too few seeds" in few
    apart = table.query("task == 'xquad - rest' and metric == 'f1' and by == 'group'").iloc[0]
    assert "larger on XQuAD than on the other targets" in sentence(apart, Declared(), "hub")


@pytest.mark.parametrize(
    ("task", "gain", "said"),
    [
        ("xquad", 0.0, "In Greek, SQuAD scores the same on XQuAD as no intermediate task ("),
        ("xquad", -1e-15, "SQuAD scores the same on XQuAD as no intermediate task ("),
        ("xquad", -0.04, "SQuAD scores 0.04 F1 points lower on XQuAD than no intermediate task ("),
        ("xquad - rest", 0.0, "no intermediate task is the same on XQuAD as on the other targets"),
        ("xquad - rest", 2.0, "is 2.0 points larger on XQuAD than on the other targets"),
    ],
)
def test_a_gain_of_zero_is_neither_higher_nor_lower(table, task, gain, said):
    rows = table[(table["task"] == task) & (table["metric"] == "f1") & (table["by"] == "group")]
    row = rows.iloc[0].to_dict() | {"level": "Greek", "gain": gain, "verdict": "improves"}
    assert said in sentence(row, Declared(), "hub")


@pytest.mark.parametrize(
    ("task", "metric", "said"),
    [
        ("xquad", "f1", "F1 points"),
        ("xquad", "exact_match", "points of exact match"),
        ("rest", "official", "points of the official metrics"),
        ("rest (f1)", "official", "F1 points"),
        ("xquad - rest", "f1", "points"),  # XNLI's are of accuracy
        ("xquad - rest (f1)", "f1", "F1 points"),
        ("xquad - rest (f1)", "exact_match", "points"),
    ],
)
def test_points_are_named_after_the_metric_of_both_sides(task, metric, said):
    assert metric_points(metric, task) == said


def test_what_power_requires_says_when_it_is_before_the_correction(table):
    row = table.iloc[0].to_dict() | {"mde": 1.46}
    assert required(row | {"note": ""}, 0.05) == "80% power requires a gain of 1.5 points"
    assert required(row | {"note": "98.75% interval"}, 0.05).endswith(
        "1.5 points, before the correction for several rows"
    )


def test_files_are_written(evidence, table, tmp_path):
    path = write_significance(contents(table, evidence), tmp_path / "out")
    lines = path.read_text().splitlines()
    assert path.name == "significance.csv" and lines[0].split(",") == COLUMNS
    assert len((tmp_path / "out" / "sentences.txt").read_text().splitlines()) == len(lines) - 1
    lines_ = (tmp_path / "out" / "answer.txt").read_text(encoding="utf-8").splitlines()
    assert lines_[0].startswith("SQuAD first: XQuAD F1 +")
    assert [line.split("  ")[0] for line in lines_[-5:]] == [
        "all languages", "Germanic", "Romance", "Greek", "Tai-Kadai",
    ]  # fmt: skip


def test_what_is_not_from_here_says_so_wherever_it_is_read(evidence, table, monkeypatch):
    found = contents(table, evidence)
    monkeypatch.setattr(style, "ORIGIN", "the study of the package")
    assert closing(found)[:2] == ["From the study of the package:", *in_short(found)[:1]]
    page = SimpleNamespace(study="mine", languages=found.languages)
    assert warnings(page) == ["The results are from the study of the package."]
    monkeypatch.setattr(style, "ORIGIN", "")
    assert closing(found)[0] == in_short(found)[0] and warnings(page) == []


def test_page_table_fits_and_escapes(table):
    rows = table.query("task == 'xquad' and metric == 'f1' and by == 'group'")
    shown = page_table(rows, 0.05)
    levels = sorted({level(row, 0.05) for row in rows.to_dict("records")}, key=float)
    head = f"gain [{levels[0]}\N{EN DASH}{levels[-1]}% interval]"
    assert list(shown) == ["level", head, "verdict", "languages", "p", "MDE"]
    assert len(shown) == 4 and shown["p"].str.match(r"(< 0\.001|[01]\.\d{3})$").all()
    named = rows.assign(treatment="my_task & 50%")
    tex = latex(page_table(named, 0.05), caption(named, "hub"))
    assert r"my\_task \& 50\% against" in tex and r"98.75\% interval" in tex
    assert "Exploratory" not in tex
    assert caption(rows.assign(note="exploratory"), "hub").startswith("Exploratory: SQuAD against")
    assert tex.count(r"\\") == 5 and r"\toprule" in tex and "Unit: clusters x seeds" in tex
