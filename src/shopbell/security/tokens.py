"""Generate, check and hash tokens."""

import hmac
import re
import secrets
import string
import zlib
from functools import lru_cache

TOKEN_PREFIX = "sb_live_"  # noqa: S105 - the recognisable part of every token
_RANDOM_BYTES = 32
_RANDOM_DIGITS = 43
_CHECKSUM_DIGITS = 6
_ALPHABET = string.digits + string.ascii_uppercase + string.ascii_lowercase
_TOKEN = re.compile(rf"(.*?)([0-9A-Za-z]{{{_RANDOM_DIGITS}}})([0-9A-Za-z]{{{_CHECKSUM_DIGITS}}})")


def new_token(prefix: str = TOKEN_PREFIX) -> str:
    """Generate a token: a prefix, 256 random bits in base 62, and a checksum.

    The prefix lets secret scanners find leaked tokens. The checksum (6 digits) rejects typos without a database query.

    Args:
        prefix: the kind of token; ``sb_live_`` for API tokens.
    """
    random = _base62(int.from_bytes(secrets.token_bytes(_RANDOM_BYTES)), _RANDOM_DIGITS)
    return prefix + random + _checksum(random)


def is_well_formed(token: str, prefix: str = TOKEN_PREFIX) -> bool:
    """Whether a string has the prefix, form and checksum of a token."""
    match = _TOKEN.fullmatch(token)
    return match is not None and match[1] == prefix and _checksum(match[2]) == match[3]


def new_code(digits: int) -> str:
    """Generate a random base-62 string, for uses where a token is too long.

    Args:
        digits: number of characters, of almost 6 bits each.
    """
    return "".join(secrets.choice(_ALPHABET) for _ in range(digits))


def token_hash(key: bytes, token: str) -> str:
    """Return the keyed hash of a token, for storage (HMAC-SHA-256, RFC 2104).

    Args:
        key: 32 bytes, derived for this purpose.
        token: the whole token.

    Returns:
        64 hexadecimal digits.
    """
    # Not `hmac.digest`: it lets other threads run during a microsecond of work, and then waits up to 5 ms for them.
    state = _keyed(key).copy()
    state.update(token.encode())
    return state.hexdigest()


@lru_cache(maxsize=64)
def _keyed(key: bytes) -> hmac.HMAC:
    return hmac.new(key, digestmod="sha256")


def _checksum(random: str) -> str:
    return _base62(zlib.crc32(random.encode()), _CHECKSUM_DIGITS)


def _base62(number: int, digits: int) -> str:
    text = ""
    for _ in range(digits):
        number, digit = divmod(number, 62)
        text = _ALPHABET[digit] + text
    return text
