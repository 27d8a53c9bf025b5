"""How often the verdicts of ``compare`` are wrong, and what they find, on simulated studies.

    python benchmarks/calibration.py [--studies 400] [--keep FILE] [--cells NAME ...] [--quick]
                                     [--write benchmarks/calibration.md]

Every study is drawn whole (``simulated_studies``) and compared over all languages and by language,
as a user would; what is counted stands in the table that ``compare`` returns. One factor at a time
leaves the base design. Interrupt it at will: finished cells are kept and not repeated. Prints the
table, then every required bar that is missed (``--quick`` has too few studies to say which);
``--write`` puts the table between the marks of a page.
"""

import argparse
import time
import zlib
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
from scipy import stats
from simulated_studies import Design, draw_study

from xtsupport.files import write_text
from xtsupport.statistics.aggregates import task_facts
from xtsupport.statistics.clusters import study_moments
from xtsupport.statistics.comparisons import compare
from xtsupport.statistics.components import PARTS, components, run_noise
from xtsupport.statistics.contrasts import cases
from xtsupport.statistics.heterogeneity import levels_differ
from xtsupport.statistics.pooling import expectations
from xtsupport.statistics.power import design_power

BASE = Design()
UDPOS = replace(BASE, languages=32, clusters=250, metric="micro", parallel=False)
UDPOS = replace(UDPOS, run_sd=0.6, language_run_sd=2.9)
NULL = {
    "base": BASE,
    "1 contrast": replace(BASE, contrasts=1),
    "9 contrasts": replace(BASE, contrasts=9),
    "5 seeds": replace(BASE, seeds=5),
    "5 seeds, run SD 2": replace(BASE, seeds=5, run_sd=2.0),
    "run SD 0 (0)": replace(BASE, run_sd=0.0, language_run_sd=0.0),
    "run SD 0.5": replace(BASE, run_sd=0.5),
    "run SD 2": replace(BASE, run_sd=2.0),
    "run x language SD 0": replace(BASE, language_run_sd=0.0),
    "run x language SD 3": replace(BASE, language_run_sd=3.0),
    "1 language (4 rows)": replace(BASE, languages=1),
    "micro F1": replace(BASE, metric="micro", parallel=False),
    "UDPOS, 128 rows": UDPOS,
    "one treatment x3": replace(BASE, noisy="t1"),
    "baseline x3": replace(BASE, noisy="none"),
    "heavy tails": replace(BASE, heavy=True),
    "unpaired": replace(BASE, paired=False),
    "6 seeds, 3 phase-2 runs": replace(BASE, seeds=6, sharing=2),
    "retrieval, one baseline run": replace(BASE, metric="accuracy", parallel=False, single=True),
    "difference to the rest": replace(BASE, rest=True),
}
PLANTED = {
    f"+2 points, run SD {sd:g}": replace(BASE, run_sd=sd, gain=2.0) for sd in (0.5, 1.0, 2.0)
}
MARGIN = {
    "gain = margin": replace(BASE, gain=1.0),
    "gain = margin, run SD 0 (0)": replace(BASE, run_sd=0.0, language_run_sd=0.0, gain=1.0),
    "gain = margin, 5 seeds": replace(BASE, seeds=5, gain=1.0),
}
BETWEEN = {
    f"languages differ by SD {sd:g}": replace(BASE, language_sd=sd) for sd in (0.0, 0.5, 1.0, 2.0)
}
CELLS = NULL | PLANTED | MARGIN | BETWEEN
QUICK = ["base", "run SD 0 (0)", "+2 points, run SD 1", "gain = margin", "languages differ by SD 1"]
PARTS_OF_PAGE = {  # mark -> cells, and columns by the names of the page
    "null": (NULL, {
        "error": "error", "worst": "worst contrast", "error language": "error by language",
        "family all": "family", "family language": "family by language",
        "tiny": "p ≤ .001, per 1,000", "tiny language": "the same by language",
        "covers": "coverage", "agree all": "runs agree", "error agree all": "error then",
        "agree language": "agree by language", "error agree language": "error then by language",
        "F": "F test",
    }),
    "planted": (PLANTED, {
        "error": "found", "predicted": "predicted", "family all": "any judged",
        "error language": "found by language", "covers": "coverage",
    }),
    "margin": (MARGIN, {"equivalent": "any \"equivalent\"", "covers": "coverage"}),
    "languages": (BETWEEN, {
        "pooled": "coverage", "pooled new": "coverage, new language",
        "rmse measured": "error as measured", "rmse gain": "error pooled",
    }),
}  # fmt: skip
PAIR = [(("t1", "plain"), ("none", "plain"))]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--studies", type=int, default=400, help="per cell (default: 400)")
    parser.add_argument("--keep", type=Path, default=Path("outputs/calibration.csv"))
    parser.add_argument("--cells", nargs="+", choices=CELLS, default=list(CELLS), metavar="NAME")
    parser.add_argument("--quick", action="store_true", help="five cells, 60 studies, not kept")
    parser.add_argument("--write", type=Path, metavar="FILE", help="a page with marks to fill")
    given = parser.parse_args()
    if given.quick:
        table = run(QUICK, 60)
    else:
        table = run(given.cells, given.studies, given.keep)
    print(table.round(1).to_string(index=False))
    print(*([] if given.quick else misses(table)), sep="\n")
    if given.write:
        write_text(given.write, filled(given.write.read_text(), table))


def run(cells, studies: int, keep: Path | None = None) -> pd.DataFrame:
    """One row per cell; with ``keep``, those in that file are not run again."""
    done = pd.read_csv(keep) if keep and keep.exists() else pd.DataFrame({"cell": []})
    for cell in cells:
        if cell in set(done["cell"]):
            continue
        started, key = time.process_time(), zlib.crc32(cell.encode())
        rows = [one_study(CELLS[cell], [key, number], cell) for number in range(studies)]
        line = {"cell": cell, "studies": studies, **summary(CELLS[cell], rows)}
        line["seconds"] = time.process_time() - started
        done = pd.concat([done, pd.DataFrame([line])], ignore_index=True)
        if keep:
            write_text(keep, done.to_csv(index=False))
    return done


def one_study(design: Design, key, cell: str = "") -> dict:
    """What is counted in one study, as arrays over the rows of its tables. key: of the draws."""
    sums, truth = draw_study(design, np.random.default_rng(key))
    measured = study_moments(sums)
    task = f"{design.task} - rest" if design.rest else design.task
    counted: dict[str, pd.Series] = {}
    for by in ("all", "language"):
        table = compare(measured, by=by, paired=design.paired)
        table = table[table["task"].eq(task) & table["by"].eq(by) & table["metric"].ne("official")]
        gains = truth.gains if by == "language" else truth.gains.mean()
        real = np.tile(gains, design.contrasts)
        half = stats.t.ppf(0.975, table["df"]) * table["se"]
        counted |= {
            f"p {by}": table["p_value"],
            f"covers {by}": (table["gain"] - real).abs() <= half,
            f"printed {by}": table["ci_low"].le(real) & table["ci_high"].ge(real),
            f"judged {by}": table["verdict"].isin(["improves", "harms"]),
            f"equivalent {by}": table["verdict"].eq("equivalent"),
        }
    arrays = {name: values.to_numpy() for name, values in counted.items()}
    if not (design.rest or design.single) and design.paired:
        arrays |= runs_agree(design, measured[0])
    if design.languages > 2 and cell in NULL | BETWEEN:
        arrays |= of_languages(design, measured, task, truth, cell in BETWEEN)
    if cell in PLANTED:
        arrays["parts"] = pilot(measured)
    return arrays


def pilot(measured) -> np.ndarray:
    """Variance components, in the order of ``PARTS``, as ``xtsupport power`` would take them."""
    every, levels = (
        [case for case in cases(measured, task_facts(measured), PAIR, by) if case.by == by]
        for by in ("all", "language")
    )
    noise, _ = run_noise([case for case in levels if case.task == "xquad"])
    parts = components(next(case for case in every if case.task == "xquad"))
    parts |= {"seed": noise.run, "seed:language": noise.language}
    return np.array([parts[name] for name in PARTS])


def runs_agree(design: Design, one) -> dict:
    """Where V_s <= V_c, for the mean over languages (contrasts,) and per language (C x L,)."""
    labels = one.runs["condition"] + one.runs["replicate"].astype(str)
    mix = pd.get_dummies(labels).to_numpy(float).T
    mix = mix / mix.sum(1, keepdims=True)
    n = len(mix) // (design.contrasts + 1)
    y = np.einsum("ar,rl->al", mix, one.values).reshape(-1, n, design.languages)
    shape = (design.contrasts + 1, n, design.languages) * 2
    gram = np.einsum("ar,rlsm,bs->albm", mix, one.gram, mix).reshape(shape)
    agree: dict[str, list[bool]] = {"all": [], "language": []}
    for k in range(1, design.contrasts + 1):
        d = y[k] - y[0]
        g = gram[k, :, :, k] - gram[k, :, :, 0] - gram[0, :, :, k] + gram[0, :, :, 0]
        for by, weights in (("all", np.full((1, design.languages), 1 / design.languages)),
                            ("language", np.eye(design.languages))):  # fmt: skip
            between = np.var(d @ weights.T, axis=0, ddof=1) / n
            cells = np.einsum("el,slum,em->esu", weights, g, weights)
            luck = (np.trace(cells, axis1=1, axis2=2) - cells.sum((1, 2)) / n) / (n * (n - 1))
            agree[by] += (between <= luck).tolist()
    return {f"agree {by}": np.array(rows) for by, rows in agree.items()}


def of_languages(design: Design, measured, task, truth, pooled: bool) -> dict:
    """Of the first contrast: the F test, and whether pooled intervals hold the true gains."""
    found = cases(measured, task_facts(measured), PAIR, "language", design.paired)
    found = [case for case in found if (case.task, case.by) == (task, "language")]
    counted = {"p F": np.array([levels_differ(found)["p_value"]])}
    if pooled:
        table = expectations(found)
        real = [*truth.gains, truth.gains.mean(), truth.new]
        inside = (table["ci_low"].le(real) & table["ci_high"].ge(real)).to_numpy()
        counted |= {"pooled": inside[:-2], "pooled new": inside[-1:]}
        error = table[["measured", "gain"]].sub(real, axis=0).iloc[:-2] ** 2
        counted |= {f"rmse {name}": error[name].to_numpy() for name in error}
    return counted


def summary(design: Design, rows: list[dict]) -> dict:
    """One line of the table from what was counted in every study: percent, tiny per thousand."""
    every = {name: np.stack([row[name] for row in rows]) for name in rows[0]}
    significant = every["p all"] <= 0.05
    line = {
        "error": 100 * significant.mean(),
        "worst": 100 * significant.mean(0).max(),
        "error language": 100 * (every["p language"] <= 0.05).mean(),
        "family all": 100 * every["judged all"].any(1).mean(),
        "family language": 100 * every["judged language"].any(1).mean(),
        "tiny": 1000 * (every["p all"] <= 0.001).mean(),
        "tiny language": 1000 * (every["p language"] <= 0.001).mean(),
        "covers": 100 * every["covers all"].mean(),
        "covers language": 100 * every["covers language"].mean(),
        "printed language": 100 * every["printed language"].mean(),
        "equivalent": 100 * every["equivalent all"].any(1).mean(),
    }
    for by in ("all", "language"):
        agree = every.get(f"agree {by}")
        if agree is not None:
            line[f"agree {by}"] = 100 * agree.mean()
            wrong = every[f"p {by}"][agree] <= 0.05
            line[f"error agree {by}"] = 100 * wrong.mean() if len(wrong) else np.nan
    if "parts" in every:
        parts = dict(zip(PARTS, every["parts"].mean(0), strict=True))
        parts["conditions"] = design.contrasts + 1
        planned = design_power(parts, design.gain, design.seeds, design.clusters, design.languages)
        line["predicted"] = 100 * planned["power"]
    if "p F" in every:
        line["F"] = 100 * (every["p F"] <= 0.05).mean()
    if "pooled" in every:
        line |= {name: 100 * every[name].mean() for name in ("pooled", "pooled new")}
        line |= {n: np.sqrt(every[n].mean()) for n in ("rmse measured", "rmse gain")}
    return line


def filled(page: str, table: pd.DataFrame) -> str:
    """A page with the table's parts between ``<!-- name -->`` and ``<!-- end -->``."""
    for name, (cells, columns) in PARTS_OF_PAGE.items():
        rows = table[table["cell"].isin(cells)].set_index("cell")
        rows = rows.reindex(columns=list(columns)).rename(columns=columns)
        lines = [f"| studies | {' | '.join(rows)} |", "|---|" + "---:|" * len(rows.columns)]
        for cell, values in zip(rows.index, rows.to_numpy(), strict=True):
            shown = ["\N{EN DASH}" if np.isnan(value) else f"{value:.1f}" for value in values]
            lines.append(f"| {cell} | {' | '.join(shown)} |")
        lines.append(f"<!-- {len(rows)} of {len(cells)} cells -->")
        start, mark, rest = page.partition(f"<!-- {name} -->\n")
        page = (
            start + mark + "\n".join(["", *lines, ""]) + "\n" + rest[rest.index("<!-- end -->") :]
        )
    return page


def misses(table: pd.DataFrame) -> list[str]:
    """The required bars that the table misses by more than two Monte Carlo standard errors."""
    lines = []
    for row in table.to_dict("records"):
        cell, n = row["cell"], row["studies"]
        for name, allowed, least in bars(cell, CELLS[cell]):
            whole = 1000 if name == "tiny" else 100
            slack = 2 * np.sqrt(allowed * (whole - allowed) / n)
            value = row.get(name, np.nan)
            bad = value < allowed - slack if least else value > allowed + slack
            if bad:
                word = "at least" if least else "at most"
                lines.append(f"missed: {cell}: {name} {value:.1f}, required {word} {allowed:g}")
    return lines


def bars(cell: str, design: Design) -> list[tuple[str, float, bool]]:
    """Column, percent (of ``tiny`` per 1,000), and whether that is the least (else the most)
    allowed, for a cell."""
    if cell in PLANTED:
        return [("error", {0.5: 80, 1.0: 55, 2.0: 20}[design.run_sd], True), ("covers", 94, True)]
    if cell in MARGIN:
        return [("equivalent", 5, False), ("covers", 94, True)]
    if cell in BETWEEN:
        return [("pooled", 90, True), ("pooled new", 90, True)]
    worst = 8.5 if design.noisy else 6
    found = [("worst", worst, False), ("family all", 5, False), ("family language", 5, False)]
    found += [("error agree all", 10, False), ("error agree language", 10, False)]
    return [*found, ("covers", 100 - worst if design.noisy else 94, True), ("tiny", 2, False)]


if __name__ == "__main__":
    main()
