"""What everything outbound is sent with: one attempt, one deadline, one answer of bounded size."""

import asyncio
import logging
import ssl
import time
from collections.abc import Mapping
from contextlib import aclosing
from dataclasses import dataclass
from types import TracebackType
from typing import Self

import httpcore2

from shopbell.outbound.addresses import AllowList
from shopbell.outbound.connector import Dial, GuardedBackend, Stream, dial
from shopbell.outbound.failures import AddressDenied, AnswerNotHttp, AttemptTimeout, ConnectionLost
from shopbell.outbound.lookups import Resolve, SystemResolver
from shopbell.outbound.targets import Target, parse_url

READ_LIMIT_BYTES = 16_384
# Many servers end an idle connection after five seconds. Sending into one that is just ending looks like a message that
# was lost on its way: so it is left alone before that.
_KEEP_ALIVE_S = 4.0
_WRONG_HEADER = "a header has characters that it may not have"


@dataclass(frozen=True, slots=True)
class Answer:
    """What a receiver answered.

    Args:
        status: the HTTP status; redirects are answers like others.
        headers: by name in lower case; several of one name are joined by commas.
        body: the beginning of the body as it came, without any decompression.
        duration_ms: from the begin of the attempt to the end of the answer.
    """

    status: int
    headers: Mapping[str, str]
    body: bytes
    duration_ms: int


class OutboundClient:
    """Sends to addresses that strangers choose: no private ones, no redirects, no cookies, no proxies.

    Args:
        allow: what the operator lets through although it is private, by plain HTTP too.
        dns_timeout_s: seconds to look a name up.
        keep_alive_limit: most idle connections that are kept, for each of the two schemes.
        ssl_context: whom to trust; the system's certificates, or those of ``SSL_CERT_FILE``, unless given.
        resolve: finds the addresses of a name; the system's resolver unless given.
        dial: connects to an address; plain TCP unless given.
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
        # At its most talkative it writes down what receivers answer, and to whom what was sent.
        logging.getLogger("httpcore2").setLevel(logging.WARNING)
        resolve = resolve or SystemResolver()
        ssl_context = ssl_context or httpcore2.default_ssl_context()
        self._pools = {
            scheme: httpcore2.AsyncConnectionPool(
                ssl_context=ssl_context,
                max_connections=None,  # whoever sends bounds what is under way
                max_keepalive_connections=keep_alive_limit,
                keepalive_expiry=_KEEP_ALIVE_S,
                network_backend=GuardedBackend(
                    allow, encrypted=scheme == "https", resolve=resolve, dial=dial, dns_timeout_s=dns_timeout_s
                ),
            )
            for scheme in ("http", "https")
        }

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    async def close(self) -> None:
        """End all connections."""
        for pool in self._pools.values():
            await pool.aclose()
        await asyncio.sleep(0)  # sockets are closed in the loop's next round

    async def post(
        self,
        url: str,
        *,
        headers: Mapping[str, str],
        content: bytes,
        timeout_s: float,
        connect_timeout_s: float,
        read_limit_bytes: int = READ_LIMIT_BYTES,
    ) -> Answer:
        """Send one POST, once.

        Args:
            url: where to; ``targets.check_url`` was asked when it was stored.
            headers: all headers but ``Host``, ``Content-Length`` and ``Accept-Encoding``, in printable ASCII.
            content: the body.
            timeout_s: seconds for the whole attempt, by the wall clock, the end of the answer included.
            connect_timeout_s: seconds to connect, and once more for TLS.
            read_limit_bytes: how much of the answer's body is read; what is longer is cut, and the connection ended.

        Returns:
            The answer, whatever its status.

        Raises:
            OutboundFailure: there was none, and why.
            ValueError: a header has characters that it may not have; nothing was sent.
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
    ) -> Answer:
        """Send one GET, once, as ``post`` does."""
        return await self._send("GET", url, headers, b"", timeout_s, connect_timeout_s, read_limit_bytes)

    async def _send(
        self,
        method: str,
        url: str,
        headers: Mapping[str, str],
        content: bytes,
        timeout_s: float,
        connect_timeout_s: float,
        read_limit_bytes: int,
    ) -> Answer:
        begun_s = time.monotonic()
        try:
            target = parse_url(url)
        except ValueError as error:
            raise AddressDenied(f"the URL {error}") from None
        request = httpcore2.Request(
            method,
            httpcore2.URL(
                scheme=target.scheme.encode(),
                host=target.host.encode(),
                port=target.port,
                target=target.path.encode(),
            ),
            headers=_headers(target, headers, content if method == "POST" else None),
            content=content,
            extensions={"timeout": {"connect": connect_timeout_s}},
        )
        try:
            async with asyncio.timeout(timeout_s):
                status, answered, body = await _exchange(self._pools[target.scheme], request, read_limit_bytes)
        except TimeoutError:
            raise AttemptTimeout("the attempt took too long") from None
        except httpcore2.LocalProtocolError:
            raise ValueError(_WRONG_HEADER) from None  # its own text quotes them
        except httpcore2.ProtocolError:
            raise AnswerNotHttp("what came back is not HTTP/1.1") from None
        return Answer(status, answered, body, round((time.monotonic() - begun_s) * 1_000))


def _headers(target: Target, headers: Mapping[str, str], content: bytes | None) -> list[tuple[bytes, bytes]]:
    if not all(text.isascii() for field in headers.items() for text in field):
        raise ValueError(_WRONG_HEADER)
    return [
        (b"Host", target.authority.encode()),
        *([] if content is None else [(b"Content-Length", b"%d" % len(content))]),
        # Nobody here unpacks anything: what unpacks can be a bomb.
        (b"Accept-Encoding", b"identity"),
        *((name.encode("ascii"), value.encode("ascii")) for name, value in headers.items()),
    ]


async def _exchange(
    pool: httpcore2.AsyncConnectionPool, request: httpcore2.Request, read_limit_bytes: int
) -> tuple[int, Mapping[str, str], bytes]:
    response = await pool.handle_async_request(request)
    body = bytearray()
    try:
        async with aclosing(response.aiter_stream()) as chunks:
            async for chunk in chunks:
                body += chunk
                if len(body) > read_limit_bytes:
                    break
    except httpcore2.ProtocolError:
        stream = response.extensions["network_stream"]
        if isinstance(stream, Stream) and stream.ended:
            raise ConnectionLost("the receiver ended the connection within its answer") from None
        raise
    finally:
        await response.aclose()
    return response.status, _joined(response.headers), bytes(body[:read_limit_bytes])


def _joined(headers: list[tuple[bytes, bytes]]) -> Mapping[str, str]:
    joined: dict[str, str] = {}
    for raw_name, raw_value in headers:
        name, value = raw_name.decode("latin-1").lower(), raw_value.decode("latin-1")
        joined[name] = f"{joined[name]}, {value}" if name in joined else value
    return joined
