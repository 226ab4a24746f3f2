"""Real workers and real receivers."""

import json
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from harness.failing_receivers import Receiver, Receivers, repeated, wait_for
from harness.installation import Installation
from harness.shop import Shop
from harness.workers import WorkerProcess
from harness.world import World
from shopbell_client import verify_webhook
from shopbell_client.signatures import MessageEvent

PATIENCE_S = 60
SETTINGS = {
    "outbound_allow": "127.0.0.0/8",
    "delivery_schedule_s": "0,0.2,0.2,0.2,0.2",
    "delivery_timeout_s": 2,
    "delivery_lease_s": 4,
    "poll_interval_s": 0.5,
    "log_level": "debug",
}


@pytest.fixture
def receivers(tmp_path: Path) -> Iterator[Receivers]:
    """Receivers on loopback."""
    receivers = Receivers(tmp_path)
    yield receivers
    receivers.close()


@pytest.fixture
def shop(installation: Installation, people: World) -> Iterator[Shop]:
    """A server that delivers, for one test alone."""
    with installation.serving(**SETTINGS) as server:
        yield Shop(server, people)


def _hook(shop: Shop, receiver: Receiver, **more: Any) -> dict[str, Any]:
    """A webhook of Acme's that leads to a receiver."""
    made = shop.post({"url": receiver.url, "subscribedEvents": ["messages"]} | more, path="/api/webhooks")
    assert made.status_code == 200, made.text
    hook: dict[str, Any] = made.json()
    return hook


def _deliveries(shop: Shop, state: str) -> int:
    count: int = shop.database.value("SELECT count(*) FROM deliveries WHERE state = :state", state=state)
    return count


def _wait_for(shop: Shop, count: int, state: str = "delivered") -> None:
    wait_for(lambda: _deliveries(shop, state) == count, PATIENCE_S, f"not {count} {state}")


def test_a_message_is_delivered_signed_and_with_the_extra_headers(shop: Shop, receivers: Receivers) -> None:
    receiver = receivers.add()
    header = {"name": "Authorization", "value": "Bearer your-secret"}
    hook = _hook(shop, receiver, extraHeaders=[header])
    thread_id = shop.send(message="Hello ☎")
    _wait_for(shop, 1)
    (request,) = receiver.requests
    event = verify_webhook(request.body, request.headers, hook["secret"])
    assert isinstance(event, MessageEvent)
    assert (event.thread_id, event.text, event.thread_sequence, event.from_customer) == (thread_id, "Hello ☎", 1, True)
    assert request.headers["authorization"] == "Bearer your-secret"
    assert request.headers["content-type"] == "application/json"
    assert request.headers["user-agent"].startswith("Shopbell/")
    assert "accept-encoding" in request.headers


def test_the_payload_matches_the_contract(shop: Shop, receivers: Receivers) -> None:
    envelope, flat = receivers.add(), receivers.add()
    _hook(shop, envelope)
    _hook(shop, flat, payloadVersion="flat")
    thread_id = shop.send()
    _wait_for(shop, 2)
    (message,) = shop.messages(thread_id)
    data = {
        "fromCustomer": True,
        "invisible": False,
        "customerThreadId": int(thread_id),
        "businessId": int(shop.world.boston),
        "organizationId": int(shop.world.acme),
        "customerId": str(shop.customer_of(thread_id)),
        "customerType": "prospect",
        "messageId": message["id"],
        "messageBody": message["body"],
        "messageTimestamp": message["created_at_ms"],
        "messageAttachmentUUID": None,
        "messageAttachmentName": None,
        "messageAttachmentContentType": None,
        "messageAttachmentContentLength": None,
        "employeeUserId": None,
        "messageExternalId": None,
        "threadSequence": 1,
        "muteBot": False,
        "actor": {"type": "customer", "id": shop.customer_of(thread_id)},
    }
    assert json.loads(flat.requests[0].body) == data
    assert json.loads(envelope.requests[0].body) == {
        "eventType": "message",
        "timestamp": message["created_at_ms"],
        "data": data,
    }


def test_a_message_says_whether_its_conversation_is_assigned(shop: Shop, receivers: Receivers) -> None:
    envelope, flat = receivers.add(), receivers.add()
    _hook(shop, envelope)
    _hook(shop, flat, payloadVersion="flat")
    email = shop.somebody()
    thread_id = shop.send(user={"email": email})
    _wait_for(shop, 2)
    employee_id = shop.post({"name": "Alice"}, path="/api/employees").json()["id"]
    steps = (("assign", {"employeeUserId": employee_id}), ("unassign", {}))
    for place, (step, more) in enumerate(steps, start=2):
        answer = shop.post({"customerThreadId": thread_id, **more}, path=f"/api/{step}-customer-thread")
        assert answer.status_code == 200, answer.text
        assert shop.send(user={"email": email}) == thread_id
        _wait_for(shop, 2 * place)
    assert [json.loads(request.body)["data"]["muteBot"] for request in envelope.requests] == [False, True, False]
    assert [json.loads(request.body)["muteBot"] for request in flat.requests] == [False, True, False]


def test_a_retry_has_the_same_id_and_body_and_a_new_signature(
    installation: Installation, people: World, receivers: Receivers
) -> None:
    receiver = receivers.add(share=1.0, ways=("server_error",))
    often = {"delivery_schedule_s": ",".join(["0", *["0.2"] * 300])}  # not given up before it succeeds
    with installation.serving(**SETTINGS | often) as server:
        shop = Shop(server, people)
        hook = _hook(shop, receiver)
        shop.send()
        wait_for(lambda: len(receiver.requests) >= 2, PATIENCE_S, "not tried again")
        receiver.share = 0
        _wait_for(shop, 1)
        wait_for(lambda: shop.count("delivery_attempts") == len(receiver.requests), PATIENCE_S, "attempts are lacking")
    assert len({(request.id, request.body) for request in receiver.requests}) == 1
    for request in receiver.requests:
        verify_webhook(request.body, request.headers, hook["secret"])
    rows = shop.database.rows("SELECT number, status, error, answer FROM delivery_attempts ORDER BY number")
    assert rows[0] == {"number": 1, "status": 500, "error": None, "answer": "oops"}


def test_after_the_last_attempt_a_delivery_is_given_up_and_logged(shop: Shop, receivers: Receivers) -> None:
    receiver = receivers.add()
    receivers.refuse(receiver)
    _hook(shop, receiver)
    shop.send()
    _wait_for(shop, 1, "exhausted")
    assert [row["error"] for row in shop.database.rows("SELECT error FROM delivery_attempts")] == [
        "connect_refused"
    ] * 5
    assert receiver.url not in shop.server.log


def test_a_private_address_is_not_contacted_unless_allowed(
    installation: Installation, people: World, receivers: Receivers
) -> None:
    receiver = receivers.add()
    with installation.serving(**SETTINGS) as server:
        _hook(Shop(server, people), receiver)
    with installation.serving(**SETTINGS | {"outbound_allow": ""}) as server:
        shop = Shop(server, people)
        shop.send()
        _wait_for(shop, 1, "exhausted")
    assert receiver.requests == []


def test_a_hanging_endpoint_delays_no_other(installation: Installation, people: World, receivers: Receivers) -> None:
    hanging, healthy = receivers.add(share=1.0, ways=("hang",)), receivers.add()
    # Attempts that hang last longer than all others together, however slow the disk is.
    long = {"delivery_timeout_s": 2 * PATIENCE_S, "delivery_lease_s": 3 * PATIENCE_S, "shutdown_timeout_s": 1}
    with installation.serving(**SETTINGS | long) as server:
        shop = Shop(server, people)
        _hook(shop, hanging)
        _hook(shop, healthy)
        for _ in range(60):
            shop.send()
        wait_for(lambda: len(healthy.requests) == 60, PATIENCE_S, "the healthy receiver has not got everything")
        assert len(hanging.requests) < 60


def test_deliveries_in_progress_are_finished_before_shutdown_and_sent_once(
    installation: Installation, people: World, receivers: Receivers
) -> None:
    receiver = receivers.add(delay_s=0.7)
    with installation.serving(**SETTINGS | {"delivery_timeout_s": 20, "delivery_lease_s": 40}) as server:
        shop = Shop(server, people)
        _hook(shop, receiver)
        for _ in range(3):
            shop.send()
        wait_for(lambda: len(receiver.requests) == 3, PATIENCE_S, "nothing is under way")
        assert server.terminate() == 0
    assert _deliveries(shop, "delivered") == 3
    assert repeated(receiver.requests) == 0


def test_a_separate_worker_delivers_what_the_server_only_queues(
    installation: Installation, people: World, receivers: Receivers
) -> None:
    receiver = receivers.add()
    with installation.serving(**SETTINGS | {"run_worker": False}) as server:
        shop = Shop(server, people)
        _hook(shop, receiver)
        shop.send()
        worker = WorkerProcess(installation, **SETTINGS)
        try:
            _wait_for(shop, 1)
            shop.send()
            _wait_for(shop, 2)
            assert worker.terminate() == 0
        finally:
            worker.stop()
        shop.send()
        began_s = time.monotonic()
        second = WorkerProcess(installation, 2, **SETTINGS)
        try:
            _wait_for(shop, 3)
        finally:
            second.stop()
        assert receiver.requests[-1].at_s > began_s, "another worker delivered it"


def test_a_dead_workers_delivery_is_taken_over_when_the_lease_ends(
    installation: Installation, people: World, receivers: Receivers
) -> None:
    receiver = receivers.add(delay_s=PATIENCE_S)  # none is answered before its worker is dead
    # The worker is dead before its attempt times out, however busy the machine is.
    settings = SETTINGS | {"delivery_timeout_s": 9, "delivery_lease_s": 10}
    with installation.serving(**settings | {"run_worker": False}) as server:
        shop = Shop(server, people)
        _hook(shop, receiver)
        shop.send()
        first, second = WorkerProcess(installation, 1, **settings), None
        try:
            wait_for(lambda: len(receiver.requests) == 1, PATIENCE_S, "nothing is under way")
            first.kill()
            receiver.delay_s = 0
            second = WorkerProcess(installation, 2, **settings)
            _wait_for(shop, 1)
        finally:
            for worker in (first, second):
                if worker is not None:
                    worker.stop()
    one, other = receiver.requests
    assert (one.id, one.body) == (other.id, other.body)
    assert other.at_s - one.at_s > 2


def test_a_webhook_created_at_run_time_is_served_within_seconds(shop: Shop, receivers: Receivers) -> None:
    receiver = receivers.add()
    shop.send()
    _hook(shop, receiver)
    shop.send()
    _wait_for(shop, 1)


def test_deliveries_are_counted_for_prometheus(shop: Shop, receivers: Receivers) -> None:
    _hook(shop, receivers.add())
    shop.send()
    _wait_for(shop, 1)

    def shown() -> bool:
        metrics = shop.server.client.get("/metrics").text
        delivered = 'shopbell_delivery_attempts_total{outcome="delivered"} 1.0' in metrics
        return delivered and "shopbell_delivery_waiting_seconds 0.0" in metrics

    wait_for(shown, PATIENCE_S, "the server does not show the metrics of its worker process")
