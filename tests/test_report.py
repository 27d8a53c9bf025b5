"""The report is one sound page: self-contained, escaped, answer first, true to its numbers."""

import base64
import hashlib
import re
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path

import pandas as pd
import pytest
from matplotlib.image import imread
from simulated_cubes import simulate

from xtsupport.errors import UserError
from xtsupport.report import page
from xtsupport.report.answer import in_short, one_sentence, tally, title
from xtsupport.report.appendix import cautions, contaminated, deciding, distinct
from xtsupport.report.contents import contents
from xtsupport.report.numbers import signed
from xtsupport.report.paper_tables import read_comparison
from xtsupport.report.report import standing, study_page, warnings, write_report
from xtsupport.statistics.comparisons import significance
from xtsupport.statistics.declared import Declared, Primary
from xtsupport.statistics.evidence import evidence_of
from xtsupport.study.cli import main
from xtsupport.study.params.loading import load_settings

TINY = Path(__file__).parents[1] / "params" / "tiny.yaml"
EVIL = '<script>alert("1")</script> & <b>'
VOID = {"meta", "img", "br", "link"}


class Reader(HTMLParser):
    """Collects what a page asks for, and complains about tags that do not match."""

    def __init__(self, text: str):
        super().__init__()
        self.open, self.ids, self.links, self.sources, self.tags = [], [], [], [], set()
        self.text, self.cells = [], []
        self.feed(text)
        assert not self.open, f"never closed: {self.open}"

    def handle_starttag(self, tag, attrs):
        given = dict(attrs)
        self.tags.add(tag)
        self.ids += [given["id"]] if "id" in given else []
        self.links += [given["href"]] if "href" in given else []
        self.sources += [given["src"]] if "src" in given else []
        assert tag != "img" or len(given["alt"]) > 30, "a figure without words"
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        self.text.append(data)
        if self.open and self.open[-1] == "td":
            self.cells.append(data)


@pytest.fixture(scope="module")
def cube():
    made = simulate(
        {("squad", "xquad"): 6.0},
        ("none", "squad", "mnli"),
        ("xquad", "xnli", "udpos", "tatoeba"),
        ("en", "de", "es", "el", "ru", "hi", "ar", "zh"),
        size=0.15,
    )
    return made.assign(study="toy")


@pytest.fixture(scope="module")
def rules():
    return Declared(primary=Primary("squad"))


@pytest.fixture(scope="module")
def evidence(cube, rules):
    return evidence_of(cube, rules)


@pytest.fixture(scope="module")
def comparison(evidence):
    return significance(evidence)


@pytest.fixture(scope="module")
def settings():
    """tiny.yaml's, whose contrasts also name a control that this cube does not have."""
    given = load_settings(TINY)
    usual = given.analysis.model_copy(update={"contrasts": []})
    return given.model_copy(update={"analysis": usual})


RECORDS = [
    {
        "phase": "target",
        "condition": condition,
        "seed": 0,
        "seconds": 12.0,
        "versions": {"python": "3.11.0", "torch": "2.13"},
        "machine": "a computer",
        "commit": None,
        "collapsed": collapsed,
    }
    for condition, collapsed in (("none", ["xnli"]), ("squad", []))
]


@pytest.fixture(scope="module")
def folder(cube, comparison, settings, tmp_path_factory):
    """Where a report with all that belongs to it lies."""
    out = tmp_path_factory.mktemp("report") / "report.html"
    assert (
        write_report(out, contents(comparison, evidence_of(cube, settings), settings, RECORDS))
        == out
    )
    return out.parent


@pytest.fixture(scope="module")
def text(folder):
    return (folder / "report.html").read_text(encoding="utf-8")


def test_figures_and_tables_lie_beside_the_page_for_papers(folder, comparison):
    for name in ("answer", "rest", "verdicts", "distance", "scores-xquad", "power"):
        drawn = (folder / "figures" / f"{name}.svg").read_text(encoding="utf-8")
        assert drawn.count("<path") > 100 and "<text" not in drawn, name  # no font is needed
    claims = pd.read_csv(folder / "claims.csv")
    assert {"claim", "verdict", "unit"} <= set(claims) and len(claims) == 12
    gains = pd.read_csv(folder / "tables" / "gains.csv", keep_default_na=False)
    assert len(gains) == comparison["by"].eq("all").sum()
    tex = (folder / "tables" / "answer.tex").read_text(encoding="utf-8")
    assert r"\toprule" in tex and "level & gain" in tex and "verdict & languages & p & MDE" in tex
    assert r"\caption{SQuAD " in tex and "on XQuAD, in F1 points" in tex
    assert "\N{MINUS SIGN}" not in tex and "_" not in tex.split(r"\caption")[0]


def test_it_needs_nothing_and_runs_nothing_but_its_own_script(text):
    read, script = Reader(text), page.template_file("page.js")
    assert not read.tags & {"link", "iframe", "object", "form"}
    assert text.count("<script") == 1 and f"<script>{script}</script>" in text
    digest = hashlib.sha256(script.encode()).digest()
    assert f"script-src 'sha256-{base64.b64encode(digest).decode()}'" in text
    assert not re.search(r"fetch|XMLHttp|eval|innerHTML|document.write", script)
    assert read.sources and all(s.startswith("data:image/svg+xml;base64,") for s in read.sources)
    assert not re.search(r"@import|url\(", text)
    assert len(text.encode()) < 5_000_000


def test_it_reads_on_a_phone_and_on_paper(text):
    assert '<meta charset="utf-8">' in text and '<html lang="en">' in text
    assert 'name="viewport"' in text and "@media print" in text


def test_every_link_on_the_page_leads_somewhere(text):
    read = Reader(text)
    inside = [link[1:] for link in read.links if link.startswith("#")]
    assert {"families", "gains", "firm", "words"} <= set(inside) <= set(read.ids)
    assert len(read.ids) == len(set(read.ids))


def test_the_first_screen_has_setup_sentence_verdict_limits_and_figure_in_this_order(text):
    first = text[text.index("<header") : text.index("</header>") + len("</header>")]
    words = " ".join("".join(Reader(first).text).split())
    wanted = ["Study: toy", "Training on SQuAD first improves XQuAD", "XQuAD F1 +", "improves",
              "Encoder", "pretrained by the study", "XQuAD (8 languages)",
              "3 runs of each condition", "declared before the first run",
              "SQuAD and XQuAD share training data"]  # fmt: skip
    at = 0
    for each in wanted:
        assert each in words[at:], each
        at = words.index(each, at) + len(each)
    assert '<span class="verdict improves">improves</span>' in first and "<figure>" in first


def test_scores_and_gains_hold_the_numbers_of_the_comparison(text, comparison):
    cells = Reader(text).cells
    rows = comparison.query("task == 'xquad' and metric == 'f1' and by in ('all', 'group')")
    assert len(rows) >= 12
    for row in rows.itertuples():
        sign = "+" if row.gain > 0 else ""
        assert f"{sign}{signed(row.gain)}".replace("-", "−") in cells
        assert f"{signed(row.ci_low)} to {signed(row.ci_high)}".replace("-", "−") in cells
    assert {"all languages", "German", "Germanic (1)", "no intermediate task"} <= set(cells)
    board = text.split('id="scores"')[1].split("</table>")[0]
    for task in ("XQuAD", "XNLI", "UDPOS", "Tatoeba", "XLM-R Large", "chance"):
        assert task in board


def test_a_target_that_no_pair_of_runs_shares_has_scores_but_no_gains(cube):
    """Tatoeba was done under `mnli` alone: nothing is compared there."""
    evidence = evidence_of(cube[(cube["task"] != "tatoeba") | (cube["condition"] == "mnli")])
    page = study_page(contents(significance(evidence), evidence))
    scores = page.split('id="scores"')[1].split("</table>")[0]
    titles = re.findall(r"<summary>([^<]*: \d+ gains)", page)
    assert "Tatoeba" in scores and any(title.startswith("XQuAD") for title in titles)
    assert not any(title.startswith("Tatoeba") for title in titles)


@pytest.fixture(scope="module")
def alone(cube, comparison):
    """The page of a cube without its study."""
    return study_page(contents(comparison, evidence_of(cube)))


def test_declared_and_exploratory_are_told_apart(text, alone):
    assert "declared before the first run" in text and "all others are exploratory" in text
    assert "exploratory: none was declared in advance" in alone
    assert "without records of runs" in alone


def test_limits_of_this_very_design_are_named(text):
    words = " ".join("".join(Reader(text).text).split())
    assert "Only one language represents Germanic" in words
    assert "SQuAD and XQuAD share training data" in words
    assert "(unit: clusters x seeds) are about the recipe on new examples, not about other" in words


def test_the_gain_over_as_many_steps_is_told_where_the_study_has_it(cube, comparison, settings):
    first = in_short(contents(comparison, evidence_of(cube, settings), settings))[0]
    assert "; there is no control with the same number of steps spent on the target" in first
    one = comparison.query("treatment == 'squad' and task == 'xquad' and by == 'all'")
    row = one[one["metric"] == "f1"].assign(baseline="none~squad", gain=-1.6, verdict="harms")
    more = pd.concat([comparison, row.assign(ci_low=-2.7, ci_high=-0.02)])
    first = in_short(contents(more, evidence_of(cube, settings), settings))[0]
    minus = "\N{MINUS SIGN}"
    wanted = f"the target's training set instead: {minus}1.6 ({minus}2.7 to {minus}0.02), harms."
    assert first.startswith("SQuAD first: XQuAD F1 +") and first.endswith(wanted)


def test_a_declared_control_is_told_in_words(cube, comparison, settings):
    """A study may declare the step-matched control itself as the baseline."""
    one = comparison.query("treatment == 'squad' and task == 'xquad' and by == 'all'")
    more = pd.concat([comparison, one.assign(baseline="none~squad", verdict="improves")])
    steps = cube["condition"].astype(str).replace("mnli", "none~squad")
    evidence = evidence_of(cube.assign(condition=steps), settings)
    declared = Primary("squad", "none~squad", "xquad", "f1", "all")
    rules = replace(evidence.rules, primary=declared)
    found = contents(more, replace(evidence, rules=rules), settings)
    steps = "the same number of steps spent on the target's training set"
    assert title(found).startswith(f"SQuAD scores higher on XQuAD than {steps}")
    assert one_sentence(found).startswith(f"SQuAD against {steps}: XQuAD F1 +")


@pytest.mark.parametrize(
    ("verdict", "control", "said"),
    [
        ("undetermined", None, "It is unclear whether training on SQuAD first helps XQuAD"),
        ("harms", None, "Training on SQuAD first makes XQuAD worse"),
        ("equivalent", None, "Training on SQuAD first changes XQuAD by less than 1 point"),
        ("too few", None, "Too few languages to say whether training on SQuAD first helps XQuAD"),
        ("improves", "improves", "improves XQuAD, and by more than as many further steps on"),
        ("improves", "harms", "improves XQuAD, but by less than as many further steps on"),
        ("improves", "undetermined", "improves XQuAD; whether by more than further steps on"),
    ],
)
def test_the_heading_says_the_verdict_and_how_it_stands_to_the_control(
    comparison, evidence, verdict, control, said
):
    one = comparison["treatment"].eq("squad") & comparison["task"].eq("xquad")
    one &= comparison["by"].eq("all") & comparison["metric"].eq("f1")
    table = comparison.assign(verdict=comparison["verdict"].mask(one, verdict))
    if control:
        row = table[one].assign(baseline="none~squad", verdict=control)
        table = pd.concat([table, row])
    assert said in title(contents(table, evidence))


def test_exposed_encoders_are_named_once_with_their_source(cube, comparison, settings):
    changed = settings.model_copy(update={"encoder": "offline-e5"})
    found = contents(comparison, evidence_of(cube, changed), changed)
    assert "trained on data of XQuAD, XNLI, Tatoeba: scores" in " ".join(deciding(found))
    assert "EXPOSED: the encoder (offline-e5)" in " ".join(cautions(found))
    plain = contents(comparison, evidence_of(cube, settings), settings)
    assert "encoder was" not in " ".join([*deciding(plain), *cautions(plain)])


def test_collapsed_runs_and_settings_are_shown(text):
    assert "none, seed 0: xnli" in text
    assert "study: tiny" in text and "torch 2.13" in text


def test_what_was_declared_late_is_exploratory(cube, rules):
    """A changed margin or primary comparison; more contrasts are exploratory anyway."""
    late = replace(rules, late=("contrasts", "margin"))
    notes = significance(evidence_of(cube, late))["note"]
    assert not notes.str.contains("primary comparison").any()
    assert notes.str.startswith("exploratory; primary, declared late").sum() == (
        significance(evidence_of(cube, rules))["note"].str.startswith("primary comparison").sum()
    )
    told = "exploratory: it differs from what was declared before the first run (contrasts, margin;"
    assert standing(late).startswith(told)
    assert standing(replace(rules, late=("contrasts",))) == standing(rules)


def test_with_other_targets_than_declared_only_the_difference_to_them_is_exploratory(cube, rules):
    other = replace(rules, late=("targets",))
    was, now = (significance(evidence_of(cube, each)) for each in (rules, other))
    declared = was["note"].str.startswith("primary comparison")
    late = now["note"].str.startswith("exploratory; primary, declared late")
    assert {*was.loc[declared, "task"]} == {"xquad", "xquad - rest"}
    assert {*now.loc[late, "task"]} == {"xquad - rest"}
    assert (now["note"].str.startswith("primary comparison") == declared & ~late).all()
    assert standing(other) == standing(rules)


def test_simulated_scores_cannot_be_taken_for_results(cube, comparison):
    (line,) = warnings(contents(comparison, evidence_of(cube.assign(study="simulated"))))
    assert "SIMULATED" in line


def test_whatever_comes_from_data_is_escaped(cube, rules):
    named = cube.assign(group=cube["group"].where(cube["language"] != "de", EVIL), study=EVIL)
    named["condition"] = named["condition"].replace("mnli", EVIL)
    evidence = evidence_of(named[named["task"].isin(["xquad", "udpos"])], rules)
    changed = pd.DataFrame([{"treatment": "squad", "baseline": "none", "variant": "plain",
                             "task": "xquad", "language": "de", "change": 50.0}])  # fmt: skip
    texts = ("family", "example_id", "question", "gold", "english", "baseline_said")
    changed = changed.assign(**dict.fromkeys((*texts, "treatment_said"), EVIL))
    whole = study_page(contents(significance(evidence), evidence), changed)
    read = Reader(whole)
    assert whole.count("<script") == 1 and "".join(read.text).count(EVIL) > 12
    for source in read.sources:
        assert b"<script>" not in base64.b64decode(source.split(",")[1])


def test_the_same_study_gives_the_same_page(alone, cube, comparison):
    assert study_page(contents(comparison, evidence_of(cube))) == alone


def test_a_comparison_without_the_declared_rows_is_refused(cube, comparison, settings):
    with pytest.raises(UserError, match="no row of squad over none on xquad"):
        contents(comparison[comparison["task"] != "xquad"], evidence_of(cube, settings), settings)


def test_a_cube_without_xquad_has_a_report_of_what_it_has(cube):
    evidence = evidence_of(cube[cube["task"].isin(["xnli", "udpos"]) & (cube["seed"] == 0)])
    text = study_page(contents(significance(evidence), evidence))
    assert "Too few seeds to say whether training on SQuAD first helps" in text
    assert "One run per condition" in text


def test_the_command_leaves_table_and_report_of_any_cube(cube, tmp_path, capsys):
    cube[cube["task"] == "xquad"].to_parquet(tmp_path / "cube.parquet")
    assert main(["significance", str(tmp_path / "cube.parquet"), "--out", str(tmp_path)]) == 0
    *_, table, page_ = capsys.readouterr().out.split()
    assert (table, page_) == (str(tmp_path / "significance.csv"), str(tmp_path / "report.html"))
    text = Path(page_).read_text(encoding="utf-8")
    assert "none was declared in advance" in text and "names the examples by their ids" in text


def test_one_figure_alone_in_any_format(cube, tmp_path, capsys):
    cube[cube["task"] == "xquad"].to_parquet(tmp_path / "cube.parquet")
    given = ["significance", str(tmp_path / "cube.parquet"), "--out", str(tmp_path / "out")]
    assert main([*given, "--figure", "answer", "--format", "pdf"]) == 0
    (made,) = (tmp_path / "out").iterdir()
    assert made.read_bytes().startswith(b"%PDF") and str(made) in capsys.readouterr().out
    assert main([*given, "--figure", "answer", "--format", "png"]) == 0
    pixels = imread(made.with_suffix(".png"))
    assert pixels.shape[1] > 800 and pixels[..., :3].std() > 0.01
    assert main([*given, "--figure", "nothing"]) == 1
    assert "--figure nothing: this study has answer," in capsys.readouterr().err
    assert main([*given, "--format", "png"]) == 1


def test_contaminated_texts_are_counted_once_per_place():
    row = {"target": "xquad", "field": "context", "training": "squad", "texts": 9, "exact": 2}
    clean = row | {"field": "question", "exact": 0, "ngram": 0}
    records = [{"contamination": [row | {"ngram": 3}, clean]}, {"contamination": None}] * 2
    assert contaminated(records) == "3 of 9 xquad contexts in squad"
    tagged = {"target": "udpos", "field": "tokens", "ngram": 0, "training": "udpos"}
    assert contaminated([{"contamination": [row | tagged]}]) == "2 of 9 udpos sentences in udpos"
    german = row | {"ngram": 0, "exact": 4, "texts": 8, "language": "de"}
    assert contaminated([{"contamination": [german]}]) == "4 of 8 xquad contexts in squad (de)"
    assert contaminated([{"contamination": [german]}, *records]) == (
        "3 to 4 of 8 to 9 xquad contexts in squad (each of 2 languages)"
    )


def test_runs_of_several_commits_name_them_all():
    assert distinct(["a", "a"]) == "a"
    assert distinct(["a", "b", "a"]) == "a (2 of 3 runs); b (1 of 3 runs)"


def test_a_table_read_back_is_the_table(comparison, tmp_path):
    comparison.to_csv(tmp_path / "s.csv", index=False)
    read = read_comparison(tmp_path / "s.csv")
    pd.testing.assert_frame_equal(read, comparison, check_dtype=False)


def test_a_tally_counts_every_verdict():
    rows = pd.DataFrame({"level": list("abcd"), "task": "xquad"})
    rows["verdict"] = ["improves", "harms", "improves", "undetermined"]
    assert tally(rows, "group") == (
        "improves in 2 of 4 groups (a, c), harms in 1 (b), undetermined in 1 (d)"
    )
    assert tally(rows.assign(task="xquad - rest"), "group").startswith("larger in 2 of 4 groups")
    same = rows.assign(verdict="harms")
    assert tally(same, "family") == "harms in all 4 families"
    many = pd.concat([rows] * 5)  # ten that improve: too many to name
    assert tally(many, "group").startswith("improves in 10 of 20 groups, harms in 5 (b, b, ")


@pytest.mark.parametrize(
    ("targets", "said"),
    [
        (("xnli",), "None of them is scored by F1"),
        (("udpos",), "All of them are scored by F1, so both rests coincide."),
        (("xnli", "udpos"), "The other targets, only those scored by F1 (UDPOS): "),
        ((), None),
    ],
)
def test_the_rest_by_official_metrics_and_by_f1_stand_side_by_side(cube, rules, targets, said):
    some = cube[cube["task"].isin(["xquad", *targets])]
    evidence = evidence_of(some, rules)
    lines = in_short(contents(significance(evidence), evidence))
    assert [line for line in lines if said and line.startswith(said)] == (
        lines[3:4] if said else []
    )
    official = f"The other targets, by official metrics ({', '.join(t.upper() for t in targets)})"
    if len(targets) == 1:
        assert lines[2].startswith(official)
    assert len(lines) == (5 if said else 3)


def test_an_answer_that_is_one_average_is_drawn_with_its_families(cube):
    """The planned row alone is the answer; whether families differ is answered all the same."""
    given = load_settings(TINY, {"analysis.primary.by": "all"})
    few = cube[cube["task"].isin(["xquad", "udpos"])]
    evidence = evidence_of(few, Declared(primary=Primary("squad", by="all")))
    found = contents(significance(evidence), evidence, given)
    text = "".join(Reader(study_page(found)).text)
    first = in_short(found)[0]
    assert first.startswith("SQuAD first: XQuAD F1 +") and "over 7 languages, improves" in first
    assert first in text and "between families: the largest is" in text
    assert "gain of SQuAD over no intermediate task, in points" in text
    assert not [word for word in ("familys", "every all", "per all", " alls ") if word in text]


def test_cells_are_rounded_aligned_and_dashed():
    frame = pd.DataFrame({"name": ["a<b"], "gain": [-1.26], "none": [float("nan")]})
    made = page.templates().get_template("blocks.html").module.show([page.table(frame)])
    assert '<td class="n">−1.3</td>' in made and "a&lt;b" in made
    assert '<td class="n">–</td>' in made
