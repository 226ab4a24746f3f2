"""THE HOT PATH: messages of customers, stored in batches.

``create_customer_messages`` stores a batch with a fixed number of statements, however many messages it has. (On SQLite,
a statement that is executed for each row of a batch counts once.)

    PostgreSQL    2: find what is known, write everything
    SQLite       20: BEGIN, 3 to find what is known, take ids, at most 14 to write everything, COMMIT

It takes one more if an expired idempotency key is used again, and on PostgreSQL if the reserved ids have run out
(``db/ids.py``). A test counts them. On PostgreSQL, a batch that lost a race runs again with BEGIN, a lock that lets it
go first (``db/lock_order.py``) and COMMIT. Events and deliveries to webhooks are written in the same transaction.
"""

from collections.abc import Iterable, Iterator, Sequence
from typing import Any, NamedTuple

from shopbell.conversations import messages_postgresql, messages_sqlite
from shopbell.conversations.idempotency import FORGET_KEYS, IDEMPOTENCY_MS
from shopbell.conversations.message_queue import MessageQueue
from shopbell.conversations.side_effects import IdempotencyKey, PlannedThread, SideEffects, ThreadKey
from shopbell.db.ids import TAKE_IDS
from shopbell.db.program import Program, Statement
from shopbell.db.rowset import Row
from shopbell.errors import IdempotencyKeyReused
from shopbell.runtime import clock

FIND_KNOWN = Statement(messages_sqlite.find_known, messages_postgresql.FIND_KNOWN)
"""Returns four lists of rows: known identities, used idempotency keys, webhooks that subscribe to messages, and the
``customer_changes`` of each organization."""

WRITE = Statement(messages_sqlite.write, messages_postgresql.WRITE)
"""Writes a whole batch. Returns its threads: organization, customer, business, id."""

IDS_PER_SEND = 3
"""A customer, a thread, a message. Ids that a known customer does not need stay unused."""

Identity = tuple[int, str, str]
"""Organization, kind (``email`` or ``phone``) and value in normal form."""


class Send(NamedTuple):
    """A customer's message to a business, checked and in normal form.

    Args:
        organization_id: the token's organization.
        business_id: an active business of that organization.
        body: the text as sent.
        identities: one or more identities of the customer, email first, each with its original spelling.
        locale: BCP 47 tag in normal form.
        key: the idempotency key; the message is stored once however often it is sent.
        body_hash: SHA-256 of the request as 64 hexadecimal digits, if there is a key.
        name: the name of a customer who has none yet.
        phone: the number in E.164, as it is shown; the identity has one key for all spellings.
    """

    organization_id: int
    business_id: int
    body: str
    identities: tuple[tuple[Identity, str], ...]
    locale: str | None = None
    key: IdempotencyKey | None = None
    body_hash: str | None = None
    name: str | None = None
    phone: str | None = None


class Sent(NamedTuple):
    """A message that is committed.

    Args:
        thread_id: its conversation.
        replayed: whether an earlier request with the same idempotency key stored it.
    """

    thread_id: int
    replayed: bool = False


Outcome = Sent | IdempotencyKeyReused


class CustomerMessageQueue(MessageQueue[Send, Outcome]):
    """Customers' messages that wait to be stored; ``http/widget.py`` submits them."""

    def _program(self, batch: Sequence[Send]) -> Program[list[Outcome]]:
        return create_customer_messages(batch)


def create_customer_messages(sends: Sequence[Send]) -> Program[list[Outcome]]:
    """Store a batch of customers' messages in one transaction.

    ``CustomerMessageQueue`` calls this.

    For each message, find or create the customer (by email first, then by phone number) and their thread with the
    business, and set the thread to ``waiting``. Messages of one batch share what they create.

    Args:
        sends: one or more, in the order of their arrival.

    Returns:
        The outcome of each, in the same order. ``IdempotencyKeyReused`` concerns one message, not the batch.
    """
    now_ms = clock.now_ms()
    wanted = {identity for send in sends for identity, _ in send.identities}
    keys = {send.key for send in sends if send.key}
    organizations = {(send.organization_id,) for send in sends}
    identities, used_keys, subscriptions, changes = yield (
        FIND_KNOWN,
        {"wanted": sorted(wanted), "wanted_keys": sorted(keys), "subscribers": sorted(organizations)},
    )
    side_effects = SideEffects(now_ms, subscriptions, changes)
    plan = _Plan(now_ms, identities, used_keys, side_effects)
    if plan.expired:
        yield FORGET_KEYS, {"forgotten": plan.expired}
    fresh = [send for send in sends if send.key is None or send.key not in plan.used_keys]
    if fresh:
        ids = yield TAKE_IDS, {"count": IDS_PER_SEND * len(fresh)}
        plan.place(fresh, iter(ids))
        plan.settle((yield WRITE, plan.rows()))
    return [plan.outcome(send) for send in sends]


class _Customer:
    """A customer as they are after the batch."""

    __slots__ = ("id", "is_blocked", "is_changed", "locale", "name", "threads")

    def __init__(
        self, id_: int, locale: str | None = None, blocked_at_ms: int | None = None, name: str | None = None
    ) -> None:
        self.id = id_
        self.locale = locale
        self.name = name
        self.is_blocked = blocked_at_ms is not None
        self.is_changed = False
        self.threads: dict[int, _Thread] = {}


class _Thread(PlannedThread):
    """A thread, and the identities of the customer's last message."""

    __slots__ = ("email", "phone")

    def __init__(self, key: ThreadKey, id_: int) -> None:
        super().__init__(key, id_)
        self.email: str | None = None
        self.phone: str | None = None


class _Plan:
    """The rows of a batch, computed between the first and the last statement."""

    def __init__(self, now_ms: int, identities: list[Any], used_keys: list[Any], side_effects: SideEffects) -> None:
        self.now_ms = now_ms
        self.side_effects = side_effects
        self.customers: dict[tuple[int, int], _Customer] = {}
        self.owners: dict[Identity, _Customer] = {}
        for organization_id, kind, value, customer_id, *known in identities:
            customer = self.customers.get((organization_id, customer_id))
            if customer is None:
                customer = self.customers[organization_id, customer_id] = _Customer(customer_id, *known)
            self.owners[organization_id, kind, value] = customer
        self.used_keys: dict[IdempotencyKey, tuple[str, int]] = {}
        self.expired: list[Row] = []
        for organization_id, caller_id, route, key, body_hash, thread_id, created_at_ms in used_keys:
            if created_at_ms > now_ms - IDEMPOTENCY_MS:
                self.used_keys[organization_id, caller_id, route, key] = (body_hash, thread_id)
            else:
                self.expired.append((organization_id, caller_id, route, key, created_at_ms))
        self.keyed: dict[IdempotencyKey, Send] = {}
        self.new_identities: list[Row] = []
        self.duplicates: set[tuple[int, int, int]] = set()
        self.threads: dict[ThreadKey, _Thread] = {}
        self.messages: list[tuple[_Thread, int, int, str]] = []
        self.unseen: list[Row] = []

    def place(self, sends: Iterable[Send], ids: Iterator[int]) -> None:
        """Give each message its customer, its thread and its place.

        Of several with one key only the first.
        """
        for send in sends:
            if send.key is not None and self.keyed.setdefault(send.key, send) is not send:
                continue
            customer = self._customer(send, ids)
            thread = customer.threads.get(send.business_id)
            if thread is None:
                key = (send.organization_id, customer.id, send.business_id)
                thread = self.threads[key] = customer.threads[send.business_id] = _Thread(key, next(ids))
            message_id = next(ids)
            if customer.is_blocked:
                self.side_effects.add_unseen(send.organization_id)
                self.unseen.append((send.organization_id, message_id, *thread.key[1:], send.body, self.now_ms))
                continue
            self.messages.append((thread, self.side_effects.add(thread, message_id), message_id, send.body))
            thread.email = thread.phone = None
            for identity, _ in send.identities:
                if self.owners[identity] is customer:
                    _, kind, value = identity
                    if kind == "email":
                        thread.email = value
                    else:
                        thread.phone = send.phone or value

    def _customer(self, send: Send, ids: Iterator[int]) -> _Customer:
        owned = [self.owners.get(identity) for identity, _ in send.identities]
        # Email first: if address and number belong to two customers, the message belongs to the address.
        customer = next(filter(None, owned), None)
        if customer is None:
            customer = _Customer(next(ids))
            customer.is_changed = True
            self.customers[send.organization_id, customer.id] = customer
        for (identity, shown), owner in zip(send.identities, owned, strict=True):
            if owner is None:
                self.owners[identity] = customer
                self.new_identities.append((*identity, customer.id, shown, self.now_ms))
            elif owner is not customer:
                self.duplicates.add((send.organization_id, min(owner.id, customer.id), max(owner.id, customer.id)))
        if send.locale and send.locale != customer.locale:
            customer.locale = send.locale
            customer.is_changed = True
        if send.name and not customer.name:
            customer.name = send.name
            customer.is_changed = True
        return customer

    def rows(self) -> dict[str, list[Row]]:
        """The rows of ``WRITE``, sorted.

        Processes that lock rows in one order cannot deadlock.
        """
        now_ms = self.now_ms
        return {
            "changed_customers": sorted(
                (organization_id, id_, customer.locale, customer.name, now_ms)
                for (organization_id, id_), customer in self.customers.items()
                if customer.is_changed
            ),
            "new_identities": sorted(self.new_identities),
            "placed": [
                (*key, thread.id, thread.count, now_ms, thread.email, thread.phone)
                for key, thread in sorted(self.threads.items())
            ],
            "blocked": self.unseen,
            "sent": [
                (*thread.key, thread.count - place, id_, body, now_ms) for thread, place, id_, body in self.messages
            ],
            "new_duplicates": [(*pair, now_ms) for pair in sorted(self.duplicates)],
            **self.side_effects.rows(
                (key, send.body_hash, self._thread_of(send).key, None) for key, send in self.keyed.items()
            ),
        }

    def settle(self, written: Iterable[Row]) -> None:
        """Note the ids that the threads have in the database.

        A thread that existed has another id than planned.
        """
        for organization_id, customer_id, business_id, id_ in written:
            self.threads[organization_id, customer_id, business_id].id = id_

    def outcome(self, send: Send) -> Outcome:
        """The outcome of one message."""
        if send.key is None:
            return Sent(self._thread_of(send).id)
        if send.key in self.used_keys:
            body_hash, thread_id = self.used_keys[send.key]
            return Sent(thread_id, replayed=True) if body_hash == send.body_hash else IdempotencyKeyReused()
        first = self.keyed[send.key]
        if first.body_hash != send.body_hash:
            return IdempotencyKeyReused()
        return Sent(self._thread_of(first).id, replayed=first is not send)

    def _thread_of(self, send: Send) -> _Thread:
        """The thread of a message that has its place.

        Its first identity belongs to its customer by now.
        """
        strongest, _ = send.identities[0]
        return self.owners[strongest].threads[send.business_id]
