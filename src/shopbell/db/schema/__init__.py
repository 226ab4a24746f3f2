"""All tables; importing this package registers them."""

from shopbell.db.schema import core, customers, webhooks

__all__ = ["core", "customers", "webhooks"]
