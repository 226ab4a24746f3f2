"""Webhooks: their URLs and secrets. Owns their table.

Locks are taken in one order: the webhook's row, then its organization's feed, then its queues
(``webhooks/backlog.py``).
"""

import base64
import secrets
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Any, Literal, TypedDict

from sqlalchemy import Connection, Row, func, insert, select, update

from shopbell.db import installation
from shopbell.db.ids import take_id
from shopbell.db.schema.core import organizations
from shopbell.db.schema.webhooks import webhooks
from shopbell.errors import CommandError, Conflict, NotFound, SettingsError
from shopbell.events import audit
from shopbell.safe_http.urls import parse_url
from shopbell.security.encryption import Cipher
from shopbell.webhooks import backlog, subscriptions
from shopbell.webhooks.extra_headers import ExtraHeader, as_text, from_text

PayloadVersion = Literal["envelope", "flat"]

SEALING_PURPOSE = "webhook"
"""For ``Cipher``: secrets and extra headers are stored encrypted."""

WEBHOOKS_MAX = 50
"""Most webhooks of an organization: each event adds a row for each of them."""

OLD_SECRET_MS = 24 * 60 * 60 * 1000
"""How long deliveries are also signed with the replaced secret."""

_SECRET_BYTES = 32


@dataclass(frozen=True, slots=True)
class Webhook:
    """A webhook without its secrets. Times are Unix ms.

    Args:
        topics: what it subscribed to.
        extra_header_names: the names of the extra headers; their values are secret. None if they were encrypted with a
            key that this installation does not have.
        failing_since_ms: the first failed attempt since the last success.
        disabled_reason: ``failing`` or ``gone`` if Shopbell disabled it; its events are held.
        old_secret_expires_at_ms: the end of the time in which the replaced secret also signs.
    """

    organization_id: int
    id: int
    url: str
    enabled: bool
    topics: tuple[str, ...]
    payload_version: str
    extra_header_names: tuple[str, ...] | None
    created_at_ms: int
    failing_since_ms: int | None
    disabled_reason: str | None
    old_secret_expires_at_ms: int | None


class WebhookChanges(TypedDict, total=False):
    """Fields to set, already checked: the URL by ``safe_http.urls``, the headers by ``extra_headers``."""

    url: str
    enabled: bool
    topics: Collection[str]
    payload_version: str
    extra_headers: Sequence[ExtraHeader]


def create(
    tx: Connection,
    organization_id: int,
    cipher: Cipher,
    given: WebhookChanges,
    *,
    actor: str,
    now_ms: int,
    is_push: bool = False,
) -> tuple[Webhook, str]:
    """Create a webhook.

    Args:
        organization_id: an organization that exists.
        cipher: for ``SEALING_PURPOSE``.
        given: at least ``url`` and ``topics``.
        actor: who creates it, as the audit log names them.
        is_push: whether it is the webhook of the push URL.

    Returns:
        The webhook and its secret, which is shown only here.

    Raises:
        Conflict: 409; the organization has ``WEBHOOKS_MAX`` webhooks.
    """
    lock_organization(tx, organization_id)  # two concurrent requests would both count one webhook too few
    c = webhooks.c
    alive = select(func.count()).where(c.organization_id == organization_id, c.deleted_at_ms.is_(None))
    if tx.execute(alive).scalar_one() >= WEBHOOKS_MAX:
        raise Conflict(f"An organization can have at most {WEBHOOKS_MAX} webhooks. Delete one first.")
    webhook_id, secret = take_id(tx), new_secret()
    headers = given.get("extra_headers", ())
    topics = subscriptions.in_order(given["topics"])
    tx.execute(
        insert(webhooks).values(
            organization_id=organization_id,
            id=webhook_id,
            url=given["url"],
            enabled=given.get("enabled", True),
            topics=" ".join(topics),
            payload_version=given.get("payload_version", "envelope"),
            sealed_extra_headers=cipher.encrypt(as_text(headers)) if headers else None,
            sealed_secret=cipher.encrypt(secret),
            created_at_ms=now_ms,
            is_push=is_push,
        )
    )
    made = get(tx, organization_id, webhook_id, cipher)
    subscriptions.write(tx, made)
    audit_webhook(tx, organization_id, webhook_id, "create", actor=actor, now_ms=now_ms)
    return made, secret


def audit_webhook(tx: Connection, organization_id: int, webhook_id: int, verb: str, *, actor: str, now_ms: int) -> None:
    """Write an audit entry for something that was done to a webhook, such as ``create``."""
    audit.record(tx, organization_id, actor, f"webhook.{verb}", f"webhook {webhook_id}", now_ms=now_ms)


def lock_organization(tx: Connection, organization_id: int) -> None:
    """Let only one transaction at a time create webhooks of an organization."""
    of_this = select(organizations.c.id).where(organizations.c.id == organization_id)
    tx.execute(of_this.with_for_update(key_share=True))


def get(tx: Connection, organization_id: int, webhook_id: int, cipher: Cipher) -> Webhook:
    """The organization's webhook with this id.

    Raises:
        NotFound: 404.
    """
    return _webhook(_row(tx, organization_id, webhook_id), cipher)


def find_all(tx: Connection, organization_id: int, cipher: Cipher) -> list[Webhook]:
    """All webhooks of an organization, the oldest first."""
    c = webhooks.c
    alive = select(webhooks).where(c.organization_id == organization_id, c.deleted_at_ms.is_(None))
    return [_webhook(row, cipher) for row in tx.execute(alive.order_by(c.id))]


def find_organizations(tx: Connection) -> list[int]:
    """The ids of the organizations that have webhooks, in ascending order."""
    c = webhooks.c
    having = select(c.organization_id).where(c.deleted_at_ms.is_(None)).distinct().order_by(c.organization_id)
    return list(tx.scalars(having))


def organization_of(tx: Connection, webhook_id: int) -> int:
    """The organization of a webhook, for operators, who name a webhook by its id alone.

    Raises:
        CommandError: there is no such webhook.
    """
    c = webhooks.c
    found = tx.scalar(select(c.organization_id).where(c.id == webhook_id, c.deleted_at_ms.is_(None)))
    if found is None:
        raise CommandError(f"there is no webhook {webhook_id}; `shopbell webhooks list` shows them")
    return int(found)


def check_exists(tx: Connection, organization_id: int, webhook_id: int) -> None:
    """Make sure that the organization has a webhook with this id.

    Raises:
        NotFound: 404.
    """
    _row(tx, organization_id, webhook_id)


def lock(tx: Connection, organization_id: int, webhook_id: int) -> bool:
    """Lock the row of a webhook until the transaction ends.

    Returns:
        Whether it is enabled.

    Raises:
        NotFound: 404.
    """
    return bool(_row(tx, organization_id, webhook_id, lock=True).enabled)


def update_webhook(
    tx: Connection,
    organization_id: int,
    webhook_id: int,
    cipher: Cipher,
    changes: WebhookChanges,
    *,
    actor: str,
    now_ms: int,
) -> Webhook:
    """Set the given fields of a webhook.

    Another scheme, host or port removes the extra headers unless they are given again. Otherwise anyone who may edit a
    webhook could send its secrets to their own server. When a webhook is disabled, its waiting deliveries are skipped:
    one batch here, the rest by ``skip_waiting``. When a webhook that Shopbell disabled is enabled again, the deliveries
    that were held are sent in order.

    Raises:
        NotFound: 404.
        Conflict: 409; it is to be enabled while more than one batch has yet to be skipped, or it is the webhook of the
            push URL, and ``topics`` or ``payload_version`` is given.
    """
    before = _row(tx, organization_id, webhook_id, lock=True)
    if before.is_push and not changes.keys().isdisjoint(("topics", "payload_version")):
        raise Conflict("The events and the payload of the push URL's webhook cannot be changed.")
    columns: dict[str, Any] = {}
    if "url" in changes:
        columns["url"] = changes["url"]
        if _place(changes["url"]) != _place(before.url):
            columns["sealed_extra_headers"] = None
    if "extra_headers" in changes:
        headers = changes["extra_headers"]
        columns["sealed_extra_headers"] = cipher.encrypt(as_text(headers)) if headers else None
    if "topics" in changes:
        columns["topics"] = " ".join(subscriptions.in_order(changes["topics"]))
    if "payload_version" in changes:
        columns["payload_version"] = changes["payload_version"]
    if "enabled" in changes:
        columns |= {"enabled": changes["enabled"], "disabled_reason": None}
        if changes["enabled"] and not before.enabled:
            columns |= {"failures": 0, "failing_since_ms": None}
    if columns:
        tx.execute(_one(organization_id, webhook_id).values(**columns))
    after = get(tx, organization_id, webhook_id, cipher)
    subscriptions.write(tx, after)
    if not subscriptions.receives(before) or not subscriptions.receives(after):
        # Also when it is enabled: a message that was being stored when it was disabled may have added a delivery.
        is_left = backlog.skip(tx, organization_id, webhook_id, now_ms=now_ms)
        if is_left and subscriptions.receives(after):
            raise Conflict("Old deliveries of the webhook are still being skipped. Enable it in a few minutes.")
    elif after.enabled and not before.enabled:
        backlog.release(tx, organization_id, webhook_id, now_ms=now_ms)
    audit_webhook(tx, organization_id, webhook_id, "update", actor=actor, now_ms=now_ms)
    return after


def delete_webhook(
    tx: Connection, organization_id: int, webhook_id: int, cipher: Cipher, *, actor: str, now_ms: int
) -> Webhook:
    """Delete a webhook and its secrets.

    ``skip_waiting`` skips the waiting deliveries; the delivery log is deleted after its retention time.

    Raises:
        NotFound: 404.
    """
    before = _webhook(_row(tx, organization_id, webhook_id, lock=True), cipher)
    tx.execute(
        _one(organization_id, webhook_id).values(
            enabled=False,
            deleted_at_ms=now_ms,
            disabled_reason=None,
            sealed_secret="",
            sealed_old_secret=None,
            old_secret_expires_at_ms=None,
            sealed_extra_headers=None,
        )
    )
    subscriptions.remove(tx, before)
    backlog.skip(tx, organization_id, webhook_id, now_ms=now_ms)
    audit_webhook(tx, organization_id, webhook_id, "delete", actor=actor, now_ms=now_ms)
    return before


def skip_waiting(tx: Connection, organization_id: int, webhook_id: int, *, now_ms: int) -> bool:
    """Skip one batch of the waiting deliveries of a webhook that was disabled by hand or deleted.

    Args:
        webhook_id: the webhook; nothing happens if it receives deliveries or does not exist.

    Returns:
        Whether there is another batch.
    """
    c = webhooks.c
    this = select(webhooks).where(c.organization_id == organization_id, c.id == webhook_id)
    row = tx.execute(this.with_for_update(key_share=True)).first()
    if row is None or subscriptions.receives(row):
        return False
    return backlog.skip(tx, organization_id, webhook_id, now_ms=now_ms)


def rotate_secret(
    tx: Connection, organization_id: int, webhook_id: int, cipher: Cipher, *, actor: str, now_ms: int
) -> str:
    """Replace the secret of a webhook. For 24 hours deliveries are signed with both the new and the replaced secret.

    Returns:
        The new secret, which is shown only here.

    Raises:
        NotFound: 404.
    """
    before = _row(tx, organization_id, webhook_id, lock=True)
    secret = new_secret()
    tx.execute(
        _one(organization_id, webhook_id).values(
            sealed_secret=cipher.encrypt(secret),
            sealed_old_secret=before.sealed_secret,
            old_secret_expires_at_ms=now_ms + OLD_SECRET_MS,
        )
    )
    audit_webhook(tx, organization_id, webhook_id, "rotate-secret", actor=actor, now_ms=now_ms)
    return secret


def resume_all(tx: Connection, *, actor: str, now_ms: int) -> bool:
    """Deliver again after a restore or a move, in all organizations.

    Returns:
        Whether deliveries had been stopped.
    """
    if not installation.resume_deliveries(tx):
        return False
    for organization_id in find_organizations(tx):
        audit.record(tx, organization_id, actor, "webhook.resume", "all webhooks", now_ms=now_ms)
    return True


def reseal(tx: Connection, cipher: Cipher) -> None:
    """Encrypt all secrets with the current secret key, so that the old one can be removed from the settings.

    Raises:
        SettingsError: a secret was encrypted with neither.
    """
    c = webhooks.c
    sealed = (c.sealed_secret, c.sealed_old_secret, c.sealed_extra_headers)
    for row in tx.execute(select(webhooks).where(c.deleted_at_ms.is_(None)).order_by(c.id).with_for_update()):
        kept = {column.name: getattr(row, column.name) for column in sealed}
        encrypted = {name: cipher.encrypt(cipher.open(text)) for name, text in kept.items() if text is not None}
        tx.execute(_one(row.organization_id, row.id).values(**encrypted))


def new_secret() -> str:
    """A new secret in the form of Standard Webhooks: ``whsec_`` and 256 bits in base64."""
    return "whsec_" + base64.b64encode(secrets.token_bytes(_SECRET_BYTES)).decode()


def _row(tx: Connection, organization_id: int, webhook_id: int, *, lock: bool = False) -> Row[Any]:
    c = webhooks.c
    query = select(webhooks).where(c.organization_id == organization_id, c.id == webhook_id, c.deleted_at_ms.is_(None))
    row = tx.execute(query.with_for_update(key_share=True) if lock else query).first()
    if row is None:
        raise NotFound("webHookId")
    return row


def _webhook(row: Row[Any], cipher: Cipher) -> Webhook:
    return Webhook(
        organization_id=row.organization_id,
        id=row.id,
        url=row.url,
        enabled=row.enabled,
        topics=tuple(row.topics.split()),
        payload_version="ipns" if row.is_push else row.payload_version,
        extra_header_names=_names_of(row.sealed_extra_headers, cipher),
        created_at_ms=row.created_at_ms,
        failing_since_ms=row.failing_since_ms,
        disabled_reason=row.disabled_reason,
        old_secret_expires_at_ms=row.old_secret_expires_at_ms,
    )


def _names_of(sealed: str | None, cipher: Cipher) -> tuple[str, ...] | None:
    """None if the key is lost: the webhook must still be listed, so that it can get new secrets."""
    try:
        return () if sealed is None else tuple(header.name for header in from_text(cipher.open(sealed)))
    except SettingsError:
        return None


def _one(organization_id: int, webhook_id: int) -> Any:
    return update(webhooks).where(webhooks.c.organization_id == organization_id, webhooks.c.id == webhook_id)


def _place(url: str) -> tuple[str, str, int]:
    target = parse_url(url)
    return target.scheme, target.host, target.port
