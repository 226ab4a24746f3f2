"""Every example in the API reference matches a real server."""

import json
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from harness import api_objects
from harness.api_routes import API_ROUTES, Route, reference
from harness.documented import Answer, check, conforms
from harness.shop import WIDGET, Shop

TRIES = 50
PROVOKED = {"missing", "token", "scope", "method", "rate", "nothing", "large", "reused"}

# The widget route's examples are told apart, one by one: test_reference_examples.py.
ROUTES = [route for route in API_ROUTES if route.path != WIDGET]
each_route = pytest.mark.parametrize("route", ROUTES, ids=str)


@pytest.fixture
def strict(engine: str, shops: Callable[..., Shop]) -> Shop:
    """A server that grants a token one request a second."""
    return shops(engine, rate_limit_per_s=1, rate_limit_burst=1)


@pytest.fixture
def real(shop: Shop) -> Iterator[dict[str, str]]:
    """Things of Acme's for one test; an organization may not have many webhooks, so that one goes again."""
    ids = api_objects.make(shop, shop.world.token, shop.world.boston)
    yield ids
    shop.post({}, path=f"/api/webhooks/{ids['webhook']}/delete")


def _shape(said: Any, shown: Any, place: str = "") -> None:
    """What is said has the members that are shown, wherever both have any."""
    if isinstance(said, dict) and isinstance(shown, dict) and shown:
        assert said.keys() == shown.keys(), place
        for name in shown:
            _shape(said[name], shown[name], f"{place}/{name}")
    elif isinstance(said, list) and isinstance(shown, list) and said and shown:
        _shape(said[0], shown[0], f"{place}/0")


def test_the_openapi_document_is_the_same_on_every_server(shop: Shop) -> None:
    assert shop.server.client.get("/openapi.json").json() == reference()
    assert len(ROUTES) > 40


@each_route
def test_every_route_has_a_description(route: Route) -> None:
    described = route.described
    tags = {tag["name"] for tag in reference()["tags"]}
    assert set(described["tags"]) <= tags
    assert described["summary"].strip()
    assert len(described["description"]) > len(described["summary"]) / 2
    for parameter in route.parameters:
        assert parameter.get("description"), parameter["name"]
    for name, schema in route.body_schema.get("properties", {}).items():
        assert schema.get("description"), name


@pytest.mark.parametrize("engine", ["sqlite"], indirect=True)
@each_route
def test_every_request_example_gets_the_documented_response(shop: Shop, real: dict[str, str], route: Route) -> None:
    for request in route.requests(real):
        if route.takes_json:
            check(reference(), route.body_schema, request.body)
        answer = request.send(shop, route.sender(shop.world))
        assert answer.status_code == 200, answer.text
        conforms(reference(), route.path, route.method.lower(), answer)
        (content,) = route.responses["200"]["content"].values()
        for shown in content["examples"].values():
            check(reference(), content["schema"], shown["value"])
            _shape(answer.json(), shown["value"])


@pytest.mark.parametrize("engine", ["sqlite"], indirect=True)
@each_route
def test_every_problem_example_matches_the_servers_response(
    shop: Shop, strict: Shop, real: dict[str, str], route: Route
) -> None:
    (request, *_) = route.requests(real)
    token, world = route.token(shop.world), shop.world
    another = route.token_without(world)

    def reused() -> Any:
        key = {"Idempotency-Key": shop.somebody()}
        assert request.send(shop, token, **key).status_code == 200
        return request.send(
            shop,
            token,
            content=json.dumps(request.body | {"text": "x", "action": {"type": "unsnooze"}}).encode(),
            **key,
        )

    def rate() -> Any:
        answers = (request.send(strict, route.token(strict.world)) for _ in range(TRIES))
        return next(answer for answer in answers if answer.status_code == 429)

    provoke = {
        "token": lambda: request.send(shop, None),
        "scope": lambda: request.send(shop, another),
        "method": lambda: shop.server.client.delete(route.path.replace("{", "").replace("}", "")),
        "missing": lambda: request.send(shop, token, content=b"{}"),
        "large": lambda: request.send(shop, token, content=b" " * 262_145),
        "nothing": lambda: request.with_id(route.slots[0], api_objects.nobodys(route.slots[0].kind)).send(shop, token),
        "reused": reused,
        "rate": rate,
    }
    shown = {
        (status, name): example["value"]
        for status, described in route.responses.items()
        for content in described["content"].values()
        for name, example in content.get("examples", {}).items()
        if not status.startswith("2")
    }
    always = {"token", "method", "rate", *(["scope"] if route.scope else [])}
    assert always <= {name for _, name in shown} <= PROVOKED
    for (status, name), problem in shown.items():
        answer = Answer.of(provoke[name]())
        assert str(answer.status) == status, name
        conforms(reference(), route.path, route.method.lower(), answer)
        said = answer.json()
        assert said.pop("instance") == f"urn:uuid:{answer.headers['x-request-id']}"
        assert said == {member: value for member, value in problem.items() if member != "instance"}, name
