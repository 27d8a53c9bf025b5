"""Costs by hand, and that what is counted is what runs do."""

import copy
import re
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from study_toys import toy_root
from torch.utils._python_dispatch import TorchDispatchMode
from transformers import XLMRobertaConfig, XLMRobertaModel

from xtsupport.data import load
from xtsupport.data.lengths import Lengths, published
from xtsupport.study import cost, devices
from xtsupport.study.inputs import Published
from xtsupport.study.params.loading import load_settings
from xtsupport.study.plan import open_study
from xtsupport.study.planner import Planner

ROOT = Path(__file__).parents[1]
PARAMS = ROOT / "params"


def test_weights_of_known_encoders():
    """XLM-R's papers say 270 and 550 million; biases and positions are left out here."""
    base, large = (cost.SHAPES[f"FacebookAI/xlm-roberta-{size}"] for size in ("base", "large"))
    assert base.layer_weights == 12 * (4 * 768 * 768 + 2 * 768 * 3072) == 84_934_656
    assert base.weights == 84_934_656 + 250_002 * 768
    assert base.weights == pytest.approx(270e6, rel=0.03)
    assert large.weights == pytest.approx(550e6, rel=0.03)


def test_operations_by_hand():
    """One layer, 2 wide, feed-forward 3: 4*4 + 2*6 = 28 weights. A sequence of 5 tokens takes
    2*28*5 = 280, and for attention 4*2*25 = 200; one of 10 takes 560 and 800."""
    shape = cost.Shape(1, 2, 3, 100)
    assert shape.layer_weights == 28 and shape.weights == 228
    assert shape.operations(np.array([5])) == 480
    assert shape.operations(np.array([5, 10])) == 480 + 1360


def test_operations_agree_with_pytorchs_own_count(tiny_encoder):
    import torch
    from torch.utils.flop_counter import FlopCounterMode

    model = copy.deepcopy(tiny_encoder[0])
    model.set_attn_implementation("eager")  # it does not count fused attention on CPUs
    config = model.config
    shape = cost.Shape(
        config.num_hidden_layers, config.hidden_size, config.intermediate_size, config.vocab_size
    )
    ids = torch.randint(5, 50, (3, 17))
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        model(ids, attention_mask=torch.ones_like(ids))
    assert counter.get_total_flops() == pytest.approx(shape.operations(np.full(3, 17)), rel=0.02)


def test_windows_by_hand():
    """Of 10 tokens with 6 a window and 2 shared: 6 and 6; of 11: 6, 6 and 3."""
    about = Lengths(100, 100, 1, (5, 10, 11), False)
    assert about.windows(6, 2, cut=True).tolist() == [5, 6, 6]
    assert about.windows(6, 2, cut=False).tolist() == [5, 6, 6, 6, 6, 3]


@pytest.fixture
def study(tmp_path, monkeypatch):
    monkeypatch.setenv("XTSUPPORT_ROOT", str(tmp_path))
    return open_study(
        toy_root(tmp_path, conditions=["none", "squad"], targets=["xquad"], seeds=[0])
    )


def test_work_of_a_run_by_hand(study):
    """16 rows, 8 a step, one epoch: 2 steps, so 16 windows; the world has 22 languages of 12."""
    (run,) = study.runs("target", "none")
    found = cost.Estimate(study.settings, [run])
    about = found.lengths("squad", "train", "en")
    (work,) = found.works
    sizes = about.windows(96, 16, cut=False)
    assert work.steps == 2 and work.trained == pytest.approx(16 * sizes.mean())
    each = found.shape.operations(sizes) / len(sizes)
    assert work.training == pytest.approx(3 * 16 * each)
    assert work.scores == 22 * 12
    assert work.seconds(cost.Device("", 1e9)) == pytest.approx(
        (work.training + work.evaluation) / 1e9 + 1.5 + 2 * 0.015 + 264 * 0.0004
    )


def test_ascent_steps_cost_a_training_step_each(study):
    (run,) = study.runs("target", "none")
    slow = replace(run, settings=run.settings | {"ascent_steps": 3})
    plain, robust = cost.Estimate(study.settings, [run, slow]).works
    assert robust.training == 4 * plain.training and robust.evaluation == plain.evaluation


def test_lengths_of_rows_that_are_here(study, tiny_encoder, tmp_path):
    """Counted from the rows by a tokenizer, against the tokenizer itself."""
    from xtsupport.data import lengths

    _, tokenizer = tiny_encoder
    tokenizer.save_pretrained(tmp_path / "encoder")
    file = tmp_path / "encoder" / "tokenizer.json"
    about = lengths.measured("squad", "en", "train", study.data, file, 300)
    lengths.measured.cache_clear()  # as another process: from the user's cache
    assert about == lengths.measured("squad", "en", "train", study.data, file, 300)
    rows = load("squad", "en", "train", study.data)
    sizes = [len(i) for i in tokenizer(list(rows["question"]), list(rows["context"]))["input_ids"]]
    assert about.rows == len(rows) and about.measured
    assert np.mean(about.quantiles) == pytest.approx(np.mean(sizes), rel=0.02)


def test_every_task_of_the_paper_has_lengths():
    settings = load_settings(PARAMS / "paper.yaml")
    for name in settings.conditions[1:-1]:
        assert published(name, "train").rows > 1000
    for name in settings.targets:
        assert len(published(name, "eval").quantiles) == 20
    with pytest.raises(cost.UserError, match=r"lengths.csv has no train lengths"):
        published("xquad", "train")


class Kernels(TorchDispatchMode):
    """Counts the operators that compute something, where views and empty memory do not."""

    FREE = ("view", "transpose", "permute", "expand", ".t.", "detach", "alias", "unsqueeze")
    FREE += ("slice", "select", "reshape", "as_strided", "split", "empty", "squeeze", "unbind")

    def __init__(self):
        super().__init__()
        self.count = 0

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        self.count += not any(name in str(func) for name in self.FREE)
        return func(*args, **(kwargs or {}))


def kernels_of_a_step(layers: int) -> int:
    config = XLMRobertaConfig(
        vocab_size=9, hidden_size=8, num_hidden_layers=layers, num_attention_heads=2,
        intermediate_size=8, max_position_embeddings=20,
    )  # fmt: skip
    model = XLMRobertaModel(config, add_pooling_layer=False).train()
    optimizer = torch.optim.AdamW(model.parameters(), fused=True)
    ids, mask = torch.full((2, 8), 5), torch.ones(2, 8, dtype=torch.long)
    mask[0, 5:] = 0
    for _ in range(2):  # the first step makes the optimiser's state
        with Kernels() as counted:
            with torch.autocast("cpu", torch.bfloat16):
                loss = model(ids, attention_mask=mask).last_hidden_state.float().mean()
            loss.backward()
            torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
            optimizer.step()
            optimizer.zero_grad()
    return counted.count


def test_kernels_of_a_step_are_counted():
    two, four = kernels_of_a_step(2), kernels_of_a_step(4)
    assert pytest.approx((four - two) / 2, rel=0.1) == devices.KERNELS_PER_LAYER
    assert pytest.approx(2 * two - four, rel=0.3) == devices.KERNELS_BESIDE


def test_a_step_takes_what_its_device_or_its_host_takes_whichever_is_slower():
    """1000 steps of 1 Gflop, 28 GB and 2,824 kernels each, with 400 Tflop/s, 2.8 TB/s and 5 us:
    2.5 us to multiply, 10 ms to move, 14.12 ms to start. No launch: a CPU, 15 ms beside each."""
    shape = devices.SHAPES["FacebookAI/xlm-roberta-large"]
    assert shape.kernels() == 2824
    assert shape.moved(frozen=False, half=True) == 44 * 557_991_936 + 10 * 301_989_888
    assert shape.moved(frozen=True, half=False) == 44 * 301_989_888
    work = cost.Work("intermediate", 3e5, 1e12, 1000, 0.0, 0.0, 0, 28e12, 2_824_000)
    gpu = devices.Device("", 4e14, bandwidth=2.8e12, launch=5e-6)
    assert work.seconds(gpu) == pytest.approx(1.5 + 14.12)
    assert work.seconds(replace(gpu, launch=1e-6)) == pytest.approx(1.5 + 10.0025)
    assert work.seconds(devices.Device("", 1e9)) == pytest.approx(1.5 + 1000 + 15)


def test_the_page_on_scale_and_the_readme_say_what_is_estimated():
    """docs/scale.md: hours per phase and together, on 1 to 16 devices; README: 1 and 8 H100."""
    sys.path.insert(0, str(ROOT / "benchmarks"))
    import scale

    settings = load_settings(str(PARAMS / "paper.yaml"))
    made = Planner(settings, inputs=Published).all_runs()
    found = cost.Estimate(settings, made)
    table = re.findall(r"^\|(.+)\|$", (ROOT / "docs/scale.md").read_text("utf-8"), re.M)[:10]
    rows = [[cell.strip(" *").removesuffix(" h") for cell in row.split("|")] for row in table[2:]]
    for number, device in enumerate(devices.DEVICES, 1):
        hours, phases = scale.hours_of(found, device), ("intermediate", "target", "retrieval")
        wanted = [sum(hours[r.name] for r in made if r.phase == phase) for phase in phases]
        wanted += [scale.makespan(made, hours, many) for many in (1, 2, 4, 8, 16)]
        assert [float(row[number]) for row in rows] == pytest.approx(wanted, abs=0.51)
    readme = (ROOT / "README.md").read_text("utf-8")
    told = r"about (\d+) hours on one H100\]\(docs/scale.md\), and (\d+) on eight"
    said = [float(each) for each in re.search(told, readme).groups()]
    assert said == pytest.approx(wanted[3::3], abs=0.51)
