"""What a new organization needs before its first conversation. Reads the tables of other packages, changes none."""

from dataclasses import dataclass

from sqlalchemy import Connection, Select, exists, func, or_, select

from shopbell.db.schema.accounts import business_roles, organization_roles
from shopbell.db.schema.core import businesses, employees, threads
from shopbell.db.schema.customers import customer_sessions


@dataclass(frozen=True, slots=True)
class FirstSteps:
    """What an organization has already.

    Args:
        has_business: an active business.
        has_widget: a visitor has written in the widget of a website, and their session is still stored.
        has_conversation: a conversation with a message.
        has_colleague: a second active employee with a role.
    """

    has_business: bool
    has_widget: bool
    has_conversation: bool
    has_colleague: bool


def find(tx: Connection, organization_id: int) -> FirstSteps:
    """Find out what an organization has, in one statement."""
    row = tx.execute(
        select(
            exists().where(businesses.c.organization_id == organization_id, businesses.c.deactivated_at_ms.is_(None)),
            exists().where(
                customer_sessions.c.organization_id == organization_id, customer_sessions.c.kind == "widget"
            ),
            exists().where(threads.c.organization_id == organization_id, threads.c.last_sequence > 0),
            _people(organization_id).scalar_subquery() > 1,
        )
    ).one()
    return FirstSteps(*map(bool, row))


def _people(organization_id: int) -> Select[int]:
    """Count the active employees with a role."""
    c = employees.c
    having = [
        select(table.c.employee_id).where(table.c.organization_id == organization_id)
        for table in (organization_roles, business_roles)
    ]
    return select(func.count()).where(
        c.organization_id == organization_id,
        c.deactivated_at_ms.is_(None),
        or_(*(c.id.in_(each) for each in having)),
    )
