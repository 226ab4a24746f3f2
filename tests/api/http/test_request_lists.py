"""Every list in a request has a documented maximum."""

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest

from harness.api_objects import KINDS, nobodys
from harness.api_routes import API_ROUTES, Request, Route, reference
from harness.shop import Shop, faults_of
from shopbell.http.hooks import sms_gateway

TYPES = {"array": "maxItems", "object": "properties"}
BUSINESSES = "/api/businesses"


def _parts(schema: Any, defs: dict[str, Any], place: str) -> Iterator[tuple[str, dict[str, Any]]]:
    """Every schema inside one, with its place."""
    if isinstance(schema, list):
        for each in schema:
            yield from _parts(each, defs, place)
    elif isinstance(schema, dict):
        yield place, schema
        if "$ref" in schema:
            name = schema["$ref"].rpartition("/")[2]
            yield from _parts(defs[name], defs, place)
        for name in ("anyOf", "allOf", "oneOf", "items"):
            yield from _parts(schema.get(name), defs, f"{place}/*" if name == "items" else place)
        for name, each in schema.get("properties", {}).items():
            yield from _parts(each, defs, f"{place}/{name}")


def _request_schemas() -> Iterator[tuple[str, Any, dict[str, Any]]]:
    """The schema of everything that a request may carry: where it is, and what it refers to."""
    defs = reference()["components"]["schemas"]
    for path, operations in reference()["paths"].items():
        for method, described in operations.items():
            for parameter in described.get("parameters", ()):
                yield f"{method} {path} {parameter['name']}", parameter["schema"], defs
            for body in described.get("requestBody", {}).get("content", {}).values():
                yield f"{method} {path}", body["schema"], defs
    for model in (sms_gateway.Inbound, sms_gateway.Status):  # which the reference does not show
        schema = model.model_json_schema()
        yield model.__name__, schema, schema.get("$defs", {})


def test_every_list_and_object_in_a_request_has_a_maximum() -> None:
    limits: dict[str, list[object]] = {"array": [], "object": []}
    for where, whole, defs in _request_schemas():
        for place, schema in _parts(whole, defs, ""):
            types = schema.get("type", ())
            for name in {*([types] if isinstance(types, str) else types)} & TYPES.keys():
                assert schema.get(TYPES[name]), f"{where} {place}: an {name} without {TYPES[name]}"
                limits[name].append(schema[TYPES[name]])
    assert len(limits["array"]) > 10
    assert len(limits["object"]) > 20


def _limit_of(schema: dict[str, Any]) -> int | None:
    """The maximum of a list, or None for what is none."""
    found = [part.get("maxItems") for part in (schema, *schema.get("anyOf", ())) if part.get("type") == "array"]
    return found[0] if found else None


def _requests() -> Iterator[tuple[Route, Request]]:
    for route in API_ROUTES:
        for request in route.requests({kind: nobodys(kind) for kind in KINDS.values()}):
            yield route, request


LISTS = [
    pytest.param(request, name, limit, id=f"{route} {name}")
    for route, request in _requests()
    for name, schema in route.body_schema.get("properties", {}).items()
    if (limit := _limit_of(schema)) is not None
]


@pytest.mark.parametrize("engine", ["sqlite"], indirect=True)
@pytest.mark.parametrize(("request_", "name", "limit"), LISTS)
def test_a_list_with_one_entry_too_many_is_refused(shop: Shop, request_: Request, name: str, limit: int) -> None:
    entry = request_.body.get(name, [{"name": "X-A", "value": "a"}])[0]
    more = {"internal": True} if name == "mentionedUserIds" else {}  # only notes have mentions
    request = replace(request_, body={**request_.body, **more, name: [entry] * (limit + 1)})
    answer = request.send(shop, shop.world.token)
    assert faults_of(answer) == {("body", f"#/{name}", "too_long")}
    assert answer.json()["errors"][0]["maxLength"] == limit


def test_all_lists_in_requests_are_known() -> None:
    assert {param.id.rpartition(" ")[2] for param in LISTS if param.id} == {
        "addTagIds",
        "allowedOrigins",
        "attachmentIds",
        "businessRoles",
        "customerThreadIds",
        "extraHeaders",
        "mentionedUserIds",
        "removeTagIds",
        "subscribedEvents",
    }


@pytest.mark.parametrize("engine", ["sqlite"], indirect=True)
def test_a_query_list_with_one_entry_too_many_is_refused_before_it_is_parsed(shop: Shop) -> None:
    headers = {"token": shop.world.token}
    for types, fault in (
        (["message"] * 50, None),
        (["message"] * 51, "too_long"),
        ([",".join(["message"] * 51)], "too_long"),
        (["x" for _ in range(1_500)], "too_long"),
    ):
        answer = shop.server.client.get("/api/events", params={"types": types}, headers=headers)
        if fault is None:
            assert answer.status_code == 200
        else:
            assert faults_of(answer) == {("query", "types", fault)}


@pytest.mark.parametrize("engine", ["sqlite"], indirect=True)
def test_lists_in_opening_hours_have_the_documented_maxima(shop: Shop) -> None:
    def refused(hours: object) -> set[tuple[str, str, str]]:
        return faults_of(shop.post({"name": "Acme", "openingHours": hours}, path=BUSINESSES))

    interval = ["09:00", "10:00"]
    properties = next(route for route in API_ROUTES if str(route) == f"POST {BUSINESSES}").body_schema["properties"]
    hours = properties["openingHours"]["anyOf"][0]["properties"]
    of_day, exceptions = hours["weekly"]["properties"]["mon"], hours["exceptions"]
    pointer = "#/openingHours"
    assert refused({"weekly": {"mon": [interval] * (of_day["maxItems"] + 1)}}) == {
        ("body", f"{pointer}/weekly/mon", "too_long")
    }
    assert refused({"weekly": {"mon": [interval * 2]}}) == {("body", f"{pointer}/weekly/mon/0", "type")}
    entry = {"date": "2026-12-25", "intervals": []}
    assert refused({"exceptions": [entry] * (exceptions["maxItems"] + 1)}) == {
        ("body", f"{pointer}/exceptions", "too_long")
    }
    many = {
        "date": "2026-12-25",
        "intervals": [interval] * (exceptions["items"]["properties"]["intervals"]["maxItems"] + 1),
    }
    assert refused({"exceptions": [many]}) == {("body", f"{pointer}/exceptions/0/intervals", "too_long")}
