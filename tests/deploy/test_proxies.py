"""The examples for nginx, Caddy and HAProxy, with the real programs."""

import re
import socket
import ssl
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import httpx2
import pytest

from harness.activated import Manager, managing
from harness.databases import Databases
from harness.installation import Installation
from harness.proxies import EXAMPLES, HOME_PAGE, PLACES, Place, Proxy, proxy
from harness.shop import WIDGET
from harness.steady_load import Load
from harness.world import World

LIMIT_BYTES = 20_971_520
SOON_S = 15
"""Less than the time between two signs of life of a stream, which a buffer would pass on with the event."""
HELD_BACK = httpx2.Timeout(240, read=5)
"""A connect may take long on a busy machine. Only an event that does not come ends the wait."""
SITE = "https://website.example"
SETTINGS = {
    "SHOPBELL_TRUSTED_PROXIES": "127.0.0.1",
    "SHOPBELL_RATE_LIMIT_PER_S": "1000000",
    "SHOPBELL_RATE_LIMIT_BURST": "1000000",
    # One conversation per minute and address.
    "SHOPBELL_VISITOR_RATE_PER_MIN": "3",
    "SHOPBELL_HEADER_TIMEOUT_S": "300",
    "SHOPBELL_BODY_TIMEOUT_S": "300",
    "SHOPBELL_SHUTDOWN_TIMEOUT_S": "60",
    "SHOPBELL_WRITE_TIMEOUT_S": "60",
    "SHOPBELL_RUN_WORKER": "false",
}


pytestmark = pytest.mark.timeout(1_200)


@dataclass(frozen=True)
class Front:
    """A proxy, and the server behind it."""

    proxy: Proxy
    manager: Manager
    people: World
    number: int

    def client(self, source: str = "127.0.0.1") -> httpx2.Client:
        """A client of Acme's."""
        client = self.proxy.client(source)
        client.headers["token"] = self.people.token
        return client

    def send(self, client: httpx2.Client, text: str) -> None:
        """Send a message."""
        body = {"businessId": self.people.boston, "message": text, "user": {"email": "carol@example.com"}}
        assert client.post(WIDGET, json=body).status_code == 200


@pytest.fixture(scope="module")
def behind(databases: Databases, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[[Place], Manager]]:
    """Starts a server for a place, when it is first asked for."""
    running: dict[Place, Manager] = {}
    with ExitStack() as stack:

        def server(place: Place) -> Manager:
            if place not in running:
                folder = tmp_path_factory.mktemp("server")
                installation = Installation(databases.copy("sqlite", "world"), folder)
                running[place] = stack.enter_context(managing(installation, folder))
                running[place].start(SHOPBELL_PUBLIC_URL=place.url, **SETTINGS)
            return running[place]

        yield server


@pytest.fixture(
    scope="module",
    params=[(name, place) for name in EXAMPLES for place in PLACES],
    ids=lambda chosen: f"{chosen[0]} {chosen[1].path or 'host'}",
)
def front(
    request: pytest.FixtureRequest,
    behind: Callable[[Place], Manager],
    databases: Databases,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Front]:
    """Each example."""
    name, place = request.param
    manager = behind(place)
    number = [*EXAMPLES].index(name) * len(PLACES) + PLACES.index(place)
    with proxy(name, place, manager.port, tmp_path_factory.mktemp(name)) as running:
        yield Front(running, manager, databases.world("sqlite"), number)


def test_an_event_is_not_held_back(front: Front) -> None:
    text = f"Hello {uuid.uuid4()}"
    with front.client() as reader, front.client() as writer, reader.stream("GET", "/api/stream") as stream:
        lines = stream.iter_lines()
        assert "event: ready" in lines
        front.send(writer, text)
        sent_s = time.monotonic()
        assert any(text in line for line in lines)
        assert time.monotonic() - sent_s < SOON_S


def test_control_nginx_holds_events_back_if_the_header_of_streams_does_not_count(
    behind: Callable[[Place], Manager], databases: Databases, tmp_path: Path
) -> None:
    place = PLACES[0]
    broken = partial(re.sub, "(proxy_http_version 1.1;)", r"\1 proxy_ignore_headers X-Accel-Buffering;")
    with proxy("nginx", place, behind(place).port, tmp_path, broken) as running:
        front = Front(running, behind(place), databases.world("sqlite"), 0)
        with (
            front.client() as reader,
            pytest.raises(httpx2.ReadTimeout),
            reader.stream("GET", "/api/stream", timeout=HELD_BACK) as stream,
        ):
            assert "event: ready" in stream.iter_lines()


def test_files_up_to_the_limit_are_stored_and_larger_ones_refused(front: Front) -> None:
    with front.client() as client:
        largest = client.post("/api/attachments", files={"file": ("a.txt", b"a" * LIMIT_BYTES)})
        assert largest.status_code == 200, largest.text
        link = client.get(f"/api/attachments/{largest.json()['attachmentId']}").json()["link"]
        assert link.startswith(f"{front.proxy.place.url}/")
        found = client.get(link.removeprefix(front.proxy.place.url))
        assert len(found.content) == LIMIT_BYTES
        for size_bytes in (LIMIT_BYTES + 1, LIMIT_BYTES * 3 // 2, 3 * LIMIT_BYTES):
            refused = client.post("/api/attachments", files={"file": ("a.txt", b"a" * size_bytes)})
            assert refused.status_code == 413
            if size_bytes < 2 * LIMIT_BYTES:  # then it is from Shopbell, which says what to do
                assert refused.json()["type"] == f"{front.proxy.place.path}/problems/content-too-large"


def _begin(front: Front, client: httpx2.Client, key: str, **headers: str) -> int:
    """Begin a conversation as a visitor of a website, and return the status."""
    body = {"key": key, "businessId": front.people.boston, "origin": SITE}
    headers["Origin"] = f"https://{front.proxy.place.host}"
    return client.post("/api/customer/sessions", json=body, headers=headers).status_code


def test_each_client_has_its_own_address_and_cannot_choose_it(front: Front) -> None:
    one, other = (f"127.1.{front.number}.{each}" for each in (1, 2))
    with front.client() as client:
        key = client.post("/api/publishable-keys", json={"allowedOrigins": [SITE]}).json()["key"]
    with front.client(one) as first, front.client(other) as second:
        assert _begin(front, first, key) == 200
        assert _begin(front, first, key) == 429
        assert _begin(front, first, key, **{"X-Forwarded-For": "10.0.0.1"}) == 429
        assert _begin(front, first, key, **{"Forwarded": "for=10.0.0.1", "X-Real-IP": "10.0.0.1"}) == 429
        assert _begin(front, second, key) == 200


def test_control_a_proxy_that_passes_on_what_clients_say_lets_them_choose_their_address(
    behind: Callable[[Place], Manager], databases: Databases, tmp_path: Path
) -> None:
    place = PLACES[0]
    broken = partial(re.sub, r"proxy_set_header X-Forwarded-For.*", "")
    with proxy("nginx", place, behind(place).port, tmp_path, broken) as running:
        front = Front(running, behind(place), databases.world("sqlite"), 0)
        with front.client() as client:
            key = client.post("/api/publishable-keys", json={"allowedOrigins": [SITE]}).json()["key"]
            for last in (1, 2):
                assert _begin(front, client, key, **{"X-Forwarded-For": f"127.2.0.{last}"}) == 200


def test_metrics_are_not_public(front: Front) -> None:
    with front.client() as client:
        assert client.get("/metrics").status_code == 404
        assert client.get("/metrics/").status_code == 404


def test_pages_and_widget_are_where_the_public_url_says(front: Front) -> None:
    path = front.proxy.place.path
    with front.client() as client:
        assert client.get("/widget.js").headers["content-type"].startswith("text/javascript")
        page = client.get("/inbox", headers={"Accept": "text/html"}, follow_redirects=True)
        assert page.status_code == 200
        assert page.url.path == f"{path}/sign-in"
        styles = re.findall(r'href="([^"]+\.css)[^"]*"', page.text)
        assert styles
        with front.proxy.client(path="") as whole:
            assert all(whole.get(page.url.join(style).path).status_code == 200 for style in styles)


def test_the_proxy_redirects_to_the_public_url_and_leaves_the_website_alone(front: Front) -> None:
    place = front.proxy.place
    if not place.path:
        answer = httpx2.get(f"http://127.0.0.1:{front.proxy.http}/docs", headers={"Host": place.host}, timeout=240)
        assert answer.status_code in (301, 308)
        assert answer.headers["location"].startswith(place.url)
        return
    with front.proxy.client(path="") as client:
        assert client.get("/").text == HOME_PAGE
        assert client.get(place.path).headers["location"].endswith(f"{place.path}/")


def test_browsers_may_use_http_2(front: Front) -> None:
    browser = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    browser.check_hostname, browser.verify_mode = False, ssl.CERT_NONE  # the other tests check the certificate
    browser.set_alpn_protocols(["h2", "http/1.1"])
    address = ("127.0.0.1", front.proxy.https)
    with (
        socket.create_connection(address, timeout=240) as wire,
        browser.wrap_socket(wire, server_hostname=front.proxy.place.host) as encrypted,
    ):
        assert encrypted.selected_alpn_protocol() == "h2"


def test_a_restart_behind_a_proxy_refuses_no_request(front: Front) -> None:
    place, people = front.proxy.place, front.people
    load = Load(front.proxy.wire, people.boston, people.token, host=place.host, path=place.path)
    with load.running():
        for number in (1, 2):
            load.wait_until_sent(100 * number)
            front.manager.terminate()
            front.manager.start(SHOPBELL_PUBLIC_URL=place.url, **SETTINGS)
        load.wait_until_sent(300)
    assert load.failures == []
    assert set(load.statuses) == {200}
