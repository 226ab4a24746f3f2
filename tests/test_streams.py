"""Live streams of programs: what happens, as it happens, with no gap."""

import os
import signal
import time
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import httpx2
import pytest

from harness.installation import Installation
from harness.shop import HELLO, Shop
from harness.streams import PROGRAMS_STREAM as STREAM
from harness.streams import SOON_S, Listening, following

STREAMS_PER_TOKEN = 64
FORGETS_AT_ONCE = "import shopbell.http.live.followers as f; f.RECENT_S = 0; from shopbell.cli import main; main()"


@pytest.fixture
def shop(engine: str, shops: Callable[..., Shop]) -> Shop:
    """A server that delivers nothing: what became of another test's reply is an event, too, whenever it comes."""
    return shops(engine, run_worker=False)


def _refused(shop: Shop, *, token: str | None = "", **query: str) -> httpx2.Response:
    headers = {} if token is None else {"token": token or shop.world.token}
    return shop.server.client.get(STREAM, params=query, headers=headers)


def test_a_message_is_streamed_as_the_feed_has_it(shop: Shop) -> None:
    with following(shop) as stream:
        assert stream.until_ready() == []
        thread_id = shop.send()
        told = stream.next("message")
    page = shop.server.client.get(
        "/api/events", params={"after": int(told["id"]) - 1}, headers={"token": shop.world.token}
    ).json()
    assert told["data"] == page["events"][0]
    assert (told["data"]["customerThreadId"], told["data"]["message"]["text"]) == (thread_id, HELLO)


def test_who_comes_again_misses_nothing_and_hears_nothing_twice(shop: Shop) -> None:
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


def test_the_whole_feed_is_the_same_stream_from_its_beginning(shop: Shop) -> None:
    shop.send()
    with following(shop, after="0") as stream:
        all_of_it = stream.until_ready()
    page = shop.server.client.get(
        "/api/events", params={"after": 0, "limit": 200}, headers={"token": shop.world.token}
    ).json()
    assert [event["data"] for event in all_of_it][: len(page["events"])] == page["events"]


def test_nobody_hears_of_another_organization(shop: Shop) -> None:
    with following(shop, token=shop.world.globex_token) as bobs:
        bobs.until_ready()
        of_acme = shop.send()
        assert bobs.is_quiet(thread_id=of_acme)


def test_a_stream_of_one_business_tells_of_no_other(shop: Shop) -> None:
    with following(shop, businessId=shop.world.paris) as stream:
        stream.until_ready()
        shop.send()
        wanted = shop.send(businessId=shop.world.paris)
        assert stream.next("message")["data"]["customerThreadId"] == wanted


@pytest.mark.parametrize(
    ("query", "name"),
    [({"after": "soon"}, "after"), ({"businessId": "x"}, "businessId"), ({"present": "maybe"}, "present")],
)
def test_what_cannot_be_read_is_named(shop: Shop, query: dict[str, str], name: str) -> None:
    answer = _refused(shop, **query)
    assert (answer.status_code, [fault["name"] for fault in answer.json()["errors"]]) == (400, [name])


def test_a_stream_is_refused_as_any_other_request(shop: Shop) -> None:
    assert _refused(shop, token=None).status_code == 401
    assert _refused(shop, token=shop.world.revoked_token).status_code == 401
    assert _refused(shop, businessId=shop.world.london).status_code == 404
    posted = shop.server.client.post(STREAM, headers={"token": shop.world.token})
    assert (posted.status_code, posted.headers["allow"]) == (405, "GET")


def test_a_cursor_of_another_feed_is_told_to_begin_anew(shop: Shop) -> None:
    with following(shop, last_event_id="999999999") as stream:
        resync = stream.next("resync")
        stream.until_ready()
        shop.send()
        assert int(stream.next("message")["id"]) > int(resync["id"])


def test_a_revoked_token_hears_nothing_more(shop: Shop) -> None:
    spare = shop.spare_token()
    with following(shop, token=spare["token"]) as stream:
        stream.until_ready()
        shop.server.installation.cli("token", "revoke", spare["id"])
        time.sleep(1)  # within which a revocation counts
        shop.send()
        assert stream.ends()


def test_no_token_holds_more_streams_than_it_may(shop: Shop) -> None:
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


def test_typing_reaches_who_follows_and_is_kept_nowhere(shop: Shop) -> None:
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


def test_what_an_erased_customer_wrote_is_in_no_stream_that_begins_before_it(shop: Shop) -> None:
    secret = f"a secret of {shop.somebody()}"
    with following(shop) as open_all_the_time:  # what comes meanwhile is in memory, for it and for others
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


def test_what_is_deleted_is_soon_in_no_stream_that_begins_before_it(installation: Installation, people: Any) -> None:
    with replace(installation, server_program=("-c", FORGETS_AT_ONCE)).serving(run_worker=False) as server:
        shop = Shop(server, people)
        with following(shop) as open_all_the_time:
            open_all_the_time.until_ready()
            thread_id = shop.send()
            told = _heard_of(open_all_the_time, thread_id, "message")
            shop.database.change("DELETE FROM messages WHERE thread_id = :id", id=int(thread_id))
            with following(shop, after=str(int(told["id"]) - 1)) as late:
                again = _heard_of(late, thread_id, "message")
    assert (again["data"]["message"]["text"], again["data"]["message"]["deleted"]) == ("", True)


def _heard_of(stream: Listening, thread_id: str, kind: str) -> dict[str, Any]:
    """The next event of a kind that is of this conversation: others use the shop, too."""
    while (event := stream.next(kind))["data"]["customerThreadId"] != thread_id:
        pass
    return event


def test_streams_end_when_the_server_stops(installation: Installation, people: Any) -> None:
    with installation.serving(shutdown_timeout_s=60) as server:
        shop = Shop(server, people)
        with following(shop) as stream:
            stream.until_ready()
            began_s = time.monotonic()
            os.kill(server.pid, signal.SIGTERM)
            assert stream.ends()
            assert time.monotonic() - began_s < SOON_S
