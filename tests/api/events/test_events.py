"""``GET /api/events``: the durable event feed, read from any position."""

import socket
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from select import select
from typing import Any

import pytest

from harness.feed_requests import EVENTS, SOON_S, ask_feed, last_position, read_feed, response_page, waiting_request
from harness.installation import Installation
from harness.shop import HELLO, Shop, faults_of
from harness.world import World

STREAM = "/api/stream"
WAITING_PER_TOKEN = 16


@pytest.fixture
def shop(engine: str, shops: Callable[..., Shop]) -> Shop:
    """A shared server that delivers nothing: what became of another test's reply would be news a minute later."""
    return shops(engine, run_worker=False)


def _until(condition: Any) -> None:
    deadline_s = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < deadline_s
        time.sleep(0.02)


def _waits(wire: socket.socket) -> bool:
    return not select([wire], [], [], 0.5)[0]


def test_a_message_event_contains_the_message(shop: Shop) -> None:
    before = last_position(shop)
    thread_id = shop.send()
    (message,) = shop.messages(thread_id)
    page = read_feed(shop, after=before)
    assert page == {
        "events": [
            {
                "position": before + 1,
                "type": "message",
                "createdAt": message["created_at_ms"],
                "actor": {"type": "customer", "id": str(shop.customer_of(thread_id))},
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


def test_other_events_contain_their_details(shop: Shop) -> None:
    thread_id = shop.send()
    before = last_position(shop)
    shop.post({"customerThreadId": thread_id, "status": "resolved"}, path="/api/update-thread-status")
    (event,) = read_feed(shop, after=before)["events"]
    assert (event["type"], event["customerThreadId"], event["threadSequence"]) == ("status", thread_id, 1)
    assert (event["messageId"], event["message"]) == (None, None)
    assert event["data"] == {"status": "resolved", "before": "waiting"}


def test_reading_from_the_last_position_returns_each_event_once(shop: Shop) -> None:
    before = position = last_position(shop)
    sent = [shop.send() for _ in range(7)]
    seen: list[dict[str, Any]] = []
    for expected, has_more in ((3, True), (3, True), (1, False), (0, False)):
        page = read_feed(shop, after=position, limit=3)
        assert (len(page["events"]), page["hasMore"]) == (expected, has_more)
        seen += page["events"]
        position = page["lastPosition"]
    assert [event["customerThreadId"] for event in seen] == sent
    assert [event["position"] for event in seen] == list(range(before + 1, before + 8))
    assert position == before + 7


def test_without_a_position_the_feed_starts_at_its_beginning(shop: Shop) -> None:
    first = read_feed(shop, limit=1)
    assert first["events"][0]["position"] == 1
    assert first["events"][0]["type"] == "business-created"
    assert read_feed(shop, after=0, limit=1) == first


def test_only_requested_types_are_returned_and_the_position_moves_past_others(shop: Shop) -> None:
    before = last_position(shop)
    thread_id = shop.send()
    shop.post({"customerThreadId": thread_id, "status": "resolved"}, path="/api/update-thread-status")
    shop.post({"name": "Acme Salem"}, path="/api/businesses")
    for types in ("status,business-created", ["status", "business-created"]):
        page = read_feed(shop, after=before, types=types)
        assert [event["type"] for event in page["events"]] == ["status", "business-created"]
    page = read_feed(shop, after=before, types="customer-erased")
    assert (page["events"], page["lastPosition"], page["hasMore"]) == ([], before + 3, False)
    assert read_feed(shop, after=before, types="message", limit=1)["lastPosition"] == before + 1
    wrong = ask_feed(shop, types="message,birthday")
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
def test_invalid_parameters_are_reported(shop: Shop, query: dict[str, Any], fault: tuple[str, str, str]) -> None:
    assert faults_of(ask_feed(shop, **query)) == {fault}


@pytest.mark.parametrize(
    ("query", "detail"),
    [
        ({"after": "abc"}, "must be a position (the lastPosition of an earlier response) or latest"),
        ({"limit": "many"}, "must be an integer"),
    ],
)
def test_an_unsupported_format_is_reported_with_the_supported_one(
    shop: Shop, query: dict[str, Any], detail: str
) -> None:
    (fault,) = ask_feed(shop, **query).json()["errors"]
    assert fault["detail"] == detail


def test_the_stream_and_the_list_report_an_invalid_position_alike(shop: Shop) -> None:
    headers = {"token": shop.world.token}
    answers = [shop.server.client.get(path, params={"after": "abc"}, headers=headers) for path in (EVENTS, STREAM)]
    assert answers[0].json()["errors"] == answers[1].json()["errors"]


def test_a_rare_type_does_not_scan_the_whole_feed(own_shop: Shop) -> None:
    acme = int(own_shop.world.acme)
    before = last_position(own_shop)
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
        page = read_feed(own_shop, after=position, types="message", waitSeconds=30)
        pages.append(page)
        position = page["lastPosition"]
        if not page["hasMore"]:
            break
    assert [len(page["events"]) for page in pages] == [0, 0, 1]
    assert pages[-1]["events"][0]["customerThreadId"] == thread_id


def test_a_deleted_message_keeps_its_event(shop: Shop) -> None:
    before = last_position(shop)
    thread_id = shop.send()
    shop.database.change("DELETE FROM messages WHERE thread_id = :id", id=int(thread_id))
    (event,) = read_feed(shop, after=before)["events"]
    assert event["messageId"] is not None
    assert (event["message"]["text"], event["message"]["deleted"]) == ("", True)


@pytest.fixture
def quiet_shop(installation: Installation, people: World) -> Iterator[Shop]:
    """A shop whose events are those of the test alone: nothing is delivered, and no delivery becomes an event."""
    with installation.serving(run_worker=False) as server:
        yield Shop(server, people)


def test_a_reader_behind_retention_is_told_so_and_gets_the_remaining_events(quiet_shop: Shop) -> None:
    before = last_position(quiet_shop)
    for _ in range(4):
        quiet_shop.send()
    gone = "DELETE FROM events WHERE organization_id = :id AND position <= :position"
    quiet_shop.database.change(gone, id=int(quiet_shop.world.acme), position=before + 2)
    late = read_feed(quiet_shop, after=before + 1, waitSeconds=30)
    assert late["truncated"]
    assert [event["position"] for event in late["events"]] == [before + 3, before + 4]
    in_time = read_feed(quiet_shop, after=before + 2)
    assert (in_time["truncated"], len(in_time["events"])) == (False, 2)
    assert not read_feed(quiet_shop)["truncated"]  # the oldest that is kept was asked for
    quiet_shop.database.change(gone, id=int(quiet_shop.world.acme), position=before + 4)
    empty = read_feed(quiet_shop, after=before + 3, waitSeconds=30)
    assert (empty["truncated"], empty["events"], empty["lastPosition"]) == (True, [], before + 4)
    assert not read_feed(quiet_shop, after=before + 4)["truncated"]


@pytest.mark.parametrize("types", [None, "message"])
def test_gaps_in_the_middle_of_the_feed_are_reported_too(quiet_shop: Shop, types: str | None) -> None:
    before = last_position(quiet_shop)
    for _ in range(6):
        quiet_shop.send()
    gone = "DELETE FROM events WHERE organization_id = :id AND position IN (:one, :other)"
    quiet_shop.database.change(gone, id=int(quiet_shop.world.acme), one=before + 3, other=before + 4)
    asked = {"limit": 2} | ({"types": types} if types else {})
    pages = [read_feed(quiet_shop, after=before + passed, **asked) for passed in (0, 2, 5)]
    assert [page["truncated"] for page in pages] == [False, True, False]
    assert [event["position"] - before for page in pages for event in page["events"]] == [1, 2, 5, 6, 6]


def test_a_position_ahead_of_the_feed_is_refused(shop: Shop) -> None:
    newest = last_position(shop)
    for after in (newest + 1, 9_999_999_999_999_999):
        page = read_feed(shop, after=after, waitSeconds=30)
        assert (page["truncated"], page["events"], page["lastPosition"]) == (True, [], newest)


def test_each_organization_has_its_own_feed(shop: Shop) -> None:
    acmes, globexs = last_position(shop), last_position(shop, token=shop.world.globex_token)
    thread_id = shop.send(token=shop.world.globex_token, businessId=shop.world.london)
    assert last_position(shop) == acmes
    (event,) = read_feed(shop, token=shop.world.globex_token, after=globexs)["events"]
    assert (event["position"], event["customerThreadId"]) == (globexs + 1, thread_id)


def test_a_long_poll_returns_as_soon_as_an_event_occurs(shop: Shop) -> None:
    with waiting_request(shop, after=last_position(shop)) as wire:
        assert _waits(wire)
        thread_id = shop.send()
        assert [event["customerThreadId"] for event in response_page(wire)["events"]] == [thread_id]


def test_a_long_poll_for_a_type_ignores_other_types(shop: Shop) -> None:
    thread_id = shop.send()
    before = last_position(shop)
    with waiting_request(shop, after=before, types="status") as wire:
        shop.send()
        assert _waits(wire)
        shop.post({"customerThreadId": thread_id, "status": "resolved"}, path="/api/update-thread-status")
        assert [(event["type"], event["position"]) for event in response_page(wire)["events"]] == [
            ("status", before + 2)
        ]


def test_a_long_poll_without_events_returns_at_its_timeout(shop: Shop) -> None:
    before = last_position(shop)
    began_s = time.monotonic()
    page = read_feed(shop, after=before, waitSeconds=1)
    assert 0.9 <= time.monotonic() - began_s < 1 + SOON_S
    assert page == {"events": [], "lastPosition": before, "hasMore": False, "truncated": False}


def test_a_long_poll_returns_when_another_process_writes(shop: Shop) -> None:
    with waiting_request(shop, after=last_position(shop)) as wire:
        assert _waits(wire)
        made = shop.server.installation.cli("business", "create", "--organization", shop.world.acme, "Acme Salem")
        assert [event["businessId"] for event in response_page(wire)["events"]] == [made["id"]]


def _fill(shop: Shop, stack: ExitStack, after: int, token: str = "") -> list[socket.socket]:
    """Let as many requests wait as may, and return their sockets."""
    wires = [stack.enter_context(waiting_request(shop, after=after, token=token)) for _ in range(WAITING_PER_TOKEN + 4)]
    _until(lambda: len(select(wires, [], [], 0)[0]) >= 4)
    refused = select(wires, [], [], 0)[0]
    assert [wire.recv(65_536)[:13] for wire in refused] == [b"HTTP/1.1 429 "] * 4
    return [wire for wire in wires if wire not in refused]


def test_long_polls_per_token_are_limited(shop: Shop) -> None:
    before = last_position(shop)
    with ExitStack() as stack:
        wires = _fill(shop, stack, before)
        refused = ask_feed(shop, after=before, waitSeconds=30)
        assert refused.status_code == 429
        assert refused.json()["developerMessage"] == "Rate limit 'waiting requests' exceeded"
        assert refused.headers["retry-after"] == "1"
        assert read_feed(shop, after=before)["events"] == []  # who does not wait takes no place
        assert ask_feed(shop, after=before, waitSeconds=1, token=shop.world.second_token).status_code == 200
        thread_id = shop.send()
        for wire in wires:
            assert [event["customerThreadId"] for event in response_page(wire)["events"]] == [thread_id]
    assert read_feed(shop, after=last_position(shop), waitSeconds=1)["events"] == []


def test_a_disconnected_client_frees_its_long_poll(shop: Shop) -> None:
    before = last_position(shop)
    for _ in range(3):
        with ExitStack() as stack:
            _fill(shop, stack, before)
        _until(lambda: ask_feed(shop, after=before, waitSeconds=1).status_code == 200)


@pytest.mark.parametrize("engine", ["postgresql"], indirect=True)
def test_a_long_poll_holds_no_database_connection(shop: Shop) -> None:
    before = last_position(shop)
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
