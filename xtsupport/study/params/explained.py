"""What pydantic found as one line per problem: where, which key, its value, what is allowed."""

import json
from contextlib import suppress
from typing import Any

from pydantic import ValidationError
from pydantic_core import ErrorDetails

from xtsupport.errors import instead, shorten
from xtsupport.study.params.params_file import ParamsFile, dotted
from xtsupport.study.params.settings import schema

Schema = dict


def explained(error: ValidationError, given: ParamsFile) -> list[str]:
    """One line per wrong key; the branches of a union count as one, the deepest."""
    lines: dict[tuple, str] = {}
    for each in error.errors():
        path = key_path(each, given.values)
        lines.setdefault(path, f"{given.where(path)}: {line(each, path)}")
    deeper = {path[:end] for path in lines for end in range(len(path))}
    return [text for path, text in lines.items() if path not in deeper]


def line(problem: ErrorDetails, path: tuple) -> str:
    """``target.epochs = -1: must be a number > 0, <= 1000``."""
    key, found = dotted(path), schema_at(path)
    if problem["type"] == "missing":
        return f"{key}: is missing; it must be {allowed(found)}"
    if problem["type"] == "extra_forbidden":
        parent = resolve(schema_at(path[:-1]))
        return f"{key}: unknown setting{instead(path[-1], parent.get('properties', ()))}"
    shown = shorten(problem["input"])
    if problem["type"] == "value_error":
        return f"{key} = {shown}: {problem['ctx']['error']}"
    if problem["type"] == "too_long":
        context = problem["ctx"]
        most, given = context["max_length"], context["actual_length"]
        return f"{key} = {shown}: has {given} values; at most {most} are allowed"
    return f"{key} = {shown}: must be {allowed(found)}"


def key_path(problem: ErrorDetails, values: Any) -> tuple:
    """Where in the file a problem is: pydantic's location without the branches of unions."""
    path: list[str | int] = []
    for part in problem["loc"]:
        with suppress(LookupError, TypeError):
            values = values[part]
            path.append(part)
    missing = problem["loc"][-1:] if problem["type"] == "missing" else ()
    return (*path, *missing)


def schema_at(path: tuple) -> Schema:
    """The schema of a key path, through unions too; of an unknown key an empty one."""
    here = schema()
    for part in path:
        here = resolve(here)
        inner = (step(resolve(each), part) for each in (here, *here.get("anyOf", ())))
        here = next((each for each in inner if each is not None), {})
    return here


def step(here: Schema, part: str | int) -> Schema | None:
    """The schema one key or index further down."""
    if isinstance(part, int):
        return here.get("items")
    more = here.get("additionalProperties")
    return here.get("properties", {}).get(part, more if isinstance(more, dict) else None)


def resolve(found: Schema) -> Schema:
    """Follow a reference to a definition."""
    return schema()["$defs"][found["$ref"].rsplit("/", 1)[1]] if "$ref" in found else found


def allowed(found: Schema) -> str:
    """Words for what a value may be: ``a whole number >= 1, or null``."""
    found = resolve(found)
    if "examples" in found:
        shown = (json.dumps(each).replace('"', "") for each in found["examples"])
        return f"such as {' or '.join(shown)}"
    if "anyOf" in found:
        return ", or ".join(allowed(each) for each in found["anyOf"])
    if "enum" in found or "const" in found:
        return " or ".join(map(str, found.get("enum", [found.get("const")])))
    if isinstance(inner := found.get("additionalProperties"), dict):
        return f"a mapping of name to {allowed(inner).removeprefix('a ')}"
    if found.get("type") == "array":
        return f"a list{length(found)}, each {allowed(found['items'])}"
    if "pattern" in found:
        return "a name of letters, digits and . _ - (at most 64, the first a letter or digit)"
    bounds = (f", {sign} {found[key]}" for key, sign in BOUNDS.items() if key in found)
    return TYPES[found.get("type")] + "".join(bounds)


def length(found: Schema) -> str:
    """How many items a list may have."""
    least, most = found.get("minItems", 0), found.get("maxItems")
    if least == most:
        return f" of exactly {least} values"
    return f" of {least} to {most} values" if most else f" of at least {least}" if least else ""


BOUNDS = {"exclusiveMinimum": ">", "minimum": ">=", "exclusiveMaximum": "<", "maximum": "<="}
TYPES = {
    "integer": "a whole number",
    "number": "a number",
    "boolean": "true or false",
    "string": "text",
    "null": "null",
    "object": "a mapping of `key: value` lines",
    None: "a value",
}
