"""Sends a delivery: one signed request (Standard Webhooks)."""

import time
from datetime import UTC, datetime

import structlog
from standardwebhooks.webhooks import Webhook

from shopbell import __version__
from shopbell.safe_http.client import OutboundClient
from shopbell.safe_http.errors import OutboundFailure, error_class
from shopbell.security.encryption import Cipher
from shopbell.webhooks.claim import Claimed
from shopbell.webhooks.extra_headers import from_text
from shopbell.webhooks.payloads import delivery_id
from shopbell.webhooks.retry_policy import Attempt

ANSWER_KEPT_BYTES = 4_096
_KNOWN_MAX = 1_024
_MS = 1_000_000

_Opened = tuple[list[Webhook], dict[str, str]]
"""The secrets and extra headers of a webhook."""

log = structlog.get_logger()


class WebhookChannel:
    """Sends deliveries to webhooks.

    Args:
        client: the guarded HTTP client.
        cipher: decrypts the secrets and headers of webhooks.
        timeout_s: seconds for a whole attempt.
        connect_timeout_s: seconds to connect.
    """

    def __init__(self, client: OutboundClient, cipher: Cipher, *, timeout_s: float, connect_timeout_s: float) -> None:
        self._client = client
        self._cipher = cipher
        self._timeout_s = timeout_s
        self._connect_timeout_s = connect_timeout_s
        self._opened: dict[tuple[tuple[str, ...], str | None], _Opened] = {}

    async def send(self, claimed: Claimed) -> Attempt:
        """Send a delivery once.

        Returns:
            The result; ``internal_error`` for a bug in Shopbell, which is logged. The delivery is then tried again.
        """
        at_ms, begun_s = time.time_ns() // _MS, time.monotonic()
        try:
            headers = self._headers(claimed, at_ms // 1_000)
            timeout_s, connect_timeout_s = self._timeout_s, self._connect_timeout_s
            if claimed.is_health_check:
                response = await self._client.get(
                    claimed.url, headers=headers, timeout_s=timeout_s, connect_timeout_s=connect_timeout_s
                )
            else:
                response = await self._client.post(
                    claimed.url,
                    headers=headers,
                    content=claimed.body.encode(),
                    timeout_s=timeout_s,
                    connect_timeout_s=connect_timeout_s,
                )
        except Exception as error:  # whatever it is, the delivery must not be lost
            if not isinstance(error, OutboundFailure):
                organization_id, webhook_id = claimed.webhook
                log.error("bug", job="deliver", organization=organization_id, webhook=webhook_id, exc_info=error)
            return Attempt(at_ms, round((time.monotonic() - begun_s) * 1_000), error=error_class(error))
        return Attempt(
            at_ms,
            response.duration_ms,
            status=response.status,
            # PostgreSQL stores no NUL characters.
            answer=response.body[:ANSWER_KEPT_BYTES].decode(errors="replace").replace("\0", "\ufffd"),
            retry_after=response.headers.get("retry-after"),
        )

    def _headers(self, claimed: Claimed, at_s: int) -> dict[str, str]:
        """The extra headers and then ours, which they cannot replace."""
        keys, extra = self._opened_for(claimed)
        sent_id = delivery_id(*claimed.delivery, claimed.created_at_ms)
        sent_at = datetime.fromtimestamp(at_s, UTC)
        ours = {
            "content-type": "application/json",
            "user-agent": f"Shopbell/{__version__}",
            "webhook-id": sent_id,
            "webhook-timestamp": str(at_s),
            "webhook-signature": " ".join(key.sign(sent_id, sent_at, claimed.body) for key in keys),
        }
        if claimed.is_push:
            ours["ipns-version"] = "1"
        return {name: value for name, value in extra.items() if name.lower() not in ours} | ours

    def _opened_for(self, claimed: Claimed) -> _Opened:
        """Decrypt the secrets and extra headers, and cache them.

        Decrypting takes longer than signing.
        """
        sealed = (claimed.sealed_secrets, claimed.sealed_extra_headers)
        opened = self._opened.get(sealed)
        if opened is None:
            keys = [Webhook(self._cipher.open(secret)) for secret in claimed.sealed_secrets]
            extra = claimed.sealed_extra_headers
            headers = {} if extra is None else {one.name: one.value for one in from_text(self._cipher.open(extra))}
            if len(self._opened) >= _KNOWN_MAX:
                self._opened.clear()
            opened = self._opened[sealed] = (keys, headers)
        return opened
