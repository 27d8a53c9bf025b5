"""The command: exit codes, one-line errors, a quick start; and what it prints."""

import io
import os
import re
import shutil
import subprocess
import sys
import time

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from study_toys import toy_root

from xtsupport import folders
from xtsupport.data.world.generate import world_folder
from xtsupport.errors import UserError
from xtsupport.study import cli
from xtsupport.study.conclude import present
from xtsupport.study.execution import progress
from xtsupport.study.plan import open_study

SMALL = {"conditions": ["none", "squad"], "targets": ["xquad"], "seeds": [0]}


@pytest.fixture
def call(tmp_path, monkeypatch, capsys):
    """A function that calls the command in a toy project; returns code, output, error lines."""
    monkeypatch.setenv("XTSUPPORT_ROOT", str(tmp_path))
    monkeypatch.chdir(tmp_path)
    toy_root(tmp_path, **SMALL)

    def called(*arguments):
        try:
            code = cli.main(list(arguments))
        except SystemExit as left:
            code = left.code
        out, error = capsys.readouterr()
        return code, out, error.splitlines()

    return called


def test_plan_and_status_of_a_fresh_study(call):
    code, out, errors = call("plan", "params/toy.yaml")
    assert (code, errors) == (0, [])
    assert "4 runs in 7 nodes, 7 to do" in out
    assert re.search(r"^target-squad +04_target_transfer +1 run   to do$", out, re.MULTILINE)
    code, out, errors = call("status", "params/toy.yaml")
    assert (code, out.splitlines()[-1]) == (0, "7 to do")


@pytest.mark.parametrize(
    ("setting", "expected"),
    [
        (
            "data=~nosuchuser/x",
            "data = '~nosuchuser/x': '~nosuchuser/x' cannot be a path",
        ),
        ('data="a\\0b"', "cannot be a path (it contains NUL)"),
        ("data=" + "x" * 5000, "cannot be a path (file name too long)"),
        ("data=/dev/zero", "data = '/dev/zero': no folder /dev/zero"),
        ("data=" + "x/" * 2000, "no folder"),
        ("encoder=~nosuchuser/x", "'~nosuchuser/x' cannot be a path"),
        ('encoder="a\\0b"', "cannot be a path (it contains NUL)"),
        ("encoder=" + "x" * 5000, "cannot be a path (file name too long)"),
        ("pretraining.steps=" + "9" * 400, "pretraining.steps = '999"),
        ("evaluation.max_clusters=" + "9" * 40, "evaluation.max_clusters = '999"),
        ("seeds=" + str(list(range(20_000))), "has 20000 values; at most 1000 are"),
        ("variants=['none/" + "x" * 5000 + "']", "unknown variant 'xxx"),
        ("conditions=[" + ", ".join(["squad"] * 5000) + "]", "squad is listed 5000 times"),
    ],
)
def test_nothing_that_can_be_typed_is_a_fault(call, setting, expected):
    code, _, errors = call("plan", "params/toy.yaml", "--set", setting)
    assert code == 1 and any(expected in line for line in errors)
    assert all(line.startswith("xtsupport: error: ") and len(line) < 1500 for line in errors)
    assert not any("bug in xtsupport" in line for line in errors)


def test_a_split_that_the_data_lack_is_missing_in_the_plan(call):
    setting = "evaluation.splits={xquad: '" + "x" * 5000 + "'}"
    code, out, errors = call("plan", "params/toy.yaml", "--set", setting)
    (lack,) = [line for line in out.splitlines() if line.startswith("missing 1 ")]
    assert (code, errors) == (0, []) and "has no xxx" in lack


@pytest.mark.parametrize("synonyms", ["pipe", "/dev/zero", "nowhere.json", "~nosuchuser/x", "."])
def test_synonyms_are_a_file(call, tmp_path, synonyms):
    os.mkfifo(tmp_path / "pipe")
    chosen = ["--set", f"robust.synonyms={synonyms}", "--set", "variants=[none/synonyms]"]
    code, _, (error,) = call("plan", "params/toy.yaml", *chosen)
    assert code == 1 and "robust.synonyms" in error
    assert "not a file" in error or "cannot be a path" in error


def test_of_a_params_file_outside_of_the_project_it_is_said_where_runs_are(
    call, tmp_path, monkeypatch
):
    (away := tmp_path / "away").mkdir()
    monkeypatch.chdir(away)
    monkeypatch.setenv("XTSUPPORT_ROOT", str(away))
    (tmp_path / "link.yaml").symlink_to(tmp_path / "params" / "toy.yaml")
    for verb, name in (("status", "../params/toy.yaml"), ("plan", tmp_path / "link.yaml")):
        code, _, errors = call(verb, str(name))
        told = f"in {away / 'outputs'}: {name} lies outside of the project {away}"
        assert (code, errors[0]) == (0, f"note: runs are looked for {told}")
    with pytest.raises(UserError, match=re.escape(f"seed here (in {away / 'outputs'}: ../params")):
        monkeypatch.setattr(folders, "shipped", lambda: away)
        present(open_study("../params/toy.yaml"))
    (away / "params").mkdir()
    (away / "params" / "mine.yaml").symlink_to(tmp_path / "params" / "toy.yaml")
    assert call("status", "params/mine.yaml")[2] == []
    assert folders.outside("params/demo.yaml") == ""  # as it came


@pytest.mark.parametrize("command", [["plan"], ["status"], ["data", "check"], ["run"]])
@pytest.mark.parametrize("path", ["pipe", "/dev/null", "/dev/zero", "~nosuchuser/x", "x" * 5000])
def test_pipes_and_devices_are_no_params_files(call, tmp_path, command, path):
    os.mkfifo(tmp_path / "pipe")
    code, _, (error,) = call(*command, path)
    assert code == 1 and "bug in xtsupport" not in error and len(error) < 1500
    told = "is a pipe or device; give" if path in ("pipe", "/dev/null", "/dev/zero") else path[:10]
    assert told in error


def test_data_check_names_what_is_wrong_and_does_not_end_well(call, tmp_path):
    """Gold that a leaderboard hides: the files are there, and yet the study cannot use them."""
    shutil.copytree(world_folder(size="tiny"), tmp_path / "mine")
    (path,) = (tmp_path / "mine").rglob("XQuAD.qka/validation-*.parquet")
    rows = pq.read_table(path).to_pylist()
    blank = [row | {"answers": {"text": [""], "answer_start": [0]}} for row in rows]
    pq.write_table(pa.Table.from_pylist(blank), path)
    code, out, errors = call("data", "check", "params/toy.yaml", "--set", "data=mine")
    assert code == 1 and len(errors) == 1
    assert f"XQuAD.qka/validation: none of its {len(rows)} rows has a gold answer" in errors[0]
    assert re.search(r"^ *xquad +qka +validation +- +wrong", out, re.MULTILINE)


def test_absurd_numbers_in_a_file(call, tmp_path):
    path = tmp_path / "params/toy.yaml"
    path.write_text(path.read_text() + "\nmlm: {documents: 1" + "0" * 40 + "}\n")
    code, _, (error,) = call("plan", "params/toy.yaml")
    assert code == 1 and "mlm.documents = 1000" in error
    assert "must be at most 1,000,000,000,000,000" in error


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (["plan", "nowhere.yaml"], "nowhere.yaml: cannot be read"),
        (["plan", "params"], "params: is a folder"),
        (["run", "params/toy.yaml", "--set", "target.epoch=1"], "did you mean 'epochs'?"),
        (["run", "params/toy.yaml", "--profile", "slrm"], "--profile slrm: no such profile"),
        (["significance", "nowhere", "--out", "x"], "nowhere: no such file or folder"),
        (["export-xtreme", "nowhere", "x"], "nowhere: no such file or folder"),
        (["power", "nowhere"], "nowhere: no such file or folder"),
    ],
)
def test_user_errors_are_one_line_and_exit_1(call, arguments, expected):
    code, out, errors = call(*arguments)
    assert (code, out) == (1, "")
    assert len(errors) == 1
    assert errors[0].startswith("xtsupport: error: ")
    assert expected in errors[0]


@pytest.mark.parametrize(
    "arguments",
    [[], ["rnu"], ["run"], ["run", "x", "--jobs", "0"], ["run", "x", "--job", "two"], ["data"]],
)
def test_wrong_usage_is_one_line_and_exit_2(call, arguments):
    code, out, errors = call(*arguments)
    assert (code, out, len(errors)) == (2, "", 1)
    assert errors[0].startswith("xtsupport: error: ")


def test_several_problems_are_a_line_each(call):
    _, _, errors = call("plan", "params/toy.yaml", "--set", "seeds=[]", "--set", "x=1")
    assert len(errors) == 2


def test_our_own_faults_are_one_line_too_unless_debugging(call, monkeypatch):
    def broken(*arguments):
        raise KeyError("inner")

    monkeypatch.setattr("xtsupport.study.plan.study_of", broken)
    code, _, errors = call("plan", "params/toy.yaml")
    assert (code, len(errors)) == (1, 1)
    assert "KeyError: 'inner'" in errors[0]
    _, _, errors = call("plan", "params/toy.yaml", "--debug")
    assert any("Traceback" in line for line in errors)


def test_a_reader_that_leaves_is_no_error(call, monkeypatch):
    def piped(*arguments):
        raise BrokenPipeError

    monkeypatch.setattr("xtsupport.study.plan.study_of", piped)
    monkeypatch.setattr(cli.os, "dup2", lambda *handles: None)
    monkeypatch.setattr(cli.sys, "stdout", io.TextIOWrapper(io.FileIO(1, closefd=False)))
    assert call("plan", "params/toy.yaml")[0] == 1


def test_commands_start_without_the_heavy_libraries():
    code = (
        "import sys; from xtsupport.study import cli, plan, run_store\n"
        "from xtsupport.study.execution import nodes, progress, runner\n"
        "print([name for name in ('torch', 'transformers', 'datasets', 'pandas', 'matplotlib', "
        "'papermill', 'snakemake') if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


PARSED = {"run", "demo", "lab", "data get", "data convert", "data fertility", "calibrate"}
PARSED |= {"export-xtreme"}  # needs the demo's runs, which do not ship


def test_version_and_help(call):
    assert call("--version")[1].startswith("xtsupport 0.")
    code, out, _ = call("--help")
    lines = out.splitlines()
    assert code == 0 and len(lines) < 40 and max(map(len, lines)) <= 80, out
    for command in cli.VERBS:
        assert re.search(rf"^  {command}\s", out, re.MULTILINE), command
    assert sorted(name for names in cli.GROUPS.values() for name in names) == sorted(cli.VERBS)


@pytest.mark.parametrize("verb", cli.VERBS)
def test_the_help_of_each_verb_ends_with_an_example_that_works(verb, tmp_path, monkeypatch, capsys):
    """In an empty folder, where the demo was done; what trains or fetches is only parsed."""
    monkeypatch.chdir(tmp_path)
    with pytest.raises(SystemExit):
        cli.main([*verb.split(), "--help"])
    usage, shown = capsys.readouterr().out.split("example: ")
    assert usage.startswith(f"usage: xtsupport {verb} [")
    assert " ".join(shown.split()) == cli.VERBS[verb].example
    *before, last = shown.split(" && ")
    words = last.split()
    assert words[0] == "xtsupport" and words[1:][: len(verb.split())] == verb.split()
    assert before in ([], [cli.VERBS["demo"].example])
    if verb in PARSED:
        cli.parser().parse_known_args(words[1:])
        return
    if before:
        shutil.copytree(folders.shipped() / "study", tmp_path / "outputs" / "demo")
    monkeypatch.delenv("XTSUPPORT_ROOT", raising=False)
    assert not cli.main(words[1:])


class TestProgress:
    def states(self, **states):
        return {
            name: {"state": state, "seconds": 67, "started": time.time(), "error": "E"}
            for name, state in states.items()
        }

    def shown(self, *steps):
        stream = io.StringIO()
        one = progress.Progress({"a": 6.0, "b": 8.0}, 5, stream)
        one.started -= 67
        for each in steps:
            one(each)
        return stream.getvalue().splitlines()

    def test_lines_when_nodes_start_end_and_fail(self):
        lines = self.shown(
            self.states(a="waiting", b="waiting"),
            self.states(a="running", b="waiting"),
            self.states(a="running", b="waiting"),
            self.states(a="done", b="running"),
            self.states(a="done", b="failed"),
        )
        assert lines == [
            "[3/5] a started",
            "[4/5, 3 min left] a done in 67 s",  # 5 s of starting and 62 for 1 of work; 3 are left
            "[4/5, 3 min left] b started",
            "[4/5, 3 min left] b failed after 67 s: E",
        ]

    def test_the_log_of_a_study_says_when(self, tmp_path):
        one = progress.Progress({"a": 5.0}, 1, io.StringIO(), tmp_path / "study.log")
        for state in ("running", "done"):
            one(self.states(a=state))
        lines = (tmp_path / "study.log").read_text().splitlines()
        assert [line[20:] for line in lines] == ["[0/1] a started", "[1/1] a done in 67 s"]
        assert all(time.strptime(line[:19], "%Y-%m-%d %H:%M:%S") for line in lines)

    def test_status_says_what_is_left_while_somebody_runs_the_study(self, call):
        study = open_study("params/toy.yaml")
        states = {node.name: {"state": "waiting"} for node in study.plan.nodes}
        for name in ("data", "pretraining", "intermediate-squad", "target-none"):
            begun = {"runner": "me", "started": time.time() - 60, "seconds": 30.0}
            states[name] = begun | {"state": "done"}
        told = progress.status_lines(study, "me", states)[-1]
        assert re.search(r"; about \d+ (s|min) left$", told)
        for nobody in (None, "another"):
            assert "left" not in progress.status_lines(study, nobody, states)[-1]


def test_the_last_lines_are_the_answer_that_was_written(call, tmp_path):
    study = open_study(
        "params/toy.yaml", {"analysis.primary": {"treatment": "squad", "target": "xquad"}}
    )
    sentence = "SQuAD first: XQuAD F1 +1.4 (\N{MINUS SIGN}0.3 to 3.0) over ten" + ", so" * 30
    row = "all languages  10   +1.4 (\N{MINUS SIGN}0.3 to 3.0), undetermined" + " " * 60 + "end"
    study.folder.mkdir(parents=True)
    (study.folder / "answer.txt").write_text(f"{sentence}\n\n{row}\n", encoding="utf-8")
    (study.folder / "report.html").touch()
    lines = progress.outcome(study)
    assert " ".join(line.strip() for line in lines[:2]) == sentence and len(lines[0]) <= 100
    assert lines[2:4] == ["", row]  # a row of the table is never broken
    assert lines[5].startswith("The encoder (pretrain) was not trained on data of any of these")
    assert lines[6] == "report: outputs/toy/report.html" and len(lines) == 7
    part = open_study("params/toy.yaml", only=["conditions=none"])  # it compares nothing
    assert progress.outcome(part) == [f"scores: {study.folder / 'cube'}"]


def test_a_finished_study_is_judged_without_its_data(call, tmp_path):
    """As it was declared: the planned comparison, though the mirror is gone."""
    from simulated_cubes import simulate

    kept = tmp_path / "kept"
    kept.mkdir()
    simulate({}, ["none", "squad"], ["xquad"], size=0.05).to_parquet(kept / "cube.parquet")
    planned = "{treatment: squad, baseline: none, target: xquad, metric: f1, by: all}"
    (kept / "settings.yaml").write_text(
        "study: kept\ndata: ../gone\nencoder: offline-e5\nconditions: [none, squad]\n"
        f"targets: [xquad]\nanalysis: {{primary: {planned}}}\n"
    )
    code, out, errors = call("significance", str(kept / "cube.parquet"), "--out", "judged")
    *answer, table_file, page = out.splitlines()
    assert (code, errors) == (0, []) and answer[0].startswith("SQuAD first: XQuAD F1 ")
    assert table_file.endswith("significance.csv") and page.endswith("report.html")
    table = pd.read_csv("judged/significance.csv")
    assert set(table.loc[table["note"].str.contains("primary"), "by"]) == {"all"}


def test_data_check_says_what_is_missing(call, tmp_path):
    code, out, _ = call("data", "check", "params/toy.yaml")
    assert code == 0
    assert "xquad" in out
    (tmp_path / "empty").mkdir()
    code, _, errors = call("data", "check", "params/toy.yaml", "--set", "data=empty", "--set",
                           "encoder=offline-e5")  # fmt: skip
    assert code == 1
    assert all(line.startswith("xtsupport: error: ") for line in errors)
    assert any("squad" in line for line in errors)


def test_data_fertility_by_language(call, tmp_path, tiny_encoder):
    for part in tiny_encoder:
        part.save_pretrained(tmp_path / "encoder")
    code, out, _ = call("data", "fertility", str(tmp_path / "encoder"), "--data", "world-tiny",
                        "--languages", "en", "qfa")  # fmt: skip
    lines = [line.split() for line in out.splitlines()]
    assert code == 0 and lines[0] == ["language", "fertility", "words_from", "words"]
    assert [line[0] for line in lines[1:]] == ["en", "qfa"] and float(lines[1][1]) >= 1
    assert lines[1][2] == "udpos"


def test_errors_carry_their_lines():
    assert UserError("a", "b").problems == ("a", "b")
