"""`xtsupport new`: a folder that works as it stands, by flags or by answers; where the root is."""

import pytest
import yaml

from xtsupport import folders
from xtsupport.errors import UserError
from xtsupport.study import cli, new
from xtsupport.study.params.loading import load_settings


@pytest.fixture(autouse=True)
def here(tmp_path, monkeypatch):
    """An empty folder outside every project."""
    monkeypatch.setenv("XTSUPPORT_ROOT", "")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_the_root_is_the_nearest_folder_with_params_else_this_one(here, monkeypatch):
    assert folders.root() == here
    (here / "mine" / "params").mkdir(parents=True)
    (here / "mine" / "notebooks").mkdir()
    monkeypatch.chdir(here / "mine" / "notebooks")
    assert folders.root() == here / "mine"
    assert folders.notebooks() == here / "mine" / "notebooks"


def test_a_params_file_is_looked_for_here_then_in_the_root_then_as_it_came(here, monkeypatch):
    shipped = folders.params_file("params/demo.yaml")
    assert shipped == folders.packaged() / "params" / "demo.yaml" and shipped.is_file()
    (here / "params").mkdir()
    (here / "params" / "demo.yaml").write_text("study: other\n")
    (here / "deep").mkdir()
    monkeypatch.chdir(here / "deep")
    assert folders.params_file("params/demo.yaml").read_text() == "study: other\n"
    assert folders.params_file("nowhere.yaml").name == "nowhere.yaml"


def numbers(value):
    """What PyYAML leaves as text, 1e-3, as the number that it is in a params file."""
    if isinstance(value, dict):
        return {key: numbers(each) for key, each in value.items()}
    return float(value) if isinstance(value, str) and "e-" in value else value


ENCODERS = {"pretrain": "demo", "offline-e5": "pilot", "FacebookAI/xlm-roberta-base": "base"}


@pytest.mark.parametrize("encoder", ENCODERS)
def test_the_recipe_is_that_of_the_shipped_file(here, encoder):
    choice = new.Choice(encoder, ["mnli", "squad"], ["xnli", "udpos"], ["en"], [3, 4])
    made = load_settings(new.make(here / "mine", choice))
    shipped = yaml.safe_load((folders.packaged() / f"params/{ENCODERS[encoder]}.yaml").read_text())
    assert made.study == "mine" and made.seeds == [3, 4] and made.languages == ["en"]
    assert made.conditions == ["none", "mnli", "squad", "none~mnli"]
    assert made.analysis.contrasts == [["mnli", "none"], ["squad", "none"], ["mnli", "none~mnli"]]
    assert made.analysis.primary.model_dump() == {
        "treatment": "mnli", "baseline": "none",
        "target": "xnli", "metric": "accuracy", "by": "group",
    }  # fmt: skip
    given = made.model_dump(exclude_unset=True)
    for key in ("intermediate", "target", "evaluation", "retrieval", "precision"):
        want = numbers(shipped.get(key))
        if encoder == "offline-e5" and key == "evaluation":
            want["max_clusters"] = {"xnli": 150, "udpos": 250}
        assert given.get(key) == want, key
    assert set(given.get("tasks", {})) == {"mnli", "udpos"} & set(shipped.get("tasks", {}))
    notebooks = {path.name for path in (here / "mine" / "notebooks").glob("*.ipynb")}
    assert notebooks == {path.name for path in (folders.packaged() / "notebooks").glob("*.ipynb")}


def test_nothing_is_left_of_a_study_that_is_not_sound(here):
    choice = new.Choice("pretrain", ["squad"], ["xquad"], ["xx"], [0])
    with pytest.raises(UserError, match=r"mine/params/mine.yaml:11: languages.*'xx'"):
        new.make(here / "mine", choice)
    assert list(here.iterdir()) == []
    (here / "full").mkdir()
    (here / "full" / "config.json").write_text('{"model_type": "xlm-roberta"}')
    with pytest.raises(UserError, match=r"full': has no model.safetensors"):
        new.make(here / "mine", new.chosen({"encoder": "full", "targets": ["xquad"]}))
    assert not (here / "mine").exists()
    (here / "full" / "thing").touch()
    with pytest.raises(UserError, match="not empty; choose another name"):
        new.make(here / "full", new.chosen({"encoder": "pretrain"}))
    with pytest.raises(UserError, match="a study named demo comes with xtsupport"):
        new.make(here / "demo", new.chosen({"encoder": "pretrain"}))


def test_questions_take_defaults_and_refuse_unknown_names(here, capsys):
    answers = iter(["pretrain", "squadd", "squad, mnli", "", "de sw"])
    given = dict.fromkeys(vars(new.Choice())) | {"seeds": [7]}
    choice = new.asked(given, lambda prompt: next(answers))
    assert choice == new.Choice(
        "pretrain", ["squad", "mnli"], [*new.Choice.targets], ["de", "sw"], [7]
    )
    assert choice.data == "world" and new.Choice().data == "hub"
    assert "squadd: is not in the list (did you mean 'squad'?)" in capsys.readouterr().out
    assert next(answers, "all used") == "all used"


def test_an_encoders_folder_is_named_so_that_it_is_found_from_the_new_folder(here):
    (here / "mine").mkdir()
    assert new.chosen({"encoder": "mine"}).encoder == str(here / "mine")
    assert new.chosen({"encoder": "owner/name"}).encoder == "owner/name"


def test_without_a_terminal_nothing_is_asked(here, monkeypatch, capsys):
    monkeypatch.setattr("builtins.input", lambda *_: pytest.fail("asked"))
    assert cli.main(["new", "a study", "--encoder", "pretrain", "--targets", "tatoeba"]) == 0
    assert "8 runs in 7 nodes" in capsys.readouterr().out
    made = (here / "a study" / "params" / "a_study.yaml").read_text("utf-8")
    assert "[squad, none]" in made and "none~squad" not in made  # nothing trains: it has no runs
