"""Rules between settings, and between settings and the tables of tasks and languages.

Each rule yields (key path, what is wrong), and ends at the first setting that is itself wrong.
"""

from types import SimpleNamespace

from xtsupport.errors import UserError, shorten
from xtsupport.study.params import known_names, sound_values
from xtsupport.tables import languages, tasks


def broken(settings, given, bad: set[str]) -> list[str]:
    """One line per broken rule: file and line, key, what is wrong; bad: keys that were told."""
    tables, problems = tables_of(settings, bad)
    lines = [f"{given.where(('data',))}: {each}" for each in problems]
    names = {*type(settings).model_fields, "seeds_of", "spoken"} - bad
    sound = SimpleNamespace(**{name: getattr(settings, name) for name in names})
    for rule in RULES:
        try:
            for path, text in rule(sound, *tables):
                lines.append(f"{given.where(path)}: {text}")
        except AttributeError as error:
            if error.name not in bad:
                raise
    return lines


def unsupported(settings) -> set[tuple]:
    """Key paths of entries whose task or condition is not one of the study."""
    tables, _ = tables_of(settings, set())
    paths = (path for rule in NAMING for path, _ in rule(settings, *tables))
    return {path[:2] if path[:2] == ("analysis", "primary") else path for path in paths}


def tables_of(settings, bad: set[str]) -> tuple[tuple[dict, dict], list[str]]:
    """The tables that the study's data bring along, and why they cannot be read."""
    try:
        source = "hub" if "data" in bad else settings.data_source
        return (tasks(source), languages(source)), []
    except UserError as error:
        return (tasks("hub"), languages("hub")), [
            f"data = {shorten(settings.data)}: {each}" for each in error.problems
        ]


# Their problems are of entries that name a task or condition of the study.
NAMING = (
    known_names.known_seeds,
    known_names.known_variants,
    known_names.known_overrides,
    known_names.known_evaluation,
    known_names.known_retrieval,
    known_names.known_contrasts,
    known_names.sound_primary,
)
RULES = (
    known_names.no_name_twice,
    known_names.known_conditions,
    known_names.known_targets,
    known_names.known_languages,
    sound_values.unseen_evaluation,
    *NAMING,
    sound_values.controls_with_runs,
    sound_values.paired_seeds,
    sound_values.sound_windows,
    sound_values.stride_or_step,
    sound_values.sound_encoder,
    sound_values.known_positions,
    sound_values.trimmable,
    sound_values.recordable,
    sound_values.sound_synonyms,
)
