"""Live streams for programs have no gaps."""

import time
from collections.abc import Callable
from typing import Any

import httpx2
import pytest

from harness.employees import hire
from harness.shop import HELLO, Shop
from harness.streams import PROGRAMS_STREAM as STREAM
from harness.streams import Listening, following, listening_to
from harness.waiting import wait_until
from shopbell.http.streams import heartbeats

STREAMS_PER_TOKEN = 64


@pytest.fixture
def shop(engine: str, shops: Callable[..., Shop]) -> Shop:
    """A server that delivers nothing: what became of another test's reply is an event, too, whenever it comes."""
    return shops(engine, run_worker=False)


def _refused(shop: Shop, *, token: str | None = "", **query: str) -> httpx2.Response:
    headers = {} if token is None else {"token": token or shop.world.token}
    return shop.server.client.get(STREAM, params=query, headers=headers)


def test_a_streamed_message_equals_its_feed_event(shop: Shop) -> None:
    with following(shop) as stream:
        assert stream.until_ready() == []
        thread_id = shop.send()
        told = stream.next("message")
    page = shop.server.client.get(
        "/api/events", params={"after": int(told["id"]) - 1}, headers={"token": shop.world.token}
    ).json()
    assert told["data"] == page["events"][0]
    assert (told["data"]["customerThreadId"], told["data"]["message"]["text"]) == (thread_id, HELLO)


def test_a_reconnect_neither_misses_nor_repeats_events(shop: Shop) -> None:
    with following(shop) as stream:
        stream.until_ready()
        shop.send()
        last = stream.next("message")["id"]
    sent = [shop.send() for _ in range(5)]
    with following(shop, last_event_id=last, after="0") as stream:
        missed = stream.until_ready()
        sent.append(shop.send())
        missed.append(stream.next("message"))
    positions = [int(event["id"]) for event in missed]
    assert [event["data"]["customerThreadId"] for event in missed if event["event"] == "message"] == sent
    assert positions == list(range(int(last) + 1, int(last) + 1 + len(positions)))


def test_the_stream_can_replay_the_feed_from_its_beginning(shop: Shop) -> None:
    shop.send()
    with following(shop, after="0") as stream:
        all_of_it = stream.until_ready()
    page = shop.server.client.get(
        "/api/events", params={"after": 0, "limit": 200}, headers={"token": shop.world.token}
    ).json()
    assert [event["data"] for event in all_of_it][: len(page["events"])] == page["events"]


def test_events_of_other_organizations_are_not_streamed(shop: Shop) -> None:
    with following(shop, token=shop.world.globex_token) as bobs:
        bobs.until_ready()
        of_acme = shop.send()
        assert bobs.is_quiet(thread_id=of_acme)


def test_a_stream_of_one_business_has_no_events_of_another(shop: Shop) -> None:
    with following(shop, businessId=shop.world.paris) as stream:
        stream.until_ready()
        shop.send()
        wanted = shop.send(businessId=shop.world.paris)
        assert stream.next("message")["data"]["customerThreadId"] == wanted


@pytest.mark.parametrize(
    ("query", "name"),
    [({"after": "soon"}, "after"), ({"businessId": "x"}, "businessId"), ({"present": "maybe"}, "present")],
)
def test_an_invalid_parameter_is_named(shop: Shop, query: dict[str, str], name: str) -> None:
    answer = _refused(shop, **query)
    assert (answer.status_code, [fault["name"] for fault in answer.json()["errors"]]) == (400, [name])


def test_a_stream_is_refused_like_any_other_request(shop: Shop) -> None:
    assert _refused(shop, token=None).status_code == 401
    assert _refused(shop, token=shop.world.revoked_token).status_code == 401
    assert _refused(shop, businessId=shop.world.london).status_code == 404
    posted = shop.server.client.post(STREAM, headers={"token": shop.world.token})
    assert (posted.status_code, posted.headers["allow"]) == (405, "GET")


def test_a_cursor_of_another_feed_is_told_to_restart(shop: Shop) -> None:
    with following(shop, last_event_id="999999999") as stream:
        resync = stream.next("resync")
        stream.until_ready()
        shop.send()
        assert int(stream.next("message")["id"]) > int(resync["id"])


def test_revoking_a_token_ends_its_streams(shop: Shop) -> None:
    spare = shop.spare_token()
    with following(shop, token=spare["token"]) as stream:
        stream.until_ready()
        shop.server.installation.cli("token", "revoke", spare["id"])
        time.sleep(1)  # within which a revocation counts
        shop.send()
        assert stream.ends()


def test_a_token_has_a_maximum_number_of_streams(shop: Shop) -> None:
    token = shop.spare_token()["token"]
    headers = {"token": token}
    with httpx2.Client(base_url=shop.server.client.base_url, timeout=60) as client:
        opened = []
        try:
            for _ in range(STREAMS_PER_TOKEN):
                answer = client.send(client.build_request("GET", STREAM, headers=headers), stream=True)
                opened.append(answer)
                assert answer.status_code == 200
            refused = _refused(shop, token=token)
            assert (refused.status_code, "Retry-After" in refused.headers) == (429, True)
            with following(shop) as alices:  # another token's is open at once
                alices.until_ready()
        finally:
            for answer in opened:
                answer.close()


def test_heartbeats_are_events_for_employees_only(shops: Callable[..., Shop], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(heartbeats, "HEARTBEAT_S", 1)
    shop = shops("sqlite", run_worker=False)
    with following(shop) as programs, listening_to(shop, STREAM, {"Cookie": hire(shop).browser.cookie}) as employees:
        programs.until_ready()
        employees.until_ready()
        assert employees.next("beat") == {"event": "beat", "data": {}}
        wait_until(lambda: programs.beats > 0, lambda: "there was no heartbeat")
        assert not programs.so_far()


def test_typing_is_streamed_and_not_stored(shop: Shop) -> None:
    thread_id = shop.send()
    with following(shop) as stream:
        stream.until_ready()
        typed = shop.post({"customerThreadId": thread_id}, path="/api/update-typing")
        assert typed.status_code == 200
        told = stream.next("typing")
    assert told["data"] == {
        "customerThreadId": thread_id,
        "businessId": shop.world.boston,
        "from": "store",
        "employeeName": None,
    }
    assert "id" not in told


def test_an_erased_customers_messages_are_not_streamed_from_earlier_positions(shop: Shop) -> None:
    secret = f"a secret of {shop.somebody()}"
    with following(shop) as open_all_the_time:  # new events are in memory, for it and for others
        open_all_the_time.until_ready()
        thread_id = shop.send(message=secret)
        told = _heard_of(open_all_the_time, thread_id, "message")
        assert told["data"]["message"]["text"] == secret
        assert shop.post({}, path=f"/api/customers/{shop.customer_of(thread_id)}/erase").status_code == 200
        while open_all_the_time.next("customer-erased")["data"]["customerId"] != str(shop.customer_of(thread_id)):
            pass
        with following(shop, after=str(int(told["id"]) - 1)) as late:
            again = _heard_of(late, thread_id, "message")
    assert (again["id"], again["data"]["message"]["text"]) == (told["id"], "")


def _heard_of(stream: Listening, thread_id: str, kind: str) -> dict[str, Any]:
    """The next event of a kind that is of this conversation: others use the shop, too."""
    while (event := stream.next(kind))["data"]["customerThreadId"] != thread_id:
        pass
    return event
