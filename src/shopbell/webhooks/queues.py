"""Statements on queues and deliveries, for claims and settlements."""

from collections import Counter
from collections.abc import Mapping
from functools import cache
from typing import Any

from sqlalchemy import (
    ColumnElement,
    Connection,
    Table,
    bindparam,
    case,
    delete,
    exists,
    func,
    or_,
    select,
    text,
    tuple_,
    update,
)
from sqlalchemy.sql.expression import TextClause

from shopbell.db.json_rows import json_rows
from shopbell.db.schema.webhooks import deliveries, delivery_queues, webhooks
from shopbell.webhooks.retry_policy import WebhookKey

D, Q, W = deliveries.c, delivery_queues.c, webhooks.c

QueueKey = tuple[int, int, int, int]
"""Organization, webhook, thread, and 0 or the position of a delivery for which no other waits."""

DeliveryKey = tuple[int, int, int]
"""Organization, webhook, position of the event."""

Values = tuple[Any, ...]
"""The key of a row, and the new values of its columns."""

QUEUE_KEY = (Q.organization_id, Q.webhook_id, Q.thread_id, Q.background)
DELIVERY_KEY = (D.organization_id, D.webhook_id, D.position)
WEBHOOK_KEY = (W.organization_id, W.id)


def _these(*key: ColumnElement[Any]) -> ColumnElement[bool]:
    return tuple_(*key).in_(select(*json_rows("keys", key)))


# Statements are built once: building one takes as long as running it.
THESE_QUEUES = _these(*QUEUE_KEY)
THESE_DELIVERIES = _these(*DELIVERY_KEY)
THESE_WEBHOOKS = _these(*WEBHOOK_KEY)
OPEN = (W.enabled, W.deleted_at_ms.is_(None))
"""The conditions of an enabled webhook."""

# A literal, so that both engines use the partial index of waiting deliveries.
WAITING = text("deliveries.state = 'waiting'")


class Change:
    """An update of rows of a table, found by their keys.

    Args:
        table: the table.
        columns: the columns to set.
    """

    def __init__(self, table: Table, *columns: str) -> None:
        key = list(table.primary_key)
        given = json_rows("rows", [*key, *(table.c[name] for name in columns)])
        here = (column == value for column, value in zip(key, given, strict=False))
        self._update = update(table).where(*here).values(dict(zip(columns, given[len(key) :], strict=True)))
        places = [f"{name} = ?{place}" for place, name in enumerate([*(column.name for column in key), *columns], 1)]
        new, found = ", ".join(places[len(key) :]), " AND ".join(places[: len(key)])
        self._each_on_sqlite = f"UPDATE {table.name} SET {new} WHERE {found}"

    def of(self, tx: Connection, rows: list[Values]) -> None:
        """Update any number of rows: on PostgreSQL with one statement, on SQLite with one for each."""
        if not rows:
            return
        if tx.dialect.name == "sqlite":
            tx.exec_driver_sql(self._each_on_sqlite, rows)
        else:
            tx.execute(self._update, {"rows": rows})


LEASE = Change(delivery_queues, "due_at_ms", "leased_until_ms", "slot")
RELEASE = Change(delivery_queues, "due_at_ms", "leased_until_ms")
START = Change(deliveries, "attempts", "first_attempt_at_ms")
START_WITH_BODY = Change(deliveries, "attempts", "first_attempt_at_ms", "payload_version", "body")
STEP_ON = Change(deliveries, "step")
FINISH = Change(deliveries, "state", "settled_at_ms")


def due_queues(wanted: Mapping[WebhookKey, int], now_ms: int) -> tuple[TextClause, dict[str, int]]:
    """The statement for the queues that have been due longest, with a limit for each webhook.

    Its rows are key, position and due time. It has one part for each webhook: no form of "the first n of each" uses the
    index on both engines. The ``+ 0`` keeps both off the primary key, which matches more columns but would be read to
    its end.
    """
    parameters = {"now_ms": now_ms}
    for number, ((organization_id, webhook_id), count) in enumerate(sorted(wanted.items())):
        parameters |= {f"o{number}": organization_id, f"w{number}": webhook_id, f"c{number}": count}
    return _due_queues(len(wanted)), parameters


@cache
def _due_queues(webhooks: int) -> TextClause:
    pieces = (
        "SELECT * FROM (SELECT organization_id, webhook_id, thread_id, background, position, due_at_ms"
        f" FROM delivery_queues WHERE organization_id + 0 = :o{number} AND webhook_id = :w{number}"
        f" AND due_at_ms <= :now_ms ORDER BY due_at_ms LIMIT :c{number}) AS due{number}"
        for number in range(webhooks)
    )
    return text(" UNION ALL ".join(pieces))


def advance(tx: Connection, left: Mapping[QueueKey, int], *, now_ms: int) -> None:
    """Move queues on to their next delivery, and delete those without one.

    A thread's queue whose next delivery is due in the future stays: a delivery that comes before then waits, too.

    The statements have no results.

    Args:
        tx: the transaction; it holds the locks of the queues.
        left: for each queue whose head was settled, when its next delivery is due, in Unix ms.
    """
    if not left:
        return
    done = sorted(key for key, due_at_ms in left.items() if key[3] or due_at_ms <= now_ms)
    if done:
        tx.execute(_DROP_LAST, {"keys": done})
    threads = [(*key, left[key]) for key in sorted(left) if key[3] == 0]
    if threads:
        tx.execute(_MOVE_ON, {"rows": threads})


def _first_of_thread() -> Any:
    """The first waiting delivery of a queue's thread that has no queue of its own."""
    beside = delivery_queues.alias("beside")
    alone = exists().where(
        beside.c.organization_id == D.organization_id,
        beside.c.webhook_id == D.webhook_id,
        beside.c.thread_id == D.thread_id,
        beside.c.background == D.position,
    )
    return (
        select(D.position)
        .where(
            D.organization_id + 0 == Q.organization_id,  # as in `due_queues`
            D.webhook_id == Q.webhook_id,
            D.thread_id == Q.thread_id,
            WAITING,
            ~alone,
        )
        .order_by(D.position)
        .limit(1)
        .correlate(delivery_queues)
        .scalar_subquery()
    )


FIRST_OF_THREAD = _first_of_thread()
_DROP_LAST = delete(delivery_queues).where(THESE_QUEUES, or_(Q.background != 0, FIRST_OF_THREAD.is_(None)))


def _move_on() -> Any:
    *key, due_at_ms = json_rows("rows", [*QUEUE_KEY, Q.due_at_ms])
    here = (column == value for column, value in zip(QUEUE_KEY, key, strict=True))
    new = {"position": func.coalesce(FIRST_OF_THREAD, 0), "due_at_ms": due_at_ms, "leased_until_ms": None}
    return update(delivery_queues).where(*here).values(new)


_MOVE_ON = _move_on()


# The ``+ 0`` keeps both engines from scanning all queues in the order of their key.
_UNDER_WAY = (
    select(Q.organization_id + 0, Q.webhook_id + 0, Q.slot)
    .where(Q.leased_until_ms > bindparam("now_ms"), Q.leased_until_ms.is_not(None))
    .distinct()
)


def under_way(tx: Connection, now_ms: int) -> dict[WebhookKey, int]:
    """How many slots of each webhook are in use by all workers."""
    return Counter((row[0], row[1]) for row in tx.execute(_UNDER_WAY, {"now_ms": now_ms}))


def move_up(tx: Connection, by_ms: int, *, now_ms: int) -> None:
    """Make everything that waits due ``by_ms`` earlier. What is leased stays: its worker settles it."""
    earlier_ms = Q.due_at_ms - by_ms
    tx.execute(
        update(delivery_queues)
        .where(Q.due_at_ms > now_ms, Q.leased_until_ms.is_(None))
        .values(due_at_ms=case((earlier_ms > now_ms, earlier_ms), else_=now_ms))
    )
