"""Tenant isolation of every customer route, with every kind of caller."""

import uuid
from collections.abc import Callable, Mapping
from typing import Any

import httpx2
import pytest
from test_tenants import CUSTOMERS_ROUTES

from harness.api_routes import reference
from harness.shop import Shop
from harness.visitors import Browser, acmes_site, globexs_site

CANARY = "carolscanary"
STREAM = ("GET", "/api/customer/stream")
SESSIONS = ("POST", "/api/customer/sessions")


@pytest.fixture
def shop(engine: str, shops: Callable[..., Shop], tmp_path_factory: pytest.TempPathFactory) -> Shop:
    """A server that keeps files and sends nothing."""
    folder = tmp_path_factory.getbasetemp() / f"visitors-{engine}"
    return shops(engine, run_worker="false", attachments_url=f"file://{folder}")


@pytest.fixture
def carol(shop: Shop) -> Browser:
    """Carol's browser, in a conversation full of canaries."""
    browser = acmes_site(shop).visitor()
    thread_id = browser.say(f"a secret {CANARY}")["customerThreadId"]
    kept = browser.upload(f"a file {CANARY}".encode(), f"{CANARY}.txt").json()["attachmentId"]
    sent = browser.post("messages", attachmentId=kept, clientMessageId=str(uuid.uuid4()))
    assert sent.status_code == 200
    reply = {"customerThreadId": thread_id, "text": f"a reply {CANARY}"}
    assert shop.post(reply, path="/api/send-message-to-customer-thread").status_code == 200
    assert CANARY in browser.get("messages").text
    return browser


def _routes() -> list[tuple[str, str]]:
    return [
        (method.upper(), path)
        for path, operations in reference()["paths"].items()
        for method, operation in operations.items()
        if operation["security"] == [{"customerSession": []}]
    ]


def _ask(
    shop: Shop, route: tuple[str, str], headers: Mapping[str, str], thread_id: str, kept: str = ""
) -> httpx2.Response:
    """Ask one route for Carol's conversation by whatever it takes."""
    method, path = route
    body: dict[str, Any] = {
        "text": f"forged {thread_id}",
        "clientMessageId": str(uuid.uuid4()),
        "customerThreadId": thread_id,
        "sequence": 1,
        "firstName": "Forged",
        "surveyId": "1",
        "score": 9,
    }
    if kept:
        body |= {"attachmentId": kept}
    query = {"customerThreadId": thread_id} if method == "GET" else {}
    how: dict[str, Any] = {} if method == "GET" else {"json": body}
    if path.endswith("/attachments"):
        how = {"files": {"file": ("a.txt", b"forged", "text/plain")}}
    with shop.server.client.stream(method, path, params=query, headers=dict(headers), **how) as answer:
        if answer.headers["content-type"].startswith("text/event-stream"):
            raise AssertionError("a stream was opened")
        answer.read()
    return answer


def test_every_customer_route_is_tested(shop: Shop) -> None:
    ordinary = {route for route in CUSTOMERS_ROUTES if route[1].startswith("/api/")}
    assert set(_routes()) | {SESSIONS} == ordinary | {STREAM}


@pytest.mark.parametrize("route", _routes(), ids=str)
def test_all_invalid_sessions_get_the_same_response(shop: Shop, carol: Browser, route: tuple[str, str]) -> None:
    thread_id = carol.begun["customerThreadId"] or "1"
    ended = acmes_site(shop).visitor()
    ended.say()
    ended.post("sign-out")
    ended.wait_until_ended()
    expired = acmes_site(shop).visitor()
    own = expired.say()["customerThreadId"]
    shop.database.change("UPDATE customer_sessions SET expires_at_ms = 1 WHERE thread_id = :id", id=int(own))
    expired.wait_until_ended()
    callers = {
        "a stranger": {"authorization": "Bearer sbs_" + "0" * 49},
        "who has something else than a bearer": {"authorization": f"Basic {carol.token}"},
        "who sends two": {"authorization": f"Bearer {carol.token}, Bearer {carol.token}"},
        "Alice, with an API token": {"authorization": f"Bearer {shop.world.token}", "token": shop.world.token},
        "who was signed out": ended.headers,
        "whose session has expired": expired.headers,
        "who has the cookie of no page": {"cookie": f"sb_{thread_id}={carol.token}", "shopbell-thread": thread_id},
    }
    told = set()
    for caller, headers in callers.items():
        answer = _ask(shop, route, headers, thread_id)
        assert answer.status_code == 401, caller
        told.add((answer.json()["detail"], answer.json()["developerMessage"], answer.headers["www-authenticate"]))
    assert len(told) == 1
    nobody = _ask(shop, route, {}, thread_id)
    assert nobody.status_code == 401
    assert nobody.json()["detail"].startswith("Header 'Authorization' is missing.")


@pytest.mark.parametrize("route", _routes(), ids=str)
def test_another_session_neither_reads_nor_changes_carols_data(
    shop: Shop, carol: Browser, route: tuple[str, str]
) -> None:
    thread_id = shop.database.value("SELECT MAX(thread_id) FROM messages WHERE body = :body", body=f"a secret {CANARY}")
    site = acmes_site(shop)
    before = shop.messages(str(thread_id)), shop.database.rows("SELECT * FROM thread_reads")
    known = shop.send(user={"email": shop.somebody()})
    others = {
        "Dave, a visitor of the same shop": site.visitor(),
        "Dave, identified by the site": site.visitor(identityToken=site.identity_token(sub=uuid.uuid4().hex)),
        "Dave's app": site.app(str(shop.customer_of(known))),
        "Globex's customer": globexs_site(shop).visitor(),
    }
    for caller, browser in others.items():
        # With a file that is none of his the file alone would be reason enough; a session can be ended only once.
        for kept in ("",) if route[1].endswith("/sign-out") else ("", "12345-" + "0" * 32):
            answer = _ask(shop, route, browser.headers, str(thread_id), kept=kept)
            assert CANARY not in answer.text + str(answer.headers.multi_items()), caller
            assert str(thread_id) not in answer.text, caller
            if route[1].endswith(("/messages", "/stream", "/transcript", "/survey")):
                assert answer.status_code == 404, caller
            else:
                assert answer.status_code == 200, (caller, answer.text)
    assert (shop.messages(str(thread_id)), shop.database.rows("SELECT * FROM thread_reads")) == before


def test_a_page_session_sees_only_its_page(shop: Shop, carol: Browser) -> None:
    dave = acmes_site(shop).visitor()
    theirs = dave.say()["customerThreadId"]
    shop.database.change(
        "UPDATE customer_sessions SET kind = 'page' WHERE thread_id = :id AND kind = 'widget'", id=int(theirs)
    )
    carols = shop.database.value("SELECT MAX(thread_id) FROM messages WHERE body = :body", body=f"a secret {CANARY}")
    for asked in (str(carols), "1"):
        headers = {"cookie": f"sb_{asked}={dave.token}; sb_{theirs}={dave.token}", "shopbell-thread": asked}
        answer = shop.server.client.get("/api/customer/messages", headers=headers)
        assert answer.status_code == 401
        assert CANARY not in answer.text
        page = shop.server.client.get(f"/c/{asked}", headers={"cookie": headers["cookie"]})
        assert page.status_code == 410
        assert CANARY not in page.text
