"""Subscriptions of employees' browsers. Owns their table.

A subscription lasts as long as the session that made it: a device that was signed out gets no notifications.
"""

import hashlib
from dataclasses import dataclass
from typing import Any

import orjson
from sqlalchemy import Connection, delete, select, update

from shopbell.accounts import sessions
from shopbell.db.ids import take_id
from shopbell.db.schema.accounts import employee_sessions
from shopbell.db.schema.web_push import push_cursors, push_subscriptions, pushes
from shopbell.errors import NotFound
from shopbell.events import feed
from shopbell.events.record import upsert
from shopbell.organizations import employees
from shopbell.security.encryption import Cipher
from shopbell.web_push.encryption import BrowserKeys, from_base64url, to_base64url

SEALING_PURPOSE = "web push subscription"
"""For ``Cipher``."""

SUBSCRIPTIONS_MAX = 20
"""The maximum number of browsers of an employee; one more replaces the oldest."""

_S = push_subscriptions.c


@dataclass(frozen=True, slots=True, repr=False)
class Address:
    """Where a browser receives messages, and its keys."""

    endpoint: str
    keys: BrowserKeys

    def seal(self, cipher: Cipher) -> str:
        """Encrypt it."""
        parts = [self.endpoint, to_base64url(self.keys.p256dh), to_base64url(self.keys.auth)]
        return cipher.encrypt(orjson.dumps(parts).decode())

    @classmethod
    def open(cls, sealed: str, cipher: Cipher) -> "Address":
        """Decrypt the result of ``seal``.

        Raises:
            SettingsError: it was encrypted with another secret key.
        """
        endpoint, p256dh, auth = orjson.loads(cipher.open(sealed))
        return cls(endpoint, BrowserKeys(from_base64url(p256dh), from_base64url(auth)))


def subscribe(
    tx: Connection,
    organization_id: int,
    employee_id: int,
    address: Address,
    cipher: Cipher,
    *,
    session_id: int | None,
    now_ms: int,
) -> int:
    """Send notifications of an employee to a browser.

    An employee who subscribed with the browser earlier no longer gets notifications there.

    Args:
        cipher: for ``SEALING_PURPOSE``.
        session_id: the session of the browser; None for a token.

    Returns:
        The id of the subscription.

    Raises:
        NotFound: 404; there is no active employee of that id.
    """
    employees.check_acting(tx, organization_id, employee_id)
    position = feed.last_position(tx, organization_id)
    cursor = upsert(tx, push_cursors).values(organization_id=organization_id, position=position)
    tx.execute(cursor.on_conflict_do_nothing())
    row = {
        "organization_id": organization_id,
        "id": take_id(tx),
        "employee_id": employee_id,
        "session_id": session_id,
        "endpoint_hash": hashlib.sha256(address.endpoint.encode()).hexdigest(),
        "sealed_address": address.seal(cipher),
        "created_at_ms": now_ms,
    }
    is_this = (_S.organization_id == organization_id, _S.endpoint_hash == row["endpoint_hash"])
    present = tx.execute(select(_S.id, _S.employee_id).where(*is_this).with_for_update()).first()
    if present is not None and present.employee_id == employee_id:
        tx.execute(update(push_subscriptions).where(*is_this).values(**row | {"id": present.id}))
        former_id: int = present.id
        return former_id
    if present is not None:
        forget(tx, organization_id, [present.id])
    new = upsert(tx, push_subscriptions).values(row)
    # Two requests of a browser at the same moment: the second one finds the row of the first.
    stored = new.on_conflict_do_update(
        index_elements=["organization_id", "endpoint_hash"], set_={"sealed_address": row["sealed_address"]}
    )
    id_: int = tx.execute(stored.returning(_S.id)).scalar_one()
    mine = (_S.organization_id == organization_id, _S.employee_id == employee_id)
    oldest = select(_S.id).where(*mine).order_by(_S.created_at_ms.desc(), _S.id.desc()).offset(SUBSCRIPTIONS_MAX)
    forget(tx, organization_id, list(tx.scalars(oldest)))
    return id_


def unsubscribe(tx: Connection, organization_id: int, employee_id: int, subscription_id: int) -> None:
    """Send no more notifications to a browser.

    Raises:
        NotFound: 404; there is no active employee of that id, or they have no such subscription.
    """
    employees.check_acting(tx, organization_id, employee_id)
    mine = (_S.organization_id == organization_id, _S.employee_id == employee_id, _S.id == subscription_id)
    if tx.execute(select(_S.id).where(*mine)).first() is None:
        raise NotFound("pushSubscriptionId")
    forget(tx, organization_id, [subscription_id])


def forget(tx: Connection, organization_id: int, ids: list[int]) -> None:
    """Delete subscriptions and their waiting notifications."""
    p = pushes.c
    tx.execute(delete(pushes).where(p.organization_id == organization_id, p.subscription_id.in_(ids)))
    tx.execute(delete(push_subscriptions).where(_S.organization_id == organization_id, _S.id.in_(ids)))


def is_valid(tx: Connection, row: Any, *, now_ms: int) -> bool:
    """Whether the employee of a subscription is active and its session has not ended.

    Args:
        row: of the table.
    """
    if not employees.is_active(tx, row.organization_id, row.employee_id):
        return False
    if row.session_id is None:
        return True
    c = employee_sessions.c
    query = select(employee_sessions).where(c.organization_id == row.organization_id, c.id == row.session_id)
    session = tx.execute(query).mappings().first()
    return session is not None and sessions.EmployeeSession(**session).is_valid(now_ms)


def reseal(tx: Connection, cipher: Cipher) -> None:
    """Encrypt all addresses with the current secret key.

    The old key can then be removed from the settings.

    Raises:
        SettingsError: an address was encrypted with neither.
    """
    for row in tx.execute(select(push_subscriptions).order_by(_S.organization_id, _S.id).with_for_update()):
        is_this = (_S.organization_id == row.organization_id, _S.id == row.id)
        sealed = cipher.encrypt(cipher.open(row.sealed_address))
        tx.execute(update(push_subscriptions).where(*is_this).values(sealed_address=sealed))
