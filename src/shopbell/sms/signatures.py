"""Verify requests: Twilio's signatures, and Standard Webhooks for other providers."""

import base64
import hashlib
import hmac
import re
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from urllib.parse import urlsplit, urlunsplit

from standardwebhooks.webhooks import Webhook

TOLERANCE_S = 300
_DEFAULT_PORTS = {"https": ":443", "http": ":80"}


def twilio_signature(auth_token: str, url: str, fields: Iterable[tuple[str, str]]) -> str:
    """Return the ``X-Twilio-Signature`` of a form that Twilio posts.

    Args:
        auth_token: the account's token, which is the key.
        url: exactly the URL that the form was posted to, including the query.
        fields: the names and values of the form. A repeated pair counts once.
    """
    signed = url + "".join(name + value for name, value in sorted(set(fields)))
    # Twilio requires SHA-1. Its known weaknesses do not affect HMAC.
    digest = hmac.new(auth_token.encode(), signed.encode(), hashlib.sha1).digest()
    return base64.b64encode(digest).decode()


def is_from_twilio(signature: str, auth_token: str, url: str, fields: Iterable[tuple[str, str]]) -> bool:
    """Return whether Twilio signed a form. The comparison takes constant time.

    Args:
        signature: the value of ``X-Twilio-Signature``.
        auth_token: the account's token.
        url: the URL that the form was posted to, under the operator's public address, including the query.
        fields: the names and values of the form.
    """
    fields = list(fields)
    expected = [twilio_signature(auth_token, spelt, fields).encode() for spelt in _spellings(url)]
    return any(hmac.compare_digest(signature.encode(), one) for one in expected)


def sign(secret: str, message_id: str, at_s: int, body: bytes) -> dict[str, str]:
    """Return the headers that sign a body (Standard Webhooks).

    Args:
        secret: ``whsec_`` followed by base64.
        message_id: the id of the request; the same for every attempt.
        at_s: the time of sending, in Unix seconds.
        body: the complete body in UTF-8.
    """
    signature = Webhook(secret).sign(message_id, datetime.fromtimestamp(at_s, UTC), body.decode())
    return {"webhook-id": message_id, "webhook-timestamp": str(at_s), "webhook-signature": signature}


def is_signed(secret: str, headers: Mapping[str, str], body: bytes, *, now_s: float) -> bool:
    """Return whether a body has a valid and recent signature (Standard Webhooks).

    Args:
        secret: ``whsec_`` followed by base64.
        headers: the request headers, with names in lower case.
        body: exactly the bytes received.
        now_s: the current time in Unix seconds. The request's timestamp may differ by up to 300 s either way.
    """
    message_id, at_s, signatures = (headers.get(f"webhook-{name}", "") for name in ("id", "timestamp", "signature"))
    if not message_id or not re.fullmatch(r"[0-9]{1,11}", at_s) or abs(now_s - int(at_s)) > TOLERANCE_S:
        return False
    try:
        expected = sign(secret, message_id, int(at_s), body)["webhook-signature"].encode()
    except UnicodeDecodeError:
        return False
    return any(hmac.compare_digest(given.encode(), expected) for given in signatures.split(" "))


def _spellings(url: str) -> list[str]:
    """Return the URL with and without its default port: Twilio signs either form."""
    parts = urlsplit(url)
    port = _DEFAULT_PORTS.get(parts.scheme, "")
    if parts.port is not None or not port:
        return [url]
    return [url, urlunsplit(parts._replace(netloc=parts.netloc + port))]
