"""The server's HTML pages, fetched from a real server."""

import asyncio
import html
import re
import shlex
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from html.parser import HTMLParser
from http.client import HTTPResponse
from itertools import pairwise
from pathlib import Path
from types import SimpleNamespace
from urllib.parse import urljoin

import httpx2
import jsonschema
import pytest
from fastapi import FastAPI

import shopbell
from harness.documented import responses_of
from harness.installation import Database, Installation, Server
from harness.ports import free_port
from harness.waiting import wait_until
from shopbell.http.pages import pages
from shopbell.http.request.employee_sessions import NotSignedIn
from shopbell.http.request.problem_types import PROBLEM_TYPES
from shopbell.operations.demo import Demo
from shopbell.settings.settings import Settings

PAGES = ("/", "/docs", "/problems", *(f"/problems/{name}" for name in PROBLEM_TYPES))
PLACEHOLDER = "your-api-token"


def on_sqlite(folder: Path) -> Installation:
    """An installation that has never run; the pages are the same on both engines."""
    return Installation(Database(f"sqlite:///{folder}/data/shopbell.db"), folder)


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """``shopbell serve`` on a new installation."""
    with on_sqlite(tmp_path_factory.mktemp("serve")).serving() as server:
        yield server


@contextmanager
def demo_on(folder: Path, **settings: str) -> Iterator[tuple[httpx2.Client, str]]:
    """``shopbell demo`` with its client, and the command that it printed."""
    installation = on_sqlite(folder)
    port = free_port()
    process = subprocess.Popen(
        [sys.executable, "-m", "shopbell", "demo", "--port", str(port)],
        cwd=folder,
        env=installation.environment | settings,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    )
    assert process.stdout is not None
    try:
        printed = next(line for line in process.stdout if line.startswith("curl "))
        with httpx2.Client(base_url=f"http://127.0.0.1:{port}", trust_env=False, timeout=60) as client:
            yield client, printed.strip()
    finally:
        process.terminate()
        process.stdout.close()
        process.wait(60)


@pytest.fixture(scope="module")
def demo(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[httpx2.Client, str]]:
    """``shopbell demo`` on a new installation."""
    with demo_on(tmp_path_factory.mktemp("demo")) as running:
        yield running


def command_on(page: httpx2.Response) -> str:
    """The command that a page shows."""
    assert page.status_code == 200
    (command,) = re.findall(r'<pre class="paste"><code>(.*?)</code></pre>', page.text, re.DOTALL)
    return html.unescape(command)


def token_in(command: str) -> str:
    """The token of a command."""
    (token,) = re.findall(r"token: ([^']+)'", command)
    assert isinstance(token, str)
    return token


def test_the_home_page_shows_the_service_and_its_version(server: Server) -> None:
    page = server.client.get("/")
    assert "<h1>Shopbell is running</h1>" in page.text
    assert f"version {shopbell.__version__}<" in page.text


def test_without_the_demo_the_page_shows_a_placeholder_instead_of_a_token(server: Server) -> None:
    command = command_on(server.client.get("/"))
    assert token_in(command) == PLACEHOLDER
    assert f"{server.url}/api/widget/send-message-to-business" in command


def test_the_demo_shows_its_command_to_browsers_on_the_same_machine(demo: tuple[httpx2.Client, str]) -> None:
    client, printed = demo
    page = client.get("/")
    assert command_on(page) == printed
    assert page.headers["cache-control"] == "no-store"


def test_the_command_on_the_page_sends_a_message(demo: tuple[httpx2.Client, str]) -> None:
    client, _ = demo
    words = shlex.split(command_on(client.get("/")))
    options = list(pairwise(words))
    headers = dict(value.split(": ") for option, value in options if option == "-H")
    ((_, method),) = [pair for pair in options if pair[0] == "-X"]
    ((_, body),) = [pair for pair in options if pair[0] == "-d"]
    url = next(word for word in words if word.startswith("http"))
    answer = client.request(method, url, headers=headers, content=body)
    assert answer.status_code == 200
    assert answer.json()["result"] == "ok"


@pytest.mark.parametrize(
    "header",
    [
        ("Host", "attacker.example"),
        ("Host", "127.0.0.1.attacker.example"),
        ("Host", "attacker.example:8080"),
        ("Host", "192.168.1.10"),
        ("X-Forwarded-For", "203.0.113.9"),
        ("X-Forwarded-Proto", "https"),
        ("X-Forwarded-Host", "127.0.0.1"),
        ("Forwarded", "for=203.0.113.9"),
        ("X-Real-IP", "203.0.113.9"),
        ("Via", "1.1 proxy"),
        ("Connection", "close"),
    ],
    ids=": ".join,
)
def test_the_demo_hides_its_token_from_requests_that_may_be_remote(
    demo: tuple[httpx2.Client, str], header: tuple[str, str]
) -> None:
    client, printed = demo
    page = client.get("/", headers=[header])
    assert token_in(command_on(page)) == PLACEHOLDER
    assert token_in(printed) not in page.text
    assert token_in(printed) not in client.get("/docs", headers=[header]).text


def test_the_demos_reference_has_its_token_and_is_not_cached(demo: tuple[httpx2.Client, str], server: Server) -> None:
    client, printed = demo
    reference = client.get("/docs")
    assert f'data-token="{token_in(printed)}"' in reference.text
    assert reference.headers["cache-control"] == "no-store"
    assert "data-token" not in server.client.get("/docs").text


@pytest.mark.parametrize(("version", "is_shown"), [("1.1", True), ("1.0", False)])
def test_the_demo_hides_its_token_from_an_http_1_0_proxy(
    demo: tuple[httpx2.Client, str], version: str, is_shown: bool
) -> None:
    client, printed = demo
    host = client.base_url.netloc.decode()
    with socket.create_connection(("127.0.0.1", client.base_url.port or 80), timeout=60) as connection:
        connection.sendall(f"GET / HTTP/{version}\r\nHost: {host}\r\n\r\n".encode())
        answer = HTTPResponse(connection)
        answer.begin()
        page = answer.read().decode()
    assert answer.status == 200
    assert (token_in(printed) in page) is is_shown
    assert (PLACEHOLDER in page) is not is_shown


@pytest.mark.parametrize("host", ["localhost", "LOCALHOST:8080", "127.0.0.1", "[::1]:8080"])
def test_every_local_host_name_is_recognised(demo: tuple[httpx2.Client, str], host: str) -> None:
    client, printed = demo
    command = command_on(client.get("/", headers={"Host": host}))
    assert token_in(command) == token_in(printed)
    assert f"http://{host}/api/" in command


class NoSessions:
    """Finds no session."""

    async def signed_in(self, _: object) -> None:
        """Refuse."""
        raise NotSignedIn


async def page_for_peer(address: str) -> str:
    """The first page of a demo as a peer of that address gets it."""
    app = FastAPI()
    app.state.settings = Settings()
    app.state.demo = Demo(1, (2, 3), "sb_live_secret", invitation="sbi_secret")
    app.state.services = SimpleNamespace(employees=NoSessions())
    app.include_router(pages.router)
    transport = httpx2.ASGITransport(app, client=(address, 50_000))
    async with httpx2.AsyncClient(transport=transport, base_url="http://127.0.0.1") as client:
        return (await client.get("/")).text


@pytest.mark.parametrize("address", ["203.0.113.9", "192.168.1.10", "2001:db8::1", "::ffff:203.0.113.9", "nonsense"])
def test_the_demo_hides_its_token_from_other_machines(address: str) -> None:
    page = asyncio.run(page_for_peer(address))
    assert "sb_live_secret" not in page
    assert "sbi_secret" not in page
    assert 'href="sign-in"' in page


@pytest.mark.parametrize("address", ["127.0.0.1", "127.0.0.53", "::1", "::ffff:127.0.0.1"])
def test_every_loopback_address_is_local(address: str) -> None:
    page = asyncio.run(page_for_peer(address))
    assert "sb_live_secret" in page
    assert 'href="http://localhost/invitations/sbi_secret"' in page


@pytest.mark.parametrize("host", ["a;id", "$(id)", "a'b", "a&b", "x=y", "-o", "a:b", "a:123456"])
def test_a_host_with_shell_characters_never_gets_into_the_command(server: Server, host: str) -> None:
    command = command_on(server.client.get("/", headers={"Host": host}))
    assert f"http://127.0.0.1:{server.port}/api/" in command


def test_the_command_uses_the_public_url(tmp_path: Path) -> None:
    with demo_on(tmp_path, SHOPBELL_PUBLIC_URL="https://chat.example.org/shop/") as (client, _):
        command = command_on(client.get("/"))
    assert "https://chat.example.org/shop/api/widget/send-message-to-business" in command


@pytest.mark.parametrize("path", PAGES)
def test_pages_load_nothing_from_other_hosts_and_cannot_be_framed(server: Server, path: str) -> None:
    page = server.client.get(path)
    assert page.headers["content-type"] == "text/html; charset=utf-8"
    policy = page.headers["content-security-policy"]
    assert policy.startswith("default-src 'none';")
    for directive in ("frame-ancestors 'none'", "base-uri 'none'", "form-action 'none'"):
        assert directive in policy
    assert "unsafe-inline" not in policy.partition("script-src")[2].partition(";")[0]
    assert "unsafe-eval" not in policy
    assert page.headers["x-content-type-options"] == "nosniff"
    assert page.headers["referrer-policy"] == "no-referrer"
    assert page.headers["x-frame-options"] == "DENY"


@pytest.mark.parametrize(
    "path", ["/static/shopbell.css", "/docs/static/swagger-ui.css", "/docs/static/swagger-ui-bundle.js"]
)
def test_static_files_forbid_sniffing_and_are_counted_by_route(server: Server, path: str) -> None:
    file = server.client.get(path)
    assert file.status_code == 200
    assert file.headers["content-type"].startswith("text/css" if path.endswith(".css") else "text/javascript")
    assert file.headers["content-security-policy"].startswith("default-src 'none';")
    assert file.headers["x-content-type-options"] == "nosniff"
    assert file.headers["cross-origin-resource-policy"] == "same-origin"
    route = path.rpartition("/")[0] + "/{name}"
    counter = f'shopbell_http_requests_total{{route="{route}",status="200"}}'
    # The request is counted after its last byte has left.
    wait_until(lambda: counter in server.client.get("/metrics").text, lambda: "the request is not counted")
    assert 'route="(no such route)",status="200"' not in server.client.get("/metrics").text


def test_behind_a_path_prefix_a_problem_type_links_to_its_page(tmp_path: Path) -> None:
    with on_sqlite(tmp_path).serving(public_url="https://shop.example.org/chat/") as server:
        answers = [
            server.client.post("/api/widget/send-message-to-business"),
            server.client.get("/api/threads"),
            server.client.get("/api/stream"),
            server.client.get("/", headers={"X-Large": "x" * 40_000}),
        ]
        for answer in answers:
            assert re.match("/chat/problems/[a-z-]+$", kind := answer.json()["type"])
            assert server.client.get(kind.removeprefix("/chat")).status_code == 200  # as the proxy asks
        document = server.client.get("/openapi.json").json()
    jsonschema.validate(answers[0].json(), document["components"]["schemas"]["Problem"] | document)


def test_two_servers_of_one_process_link_to_their_own_problem_pages(tmp_path: Path, server: Server) -> None:
    with on_sqlite(tmp_path).serving(public_url="https://shop.example.org/chat") as other:
        for one, prefix in ((other, "/chat"), (server, "")):
            assert one.client.get("/api/threads").json()["type"] == f"{prefix}/problems/unauthorized"
            responses = responses_of(one.client.get("/openapi.json").json(), "/api/threads", "get")
            (example,) = responses["401"]["content"]["application/problem+json"]["examples"].values()
            assert example["value"]["type"] == f"{prefix}/problems/unauthorized"
    assert server.client.post("/api/widget/send-message-to-business").json()["type"] == "/problems/unauthorized"


def test_the_health_route_returns_the_installed_version(server: Server) -> None:
    assert server.client.get("/healthz").json() == {"status": "ok", "version": shopbell.__version__}


def test_the_reference_page_is_counted_by_route(server: Server) -> None:
    assert server.client.get("/openapi.json").status_code == 200
    metrics = server.client.get("/metrics").text
    assert 'shopbell_http_requests_total{route="/openapi.json",status="200"}' in metrics
    assert 'route="(no such route)",status="200"' not in metrics


def test_a_trusted_proxys_configured_headers_are_used(tmp_path: Path) -> None:
    names = re.findall("`(X-Forwarded-[^`]*)`", Settings.model_fields["trusted_proxies"].description or "")
    assert names == ["X-Forwarded-For", "X-Forwarded-Proto"]
    proxied = {"X-Forwarded-Proto": "https", "X-Forwarded-Host": "chat.example.org", "X-Forwarded-Port": "8443"}
    with on_sqlite(tmp_path).serving(trusted_proxies="127.0.0.1") as server:
        command = command_on(server.client.get("/", headers=proxied))
        assert f"https://127.0.0.1:{server.port}/api/" in command


@pytest.mark.parametrize("host", ["127.0.0.1", "::ffff:127.0.0.1"], ids=["IPv4 socket", "IPv6 socket"])
@pytest.mark.parametrize("proxies", ["127.0.0.1", "::ffff:127.0.0.1", "::ffff:127.0.0.0/104"])
def test_a_proxy_is_trusted_on_every_socket_type_and_in_every_spelling(host: str, proxies: str, tmp_path: Path) -> None:
    installation = on_sqlite(tmp_path)
    with installation.serving("--host", host, trusted_proxies=proxies) as server:
        page = server.client.get("/", headers={"X-Forwarded-Proto": "https"})
        assert f"https://127.0.0.1:{server.port}/api/" in command_on(page)


class Named(HTMLParser):
    """What a page names: its links, its files, and scripts that stand in it."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.links: list[str] = []
        self.files: list[str] = []
        self.inline: list[str] = []
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = dict(attrs)
        (self.links if tag == "a" else self.files).extend(
            value for value in (given.get("href"), given.get("src")) if value
        )
        if (tag == "script" and "src" not in given) or tag == "style" or "style" in given:
            self.inline.append(tag)
        self.inline += [name for name in given if name.startswith("on")]


@pytest.mark.parametrize("path", PAGES)
def test_pages_work_without_internet_access(server: Server, path: str) -> None:
    named = Named(server.client.get(path).text)
    assert not named.inline
    for address in (*named.files, *named.links):
        assert "//" not in address, "a foreign host"
        assert not address.startswith("/"), "wrong below a prefix of a proxy"
        assert server.client.get(urljoin(path, address)).status_code == 200, address


@pytest.mark.parametrize("name", ["shopbell.css", "docs.css", "docs.js"])
def test_page_resources_name_no_other_host(server: Server, name: str) -> None:
    file = server.client.get(f"/static/{name}")
    assert file.status_code == 200
    assert "//" not in re.sub(r"(^|\s)// .*", "", file.text)  # but for comments
    assert "validatorUrl: null" in file.text or name != "docs.js"


def test_only_the_reference_page_allows_scripts(server: Server) -> None:
    for path in PAGES:
        page = server.client.get(path)
        assert ("script-src" in page.headers["content-security-policy"]) == (path == "/docs")
        assert ("<script" in page.text) == (path == "/docs")


@pytest.mark.parametrize("name", PROBLEM_TYPES)
def test_every_problem_type_links_to_its_explanation(server: Server, name: str) -> None:
    problem = PROBLEM_TYPES[name]
    page = server.client.get(f"/problems/{name}")
    assert page.status_code == 200
    plain = html.unescape(re.sub("<[^>]*>", "", page.text))
    assert problem.title in plain
    assert str(problem.status) in plain
    assert problem.explanation.replace("`", "") in plain
    assert problem.remedy.replace("`", "") in plain
    assert f'href="problems/{name}"' in server.client.get("/problems").text


@pytest.mark.parametrize(
    "path",
    [
        "/problems/nothing",
        "/static/page.html",
        "/static/nothing.css",
        "/static/..%2f..%2fapp.py",
        "/docs/static/../../x",
    ],
)
def test_a_missing_page_is_a_problem_too(server: Server, path: str) -> None:
    answer = server.client.get(path)
    assert answer.status_code == 404
    assert answer.headers["content-type"] == "application/problem+json"
    assert answer.json()["type"] == "/problems/not-found"


def test_pages_can_be_requested_with_head(server: Server) -> None:
    for path in PAGES:
        answer = server.client.head(path)
        assert answer.status_code == 200
        assert not answer.content
