"""The plan: which runs a study has, what each depends on, and what a change redoes."""

import math
from dataclasses import replace

import pytest
import yaml
from study_toys import toy_settings

from xtsupport.data import hub
from xtsupport.errors import UserError
from xtsupport.study.inputs import Inputs
from xtsupport.study.phase2 import Phase2
from xtsupport.study.plan import left_out, open_study
from xtsupport.study.planner import Planner
from xtsupport.training.recipe import steps_of

CONDITIONS = ["none", "squad", "mnli", "all", "none~squad", "none~all"]


@pytest.fixture
def study(tmp_path, monkeypatch):
    """A function that plans the toy study with changes."""
    monkeypatch.setenv("XTSUPPORT_ROOT", str(tmp_path))

    def planned(**changes):
        path = tmp_path / "toy.yaml"
        path.write_text(yaml.safe_dump(toy_settings(**changes)))
        return open_study(path)

    return planned


def by_name(study):
    return {run.name: run for run in study.plan.runs}


def test_the_runs_of_a_study(study):
    names = list(by_name(study(targets=["xquad", "xnli", "tatoeba"])))
    assert names[0] == "pretraining/seed0"
    assert set(names[1:]) == {
        *(f"intermediate/squad/seed{seed}" for seed in (0, 1)),
        *(
            f"target/{task}/{condition}/plain/seed{seed}"
            for task in ("squad", "mnli")
            for condition in ("none", "squad", "none~squad")
            for seed in (0, 1)
        ),
        "retrieval/none/seed0",  # the encoder as it is: nothing depends on a seed
        *(f"retrieval/squad/seed{seed}" for seed in (0, 1)),  # and none for a control
    }


def test_seeds_may_differ_by_condition_and_target(study):
    wide = ({"default": [0], "xquad": [0, 1, 2]} for _ in range(2))
    targets = ["xquad", "mlqa", "xnli", "tatoeba"]
    made = study(
        targets=targets, seeds={"default": [0, 1], "squad": next(wide), "none": next(wide)}
    )
    runs, parts = by_name(made), {}
    for run in runs.values():
        parts.setdefault((run.phase, run.training_task, run.condition), []).append(run.seed)
    assert parts["intermediate", "", "squad"] == [0, 1, 2]  # what its targets need together
    assert parts["target", "squad", "squad"] == parts["target", "squad", "none"] == [0, 1, 2]
    assert parts["target", "mnli", "squad"] == parts["target", "mnli", "none"] == [0]
    assert parts["target", "squad", "none~squad"] == parts["target", "mnli", "none~squad"] == [0, 1]
    assert parts["retrieval", "", "squad"] == parts["retrieval", "", "none"] == [0]
    served = [
        list(runs[f"target/squad/none/plain/seed{seed}"].settings["targets"]) for seed in (0, 2)
    ]
    assert served == [["xquad", "mlqa"], ["xquad"]]  # seed 2 was asked for on one of the two
    usual = by_name(study(targets=targets, seeds=[0, 1, 2]))
    same = [name for name in runs if name in usual and not name.startswith("target/squad")]
    assert len(same) > 9 and all(runs[name].recipe == usual[name].recipe for name in same)
    assert len(made.runs("target", "none", seeds=[2])) == 1
    with pytest.raises(UserError, match=r"seed = 2: not in this study; allowed: 0; to add it"):
        made.runs("target", "none", seeds=[2], targets=["xnli"])


def test_only_what_there_is_can_be_added_to_a_study(study):
    made = study(conditions=["none", "squad"], targets=["xquad"])
    added = {"mnli": "conditions", "none~squad": "conditions", "squad+mlm": "conditions"}
    for name, key in (added | dict.fromkeys(("sqad", "mnly"))).items():
        with pytest.raises(UserError) as error:
            made.runs("target", name)
        assert (f'to add it, set settings = ["{key}=[' in str(error.value)) == bool(key)
    with pytest.raises(UserError) as error:
        made.runs("target", "squad", targets=["xnli", "xqad"])
    there, typo = error.value.problems
    assert there.endswith('to add it, set settings = ["targets=[xquad, xnli]"]')
    assert typo.endswith("not in this study (did you mean 'xquad'?); allowed: xquad")


def test_a_part_by_seed_is_without_the_targets_that_lack_it(study):
    seeds = {"default": [0], "squad": {"default": [0], "xquad": [0, 5]}}
    path = study(targets=["xquad", "xnli", "tatoeba"], seeds=seeds).params
    part = open_study(path, only=["seeds=5"])
    assert part.settings.targets == ["xquad"] and part.settings.conditions == ["squad"]
    assert [run.name for run in part.plan.runs] == [
        "pretraining/seed0", "intermediate/squad/seed5", "target/squad/squad/plain/seed5"
    ]  # fmt: skip
    part = open_study(path, only=["targets=xnli"])
    assert {run.seed for run in part.plan.runs} == {0}
    with pytest.raises(UserError, match="no chosen condition has seed 5 on a chosen target"):
        open_study(path, only=["seeds=5", "targets=xnli"])


def test_what_each_run_starts_from(study):
    runs = by_name(study())
    above = {name: [each.name for each in run.upstream] for name, run in runs.items()}
    assert above["pretraining/seed0"] == []
    assert above["intermediate/squad/seed1"] == ["pretraining/seed0"]
    assert above["target/squad/squad/plain/seed1"] == ["intermediate/squad/seed1"]
    assert above["target/squad/none~squad/plain/seed1"] == ["pretraining/seed0"]
    assert above["retrieval/squad/seed1"] == ["intermediate/squad/seed1"]


def test_a_ready_encoder_needs_no_phase_1(study):
    runs = by_name(study(encoder="offline-e5"))
    assert "pretraining/seed0" not in runs
    assert runs["intermediate/squad/seed0"].upstream == ()
    assert runs["intermediate/squad/seed0"].settings["encoder"] == "offline-e5"


def test_controls_take_as_many_steps_as_what_they_control(study):
    runs = by_name(
        study(
            conditions=CONDITIONS,
            intermediate={
                "epochs": 3,
                "batch_size": 7,
                "max_rows": 20,
                "mixing_cap": 15,
                "stride": 0,
                "max_length": 96,
            },
            intermediate_tasks={"mnli": {"max_rows": 10}},
        )
    )
    squad, mixed = (math.ceil(3 * rows / 7) for rows in (20, 15 + 10))  # squad counts only the cap
    matched = {
        name: runs[f"target/squad/none~{name}/plain/seed0"].settings["matched"]
        for name in ("squad", "all")
    }
    for name, expected in (("squad", squad), ("all", mixed)):
        own = runs[f"intermediate/{name}/seed0"].settings
        for each in (own, matched[name]):  # one window a row
            assert steps_of(each, each["tasks"]) == expected
            assert steps_of(each, dict.fromkeys(each["tasks"], 30)) == math.ceil(3 * 30 / 7)
    plain = runs["target/squad/none/plain/seed0"].settings
    assert "matched" not in plain and steps_of(plain, {"squad": plain["rows"]}) == 2


def test_all_mixes_every_single_task_of_the_study(study):
    run = by_name(study(conditions=CONDITIONS))["intermediate/all/seed0"]
    assert run.settings["tasks"] == {"mnli": 16, "squad": 16}


def test_one_phase_3_run_serves_every_target_that_shares_its_training_data(study):
    tasks = by_name(study())["target/squad/none/plain/seed0"].settings["targets"]
    assert list(tasks) == ["xquad"]
    assert tasks["xquad"][0] == "en"
    few = by_name(study(languages=["en", "qfb"]))
    assert few["target/squad/none/plain/seed0"].settings["targets"] == {"xquad": ["en", "qfb"]}
    assert few["retrieval/none/seed0"].settings["targets"] == {"tatoeba": ["qfb"]}


CHANGES = [
    # what is changed, and the start of every run name that must be redone for it
    ({"threads": 2, "checkpoint_minutes": 1.0}, ()),
    ({"evaluation": {"batch_tokens": 99}}, ()),
    ({"analysis": {"margin": 3.0}}, ()),
    ({"nodes": {"split": "run"}}, ()),
    ({"tasks": {"squad": {"epochs": 1}}}, ()),  # the value it already has
    ({"retrieval": {"pooling": "cls"}}, ("retrieval/",)),
    ({"evaluation": {"max_answer_length": 9}}, ("target/",)),
    ({"tasks": {"squad": {"epochs": 2}}}, ("target/squad/",)),
    (
        {"intermediate_tasks": {"squad": {"epochs": 2}}},
        ("intermediate/squad", "target/squad/squad", "target/squad/none~squad", "retrieval/squad"),
    ),
    (
        {"intermediate_tasks": {"squad": {"learning_rate": 0.5}}},
        ("intermediate/squad", "target/squad/squad", "retrieval/squad"),
    ),
    ({"pretraining": {"steps": 5, "batch_size": 8, "max_length": 96}}, ("",)),
    ({"precision": "bfloat16"}, ("",)),
]


@pytest.mark.parametrize(("change", "redone"), CHANGES, ids=lambda value: str(value)[:50])
def test_a_change_redoes_exactly_its_descendants(study, change, redone):
    before, after = by_name(study()), by_name(study(**change))
    changed = {name for name in before if before[name].recipe != after[name].recipe}
    assert changed == {name for name in before if redone and name.startswith(redone)}


def test_changed_data_change_the_keys_of_what_reads_them(study, monkeypatch):
    before, real = by_name(study()), hub.fingerprint
    monkeypatch.setattr(
        hub,
        "fingerprint",
        lambda task, language, *rest: real(task, language, *rest) + "!" * (task == "xquad"),
    )
    after = by_name(study())
    assert {name for name in before if before[name].recipe != after[name].recipe} == {
        name for name in before if name.startswith("target/")
    }


def test_keys_do_not_depend_on_where_or_under_which_name_a_study_lies(study):
    one, other = by_name(study()), by_name(study(study="other"))
    assert all(one[name].recipe == other[name].recipe for name in one)


def test_no_two_runs_share_a_key(study):
    keys = [run.recipe for run in study(conditions=CONDITIONS).plan.runs]
    assert len(keys) == len(set(keys))


def test_nodes_wait_for_the_nodes_above_them(study):
    nodes = {node.name: node for node in study().plan.nodes}
    assert list(nodes) == [
        "data", "pretraining", "intermediate-squad", "target-none", "target-squad",
        "target-none~squad", "retrieval-none", "retrieval-squad", "results", "significance",
    ]  # fmt: skip
    assert nodes["target-squad"].upstream == ("intermediate-squad",)
    assert nodes["target-none~squad"].upstream == ("pretraining",)
    assert nodes["results"].upstream == tuple(
        name for name in nodes if name.startswith(("target", "retrieval"))
    )
    assert nodes["target-squad"].parameters == {
        "condition": "squad", "seeds": [0, 1], "targets": ["xquad"],
    }  # fmt: skip


def test_a_study_can_have_one_node_per_run(study):
    nodes = {node.name: node for node in study(nodes={"split": "run"}).plan.nodes}
    assert nodes["target-squad-squad-seed1"].upstream == ("intermediate-squad-seed1",)
    assert all(len(node.runs) == 1 for node in nodes.values())


def test_a_plot_or_a_margin_redoes_only_the_significance(study):
    def keys(**changes):
        return {node.name: node.runs[0].recipe for node in study(**changes).plan.nodes}

    before, after = keys(), keys(analysis={"margin": 2.0})
    assert [name for name in before if before[name] != after[name]] == ["significance"]


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({}, True),
        ({"conditions": ["none"]}, False),
        ({"conditions": ["squad", "mnli"]}, False),  # with what? nothing is called none
        ({"conditions": ["squad", "squad+mlm"]}, True),
        ({"conditions": ["squad"], "variants": ["squad/smoothing"]}, True),
        ({"targets": ["xquad"], "languages": ["en"]}, False),
        ({"targets": ["xquad"], "languages": ["en", "qka"]}, True),
    ],
)
def test_significance_is_planned_where_something_can_be_compared(study, changes, told):
    made = study(**changes)
    assert ("significance" in {node.name for node in made.plan.nodes}) == told
    assert any("no report" in line for line in left_out(made)) != told


def test_runs_are_selected_by_what_notebooks_ask_for(study):
    toy = study(targets=["xquad", "xnli", "tatoeba"])
    assert len(toy.runs("target")) == 12
    assert [run.seed for run in toy.runs("target", "squad", [1], ["xquad"])] == [1]
    assert [run.name for run in toy.runs("retrieval", "none", [1])] == ["retrieval/none/seed0"]
    [scratch] = toy.runs("intermediate", "squad", [1], into="scratch")
    assert scratch.interactive and scratch.upstream[0].interactive
    assert scratch.recipe == toy.runs("intermediate", "squad", [1])[0].recipe
    with pytest.raises(UserError) as caught:
        toy.runs("target", "sqad", [7], ["xqad"], "elsewhere")
    assert len(caught.value.problems) == 4
    assert "did you mean 'squad'?" in caught.value.problems[1]


def test_missing_data_are_all_named(study, tmp_path):
    (tmp_path / "mirror").mkdir()
    with pytest.raises(UserError) as caught:
        study(data="mirror", encoder="offline-e5", languages=["en", "de"])
    text = "\n".join(caught.value.problems)
    assert "no validation split of xquad in de" in text
    assert "squad" in text


def test_an_encoder_folder_counts_by_its_contents(study, tmp_path):
    model = tmp_path / "model"
    model.mkdir()
    (model / "config.json").write_text("{}")
    before = by_name(study(encoder="./model"))["target/squad/none/plain/seed0"]
    (model / "config.json").write_text("{} ")
    after = by_name(study(encoder="./model"))["target/squad/none/plain/seed0"]
    assert before.recipe != after.recipe
    assert replace(before, data=after.data).recipe == after.recipe


def test_another_training_split_changes_only_the_runs_that_read_it(study):
    """Setting it to null, or not at all, is the same; rows and fingerprints are the split's own."""
    plain, null = by_name(study()), study(tasks={"squad": {"train_split": None}})
    assert {name: run.recipe for name, run in plain.items()} == {
        name: run.recipe for name, run in by_name(null).items()
    }
    other = by_name(study(intermediate_tasks={"squad": {"train_split": "validation"}}))
    run, before = other["intermediate/squad/seed0"], plain["intermediate/squad/seed0"]
    assert run.settings == before.settings | {
        "train_splits": {"squad": "validation"},
        "tasks": {"squad": 12},  # of the smallest world, which has 48 training rows
    }
    assert run.data["squad/en/train"] != before.data["squad/en/train"]
    name = "target/squad/none/plain/seed0"
    assert other[name].recipe == plain[name].recipe
    with pytest.raises(UserError, match="has no dev split of squad in en"):
        study(intermediate_tasks={"squad": {"train_split": "dev"}})


def test_phase_3_can_train_on_another_split(study):
    runs = by_name(study(tasks={"squad": {"train_split": "validation"}}))
    run = runs["target/squad/squad/plain/seed0"]
    assert run.settings["train_splits"] == {"squad": "validation"} and run.settings["rows"] == 12
    assert "train_splits" not in runs["intermediate/squad/seed0"].settings


def test_a_limit_per_target_concerns_only_the_runs_that_serve_it(study):
    targets = ["xquad", "xnli", "udpos"]
    limit = {"evaluation": {"max_clusters": 4}}
    plain = by_name(study(targets=targets, **limit))
    runs = by_name(study(targets=targets, evaluation={"max_clusters": {"xquad": 4, "xnli": 2}}))
    span, nli, tags = (f"target/{name}/none/plain/seed0" for name in ("squad", "mnli", "udpos"))
    assert plain[span].settings["max_clusters"] == 4
    assert runs[span].settings["max_clusters"] == {"xquad": 4}
    assert runs[nli].settings["max_clusters"] == {"xnli": 2}
    assert runs[tags].settings["max_clusters"] == {}


def test_pairs_of_languages_and_other_evaluation_splits_are_there_only_when_asked_for(study):
    targets = ["xquad", "xnli", "udpos"]
    plain = by_name(study(targets=targets))
    asked = {"pairs": [["qka", "en"], ["en", "qfa"]], "splits": {"xnli": "validation"}}
    runs = by_name(study(targets=targets, evaluation=asked))
    span, nli, tags = (f"target/{name}/none/plain/seed0" for name in ("squad", "mnli", "udpos"))
    assert runs[span].settings == plain[span].settings | {"pairs": {"xquad": asked["pairs"]}}
    assert runs[nli].settings["eval_splits"] == {"xnli": "validation"}
    assert runs[nli].data["xnli/qka"] != plain[nli].data["xnli/qka"]
    assert runs[tags].recipe == plain[tags].recipe
    new = set(runs[span].data) - set(plain[span].data)
    assert new == {"xquad/qka+en", "xquad/en+qfa"}


def test_more_seeds_ask_the_data_nothing_more(study, monkeypatch):
    asked = []
    fingerprint = hub.fingerprint
    monkeypatch.setattr(hub, "fingerprint", lambda *a: asked.append(a) or fingerprint(*a))
    two = by_name(study())
    few = len(asked)
    many = by_name(study(seeds=list(range(30))))
    assert len(many) > 10 * len(two) and len(asked) == 2 * few == 2 * len(set(asked))
    assert {name: many[name].recipe for name in two} == {
        name: run.recipe for name, run in two.items()
    }


def test_what_is_remembered_while_planning_changes_no_key(study):
    settings = study(
        conditions=["none", "squad", "mnli", "all", "all+mlm", "squad@matched", "none~all"],
        targets=["xquad", "xnli", "udpos", "tatoeba"],
        variants=["none/smoothing", "squad/adversarial"],
    ).settings
    forgetful = Planner(settings)
    for name in [name for name in vars(forgetful.inputs) if hasattr(Inputs, name)]:
        delattr(forgetful.inputs, name)
    forgetful.phase2 = lambda name: Phase2(name, forgetful.inputs)
    keys = [run.recipe for run in forgetful.all_runs()]
    assert keys == [run.recipe for run in Planner(settings).all_runs()]
