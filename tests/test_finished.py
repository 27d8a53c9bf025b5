"""What finished runs left, as tables."""

import pandas as pd
import pytest
from study_toys import do, toy_root

from xtsupport.errors import UserError
from xtsupport.study import finished
from xtsupport.study.plan import open_study


@pytest.fixture
def study(tmp_path, monkeypatch):
    monkeypatch.setenv("XTSUPPORT_ROOT", str(tmp_path))
    return open_study(toy_root(tmp_path))


def test_tables_of_finished_runs_carry_condition_and_seed(study):
    todo = study.runs("retrieval", "squad")
    for above in (*study.runs("pretraining"), *study.runs("intermediate")):
        do(above)
    for run in todo:
        do(run, layers=pd.DataFrame({"layer": [0, 1], "accuracy": [1.0, 2.0]}))
    table = finished.table(todo, "layers.csv")
    assert table[["condition", "seed"]].values.tolist() == [["squad", 0]] * 2 + [["squad", 1]] * 2
    assert len(finished.finished(study, "retrieval")) == 2
    done = finished.progress_table(study).set_index("phase")
    assert done.loc["retrieval", ["runs", "done"]].tolist() == [3, 2]
    with pytest.raises(UserError, match="no finished run"):
        finished.table([], "layers.csv")


def test_predictions_of_a_condition_that_was_not_run(study, capsys):
    with pytest.raises(UserError, match="04_target_transfer with condition = 'squad'"):
        finished.predictions(study, "squad", "xquad")
    with pytest.raises(UserError, match="did you mean 'squad'"):
        finished.predictions(study, "sqaud", "xquad")
    assert not finished.has_predictions(study, ["squad"], "xquad")
    assert "no run of it is finished" in capsys.readouterr().out
