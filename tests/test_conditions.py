"""What names of conditions and variants stand for."""

import pytest

from xtsupport.study import conditions


def test_marks_are_read_off_a_name():
    parsed = conditions.parse("squad@translated+mlm")
    assert (parsed.base, parsed.marks) == ("squad", {"@translated", "+mlm"})
    assert conditions.parse("all+mlm").base == "all"
    assert conditions.parse("cosmos_qa@matched").marks == {"@matched"}
    assert conditions.parse("none~mnli+mlm").matched == "mnli+mlm"
    assert not conditions.parse("none~mnli+mlm").has_phase2


@pytest.mark.parametrize(
    "name",
    ["none+mlm", "squad+mlm@translated", "all@translated", "squad@german", "squad~none", "none~"],
)
def test_names_without_meaning(name):
    with pytest.raises(ValueError):
        conditions.parse(name)


def test_all_mixes_plain_single_tasks_only():
    names = ["none", "squad", "mnli", "all", "none~squad", "mnli+mlm", "squad@matched"]
    assert conditions.single_tasks(names) == ["mnli", "squad"]
