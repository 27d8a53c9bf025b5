"""What pydantic found as one line per problem: where, which key, its value, what is allowed."""

import json
from functools import cache

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from xtsupport.errors import instead, shorten
from xtsupport.study.params.params_file import ParamsFile, dotted

Schema = dict


def explained(error: ValidationError, given: ParamsFile, model: type[BaseModel]) -> list[str]:
    """One line per wrong key; the branches of a union count as one, the deepest."""
    schema, lines = schema_of(model), {}
    for each in error.errors():
        path, found = trace(each["loc"], schema)
        if path not in lines:
            lines[path] = f"{given.where(path)}: {line(each, path, found, schema)}"
    deeper = {path[:end] for path in lines for end in range(len(path))}
    return [text for path, text in lines.items() if path not in deeper]


@cache
def schema_of(model: type[BaseModel]) -> Schema:
    """The JSON schema of the settings, which takes longer than everything else here."""
    return model.model_json_schema()


def line(problem: ErrorDetails, path: tuple, found: Schema, schema: Schema) -> str:
    """``target.epochs = -1: must be a number > 0, <= 1000``."""
    key = dotted(path)
    if problem["type"] == "missing":
        return f"{key}: is missing; it must be {allowed(found, schema)}"
    if problem["type"] == "extra_forbidden":
        parent = trace(path[:-1], schema)[1]
        names = list(resolve(parent, schema).get("properties", {}))
        return f"{key}: unknown setting{instead(path[-1], names)}"
    shown = shorten(problem["input"])
    if problem["type"] == "value_error":
        return f"{key} = {shown}: {problem['ctx']['error']}"
    if problem["type"] == "too_long":
        context = problem["ctx"]
        most, given = context["max_length"], context["actual_length"]
        return f"{key} = {shown}: has {given} values; at most {most} are allowed"
    return f"{key} = {shown}: must be {allowed(found, schema)}"


def trace(loc: tuple, schema: Schema) -> tuple[tuple, Schema]:
    """The key path of a pydantic location, without its union branches, and the schema there."""
    path, here, labelled = [], schema, False
    for part in loc:
        if not labelled and branches(resolve(here, schema)) > 1:
            labelled = True  # pydantic puts the branch it tried between a union and its parts
            continue
        inner, labelled = step(resolve(here, schema), part, schema), False
        if inner is not None:
            path.append(part)
            here = inner
        elif part == loc[-1] and "properties" in resolve(here, schema) and str(part)[-1:] != "]":
            path.append(part)  # an unknown key
    return tuple(path), here


def branches(found: Schema) -> int:
    """How many branches a union has beside null; 0 when it is none."""
    return sum(each.get("type") != "null" for each in found.get("anyOf", ()))


def step(here: Schema, part: str | int, schema: Schema) -> Schema | None:
    """The schema one key or index further down, through unions too."""
    for each in (here, *(resolve(branch, schema) for branch in here.get("anyOf", ()))):
        if isinstance(part, int) and "items" in each:
            return each["items"]
        if part in each.get("properties", {}):
            return each["properties"][part]
        if isinstance(part, str) and isinstance(each.get("additionalProperties"), dict):
            return each["additionalProperties"]
    return None


def resolve(found: Schema, schema: Schema) -> Schema:
    """Follow a reference to a definition."""
    return schema["$defs"][found["$ref"].rsplit("/", 1)[1]] if "$ref" in found else found


def allowed(found: Schema, schema: Schema) -> str:
    """Words for what a value may be: ``a whole number >= 1, or null``."""
    found = resolve(found, schema)
    if "examples" in found:
        shown = (json.dumps(each).replace('"', "") for each in found["examples"])
        return f"such as {' or '.join(shown)}"
    if "anyOf" in found:
        return ", or ".join(allowed(each, schema) for each in found["anyOf"])
    if "enum" in found or "const" in found:
        return " or ".join(map(str, found.get("enum", [found.get("const")])))
    if isinstance(inner := found.get("additionalProperties"), dict):
        return f"a mapping of name to {allowed(inner, schema).removeprefix('a ')}"
    if found.get("type") == "array":
        return f"a list{length(found)}, each {allowed(found['items'], schema)}"
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
