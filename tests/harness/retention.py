"""Data that is old, and how long it is kept."""

from typing import Any

from harness.shop import Shop

DAY_MS = 24 * 60 * 60 * 1000
UPDATE = "/api/organization/update"


def keep(shop: Shop, **days: Any) -> None:
    """Set how long the organization keeps its data."""
    answer = shop.post(days, path=UPDATE)
    assert answer.status_code == 200, answer.text


def age(shop: Shop, table: str, *, days: int) -> None:
    """Make all that is in a table older."""
    shop.database.change(f"UPDATE {table} SET created_at_ms = created_at_ms - :age", age=days * DAY_MS)
