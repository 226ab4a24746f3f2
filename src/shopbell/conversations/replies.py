"""Messages of organizations: replies of employees and programs, and notes.

``create_replies`` stores a batch with a fixed number of statements, as ``messages.py`` does for customers:

    PostgreSQL    2: find the threads, write everything
    SQLite       16: BEGIN, 4 to find the threads, take ids, at most 9 to write everything, COMMIT

It takes one more if an expired idempotency key is used again, and on PostgreSQL if the reserved ids have run out.
"""

from collections.abc import Iterable, Iterator, Sequence
from typing import Any, NamedTuple

from sqlalchemy import Connection, false, select

from shopbell.conversations import replies_postgresql, replies_sqlite
from shopbell.conversations.idempotency import FORGET_KEYS, IDEMPOTENCY_MS
from shopbell.conversations.message_queue import MessageQueue
from shopbell.conversations.side_effects import IdempotencyKey, PlannedThread, SideEffects, ThreadKey
from shopbell.db.ids import TAKE_IDS
from shopbell.db.program import Program, Statement
from shopbell.db.rowset import Row
from shopbell.db.schema.core import messages
from shopbell.errors import Conflict, FieldError, IdempotencyKeyReused, Invalid, NotFound, RequestError
from shopbell.events.actors import Actor
from shopbell.runtime import clock

FIND_THREADS = Statement(replies_sqlite.find_threads, replies_postgresql.FIND_THREADS)
"""Returns five lists of rows: threads, messages that were seen last, used idempotency keys, webhooks that subscribe to
messages, and the ``customer_changes`` of each organization."""

WRITE_REPLIES = Statement(replies_sqlite.write, replies_postgresql.WRITE_REPLIES)
"""Writes a whole batch of replies, or nothing."""

WHATSAPP = "WHATSAPP"
WHATSAPP_WINDOW_MS = 24 * 60 * 60 * 1000
"""How long after the customer's last WhatsApp message WhatsApp accepts free text."""


class Reply(NamedTuple):
    """A message of the organization, checked.

    Args:
        organization_id: the organization of the token.
        actor: the employee who wrote it, or the token of a program.
        thread_id: the id of a thread, which is checked later.
        body: the text; the text of the template if there is a ``content_sid``.
        internal: whether only employees see it.
        content_sid: the template that it was made from.
        attachment_id: a file of the organization.
        channel: the channel that it is sent by; None if ``notifications`` chooses it.
        last_seen_message_id: the last message that the author had read.
        last_reply_sequence: the place of the last reply that the author had read, 0 for none. For an author who is not
            identified: every later reply counts as another author's.
        external_id: the sender's id of the message.
        business_id: the business, which is the author if the employee is not known.
        key: the idempotency key; the message is stored once however often it is sent.
        body_hash: SHA-256 of the request as 64 hexadecimal digits, if there is a key.
    """

    organization_id: int
    actor: Actor
    thread_id: int
    body: str
    internal: bool = False
    content_sid: str | None = None
    attachment_id: int | None = None
    channel: str | None = None
    last_seen_message_id: int | None = None
    last_reply_sequence: int | None = None
    external_id: str | None = None
    business_id: int = 0
    key: IdempotencyKey | None = None
    body_hash: str | None = None

    @property
    def author_id(self) -> int:
        """The author: the employee, the token of the program, or the business."""
        return self.business_id if self.actor.id is None else self.actor.id

    @property
    def employee_id(self) -> int | None:
        """The employee who wrote it; None for a program or an unknown employee."""
        return self.actor.id if self.actor.type == "employee" else None


class Replied(NamedTuple):
    """A message that is committed.

    Args:
        message_id: its id.
        replayed: whether an earlier request with the same idempotency key stored it.
    """

    message_id: int
    replayed: bool = False


Outcome = Replied | RequestError

_SEEN_ELSEWHERE = FieldError("lastSeenMessageId", "invalid_value", "must be a message of this thread")


class StaleReply(Conflict):
    """Another author has replied since this author read the conversation."""

    def __init__(self) -> None:
        super().__init__(
            "Someone replied first. Review their message and send again.",
            "A newer visible message than lastSeenMessageId was sent by another employee",
        )


class WindowClosed(Conflict):
    """The customer's last WhatsApp message is too old for free text."""

    def __init__(self) -> None:
        super().__init__(
            "The customer has written nothing by WhatsApp for 24 hours: only a template may be sent there now. Nothing "
            "was sent.",
            "The WhatsApp messaging window is closed; send a template (contentSid)",
        )


class CustomerErased(Conflict):
    """The customer of the conversation was erased: no one would read the reply."""

    def __init__(self) -> None:
        super().__init__(
            "The customer of this conversation was erased; nothing was sent.",
            "The customer of this thread was erased",
        )


class _Thread(NamedTuple):
    """A thread as it is before the batch is written."""

    id: int
    customer_id: int
    business_id: int
    channel: str
    last_reply_sequence: int
    last_reply_author_id: int | None
    last_other_reply_sequence: int
    last_by_whatsapp_ms: int | None
    customer_erased_at_ms: int | None

    def key(self, organization_id: int) -> ThreadKey:
        """What identifies the thread in the batch."""
        return organization_id, self.customer_id, self.business_id

    def last_reply_of_others(self, author_id: int) -> int:
        """The place of the last visible message of other authors; 0 for none."""
        return self.last_other_reply_sequence if author_id == self.last_reply_author_id else self.last_reply_sequence


def is_window_open(channel: str, last_by_whatsapp_ms: int | None, now_ms: int) -> bool:
    """Whether a channel accepts free text now; all but WhatsApp always do.

    Args:
        channel: the channel.
        last_by_whatsapp_ms: when the customer last wrote by WhatsApp, in Unix ms. Other channels do not count.
        now_ms: the time in Unix ms.
    """
    if channel != WHATSAPP:
        return True
    return last_by_whatsapp_ms is not None and now_ms - last_by_whatsapp_ms < WHATSAPP_WINDOW_MS


class ReplyQueue(MessageQueue[Reply, Outcome]):
    """Replies that wait to be stored.

    The routes of the API and of the pages submit them.
    """

    def _program(self, batch: Sequence[Reply]) -> Program[list[Outcome]]:
        return create_replies(batch)


def create_replies(replies: Sequence[Reply]) -> Program[list[Outcome]]:
    """Store a batch of messages of organizations in one transaction.

    ``ReplyQueue`` calls this.

    Args:
        replies: one or more, in the order of their arrival.

    Returns:
        The outcome of each, in the same order. An error concerns one message, not the batch: ``NotFound`` (the thread),
        ``CustomerErased``, ``StaleReply``, ``WindowClosed``, ``Invalid`` (``lastSeenMessageId``),
        ``IdempotencyKeyReused``.
    """
    plan, used_keys = yield from _read(replies)
    if expired := plan.recall(used_keys):
        yield FORGET_KEYS, {"forgotten": expired}
    fresh = [reply for reply in replies if reply.key is None or reply.key not in plan.used_keys]
    if fresh:
        ids = yield TAKE_IDS, {"count": len(fresh)}
        plan.place(fresh, iter(ids))
        if plan.written:
            yield WRITE_REPLIES, plan.rows()
    return [plan.outcome(reply) for reply in replies]


def check_reply(reply: Reply) -> Program[None]:
    """Check whether ``create_replies`` would store a reply now; store nothing.

    Raises:
        RequestError: what ``create_replies`` would return.
    """
    plan, _ = yield from _read([reply])
    refusal = plan.refusal(reply)
    if refusal is not None:
        raise refusal


def _read(replies: Sequence[Reply]) -> Program[tuple["_Plan", list[Any]]]:
    """Read what a batch refers to; returns its plan and the used idempotency keys."""
    now_ms = clock.now_ms()
    wanted = dict.fromkeys(((reply.organization_id, reply.thread_id) for reply in replies), 0)
    wanted |= {(reply.organization_id, reply.thread_id): 1 for reply in replies if reply.channel == WHATSAPP}
    seen = {(reply.organization_id, reply.last_seen_message_id) for reply in replies if reply.last_seen_message_id}
    threads, seen_messages, used_keys, subscriptions, changes = yield (
        FIND_THREADS,
        {
            "wanted_threads": [(*thread, by_whatsapp) for thread, by_whatsapp in sorted(wanted.items())],
            "seen": sorted(seen),
            "wanted_keys": sorted({reply.key for reply in replies if reply.key}),
            "subscribers": sorted({(reply.organization_id,) for reply in replies}),
        },
    )
    return _Plan(now_ms, threads, seen_messages, SideEffects(now_ms, subscriptions, changes)), used_keys


def was_stored(tx: Connection, organization_id: int, thread_id: int, external_id: str) -> bool:
    """Whether a thread has a message of the organization with this external id."""
    c = messages.c
    of_thread = (c.organization_id == organization_id, c.thread_id == thread_id)
    # Without statistics, SQLite reads the whole conversation unless the index of external ids has all columns.
    called_so = select(c.id).where(*of_thread, c.external_id == external_id)
    query = select(c.id).where(of_thread[0], c.id.in_(called_so), c.from_customer == false())
    return tx.execute(query).first() is not None


class _Plan:
    """The rows of a batch, computed between the first and the last statement."""

    def __init__(self, now_ms: int, threads: list[Any], seen: list[Any], side_effects: SideEffects) -> None:
        self.now_ms = now_ms
        self.side_effects = side_effects
        self.threads = {(row[0], row[1]): _Thread(*row[1:]) for row in threads}
        self.seen = {
            (organization_id, id_): (thread_id, sequence) for organization_id, id_, thread_id, sequence in seen
        }
        self.used_keys: dict[IdempotencyKey, tuple[str, int]] = {}
        self.keyed: dict[IdempotencyKey, Reply] = {}
        self.refused: dict[int, RequestError] = {}
        self.written: list[tuple[Reply, PlannedThread, int, int]] = []
        self.answered: dict[ThreadKey, PlannedThread] = {}
        self.authors: dict[ThreadKey, list[tuple[int, int]]] = {}
        self.expected: dict[ThreadKey, int] = {}
        self.message_ids: dict[int, int] = {}

    def recall(self, used_keys: list[Any]) -> list[Row]:
        """Note the keys that were used before; returns those that have expired."""
        expired: list[Row] = []
        for organization_id, caller_id, route, key, body_hash, message_id, created_at_ms in used_keys:
            if created_at_ms > self.now_ms - IDEMPOTENCY_MS:
                self.used_keys[organization_id, caller_id, route, key] = (body_hash, message_id)
            else:
                expired.append((organization_id, caller_id, route, key, created_at_ms))
        return expired

    def place(self, replies: Iterable[Reply], ids: Iterator[int]) -> None:
        """Give each reply its place in its thread, or the error that refuses it."""
        for reply in replies:
            if reply.key is not None and self.keyed.setdefault(reply.key, reply) is not reply:
                continue
            refusal = self.refusal(reply)
            if refusal is not None:
                self.refused[id(reply)] = refusal
                continue
            thread = self.threads[reply.organization_id, reply.thread_id]
            key = thread.key(reply.organization_id)
            message_id = self.message_ids[id(reply)] = next(ids)
            answered = self.answered.setdefault(key, PlannedThread(key, thread.id))
            place = self.side_effects.add(answered, message_id)
            if not reply.internal:
                self.authors.setdefault(key, []).append((reply.author_id, place))
            self.written.append((reply, answered, place, message_id))

    def refusal(self, reply: Reply) -> RequestError | None:
        """The error that refuses a reply after the replies before it; None to store it."""
        thread = self.threads.get((reply.organization_id, reply.thread_id))
        if thread is None:
            return NotFound("customerThreadId")
        key = thread.key(reply.organization_id)
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
            return StaleReply()
        # The database checks this again while it locks the thread: another process may be storing a reply.
        self.expected[key] = thread.last_reply_sequence
        return None

    def rows(self) -> dict[str, list[Row]]:
        """The rowsets of ``WRITE_REPLIES``, sorted.

        Processes that lock rows in one order cannot deadlock.
        """
        now_ms = self.now_ms
        effects: dict[ThreadKey, str] = {}
        for reply, thread, _, _ in self.written:
            if not reply.internal and effects.get(thread.key) != "reply":
                effects[thread.key] = "reply" if reply.content_sid is None else "template"
        answered: list[Row] = [
            (
                key[0],
                thread.id,
                *key[1:],
                thread.count,
                effects.get(key, "note"),
                *self._last_replies(thread),
                self.expected.get(key),
                now_ms,
            )
            for key, thread in self.answered.items()
        ]
        written: list[Row] = [
            (
                *thread.key,
                thread.count - place,
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
            for reply, thread, place, message_id in self.written
        ]
        side_effects = self.side_effects.rows(
            (reply.key, reply.body_hash, thread.key, message_id)
            for reply, thread, _, message_id in self.written
            if reply.key is not None
        )
        events = zip(side_effects["new_events"], self.written, strict=True)
        side_effects["new_events"] = [(*event, *reply.actor.columns) for event, (reply, *_) in events]
        return {"answered": sorted(answered, key=lambda row: row[:2]), "replies": written, **side_effects}

    def _last_replies(self, thread: PlannedThread) -> tuple[int | None, int | None, int | None]:
        """Describe the last visible messages of a thread in the batch.

        Returns:
            The author of the last one, its distance from the end, and the distance of the last one by another author.
        """
        visible = self.authors.get(thread.key)
        if not visible:
            return None, None, None
        last_author_id, last_place = visible[-1]
        others = [place for author_id, place in visible if author_id != last_author_id]
        return last_author_id, thread.count - last_place, thread.count - others[-1] if others else None

    def outcome(self, reply: Reply) -> Outcome:
        """The outcome of one reply."""
        if reply.key is not None and reply.key in self.used_keys:
            body_hash, message_id = self.used_keys[reply.key]
            return Replied(message_id, replayed=True) if body_hash == reply.body_hash else IdempotencyKeyReused()
        first = reply if reply.key is None else self.keyed[reply.key]
        if first.body_hash != reply.body_hash:
            return IdempotencyKeyReused()
        if id(first) in self.refused:
            return self.refused[id(first)]
        return Replied(self.message_ids[id(first)], replayed=first is not reply)
