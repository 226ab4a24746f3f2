"""A shared cache leaks nothing between organizations."""

from collections.abc import Callable, Iterator
from pathlib import Path

import httpx2
import pytest

from harness import api_objects
from harness.api_routes import API_ROUTES
from harness.raw_connection import Wire, request
from harness.shop import Shop
from harness.varnish import varnish
from harness.visitors import acmes_site
from harness.world import GLOBEX_CANARY

PROTECTION = ("Cache-Control", "Vary")

_things: dict[int, tuple[dict[str, str], dict[str, str]]] = {}


@pytest.fixture
def shop(shops: Callable[..., Shop], tmp_path_factory: pytest.TempPathFactory) -> Shop:
    """A server behind the cache. One engine is enough: the cache sees no difference."""
    folder = tmp_path_factory.getbasetemp() / "attachments-shared-cache"
    return shops("sqlite", run_worker="false", attachments_url=f"file://{folder}")


@pytest.fixture
def acme(shop: Shop) -> dict[str, str]:
    """The id of one object of each kind that belongs to Acme."""
    return _made(shop)[0]


@pytest.fixture
def globex(shop: Shop) -> dict[str, str]:
    """The same for Globex. The canary is in every object."""
    return _made(shop)[1]


def _made(shop: Shop) -> tuple[dict[str, str], dict[str, str]]:
    if id(shop) not in _things:
        world = shop.world
        globex = api_objects.make(shop, world.globex_token, world.london, GLOBEX_CANARY)
        _things[id(shop)] = api_objects.make(shop, world.token, world.boston), globex
    return _things[id(shop)]


def _readable(things_of: dict[str, str]) -> Iterator[tuple[str, dict[str, str]]]:
    """Path and query of every GET route of the API, with ids of an organization."""
    for route in API_ROUTES:
        if route.method == "GET":
            asked = route.requests(things_of)[0]
            path = route.path
            for name, value in asked.path.items():
                path = path.replace(f"{{{name}}}", value)
            yield path, dict(asked.query)


def _leaks(cache: httpx2.Client, shop: Shop, globex: dict[str, str]) -> list[str]:
    """The paths where Acme or a client without a token gets a response for Globex."""
    found = []
    for path, query in _readable(globex):
        bobs = cache.get(path, params=query, headers={"token": shop.world.globex_token})
        assert bobs.status_code == 200, bobs.text
        for token in (shop.world.token, None):
            answer = cache.get(path, params=query, headers={} if token is None else {"token": token})
            if GLOBEX_CANARY in answer.text or int(answer.headers["x-hits"]):
                found.append(path)
    return found


@pytest.mark.parametrize(
    "without", [(), *((name,) for name in PROTECTION)], ids=["all headers", "no no-store", "no vary"]
)
def test_a_shared_cache_returns_nothing_of_globex_to_acme(
    shop: Shop, globex: dict[str, str], tmp_path: Path, without: tuple[str, ...]
) -> None:
    with varnish(tmp_path, shop.server.port, without=without) as cache:
        assert _leaks(cache, shop, globex) == []


def test_control_without_the_headers_the_cache_leaks(shop: Shop, globex: dict[str, str], tmp_path: Path) -> None:
    with varnish(tmp_path, shop.server.port, without=PROTECTION) as cache:
        paths = {path for path, _ in _readable(globex)}
        assert len(paths) > 15
        assert set(_leaks(cache, shop, globex)) == paths


@pytest.mark.parametrize(("without", "is_hidden"), [((), False), (PROTECTION, True)], ids=["as it is", "control"])
def test_a_refusal_for_globex_does_not_hide_acmes_data(
    shop: Shop, acme: dict[str, str], tmp_path: Path, without: tuple[str, ...], is_hidden: bool
) -> None:
    path = f"/api/threads/{acme['thread']}/messages"
    with varnish(tmp_path, shop.server.port, without=without) as cache:
        assert cache.get(path, headers={"token": shop.world.globex_token}).status_code == 404
        assert (cache.get(path, headers={"token": shop.world.token}).status_code == 404) is is_hidden


def test_widget_files_are_cached(shop: Shop, tmp_path: Path) -> None:
    with varnish(tmp_path, shop.server.port) as cache:
        assert [cache.get("/widget.js").headers["x-hits"] for _ in range(2)] == ["0", "1"]


def _is_kept_out_of_caches(answer: httpx2.Response) -> bool:
    assert answer.headers.get_list("cache-control") == ["no-store"], answer.request.url
    assert answer.headers.get_list("x-content-type-options") == ["nosniff"], answer.request.url
    assert "token" in answer.headers["vary"].split(", "), answer.request.url
    return True


def test_responses_of_every_route_are_not_cached(shop: Shop) -> None:
    own = api_objects.make(shop, shop.world.token, shop.world.boston)
    successes = 0
    for route in API_ROUTES:
        foreign = route.token_without(shop.world)
        for asked in route.requests(own):
            answers = [asked.send(shop, token) for token in (shop.world.token, None, foreign)]
            assert [answer.status_code for answer in answers[1:]] == [401, 403 if route.scope else 200]
            answers.append(shop.server.client.request("PATCH", route.path))
            if route.method == "POST":
                answers.append(asked.send(shop, shop.world.token, content=b"no JSON"))
            assert all(map(_is_kept_out_of_caches, answers))
            successes += answers[0].status_code == 200
    assert successes > 40


def test_errors_outside_routes_are_not_cached(shop: Shop) -> None:
    assert _is_kept_out_of_caches(shop.server.client.get("/api/no-such-route"))
    refused = (b"GET / HTTP/1.1\r\n\r\n", request(b"", "X-Note: " + "a" * 20_000), request(b"", "Content-Length: x"))
    for frame in refused:
        with Wire(shop.server.port) as wire:
            answer = wire.send(frame).answer()
            assert answer.status in (400, 431)
            for name, value in (
                ("cache-control", "no-store"),
                ("vary", "token"),
                ("x-content-type-options", "nosniff"),
            ):
                assert answer.header(name) == value


def test_responses_to_customers_are_not_cached(shop: Shop) -> None:
    visitor = acmes_site(shop).visitor()
    visitor.say()
    answers = [visitor.get("messages"), visitor.get("threads"), visitor.get("transcript"), visitor.post("typing")]
    answers += [shop.server.client.get("/api/customer/messages"), shop.server.client.get("/api/customer/stream")]
    with shop.server.client.stream("GET", "/api/customer/stream", headers=visitor.headers) as stream:
        assert stream.status_code == 200
        answers.append(stream)
    for answer in answers:
        assert _is_kept_out_of_caches(answer)
    for answer in answers[:5]:
        assert {"authorization", "cookie", "shopbell-thread"} < set(answer.headers["vary"].split(", "))


def test_the_stream_of_an_organization_is_not_cached(shop: Shop) -> None:
    with shop.server.client.stream("GET", "/api/stream", headers={"token": shop.world.token}) as stream:
        assert stream.status_code == 200
        assert _is_kept_out_of_caches(stream)


@pytest.mark.parametrize(
    ("path", "rule"),
    [
        ("/", "no-store"),
        ("/docs", "no-cache"),
        ("/problems", "no-cache"),
        ("/static/shopbell.css", "max-age=300"),
        ("/docs/static/swagger-ui.css", "max-age=300"),
        ("/widget.js", "public, max-age=300"),
        ("/widget/panel.js", "public, max-age=300"),
        ("/widget/panel", "private, no-cache"),
        ("/healthz", "no-store"),
        ("/readyz", "no-store"),
        ("/metrics", "no-store"),
        ("/widget/nothing.js", "no-store"),
        ("/c/1", "no-store"),
    ],
)
def test_pages_and_files_have_their_own_cache_rules(shop: Shop, path: str, rule: str) -> None:
    answer = shop.server.client.get(path)
    assert answer.headers.get_list("cache-control") == [rule]
    assert answer.headers.get_list("x-content-type-options") == ["nosniff"]
    assert "token" not in answer.headers.get("vary", "")


def test_an_attachment_may_be_cached_by_its_readers_browser(shop: Shop, acme: dict[str, str]) -> None:
    found = shop.server.client.get(f"/api/attachments/{acme['attachment']}", headers={"token": shop.world.token})
    file = shop.server.client.get(found.json()["link"])
    assert file.status_code == 200
    assert file.headers.get_list("cache-control") == ["private"]
