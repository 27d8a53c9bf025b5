"""Rules between settings, and between settings and the tables of tasks and languages.

Each rule yields (key path, what is wrong), and ends at the first setting that is itself wrong.
"""

from contextlib import suppress
from typing import Any

from xtsupport.errors import UserError, shorten
from xtsupport.study.params import known_names as names
from xtsupport.study.params import sound_values as values


class Wrong(Exception):
    """A rule asked for a setting that is wrong, which was said already."""


class Sound:
    """The settings, of which those named in `bad` cannot be read."""

    def __init__(self, settings, bad: set[str]):
        self._settings, self._bad = settings, bad

    def __getattr__(self, name: str) -> Any:
        if name in self._bad:
            raise Wrong
        return getattr(self._settings, name)


def broken(settings, given, bad: set[str]) -> list[str]:
    """One line per broken rule: file and line, key, what is wrong."""
    tables, problems = tables_of(settings, bad)
    lines = [f"{given.where(('data',))}: {each}" for each in problems]
    for rule in RULES:
        with suppress(Wrong):
            for path, text in rule(Sound(settings, bad), *tables):
                lines.append(f"{given.where(path)}: {text}")
    return lines


def without_support(own, settings, given) -> list[tuple]:
    """Key paths of the file's entries whose task or condition ``--set`` took out of the study.

    own: the settings of the file alone. What was wrong there already, or was itself given by
    ``--set``, stays, and is refused.
    """

    def entries(each) -> set[tuple]:
        tables, _ = tables_of(each, set())
        paths = (path for rule in NAMING for path, _ in rule(each, *tables))
        return {path[:2] if path[:2] == ("analysis", "primary") else path for path in paths}

    return [
        path
        for path in sorted(entries(settings) - entries(own))
        if not any(path in (key, key[: len(path)]) or path[: len(key)] == key
                   for key in given.set_keys)
    ]  # fmt: skip


def tables_of(settings, bad: set[str]) -> tuple[tuple[dict, dict], list[str]]:
    """The tables that the study's data bring along, and why they cannot be had."""
    from xtsupport.tables import languages, tasks

    try:
        source = "hub" if "data" in bad else settings.data_source
        return (tasks(source), languages(source)), []
    except UserError as error:
        return (tasks("hub"), languages("hub")), [
            f"data = {shorten(settings.data)}: {each}" for each in error.problems
        ]


# Their problems are of entries that name a task or condition of the study.
NAMING = (
    names.known_seeds,
    names.known_variants,
    names.known_overrides,
    names.known_evaluation,
    names.known_retrieval,
    names.known_contrasts,
    names.sound_primary,
)
RULES = (
    names.no_name_twice,
    names.known_conditions,
    names.known_targets,
    names.known_languages,
    values.unseen_evaluation,
    *NAMING,
    values.controls_with_runs,
    values.paired_seeds,
    values.sound_windows,
    values.stride_or_step,
    values.sound_encoder,
    values.known_positions,
    values.trimmable,
    values.recordable,
    values.sound_synonyms,
)
