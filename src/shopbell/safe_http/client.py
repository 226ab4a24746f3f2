"""The HTTP client: one attempt, one deadline, one response of limited size."""

import asyncio
import ssl
import time
from collections.abc import Mapping
from dataclasses import dataclass
from importlib import import_module
from types import TracebackType
from typing import TYPE_CHECKING, Self

from shopbell.safe_http.addresses import AllowList
from shopbell.safe_http.connector import Dial, GuardedConnector, dial
from shopbell.safe_http.dns import Resolve, SystemResolver
from shopbell.safe_http.errors import AttemptTimeout

if TYPE_CHECKING:
    from shopbell.safe_http.transport import Transport

READ_LIMIT_BYTES = 16_384


@dataclass(frozen=True, slots=True)
class HttpResponse:
    """The response of a receiver.

    Args:
        status: the HTTP status; redirects are not followed.
        headers: by lower-case name; repeated headers are joined with commas.
        body: the start of the body, not decompressed.
        duration_ms: from the start of the attempt to the end of the response.
    """

    status: int
    headers: Mapping[str, str]
    body: bytes
    duration_ms: int


class OutboundClient:
    """Sends requests to untrusted URLs: no private addresses, redirects, cookies or proxies.

    Args:
        allow: private addresses that the operator allows, also over plain HTTP.
        dns_timeout_s: timeout of a DNS lookup.
        keep_alive_limit: maximum idle connections.
        ssl_context: trusted certificates; by default the system's, or those of ``SSL_CERT_FILE``.
        resolve: finds the addresses of a name; by default the system's resolver.
        dial: connects to an address; by default over TCP.
    """

    def __init__(
        self,
        allow: AllowList,
        *,
        dns_timeout_s: float = 3,
        keep_alive_limit: int = 64,
        ssl_context: ssl.SSLContext | None = None,
        resolve: Resolve | None = None,
        dial: Dial = dial,
    ) -> None:
        self._connector = GuardedConnector(
            allow, resolve=resolve or SystemResolver(), dial=dial, dns_timeout_s=dns_timeout_s
        )
        self._keep_alive_limit = keep_alive_limit
        self._ssl_context = ssl_context
        self._transport: Transport | None = None

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    async def close(self) -> None:
        """Close all connections."""
        if self._transport is not None:
            await self._transport.close()
        await asyncio.sleep(0)  # the event loop closes the sockets in its next iteration

    async def post(
        self,
        url: str,
        *,
        headers: Mapping[str, str],
        content: bytes,
        timeout_s: float,
        connect_timeout_s: float,
        read_limit_bytes: int = READ_LIMIT_BYTES,
    ) -> HttpResponse:
        """Send one POST request, without retries.

        Args:
            url: checked with ``urls.check_url`` when it was stored.
            headers: all except ``Host``, ``Content-Length`` and ``Accept-Encoding``, in printable ASCII.
            timeout_s: timeout of the whole attempt, including the whole response.
            connect_timeout_s: timeout to connect, and again for TLS.
            read_limit_bytes: maximum length of the response body; a longer body is cut and the connection closed.

        Returns:
            The response, with any status.

        Raises:
            OutboundFailure: there was no response; the subclass says why.
            ValueError: a header contains invalid characters; nothing was sent.
        """
        return await self._send("POST", url, headers, content, timeout_s, connect_timeout_s, read_limit_bytes)

    async def get(
        self,
        url: str,
        *,
        headers: Mapping[str, str],
        timeout_s: float,
        connect_timeout_s: float,
        read_limit_bytes: int = READ_LIMIT_BYTES,
    ) -> HttpResponse:
        """Send one GET request, like ``post``."""
        return await self._send("GET", url, headers, None, timeout_s, connect_timeout_s, read_limit_bytes)

    async def _send(
        self,
        method: str,
        url: str,
        headers: Mapping[str, str],
        content: bytes | None,
        timeout_s: float,
        connect_timeout_s: float,
        read_limit_bytes: int,
    ) -> HttpResponse:
        begun_s = time.monotonic()
        try:
            async with asyncio.timeout(timeout_s):
                transport = self._transport or await self._open()
                status, received, body = await transport.exchange(
                    method,
                    url,
                    headers,
                    content,
                    connect_timeout_s=connect_timeout_s,
                    read_limit_bytes=read_limit_bytes,
                )
        except TimeoutError:
            raise AttemptTimeout("the attempt timed out") from None
        return HttpResponse(status, received, body, round((time.monotonic() - begun_s) * 1_000))

    async def _open(self) -> "Transport":
        # Importing aiohttp takes a tenth of a second and 6 MB. Only a process that sends something does it, beside its
        # other work.
        await asyncio.to_thread(import_module, "shopbell.safe_http.transport")
        from shopbell.safe_http.transport import Transport

        if self._transport is None:
            self._transport = Transport(
                self._connector, keep_alive_limit=self._keep_alive_limit, ssl_context=self._ssl_context
            )
        return self._transport
