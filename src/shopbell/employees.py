"""Employees of an organization: who answers its customers. Owns their table and that of assignments."""

from sqlalchemy import Connection, select

from shopbell.storage.schema import employees


def is_active(tx: Connection, organization_id: int, employee_id: int) -> bool:
    """Whether an employee is the organization's and has not left."""
    c = employees.c
    query = select(c.id).where(c.organization_id == organization_id, c.id == employee_id, c.deactivated_at_ms.is_(None))
    return tx.execute(query).first() is not None
