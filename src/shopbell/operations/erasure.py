"""Erase a customer permanently; statistics remain correct.

``customers.erasure.forget`` is the first transaction. After it nothing identifies the customer any more. ``WIPES`` then
erase what they wrote, what was written to them and what webhooks received of it, in batches, so that no transaction
makes others wait for long. Every batch may run twice: to complete an erasure that was interrupted, erase once more.
"""

from collections.abc import Callable

from sqlalchemy import Connection

from shopbell.channels.email import erasure as emails
from shopbell.conversations import erasure as conversations
from shopbell.conversations.erasure import BATCH_ROWS, Place
from shopbell.customers.erasure import Person
from shopbell.inbox import erasure as inbox
from shopbell.inbox import projection, scheduled_messages
from shopbell.notifications import erasure as notifications
from shopbell.runtime.clock import now_ms
from shopbell.webhooks import redaction

Wipe = Callable[[Connection, int, Person, Place], Place | None]
"""Erases one batch of a person's data; returns where the next batch starts, or None after the last."""


def _skip_deliveries(tx: Connection, organization_id: int, person: Person, _: Place) -> Place | None:
    count = redaction.skip(tx, organization_id, person.thread_ids, now_ms=now_ms(), limit=BATCH_ROWS)
    return () if count else None


def _empty_deliveries(tx: Connection, organization_id: int, person: Person, _: Place) -> Place | None:
    return () if redaction.empty(tx, organization_id, person.thread_ids, limit=BATCH_ROWS) else None


def _empty_inbox(tx: Connection, organization_id: int, person: Person, _: Place) -> Place | None:
    projection.forget(tx, organization_id, person.thread_ids)
    return None


WIPES: tuple[Wipe, ...] = (
    _empty_inbox,
    _skip_deliveries,
    notifications.erase_outbound_messages,
    notifications.erase_email_threading,
    emails.erase,
    inbox.delete_drafts,
    inbox.end_snoozes,
    scheduled_messages.erase,
    conversations.erase_comments,
    conversations.erase_messages,
    conversations.delete_blocked_messages,
    _empty_deliveries,
    conversations.delete_idempotency_keys,
)
"""Run them in this order, each until it returns None."""
