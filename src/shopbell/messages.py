"""THE HOT PATH: customers' first and further messages, written in batches.

``from_customers`` writes a whole batch with a fixed number of statements, however many sends are in it:

    PostgreSQL    3: find what is known, take ids, write everything
    SQLite       17: BEGIN, find what is known, 2 to take ids, at most 12 to write everything, COMMIT

and one more when an expired idempotency key is used again; a test counts them. A batch that lost a race on PostgreSQL
has BEGIN, the right of way (``storage/turns.py``) and COMMIT beside, when it is written again. What the world must hear
of (events, and their deliveries to webhooks) is written by the same transaction as the message.
"""

import time
from collections.abc import Iterable, Iterator, Sequence
from typing import Any, NamedTuple

import orjson

from shopbell.errors import IdempotencyKeyReused
from shopbell.idempotency import IDEMPOTENCY_MS
from shopbell.message_statements import FIND_KNOWN, WRITE
from shopbell.promise_statements import FORGET_KEYS
from shopbell.promises import IdempotencyKey, Promises, ThreadKey
from shopbell.storage.ids import TAKE_IDS
from shopbell.storage.rowset import Program, Row

IDS_PER_SEND = 3
"""A customer, a thread, a message; what a known customer leaves unused stays unused."""

Identity = tuple[int, str, str]
"""Organization, kind (``email`` or ``phone``) and value in normal form."""


class Send(NamedTuple):
    """A customer's message to a business, checked and in normal form.

    Args:
        organization_id: the token's organization.
        business_id: an active business of that organization.
        body: the text as sent.
        identities: what the customer is known by, one or more, the strongest (e-mail) first; each with how it was sent.
        locale: BCP 47 tag in normal form.
        key: the client's wish that the request has one effect, however often it is sent.
        body_hash: with a key, what the body says, as 64 hexadecimal digits.
        name: what to call a customer who has no name yet.
        phone: the number in E.164 as it is written here; its identity has the key of all its spellings.
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
    """A message is stored durably.

    Args:
        thread_id: its conversation.
        replayed: whether an earlier request with the same idempotency key had stored it.
    """

    thread_id: int
    replayed: bool = False


Outcome = Sent | IdempotencyKeyReused


def from_customers(sends: Sequence[Send]) -> Program[list[Outcome]]:
    """Store customers' messages: all of them in one transaction.

    Each finds or makes its customer (by e-mail first, then by phone number) and the customer's one thread with the
    business, which becomes ``waiting`` again. What another send of the batch makes counts as made.

    Args:
        sends: one or more, in the order of their arrival.

    Returns:
        The outcome of each, in their order. A key that stands for another body is the outcome of that send alone (422).
    """
    now_ms = time.time_ns() // 1_000_000
    wanted = {identity for send in sends for identity, _ in send.identities}
    keys = {send.key for send in sends if send.key}
    organizations = {(send.organization_id,) for send in sends}
    [(identities, answered, subscriptions, changes)] = yield (
        FIND_KNOWN,
        {"wanted": sorted(wanted), "wanted_keys": sorted(keys), "subscribers": sorted(organizations)},
    )
    promises = Promises(now_ms, orjson.loads(subscriptions), orjson.loads(changes))
    plan = _Plan(now_ms, orjson.loads(identities), orjson.loads(answered), promises)
    if plan.expired:
        yield FORGET_KEYS, {"forgotten": plan.expired}
    fresh = [send for send in sends if send.key is None or send.key not in plan.answered]
    if fresh:
        ids = yield TAKE_IDS, {"count": IDS_PER_SEND * len(fresh)}
        plan.place(fresh, (id_ for (id_,) in ids))
        plan.settle((yield WRITE, plan.rows()))
    return [plan.outcome(send) for send in sends]


class _Plan:
    """What a batch comes to, worked out in memory: the statements before it read, the one after it writes."""

    def __init__(self, now_ms: int, identities: list[Any], answered: list[Any], promises: Promises) -> None:
        self.now_ms = now_ms
        self.promises = promises
        self.customers: dict[Identity, int] = {}
        self.locales: dict[tuple[int, int], str | None] = {}
        self.names: dict[tuple[int, int], str | None] = {}
        self.blocked: set[tuple[int, int]] = set()
        for organization_id, kind, value, customer_id, locale, blocked_at_ms, name in identities:
            self.customers[organization_id, kind, value] = customer_id
            self.locales[organization_id, customer_id] = locale
            self.names[organization_id, customer_id] = name
            if blocked_at_ms is not None:
                self.blocked.add((organization_id, customer_id))
        self.answered: dict[IdempotencyKey, tuple[str, int]] = {}
        self.expired: list[Row] = []
        for organization_id, token_id, route, key, body_hash, thread_id, created_at_ms in answered:
            if created_at_ms > now_ms - IDEMPOTENCY_MS:
                self.answered[organization_id, token_id, route, key] = (body_hash, thread_id)
            else:
                self.expired.append((organization_id, token_id, route, key, created_at_ms))
        self.keyed: dict[IdempotencyKey, Send] = {}
        self.new_identities: list[Row] = []
        self.changed_customers: set[tuple[int, int]] = set()
        self.duplicates: set[tuple[int, int, int]] = set()
        self.threads: dict[ThreadKey, int] = {}
        self.named: dict[ThreadKey, dict[str, str]] = {}
        self.messages: list[tuple[ThreadKey, int, int, str]] = []
        self.unseen: list[Row] = []

    def place(self, sends: Iterable[Send], ids: Iterator[int]) -> None:
        """Give each send its customer, its thread and its place there; of twins with one key only the first."""
        for send in sends:
            if send.key is not None and self.keyed.setdefault(send.key, send) is not send:
                continue
            customer_id = self._customer(send, ids)
            thread = (send.organization_id, customer_id, send.business_id)
            if thread not in self.threads:
                self.threads[thread] = next(ids)
            message_id = next(ids)
            if thread[:2] in self.blocked:
                self.promises.add_unseen(send.organization_id)
                self.unseen.append((send.organization_id, message_id, *thread[1:], send.body, self.now_ms))
            else:
                self.messages.append((thread, self.promises.add(thread, message_id), message_id, send.body))
                own = (identity for identity, _ in send.identities if self.customers[identity] == customer_id)
                named = {kind: value for _, kind, value in own}
                self.named[thread] = named | {"phone": send.phone} if send.phone and "phone" in named else named

    def _customer(self, send: Send, ids: Iterator[int]) -> int:
        owners = [self.customers.get(identity) for identity, _ in send.identities]
        # The e-mail address stands first: where it and the number are two customers', the message is the address's.
        customer_id = next((owner for owner in owners if owner is not None), None)
        if customer_id is None:
            customer_id = next(ids)
            self.changed_customers.add((send.organization_id, customer_id))
            self.locales[send.organization_id, customer_id] = None
        for (identity, shown), owner in zip(send.identities, owners, strict=True):
            if owner is None:
                self.customers[identity] = customer_id
                self.new_identities.append((*identity, customer_id, shown, self.now_ms))
            elif owner != customer_id:
                self.duplicates.add((send.organization_id, min(owner, customer_id), max(owner, customer_id)))
        customer = (send.organization_id, customer_id)
        if send.locale and send.locale != self.locales[customer]:
            self.locales[customer] = send.locale
            self.changed_customers.add(customer)
        if send.name and not self.names.get(customer):
            self.names[customer] = send.name
            self.changed_customers.add(customer)
        return customer_id

    def rows(self) -> dict[str, list[Row]]:
        """What ``WRITE`` takes, sorted: two processes that lock the same rows in one order never wait in a circle."""
        now_ms, count = self.now_ms, self.promises.count
        return {
            "changed_customers": [
                (*customer, self.locales[customer], self.names.get(customer), now_ms)
                for customer in sorted(self.changed_customers)
            ],
            "new_identities": sorted(self.new_identities),
            "placed": [
                (*thread, id_, count(thread), now_ms, *map(self.named.get(thread, {}).get, ("email", "phone")))
                for thread, id_ in sorted(self.threads.items())
            ],
            "blocked": self.unseen,
            "sent": [(*thread, count(thread) - place, id_, body, now_ms) for thread, place, id_, body in self.messages],
            "new_duplicates": [(*pair, now_ms) for pair in sorted(self.duplicates)],
            **self.promises.rows(
                (key, send.body_hash, self._thread_of(send), None) for key, send in self.keyed.items()
            ),
        }

    def settle(self, written: list[Row]) -> None:
        """Take note of the threads that are there now; of one that was there before the id is another than planned."""
        self.threads = {(organization, customer, business): id_ for organization, customer, business, id_ in written}

    def outcome(self, send: Send) -> Outcome:
        """What a send's client is told."""
        if send.key is None:
            return Sent(self.threads[self._thread_of(send)])
        if send.key in self.answered:
            body_hash, thread_id = self.answered[send.key]
            return Sent(thread_id, replayed=True) if body_hash == send.body_hash else IdempotencyKeyReused()
        first = self.keyed[send.key]
        if first.body_hash != send.body_hash:
            return IdempotencyKeyReused()
        return Sent(self.threads[self._thread_of(first)], replayed=first is not send)

    def _thread_of(self, send: Send) -> ThreadKey:
        """The thread of a send that has its place: by then its strongest identity is its customer's."""
        strongest, _ = send.identities[0]
        return (send.organization_id, self.customers[strongest], send.business_id)
