"""Whose browser or app sent a request: what every route for customers begins with.

The token of a session comes in ``Authorization: Bearer sbs_…`` (widget, apps), or in the cookie of a conversation's
page, beside a header ``Shopbell-Thread`` that names the conversation: no form and no link of a foreign site can send
that header, and no foreign site's script may, because nothing here answers a preflight.
"""

import hmac
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any, Concatenate, ParamSpec, TypeVar, cast

from fastapi import Depends, Request
from sqlalchemy import Connection

from shopbell import customer_sessions
from shopbell.customer_sessions import PREFIX, CustomerSession
from shopbell.errors import Unauthorized
from shopbell.http import cookies
from shopbell.http.fresh import Fresh
from shopbell.keys import Keys
from shopbell.security import is_well_formed, token_hash
from shopbell.storage.database import Database

if TYPE_CHECKING:
    from shopbell.http.api.access import Api

Headers = Sequence[tuple[bytes, bytes]]
P = ParamSpec("P")
T = TypeVar("T")

COOKIE_PREFIX = "sb_"
THREAD_HEADER = b"shopbell-thread"
_ID_MAX_DIGITS = 16


class NoSession(Unauthorized):
    """401: the session is missing, unknown, expired or ended; which of the last three is not said."""

    def __init__(self, detail: str = "This session is over, or never was; begin a new one.") -> None:
        super().__init__(detail)
        self.developer_message = "Session is not valid; POST /api/customer/sessions begins one"

    def headers(self) -> dict[str, str]:
        return {"WWW-Authenticate": 'Bearer realm="customer"'}


class CustomerAccess:
    """Finds the session of a request.

    Args:
        database: where the sessions are.
        keys: the installation's keys; a session that was hashed with the former one is hashed anew when it is used.
    """

    def __init__(self, database: Database, keys: Keys) -> None:
        self._database = database
        self._keys = keys.derive(customer_sessions.KEY_PURPOSE)
        self._known: Fresh[str, CustomerSession | None] = Fresh()

    @property
    def keys(self) -> tuple[bytes, ...]:
        """With which new sessions are hashed, the current one first."""
        return self._keys

    async def session_of(self, scope: Mapping[str, Any]) -> CustomerSession:
        """Find the session that a request carries.

        Args:
            scope: its ASGI scope.

        Returns:
            One that is valid now; that it was ended counts within half a second.

        Raises:
            NoSession: 401.
            StorageError: 503; it could not be looked up.
        """
        secret = secret_of(scope)
        if secret is None:
            names = {name for name, _ in scope["headers"]}
            if names.isdisjoint((b"authorization", THREAD_HEADER)):
                raise NoSession("Header 'Authorization' is missing. Send 'Bearer' and the session's token there.")
            raise NoSession
        thread_id = _thread_named(scope["headers"])
        session = await self.session_by(secret)
        if thread_id is not None and (session.kind != "page" or session.thread_id != thread_id):
            raise NoSession
        return session

    async def session_by(self, secret: str) -> CustomerSession:
        """The session that has a token.

        Raises:
            NoSession: 401.
            StorageError: 503.
        """
        # Compared are keyed hashes, never secrets: how long that takes tells nothing about any session.
        found = await self._known.get(token_hash(self._keys[0], secret), lambda: self._look_up(secret))
        if found is None or not found.is_valid(time.time_ns() // 1_000_000):
            raise NoSession
        return found

    async def _look_up(self, secret: str) -> CustomerSession | None:
        if not is_well_formed(secret, PREFIX):
            return None
        hashes = [token_hash(key, secret) for key in self._keys]
        found = await self._database.read(customer_sessions.find, hashes)
        if found is None or not any(hmac.compare_digest(found.token_hash, candidate) for candidate in hashes):
            return None
        now_ms = time.time_ns() // 1_000_000
        if found.token_hash != hashes[0]:
            await self._database.write(customer_sessions.rekey, found, hashes[0])
        if found.is_valid(now_ms) and found.wants_extension(now_ms):
            await self._database.write(customer_sessions.extend, found, now_ms=now_ms)
        return found


@dataclass(frozen=True, slots=True)
class Visitor:
    """Who sent a request, and what may be done in his name.

    Args:
        session: a valid one.
        api: what the routes work with.
    """

    session: CustomerSession
    api: "Api"

    @property
    def organization_id(self) -> int:
        """Whose customer he is: whatever else there is does not exist for him."""
        return self.session.organization_id

    async def read(
        self, fn: Callable[Concatenate[Connection, CustomerSession, P], T], /, *args: P.args, **kwargs: P.kwargs
    ) -> T:
        """Run ``fn(tx, session, …)`` in one transaction that only reads.

        Raises:
            StorageError: 503.
        """
        return await self.api.database.read(fn, self.session, *args, **kwargs)

    async def write(
        self, fn: Callable[Concatenate[Connection, CustomerSession, P], T], /, *args: P.args, **kwargs: P.kwargs
    ) -> T:
        """Run ``fn(tx, session, …)`` in one transaction, and wake whoever waits for news of it.

        Raises:
            StorageError: 503.
        """
        result = await self.api.database.write(fn, self.session, *args, **kwargs)
        self.api.wakes.announce([self.organization_id])
        return result


def secret_of(scope: Mapping[str, Any]) -> str | None:
    """The token of a session that a request carries: a bearer's, or the cookie of the conversation that it names."""
    headers = scope["headers"]
    bearers = [value for name, value in headers if name == b"authorization"]
    if bearers:
        scheme, _, secret = bearers[0].decode("latin-1").partition(" ")
        return secret.strip() if len(bearers) == 1 and scheme.lower() == "bearer" else None
    thread_id = _thread_named(headers)
    return None if thread_id is None else cookie_of(scope, thread_id)


def cookie_of(scope: Mapping[str, Any], thread_id: int) -> str | None:
    """The token in the cookie of a conversation's page, whatever it is worth."""
    return cookies.value_of(scope, f"{COOKIE_PREFIX}{thread_id}")


def _thread_named(headers: Headers) -> int | None:
    if any(name == b"authorization" for name, _ in headers):
        return None
    named = [value for name, value in headers if name == THREAD_HEADER]
    if len(named) != 1 or not named[0].isdigit() or len(named[0]) > _ID_MAX_DIGITS:
        return None
    return int(named[0])


async def _find_visitor(request: Request) -> Visitor:
    api = cast("Api", request.app.state.api)
    session = await api.sessions.session_of(request.scope)
    api.limits.requests.take(session.id)
    return Visitor(session, api)


IsVisitor: Any = Depends(_find_visitor)
"""The dependency that finds whose request it is. It must be a route's first.

Raises:
    NoSession: 401.
    TooFast: 429.
    StorageError: 503.
"""

CustomersBrowser = Annotated[Visitor, IsVisitor]
