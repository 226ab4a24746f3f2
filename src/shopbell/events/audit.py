"""The audit log: who changed what. Owns its table, to which rows are only ever added."""

from sqlalchemy import Connection, insert

from shopbell.db.ids import take_id
from shopbell.db.schema.core import audit_entries

ORGANIZATION_CREATED = "organization.create"


def record(tx: Connection, organization_id: int, actor: str, action: str, subject: str, *, now_ms: int) -> None:
    """Write an audit entry, in the transaction that makes the change.

    Only the function that makes the change calls this. It takes ``actor`` from its caller.

    Args:
        organization_id: the organization whose data changed.
        actor: who made the change, such as ``command line`` or ``token 12``.
        action: what was done, noun first: ``token.revoke``.
        subject: the kind and id of what changed, never personal data: ``token 12``.
    """
    # An organization's first entry has the organization's id. So the next id, 12345 in a new installation, is left for
    # its first business, as in the examples of the documentation.
    entry_id = organization_id if action == ORGANIZATION_CREATED else take_id(tx)
    tx.execute(
        insert(audit_entries).values(
            organization_id=organization_id,
            id=entry_id,
            at_ms=now_ms,
            actor=actor,
            action=action,
            subject=subject,
        )
    )
