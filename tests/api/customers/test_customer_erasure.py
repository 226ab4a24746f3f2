"""Erasure deletes a customer's data and keeps the counts; export is complete."""

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import inspect, make_url

from harness.shop import Shop

_WEBHOOK = (
    "INSERT INTO webhooks (organization_id, id, url, enabled, topics, payload_version, sealed_secret, created_at_ms)"
)
_DELIVERY = (
    "INSERT INTO deliveries (organization_id, webhook_id, position, thread_id, state, attempts, body, created_at_ms)"
)
_ATTEMPT = (
    "INSERT INTO delivery_attempts (organization_id, webhook_id, position, number, at_ms, duration_ms, status, answer)"
)
_QUEUE = "INSERT INTO delivery_queues (organization_id, webhook_id, thread_id, background, position, due_at_ms)"


@pytest.fixture(scope="module")
def attachments_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where the files of messages are kept."""
    return tmp_path_factory.mktemp("attachments")


@pytest.fixture
def shop(engine: str, shops: Callable[..., Shop], attachments_folder: Path) -> Shop:
    """A server that keeps attachments, shared by these tests."""
    return shops(engine, attachments_url=attachments_folder.as_uri())


def _everything(shop: Shop) -> str:
    """All tables as text."""
    with shop.database.connection() as connection:
        names = inspect(connection).get_table_names()
    assert "messages" in names
    rows = {name: shop.database.rows(f"SELECT * FROM {name}") for name in names}
    return json.dumps(rows, default=str, ensure_ascii=False).lower()


def _erase(shop: Shop, customer_id: int) -> None:
    answer = shop.post({}, path=f"/api/customers/{customer_id}/erase")
    assert (answer.status_code, answer.json()) == (200, {"result": "ok"}), answer.text


class Carol:
    """A customer with data of every kind; each piece of it contains the mark."""

    def __init__(self, shop: Shop) -> None:
        self.shop = shop
        self.mark = re.sub(r"[^a-z0-9]", "", shop.somebody().partition("@")[0])
        self.email, self.number, self.other_number = f"{self.mark}@example.com", shop.some_number(), shop.some_number()
        self.thread = shop.send(
            user={"email": self.email, "phoneNumber": self.number, "locale": "fr"},
            message=f"I am {self.mark}",
            key=self.mark,
        )
        self.id = shop.customer_of(self.thread)
        fields = {"firstName": f"Carol {self.mark}", "lastName": self.mark, "company": self.mark}
        assert shop.post(fields, path=f"/api/customers/{self.id}/profile/update").status_code == 200
        self.attachment = self._upload()
        self._reply(text=f"Dear {self.mark}", attachmentId=self.attachment)
        self._reply(text=f"{self.mark} is rude", internal=True)
        draft = {"customerThreadId": self.thread, "mode": "note", "text": f"a draft of {self.mark}"}
        assert shop.post(draft, path="/api/inbox/drafts").status_code == 200
        # Another customer who was merged into her, and whose conversation stayed separate.
        self.staying = shop.send(user={"phoneNumber": self.other_number}, message=f"also {self.mark}")
        self.merged = shop.customer_of(self.staying)
        merged = shop.post({"otherCustomerId": self.merged}, path=f"/api/customers/{self.id}/merge")
        assert merged.status_code == 200, merged.text
        stranger = shop.somebody()
        for user in ({"email": stranger}, {"email": stranger, "phoneNumber": self.number}):
            assert shop.customer_of(shop.send(user=user)) != self.id  # and they are possible duplicates
        self._block_and_send()
        self._deliveries()
        self._by_mail()

    def _reply(self, **fields: Any) -> None:
        body = {"customerThreadId": self.thread} | fields
        key = "-".join((self.mark, *fields))
        answer = self.shop.post(body, path="/api/send-message-to-customer-thread", headers={"Idempotency-Key": key})
        assert answer.status_code == 200, answer.text

    def _upload(self) -> str:
        answer = self.shop.server.client.post(
            "/api/attachments",
            files={"file": (f"{self.mark}.txt", b"a few words", "text/plain")},
            headers={"token": self.shop.world.token},
        )
        assert answer.status_code == 200, answer.text
        return str(answer.json()["attachmentId"])

    def _block_and_send(self) -> None:
        assert self.shop.post({}, path=f"/api/customers/{self.id}/block").status_code == 200
        self.shop.send(user={"email": self.email}, message=f"hear {self.mark}")
        self.shop.send(user={"email": self.email}, businessId=self.shop.world.paris, message=f"hear {self.mark}")

    def _deliveries(self) -> None:
        """One that was sent, and one that waits."""
        change, acme, thread = self.shop.database.change, int(self.shop.world.acme), int(self.thread)
        self.webhook = self.shop.database.value("SELECT coalesce(max(id), 0) + 1 FROM webhooks")
        where = {"acme": acme, "webhook": self.webhook, "thread": thread, "body": f'{{"messageBody": "{self.mark}"}}'}
        change(
            f"{_WEBHOOK} VALUES (:acme, :webhook, 'https://example.com/', false, '', 'flat', '', 1)", **_of(where, 2)
        )
        for position, state in ((1, "delivered"), (2, "waiting")):
            values = where | {"position": position, "state": state}
            change(f"{_DELIVERY} VALUES (:acme, :webhook, :position, :thread, :state, 1, :body, 1)", **values)
            values = _of(where, 2) | {"position": position, "answer": f"thanks, {self.mark}"}
            change(f"{_ATTEMPT} VALUES (:acme, :webhook, :position, 1, 1, 1, 500, :answer)", **values)
        change(f"{_QUEUE} VALUES (:acme, :webhook, :thread, 0, 2, 1)", **_of(where, 3))

    def _by_mail(self) -> None:
        """A mail of hers, one to her that waits, a question that she answered, and what a site and she herself said."""
        where = {"acme": int(self.shop.world.acme), "thread": int(self.thread), "id": self.id, "mark": self.mark}
        for statement in (
            "UPDATE customers SET unverified_email = :mark, unverified_phone = :mark"
            " WHERE organization_id = :acme AND id = :id",
            "INSERT INTO external_identities VALUES (:acme, :mark, :id, 1)",
            "INSERT INTO mail_details (organization_id, message_id, thread_id, sender, sender_name, subject, full_text)"
            " SELECT :acme, max(id), :thread, :mark, :mark, :mark, :mark FROM messages"
            " WHERE organization_id = :acme AND thread_id = :thread AND from_customer",
            "INSERT INTO notification_state (organization_id, thread_id, mail_subject, mail_header_id)"
            " VALUES (:acme, :thread, :mark, :mark) ON CONFLICT (organization_id, thread_id)"
            " DO UPDATE SET mail_subject = :mark, mail_header_id = :mark",
            "INSERT INTO surveys VALUES (:acme, :id, :thread, :id, 'nps', 1, 2, 9, :mark)",
            "INSERT INTO customer_links VALUES"
            " (:acme, :id, :thread, 'EMAIL', :mark, 'hash of ' || CAST(:id AS TEXT), 1, 2, NULL)",
            "INSERT INTO outbound_messages (organization_id, id, thread_id, channel, audience, purpose, address, state,"
            " due_at_ms, created_at_ms)"
            " VALUES (:acme, :id, :thread, 'EMAIL', 'customer', 'reply', :mark, 'waiting', 99999999999999, 1)",
        ):
            names = {name: value for name, value in where.items() if f":{name}" in statement}
            self.shop.database.change(statement, **names)

    def traces(self) -> list[str]:
        """What is left of her anywhere in the database."""
        everything = _everything(self.shop)
        marks = (self.mark, self.number, self.other_number, "a few words")
        return [everything[place - 60 : place + 60] for mark in marks if (place := everything.find(mark)) >= 0]


def _of(values: dict[str, Any], count: int) -> dict[str, Any]:
    return dict(list(values.items())[:count])


def test_no_table_contains_data_of_an_erased_customer(shop: Shop) -> None:
    carol = Carol(shop)
    assert len(carol.traces()) >= 3
    dave = shop.send(user={"email": f"dave-{carol.mark[::-1]}@example.com"}, message="Dave stays")
    _erase(shop, carol.id)
    assert carol.traces() == []
    assert shop.messages(dave)[0]["body"] == "Dave stays"
    assert shop.database.value(f"SELECT state FROM outbound_messages WHERE id = {carol.id}") == "skipped"
    assert shop.database.value(f"SELECT score FROM surveys WHERE id = {carol.id}") == 9
    assert shop.identities(shop.customer_of(dave))["email"] == [f"dave-{carol.mark[::-1]}@example.com"]


def test_counts_do_not_change_after_an_erasure(shop: Shop) -> None:
    carol = Carol(shop)
    tables = ("customers", "threads", "messages", "deliveries", "delivery_attempts")
    before = {name: shop.count(name) for name in tables}
    threads = [shop.thread(id_) for id_ in (carol.thread, carol.staying)]
    _erase(shop, carol.id)
    assert {name: shop.count(name) for name in tables} == before
    nowhere = {"last_email": None, "last_phone": None}
    assert [shop.thread(id_) for id_ in (carol.thread, carol.staying)] == [row | nowhere for row in threads]
    rows = shop.messages(carol.thread)
    assert [(row["sequence"], row["body"], row["attachment_id"]) for row in rows] == [(n, "", None) for n in (1, 2, 3)]


def test_a_later_message_from_the_same_address_creates_a_new_customer(shop: Shop) -> None:
    carol = Carol(shop)
    _erase(shop, carol.id)
    for user in ({"email": carol.email}, {"phoneNumber": carol.number}, {"phoneNumber": carol.other_number}):
        thread_id = shop.send(user=user)
        assert thread_id not in (carol.thread, carol.staying)
        assert shop.customer_of(thread_id) not in (carol.id, carol.merged)
        assert len(shop.messages(thread_id)) == 1


def test_pending_deliveries_are_skipped_and_sent_ones_are_emptied(shop: Shop) -> None:
    carol = Carol(shop)
    _erase(shop, carol.id)
    query = "SELECT state, body FROM deliveries WHERE webhook_id = :id ORDER BY position"
    rows = shop.database.rows(query, id=carol.webhook)
    assert [tuple(row.values()) for row in rows] == [("delivered", None), ("skipped", None)]
    assert shop.database.rows("SELECT * FROM delivery_queues WHERE webhook_id = :id", id=carol.webhook) == []
    answers = "SELECT status, answer FROM delivery_attempts WHERE webhook_id = :id"
    assert [tuple(row.values()) for row in shop.database.rows(answers, id=carol.webhook)] == [(500, None)] * 2


def test_any_number_of_pending_deliveries_is_skipped_and_no_others(shop: Shop) -> None:
    carol, dave = Carol(shop), shop.send()
    waiting = 2_500  # more than two transactions take
    step = f"WITH RECURSIVE step(i) AS (SELECT 3 UNION ALL SELECT i + 1 FROM step WHERE i < {waiting + 2})"
    of = {"acme": int(shop.world.acme), "webhook": carol.webhook}
    shop.database.change(
        f"{_DELIVERY} {step} SELECT :acme, :webhook, i, :thread, 'waiting', 1, 'a body', 1 FROM step",
        **of,
        thread=int(carol.thread),
    )
    for position, state in ((9_001, "waiting"), (9_002, "delivered")):
        values = of | {"position": position, "state": state, "thread": int(dave)}
        shop.database.change(f"{_DELIVERY} VALUES (:acme, :webhook, :position, :thread, :state, 1, 'his', 1)", **values)
    shop.database.change(f"{_QUEUE} VALUES (:acme, :webhook, :thread, 0, 9001, 1)", **of, thread=int(dave))
    # One that no longer held up the others, and stands alone.
    shop.database.change(f"{_QUEUE} VALUES (:acme, :webhook, :thread, 7, 7, 1)", **of, thread=int(carol.thread))
    _erase(shop, carol.id)
    count = (
        "SELECT thread_id, state, body, count(*) AS count FROM deliveries WHERE webhook_id = :webhook"
        " GROUP BY thread_id, state, body ORDER BY thread_id, state"
    )
    assert [tuple(row.values()) for row in shop.database.rows(count, webhook=carol.webhook)] == [
        (int(carol.thread), "delivered", None, 1),
        (int(carol.thread), "skipped", None, waiting + 1),
        (int(dave), "delivered", "his", 1),
        (int(dave), "waiting", "his", 1),
    ]
    queues = "SELECT thread_id, position FROM delivery_queues WHERE webhook_id = :webhook"
    assert [tuple(row.values()) for row in shop.database.rows(queues, webhook=carol.webhook)] == [(int(dave), 9_001)]


def test_an_attachment_shared_with_another_customer_is_kept(shop: Shop) -> None:
    carol = Carol(shop)
    dave = shop.send()
    body = {"customerThreadId": dave, "text": "the same file", "attachmentId": carol.attachment}
    assert shop.post(body, path="/api/send-message-to-customer-thread").status_code == 200
    _erase(shop, carol.id)
    row = "SELECT name, absent_since_ms FROM attachments WHERE id = :id"
    (kept,) = shop.database.rows(row, id=int(carol.attachment))
    assert tuple(kept.values()) == (f"{carol.mark}.txt", None)


def test_an_attachment_of_only_the_erased_customer_is_deleted(shop: Shop) -> None:
    carol = Carol(shop)
    path, headers = f"/api/attachments/{carol.attachment}", {"token": shop.world.token}
    assert shop.server.client.get(path, headers=headers).status_code == 200
    _erase(shop, carol.id)
    assert shop.server.client.get(path, headers=headers).status_code == 404


def test_an_erased_customer_is_marked_and_cannot_be_changed(shop: Shop) -> None:
    carol = Carol(shop)
    _erase(shop, carol.id)
    headers = {"token": shop.world.token}
    for id_ in (carol.id, carol.merged):
        profile = shop.server.client.get(f"/api/customers/{id_}/profile", headers=headers).json()
        assert (profile["displayName"], profile["editable"]) == ("Erased customer", False)
        assert {profile[name] for name in ("emailAddress", "phoneNumber", "firstName", "lastName", "company")} == {None}
        for action in ("profile/update", "block", "unblock"):
            answer = shop.post({"firstName": "Carol"}, path=f"/api/customers/{id_}/{action}")
            assert (answer.status_code, answer.json()["developerMessage"]) == (409, "The customer was erased")
    dave = shop.customer_of(shop.send())
    for kept, other in ((carol.id, dave), (dave, carol.id)):
        assert shop.post({"otherCustomerId": other}, path=f"/api/customers/{kept}/merge").status_code == 409
    merge_id = shop.database.value("SELECT id FROM customer_merges WHERE kept_customer_id = :id", id=carol.id)
    assert shop.post({}, path=f"/api/customers/merges/{merge_id}/undo").status_code == 409


def test_repeated_erasures_create_one_event_and_one_note(shop: Shop) -> None:
    carol = shop.customer_of(shop.send())
    for _ in range(2):
        _erase(shop, carol)
    events = "SELECT count(*) FROM events WHERE type = 'customer-erased' AND customer_id = :id"
    assert shop.database.value(events, id=carol) == 1
    noted = "SELECT count(*) FROM audit_entries WHERE action = 'customer.erase' AND subject = :subject"
    assert shop.database.value(noted, subject=f"customer {carol}") == 1


def test_an_interrupted_erasure_is_completed_by_a_second_request(shop: Shop) -> None:
    carol = Carol(shop)
    _erase(shop, carol.id)
    shop.database.change(
        "UPDATE messages SET body = :mark WHERE thread_id = :id", mark=carol.mark, id=int(carol.staying)
    )
    assert carol.traces()
    _erase(shop, carol.id)
    assert carol.traces() == []


def test_a_long_conversation_is_erased_completely(shop: Shop) -> None:
    user = {"email": shop.somebody()}
    thread_id = shop.send(user=user)
    thread = shop.thread(thread_id)
    copies = 2_500  # more than two transactions take
    with shop.database.connection() as connection:
        connection.exec_driver_sql(
            "INSERT INTO messages (organization_id, thread_id, sequence, id, from_customer, body, created_at_ms)"
            f" WITH RECURSIVE n(i) AS (SELECT 2 UNION ALL SELECT i + 1 FROM n WHERE i < {copies})"
            f" SELECT {thread['organization_id']}, {thread_id}, i, {thread_id}000000 + i, true, 'secret', 1 FROM n"
        )
    _erase(shop, thread["customer_id"])
    left = "SELECT count(*) FROM messages WHERE thread_id = :id AND body <> ''"
    assert shop.database.value(left, id=int(thread_id)) == 0
    assert len(shop.messages(thread_id)) == copies


@pytest.mark.parametrize("engine", ["sqlite"], indirect=True)
def test_the_database_file_has_no_erased_data_after_a_checkpoint(own_shop: Shop) -> None:
    carol = Carol(own_shop)
    for number in range(300):  # long texts lie in pages of their own
        own_shop.send(user={"phoneNumber": own_shop.some_number()}, message=f"Dave {number} " + "x" * 5_000)
    own_shop.send(user={"email": carol.email}, message=f"{carol.mark} " * 250)
    file = Path(make_url(own_shop.database.url).database or "")

    def folded() -> bytes:
        with own_shop.database.connection() as connection:
            connection.exec_driver_sql("COMMIT")
            connection.exec_driver_sql("PRAGMA wal_checkpoint(TRUNCATE)")
        return file.read_bytes()

    assert carol.mark.encode() in folded()
    _erase(own_shop, carol.id)
    content = folded()
    assert carol.mark.encode() not in content
    assert b"Dave 299" in content


def test_an_export_contains_all_data_of_a_customer(shop: Shop) -> None:
    carol = Carol(shop)
    answer = shop.server.client.get(f"/api/customers/{carol.merged}/export", headers={"token": shop.world.token})
    assert answer.status_code == 200
    assert answer.headers["content-type"] == "application/json"
    assert answer.headers["content-disposition"] == f'attachment; filename="customer-{carol.id}.json"'
    document = answer.json()
    assert document["customer"]["firstName"] == f"Carol {carol.mark}"
    assert document["customer"]["blockedAt"] is not None
    assert document["mergedCustomerIds"] == [str(carol.merged)]
    assert {identity["shown"] for identity in document["identities"]} == {carol.email, carol.number, carol.other_number}
    said = {thread["customerThreadId"]: thread["messages"] for thread in document["threads"]}
    assert [(message["text"], message["fromCustomer"], message["internal"]) for message in said[carol.thread]] == [
        (f"I am {carol.mark}", True, False),
        (f"Dear {carol.mark}", False, False),
        (f"{carol.mark} is rude", False, True),
    ]
    assert said[carol.thread][1]["attachment"] == {
        "name": f"{carol.mark}.txt",
        "contentType": "text/plain",
        "lengthBytes": 11,
    }
    assert [message["mail"] for message in said[carol.thread]] == [
        {"from": carol.mark, "name": carol.mark, "subject": carol.mark, "fullText": carol.mark},
        None,
        None,
    ]
    assert document["externalIds"] == [{"subject": carol.mark, "createdAt": 1}]
    assert [(survey["score"], survey["comment"]) for survey in document["surveys"]] == [(9, carol.mark)]
    assert document["customer"]["unverifiedEmailAddress"] == carol.mark
    assert [message["text"] for message in said[carol.staying]] == [f"also {carol.mark}"]
    assert [unseen["text"] for unseen in document["blockedMessages"]] == [f"hear {carol.mark}"] * 2


def test_a_long_export_contains_every_message_once(shop: Shop) -> None:
    user = {"email": shop.somebody()}
    texts = [f"message {number}" for number in range(1_100)]
    thread_id = shop.send(user=user, message=texts[0])
    thread = shop.thread(thread_id)
    with shop.database.connection() as connection:
        for number, body in enumerate(texts[1:], start=2):
            connection.exec_driver_sql(
                "INSERT INTO messages (organization_id, thread_id, sequence, id, from_customer, body, created_at_ms)"
                f" VALUES ({thread['organization_id']}, {thread_id}, {number}, {int(thread_id) * 10**6 + number}, true,"
                f" '{body}', 1)"
            )
    path = f"/api/customers/{thread['customer_id']}/export"
    document = shop.server.client.get(path, headers={"token": shop.world.token}).json()
    (only,) = document["threads"]
    assert [message["text"] for message in only["messages"]] == texts
    assert document["blockedMessages"] == []


def test_the_command_line_exports_and_erases(shop: Shop, tmp_path: Path) -> None:
    carol = Carol(shop)
    cli = shop.server.installation.cli
    file = tmp_path / "carol.json"
    assert shop.server.installation.run("customers", "export", carol.id, "--output", file).returncode == 0
    assert file.stat().st_mode & 0o777 == 0o600
    assert shop.server.installation.run("customers", "export", carol.id, "--output", file).returncode == 1
    printed = cli("customers", "export", carol.id)
    assert json.loads(file.read_text()) | {"exportedAt": 0} == printed | {"exportedAt": 0}
    unsure = shop.server.installation.run("customers", "erase", carol.id)
    assert unsure.returncode == 1
    assert carol.traces()
    done = cli("customers", "erase", carol.id, "--yes")
    assert done == {"id": str(carol.id), "customerIds": [str(carol.id), str(carol.merged)]}
    assert carol.traces() == []
