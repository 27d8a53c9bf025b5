"""The README's recipes, executed as they stand in a project of their own."""

import re
import shlex
import shutil
from pathlib import Path

import pandas as pd
import pytest
from simulated_cubes import simulate

from xtsupport.data import load
from xtsupport.errors import UserError
from xtsupport.study.cli import main
from xtsupport.study.phases import train
from xtsupport.study.plan import open_study
from xtsupport.training.masked import tiny_xlmr

ROOT = Path(__file__).parents[1]
SECTION = (ROOT / "README.md").read_text(encoding="utf-8").split("## Make it yours")[1]
SECTION = SECTION.split("\n## ")[0]
BLOCKS = dict(re.findall(r"\*\*Your (\w+)\*\*.*?```\w+\n(.*?)```", SECTION, re.S))
QUICK = [
    "conditions=[none, squad]",
    "targets=[xquad]",
    "seeds=[0]",
    "analysis.contrasts=[[squad, none]]",
]


@pytest.fixture
def project(tmp_path, monkeypatch):
    """A project's root, with nothing in it but the notebooks and the params files."""
    for name in ("notebooks", "params"):
        shutil.copytree(ROOT / name, tmp_path / name)
    monkeypatch.setenv("XTSUPPORT_ROOT", str(tmp_path))
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_there_are_four():
    assert list(BLOCKS) == ["model", "task", "language", "statistics"]


def test_an_encoder_that_is_too_short_is_named_with_its_length(project, tiny_encoder):
    model, tokenizer = tiny_encoder
    model.save_pretrained("my_encoder")
    tokenizer.save_pretrained("my_encoder")
    with pytest.raises(UserError, match=r"target\.max_length = 96: .* takes at most 64 tokens"):
        open_study("params/tiny.yaml", {"encoder": "my_encoder"})


@pytest.mark.slow
def test_your_model(project, tiny_encoder):
    _, tokenizer = tiny_encoder
    model = tiny_xlmr(len(tokenizer), 16, 2, 2, 32, 96, seed=0).base_model
    model.save_pretrained("my_encoder")
    tokenizer.save_pretrained("my_encoder")
    command = shlex.split(BLOCKS["model"].replace("demo.yaml", "tiny.yaml"))[1:]
    smaller = [word for each in QUICK for word in ("--set", each)]
    assert main([*command, *smaller]) == 0
    assert (project / "outputs" / "mine" / "report.html").is_file()


def test_your_task_and_your_language(project):
    told = {}
    exec(BLOCKS["task"], told)
    assert len(BLOCKS["task"].split("\n\n")[1].splitlines()) <= 15  # below the imports
    assert load("mood", "en", data="my_data")["label"] == ["good", "bad"]
    exec(BLOCKS["language"], told)
    assert load("mood", "eo", data="my_data")["text"] == ["bona supo", "malbona supo"]


def test_a_study_trains_on_such_a_task_and_tests_it_in_such_a_language(project, tiny_encoder):
    told = {}
    exec(BLOCKS["task"] + BLOCKS["language"], told)
    model, tokenizer = tiny_encoder
    model.save_pretrained("my_encoder")
    tokenizer.save_pretrained("my_encoder")
    (project / "mine.yaml").write_text(
        "{study: mine, data: my_data, encoder: my_encoder, conditions: [none], targets: [mood], "
        "seeds: [0], analysis: {contrasts: []}, "
        "target: {epochs: 20, batch_size: 2, learning_rate: 1e-2, max_length: 32, stride: 8}}",
        encoding="utf-8",
    )
    (run,) = open_study("mine.yaml").runs("target", "none")
    train.train_target(run)
    scores = pd.read_csv(run.folder / "scores.csv").set_index("language")["score"]
    assert scores["en"] == 100 and set(scores.index) == {"en", "eo"}


def test_your_statistics(project):
    cube = simulate({("squad", "xquad"): 6.0}, ("none", "squad"), ("xquad",), size=0.1)
    (project / "outputs" / "demo" / "cube").mkdir(parents=True)
    cube.to_parquet(project / "outputs" / "demo" / "cube" / "part.parquet")
    lines = BLOCKS["statistics"].replace("wilcoxon(f1", "found = wilcoxon(f1")
    told = {}
    exec(lines.replace("compare(cube", "table = compare(cube"), told)
    assert "language" in set(told["table"]["by"]) and set(told["table"]["adjustment"]) == {"fdr_by"}
    assert told["found"].pvalue < 0.05
