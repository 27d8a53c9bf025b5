"""Parts of a study: their runs are those of the whole, and nothing else is read."""

import pytest
from study_toys import compared_root

from xtsupport.errors import UserError
from xtsupport.study import narrowing, run_store
from xtsupport.study.inputs import Inputs
from xtsupport.study.params.loading import load_settings
from xtsupport.study.plan import left_out, open_study


@pytest.fixture
def params(tmp_path, monkeypatch):
    monkeypatch.setenv("XTSUPPORT_ROOT", str(tmp_path))
    return compared_root(tmp_path)


def test_a_part_has_the_runs_of_the_whole_with_their_keys(params):
    """``all`` still mixes mnli, which is not in the part; contrasts go with what they need."""
    whole = open_study(params)
    part = open_study(params, only=["conditions=none,all", "targets=xquad"])
    recipes = {run.name: run.recipe for run in whole.plan.runs}
    assert {run.name for run in part.plan.runs} == {
        "pretraining/seed0",
        *(f"intermediate/all/seed{seed}" for seed in (0, 1)),
        *(f"target/squad/{name}/plain/seed{seed}" for name in ("none", "all") for seed in (0, 1)),
    }
    assert all(recipes[run.name] == run.recipe for run in part.plan.runs)
    assert part.settings.analysis.contrasts == [] and part.settings.analysis.primary is None
    told = "\n".join(left_out(part))
    assert "contrast squad against none" in told and "contrast mnli against none" in told
    assert "the primary comparison" in told and "15 of the study's 22 runs" in told
    nodes = {node.name: node for node in part.plan.nodes}
    assert "target-squad" not in nodes and "retrieval-none" not in nodes
    words = {"only": ["conditions=none,all", "targets=xquad"]}
    assert all(words.items() <= node.parameters.items() for node in nodes.values())


def test_languages_of_no_target_are_told(params):
    words = ["data=hub", "languages=[bg,ru,sw]"]
    told = [narrowing.unspoken(load_settings(params, [*words, f"targets={targets}"]))
            for targets in ("[xquad]", "[xquad,xnli]")]  # fmt: skip
    assert told == [["left out: bg, sw, which no target of the study has"], []]


def test_a_setting_that_a_task_has_for_itself_is_told(params):
    words = ["tasks.squad.epochs=24", "target.epochs=4", "target.learning_rate=0.1"]
    told = narrowing.overruled(load_settings(params, words))
    assert told == ["target.epochs = 4.0 does not change squad, which has its own: set "
                    "tasks.squad.epochs (now 24.0)"]  # fmt: skip


def test_a_part_reads_what_its_own_runs_read_and_nothing_else(params, monkeypatch):
    asked, fingerprint = set(), Inputs.fingerprint

    def noted(inputs, *read):
        asked.add(read[0])
        return fingerprint(inputs, *read)

    monkeypatch.setattr(Inputs, "fingerprint", noted)
    open_study(params, only=["conditions=none,squad", "targets=xquad"])
    assert asked == {"wikipedia", "squad", "xquad"}
    asked.clear()
    open_study(params, only=["conditions=none", "targets=tatoeba"])
    assert asked == {"wikipedia", "tatoeba"}


def test_the_list_of_a_studys_runs_outlives_a_part(params):
    whole = open_study(params)
    part = open_study(params, only=["conditions=none", "targets=xquad"])
    run_store.write_list(part)
    assert {row["name"] for row in run_store.read_list(whole.folder)} == {
        r.name for r in part.plan.runs
    }
    run_store.write_list(whole)
    run_store.write_list(part)
    assert {row["name"] for row in run_store.read_list(whole.folder)} == {
        run.name for run in whole.plan.runs
    }


def test_a_part_that_keeps_the_primary_comparison_keeps_its_standing(params):
    part = open_study(params, only="conditions=squad,none")
    assert part.settings.analysis.primary == open_study(params).settings.analysis.primary
    assert part.settings.analysis.contrasts == [["squad", "none"]]
    assert [run.seed for run in open_study(params, only="seeds=1").runs("target", "squad")] == [1]
    retrieval = open_study(params, only=["seeds=1", "conditions=none"]).runs("retrieval")
    assert [run.name for run in retrieval] == ["retrieval/none/seed0"]


def test_a_part_by_seeds_where_conditions_have_their_own(params):
    """Conditions without any of the chosen seeds go, and what is compared with them."""
    own = {"seeds.none": [0, 1, 2], "seeds.squad": [0, 2]}
    whole = open_study(params, own)
    assert [run.seed for run in whole.runs("target", "none")] == [0, 1, 2]
    assert [run.seed for run in whole.runs("intermediate", "squad")] == [0, 2]
    assert [run.seed for run in whole.runs("target", "mnli", targets="xquad")] == [0, 1]
    part = open_study(params, own, only="seeds=2")
    assert part.settings.conditions == ["none", "squad"]
    assert part.settings.analysis.contrasts == [["squad", "none"]]
    assert {run.name for run in part.plan.runs} == {
        "pretraining/seed0", "intermediate/squad/seed2", "retrieval/none/seed0",
        "retrieval/squad/seed2", *(f"target/squad/{x}/plain/seed2" for x in ("none", "squad")),
    }  # fmt: skip
    with pytest.raises(UserError, match=r'allowed: 0, 2; .*\["seeds=\[0, 2, 1\]"\]') as caught:
        open_study(params, {"seeds": [0, 2]}).runs("target", "squad", seeds=1)
    hint = r'settings = \["seeds.none=\[0, 1, 2\]", "seeds.squad=\[0, 2, 1\]"\]'
    with pytest.raises(UserError, match=hint):
        whole.runs("target", "squad", seeds=1)
    assert len(caught.value.problems) == 1


def test_mistakes_in_only_are_all_named(params):
    with pytest.raises(UserError) as caught:
        open_study(params, only=["condition=none", "targets=xqad", "seeds="])
    one, two, three = caught.value.problems
    assert "did you mean 'conditions'" in one and "did you mean 'xquad'" in two
    assert "names nothing" in three


def test_controls_go_where_no_target_trains():
    """They are controls of phase 3; sentence retrieval has none."""
    whole = load_settings("params/demo.yaml")
    part = narrowing.part_of(whole, ["targets=tatoeba"])
    assert set(whole.conditions) - set(part.conditions) == {"none~squad"}
    assert part.analysis.contrasts and not any("~" in b for _, b in part.analysis.contrasts)
    assert "none~squad" in narrowing.part_of(whole, ["targets=tatoeba,xquad"]).conditions
