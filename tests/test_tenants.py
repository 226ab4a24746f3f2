"""No tenant sees another: every route, with every kind of caller."""

import json
import re
import subprocess
import sys
from pathlib import Path

import httpx2
import pytest

from harness.installation import Installation
from harness.shop import WIDGET, Shop
from harness.world import GLOBEX_CANARY

# Every URL of the product. A route that is missing here fails the first test: say who may call it, and it is tested.
TOKEN_ROUTES = {("POST", WIDGET): "widget:send"}
PUBLIC_ROUTES = {
    ("GET", "/"),
    ("GET", "/healthz"),
    ("GET", "/readyz"),
    ("GET", "/metrics"),
    ("GET", "/openapi.json"),
    ("GET", "/docs"),
    ("GET", "/docs/static/{name}"),
    ("GET", "/static/{name}"),
    ("GET", "/problems"),
    ("GET", "/problems/{name}"),
}
EXAMPLES = {
    "/docs/static/{name}": "/docs/static/swagger-ui.css",
    "/static/{name}": "/static/shopbell.css",
    "/problems/{name}": "/problems/not-found",
}

_ALL_ROUTES = """
import json
from shopbell.app import create_app
edge = create_app()
rest = edge._rest
while not hasattr(rest, "routes"):
    rest = rest.app
def routes_of(router):
    for route in router.routes:
        if hasattr(route, "original_router"):
            yield from routes_of(route.original_router)
        else:
            yield from ([method, route.path] for method in getattr(route, "methods", None) or ["GET"])
print(json.dumps([["POST", path] for path in edge._hot] + list(routes_of(rest))))
"""


def test_every_route_of_the_server_is_in_this_table(shop: Shop, tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-c", _ALL_ROUTES],
        env=shop.server.installation.environment,
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=True,
    )
    served = {(method, path) for method, path in json.loads(done.stdout) if method != "HEAD"}
    assert len(served) > 5
    assert served == TOKEN_ROUTES.keys() | PUBLIC_ROUTES
    document = shop.server.client.get("/openapi.json").json()
    described = {(method.upper(), path) for path, item in document["paths"].items() for method in item}
    assert described - served == set()
    assert TOKEN_ROUTES.keys() <= described


def _callers_without_a_token(shop: Shop) -> dict[str, str | None]:
    world = shop.world
    return {
        "nobody": None,
        "a stranger with something malformed": "sb_live_stranger",
        "a stranger with something well-formed": "sb_live_" + "0" * 49,
        "Alice, with a token that was revoked": world.revoked_token,
        "Alice, with a token that has expired": world.expired_token,
    }


def _call(shop: Shop, method: str, path: str, token: str | None, body: object = None) -> httpx2.Response:
    headers = {"token": token} if token is not None else {}
    return shop.server.client.request(method, EXAMPLES.get(path, path), headers=headers, json=body)


def _told(answer: httpx2.Response) -> tuple[object, ...]:
    """What an answer tells, without what differs from request to request."""
    body = re.sub(r"urn:uuid:[0-9a-f-]+", "", answer.text)
    own = ("x-request-id", "date", "ratelimit")
    return answer.status_code, body, tuple(pair for pair in answer.headers.multi_items() if pair[0] not in own)


@pytest.mark.parametrize("route", TOKEN_ROUTES)
def test_without_a_valid_token_every_caller_is_told_the_same(shop: Shop, route: tuple[str, str]) -> None:
    told = set()
    for caller, token in _callers_without_a_token(shop).items():
        for body in (shop.body(), shop.body(businessId=shop.world.london), {}):
            answer = _call(shop, *route, token, body)
            assert answer.status_code == 401, caller
            told.add(_told(answer))
    assert len(told) == 1


@pytest.mark.parametrize("route", TOKEN_ROUTES)
def test_a_token_without_the_routes_scope_may_not_call_it(shop: Shop, route: tuple[str, str]) -> None:
    answer = _call(shop, *route, shop.world.reading_token, shop.body())
    assert answer.status_code == 403
    assert answer.json()["type"] == "/problems/forbidden"
    assert TOKEN_ROUTES[route] in answer.json()["developerMessage"]


def _ids_of_globex(shop: Shop) -> dict[str, str]:
    """The id of one thing of each kind that Globex has."""
    thread_id = shop.send(
        token=shop.world.globex_token,
        businessId=shop.world.london,
        message=f"a secret {GLOBEX_CANARY}",
        user={"email": f"{GLOBEX_CANARY}@example.com", "phoneNumber": "+442079460958"},
    )
    ids = {"organization": shop.world.globex, "business": shop.world.london, "thread": thread_id}
    ids["customer"] = str(shop.customer_of(thread_id))
    ids["message"] = str(shop.messages(thread_id)[0]["id"])
    ids["token"] = str(shop.database.value("SELECT id FROM api_tokens WHERE name = :name", name=GLOBEX_CANARY))
    return ids


@pytest.mark.parametrize("route", TOKEN_ROUTES)
def test_whatever_globex_has_does_not_exist_for_acmes_token(shop: Shop, route: tuple[str, str]) -> None:
    before = shop.database.rows("SELECT * FROM threads WHERE organization_id = :id", id=int(shop.world.globex))
    told = {_told(_call(shop, *route, shop.world.token, shop.body(businessId="1")))}
    for kind, id_ in _ids_of_globex(shop).items():
        for form in (id_, int(id_)):
            answer = _call(shop, *route, shop.world.token, shop.body(businessId=form))
            assert answer.status_code == 403, kind
            told.add(_told(answer))
    assert len(told) == 1
    after = shop.database.rows("SELECT * FROM threads WHERE organization_id = :id", id=int(shop.world.globex))
    assert [row for row in after if row in before] == before
    assert len(after) - len(before) <= 1  # the one that Globex itself has just opened


def test_what_acme_stores_is_acmes_even_for_a_customer_that_both_have(shop: Shop) -> None:
    globex = _ids_of_globex(shop)
    user = {"email": f"{GLOBEX_CANARY}@example.com", "phoneNumber": "+442079460958"}
    messages = "SELECT count(*) FROM messages WHERE organization_id = :id"
    before = shop.database.value(messages, id=int(shop.world.globex))
    thread_id = shop.send(user=user)
    assert thread_id != globex["thread"]
    assert str(shop.customer_of(thread_id)) != globex["customer"]
    assert str(shop.thread(thread_id)["organization_id"]) == shop.world.acme
    for message in shop.messages(thread_id):
        assert str(message["organization_id"]) == shop.world.acme
    assert shop.database.value(messages, id=int(shop.world.globex)) == before
    of_both = shop.database.value(
        "SELECT count(*) FROM possible_duplicates WHERE customer_id = :id OR other_customer_id = :id",
        id=int(globex["customer"]),
    )
    assert of_both == 0


def test_no_answer_to_acme_or_to_a_stranger_has_anything_of_globex(shop: Shop) -> None:
    globex = _ids_of_globex(shop)
    answers = []
    for token in (shop.world.token, shop.world.reading_token, *_callers_without_a_token(shop).values()):
        answers += [_call(shop, *route, token) for route in PUBLIC_ROUTES]
        for route in TOKEN_ROUTES:
            answers.append(_call(shop, *route, token, shop.body(businessId=globex["business"])))
            answers.append(_call(shop, *route, token, shop.body()))
    assert len(answers) > 50
    for answer in answers:
        seen = answer.text + str(answer.headers.multi_items())
        assert GLOBEX_CANARY not in seen.lower(), answer.request.url
        assert "2079460958" not in seen, answer.request.url
        for token in (shop.world.token, shop.world.globex_token):
            assert token not in seen, answer.request.url


@pytest.mark.parametrize("route", sorted(PUBLIC_ROUTES - {("GET", "/metrics")}))
def test_a_public_page_is_the_same_whoever_asks(shop: Shop, route: tuple[str, str]) -> None:
    callers = [shop.world.token, shop.world.globex_token, *_callers_without_a_token(shop).values()]
    told = {_told(_call(shop, *route, token)) for token in callers}
    assert len(told) == 1
    ((status, *_),) = told
    assert status == 200


def test_the_command_line_shows_one_organization_when_one_is_named(shop: Shop) -> None:
    _ids_of_globex(shop)
    shop.send()
    installation: Installation = shop.server.installation
    for what in ("business", "token", "threads"):
        acmes = json.dumps(installation.cli(what, "list", "--organization", shop.world.acme))
        assert json.loads(acmes), what
        assert GLOBEX_CANARY not in acmes, what
        assert f'"organizationId": "{shop.world.globex}"' not in acmes, what
