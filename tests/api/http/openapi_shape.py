"""The shape of an OpenAPI document: everything that programs depend on, one fact per line, without its texts.

References are followed, so names of schemas do not count. Ignored are titles, summaries, descriptions and the values of
examples; their keys and types count.

``python tests/api/http/openapi_shape.py OLD.json NEW.json`` prints how two documents differ, and fails if they do.
``python tests/api/http/openapi_shape.py DOCUMENT.json`` prints the digest of each route, as in
``openapi_shape.txt``.
"""

import difflib
import hashlib
import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

_TEXTS = {"description", "summary", "title"}
_NAMED = ("Problem", "ValidationProblem")
"""Schemas of nearly every answer: they are shown once."""


def shape(document: dict[str, Any]) -> list[str]:
    """Return the facts of a document, sorted."""
    facts = set(
        _facts(document, {name: part for name, part in document.items() if name not in ("components", "info")}, "")
    )
    components = document["components"]
    facts |= set(_facts(document, components["securitySchemes"], "securitySchemes"))
    for name in _NAMED:
        facts |= set(_facts(document, components["schemas"][name], name))
    return sorted(facts)


def digests(document: dict[str, Any]) -> list[str]:
    """Return one line for each route, and for what all routes share: its name and a digest of its facts."""
    facts: dict[str, list[str]] = {}
    for fact in shape(document):
        words = fact.split(" ")
        facts.setdefault(" ".join(words[1:3]) if words[0] == "paths" else words[0], []).append(fact)
    return [f"{name} {hashlib.sha256(chr(10).join(each).encode()).hexdigest()[:16]}" for name, each in facts.items()]


def _facts(document: dict[str, Any], part: Any, path: str) -> Iterator[str]:
    if isinstance(part, dict) and isinstance(part.get("$ref"), str):
        kind, name = part["$ref"].split("/")[-2:]
        if name in _NAMED:
            yield f"{path} is {name}"
            return
        part = document["components"][kind][name] | {key: value for key, value in part.items() if key != "$ref"}
    if isinstance(part, dict):
        is_map_of_names = path.rpartition(" ")[2] in ("properties", "headers", "responses", "examples")
        for name, each in part.items():
            if name in ("example", "examples", "default_example"):
                yield from (f"{path} {name} {fact}" for fact in _kinds(each, ""))
            elif name == "required" and isinstance(each, list):
                yield f"{path} required {' '.join(sorted(each))}"
            elif is_map_of_names or name not in _TEXTS or not isinstance(each, str):
                yield from _facts(document, each, f"{path} {name}".strip())
        if all(name in _TEXTS for name in part):
            yield f"{path} {{}}"
    elif isinstance(part, list):
        for place, each in enumerate(sorted(part, key=_sort_key) if _is_set(path) else part):
            yield from _facts(document, each, f"{path} {_place(each, place)}")
    else:
        yield f"{path} = {json.dumps(part)}"


def _place(part: Any, place: int) -> str:
    """Parameters are told apart by their names, other entries by their places."""
    return f"{part['in']}:{part['name']}" if isinstance(part, dict) and {"in", "name"} <= part.keys() else str(place)


def _is_set(path: str) -> bool:
    return path.rpartition(" ")[2] in ("enum", "tags")


def _sort_key(part: Any) -> str:
    return str(part["name"]) if isinstance(part, dict) else json.dumps(part)


def _kinds(example: Any, path: str) -> Iterator[str]:
    """The keys and types of an example."""
    if isinstance(example, dict):
        for name, each in example.items():
            if name != "summary":
                yield from _kinds(each, f"{path}/{name}")
    elif isinstance(example, list):
        for each in example:
            yield from _kinds(each, f"{path}/*")
    else:
        yield f"{path}: {type(example).__name__}"


if __name__ == "__main__":
    old, *new = (json.loads(Path(file).read_text()) for file in sys.argv[1:])
    if not new:
        print("\n".join(digests(old)))
        sys.exit()
    differences = list(difflib.unified_diff(shape(old), shape(new[0]), "old", "new", lineterm="", n=0))
    print("\n".join(differences))
    sys.exit(1 if differences else 0)
