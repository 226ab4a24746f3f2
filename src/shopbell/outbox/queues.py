"""Queues and deliveries, row by row: what claims and settlements are written with."""

from collections import Counter
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from functools import cache, cached_property
from typing import Any

import orjson
from sqlalchemy import (
    ColumnElement,
    Connection,
    Dialect,
    Table,
    Text,
    TypeDecorator,
    Update,
    bindparam,
    cast,
    delete,
    exists,
    literal_column,
    select,
    text,
    tuple_,
    update,
)
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.sql.compiler import SQLCompiler
from sqlalchemy.sql.expression import TextClause
from sqlalchemy.sql.functions import FunctionElement

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


class _Rows(TypeDecorator[Any]):
    """Rows of values, which travel as one JSON document: a statement is the same one, however many they are."""

    impl = Text
    cache_ok = True

    def process_bind_param(self, value: Any, dialect: Dialect) -> str:  # noqa: ARG002 - both engines read it
        return orjson.dumps(value).decode()


class _each_row(FunctionElement[Any]):  # noqa: N801 - a function of SQL
    """The rows of such a document, as a table with the column ``value``."""

    name = "each_row"
    inherit_cache = True


@compiles(_each_row, "postgresql")
def _each_row_of_postgresql(element: _each_row, compiler: SQLCompiler, **options: Any) -> str:
    return f"json_array_elements(CAST({compiler.process(element.clauses, **options)} AS json))"


@compiles(_each_row, "sqlite")
def _each_row_of_sqlite(element: _each_row, compiler: SQLCompiler, **options: Any) -> str:
    return f"json_each({compiler.process(element.clauses, **options)})"


def _values(name: str, columns: Iterable[ColumnElement[Any]]) -> list[ColumnElement[Any]]:
    """The values of the rows in the parameter ``name``, which are for these columns."""
    row = _each_row(bindparam(name, type_=_Rows)).table_valued("value").c.value
    return [cast(row.op("->>")(literal_column(str(place))), column.type) for place, column in enumerate(columns)]


def _these(*key: ColumnElement[Any]) -> ColumnElement[bool]:
    return tuple_(*key).in_(select(*_values("keys", key)))


# Statements are made once: to put one together takes as long as to run it.
THESE_QUEUES = _these(*QUEUE_KEY)
THESE_DELIVERIES = _these(*DELIVERY_KEY)
THESE_WEBHOOKS = _these(*WEBHOOK_KEY)
OPEN = (W.enabled, W.deleted_at_ms.is_(None))
"""The conditions of a webhook to which deliveries go now."""

# Written out, so that both engines see that the index of unsettled deliveries has them all.
WAITING = text("deliveries.state = 'waiting'")


@dataclass(frozen=True)
class Change:
    """A change of rows of one table, each found by its key.

    Args:
        table: which one.
        columns: what changes.
    """

    table: Table
    columns: tuple[str, ...]

    @cached_property
    def _names(self) -> list[str]:
        keys = [f"of_{column.name}" for column in self.table.primary_key]
        return keys + [f"to_{name}" for name in self.columns]

    @cached_property
    def _statement(self) -> Update:
        key = list(self.table.primary_key)
        given = _values("rows", [*key, *(self.table.c[name] for name in self.columns)])
        here = (column == value for column, value in zip(key, given, strict=False))
        return update(self.table).where(*here).values(dict(zip(self.columns, given[len(key) :], strict=True)))

    def of(self, tx: Connection, rows: list[Parameters]) -> None:
        """Make it, of so many rows with one statement."""
        if rows:
            tx.execute(self._statement, {"rows": [[row[name] for name in self._names] for row in rows]})


def _one_queue(*columns: str) -> Change:
    return Change(delivery_queues, columns)


def _one_delivery(*columns: str) -> Change:
    return Change(deliveries, columns)


LEASE = _one_queue("due_at_ms", "leased_until_ms", "slot")
RELEASE = _one_queue("due_at_ms", "leased_until_ms")
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


def run(tx: Connection, *changes: tuple[Change, list[Parameters]]) -> None:
    """Make changes, each of its rows; those without any are left out."""
    for change, rows in changes:
        change.of(tx, rows)


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


# The ``+ 0`` keeps both engines from reading all queues in the order of their key.
_UNDER_WAY = (
    select(Q.organization_id + 0, Q.webhook_id + 0, Q.slot)
    .where(Q.leased_until_ms > bindparam("now_ms"), Q.leased_until_ms.is_not(None))
    .distinct()
)


def under_way(tx: Connection, now_ms: int) -> dict[WebhookKey, int]:
    """How many slots each webhook holds, whichever workers have them."""
    return Counter((row[0], row[1]) for row in tx.execute(_UNDER_WAY, {"now_ms": now_ms}))
