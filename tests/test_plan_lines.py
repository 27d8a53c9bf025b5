"""What `xtsupport plan` says of costs and of what is missing."""

from pathlib import Path
from types import SimpleNamespace

import pytest
from study_toys import SMALL, do, toy_root

from xtsupport.study import cli, cost
from xtsupport.study.devices import DEVICES, Device
from xtsupport.study.inputs import Published
from xtsupport.study.params.loading import load_settings
from xtsupport.study.plan import open_study
from xtsupport.study.plan_lines import estimated, hours_line, missing_lines
from xtsupport.study.planner import Planner

PARAMS = Path(__file__).parents[1] / "params"


@pytest.mark.parametrize(("name", "runs"), [("paper", 259), ("base", 97)])
def test_large_studies_are_costed_without_their_data(name, runs):
    """Runs by hand. paper: 10 conditions x 3 seeds in phase 2; 6 training tasks x 11 x 3 in phase
    3 (xnli, pawsx, udpos, panx, squad, tydiqa); retrieval 10 x 3 and once for none."""
    settings = load_settings(PARAMS / f"{name}.yaml")
    made = Planner(settings, inputs=Published).all_runs()
    assert len(made) == runs == {"paper": 30 + 198 + 31, "base": 12 + 72 + 13}[name]
    found = cost.Estimate(settings, made)
    lines = "\n".join(estimated(found))
    assert "note: " in lines and "lengths.csv" in lines and "H100" in lines
    assert all(work.seconds(DEVICES[0]) > 0 for work in found.works)


def test_the_order_is_data_encoder_memory_and_what_must_be_bought():
    problems = ["ccg: buy it", "encoder 'x': nowhere", "xquad (de): missing"]
    assert missing_lines(problems, "memory: too little") == [
        "missing 1    xquad (de): missing",
        "missing 2    encoder 'x': nowhere",
        "missing 3    memory: too little",
        "missing 4    ccg: buy it",
    ]


def test_a_plan_says_who_makes_the_tokenizer_and_that_what_is_done_counts(
    tmp_path, monkeypatch, capsys
):
    monkeypatch.setenv("XTSUPPORT_ROOT", str(tmp_path))
    study = open_study(toy_root(tmp_path, **SMALL))
    lines = "\n".join(estimated(cost.Estimate(study.settings, study.plan.runs), DEVICES[0]))
    assert "note: phase 1 is still to make the tokenizer; tokens were estimated" in lines
    assert "xtsupport data get" not in lines and "of them done" not in lines
    do(study.plan.runs[0])
    lines = "\n".join(estimated(cost.Estimate(study.settings, study.plan.runs), DEVICES[0]))
    assert "note: the costs are those of all 4 runs, 1 of them done" in lines


@pytest.mark.parametrize(("hours", "told"), [(1 / 60, "1 minute on"), (0.1, "6 minutes on")])
def test_one_minute_is_no_minutes(hours, told):
    found = SimpleNamespace(hours=lambda device: hours)
    assert told in hours_line(found, Device("a core", 1e9, "timed"))


def test_a_plan_without_its_mirror_estimates_and_ends_well(tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("XTSUPPORT_ROOT", str(tmp_path))
    assert cli.main(["plan", "params/small.yaml"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == "5 runs in 8 nodes, once the data are here:"
    assert lines[-1].startswith("missing 1    ") and "no folder" in lines[-1]
    for wrong in ("data=nowhere", "seeds=x"):  # a mistake is no lack
        assert cli.main(["plan", "params/small.yaml", "--set", wrong]) == 1
        assert wrong.partition("=")[0] in capsys.readouterr().err
