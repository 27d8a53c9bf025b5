"""Everything that was run here: what differs between runs stands in their names and their table."""

import json
import re
import shutil
from dataclasses import replace
from pathlib import Path

import pandas as pd
import pytest
from study_toys import SMALL, toy_root, write_params, xtsupport

from xtsupport.errors import UserError
from xtsupport.files import described, new_folder, write_text
from xtsupport.report import plots, style
from xtsupport.study import finished, my_runs, run_store, runs_page, what_counts
from xtsupport.study.cli import main
from xtsupport.study.labels import own_settings
from xtsupport.study.plan import open_study
from xtsupport.study.run_folder import open_run


def do(run, score):
    with open_run(run) as folder:
        if run.phase in ("pretraining", "intermediate"):
            with new_folder(folder.path / "model") as model:
                (model / "weights").write_text(run.recipe)
        rows = [("xquad", code, "f1", score - 10 * k, 12) for k, code in enumerate(("en", "qka"))]
        columns = ["task", "language", "metric", "score", "n_examples"]
        folder.write_csv("scores.csv", pd.DataFrame(rows, columns=columns))
        log = pd.DataFrame({"step": [1, 2], "task": run.training_task or "squad", "loss": [2, 1.0]})
        folder.write_csv("history.csv", log)
        folder.note(final_loss=score / 100)


@pytest.fixture
def study(tmp_path, monkeypatch):
    """A study, and the same with another learning rate in phase 2."""
    monkeypatch.setenv("XTSUPPORT_ROOT", str(tmp_path))
    path = toy_root(tmp_path, **SMALL)
    opened = open_study(path)
    for score, changes in ((80, {}), (70, {"intermediate.learning_rate": 5e-4})):
        for run in open_study(path, changes).plan.runs:
            if not my_runs.runs.is_whole(run):
                do(run, score)
    return opened


def test_runs_are_named_by_how_they_depart_from_their_study(study):
    made = my_runs.found(study, "target")
    assert [each.label for each in made] == [
        "none", "squad", "squad{intermediate.learning_rate=0.0005}"
    ]  # fmt: skip
    assert [each.label for each in my_runs.found(study, "intermediate")] == [
        "squad", "squad{intermediate.learning_rate=0.0005}"
    ]  # fmt: skip
    assert len(my_runs.found()) == 1 + 2 + 3


def test_two_runs_of_one_recipe_are_told_apart(study, tmp_path, monkeypatch, capsys):
    """Phase 2 from the package first, then one's own: squad is the run that starts from the latter,
    as it is for 06; a notebook that repeats a run leaves a second one."""
    (squad,) = study.runs("target", "squad")
    (phase2,) = squad.upstream
    shutil.rmtree(squad.folder)
    kept = tmp_path / "package" / "intermediate" / "squad"
    kept.parent.mkdir(parents=True)
    phase2.folder.rename(kept)
    (kept / "model" / "weights").write_text("others")
    record = json.loads((kept / "run.json").read_text())
    record["run_key"] = "ab" * 32  # made on another machine
    record["files"]["model/weights"] = described(kept / "model" / "weights")
    (kept / "run.json").write_text(json.dumps(my_runs.runs.sealed(record)))
    monkeypatch.setattr(my_runs.folders, "shipped", lambda: tmp_path / "package")
    my_runs.runs.shipped_runs.cache_clear()
    (first,) = study.runs("target", "squad", into="scratch")
    do(first, 60)
    old = first.folder
    told = what_counts.counts(study, what_counts.counting(study))
    assert any(line.startswith("some start from the phase 2 that comes with") for line in told)
    do(phase2, 80)  # the scores that started from the other one count until there are new ones
    assert old in what_counts.counting(study).values()
    assert [each.label for each in my_runs.found(study, "target")].count("squad") == 1
    for run in (squad, *study.runs("target", "none", again=True)):
        do(run, 80)
    labels = [each.label for each in my_runs.found(study, "target")]
    other = "squad{intermediate.learning_rate=0.0005}"
    marked = [label for label in labels if not label.startswith("none{again=")]
    assert sorted(marked) == ["none", "squad", other, "squad{start=package}"]
    assert len(labels) == 5
    assert my_runs.found(study, "target")[labels.index("squad")].folder == squad.folder
    fit, lines = what_counts.with_other_settings(study, my_runs.survey(study))
    assert [run.condition for run in fit] == [other]
    assert "squad{start=package} (seed 0)" in lines[-1] and "none{again=" in lines[-1]
    ways = ['settings = ["intermediate.learning_rate=0.0005"]']
    assert [*finished.as_chosen(study, fit)] == ways
    marked = replace(fit[0], condition="squad{start=package}")
    assert [*finished.as_chosen(study, [marked])] == []
    told = what_counts.counts(study, what_counts.counting(study))
    assert not any(line.startswith("some start") for line in told)
    my_runs.runs.shipped_runs.cache_clear()


def test_a_table_of_many_runs_is_folded():
    table = pd.DataFrame({"run": [str(n) for n in range(my_runs.MANY + 1)]})
    assert my_runs.folded(table[1:])._repr_html_().startswith("<style")
    many = my_runs.folded(table)._repr_html_()
    assert many.startswith("<details><summary>The table of 13 runs</summary>") and ">12<" in many


def test_of_what_was_only_run_with_other_settings_that_is_said(study, capsys):
    my_runs.show_runs(study, "target")
    assert "not run here" not in capsys.readouterr().out
    shutil.rmtree(study.runs("target", "squad")[0].folder)
    my_runs.show_runs(study, "target")
    assert "not run here with the settings of the study: squad\n" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("task,score\nxquad,5\n", ""),
        ("", "is no table"),
        ("a,b\n1,2,3\n4\n5,6,7,8\n", "is no table"),
    ],
)
def test_scores_that_are_no_table_are_a_line_and_those_of_ones_own_way_are_left_out(
    study, capsys, text, said
):
    """A notebook may leave scores in columns of its own; a file that cannot be read is named."""
    run = study.runs("target", "none")[0]
    record = json.loads((run.folder / "run.json").read_text())
    record["files"]["scores.csv"] = described(write_text(run.folder / "scores.csv", text))
    (run.folder / "run.json").write_text(json.dumps(my_runs.runs.sealed(record)))
    assert main(["runs", "params/toy.yaml"]) == bool(said)
    told = capsys.readouterr()
    if said:
        assert told.err.startswith(f"xtsupport: error: {run.folder / 'scores.csv'}: {said}")
        assert len(told.err.splitlines()) == 1
    else:
        assert "xquad (en)" in told.out  # of the other runs
        assert set(my_runs.scores_of(my_runs.found(study))["condition"]) == {
            "squad", "squad{intermediate.learning_rate=0.0005}"
        }  # fmt: skip


def test_the_table_has_a_column_for_what_differs_and_for_nothing_else(study):
    table = my_runs.runs_table(my_runs.found(study, "target"))
    settings = [name for name in table if "." in name]
    assert settings == ["intermediate.learning_rate"]
    first, second = table.loc[table["condition"] == "squad", "intermediate.learning_rate"]
    assert first != second == 5e-4
    assert table["xquad (en)"].tolist() == [80, 80, 70]
    assert table["xquad (others)"].tolist() == [70, 70, 60]
    assert table["trained on"].tolist() == ["squad"] * 3 and [*table][-2:] == ["minutes", "run"]
    both = my_runs.runs_table(my_runs.found(study))  # the first has no scores
    assert [*both][-2:] == ["minutes", "run"]
    tiny = table.assign(final_loss=[0.001234, 1.23456, 0.5], minutes=0.12345)
    assert my_runs.readable(tiny)[["final_loss", "minutes"]].to_numpy().tolist() == [
        [0.00123, 0.12], [1.23, 0.12], [0.5, 0.12]
    ]  # fmt: skip
    with pytest.raises(UserError, match="no finished run here yet"):
        my_runs.runs_table([])


def test_losses_and_scores_carry_the_names(study):
    made = my_runs.found(study, "intermediate")
    log = my_runs.losses(made)
    figure = plots.losses_of_runs(log, "squad")
    names = [text.get_text() for text in figure.legends[0].get_texts()]
    assert names == ["SQuAD, seed 0", "SQuAD{intermediate.learning_rate=0.0005}, seed 0"]
    assert [line.get_ydata()[-1] for line in figure.axes[0].lines] == [1.0, 1.0]
    scores = my_runs.scores_of(my_runs.found(study, "target"))
    assert scores.groupby("condition", sort=False)["score"].max().to_dict() == {
        "none": 80, "squad": 80, "squad{intermediate.learning_rate=0.0005}": 70
    }  # fmt: skip


def test_a_run_whose_notebook_scored_in_its_own_way_has_no_means(study):
    """Its scores.csv has no column of tasks: the table shows the run, without scores."""
    run = study.plan.runs[0]
    with open_run(my_runs.runs.replace(run, seed=7)) as folder:
        (folder.path / "scores.csv").write_text("a line\n")
    table = my_runs.runs_table(my_runs.found(phase="pretraining"))
    assert table["seed"].tolist() == [0, 7] and table["xquad (en)"].isna().tolist() == [False, True]


@pytest.mark.parametrize(
    ("phase", "settings", "own"),
    [
        ("pretraining", {"task": "wiki", "steps": 600}, {"pretraining.steps": 600}),
        (
            "target",
            {"encoder": "e", "rows": 8, "epochs": 1.0, "matched": {"tasks": {"a": 9}, "epochs": 3}},
            {"target.epochs": 1.0, "matched.epochs": 3, "encoder": "e"},
        ),
    ],
)
def test_a_runs_own_settings_are_those_that_follow_from_no_others(phase, settings, own):
    assert own_settings(phase, settings, {}) == own


def labels(study, *settings):
    """Of the phase 3 runs without phase 2, after one more with these settings."""
    other = open_study(study.params, settings)
    for run in [*other.runs("pretraining"), *other.runs("target", "none")]:
        if not my_runs.runs.is_whole(run):
            do(run, 50)
    return [each.label for each in my_runs.found(study, "target") if each.side == "none"][1:]


@pytest.mark.parametrize(
    ("settings", "label"),
    [
        (["evaluation.max_clusters=2"], r"none\{evaluation\.max_clusters=2\}"),
        (["precision=bfloat16"], r"none\{precision=bfloat16\}"),
        (["languages=[qka]"], r"none\{data=[0-9a-f]{6}\}"),  # not as the study's: other languages
        (["encoder=mine"], r"none\{encoder=mine \([0-9a-f]{6}\)\}"),
    ],
)
def test_whatever_decides_a_result_is_in_the_label(study, tmp_path, settings, label):
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "config.json").write_text("{}")
    (found,) = labels(study, *settings)
    assert re.fullmatch(label, found)


def test_settings_that_choose_a_run_are_named_while_they_do(study, tmp_path):
    """Until the encoder's folder changes, or goes."""
    (mine := tmp_path / "mine").mkdir()
    (mine / "config.json").write_text("{}")
    labels(study, "encoder=mine")
    (run,) = (each.run for each in my_runs.found(study, "target") if "mine" in each.label)
    assert [*finished.as_chosen(study, [run])] == ['settings = ["encoder=mine"]']
    (mine / "config.json").write_text('{"other": 1}')
    assert [*finished.as_chosen(study, [run])] == []
    shutil.rmtree(mine)
    assert [*finished.as_chosen(study, [run])] == []


def test_how_another_encoder_was_pretrained_is_a_mark_and_in_full_in_the_table(study, tmp_path):
    """A study that starts from a folder, and runs of it that pretrain, in two ways."""
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "config.json").write_text("{}")
    other = open_study(write_params(tmp_path, **SMALL, study="other", encoder="mine"))
    for run in other.runs("target", "none"):
        do(run, 50)
    for steps in (5, 6):
        labels(other, "encoder=pretrain", f"pretraining.steps={steps}")
    made = my_runs.found(other, "target")
    names = {each.label for each in made} - {"none"}
    assert len(names) == 2 and all(
        re.fullmatch(r"none\{encoder=pretrain \([0-9a-f]{6}\)\}", each) for each in names
    )
    assert {5.0, 6.0} <= {*my_runs.runs_table(made)["pretraining.steps"]}


def test_a_run_whose_phase_2_is_gone_does_not_pass_for_the_studys(study):
    (phase2,) = open_study(study.params, ["intermediate.learning_rate=5e-4"]).runs("intermediate")
    shutil.rmtree(phase2.folder)
    (lone,) = (each for each in my_runs.found(study, "target") if each.departs)
    assert lone.label == f"squad{{intermediate={phase2.folder.name[:6]} (gone)}}"
    assert lone.run.key == lone.record["run_key"]  # as its record has it


def test_damaged_runs_are_counted_and_named_and_come_back_when_repeated(study, capsys):
    chosen = open_study(study.params, ["intermediate.learning_rate=5e-4"])
    (harmed,), (cut,) = chosen.runs("target", "squad"), study.runs("target", "none")
    (harmed.folder / "scores.csv").write_text("")
    (cut.folder / "run.json").write_text("{")
    copy = shutil.copytree(study.runs("target", "squad")[0].folder, cut.folder.parent / "copy")
    (phase2,) = chosen.runs("intermediate")
    lost = shutil.copytree(phase2.folder, phase2.folder.with_name("lost"))
    (lost / "run.json").unlink()
    assert len(my_runs.found(study, "target")) == 1
    assert main(["runs", study.params]) == 0
    said = capsys.readouterr().err
    assert said.startswith(
        "4 damaged runs left out: target xquad under squad{intermediate.learning_rate=0.0005}, "
        f"trained on squad, seed 0 (study toy), outputs/runs/{harmed.folder.name}; "
    )
    for folder in (cut.folder, copy, lost):
        assert f"; outputs/runs/{folder.name}" in said
    assert ". Repeat with the same settings, which replaces what is damaged, or delete" in said
    shutil.rmtree(copy)
    shutil.rmtree(lost)
    for run in (harmed, cut):
        do(run, 50)
    assert (
        len(my_runs.found(study, "target")) == 3 and my_runs.left_out(my_runs.survey(study)) == []
    )


def test_what_departs_is_seen_from_the_file_whatever_a_notebook_chose(study):
    """My runs of 06 with `settings`: the chosen runs keep their braces, and the column is there."""
    chosen = open_study(study.params, ["intermediate.learning_rate=5e-4"])
    made = my_runs.found(chosen, "target")
    assert [each.label for each in made] == [each.label for each in my_runs.found(study, "target")]
    lone = [each for each in made if each.departs]
    assert my_runs.runs_table(lone)["intermediate.learning_rate"].tolist() == [5e-4]


def test_the_command_prints_them(study, tmp_path):
    code, text = xtsupport(tmp_path, "runs", "params/toy.yaml")
    assert code == 0 and "intermediate.learning_rate" in text
    assert len(re.findall(r"(?m)^ *target ", text)) == 3
    code, text = xtsupport(tmp_path, "runs")
    assert code == 0 and text.count("intermediate ") == 2 and "pretraining" in text


def test_one_call_shows_table_and_pictures(study, monkeypatch):
    shown = []
    monkeypatch.setattr("IPython.display.display", shown.append)
    my_runs.show_runs(study, "target", ["xquad"])
    table, losses, scores = shown
    assert "0.0005" in table.to_html() and "80.0" in table.to_html()
    assert losses.get_suptitle().startswith("SQuAD: training loss of 3 runs")
    assert scores.get_suptitle().startswith("XQuAD")
    above = my_runs.scores_of(my_runs.found(study, "target"))
    assert my_runs.alike(above, above.iloc[::-1], "xquad")
    assert not my_runs.alike(above, above.assign(score=above["score"] + 1), "xquad")
    assert not my_runs.alike(above, above.iloc[:2], "xquad")
    my_runs.show_runs(study, "target", ["udpos"])  # there is none
    assert len(shown) == 3
    monkeypatch.setattr(style, "ORIGIN", "runs with other settings")
    my_runs.show_runs(study, "target", "xquad")  # as papermill's -p gives it
    assert len(shown) == 6 and not any("runs with" in str(each) for each in shown[4:])


def test_a_page_sets_studies_runs_and_settings_side_by_side(study, capsys):
    """The study's squad scores 80 and 70 points, that with another learning rate 70 and 60."""
    name, setting = study.settings.study, "squad{intermediate.learning_rate=0.0005}"
    study.folder.mkdir(parents=True, exist_ok=True)
    (study.folder / "settings.yaml").write_text("study: toy\n", encoding="utf-8")
    run_store.write_list(study)
    (study.folder / "answer.txt").write_text("SQuAD first: found.\n\nmore\n", encoding="utf-8")
    assert main(["runs", "--page", study.params, setting]) == 0
    path = Path(capsys.readouterr().out.strip())
    text = re.sub(r"<[^>]+>", " ", path.read_text(encoding="utf-8").split("<script>")[0])
    words = " ".join(text.split())
    assert f"Side by side: {name}, {setting}" in words and "SQuAD first: found." in words
    assert "more" not in words.split("Scores")[0]
    assert f"SQuAD {setting} 70.0 −10.0 60.0 −10.0 1" in words
    differs = words.split("What differs")[1].split("Loss curves")[0]
    assert "intermediate.learning_rate" in differs and "target.epochs" not in differs
    key = my_runs.found(study, "target")[0].folder.name
    assert main(["runs", "--page", key[:8], name, "--out", str(path.parent / "two")]) == 0
    assert (path.parent / "two" / "report.html").is_file()
    (study.folder / "settings.yaml").unlink()  # notebooks alone leave none
    assert {each.folder for each in runs_page.chosen(name).runs} == {
        each.folder for each in my_runs.found(study)
    }
    assert main(["runs", "--page", "nothing"]) == 1
    assert "--page nothing: no finished run of it here" in capsys.readouterr().err


def test_whole_numbers_beside_gaps_stay_whole(study):
    made = [replace(each, departs={"steps": 6} if n else {}) for n, each in
            enumerate(my_runs.found(study, "target"))]  # fmt: skip
    shown = my_runs.readable(my_runs.runs_table(made))
    assert shown["steps"].map(str).tolist() == ["\N{EN DASH}", "6", "6"]
    assert shown["xquad (en)"].map(str).tolist() == ["80.0", "80.0", "70.0"]


def test_a_run_that_was_killed_is_counted_until_it_is_done(study, capsys):
    """Not while it is being done, nor before it has a checkpoint."""
    (run,) = open_study(study.params, ["target.learning_rate=5e-4"]).runs("target", "none")
    with pytest.raises(ZeroDivisionError), open_run(run) as folder:
        assert my_runs.left_out(my_runs.survey(study)) == []
        (folder.checkpoint / "state").touch()
        raise ZeroDivisionError
    assert len(my_runs.found(study, "target")) == 3
    assert main(["runs", study.params]) == 0
    said = (
        "1 unfinished run left out: target xquad under none{target.learning_rate=0.0005}, trained "
        f"on squad, seed 0 (study toy), outputs/runs/{run.folder.name}. Running the same again "
        "continues from the last checkpoint\n"
    )
    assert capsys.readouterr().err == said
    my_runs.show_runs(study, "retrieval")
    assert capsys.readouterr().out.startswith(said)
    assert main(["runs"]) == 0
    assert "`xtsupport runs FILE`, such as params/demo.yaml, shows" in capsys.readouterr().err
    with open_run(run) as folder:
        assert (folder.checkpoint / "state").exists()  # it continues
    assert my_runs.left_out(my_runs.survey(study)) == []
