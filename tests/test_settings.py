"""Params files: one schema, every problem at once, none of YAML's traps."""

import json
import random
import re
from pathlib import Path

import pytest
import yaml
from study_toys import toy_settings

from xtsupport.errors import UserError
from xtsupport.study.params.loading import load_settings

PARAMS = Path(__file__).parents[1] / "params"


def written(folder: Path, settings) -> Path:
    path = folder / "study.yaml"
    path.write_text(settings if isinstance(settings, str) else yaml.safe_dump(settings))
    return path


def problems(folder: Path, settings, overrides=()) -> tuple[str, ...]:
    with pytest.raises(UserError) as caught:
        load_settings(written(folder, settings), overrides)
    return caught.value.problems


@pytest.mark.parametrize("path", sorted(PARAMS.glob("*.yaml")), ids=lambda path: path.stem)
def test_shipped_params_are_valid_or_lack_only_their_data(path):
    try:
        assert load_settings(path).study == path.stem
    except UserError as error:
        assert all("data = " in problem for problem in error.problems)


def test_all_problems_at_once_with_file_line_key_value_and_remedy(tmp_path):
    found = problems(
        tmp_path,
        "study: s\ndata: world-tiny\nencodr: x\nencoder: pretrain\nconditions: [none, sqaud]\n"
        "targets: [xquad]\ntarget: {epochs: -1, batch_size: two}\nseeds: []\nprecision: fp16\n",
    )
    text = "\n".join(found)
    name = tmp_path / "study.yaml"
    assert f"{name}:3: encodr: unknown setting (did you mean 'encoder'?)" in text
    assert f"{name}:5: conditions: unknown condition 'sqaud' (did you mean 'squad'?)" in text
    assert f"{name}:7: target.epochs = -1: must be a number, > 0, <= 1000" in text
    assert f"{name}:7: target.batch_size = 'two': must be a whole number, >= 1" in text
    assert f"{name}:8: seeds = []: must be such as [0, 1, 2] or " in text
    assert f"{name}:9: precision = 'fp16': must be auto or float32 or bfloat16" in text
    assert len(found) == 6


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        ({"study": "; rm -rf ~"}, "study = '; rm -rf ~': must be a name"),
        (
            {"cuda_graphs": True, "evaluation": {"checkpointing": True}},
            "cuda_graphs = true: set it to false, or evaluation.checkpointing",
        ),
        ({"study": "../../etc"}, "study = '../../etc': must be a name"),
        ({"study": "a/b"}, "study = 'a/b': must be a name"),
        ({"study": "scratch"}, "study = 'scratch': is reserved"),
        ({"data": "nowhere"}, "data = 'nowhere': no folder"),
        ({"encoder": "./nowhere"}, "no model in"),
        ({"conditions": ["none", "none~mnli"]}, "'none~mnli' needs the condition 'mnli'"),
        ({"conditions": ["none", "squad", "all"]}, "`all` mixes the single tasks"),
        ({"conditions": ["none", "squad", "squad"]}, "squad is listed 2 times"),
        ({"conditions": ["squad~none"]}, "none~X"),
        ({"targets": ["squad"]}, "unknown target 'squad'"),
        ({"seeds": [0, 1, 1]}, "seeds: 1 is listed 2 times"),
        ({"seeds": [True]}, "seeds[0] = True: must be a whole number"),
        ({"seeds": [2**31]}, "seeds[0] = 2147483648: must be a whole number"),
        ({"seeds": 8}, "seeds = 8: must be such as [0, 1, 2] or {"),
        ({"seeds": {"squad": 8}}, "seeds.squad = 8: must be a list of 1 to 1000"),
        ({"seeds": {"squad": [0, -1]}}, "seeds.squad[1] = -1: must be a whole number, >= 0"),
        ({"seeds": {"none": [2, 2]}}, "seeds.none: 2 is listed 2 times; keep one"),
        (
            {"seeds": {"sqaud": [0]}},
            "seeds.sqaud: is not a condition of the study (did you mean 'squad'?)",
        ),
        ({"languages": ["no"]}, "unknown language 'no'"),
        ({"languages": ["en"]}, "none of them is a language of target tatoeba"),
        ({"tasks": {"xquad": {"epochs": 1}}}, "tasks.xquad: the study does not train on 'xquad'"),
        ({"tasks": {"squad": {"epoch": 1}}}, "tasks.squad.epoch: unknown setting"),
        (
            {"tasks": {"squad": {"max_length": 64}}},
            "tasks.squad: max_length 64 leaves 0 tokens of text in a window of squad (without 4 "
            "special ones and 64 of a question), and stride 16 must be less",
        ),
        (
            {"target": {"max_length": 128, "stride": 60}},
            "target.stride: max_length 128 leaves 60 tokens of text",
        ),
        (
            {"conditions": ["none", "squad"], "intermediate": {"max_length": 96, "stride": 28}},
            "intermediate.stride: max_length 96 leaves 28 tokens of text",
        ),
        (
            {"targets": ["panx"], "tasks": {"panx": {"max_length": 34, "stride": 32}}},
            "tasks.panx: max_length 34 leaves 32 tokens of text",
        ),
        (
            {"target": {"stride": 16, "step": 48}},
            "target: has stride 16 and step 48, which",
        ),
        (
            {"targets": ["panx"], "tasks": {"panx": {"stride": 0, "step": 48}}},
            "tasks.panx: has stride 0 and step 48",
        ),
        (
            {"target": {"step": 48}, "tasks": {"squad": {"stride": 16}}},
            "tasks.squad.stride = 16: has no effect beside the step 48 of its phase; set",
        ),
        (
            {
                "conditions": ["none", "squad", "squad+mlm"],
                "intermediate": {},
                "intermediate_tasks": {"squad": {"step": 40}, "squad+mlm": {"stride": 16}},
            },
            "intermediate_tasks.squad+mlm.stride = 16: has no effect beside the step 40",
        ),
        (
            {"encoder": "offline-e5", "target": {"max_length": 600}},
            "target.max_length = 600: the encoder takes at most 512 tokens",
        ),
        (
            {"encoder": "offline-e5", "tasks": {"squad": {"max_length": 513}}},
            "tasks.squad.max_length = 513: the encoder takes at most 512 tokens",
        ),
        ({"intermediate_tasks": {"mnli": {}}}, "intermediate_tasks.mnli: the study does not"),
        (
            {"targets": ["udpos"], "tasks": {"udpos": {"train_split": "validation+test"}}},
            "tasks.udpos.train_split = 'validation+test': udpos is evaluated on test",
        ),
        (
            {"targets": ["xquad", "udpos"], "evaluation": {"pairs": [["qka", "de"]]}},
            "evaluation.pairs: [qka, de] must be two languages of one of xquad",
        ),
        (
            {"evaluation": {"splits": {"tatoeba": "test"}}},
            "evaluation.splits.tatoeba: is not a target of the study that is trained",
        ),
        (
            {"evaluation": {"max_clusters": {"xquod": 3}}},
            "evaluation.max_clusters.xquod: is not a target of the study that is trained (did you",
        ),
        (
            {"evaluation": {"max_clusters": {"xquad": 0}}},
            "evaluation.max_clusters.xquad = 0: must be a whole number, >= 1",
        ),
        (
            {"evaluation": {"languages": {"xquod": ["en"]}}},
            "evaluation.languages.xquod: is not a target (did you mean 'xquad'?)",
        ),
        (
            {"evaluation": {"languages": {"xquad": ["en", "de"]}}},
            "evaluation.languages.xquad: 'de' is not one of its languages",
        ),
        (
            {"evaluation": {"max_clusters": "many"}},
            "evaluation.max_clusters = 'many': must be a whole number, >= 1, or a mapping of name",
        ),
        (
            {"targets": ["udpos"], "evaluation": {"splits": {"udpos": "train"}}},
            "tasks.udpos.train_split = 'train': udpos is evaluated on train",
        ),
        ({"pretraining": {"heads": 3, "max_length": 96}}, "heads = 3: must divide hidden_size"),
        ({"retrieval": {"layer": 3}}, "retrieval.layer = 3: the encoder has 2 layers"),
        (
            {"targets": ["tatoeba"], "retrieval": {"tasks": {"tatoeba": {"layer": 3}}}},
            "retrieval.tasks.tatoeba.layer = 3: the encoder has 2 layers",
        ),
        (
            {"retrieval": {"tasks": {"xquad": {"layer": 1}}}},
            "retrieval.tasks.xquad: is not a retrieval target of the study",
        ),
        ({"retrieval": {"max_length": 999}}, "retrieval.max_length = 999: the encoder takes at"),
        ({"target": {"betas": [0.9]}}, "target.betas = [0.9]: must be a list of exactly 2 values"),
        (
            {"intermediate": {"sampler": "size"}},
            "must be proportional or capped or temperature or uniform",
        ),
        ({"target": {"warmpu": 0.1}}, "target.warmpu: unknown setting (did you mean 'warmup'?)"),
        ({"pretraining": {"max_length": 90}}, "target.max_length = 96: the encoder takes at most"),
        ({"analysis": {"contrasts": [["squad", "mnli"]]}}, "'mnli' is not a condition"),
        ({"analysis": {"contrasts": [["squad", "squad"]]}}, "'squad' is compared with itself"),
        ({"analysis": {"contrasts": [["squad"]]}}, "must be a list of exactly 2"),
        ({"tasks": {"squad": {"max_length": None}}}, "max_length = None: must be a whole number"),
        ({"retrieval": {"tasks": {"tatoeba": {"layer": None}}}}, "layer = None: must be a whole"),
        (
            {"analysis": {"primary": {"treatment": "squad", "target": "xnli"}}},
            "analysis.primary.target = 'xnli': is not a target of the study",
        ),
        (
            {"analysis": {"primary": {"treatment": "squad", "target": "xquad", "metric": "f2"}}},
            "analysis.primary.metric = 'f2': xquad has f1",
        ),
        ({"analysis": {"margin": float("inf")}}, "analysis.margin"),
        ({"threads": "yes"}, "threads = 'yes': must be a whole number"),
        (
            {"target": {"freeze_embeddings": "no"}},
            "freeze_embeddings = 'no': must be true or false",
        ),
        ({"nodes": {"split": "seed"}}, "nodes.split = 'seed': must be condition or run"),
    ],
    ids=lambda value: str(value)[:40],
)
def test_each_rule_names_key_value_and_what_is_allowed(tmp_path, change, expected):
    found = problems(tmp_path, toy_settings(**change))
    assert any(expected in problem for problem in found), found
    assert all("\n" not in problem for problem in found)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", "is empty"),
        ("[1, 2]", "holds a list"),
        ("a: [", "is not valid YAML"),
        ("study: a\nstudy: b", "study: is set twice (first on line 1)"),
        ("study: &x [1]\ndata: *x", "aliases are not allowed"),
        ("study: !!python/object/apply:os.system [true]", "is not allowed"),
        ("study: \xff", "is not UTF-8"),
        ("a: " + "[" * 5000, "is not valid YAML"),
    ],
)
def test_broken_yaml_is_one_plain_line(tmp_path, text, expected):
    path = tmp_path / "study.yaml"
    path.write_bytes(text.encode("latin-1"))
    with pytest.raises(UserError) as caught:
        load_settings(path)
    assert expected in caught.value.problems[0]


def test_no_is_norwegian_and_numbers_are_numbers(tmp_path):
    text = yaml.safe_dump(toy_settings()) + "checkpoint_minutes: 1e-1\nlanguages: [no, en, qka]\n"
    found = problems(tmp_path, text)
    assert len(found) == 1
    assert "languages: unknown language 'no'" in found[0]
    known = load_settings(written(tmp_path, text.replace("[no, ", "[")))
    assert (known.checkpoint_minutes, known.languages) == (0.1, ["en", "qka"])


def test_set_replaces_values_and_origins_say_so(tmp_path):
    path = written(tmp_path, toy_settings())
    settings = load_settings(path, ["target.epochs=2", "seeds=[5]", "tasks.squad.max_rows=7"])
    assert (settings.target.epochs, settings.seeds) == (2, [5])
    assert settings.tasks["squad"].max_rows == 7
    assert settings.origins["target.epochs"] == settings.origins["tasks.squad.max_rows"] == "--set"
    assert settings.origins["target.batch_size"] == "study.yaml"
    assert settings.origins["target.clip"] == "default"
    assert load_settings(path, {"target.epochs": 2}).target == settings.target


def test_a_condition_may_have_seeds_of_its_own(tmp_path):
    own = {"default": [4, 5], "none": [0, 1, 2]}
    for seeds, overrides in ((own, []), ([4, 5], ["seeds.none=[0, 1, 2]"])):
        settings = load_settings(written(tmp_path, toy_settings(seeds=seeds)), overrides)
        assert settings.seeds_of("none") == [0, 1, 2] and settings.seeds_of("squad") == [4, 5]
        assert settings.every_seed == [0, 1, 2, 4, 5]
    assert settings.origins["seeds.none"] == "--set"
    assert load_settings(written(tmp_path, toy_settings(seeds={"none": [9]}))).every_seed == [
        9, 0, 1, 2
    ]  # fmt: skip


def test_only_languages_of_the_data_are_offered(tmp_path):
    """The real Tatoeba also has XTREME-R's languages, which the invented world lacks."""
    found = problems(tmp_path, toy_settings(languages=["en"]))
    (line,) = [each for each in found if "of target tatoeba" in each]
    offered = line.partition("it has ")[2].split(", ")
    assert len(offered) == 21 and all(code.startswith("q") for code in offered)


def test_a_condition_may_have_other_seeds_on_a_target(tmp_path):
    both = {"targets": ["xquad", "xnli"]}
    own = {"default": [0, 1], "squad": {"default": [4], "xquad": [4, 5, 6]}, "none": {"xnli": [7]}}
    settings = load_settings(written(tmp_path, toy_settings(**both, seeds=own)))
    found = {name: [settings.seeds_of(name, target) for target in settings.targets]
             for name in settings.conditions}  # fmt: skip
    assert found == {"none": [[0, 1], [7]], "squad": [[4, 5, 6], [4]], "none~squad": [[0, 1]] * 2}
    assert settings.seeds_of("none") == [0, 1, 7] and settings.every_seed == [0, 1, 7, 4, 5, 6]
    for given in ([2, 3], {"default": [2, 3]}, {"squad": [2, 3], "default": [1]}):
        path = written(tmp_path, toy_settings(**both, seeds=given))
        settings = load_settings(path, ["seeds.squad.xquad=[8, 9]"])
        assert settings.seeds_of("squad", "xquad") == [8, 9]
        assert settings.seeds_of("squad", "xnli") == [2, 3]
        assert settings.origins["seeds.squad.xquad"] == "--set"
    path = written(tmp_path, toy_settings(**both, seeds=own))
    part = load_settings(path, ["targets=[xquad]"])
    assert part.every_seed == [0, 1, 4, 5, 6] and part._left_out == ["seeds.none.xnli"]


@pytest.mark.parametrize(
    ("override", "expected"),
    [
        ("seeds.squad.xquat=[1]", "seeds.squad.xquat: is not a target of the study"),
        ("seeds.squat.xquad=[1]", "seeds.squat: is not a condition of the study"),
        ("seeds.squad.xquad=[1, 1]", "seeds.squad.xquad: 1 is listed 2 times"),
        ("seeds.squad.xquad=[-1]", "seeds.squad.xquad[0] = -1: must be a whole number, >= 0"),
        ("seeds.squad.xquad=[]", "seeds.squad.xquad = []: must be a list of 1 to 1000"),
        ("seeds.squad=7", "seeds.squad = 7: must be a list of 1 to 1000"),
        ("target.epochs", "must look like key=value"),
        ("target.epoch=2", "--set: target.epoch: unknown setting (did you mean 'epochs'?)"),
        ("target.epochs=soon", "--set: target.epochs = 'soon': must be a number"),
        ("target=3", "--set: target = 3: must be a mapping"),
    ],
)
def test_wrong_overrides_are_named(tmp_path, override, expected):
    assert any(expected in each for each in problems(tmp_path, toy_settings(), [override]))


def test_the_sides_of_a_comparison_share_a_seed(tmp_path):
    """On every target but those of retrieval, which have no seeds without phase 2."""
    both = {"contrasts": [["squad", "none"]]}
    own = {"default": [0, 1], "squad": {"default": [0, 1], "xquad": [7], "tatoeba": [9]}}
    found = problems(tmp_path, toy_settings(analysis=both, seeds=own))
    expected = "on xquad, squad has the seeds [7] and none [0, 1]; they need some in common"
    assert len(found) == 1 and expected in found[0]
    own["squad"]["xquad"] = [7, 1]
    load_settings(written(tmp_path, toy_settings(analysis=both, seeds=own)))


def test_missing_file_and_folder_are_plain(tmp_path):
    for path, expected in ((tmp_path / "none.yaml", "cannot be read"), (tmp_path, "is a folder")):
        with pytest.raises(UserError, match=expected):
            load_settings(path)


def test_mutated_files_never_crash_and_misspelt_keys_are_refused(tmp_path):
    """300 files with one character, value or key spoiled: valid settings or one-line errors."""
    text, draw = (PARAMS / "tiny.yaml").read_text(), random.Random(0)
    keys = sorted(set(re.findall(r"^\s*(\w+):", text, re.MULTILINE)))
    for number in range(300):
        key, misspelt = draw.choice(keys), False
        if number % 3 == 0:
            misspelt, at = True, draw.randrange(len(key))
            spoiled = re.sub(rf"\b{key}:", f"{key[:at]}q{key[at:]}:", text, count=1)
        elif number % 3 == 1:
            value = draw.choice(
                ["-1", "null", "[]", "{}", "yes", "1e999", "'x'", "[[1]]", "0", "é"]
            )
            spoiled = re.sub(rf"\b{key}:.*", f"{key}: {value}", text, count=1)
        else:
            at = draw.randrange(len(text))
            spoiled = text[:at] + draw.choice("{}[]:,&*!|>'\"%@`\t\n #-") + text[at + 1 :]
        try:
            load_settings(written(tmp_path, spoiled))
            assert not misspelt, key
        except UserError as error:
            assert error.problems
            assert all(each and "\n" not in each for each in error.problems)


def test_schema_for_editors_is_in_step():
    import json

    from xtsupport.study.params.settings import schema

    assert json.loads((PARAMS / "schema.json").read_text()) == schema(), "run `make schema`"


def test_set_replaces_stride_by_step_and_back(tmp_path):
    strided = load_settings(PARAMS / "tiny.yaml", ["target.step=48"])
    assert strided.target.step == 48 and "stride" not in strided.target.model_fields_set
    found = problems(tmp_path, (PARAMS / "tiny.yaml").read_text(),
                     ["target.step=48", "target.stride=8"])  # fmt: skip
    assert "target: has stride 8 and step 48" in found[0]


def test_a_tasks_null_step_lets_its_stride_count(tmp_path):
    own = {
        "target": {"step": 48, "max_length": 96},
        "tasks": {"squad": {"stride": 16, "step": None}},
    }
    assert load_settings(written(tmp_path, toy_settings(**own))).tasks["squad"].stride == 16


LISTS = {
    "conditions": ["none", "squad", "mnli", "none~squad"],
    "targets": ["xquad", "udpos", "tatoeba"],
    "variants": ["squad/smoothing", "none/smoothing"],
    "seeds": {"default": [0], "mnli": [0, 1]},
    "tasks": {"squad": {"epochs": 2}, "udpos": {"epochs": 3}},
    "intermediate_tasks": {"squad": {"epochs": 2}, "mnli": {"epochs": 3}},
    "evaluation": {
        "max_clusters": {"xquad": 5, "udpos": 6},
        "splits": {"udpos": "validation"},
        "pairs": [["qka", "en"]],
    },
    "retrieval": {"tasks": {"tatoeba": {"layer": 0}}},
    "analysis": {
        "contrasts": [["squad", "none"], ["mnli", "none"], ["squad", "none~squad"]],
        "primary": {"treatment": "squad", "baseline": "none~squad", "target": "xquad"},
    },
}


def test_set_takes_what_names_a_dropped_condition_or_target_with_it(tmp_path):
    path = written(tmp_path, toy_settings(**LISTS))
    few = load_settings(path, ["conditions=[none, squad]"])
    assert few.variants == ["squad/smoothing", "none/smoothing"] and few.tasks.keys() == {
        "squad",
        "udpos",
    }
    assert few.intermediate_tasks.keys() == {"squad"}
    assert few.analysis.contrasts == [["squad", "none"]] and few.analysis.primary is None
    assert few._left_out == [
        "analysis.contrasts ['mnli', 'none']",
        "analysis.contrasts ['squad', 'none~squad']",
        "analysis.primary",
        "intermediate_tasks.mnli",
        "seeds.mnli",
    ]
    few = load_settings(path, ["targets=[udpos]", "conditions=[none]"])
    assert few.tasks.keys() == {"udpos"} and not few.intermediate_tasks and not few.retrieval.tasks
    assert few.variants == ["none/smoothing"] and few.analysis.contrasts == []
    assert few.evaluation.max_clusters == {"udpos": 6} and few.evaluation.pairs == []
    assert load_settings(path, ["seeds=[4]"])._left_out == []


def test_set_hides_no_mistake_of_the_file_and_none_of_its_own(tmp_path):
    wrong = LISTS | {"tasks": {"sqaud": {"epochs": 2}}}
    found = problems(tmp_path, toy_settings(**wrong), ["conditions=[none, squad]"])
    assert len(found) == 1 and "tasks.sqaud: the study does not train on 'sqaud'" in found[0]
    given = ["conditions=[none]", "intermediate_tasks.mnli.epochs=1"]
    found = problems(tmp_path, toy_settings(**LISTS), given)
    assert len(found) == 1 and "intermediate_tasks.mnli: the study does not" in found[0]


@pytest.mark.parametrize(("kind", "most"), [("bert", 64), ("xlm-roberta", 62)])
def test_positions_of_a_saved_encoder(tmp_path, kind, most):
    (tmp_path / "config.json").write_text(
        json.dumps({"model_type": kind, "max_position_embeddings": 64}), encoding="utf-8"
    )
    found = problems(tmp_path, yaml.safe_load((PARAMS / "tiny.yaml").read_text())
                     | {"encoder": str(tmp_path)})  # fmt: skip
    assert any(f"the encoder takes at most {most} tokens" in each for each in found)


def test_languages_of_one_target(tmp_path):
    """A mirror may have a target in a few languages; only those are evaluated."""
    from xtsupport.tables import task

    few = toy_settings(evaluation={"languages": {"xquad": ["qta", "en"]}})
    found = load_settings(written(tmp_path, few))
    xquad, tatoeba = (task(name, "world") for name in few["targets"])
    assert found.spoken(xquad) == [code for code in xquad.languages if code in ("en", "qta")]
    assert found.spoken(tatoeba) == list(tatoeba.languages)


def test_a_control_without_runs_is_not_compared(tmp_path):
    """Sentence retrieval embeds with the encoder of phase 2: a control of phase 3 has none."""
    own = {"conditions": ["none", "squad", "none~squad"], "targets": ["tatoeba"]}
    contrasts = {"contrasts": [["squad", "none"], ["squad", "none~squad"]]}
    (found,) = problems(tmp_path, toy_settings(**own, analysis=contrasts))
    assert "squad against none~squad: no target trains, so 'none~squad' has no runs" in found
