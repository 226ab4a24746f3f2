"""Queues and deliveries, row by row: what claims and settlements are written with."""

from collections import Counter
from collections.abc import Collection, Mapping
from functools import cache
from typing import Any

from sqlalchemy import Connection, Update, bindparam, delete, exists, select, text, tuple_, update
from sqlalchemy.sql.expression import TextClause

from shopbell.schedule import WebhookKey
from shopbell.storage.delivery_schema import deliveries, delivery_queues, webhooks

D, Q, W = deliveries.c, delivery_queues.c, webhooks.c

QueueKey = tuple[int, int, int, int]
"""Organization, webhook, thread, and 0 or the position of a delivery that holds up no others."""

DeliveryKey = tuple[int, int, int]
"""Organization, webhook, position of the event."""

Parameters = dict[str, Any]

QUEUE_KEY = (Q.organization_id, Q.webhook_id, Q.thread_id, Q.background)
DELIVERY_KEY = (D.organization_id, D.webhook_id, D.position)
WEBHOOK_KEY = (W.organization_id, W.id)

# Statements are made once: to put one together takes as long as to run it.
THESE_QUEUES = tuple_(*QUEUE_KEY).in_(bindparam("keys", expanding=True))
THESE_DELIVERIES = tuple_(*DELIVERY_KEY).in_(bindparam("keys", expanding=True))
THESE_WEBHOOKS = tuple_(*WEBHOOK_KEY).in_(bindparam("keys", expanding=True))
OPEN = (W.enabled, W.deleted_at_ms.is_(None))
"""The conditions of a webhook to which deliveries go now."""

# Written out, so that both engines see that the index of unsettled deliveries has them all.
WAITING = text("deliveries.state = 'waiting'")


def _one_queue(*columns: str) -> Update:
    c = delivery_queues.c
    here = (c[name] == bindparam(f"of_{name}") for name in ("organization_id", "webhook_id", "thread_id", "background"))
    return update(delivery_queues).where(*here).values({name: bindparam(f"to_{name}") for name in columns})


def _one_delivery(*columns: str) -> Update:
    c = deliveries.c
    here = (c[name] == bindparam(f"of_{name}") for name in ("organization_id", "webhook_id", "position"))
    return update(deliveries).where(*here).values({name: bindparam(f"to_{name}") for name in columns})


LEASE = _one_queue("due_at_ms", "leased_until_ms")
_MOVE = _one_queue("position", "due_at_ms", "leased_until_ms")
START = _one_delivery("attempts", "first_attempt_at_ms")
START_WITH_BODY = _one_delivery("attempts", "first_attempt_at_ms", "payload_version", "body")
STEP_ON = _one_delivery("step")
FINISH = _one_delivery("state", "settled_at_ms")


def of_queue(key: QueueKey, **values: object) -> Parameters:
    """The parameters of a statement about one queue."""
    organization_id, webhook_id, thread_id, background = key
    given = {f"to_{name}": value for name, value in values.items()}
    return given | {
        "of_organization_id": organization_id,
        "of_webhook_id": webhook_id,
        "of_thread_id": thread_id,
        "of_background": background,
    }


def of_delivery(key: DeliveryKey, **values: object) -> Parameters:
    """The parameters of a statement about one delivery."""
    organization_id, webhook_id, position = key
    given = {f"to_{name}": value for name, value in values.items()}
    return given | {"of_organization_id": organization_id, "of_webhook_id": webhook_id, "of_position": position}


def run(tx: Connection, *statements: tuple[Update, list[Parameters]]) -> None:
    """Run statements, each for its rows; those without any are left out."""
    for statement, rows in statements:
        if rows:
            tx.execute(statement, rows)


def due_queues(wanted: Mapping[WebhookKey, int], now_ms: int) -> tuple[TextClause, Parameters]:
    """The keys of the queues that are due longest, of each webhook so many.

    One statement of as many pieces as there are webhooks: neither engine can say "so many of each" and use the index
    for it in a way that the other understands. The ``+ 0`` keeps both from the primary key, which knows more of the
    columns, but would have to be read through to its end.
    """
    parameters: Parameters = {"now_ms": now_ms}
    for number, ((organization_id, webhook_id), count) in enumerate(sorted(wanted.items())):
        parameters |= {f"o{number}": organization_id, f"w{number}": webhook_id, f"c{number}": count}
    return _due_queues(len(wanted)), parameters


@cache
def _due_queues(webhooks: int) -> TextClause:
    pieces = (
        "SELECT * FROM (SELECT organization_id, webhook_id, thread_id, background FROM delivery_queues"
        f" WHERE organization_id + 0 = :o{number} AND webhook_id = :w{number} AND due_at_ms <= :now_ms"
        f" ORDER BY due_at_ms LIMIT :c{number}) AS due{number}"
        for number in range(webhooks)
    )
    return text(" UNION ALL ".join(pieces))


def advance(tx: Connection, left: Mapping[QueueKey, int]) -> None:
    """Let queues go on behind a delivery that is no longer at their head; one with nothing left is taken away.

    Args:
        tx: the transaction, which holds the queues' rows.
        left: when what comes next is due, in Unix ms, of each queue whose head has left.
    """
    if not left:
        return
    threads = {key for key in left if key[3] == 0}
    following = _next_of(tx, threads)
    moved = [
        of_queue(key, position=following[key], due_at_ms=left[key], leased_until_ms=None)
        for key in sorted(threads)
        if following.get(key) is not None
    ]
    ended = [key for key in left if following.get(key) is None]
    run(tx, (_MOVE, moved))
    if ended:
        tx.execute(_DROP, {"keys": sorted(ended)})


def _first_of_threads() -> Any:
    """The first delivery of each thread that waits and has no queue of its own."""
    beside = delivery_queues.alias("beside")
    alone = exists().where(
        beside.c.organization_id == D.organization_id,
        beside.c.webhook_id == D.webhook_id,
        beside.c.thread_id == D.thread_id,
        beside.c.background == D.position,
    )
    first = (
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
    return select(*QUEUE_KEY, first).where(THESE_QUEUES)


_FIRST_OF_THREADS = _first_of_threads()
_DROP = delete(delivery_queues).where(THESE_QUEUES)


def _next_of(tx: Connection, keys: Collection[QueueKey]) -> dict[QueueKey, int | None]:
    if not keys:
        return {}
    rows = tx.execute(_FIRST_OF_THREADS, {"keys": sorted(keys)})
    return {(row[0], row[1], row[2], row[3]): row[4] for row in rows}


# Counted here and not there: to group them, both engines would read all queues in the order of their key. For the same
# reason they are asked for in the order of the index of what is leased.
_UNDER_WAY = (
    select(Q.organization_id, Q.webhook_id)
    .where(Q.leased_until_ms > bindparam("now_ms"), Q.leased_until_ms.is_not(None))
    .order_by(Q.leased_until_ms)
)


def under_way(tx: Connection, now_ms: int) -> dict[WebhookKey, int]:
    """How many deliveries to each webhook are leased."""
    return Counter((row[0], row[1]) for row in tx.execute(_UNDER_WAY, {"now_ms": now_ms}))
