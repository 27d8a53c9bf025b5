"""What `xtsupport plan` says a study costs, against the tokens and seconds of its finished runs.

    python benchmarks/cost.py params/small.yaml params/demo.yaml

Needs their runs in outputs/. Settings, tokens of training rows and seconds come from each run's
run.json. Runs that differ only in condition and seed do the same work, so the table also shows the
fastest of them: the time that the work takes when nothing else is running.
"""

import sys

import pandas as pd

from xtsupport import folders
from xtsupport.errors import UserError
from xtsupport.study import cost, run_store
from xtsupport.study.params.loading import load_settings
from xtsupport.study.runs import Run, read_record


def finished(study: str) -> list[tuple[Run, dict]]:
    """The trained runs of a study, from their records alone."""
    found = []
    for folder in run_store.of_study(folders.outputs() / study):
        record = read_record(folder)
        if record and record["phase"] in ("pretraining", "intermediate", "target"):
            names = ("study", "phase", "condition", "seed", "settings", "options", "training_task")
            own = {name: record[name] for name in names}
            run = Run(name=folder.name, variant=record["variant"], **own)
            found.append((run, record))
    return found


def trained_tokens(record: dict) -> float:
    """Tokens that a run trained on: those of its features, as often as its steps saw them."""
    sets = record["training"].values()  # of several choices the longest
    drawn = record["steps"] * record["settings"]["batch_size"]
    return drawn * sum(s["tokens"] for s in sets) / sum(s["features"] for s in sets)


def compared(path: str) -> pd.DataFrame:
    """One row per phase and what it trains on: estimate, sum and fastest, in seconds."""
    settings = load_settings(path)
    done = finished(settings.study)
    if not done:
        raise UserError(f"no finished runs of {settings.study}: `xtsupport run {path}` first")
    device = cost.here(settings.resolved_precision)
    rows = []
    for run, record in done:
        (work,) = cost.Estimate(settings, [run]).works
        rows.append(
            {
                "study": settings.study,
                "phase": run.phase,
                "task": run.training_task or "+".join(run.settings.get("tasks", ())),
                "steps": work.steps,
                "tokens": work.trained / trained_tokens(record),
                "estimate": work.seconds(device),
                "took": record["seconds"],
            }
        )
    groups = pd.DataFrame(rows).groupby(["study", "phase", "task", "steps"], sort=False)
    table = groups.agg(
        runs=("took", "size"),
        tokens=("tokens", "mean"),
        estimate=("estimate", "mean"),
        fastest=("took", "min"),
        slowest=("took", "max"),
    )
    ratio = (table["estimate"] / table["fastest"]).round(2)
    return table.round({"tokens": 2, "estimate": 0, "fastest": 0, "slowest": 0}).assign(ratio=ratio)


if __name__ == "__main__":
    for each in map(compared, sys.argv[1:] or ["params/small.yaml", "params/demo.yaml"]):
        print(each.reset_index().to_string(index=False))
        total = (each["estimate"] * each["runs"]).sum() / (each["fastest"] * each["runs"]).sum()
        print(f"together: estimate / fastest = {total:.2f}\n")
