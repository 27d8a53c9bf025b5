"""Would another method, metric or scale have answered otherwise?"""

import pandas as pd

from xtsupport.statistics.bootstrap import bootstrap
from xtsupport.statistics.declared import UNITS
from xtsupport.statistics.evidence import Evidence
from xtsupport.statistics.inference import inference
from xtsupport.statistics.scales import FACTOR


def beside_bootstrap(evidence: Evidence, n_resamples: int = 2000) -> pd.DataFrame:
    """The answer's rows by the primary method and by the bootstrap, unadjusted.

    Columns: task, level, gain, ci_low, ci_high (two-way variance), boot_low, boot_high (points),
    differs: whether only one of the two intervals excludes 0. Both resample clusters x seeds.
    """
    rules, found = evidence.rules, evidence.answer_cases()
    own = inference(found, UNITS[0], rules.alpha)
    low, high = bootstrap(evidence.sums, found, UNITS[0], n_resamples).interval(rules.alpha).T
    table = own[["task", "level", "gain", "ci_low", "ci_high"]].assign(boot_low=low, boot_high=high)
    excludes = (table["ci_low"] > 0) | (table["ci_high"] < 0)
    return table.assign(differs=excludes != ((low > 0) | (high < 0)))


def on_scales(evidence: Evidence) -> pd.DataFrame:
    """The primary contrast on target, rest and difference, by every metric and scale, per level.

    Columns: task, level, metric, scale, gain, ci_low, ci_high, p_value (unadjusted), unit; the gain
    is in points, percent of the baseline's errors, or log odds.
    """
    rules, primary = evidence.rules, evidence.primary
    tasks = (primary.target, "rest", f"{primary.target} - rest")
    mine = [case for case in evidence.primary_cases() if case.by == primary.by]
    chosen = [case for case in mine if case.task in tasks]
    columns = ["task", "level", "metric", "scale", "gain", "ci_low", "ci_high", "p_value", "unit"]
    return inference(chosen, rules.unit, rules.alpha, list(FACTOR))[columns]
