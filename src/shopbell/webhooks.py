"""Webhooks: who is told of events, where, and with which secrets. Owns their table and that of their subscriptions.

Locks are taken in one order: the webhook's row, then its organization's feed, then its queues (``backlog.py``).
"""

import base64
import secrets
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Any, TypedDict

from sqlalchemy import Connection, Row, delete, func, insert, select, update

from shopbell import backlog
from shopbell.errors import CommandError, Conflict, NotFound, SettingsError
from shopbell.extra_headers import ExtraHeader, as_text, from_text
from shopbell.outbound.targets import parse_url
from shopbell.sealing import Seals
from shopbell.storage.delivery_schema import (
    WEBHOOK_TOPICS,
    webhook_subscriptions,
    webhooks,
)
from shopbell.storage.ids import take_id
from shopbell.storage.schema import organizations

SEALING_PURPOSE = "webhook"
"""For ``Seals``: the keys under which secrets and extra headers are kept."""

WEBHOOKS_MAX = 50
"""Most webhooks of an organization: each event is a row for each of them."""

OLD_SECRET_MS = 24 * 60 * 60 * 1000
"""How long a secret that was replaced signs beside the new one."""

_SECRET_BYTES = 32


@dataclass(frozen=True, slots=True)
class Webhook:
    """A webhook as people may see it: without its secrets. Times are Unix ms.

    Args:
        topics: what it is told of, of ``messages`` and ``transfers``.
        extra_header_names: the headers that are sent beside ours; their values are shown to nobody. None where they
            were sealed under a key that this installation does not have.
        failing_since_ms: the first failed attempt after the last success.
        disabled_reason: ``failing`` or ``gone`` where Shopbell itself switched it off; its events are held.
        old_secret_expires_at_ms: until when the former secret signs beside the present one.
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
    """What to set of a webhook, checked: the URL by ``outbound.targets``, the headers by ``extra_headers``."""

    url: str
    enabled: bool
    topics: Collection[str]
    payload_version: str
    extra_headers: Sequence[ExtraHeader]


def create(
    tx: Connection, organization_id: int, seals: Seals, given: WebhookChanges, *, now_ms: int, is_push: bool = False
) -> tuple[Webhook, str]:
    """Make a webhook.

    Args:
        tx: the transaction.
        organization_id: an organization that exists.
        seals: for ``SEALING_PURPOSE``.
        given: at least ``url`` and ``topics``.
        now_ms: the time in Unix ms.
        is_push: whether it is the push URL's.

    Returns:
        The webhook, and its secret, which is shown this once.

    Raises:
        Conflict: 409; the organization has as many as it may.
    """
    lock_organization(tx, organization_id)  # two at once would both find room for one
    c = webhooks.c
    alive = select(func.count()).where(c.organization_id == organization_id, c.deleted_at_ms.is_(None))
    if tx.execute(alive).scalar_one() >= WEBHOOKS_MAX:
        raise Conflict(f"An organization has at most {WEBHOOKS_MAX} webhooks; delete one first.")
    webhook_id, secret = take_id(tx), new_secret()
    headers = given.get("extra_headers", ())
    topics = _in_order(given["topics"])
    tx.execute(
        insert(webhooks).values(
            organization_id=organization_id,
            id=webhook_id,
            url=given["url"],
            enabled=given.get("enabled", True),
            topics=" ".join(topics),
            payload_version=given.get("payload_version", "envelope"),
            sealed_extra_headers=seals.seal(as_text(headers)) if headers else None,
            sealed_secret=seals.seal(secret),
            created_at_ms=now_ms,
            is_push=is_push,
        )
    )
    made = get(tx, organization_id, webhook_id, seals)
    _subscribe(tx, made)
    return made, secret


def lock_organization(tx: Connection, organization_id: int) -> None:
    """Let one transaction at a time create webhooks of an organization."""
    of_this = select(organizations.c.id).where(organizations.c.id == organization_id)
    tx.execute(of_this.with_for_update(key_share=True))


def get(tx: Connection, organization_id: int, webhook_id: int, seals: Seals) -> Webhook:
    """The organization's webhook with this id.

    Raises:
        NotFound: 404.
    """
    return _webhook(_row(tx, organization_id, webhook_id), seals)


def find_all(tx: Connection, organization_id: int, seals: Seals) -> list[Webhook]:
    """All webhooks of an organization, the oldest first."""
    c = webhooks.c
    alive = select(webhooks).where(c.organization_id == organization_id, c.deleted_at_ms.is_(None))
    return [_webhook(row, seals) for row in tx.execute(alive.order_by(c.id))]


def find_organizations(tx: Connection) -> list[int]:
    """The ids of the organizations that have webhooks, in ascending order."""
    c = webhooks.c
    having = select(c.organization_id).where(c.deleted_at_ms.is_(None)).distinct().order_by(c.organization_id)
    return list(tx.scalars(having))


def organization_of(tx: Connection, webhook_id: int) -> int:
    """The organization of a webhook, for the operator, who names it by its id alone.

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
    """Take the lock of a webhook's row until the transaction ends.

    Returns:
        Whether it is enabled.

    Raises:
        NotFound: 404.
    """
    return bool(_row(tx, organization_id, webhook_id, lock=True).enabled)


def update_webhook(
    tx: Connection, organization_id: int, webhook_id: int, seals: Seals, changes: WebhookChanges, *, now_ms: int
) -> Webhook:
    """Change what is given of a webhook.

    Another scheme, host or port takes the extra headers away unless they are given again: whoever may edit a webhook
    could otherwise send its secrets to himself. Switched off by hand, it forgets what waits for it, a piece of it here
    and what is left by ``skip_waiting``; switched on after Shopbell had switched it off, it gets what was held, in
    order.

    Raises:
        NotFound: 404.
        Conflict: 409; it is switched on while more is left to be forgotten than one transaction may, or it is the push
            URL's, and its topics or its payload were given.
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
        columns["sealed_extra_headers"] = seals.seal(as_text(headers)) if headers else None
    if "topics" in changes:
        columns["topics"] = " ".join(_in_order(changes["topics"]))
    if "payload_version" in changes:
        columns["payload_version"] = changes["payload_version"]
    if "enabled" in changes:
        columns |= {"enabled": changes["enabled"], "disabled_reason": None}
        if changes["enabled"] and not before.enabled:
            columns |= {"failures": 0, "failing_since_ms": None}
    if columns:
        tx.execute(_one(organization_id, webhook_id).values(**columns))
    after = get(tx, organization_id, webhook_id, seals)
    _subscribe(tx, after)
    if not _receives(before) or not _receives(after):
        # Until now, too: a message that was under way when it was switched off may have left something.
        is_left = backlog.skip(tx, organization_id, webhook_id, now_ms=now_ms)
        if is_left and _receives(after):
            raise Conflict("What waited for the webhook is still being put aside; enable it in a few minutes.")
    elif after.enabled and not before.enabled:
        backlog.release(tx, organization_id, webhook_id, now_ms=now_ms)
    return after


def delete_webhook(tx: Connection, organization_id: int, webhook_id: int, seals: Seals, *, now_ms: int) -> None:
    """Delete a webhook: its secrets at once, its log when its time has come, what is left to wait by ``skip_waiting``.

    Raises:
        NotFound: 404.
    """
    before = _webhook(_row(tx, organization_id, webhook_id, lock=True), seals)
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
    tx.execute(_subscriptions_of(before))
    backlog.skip(tx, organization_id, webhook_id, now_ms=now_ms)


def skip_waiting(tx: Connection, organization_id: int, webhook_id: int, *, now_ms: int) -> bool:
    """Put aside a piece of what still waits for a webhook that its owner switched off or deleted.

    Args:
        tx: the transaction.
        organization_id: whose webhook it is.
        webhook_id: the webhook; nothing is done for one that gets deliveries, or that does not exist.
        now_ms: the time in Unix ms.

    Returns:
        Whether more waits.
    """
    c = webhooks.c
    this = select(webhooks).where(c.organization_id == organization_id, c.id == webhook_id)
    row = tx.execute(this.with_for_update(key_share=True)).first()
    if row is None or _receives(row):
        return False
    return backlog.skip(tx, organization_id, webhook_id, now_ms=now_ms)


def rotate_secret(tx: Connection, organization_id: int, webhook_id: int, seals: Seals, *, now_ms: int) -> str:
    """Give a webhook a new secret; the present one signs beside it for 24 hours, one before that no more.

    Returns:
        The new secret, which is shown this once.

    Raises:
        NotFound: 404.
    """
    before = _row(tx, organization_id, webhook_id, lock=True)
    secret = new_secret()
    tx.execute(
        _one(organization_id, webhook_id).values(
            sealed_secret=seals.seal(secret),
            sealed_old_secret=before.sealed_secret,
            old_secret_expires_at_ms=now_ms + OLD_SECRET_MS,
        )
    )
    return secret


def reseal(tx: Connection, seals: Seals) -> None:
    """Seal all secrets under the present secret key, so that the former one can be forgotten.

    Raises:
        SettingsError: one was sealed with neither.
    """
    c = webhooks.c
    sealed = (c.sealed_secret, c.sealed_old_secret, c.sealed_extra_headers)
    for row in tx.execute(select(webhooks).where(c.deleted_at_ms.is_(None)).order_by(c.id).with_for_update()):
        kept = {column.name: getattr(row, column.name) for column in sealed}
        anew = {name: seals.seal(seals.open(text)) for name, text in kept.items() if text is not None}
        tx.execute(_one(row.organization_id, row.id).values(**anew))


def new_secret() -> str:
    """A secret as the Standard Webhooks scheme wants it: ``whsec_`` and 256 bits in base64."""
    return "whsec_" + base64.b64encode(secrets.token_bytes(_SECRET_BYTES)).decode()


def _row(tx: Connection, organization_id: int, webhook_id: int, *, lock: bool = False) -> Row[Any]:
    c = webhooks.c
    query = select(webhooks).where(c.organization_id == organization_id, c.id == webhook_id, c.deleted_at_ms.is_(None))
    row = tx.execute(query.with_for_update(key_share=True) if lock else query).first()
    if row is None:
        raise NotFound("webHookId")
    return row


def _webhook(row: Row[Any], seals: Seals) -> Webhook:
    return Webhook(
        organization_id=row.organization_id,
        id=row.id,
        url=row.url,
        enabled=row.enabled,
        topics=tuple(row.topics.split()),
        payload_version="ipns" if row.is_push else row.payload_version,
        extra_header_names=_names_of(row.sealed_extra_headers, seals),
        created_at_ms=row.created_at_ms,
        failing_since_ms=row.failing_since_ms,
        disabled_reason=row.disabled_reason,
        old_secret_expires_at_ms=row.old_secret_expires_at_ms,
    )


def _names_of(sealed: str | None, seals: Seals) -> tuple[str, ...] | None:
    """One webhook whose key is lost must not hide the others, nor keep its owner from giving it new secrets."""
    try:
        return () if sealed is None else tuple(header.name for header in from_text(seals.open(sealed)))
    except SettingsError:
        return None


def _one(organization_id: int, webhook_id: int) -> Any:
    return update(webhooks).where(webhooks.c.organization_id == organization_id, webhooks.c.id == webhook_id)


def _in_order(topics: Collection[str]) -> list[str]:
    return [topic for topic in WEBHOOK_TOPICS if topic in topics]


def _place(url: str) -> tuple[str, str, int]:
    target = parse_url(url)
    return target.scheme, target.host, target.port


def _subscriptions_of(webhook: Webhook) -> Any:
    c = webhook_subscriptions.c
    return delete(webhook_subscriptions).where(c.organization_id == webhook.organization_id, c.webhook_id == webhook.id)


def _receives(webhook: Webhook | Row[Any]) -> bool:
    """Whether deliveries are made for it: not when its owner switched it off."""
    return bool(webhook.enabled) or webhook.disabled_reason is not None


def _subscribe(tx: Connection, webhook: Webhook) -> None:
    """Let deliveries be made for what a webhook wants."""
    tx.execute(_subscriptions_of(webhook))
    if _receives(webhook):
        wanted = [
            {"organization_id": webhook.organization_id, "webhook_id": webhook.id, "topic": topic}
            for topic in webhook.topics
        ]
        tx.execute(insert(webhook_subscriptions), wanted)
