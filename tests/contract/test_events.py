"""``GET /api/events``: the durable log of all that happens, followed from any position."""

import json
import socket
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from select import select
from typing import Any

import httpx2
import pytest

from harness.installation import Installation
from harness.shop import HELLO, Shop, faults_of
from harness.world import World

EVENTS = "/api/events"
STREAM = "/api/stream"
WAITING_PER_TOKEN = 16
SOON_S = 20
"""Less than any request here waits for, and more than a busy machine takes."""


@pytest.fixture
def shop(engine: str, shops: Callable[..., Shop]) -> Shop:
    """A shared server that delivers nothing: what became of another test's reply would be news a minute later."""
    return shops(engine, run_worker=False)


def _ask(shop: Shop, *, token: str = "", **query: Any) -> httpx2.Response:
    return shop.server.client.get(EVENTS, params=query, headers={"token": token or shop.world.token})


def _read(shop: Shop, *, token: str = "", **query: Any) -> dict[str, Any]:
    answer = _ask(shop, token=token, **query)
    assert answer.status_code == 200, answer.text
    page: dict[str, Any] = answer.json()
    return page


def _now(shop: Shop, *, token: str = "") -> int:
    page = _read(shop, token=token, after="latest")
    assert (page["events"], page["hasMore"], page["truncated"]) == ([], False, False)
    position: int = page["lastPosition"]
    return position


def _until(condition: Any) -> None:
    deadline_s = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < deadline_s
        time.sleep(0.02)


@contextmanager
def _waiting(shop: Shop, *, token: str = "", **query: Any) -> Iterator[socket.socket]:
    """The connection of a request that waits for news."""
    path = httpx2.URL(EVENTS, params=query | {"waitSeconds": 30})
    with socket.create_connection(("127.0.0.1", shop.server.port), timeout=SOON_S) as wire:
        wire.sendall(f"GET {path} HTTP/1.1\r\nHost: a\r\ntoken: {token or shop.world.token}\r\n\r\n".encode())
        yield wire


def _waits(wire: socket.socket) -> bool:
    return not select([wire], [], [], 0.5)[0]


def _page(wire: socket.socket) -> dict[str, Any]:
    """What a request that waited was answered, and soon."""
    with wire.makefile("rb") as answer:
        assert answer.readline().startswith(b"HTTP/1.1 200 ")
        headers = dict(line.strip().lower().split(b": ", 1) for line in iter(answer.readline, b"\r\n"))
        page: dict[str, Any] = json.loads(answer.read(int(headers[b"content-length"])))
        return page


def test_a_message_is_an_event_that_carries_the_message(shop: Shop) -> None:
    before = _now(shop)
    thread_id = shop.send()
    (message,) = shop.messages(thread_id)
    page = _read(shop, after=before)
    assert page == {
        "events": [
            {
                "position": before + 1,
                "type": "message",
                "createdAt": message["created_at_ms"],
                "customerThreadId": thread_id,
                "businessId": shop.world.boston,
                "customerId": str(shop.customer_of(thread_id)),
                "messageId": str(message["id"]),
                "threadSequence": 1,
                "message": {
                    "text": HELLO,
                    "deleted": False,
                    "fromCustomer": True,
                    "internal": False,
                    "employeeUserId": None,
                    "attachmentId": None,
                    "contentSid": None,
                    "externalId": None,
                },
                "data": {},
            }
        ],
        "lastPosition": before + 1,
        "hasMore": False,
        "truncated": False,
    }


def test_other_events_carry_what_they_have_to_tell(shop: Shop) -> None:
    thread_id = shop.send()
    before = _now(shop)
    shop.post({"customerThreadId": thread_id, "status": "resolved"}, path="/api/update-thread-status")
    (event,) = _read(shop, after=before)["events"]
    assert (event["type"], event["customerThreadId"], event["threadSequence"]) == ("status", thread_id, 1)
    assert (event["messageId"], event["message"]) == (None, None)
    assert event["data"] == {"status": "resolved", "before": "waiting"}


def test_who_goes_on_from_the_last_position_sees_each_event_once(shop: Shop) -> None:
    before = position = _now(shop)
    sent = [shop.send() for _ in range(7)]
    seen: list[dict[str, Any]] = []
    for expected, has_more in ((3, True), (3, True), (1, False), (0, False)):
        page = _read(shop, after=position, limit=3)
        assert (len(page["events"]), page["hasMore"]) == (expected, has_more)
        seen += page["events"]
        position = page["lastPosition"]
    assert [event["customerThreadId"] for event in seen] == sent
    assert [event["position"] for event in seen] == list(range(before + 1, before + 8))
    assert position == before + 7


def test_without_a_position_the_feed_is_read_from_its_beginning(shop: Shop) -> None:
    first = _read(shop, limit=1)
    assert first["events"][0]["position"] == 1
    assert first["events"][0]["type"] == "business-created"
    assert _read(shop, after=0, limit=1) == first


def test_only_the_types_that_are_asked_for_come_and_the_others_are_passed_over(shop: Shop) -> None:
    before = _now(shop)
    thread_id = shop.send()
    shop.post({"customerThreadId": thread_id, "status": "resolved"}, path="/api/update-thread-status")
    shop.post({"name": "Acme Salem"}, path="/api/businesses")
    for types in ("status,business-created", ["status", "business-created"]):
        page = _read(shop, after=before, types=types)
        assert [event["type"] for event in page["events"]] == ["status", "business-created"]
    page = _read(shop, after=before, types="customer-erased")
    assert (page["events"], page["lastPosition"], page["hasMore"]) == ([], before + 3, False)
    assert _read(shop, after=before, types="message", limit=1)["lastPosition"] == before + 1
    wrong = _ask(shop, types="message,birthday")
    assert faults_of(wrong) == {("query", "types.1", "invalid_value")}
    assert "message" in wrong.json()["errors"][0]["allowed"]


@pytest.mark.parametrize(
    ("query", "fault"),
    [
        ({"after": "yesterday"}, ("query", "after", "invalid_format")),
        ({"after": -1}, ("query", "after", "invalid_format")),
        ({"limit": 0}, ("query", "limit", "invalid_value")),
        ({"waitSeconds": 31}, ("query", "waitSeconds", "invalid_value")),
        ({"waitSeconds": "x"}, ("query", "waitSeconds", "invalid_format")),
    ],
)
def test_what_cannot_be_asked_is_told(shop: Shop, query: dict[str, Any], fault: tuple[str, str, str]) -> None:
    assert faults_of(_ask(shop, **query)) == {fault}


@pytest.mark.parametrize(
    ("query", "detail"),
    [
        ({"after": "abc"}, "must be a position (the lastPosition of an earlier answer) or latest"),
        ({"limit": "many"}, "must be an integer"),
    ],
)
def test_a_wrong_format_is_told_with_the_right_one(shop: Shop, query: dict[str, Any], detail: str) -> None:
    (fault,) = _ask(shop, **query).json()["errors"]
    assert fault["detail"] == detail


def test_the_stream_and_the_list_explain_a_wrong_position_alike(shop: Shop) -> None:
    headers = {"token": shop.world.token}
    answers = [shop.server.client.get(path, params={"after": "abc"}, headers=headers) for path in (EVENTS, STREAM)]
    assert answers[0].json()["errors"] == answers[1].json()["errors"]


def test_a_rare_type_does_not_make_the_server_look_through_the_whole_feed(own_shop: Shop) -> None:
    acme = int(own_shop.world.acme)
    before = _now(own_shop)
    many = 25_000
    own_shop.database.change(
        "INSERT INTO events (organization_id, position, type, created_at_ms) "
        "WITH RECURSIVE numbers (n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM numbers WHERE n < :many) "
        "SELECT :acme, :before + n, 'status', 1 FROM numbers",
        many=many,
        acme=acme,
        before=before,
    )
    own_shop.database.change(
        "UPDATE feeds SET last_position = :last WHERE organization_id = :id", last=before + many, id=acme
    )
    thread_id = own_shop.send()
    position, pages = before, []
    while True:
        page = _read(own_shop, after=position, types="message", waitSeconds=30)
        pages.append(page)
        position = page["lastPosition"]
        if not page["hasMore"]:
            break
    assert [len(page["events"]) for page in pages] == [0, 0, 1]
    assert pages[-1]["events"][0]["customerThreadId"] == thread_id


def test_a_message_that_is_gone_leaves_its_event(shop: Shop) -> None:
    before = _now(shop)
    thread_id = shop.send()
    shop.database.change("DELETE FROM messages WHERE thread_id = :id", id=int(thread_id))
    (event,) = _read(shop, after=before)["events"]
    assert event["messageId"] is not None
    assert (event["message"]["text"], event["message"]["deleted"]) == ("", True)


def test_who_comes_too_late_is_told_that_events_are_gone_and_gets_what_is_left(own_shop: Shop) -> None:
    before = _now(own_shop)
    for _ in range(4):
        own_shop.send()
    gone = "DELETE FROM events WHERE organization_id = :id AND position <= :position"
    own_shop.database.change(gone, id=int(own_shop.world.acme), position=before + 2)
    late = _read(own_shop, after=before + 1, waitSeconds=30)
    assert late["truncated"]
    assert [event["position"] for event in late["events"]] == [before + 3, before + 4]
    in_time = _read(own_shop, after=before + 2)
    assert (in_time["truncated"], len(in_time["events"])) == (False, 2)
    assert not _read(own_shop)["truncated"]  # the oldest that is kept was asked for
    own_shop.database.change(gone, id=int(own_shop.world.acme), position=before + 4)
    empty = _read(own_shop, after=before + 3, waitSeconds=30)
    assert (empty["truncated"], empty["events"], empty["lastPosition"]) == (True, [], before + 4)
    assert not _read(own_shop, after=before + 4)["truncated"]


@pytest.mark.parametrize("types", [None, "message"])
def test_events_that_went_from_between_others_are_missed_too(own_shop: Shop, types: str | None) -> None:
    before = _now(own_shop)
    for _ in range(6):
        own_shop.send()
    gone = "DELETE FROM events WHERE organization_id = :id AND position IN (:one, :other)"
    own_shop.database.change(gone, id=int(own_shop.world.acme), one=before + 3, other=before + 4)
    asked = {"limit": 2} | ({"types": types} if types else {})
    pages = [_read(own_shop, after=before + passed, **asked) for passed in (0, 2, 5)]
    assert [page["truncated"] for page in pages] == [False, True, False]
    assert [event["position"] - before for page in pages for event in page["events"]] == [1, 2, 5, 6, 6]


def test_a_position_that_is_not_reached_yet_comes_from_another_time_of_the_feed(shop: Shop) -> None:
    newest = _now(shop)
    for after in (newest + 1, 9_999_999_999_999_999):
        page = _read(shop, after=after, waitSeconds=30)
        assert (page["truncated"], page["events"], page["lastPosition"]) == (True, [], newest)


def test_each_organization_has_a_feed_of_its_own(shop: Shop) -> None:
    acmes, globexs = _now(shop), _now(shop, token=shop.world.globex_token)
    thread_id = shop.send(token=shop.world.globex_token, businessId=shop.world.london)
    assert _now(shop) == acmes
    (event,) = _read(shop, token=shop.world.globex_token, after=globexs)["events"]
    assert (event["position"], event["customerThreadId"]) == (globexs + 1, thread_id)


def test_who_waits_is_answered_as_soon_as_something_happens(shop: Shop) -> None:
    with _waiting(shop, after=_now(shop)) as wire:
        assert _waits(wire)
        thread_id = shop.send()
        assert [event["customerThreadId"] for event in _page(wire)["events"]] == [thread_id]


def test_who_waits_for_a_type_is_not_answered_by_another(shop: Shop) -> None:
    thread_id = shop.send()
    before = _now(shop)
    with _waiting(shop, after=before, types="status") as wire:
        shop.send()
        assert _waits(wire)
        shop.post({"customerThreadId": thread_id, "status": "resolved"}, path="/api/update-thread-status")
        assert [(event["type"], event["position"]) for event in _page(wire)["events"]] == [("status", before + 2)]


def test_who_waits_in_vain_is_answered_when_the_time_is_over(shop: Shop) -> None:
    before = _now(shop)
    began_s = time.monotonic()
    page = _read(shop, after=before, waitSeconds=1)
    assert 0.9 <= time.monotonic() - began_s < 1 + SOON_S
    assert page == {"events": [], "lastPosition": before, "hasMore": False, "truncated": False}


def test_who_waits_is_answered_when_another_process_writes(shop: Shop) -> None:
    with _waiting(shop, after=_now(shop)) as wire:
        assert _waits(wire)
        made = shop.server.installation.cli("business", "create", "--organization", shop.world.acme, "Acme Salem")
        assert [event["businessId"] for event in _page(wire)["events"]] == [made["id"]]


def _fill(shop: Shop, stack: ExitStack, after: int, token: str = "") -> list[socket.socket]:
    """Let as many requests wait as may, and return their sockets."""
    wires = [stack.enter_context(_waiting(shop, after=after, token=token)) for _ in range(WAITING_PER_TOKEN + 4)]
    _until(lambda: len(select(wires, [], [], 0)[0]) >= 4)
    refused = select(wires, [], [], 0)[0]
    assert [wire.recv(65_536)[:13] for wire in refused] == [b"HTTP/1.1 429 "] * 4
    return [wire for wire in wires if wire not in refused]


def test_only_so_many_requests_of_a_token_may_wait(shop: Shop) -> None:
    before = _now(shop)
    with ExitStack() as stack:
        wires = _fill(shop, stack, before)
        refused = _ask(shop, after=before, waitSeconds=30)
        assert refused.status_code == 429
        assert refused.json()["developerMessage"] == "Rate limit 'waiting requests' exceeded"
        assert refused.headers["retry-after"] == "1"
        assert _read(shop, after=before)["events"] == []  # who does not wait takes no place
        assert _ask(shop, after=before, waitSeconds=1, token=shop.world.second_token).status_code == 200
        thread_id = shop.send()
        for wire in wires:
            assert [event["customerThreadId"] for event in _page(wire)["events"]] == [thread_id]
    assert _read(shop, after=_now(shop), waitSeconds=1)["events"] == []


def test_a_client_that_goes_away_leaves_its_place(shop: Shop) -> None:
    before = _now(shop)
    for _ in range(3):
        with ExitStack() as stack:
            _fill(shop, stack, before)
        _until(lambda: _ask(shop, after=before, waitSeconds=1).status_code == 200)


@pytest.mark.parametrize("engine", ["postgresql"], indirect=True)
def test_who_waits_holds_no_connection_to_the_database(shop: Shop) -> None:
    before = _now(shop)
    with ExitStack() as stack:
        for token in (shop.world.token, shop.world.second_token):
            _fill(shop, stack, before, token)
        in_transactions = (
            "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() "
            "AND backend_type = 'client backend' AND pid <> pg_backend_pid() "  # no autovacuum
            "AND xact_start < now() - interval '1 second'"
        )
        assert shop.database.value(in_transactions) == 0
        answer = shop.server.client.get("/api/businesses", headers={"token": shop.world.token})
        assert (answer.status_code, answer.elapsed.total_seconds() < SOON_S) == (200, True)


def test_a_server_that_stops_answers_at_once_who_waits(installation: Installation, people: World) -> None:
    with installation.serving() as server:
        shop = Shop(server, people)
        before = _now(shop)
        with ExitStack() as stack:
            wire, *_ = _fill(shop, stack, before)
            began_s = time.monotonic()
            assert server.terminate() == 0
            assert time.monotonic() - began_s < SOON_S
            page = _page(wire)
    assert (page["events"], page["lastPosition"]) == ([], before)
