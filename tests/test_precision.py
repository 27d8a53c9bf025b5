"""Which number format `auto` takes, that it stays, and that a wrong one is said."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from study_toys import SMALL, toy_root, xtsupport

from xtsupport.errors import UserError
from xtsupport.study import cost
from xtsupport.study.execution.runner import keep_settings
from xtsupport.study.inputs import Published
from xtsupport.study.params.loading import load_settings
from xtsupport.study.plan import open_study
from xtsupport.study.planner import Planner
from xtsupport.training import precision

ROOT = Path(__file__).parents[1]
WITHOUT = {"ATEN_CPU_CAPABILITY": "avx2", "ONEDNN_MAX_CPU_ISA": "AVX2"}  # no bfloat16 units
NO_GPU = pytest.mark.skipif(torch.cuda.is_available(), reason="emulates CPUs")
ASK = "from xtsupport.training.precision import product_rates, resolve\n"
ASK += "import json; print(json.dumps([resolve('auto'), product_rates()]))"


def machine(monkeypatch, bfloat16: float) -> None:
    """A device that does 100 operations a second in float32 and so many in bfloat16."""
    rates = {"float32": 100.0, "bfloat16": bfloat16}
    monkeypatch.setattr(precision, "product_rates", lambda: rates)


@NO_GPU
def test_a_cpu_without_bfloat16_units_gets_float32():
    """Emulated by PyTorch's own switches: oneDNN then does bfloat16 several times slower."""
    told = subprocess.run(
        [sys.executable, "-c", ASK], env=os.environ | WITHOUT, capture_output=True, text=True
    )
    chosen, rates = json.loads(told.stdout)
    assert chosen == "float32" and rates["bfloat16"] < rates["float32"]


@NO_GPU
@pytest.mark.skipif(
    not (torch.cpu._is_avx512_bf16_supported() or torch.cpu._is_amx_tile_supported())
    or any(os.environ.get(name) for name in WITHOUT),
    reason="this CPU has no bfloat16 units",
)
def test_a_cpu_with_bfloat16_units_uses_them():
    assert precision.resolve("auto") == "bfloat16"


def test_rates_are_those_of_a_product():
    """Against NumPy's product of the same size, within a factor of 5."""
    import time

    import numpy as np

    left, right = (np.ones((n, 384), np.float32) for n in (256, 1536))
    spent = []
    for _ in range(5):
        start = time.perf_counter()
        left @ right.T
        spent.append(time.perf_counter() - start)
    numpy_rate = 2 * 256 * 384 * 1536 / min(spent)
    found = precision.measured(torch.device("cpu"))["float32"]
    assert numpy_rate / 5 / os.cpu_count() < found < 5 * numpy_rate


def test_rates_are_measured_once_a_machine(tmp_path, monkeypatch):
    if not precision.cpu_signature():
        pytest.skip("GPUs are asked each time")
    monkeypatch.setenv("XTSUPPORT_CACHE", str(tmp_path))
    precision.product_rates.cache_clear()
    first = precision.product_rates()
    precision.product_rates.cache_clear()
    monkeypatch.setattr(precision, "measured", None)
    assert precision.product_rates() == first and first["float32"] > 0
    monkeypatch.setattr(precision, "cpu_signature", lambda: "another machine")
    precision.product_rates.cache_clear()
    with pytest.raises(TypeError):  # it would be measured
        precision.product_rates()
    precision.product_rates.cache_clear()


@pytest.mark.parametrize(
    ("rate", "chosen"), [(219.0, "bfloat16"), (110.0, "float32"), (2.0, "float32")]
)
def test_auto_takes_what_is_faster(monkeypatch, rate, chosen):
    machine(monkeypatch, rate)
    assert precision.resolve("auto") == chosen
    assert precision.resolve("float32") == "float32" and precision.resolve("bfloat16") == "bfloat16"


def test_auto_stays_what_it_was_at_the_first_run(tmp_path, monkeypatch):
    """The key names what was computed, so `auto` and the name of its choice share their runs."""
    monkeypatch.setenv("XTSUPPORT_ROOT", str(tmp_path))
    params = toy_root(tmp_path, precision="auto", **SMALL)
    machine(monkeypatch, 219.0)
    begun = open_study(params)
    keep_settings(begun)
    keys = {run.name: run.recipe for run in begun.plan.runs}
    assert {run.settings["precision"] for run in begun.plan.runs} == {"bfloat16"}

    machine(monkeypatch, 2.0)
    assert {run.name: run.recipe for run in open_study(params).plan.runs} == keys
    named = open_study(params, {"precision": "bfloat16"})
    assert {run.name: run.recipe for run in named.plan.runs} == keys
    other = open_study(params, {"study": "other"})
    assert {run.settings["precision"] for run in other.plan.runs} == {"float32"}
    assert not {run.recipe for run in other.plan.runs} & set(keys.values())


def test_retrieval_names_its_own_precision(tmp_path, monkeypatch):
    monkeypatch.setenv("XTSUPPORT_ROOT", str(tmp_path))
    study = open_study(toy_root(tmp_path), {"precision": "bfloat16"})
    assert {run.settings["precision"] for run in study.runs("retrieval")} == {"float32"}
    study = open_study(toy_root(tmp_path), {"retrieval.precision": "bfloat16"})
    assert {run.settings["precision"] for run in study.runs("retrieval")} == {"bfloat16"}


def test_a_device_that_lacks_it_stops_or_is_slow_by_choice(monkeypatch):
    machine(monkeypatch, 2.0)
    with pytest.raises(UserError, match="precision = auto: was fixed to bfloat16"):
        precision.check("auto", "bfloat16")
    (line,) = precision.check("bfloat16", "bfloat16")
    assert "only emulates it" in line
    assert precision.check("auto", "float32") == precision.check("float32", "float32") == []
    machine(monkeypatch, 219.0)
    assert precision.check("auto", "bfloat16") == []


@NO_GPU
def test_the_command_says_so_before_the_first_run(tmp_path, monkeypatch):
    """`auto` that was fixed elsewhere: one line, no run; asked for by name: a note, and it runs."""
    toy_root(tmp_path, precision="auto", **SMALL)
    for name, value in WITHOUT.items():
        monkeypatch.setenv(name, value)
    folder = tmp_path / "outputs" / "toy"
    folder.mkdir(parents=True)
    (folder / "planned.json").write_text('{"analysis": {}, "precision": "bfloat16"}')
    code, text = xtsupport(tmp_path, "run", "params/toy.yaml", "--jobs", "2")
    assert code == 1 and "precision = auto: was fixed to bfloat16" in text
    assert not (tmp_path / "done.log").exists()
    code, text = xtsupport(tmp_path, "run", "params/toy.yaml", "--set", "precision=bfloat16")
    assert code == 0 and "only emulates it, many times slower" in text
    assert json.loads((folder / "planned.json").read_text())["precision"] == "bfloat16"


@pytest.mark.parametrize("name", ["float32", "bfloat16"])
def test_the_plan_uses_the_rate_of_this_machine(monkeypatch, name):
    """By hand: 0.72 and 0.6 of the product's rate."""
    machine(monkeypatch, 219.0)
    share = {"float32": 72.0, "bfloat16": 0.6 * 219}[name]
    assert cost.here(name).rate == pytest.approx(share)


def test_hours_in_texts_are_those_of_the_estimate():
    """README's hours of small.yaml, at the product rates of a core with bfloat16 units (220
    Gflop/s) and of one without (80)."""
    settings = load_settings(ROOT / "params" / "small.yaml", {"data": "hub"})
    found = cost.Estimate(settings, Planner(settings, inputs=Published).all_runs())
    rates = {"bfloat16": 220e9, "float32": 80e9}
    hours = {k: found.hours(cost.Device("", cost.REACHED[k] * rate)) for k, rate in rates.items()}
    text = " ".join((ROOT / "README.md").read_text(encoding="utf-8").split())
    words = dict(zip(("one", "two", "three", "four", "five", "six"), range(1, 7), strict=True))
    told = re.search(r"in about (\w+) hours on one CPU core .*? or (\w+) on one without", text)
    assert words[told[1]] == pytest.approx(hours["bfloat16"], rel=0.25)
    assert words[told[2]] == pytest.approx(hours["float32"], rel=0.25)


def test_a_run_says_it_or_stops(tmp_path, monkeypatch, capsys):
    """A node on a device that lacks what the study was fixed to."""
    from dataclasses import replace

    from xtsupport.study.phases import train

    monkeypatch.setenv("XTSUPPORT_ROOT", str(tmp_path))
    (run,) = open_study(toy_root(tmp_path, precision="bfloat16")).runs("pretraining")
    machine(monkeypatch, 2.0)
    train.prepare(run)
    assert capsys.readouterr().out.endswith("set precision: auto or float32 if speed matters\n")
    with pytest.raises(UserError, match="precision = auto: was fixed to bfloat16"):
        train.prepare(replace(run, options=run.options | {"precision": "auto"}))
