"""A customer is found by an index, whatever is done with him: nothing reads all that the organization has, although
nobody ever ran ``ANALYZE``."""

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Connection, event, make_url

from harness.installation import Installation
from harness.outbox import Outbox
from harness.world import World
from shopbell import customer_export, customers, erasure, merges, retention
from shopbell.storage.schema import blocked_messages, messages
from shopbell.storage.sqlite import SqliteDatabase

NOW_MS = 10**12
GROWS = "customers|customer_identities|threads|messages|blocked_messages|deliver\\w+|possible_duplicates"
READS_ALL = re.compile(rf"^(SCAN ({GROWS})\b|SEARCH ({GROWS}) USING .*\(organization_id=\?\)$)")


def _erase(tx: Connection, acme: int, customer_id: int) -> None:
    person = erasure.forget(tx, acme, customer_id, "a test")
    for wipe in erasure.WIPES:
        place: erasure.Place | None = ()
        while place is not None:
            place = wipe(tx, acme, person, place)


def _merge_and_undo(tx: Connection, acme: int, one: int, other: int) -> None:
    _, merge_id = merges.merge(tx, acme, one, other, "a test")
    merges.undo(tx, acme, merge_id, "a test")


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
    "retention": lambda tx, acme, *_: _sweep(tx, acme),
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
        change("INSERT INTO blocked_messages VALUES (:o, :t, :c, 1, 'hello', 1)", **of)
        change(
            "INSERT INTO deliveries (organization_id, webhook_id, position, thread_id, state, body, created_at_ms)"
            " VALUES (:o, :w, :c, :t, 'waiting', 'hello', 1)",
            **of,
            w=webhook,
        )
    ran: list[tuple[str, Any]] = []
    event.listen(database.engine, "before_cursor_execute", lambda _c, _u, sql, given, *_: ran.append((sql, given)))

    def plans(tx: Connection) -> list[tuple[str, str]]:
        ran.clear()
        WHAT[what](tx, outbox.acme, one.customer_id, other.customer_id)
        explained = [each for each in ran if each[0].startswith(("SELECT", "UPDATE", "DELETE"))]
        return [
            (str(row.detail), sql)
            for sql, given in explained
            for row in tx.exec_driver_sql(f"EXPLAIN QUERY PLAN {sql}", given)
        ]

    try:
        steps = database.write_now(plans)
    finally:
        database.engine.dispose()
    assert steps
    assert [step for step in steps if READS_ALL.match(step[0])] == []
