"""Detect requests from this machine."""

from ipaddress import ip_address

from fastapi import Request

from shopbell.http.request.base_url import PLAIN_HOST
from shopbell.safe_http.addresses import unmapped

_LOOPBACK_NAMES = ("localhost", "127.0.0.1", "[::1]")


def is_local_client(request: Request) -> bool:
    """Return whether the client runs on this machine. Only then may a page show the token of the demo.

    The peer must be a loopback address, without a proxy that could act for others. The host must be a loopback name:
    otherwise a site whose name resolves to this machine could read the page (DNS rebinding).
    """
    if request.client is None or not _is_loopback(request.client.host) or _may_be_proxied(request):
        return False
    host = PLAIN_HOST.fullmatch(request.headers.get("host", ""))
    return host is not None and host["name"].lower() in _LOOPBACK_NAMES


def _is_loopback(address: str) -> bool:
    try:
        return unmapped(ip_address(address)).is_loopback
    except ValueError:
        return False


def _may_be_proxied(request: Request) -> bool:
    """Return whether a proxy may have sent the request.

    Not every proxy adds a header: nginx by default adds none and sends its upstream's name as host, but by HTTP/1.0
    or with ``Connection: close``. Browsers and curl do neither.
    """
    if request.scope["http_version"] == "1.0" or "close" in request.headers.get("connection", "").lower():
        return True
    return any(name in ("forwarded", "via", "x-real-ip") or name.startswith("x-forwarded-") for name in request.headers)
