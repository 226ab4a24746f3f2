"""An organization's push URL: a special webhook that receives the messages to customers, for their apps."""

from sqlalchemy import Connection, select

from shopbell.db.schema.webhooks import webhooks as webhooks_table
from shopbell.security.encryption import Cipher
from shopbell.webhooks import endpoints


def find(tx: Connection, organization_id: int) -> str | None:
    """The push URL of an organization, or None."""
    found = _find(tx, organization_id)
    return None if found is None else found[1]


def change(tx: Connection, organization_id: int, cipher: Cipher, url: str | None, *, actor: str, now_ms: int) -> None:
    """Set or remove the push URL of an organization.

    Args:
        organization_id: an organization that exists.
        cipher: for ``webhooks.SEALING_PURPOSE``.
        url: checked by ``safe_http.urls``; None removes it.
        actor: who changes it, as the audit log names them.

    Raises:
        Conflict: 409; the organization has as many webhooks as it may have.
    """
    endpoints.lock_organization(tx, organization_id)
    found = _find(tx, organization_id)
    if found is None and url is not None:
        given: endpoints.WebhookChanges = {"url": url, "topics": ["messages"]}
        endpoints.create(tx, organization_id, cipher, given, actor=actor, now_ms=now_ms, is_push=True)
    elif found is not None and url is None:
        endpoints.delete_webhook(tx, organization_id, found[0], cipher, actor=actor, now_ms=now_ms)
    elif found is not None and url is not None:
        changes: endpoints.WebhookChanges = {"url": url, "enabled": True}
        endpoints.update_webhook(tx, organization_id, found[0], cipher, changes, actor=actor, now_ms=now_ms)


def _find(tx: Connection, organization_id: int) -> tuple[int, str] | None:
    c = webhooks_table.c
    query = select(c.id, c.url).where(c.organization_id == organization_id, c.is_push, c.deleted_at_ms.is_(None))
    row = tx.execute(query).first()
    return None if row is None else (row.id, row.url)
