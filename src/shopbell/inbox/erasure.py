"""Delete inbox data of erased customers and of employees who leave, in batches."""

from sqlalchemy import Connection

from shopbell.attachments import attachments
from shopbell.conversations.erasure import Place
from shopbell.customers.erasure import Person
from shopbell.inbox import drafts, saved_views, snoozes
from shopbell.runtime.clock import now_ms

BATCH_ROWS = 100
"""The maximum number of drafts that one batch deletes."""


def delete_drafts(tx: Connection, organization_id: int, person: Person, _: Place) -> Place | None:
    """Delete the drafts in the conversations of an erased customer, and their files.

    No new ones can be saved there.
    """
    deleted = drafts.delete_of_threads(tx, organization_id, person.thread_ids, limit=BATCH_ROWS)
    files = [id_ for draft in deleted for id_ in draft.attachment_ids]
    attachments.remove_unused(tx, organization_id, files, now_ms=now_ms())
    return () if deleted else None


def end_snoozes(tx: Connection, organization_id: int, person: Person, _: Place) -> Place | None:
    """End the snoozes of an erased customer's conversations: they must not come back."""
    return () if snoozes.end_by_erasure(tx, organization_id, person.thread_ids, now_ms=now_ms()) else None


def forget_employee(tx: Connection, organization_id: int, employee_id: int) -> int:
    """Delete the private views and some drafts of an employee who has left.

    Returns:
        How many drafts were deleted; 0 if none are left.
    """
    saved_views.delete_private(tx, organization_id, employee_id)
    return len(drafts.delete_of_employee(tx, organization_id, employee_id, limit=BATCH_ROWS))


def delete_old_drafts(tx: Connection, organization_id: int, *, before_ms: int) -> int:
    """Delete some drafts last changed before a time in Unix ms; returns how many.

    The result is 0 if none are left.
    """
    return len(drafts.delete_old(tx, organization_id, before_ms=before_ms, limit=BATCH_ROWS))
