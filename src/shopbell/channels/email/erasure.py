"""Erase the details of emails.

``operations/erasure.py`` calls this, batch by batch.
"""

from sqlalchemy import Connection, and_, select, tuple_, update

from shopbell.conversations.erasure import BATCH_ROWS, Place
from shopbell.customers.erasure import Person
from shopbell.db.schema.customers import mail_details


def erase(tx: Connection, organization_id: int, person: Person, after: Place) -> Place | None:
    """Delete the senders, subjects and full texts of emails."""
    m = mail_details.c
    of_person = and_(m.organization_id + 0 == organization_id, m.thread_id.in_(person.thread_ids))
    place = tuple_(m.thread_id, m.message_id)
    query = select(m.thread_id, m.message_id).where(of_person).order_by(m.thread_id, m.message_id).limit(BATCH_ROWS)
    keys = [tuple(row) for row in tx.execute(query.where(place > after) if after else query)]
    these = and_(m.organization_id == organization_id, m.message_id.in_([id_ for _, id_ in keys]))
    tx.execute(update(mail_details).where(these).values(sender=None, sender_name=None, subject=None, full_text=None))
    return keys[-1] if keys else None
