"""A cube on disk that is larger than memory: one task at a time, one column at a time.

At paper size a cube has some 30 million rows; its largest task fits into memory once its words are
small codes, but not while all its columns are decoded at once.
"""

from collections.abc import Iterator

import pandas as pd
import pyarrow.compute as pc
import pyarrow.dataset as ds

from xtsupport.cube.columns import COUNTS, validate_cube
from xtsupport.cube.store import cube_tasks, open_cube, to_frame
from xtsupport.errors import UserError
from xtsupport.statistics.clusters import ClusterSums, contract

NEEDED = ["study", "condition", "variant", "language", "language_2", "family", "group", "seed"]
NEEDED += ["example_id", "cluster_id", "metric", "score", *COUNTS, "phase2_run"]


def contract_stored(path) -> Iterator[ClusterSums]:
    """The cluster sums of a cube on disk. UserError as ``read_cube`` and ``validate_cube``."""
    dataset = open_cube(path)
    if "task" not in dataset.schema.names:
        raise UserError(f"{path}: the cube lacks the column task")
    for task in cube_tasks(dataset):
        rows = load_task(dataset, task)
        validate_cube(rows)
        yield from contract(rows)


def load_task(dataset: ds.Dataset, task: str) -> pd.DataFrame:
    """The columns of one task that the statistics need, decoded one after the other."""
    mine = pc.field("task") == task
    columns = {"task": pd.Categorical.from_codes([0], [task])}
    for name in [name for name in NEEDED if name in dataset.schema.names]:
        columns[name] = to_frame(dataset.to_table(columns=[name], filter=mine))[name].array
    columns["task"] = columns["task"].repeat(dataset.count_rows(filter=mine))
    return pd.DataFrame(columns, copy=False)
