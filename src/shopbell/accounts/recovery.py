"""Recovery codes: each replaces the second factor once. Owns their table, which holds keyed hashes only."""

import re
import secrets
from collections.abc import Sequence

from sqlalchemy import ColumnElement, Connection, delete, func, insert, select, update

from shopbell.db.schema.accounts import recovery_codes
from shopbell.events import audit
from shopbell.security.tokens import token_hash

KEY_PURPOSE = "recovery code"
"""For ``Keys.derive``: the keys with which codes are hashed."""

CODES = 10
_ALPHABET = "abcdefghjkmnpqrstuvwxyz23456789"  # without 0, 1, i, l and o, which look alike on paper
_DIGITS = 10
_SEPARATORS = re.compile(r"[\s-]")


def renew(tx: Connection, keys: Sequence[bytes], organization_id: int, employee_id: int, *, now_ms: int) -> list[str]:
    """Replace the codes of an employee.

    Args:
        keys: the keys derived for ``KEY_PURPOSE``, the current one first.

    Returns:
        Ten codes of 49 bits, written ``xxxxx-xxxxx``. They are not stored.
    """
    remove(tx, organization_id, employee_id)
    plain = ["".join(secrets.choice(_ALPHABET) for _ in range(_DIGITS)) for _ in range(CODES)]
    tx.execute(
        insert(recovery_codes),
        [
            {
                "organization_id": organization_id,
                "employee_id": employee_id,
                "code_hash": token_hash(keys[0], code),
                "used_at_ms": None,
            }
            for code in plain
        ],
    )
    actor = f"employee {employee_id}"
    audit.record(tx, organization_id, actor, "employee.recovery-codes", actor, now_ms=now_ms)
    return [f"{code[:5]}-{code[5:]}" for code in plain]


def use(
    tx: Connection, keys: Sequence[bytes], organization_id: int, employee_id: int, code: str, *, now_ms: int
) -> bool:
    """Use a code, written in any case, with or without the hyphen; returns whether it was a good one."""
    these = _unused(keys, organization_id, employee_id, code)
    used = tx.execute(update(recovery_codes).where(*these).values(used_at_ms=now_ms))
    if used.rowcount == 0:
        return False
    actor = f"employee {employee_id}"
    audit.record(tx, organization_id, actor, "employee.recovery-code-use", actor, now_ms=now_ms)
    return True


def find(tx: Connection, keys: Sequence[bytes], organization_id: int, employee_id: int, code: str) -> str | None:
    """The stored hash of a code that can still be used."""
    these = _unused(keys, organization_id, employee_id, code)
    return tx.execute(select(recovery_codes.c.code_hash).where(*these)).scalar()


def left(tx: Connection, organization_id: int, employee_id: int) -> int:
    """How many codes an employee can still use."""
    c = recovery_codes.c
    query = select(func.count()).where(
        c.organization_id == organization_id, c.employee_id == employee_id, c.used_at_ms.is_(None)
    )
    return tx.execute(query).scalar_one()


def remove(tx: Connection, organization_id: int, employee_id: int) -> None:
    """Delete the codes of an employee."""
    c = recovery_codes.c
    tx.execute(delete(recovery_codes).where(c.organization_id == organization_id, c.employee_id == employee_id))


def _unused(
    keys: Sequence[bytes], organization_id: int, employee_id: int, code: str
) -> tuple[ColumnElement[bool], ...]:
    given = _SEPARATORS.sub("", code).lower()
    c = recovery_codes.c
    return (
        c.organization_id == organization_id,
        c.employee_id == employee_id,
        c.code_hash.in_([token_hash(key, given) for key in keys]),
        c.used_at_ms.is_(None),
    )
