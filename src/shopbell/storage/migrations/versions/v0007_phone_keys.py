"""Phone numbers that are written in two ways have one key."""

import re

import sqlalchemy as sa
from alembic import op

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None

# Brazil's ninth digit, Argentina's 9 and Mexico's 1.
_KEYS = (
    (re.compile(r"\+55([1-9]{2})([6-9][0-9]{7})"), r"+55\g<1>9\g<2>"),
    (re.compile(r"\+549([1-9][0-9]{9})"), r"+54\g<1>"),
    (re.compile(r"\+521([1-9][0-9]{9})"), r"+52\g<1>"),
)


def upgrade() -> None:
    """Give each number its key.

    Where two customers have a spelling each, the one with the key keeps it, and an employee is asked to merge them.
    """
    tx = op.get_bind()
    found = sa.text(
        """
        SELECT organization_id, value, customer_id, created_at_ms FROM customer_identities
        WHERE kind = 'phone' AND (value LIKE '+55%' OR value LIKE '+549%' OR value LIKE '+521%')
        ORDER BY organization_id, value
        """
    )
    holder = sa.text(
        "SELECT customer_id FROM customer_identities "
        "WHERE organization_id = :organization_id AND kind = 'phone' AND value = :key"
    )
    rekeyed = sa.text(
        "UPDATE customer_identities SET value = :key "
        "WHERE organization_id = :organization_id AND kind = 'phone' AND value = :value"
    )
    flagged = sa.text(
        """
        INSERT INTO possible_duplicates (organization_id, customer_id, other_customer_id, found_at_ms)
        VALUES (:organization_id, :first, :second, :created_at_ms) ON CONFLICT DO NOTHING
        """
    )
    for row in tx.execute(found).mappings().all():
        key = _key(row["value"])
        if key is None:
            continue
        other = tx.execute(holder, {**row, "key": key}).scalar()
        if other is None:
            tx.execute(rekeyed, {**row, "key": key})
        elif other != row["customer_id"]:
            first, second = sorted((other, row["customer_id"]))
            tx.execute(flagged, {**row, "first": first, "second": second})


def _key(number: str) -> str | None:
    """The key of a number whose spelling is not the key itself."""
    for spelling, key in _KEYS:
        if match := spelling.fullmatch(number):
            return match.expand(key)
    return None
