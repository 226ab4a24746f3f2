"""Only texts of the OpenAPI document may change."""

import copy
from pathlib import Path
from typing import Any

import pytest
from openapi_shape import digests, shape

SHAPE = Path(__file__).with_name("openapi_shape.txt")
THREADS = "/api/threads"


def test_the_document_differs_from_its_reference_only_in_texts(document: dict[str, Any]) -> None:
    """If you change the API on purpose, run `python tests/api/http/openapi_shape.py DOCUMENT.json`.

    Write its output to `tests/api/http/openapi_shape.txt`.
    """
    assert digests(document) == SHAPE.read_text().splitlines()


@pytest.mark.parametrize(
    ("path", "value"),
    [
        (("paths", THREADS, "get", "parameters", 0, "name"), "renamed"),
        (("paths", THREADS, "get", "operationId"), "renamed"),
        (("paths", THREADS, "get", "responses", "418"), {"description": "I am a teapot."}),
        (("components", "securitySchemes", "apiToken", "name"), "renamed"),
        (("components", "schemas", "Problem", "properties", "status", "type"), "string"),
    ],
)
def test_a_change_visible_to_programs_is_found(
    document: dict[str, Any], path: tuple[str | int, ...], value: object
) -> None:
    changed: Any = copy.deepcopy(document)
    part = changed
    for step in path[:-1]:
        part = part[step]
    part[path[-1]] = value
    assert shape(changed) != shape(document)


def test_changes_of_texts_and_schema_names_are_ignored(document: dict[str, Any]) -> None:
    changed = copy.deepcopy(document)
    changed["info"]["description"] = "Something else."
    changed["paths"][THREADS]["get"]["summary"] = "Something else."
    components = changed["components"]["schemas"]
    components["Renamed"] = components.pop("Fault")
    components["Problem"]["properties"]["errors"]["items"]["$ref"] = "#/components/schemas/Renamed"
    assert shape(changed) == shape(document)
