"""Erases customers' addresses from outbound messages.

``operations/erasure.py`` calls this, batch by batch.
"""

from sqlalchemy import Connection, and_, select, tuple_, update

from shopbell.conversations.erasure import BATCH_ROWS, Place
from shopbell.customers.erasure import Person
from shopbell.db.schema.customers import notification_state, outbound_messages
from shopbell.runtime.clock import now_ms


def erase_outbound_messages(tx: Connection, organization_id: int, person: Person, after: Place) -> Place | None:
    """Skip messages that wait for the customer; delete addresses of sent ones.

    A waiting email to the business may be about other customers too. It leaves this one out, or ends, when it is due.
    """
    d = outbound_messages.c
    of_person = and_(d.organization_id + 0 == organization_id, d.thread_id.in_(person.thread_ids))
    place = tuple_(d.thread_id, d.id)
    query = select(d.thread_id, d.id).where(of_person).order_by(d.thread_id, d.id).limit(BATCH_ROWS)
    keys = [tuple(row) for row in tx.execute(query.where(place > after) if after else query)]
    these = and_(d.organization_id == organization_id, d.id.in_([id_ for _, id_ in keys]))
    tx.execute(
        update(outbound_messages)
        .where(these, d.state == "waiting", d.audience == "customer")
        .values(state="skipped", reason="erased", settled_at_ms=now_ms())
    )
    tx.execute(update(outbound_messages).where(these, d.state != "waiting").values(address=None))
    return keys[-1] if keys else None


def erase_email_threading(tx: Connection, organization_id: int, person: Person, _: Place) -> Place | None:
    """Delete the subjects and message ids that emails to the customer would continue."""
    c = notification_state.c
    of_threads = and_(c.organization_id == organization_id, c.thread_id.in_(person.thread_ids))
    tx.execute(update(notification_state).where(of_threads).values(mail_subject=None, mail_header_id=None))
    return None
