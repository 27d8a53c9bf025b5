"""The report is one sound page: self-contained, escaped, answer first, true to its numbers."""

import base64
import hashlib
import re
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path

import pandas as pd
import pytest
from simulated_cubes import simulate

from xtsupport.errors import UserError
from xtsupport.report import page
from xtsupport.report.appendix import cautions, contaminated, distinct, scores
from xtsupport.report.contents import contents
from xtsupport.report.headline import in_short, scores_words, tally
from xtsupport.report.report import answer, banner, standing, write_report
from xtsupport.report.sentences import signed
from xtsupport.report.write import read_comparison
from xtsupport.statistics.comparisons import significance
from xtsupport.statistics.declared import Declared, Primary
from xtsupport.statistics.evidence import gather
from xtsupport.study.cli import main
from xtsupport.study.params.settings import load_settings

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
    return gather(cube, rules)


@pytest.fixture(scope="module")
def comparison(evidence):
    return significance(evidence)


@pytest.fixture(scope="module")
def settings():
    return load_settings(TINY)


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
def text(cube, comparison, settings, tmp_path_factory):
    out = tmp_path_factory.mktemp("report") / "report.html"
    assert write_report(out, comparison, gather(cube, settings), settings, RECORDS) == out
    return out.read_text(encoding="utf-8")


def test_the_answers_figure_lies_beside_the_report(text, tmp_path_factory):
    """A picture wide enough for a slide, with more than one colour in it."""
    from matplotlib.image import imread

    paths = [*tmp_path_factory.getbasetemp().glob("report*/answer.png")]
    pixels = imread(paths[0])
    assert pixels.shape[1] > 800 and pixels[..., :3].std() > 0.01
    claims = pd.read_csv(paths[0].with_name("claims.csv"))
    assert {"claim", "verdict", "unit"} <= set(claims) and len(claims) == 12


def test_it_needs_nothing_and_runs_nothing_but_the_sorting_of_tables(text):
    read = Reader(text)
    assert not read.tags & {"link", "iframe", "object", "form"}
    assert text.count("<script") == 1 and f"<script>{page.SCRIPT}</script>" in text
    digest = hashlib.sha256(page.SCRIPT.encode()).digest()
    assert f"script-src 'sha256-{base64.b64encode(digest).decode()}'" in text
    assert not re.search(r"fetch|XMLHttp|eval|innerHTML|document.write", page.SCRIPT)
    assert read.sources and all(s.startswith("data:image/svg+xml;base64,") for s in read.sources)
    assert all(link.startswith("#") for link in read.links)
    assert not re.search(r"@import|url\(", text)
    assert len(text.encode()) < 5_000_000


def test_it_reads_on_a_phone_and_on_paper(text):
    assert '<meta charset="utf-8">' in text and '<html lang="en">' in text
    assert 'name="viewport"' in text and "@media print" in text


def test_contents_lead_to_every_section_and_the_answer_comes_first(text):
    read = Reader(text)
    assert [link[1:] for link in read.links] == [i for i in read.ids if i]
    assert read.ids[0] == "answer"


def test_the_answer_table_holds_the_numbers_of_the_comparison(text, comparison):
    cells = Reader(text).cells
    rows = comparison.query(
        "treatment == 'squad' and baseline == 'none' and by == 'group' and task == 'xquad' "
        "and metric == 'f1'"
    )
    assert len(rows) >= 6
    for row in rows.itertuples():
        wanted = f"{row.gain:+.1f} [{signed(row.ci_low)}, {signed(row.ci_high)}]".replace("-", "−")
        assert wanted in cells
        assert f"{row.level} (1)" in cells


@pytest.fixture(scope="module")
def alone(cube, comparison, tmp_path_factory):
    """The report of a cube without its study."""
    out = tmp_path_factory.mktemp("alone") / "report.html"
    return write_report(out, comparison, gather(cube)).read_text(encoding="utf-8")


def test_declared_and_exploratory_are_told_apart(text, alone):
    assert "was declared before the first run" in text
    assert "were not declared in advance" in text
    assert "No comparison was declared in advance" in alone
    assert "it has no records of runs" in alone


def test_limits_of_this_very_design_are_named(text):
    words = " ".join("".join(Reader(text).text).split())
    assert "One language only stands for Germanic" in words
    assert "uses the training data of xquad itself" in words
    assert "by resampling clusters x seeds, speak about the recipe on new examples" in words


def test_the_gain_over_as_many_steps_is_told_where_the_study_has_it(cube, comparison, settings):
    first = in_short(contents(comparison, gather(cube, settings), settings))[0]
    assert "no comparison with as many steps without it (none~squad) in this table" in first
    one = comparison.query("treatment == 'squad' and task == 'xquad' and by == 'all'")
    row = one[one["metric"] == "f1"].assign(baseline="none~squad", gain=-1.6, verdict="harms")
    more = pd.concat([comparison, row.assign(ci_low=-2.7, ci_high=-0.02)])
    first = in_short(contents(more, gather(cube, settings), settings))[0]
    minus = "\N{MINUS SIGN}"
    wanted = f"the target's training set: {minus}1.6 ({minus}2.7 to {minus}0.02), harms."
    assert first.startswith("SQuAD first: XQuAD F1 +") and first.endswith(wanted)


def test_exposed_encoders_are_named(cube, comparison, settings):
    changed = settings.model_copy(update={"encoder": "offline-e5"})
    lines = " ".join(cautions(contents(comparison, gather(cube, changed), changed)))
    assert "offline-e5 was itself trained on data of xquad, xnli, tatoeba" in lines


def test_what_the_encoder_had_seen_stands_by_the_answer_and_by_the_scores(
    cube, comparison, settings
):
    changed = settings.model_copy(update={"encoder": "offline-e5"})
    for section in (answer, scores):
        shown = section(contents(comparison, gather(cube, changed), changed))
        assert shown.count("EXPOSED: the encoder (offline-e5) was itself trained on data of") == 1
    assert "EXPOSED" not in scores(contents(comparison, gather(cube, settings), settings))
    assert "The encoder" not in scores(contents(comparison, gather(cube)))


def test_collapsed_runs_and_settings_are_shown(text):
    assert "none, seed 0: xnli" in text
    assert "study: tiny" in text and "torch 2.13" in text


def test_what_was_declared_late_is_exploratory(cube, rules):
    """A changed margin or primary comparison; more contrasts are exploratory anyway."""
    late = replace(rules, late=("contrasts", "margin"))
    notes = significance(gather(cube, late))["note"]
    assert not notes.str.contains("primary comparison").any()
    assert notes.str.startswith("exploratory; primary, declared late").sum() == (
        significance(gather(cube, rules))["note"].str.startswith("primary comparison").sum()
    )
    assert "everything on this page is exploratory" in standing(late)
    assert standing(replace(rules, late=("contrasts",))) == standing(rules)


def test_simulated_scores_cannot_be_taken_for_results(cube, comparison):
    assert "SIMULATED" in banner(contents(comparison, gather(cube.assign(study="simulated"))))


def test_whatever_comes_from_data_is_escaped(cube, rules, tmp_path):
    named = cube.assign(group=cube["group"].where(cube["language"] != "de", EVIL), study=EVIL)
    named["condition"] = named["condition"].replace("mnli", EVIL)
    evidence = gather(named, rules)
    out = write_report(tmp_path / "r.html", significance(evidence), evidence)
    read = Reader(out.read_text(encoding="utf-8"))
    whole = out.read_text(encoding="utf-8")
    assert whole.count("<script") == 1 and EVIL in "".join(read.text)
    for source in read.sources:
        assert b"<script>" not in base64.b64decode(source.split(",")[1])


def test_the_same_study_gives_the_same_page(alone, cube, comparison, tmp_path):
    again = write_report(tmp_path / "again.html", comparison, gather(cube))
    assert again.read_text(encoding="utf-8") == alone


def test_a_comparison_without_the_declared_rows_is_refused(cube, comparison, settings):
    with pytest.raises(UserError, match="no row of squad over none on xquad"):
        contents(comparison[comparison["task"] != "xquad"], gather(cube, settings), settings)


def test_a_cube_without_xquad_has_a_report_of_what_it_has(cube, tmp_path):
    rest = cube[cube["task"].isin(["xnli", "udpos"]) & (cube["seed"] == 0)]
    evidence = gather(rest)
    out = write_report(tmp_path / "r.html", significance(evidence), evidence)
    assert "Does training on squad first raise" in out.read_text(encoding="utf-8")


def test_the_command_leaves_table_and_report_of_any_cube(cube, tmp_path, capsys):
    cube[cube["task"] == "xquad"].to_parquet(tmp_path / "cube.parquet")
    assert main(["significance", str(tmp_path / "cube.parquet"), "--out", str(tmp_path)]) == 0
    table, page_ = capsys.readouterr().out.split()
    assert (table, page_) == (str(tmp_path / "significance.csv"), str(tmp_path / "report.html"))
    assert "No comparison was declared" in Path(page_).read_text(encoding="utf-8")


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
    rows = pd.DataFrame({"level": list("abcd"), "verdict": ["improves", "harms", "improves", "x"]})
    rows.loc[3, "verdict"] = "undetermined"
    assert tally(rows, "group", scores_words("none")) == (
        "scores above none in 2 of 4 groups (a, c); scores below none in 1 (b); "
        "cannot be distinguished from none in 1 (d)."
    )


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
    evidence = gather(some, rules)
    lines = in_short(contents(significance(evidence), evidence))
    assert [line for line in lines if said and line.startswith(said)] == (
        lines[3:4] if said else []
    )
    official = f"The other targets, by official metrics ({', '.join(t.upper() for t in targets)})"
    if len(targets) == 1:
        assert lines[2].startswith(official)
    assert len(lines) == (5 if said else 3)


def test_a_tally_of_one_verdict_names_no_level():
    rows = pd.DataFrame({"level": list("abc"), "verdict": "harms"})
    assert tally(rows, "family", scores_words("none")) == "scores below none in all 3 families."


def test_a_tally_of_one_average_says_over_how_many_languages():
    row = pd.DataFrame({"level": ["all"], "verdict": ["improves"], "n_languages": [10]})
    words = scores_words("none")
    assert tally(row, "all", words) == "scores above none over all 10 languages."


def test_an_answer_that_is_one_average_is_drawn_with_its_families(cube, tmp_path):
    """The planned row alone is the answer; whether families differ is answered all the same."""
    rules = Declared(primary=Primary("squad", by="all"))
    given = load_settings(TINY, {"analysis.primary.by": "all"})
    compared = significance(gather(cube, rules))
    out = write_report(tmp_path / "r.html", compared, gather(cube, given), given)
    text = out.read_text("utf-8")
    first = in_short(contents(compared, gather(cube, given), given))[0]
    assert first.startswith("SQuAD first: XQuAD F1 +") and "over 7 languages, improves" in first
    assert first.split(";")[0] in text
    assert "between families: the largest is" in text
    assert "Gain of squad over none per family and over all languages" in text
    assert not [word for word in ("familys", "every all", "per all", " alls ") if word in text]


def test_cells_are_rounded_aligned_and_dashed():
    frame = pd.DataFrame({"name": ["a<b"], "gain": [-1.26], "none": [float("nan")]})
    made = page.table(frame)
    assert '<td class="n">−1.3</td>' in made and "a&lt;b" in made and "<td" in made
    assert '<td class="n">–</td>' in made


def test_markup_escapes_all_but_markup():
    made = page.html("<p>{a}{b}</p>", a="<i>", b=page.html("<b>{x}</b>", x='"'))
    assert made == "<p>&lt;i&gt;<b>&quot;</b></p>"
