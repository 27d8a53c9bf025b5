"""What the runs of a study read of the data: for a look at it, and to fetch it."""

from typing import Any, NamedTuple

from xtsupport.data.hub import available
from xtsupport.study.inputs import Published
from xtsupport.study.phases.exposure import validation_split
from xtsupport.study.planner import Planner


class Read(NamedTuple):
    """A split as load() takes it; `first` rows of it, or all."""

    task: str
    language: str
    split: str
    language_2: str | None = None
    first: int | None = None


class Listing(Published):
    """Inputs without a look at the rows: every fingerprint is what would be read."""

    def rows(self, task, most, split=None, code="en") -> int:
        """No row is counted."""
        return 1

    def fingerprint(self, task, language, split, language_2=None) -> Any:
        """What load() takes."""
        return Read(task, language, split, language_2)

    def raw(self, raw: dict) -> dict:
        """Of raw text beside phase 2 so many documents."""
        first = raw.get("documents")
        return {key: read._replace(first=first) for key, read in super().raw(raw).items()}


def reads(settings, part=None) -> tuple[list[Read], list[Read], list[Read]]:
    """What the runs of a study train on, evaluate, and select on, each once, in their order.

    part: only those of this part of it (``narrowing``).
    """
    training: dict[Read, bool] = {}
    evaluation: dict[Read, bool] = {}
    development: dict[Read, bool] = {}
    for run in Planner(settings, part, inputs=Listing).all_runs():
        trained = run.phase in ("pretraining", "intermediate")
        for key, read in run.data.items():
            if key.endswith("/dev"):
                development[read] = True
            elif isinstance(read, Read):  # not the checksum of a list of synonyms
                (training if trained or key.endswith("/train") else evaluation)[read] = True
    return list(training), list(evaluation), list(development)


def validation(settings, part=None) -> list[Read]:
    """What phase 2 is scored on after training, where a source has it; no run depends on it."""
    made = Planner(settings, part, inputs=Listing).all_runs()
    trained = [(name, run) for run in made if run.phase == "intermediate"
               for name in run.settings["tasks"]]  # fmt: skip
    found = dict.fromkeys((name, validation_split(name, run)) for name, run in trained)
    return [Read(name, "en", split) for name, split in found if split]


def texts(settings) -> list[tuple]:
    """What a study cuts into pieces, for a vocabulary that is trimmed to it: (task, language,
    split, second language) of all that it reads; empty where it trims none."""
    if not settings.trim_vocabulary:
        return []
    source = settings.data_source
    scored = [each for each in validation(settings) if available(*each[:3], source)]
    return list(dict.fromkeys(each[:4] for each in (*needed(settings), *scored)))


def needed(settings, part=None) -> list[Read]:
    """Everything a study, or a part of it, reads, training splits first."""
    return list(dict.fromkeys(read for role in reads(settings, part) for read in role))
