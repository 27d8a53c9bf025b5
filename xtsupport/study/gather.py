"""A class as a replication: pool the cubes of many machines, each with different seeds.

The result shows what each machine would have claimed from its own runs alone, and what all of
them show together: the same study with other seeds is another sample.
"""

from collections.abc import Sequence
from pathlib import Path

import pandas as pd

from xtsupport import folders
from xtsupport.analysis import compare
from xtsupport.cube.scores import official_metrics
from xtsupport.cube.store import read_cube
from xtsupport.errors import UserError
from xtsupport.files import write_json, write_parquet, write_text
from xtsupport.report.gain_plots import claims_figure
from xtsupport.sides import side
from xtsupport.statistics.declared import declared as declaration
from xtsupport.study.params.loading import load_settings
from xtsupport.study.params.settings import Settings
from xtsupport.study.planned import note_lacking
from xtsupport.study.run_store import intact
from xtsupport.study.runs import PLANNED

OF_RUN = ["condition", "variant", "task", "seed"]
# What may differ between studies that are pooled: how much was run, and how it was carried out.
OWN = {"study", "conditions", "targets", "variants", "seeds", "nodes", "threads",
       "checkpoint_minutes", "tracking"}  # fmt: skip
SHOWN = ["machine", "seeds", "gain", "ci_low", "ci_high", "p_value", "verdict"]


def gather(
    paths: Sequence[str], out: str | Path, target: str | None = None
) -> tuple[pd.DataFrame, pd.DataFrame, list[str]]:
    """Pool the studies in `paths` (folders with ``cube`` and ``settings.yaml``, as `run` writes).

    Returns the verdict of each machine on the primary contrast over all languages, from its own
    questions alone (columns ``SHOWN``), the pooled rows over questions and runs, and a line per
    study that was given twice. target: None is the primary one; another is judged by its official
    metric. Writes ``cube.parquet``, ``settings.yaml``, ``planned.json``, ``machines.csv`` and
    ``machines.png`` to `out`. Raises UserError where studies differ in a setting that scores depend
    on, or lack the target under a condition, or two machines used the same seed for different runs.
    """
    found = [folders.typed(path, Path()) for path in paths]
    absent = [f for f in found if not (f / "cube").is_dir() or not (f / "settings.yaml").is_file()]
    if absent:
        raise UserError(
            *(f"{f}: is not a finished study (cube/ and settings.yaml); name a folder such as "
              "outputs/demo" for f in absent)
        )  # fmt: skip
    settings = [load_settings(f / "settings.yaml") for f in found]
    _same_question(found, settings)
    primary, data = settings[0].analysis.primary, settings[0].data_source
    if primary is None:
        raise UserError(f"{found[0]}: declares no primary comparison (analysis.primary)")
    own = [read_cube(intact(f / "cube")) for f in found]
    for declared_there, cube in zip(settings, own, strict=True):
        note_lacking(declared_there, cube)
    cubes, notes = _once(own, found)
    pooled = pd.concat(cubes.values(), ignore_index=True)
    pooled["study"] = settings[0].study
    target = target or primary.target
    declared = target == primary.target
    metric = primary.metric if declared else official_metrics(data, [target])[target]
    sides = [side(one)[0] for one in (primary.treatment, primary.baseline)]
    asked = {"contrasts": [(primary.treatment, primary.baseline)], "metrics": [metric],
             "primary": target, "by": "all", "data": data,
             "margin": settings[0].analysis.margin,
             "alpha": settings[0].analysis.alpha}  # fmt: skip

    if lacking := [
        f"{name} ({' and '.join(each for each in sides if each not in there)})"
        for name, cube in cubes.items()
        if not {*sides} <= (there := {*cube.loc[cube["task"] == target, "condition"]})
    ]:
        raise UserError(f"{target}: no scores from {', '.join(lacking)}; run this target there too")

    def seeds(cube: pd.DataFrame) -> str:
        runs = cube[(cube["task"] == target) & cube["condition"].isin(sides)]
        found = [set(own) for _, own in runs.groupby("condition", observed=True)["seed"]]
        several = [own for own in found if len(own) > 1] or found  # one run may serve every seed
        return " ".join(map(str, sorted(set.intersection(*several))))

    def row(cube: pd.DataFrame, unit: str) -> dict:
        table = compare(cube[cube["task"] == target], unit=unit, **asked)
        return table[(table["task"] == target) & (table["by"] == "all")].iloc[0].to_dict()

    each = [{"machine": n, "seeds": seeds(c)} | row(c, "clusters") for n, c in cubes.items()]
    alone = pd.DataFrame(each)[SHOWN]
    together = pd.DataFrame([row(pooled, "clusters x seeds")])
    out = folders.typed(out, Path())
    out.mkdir(parents=True, exist_ok=True)
    write_parquet(out / "cube.parquet", pooled)
    late = [number for number, each in enumerate(settings) if not declaration(each).in_advance]
    kept = late[0] if late else 0
    write_text(out / "settings.yaml", (found[kept] / "settings.yaml").read_text(encoding="utf-8"))
    write_json(out / PLANNED, pooled_plan(settings[kept], () if late else ("seeds",)))
    write_text(out / "machines.csv", alone.to_csv(index=False))
    claims_figure(alone, together).savefig(out / "machines.png", dpi=150)
    return alone, together, notes


def pooled_plan(settings: Settings, dropped: Sequence[str]) -> dict:
    """What one machine declared for all: the first that did so too late, else any, seeds apart."""
    planned = settings._planned
    scope = {key: value for key, value in planned.get("scope", {}).items() if key not in dropped}
    return planned | {"scope": scope}


def _same_question(found: Sequence[Path], settings: Sequence) -> None:
    for name in (each for each in Settings.model_fields if each not in OWN):
        value = getattr(settings[0], name)
        pairs = zip(found, settings, strict=True)
        if other := [str(f) for f, each in pairs if getattr(each, name) != value]:
            raise UserError(
                f"{name}: {', '.join(other)} and {found[0]} have different values; only studies "
                "that are the same except for their seeds can be pooled"
            )


def _names(found: Sequence[Path]) -> list[str]:
    """The last part of the paths in which all of them differ: laptop1 of laptop1/demo."""
    parts = zip(*(folder.resolve().parts[::-1] for folder in found), strict=False)
    apart = (list(names) for names in parts if len({*names}) == len(found))
    return next(apart, [folder.name for folder in found])


def _once(cubes: Sequence[pd.DataFrame], found: Sequence[Path]):
    """{machine: its cube}, each run once, and a line per machine that brought nothing new."""
    kept: dict[str, pd.DataFrame] = {}
    owner: dict[tuple, tuple[str, str]] = {}
    notes = []
    for number, (cube, folder, name) in enumerate(zip(cubes, found, _names(found), strict=True), 1):
        first, *rest = (cube[column].astype(str) for column in OF_RUN)
        keys = first.str.cat(rest, sep="/")
        runs = cube["phase3_run"].astype(object).fillna("")
        made = dict(pd.DataFrame({"key": keys, "run": runs}).drop_duplicates("key").to_numpy())
        known = {key for key in made if key in owner}
        clash = [key for key in sorted(known) if owner[key][1] != made[key]]
        if clash:
            raise UserError(
                f"{folder} and {owner[clash[0]][0]} have different runs of {clash[0]}: give every "
                "machine its own seed, such as --set seeds=[7]"
            )
        owner |= {key: (str(folder), run) for key, run in made.items() if key not in known}
        if known == set(made):
            notes.append(f"{folder}: all of its runs were already counted; left out")
        else:
            kept[f"{number} {name}"] = cube[~keys.isin(known)]
    return kept, notes
