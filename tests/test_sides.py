"""Sides are named alike in params files and in tables, and the two forms say the same."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from xtsupport.report.names import NONE, side_name
from xtsupport.sides import (
    as_columns,
    bare,
    both_sides,
    in_braces,
    short_name,
    side,
    source_language,
)

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


@pytest.mark.parametrize(
    ("name", "settings"),
    [
        ("squad", []),
        ("squad{a.b=1}", ["a.b=1"]),
        ("squad{a.b=[0, 1],c.d={'x': 1},e=me/mine (1a2b3c)}/source=de",
         ["a.b=[0, 1]", "c.d={'x': 1}", "e=me/mine (1a2b3c)"]),
    ],
)  # fmt: skip
def test_settings_in_braces(name, settings):
    assert in_braces(name) == settings and bare(name) in ("squad", "squad/source=de")


@pytest.mark.parametrize(
    ("name", "shown"),
    [
        ("squad{a.b=1,c.d=2}", "SQuAD{a.b=1,c.d=2}"),
        ("system{", "system{"),  # from elsewhere: no settings
        ("system{}", "system{}"),
        (f"none{{encoder={'long/' * 20}my_encoder (1a2b3c)}}",
         f"{NONE}{{encoder=long\N{HORIZONTAL ELLIPSIS}ong/long/my_encoder (1a2b3c)}}"),
    ],
)  # fmt: skip
def test_braces_as_figures_have_room_for(name, shown):
    assert side_name(name) == shown


def test_many_settings_are_counted_and_stay_apart():
    many = [f"intermediate.setting_{number}=1" for number in range(18)]
    names = [f"squad{{{','.join([*many, last])}}}" for last in ("a=1", "a=2")]
    shown = [side_name(each) for each in names]
    assert len({*shown}) == 2 and max(map(len, shown)) < 60
    assert all(each.startswith(f"SQuAD{{{many[0]} and 18 more, ") for each in shown)


def test_the_source_of_a_variant():
    assert source_language("source=de") == "de" and source_language("smoothing") == "en"
