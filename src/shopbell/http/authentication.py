"""Which token sent a request: looked up by its keyed hash, cached for half a second."""

import hmac
import time
from collections.abc import Sequence

from shopbell import tokens
from shopbell.errors import Forbidden, StorageError, Unauthorized
from shopbell.http.fresh import Fresh
from shopbell.keys import Keys
from shopbell.security import is_well_formed, token_hash
from shopbell.storage.database import Database
from shopbell.tokens import Token

Headers = Sequence[tuple[bytes, bytes]]


class Authentication:
    """Finds the token of a request and remembers when each was last used.

    Args:
        database: where the tokens are.
        keys: the installation's keys; a token that was hashed with the former one is hashed anew when it is used.
    """

    def __init__(self, database: Database, keys: Keys) -> None:
        self._database = database
        self._keys = keys.derive(tokens.KEY_PURPOSE)
        self._known: Fresh[str, Token | None] = Fresh()
        self._last_used_ms: dict[int, int] = {}

    async def token_of(self, headers: Headers) -> Token:
        """Find the token that a request carries.

        Args:
            headers: names in lower case.

        Returns:
            A token that is valid now; a revocation counts within half a second.

        Raises:
            Unauthorized: 401; there is none, or two, or one that is malformed, unknown, revoked or expired.
            StorageError: 503; it could not be looked up.
        """
        given = [value for name, value in headers if name == b"token"]
        if not given:
            raise Unauthorized.absent(authorization=any(name == b"authorization" for name, _ in headers))
        if len(given) != 1:
            raise Unauthorized
        secret = given[0].decode("latin-1")
        # Compared are keyed hashes, never secrets: how long that takes tells nothing about any token.
        token = await self._known.get(token_hash(self._keys[0], secret), lambda: self._look_up(secret))
        now_ms = time.time_ns() // 1_000_000
        if token is None or not token.is_valid(now_ms):
            raise Unauthorized
        self._last_used_ms[token.id] = now_ms
        return token

    async def note_uses(self) -> None:
        """Write down when tokens were last used, once for all uses since the last time."""
        if self._last_used_ms:
            uses, self._last_used_ms = self._last_used_ms, {}
            try:
                await self._database.write(tokens.note_use, uses)
            except StorageError:
                self._last_used_ms = uses | self._last_used_ms  # the next time, then
                raise

    async def _look_up(self, secret: str) -> Token | None:
        if not is_well_formed(secret):
            return None
        hashes = [token_hash(key, secret) for key in self._keys]
        token = await self._database.read(tokens.find, hashes)
        if token is None or not any(hmac.compare_digest(token.token_hash, candidate) for candidate in hashes):
            return None
        if token.token_hash != hashes[0]:
            await self._database.write(tokens.rekey, token, hashes[0])
        return token


def require_scope(token: Token, scope: str) -> None:
    """Let only tokens go on that were made for this.

    Raises:
        Forbidden: 403, the token lacks the scope.
    """
    if scope not in token.scopes:
        raise Forbidden(scope)
