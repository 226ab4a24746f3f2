"""SMS and WhatsApp by Twilio's HTTP API, or by a service that speaks like it."""

import base64
import time
from collections.abc import Mapping
from math import ceil
from urllib.parse import urlencode

import structlog

from shopbell.channels.channel import Outcome, Refused, Sent, TryLater, Unknown
from shopbell.channels.provider import MENDED_BY_PEOPLE_S, Provider
from shopbell.outbound.client import Answer
from shopbell.schedule import retry_after_s
from shopbell.texting.outgoing import OutgoingText, Senders
from shopbell.texting.reasons import OTHERWISE, TEMPORARY, reason_of
from shopbell.texting.twilio_forms import message_form, read_answer

STATUS_PATH = "/hooks/twilio/status"
_REQUEST_TIMEOUT = 408
_TOO_MANY = 429
_OPERATORS_MISTAKES: Mapping[int, str] = {
    401: "credentials_refused",
    404: "credentials_refused",  # there is no such account
}

log = structlog.get_logger()


class TwilioChannel:
    """Sends texts by Twilio.

    Twilio does not notice that a text was posted before. So one whose fate is unknown is never posted again: any answer
    of 500 and above counts as unknown, because none of them says that the text was not taken. If it was, Twilio's
    callback brings our own reference, and the text is known as sent after all.

    Args:
        provider: the way to the account's messages.
        account_sid: the account.
        auth_token: its secret.
        senders: whom texts are from unless they say so themselves.
        public_url: where Twilio reaches this server, without a slash at the end.
    """

    def __init__(
        self, provider: Provider, *, account_sid: str, auth_token: str, senders: Senders, public_url: str
    ) -> None:
        self._provider = provider
        self._senders = senders
        self._public_url = public_url
        credentials = base64.b64encode(f"{account_sid}:{auth_token}".encode()).decode()
        self._headers = {
            "authorization": f"Basic {credentials}",
            "content-type": "application/x-www-form-urlencoded",
            "accept": "application/json",
        }

    async def send(self, item: OutgoingText) -> Outcome:
        """Send a text once.

        Returns:
            ``Sent`` with Twilio's id; else one of the reasons of ``texting/reasons.py``, or the class of what failed
            on the way.
        """
        callback = f"{self._public_url}{STATUS_PATH}?{urlencode({'reference': item.reference})}"
        try:
            form = message_form(item, self._senders, callback)
        except ValueError as no_sender:
            return Refused(str(no_sender))
        answer = await self._provider.post(form, self._headers)
        outcome = _outcome(answer) if isinstance(answer, Answer) else answer
        if isinstance(outcome, TryLater) and outcome.retry_after_s == MENDED_BY_PEOPLE_S:
            log.error("texts wait for the operator", provider="twilio", reason=outcome.reason)
        return outcome

    async def close(self) -> None:
        """End all connections."""
        await self._provider.close()


def _outcome(answer: Answer) -> Outcome:
    said = read_answer(answer.body)
    if 200 <= answer.status < 300:
        # It has an id, so it exists there, and fails for good or not at all.
        return Sent(said.sid) if said.error_code is None else Refused(reason_of(said.error_code))
    if answer.status >= 500 or answer.status == _REQUEST_TIMEOUT:
        return Unknown(f"http_{answer.status}")
    if answer.status < 400:
        return TryLater("unexpected_answer", MENDED_BY_PEOPLE_S)
    reason = reason_of(said.error_code)
    if answer.status == _TOO_MANY or reason == "busy":
        asked_s = ceil(retry_after_s(answer.headers.get("retry-after"), time.time_ns() // 1_000_000))
        return TryLater("busy", asked_s or None)
    if reason == OTHERWISE:
        reason = _OPERATORS_MISTAKES.get(answer.status, OTHERWISE)
    return TryLater(reason, MENDED_BY_PEOPLE_S) if reason in TEMPORARY else Refused(reason)
