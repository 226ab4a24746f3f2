"""Build examples of requests and responses from the examples of their fields."""

from collections.abc import Mapping
from typing import Any

_REF = "#/components/schemas/"
_EMPTY: Mapping[str, Any] = {"array": [], "object": {}, "boolean": False, "null": None}


class Examples:
    """Builds examples.

    Args:
        schemas: the schemas of the document, by name.
    """

    def __init__(self, schemas: Mapping[str, Any]) -> None:
        self._schemas = schemas

    def of_body(self, schema: Mapping[str, Any]) -> dict[str, Any]:
        """Return an example of a body: its required fields, and all others that have an example."""
        required = schema.get("required", ())
        properties = schema.get("properties", {})
        return {name: self.of(part) for name, part in properties.items() if name in required or "examples" in part}

    def of(self, schema: Mapping[str, Any]) -> Any:
        """Return an example of a schema: its own, or one built from its parts.

        Raises:
            LookupError: a part needs an example and has none.
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
