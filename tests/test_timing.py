"""`plan --measure`: which steps are timed, and that the plan goes by them."""

import numpy as np
import pytest
from study_toys import toy_root

from xtsupport.study import cost, timing
from xtsupport.study.plan import open_study
from xtsupport.study.plan_lines import estimated


@pytest.fixture
def found(tmp_path, monkeypatch):
    monkeypatch.setenv("XTSUPPORT_ROOT", str(tmp_path))
    study = open_study(
        toy_root(tmp_path, conditions=["none", "squad"], targets=["xquad"], seeds=[0])
    )
    return cost.Estimate(study.settings, study.plan.runs)


def ticking(monkeypatch, seconds):
    """A clock that goes on by so many seconds whenever it is read."""
    now = iter(np.arange(1000) * seconds)
    monkeypatch.setattr(timing.time, "perf_counter", lambda: float(next(now)))


def test_a_step_is_like_those_of_its_run(found, monkeypatch):
    """8 questions a step, in the study's windows: 3 steps warm up and 20 are timed, here of half a
    second each, for which 12 of a slow machine's (8 seconds) have to do."""
    seen = []

    def train(model, data, tokenizer, recipe, progress, tracker):
        seen.append((model, data["timed"], recipe))
        for step in range(recipe.steps):
            tracker.log({}, step + 1)

    monkeypatch.setattr(timing, "train", train)
    run = next(run for run in found.runs if run.phase == "target")
    ((_, windows),) = found.training(run)
    ticking(monkeypatch, 0.5)
    assert timing.time_steps(found, run, found.work(run).steps) == (20, 0.5)
    model, features, recipe = seen[0]
    assert recipe.steps == 23 and recipe.batch_size == 8 and len(features) == 23 * 8
    assert set(features.lengths) <= set(windows) and len(set(features.lengths)) > 1
    assert model.encoder.config.num_hidden_layers == found.shape.layers
    ticking(monkeypatch, 8.0)
    assert timing.time_steps(found, run, found.work(run).steps) == (5, 8.0)


def test_the_plan_goes_by_the_steps_that_were_timed(found, monkeypatch):
    """Of each phase the run with most to do, a tenth of a second a step; all runs of the phase do
    as many operations a second."""
    asked = []

    def time_steps(found, run, of):
        asked.append(run.phase)
        return 20, 0.1

    monkeypatch.setattr(timing, "time_steps", time_steps)
    monkeypatch.setattr(timing, "here", lambda precision: cost.Device("one core", 1e9))
    device = timing.timed(found)
    assert sorted(asked) == sorted({work.phase for work in found.works if work.training})
    for phase in asked:
        work = max((w for w in found.works if w.phase == phase), key=lambda w: w.training)
        assert work.trains(device) == pytest.approx(0.1 * work.steps)
    told = "100 ms a step of target/squad/none/plain/seed0, 20 timed now)"
    assert any(line.startswith("time ") and told in line for line in estimated(found, device))


def test_real_steps_are_timed(found):
    """The encoder of the study, through the training loop itself."""
    device = timing.timed(found)
    assert all(1e3 < rate < 1e15 for rate in device.rates.values()) and device.rates
