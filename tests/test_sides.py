"""Sides are named alike in params files and in tables, and the two forms say the same."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from xtsupport.sides import as_columns, both_sides, short_name, side, source_language

SIDES = st.tuples(
    st.sampled_from(["none", "squad", "none~squad", "mnli+mlm", "squad{encoder=me/mine}"]),
    st.sampled_from(["plain", "smoothing", "source=de"]),
)


def test_by_hand():
    assert side("squad/source=de") == ("squad", "source=de")
    assert side("squad") == side("squad/plain") == ("squad", "plain")
    assert short_name(("squad", "plain")) == "squad"
    assert side("squad{encoder=me/mine}/source=de") == ("squad{encoder=me/mine}", "source=de")


@pytest.mark.parametrize(
    ("treatment", "baseline", "columns"),
    [
        ("squad", "none", ("squad", "none", "plain")),
        ("squad/smoothing", "none/smoothing", ("squad", "none", "smoothing")),
        ("squad/smoothing", "squad", ("squad", "squad/plain", "smoothing")),
        ("squad", "none/smoothing", ("squad", "none/smoothing", "plain")),
    ],
)
def test_columns_by_hand(treatment, baseline, columns):
    found = as_columns(side(treatment), side(baseline))
    assert (found["treatment"], found["baseline"], found["variant"]) == columns
    assert both_sides(found) == (treatment, baseline)


@given(SIDES, SIDES)
def test_two_different_pairs_never_have_the_same_columns(treatment, baseline):
    assert both_sides(as_columns(treatment, baseline)) == (
        short_name(treatment),
        short_name(baseline),
    )


def test_sides_are_named_as_in_a_params_file():
    rows = {
        ("squad", "none", "plain"): ("squad", "none"),
        ("none", "none/plain", "adversarial"): ("none/adversarial", "none"),
        ("none", "none/smoothing", "adversarial"): ("none/adversarial", "none/smoothing"),
        ("squad", "none", "source=de"): ("squad/source=de", "none/source=de"),
    }
    for names, expected in rows.items():
        assert (
            both_sides(dict(zip(("treatment", "baseline", "variant"), names, strict=True)))
            == expected
        )


def test_the_source_of_a_variant():
    assert source_language("source=de") == "de" and source_language("smoothing") == "en"
