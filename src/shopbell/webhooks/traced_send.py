"""A span for each delivery to a webhook. Imported only if traces are on.

The receiver gets the span in ``traceparent`` (W3C Trace Context), so its own spans continue the trace.
"""

from opentelemetry.trace import SpanKind, StatusCode, Tracer
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

from shopbell.safe_http.client import OutboundClient
from shopbell.security.encryption import Cipher
from shopbell.webhooks.claim import Claimed
from shopbell.webhooks.retry_policy import Attempt
from shopbell.webhooks.send import WebhookChannel

_PROPAGATOR = TraceContextTextMapPropagator()


class TracedWebhookChannel(WebhookChannel):
    """Sends deliveries to webhooks, each in a span.

    Args:
        tracer: makes the spans.
        client: as in ``WebhookChannel``; so are the others.
        cipher: decrypts secrets and headers.
        timeout_s: seconds for a whole attempt.
        connect_timeout_s: seconds to connect.
    """

    def __init__(
        self, tracer: Tracer, client: OutboundClient, cipher: Cipher, *, timeout_s: float, connect_timeout_s: float
    ) -> None:
        super().__init__(client, cipher, timeout_s=timeout_s, connect_timeout_s=connect_timeout_s)
        self._tracer = tracer

    async def send(self, claimed: Claimed) -> Attempt:
        """Send a delivery once, in a span."""
        method = "GET" if claimed.is_health_check else "POST"
        organization_id, webhook_id = claimed.webhook
        attributes: dict[str, str | int] = {
            "http.request.method": method,
            "shopbell.organization_id": organization_id,
            "shopbell.webhook_id": webhook_id,
            "shopbell.attempt": claimed.number,
        }
        with self._tracer.start_as_current_span(
            f"{method} webhook",
            kind=SpanKind.CLIENT,
            attributes=attributes,
            record_exception=False,
            set_status_on_exception=False,
        ) as span:
            attempt = await super().send(claimed)
            if attempt.status is not None:
                span.set_attribute("http.response.status_code", attempt.status)
            if attempt.error is not None:
                span.set_attribute("error.type", attempt.error)
            if not attempt.is_success:
                span.set_status(StatusCode.ERROR)
        return attempt

    def _headers(self, claimed: Claimed, at_s: int) -> dict[str, str]:
        headers = super()._headers(claimed, at_s)
        kept = {name: value for name, value in headers.items() if name.lower() not in _PROPAGATOR.fields}
        _PROPAGATOR.inject(kept)
        return kept
