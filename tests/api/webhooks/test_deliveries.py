"""The delivery log, resending and test events in the API."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import httpx2
import pytest

from harness.shop import Shop, faults_of
from shopbell.events.record import KINDS

HOOKS = "/api/webhooks"
FAR_MS = 9_999_999_999_999


@dataclass
class Log:
    """A webhook of Acme's, without a worker: the tests do its work."""

    shop: Shop
    webhook_id: str

    def get(self, path: str = "", token: str = "", **query: Any) -> httpx2.Response:
        headers = {"token": token or self.shop.world.token}
        path = f"{HOOKS}/{self.webhook_id}/deliveries{path}"
        return self.shop.server.client.get(path, headers=headers, params=query)

    def listed(self, **query: Any) -> list[dict[str, Any]]:
        answer = self.get(**query)
        assert answer.status_code == 200, answer.text
        listed: list[dict[str, Any]] = answer.json()["deliveries"]
        return listed

    def positions(self, **query: Any) -> list[int]:
        return [int(delivery["id"]) for delivery in self.listed(**query)]

    def post(self, path: str, body: object = None, token: str = "") -> httpx2.Response:
        return self.shop.post(body or {}, path=f"{HOOKS}/{self.webhook_id}/{path}", token=token)

    def replayed(self, **body: Any) -> int:
        answer = self.post("deliveries/replay", {"since": 0} | body)
        assert answer.status_code == 200, answer.text
        assert answer.json() == {"result": "ok", "replayed": answer.json()["replayed"], "more": False}
        count: int = answer.json()["replayed"]
        return count

    def replay(self, position: int) -> None:
        answer = self.post(f"deliveries/{position}/replay")
        assert (answer.status_code, answer.json()) == (200, {"result": "ok"})

    def said(self, count: int) -> tuple[str, list[int]]:
        """Send messages of a new customer; returns the thread and the events' positions."""
        user = {"email": self.shop.somebody()}
        for _ in range(count):
            thread_id = self.shop.send(user=user)
        sql = "SELECT position FROM events WHERE thread_id = :id ORDER BY position"
        return thread_id, [row["position"] for row in self.shop.database.rows(sql, id=int(thread_id))]

    def settled(self, position: int, state: str, *, at_ms: int = 2_000, attempts: int = 1) -> None:
        """As the worker leaves a delivery, its queue moved on."""
        change = self.shop.database.change
        change(
            "UPDATE deliveries SET state = :state, attempts = :attempts, step = :attempts, settled_at_ms = :at, "
            "first_attempt_at_ms = :at, body = 'the body' WHERE webhook_id = :webhook AND position = :position",
            state=state,
            attempts=attempts,
            at=at_ms,
            webhook=self.webhook_id,
            position=position,
        )
        for number in range(1, attempts + 1):
            self.attempted(position, number, 200 if state == "delivered" else 503)
        change("DELETE FROM delivery_queues")
        change(
            "INSERT INTO delivery_queues (organization_id, webhook_id, thread_id, background, position, due_at_ms) "
            "SELECT organization_id, webhook_id, thread_id, 0, min(position), :due FROM deliveries "
            "WHERE state = 'waiting' GROUP BY organization_id, webhook_id, thread_id",
            due=FAR_MS,
        )

    def attempted(self, position: int, number: int, status: int | None, error: str | None = None) -> None:
        self.shop.database.change(
            "INSERT INTO delivery_attempts (organization_id, webhook_id, position, number, at_ms, duration_ms, status, "
            "error, answer) VALUES (:organization, :webhook, :position, :number, :at, 12, :status, :error, :answer)",
            organization=int(self.shop.world.acme),
            webhook=int(self.webhook_id),
            position=position,
            number=number,
            at=1_000 + number,
            status=status,
            error=error,
            answer=f"answer {number}" if status else None,
        )

    def queues(self, thread_id: str) -> list[tuple[int, int]]:
        """(background, position) of a thread's queues."""
        sql = "SELECT background, position FROM delivery_queues WHERE thread_id = :id ORDER BY background"
        return [(row["background"], row["position"]) for row in self.shop.database.rows(sql, id=int(thread_id))]

    def rows(self, thread_id: str) -> list[dict[str, Any]]:
        sql = "SELECT * FROM deliveries WHERE thread_id = :id ORDER BY position"
        return self.shop.database.rows(sql, id=int(thread_id))


@pytest.fixture
def log(engine: str, shops: Callable[..., Shop]) -> Iterator[Log]:
    shop = shops(engine, run_worker=False)
    body = {"url": "https://receiver.example/", "subscribedEvents": ["messages"]}
    yield Log(shop, shop.post(body, path=HOOKS).json()["id"])
    for table in ("webhook_subscriptions", "delivery_queues", "deliveries", "delivery_attempts", "webhooks"):
        shop.database.change(f"DELETE FROM {table}")


def test_deliveries_are_listed_with_their_results(log: Log) -> None:
    thread_id, (first, second) = log.said(2)
    log.settled(first, "delivered", attempts=2)
    waiting, delivered = log.listed()
    messages = log.shop.messages(thread_id)
    assert delivered == {
        "id": str(first),
        "eventType": "message",
        "customerThreadId": thread_id,
        "threadSequence": 1,
        "messageId": str(messages[0]["id"]),
        "state": "delivered",
        "attempts": 2,
        "createdAt": messages[0]["created_at_ms"],
        "nextAttemptAt": None,
        "settledAt": 2_000,
        "lastAttempt": {"number": 2, "at": 1_002, "durationMs": 12, "status": 200, "error": None},
    }
    assert (waiting["id"], waiting["state"], waiting["attempts"]) == (str(second), "waiting", 0)
    assert (waiting["nextAttemptAt"], waiting["settledAt"], waiting["lastAttempt"]) == (FAR_MS, None, None)


def test_a_delivery_waiting_behind_another_has_no_due_time(log: Log) -> None:
    log.said(2)
    behind, first = log.listed()
    assert behind["nextAttemptAt"] is None
    assert isinstance(first["nextAttemptAt"], int)


def test_a_delivery_shows_all_its_attempts(log: Log) -> None:
    _, (position,) = log.said(1)
    log.settled(position, "exhausted", attempts=1)
    log.attempted(position, 2, None, "timeout")
    answer = log.get(f"/{position}")
    assert answer.status_code == 200
    read = answer.json()
    attempts = read.pop("attemptLog")
    assert read == log.listed()[0]
    assert attempts == [
        {"number": 1, "at": 1_001, "durationMs": 12, "status": 503, "error": None, "answer": "answer 1"},
        {"number": 2, "at": 1_002, "durationMs": 12, "status": None, "error": "timeout", "answer": None},
    ]
    assert read["lastAttempt"]["error"] == "timeout"


def test_the_list_can_be_filtered(log: Log) -> None:
    thread_id, (first, second) = log.said(2)
    _, (third,) = log.said(1)
    log.settled(first, "exhausted")
    log.settled(second, "skipped")
    assert log.positions(state="exhausted") == [first]
    assert log.positions(state="waiting") == [third]
    assert log.positions(customerThreadId=thread_id) == [second, first]
    assert log.positions(customerThreadId=thread_id, state="skipped") == [second]
    assert log.positions(eventType="message") == [third, second, first]
    assert log.positions(eventType="transfer") == []
    since = log.shop.database.value("SELECT created_at_ms FROM deliveries WHERE position = :p", p=third)
    log.shop.database.change("UPDATE deliveries SET created_at_ms = 5 WHERE position < :p", p=third)
    assert log.positions(since=since) == [third]
    assert log.positions(since=5) == [third, second, first]


def test_pages_stay_stable_while_deliveries_are_added(log: Log) -> None:
    _, expected = log.said(5)
    seen: list[int] = []
    cursor = None
    for _ in range(3):
        answer = log.get(limit=2, **({"cursor": cursor} if cursor else {})).json()
        seen += [int(delivery["id"]) for delivery in answer["deliveries"]]
        cursor = answer["nextCursor"]
        log.said(1)
    assert seen == expected[::-1]
    assert cursor is None


def test_invalid_filters_are_reported(log: Log) -> None:
    answer = log.get(limit=0, state="lost", since=-1, customerThreadId="x", eventType="party")
    assert faults_of(answer) == {
        ("query", "limit", "invalid_value"),
        ("query", "state", "invalid_value"),
        ("query", "since", "invalid_value"),
        ("query", "customerThreadId", "invalid_format"),
        ("query", "eventType", "invalid_value"),
    }
    assert faults_of(log.get(cursor="x")) == {("query", "cursor", "invalid_format")}
    assert faults_of(log.post("deliveries/replay", {"state": "waiting", "until": "now"})) == {
        ("body", "#/since", "required"),
        ("body", "#/state", "invalid_value"),
        ("body", "#/until", "type"),
    }


@pytest.mark.parametrize("state", ["delivered", "exhausted", "skipped"])
def test_one_delivery_can_be_resent_outside_its_conversation_order(log: Log, state: str) -> None:
    thread_id, (first, second) = log.said(2)
    log.settled(first, state, attempts=3)
    log.replay(first)
    again, _ = log.rows(thread_id)
    assert (again["state"], again["step"], again["attempts"], again["body"]) == ("waiting", 0, 3, "the body")
    assert (again["first_attempt_at_ms"], again["settled_at_ms"]) == (None, None)
    assert log.queues(thread_id) == [(0, second), (first, first)]
    assert log.listed()[1]["nextAttemptAt"] < FAR_MS


def test_resending_a_delivery_with_a_pending_retry_sends_it_now(log: Log) -> None:
    thread_id, (first, _) = log.said(2)
    log.shop.database.change("UPDATE delivery_queues SET due_at_ms = :due", due=FAR_MS)
    log.shop.database.change("UPDATE deliveries SET step = 5")
    log.replay(first)
    assert log.queues(thread_id) == [(0, first)]
    assert log.rows(thread_id)[0]["step"] == 0
    assert log.listed()[1]["nextAttemptAt"] < FAR_MS


def test_a_delivery_in_progress_stays_with_its_worker(log: Log) -> None:
    thread_id, (first,) = log.said(1)
    lease = "UPDATE delivery_queues SET due_at_ms = :due, leased_until_ms = :due"
    log.shop.database.change(lease, due=FAR_MS)
    log.replay(first)
    assert log.queues(thread_id) == [(0, first)]
    assert log.listed()[0]["nextAttemptAt"] == FAR_MS


def test_a_delivery_waiting_behind_another_keeps_its_place(log: Log) -> None:
    thread_id, (first, second) = log.said(2)
    log.replay(second)
    assert log.queues(thread_id) == [(0, first)]


def test_all_failed_deliveries_are_resent_in_conversation_order(log: Log) -> None:
    one, (first, second, third) = log.said(3)
    other, (fourth,) = log.said(1)
    log.settled(first, "exhausted")
    log.settled(second, "exhausted")
    log.settled(fourth, "exhausted")
    assert log.replayed() == 3
    assert log.queues(one) == [(0, first)]
    assert log.queues(other) == [(0, fourth)]
    assert [row["state"] for row in log.rows(one)] == ["waiting"] * 3
    assert {delivery["nextAttemptAt"] for delivery in log.listed() if delivery["id"] == str(third)} == {None}
    assert log.replayed() == 0


def test_deliveries_ahead_of_resent_ones_stay_ahead(log: Log) -> None:
    thread_id, (first, second) = log.said(2)
    log.settled(second, "exhausted")
    assert log.replayed() == 1
    assert log.queues(thread_id) == [(0, first)]


def test_a_resend_does_not_take_deliveries_in_progress(log: Log) -> None:
    thread_id, (first, second) = log.said(2)
    log.settled(first, "exhausted")
    lease = "UPDATE delivery_queues SET due_at_ms = :due, leased_until_ms = :due"
    log.shop.database.change(lease, due=FAR_MS)
    assert log.replayed() == 1
    assert log.queues(thread_id) == [(0, second)]
    assert log.shop.database.value("SELECT leased_until_ms FROM delivery_queues") == FAR_MS


def test_a_resend_is_limited_to_its_state_and_period(log: Log) -> None:
    _, positions = log.said(4)
    for at_ms, (position, state) in enumerate(
        zip(positions, ["exhausted", "delivered", "skipped", "exhausted"], strict=True)
    ):
        log.settled(position, state)
        log.shop.database.change("UPDATE deliveries SET created_at_ms = :at WHERE position = :p", at=at_ms, p=position)
    assert log.replayed(since=4) == 0
    assert log.replayed(since=1, until=3, state="delivered") == 1
    assert log.positions(state="waiting") == [positions[1]]
    assert log.replayed(since=0, until=3) == 1
    assert log.replayed(since=3, until=None) == 1
    assert log.positions(state="waiting") == [positions[3], positions[1], positions[0]]


def test_a_test_event_is_delivered_and_listed_like_other_events(log: Log) -> None:
    answers = [log.post("test") for _ in range(2)]
    assert [answer.status_code for answer in answers] == [200, 200]
    ids = [answer.json()["deliveryId"] for answer in answers]
    assert answers[0].json() == {"result": "ok", "deliveryId": ids[0]}
    newest, oldest = log.listed(eventType="webhook-test")
    assert [oldest["id"], newest["id"]] == ids
    assert (newest["state"], newest["customerThreadId"], newest["threadSequence"]) == ("waiting", None, None)
    assert log.queues("0") == [(int(position), int(position)) for position in ids]
    sql = "SELECT type, details FROM events WHERE position = :p AND organization_id = :o"
    (event,) = log.shop.database.rows(sql, p=int(ids[0]), o=int(log.shop.world.acme))
    assert event == {"type": "webhook-test", "details": f'{{"webhookId": {log.webhook_id}}}'}


@pytest.mark.parametrize("event_type", [type_ for type_, kind in KINDS.items() if kind.topic])
def test_deliveries_of_every_type_are_listed_read_and_filtered(log: Log, event_type: str) -> None:
    _, (position, other) = log.said(2)
    change = "UPDATE events SET type = :type WHERE organization_id = :o AND position = :p"
    acme = int(log.shop.world.acme)
    log.shop.database.change(change, type=event_type, o=acme, p=position)
    log.shop.database.change(change, type="webhook-test", o=acme, p=other)
    assert [each["eventType"] for each in log.listed()] == ["webhook-test", event_type]
    assert log.get(f"/{position}").json()["eventType"] == event_type
    assert log.positions(eventType=event_type) == [position]


def test_a_test_event_goes_to_one_webhook_only(log: Log) -> None:
    body = {"url": "https://receiver.example/", "subscribedEvents": ["messages"]}
    other = log.shop.post(body, path=HOOKS).json()["id"]
    log.post("test")
    assert len(log.listed()) == 1
    assert Log(log.shop, other).listed() == []


def test_a_disabled_webhook_cannot_be_resent_to(log: Log) -> None:
    _, (position,) = log.said(1)
    log.settled(position, "exhausted")
    log.shop.post({"enabled": False}, path=f"{HOOKS}/{log.webhook_id}/update")
    for path in ("test", f"deliveries/{position}/replay", "deliveries/replay"):
        answer = log.post(path, {"since": 0})
        assert answer.status_code == 409
        assert answer.json()["developerMessage"] == "The webhook is disabled. Enable it first."
    assert log.listed()[0]["state"] == "exhausted"


def test_another_organizations_deliveries_do_not_exist(log: Log) -> None:
    _, (position,) = log.said(1)
    log.settled(position, "delivered")
    token = log.shop.world.globex_token
    answers = [log.get(token=token), log.get(f"/{position}", token=token), log.post("test", token=token)]
    answers += [log.post(f"deliveries/{path}replay", {"since": 0}, token) for path in ("", f"{position}/")]
    answers += [log.get("/999999999"), log.get("/x"), log.post("deliveries/999999999/replay")]
    assert [answer.status_code for answer in answers] == [404] * len(answers)
    assert {answer.json()["developerMessage"] for answer in answers} == {"Resource not found"}
    assert log.listed()[0]["state"] == "delivered"


def test_deleting_a_webhook_deletes_its_log(log: Log) -> None:
    _, (position,) = log.said(1)
    assert log.shop.post({}, path=f"{HOOKS}/{log.webhook_id}/delete").status_code == 200
    assert {log.get().status_code, log.get(f"/{position}").status_code} == {404}
