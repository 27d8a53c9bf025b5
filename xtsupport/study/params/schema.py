"""The JSON Schema of params files, by which editors complete and check them (``make schema``)."""

import json

from xtsupport.study.params.settings import Settings


def schema() -> dict:
    """The schema of all settings, with ranges and descriptions."""
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        **Settings.model_json_schema(),
    }


if __name__ == "__main__":
    print(json.dumps(schema(), indent=1))
