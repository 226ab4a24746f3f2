"""Webhooks: one signed request (Standard Webhooks), and what came of it."""

import time
from datetime import UTC, datetime

import structlog
from standardwebhooks.webhooks import Webhook

from shopbell import __version__
from shopbell.extra_headers import from_text
from shopbell.outbound.client import OutboundClient
from shopbell.outbound.failures import OutboundFailure, error_class
from shopbell.outbox.claims import Claimed
from shopbell.payloads import delivery_id
from shopbell.schedule import Attempt
from shopbell.sealing import Seals

ANSWER_KEPT_BYTES = 4_096
_KNOWN_MAX = 1_024
_MS = 1_000_000

log = structlog.get_logger()


class WebhookChannel:
    """Sends deliveries to webhooks.

    Args:
        client: the guarded way out.
        seals: opens the webhooks' secrets and headers.
        timeout_s: seconds for a whole attempt.
        connect_timeout_s: seconds to connect.
    """

    def __init__(self, client: OutboundClient, seals: Seals, *, timeout_s: float, connect_timeout_s: float) -> None:
        self._client = client
        self._seals = seals
        self._timeout_s = timeout_s
        self._connect_timeout_s = connect_timeout_s
        self._opened: dict[str, str] = {}

    async def send(self, claimed: Claimed) -> Attempt:
        """Send a delivery once.

        Returns:
            What came of it; that we ourselves made a mistake, too (``internal_error``): it is tried again as after
            others, and the log has it.
        """
        at_ms, begun_s = time.time_ns() // _MS, time.monotonic()
        try:
            headers = self._headers(claimed, at_ms // 1_000)
            timeout_s, connect_timeout_s = self._timeout_s, self._connect_timeout_s
            if claimed.is_health_check:
                answer = await self._client.get(
                    claimed.url, headers=headers, timeout_s=timeout_s, connect_timeout_s=connect_timeout_s
                )
            else:
                answer = await self._client.post(
                    claimed.url,
                    headers=headers,
                    content=claimed.body.encode(),
                    timeout_s=timeout_s,
                    connect_timeout_s=connect_timeout_s,
                )
        except Exception as error:  # whatever it is, the delivery must not be lost with it
            if not isinstance(error, OutboundFailure):
                organization_id, webhook_id = claimed.webhook
                log.error("bug", job="deliver", organization=organization_id, webhook=webhook_id, exc_info=error)
            return Attempt(at_ms, round((time.monotonic() - begun_s) * 1_000), error=error_class(error))
        return Attempt(
            at_ms,
            answer.duration_ms,
            status=answer.status,
            # PostgreSQL keeps no NUL in a text.
            answer=answer.body[:ANSWER_KEPT_BYTES].decode(errors="replace").replace("\0", "\ufffd"),
            retry_after=answer.headers.get("retry-after"),
        )

    def _headers(self, claimed: Claimed, at_s: int) -> dict[str, str]:
        """Those that the webhook's owner wants, and then ours, which they cannot be."""
        headers: dict[str, str] = {}
        if claimed.sealed_extra_headers is not None:
            headers = {header.name: header.value for header in from_text(self._open(claimed.sealed_extra_headers))}
        sent_id = delivery_id(*claimed.delivery, claimed.created_at_ms)
        sent_at = datetime.fromtimestamp(at_s, UTC)
        keys = [Webhook(self._open(secret)) for secret in claimed.sealed_secrets]
        ours = {
            "content-type": "application/json",
            "user-agent": f"Shopbell/{__version__}",
            "webhook-id": sent_id,
            "webhook-timestamp": str(at_s),
            "webhook-signature": " ".join(key.sign(sent_id, sent_at, claimed.body) for key in keys),
        }
        if claimed.is_push:
            ours["ipns-version"] = "1"
        return {name: value for name, value in headers.items() if name.lower() not in ours} | ours

    def _open(self, sealed: str) -> str:
        """Open a secret, and remember it: that takes longer than signing with it."""
        if sealed not in self._opened:
            if len(self._opened) >= _KNOWN_MAX:
                self._opened.clear()
            self._opened[sealed] = self._seals.open(sealed)
        return self._opened[sealed]
