"""Who sent a request: Twilio's own signature, and that of Standard Webhooks for every other provider."""

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
    """What Twilio puts into ``X-Twilio-Signature`` of a form that it posts.

    Args:
        auth_token: the account's, which is the key.
        url: exactly where it was posted to, with the query.
        fields: the form's names and values; one that is there twice counts once.
    """
    signed = url + "".join(name + value for name, value in sorted(set(fields)))
    # SHA-1 is Twilio's choice; as a keyed digest it is not broken.
    digest = hmac.new(auth_token.encode(), signed.encode(), hashlib.sha1).digest()
    return base64.b64encode(digest).decode()


def is_from_twilio(signature: str, auth_token: str, url: str, fields: Iterable[tuple[str, str]]) -> bool:
    """Whether a form comes from Twilio. The comparison takes equally long however much is right.

    Args:
        signature: the header as it came.
        auth_token: the account's.
        url: where the form was posted to as the operator's public address says, with the query.
        fields: the form's names and values.
    """
    fields = list(fields)
    expected = [twilio_signature(auth_token, spelt, fields).encode() for spelt in _spellings(url)]
    return any(hmac.compare_digest(signature.encode(), one) for one in expected)


def sign(secret: str, message_id: str, at_s: int, body: bytes) -> dict[str, str]:
    """The headers by which a body is signed (Standard Webhooks).

    Args:
        secret: ``whsec_`` and base64.
        message_id: what the request is called: the same however often it is sent.
        at_s: when it is sent, in Unix seconds.
        body: all of it, UTF-8.
    """
    signature = Webhook(secret).sign(message_id, datetime.fromtimestamp(at_s, UTC), body.decode())
    return {"webhook-id": message_id, "webhook-timestamp": str(at_s), "webhook-signature": signature}


def is_signed(secret: str, headers: Mapping[str, str], body: bytes, *, now_s: float) -> bool:
    """Whether a body was signed with a secret, and not long ago (Standard Webhooks).

    Args:
        secret: ``whsec_`` and base64.
        headers: those of the request, by names in lower case.
        body: exactly the bytes that came.
        now_s: the time in Unix seconds; more than 300 s from it, the request is too old or from the future.
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
    """Twilio signs some URLs with the port that their scheme has anyway, and some without."""
    parts = urlsplit(url)
    port = _DEFAULT_PORTS.get(parts.scheme, "")
    if parts.port is not None or not port:
        return [url]
    return [url, urlunsplit(parts._replace(netloc=parts.netloc + port))]
