"""TLS on connections that the guarded connector has opened."""

import asyncio
import os
import socket
import ssl
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from shopbell.safe_http.connector import GuardedConnector
from shopbell.safe_http.errors import ConnectTimeout, TlsFailed

_LINE_MAX_BYTES = 65_536


async def open_tls(
    connector: GuardedConnector,
    host: str,
    port: int,
    certificates: ssl.SSLContext,
    *,
    timeout_s: float,
    line_max_bytes: int = _LINE_MAX_BYTES,
) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    """Connect to a server, and verify its certificate.

    Args:
        host: an ASCII name or an address.
        port: 1 to 65535; it expects TLS.
        certificates: those that are trusted.
        timeout_s: timeout to connect, and again for TLS.
        line_max_bytes: the longest line that the reader can return.

    Raises:
        OutboundFailure: the address is denied, or the connection or TLS failed.
    """
    connection = await connector.connect(host, port, encrypted=True, timeout_s=timeout_s)
    async with handshake(connection, timeout_s):
        return await asyncio.open_connection(
            sock=connection, ssl=certificates, server_hostname=host, limit=line_max_bytes
        )


@asynccontextmanager
async def handshake(connection: socket.socket, timeout_s: float) -> AsyncIterator[None]:
    """Start TLS in the block; if that fails, close the connection and say why.

    Raises:
        OutboundFailure: the block took too long, or raised ``OSError``.
    """
    try:
        async with asyncio.timeout(timeout_s):
            yield
    except BaseException as error:
        connection.close()
        if isinstance(error, TimeoutError):
            raise ConnectTimeout("the TLS handshake timed out") from None
        if isinstance(error, OSError):
            raise tls_failure(error) from None
        raise


def tls_failure(error: OSError) -> TlsFailed:
    """Explain a failed TLS handshake."""
    if isinstance(error, ssl.SSLCertVerificationError):
        return TlsFailed(f"the receiver's certificate is not trusted: {error.verify_message}")
    if isinstance(error, ssl.SSLError):
        return TlsFailed(f"the TLS handshake failed: {error.reason}")
    return TlsFailed("the receiver closed the connection during the TLS handshake")


def system_certificates() -> ssl.SSLContext:
    """Return a TLS context that trusts the certificates of the system.

    If ``SSL_CERT_FILE`` or ``SSL_CERT_DIR`` is set, it trusts those instead.
    """
    if sys.platform == "darwin" and not {"SSL_CERT_FILE", "SSL_CERT_DIR"} & os.environ.keys():
        import truststore

        return truststore.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    return ssl.create_default_context()
