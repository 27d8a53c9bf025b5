"""A class's cubes pooled: each machine's gain by hand, the pooled gain their mean."""

import json
import re
import shutil

import numpy as np
import pandas as pd
import pytest
import yaml
from scipy import stats

from xtsupport import folders
from xtsupport.cube.store import read_cube
from xtsupport.errors import UserError
from xtsupport.files import described, write_parquet
from xtsupport.report.report import standing
from xtsupport.statistics.declared import declared
from xtsupport.study.cli import main
from xtsupport.study.gather import gather
from xtsupport.study.params.loading import load_settings
from xtsupport.study.results_commands import cube_in

EFFECTS = [12.0, -9.0, 6.0, 7.0, -1.0, 3.0]  # true gain of every machine's run, in points


@pytest.fixture
def machines(tmp_path):
    """Six studies of one seed each: 100 questions in two languages, planted gains."""
    settings = folders.shipped() / "study" / "settings.yaml"
    rng, made = np.random.default_rng(1), []
    for seed, effect in enumerate(EFFECTS):
        rows = []
        for language in ("qka", "qta"):
            base = rng.uniform(0.3, 0.5, 100)
            gained = base + effect / 100 + rng.normal(0, 0.02, 100)
            gained += effect / 100 - (gained - base).mean()  # exactly the planted gain
            for condition, scores in (("none", base), ("squad", gained)):
                rows += [(condition, language, seed, f"q{i}", s) for i, s in enumerate(scores)]
        frame = pd.DataFrame(rows, columns=["condition", "language", "seed", "example_id", "score"])
        frame = frame.assign(
            study="demo", variant="plain", task="xquad", metric="f1", language_2=None,
            family=frame["language"].map({"qka": "Kindric", "qta": "Turnic"}),
            cluster_id=frame["example_id"], tp=None, fp=None, fn=None,
            phase2_run=frame["condition"] + f"-{seed}", phase3_run=frame["condition"] + f"-{seed}",
        )  # fmt: skip
        frame["group"] = frame["family"]
        folder = tmp_path / f"laptop{seed}"
        write_parquet(folder / "cube" / "part.parquet", frame)
        shutil.copy(settings, folder / "settings.yaml")
        made.append(folder)
    return made


def write_record(node, part):
    """What notebook 06 leaves of the cube that it wrote."""
    node.mkdir(parents=True)
    record = dict.fromkeys(("study", "phase", "condition", "variant", "training_task"), "")
    record |= {"run_key": "", "seed": 0, "settings": {}, "data": {}, "upstream": {}}
    record |= {"files": {"../../cube/part.parquet": described(part)}, "folders": ["../../cube"]}
    (node / "run.json").write_text(json.dumps(record | {"seconds": 1.0}))


def test_machines_disagree_and_together_they_have_the_mean(machines, tmp_path):
    alone, together, notes = gather(list(map(str, machines)), tmp_path / "class")
    assert not notes
    assert alone["gain"].tolist() == pytest.approx(EFFECTS)
    assert alone["seeds"].tolist() == [str(i) for i in range(6)]
    assert alone["machine"].tolist() == [f"{i + 1} laptop{i}" for i in range(6)]
    assert set(alone["verdict"]) >= {"improves", "harms"}  # each by its questions alone
    pooled = together.iloc[0]
    assert pooled["gain"] == pytest.approx(np.mean(EFFECTS)) and pooled["n_seeds"] == 6
    assert pooled["verdict"] == "undetermined"
    by_hand = stats.t.isf(0.025, 5) * np.std(EFFECTS, ddof=1) / 6**0.5  # of the runs alone
    assert (pooled["ci_high"] - pooled["ci_low"]) / 2 == pytest.approx(by_hand, rel=0.05)
    assert len(read_cube(tmp_path / "class" / "cube.parquet")) == 6 * 400
    assert (tmp_path / "class" / "machines.png").stat().st_size > 10_000


def test_seeds_of_other_targets_and_conditions_are_not_named(machines, tmp_path):
    """Seed 8 has another target, seed 9 another condition: neither is part of the comparison."""
    path = machines[0] / "cube" / "part.parquet"
    cube = pd.read_parquet(path)
    mnli = cube[cube["condition"] == "squad"].assign(seed=9, condition="mnli")
    write_parquet(path, pd.concat([cube, cube.assign(seed=8, task="xnli"), mnli]))
    alone, *_ = gather(list(map(str, machines)), tmp_path / "class")
    assert alone["seeds"].tolist() == [str(i) for i in range(6)]


def test_the_same_study_twice_counts_once(machines, tmp_path):
    alone, together, (note,) = gather([*map(str, machines), str(machines[2])], tmp_path / "class")
    assert len(alone) == 6 and together.iloc[0]["n_seeds"] == 6
    assert "laptop2" in note and "left out" in note


def test_one_seed_on_two_machines_is_refused(machines, tmp_path):
    other = tmp_path / "other"
    shutil.copytree(machines[0], other)
    frame = read_cube(other / "cube").assign(phase3_run="another")
    write_parquet(other / "cube" / "part.parquet", frame)
    with pytest.raises(UserError, match=r"different runs of none/plain/xquad/0: give every"):
        gather([str(machines[0]), str(other)], tmp_path / "class")


def test_other_questions_and_unfinished_studies_are_refused(machines, tmp_path):
    text = (machines[1] / "settings.yaml").read_text()
    (machines[1] / "settings.yaml").write_text(text.replace("margin: 1.0", "margin: 2.0"))
    with pytest.raises(UserError, match=r"analysis: .*laptop1 and .*laptop0 have different"):
        gather(list(map(str, machines)), tmp_path / "class")
    training = text.replace("learning_rate: 0.001", "learning_rate: 0.002", 1)
    (machines[1] / "settings.yaml").write_text(training)
    with pytest.raises(UserError, match=r"intermediate: .*laptop1 and .*laptop0 have different"):
        gather(list(map(str, machines)), tmp_path / "class")
    fewer = text.replace("study: demo", "study: mine").replace("- udpos\n", "")
    (machines[1] / "settings.yaml").write_text(fewer)  # only how much was run
    assert len(gather(list(map(str, machines)), tmp_path / "class")[0]) == 6
    shutil.rmtree(machines[3] / "cube")
    with pytest.raises(UserError, match=r"laptop3: is not a finished study"):
        gather(list(map(str, machines)), tmp_path / "class")


def test_the_command(machines, tmp_path, capsys):
    assert main(["gather", *map(str, machines), "--out", str(tmp_path / "class")]) == 0
    out = capsys.readouterr().out
    assert "6 machines, each by its own questions alone:" in out and "together: " in out
    # only EFFECTS[5] is 3.0
    assert "5 of these 6 intervals do not contain the pooled gain, 3.0" in out
    assert main(["gather", *map(str, machines), "--target", "xnli"]) == 1
    missing = "xnli: no scores from 1 laptop0 (squad and none), 2 laptop1 (squad and none)"
    assert missing in capsys.readouterr().err
    assert main(["gather", str(tmp_path)]) == 1
    assert "is not a finished study" in capsys.readouterr().err


def test_a_cube_that_changed_since_it_was_written_is_refused_everywhere(machines, tmp_path, capsys):
    """Gains of the opposite sign would be printed without a word."""
    for folder in machines:
        write_record(folder / "nodes" / "results", folder / "cube" / "part.parquet")
    studies, path = [*map(str, machines)], machines[2] / "cube" / "part.parquet"
    assert main(["gather", *studies]) == 0
    cube = pd.read_parquet(path)
    other = cube["condition"].map({"none": "squad", "squad": "none"})
    write_parquet(path, cube.assign(condition=other))
    out, commands = str(tmp_path / "out"), [["gather", *studies], ["power", studies[2]]]
    commands += [["calibrate", studies[2]], ["significance", studies[2], "--out", out]]
    for command in [*commands, ["significance", str(path.parent), "--out", out]]:
        capsys.readouterr()
        assert main(command) == 1
        told = capsys.readouterr().err
        assert "cube/part.parquet: has changed since it was written" in told
        assert "laptop2/cube: is not as the study wrote it; `xtsupport run` writes it again" in told
    assert not (tmp_path / "out").exists()


def test_a_changed_cube_behind_a_link_is_refused(machines, tmp_path, capsys):
    folder = machines[0]
    node, part = folder / "nodes" / "results", folder / "cube" / "part.parquet"
    write_record(node, part)
    (folder / "cube").rename(tmp_path / "large_disk")
    (folder / "cube").symlink_to(tmp_path / "large_disk")
    assert main(["gather", *map(str, machines)]) == 0
    cube = pd.read_parquet(part)
    write_parquet(part, cube.assign(score=cube["score"] / 2))
    assert main(["gather", *map(str, machines)]) == 1
    assert "has changed since it was written" in capsys.readouterr().err


def test_what_windows_leaves_in_a_folder_is_passed_over(machines, tmp_path):
    for name in ("Thumbs.db", "desktop.ini"):
        (machines[0] / "cube" / name).write_bytes(b"not a table")
    write_record(machines[0] / "nodes" / "results", machines[0] / "cube" / "part.parquet")
    assert len(gather(list(map(str, machines)), tmp_path / "class")[0]) == 6
    shutil.copy(machines[0] / "cube" / "Thumbs.db", machines[0] / "cube" / "part.csv")
    with pytest.raises(UserError, match=r"part\.csv: is not one of the files that were written"):
        gather(list(map(str, machines)), tmp_path / "class")


@pytest.mark.parametrize("doubt", [None, {"seen": ["other"]}, {"analysis": {"margin": 2.0}}])
def test_what_is_pooled_is_declared_if_all_machines_declared_it(machines, tmp_path, doubt):
    plan = json.loads((folders.shipped() / "study" / "planned.json").read_text())
    for number, folder in enumerate(machines):
        settings = yaml.safe_load((folder / "settings.yaml").read_text()) | {"seeds": [number]}
        (folder / "settings.yaml").write_text(yaml.safe_dump(settings))
        scope = {"seeds": {"none": [number], "squad": [number]}}
        (folder / "planned.json").write_text(json.dumps(plan | {"scope": scope}))
    if doubt:
        (machines[-1] / "planned.json").write_text(json.dumps(plan | {"scope": scope} | doubt))
    gather(list(map(str, machines)), tmp_path / "class")
    pooled = declared(load_settings(tmp_path / "class" / "settings.yaml"))
    assert standing(pooled).startswith("exploratory" if doubt else "declared before the first run")
    assert cube_in(str(tmp_path / "class")) == tmp_path / "class" / "cube.parquet"


def test_scores_of_fewer_seeds_than_planned_are_exploratory(machines, tmp_path, capsys):
    """As after `run --only seeds=0`, whose settings.yaml is that of the whole study."""
    folder = machines[0]
    settings = yaml.safe_load((folder / "settings.yaml").read_text())
    settings["analysis"]["contrasts"] = [["squad", "none"]]
    shutil.copy(folders.shipped() / "study" / "planned.json", folder)
    for seeds, told in (
        ([0], "declared before"),
        ([0, 1], "exploratory: it differs from what was"),
    ):
        (folder / "settings.yaml").write_text(yaml.safe_dump(settings | {"seeds": seeds}))
        assert main(["significance", str(folder), "--out", str(tmp_path / "out")]) == 0
        assert told in (tmp_path / "out" / "report.html").read_text()
        gather([str(folder)], tmp_path / "class")
        pooled = declared(load_settings(tmp_path / "class" / "settings.yaml"))
        assert standing(pooled).startswith(told)


@pytest.mark.parametrize("turned", [1, -1])
def test_doubt_in_one_machine_is_kept_in_any_order(machines, tmp_path, turned):
    plan = json.loads((folders.shipped() / "study" / "planned.json").read_text())
    for number, folder in enumerate(machines[:2]):
        settings = yaml.safe_load((folder / "settings.yaml").read_text()) | {"seeds": [number]}
        (folder / "settings.yaml").write_text(yaml.safe_dump(settings))
        scope = {"seeds": {"none": [0], "squad": [0]}}
        (folder / "planned.json").write_text(json.dumps(plan | {"scope": scope}))
    gather([*map(str, machines[:2])][::turned], tmp_path / "class")
    pooled = declared(load_settings(tmp_path / "class" / "settings.yaml"))
    assert standing(pooled).startswith("exploratory: it differs from what was declared")


def test_the_rules_that_were_declared_hold_for_what_is_pooled(machines, tmp_path, capsys):
    """alpha 0.01 and a margin of 25 points: 99% intervals, and equivalence within 25 points."""
    for folder in machines:
        text = (folder / "settings.yaml").read_text(encoding="utf-8")
        text = text.replace("margin: 1.0", "margin: 25.0\n  alpha: 0.01")
        (folder / "settings.yaml").write_text(text, encoding="utf-8")
    assert main(["gather", *map(str, machines), "--out", str(tmp_path / "class")]) == 0
    together = capsys.readouterr().out.partition("together: ")[2].replace("\N{MINUS SIGN}", "-")
    assert "equivalent within 25 points" in together
    low, high = (float(end) for end in re.search(r"(-?[\d.]+) to (-?[\d.]+)", together).groups())
    by_hand = stats.t.isf(0.01, 5) * np.std(EFFECTS, ddof=1) / 6**0.5  # 98%: two one-sided tests
    assert (high - low) / 2 == pytest.approx(by_hand, rel=0.05) and "98% interval" in together


def test_a_folder_below_home_is_where_the_shell_would_put_it(machines, tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.chdir(tmp_path)
    assert main(["gather", *map(str, machines[:2]), "--out=~/class"]) == 0
    assert (tmp_path / "class" / "cube.parquet").is_file() and not (tmp_path / "~").exists()
