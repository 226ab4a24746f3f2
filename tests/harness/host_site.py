"""A website of another origin, with any policy and headers."""

import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

HEAD = '<!doctype html><html lang="{lang}"><meta charset="utf-8"><meta name="viewport" content="width=device-width">'


@dataclass
class Asked:
    """A request that the site got."""

    method: str
    path: str
    headers: dict[str, str]
    body: bytes


@dataclass
class HostPage:
    """What a path answers with."""

    content: bytes
    headers: dict[str, str]
    status: int = 200


@dataclass
class HostSite:
    """The site, served by threads of this process; ``start`` and ``stop`` are the fixture's."""

    pages: dict[str, HostPage] = field(default_factory=dict)
    answers: dict[str, Callable[[Asked], HostPage]] = field(default_factory=dict)
    asked: list[Asked] = field(default_factory=list)

    def __post_init__(self) -> None:
        site = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_GET(self) -> None:
                self._answer()

            def do_POST(self) -> None:
                self._answer()

            def _answer(self) -> None:
                body = self.rfile.read(int(self.headers.get("content-length", 0)))
                asked = Asked(self.command, self.path, {k.lower(): v for k, v in self.headers.items()}, body)
                site.asked.append(asked)
                path = self.path.partition("?")[0]
                page = site.answers[path](asked) if path in site.answers else site.pages.get(path)
                page = page or HostPage(b"", {"Cache-Control": "max-age=60"}, 404 if path != "/favicon.ico" else 204)
                self.send_response(page.status)
                for name, value in page.headers.items():
                    self.send_header(name, value)
                if page.status != 204:
                    self.send_header("Content-Length", str(len(page.content)))
                self.end_headers()
                self.wfile.write(page.content)

            def log_message(self, *_: object) -> None:
                """Do not log."""

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.05})

    @property
    def origin(self) -> str:
        """As browsers name it."""
        return f"http://127.0.0.1:{self._server.server_address[1]}"

    def page(self, path: str, body: str, *, policy: str = "", lang: str = "en", title: str = "Shop") -> str:
        """Put a page on the site.

        Args:
            path: where, with its slash.
            body: its HTML.
            policy: its Content-Security-Policy; none when empty.
            lang: its language; Arabic is written from right to left.
            title: what its tab says.

        Returns:
            The page's address.
        """
        start = HEAD.format(lang=lang).replace("<html", '<html dir="rtl"' if lang == "ar" else "<html")
        headers = {"Content-Type": "text/html; charset=utf-8"} | ({"Content-Security-Policy": policy} if policy else {})
        html = f"{start}<title>{title}</title><body>{body}</body></html>"
        self.pages[path] = HostPage(html.encode(), headers)
        return self.origin + path

    def file(self, path: str, content: str, content_type: str = "text/javascript") -> str:
        """Put a file on the site, a script say; returns its address."""
        self.pages[path] = HostPage(content.encode(), {"Content-Type": f"{content_type}; charset=utf-8"})
        return self.origin + path

    def start(self) -> None:
        """Serve."""
        self._thread.start()

    def stop(self) -> None:
        """Serve no more."""
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()
