"""What all API routes share: order of checks, rate limit, trailing slash."""

from collections.abc import Callable

import httpx2
import pytest

from harness.api_objects import KINDS, nobodys
from harness.api_routes import API_ROUTES, SCOPED_ROUTES, Request, Route
from harness.shop import Shop, faults_of

LARGE = b" " * 262_145
TRIES = 50
TEXT = {"content-type": "text/plain"}

pytestmark = pytest.mark.parametrize("engine", ["sqlite"], indirect=True)
each_route = pytest.mark.parametrize("route", API_ROUTES, ids=str)
each_scoped_route = pytest.mark.parametrize("route", SCOPED_ROUTES, ids=str)
each_route_with_json = pytest.mark.parametrize("route", [route for route in API_ROUTES if route.takes_json], ids=str)


@pytest.fixture
def strict(engine: str, shops: Callable[..., Shop]) -> Shop:
    """A server that grants a token one request a second."""
    return shops(engine, rate_limit_per_s=1, rate_limit_burst=1)


def _request(route: Route) -> Request:
    """A request that is correct except for its ids, which do not exist."""
    return route.requests({kind: nobodys(kind) for kind in KINDS.values()})[0]


def _has_rate(answer: httpx2.Response) -> bool:
    return "ratelimit" in answer.headers and "ratelimit-policy" in answer.headers


def _until_refused(request: Request, strict: Shop, token: str, content: bytes | None = None) -> httpx2.Response:
    """The answer to the first request that the rate refuses; those before it lack the scope."""
    for _ in range(TRIES):
        answer = request.send(strict, token, content=content)
        assert _has_rate(answer)
        if answer.status_code == 429:
            return answer
        assert answer.status_code == 403
    raise AssertionError(f"none of {TRIES} requests in a row was refused")


@each_route_with_json
def test_token_scope_size_and_fields_are_checked_in_this_order(shop: Shop, route: Route) -> None:
    request, world = _request(route), shop.world
    another = route.token_without(world)
    told = [
        request.send(shop, token, content=content, **TEXT).status_code
        for token in (None, world.revoked_token, another, route.token(world))
        for content in (LARGE, b"no JSON")
    ]
    assert told == [401, 401, 401, 401, 403, 403, 413, 400]


@each_scoped_route
def test_token_rate_and_scope_are_checked_in_this_order(strict: Shop, route: Route) -> None:
    request, world = _request(route), strict.world
    another = route.token_without(world)
    answer = _until_refused(request, strict, another)
    assert int(answer.headers["retry-after"]) >= 1
    assert _has_rate(answer)
    assert answer.headers["ratelimit"].startswith('"token";r=0;')
    if route.takes_json:
        _until_refused(request, strict, another, LARGE)
    assert request.send(strict, world.revoked_token).status_code == 401


@each_route_with_json
def test_all_errors_in_headers_and_body_are_listed_at_once(shop: Shop, route: Route) -> None:
    token, request = route.token(shop.world), _request(route)
    wrong_headers = {"content-type": "text/plain", "idempotency-key": "two words"}
    faults = {
        ("header", "content-type", "unsupported_media_type"),
        ("header", "idempotency-key", "invalid_character"),
    }
    missing = {("body", f"#/{name}", "required") for name in route.body_schema.get("required", ())}
    together = {("body", "#", "exactly_one_required")}  # where a route takes one of several fields
    found = faults_of(request.send(shop, token, content=b"{}", **wrong_headers))
    assert found - together == faults | missing
    malformed = request.send(shop, token, content=b"[", **wrong_headers)
    assert faults_of(malformed) == faults | {("body", "#", "malformed_json")}
    assert faults_of(request.send(shop, token, content=b"[]")) == {("body", "#", "malformed_json")}


@each_route
def test_with_a_valid_token_every_response_has_the_rate_limit(shop: Shop, route: Route) -> None:
    token, request = route.token(shop.world), _request(route)
    answers = [request.send(shop, token), request.send(shop, shop.world.scoped["widget:send"])]
    if route.takes_json:
        answers += [request.send(shop, token, content=content) for content in (b"{", LARGE)]
    for answer in answers:
        assert _has_rate(answer), answer.status_code
    assert not _has_rate(request.send(shop, None))


@each_route
def test_a_slash_at_the_end_is_optional(shop: Shop, route: Route) -> None:
    for token in (None, route.token(shop.world)):
        plain, slashed = (_request(route).send(shop, token, slash=slash) for slash in ("", "/"))
        assert plain.status_code == slashed.status_code
        assert plain.headers["content-type"] == slashed.headers["content-type"]
    assert _request(route).send(shop, None, slash="/").status_code == 401
