"""Parameters of notebooks as people give them."""

import json

import pytest
from study_toys import compared_root

from xtsupport.errors import UserError
from xtsupport.study import parameters
from xtsupport.study.parameters import as_list, as_settings
from xtsupport.study.plan import open_study


@pytest.mark.parametrize(
    ("given", "meant"),
    [
        (0, [0]), ([0, 1], [0, 1]), ((0, 1), [0, 1]), ("0", [0]), ("[0, 1]", [0, 1]),
        ("0, 1", [0, 1]), ("0,1", [0, 1]), ("xquad", ["xquad"]), ("xquad,xnli", ["xquad", "xnli"]),
        ("[xquad, xnli]", ["xquad", "xnli"]), ("['xquad']", ["xquad"]), ([], []), ("", []),
        (None, []), ("[]", []), (range(2), [0, 1]),
    ],
)  # fmt: skip
def test_lists_are_taken_as_people_give_them(given, meant):
    assert as_list(given) == meant


@pytest.mark.parametrize(
    ("given", "meant"),
    [
        ("target.epochs=2", ["target.epochs=2"]),
        ("seeds=[0, 1]", ["seeds=[0, 1]"]),
        ("[target.epochs=2, threads=1]", ["target.epochs=2", "threads=1"]),
        (["target.epochs=2"], ["target.epochs=2"]),
        ({"target.epochs": 2}, {"target.epochs": 2}),
        ("", []), ([], []), (None, []),
    ],
)  # fmt: skip
def test_settings_are_taken_as_people_give_them(given, meant):
    assert as_settings(given) == meant


@pytest.mark.parametrize("given", [[5], 5, [None, 5]])
def test_settings_that_are_none_are_one_line(given):
    with pytest.raises(UserError, match=r"settings: (5|None) must be text such as"):
        as_settings(given)


@pytest.fixture
def params(tmp_path, monkeypatch):
    monkeypatch.setenv("XTSUPPORT_ROOT", str(tmp_path))
    return compared_root(tmp_path)


def test_settings_of_a_notebook_meet_the_errors_of_the_command_line(params):
    assert open_study(params, "target.epochs=2").settings.target.epochs == 2
    with pytest.raises(UserError, match=r"--set: target.epoch: .*did you mean 'epochs'"):
        open_study(params, ["target.epoch=2"])


def test_runs_are_asked_for_in_any_of_these_ways(params):
    study = open_study(params)
    for seeds in (0, "0", [0], "[0]"):
        assert [run.seed for run in study.runs("intermediate", "squad", seeds)] == [0]
    assert {run.phase for run in study.runs("target", "squad", targets="xquad")} == {"target"}
    with pytest.raises(UserError) as caught:
        study.runs("target", "squad_v2", "7")
    assert (
        'set settings = ["conditions=[none, squad, mnli, all, squad_v2]"]'
        in caught.value.problems[0]
    )
    assert 'set settings = ["seeds=[0, 1, 7]"]' in caught.value.problems[1]
    added = {"none": "squad", "squad": "none"}  # a hint keeps what was chosen for the other one
    for one, other in added.items():
        both = open_study(params, [f"seeds.{other}=[0, 8]", "target.epochs=2"])
        with pytest.raises(UserError) as caught:
            both.runs("target", one, [8, 9])
        hint = json.loads(caught.value.problems[0].partition("settings = ")[2])
        assert open_study(params, hint).runs("target", one, [8, 9])
        assert open_study(params, hint).runs("target", other, [8]) and "target.epochs=2.0" in hint
    with pytest.raises(UserError, match=r"has no phase 2.*04_target_transfer.*all, mnli, squad"):
        study.runs("intermediate", "none")


CELL = "params: str = 'x'  # the study\nseeds: list = [0]  # seeds"


@pytest.mark.parametrize(
    ("cells", "named"),
    [
        ([CELL, "# Parameters\nseeds = [1]"], None),
        ([CELL, "# Parameters\nseds = [1]"], "'seds'.*did you mean 'seeds'"),
        ([f"{CELL}\nonly: list = []", "# Parameters\ntargets = 'xquad'"], "only = .'targets=...'"),
        ([f"{CELL}\nonly: list = []", "# Parameters\nseed = 0"], "only = .'seeds=...'"),
        ([f"{CELL}\nsedes = [1]"], "'sedes'.*did you mean 'seeds'"),
        ([f"{CELL}\nsedes = [1]", CELL, "other = 1"], None),  # mended and executed again
        (["%matplotlib inline", CELL, "x = 1"], None),
        (["x = 1"], None),
    ],
)
def test_an_unknown_parameter_is_named_with_the_nearest_one(monkeypatch, cells, named):
    monkeypatch.setattr(parameters, "history", lambda: ["", *cells])
    if named is None:
        parameters.check_names()
    else:
        with pytest.raises(UserError, match=named):
            parameters.check_names()
