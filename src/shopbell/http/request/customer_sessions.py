"""Sessions of customers: how a request of a browser or an app authenticates.

The widget and apps send the token of their session as ``Authorization: Bearer sbs_…``. The page of a conversation sends
it in a cookie, with a header ``Shopbell-Thread`` that names the conversation. No form or link of another site can send
that header, and no script of another site may, because this server answers no preflight request.
"""

import hmac
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from typing import Any

from sqlalchemy import Connection

from shopbell.customers import sessions
from shopbell.customers.sessions import PREFIX, CustomerSession
from shopbell.db.batched_reads import BatchedReads
from shopbell.db.database import Database
from shopbell.errors import StorageError
from shopbell.http.request import cookies
from shopbell.http.request.errors import Unauthorized
from shopbell.http.request.ttl_cache import TTLCache
from shopbell.runtime import clock
from shopbell.security.keys import Keys
from shopbell.security.tokens import is_well_formed, token_hash

Headers = Sequence[tuple[bytes, bytes]]
COOKIE_PREFIX = "sb_"
THREAD_HEADER = b"shopbell-thread"
_ID_MAX_DIGITS = 16


class NoSession(Unauthorized):
    """401: the session is missing, unknown, expired or ended. Which of the last three is not said."""

    def __init__(self, detail: str = "This session has ended or does not exist. Start a new one.") -> None:
        super().__init__(detail)
        self.developer_message = "Session is not valid; POST /api/customer/sessions starts one"

    def headers(self) -> dict[str, str]:
        return {"WWW-Authenticate": 'Bearer realm="customer"'}


class CustomerSessions:
    """Finds the session of a request.

    Args:
        database: the database with the sessions.
        keys: the keys of the installation. A session hashed with the previous key is rehashed when it is used.
    """

    def __init__(self, database: Database, keys: Keys) -> None:
        self._database = database
        self._keys = keys.derive(sessions.KEY_PURPOSE)
        self._known: TTLCache[str, CustomerSession | None] = TTLCache()
        self._look_ups = BatchedReads(database, _find_all)

    @property
    def keys(self) -> tuple[bytes, ...]:
        """The keys that hash sessions, the current one first."""
        return self._keys

    async def session_of(self, scope: Mapping[str, Any]) -> CustomerSession:
        """Return the valid session of an ASGI scope. Ending a session takes effect within half a second.

        Raises:
            NoSession: 401.
            StorageError: 503; the session could not be looked up.
        """
        secret = secret_of(scope)
        if secret is None:
            names = {name for name, _ in scope["headers"]}
            if names.isdisjoint((b"authorization", THREAD_HEADER)):
                raise NoSession("Header 'Authorization' is missing. Send 'Bearer' and the token of the session.")
            raise NoSession
        thread_id = _thread_named(scope["headers"])
        session = await self.session_by(secret)
        if thread_id is not None and (session.kind != "page" or session.thread_id != thread_id):
            raise NoSession
        return session

    async def session_by(self, secret: str) -> CustomerSession:
        """Return the valid session with this token.

        Raises:
            NoSession: 401.
            StorageError: 503.
        """
        # Only keyed hashes are compared, so the time that it takes tells nothing about a session.
        found = await self._known.get(token_hash(self._keys[0], secret), lambda: self._look_up(secret))
        if found is None or not found.is_valid(clock.now_ms()):
            raise NoSession
        return found

    async def extend(self, session: CustomerSession) -> None:
        """Extend a session that is used. If that fails, its next use tries again."""
        with suppress(StorageError):
            await self._database.write(sessions.extend, session, now_ms=clock.now_ms())

    async def _look_up(self, secret: str) -> CustomerSession | None:
        if not is_well_formed(secret, PREFIX):
            return None
        hashes = [token_hash(key, secret) for key in self._keys]
        found = await self._look_ups.read(hashes)
        if found is None or not any(hmac.compare_digest(found.token_hash, candidate) for candidate in hashes):
            return None
        now_ms = clock.now_ms()
        if found.token_hash != hashes[0]:
            await self._database.write(sessions.rekey, found, hashes[0])
            found = replace(found, token_hash=hashes[0])
        if found.is_valid(now_ms) and found.wants_extension(now_ms):
            await self._database.write(sessions.extend, found, now_ms=now_ms)
        return found


def _find_all(tx: Connection, wanted: Sequence[Sequence[str]]) -> list[CustomerSession | None]:
    found = sessions.find_all(tx, {one for hashes in wanted for one in hashes})
    return [next((found[one] for one in hashes if one in found), None) for hashes in wanted]


def secret_of(scope: Mapping[str, Any]) -> str | None:
    """Return the session token of a request: the bearer token, or the cookie of the conversation that it names."""
    headers = scope["headers"]
    bearers = [value for name, value in headers if name == b"authorization"]
    if bearers:
        scheme, _, secret = bearers[0].decode("latin-1").partition(" ")
        return secret.strip() if len(bearers) == 1 and scheme.lower() == "bearer" else None
    thread_id = _thread_named(headers)
    return None if thread_id is None else cookie_of(scope, thread_id)


def cookie_of(scope: Mapping[str, Any], thread_id: int) -> str | None:
    """Return the token in the cookie of a conversation, valid or not."""
    return cookies.value_of(scope, f"{COOKIE_PREFIX}{thread_id}")


def _thread_named(headers: Headers) -> int | None:
    if any(name == b"authorization" for name, _ in headers):
        return None
    named = [value for name, value in headers if name == THREAD_HEADER]
    if len(named) != 1 or not named[0].isdigit() or len(named[0]) > _ID_MAX_DIGITS:
        return None
    return int(named[0])
