"""Who changed what: owns the table of audit entries, to which rows are only ever added."""

from sqlalchemy import Connection, insert

from shopbell.storage.ids import take_id
from shopbell.storage.schema import audit_entries

COMMAND_LINE = "command line"
"""The actor of whatever an operator does with the command ``shopbell``."""

ORGANIZATION_CREATED = "organization.create"


def record(tx: Connection, organization_id: int, actor: str, action: str, subject: str, *, now_ms: int) -> None:
    """Note a change in the transaction that makes it.

    Args:
        tx: the transaction.
        organization_id: the organization whose data changed.
        actor: who did it, such as ``command line``.
        action: what was done, noun first: ``token.revoke``.
        subject: to what, by kind and id, never by anything personal: ``token 12``.
        now_ms: the time in Unix ms.
    """
    # An organization's first entry bears the organization's own id, so that the next id, 12345 in a new installation,
    # is left for its first business: the id in the documentation's example.
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
