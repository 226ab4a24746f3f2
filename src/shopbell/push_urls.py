"""An organization's push URL: the one webhook that is sent messages to customers, for their apps."""

from sqlalchemy import Connection, select

from shopbell import webhooks
from shopbell.sealing import Seals
from shopbell.storage.delivery_schema import webhooks as webhooks_table


def find(tx: Connection, organization_id: int) -> str | None:
    """The push URL of an organization; None where it has none."""
    found = _find(tx, organization_id)
    return None if found is None else found[1]


def change(tx: Connection, organization_id: int, seals: Seals, url: str | None, *, now_ms: int) -> None:
    """Set the push URL of an organization, or remove it.

    Args:
        tx: the transaction.
        organization_id: an organization that exists.
        seals: for ``webhooks.SEALING_PURPOSE``.
        url: checked by ``outbound.targets``; None removes it.
        now_ms: the time in Unix ms.

    Raises:
        Conflict: 409; the organization has as many webhooks as it may.
    """
    webhooks.lock_organization(tx, organization_id)
    found = _find(tx, organization_id)
    if found is None and url is not None:
        given: webhooks.WebhookChanges = {"url": url, "topics": ["messages"]}
        webhooks.create(tx, organization_id, seals, given, now_ms=now_ms, is_push=True)
    elif found is not None and url is None:
        webhooks.delete_webhook(tx, organization_id, found[0], seals, now_ms=now_ms)
    elif found is not None and url is not None:
        webhooks.update_webhook(tx, organization_id, found[0], seals, {"url": url, "enabled": True}, now_ms=now_ms)


def _find(tx: Connection, organization_id: int) -> tuple[int, str] | None:
    c = webhooks_table.c
    query = select(c.id, c.url).where(c.organization_id == organization_id, c.is_push, c.deleted_at_ms.is_(None))
    row = tx.execute(query).first()
    return None if row is None else (row.id, row.url)
