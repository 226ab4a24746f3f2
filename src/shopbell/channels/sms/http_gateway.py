"""Send SMS and WhatsApp messages by any service that accepts JSON over HTTP.

Each message is one POST to ``SHOPBELL_SMS_HTTP_URL`` with the headers of ``SHOPBELL_SMS_HTTP_HEADERS``. It is signed
like webhooks (Standard Webhooks, with ``SHOPBELL_SMS_HTTP_SECRET``)::

    {"id": "12344-7", "channel": "SMS", "to": "+16175550100", "from": "+15005550006", "text": "Your bicycle is ready."}

``from`` is null if no sender is set. A WhatsApp template adds ``contentSid`` and ``contentVariables``; files add
``mediaUrls``. ``id`` and ``webhook-id`` are the same in every attempt.

===================  =================================================================================================
response             meaning
===================  =================================================================================================
2xx                  accepted; ``{"id": "…"}`` may return the id of the service
4xx                  refused, final; ``{"reason": "…"}`` may be one of ``sms/error_codes.py``
401                  wrong headers: repeated after at least five minutes, so that the operator can fix them
408, 429, 503        not accepted: repeated, not before ``Retry-After``
other 5xx, timeout   unknown: not repeated, unless ``SHOPBELL_SMS_HTTP_DEDUPLICATES`` says that the service detects a
                     repeated ``id``
===================  =================================================================================================
"""

import time
from collections.abc import Mapping
from math import ceil
from typing import Any

import orjson
import structlog

from shopbell.channels.sms.provider_client import OPERATOR_PAUSE_S, Provider
from shopbell.notifications.outcomes import Outcome, Refused, Sent, TryLater, Unknown
from shopbell.runtime import clock
from shopbell.safe_http.client import HttpResponse
from shopbell.sms.error_codes import KNOWN, OTHERWISE, TEMPORARY
from shopbell.sms.outgoing import OutgoingText, Senders, as_json
from shopbell.sms.signatures import sign
from shopbell.webhooks.retry_policy import retry_after_s

_ID_MAX_CHARACTERS = 200
_NOT_TAKEN = (408, 429, 503)
_UNAUTHORIZED = 401

log = structlog.get_logger()


class HttpTextTransport:
    """Posts SMS and WhatsApp messages to a service.

    Args:
        provider: sends the requests.
        secret: ``whsec_…``, which signs each request.
        headers: the operator's headers, as ``extra_headers`` allows them.
        senders: the default senders.
        deduplicates: whether the service detects a repeated id.
    """

    def __init__(
        self, provider: Provider, *, secret: str, headers: Mapping[str, str], senders: Senders, deduplicates: bool
    ) -> None:
        self._provider = provider
        self._secret = secret
        self._headers = dict(headers)
        self._senders = senders
        self._deduplicates = deduplicates

    async def send(self, item: OutgoingText) -> Outcome:
        """Send a message once.

        Returns:
            ``Sent`` with the service's id, if it returned one; otherwise a reason, as in the table above.
        """
        body = orjson.dumps(as_json(item, self._senders))
        signed = sign(self._secret, item.reference, time.time_ns() // 1_000_000_000, body)
        response = await self._provider.post(body, {**self._headers, "content-type": "application/json", **signed})
        outcome = _outcome(response) if isinstance(response, HttpResponse) else response
        if isinstance(outcome, Unknown) and self._deduplicates:
            return TryLater(outcome.reason)
        if isinstance(outcome, TryLater) and outcome.retry_after_s == OPERATOR_PAUSE_S:
            log.error("texts are delayed until the operator fixes the settings", provider="http", reason=outcome.reason)
        return outcome

    async def close(self) -> None:
        """Close all connections."""
        await self._provider.close()


def _outcome(response: HttpResponse) -> Outcome:
    said = _read(response.body)
    if 200 <= response.status < 300:
        provider_id = said.get("id")
        known = isinstance(provider_id, str) and 0 < len(provider_id) <= _ID_MAX_CHARACTERS and "\0" not in provider_id
        return Sent(str(provider_id) if known else None)
    if response.status in _NOT_TAKEN:
        asked_s = ceil(retry_after_s(response.headers.get("retry-after"), clock.now_ms()))
        return TryLater("busy", asked_s or None)
    if response.status >= 500:
        return Unknown(f"http_{response.status}")
    if response.status < 400:
        return TryLater("unexpected_answer", OPERATOR_PAUSE_S)
    if response.status == _UNAUTHORIZED:
        return TryLater("credentials_refused", OPERATOR_PAUSE_S)
    reason = said.get("reason")
    if not isinstance(reason, str) or reason not in KNOWN:
        return Refused(OTHERWISE)
    return TryLater(reason, OPERATOR_PAUSE_S) if reason in TEMPORARY else Refused(reason)


def _read(body: bytes) -> dict[str, Any]:
    try:
        document = orjson.loads(body)
    except orjson.JSONDecodeError:
        return {}
    return document if isinstance(document, dict) else {}
