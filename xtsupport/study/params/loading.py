"""Read a params file, apply ``--set``, and check it: every problem at once."""

from collections.abc import Mapping
from pathlib import Path

from pydantic import ValidationError

from xtsupport import files, folders
from xtsupport.errors import UserError
from xtsupport.study.params import params_file, rules
from xtsupport.study.params.explained import explained
from xtsupport.study.params.params_file import leaves
from xtsupport.study.params.settings import LOST, Settings
from xtsupport.study.planned import plan_flaw

# What takes the place of wrong values, so that the rules can look at the others.
STAND_INS = {
    **{"study": "study", "data": "hub", "encoder": "pretrain"},
    **{"conditions": ["none"], "targets": ["xquad"]},
}


def load_settings(path: str | Path, overrides=()) -> Settings:
    """Read, override and check a params file (`folders.params_file` says where it is looked for).

    overrides: ``a.b=c`` texts as ``--set`` takes them, or a mapping from dotted key to value.
    Raises UserError with every problem found: file and line, key, value, what is allowed.
    """
    path = folders.params_file(path)
    given = params_file.read(path)
    for key, value in as_pairs(overrides, given):
        override(given, key, value)
    settings, bad = validated(given)
    left_out = given.without([] if bad else without_support(path, settings, given))
    if left_out:
        settings, bad = validated(given)
    given.problems += rules.broken(settings, given, bad)
    if given.problems:
        raise UserError(*given.problems)
    settings._left_out += left_out
    settings._origins.update(kept_origins(path, given))
    settings._planned.update(first_plan(path, settings.study))
    return settings


def without_support(path: Path, settings: Settings, given: params_file.ParamsFile) -> list[tuple]:
    """Key paths of the file's entries whose task or condition ``--set`` took out of the study.

    What was wrong in the file, or was itself given by ``--set``, stays, and is refused.
    """
    if not {key[0] for key in given.set_keys} & {"conditions", "targets"}:
        return []
    own, bad = validated(params_file.read(path))
    gone = set() if bad else rules.unsupported(settings) - rules.unsupported(own)
    near = (each for each in gone for key in given.set_keys if each[: len(key)] == key[: len(each)])
    return sorted(gone - {*near})


def as_pairs(overrides, given: params_file.ParamsFile) -> list[tuple[str, object]]:
    """Overrides as (dotted key, value); a text without ``=`` is a problem."""
    if isinstance(overrides, Mapping):
        return list(overrides.items())
    pairs = []
    for text in overrides:
        key, equals, value = text.partition("=")
        if equals and key.strip():
            pairs.append((key.strip(), params_file.scalar(value.strip())))
        else:
            given.problems.append(
                f"--set {text}: must look like key=value, for example target.epochs=2"
            )
    return pairs


def override(given: params_file.ParamsFile, key: str, value: object) -> None:
    """Put one value where its dotted key says, as if the file had held it.

    A list that stands there already (``seeds``, given ``seeds.squad``) holds on for all the rest.
    """
    *parents, last = key.split(".")
    place = given.values
    for name in parents:
        if not isinstance(place.get(name), dict):
            usual = place.get(name)
            place[name] = {"default": usual} if isinstance(usual, list) else {}
        place = place[name]
    place[last] = value
    other = {"step": "stride", "stride": "step"}.get(last)  # one replaces the other in the file
    if value is not None and (*parents, other) not in given.set_keys:
        place.pop(other, None)
    given.set_keys.add((*parents, last))


def validated(given: params_file.ParamsFile) -> tuple[Settings, set[str]]:
    """The settings, and the top-level keys whose values are wrong (stand-ins take their place)."""
    try:
        return Settings.model_validate(given.values), set()
    except ValidationError as error:
        given.problems += explained(error, given)
        bad = {str(each["loc"][0]) for each in error.errors()}
        sound = {key: value for key, value in given.values.items() if key not in bad}
        return Settings.model_validate(STAND_INS | sound), bad


def kept_origins(path: Path, given: params_file.ParamsFile) -> dict[str, str]:
    """Where each given value came from; a study's own settings.yaml remembers the first source."""
    named, own = {}, path.name == "settings.yaml"
    earlier = (own and files.read_json(path.with_name("origins.json"))) or {}
    for key in leaves(given.values):
        by_hand = any(key == params_file.dotted(each) for each in given.set_keys)
        named[key] = "--set" if by_hand else earlier.get(key, path.name)
    return named


def first_plan(path: Path, study: str) -> dict:
    """A study's planned.json: ``analysis`` and ``precision`` as they were before its first run;
    with ``LOST`` where there is none, or finished runs tell of another file.

    The file lies beside a study's own settings.yaml, else in the study's folder under outputs/.
    """
    own = [path.parent] if path.name == "settings.yaml" else []
    for folder in [*own, folders.outputs() / study]:
        found = {LOST: True} if plan_flaw(folder) else {}
        if found := found | (files.read_json(folder / "planned.json") or {}):
            return found
    return {LOST: True}
