"""Where conditions or targets have different seeds, the report says what each number rests on."""

from dataclasses import replace

import pandas as pd
import pytest
from simulated_cubes import simulate

from xtsupport.report import page_tables
from xtsupport.report.answer import closing, doubt, one_sentence, title
from xtsupport.report.appendix import best
from xtsupport.report.contents import contents
from xtsupport.report.power_report import power_sentences
from xtsupport.report.report import elsewhere, facts
from xtsupport.report.robustness import bootstrap_words, power
from xtsupport.statistics.comparisons import significance
from xtsupport.statistics.declared import Declared, Primary
from xtsupport.statistics.evidence import evidence_of


def report_of(keep, by="group"):
    """A report of three conditions on two targets, from the rows of a toy cube that are kept."""
    made = simulate(
        {("squad", "xquad"): 6.0}, ("none", "squad", "mnli"), ("xquad", "udpos"),
        ("en", "de", "es", "hi"), size=0.1, seeds=6,
    )  # fmt: skip
    evidence = evidence_of(made[keep(made)], Declared(primary=Primary("squad", by=by)))
    return contents(significance(evidence), evidence)


@pytest.fixture(scope="module")
def unequal():
    """MNLI has 3 seeds, UDPOS 4, SQuAD and its baseline 6 on XQuAD."""
    return report_of(
        lambda cube: (
            (cube["seed"] < 3)
            | (cube["condition"].ne("mnli") & ((cube["seed"] < 4) | cube["task"].eq("xquad")))
        )
    )


@pytest.fixture(scope="module")
def equal():
    return report_of(lambda cube: cube["seed"] < 3)


def texts(blocks):
    """All that a list of blocks says, folded or not."""
    for block in blocks:
        yield block.text
        yield from (cell.text for cell in block.heads)
        if block.kind == "folded":
            yield from texts(block.items)
        for item in block.items:
            if block.kind == "pictures":
                yield item.picture["hint"]
            elif block.kind == "table":
                yield " | ".join(cell.text for cell in item)
            elif isinstance(item, str):
                yield item


def test_scores_and_gains_of_different_seeds_are_explained(unequal, equal):
    said = "A gain compares only the seeds that both conditions have"
    assert said in page_tables.score_board(unequal)[-1].text
    assert said not in page_tables.score_board(equal)[-1].text
    rows = [text for text in texts(page_tables.gain_boards(unequal, {})) if " | " in text]
    seeds = {tuple(row.split(" | ")[2:5:2]) for row in rows if row.startswith("all languages")}
    assert seeds == {("SQuAD", "6"), ("SQuAD", "4"), ("MNLI", "3")}


def test_differences_between_targets_name_the_seeds_they_have_in_common(unequal, equal):
    told = list(texts(elsewhere(unequal)))
    said = "on the 4 seeds that all targets have"
    assert any(f"minus that, {said}: " in text for text in told)
    assert sum(text.startswith(f"O{said[1:]}.") for text in told) >= 2  # captions
    assert {"XQuAD, 6 seeds", "other targets, 4 seeds"} <= set(told)
    assert not any(
        "seeds" in text for text in texts(elsewhere(equal)) if "over clusters" not in text
    )


def test_the_facts_count_runs_where_there_are_no_records(unequal):
    """By hand: XQuAD 6 + 6 + 3, UDPOS 4 + 4 + 3."""
    assert dict(facts(unequal))["Runs"] == (
        "3 to 6 runs of each condition (seeds), 26 in all on the targets"
    )


def test_power_is_told_once_for_the_seeds_of_the_study(unequal):
    (block,) = power(unequal)
    assert [each.kind for each in block.items] == ["paragraph", "picture"]
    assert block.items[0].text.startswith("With 6 seeds, ")
    without = unequal.power[unequal.power["n_seeds"] != 6]
    assert all(text.startswith("With 3 seeds, ") for text in power_sentences(without))


def test_the_best_condition_says_on_how_many_seeds_it_was_chosen(unequal, equal):
    said = "over the 3 seeds that all conditions have, of up to 6"
    assert any(said in text for text in texts(best(unequal)))
    assert not any("of up to" in text for text in texts(best(equal)))


def test_intervals_wider_than_the_scale_are_named(equal):
    wide = replace(equal, comparison=equal.comparison.assign(ci_low=-80.0, ci_high=70.0))
    said = "wider than the whole scale: 3 runs cannot bound the gain."
    assert said in page_tables.gain_boards(wide, {})[0].text
    narrow = replace(equal, comparison=equal.comparison.assign(ci_low=-49.0, ci_high=50.0))
    assert said not in page_tables.gain_boards(narrow, {})[0].text


def test_a_baseline_is_named_once(equal):
    """SQuAD alone has another one: its row says so, and only a cell that differs from its row."""
    rows = equal.comparison
    mine = rows["treatment"].eq("squad")
    other = rows.assign(baseline=rows["baseline"].mask(mine & rows["task"].eq("xquad"), "mnli"))
    third = rows[mine & rows["task"].eq("udpos")].assign(treatment="all")
    changed = replace(equal, comparison=pd.concat([other, third]))
    cells = {line[0].text: line for line in page_tables.score_board(changed)[0].items}
    assert "over no intermediate task unless another" in page_tables.score_board(changed)[1].text
    assert not cells["MNLI"][0].below and " on " not in cells["MNLI"][1].below
    named = [cells["SQuAD"][0].below, *(cell.below for cell in cells["SQuAD"][1:3])]
    assert sum("MNLI" in text for text in named) == 1


def test_a_bootstrap_reopens_findings_only():
    """The row over all languages differs; it counts where its verdict is a finding."""
    found = report_of(lambda cube: cube["seed"] < 3, "all")
    beside = found.beside.assign(differs=found.beside["task"].eq("xquad"))
    found.__dict__["beside"] = beside
    said = "; a bootstrap is inconclusive"
    assert doubt(found) == said and title(found).endswith(said)
    assert said in one_sentence(found) and said in closing(found)[0]
    assert "inconclusive" in bootstrap_words(found)


def test_undetermined_rows_have_nothing_to_reopen(monkeypatch, equal):
    from xtsupport.report import contents as module

    rows = equal.beside.assign(differs=True)
    monkeypatch.setattr(module, "beside_bootstrap", lambda evidence: rows)
    open_rows = equal.comparison.assign(verdict="undetermined")
    assert not replace(equal, comparison=open_rows).beside["differs"].any()
    said = bootstrap_words(replace(equal, comparison=open_rows))
    assert said == "Nothing was found, so there is nothing for a bootstrap to confirm."
    one = bootstrap_words(replace(equal, comparison=open_rows.assign(n_seeds=1)))
    assert one.startswith("One seed")
    findings = replace(equal, comparison=equal.comparison.assign(verdict="improves"))
    assert findings.beside["differs"].all() and "disagrees" in bootstrap_words(findings)
    findings.__dict__["beside"] = rows.assign(differs=False)
    assert bootstrap_words(findings).endswith("excludes 0 for every finding.")
