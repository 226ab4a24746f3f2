"""Retention deletes what is older than configured and nothing else."""

import asyncio
import time
from collections.abc import Iterator

import pytest

from harness.inbox import catch_up
from harness.installation import Installation
from harness.retention import DAY_MS, UPDATE, age, keep
from harness.shop import Shop, faults_of
from harness.waiting import wait_until
from harness.world import World
from shopbell.db.connect import open_database
from shopbell.db.database import Database
from shopbell.db.lock_order import try_job_lock
from shopbell.db.schema.core import messages
from shopbell.operations import retention
from shopbell.settings.settings import load


@pytest.fixture
def quiet_shop(installation: Installation, people: World) -> Iterator[Shop]:
    """A running server without deliveries and retention."""
    with installation.serving(run_worker=False) as server:
        shop = Shop(server, people)
        _decide(shop, up_to=10**12)
        yield shop


@pytest.fixture
def opened(installation: Installation, monkeypatch: pytest.MonkeyPatch) -> Iterator[Database]:
    """The same database, opened in this process."""
    for name, value in installation.environment.items():
        monkeypatch.setenv(name, value)
    database = open_database(load())
    yield database
    database.engine.dispose()


def swept(database: Database, *, in_days: int = 0) -> int:
    """Delete what is old, now or as if days had gone by; returns how many rows went."""

    async def run() -> int:
        return await retention.sweep(database, now_ms=time.time_ns() // 1_000_000 + in_days * DAY_MS)

    return asyncio.run(run())


def _decide(shop: Shop, *, up_to: int) -> None:
    """Let notifications and the inbox have consumed the feeds up to a place."""
    for table in ("notification_cursors", "inbox_cursors"):
        _consume(shop, table, up_to=up_to)


def _consume(shop: Shop, table: str, *, up_to: int) -> None:
    shop.database.change(f"DELETE FROM {table}")
    fill = f"INSERT INTO {table} (organization_id, position) SELECT id, :up_to FROM organizations"
    shop.database.change(fill, up_to=up_to)


def test_without_a_retention_setting_nothing_is_deleted(quiet_shop: Shop, opened: Database) -> None:
    quiet_shop.send()
    assert swept(opened, in_days=40_000) == 0
    assert quiet_shop.count("messages") == 1


def test_old_messages_are_deleted_and_the_conversation_continues(quiet_shop: Shop, opened: Database) -> None:
    shop, email = quiet_shop, quiet_shop.somebody()
    thread_id = shop.send(user={"email": email})
    shop.send(user={"email": email})
    globex = shop.send(token=shop.world.globex_token, businessId=shop.world.london)
    age(shop, "messages", days=31)
    shop.send(user={"email": email})
    keep(shop, keepMessagesDays=30)
    assert swept(opened) == 2
    assert [row["sequence"] for row in shop.messages(thread_id)] == [3]
    assert len(shop.messages(globex)) == 1
    assert shop.send(user={"email": email}) == thread_id
    assert [row["sequence"] for row in shop.messages(thread_id)] == [3, 4]
    assert swept(opened) == 0
    assert swept(opened, in_days=29) == 0
    assert swept(opened, in_days=31) == 2
    assert shop.thread(thread_id)["last_sequence"] == 4
    headers = {"token": shop.world.token}
    answer = shop.server.client.get(f"/api/threads/{thread_id}/messages", headers=headers)
    assert (answer.status_code, answer.json()["messages"]) == (200, [])


def test_messages_of_blocked_customers_are_deleted_too(quiet_shop: Shop, opened: Database) -> None:
    shop, email = quiet_shop, quiet_shop.somebody()
    customer = shop.customer_of(shop.send(user={"email": email}))
    assert shop.post({}, path=f"/api/customers/{customer}/block").status_code == 200
    shop.send(user={"email": email})
    assert shop.count("blocked_messages") == 1
    keep(shop, keepMessagesDays=1)
    swept(opened, in_days=2)
    assert shop.count("blocked_messages") == 0


def test_deletion_runs_in_batches_of_at_most_five_hundred(quiet_shop: Shop, opened: Database) -> None:
    shop = quiet_shop
    thread_id = shop.send()
    acme = int(shop.world.acme)
    fill = """
        WITH RECURSIVE step(i) AS (SELECT 2 UNION ALL SELECT i + 1 FROM step WHERE i < 1300)
        INSERT INTO messages (organization_id, thread_id, sequence, id, from_customer, internal, body, created_at_ms)
        SELECT organization_id, thread_id, step.i, 1000000 + step.i, from_customer, internal, body, created_at_ms
        FROM messages, step WHERE thread_id = :thread_id AND sequence = 1
    """
    shop.database.change(fill, thread_id=int(thread_id))
    age(shop, "messages", days=10)
    now_ms = time.time_ns() // 1_000_000
    counts, after = [], 0
    while after is not None:
        before = shop.count("messages")
        done = opened.write_now(retention.sweep_messages, messages, acme, 5, after, now_ms=now_ms)
        assert before - shop.count("messages") == done.deleted
        counts.append(done.deleted)
        after = done.after
    assert counts == [500, 500, 300]


@pytest.mark.parametrize("engine", ["sqlite"], indirect=True)
def test_the_oldest_rows_are_found_by_key(quiet_shop: Shop) -> None:
    for table, key in (("messages", "id"), ("blocked_messages", "id"), ("events", "position")):
        plan = quiet_shop.database.rows(
            f"EXPLAIN QUERY PLAN SELECT {key}, created_at_ms FROM {table} "
            f"WHERE organization_id = 1 AND {key} > 0 ORDER BY {key} LIMIT 500"
        )
        (step,) = (row["detail"] for row in plan)
        assert f"(organization_id=? AND {key}>?)" in step


def _hooked(shop: Shop) -> None:
    body = {"url": "https://receiver.example/hook", "subscribedEvents": ["messages"]}
    assert shop.post(body, path="/api/webhooks/").status_code == 200


def test_an_event_is_kept_while_a_delivery_waits(quiet_shop: Shop, opened: Database) -> None:
    shop = quiet_shop
    shop.send()
    _hooked(shop)
    shop.send()
    events = "SELECT position FROM events WHERE organization_id = :acme ORDER BY position"
    acme = int(shop.world.acme)
    *others, last = (row["position"] for row in shop.database.rows(events, acme=acme))
    assert others
    keep(shop, keepEventsDays=3)
    assert swept(opened, in_days=2) == 0
    assert swept(opened, in_days=4) == len(others)
    assert [row["position"] for row in shop.database.rows(events, acme=acme)] == [last]
    assert shop.database.change("UPDATE deliveries SET state = 'delivered', settled_at_ms = created_at_ms") == 1
    hook = shop.database.value("SELECT id FROM webhooks")
    assert swept(opened, in_days=4) == 1
    assert shop.database.rows(events, acme=acme) == []
    headers = {"token": shop.world.token}
    log = shop.server.client.get(f"/api/webhooks/{hook}/deliveries", headers=headers)
    assert log.status_code == 200, log.text
    assert shop.send()
    feed = shop.server.client.get("/api/events", params={"after": 0}, headers=headers).json()["events"]
    assert [event["position"] for event in feed] == [last + 1]


def test_a_delivery_of_a_deleted_message_is_skipped(
    installation: Installation, quiet_shop: Shop, opened: Database
) -> None:
    shop = quiet_shop
    _hooked(shop)
    shop.send()
    keep(shop, keepMessagesDays=1, keepEventsDays=1)
    assert swept(opened, in_days=2) >= 1
    assert shop.database.value("SELECT state FROM deliveries") == "waiting"
    with installation.serving():
        wait_until(
            lambda: shop.database.value("SELECT state FROM deliveries") == "skipped", lambda: "it was not skipped"
        )


def test_message_texts_are_removed_from_the_delivery_log(quiet_shop: Shop, opened: Database) -> None:
    shop, email = quiet_shop, quiet_shop.somebody()
    _hooked(shop)
    old, other = shop.send(user={"email": email}), shop.send()
    shop.database.change("UPDATE deliveries SET state = 'delivered', attempts = 1, body = 'what was said'")
    shop.database.change(
        "INSERT INTO delivery_attempts (organization_id, webhook_id, position, number, at_ms, duration_ms, status,"
        " answer) SELECT organization_id, webhook_id, position, 1, 1, 1, 200, 'what was said' FROM deliveries"
    )
    for table in ("messages", "deliveries"):
        age(shop, table, days=10)
        shop.database.change(
            f"UPDATE {table} SET created_at_ms = created_at_ms + :age WHERE thread_id = :id",
            age=10 * DAY_MS,
            id=int(other),
        )
    fresh = shop.send(user={"email": email})
    assert fresh == old
    shop.database.change("UPDATE deliveries SET body = 'what was said' WHERE body IS NULL")
    keep(shop, keepMessagesDays=9)
    assert swept(opened) == 1
    log = "deliveries LEFT JOIN delivery_attempts USING (webhook_id, position) ORDER BY position"
    rows = shop.database.rows(f"SELECT thread_id, body, status, answer FROM {log}")
    assert [tuple(row.values()) for row in rows] == [
        (int(old), None, 200, None),
        (int(other), "what was said", 200, "what was said"),
        (int(old), "what was said", None, None),
    ]


@pytest.mark.parametrize("engine", ["postgresql"], indirect=True)
def test_only_one_process_deletes_at_a_time(quiet_shop: Shop, opened: Database) -> None:
    quiet_shop.send()
    keep(quiet_shop, keepMessagesDays=1)
    with opened.engine.begin() as other:
        assert try_job_lock(other, "retention")
        assert swept(opened, in_days=2) == 0
    assert swept(opened, in_days=2) == 1


def test_the_command_line_changes_an_organization(installation: Installation, people: World) -> None:
    acme = people.acme
    changed = installation.cli("organization", "update", acme, "--name", "Acme Ltd", "--keep-messages-days", "30")
    assert (changed["name"], changed["keepMessagesDays"], changed["keepEventsDays"]) == ("Acme Ltd", 30, None)
    changed = installation.cli("organization", "update", acme, "--keep-messages-days", "none")
    assert (changed["name"], changed["keepMessagesDays"]) == ("Acme Ltd", None)
    entries = installation.database.rows(
        "SELECT actor, subject FROM audit_entries WHERE action = 'organization.update'"
    )
    assert entries == [{"actor": "command line", "subject": f"organization {acme}"}] * 2
    for wrong in (["--keep-events-days", "0"], ["--keep-events-days", "36501"], ["--keep-events-days", "soon"], []):
        done = installation.run("organization", "update", acme, *wrong)
        assert (done.returncode, len(done.stderr.splitlines())) == (1, 1), done.stderr
    for option, required in (("--require-second-factor", True), ("--no-require-second-factor", False)):
        assert installation.cli("organization", "update", acme, option)["requiresSecondFactor"] is required
    assert "there is no organization 1" in installation.run("organization", "update", "1", "--name", "X").stderr


def test_the_api_reads_and_sets_retention(shop: Shop) -> None:
    headers = {"token": shop.world.token}
    shop.post({"keepMessagesDays": 0, "keepEventsDays": 0}, path=UPDATE)  # others' tests may have set it
    before = shop.server.client.get("/api/organization", headers=headers).json()
    assert (before["id"], before["keepMessagesDays"], before["keepEventsDays"]) == (shop.world.acme, None, None)
    answer = shop.post({"keepMessagesDays": 36_500, "keepEventsDays": 36_500}, path=UPDATE)
    assert answer.json() == before | {"keepMessagesDays": 36_500, "keepEventsDays": 36_500}
    answer = shop.post({"keepMessagesDays": 0, "keepEventsDays": None}, path=UPDATE)
    assert answer.json() == before | {"keepMessagesDays": None, "keepEventsDays": 36_500}
    assert shop.post({"keepEventsDays": 0}, path=UPDATE).json() == before
    for wrong in (-1, 36_501):
        assert faults_of(shop.post({"keepEventsDays": wrong}, path=UPDATE)) == {
            ("body", "#/keepEventsDays", "invalid_value")
        }
    assert shop.post({"name": ""}, path=UPDATE).status_code == 400
    assert shop.post({"keepEventsDays": 1}, path=UPDATE, token=shop.world.reading_token).status_code == 403
    assert shop.server.client.get("/api/organization", headers=headers).json() == before


@pytest.mark.parametrize("table", ["notification_cursors", "inbox_cursors"])
def test_an_event_is_kept_until_notifications_and_the_inbox_have_consumed_it(
    quiet_shop: Shop, opened: Database, table: str
) -> None:
    shop = quiet_shop
    shop.send()
    shop.send()
    keep(shop, keepEventsDays=1)
    query = "SELECT count(*) FROM events WHERE organization_id = :id"
    acme = int(shop.world.acme)
    before = shop.database.value(query, id=acme)
    last = shop.database.value("SELECT last_position FROM feeds WHERE organization_id = :id", id=acme)
    _consume(shop, table, up_to=last - 1)
    assert swept(opened, in_days=2) == before - 1
    _consume(shop, table, up_to=last)
    assert swept(opened, in_days=2) == 1


def test_the_preview_and_the_mentions_of_a_deleted_message_are_deleted(quiet_shop: Shop, opened: Database) -> None:
    shop = quiet_shop
    old, new = shop.send(message="an old secret"), shop.send(message="a new secret")
    employee_id = shop.post({"name": "Erin"}, path="/api/employees").json()["id"]
    note = {"customerThreadId": old, "text": "Look", "internal": True, "mentionedUserIds": [employee_id]}
    assert shop.post(note, path="/api/send-message-to-customer-thread").status_code == 200
    shop.database.change("UPDATE messages SET created_at_ms = 1 WHERE thread_id = :id", id=int(old))
    catch_up(shop)
    keep(shop, keepMessagesDays=30)
    assert swept(opened) == 2
    previews = {row["thread_id"]: row["preview"] for row in shop.database.rows("SELECT * FROM inbox_threads")}
    assert (previews[int(old)], previews[int(new)]) == ("", "a new secret")
    assert shop.count("mentions") == 0


def test_delivery_records_are_deleted_with_their_message(quiet_shop: Shop, opened: Database) -> None:
    shop = quiet_shop
    thread_id = shop.send()
    (message,) = shop.messages(thread_id)
    place = {"organization": int(shop.world.acme), "thread": int(thread_id), "message": message["id"]}
    shop.database.change(
        "INSERT INTO outbound_messages (organization_id, id, thread_id, channel, audience, purpose, state, attempts, "
        "due_at_ms, created_at_ms) "
        "VALUES (:organization, 1, :thread, 'EMAIL', 'store', 'store-notice', 'sent', 1, 1, 1)",
        **{name: place[name] for name in ("organization", "thread")},
    )
    shop.database.change(
        "INSERT INTO message_deliveries (organization_id, message_id, channel, audience, thread_id, sequence, "
        "outbound_message_id, state, updated_at_ms) "
        "VALUES (:organization, :message, 'EMAIL', 'store', :thread, 1, 1, 'sent', 1)",
        **place,
    )
    shop.database.change(
        "INSERT INTO mail_details (organization_id, message_id, thread_id, sender, foreign_sender, automatic) "
        "VALUES (:organization, :message, :thread, 'carol@example.com', false, false)",
        **place,
    )
    keep(shop, keepMessagesDays=1)
    swept(opened, in_days=2)
    assert [shop.count(table) for table in ("messages", "outbound_messages", "message_deliveries", "mail_details")] == [
        0
    ] * 4


def test_a_survey_comment_is_deleted_like_messages_and_the_score_is_kept(quiet_shop: Shop, opened: Database) -> None:
    shop, now_ms = quiet_shop, time.time_ns() // 1_000_000
    acmes, globexs = shop.send(), shop.send(token=shop.world.globex_token, businessId=shop.world.london)
    keep(shop, keepMessagesDays=30)
    swept(opened, in_days=31)  # the conversation is empty before the answer is old
    ages = {1: (shop.world.acme, acmes, 31), 2: (shop.world.acme, acmes, 29), 3: (shop.world.globex, globexs, 31)}
    for id_, (organization, thread_id, days) in ages.items():
        shop.database.change(
            "INSERT INTO surveys (organization_id, id, thread_id, customer_id, kind, asked_at_ms, answered_at_ms, "
            "score, comment) VALUES (:organization, :id, :thread, :customer, 'nps', 1, :answered, 9, 'Very friendly!')",
            organization=int(organization),
            id=id_,
            thread=int(thread_id),
            customer=shop.customer_of(thread_id),
            answered=now_ms - days * DAY_MS,
        )
    swept(opened)
    left = [(row["score"], row["comment"]) for row in shop.database.rows("SELECT * FROM surveys ORDER BY id")]
    assert left == [(9, None), (9, "Very friendly!"), (9, "Very friendly!")]


def test_the_email_subject_is_deleted_with_the_last_email(quiet_shop: Shop, opened: Database) -> None:
    shop, email = quiet_shop, quiet_shop.somebody()
    thread_id = shop.send(user={"email": email})
    age(shop, "messages", days=10)
    shop.send(user={"email": email})
    shop.database.change("UPDATE messages SET channel = 'EMAIL' WHERE thread_id = :id", id=int(thread_id))
    shop.send(user={"email": email})
    shop.database.change(
        "INSERT INTO notification_state (organization_id, thread_id, invited_at_ms, mail_subject, mail_header_id) "
        "VALUES (:organization, :thread, 7, 'My order', '<one@carols.example>')",
        organization=int(shop.world.acme),
        thread=int(thread_id),
    )

    def remembered() -> list[tuple[object, ...]]:
        rows = shop.database.rows("SELECT * FROM notification_state")
        return [(row["invited_at_ms"], row["mail_subject"], row["mail_header_id"]) for row in rows]

    keep(shop, keepMessagesDays=5)
    assert swept(opened) == 1
    assert remembered() == [(7, "My order", "<one@carols.example>")]
    age(shop, "messages", days=10)
    shop.send(user={"email": email})
    assert swept(opened) == 2
    assert remembered() == [(7, None, None)]
