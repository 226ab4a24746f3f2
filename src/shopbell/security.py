"""Tokens and their hashes: pure functions."""

import hmac
import re
import secrets
import string
import zlib

TOKEN_PREFIX = "sb_live_"  # noqa: S105 - the recognisable part of every token
_RANDOM_BYTES = 32
_RANDOM_DIGITS = 43
_CHECKSUM_DIGITS = 6
_ALPHABET = string.digits + string.ascii_uppercase + string.ascii_lowercase
_TOKEN = re.compile(rf"(.*?)([0-9A-Za-z]{{{_RANDOM_DIGITS}}})([0-9A-Za-z]{{{_CHECKSUM_DIGITS}}})")


def new_token(prefix: str = TOKEN_PREFIX) -> str:
    """Make a token: its prefix, 256 random bits in base 62, and a checksum of 6 digits.

    The prefix lets secret scanners find a leaked token, the checksum spares the database what was mistyped.

    Args:
        prefix: what kind of token it is; ``sb_live_`` for an API token.
    """
    random = _base62(int.from_bytes(secrets.token_bytes(_RANDOM_BYTES)), _RANDOM_DIGITS)
    return prefix + random + _checksum(random)


def is_well_formed(token: str, prefix: str = TOKEN_PREFIX) -> bool:
    """Whether a text could be a token of a kind: its prefix, its form and its checksum are right."""
    match = _TOKEN.fullmatch(token)
    return match is not None and match[1] == prefix and _checksum(match[2]) == match[3]


def new_code(digits: int) -> str:
    """Make a random text in base 62, for where a token would be too long.

    Args:
        digits: how many characters; each is worth almost 6 bits.
    """
    return "".join(secrets.choice(_ALPHABET) for _ in range(digits))


def token_hash(key: bytes, token: str) -> str:
    """The keyed hash under which a token is kept (HMAC-SHA-256, RFC 2104).

    Args:
        key: 32 bytes, derived for this purpose.
        token: the whole token.

    Returns:
        64 hexadecimal digits.
    """
    return hmac.digest(key, token.encode(), "sha256").hex()


def _checksum(random: str) -> str:
    return _base62(zlib.crc32(random.encode()), _CHECKSUM_DIGITS)


def _base62(number: int, digits: int) -> str:
    text = ""
    for _ in range(digits):
        number, digit = divmod(number, 62)
        text = _ALPHABET[digit] + text
    return text
