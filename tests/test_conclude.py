"""From runs done here to conclusions: which runs count, whose cube is read, what is built."""

import errno
import json
import shutil
from dataclasses import replace
from types import SimpleNamespace

import pandas as pd
import pytest
import yaml
from study_toys import do, toy_root, toy_settings, write_params

from xtsupport import folders
from xtsupport.cube.store import build_cube
from xtsupport.errors import UserError
from xtsupport.report import style
from xtsupport.report.answer import in_short
from xtsupport.report.contents import contents
from xtsupport.report.report import standing
from xtsupport.statistics.comparisons import significance
from xtsupport.statistics.declared import declared
from xtsupport.statistics.evidence import evidence_of
from xtsupport.study import conclude, finished, runs, what_counts
from xtsupport.study.execution.runner import keep_settings
from xtsupport.study.plan import open_study
from xtsupport.study.run_folder import open_run
from xtsupport.tables import languages


@pytest.fixture
def study(tmp_path, monkeypatch):
    monkeypatch.setenv("XTSUPPORT_ROOT", str(tmp_path))
    return open_study(toy_root(tmp_path))


@pytest.fixture
def package(tmp_path, monkeypatch):
    """A package without runs, and with a study if a test puts one into it."""
    monkeypatch.setattr(folders, "shipped", lambda: tmp_path / "package")
    runs.shipped_runs.cache_clear()
    yield tmp_path / "package"
    runs.shipped_runs.cache_clear()
    style.ORIGIN = ""


def scored(run, score):
    """Do a run and those above it; its part of the cube has three examples in two languages."""
    for above in run.upstream:
        if not runs.find(above):
            scored(above, score)
    with open_run(run) as folder:
        rows = [
            {"study": "toy", "condition": run.condition, "variant": run.variant, "task": name,
             "language": code, "language_2": None, "seed": run.seed, "example_id": str(example),
             "cluster_id": str(example), "metric": "f1", "score": score, "phase2_run": None,
             "phase3_run": run.key, "prediction": "soup"}
            for name in run.settings.get("targets", ())
            for code in ("en", "qta") for example in range(3)
        ]  # fmt: skip
        if rows:
            pd.DataFrame(rows).to_parquet(folder.path / "examples.parquet")


def own_cube(study, *conditions):
    """A cube in the study's folder of these conditions, one seed, as of runs that are gone."""
    for condition in conditions:
        scored(study.runs("target", condition, [1])[0], 0.5)
    folders_of = [runs.find(study.runs("target", each, [1])[0]) for each in conditions]
    cube = build_cube(folders_of, study.folder / "cube", languages(study.data))
    for folder in folders_of:
        shutil.rmtree(folder)
    return cube


def test_without_any_run_the_study_of_the_package_is_shown_and_named(study, package, capsys):
    with pytest.raises(UserError, match=f"study toy has {conclude.TOO_FEW}: run notebook 04"):
        conclude.present(study)
    assert conclude.present(study, "study") is study
    kept = package / "study"
    (kept / "cube" / "task=xquad").mkdir(parents=True)
    (kept / "settings.yaml").write_text(yaml.safe_dump(toy_settings(study="other", seeds=[5])))
    row = {"condition": ["none"], "prediction": ["soup"], "score": [0.5], "seed": [5]}
    pd.DataFrame(row).to_parquet(kept / "cube" / "task=xquad" / "part-0.parquet")
    shown = conclude.present(study)
    assert (shown.settings.study, shown.settings.seeds) == ("other", [5])
    assert "the other study that comes with the package" in capsys.readouterr().out
    assert conclude.find_cube(shown) == kept / "cube"
    figure, _ = style.new_figure("Scores", "Look")
    assert "the other study that comes with the package, not run here" in " ".join(
        figure.get_suptitle().split()
    )
    assert finished.predictions(shown, "none", "xquad")["prediction"].tolist() == ["soup"]


def test_of_the_study_of_the_package_only_what_was_chosen_is_shown(capsys, tmp_path, monkeypatch):
    """Seeds of the demo: none and squad have eight on XQuAD, five on XNLI; the others three."""
    monkeypatch.setattr(folders, "scratch", lambda: tmp_path)
    seen = {}
    for only in (["conditions=none,squad", "targets=xnli"], ["seeds=3,1"]):
        study = open_study("params/demo.yaml", only=only)
        shown = conclude.present(study, demo=True)
        assert capsys.readouterr().out.endswith(f"{', only '.join(['', *only])[2:]}.\n")
        cube = pd.read_parquet(conclude.find_cube(shown))
        seen[only[-1]] = cube.groupby("task", observed=True)[["condition", "seed"]].nunique()
    assert seen["targets=xnli"].T.to_dict() == {"xnli": {"condition": 2, "seed": 5}}
    assert {*seen["seeds=3,1"].T.to_dict()} == {"xquad", "xnli", "udpos", "tatoeba"}
    assert {*seen["seeds=3,1"]["seed"]} == {2, 3}  # retrieval without phase 2 is of any seed
    one = open_study("params/demo.yaml", only=["seeds=0"])
    assert {*finished.predictions(conclude.present(one, demo=True), "squad", "xquad")["seed"]} == {
        0
    }
    chosen = open_study("params/demo.yaml", "target.epochs=2")
    whole = conclude.present(chosen, demo=True)
    assert "comes with the package; `settings` choose only among" in capsys.readouterr().out
    assert conclude.find_cube(whole) == whole.folder / "cube"


@pytest.fixture
def demo(package):
    """A package with the cube of a study of the same name."""
    cube = package / "study" / "cube"
    cube.mkdir(parents=True)
    (cube.parent / "settings.yaml").write_text(yaml.safe_dump(toy_settings()))
    return cube


def test_what_nobody_planned_before_the_runs_is_exploratory(study, package, tmp_path):
    """Runs of notebooks alone; or those of a study whose folder is gone, under another name."""
    primary = {"treatment": "squad", "baseline": "none", "target": "xquad"}
    path = write_params(tmp_path, analysis={"primary": primary})
    for run in what_counts.with_scores(study):
        scored(run, 0.5)
    lost = standing(declared(conclude.present(open_study(path)).settings))
    assert lost.startswith("exploratory: planned.json is missing or was changed, so nothing shows")
    part = conclude.present(open_study(path, only=["seeds=1"]))
    assert standing(declared(part.settings)) == lost
    keep_settings(open_study(path))
    late = standing(declared(conclude.present(open_study(path)).settings))
    assert late.startswith("exploratory: planned.json is newer than results of toy, so nothing")


@pytest.mark.parametrize("target", ["xquad", "tatoeba"])
def test_what_lacks_a_run_is_not_the_declared_comparison(package, tmp_path, monkeypatch, target):
    """Deleting the run that went badly would otherwise leave no trace."""
    monkeypatch.setenv("XTSUPPORT_ROOT", str(tmp_path))
    primary = {"treatment": "squad", "baseline": "none", "target": target}
    primary["metric"] = "f1" if target == "xquad" else "accuracy"
    path = toy_root(tmp_path, analysis={"primary": primary})
    keep_settings(study := open_study(path))
    for run in what_counts.with_scores(study):
        scored(run, 0.5)
    assert declared(conclude.present(open_study(path)).settings).in_advance
    other = next(run for run in study.runs("target", "none~squad"))
    shutil.rmtree(runs.find(other))  # no side of the comparison
    assert declared(conclude.present(open_study(path)).settings).in_advance
    phase = "target" if target == "xquad" else "retrieval"
    shutil.rmtree(runs.find(study.runs(phase, "squad")[1]))
    told = "exploratory: it differs from what was declared before the first run (seeds;"
    assert standing(declared(conclude.present(open_study(path)).settings)).startswith(told)


def test_runs_with_nothing_to_compare_do_not_count(study, demo, capsys):
    scored(study.runs("target", "none", [1])[0], 0.5)
    for run in study.runs("retrieval", "squad"):  # another condition, on another target
        scored(run, 0.5)
    shown = conclude.present(study)
    assert capsys.readouterr().out.startswith(f"Study toy has {conclude.TOO_FEW}. What follows is")
    assert conclude.find_cube(shown) == demo and style.ORIGIN
    with pytest.raises(UserError, match=conclude.TOO_FEW):
        conclude.find_cube(study)  # the package's cube is not this study's
    scored(study.runs("target", "squad", [1])[0], 0.5)
    assert conclude.present(study).folder == study.folder  # one seed: a first look
    capsys.readouterr()
    asked = conclude.present(study, demo=True)
    assert conclude.find_cube(asked) == demo and style.ORIGIN
    assert capsys.readouterr().out.startswith("What follows is the toy study that comes with")
    assert asked.place("scratch") != study.place("scratch")  # its files are not among one's own
    assert conclude.find_cube(shown) == demo  # as it is announced, whatever runs are here


def test_a_cube_counts_until_there_is_something_to_compare(study, demo, capsys):
    """What is announced is what is read."""
    cube = own_cube(study, "none", "squad")
    scored(study.runs("target", "none", [1])[0], 0.5)
    assert conclude.present(study) is study and conclude.find_cube(study) == cube
    assert "the scores of study toy; its runs are not all here" in capsys.readouterr().out
    scored(study.runs("target", "squad", [1])[0], 0.5)
    part = conclude.present(study)
    for asked in (part, study):
        built = pd.read_parquet(conclude.find_cube(asked))
        assert {*built["condition"]} == {"none", "squad"} and {*built["seed"]} == {1}


def test_a_cube_of_all_runs_is_read_while_it_is_theirs(study, package):
    for run in what_counts.with_scores(study):
        scored(run, 0.5)
    gathered = next(node.runs[0] for node in study.plan.nodes if node.name == "results")
    old = study.folder / "cube"
    old.mkdir(parents=True)
    assert conclude.present(study) is study and conclude.find_cube(study) != old
    do(gathered)
    assert conclude.find_cube(study) == old
    changed = open_study(study.params, "target.learning_rate=5e-4")
    for run in changed.runs("target"):
        scored(run, 1.0)
    assert conclude.find_cube(changed) != old


def test_runs_that_start_from_the_phase_2_of_the_package_count(study, package, monkeypatch):
    for condition in ("none", "squad"):
        scored(study.runs("target", condition, [1], into="scratch")[0], 0.5)
    (phase2,) = (run for run in study.runs("intermediate") if run.seed == 1)
    kept = package / "intermediate" / "squad" / "seed1"
    kept.parent.mkdir(parents=True)
    phase2.folder.rename(kept)
    runs.shipped_runs.cache_clear()
    assert conclude.present(study).settings.conditions == ["none", "squad"]
    assert {*pd.read_parquet(conclude.find_cube(study))["condition"]} == {"none", "squad"}


@pytest.mark.parametrize(
    ("contrasts", "done", "counts"),
    [
        ([], ["squad", "none~squad"], True),
        ([], ["squad", "mnli"], False),  # nor what they are usually held against
        ([["squad+mlm/plain", "none"]], ["squad+mlm", "none"], True),
        ([["squad", "none"]], ["squad", "none~squad"], True),  # nothing declared is here
    ],
)
def test_what_can_be_compared_is_what_the_statistics_compare(study, contrasts, done, counts):
    toy = SimpleNamespace(settings=SimpleNamespace(analysis=SimpleNamespace(contrasts=contrasts)))
    made = [replace(study.runs("target", "none", [0])[0], condition=name) for name in done]
    assert what_counts.comparable(toy, made) is counts


def test_whatever_was_run_is_counted_and_drawn_upon(study, package, capsys):
    for condition in ("none", "squad"):
        scored(study.runs("target", condition, [1])[0], 0.5)
    part = conclude.present(study)
    told = capsys.readouterr().out
    assert "2 of 9 runs with scores were done here: none (seed 1); squad (seed 1)" in told
    assert "one seed: a first impression, not evidence" in told
    assert part.settings.conditions == ["none", "squad"] and part.settings.seeds == [1]
    cube = pd.read_parquet(conclude.find_cube(part))
    assert cube.groupby(["condition", "seed"], observed=True).size().to_dict() == {
        ("none", 1): 6, ("squad", 1): 6
    }  # fmt: skip
    assert not (study.folder / "cube").exists() and style.ORIGIN == ""


def test_a_control_without_retrieval_takes_no_predictions_from_the_others(study, package):
    every = ("none", "squad", "none~squad")
    for condition in every:
        scored(study.runs("target", condition, [1])[0], 0.5)
        for run in study.runs("retrieval", condition)[:1]:
            scored(run, 0.5)
    pairs = [(("squad", "plain"), (baseline, "plain")) for baseline in ("none", "none~squad")]
    for task, conditions in (("xquad", every), ("tatoeba", every[:2])):
        rows = conclude.with_predictions(study, task, pairs)
        assert set(rows["prediction"]) == {"soup"} and set(rows["condition"]) == {*conditions}


def test_runs_with_other_settings_stand_in_rows_of_their_own(study, package, tmp_path):
    for condition in ("none", "squad"):
        scored(study.runs("target", condition, [0])[0], 0.5)
    changed = open_study(tmp_path / "params" / "toy.yaml", "target.learning_rate=5e-4")
    scored(changed.runs("target", "squad", [0])[0], 1.0)
    cube = pd.read_parquet(conclude.find_cube(conclude.present(study)))
    assert cube.groupby("condition", observed=True)["score"].mean().to_dict() == {
        "none": 0.5, "squad": 0.5, "squad{target.learning_rate=0.0005}": 1.0
    }  # fmt: skip


def test_a_condition_only_run_with_other_settings_takes_part_under_its_name_in_braces(
    study, package, capsys
):
    """None as usual, squad with one learning rate in phase 2, then with a second one."""
    declared = {"treatment": "squad", "baseline": "none", "target": "xquad", "metric": "f1"}
    params = write_params(
        folders.root(), analysis={"contrasts": [["squad", "none"]], "primary": declared}
    )
    study = open_study(params)
    scored(study.runs("target", "none", [0])[0], 0.5)
    changed = [f"intermediate.learning_rate={rate}" for rate in (0.0005, 0.002)]
    names = [f"squad{{{each}}}" for each in changed]
    scored(open_study(params, changed[:1]).runs("target", "squad", [0])[0], 1.0)
    part = conclude.present(study)
    told = capsys.readouterr().out
    assert "1 of 9 runs with scores and 1 with other settings were done here" in told
    assert f": none (seed 0); {names[0]} (seed 0)\na name in braces has other settings" in told
    assert f'set settings = ["{changed[0]}"] in the parameters\none seed: a first' in told
    assert (part.settings.analysis.contrasts, part.settings.analysis.primary) == ([], None)
    why = conclude.declared(part).splitlines()
    assert "contrasts: []" in why and why[-1].startswith(
        "no primary comparison: these are not runs of squad and none on xquad with the same seed"
    )
    assert conclude.declared(study).endswith("unit: clusters x seeds\n")  # and no remark
    evidence = evidence_of(conclude.find_cube(part), part.settings, part.data)
    assert (evidence.primary.treatment, evidence.primary.baseline) == (names[0], "none")
    assert {*finished.predictions(part, "squad", "xquad")["condition"]} == {names[0]}
    scored(open_study(params, changed[1:]).runs("target", "squad", [0])[0], 0.75)
    fewer = ["intermediate.learning_rate=0.004", "evaluation.max_clusters=2"]  # of other examples
    scored(open_study(params, fewer).runs("target", "squad", [0])[0], 0.25)
    part = conclude.present(study)
    told = capsys.readouterr().out
    assert told.startswith("left out, with other languages, examples, conditions or seeds than")
    assert told.splitlines()[0].endswith(f"; to see some, set settings = {json.dumps(fewer[::-1])}")
    cube = pd.read_parquet(conclude.find_cube(part))
    assert cube.groupby("condition", observed=True)["score"].mean().to_dict() == {
        "none": 0.5, names[0]: 1.0, names[1]: 0.75
    }  # fmt: skip
    evidence = evidence_of(conclude.find_cube(part), part.settings, part.data)
    whole = contents(significance(evidence), evidence, part.settings)
    assert in_short(whole)[-1] == (
        "All this is about SQuAD{intermediate.learning_rate=0.0005}, not about SQuAD{intermediate."
        "learning_rate=0.002}; to see those, choose their settings in notebook 07."
    )
    with pytest.raises(UserError) as caught:
        finished.predictions(part, "squad", "xquad")
    assert str(caught.value) == (
        f"xquad under 'squad': run with several settings. Give one of these names, {names[0]}, "
        f'{names[1]}; or set settings = ["{changed[0]}"] or settings = ["{changed[1]}"]'
    )
    capsys.readouterr()
    chosen = conclude.present(open_study(params, changed[1:]))
    told = capsys.readouterr().out.splitlines()[0]
    assert told.startswith(f"study toy, with {changed[1]}: 2 of 9 runs with scores were done here:")
    assert told.endswith(": none (seed 0); squad (seed 0)")  # and nothing else
    assert f"runs with {changed[1]}" == style.ORIGIN
    places = {each.place("scratch") for each in (study, chosen, open_study(params, changed[:1]))}
    assert len(places) == 3  # the files of one do not replace those of another
    assert chosen.settings.analysis.primary is None  # declared was the study with its settings
    assert "other ones were chosen here" in conclude.declared(chosen)
    evidence = evidence_of(conclude.find_cube(chosen), chosen.settings, chosen.data)
    assert (evidence.primary.treatment, evidence.primary.baseline) == ("squad", "none")
    assert finished.predictions(chosen, "squad", "xquad")["score"].mean() == 0.75


def test_runs_of_different_seeds_are_not_compared_and_spoil_nothing(study, package):
    """XQuAD has seed 0 of both sides, MLQA a seed of each: it is left out with a line."""
    scored(study.runs("target", "none", [0])[0], 0.25)
    scored(study.runs("target", "squad", [1])[0], 0.5)
    with pytest.raises(UserError, match="with one target and seed here"):
        conclude.present(study)
    scored(study.runs("target", "squad", [0])[0], 0.5)
    part = conclude.present(study)
    cube = pd.read_parquet(conclude.find_cube(part))
    other = cube.assign(task="mlqa")
    other = other[(other["condition"] == "none") | (other["seed"] == 1)]
    evidence = evidence_of(pd.concat([cube, other]), part.settings, part.data)
    table = significance(evidence)
    assert {*table["task"]} == {"xquad", "all", "f1-native"} and (table["gain"] == 25).all()
    assert in_short(contents(table, evidence, part.settings))[-1] == (
        "Not compared on MLQA: SQuAD and no intermediate task, which have no seed in common."
    )


def test_of_one_condition_with_several_settings_it_is_said_that_nothing_is_compared(
    study, package, capsys
):
    only = ["conditions=squad", "seeds=0"]
    for changed in ([], ["target.learning_rate=5e-4"]):
        made = what_counts.with_scores(open_study(study.params, changed, only))
        for run in (each for each in made if not runs.find(each)):
            scored(run, 0.5)
    scored(study.runs("target", "none", [0])[0], 0.5)
    part = conclude.present(open_study(study.params, only=only))
    line = "07 has nothing to compare here; `only` leaves the other sides"
    assert line in capsys.readouterr().out
    found = evidence_of(conclude.find_cube(part), part.settings, part.data)
    with pytest.raises(UserError, match="nothing to compare with 'none': the cube only has squad"):
        significance(found)
    conclude.present(study)
    assert line not in capsys.readouterr().out


def test_only_chooses_among_runs_with_other_settings_too(study, package, capsys):
    """Of seed 1 alone; and a seed that the study does not have is named, and not in the cube."""
    more = open_study(study.params, ["seeds=[0, 1, 7]"])
    changed = open_study(study.params, ["target.learning_rate=5e-4"])
    for made in (study, changed):
        for condition in ("none", "squad"):
            for run in made.runs("target", condition):
                scored(run, 0.5)
    scored(more.runs("target", "squad", [7])[0], 0.5)
    part = conclude.present(open_study(study.params, only=["seeds=1", "conditions=none,squad"]))
    cube = pd.read_parquet(conclude.find_cube(part))
    assert {*cube["seed"]} == {1} and cube["condition"].nunique() == 4
    assert "left out" not in capsys.readouterr().out
    cube = pd.read_parquet(conclude.find_cube(conclude.present(study)))
    assert {*cube["seed"]} == {0, 1} and cube["condition"].nunique() == 4
    assert capsys.readouterr().out.startswith(
        "left out, with other languages, examples, conditions or seeds than the study: squad (seed "
        "7)\n"
    )


def test_retrieval_without_phase_2_is_of_any_seed(study, package, capsys):
    for condition in ("none", "squad"):
        scored(study.runs("retrieval", condition, [1])[0], 0.5)
    conclude.present(study)
    assert "2 of 9 runs with scores were done here: none (seed any); squad (seed 1)\n" in (
        capsys.readouterr().out
    )


def test_a_few_seeds_are_said_of_those_that_have_few(study, package, capsys):
    for condition, seeds in (("none", [0, 1]), ("squad", [0])):
        for run in study.runs("target", condition, seeds):
            scored(run, 0.5)
    conclude.present(study)
    assert capsys.readouterr().out.endswith(
        "one seed: a first impression, not evidence (squad)\n"
        "two seeds: too few for a claim (none)\n"
        "no verdicts from fewer than three seeds; `demo = True` shows the demo study\n"
    )


def test_damaged_runs_are_named_before_what_counts(study, package, capsys):
    for condition in ("none", "squad", "none~squad"):
        scored(study.runs("target", condition, [0])[0], 0.5)
    lost = study.runs("target", "none~squad", [0])[0].folder
    (lost / "examples.parquet").unlink()
    conclude.present(study)
    first, second, *_ = capsys.readouterr().out.splitlines()
    assert first.startswith(
        "1 damaged run left out: target xquad under none~squad, trained on squad, seed 0"
    )
    assert "2 of 9 runs with scores were done here: none (seed 0); squad (seed 0)" in second


def test_a_run_that_started_from_what_is_gone_still_counts(study, package):
    """Its scores are here; its name says that its phase 2 is not."""
    scored(study.runs("target", "none", [0])[0], 0.5)
    chosen = open_study(study.params, ["intermediate.learning_rate=5e-4"])
    (made,) = chosen.runs("target", "squad", [0])
    scored(made, 1.0)
    phase2 = made.upstream[0].folder
    shutil.rmtree(phase2)
    cube = pd.read_parquet(conclude.find_cube(conclude.present(study)))
    name = f"squad{{intermediate={phase2.name[:6]} (gone)}}"
    assert {*cube["condition"]} == {"none", name}


def test_a_cube_without_runs_counts(study, package, capsys):
    cube = own_cube(study, "none", "squad")
    assert conclude.present(study) is study and conclude.find_cube(study) == cube
    assert "the scores of study toy" in capsys.readouterr().out


def test_of_a_cube_that_holds_a_part_that_part_is_compared(study, package):
    """`run --only` made it, and one of its runs has gone: the rest of the plan is not asked for."""
    pairs = [["squad", "none"], ["mnli", "none"]]
    analysis, conditions = {"contrasts": pairs}, ["none", "squad", "mnli"]
    params = write_params(folders.root(), analysis=analysis, conditions=conditions)
    study = open_study(params)
    cube = own_cube(study, "none", "squad")
    part = conclude.present(study)
    assert part.settings.analysis.contrasts == [["squad", "none"]]
    assert conclude.find_cube(part) == cube
    evidence = evidence_of(cube, part.settings, part.data)
    assert {*evidence.contrasts} == {(("squad", "plain"), ("none", "plain"))}


def test_chosen_settings_that_nothing_was_run_with_are_an_error(study, package):
    own_cube(study, "none", "squad")
    chosen = open_study(study.params, ["target.learning_rate=0.5"])
    with pytest.raises(UserError, match=r"target\.learning_rate=0\.5: no two conditions were run"):
        conclude.present(chosen)


def test_a_full_disk_is_one_line_in_a_notebook(study, package, monkeypatch):
    def full(*_):
        raise OSError(errno.ENOSPC, "No space left on device")

    (study.folder / "cube").mkdir(parents=True)
    monkeypatch.setattr(what_counts, "counting", full)
    with pytest.raises(UserError, match=r"^outputs: the disk is full; free some space"):
        conclude.find_cube(study)


def test_a_study_is_only_built_from_all_its_runs(study):
    with pytest.raises(UserError, match="missing or was made with other settings"):
        conclude.find_cube(study, "study")
