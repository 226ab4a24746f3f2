"""Tenant isolation of every route, with every kind of caller and id."""

import json
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx2
import pytest
from sqlalchemy import select

from harness import api_objects
from harness.api_objects import KINDS
from harness.api_routes import API_ROUTES, SCOPED_ROUTES, Request, Route, Slot
from harness.installation import Installation
from harness.shop import WIDGET, Shop
from harness.world import GLOBEX_CANARY
from shopbell.db.schema.core import metadata

# Every URL that needs no token. One that is missing here, or one of the API that the reference does not know, fails the
# first test. Routes of the API need nothing here: what is tested of them is made of their descriptions.
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
    ("GET", "/widget.js"),
    ("GET", "/widget/panel"),
    ("GET", "/widget/{name}"),
}
CUSTOMERS_ROUTES = {
    *(("POST", f"/api/customer/{name}") for name in ("sessions", "sign-out", "messages", "attachments", "identify")),
    *(("POST", f"/api/customer/{name}") for name in ("read", "typing", "survey")),
    *(("GET", f"/api/customer/{name}") for name in ("messages", "threads", "transcript")),
    *(("GET", "/t/{token}"), ("POST", "/t/{token}"), ("POST", "/t/new-link")),
    *(("GET", "/c/{thread_id}"), ("GET", "/c/{thread_id}/transcript")),
    *(("POST", f"/c/{{thread_id}}/{name}") for name in ("messages", "notifications", "survey")),
}
"""Where a session, or a link that was sent, stands for the token: test_customer_tenants.py."""
EMPLOYEES_ROUTES = {
    *(("GET", path) for path in ("/sign-in", "/sign-in/code", "/account", "/account/confirm", "/account/app")),
    ("GET", "/account/audit"),
    *(("GET", path) for path in ("/inbox", "/inbox/{path:path}")),
    ("POST", "/sign-in/organization"),
    *(("POST", path) for path in ("/sign-in", "/sign-in/code", "/sign-out", "/account/confirm", "/account/app")),
    *(("POST", f"/account/{name}") for name in ("password", "app/remove", "recovery-codes")),
    *(("POST", f"/account/{name}") for name in ("sessions/end", "passkeys/remove")),
    *(("GET", "/invitations/{token}"), ("POST", "/invitations/{token}")),
    *(("GET", "/oidc/start"), ("GET", "/oidc/callback"), ("POST", "/account/identities/remove")),
    *(("POST", f"/api/{name}") for name in ("sign-in/passkey/options", "sign-in/passkey")),
    *(("POST", f"/api/{name}") for name in ("passkeys/options", "passkeys")),
}
"""Where the session of an employee, a credential or an invitation stands for the token: tests/api/accounts,
tests/api/inbox."""
DEMO_ROUTES = {("GET", "/demo")}
"""It responds only to the machine of the demo. Without a demo, the other routes of the demo do not exist."""
SIGNED_ROUTES = {
    ("GET", "/attachments/{uuid}/{name}"),
    ("GET", "/unsubscribe/{token}"),
    ("POST", "/unsubscribe/{token}"),
    ("GET", "/answer/{token}"),
    ("POST", "/answer/{token}"),
    ("POST", "/hooks/twilio/inbound"),
    ("POST", "/hooks/twilio/status"),
    ("POST", "/hooks/texts/inbound"),
    ("POST", "/hooks/texts/status"),
}
"""Where a signature in the link, or of the request, stands for the token."""
GRAPHQL_ROUTES = {("POST", "/graphql")}
"""Where the token has a header of another name: tests/api/http/test_graphql.py."""
PHONE_ROUTES = {("GET", "/v1/ivr"), ("POST", "/v1/ivr")}
"""Where a phone system sends the token as it can: tests/api/channels/test_ivr.py."""
EXAMPLES = {
    "/docs/static/{name}": "/docs/static/swagger-ui.css",
    "/static/{name}": "/static/shopbell.css",
    "/problems/{name}": "/problems/not-found",
    "/widget/{name}": "/widget/panel.js",
}

_ALL_ROUTES = """
import json
from shopbell.app import create_app
from shopbell.http.request.methods import all_routes
edge = create_app()
rest = edge._rest
while not hasattr(rest, "routes"):
    rest = rest.app
served = [[method, route.path] for route in all_routes(rest.routes) for method in route.methods or ["GET"]]
print(json.dumps([["POST", path] for path in edge._direct] + served))
"""

each_route = pytest.mark.parametrize("route", API_ROUTES, ids=str)
each_scoped_route = pytest.mark.parametrize("route", SCOPED_ROUTES, ids=str)

# What has been made for a shop, once for all tests: its things of Acme's and of Globex's.
_made: dict[int, tuple[dict[str, str], dict[str, str]]] = {}


@pytest.fixture
def shop(engine: str, shops: Callable[..., Shop], tmp_path_factory: pytest.TempPathFactory) -> Shop:
    """A server that delivers no webhooks, so that only the tests change something."""
    folder = tmp_path_factory.getbasetemp() / f"attachments-{engine}"
    return shops(engine, run_worker="false", attachments_url=f"file://{folder}")


@pytest.fixture
def acme(shop: Shop) -> dict[str, str]:
    """The id of one thing of each kind that Acme has."""
    return _things(shop)[0]


@pytest.fixture
def globex(shop: Shop) -> dict[str, str]:
    """The same of Globex; the canary stands in everything."""
    return _things(shop)[1]


def _things(shop: Shop) -> tuple[dict[str, str], dict[str, str]]:
    if id(shop) not in _made:
        world = shop.world
        globex = api_objects.make(shop, world.globex_token, world.london, GLOBEX_CANARY)
        globex["organization"] = world.globex
        globex["token"] = str(shop.database.value("SELECT id FROM api_tokens WHERE name = :name", name=GLOBEX_CANARY))
        _made[id(shop)] = (api_objects.make(shop, world.token, world.boston), globex)
    return _made[id(shop)]


def test_every_route_is_either_public_or_documented(shop: Shop, tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-c", _ALL_ROUTES],
        env=shop.server.installation.environment,
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=True,
    )
    served = {(method, path) for method, path in json.loads(done.stdout) if method != "HEAD"}
    described = {(route.method, route.path) for route in API_ROUTES}
    assert len(described) > 40
    others = SIGNED_ROUTES | CUSTOMERS_ROUTES | GRAPHQL_ROUTES | PHONE_ROUTES | DEMO_ROUTES | EMPLOYEES_ROUTES
    assert served == described | PUBLIC_ROUTES | others
    assert all(path.startswith("/api/") for _, path in described)


def _callers_without_a_token(shop: Shop) -> dict[str, str | None]:
    world = shop.world
    return {
        "nobody": None,
        "a stranger with something malformed": "sb_live_stranger",
        "a stranger with something well-formed": "sb_live_" + "0" * 49,
        "Alice, with a token that was revoked": world.revoked_token,
        "Alice, with a token that has expired": world.expired_token,
    }


def _call(shop: Shop, method: str, path: str, token: str | None) -> httpx2.Response:
    headers = {"token": token} if token is not None else {}
    return shop.server.client.request(method, EXAMPLES.get(path, path), headers=headers)


def _told(answer: httpx2.Response) -> tuple[object, ...]:
    """What an answer tells, without what differs from request to request."""
    body = re.sub(r"urn:uuid:[0-9a-f-]+", "", answer.text)
    own = ("x-request-id", "date", "ratelimit")
    return answer.status_code, body, tuple(pair for pair in answer.headers.multi_items() if pair[0] not in own)


def _has_nothing_of(globex: dict[str, str], answer: httpx2.Response) -> None:
    """Neither a text nor an id of Globex's is in an answer."""
    seen = answer.text + str(answer.headers.multi_items())
    assert GLOBEX_CANARY not in seen.lower(), answer.request.url
    foreign = {id_ for id_ in globex.values() if len(id_) > 4}  # a delivery's is a number that Acme's have, too
    assert not foreign & set(re.findall(r"\w+", answer.text)), answer.request.url


@each_route
def test_all_invalid_tokens_get_the_same_response(
    shop: Shop, acme: dict[str, str], globex: dict[str, str], route: Route
) -> None:
    told: dict[bool, set[Any]] = {True: set(), False: set()}
    for caller, token in _callers_without_a_token(shop).items():
        for ids in (acme, globex):
            for request in route.requests(ids):
                for content in (None, b"{}", b"no JSON"):
                    answer = request.send(shop, token, content=content if route.method == "POST" else None)
                    assert answer.status_code == 401, caller
                    told[token is None].add(_told(answer))
    assert [len(answers) for answers in told.values()] == [1, 1]  # without the header, the detail says that


@each_scoped_route
def test_a_token_without_the_scope_of_the_route_is_refused(
    shop: Shop, acme: dict[str, str], globex: dict[str, str], route: Route
) -> None:
    for scope, token in shop.world.scoped.items():
        if scope == route.scope:
            continue
        told = set()
        for ids in (acme, globex):
            for request in route.requests(ids):
                answer = request.send(shop, token)
                assert answer.status_code == 403, scope
                assert answer.json()["type"] == "/problems/forbidden"
                assert answer.json()["developerMessage"] == f"Scope '{route.scope}' is missing"
                told.add(_told(answer))
        assert len(told) == 1, scope


def _rows_of(shop: Shop, organization_id: str) -> dict[str, list[Any]]:
    """All that an organization has, table by table; when its tokens were last used may change at any time."""
    rows = {}
    with shop.database.connection() as connection:
        for table in metadata.sorted_tables:
            owner = table.c.get("organization_id", table.c.get("id") if table.name == "organizations" else None)
            if owner is not None:
                columns = [column for column in table.c if column.name != "last_used_at_ms"]
                query = select(*columns).where(owner == int(organization_id)).order_by(*table.primary_key.columns)
                rows[table.name] = [tuple(row) for row in connection.execute(query)]
    return rows


def _slots_of(route: Route, globex: dict[str, str]) -> list[tuple[Slot, list[str]]]:
    """Each place for an id, and what of Globex's to put there: whatever it has, of the right kind or another."""
    pairs = []
    for slot in route.slots:
        if slot.kind in api_objects.NOBODYS:
            foreign = [globex[slot.kind]]
        else:
            # A delivery is known by a number that each organization counts for itself.
            foreign = [
                id_
                for kind, id_ in globex.items()
                if kind not in ("delivery", api_objects.PRIVATE_KEY, *api_objects.NOBODYS)
            ]
        pairs.append((slot, foreign))
    return pairs


@each_route
def test_globexs_objects_do_not_exist_for_acmes_token(
    shop: Shop, acme: dict[str, str], globex: dict[str, str], route: Route
) -> None:
    token = route.token(shop.world)
    before = _rows_of(shop, shop.world.globex)
    for slot, foreign in _slots_of(route, globex):
        for request in route.requests(acme):
            nothing = request.with_id(slot, api_objects.nobodys(slot.kind)).send(shop, token)
            _is_no_success(request, slot, nothing)
            for id_ in foreign:
                for form in (id_, int(id_)) if slot.where == "body" and id_.isdecimal() else (id_,):
                    answer = request.with_id(slot, form).send(shop, token)
                    assert _told(answer) == _told(nothing), f"{slot} {form}"
                    _has_nothing_of(globex, answer)
    assert _rows_of(shop, shop.world.globex) == before


def _is_no_success(request: Request, slot: Slot, answer: httpx2.Response) -> None:
    """What names nothing of the organization is not found; a list that is filtered by it is empty."""
    if answer.status_code == 200:
        assert (request.route.method, slot.where) == ("GET", "query"), slot
        (found,) = (value for value in answer.json().values() if isinstance(value, list))
        assert found == [], slot
    elif slot.name == "lastSeenMessageId":
        assert answer.status_code == 400, answer.text  # there is a conversation, of which it is none
    elif request.route.path == WIDGET:
        assert answer.status_code == 403, answer.text
    else:
        assert answer.status_code == 404, answer.text
        assert answer.json()["detail"].startswith(f"'{slot.name}' is not a"), answer.text


@each_route
def test_responses_to_acme_contain_nothing_of_globex(shop: Shop, globex: dict[str, str], route: Route) -> None:
    before = _rows_of(shop, shop.world.globex)
    own = api_objects.make(shop, shop.world.token, shop.world.boston)
    for request in route.requests(own):
        answer = request.send(shop, route.sender(shop.world))
        assert answer.status_code == 200, answer.text
        _has_nothing_of(globex, answer)
    shop.post({}, path=f"/api/webhooks/{own['webhook']}/delete")
    assert _rows_of(shop, shop.world.globex) == before


def test_acmes_rows_never_refer_to_globexs(shop: Shop, acme: dict[str, str], globex: dict[str, str]) -> None:
    foreign = {int(id_) for kind, id_ in globex.items() if kind in KINDS.values() and id_.isdecimal() and len(id_) > 4}
    assert len(foreign) > 8
    for name, rows in _rows_of(shop, shop.world.acme).items():
        for row in rows:
            assert not foreign & {value for value in row if isinstance(value, int)}, name


def test_messages_of_a_shared_customer_belong_to_acme_alone(shop: Shop, globex: dict[str, str]) -> None:
    (identity,) = shop.database.rows(
        "SELECT shown FROM customer_identities WHERE customer_id = :id AND kind = 'email'", id=int(globex["customer"])
    )
    before = _rows_of(shop, shop.world.globex)
    thread_id = shop.send(user={"email": identity["shown"], "phoneNumber": "+442079460958"})
    assert thread_id != globex["thread"]
    assert str(shop.customer_of(thread_id)) != globex["customer"]
    assert str(shop.thread(thread_id)["organization_id"]) == shop.world.acme
    for message in shop.messages(thread_id):
        assert str(message["organization_id"]) == shop.world.acme
    assert _rows_of(shop, shop.world.globex) == before


def test_public_pages_contain_nothing_of_globex(shop: Shop, globex: dict[str, str]) -> None:
    answers = []
    for token in (shop.world.token, shop.world.reading_token, *_callers_without_a_token(shop).values()):
        answers += [_call(shop, *route, token) for route in PUBLIC_ROUTES]
    assert len(answers) > 50
    for answer in answers:
        _has_nothing_of(globex, answer)
        for token in (shop.world.token, shop.world.globex_token):
            assert token not in answer.text + str(answer.headers.multi_items()), answer.request.url


@pytest.mark.parametrize("route", sorted(PUBLIC_ROUTES - {("GET", "/metrics")}))
def test_a_public_page_is_the_same_for_every_caller(shop: Shop, route: tuple[str, str]) -> None:
    callers = [shop.world.token, shop.world.globex_token, *_callers_without_a_token(shop).values()]
    told = {_told(_call(shop, *route, token)) for token in callers}
    assert len(told) == 1
    ((status, *_),) = told
    assert status == 200


def test_the_command_line_shows_only_the_named_organization(shop: Shop, globex: dict[str, str]) -> None:
    shop.send()
    installation: Installation = shop.server.installation
    for what in ("business", "token", "threads"):
        acmes = json.dumps(installation.cli(what, "list", "--organization", shop.world.acme))
        assert json.loads(acmes), what
        assert GLOBEX_CANARY not in acmes, what
        assert f'"organizationId": "{shop.world.globex}"' not in acmes, what
