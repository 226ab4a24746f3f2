"""A customer is found by an index, whatever is done with him: nothing reads all that the organization has, although
nobody ever ran ``ANALYZE``."""

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Connection, event, make_url

from harness.installation import SECRET_KEY, Installation
from harness.outbox import Outbox
from harness.world import World
from shopbell import conversation, customer_export, customers, erasure, incoming, merges, retention, text_intake
from shopbell.customer_links import CustomerLinks
from shopbell.events import InThread
from shopbell.http.customer import links
from shopbell.incoming import Incoming
from shopbell.keys import Keys
from shopbell.mail.addresses import Audience, ReplyAddress
from shopbell.mail.unsubscribe import Subscription
from shopbell.mail_intake.keeping import is_new
from shopbell.opt_outs import OptOuts
from shopbell.outreach import subscriptions
from shopbell.storage.schema import blocked_messages, messages
from shopbell.storage.sqlite import SqliteDatabase
from shopbell.texting.inbound import InboundText

KEYS = Keys((SECRET_KEY.encode(),))
NOW_MS = 10**12
TEXT = InboundText("SM1", "SMS", "+16175550142", "+16175550100", "hello")
GROWS = "customers|customer_identities|threads|messages|blocked_messages|deliver\\w+|possible_duplicates|dispatches"
READS_ALL = re.compile(rf"^(SCAN ({GROWS})\b|SEARCH ({GROWS}) USING .*\(organization_id=\?\)$)")
READS_A_CONVERSATION = re.compile(r"^SEARCH messages USING .*\(organization_id=\? AND thread_id=\?\)$")


def _erase(tx: Connection, acme: int, customer_id: int) -> None:
    person = erasure.forget(tx, acme, customer_id, "a test")
    for wipe in erasure.WIPES:
        place: erasure.Place | None = ()
        while place is not None:
            place = wipe(tx, acme, person, place)


def _merge_and_undo(tx: Connection, acme: int, one: int, other: int) -> None:
    _, merge_id = merges.merge(tx, acme, one, other, "a test")
    merges.undo(tx, acme, merge_id, "a test")


def _list(tx: Connection, acme: int, customer_id: int) -> None:
    ids = [row.id for row in customers.threads_of(tx, acme, [customer_id])]
    conversation.summaries(tx, acme, ids, before_id=10**12, limit=9)


def _sweep(tx: Connection, acme: int) -> None:
    for table in (messages, blocked_messages):
        assert retention.sweep_messages(tx, table, acme, 1, 0, now_ms=NOW_MS).deleted


WHAT: dict[str, Callable[[Connection, int, int, int], object]] = {
    "search by address": lambda tx, acme, *_: customers.search(tx, acme, email="carol@example.com", limit=9),
    "search by number": lambda tx, acme, *_: customers.search(tx, acme, phone="+16175550100", before_id=9, limit=9),
    "profile": lambda tx, acme, one, _: customers.profile(tx, acme, one),
    "identities": lambda tx, acme, one, _: customers.identities_of(tx, customers.find(tx, acme, one)),
    "duplicates": lambda tx, acme, one, _: customers.possible_duplicates_of(tx, customers.find(tx, acme, one)),
    "preview of a merge": lambda tx, acme, one, other: merges.preview(tx, acme, one, other),
    "merge": _merge_and_undo,
    "export": lambda tx, acme, one, _: customer_export.begin(tx, acme, one),
    "erasure": lambda tx, acme, one, _: _erase(tx, acme, one),
    "list of his conversations": lambda tx, acme, one, _: _list(tx, acme, one),
    "retention": lambda tx, acme, *_: _sweep(tx, acme),
}


def _write(tx: Connection, acme: int, thread: InThread) -> None:
    message = Incoming(acme, thread.customer_id, thread.business_id, "WEB", "hello", "once")
    assert not incoming.receive(tx, message).repeated
    assert incoming.receive(tx, message).repeated


def _unsubscribe(tx: Connection, acme: int, thread: InThread) -> None:
    subscription = Subscription(acme, thread.id, Audience.CUSTOMER)
    subscriptions.change(tx, subscription, OptOuts(KEYS), gets_mails=False, now_ms=NOW_MS)


def _ask_for_a_link(tx: Connection, acme: int, thread: InThread) -> None:
    made = CustomerLinks(KEYS)
    token = made.make(tx, acme, thread.id, "EMAIL", "carol@example.com", now_ms=NOW_MS)
    assert links._promise_new_link(tx, made, token, now_ms=NOW_MS) == acme
    assert links._promise_new_link(tx, made, token, now_ms=NOW_MS) is None


COMES_IN: dict[str, Callable[[Connection, int, InThread], object]] = {
    "message": _write,
    "mail": lambda tx, acme, thread: is_new(tx, ReplyAddress(acme, thread.id, Audience.CUSTOMER), "once"),
    "text": lambda tx, *_: text_intake.keep(tx, TEXT, OptOuts(KEYS), (), now_ms=NOW_MS),
    "end of the mails": _unsubscribe,
    "wish for a link": _ask_for_a_link,
}


@pytest.mark.parametrize("engine", ["sqlite"], indirect=True)
@pytest.mark.parametrize("what", WHAT)
def test_only_what_is_the_customers_is_read(installation: Installation, people: World, what: str) -> None:
    database = SqliteDatabase(Path(make_url(installation.database.url).database or ""))
    outbox = Outbox(installation, people, database)
    webhook, one, other = outbox.webhook(), outbox.thread(), outbox.thread()
    change = installation.database.change
    for thread in (one, other):
        of = {"o": outbox.acme, "c": thread.customer_id, "t": thread.id}
        change(
            "INSERT INTO customer_identities (organization_id, kind, value, customer_id, shown, created_at_ms)"
            " VALUES (:o, 'email', :c, :c, :c, 1)",
            o=outbox.acme,
            c=thread.customer_id,
        )
        for sequence in (1, 2, 3):
            change(
                "INSERT INTO messages (organization_id, thread_id, sequence, id, from_customer, body, created_at_ms)"
                " VALUES (:o, :t, :s, :s + 10 * :c, true, 'hello', 1)",
                **of,
                s=sequence,
            )
        change("INSERT INTO blocked_messages VALUES (:o, :t, :c, 1, 'hello', 1, NULL)", **of)
        change(
            "INSERT INTO deliveries (organization_id, webhook_id, position, thread_id, state, body, created_at_ms)"
            " VALUES (:o, :w, :c, :t, 'waiting', 'hello', 1)",
            **of,
            w=webhook,
        )
    try:
        steps = plans(database, lambda tx: WHAT[what](tx, outbox.acme, one.customer_id, other.customer_id))
    finally:
        database.engine.dispose()
    assert steps
    assert [step for step in steps if READS_ALL.match(step[0])] == []


@pytest.mark.parametrize("engine", ["sqlite"], indirect=True)
@pytest.mark.parametrize("what", COMES_IN)
def test_what_comes_in_reads_neither_its_conversation_nor_what_was_sent_to_others(
    installation: Installation, people: World, what: str
) -> None:
    database = SqliteDatabase(Path(make_url(installation.database.url).database or ""))
    outbox = Outbox(installation, people, database)
    thread = outbox.thread()
    installation.database.change(
        "UPDATE customers SET unverified_email = 'carol@example.com' WHERE id = :c", c=thread.customer_id
    )
    try:
        steps = plans(database, lambda tx: COMES_IN[what](tx, outbox.acme, thread))
    finally:
        database.engine.dispose()
    assert steps
    assert [step for step in steps if READS_ALL.match(step[0]) or READS_A_CONVERSATION.match(step[0])] == []


def plans(database: SqliteDatabase, work: Callable[[Connection], object]) -> list[tuple[str, str]]:
    """How SQLite goes about each statement of a transaction, beside the statement."""
    ran: list[tuple[str, Any]] = []
    event.listen(database.engine, "before_cursor_execute", lambda _c, _u, sql, given, *_: ran.append((sql, given)))

    def explain(tx: Connection) -> list[tuple[str, str]]:
        ran.clear()
        work(tx)
        explained = [each for each in ran if each[0].startswith(("SELECT", "UPDATE", "DELETE"))]
        return [
            (str(row.detail), sql)
            for sql, given in explained
            for row in tx.exec_driver_sql(f"EXPLAIN QUERY PLAN {sql}", given)
        ]

    return database.write_now(explain)
