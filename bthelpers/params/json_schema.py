"""JSON Schema of profiles, so that editors complete keys, explain them and mark mistakes."""

from __future__ import annotations

import inspect
import json
import re
from typing import Any

from pydantic import TypeAdapter
from pydantic.json_schema import GenerateJsonSchema

from bthelpers.params.settings import Profile


def json_schema() -> dict[str, Any]:
    """Schema of one file in ``params/``, which may leave any key to the file that it extends.

    It is kept in ``params/profile.schema.json``, which ``python -m bthelpers.params.json_schema``
    prints anew. Descriptions are the comments beside the fields of `settings` and `simulation`.
    What several values contradict together is beyond it.
    """
    schema = TypeAdapter(Profile).json_schema(schema_generator=_PartialFile)
    properties = schema["properties"]
    del properties["name"]  # is the file's
    extends = {"type": "string", "description": "profile whose values hold where this gives none"}
    models = properties["models"]["patternProperties"]
    models |= {name: {"anyOf": [model, {"type": "null"}]} for name, model in models.items()}
    schema["properties"] = {"extends": extends, **properties}
    return {"$schema": _PartialFile.schema_dialect, **schema}


class _PartialFile(GenerateJsonSchema):
    def field_title_should_be_set(self, schema):
        return False

    def dict_schema(self, schema):
        return super().dict_schema(schema) | {"additionalProperties": False}

    def dataclass_schema(self, schema):
        section, kind = super().dataclass_schema(schema), schema["cls"]
        section.pop("required", None)
        del section["title"]
        section["description"] = inspect.getdoc(kind).splitlines()[0]
        for name, comment in re.findall(r"(?m)^    (\w+): .*?  # (.*)$", inspect.getsource(kind)):
            section["properties"][name]["description"] = comment
        return section


if __name__ == "__main__":
    print(json.dumps(json_schema(), indent=1, ensure_ascii=False))
