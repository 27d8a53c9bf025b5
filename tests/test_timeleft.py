"""The time left: silent until there is something to go by, then near the truth."""

import heapq

import pytest

from xtsupport.study.execution.time_left import LOOK, SET, seconds_left, urgency
from xtsupport.study.plan import Node
from xtsupport.study.runs import Run

WORKS = {"data": 0.0, "pretraining": 100_000.0} | {
    f"target-{number}": 40_000.0 for number in range(12)
}


def schedule(works, lanes, cost):
    """(begin, end) of every node on so many lanes; targets wait for pretraining."""
    times, free, ready = {}, [0.0] * lanes, 0.0
    for name, size in works.items():
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
@pytest.mark.parametrize("pace", [1e-4, 1e-3, 0.1])
def test_it_is_near_the_truth_whatever_the_encoder(lanes, pace):

    def cost(name, size):
        return LOOK.get(name, 7 + pace * size * (1 + (ord(name[-1]) % 2) / 4))

    times = schedule(WORKS, lanes, cost)
    end = max(each for _, each in times.values())
    first = times["pretraining"][1]
    for now in (share * end / 20 for share in range(20)):
        left = seconds_left(WORKS, at(times, now), 0.0, now)
        if now < first:
            assert left is None
        else:
            assert left == pytest.approx(end - now, abs=max((end - now) / 3, end / 10))


def test_a_cheap_first_node_says_nothing():
    states = {
        "data": {"state": "done", "started": 0.0, "seconds": 12.0},
        "pretraining": {"state": "running", "started": 0.0},
    }
    assert seconds_left(WORKS, states, 0.0, 13.0) is None


def test_two_nodes_by_hand():
    works = {"a": 10.0, "b": 20.0}
    states = {"a": {"state": "done", "started": 0.0, "seconds": 17.0}}
    assert seconds_left(works, states, 0.0, 17.0) == pytest.approx(5 + 24)  # a: then 1.2 s a row
    states["b"] = {"state": "running", "started": 17.0}
    assert seconds_left(works, states, 0.0, 27.0) == pytest.approx(19)
    assert seconds_left(works, states, 0.0, 99.0) == 0  # later than thought


def test_results_and_significance_come_last_one_after_the_other():
    works = {"a": 10.0, "b": 20.0, "c": 20.0, "results": 0.0, "significance": 0.0}
    states = {"a": {"state": "done", "started": 0.0, "seconds": 17.0}}
    states |= {name: {"state": "running", "started": 17.0} for name in "bc"}
    assert seconds_left(works, states, 0.0, 17.0) == pytest.approx(5 + 24 + 9 + 35)


def test_the_longest_way_to_the_end_is_begun_first():
    steps = {"a": (10, ()), "b": (50, ("a",)), "c": (30, ()), "d": (0, ("b", "c"))}

    def node(name, count, upstream):
        run = Run("s", "pretraining", "", 0, name, {"steps": count, "batch_size": 1})
        return Node(name, "", (run,), {}, upstream)

    made = [node(name, *each) for name, each in steps.items()]
    assert urgency(made) == {"a": 60, "b": 50, "c": 30, "d": 0}


def test_nothing_to_go_by_when_only_the_results_are_left():
    works = {"results": 0.0, "significance": 0.0}
    states = {"results": {"state": "done", "started": 0.0, "seconds": 14.0}}
    assert seconds_left(works, states, 0.0, 20.0) is None


# A run of the demo on two cores in November 2026: training rows, evaluation sets, start, seconds.
DEMO = {
    "data": (0, 0, 252.4, 11.8),
    "intermediate-squad": (48000, 0, 0.0, 49.9),
    "intermediate-squad_v2": (18000, 0, 151.4, 19.7),
    "intermediate-mnli": (36000, 0, 86.0, 20.9),
    "intermediate-hellaswag": (9024, 0, 155.4, 15.6),
    "intermediate-all": (42048, 0, 50.2, 35.4),
    "target-none": (33216, 396, 107.2, 47.9),
    "target-squad": (33216, 396, 105.0, 46.0),
    "target-squad_v2": (17856, 198, 171.5, 27.0),
    "target-mnli": (17856, 198, 198.9, 26.0),
    "target-hellaswag": (17856, 198, 198.4, 29.4),
    "target-all": (17856, 198, 171.4, 26.7),
    "target-none~squad": (107616, 308, 0.0, 104.5),
    "retrieval-none": (0, 21, 247.1, 5.0),
    "retrieval-squad": (0, 105, 225.1, 12.5),
    "retrieval-squad_v2": (0, 63, 246.7, 8.5),
    "retrieval-mnli": (0, 63, 228.1, 9.1),
    "retrieval-hellaswag": (0, 63, 238.1, 8.2),
    "retrieval-all": (0, 63, 237.6, 9.1),
    "results": (0, 0, 255.5, 9.4),
    "significance": (0, 0, 265.2, 36.0),
}


def test_in_a_recorded_demo_it_is_within_a_factor_of_two_from_the_second_node_on():
    works = {name: rows + SET * sets for name, (rows, sets, *_) in DEMO.items()}
    times = {name: (begin, begin + seconds) for name, (*_, begin, seconds) in DEMO.items()}
    ends = sorted(end for _, end in times.values())
    for now in ends[1:-1]:
        left = seconds_left(works, at(times, now), 0.0, now)
        assert (ends[-1] - now) / 2 < left < 2 * (ends[-1] - now), now
