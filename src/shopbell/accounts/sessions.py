"""Sessions of employees' browsers. Owns their table, which holds keyed hashes only.

A session ends 12 hours after its last use, and 30 days after the sign-in. Until the employee has given all factors, it
lasts 15 minutes. Its token changes with each factor, and a change of the employee's roles ends it, so a token from
before is worth nothing after.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Literal

from sqlalchemy import Connection, delete, insert, or_, select, update

from shopbell.db.ids import take_id
from shopbell.db.schema.accounts import employee_sessions
from shopbell.db.schema.core import employees
from shopbell.events import audit
from shopbell.security.tokens import new_token, token_hash

KEY_PURPOSE = "employee session"
"""For ``Keys.derive``: the keys with which tokens of sessions are hashed."""

PREFIX = "sbe_"
_HOUR_MS = 60 * 60 * 1_000
IDLE_MS = 12 * _HOUR_MS
MAX_MS = 30 * 24 * _HOUR_MS
WAITING_MS = 15 * 60 * 1_000
"""How long a session waits for the second factor, or for the employee to set one up."""

FRESH_MS = 10 * 60 * 1_000
"""How long after a factor sensitive actions need no other."""

SEEN_EVERY_MS = 5 * 60 * 1_000
"""The least time between two writes of ``seen_at_ms``."""

_AGENT_MAX_CHARACTERS = 200

Stage = Literal["code", "enrol", "full"]
"""``code``: waits for the second factor. ``enrol``: the employee has to set one up. ``full``: signed in."""


@dataclass(frozen=True, slots=True)
class EmployeeSession:
    """A session as it is stored, without its token. Times are Unix ms.

    Args:
        factor_at_ms: when the employee last gave a factor.
        agent: the browser and its system, as the browser names them.
    """

    organization_id: int
    id: int
    employee_id: int
    token_hash: str = field(repr=False)
    stage: Stage
    created_at_ms: int
    seen_at_ms: int
    factor_at_ms: int
    agent: str = field(repr=False)

    def is_valid(self, now_ms: int) -> bool:
        """Whether it is valid at a time (Unix ms)."""
        max_ms = MAX_MS if self.stage == "full" else WAITING_MS
        return now_ms < self.seen_at_ms + IDLE_MS and now_ms < self.created_at_ms + max_ms

    def is_fresh(self, now_ms: int) -> bool:
        """Whether sensitive actions are allowed without another factor."""
        return self.stage == "full" and now_ms < self.factor_at_ms + FRESH_MS


def create(
    tx: Connection,
    keys: Sequence[bytes],
    organization_id: int,
    employee_id: int,
    stage: Stage,
    *,
    agent: str,
    factor_at_ms: int | None = None,
    now_ms: int,
) -> tuple[EmployeeSession, str]:
    """Start a session, after a first factor.

    Args:
        keys: the keys derived for ``KEY_PURPOSE``, the current one first.
        agent: the header ``User-Agent`` of the browser.
        factor_at_ms: when the factor was given, unless it was now.

    Returns:
        The session and its token, which is not stored.
    """
    secret = new_token(PREFIX)
    session = EmployeeSession(
        organization_id=organization_id,
        id=take_id(tx),
        employee_id=employee_id,
        token_hash=token_hash(keys[0], secret),
        stage=stage,
        created_at_ms=now_ms,
        seen_at_ms=now_ms,
        factor_at_ms=now_ms if factor_at_ms is None else min(factor_at_ms, now_ms),
        agent=agent[:_AGENT_MAX_CHARACTERS],
    )
    tx.execute(insert(employee_sessions).values({name: getattr(session, name) for name in EmployeeSession.__slots__}))
    if stage == "full":
        _audit(tx, session, "sign-in", now_ms=now_ms)
    return session, secret


def advance(
    tx: Connection, keys: Sequence[bytes], session: EmployeeSession, stage: Stage, *, now_ms: int
) -> tuple[EmployeeSession, str] | None:
    """Give a session a new token, because the employee gave another factor.

    Returns:
        The session and its new token; None if it has ended, or was advanced by another request.
    """
    secret = new_token(PREFIX)
    changed = replace(session, token_hash=token_hash(keys[0], secret), stage=stage, factor_at_ms=now_ms)
    c = employee_sessions.c
    found = tx.execute(
        update(employee_sessions)
        .where(c.organization_id == session.organization_id, c.id == session.id, c.token_hash == session.token_hash)
        .values(token_hash=changed.token_hash, stage=stage, factor_at_ms=now_ms, seen_at_ms=now_ms)
    )
    if found.rowcount == 0:
        return None
    if stage == "full" and session.stage != "full":
        _audit(tx, changed, "sign-in", now_ms=now_ms)
    return replace(changed, seen_at_ms=now_ms), secret


def find(tx: Connection, hashes: Sequence[str]) -> EmployeeSession | None:
    """The session with one of these hashes, valid or not; None if its employee is deactivated.

    Args:
        hashes: the keyed hash under each secret key, the current one first.
    """
    c, e = employee_sessions.c, employees.c
    query = (
        select(employee_sessions)  # the token determines the organization
        .join(employees, (e.organization_id == c.organization_id) & (e.id == c.employee_id))
        .where(c.token_hash.in_(hashes), e.deactivated_at_ms.is_(None))
    )
    row = tx.execute(query).mappings().first()
    return None if row is None else EmployeeSession(**row)


def note_use(tx: Connection, session: EmployeeSession, *, now_ms: int) -> None:
    """Store that a session was used."""
    c = employee_sessions.c
    tx.execute(
        update(employee_sessions)
        .where(c.organization_id == session.organization_id, c.id == session.id)
        .values(seen_at_ms=now_ms)
    )


def of_employee(tx: Connection, organization_id: int, employee_id: int, *, now_ms: int) -> list[EmployeeSession]:
    """The valid sessions of an employee, the last used first."""
    c = employee_sessions.c
    query = (
        select(employee_sessions)
        .where(c.organization_id == organization_id, c.employee_id == employee_id)
        .order_by(c.seen_at_ms.desc(), c.id)
    )
    found = (EmployeeSession(**row) for row in tx.execute(query).mappings())
    return [session for session in found if session.is_valid(now_ms)]


def end(tx: Connection, organization_id: int, employee_id: int, session_id: int, *, now_ms: int) -> bool:
    """End one session of an employee; returns whether there was one."""
    c = employee_sessions.c
    ended = tx.execute(
        delete(employee_sessions).where(
            c.organization_id == organization_id, c.employee_id == employee_id, c.id == session_id
        )
    )
    if ended.rowcount:
        subject = f"session {session_id}"
        audit.record(tx, organization_id, f"employee {employee_id}", "session.end", subject, now_ms=now_ms)
    return bool(ended.rowcount)


def end_all(
    tx: Connection, organization_id: int, employee_id: int, *, but: int | None = None, actor: str, now_ms: int
) -> int:
    """End the sessions of an employee.

    Args:
        but: the id of a session that stays.
        actor: who ends them, as the audit log names them.

    Returns:
        How many ended.
    """
    c = employee_sessions.c
    ended = tx.execute(
        delete(employee_sessions).where(
            c.organization_id == organization_id, c.employee_id == employee_id, c.id != (but or 0)
        )
    )
    if ended.rowcount:
        audit.record(tx, organization_id, actor, "session.end-all", f"employee {employee_id}", now_ms=now_ms)
    return ended.rowcount


def forget_old(tx: Connection, now_ms: int) -> int:
    """Delete sessions that are no longer valid; returns how many."""
    c = employee_sessions.c
    return tx.execute(
        delete(employee_sessions).where(or_(c.seen_at_ms <= now_ms - IDLE_MS, c.created_at_ms <= now_ms - MAX_MS))
    ).rowcount


def _audit(tx: Connection, session: EmployeeSession, verb: str, *, now_ms: int) -> None:
    actor = f"employee {session.employee_id}"
    audit.record(tx, session.organization_id, actor, f"session.{verb}", f"session {session.id}", now_ms=now_ms)
