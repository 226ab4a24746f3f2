"""Live streams of customers are complete and contain only their own events."""

import random
import socket
import threading
import time
import uuid
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

import httpx2
import pytest

from harness.shop import Shop
from harness.streams import (
    CUSTOMER_STREAM,
    NOTE,
    REPLY,
    SOON_S,
    deaf,
    following,
    places,
    post,
    reply,
    somebody,
    until,
    visible,
    watching,
)
from harness.visitors import Browser, Site, acmes_site, globexs_site
from harness.waiting import wait_until
from harness.world import GLOBEX_CANARY

STREAMS_PER_SESSION = 8
COMES_AGAIN = 50


@pytest.fixture
def site(shop: Shop) -> Site:
    """Acme's website."""
    return acmes_site(shop)


def test_first_load_live_updates_and_reconnects_agree(site: Site) -> None:
    carol, thread_id = somebody(site)
    with watching(carol) as live:
        heard = live.until_ready()
        reply(site.shop, thread_id)
        carol.say("Thank you.")
        heard += [live.next("message"), live.next("message")]
    with watching(carol) as later, watching(carol, after=1) as again:
        assert later.until_ready() == heard
        assert again.until_ready() == heard[1:]
    read = carol.get("messages").json()["messages"]
    assert [event["data"] for event in heard] == read
    assert places(heard) == [message["sequence"] for message in read] == [1, 2, 3]


def test_the_ready_event_describes_the_conversation(site: Site) -> None:
    carol, thread_id = somebody(site)
    with watching(carol) as stream:
        assert stream.next("ready")["data"] == {
            "customerThreadId": thread_id,
            "status": "waiting",
            "lastSequence": 1,
            "readByStoreSequence": 0,
            "readByCustomerSequence": 0,
        }


def test_the_ready_event_does_not_reveal_how_many_notes_follow_the_last_message(site: Site) -> None:
    carol, thread_id = somebody(site)
    reply(site.shop, thread_id)
    for _ in range(3):
        reply(site.shop, thread_id, NOTE, internal=True)
    for after in (0, 1, 2):
        with watching(carol, after=after) as stream:
            assert stream.next("ready")["data"]["lastSequence"] == 2


@contextmanager
def _busy(shop: Shop, thread_id: str, carol: Browser) -> Iterator[None]:
    """The store answers, with notes in between, and the customer writes, while the block runs."""
    ended, failed = threading.Event(), []

    def store() -> None:
        client = httpx2.Client(base_url=shop.server.url, timeout=30, trust_env=False, verify=False)
        with client:
            number = 0
            while not ended.wait(0.02):
                number += 1
                said = {"text": NOTE, "internal": True} if number % 3 == 0 else {"text": f"answer {number}"}
                body = {"customerThreadId": thread_id, **said}
                answer = client.post(REPLY, json=body, headers={"token": shop.world.token})
                failed.extend([answer.text] if answer.status_code != 200 else [])

    def customer() -> None:
        client = httpx2.Client(base_url=shop.server.url, timeout=30, trust_env=False, verify=False)
        with client:
            while not ended.wait(0.05):
                body = {"text": "and then?", "clientMessageId": str(uuid.uuid4())}
                answer = client.post("/api/customer/messages", json=body, headers=carol.headers)
                failed.extend([answer.text] if answer.status_code != 200 else [])

    threads = [threading.Thread(target=work) for work in (store, customer)]
    for thread in threads:
        thread.start()
    try:
        yield
    finally:
        ended.set()
        for thread in threads:
            thread.join()
    assert not failed


def test_fifty_reconnects_during_concurrent_writes_neither_miss_nor_repeat_an_event(site: Site) -> None:
    carol, thread_id = somebody(site)
    moments, heard, comes = random.Random(4), [], 0
    with _busy(site.shop, thread_id, carol):
        while comes < COMES_AGAIN or len(places(heard)) < COMES_AGAIN:
            comes += 1
            with watching(carol, after=places(heard)[-1] if heard else "") as stream:
                time.sleep(moments.uniform(0, 0.1))
            heard += stream.so_far()
    with watching(carol, after=places(heard)[-1]) as stream:
        heard += stream.until_ready()
    expected = visible(site.shop, thread_id)
    assert places(heard) == expected
    assert len(site.shop.messages(thread_id)) > len(expected)  # there were notes
    assert NOTE not in str(heard)


def test_notes_are_not_streamed(site: Site) -> None:
    carol, thread_id = somebody(site)
    with watching(carol) as stream:
        stream.until_ready()
        reply(site.shop, thread_id, NOTE, internal=True)
        assert stream.is_quiet("message")
        reply(site.shop, thread_id, "for all")
        assert stream.next("message")["data"]["text"] == "for all"


def test_customers_receive_only_events_of_their_own_conversation(site: Site) -> None:
    carol, thread_id = somebody(site)
    dave, daves_thread = somebody(site, "dave's canary")
    stranger, strangers_thread = somebody(globexs_site(site.shop), "the stranger's canary")
    with watching(carol) as carols, watching(dave) as daves, watching(stranger) as strangers:
        for stream in (carols, daves, strangers):
            stream.until_ready()
        dave.say("dave's second canary")
        reply(site.shop, daves_thread, "to dave, a canary")
        body = {"customerThreadId": strangers_thread, "text": f"to the stranger, {GLOBEX_CANARY}"}
        post(site.shop, REPLY, token=site.shop.world.globex_token, **body)
        post(site.shop, "/api/update-typing", customerThreadId=daves_thread)
        post(site.shop, "/api/update-thread-read", customerThreadId=daves_thread, sequence=1)
        assert places([daves.next("message"), daves.next("message")]) == [2, 3]
        assert strangers.next("message")["data"]["text"].endswith(GLOBEX_CANARY)
        reply(site.shop, thread_id, "to carol")
        heard = until(carols, "to carol")
    assert "canary" not in str(heard)
    assert not {"typing", "read"} & {event["event"] for event in heard}


def test_reading_in_one_tab_updates_the_other_tabs(site: Site) -> None:
    carol, thread_id = somebody(site)
    reply(site.shop, thread_id, "to carol")
    with watching(carol) as stream:
        stream.until_ready()
        assert carol.post("read", sequence=2).status_code == 200
        assert stream.next("read")["data"] == {"by": "customer", "sequence": 2}


def test_employee_typing_and_reading_are_streamed_live(site: Site) -> None:
    carol, thread_id = somebody(site)
    with watching(carol) as stream:
        stream.until_ready()
        post(site.shop, "/api/update-typing", customerThreadId=thread_id)
        assert stream.next("typing")["data"] == {"from": "store", "employeeName": None}
        post(site.shop, "/api/update-thread-read", customerThreadId=thread_id, sequence=1)
        assert stream.next("read")["data"] == {"by": "store", "sequence": 1}
        post(site.shop, "/api/update-thread-status", customerThreadId=thread_id, status="resolved")
        assert stream.next("status")["data"] == {"status": "resolved"}
        assert all("id" not in event for event in stream.so_far())


def test_customers_and_programs_each_see_typing_in_their_own_form(site: Site) -> None:
    carol, thread_id = somebody(site)
    with following(site.shop) as programs, watching(carol) as customers:
        programs.until_ready()
        customers.until_ready()
        post(site.shop, "/api/update-typing", customerThreadId=thread_id)
        assert programs.next("typing")["data"]["customerThreadId"] == thread_id
        assert customers.next("typing")["data"] == {"from": "store", "employeeName": None}


def test_the_customer_sees_whether_an_employee_is_online(site: Site) -> None:
    carol, _ = somebody(site)
    with watching(carol) as stream:
        stream.until_ready()
        with following(site.shop, present="true") as first:
            first.until_ready()
            assert stream.next("presence")["data"] == {"online": True}
            with following(site.shop, present="true") as second:
                second.until_ready()
            with watching(carol) as later:  # who comes later is told at once
                assert later.next("presence")["data"] == {"online": True}
            assert stream.is_quiet("presence")  # one of two has gone
        assert stream.next("presence")["data"] == {"online": False}


def test_employees_see_the_customer_until_their_last_tab_closes(site: Site) -> None:
    carol, thread_id = somebody(site)
    with following(site.shop) as stores:

        def is_there() -> bool:
            while (event := stores.next("presence"))["data"]["customerThreadId"] != thread_id:
                pass
            return bool(event["data"]["online"])

        stores.until_ready()
        with watching(carol) as first:
            first.until_ready()
            assert is_there()
            with watching(carol) as second:
                second.until_ready()
                assert is_there()
            assert stores.is_quiet("presence", thread_id=thread_id)  # a tab is left
        assert not is_there()


def test_a_survey_appears_when_the_conversation_is_resolved(site: Site) -> None:
    made = post(site.shop, "/api/businesses", name=f"asks {uuid.uuid4().hex}", region="US")
    post(site.shop, f"/api/businesses/{made['id']}/update", survey="nps")
    carol = site.visitor(businessId=made["id"])
    thread_id = carol.say()["customerThreadId"]
    with watching(carol) as stream:
        stream.until_ready()
        reply(site.shop, thread_id)
        post(site.shop, "/api/update-thread-status", customerThreadId=thread_id, status="resolved")
        asked = stream.next("survey")["data"]
        assert asked["kind"] == "nps"
        with watching(carol) as another_tab:
            assert another_tab.next("survey")["data"] == asked
        assert carol.post("survey", surveyId=asked["surveyId"], score=9).status_code == 200
        with watching(carol) as later:
            later.until_ready()
            assert later.is_quiet("survey")


def test_a_cursor_of_another_conversation_restarts_the_stream(site: Site) -> None:
    carol, thread_id = somebody(site)
    reply(site.shop, thread_id)
    with watching(carol, after=999_999) as stream:
        heard = stream.until_ready()
        assert [event["event"] for event in heard] == ["resync", "message", "message"]
        assert (heard[0]["id"], places(heard)) == ("0", [1, 2])
        reply(site.shop, thread_id)
        assert places([stream.next("message")]) == [3]


@pytest.mark.parametrize("cursor", ["-1", "1e3", "x", "9" * 30, "１"])
def test_an_invalid_cursor_is_ignored(site: Site, cursor: str) -> None:
    carol, _ = somebody(site)
    head = f"GET {CUSTOMER_STREAM} HTTP/1.1\r\nHost: a\r\nAuthorization: {carol.headers['authorization']}\r\n"
    with socket.create_connection(("127.0.0.1", site.shop.server.port), timeout=SOON_S) as wire:
        wire.sendall(head.encode() + b"Last-Event-ID: " + cursor.encode() + b"\r\n\r\n")
        got = b""
        while b"event: ready" not in got:
            got += wire.recv(65_536)
    assert b"\nid: 1\nevent: message\n" in got


def test_a_merge_restarts_the_stream_with_the_right_conversation(site: Site) -> None:
    carols, others = site.shop.somebody(), site.shop.somebody()
    site.shop.send(user={"email": carols})
    kept_thread = site.shop.send(user={"email": others}, message="of the one who stays")
    carol = site.visitor(identityToken=site.identity_token(sub=uuid.uuid4().hex, email=carols))
    merged = str(site.shop.customer_of(carol.begun["customerThreadId"]))
    kept = str(site.shop.customer_of(kept_thread))
    with watching(carol) as stream:
        stream.until_ready()
        post(site.shop, f"/api/customers/{kept}/merge", otherCustomerId=merged)
        assert stream.next("resync")["id"] == "0"
        assert stream.ends()
    with watching(carol) as stream:
        (first,) = stream.until_ready()
        assert first["data"]["text"] == "of the one who stays"


def test_the_streams_of_an_ended_session_end_at_once(site: Site) -> None:
    carol, _ = somebody(site)
    with watching(carol) as here, watching(carol) as there:
        here.until_ready()
        there.until_ready()
        assert carol.post("sign-out").status_code == 200
        assert here.ends()  # sooner than a heartbeat would find out
        assert there.ends()
    assert _head(carol).startswith("HTTP/1.1 401")


def test_an_erased_customers_stream_stops(site: Site) -> None:
    carol, thread_id = somebody(site)
    with watching(carol) as stream:
        stream.until_ready()
        post(site.shop, f"/api/customers/{site.shop.customer_of(thread_id)}/erase")
        assert stream.ends()
    carol.wait_until_ended()


def test_a_session_has_a_maximum_number_of_streams(site: Site) -> None:
    carol, _ = somebody(site)
    dave, _ = somebody(site)
    with ExitStack() as stack:
        streams = [stack.enter_context(watching(carol)) for _ in range(STREAMS_PER_SESSION)]
        for stream in streams:
            stream.until_ready()
        refused = _head(carol)
        assert refused.startswith("HTTP/1.1 429")
        assert "\r\nretry-after: " in refused.lower()
        with watching(dave) as daves:
            daves.until_ready()
    wait_until(lambda: _head(carol).startswith("HTTP/1.1 200"), lambda: "no stream may be opened again")


def _head(browser: Browser) -> str:
    """How the answer to a stream's request begins."""
    with deaf(browser) as wire:
        return wire.recv(4_096).decode()


def test_a_visitor_without_messages_has_no_stream(site: Site) -> None:
    assert _head(site.visitor()).startswith("HTTP/1.1 404")
    assert site.shop.server.client.get(CUSTOMER_STREAM).status_code == 401
