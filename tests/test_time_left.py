"""The time left: silent until there is something to go by, then near the truth."""

import heapq

import pytest

from xtsupport import folders
from xtsupport.study import cost, plan
from xtsupport.study.cost import LOOKS
from xtsupport.study.execution.time_left import seconds_left, urgency

PLANNED = {"data": 10.0, "pretraining": 105.0} | {f"target-{number}": 45.0 for number in range(12)}


def schedule(planned, lanes, cost):
    """(begin, end) of every node on so many lanes; targets wait for pretraining."""
    times, free, ready = {}, [0.0] * lanes, 0.0
    for name, size in planned.items():
        begin = max(heapq.heappop(free), ready if name.startswith("target") else 0.0)
        times[name] = begin, begin + cost(name, size)
        heapq.heappush(free, times[name][1])
        ready = times["pretraining"][1] if "pretraining" in times else 0.0
    return times


def at(times, now):
    """The states a runner would see."""
    return {
        name: {"state": "done", "started": begin, "seconds": end - begin}
        if end <= now
        else {"state": "running", "started": begin}
        for name, (begin, end) in times.items()
        if begin <= now
    }


@pytest.mark.parametrize("lanes", [1, 2, 4])
@pytest.mark.parametrize("pace", [0.1, 1.0, 100.0])
def test_it_is_near_the_truth_whatever_the_plan_said(lanes, pace):

    def took(name, planned):
        return LOOKS.get(name, 5 + pace * (planned - 5) * (1 + (ord(name[-1]) % 2) / 4))

    times = schedule(PLANNED, lanes, took)
    end = max(each for _, each in times.values())
    first = times["pretraining"][1]
    for now in (share * end / 20 for share in range(20)):
        left = seconds_left(PLANNED, at(times, now), 0.0, now)
        if now < first:
            assert left is None
        else:
            assert left == pytest.approx(end - now, abs=max((end - now) / 3, end / 10))


def test_a_cheap_first_node_says_nothing():
    states = {
        "data": {"state": "done", "started": 0.0, "seconds": 12.0},
        "pretraining": {"state": "running", "started": 0.0},
    }
    assert seconds_left(PLANNED, states, 0.0, 13.0) is None


def test_two_nodes_by_hand():
    planned = {"a": 10.0, "b": 15.0}
    states = {"a": {"state": "done", "started": 0.0, "seconds": 17.0}}
    assert seconds_left(planned, states, 0.0, 17.0) == pytest.approx(5 + 24)
    states["b"] = {"state": "running", "started": 17.0}
    assert seconds_left(planned, states, 0.0, 27.0) == pytest.approx(19)
    assert seconds_left(planned, states, 0.0, 99.0) == 0  # later than thought


def test_results_and_significance_come_last_one_after_the_other():
    planned = {"a": 10.0, "b": 15.0, "c": 15.0, "results": 9.0, "significance": 35.0}
    states = {"a": {"state": "done", "started": 0.0, "seconds": 17.0}}
    states |= {name: {"state": "running", "started": 17.0} for name in "bc"}
    assert seconds_left(planned, states, 0.0, 17.0) == pytest.approx(5 + 24 + 9 + 35)


def test_the_longest_way_to_the_end_is_begun_first():
    ways = {"a": (10, ()), "b": (50, ("a",)), "c": (30, ()), "d": (0, ("b", "c"))}
    made = [plan.Node(name, "", (), {}, upstream) for name, (_, upstream) in ways.items()]
    planned = {name: seconds for name, (seconds, _) in ways.items()}
    assert urgency(made, planned) == {"a": 60, "b": 50, "c": 30, "d": 0}


def test_nothing_to_go_by_when_only_the_results_are_left():
    planned = {"results": 9.0, "significance": 35.0}
    states = {"results": {"state": "done", "started": 0.0, "seconds": 14.0}}
    assert seconds_left(planned, states, 0.0, 20.0) is None


# A run of the demo on two cores in November 2026: start and seconds.
DEMO = {
    "data": (252.4, 11.8),
    "intermediate-squad": (0.0, 49.9),
    "intermediate-squad_v2": (151.4, 19.7),
    "intermediate-mnli": (86.0, 20.9),
    "intermediate-hellaswag": (155.4, 15.6),
    "intermediate-all": (50.2, 35.4),
    "target-none": (107.2, 47.9),
    "target-squad": (105.0, 46.0),
    "target-squad_v2": (171.5, 27.0),
    "target-mnli": (198.9, 26.0),
    "target-hellaswag": (198.4, 29.4),
    "target-all": (171.4, 26.7),
    "target-none~squad": (0.0, 104.5),
    "retrieval-none": (247.1, 5.0),
    "retrieval-squad": (225.1, 12.5),
    "retrieval-squad_v2": (246.7, 8.5),
    "retrieval-mnli": (228.1, 9.1),
    "retrieval-hellaswag": (238.1, 8.2),
    "retrieval-all": (237.6, 9.1),
    "results": (255.5, 9.4),
    "significance": (265.2, 36.0),
}


@pytest.fixture(scope="module")
def planned():
    """What the plan says of the nodes that ran, on a core that does 30 Gflop/s."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(cost, "here", lambda precision: cost.Device("one core", 3e10))
        seconds = plan.open_study(folders.packaged() / "params" / "demo.yaml").seconds
    return {name: seconds[name] for name in DEMO}


def test_the_plan_of_the_demo_is_within_a_factor_of_two_of_every_node(planned):
    """With its start, and up to the speed of the machine."""
    took = {name: DEMO[name][1] - 5 for name in DEMO if name not in LOOKS}
    pace = sum(took.values()) / sum(planned[name] - 5 for name in took)
    for name, seconds in took.items():
        assert 0.5 < (5 + seconds) / (5 + pace * (planned[name] - 5)) < 2, name


def test_in_a_recorded_demo_it_is_near_the_truth_from_the_second_node_on(planned):
    times = {name: (begin, begin + seconds) for name, (begin, seconds) in DEMO.items()}
    ends = sorted(end for _, end in times.values())
    for now in ends[1:-1]:
        left = seconds_left(planned, at(times, now), 0.0, now)
        assert (ends[-1] - now) / 2 < left < 2 * (ends[-1] - now), now
