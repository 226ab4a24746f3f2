"""Scheduled messages become replies at their time, once, or are refused."""

import asyncio
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest

from harness.employees import deactivate, hire
from harness.installation import Installation
from harness.scheduling import ROUTE, TEXT, row, schedule, scheduled, send_due, state, texts
from harness.shop import Shop, faults_of
from harness.world import World
from shopbell.accounts.roles import Roles
from shopbell.attachments import attachments
from shopbell.db.connect import open_database
from shopbell.db.database import Database
from shopbell.db.installation import PauseReason, pause_deliveries
from shopbell.inbox import scheduled_messages, scheduled_sending
from shopbell.inbox.scheduled_messages import AHEAD_MAX_MS, KEPT_MS
from shopbell.operations import retention
from shopbell.runtime.clock import now_ms
from shopbell.settings.settings import load

REPLY = "/api/send-message-to-customer-thread"
HOUR_MS = 60 * 60 * 1_000
DAY_MS = 24 * HOUR_MS


@pytest.fixture
def shop(installation: Installation, people: World) -> Iterator[Shop]:
    """A server of its own without a worker: only the tests send what is due."""
    with installation.serving(run_worker=False, attachments_url=(installation.folder / "files").as_uri()) as server:
        yield Shop(server, people)


@pytest.fixture
def opened(installation: Installation, monkeypatch: pytest.MonkeyPatch) -> Iterator[Database]:
    """The same database, opened in this process."""
    for name, value in installation.environment.items():
        monkeypatch.setenv(name, value)
    database = open_database(load())
    yield database
    asyncio.run(database.close())


def last_id(shop: Shop, thread_id: str) -> str:
    """The id of the last message of a thread."""
    return str(shop.messages(thread_id)[-1]["id"])


def reply(shop: Shop, thread_id: str, text: str = "We look into it.") -> None:
    """Another employee replies."""
    answer = shop.post({"customerThreadId": thread_id, "text": text}, path=REPLY, token=shop.world.second_token)
    assert answer.status_code == 200, answer.text


def test_a_scheduled_message_becomes_a_reply_at_its_time(shop: Shop) -> None:
    thread_id = shop.send()
    id_ = scheduled(shop, thread_id)
    assert send_due(shop, 0) == []
    assert texts(shop, thread_id) == []
    (changed,) = send_due(shop)
    assert texts(shop, thread_id) == [TEXT]
    assert shop.thread(thread_id)["status"] == "replied"
    assert state(shop, id_) == ("sent", None)
    assert str(row(shop, id_)["message_id"]) == last_id(shop, thread_id)
    assert (str(changed.message.id), str(changed.business_id)) == (id_, shop.world.boston)
    assert send_due(shop) == []
    assert texts(shop, thread_id) == [TEXT]


def test_a_repeated_request_schedules_one_message(shop: Shop) -> None:
    thread_id, key = shop.send(), shop.somebody()
    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(lambda _: schedule(shop, thread_id, key=key), range(8)))
    assert {answer.status_code for answer in answers} == {200}
    assert len({answer.text for answer in answers}) == 1
    assert sorted(answer.headers.get("idempotent-replayed", "") for answer in answers) == ["", *["true"] * 7]
    assert schedule(shop, thread_id, key=key, text="Something else").status_code == 422
    assert len(send_due(shop)) == 1
    assert schedule(shop, thread_id, key=key).text == answers[0].text
    assert send_due(shop) == []
    assert texts(shop, thread_id) == [TEXT]


def test_a_request_that_was_refused_does_not_use_up_its_key(shop: Shop) -> None:
    thread_id, key = shop.send(), shop.somebody()
    seen = last_id(shop, thread_id)
    reply(shop, thread_id)
    for seen_id, status in ((seen, 409), (last_id(shop, thread_id), 200)):
        assert schedule(shop, thread_id, key=key, lastSeenMessageId=seen_id).status_code == status


def test_a_message_that_would_be_refused_now_is_not_scheduled(shop: Shop) -> None:
    thread_id = shop.send()
    seen = last_id(shop, thread_id)
    reply(shop, thread_id)
    stale = schedule(shop, thread_id, lastSeenMessageId=seen)
    direct = shop.post({"customerThreadId": thread_id, "text": TEXT, "lastSeenMessageId": seen}, path=REPLY)
    told = [(answer.status_code, answer.json()["developerMessage"]) for answer in (stale, direct)]
    assert told[0] == told[1]
    assert told[0][0] == 409
    elsewhere = schedule(shop, thread_id, lastSeenMessageId=last_id(shop, shop.send()))
    assert faults_of(elsewhere) == {("body", "#/lastSeenMessageId", "invalid_value")}
    shop.move_to_whatsapp(thread_id, age_ms=25 * HOUR_MS)
    assert schedule(shop, thread_id).status_code == 409
    assert shop.count("scheduled_messages") == 0


def test_a_message_is_refused_when_someone_else_has_replied_before_its_time(shop: Shop) -> None:
    thread_id = shop.send()
    id_ = scheduled(shop, thread_id, lastSeenMessageId=last_id(shop, thread_id))
    reply(shop, thread_id)
    (changed,) = send_due(shop)
    assert (changed.message.state, changed.message.reason) == ("refused", "answered")
    assert state(shop, id_) == ("refused", "answered")
    assert texts(shop, thread_id) == ["We look into it."]
    assert row(shop, id_)["body"] == TEXT
    assert send_due(shop) == []


def test_a_refused_message_is_sent_after_its_author_has_read_on(shop: Shop) -> None:
    thread_id = shop.send()
    seen = last_id(shop, thread_id)
    id_ = scheduled(shop, thread_id, lastSeenMessageId=seen)
    reply(shop, thread_id)
    send_due(shop)
    again = shop.post({"text": "It is ready."}, path=f"{ROUTE}/{id_}/update")
    assert again.status_code == 409
    assert state(shop, id_) == ("refused", "answered")
    changes = {"text": "It is ready.", "lastSeenMessageId": last_id(shop, thread_id), "delayMs": 0}
    changed = shop.post(changes, path=f"{ROUTE}/{id_}/update")
    assert (changed.status_code, changed.json()["state"], changed.json()["reason"]) == (200, "scheduled", None)
    assert len(send_due(shop, 0)) == 1
    assert texts(shop, thread_id) == ["We look into it.", "It is ready."]


def test_the_authors_own_replies_and_notes_refuse_nothing(shop: Shop) -> None:
    thread_id = shop.send()
    seen = last_id(shop, thread_id)
    ids = [scheduled(shop, thread_id, lastSeenMessageId=seen) for _ in range(2)]
    shop.post({"customerThreadId": thread_id, "text": "One moment.", "lastSeenMessageId": seen}, path=REPLY)
    note = {"customerThreadId": thread_id, "text": "A note", "internal": True}
    assert shop.post(note, path=REPLY, token=shop.world.second_token).status_code == 200
    send_due(shop)
    assert {state(shop, id_) for id_ in ids} == {("sent", None)}


def test_of_two_authors_whose_messages_are_due_together_the_second_is_refused(shop: Shop) -> None:
    thread_id = shop.send()
    seen = last_id(shop, thread_id)
    first = scheduled(shop, thread_id, lastSeenMessageId=seen, delayMs=4_000)
    second = scheduled(shop, thread_id, lastSeenMessageId=seen, token=shop.world.second_token)
    assert len(send_due(shop)) == 2
    assert (state(shop, first), state(shop, second)) == (("sent", None), ("refused", "answered"))


def test_a_free_text_is_refused_once_the_messaging_window_is_closed(shop: Shop) -> None:
    thread_id = shop.send()
    template = shop.post({"title": "Ready", "text": "Your order can be fetched."}, path="/api/templates").json()
    shop.move_to_whatsapp(thread_id, age_ms=HOUR_MS)
    text = scheduled(shop, thread_id)
    by_template = scheduled(shop, thread_id, text=None, contentSid=template["contentSid"])
    shop.move_to_whatsapp(thread_id, age_ms=25 * HOUR_MS)
    send_due(shop)
    assert state(shop, text) == ("refused", "window-closed")
    assert state(shop, by_template) == ("sent", None)
    assert texts(shop, thread_id) == ["Your order can be fetched."]


def test_a_message_is_refused_after_its_author_may_no_longer_send(shop: Shop) -> None:
    thread_id, alice = shop.send(), hire(shop)
    body = {"customerThreadId": thread_id, "text": TEXT, "delayMs": 5_000}
    by_employee = alice.browser.call(ROUTE, body).json()["scheduledMessageId"]
    spare = shop.spare_token()
    by_token = scheduled(shop, thread_id, token=spare["token"])
    named = scheduled(shop, thread_id, employeeUserId=str(alice.id))
    deactivate(shop, alice.id)
    shop.server.installation.cli("token", "revoke", spare["id"])
    assert len(send_due(shop)) == 3
    assert {state(shop, id_) for id_ in (by_employee, by_token, named)} == {("refused", "not-permitted")}
    assert texts(shop, thread_id) == []
    bob = hire(shop)
    changed = bob.browser.call(f"{ROUTE}/{by_employee}/update", {"delayMs": 0})
    assert (changed.status_code, changed.json()["employeeUserId"]) == (200, str(bob.id))
    send_due(shop, 0)
    assert shop.messages(thread_id)[-1]["employee_id"] == bob.id


def test_a_message_is_refused_where_its_author_has_no_role(shop: Shop) -> None:
    alice = hire(shop, roles=Roles(businesses={int(shop.world.boston): "member"}))
    boston, paris = shop.send(), shop.send(businessId=shop.world.paris)
    body = {"text": TEXT, "delayMs": 5_000}
    assert alice.browser.call(ROUTE, body | {"customerThreadId": paris}).status_code == 404
    id_ = alice.browser.call(ROUTE, body | {"customerThreadId": boston}).json()["scheduledMessageId"]
    move = {"customerThreadId": boston, "businessId": shop.world.paris}
    assert shop.post(move, path="/api/transfer-customer-thread").status_code == 200
    assert alice.browser.call(f"{ROUTE}/{id_}/update").status_code == 404
    assert alice.browser.get(ROUTE).json()["scheduledMessages"] == []
    send_due(shop)
    assert state(shop, id_) == ("refused", "not-permitted")


def test_a_cancelled_message_is_never_sent(shop: Shop) -> None:
    thread_id = shop.send()
    id_ = scheduled(shop, thread_id)
    for _ in range(2):
        answer = shop.post({}, path=f"{ROUTE}/{id_}/cancel")
        assert (answer.status_code, answer.json()["state"], answer.json()["text"]) == (200, "cancelled", TEXT)
    assert send_due(shop) == []
    assert shop.post({"delayMs": 0}, path=f"{ROUTE}/{id_}/update").status_code == 409
    assert texts(shop, thread_id) == []


def test_a_message_that_was_sent_can_be_neither_cancelled_nor_changed(shop: Shop) -> None:
    id_ = scheduled(shop, shop.send())
    send_due(shop)
    for action in ("cancel", "update"):
        answer = shop.post({}, path=f"{ROUTE}/{id_}/{action}")
        assert (answer.status_code, answer.json()["type"]) == (409, "/problems/conflict")
    assert state(shop, id_) == ("sent", None)


def test_a_changed_message_is_sent_as_it_was_changed(shop: Shop) -> None:
    thread_id = shop.send()
    template = shop.post({"title": "Ready", "text": "Ready"}, path="/api/templates").json()
    id_ = scheduled(shop, thread_id, text=None, contentSid=template["contentSid"])
    changes = {"text": "At noon.", "sendAt": now_ms() + HOUR_MS, "resolve": True, "channel": "EMAIL"}
    changed = shop.post(changes, path=f"{ROUTE}/{id_}/update").json()
    assert (changed["text"], changed["contentSid"], changed["resolve"]) == ("At noon.", None, True)
    assert send_due(shop) == []
    send_due(shop, HOUR_MS)
    sent = shop.messages(thread_id)[-1]
    assert (sent["body"], sent["content_sid"], sent["channel"]) == ("At noon.", None, "EMAIL")


def test_a_conversation_is_resolved_after_its_message_is_sent(shop: Shop) -> None:
    thread_id = shop.send()
    scheduled(shop, thread_id, resolve=True)
    assert shop.thread(thread_id)["status"] == "waiting"
    send_due(shop)
    assert shop.thread(thread_id)["status"] == "resolved"
    events = shop.database.rows("SELECT type FROM events WHERE thread_id = :id ORDER BY position", id=int(thread_id))
    assert [event["type"] for event in events] == ["message", "message", "status"]


def test_what_the_customer_wrote_after_the_message_still_waits_for_a_reply(shop: Shop) -> None:
    thread_id = shop.send()
    email = shop.identities(shop.customer_of(thread_id))["email"][0]
    unread, read, answered = (scheduled(shop, thread_id, resolve=True) for _ in range(3))
    shop.database.change("UPDATE scheduled_messages SET created_at_ms = created_at_ms - 1, send_at_ms = 2 * send_at_ms")
    shop.send(user={"email": email})

    def send(id_: str) -> str:
        shop.database.change("UPDATE scheduled_messages SET send_at_ms = 0 WHERE id = :id", id=int(id_))
        send_due(shop)
        assert state(shop, id_) == ("sent", None)
        status: str = shop.thread(thread_id)["status"]
        return status

    assert send(unread) == "waiting"
    seen = {"lastSeenMessageId": [str(each["id"]) for each in shop.messages(thread_id) if each["from_customer"]][-1]}
    assert shop.post(seen, path=f"{ROUTE}/{read}/update").status_code == 200
    assert send(read) == "resolved"
    shop.send(user={"email": email})
    reply(shop, thread_id)
    assert send(answered) == "resolved"


@pytest.mark.parametrize("reason", PauseReason)
def test_what_another_installation_may_have_sent_waits_for_a_decision(
    shop: Shop, opened: Database, reason: PauseReason
) -> None:
    thread_id = shop.send()
    old, later = scheduled(shop, thread_id, delayMs=0), scheduled(shop, thread_id, delayMs=30_000)
    shop.database.change("UPDATE scheduled_messages SET created_at_ms = created_at_ms - 1")
    opened.write_now(pause_deliveries, reason)
    new = scheduled(shop, thread_id, delayMs=0)
    assert [str(changed.message.id) for changed in send_due(shop, 0)] == [new]
    resumed = shop.server.installation.cli("webhooks", "resume")
    assert resumed["scheduledMessages"] == (1 if reason is PauseReason.RESTORED else 2)
    assert state(shop, old) == ("refused", "elsewhere")
    assert state(shop, later) == (("scheduled", None) if reason is PauseReason.RESTORED else ("refused", "elsewhere"))
    assert len(send_due(shop, 30_000)) == (1 if reason is PauseReason.RESTORED else 0)
    assert len(texts(shop, thread_id)) == (2 if reason is PauseReason.RESTORED else 1)


def test_the_time_must_be_in_the_future_and_one_time_is_required(shop: Shop) -> None:
    thread_id = shop.send()
    for at_ms in (now_ms() - 1, now_ms() + AHEAD_MAX_MS + HOUR_MS):
        answer = schedule(shop, thread_id, sendAt=at_ms, delayMs=None)
        assert faults_of(answer) == {("body", "#/sendAt", "invalid_value")}
    for times in ({"delayMs": None}, {"sendAt": now_ms() + HOUR_MS}):
        assert faults_of(schedule(shop, thread_id, **times)) == {("body", "#", "exactly_one_required")}
    id_ = scheduled(shop, thread_id)
    both = shop.post({"sendAt": now_ms() + HOUR_MS, "delayMs": 0}, path=f"{ROUTE}/{id_}/update")
    assert faults_of(both) == {("body", "#", "exactly_one_required")}


def test_the_file_of_a_scheduled_message_is_kept(shop: Shop) -> None:
    thread_id = shop.send()
    file = {"file": ("receipt.txt", b"1 bell", "text/plain")}
    uploaded = shop.server.client.post("/api/attachments", files=file, headers={"token": shop.world.token}).json()
    id_ = scheduled(shop, thread_id, text=None, attachmentId=uploaded["attachmentId"])

    def is_used() -> bool:
        with shop.database.connection() as tx:
            (use,) = (use for use in attachments.uses(tx, (0, 0), limit=100) if str(use.id) == uploaded["attachmentId"])
        return bool(use.is_used)

    assert is_used()
    send_due(shop)
    assert str(shop.messages(thread_id)[-1]["attachment_id"]) == uploaded["attachmentId"]
    shop.database.change("DELETE FROM scheduled_messages WHERE id = :id", id=int(id_))
    shop.database.change("DELETE FROM messages WHERE thread_id = :id", id=int(thread_id))
    assert not is_used()


def test_messages_to_an_erased_customer_are_cancelled_and_their_texts_deleted(shop: Shop) -> None:
    thread_id, key = shop.send(), shop.somebody()
    file = {"file": ("receipt.txt", b"1 bell", "text/plain")}
    uploaded = shop.server.client.post("/api/attachments", files=file, headers={"token": shop.world.token}).json()
    refused = scheduled(shop, thread_id, lastSeenMessageId=last_id(shop, thread_id))
    reply(shop, thread_id)
    sent = scheduled(shop, thread_id)
    send_due(shop)
    waiting = scheduled(shop, thread_id, key=key, attachmentId=uploaded["attachmentId"], text=None)
    customer_id = shop.customer_of(thread_id)
    assert shop.post({}, path=f"/api/customers/{customer_id}/erase").status_code == 200
    assert send_due(shop) == []
    assert [state(shop, id_)[0] for id_ in (refused, sent, waiting)] == ["cancelled", "sent", "cancelled"]
    rows = [row(shop, id_) for id_ in (refused, sent, waiting)]
    assert {(each["body"], each["attachment_id"]) for each in rows} == {("", None)}
    assert shop.database.value("SELECT count(*) FROM idempotency_keys WHERE key = :key", key=key) == 0
    path = f"/api/attachments/{uploaded['attachmentId']}"
    assert shop.server.client.get(path, headers={"token": shop.world.token}).status_code == 404
    assert schedule(shop, thread_id).status_code == 409


def test_settled_messages_are_forgotten_after_a_day_and_refused_ones_are_kept(shop: Shop, opened: Database) -> None:
    thread_id = shop.send()
    seen = last_id(shop, thread_id)
    sent, refused = scheduled(shop, thread_id), scheduled(shop, thread_id, lastSeenMessageId=seen)
    reply(shop, thread_id)
    send_due(shop)
    cancelled, waiting = scheduled(shop, thread_id), scheduled(shop, thread_id)
    shop.post({}, path=f"{ROUTE}/{cancelled}/cancel")
    then_ms = now_ms() + KEPT_MS + HOUR_MS

    def left() -> set[str]:
        return {str(found["id"]) for found in shop.database.rows("SELECT id FROM scheduled_messages")}

    assert opened.write_now(scheduled_messages.forget_old, now_ms()) is False
    assert left() == {sent, refused, cancelled, waiting}
    assert opened.write_now(scheduled_messages.forget_old, then_ms) is False
    assert left() == {refused, waiting}
    assert shop.post({"keepMessagesDays": 30}, path="/api/organization/update").status_code == 200
    asyncio.run(retention.sweep(opened, now_ms=now_ms() + 29 * DAY_MS))
    assert left() == {refused, waiting}
    asyncio.run(retention.sweep(opened, now_ms=now_ms() + 31 * DAY_MS))
    assert left() == {waiting}


def test_messages_of_an_imported_organization_wait_for_a_decision(shop: Shop, installation: Installation) -> None:
    thread_id = shop.send()
    id_ = scheduled(shop, thread_id)
    file = installation.folder / "acme.jsonl"
    installation.cli("organization", "export", shop.world.acme, file)
    made = installation.cli("organization", "import", file)
    (copy,) = shop.database.rows(
        "SELECT * FROM scheduled_messages WHERE organization_id = :id", id=int(made["organizationId"])
    )
    assert (copy["state"], copy["reason"], copy["body"]) == ("refused", "elsewhere", TEXT)
    assert state(shop, id_) == ("scheduled", None)
    assert len(send_due(shop)) == 1


def test_a_clock_set_back_delays_no_undo_and_keeps_chosen_times(shop: Shop, opened: Database) -> None:
    thread_id, at_ms = shop.send(), now_ms() + 2 * HOUR_MS
    delayed = scheduled(shop, thread_id)
    before_ms = row(shop, delayed)["send_at_ms"]
    chosen = scheduled(shop, thread_id, sendAt=at_ms, delayMs=None)
    opened.write_now(scheduled_sending.move_up, HOUR_MS, now_ms=now_ms())
    assert row(shop, delayed)["send_at_ms"] == before_ms - HOUR_MS
    assert row(shop, chosen)["send_at_ms"] == at_ms


def test_scheduled_messages_are_listed_newest_first(shop: Shop) -> None:
    thread_id, other = shop.send(), shop.send()
    ids = [scheduled(shop, thread_id) for _ in range(3)]
    scheduled(shop, other)
    path, found, cursor = f"{ROUTE}?customerThreadId={thread_id}&limit=2", [], ""
    while cursor is not None:
        page = shop.server.client.get(path + cursor, headers={"token": shop.world.token}).json()
        found += [each["scheduledMessageId"] for each in page["scheduledMessages"]]
        cursor = page["nextCursor"] and f"&cursor={page['nextCursor']}"
    assert found == ids[::-1]
