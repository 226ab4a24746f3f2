"""Passwords of employees: set and check them. Owns their table.

Argon2id with 19 MiB, two passes and one lane, as OWASP's password storage cheat sheet recommends. A check takes tens of
milliseconds of CPU, so checks run one at a time in a separate thread.
"""

import asyncio
import unicodedata
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import cache, partial
from itertools import pairwise
from typing import TYPE_CHECKING, ParamSpec, TypeVar

from sqlalchemy import Connection, delete, insert, select

from shopbell.db.schema.accounts import passwords
from shopbell.errors import FieldError, Invalid, Quota, QuotaExceeded
from shopbell.events import audit

if TYPE_CHECKING:
    from argon2 import PasswordHasher

P = ParamSpec("P")
T = TypeVar("T")

MIN_CHARACTERS = 10
MAX_CHARACTERS = 200
"""Longer ones are refused, so that no request costs more than another."""

_WAITING_MAX = 100
_BUSY = Quota("passwords", _WAITING_MAX, 5)


class PasswordHashing:
    """Hashes and checks passwords, one at a time, outside of the event loop. At most 100 wait."""

    def __init__(self) -> None:
        self._thread = ThreadPoolExecutor(1, "password")
        self._waiting = 0

    async def hash(self, password: str) -> str:
        """Hash a password that ``check_new`` has accepted.

        Raises:
            QuotaExceeded: 429; too many wait.
        """
        return await self._run(hash_password, password)

    async def matches(self, stored: str | None, password: str) -> bool:
        """Whether a password matches a stored hash. Without one, it takes as long and does not.

        Raises:
            QuotaExceeded: 429; too many wait.
        """
        return await self._run(is_password, stored, password)

    async def match_each(self, stored: Sequence[str], password: str, *, checks: int) -> list[bool]:
        """Whether a password matches each of some stored hashes.

        Args:
            checks: it takes as long as for so many hashes, even if there are fewer.

        Raises:
            QuotaExceeded: 429; too many wait.
        """
        padding = [None] * (checks - len(stored))
        return [await self.matches(each, password) for each in (*stored, *padding)][: len(stored)]

    def close(self) -> None:
        """End the thread."""
        self._thread.shutdown(cancel_futures=True)

    async def _run(self, work: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        if self._waiting >= _WAITING_MAX:
            raise QuotaExceeded(_BUSY.window_s, _BUSY)
        self._waiting += 1
        try:
            return await asyncio.get_running_loop().run_in_executor(self._thread, partial(work, *args, **kwargs))
        finally:
            self._waiting -= 1


def hash_password(password: str) -> str:
    """Hash a password: Argon2id in PHC string format."""
    return _hasher().hash(_normal(password))


def is_password(stored: str | None, password: str) -> bool:
    """Whether a password matches a stored hash. Without one, it takes as long and does not."""
    from argon2.exceptions import InvalidHashError, VerificationError

    if len(password) > MAX_CHARACTERS:
        stored, password = None, ""
    try:
        _hasher().verify(stored or _no_password(), _normal(password))
    except (VerificationError, InvalidHashError):
        return False
    return stored is not None


def check_new(password: str, *personal: str | None) -> None:
    """Check a password that an employee chose, by the rules of NIST SP 800-63B: long enough, and not easy to guess.

    Args:
        personal: words that others know, such as the name and the address of the employee.

    Raises:
        Invalid: 400.
    """
    if len(password) < MIN_CHARACTERS:
        raise _refused("too_short", f"must have at least {MIN_CHARACTERS} characters")
    if len(password) > MAX_CHARACTERS:
        raise _refused("too_long", f"must have at most {MAX_CHARACTERS} characters")
    plain = password.casefold()
    words = {word for text in personal if text for word in (text.casefold(), text.casefold().partition("@")[0])}
    if plain in words or len(set(plain)) < 5 or _is_row(plain):
        raise _refused("too_easy", "is easy to guess; choose other words")


def put(tx: Connection, organization_id: int, employee_id: int, hashed: str, *, actor: str, now_ms: int) -> None:
    """Set the password of an employee.

    Args:
        hashed: from ``PasswordHashing.hash``.
        actor: who sets it, as the audit log names them.
    """
    remove(tx, organization_id, employee_id)
    tx.execute(
        insert(passwords).values(
            organization_id=organization_id, employee_id=employee_id, hash=hashed, changed_at_ms=now_ms
        )
    )
    audit.record(tx, organization_id, actor, "employee.password", f"employee {employee_id}", now_ms=now_ms)


def find(tx: Connection, organization_id: int, employee_id: int, *, lock: bool = False) -> str | None:
    """The stored hash of an employee's password.

    Args:
        lock: let no other transaction change it until this one ends.
    """
    c = passwords.c
    query = select(c.hash).where(c.organization_id == organization_id, c.employee_id == employee_id)
    return tx.execute(query.with_for_update(read=True) if lock else query).scalar()


def remove(tx: Connection, organization_id: int, employee_id: int) -> None:
    """Remove the password of an employee, if there is one."""
    c = passwords.c
    tx.execute(delete(passwords).where(c.organization_id == organization_id, c.employee_id == employee_id))


@cache
def _hasher() -> "PasswordHasher":
    from argon2 import PasswordHasher  # on first use: many installations have no passwords

    return PasswordHasher(time_cost=2, memory_cost=19_456, parallelism=1)


@cache
def _no_password() -> str:
    """What is checked for an account that does not exist, so that the time of the response does not tell."""
    return _hasher().hash("")


def _normal(password: str) -> str:
    # Keyboards differ in how they write an accented letter (RFC 8265, 4.2).
    return unicodedata.normalize("NFC", password)


def _is_row(plain: str) -> bool:
    """Whether each character follows the one before: 1234567890, abcdefghij, 9876543210."""
    steps = {(ord(after) - ord(before)) % 10 for before, after in pairwise(plain)}
    return len(steps) == 1


def _refused(code: str, detail: str) -> Invalid:
    return Invalid([FieldError("password", code, detail)])
