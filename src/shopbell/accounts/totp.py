"""Codes of an authenticator app as a second factor (TOTP, RFC 6238). Owns their table."""

import hmac
import io

from sqlalchemy import Connection, delete, insert, select, update

from shopbell.db.schema.accounts import totp_secrets
from shopbell.errors import Conflict
from shopbell.events import audit
from shopbell.security.encryption import Cipher

SEALING_PURPOSE = "totp secret"
STEP_S = 30
_TOLERATED_STEPS = 1
"""A code is accepted one step early or late: clocks of phones differ, and typing takes time."""


class AlreadySetUp(Conflict):
    """409: an authenticator app is the second factor already."""

    def __init__(self) -> None:
        super().__init__("You already use an authenticator app. Remove it first.")


def start(tx: Connection, cipher: Cipher, organization_id: int, employee_id: int) -> str:
    """Begin to set up an authenticator app, or go on: until a code confirms it, the secret stays.

    Returns:
        The secret in base 32. The app shows codes of it; ``confirm`` needs one.

    Raises:
        AlreadySetUp: 409.
    """
    c = totp_secrets.c
    begun = tx.execute(
        select(c.sealed_secret, c.confirmed_at_ms).where(
            c.organization_id == organization_id, c.employee_id == employee_id
        )
    ).first()
    if begun is not None and begun.confirmed_at_ms is not None:
        raise AlreadySetUp
    if begun is not None:
        return cipher.open(begun.sealed_secret)
    import pyotp  # on first use: many installations have no second factor

    secret = pyotp.random_base32()
    tx.execute(
        insert(totp_secrets).values(
            organization_id=organization_id, employee_id=employee_id, sealed_secret=cipher.encrypt(secret), last_step=0
        )
    )
    return secret


def confirm(tx: Connection, cipher: Cipher, organization_id: int, employee_id: int, code: str, *, now_ms: int) -> bool:
    """Make the app that ``start`` set up the second factor; returns whether the code was right."""
    if not _accept(tx, cipher, organization_id, employee_id, code, is_confirmed=False, now_ms=now_ms):
        return False
    c = totp_secrets.c
    tx.execute(
        update(totp_secrets)
        .where(c.organization_id == organization_id, c.employee_id == employee_id)
        .values(confirmed_at_ms=now_ms)
    )
    actor = f"employee {employee_id}"
    audit.record(tx, organization_id, actor, "employee.totp", actor, now_ms=now_ms)
    return True


def is_set_up(tx: Connection, organization_id: int, employee_id: int) -> bool:
    """Whether an employee has an authenticator app as second factor."""
    c = totp_secrets.c
    query = select(c.employee_id).where(
        c.organization_id == organization_id, c.employee_id == employee_id, c.confirmed_at_ms.is_not(None)
    )
    return tx.execute(query).first() is not None


def use(tx: Connection, cipher: Cipher, organization_id: int, employee_id: int, code: str, *, now_ms: int) -> bool:
    """Use a code as second factor; returns whether it was right. Each code is accepted once (RFC 6238, 5.2)."""
    return _accept(tx, cipher, organization_id, employee_id, code, is_confirmed=True, now_ms=now_ms)


def remove(tx: Connection, organization_id: int, employee_id: int, *, actor: str, now_ms: int) -> None:
    """Remove the authenticator app of an employee, if there is one."""
    c = totp_secrets.c
    gone = tx.execute(delete(totp_secrets).where(c.organization_id == organization_id, c.employee_id == employee_id))
    if gone.rowcount:
        audit.record(tx, organization_id, actor, "employee.totp-remove", f"employee {employee_id}", now_ms=now_ms)


def reseal(tx: Connection, cipher: Cipher) -> None:
    """Encrypt all secrets with the current secret key, so that the old one can be removed from the settings.

    Raises:
        SettingsError: a secret was encrypted with neither.
    """
    c = totp_secrets.c
    for row in tx.execute(select(totp_secrets).order_by(c.organization_id, c.employee_id).with_for_update()):
        encrypted = cipher.encrypt(cipher.open(row.sealed_secret))
        of_employee = (c.organization_id == row.organization_id) & (c.employee_id == row.employee_id)
        tx.execute(update(totp_secrets).where(of_employee).values(sealed_secret=encrypted))


def address(secret: str, *, account: str, issuer: str) -> str:
    """The ``otpauth:`` address that an authenticator app reads from a QR code.

    Args:
        secret: in base 32.
        account: what the app shows, such as the email address.
        issuer: the name of the installation, shown next to it.
    """
    import pyotp

    return pyotp.TOTP(secret, name=account, issuer=issuer).provisioning_uri()


def qr_svg(text: str) -> str:
    """A QR code as SVG, for a page in light or dark: dark modules on a white ground."""
    import segno  # on first use: an installation draws few of them

    out = io.BytesIO()
    segno.make(text, error="m", micro=False).save(
        out, kind="svg", scale=4, border=4, light="#fff", xmldecl=False, svgns=True, nl=False, omitsize=False
    )
    return out.getvalue().decode()


def _accept(
    tx: Connection,
    cipher: Cipher,
    organization_id: int,
    employee_id: int,
    code: str,
    *,
    is_confirmed: bool,
    now_ms: int,
) -> bool:
    c = totp_secrets.c
    of_employee = (c.organization_id == organization_id) & (c.employee_id == employee_id)
    row = tx.execute(
        select(c.sealed_secret, c.last_step, c.confirmed_at_ms).where(of_employee).with_for_update()
    ).first()
    if row is None or (row.confirmed_at_ms is not None) != is_confirmed:
        return False
    import pyotp

    totp = pyotp.TOTP(cipher.open(row.sealed_secret))
    given = "".join(code.split())
    now_step = now_ms // 1_000 // STEP_S
    for step in range(now_step - _TOLERATED_STEPS, now_step + _TOLERATED_STEPS + 1):
        if hmac.compare_digest(totp.generate_otp(step).encode(), given.encode()) and step > row.last_step:
            tx.execute(update(totp_secrets).where(of_employee).values(last_step=step))
            return True
    return False
