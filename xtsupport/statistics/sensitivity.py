"""Would another method have answered otherwise? The primary comparison beside one bootstrap.

``beside_bootstrap`` puts the studentised bootstrap of clusters x seeds, which makes the same claim,
beside the two-way variance. ``noise`` says where the uncertainty comes from.
"""

import numpy as np
import pandas as pd

from xtsupport.statistics.components import PARTS, components
from xtsupport.statistics.declared import UNITS
from xtsupport.statistics.evidence import Evidence
from xtsupport.statistics.inference import inference
from xtsupport.statistics.resampling import bootstrap


def beside_bootstrap(evidence: Evidence, n_resamples: int = 2000, seed: int = 0) -> pd.DataFrame:
    """The answer's rows by the primary method and by the bootstrap, unadjusted.

    Columns: task, level, gain, ci_low, ci_high (two-way variance), boot_low, boot_high (points),
    differs: whether only one of the two intervals excludes 0. Both resample clusters x seeds.
    """
    rules, found = evidence.rules, evidence.answer_cases()
    own = inference(found, UNITS[0], rules.alpha)
    drawn = bootstrap(evidence.sums, found, UNITS[0], n_resamples, seed)
    low, high = drawn.interval(rules.alpha).T
    labels = pd.DataFrame([{"task": c.row.task, "level": c.row.level} for c in found])
    table = labels.join(own[["gain", "ci_low", "ci_high"]]).assign(boot_low=low, boot_high=high)
    excludes = (table["ci_low"] > 0) | (table["ci_high"] < 0)
    return table.assign(differs=excludes != ((low > 0) | (high < 0)))


def noise(evidence: Evidence) -> pd.DataFrame:
    """Where the uncertainty of the primary gain over all languages comes from.

    Columns: part (``PARTS``), variance (squared points, raw), sd (points) and share (percent of the
    squared standard error of the mean over seeds, clusters and languages; nan with one seed).
    UserError where seeds are not paired.
    """
    parts = components(evidence.answer_cases("all")[0])
    s, g, k = (parts[name] for name in ("n_seeds", "n_clusters", "n_languages"))
    lines = pd.DataFrame({"part": PARTS, "variance": [parts[name] for name in PARTS]})
    lines["sd"] = np.sqrt(lines["variance"].clip(lower=0))
    of_mean = lines["sd"] ** 2 / np.array((s, s * k, g, g * k, g * s, g * s * k))
    lines["share"] = 100 * of_mean / (of_mean.sum() if s > 1 else np.nan)
    return lines
