"""HTTP/1.1 with aiohttp, reduced to single requests.

Everything else that aiohttp can do is off. Importing this module takes 6 MB.
"""

import asyncio
import io
import re
import socket
import ssl
from collections.abc import Iterable, Mapping
from functools import lru_cache, partial
from typing import Any, cast

from aiohttp import (
    BaseConnector,
    ClientError,
    ClientPayloadError,
    ClientRequest,
    ClientResponse,
    ClientSession,
    ClientTimeout,
    DummyCookieJar,
)
from aiohttp.client_proto import ResponseHandler
from aiohttp.client_reqrep import ConnectionKey
from aiohttp.http_exceptions import HttpProcessingError
from aiohttp.tracing import Trace
from multidict import CIMultiDict
from yarl import URL

from shopbell.safe_http.connection import Connection
from shopbell.safe_http.connector import GuardedConnector
from shopbell.safe_http.errors import AddressDenied, ConnectionLost, ConnectRefused, ResponseNotHttp
from shopbell.safe_http.tls import handshake, system_certificates
from shopbell.safe_http.urls import parse_url

# Many servers close idle connections after five seconds. A request on a connection that is closing looks like a lost
# message, so the client closes idle connections earlier.
_KEEP_ALIVE_S = 4.0
# ``connection.HEAD_LIMIT_BYTES`` limits the head; these limit the trailer, too.
_FIELD_MAX_BYTES = 16_384
_FIELDS_MAX = 256
# aiohttp warns when a body is larger and in one piece.
_PIECE_MAX_BYTES = 1_048_576
_NAME = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")  # RFC 9110, 5.1
_NOT_ADDED: CIMultiDict[None] = CIMultiDict({"Content-Type": None})


class Transport:
    """Sends requests over guarded connections.

    No redirects, cookies, proxies, decompression or retries.

    Args:
        connector: opens the connections.
        keep_alive_limit: maximum idle connections.
        ssl_context: trusted certificates; by default the system's, or those of ``SSL_CERT_FILE``.
    """

    def __init__(
        self, connector: GuardedConnector, *, keep_alive_limit: int, ssl_context: ssl.SSLContext | None
    ) -> None:
        self._session = ClientSession(
            connector=_Pool(connector, keep_alive_limit, ssl_context or system_certificates()),
            cookie_jar=DummyCookieJar(),
            request_class=_Request,
            auto_decompress=False,
            max_field_size=_FIELD_MAX_BYTES,
            max_headers=_FIELDS_MAX,
            trust_env=False,
        )

    async def close(self) -> None:
        """Close all connections."""
        await self._session.close()

    async def exchange(
        self,
        method: str,
        url: str,
        headers: Mapping[str, str],
        content: bytes | None,
        *,
        connect_timeout_s: float,
        read_limit_bytes: int,
    ) -> tuple[int, Mapping[str, str], bytes]:
        """Send a request once and read the response.

        Args:
            method: ``GET`` or ``POST``.
            url: where to send it.
            headers: all except ``Host``, ``Content-Length`` and ``Accept-Encoding``.
            content: the body.
            connect_timeout_s: timeout to connect, and again for TLS.
            read_limit_bytes: maximum length of the response body.

        Returns:
            The status, the headers by lower-case name, and the start of the body.

        Raises:
            OutboundFailure: there was no response.
            ValueError: a header contains invalid characters.
        """
        authority, parsed = _parsed(url)
        try:
            response = await self._session.request(
                method,
                parsed,
                headers=_all_headers(authority, headers, content),
                data=content if content is None or len(content) <= _PIECE_MAX_BYTES else io.BytesIO(content),
                allow_redirects=False,
                timeout=_timeout(connect_timeout_s),
            )
        except ClientError:  # nothing was sent, or our connection would have failed
            raise ConnectionLost("the receiver closed the connection without a response") from None
        try:
            if response.version is None or response.version.major != 1:
                raise ResponseNotHttp("the response is not HTTP/1.1")
            return response.status, _joined(response), await _start_of_body(response, read_limit_bytes)
        finally:
            response.close()


@lru_cache(maxsize=1_024)
def _parsed(url: str) -> tuple[str, URL]:
    try:
        target = parse_url(url)
    except ValueError as error:
        raise AddressDenied(f"the URL {error}") from None
    parsed = URL.build(scheme=target.scheme, authority=target.authority, path=target.path, encoded=True)
    return target.authority, parsed


@lru_cache(maxsize=16)
def _timeout(connect_timeout_s: float) -> ClientTimeout:
    return ClientTimeout(sock_connect=connect_timeout_s)


@lru_cache(maxsize=1_024)
def _is_name(text: str) -> bool:
    return _NAME.fullmatch(text) is not None


def _all_headers(authority: str, headers: Mapping[str, str], content: bytes | None) -> CIMultiDict[str]:
    for name, value in headers.items():
        if not (_is_name(name) and value.isascii() and value.isprintable()):
            raise ValueError("a header contains invalid characters")
    length = {} if content is None else {"Content-Length": str(len(content))}
    # No decompression, because of decompression bombs.
    all_headers = CIMultiDict({"Host": authority, **length, "Accept-Encoding": "identity"})
    all_headers.extend(headers)
    return all_headers


class _Request(ClientRequest):
    """A request with the given headers and no others."""

    def update_headers(self, headers: Any) -> None:
        self.headers = headers

    def update_auto_headers(self, skip_auto_headers: Iterable[str] | None) -> None:  # noqa: ARG002
        self._skip_auto_headers = _NOT_ADDED


class _Pool(BaseConnector):
    """Keeps connections alive, and opens new ones only through the guard."""

    def __init__(self, connector: GuardedConnector, keep_alive_limit: int, ssl_context: ssl.SSLContext) -> None:
        super().__init__(keepalive_timeout=_KEEP_ALIVE_S, limit=0)  # the callers limit their concurrent requests
        ssl_context.set_alpn_protocols(["http/1.1"])
        self._connector = connector
        self._keep_alive_limit = keep_alive_limit
        self._ssl_context = ssl_context

    def _release(self, key: ConnectionKey, protocol: ResponseHandler, *, should_close: bool = False) -> None:
        is_full = sum(map(len, self._conns.values())) >= self._keep_alive_limit
        super()._release(key, protocol, should_close=should_close or is_full)

    async def _create_connection(
        self,
        req: ClientRequest,
        traces: list[Trace],  # noqa: ARG002
        timeout: ClientTimeout,  # noqa: ASYNC109 - the name is aiohttp's
    ) -> ResponseHandler:
        host, port, timeout_s = req.host, cast("int", req.port), cast("float", timeout.sock_connect)
        connection = await self._connector.connect(host, port, encrypted=req.is_ssl(), timeout_s=timeout_s)
        try:
            return await (self._encrypt(connection, host, timeout_s) if req.is_ssl() else _adopt(connection))
        except OSError:
            connection.close()
            raise ConnectRefused("the connection broke immediately") from None
        except BaseException:
            connection.close()
            raise

    async def _encrypt(self, connection: socket.socket, host: str, timeout_s: float) -> Connection:
        """Start TLS and verify the peer's certificate."""
        async with handshake(connection, timeout_s):
            return await _adopt(connection, ssl=self._ssl_context, server_hostname=host)


async def _adopt(connection: socket.socket, **tls: Any) -> Connection:
    loop = asyncio.get_running_loop()
    _, adopted = await loop.create_connection(partial(Connection, loop), sock=connection, **tls)
    return adopted


async def _start_of_body(response: ClientResponse, limit_bytes: int) -> bytes:
    body = bytearray()
    try:
        while len(body) <= limit_bytes and (chunk := await response.content.readany()):
            body += chunk
    except ClientPayloadError:
        raise ConnectionLost("the receiver closed the connection during its response") from None
    except HttpProcessingError:  # from the parser that aiohttp uses where it is not compiled
        raise ResponseNotHttp("the response is not HTTP/1.1") from None
    return bytes(body[:limit_bytes])


def _joined(response: ClientResponse) -> Mapping[str, str]:
    joined: dict[str, str] = {}
    for raw_name, raw_value in response.raw_headers:
        name, value = raw_name.decode("latin-1").lower(), raw_value.decode("latin-1")
        joined[name] = f"{joined[name]}, {value}" if name in joined else value
    return joined
