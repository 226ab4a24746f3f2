"""Examples of whole requests and answers in the API reference, put together from those of their fields."""

from collections.abc import Mapping
from typing import Any

_REF = "#/components/schemas/"
_EMPTY: Mapping[str, Any] = {"array": [], "object": {}, "boolean": False, "null": None}


class Examples:
    """Makes examples.

    Args:
        schemas: the document's schemas, by their names.
    """

    def __init__(self, schemas: Mapping[str, Any]) -> None:
        self._schemas = schemas

    def of_body(self, schema: Mapping[str, Any]) -> dict[str, Any]:
        """A request's body: what it must have, and what else has an example; for anything more there is the schema."""
        required = schema.get("required", ())
        properties = schema.get("properties", {})
        return {name: self.of(part) for name, part in properties.items() if name in required or "examples" in part}

    def of(self, schema: Mapping[str, Any]) -> Any:
        """A value that fits a schema: its own example, or one that is made of its parts'.

        Raises:
            LookupError: something in it has no example, and needs one.
        """
        if "examples" in schema:
            return schema["examples"][0]
        if "$ref" in schema:
            return self.of(self._schemas[schema["$ref"].removeprefix(_REF)])
        if "anyOf" in schema:
            return self.of(next((part for part in schema["anyOf"] if "$ref" in part), schema["anyOf"][0]))
        for one in ("const", "default"):
            if one in schema:
                return schema[one]
        if "properties" in schema:
            return {name: self.of(part) for name, part in schema["properties"].items()}
        if "items" in schema:
            return [self.of(schema["items"])]
        if schema.get("type") in _EMPTY:
            return _EMPTY[schema["type"]]
        raise LookupError(f"a field of the API needs an example: {dict(schema)}")
