"""SMS and WhatsApp by any service that takes a text as JSON: the operator's own, or a bridge to another provider.

Each text is one POST to ``SHOPBELL_SMS_HTTP_URL``, signed as our webhooks are (Standard Webhooks, with
``SHOPBELL_SMS_HTTP_SECRET``) and with the headers of ``SHOPBELL_SMS_HTTP_HEADERS``::

    {"id": "12344-7", "channel": "SMS", "to": "+16175550100", "from": "+15005550006", "text": "Your bicycle is ready."}

``from`` is null where no sender is set. ``contentSid`` with ``contentVariables`` stands beside ``text`` for a template
of WhatsApp, ``mediaUrls`` where files go with it. ``id`` is the same at every attempt, and so is ``webhook-id``.

===================  =================================================================================================
answer               what it means
===================  =================================================================================================
2xx                  taken; ``{"id": "…"}`` may say what the service calls it
4xx                  refused for good; ``{"reason": "…"}`` may be one of ``texting/reasons.py``
401                  our headers are wrong: tried again after five minutes at the earliest, for the operator to mend
408, 429, 503        not taken: tried again, after ``Retry-After`` at the earliest
another 5xx, or no   nobody knows: not posted again, unless ``SHOPBELL_SMS_HTTP_DEDUPLICATES`` says that the service
answer in time       notices a repeated ``id``
===================  =================================================================================================
"""

import time
from collections.abc import Mapping
from math import ceil
from typing import Any

import orjson
import structlog

from shopbell.channels.channel import Outcome, Refused, Sent, TryLater, Unknown
from shopbell.channels.provider import MENDED_BY_PEOPLE_S, Provider
from shopbell.outbound.client import Answer
from shopbell.schedule import retry_after_s
from shopbell.texting.outgoing import OutgoingText, Senders, as_json
from shopbell.texting.reasons import KNOWN, OTHERWISE, TEMPORARY
from shopbell.texting.signatures import sign

_ID_MAX_CHARACTERS = 200
_NOT_TAKEN = (408, 429, 503)
_UNAUTHORIZED = 401

log = structlog.get_logger()


class HttpTextChannel:
    """Posts texts to a service.

    Args:
        provider: the way to it.
        secret: ``whsec_…``, with which each request is signed.
        headers: the operator's own, as ``extra_headers`` allows them.
        senders: whom texts are from unless they say so themselves.
        deduplicates: whether the service notices a repeated id.
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
        """Send a text once.

        Returns:
            ``Sent`` with the service's id if it told one; else a reason, as the table above says.
        """
        body = orjson.dumps(as_json(item, self._senders))
        signed = sign(self._secret, item.reference, time.time_ns() // 1_000_000_000, body)
        answer = await self._provider.post(body, {**self._headers, "content-type": "application/json", **signed})
        outcome = _outcome(answer) if isinstance(answer, Answer) else answer
        if isinstance(outcome, Unknown) and self._deduplicates:
            return TryLater(outcome.reason)
        if isinstance(outcome, TryLater) and outcome.retry_after_s == MENDED_BY_PEOPLE_S:
            log.error("texts wait for the operator", provider="http", reason=outcome.reason)
        return outcome

    async def close(self) -> None:
        """End all connections."""
        await self._provider.close()


def _outcome(answer: Answer) -> Outcome:
    said = _read(answer.body)
    if 200 <= answer.status < 300:
        provider_id = said.get("id")
        known = isinstance(provider_id, str) and 0 < len(provider_id) <= _ID_MAX_CHARACTERS and "\0" not in provider_id
        return Sent(str(provider_id) if known else None)
    if answer.status in _NOT_TAKEN:
        asked_s = ceil(retry_after_s(answer.headers.get("retry-after"), time.time_ns() // 1_000_000))
        return TryLater("busy", asked_s or None)
    if answer.status >= 500:
        return Unknown(f"http_{answer.status}")
    if answer.status < 400:
        return TryLater("unexpected_answer", MENDED_BY_PEOPLE_S)
    if answer.status == _UNAUTHORIZED:
        return TryLater("credentials_refused", MENDED_BY_PEOPLE_S)
    reason = said.get("reason")
    if not isinstance(reason, str) or reason not in KNOWN:
        return Refused(OTHERWISE)
    return TryLater(reason, MENDED_BY_PEOPLE_S) if reason in TEMPORARY else Refused(reason)


def _read(body: bytes) -> dict[str, Any]:
    try:
        document = orjson.loads(body)
    except orjson.JSONDecodeError:
        return {}
    return document if isinstance(document, dict) else {}
