"""Insert messages and record their events.

Only the hot path inserts messages without this.

``create_customer_messages`` and ``create_replies`` store batches with statements of their own
(``docs/adr/0002-transaction-functions-and-group-commit.md``).
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Self

from sqlalchemy import Connection, insert, update

from shopbell.conversations.threads import Thread, in_thread
from shopbell.db.ids import take_ids
from shopbell.db.schema.core import messages, threads
from shopbell.events import record
from shopbell.events.actors import SYSTEM, Actor
from shopbell.events.record import InThread


@dataclass(frozen=True, slots=True, repr=False)
class NewMessage:
    """A message that is to be inserted, checked.

    Args:
        body: the text; may be empty if there is a file.
        from_customer: whether the customer wrote it.
        internal: whether only employees see it.
        channel: the channel that it came by or is sent by; None for that of the thread.
        actor: who wrote it; ignored if it is the customer.
        attachment_id: a file of the organization.
        external_id: the sender's id of the message.
        created_at_ms: when it was written, in Unix ms; None for the time of the ``MessageWriter``.
    """

    body: str
    from_customer: bool = False
    internal: bool = False
    channel: str | None = None
    actor: Actor = SYSTEM
    attachment_id: int | None = None
    external_id: str | None = None
    created_at_ms: int | None = None


@dataclass(frozen=True, slots=True)
class Inserted:
    """A message that was inserted; ``thread.last_sequence`` is its place."""

    message_id: int
    thread: InThread
    actor: Actor


class MessageWriter:
    """Inserts messages, and records their events at the end of the block.

    Everything else that belongs to the messages is written inside the block: the events lock the organization's feed,
    which must be the last lock of a transaction. ::

        with MessageWriter(tx, organization_id, now_ms=now_ms) as writer:
            writer.add(thread, [NewMessage("We are closed.")])

    Args:
        tx: the transaction.
        organization_id: the organization of the threads.
        now_ms: the time of the messages in Unix ms.
        records_events: whether each message gets an event, and so is delivered to webhooks, employees and customers.
    """

    def __init__(self, tx: Connection, organization_id: int, *, now_ms: int, records_events: bool = True) -> None:
        self.now_ms = now_ms
        self._records_events = records_events
        self._tx = tx
        self._organization_id = organization_id
        self._inserted: list[Inserted] = []

    def __enter__(self) -> Self:
        return self

    def __exit__(self, error_type: type[BaseException] | None, *_: object) -> None:
        if error_type is None and self._records_events:
            for one in self._inserted:
                record.record(
                    self._tx,
                    self._organization_id,
                    "message",
                    actor=one.actor,
                    now_ms=self.now_ms,
                    thread=one.thread,
                    message_id=one.message_id,
                )

    def add(self, thread: InThread, new: Sequence[NewMessage], **columns: object) -> list[Inserted]:
        """Insert messages at the end of a thread.

        Args:
            thread: its row is locked by the transaction.
            new: one or more, in order.
            columns: other columns of the thread that change, with their values.
        """
        ids = take_ids(self._tx, len(new))
        inserted = [
            Inserted(
                id_,
                InThread(thread.id, thread.customer_id, thread.business_id, thread.last_sequence + place),
                Actor("customer", thread.customer_id) if message.from_customer else message.actor,
            )
            for place, (id_, message) in enumerate(zip(ids, new, strict=True), 1)
        ]
        t = threads.c
        self._tx.execute(
            update(threads)
            .where(t.organization_id == self._organization_id, t.id == thread.id)
            .values({"last_sequence": thread.last_sequence + len(new), "updated_at_ms": self.now_ms, **columns})
        )
        rows = [
            {
                "organization_id": self._organization_id,
                "thread_id": thread.id,
                "sequence": one.thread.last_sequence,
                "id": one.message_id,
                **{name: getattr(message, name) for name in NewMessage.__dataclass_fields__ if name != "actor"},
                "created_at_ms": self.now_ms if message.created_at_ms is None else message.created_at_ms,
                "employee_id": message.actor.id if message.actor.type == "employee" else None,
            }
            for one, message in zip(inserted, new, strict=True)
        ]
        self._tx.execute(insert(messages), rows)
        self._inserted += inserted
        return inserted

    def add_reply(self, thread: Thread, new: Sequence[NewMessage], author_id: int) -> list[Inserted]:
        """Insert messages that reply to the customer; the thread becomes ``replied``.

        Args:
            thread: its row is locked by the transaction.
            new: one or more, in order.
            author_id: the employee who wrote them, or the business if it is not known which.
        """
        is_same_author = author_id == thread.last_reply_author_id
        return self.add(
            in_thread(thread),
            new,
            status="replied",
            last_reply_sequence=thread.last_sequence + len(new),
            last_reply_author_id=author_id,
            last_other_reply_sequence=(
                thread.last_other_reply_sequence if is_same_author else thread.last_reply_sequence
            ),
        )
