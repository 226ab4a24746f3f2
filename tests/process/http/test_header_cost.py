"""No header costs much CPU time on any route."""

import importlib
import json
import re
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from harness import api_objects, quadratic_cookies
from harness.installation import Installation, Server
from harness.raw_connection import Wire, cpu_s
from harness.shop import Shop
from harness.visitors import acmes_site
from shopbell import http
from shopbell.http.request import cookies

LIMIT_S = 0.010
SIZE_BYTES = 15_000
"""About all that the limit of 16,384 bytes for a whole head leaves to one header."""

NAMES = [
    "accept",
    "accept-encoding",
    "accept-language",
    "access-control-request-headers",
    "access-control-request-method",
    "authentication-token",
    "authorization",
    "connection",
    "content-encoding",
    "content-length",
    "content-type",
    "cookie",
    "expect",
    "forwarded",
    "host",
    "idempotency-key",
    "if-match",
    "if-modified-since",
    "if-none-match",
    "if-range",
    "if-unmodified-since",
    "last-event-id",
    "origin",
    "range",
    "referer",
    "sec-fetch-site",
    "sec-websocket-protocol",
    "shopbell-thread",
    "te",
    "token",
    "traceparent",
    "trailer",
    "transfer-encoding",
    "upgrade",
    "user-agent",
    "via",
    "webhook-id",
    "webhook-signature",
    "webhook-timestamp",
    "x-forwarded-for",
    "x-forwarded-host",
    "x-forwarded-proto",
    "x-request-id",
    "x-twilio-signature",
    "x-unknown",
]
HOSTILE = {
    "quoted backslashes": b'a="%s"' % (b"\\" * SIZE_BYTES),
    "an open boundary": b'multipart/form-data; boundary="%s' % (rb"\"" * (SIZE_BYTES // 2)),
    "parameters": b"application/json%s" % (b'; a="\\"' * (SIZE_BYTES // 8)),
    "ranges": b"bytes=%s0-1" % (b"0-1," * (SIZE_BYTES // 4)),
    "addresses": b"127.0.0.1,::1," * (SIZE_BYTES // 14),
    "spaces": b"a%sa" % (b" " * SIZE_BYTES),
}
_ALL_ROUTES = """
import json
from shopbell.app import create_app
from shopbell.http.request.methods import all_routes
edge = create_app()
rest = edge._rest
while not hasattr(rest, "routes"):
    rest = rest.app
served = [[method, route.path] for route in all_routes(rest.routes) for method in route.methods or ["GET"]]
print(json.dumps([["POST", path] for path in edge._direct] + [["GET", path] for path in edge._streams] + served))
"""
# How our code and the frameworks look up a header of a request.
_LOOKED_UP = re.compile(
    r"""\bheaders\.get\(\s*b?["']([\w-]+)["']|\brequest\.headers\[\s*["']([\w-]+)["']|\bname == b["']([\w-]+)["']"""
)


@pytest.fixture
def shop(shops: Callable[..., Shop], tmp_path_factory: pytest.TempPathFactory) -> Shop:
    """A server behind a proxy that it trusts, so that it reads what the proxy forwards."""
    folder = tmp_path_factory.getbasetemp() / "attachments-header-cost"
    return shops("sqlite", run_worker="false", trusted_proxies="127.0.0.1", attachments_url=f"file://{folder}")


@dataclass(frozen=True)
class Route:
    """A route, with the headers of a caller that it knows."""

    method: str
    path: str
    headers: Mapping[str, bytes]

    def __str__(self) -> str:
        return f"{self.method} {self.path}"

    def request(self, more_headers: Mapping[str, bytes]) -> bytes:
        """The bytes of a request without a body."""
        headers = {"host": b"127.0.0.1", **self.headers}
        if self.method == "POST":
            headers |= {"content-type": b"application/json", "content-length": b"0"}
        if "transfer-encoding" in more_headers:
            headers.pop("content-length", None)
        lines = [b"%s: %s" % (name.encode(), value) for name, value in (headers | more_headers).items()]
        return b"\r\n".join([f"{self} HTTP/1.1".encode(), *lines, b"", b""])


_routes: list[Route] = []


@pytest.fixture
def routes(shop: Shop, tmp_path: Path) -> list[Route]:
    """Each route of the server, with ids of things that Acme has."""
    if not _routes:
        ids = api_objects.make(shop, shop.world.token, shop.world.boston)
        visitor = acmes_site(shop).visitor()
        visitor.say()
        environment = shop.server.installation.environment
        program = [sys.executable, "-c", _ALL_ROUTES]
        done = subprocess.run(program, env=environment, cwd=tmp_path, capture_output=True, text=True, check=True)
        for method, template in json.loads(done.stdout):
            path = re.sub(r"\{(\w+)\}", lambda name: ids.get(api_objects.KINDS.get(name[1], ""), "x"), template)
            headers = {"token": shop.world.token}
            if path.startswith("/api/customer/") and path != "/api/customer/sign-out":
                headers = visitor.headers
            if method != "HEAD":
                _routes.append(Route(method, path, {name: value.encode() for name, value in headers.items()}))
    return _routes


class Meter:
    """Measures what requests cost a server."""

    def __init__(self, server: Server) -> None:
        self._server = server
        self._wire: Wire | None = None

    def close(self) -> None:
        """Close the connection."""
        if self._wire is not None:
            self._wire.__exit__(None, None, None)
            self._wire = None

    def least_s(self, route: Route, headers: Mapping[str, bytes], *, times: int) -> float:
        """The CPU time of a request with these headers beside those that the route needs: the least of several."""
        return min(self._cost_s(route.request(headers)) for _ in range(times))

    def more_s(self, route: Route, headers: Mapping[str, bytes], *, times: int) -> float:
        """What these headers cost beyond the route without them.

        Both in turns: a machine that is slow for a while is slow for both.
        """
        costs = [(self._cost_s(route.request({})), self._cost_s(route.request(headers))) for _ in range(times)]
        return min(more for _, more in costs) - min(plain for plain, _ in costs)

    def _cost_s(self, request: bytes) -> float:
        began_s = cpu_s(self._server.pid)
        self._wire = self._wire or Wire(self._server.port)
        answer = self._wire.send(request).answer()
        took_s = cpu_s(self._server.pid) - began_s
        if answer.header("connection") == "close" or answer.header("content-length") is None:
            self.close()
        return took_s


@pytest.fixture
def meter(shop: Shop) -> Iterator[Meter]:
    """Measures the shop."""
    meter = Meter(shop.server)
    yield meter
    meter.close()


def expensive(meter: Meter, routes: list[Route], names: list[str], value: bytes) -> list[str]:
    """The headers that cost a request more than the limit, beyond what the route costs without them."""
    found = []
    for route in routes:
        plain_s = meter.least_s(route, {}, times=3)
        for name in names:
            # A collection of garbage, or what is made once, may fall into one request, but not into each.
            if meter.least_s(route, {name: value}, times=1) - plain_s > LIMIT_S:
                more_s = meter.more_s(route, {name: value}, times=10)
                if more_s > LIMIT_S:
                    found.append(f"{route}: {name} costs {more_s * 1000:.1f} ms")
    return found


@pytest.mark.parametrize("value", HOSTILE.values(), ids=HOSTILE)
def test_no_header_costs_any_route_more_than_10_ms(meter: Meter, routes: list[Route], value: bytes) -> None:
    assert len(routes) > 80
    assert expensive(meter, routes, NAMES, value) == []


@pytest.mark.parametrize("engine", ["sqlite"], indirect=True)
def test_control_cookies_parsed_by_a_framework_are_detected(installation: Installation) -> None:
    broken = replace(installation, server_program=quadratic_cookies.PROGRAM)
    with broken.serving() as server:
        meter = Meter(server)
        routes = [Route("GET", "/healthz", {}), Route("GET", "/api/threads", {}), Route("POST", "/t/new-link", {})]
        assert len(expensive(meter, routes, ["cookie"], HOSTILE["quoted backslashes"])) == len(routes)
        meter.close()


def test_every_header_that_is_read_is_measured() -> None:
    read = set()
    folders = [Path(http.__file__).parent]
    folders += [
        Path(importlib.import_module(name).__file__ or "").parent for name in ("fastapi", "starlette", "uvicorn")
    ]
    for path in (path for folder in folders for path in folder.rglob("*.py")):
        for match in _LOOKED_UP.finditer(path.read_text()):
            read.add(next(group for group in match.groups() if group).lower())
    assert len(read) > 20
    assert read - set(NAMES) == set()


def test_frameworks_see_no_cookies_and_all_other_headers() -> None:
    scope = {"headers": [(b"host", b"x"), (b"cookie", b"a=1"), (b"token", b"t"), (b"cookie", b"sb_1=sbs_2")]}
    cookies.hide(scope)
    assert scope["headers"] == [(b"host", b"x"), (b"token", b"t")]
    assert cookies.value_of(scope, "sb_1") == "sbs_2"
    assert cookies.value_of(scope, "a") == "1"


@pytest.mark.parametrize(
    ("sent", "value"),
    [
        (b"sb_1=sbs_a", "sbs_a"),
        (b"a=b; sb_1=sbs_a; c=d", "sbs_a"),
        (b"a=b;sb_1 = sbs_a ;c", "sbs_a"),
        (b"sb_1=sbs_a; sb_1=sbs_b", "sbs_b"),
        (b'other="a\\"; sb_1=sbs_a', "sbs_a"),
        (b"sb_1=", ""),
        (b"sb_1=a=b", "a=b"),
        (b"sb_1=\xff", "\xff"),
        (b"sb_1", None),
        (b"sb_12=sbs_a; xsb_1=sbs_a; SB_1=sbs_a", None),
        (b"", None),
    ],
)
def test_a_cookie_is_found_by_its_full_name(sent: bytes, value: str | None) -> None:
    scope = {"headers": [(b"cookie", sent)]}
    cookies.hide(scope)
    assert cookies.value_of(scope, "sb_1") == value


def test_a_request_without_cookies_has_none() -> None:
    scope = {"headers": [(b"host", b"x")]}
    cookies.hide(scope)
    assert cookies.value_of(scope, "sb_1") is None
