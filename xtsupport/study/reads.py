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


def reads(settings, part=None) -> tuple[list[Read], list[Read], list[Read], list[Read]]:
    """What the runs of a study train on, evaluate, and select on, and what phase 2 is scored on
    after training (where a source has it; no run depends on it), each once, in their order.

    part: only those of this part of it (``narrowing``).
    """
    found: list[dict[Read, bool]] = [{}, {}, {}, {}]
    training, evaluation, development, scored = found
    for run in Planner(settings, part, inputs=Listing).all_runs():
        trained = run.phase in ("pretraining", "intermediate")
        for key, read in run.data.items():
            if key.endswith("/dev"):
                development[read] = True
            elif isinstance(read, Read):  # not the checksum of a list of synonyms
                (training if trained or key.endswith("/train") else evaluation)[read] = True
        for name in run.settings["tasks"] if run.phase == "intermediate" else ():
            if split := validation_split(name, run):
                scored[Read(name, "en", split)] = True
    return list(training), list(evaluation), list(development), list(scored)


def needed(settings, part=None) -> list[Read]:
    """Everything that the runs of a study, or of a part of it, depend on, training splits first."""
    return list(dict.fromkeys(read for role in reads(settings, part)[:3] for read in role))


def texts(settings) -> list[tuple]:
    """What a study cuts into pieces, for a vocabulary that is trimmed to it: (task, language,
    split, second language) of all that it reads; empty where it trims none."""
    if not settings.trim_vocabulary:
        return []
    *roles, scored = reads(settings)
    roles.append([each for each in scored if available(*each[:3], settings.data_source)])
    return list(dict.fromkeys(read[:4] for role in roles for read in role))
