"""Actions on up to 10,000 conversations, and their undo. Owns their tables.

An action runs in transactions of at most 100 threads, so that messages do not wait long. Each stores the states of its
threads before and after. An undo restores the states of threads that have not changed since. It is an action, too: undo
the undo to repeat the first action.
"""

import json
import time
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass

from sqlalchemy import Connection, delete, insert, select, tuple_

from shopbell.conversations import idempotency
from shopbell.conversations.side_effects import IdempotencyKey
from shopbell.db.businesses import is_among
from shopbell.db.ids import take_id
from shopbell.db.lock_order import lock_customers_shared
from shopbell.db.schema.core import threads as threads_table
from shopbell.db.schema.inbox_actions import action_items, actions
from shopbell.errors import Conflict, NotFound, RequestError
from shopbell.events import feed
from shopbell.inbox.action_kinds import KINDS, Kind, States, Who
from shopbell.organizations import employees

THREADS_MAX = 10_000
"""The maximum number of threads in an action."""

BATCH_THREADS = 100
"""The maximum number of threads in a transaction, because it locks the organization's feed."""

BATCH_S = 0.2
"""Seconds after which a transaction starts on no further thread."""

KEPT_MS = 24 * 60 * 60 * 1_000
"""How long an action can be undone."""

_BATCH_ROWS = 1_000
_A, _I, _T = actions.c, action_items.c, threads_table.c


@dataclass(frozen=True, slots=True)
class Action:
    """An action that has begun."""

    id: int
    kind: Kind


@dataclass(frozen=True, slots=True)
class Done:
    """The result of a transaction.

    Args:
        changed: the threads that it changed, now or before.
        business_of: the businesses of these threads, as far as the caller may see them.
        unchanged: how many threads were already in the requested state.
        refused: the threads that it could not change, each with the error.
        last_id: the last thread that it looked at; None if there was none.
        position: the position of the feed after it.
    """

    changed: Collection[int]
    business_of: Mapping[int, int]
    unchanged: int
    refused: Mapping[int, RequestError]
    last_id: int | None
    position: int


class ChangedSince(Conflict):
    """409: the conversation has changed since the action."""

    def __init__(self) -> None:
        super().__init__("The conversation has changed since.")


def begin(
    tx: Connection,
    organization_id: int,
    kind: Kind,
    thread_ids: Collection[int],
    who: Who,
    key: IdempotencyKey | None = None,
    body_hash: str = "",
) -> tuple[Action, bool]:
    """Begin an action, or continue the one of an earlier request with this key.

    Args:
        thread_ids: at most ``THREADS_MAX``.
        key: the idempotency key.
        body_hash: SHA-256 of the request as 64 hexadecimal digits, if there is a key.

    Returns:
        The action, and whether an earlier request began it.

    Raises:
        NotFound: 404; the employee is not active, a thread does not exist, or it is with a business that the caller may
            not see.
        RequestError: 400, 404; the kind cannot be done at all.
        IdempotencyKeyReused: 422.
    """
    id_ = take_id(tx)
    if key is not None:
        former_id = idempotency.claim(tx, key, body_hash, id_, now_ms=who.now_ms)
        if former_id is not None:
            return Action(former_id, kind), True
    employees.check_acting(tx, organization_id, who.employee_id)
    kind.check(tx, organization_id, who)
    if len(_visible(tx, organization_id, thread_ids, who)) < len(set(thread_ids)):
        raise NotFound("customerThreadIds")
    return _create(tx, organization_id, id_, kind, who), False


def do(tx: Connection, organization_id: int, action: Action, thread_ids: Sequence[int], who: Who) -> Done:
    """Do an action to the first of some threads that it has not changed yet.

    Args:
        thread_ids: at most ``BATCH_THREADS``, in ascending order.
    """
    kind = action.kind
    business_of = _lock(tx, organization_id, kind, thread_ids, who)
    done = _items(tx, organization_id, action.id, thread_ids)
    before = kind.read(tx, organization_id, [id_ for id_ in business_of if id_ not in done], who)

    def apply(id_: int) -> None:
        if id_ not in business_of:
            raise NotFound("customerThreadId")
        kind.apply(tx, organization_id, id_, before[id_], who)

    reached, refused = _each(tx, thread_ids, done, apply)
    tried = {id_: before[id_] for id_ in reached if id_ not in refused and id_ not in done}
    changed = _store(tx, organization_id, action, tried, who)
    changed |= done.intersection(reached)
    unchanged = len(reached) - len(refused) - len(changed)
    position = feed.last_position(tx, organization_id)
    return Done(changed, business_of, unchanged, refused, max(reached, default=None), position)


def begin_undo(tx: Connection, organization_id: int, action_id: int, who: Who) -> tuple[Action, Action]:
    """Begin to undo an action, or continue an undo that has begun.

    Returns:
        The action, and the one that undoes it.

    Raises:
        NotFound: 404; the employee is not active, or there is no action of this id in the last 24 hours, or someone
            else did it.
    """
    employees.check_acting(tx, organization_id, who.employee_id)
    of_action = (_A.organization_id == organization_id, _A.id == action_id, _A.created_at_ms > who.now_ms - KEPT_MS)
    # Locked, so that two requests at the same moment use one reversal.
    row = tx.execute(select(actions).where(*of_action).with_for_update()).first()
    author = (who.employee_id, who.employee_id or who.caller_id)
    if row is None or (row.employee_id, row.employee_id or row.caller_id) != author:
        raise NotFound("actionId")
    kind = KINDS[row.type](**json.loads(row.details))
    begun = select(_A.id).where(_A.organization_id == organization_id, _A.reverses_id == action_id)
    reversal_id = tx.scalar(begun)
    if reversal_id is not None:
        return Action(action_id, kind), Action(reversal_id, kind)
    return Action(action_id, kind), _create(tx, organization_id, take_id(tx), kind, who, reverses_id=action_id)


def undo(tx: Connection, organization_id: int, action: Action, reversal: Action, after_id: int, who: Who) -> Done:
    """Undo an action in the next threads where it is not undone yet.

    Args:
        action: the action.
        reversal: the action that undoes it.
        after_id: where the previous transaction ended, 0 for the first one.

    Returns:
        ``refused`` has ``ChangedSince`` for threads that have changed since.
    """
    query = select(_I.thread_id, _I.before, _I.after).where(
        _I.organization_id == organization_id, _I.action_id == action.id, _I.thread_id > after_id
    )
    items = {
        id_: (json.loads(before), json.loads(after))
        for id_, before, after in tx.execute(query.order_by(_I.thread_id).limit(BATCH_THREADS))
    }
    kind = action.kind
    business_of = _lock(tx, organization_id, kind, items, who)
    done = _items(tx, organization_id, reversal.id, items)
    now = kind.read(tx, organization_id, [id_ for id_ in business_of if id_ not in done], who)

    def restore(id_: int) -> None:
        before, after = items[id_]
        if id_ not in business_of:
            raise NotFound("customerThreadId")
        if not kind.is_same(now[id_], after):
            raise ChangedSince
        kind.restore(tx, organization_id, id_, before, who)

    reached, refused = _each(tx, items, done, restore)
    tried = {id_: now[id_] for id_ in reached if id_ not in refused and id_ not in done}
    changed = _store(tx, organization_id, reversal, tried, who)
    changed |= done.intersection(reached)
    position = feed.last_position(tx, organization_id)
    return Done(changed, business_of, 0, refused, max(reached, default=None), position)


def forget_old(tx: Connection, now_ms: int) -> bool:
    """Delete some actions that can no longer be undone.

    Returns:
        Whether more are left.
    """
    old = select(_A.organization_id, _A.id).where(_A.created_at_ms <= now_ms - KEPT_MS)
    keys = [tuple(row) for row in tx.execute(old.order_by(_A.created_at_ms).limit(_BATCH_ROWS))]
    place = tuple_(_I.organization_id, _I.action_id)
    items = select(*action_items.primary_key.columns).where(place.in_(keys)).limit(_BATCH_ROWS)
    these = tuple_(*action_items.primary_key.columns).in_(items)
    if tx.execute(delete(action_items).where(these)).rowcount == _BATCH_ROWS:
        return True
    tx.execute(delete(actions).where(tuple_(_A.organization_id, _A.id).in_(keys)))
    return len(keys) == _BATCH_ROWS


def _create(
    tx: Connection, organization_id: int, id_: int, kind: Kind, who: Who, *, reverses_id: int | None = None
) -> Action:
    row = {
        "organization_id": organization_id,
        "id": id_,
        "caller_id": who.caller_id,
        "employee_id": who.employee_id,
        "type": kind.type,
        "details": json.dumps(asdict(kind)),  # type: ignore[call-overload]  # each kind is a dataclass
        "reverses_id": reverses_id,
        "created_at_ms": who.now_ms,
    }
    tx.execute(insert(actions).values(row))
    return Action(id_, kind)


def _visible(tx: Connection, organization_id: int, thread_ids: Collection[int], who: Who) -> list[int]:
    these = (_T.organization_id == organization_id, _T.id.in_(thread_ids), _T.last_sequence > 0)
    return list(tx.scalars(select(_T.id).where(*these, is_among(_T.business_id, who.businesses))))


def _lock(tx: Connection, organization_id: int, kind: Kind, thread_ids: Collection[int], who: Who) -> dict[int, int]:
    """Lock threads in the order of their ids, before the first event locks the feed.

    A batch of messages locks its threads in another order. If it fails because of an action, it runs before the
    next action.

    Returns:
        The threads that exist and that the caller may see, with their businesses.
    """
    lock_customers_shared(tx)
    all_ids = {*thread_ids, *kind.also_locks(tx, organization_id, thread_ids)}
    query = select(_T.id, _T.business_id, _T.last_sequence).where(
        _T.organization_id == organization_id, _T.id.in_(all_ids)
    )
    found = tx.execute(query.order_by(_T.id).with_for_update()).all()
    return {
        id_: business_id
        for id_, business_id, last_sequence in found
        if id_ in thread_ids and last_sequence > 0 and (who.businesses is None or business_id in who.businesses)
    }


def _each(
    tx: Connection, thread_ids: Iterable[int], done: Collection[int], change: Callable[[int], None]
) -> tuple[list[int], dict[int, RequestError]]:
    """Change threads until ``BATCH_S`` has passed.

    Args:
        done: threads that are left as they are.
        change: changes one thread; what it has done is rolled back if it raises.

    Returns:
        The threads that were reached, and those of them that could not be changed.
    """
    reached: list[int] = []
    refused: dict[int, RequestError] = {}
    ends_at_s = time.monotonic() + BATCH_S
    for id_ in thread_ids:
        if reached and time.monotonic() > ends_at_s:
            break
        reached.append(id_)
        if id_ in done:
            continue
        try:
            with tx.begin_nested():
                change(id_)
        except RequestError as error:
            refused[id_] = error
    return reached, refused


def _items(tx: Connection, organization_id: int, action_id: int, thread_ids: Collection[int]) -> set[int]:
    """Those of these threads that an action has changed."""
    of_action = (_I.organization_id == organization_id, _I.action_id == action_id, _I.thread_id.in_(thread_ids))
    return set(tx.scalars(select(_I.thread_id).where(*of_action)))


def _store(tx: Connection, organization_id: int, action: Action, before: States, who: Who) -> set[int]:
    """Store the items of an action; returns the threads whose state has changed."""
    after = action.kind.read(tx, organization_id, list(before), who)
    changed = [id_ for id_ in before if not action.kind.is_same(before[id_], after[id_])]
    key = {"organization_id": organization_id, "action_id": action.id}
    rows = [
        key | {"thread_id": id_, "before": json.dumps(before[id_]), "after": json.dumps(after[id_])} for id_ in changed
    ]
    if rows:
        tx.execute(insert(action_items), rows)
    return set(changed)
