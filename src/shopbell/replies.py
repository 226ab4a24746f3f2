"""The organization's own messages: an employee's, a program's, a note that only employees see. Written in batches.

``from_organization`` writes a whole batch with a fixed number of statements, as ``messages.py`` does for customers:

    PostgreSQL    3: find the threads, take ids, write everything
    SQLite       13: BEGIN, find the threads, 2 to take ids, at most 8 to write everything, COMMIT

and one more when an expired idempotency key is used again.
"""

import time
from collections.abc import Iterable, Iterator, Sequence
from typing import Any, NamedTuple

import orjson
from sqlalchemy import Connection, false, select

from shopbell.errors import Conflict, Fault, IdempotencyKeyReused, Invalid, NotFound, Problem
from shopbell.idempotency import IDEMPOTENCY_MS
from shopbell.promise_statements import FORGET_KEYS
from shopbell.promises import IdempotencyKey, Promises, ThreadKey
from shopbell.reply_statements import FIND_THREADS, WRITE_REPLIES
from shopbell.storage.ids import TAKE_IDS
from shopbell.storage.rowset import Program, Row
from shopbell.storage.schema import messages

WHATSAPP = "WHATSAPP"
WHATSAPP_WINDOW_MS = 24 * 60 * 60 * 1000
"""How long after the customer's last message by WhatsApp a business may write freely there."""


class Reply(NamedTuple):
    """A message of the organization, checked.

    Args:
        organization_id: the token's organization.
        token_id: the token that it was sent with.
        thread_id: the id of a thread, which may be another organization's or nobody's.
        body: the text; a template's text where ``content_sid`` is given.
        internal: whether only employees see it.
        content_sid: the template that it is made from.
        employee_id: the organization's employee who wrote it; None for a program.
        attachment_id: the organization's attachment that it carries.
        channel: by which the customer is to get it; None for the one that fits (``outreach/``).
        last_seen_message_id: the message up to which its writer had read when he wrote.
        last_reply_sequence: where nobody knows who its writer is, the place of the last answer when he looked, 0 for
            none: each one since is taken for another's.
        external_id: what its sender's side calls it.
        key: the client's wish that the request has one effect, however often it is sent.
        body_hash: with a key, what the request says, as 64 hexadecimal digits.
    """

    organization_id: int
    token_id: int
    thread_id: int
    body: str
    internal: bool = False
    content_sid: str | None = None
    employee_id: int | None = None
    attachment_id: int | None = None
    channel: str | None = None
    last_seen_message_id: int | None = None
    last_reply_sequence: int | None = None
    external_id: str | None = None
    key: IdempotencyKey | None = None
    body_hash: str | None = None

    @property
    def author_id(self) -> int:
        """Who wrote it: the employee, or the token of the program."""
        return self.token_id if self.employee_id is None else self.employee_id


class Replied(NamedTuple):
    """A message is stored durably.

    Args:
        message_id: its id.
        replayed: whether an earlier request with the same idempotency key had stored it.
    """

    message_id: int
    replayed: bool = False


Outcome = Replied | Problem

_SEEN_ELSEWHERE = Fault("body", "#/lastSeenMessageId", "invalid_value", "must be a message of this thread")


class AnsweredMeanwhile(Conflict):
    """409: a colleague has answered since the writer of this reply looked."""

    def __init__(self) -> None:
        super().__init__(
            "Somebody answered meanwhile; nothing was sent. Read the conversation and decide anew.",
            "A newer visible message than lastSeenMessageId was sent by a colleague",
        )


class WindowClosed(Conflict):
    """409: WhatsApp allows free text only for a day after the customer's last message there."""

    def __init__(self) -> None:
        super().__init__(
            "The customer has written nothing by WhatsApp for 24 hours: only a template may be sent there now. Nothing "
            "was sent.",
            "The WhatsApp messaging window is closed; send a template (contentSid)",
        )


class CustomerErased(Conflict):
    """409: the conversation's customer was erased: nobody would read the reply, and its text would be about nobody."""

    def __init__(self) -> None:
        super().__init__(
            "The customer of this conversation was erased; nothing was sent.",
            "The customer of this thread was erased",
        )


class _Thread(NamedTuple):
    """What is known of a thread before the batch is written."""

    id: int
    customer_id: int
    business_id: int
    channel: str
    last_reply_sequence: int
    last_reply_author_id: int | None
    last_other_reply_sequence: int
    last_by_whatsapp_ms: int | None
    customer_erased_at_ms: int | None

    def last_reply_of_others(self, author_id: int) -> int:
        """The place of the last message that somebody but this author let the customer see; 0 for none."""
        return self.last_other_reply_sequence if author_id == self.last_reply_author_id else self.last_reply_sequence


def is_window_open(channel: str, last_by_whatsapp_ms: int | None, now_ms: int) -> bool:
    """Whether a channel takes free text now: always, but for WhatsApp, which does for 24 hours.

    Args:
        channel: by which the text would go.
        last_by_whatsapp_ms: when the customer last wrote by WhatsApp, in Unix ms; by other ways nothing opens it.
        now_ms: the time in Unix ms.
    """
    if channel != WHATSAPP:
        return True
    return last_by_whatsapp_ms is not None and now_ms - last_by_whatsapp_ms < WHATSAPP_WINDOW_MS


def from_organization(replies: Sequence[Reply]) -> Program[list[Outcome]]:
    """Store messages of organizations: all of them in one transaction.

    Args:
        replies: one or more, in the order of their arrival.

    Returns:
        The outcome of each, in their order. Problems of one are its own: no such thread (404), answered meanwhile or
        window closed (409), nothing seen of this thread (400), a key that stands for another body (422).
    """
    now_ms = time.time_ns() // 1_000_000
    wanted = dict.fromkeys(((reply.organization_id, reply.thread_id) for reply in replies), 0)
    wanted |= {(reply.organization_id, reply.thread_id): 1 for reply in replies if reply.channel == WHATSAPP}
    seen = {(reply.organization_id, reply.last_seen_message_id) for reply in replies if reply.last_seen_message_id}
    [(threads, seen_messages, answered, subscriptions, changes)] = yield (
        FIND_THREADS,
        {
            "wanted_threads": [(*thread, by_whatsapp) for thread, by_whatsapp in sorted(wanted.items())],
            "seen": sorted(seen),
            "wanted_keys": sorted({reply.key for reply in replies if reply.key}),
            "subscribers": sorted({(reply.organization_id,) for reply in replies}),
        },
    )
    plan = _Plan(
        now_ms,
        orjson.loads(threads),
        orjson.loads(seen_messages),
        Promises(now_ms, orjson.loads(subscriptions), orjson.loads(changes)),
    )
    if expired := plan.recall(orjson.loads(answered)):
        yield FORGET_KEYS, {"forgotten": expired}
    fresh = [reply for reply in replies if reply.key is None or reply.key not in plan.answered]
    if fresh:
        ids = yield TAKE_IDS, {"count": len(fresh)}
        plan.place(fresh, (id_ for (id_,) in ids))
        if plan.written:
            yield WRITE_REPLIES, plan.rows()
    return [plan.outcome(reply) for reply in replies]


def was_stored(tx: Connection, organization_id: int, thread_id: int, external_id: str) -> bool:
    """Whether a thread has the organization's message that its sender's side calls so."""
    c = messages.c
    of_thread = (c.organization_id == organization_id, c.thread_id == thread_id)
    # Without statistics SQLite reads the whole conversation by the primary key, unless the index holds all it asks.
    called_so = select(c.sequence).where(*of_thread, c.external_id == external_id)
    query = select(c.id).where(*of_thread, c.sequence.in_(called_so), c.from_customer == false())
    return tx.execute(query).first() is not None


class _Plan:
    """What a batch comes to, worked out in memory: the statements before it read, the one after it writes."""

    def __init__(self, now_ms: int, threads: list[Any], seen: list[Any], promises: Promises) -> None:
        self.now_ms = now_ms
        self.promises = promises
        self.threads = {(row[0], row[1]): _Thread(*row[1:]) for row in threads}
        self.seen = {
            (organization_id, id_): (thread_id, sequence) for organization_id, id_, thread_id, sequence in seen
        }
        self.answered: dict[IdempotencyKey, tuple[str, int]] = {}
        self.keyed: dict[IdempotencyKey, Reply] = {}
        self.refused: dict[int, Problem] = {}
        self.written: list[tuple[Reply, ThreadKey, int, int]] = []
        self.authors: dict[ThreadKey, list[tuple[int, int]]] = {}
        self.expected: dict[ThreadKey, int] = {}
        self.message_ids: dict[int, int] = {}

    def recall(self, answered: list[Any]) -> list[Row]:
        """Take note of the keys that were used before; gives those that have expired."""
        expired: list[Row] = []
        for organization_id, token_id, route, key, body_hash, message_id, created_at_ms in answered:
            if created_at_ms > self.now_ms - IDEMPOTENCY_MS:
                self.answered[organization_id, token_id, route, key] = (body_hash, message_id)
            else:
                expired.append((organization_id, token_id, route, key, created_at_ms))
        return expired

    def place(self, replies: Iterable[Reply], ids: Iterator[int]) -> None:
        """Give each reply its place in its thread, or the reason why it has none."""
        for reply in replies:
            if reply.key is not None and self.keyed.setdefault(reply.key, reply) is not reply:
                continue
            thread = self.threads.get((reply.organization_id, reply.thread_id))
            if thread is None:
                self.refused[id(reply)] = NotFound("customerThreadId")
                continue
            key = (reply.organization_id, thread.customer_id, thread.business_id)
            refusal = self._refusal(reply, thread, key)
            if refusal is not None:
                self.refused[id(reply)] = refusal
                continue
            message_id = self.message_ids[id(reply)] = next(ids)
            place = self.promises.add(key, message_id)
            if not reply.internal:
                self.authors.setdefault(key, []).append((reply.author_id, place))
            self.written.append((reply, key, place, message_id))

    def _refusal(self, reply: Reply, thread: _Thread, key: ThreadKey) -> Problem | None:
        if thread.customer_erased_at_ms is not None:
            return CustomerErased()
        is_visible_text = not reply.internal and reply.content_sid is None
        channel = reply.channel or thread.channel
        if is_visible_text and not is_window_open(channel, thread.last_by_whatsapp_ms, self.now_ms):
            return WindowClosed()
        if reply.last_reply_sequence is not None:
            is_stale = key in self.authors or thread.last_reply_sequence != reply.last_reply_sequence
        elif reply.last_seen_message_id is not None:
            thread_id, sequence = self.seen.get((reply.organization_id, reply.last_seen_message_id), (0, 0))
            if thread_id != thread.id:
                return Invalid([_SEEN_ELSEWHERE])
            others = any(author_id != reply.author_id for author_id, _ in self.authors.get(key, ()))
            is_stale = others or thread.last_reply_of_others(reply.author_id) > sequence
        else:
            return None
        if is_stale:
            return AnsweredMeanwhile()
        # The database looks once more, under the thread's lock: another process may be answering right now.
        self.expected[key] = thread.last_reply_sequence
        return None

    def rows(self) -> dict[str, list[Row]]:
        """What ``WRITE_REPLIES`` takes, sorted: two processes that lock the same rows never wait in a circle."""
        now_ms, count = self.now_ms, self.promises.count
        effects: dict[ThreadKey, str] = {}
        thread_ids: dict[ThreadKey, int] = {}
        for reply, key, _, _ in self.written:
            thread_ids[key] = reply.thread_id
            if not reply.internal and effects.get(key) != "reply":
                effects[key] = "reply" if reply.content_sid is None else "template"
        answered: list[Row] = [
            (
                key[0],
                thread_id,
                *key[1:],
                count(key),
                effects.get(key, "note"),
                *self._last_replies(key),
                self.expected.get(key),
                now_ms,
            )
            for key, thread_id in thread_ids.items()
        ]
        written: list[Row] = [
            (
                *key,
                count(key) - place,
                message_id,
                int(reply.internal),
                reply.body,
                reply.employee_id,
                reply.attachment_id,
                reply.content_sid,
                reply.channel,
                reply.external_id,
                now_ms,
            )
            for reply, key, place, message_id in self.written
        ]
        return {
            "answered": sorted(answered, key=lambda row: row[:2]),
            "replies": written,
            **self.promises.rows(
                (reply.key, reply.body_hash, key, message_id)
                for reply, key, _, message_id in self.written
                if reply.key is not None
            ),
        }

    def _last_replies(self, key: ThreadKey) -> tuple[int | None, int | None, int | None]:
        """Of a thread: who let the customer see the batch's last message, how far behind the end it is, and how far
        the last one by anybody else."""
        visible = self.authors.get(key)
        if not visible:
            return None, None, None
        last_author_id, last_place = visible[-1]
        others = [place for author_id, place in visible if author_id != last_author_id]
        count = self.promises.count(key)
        return last_author_id, count - last_place, count - others[-1] if others else None

    def outcome(self, reply: Reply) -> Outcome:
        """What a reply's client is told."""
        if reply.key is not None and reply.key in self.answered:
            body_hash, message_id = self.answered[reply.key]
            return Replied(message_id, replayed=True) if body_hash == reply.body_hash else IdempotencyKeyReused()
        first = reply if reply.key is None else self.keyed[reply.key]
        if first.body_hash != reply.body_hash:
            return IdempotencyKeyReused()
        if id(first) in self.refused:
            return self.refused[id(first)]
        return Replied(self.message_ids[id(first)], replayed=first is not reply)
