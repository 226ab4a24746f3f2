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
_TOKEN = re.compile(rf"{TOKEN_PREFIX}([0-9A-Za-z]{{{_RANDOM_DIGITS}}})([0-9A-Za-z]{{{_CHECKSUM_DIGITS}}})")


def new_token() -> str:
    """Make an API token: ``sb_live_``, 256 random bits in base 62, and a checksum of 6 digits.

    The prefix lets secret scanners find a leaked token, the checksum spares the database what was mistyped.
    """
    random = _base62(int.from_bytes(secrets.token_bytes(_RANDOM_BYTES)), _RANDOM_DIGITS)
    return TOKEN_PREFIX + random + _checksum(random)


def is_well_formed(token: str) -> bool:
    """Whether a text could be a token: its form and its checksum are right."""
    match = _TOKEN.fullmatch(token)
    return match is not None and _checksum(match[1]) == match[2]


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
