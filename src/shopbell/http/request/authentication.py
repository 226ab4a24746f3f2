"""API tokens of requests: looked up by keyed hash, cached for half a second."""

import hmac
import secrets
from collections.abc import Sequence
from hashlib import blake2b

from shopbell.db.database import Database
from shopbell.errors import StorageError
from shopbell.http.request.errors import Forbidden, Unauthorized
from shopbell.http.request.ttl_cache import TTLCache
from shopbell.organizations import api_tokens
from shopbell.organizations.api_tokens import Token
from shopbell.runtime import clock
from shopbell.security.keys import Keys
from shopbell.security.tokens import is_well_formed, token_hash

Headers = Sequence[tuple[bytes, bytes]]


class Authentication:
    """Finds the token of a request, and records when each token was last used.

    Args:
        database: the database with the tokens.
        keys: the keys of the installation. A token hashed with the previous key is rehashed when it is used.
    """

    def __init__(self, database: Database, keys: Keys) -> None:
        self._database = database
        self._keys = keys.derive(api_tokens.KEY_PURPOSE)
        self._known: TTLCache[bytes, Token | None] = TTLCache()
        self._cache_key = blake2b(key=secrets.token_bytes(32), digest_size=32)
        self._last_used_ms: dict[tuple[int, int], int] = {}

    async def token_of(self, headers: Headers) -> Token:
        """Return the valid token of a request. A revocation takes effect within half a second.

        Args:
            headers: with names in lower case.

        Raises:
            Unauthorized: 401; the token is missing, given twice, malformed, unknown, revoked or expired.
            StorageError: 503; the token could not be looked up.
        """
        if (token := self.known_token(headers)) is not None:
            return token
        secret = _secret(headers)
        return self._check(await self._known.get(self._cached_as(secret), lambda: self._look_up(secret)))

    def known_token(self, headers: Headers) -> Token | None:
        """Do the same as ``token_of`` without waiting.

        Returns None if the token must be looked up.

        Raises:
            Unauthorized: 401, as ``token_of``.
        """
        known = self._known.kept(self._cached_as(_secret(headers)))
        return None if known is None else self._check(known[1])

    def _cached_as(self, secret: str) -> bytes:
        """Return the key of a token in the cache.

        It is a keyed hash, computed four times as fast as the one that is stored. Only keyed hashes are compared, so
        the time that it takes tells nothing about a token.
        """
        keyed = self._cache_key.copy()
        keyed.update(secret.encode())
        return keyed.digest()

    def _check(self, token: Token | None) -> Token:
        now_ms = clock.now_ms()
        if token is None or not token.is_valid(now_ms):
            raise Unauthorized
        self._last_used_ms[token.organization_id, token.id] = now_ms
        return token

    async def note_uses(self) -> None:
        """Store when tokens were last used, in one write for all uses since the last call."""
        if self._last_used_ms:
            uses, self._last_used_ms = self._last_used_ms, {}
            try:
                await self._database.write(api_tokens.note_use, uses)
            except StorageError:
                self._last_used_ms = uses | self._last_used_ms  # written by the next call
                raise

    async def _look_up(self, secret: str) -> Token | None:
        if not is_well_formed(secret):
            return None
        hashes = [token_hash(key, secret) for key in self._keys]
        token = await self._database.read(api_tokens.find, hashes)
        if token is None or not any(hmac.compare_digest(token.token_hash, candidate) for candidate in hashes):
            return None
        if token.token_hash != hashes[0]:
            await self._database.write(api_tokens.rekey, token, hashes[0])
        return token


def _secret(headers: Headers) -> str:
    given = [value for name, value in headers if name == b"token"]
    if not given:
        raise Unauthorized.absent(authorization=any(name == b"authorization" for name, _ in headers))
    if len(given) != 1:
        raise Unauthorized
    return given[0].decode("latin-1")


def check_scope(token: Token, scope: str) -> None:
    """Require a scope.

    Raises:
        Forbidden: 403; the token lacks the scope.
    """
    if scope not in token.scopes:
        raise Forbidden(scope)
