"""Every access to a customer uses an index, without ``ANALYZE``."""

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Connection, event, make_url

from harness.installation import SECRET_KEY, Installation
from harness.outbox import Outbox
from harness.world import World
from shopbell.attachments import attachments
from shopbell.channels.email.store import is_new
from shopbell.channels.sms import inbound
from shopbell.conversations import customer_view, receive
from shopbell.conversations.erasure import Place
from shopbell.conversations.receive import Incoming
from shopbell.customers import customers, export, merges, search, visibility
from shopbell.customers.erasure import forget
from shopbell.customers.magic_links import CustomerLinks
from shopbell.customers.opt_outs import OptOuts
from shopbell.db.schema.core import blocked_messages, messages
from shopbell.db.sqlite import SqliteDatabase
from shopbell.email.reply_addresses import Audience, ReplyAddress
from shopbell.email.unsubscribe import Subscription
from shopbell.errors import NotFound
from shopbell.events.actors import SYSTEM
from shopbell.events.record import InThread
from shopbell.notifications import new_links, unsubscribe
from shopbell.operations import erasure, retention
from shopbell.security.keys import Keys
from shopbell.sms.inbound import InboundText

KEYS = Keys((SECRET_KEY.encode(),))
NOW_MS = 10**12
TEXT = InboundText("SM1", "SMS", "+16175550142", "+16175550100", "hello")
GROWS = (
    "customers|customer_identities|threads|messages|blocked_messages|deliver\\w+|possible_duplicates|outbound_messages"
)
READS_ALL = re.compile(rf"^(SCAN ({GROWS})\b|SEARCH ({GROWS}) USING .*\(organization_id=\?\)$)")
READS_A_CONVERSATION = re.compile(r"^SEARCH messages USING .*\(organization_id=\? AND thread_id=\?\)$")


def _erase(tx: Connection, acme: int, customer_id: int) -> None:
    person = forget(tx, acme, customer_id, actor=SYSTEM)
    for wipe in erasure.WIPES:
        place: Place | None = ()
        while place is not None:
            place = wipe(tx, acme, person, place)


def _merge_and_undo(tx: Connection, acme: int, one: int, other: int) -> None:
    _, merge_id = merges.merge(tx, acme, one, other, actor=SYSTEM)
    merges.undo(tx, acme, merge_id, actor=SYSTEM)


def _list(tx: Connection, acme: int, customer_id: int) -> None:
    ids = [row.id for row in customers.threads_of(tx, acme, [customer_id])]
    customer_view.summaries(tx, acme, ids, before_id=10**12, limit=9)


def _sweep(tx: Connection, acme: int) -> None:
    for table in (messages, blocked_messages):
        assert retention.sweep_messages(tx, table, acme, 1, 0, now_ms=NOW_MS).deleted


def _look_for_a_file(tx: Connection, acme: int) -> None:
    with pytest.raises(NotFound):
        attachments.check_within(tx, acme, 7, frozenset({1}), uploader_id=7)


WHAT: dict[str, Callable[[Connection, int, int, int], object]] = {
    "search by address": lambda tx, acme, *_: search.find_page(tx, acme, email="carol@example.com", limit=9),
    "search by number": lambda tx, acme, *_: search.find_page(tx, acme, phone="+16175550100", before_id=9, limit=9),
    "profile": lambda tx, acme, one, _: customers.profile(tx, acme, one),
    "identities": lambda tx, acme, one, _: customers.identities_of(tx, customers.find(tx, acme, one)),
    "duplicates": lambda tx, acme, one, _: customers.possible_duplicates_of(tx, customers.find(tx, acme, one)),
    "preview of a merge": lambda tx, acme, one, other: merges.preview(tx, acme, one, other),
    "merge": _merge_and_undo,
    "export": lambda tx, acme, one, _: export.begin(tx, acme, one),
    "erasure": lambda tx, acme, one, _: _erase(tx, acme, one),
    "list of his conversations": lambda tx, acme, one, _: _list(tx, acme, one),
    "retention": lambda tx, acme, *_: _sweep(tx, acme),
    "customers of a business": lambda tx, acme, one, other: visibility.within(tx, acme, [one, other], frozenset({1})),
    "file of a business": lambda tx, acme, *_: _look_for_a_file(tx, acme),
    "files without a message": lambda tx, *_: attachments.uses(tx, (0, 0), limit=9),
}


def _write(tx: Connection, acme: int, thread: InThread) -> None:
    message = Incoming(acme, thread.customer_id, thread.business_id, "WEB", "hello", "once")
    assert not receive.create_inbound_message(tx, message).repeated
    assert receive.create_inbound_message(tx, message).repeated


def _unsubscribe(tx: Connection, acme: int, thread: InThread) -> None:
    subscription = Subscription(acme, thread.id, Audience.CUSTOMER)
    unsubscribe.change(tx, subscription, OptOuts(KEYS), gets_emails=False, now_ms=NOW_MS)


def _ask_for_a_link(tx: Connection, acme: int, thread: InThread) -> None:
    made = CustomerLinks(KEYS)
    token = made.make(tx, acme, thread.id, "EMAIL", "carol@example.com", now_ms=NOW_MS)
    assert new_links.request(tx, made, token, now_ms=NOW_MS) == acme
    assert new_links.request(tx, made, token, now_ms=NOW_MS) is None


COMES_IN: dict[str, Callable[[Connection, int, InThread], object]] = {
    "message": _write,
    "mail": lambda tx, acme, thread: is_new(tx, ReplyAddress(acme, thread.id, Audience.CUSTOMER), "once"),
    "text": lambda tx, *_: inbound.store_text(tx, TEXT, OptOuts(KEYS), (), now_ms=NOW_MS),
    "end of the mails": _unsubscribe,
    "wish for a link": _ask_for_a_link,
}


@pytest.mark.parametrize("engine", ["sqlite"], indirect=True)
@pytest.mark.parametrize("what", WHAT)
def test_only_rows_of_the_customer_are_read(installation: Installation, people: World, what: str) -> None:
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
def test_an_inbound_message_reads_no_history(installation: Installation, people: World, what: str) -> None:
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
