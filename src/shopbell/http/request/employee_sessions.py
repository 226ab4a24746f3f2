"""Sessions of employees: how a request of their browser authenticates.

The token of the session is in a cookie. A request that changes something must come from a page of this server: the
cookie alone is not enough (``check_own_request``).
"""

import hmac
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from fastapi import Request, Response
from sqlalchemy import Connection

from shopbell.accounts import organization_choice, recovery, roles, sessions, totp
from shopbell.accounts.invitations import KEY_PURPOSE as INVITATION_PURPOSE
from shopbell.accounts.passwords import PasswordHashing
from shopbell.accounts.roles import Roles
from shopbell.accounts.sessions import IDLE_MS, PREFIX, SEEN_EVERY_MS, EmployeeSession, Stage
from shopbell.db.database import Database
from shopbell.http.request import cookies
from shopbell.http.request.errors import Unauthorized
from shopbell.http.request.gcra import Gcra
from shopbell.http.request.ttl_cache import TTLCache
from shopbell.runtime.clock import now_ms
from shopbell.security.encryption import Cipher
from shopbell.security.keys import Keys
from shopbell.security.tokens import is_well_formed, token_hash
from shopbell.settings.settings import Settings

COOKIE = "shopbell_session"
_HOUR_S = 3_600


class NotSignedIn(Unauthorized):
    """401: there is no session, or it has ended. Which of the two is not said."""

    def __init__(self) -> None:
        super().__init__("You are not signed in, or your session has ended. Sign in again.")
        self.developer_message = "Session is not valid; sign in at /sign-in"

    def headers(self) -> dict[str, str]:
        return {"WWW-Authenticate": 'Session realm="employee"'}


@dataclass(frozen=True, slots=True)
class SignedIn:
    """An employee who is signed in."""

    session: EmployeeSession
    roles: Roles


class EmployeeSessions:
    """Finds the session of a request, and has what signing in needs.

    Args:
        database: the database with the sessions.
        keys: the keys of the installation. A session hashed with the previous key stays valid.
        settings: have the public URL.
    """

    def __init__(self, database: Database, keys: Keys, settings: Settings) -> None:
        self._database = database
        self._public_scheme = None if settings.public_url is None else settings.public_url.scheme
        self.keys = keys.derive(sessions.KEY_PURPOSE)
        self.recovery_keys = keys.derive(recovery.KEY_PURPOSE)
        self.invitation_keys = keys.derive(INVITATION_PURPOSE)
        self.totp_cipher = Cipher(keys, totp.SEALING_PURPOSE)
        self.choice_cipher = Cipher(keys, organization_choice.PURPOSE)
        self.hashing = PasswordHashing()
        # An attacker who knows an address uses these up. A passkey is not counted, and a recovery code has attempts
        # of its own.
        self.passwords_of_account = Gcra(20, _HOUR_S, 10)
        self.codes_of_account = Gcra(10, _HOUR_S, 5)
        self._known: TTLCache[str, SignedIn | None] = TTLCache()

    async def signed_in(self, scope: Mapping[str, Any], *stages: Stage) -> SignedIn:
        """Return the valid session of an ASGI scope. Ending a session takes effect within half a second.

        Args:
            stages: the stages that are enough; ``full`` if none is given.

        Raises:
            NotSignedIn: 401.
            StorageError: 503.
        """
        secret = self.cookie_of(scope)
        if secret is None:
            raise NotSignedIn
        # Only keyed hashes are compared, so the time that it takes tells nothing about a session.
        found = await self._known.get(token_hash(self.keys[0], secret), lambda: self._look_up(secret))
        if found is None or not found.session.is_valid(now_ms()) or found.session.stage not in (stages or ("full",)):
            raise NotSignedIn
        return found

    async def of_any_stage(self, scope: Mapping[str, Any]) -> EmployeeSession | None:
        """Return the valid session of an ASGI scope, whatever factors it has.

        Raises:
            StorageError: 503.
        """
        try:
            return (await self.signed_in(scope, "code", "enrol", "full")).session
        except NotSignedIn:
            return None

    def advance(self, tx: Connection, session: EmployeeSession, stage: Stage, *, now_ms: int) -> str:
        """Give a session a new token, because the employee gave another factor; returns the token.

        Raises:
            NotSignedIn: 401; it has ended, or another request advanced it. The transaction must not be committed.
        """
        advanced = sessions.advance(tx, self.keys, session, stage, now_ms=now_ms)
        if advanced is None:
            raise NotSignedIn
        return advanced[1]

    def is_secure(self, scope: Mapping[str, Any]) -> bool:
        """Whether the site of an ASGI scope is served by https."""
        return (self._public_scheme or scope["scheme"]) == "https"

    def cookie_of(self, scope: Mapping[str, Any]) -> str | None:
        """Return the token in the cookie of a request, valid or not."""
        return cookies.value_of(scope, self.cookie_name(scope))

    def cookie_name(self, scope: Mapping[str, Any], name: str = COOKIE) -> str:
        """Return the name of an employees' cookie, for a site with or without https."""
        # With this prefix, which needs https, no other host of the domain can set the cookie. A cookie without the
        # prefix is not read then, because such a host may have set it.
        return f"__Host-{name}" if self.is_secure(scope) else name

    def give_cookie(self, request: Request, response: Response, secret: str) -> None:
        """Give a browser the token of its session."""
        response.set_cookie(
            self.cookie_name(request.scope),
            secret,
            max_age=IDLE_MS // 1_000,
            path="/",
            httponly=True,
            samesite="lax",
            secure=self.is_secure(request.scope),
        )

    def take_cookie(self, request: Request, response: Response) -> None:
        """Remove the cookie from a browser."""
        is_secure = self.is_secure(request.scope)
        response.delete_cookie(
            self.cookie_name(request.scope), path="/", httponly=True, samesite="lax", secure=is_secure
        )

    async def _look_up(self, secret: str) -> SignedIn | None:
        if not is_well_formed(secret, PREFIX):
            return None
        hashes = [token_hash(key, secret) for key in self.keys]
        found = await self._database.read(_find, hashes)
        if found is None or not any(hmac.compare_digest(found.session.token_hash, each) for each in hashes):
            return None
        at_ms = now_ms()
        if found.session.is_valid(at_ms) and at_ms - found.session.seen_at_ms >= SEEN_EVERY_MS:
            await self._database.write(sessions.note_use, found.session, now_ms=at_ms)
        return found


def _find(tx: Connection, hashes: list[str]) -> SignedIn | None:
    session = sessions.find(tx, hashes)
    if session is None:
        return None
    return SignedIn(session, roles.find(tx, session.organization_id, session.employee_id))
