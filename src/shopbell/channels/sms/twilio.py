"""Send SMS and WhatsApp messages by Twilio or a compatible service."""

import base64
from collections.abc import Mapping
from math import ceil
from urllib.parse import urlencode

import structlog

from shopbell.channels.sms.provider_client import OPERATOR_PAUSE_S, Provider
from shopbell.notifications.outcomes import Outcome, Refused, Sent, TryLater, Unknown
from shopbell.runtime import clock
from shopbell.safe_http.client import HttpResponse
from shopbell.sms.error_codes import OTHERWISE, TEMPORARY, reason_of
from shopbell.sms.outgoing import OutgoingText, Senders
from shopbell.sms.twilio import message_form, read_response
from shopbell.webhooks.retry_policy import retry_after_s

STATUS_PATH = "/hooks/twilio/status"
_REQUEST_TIMEOUT = 408
_TOO_MANY = 429
_OPERATORS_MISTAKES: Mapping[int, str] = {
    401: "credentials_refused",
    404: "credentials_refused",  # there is no such account
}

log = structlog.get_logger()


class TwilioTransport:
    """Sends messages by Twilio.

    Twilio does not detect repeated requests. So a message that may have been accepted is never posted again: every
    response of 500 and above counts as unknown. If Twilio did accept it, its callback has our reference, and the
    message counts as sent.

    Args:
        provider: sends the requests.
        account_sid: the account.
        auth_token: its secret.
        senders: the default senders.
        public_url: the URL at which Twilio reaches this server, without a trailing slash.
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
        """Send a message once.

        Returns:
            ``Sent`` with Twilio's id; otherwise a reason of ``sms/error_codes.py``, or the kind of network error.
        """
        callback = f"{self._public_url}{STATUS_PATH}?{urlencode({'reference': item.reference})}"
        try:
            form = message_form(item, self._senders, callback)
        except ValueError as no_sender:
            return Refused(str(no_sender))
        response = await self._provider.post(form, self._headers)
        outcome = _outcome(response) if isinstance(response, HttpResponse) else response
        if isinstance(outcome, TryLater) and outcome.retry_after_s == OPERATOR_PAUSE_S:
            log.error(
                "texts are delayed until the operator fixes the settings", provider="twilio", reason=outcome.reason
            )
        return outcome

    async def close(self) -> None:
        """Close all connections."""
        await self._provider.close()


def _outcome(response: HttpResponse) -> Outcome:
    said = read_response(response.body)
    if 200 <= response.status < 300:
        # It has an id, so Twilio accepted it; a failure is final.
        return Sent(said.sid) if said.error_code is None else Refused(reason_of(said.error_code))
    if response.status >= 500 or response.status == _REQUEST_TIMEOUT:
        return Unknown(f"http_{response.status}")
    if response.status < 400:
        return TryLater("unexpected_answer", OPERATOR_PAUSE_S)
    reason = reason_of(said.error_code)
    if response.status == _TOO_MANY or reason == "busy":
        asked_s = ceil(retry_after_s(response.headers.get("retry-after"), clock.now_ms()))
        return TryLater("busy", asked_s or None)
    if reason == OTHERWISE:
        reason = _OPERATORS_MISTAKES.get(response.status, OTHERWISE)
    return TryLater(reason, OPERATOR_PAUSE_S) if reason in TEMPORARY else Refused(reason)
