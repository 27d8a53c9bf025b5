"""BUCC's pools in the shared task's layout and in the hub's, on a made-up sample."""

import pytest

from xtsupport.data import bucc
from xtsupport.errors import UserError

POOLS = {
    "zh": "zh-1\t一\nzh-2\t二\nzh-3\t三\n",
    "en": "en-1\tone\nen-2\ttwo\nen-3\tthree\nen-4\tsix\n",
    "gold": "zh-1\ten-1\nzh-3\ten-3\n",
}


@pytest.fixture
def folder(tmp_path):
    """A mirror with the unpacked archive at its root."""
    place = tmp_path / "bucc2018" / "zh-en"
    place.mkdir(parents=True)
    for ending, text in POOLS.items():
        (place / f"zh-en.training.{ending}").write_text(text, encoding="utf-8")
    return tmp_path


def test_pools_and_gold(folder):
    pools = bucc.pools("zh", "test", folder)
    assert pools.source == {"zh-1": "一", "zh-2": "二", "zh-3": "三"}
    assert list(pools.target.values()) == ["one", "two", "three", "six"]
    assert pools.gold == [("zh-1", "en-1"), ("zh-3", "en-3")]


def test_pools_in_the_users_own_folder(folder, tmp_path_factory, monkeypatch):
    monkeypatch.setenv("XTSUPPORT_DATA", str(folder))
    assert bucc.pools("zh", "test", tmp_path_factory.mktemp("mirror")).gold[1] == ("zh-3", "en-3")
    assert len(bucc.pools("zh", "test", "hub").target) == 4


def test_what_to_get_and_where_to_put_it(folder):
    with pytest.raises(UserError, match=r"bucc2018-de-en.training-gold.tar.bz2"):
        bucc.pools("de", "test", folder)
    with pytest.raises(UserError, match=r"no zh-en.sample.zh, zh-en.sample.en"):
        bucc.pools("zh", "validation", folder)
    with pytest.raises(UserError, match="unknown split 'train'; allowed: test, validation"):
        bucc.pools("zh", "train", folder)


@pytest.mark.parametrize(
    ("ending", "text", "message"),
    [
        ("gold", "en-1\tzh-1\nen-3\tzh-3\n", r"gold: 2 ids or pairs have the English id first"),
        ("gold", "zh-1\ten-1\nzh-9\ten-3\n", r"1 ids or pairs are not in the pools: \('zh-9'"),
        ("gold", "zh-1\ten-1\nzh-1\ten-1\n", r"gold: 1 ids or pairs occur more than once"),
        ("zh", "zh-1\t一\nzh-3\t二\nzh-3\t三\n", r"training.zh: 1 ids .* more than once: 'zh-3'"),
        ("en", "en-1\tone\nen-3\tthree\nen 4\tsix\n", r"training.en: 1 ids .* a space: 'en 4'"),
    ],
)  # fmt: skip
def test_wrong_ids_are_refused(folder, ending, text, message):
    (folder / "bucc2018/zh-en" / f"zh-en.training.{ending}").write_text(text, encoding="utf-8")
    with pytest.raises(UserError, match=message) as error:
        bucc.pools("zh", "test", folder)
    assert len(error.value.problems) == 1


def test_one_sentence_may_have_two_translations(folder):
    path = folder / "bucc2018/zh-en/zh-en.training.gold"
    path.write_text("\ufeffzh-1\ten-1\nzh-1\ten-2\n", encoding="utf-8")
    assert bucc.pools("zh", "test", folder).gold == [("zh-1", "en-1"), ("zh-1", "en-2")]


def test_a_line_without_a_tab_is_named(folder):
    path = folder / "bucc2018" / "zh-en" / "zh-en.training.en"
    path.write_text("en-1\tone\nen-2 two\n", encoding="utf-8")
    with pytest.raises(UserError, match=r"zh-en.training.en, line 2: expected two columns"):
        bucc.pools("zh", "test", folder)
