"""nginx, Caddy and HAProxy with the examples in ``deploy/``, in front of a server.

The examples run as they are, except for ports and paths.
"""

import os
import re
import ssl
import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread

import httpx2

from harness import ROOT
from harness.certificates import Authority
from harness.ports import free_port
from harness.processes import wait_for_end
from harness.programs import program
from harness.raw_connection import Wire
from harness.waiting import wait_until

EXAMPLES = {
    "nginx": ("nginx/shopbell.conf", "nginx/shopbell-path.conf"),
    "caddy": ("caddy/Caddyfile", "caddy/Caddyfile.path"),
    "haproxy": ("haproxy/haproxy.cfg", "haproxy/haproxy-path.cfg"),
}
"""For each proxy, the example with a host of its own, and the one below a path of a website."""
BACKEND = "127.0.0.1:8080"
WEBSITE = "127.0.0.1:8000"
HOME_PAGE = "the website"
START_TIMEOUT_S = 240
STOP_TIMEOUT_S = 120
_NGINX = """
daemon off;
user root;
pid {folder}/nginx.pid;
events {{ }}
http {{
    include /etc/nginx/mime.types;
    access_log off;
    gzip on;
    client_body_temp_path {folder}/bodies;
    proxy_temp_path {folder}/responses;
    {example}
}}
"""
_CADDY = """
{{
    admin off
    http_port {http}
    https_port {https}
    default_bind 127.0.0.1
    local_certs
    skip_install_trust
    storage file_system {folder}/caddy
}}
{example}
"""


@dataclass(frozen=True)
class Place:
    """Where customers find a server: on a host of its own, or below a path of a website."""

    host: str
    path: str

    @property
    def url(self) -> str:
        """The public URL."""
        return f"https://{self.host}{self.path}"


PLACES = (Place("chat.example.org", ""), Place("shop.example.org", "/chat"))


@dataclass(frozen=True)
class Proxy:
    """A proxy that runs."""

    place: Place
    http: int
    https: int
    trust: ssl.SSLContext

    def wire(self) -> Wire:
        """A raw connection."""
        return Wire(self.https, timeout_s=START_TIMEOUT_S, tls=self.trust, host=self.place.host)

    def client(self, source: str = "127.0.0.1", path: str | None = None) -> httpx2.Client:
        """A client that knows the proxy by the name of the place.

        Args:
            source: the address of the client, in 127.0.0.0/8.
            path: what all paths begin with; the place's if None.
        """
        host = self.place.host

        def name_host(request: httpx2.Request) -> None:
            request.extensions["sni_hostname"] = host

        return httpx2.Client(
            base_url=f"https://127.0.0.1:{self.https}{self.place.path if path is None else path}",
            headers={"Host": host},
            transport=httpx2.HTTPTransport(verify=self.trust, local_address=source),
            event_hooks={"request": [name_host]},
            timeout=240,
        )


@contextmanager
def proxy(
    name: str, place: Place, backend_port: int, folder: Path, change: Callable[[str], str] = str
) -> Iterator[Proxy]:
    """Run a proxy while the block runs.

    Args:
        name: which one.
        place: where customers find the server.
        backend_port: the port of the server.
        folder: where it keeps what it needs.
        change: what a test breaks in the example.
    """
    authority = Authority()
    authority.server(place.host, folder)
    configure, arguments = _RUN[name]
    http, https = free_port(), free_port()
    example = change((ROOT / "deploy" / EXAMPLES[name][PLACES.index(place)]).read_text())
    log_path = folder / "log"
    with _website(folder / "site") as website_port, log_path.open("wb") as log:
        example = example.replace(BACKEND, f"127.0.0.1:{backend_port}").replace(WEBSITE, f"127.0.0.1:{website_port}")
        example = example.replace("/var/www/html", str(folder / "site"))
        example = re.sub(r"/etc/\S+\.pem", str(folder / f"{place.host}.pem"), example)
        (folder / "configuration").write_text(configure(example, http, https, folder))
        process = subprocess.Popen(
            [program(name, name), *arguments, str(folder / "configuration")],
            env=os.environ | {"HOME": str(folder)},
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
        )
        try:
            trust = _trust_of_caddy(folder, process, log_path) if name == "caddy" else authority.trust()
            running = Proxy(place, http, https, trust)
            with running.client() as client:
                wait_until(lambda: _responds(client, process, log_path), log_path.read_text, START_TIMEOUT_S)
            yield running
        finally:
            process.terminate()
            wait_for_end(process, STOP_TIMEOUT_S, log_path.read_text)


@contextmanager
def _website(folder: Path) -> Iterator[int]:
    """A website, in a folder and on a port."""
    folder.mkdir()
    (folder / "index.html").write_text(HOME_PAGE)
    handler = partial(_Quiet, directory=str(folder))
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        thread = Thread(target=server.serve_forever)
        thread.start()
        try:
            yield server.server_port
        finally:
            server.shutdown()
            thread.join()


class _Quiet(SimpleHTTPRequestHandler):
    def log_message(self, *_: object) -> None:
        """Log nothing."""


def _nginx(example: str, http: int, https: int, folder: Path) -> str:
    example = re.sub(r" +listen \[.*\n", "", example)
    example = example.replace("listen 80;", f"listen 127.0.0.1:{http};")
    example = example.replace("listen 443 ", f"listen 127.0.0.1:{https} ")
    return _NGINX.format(folder=folder, example=example)


def _caddy(example: str, http: int, https: int, folder: Path) -> str:
    return _CADDY.format(folder=folder, http=http, https=https, example=example)


def _haproxy(example: str, http: int, https: int, _: Path) -> str:
    example = example.replace("bind :80\n", f"bind 127.0.0.1:{http}\n")
    return example.replace("bind :443 ", f"bind 127.0.0.1:{https} ")


_RUN: dict[str, tuple[Callable[[str, int, int, Path], str], list[str]]] = {
    "nginx": (_nginx, ["-e", "stderr", "-c"]),
    "caddy": (_caddy, ["run", "--adapter", "caddyfile", "--config"]),
    "haproxy": (_haproxy, ["-db", "-f"]),
}


def _trust_of_caddy(folder: Path, process: "subprocess.Popen[bytes]", log: Path) -> ssl.SSLContext:
    root = folder / "caddy" / "pki" / "authorities" / "local" / "root.crt"

    def is_written() -> bool:
        assert process.poll() is None, log.read_text()
        return root.exists() and "END CERTIFICATE" in root.read_text()

    wait_until(is_written, log.read_text, START_TIMEOUT_S)
    return ssl.create_default_context(cafile=root)


def _responds(client: httpx2.Client, process: "subprocess.Popen[bytes]", log: Path) -> bool:
    assert process.poll() is None, log.read_text()
    try:
        return client.get("/healthz").status_code == 200
    except httpx2.TransportError:
        return False
